package admin

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"tidepost/gateway"
)

// leavingDoc is how many departures a tenant had and what their readers said of them.
// A departure is a reader and a list; of several answers the last one counts.
type leavingDoc struct {
	Tenant string `json:"tenant,omitempty"`
	leavingCount
	Lists []leavingList `json:"lists"` // those that most left, at most five
}

// leavingList is the part of one list.
type leavingList struct {
	List string `json:"list"` // "": all of the tenant's bulk
	leavingCount
}

// leavingCount is departures by answer; the shares of the answers are of those
// answered, from 0 to 1.
type leavingCount struct {
	Left       int64 `json:"left"`
	Answered   int64 `json:"answered"`
	Often      int64 `json:"often"`
	Irrelevant int64 `json:"irrelevant"`
	Done       int64 `json:"done"`

	Shares leavingShares `json:"shares"`
}

type leavingShares struct {
	Often      float64 `json:"often"`
	Irrelevant float64 `json:"irrelevant"`
	Done       float64 `json:"done"`
}

const (
	leavingLists   = 5 // told of a tenant
	leavingTenants = 5 // told in sentences
)

// departures joins opt-outs to why their readers say that they left, which may be told
// with the opt-out or later.
type departures struct {
	of    sample[departure]
	names map[string]*string // of tenants and lists, each once
}

type departure struct {
	tenant, list *string
	why          gateway.Why
}

// visit takes in an opt-out or an answer. One whose opt-out lies before the report
// is not counted.
func (d *departures) visit(e *gateway.Event, tenant string) {
	detail, ok := e.SignalDetail()
	if !ok || tenant != "" && detail.Tenant != tenant {
		return
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%s", detail.Mailbox, detail.Tenant, detail.List)
	key := h.Sum64()
	x, known := d.of.get(key)
	switch {
	case known && detail.Why != "":
		x.why = detail.Why
	case known || e.Kind != gateway.EventUnsubscribed:
		return
	default:
		x = departure{d.name(detail.Tenant), d.name(detail.List), detail.Why}
	}
	d.of.put(key, x)
}

func (d *departures) name(s string) *string {
	if d.names == nil {
		d.names = map[string]*string{}
	}
	if d.names[s] == nil {
		d.names[s] = &s
	}
	return d.names[s]
}

func (c *leavingCount) add(why gateway.Why, n int64) {
	c.Left += n
	switch why {
	case gateway.WhyOften:
		c.Often += n
	case gateway.WhyIrrelevant:
		c.Irrelevant += n
	case gateway.WhyDone:
		c.Done += n
	default:
		return
	}
	c.Answered += n
}

func (c *leavingCount) share() {
	if n := float64(c.Answered); n > 0 {
		c.Shares = leavingShares{float64(c.Often) / n, float64(c.Irrelevant) / n, float64(c.Done) / n}
	}
}

// docs are the tenants' counts, those that most left first.
func (d *departures) docs() []leavingDoc {
	tenants, lists := map[string]*leavingDoc{}, map[[2]string]*leavingList{}
	for _, x := range d.of.of {
		t, l := *x.tenant, *x.list
		if tenants[t] == nil {
			tenants[t] = &leavingDoc{Tenant: t}
		}
		if lists[[2]string{t, l}] == nil {
			lists[[2]string{t, l}] = &leavingList{List: l}
		}
		n := int64(1) << d.of.halve // of a sample each stands for so many
		tenants[t].add(x.why, n)
		lists[[2]string{t, l}].add(x.why, n)
	}
	for key, l := range lists {
		l.share()
		tenants[key[0]].Lists = append(tenants[key[0]].Lists, *l)
	}
	docs := []leavingDoc{}
	for _, t := range tenants {
		t.share()
		slices.SortFunc(t.Lists, func(a, b leavingList) int { return cmp.Or(cmp.Compare(b.Left, a.Left), cmp.Compare(a.List, b.List)) })
		t.Lists = t.Lists[:min(len(t.Lists), leavingLists)]
		docs = append(docs, *t)
	}
	slices.SortFunc(docs, func(a, b leavingDoc) int { return cmp.Or(cmp.Compare(b.Left, a.Left), cmp.Compare(a.Tenant, b.Tenant)) })
	return docs
}

// sayLeaving says why readers left, as far as they said it.
func (r *reportDoc) sayLeaving() {
	for i, t := range r.Leaving {
		if i == leavingTenants {
			r.say("Readers left %s more; the JSON document has them all.", plural(int64(len(r.Leaving)-i), "tenant", "tenants"))
			return
		}
		text := fmt.Sprintf("Why they leave %s: %d of %d answered", mark(t.Tenant), t.Answered, t.Left)
		if t.Answered > 0 {
			text += fmt.Sprintf("; too often %d (%.0f %%), not relevant %d (%.0f %%), no longer interested %d (%.0f %%)",
				t.Often, 100*t.Shares.Often, t.Irrelevant, 100*t.Shares.Irrelevant, t.Done, 100*t.Shares.Done)
		}
		r.say("%s.", text)
		if len(t.Lists) > 1 || len(t.Lists) == 1 && t.Lists[0].List != "" {
			var lists []string
			for _, l := range t.Lists {
				lists = append(lists, l.sentence())
			}
			r.say("By list: %s.", strings.Join(lists, "; "))
		}
	}
}

// sentence is like: news.example 12 (too often 3, no longer interested 1).
func (l *leavingList) sentence() string {
	text := fmt.Sprintf("%s %d", cmp.Or(mark(l.List), "all of it"), l.Left)
	var said []string
	for _, x := range []struct {
		what string
		n    int64
	}{{"too often", l.Often}, {"not relevant", l.Irrelevant}, {"no longer interested", l.Done}} {
		if x.n > 0 {
			said = append(said, fmt.Sprintf("%s %d", x.what, x.n))
		}
	}
	if len(said) == 0 {
		return text
	}
	return text + " (" + strings.Join(said, ", ") + ")"
}
