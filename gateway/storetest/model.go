package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
)

// box is the model of one mailbox: a state that is certain and what was done
// since. After a crash the store may have forgotten the newest changes, but
// only those that were Relaxed or not answered, and only from the end.
type box struct {
	n    int
	base image
	ops  []op
}

// op is one thing done to a mailbox: deliveries were accepted, or a change was
// committed.
type op struct {
	accepted []*gateway.Delivery
	change   *gateway.Change
	certain  bool // it was answered and waited for the disk
}

// image is everything that a store should know of a mailbox.
type image struct {
	state   *gateway.Mailbox
	events  []string // the reasons of its events, each different
	note    string   // of its suppression entry
	setting string
	totals  gateway.Totals
}

func newBox(n int) *box { return &box{n: n, base: image{state: &gateway.Mailbox{Key: key(n)}}} }

// now is the image when nothing is lost.
func (b *box) now() image { return b.fold(len(b.ops)) }

// fold returns the image with the changes from the op at cut on lost. Accepted
// mail is not lost with them: it is in another log.
func (b *box) fold(cut int) image {
	im := b.base
	im.events = slices.Clone(im.events)
	im.totals.Dropped = map[string]int64{}
	for reason, n := range b.base.totals.Dropped {
		im.totals.Dropped[reason] = n
	}
	for i, o := range b.ops {
		switch {
		case o.change == nil:
			im.accept(o.accepted)
		case i < cut:
			im.apply(o.change)
		}
	}
	return im
}

func (im *image) accept(ds []*gateway.Delivery) {
	im.state = im.state.With(ds...)
	if im.state.Address == "" {
		im.state.Address, im.state.Audience = strings.ToLower(ds[0].Address), "acme"
	}
	im.totals.Accepted += int64(len(ds))
	im.totals.Waiting += int64(len(ds))
}

func (im *image) apply(c *gateway.Change) {
	for _, d := range c.Deliveries {
		*im.count(im.state.Delivery(d.ID))--
		if d.State == gateway.Dropped {
			im.totals.Dropped[d.Reason]++
		} else {
			*im.count(d)++
		}
	}
	im.state = im.state.With(c.Deliveries...)
	im.state.Rev = c.Expect + 1
	if c.Head != nil {
		im.state.Zone, im.state.Profile, im.state.Gates = c.Head.Zone, c.Head.Profile, c.Head.Gates
		im.state.Heard, im.state.Wishes = c.Head.Heard, c.Head.Wishes
	}
	for _, e := range c.Events {
		im.events = append(im.events, e.Reason)
	}
	for _, e := range c.Entries {
		im.note = e.Note
	}
	for _, s := range c.Settings {
		im.setting = string(s.Value)
	}
}

func (im *image) count(d *gateway.Delivery) *int64 {
	switch d.State {
	case gateway.Waiting:
		return &im.totals.Waiting
	case gateway.Sending:
		return &im.totals.Sending
	case gateway.Delivered:
		return &im.totals.Delivered
	case gateway.Bounced:
		return &im.totals.Bounced
	}
	return &im.totals.Captured
}

// did records an op and what its answer makes certain.
func (b *box) did(o op, err error) {
	o.certain = err == nil && (o.change == nil || !o.change.Relaxed)
	b.ops = append(b.ops, o)
	if o.certain && o.change != nil {
		for i := range b.ops { // what came before it in the journal
			b.ops[i].certain = true
		}
	}
}

// settle finds out what a reopened store kept and makes it the base. It returns
// an error when the store kept something that cannot be.
func (b *box) settle(found image) error {
	last := len(b.ops) - 1
	wanted := b.now()
	for range 2 {
		for cut := len(b.ops); cut >= 0; cut-- {
			if im := b.fold(cut); im.differs(found) == "" {
				b.base, b.ops = im, nil
				b.base.state = found.state
				return nil
			}
			if cut > 0 && b.ops[cut-1].change != nil && b.ops[cut-1].certain {
				break
			}
		}
		// Once more without the mail that was on its way in when the store died.
		if last < 0 || last >= len(b.ops) || b.ops[last].change != nil || b.ops[last].certain {
			break
		}
		b.ops = b.ops[:last]
	}
	return fmt.Errorf("mailbox %d: %s", b.n, wanted.differs(found))
}

// differs tells how two images differ, "" if they do not.
func (im image) differs(o image) string {
	switch {
	case !same(im.state, o.state):
		return fmt.Sprintf("the state is\n%s, want\n%s", show(o.state), show(im.state))
	case !slices.Equal(im.events, o.events):
		return fmt.Sprintf("the events are\n%v, want\n%v", o.events, im.events)
	case im.note != o.note:
		return fmt.Sprintf("the entry is %q, want %q", o.note, im.note)
	case im.setting != o.setting:
		return fmt.Sprintf("the setting is %q, want %q", o.setting, im.setting)
	}
	return ""
}

// same compares two states, but for the places of content, which a store may
// change.
func same(a, b *gateway.Mailbox) bool {
	x, y := plain(a), plain(b)
	return reflect.DeepEqual(x, y)
}

func plain(m *gateway.Mailbox) *gateway.Mailbox {
	n := *m
	n.Deliveries = nil
	for _, d := range m.Deliveries {
		c := *d
		c.Ref = gateway.Ref{}
		n.Deliveries = append(n.Deliveries, &c)
	}
	if len(n.Heard) == 0 {
		n.Heard = nil
	}
	if len(n.Profile) == 0 {
		n.Profile = nil
	}
	return &n
}

func show(m *gateway.Mailbox) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rev %d, %q in %q, zone %q, profile %q, heard %q, wishes %v, %d sends:", m.Rev, m.Address, m.Audience, m.Zone, m.Profile, m.Heard, m.Wishes, m.Gates.Len())
	for _, d := range m.Deliveries {
		fmt.Fprintf(&b, " [%s rev %d %s paused %v]", d.ID, d.Rev, d.State, d.Paused)
	}
	return b.String()
}

// dueAt tells when a mailbox should be due, if at all.
func dueAt(m *gateway.Mailbox) (at time.Time, due bool) {
	for _, d := range m.Deliveries {
		if d.State != gateway.Waiting && d.State != gateway.Sending || d.State == gateway.Waiting && d.Paused {
			continue
		}
		t := d.Due
		if d.Rev == 0 || d.State == gateway.Sending {
			t = time.Time{}
		}
		if !due || t.Before(at) {
			at, due = t, true
		}
	}
	return at, due
}
