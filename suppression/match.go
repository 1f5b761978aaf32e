// Package suppression says who must not be written to, in which scope, until when.
//
// It holds the nouns and the one question: which of a mailbox's entries, if any,
// stops this mail ([Match]). The entries are kept elsewhere, in the gateway's
// store, which asks this question when a mail is accepted and again in the commit
// that releases it.
//
// What can go wrong: an entry of a reason or scope this version does not know. It
// stops bulk mail if its scope covers it, since permission closes when in doubt,
// and never a transactional mail; a scope it does not know covers nothing.
package suppression

import "time"

// Query is the mail to be sent, as far as entries can speak about it. Empty
// fields are covered only by global entries.
type Query struct {
	Now           time.Time
	Tenant        string
	Audience      string
	List          string // List-Id without brackets
	Category      string
	Class         string
	Transactional bool // a receipt, a code: the reader needs it whatever they opted out of
}

// Match returns the entry that stops this mail. Of several it is the one with the
// hardest reason, then the widest scope, then the first.
//
// Transactional mail is stopped by hard_bounce, invalid and manual entries that
// cover it and by complaints about its own class; not by opt-outs, role accounts,
// rules or complaints about other mail.
func Match(entries []Entry, q Query) (*Entry, bool) {
	var hit *Entry
	for i := range entries {
		e := &entries[i]
		if e.Live(q.Now) && e.Scope.covers(&q) && e.stops(&q) && (hit == nil || e.before(hit)) {
			hit = e
		}
	}
	return hit, hit != nil
}

func (e *Entry) stops(q *Query) bool {
	if !q.Transactional {
		return true
	}
	switch e.Reason {
	case HardBounce, Invalid, Manual:
		return true
	case Complaint:
		return e.Scope.Kind == Class
	}
	return false
}

func (e *Entry) before(o *Entry) bool {
	if e.Reason != o.Reason {
		return e.Reason.rank() < o.Reason.rank()
	}
	return e.Scope.Kind < o.Scope.Kind
}
