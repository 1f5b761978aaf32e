package history

import (
	"net/netip"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler/evidence"
)

// Judged counts opens and clicks by who was behind them.
type Judged struct {
	Human    int `json:"human"`
	Doubtful int `json:"doubtful"`
	Machine  int `json:"machine"`
	Unseen   int `json:"unseen"` // of all: nothing but the time was recorded
}

// weightUnseen is what an open weighs of which nothing but the time was recorded.
const weightUnseen = .5

// judge says of the opens and clicks of one mailbox after another who was behind
// them. What it remembers of one helps with the next (scanned domains).
type judge struct {
	classifier evidence.Classifier
	tenant     string
	delivered  bool // the file tells of deliveries: what was handed in is left out
	sum        Judged
	sends      []pastSend // of the mailbox at hand
}

type pastSend struct {
	ref   uint64
	at    time.Time
	rough bool
}

// mailbox makes the rows of one mailbox, in order of time, into what is brought in.
func (j *judge) mailbox(k gateway.Key, all []record) []gateway.Past {
	j.sends = j.sends[:0]
	rows := make([]gateway.Past, 0, len(all))
	for i := range all {
		r := &all[i]
		if r.kind == gateway.PastSent && j.delivered && r.flags&flagDelivered == 0 {
			continue
		}
		p := gateway.Past{Kind: r.kind, At: r.at, Ref: r.ref, Mark: r.mark, List: r.list, Class: r.class, Hard: r.flags&flagHard != 0}
		switch r.kind {
		case gateway.PastSent:
			if p.Ref == 0 {
				p.Ref = hashed(r.at.String())
			}
			j.sends = append(j.sends, pastSend{p.Ref, r.at, r.flags&flagRough != 0})
		case gateway.SignalOpened, gateway.SignalClicked:
			if p.Ref == 0 {
				p.Ref = j.latest(r.at)
			}
			if j.seen(k, r, &p) {
				retract(rows, &p)
			}
		}
		rows = append(rows, p)
	}
	return rows
}

// latest is the mail that an open of no told mail is of.
func (j *judge) latest(at time.Time) uint64 {
	if n := len(j.sends); n > 0 {
		return j.sends[n-1].ref
	}
	return hashed(at.String())
}

// seen judges an open or a click, and reports whether it shows that earlier clicks of
// the same mail were a machine's.
func (j *judge) seen(k gateway.Key, r *record, p *gateway.Past) (retracts bool) {
	q := evidence.Request{At: r.at, Action: evidence.Open, UserAgent: r.ua, Known: r.ua != "", Tenant: j.tenant, Mailbox: k, Delivery: p.Ref, Link: r.link}
	if r.kind == gateway.SignalClicked {
		q.Action = evidence.Click
	}
	if i := strings.LastIndexByte(r.address, '@'); i >= 0 {
		q.Domain = r.address[i+1:]
	}
	q.Addr, _ = netip.ParseAddr(r.ip) // invalid: not known
	for i := len(j.sends) - 1; i >= 0; i-- {
		if s := &j.sends[i]; s.ref == p.Ref {
			if !s.rough {
				q.Delivered = s.at
			}
			break
		}
	}
	verdict := j.classifier.Judge(q)
	if r.flags&flagMachine != 0 {
		verdict = evidence.Judgement{Verdict: evidence.Machine}
	}
	p.Human, p.Doubtful = verdict.Weight, verdict.Verdict == evidence.Doubtful
	if r.ua == "" && r.ip == "" {
		j.sum.Unseen++
		if r.kind == gateway.SignalOpened {
			p.Human = min(p.Human, weightUnseen)
		}
	}
	switch verdict.Verdict {
	case evidence.Human:
		j.sum.Human++
	case evidence.Doubtful:
		j.sum.Doubtful++
	default:
		j.sum.Machine++
	}
	return verdict.Retract
}

// retract takes back what clicks of the same mail within the last minute weighed.
func retract(rows []gateway.Past, last *gateway.Past) {
	for i := len(rows) - 1; i >= 0 && last.At.Sub(rows[i].At) <= time.Minute; i-- {
		if rows[i].Kind == gateway.SignalClicked && rows[i].Ref == last.Ref {
			rows[i].Human = 0
		}
	}
}
