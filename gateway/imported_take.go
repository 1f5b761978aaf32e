package gateway

import (
	"hash/fnv"
	"slices"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
)

// take teaches a mailbox what its rows tell, and finds out what live would have done.
// A profile goes forward in time: what is not newer than all that is known teaches
// nothing. Opt-outs count whenever they were.
func (im *PastImport) take(t *turn, b *PastMailbox) (done PastTaken, would PastWould) {
	w := im.walk(b.Key, t.box, new(scheduler.Profile), im.begun)
	w.would = &would
	w.all(b.Rows)
	if t.box.Address == "" {
		t.box.Address, t.box.Audience = b.Address, im.Audience()
	}
	newest, past := t.newest(), t.heard().past
	fresh := b.Rows[:0:0]
	if past.until == 0 && len(b.Rows) > 0 && b.Rows[0].At.Unix() > newest {
		fresh = b.Rows // all, as usual
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		entered := im.stop(t, r)
		if entered {
			done.Entered++
		}
		switch known := past.passed(r); {
		case !known && r.At.Unix() > newest:
			if len(fresh) < len(b.Rows) {
				fresh = append(fresh, *r)
			}
		case entered:
			done.Taken++
		case known:
			done.Known++
		default:
			done.Late++
		}
	}
	if len(fresh) > 0 {
		im.teach(t, im.walk(b.Key, t.box, t.profile(), im.taught), fresh, &done)
	}
	if len(fresh) > 0 || done.Entered > 0 {
		done.Changed = 1
		if len(t.box.Deliveries) > 0 {
			t.dropSuppressed(done.Entered > 0)
			t.replanBulk(DeliveryID{})
		}
	}
	return done, would
}

// newest is when the mailbox was last heard of by mail of ours; unix seconds.
func (t *turn) newest() int64 {
	did := &t.heard().did
	at := int64(max(did.lastSend, did.open.last, did.click.last))
	if n := t.box.Gates.Len(); n > 0 {
		at = max(at, t.box.Gates.Send(n-1).At.Unix())
	}
	if at <= t.heard().past.until/1000 {
		return 0 // by an import itself
	}
	return at
}

// teach shows rows to the mailbox's own profile and counts them.
func (im *PastImport) teach(t *turn, w *pastWalk, rows []Past, done *PastTaken) {
	h := t.heard()
	recent := t.now.Add(-7 * 24 * time.Hour)
	tenant := im.g.models.tenant(im.tenant)
	for i := range rows {
		r := &rows[i]
		h.past.note(r)
		sees := w.sees(r)
		if excluded(&Signal{Kind: r.Kind}, sees) {
			done.Excluded++
			continue
		}
		done.Taken++
		if !w.row(r) {
			continue
		}
		if r.Kind != PastSent {
			h.did.signal(&Signal{Kind: r.Kind, At: r.At, Human: r.Human}, sees)
			tenant.watch(t.box.Key, w.p, r.At, 0)
			continue
		}
		if r.At.After(recent) {
			t.box.Gates.Count(w.send(r))
		}
		if r.Class.Bulk() {
			opens := sees == scheduler.SeesFull || sees == scheduler.SeesDay
			h.did.sent(r.At, im.seen && opens && !w.p.OpensHidden(), im.seen && sees <= scheduler.SeesClick)
		}
	}
	narrow := max(im.rules.Sees, t.box.Wishes.Sees)
	h.did.narrow(narrow)
	if narrow >= scheduler.SeesDay {
		h.coarsen()
	}
	t.keepProfile()
	t.keepHeard()
}

// stop makes the entry that a row asks for, and reports whether it is new. What was
// taken back here after that time stays so.
func (im *PastImport) stop(t *turn, r *Past) bool {
	reason, closing := closes[r.Kind]
	if !closing || r.Kind == SignalBounced && !r.Hard {
		return false
	}
	e := suppression.Entry{Address: t.box.Address, Scope: suppression.Scope{Kind: suppression.Tenant, Name: im.tenant},
		Reason: reason, Source: im.source, Created: r.At}
	switch {
	case reason == suppression.HardBounce:
		e.Scope = suppression.Scope{}
	case reason == suppression.Unsubscribe && r.List != "":
		e.Scope = suppression.TenantList(im.tenant, r.List)
	}
	if e.Validate() != nil { // a List-Id that is no scope's name: then all of the sender's bulk
		e.Scope = suppression.Scope{Kind: suppression.Tenant, Name: im.tenant}
	}
	entries, err := t.entries()
	if err != nil {
		t.g.log().Error("the suppression list cannot be read; an opt-out is entered again", "error", err)
	}
	if slices.ContainsFunc(entries, func(o suppression.Entry) bool {
		return o.Scope == e.Scope && o.Reason == e.Reason && (o.Removed.IsZero() && o.Expires.IsZero() || o.Removed.After(r.At))
	}) {
		return false
	}
	t.enter(e, "added")
	return true
}

// pastWalk goes through the rows of one mailbox in order of time.
type pastWalk struct {
	im     *PastImport
	key    Key
	box    *Mailbox // zone and wishes
	p      *scheduler.Profile
	model  *scheduler.Model
	would  *PastWould      // what live would have done; nil: that is not asked
	gates  scheduler.Gates // where it is asked
	moved  []movedMail
	own    bool // the last decision rested on the reader's own hours
	lately bool // there was one
}

func (im *PastImport) walk(k Key, box *Mailbox, p *scheduler.Profile, m *scheduler.Model) *pastWalk {
	return &pastWalk{im: im, key: k, box: box, p: p, model: m}
}

func (w *pastWalk) all(rows []Past) {
	for i := range rows {
		if r := &rows[i]; !excluded(&Signal{Kind: r.Kind}, w.sees(r)) {
			w.row(r)
		}
	}
	w.end()
}

// sees is what may be learned from a row.
func (w *pastWalk) sees(r *Past) scheduler.Sees {
	if r.Kind.Permission() {
		return max(w.im.rules.Sees, w.box.Wishes.Sees)
	}
	return max(w.im.rules.SeesOf(r.List), w.box.Wishes.Sees)
}

// row shows one row to the profile and reports whether it was news.
func (w *pastWalk) row(r *Past) bool {
	kind, teaching := teaches[r.Kind]
	sees := w.sees(r)
	switch {
	case r.Kind == PastSent:
		if w.would != nil && r.Class.Bulk() {
			w.decide(r, sees)
		}
		w.p.Sent(w.model, w.box.Location(), scheduler.Sent{At: r.At, Ref: pastRef(r.Ref), Topic: pastTopic(r), Pressure: pressure(r.Class),
			Observable: r.Class.Bulk() && sees < scheduler.SeesNone, Sees: sees})
		if w.would != nil {
			w.gates.Count(w.send(r))
		}
		return true
	case !teaching || r.Kind == SignalOpened && r.Human == 0 && r.Doubtful:
		return false
	}
	if kind <= scheduler.Clicked && r.Human >= 0.5 {
		w.read(r.At)
	}
	weight := r.Human
	if r.Kind.Permission() {
		weight = 1
	}
	return w.p.Observe(w.model, w.box.Location(), sees, scheduler.Evidence{Kind: kind, At: r.At, Ref: pastRef(r.Ref), Weight: weight})
}

// send is the slot of a mail in the ring.
func (w *pastWalk) send(r *Past) scheduler.Send {
	return scheduler.Send{At: r.At, Weight: uint8(r.Class), Bulk: r.Class.Bulk(), Ref: pastRef(r.Ref)}
}

func pastRef(ref uint64) uint16 { return uint16(ref) & 0x1fff }

// pastTopic is topic for a mail of which only that is known.
func pastTopic(r *Past) uint32 {
	h := fnv.New32a()
	if r.List != "" {
		h.Write([]byte(r.List))
	} else {
		h.Write([]byte(r.Class.String()))
	}
	return h.Sum32()
}
