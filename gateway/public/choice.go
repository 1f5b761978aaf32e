package public

import (
	"context"
	"errors"
	"net/http"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/templates"
)

// pause is how long a reader is left alone who asks for it.
const pause = 30 * 24 * time.Hour

// asked is a request for a page about a reader's mail.
type asked struct {
	*reader
	sender string // what its reader knows the tenant by
	source string // "unsubscribe" or "preferences"
	more   string // relative address of the preference page; "": this is it
}

// ask finds whom a page is about, and answers itself where that cannot be known.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, p token.Purpose) (a asked, ok bool) {
	t, err := s.open(p, r)
	expired := errors.Is(err, token.ErrExpired)
	if err != nil && !(expired && p == token.Unsubscribe) { // an objection is never too late
		s.refuse(w, r, err)
		return a, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	a.source = "preferences"
	if p == token.Unsubscribe {
		a.source = "unsubscribe"
		if !expired {
			a.more = "../p/" + s.Keys().Seal(token.Preferences, &token.Token{Message: t.Message, Ordinal: t.Ordinal,
				Mailbox: t.Mailbox, Source: t.Source, Expires: t.Expires})
		}
	}
	a.reader, err = s.reader(ctx, t)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		s.notice(w, r, http.StatusGone, templates.Gone)
	case err != nil:
		s.log().Error("a reader's page could not be shown", "error", err)
		s.later(w, r)
	default:
		a.sender = s.sender(a.tenant, a.list)
		return a, true
	}
	return a, false
}

// later says that it cannot be done now, and that nothing was.
func (s *Server) later(w http.ResponseWriter, r *http.Request) {
	again(w, 29*time.Second)
	s.notice(w, r, http.StatusServiceUnavailable, templates.Later)
}

// fill makes the page about a reader's mail.
func (a *asked) fill(kind templates.Kind) templates.Page {
	return templates.Page{Kind: kind, Sender: a.sender, List: a.list, Reader: templates.Mask(a.mailbox.String()), Preferences: a.more}
}

// signal is what a choice tells.
func (a *asked) signal(c templates.Choice, now time.Time) (sig gateway.Signal, ok bool) {
	sig = a.reader.signal(gateway.SignalConsent, a.source)
	sig.At = now
	switch c {
	case templates.StopList:
		sig.Kind, sig.List = gateway.SignalUnsubscribed, a.list
	case templates.StopAll:
		sig.Kind = gateway.SignalUnsubscribed
	case templates.Pause:
		sig.Wish = &gateway.Wish{Until: now.Add(pause)}
	case templates.Less:
		sig.Wish = &gateway.Wish{PerWeek: 1}
	case templates.Unseen:
		sig.Wish = &gateway.Wish{Evidence: "none"}
	case templates.Seen:
		sig.Wish = &gateway.Wish{Evidence: "full"} // the sender's own limits stay
	case templates.Resume:
		sig.Wish = &gateway.Wish{Resume: true}
	default:
		return sig, false
	}
	return sig, true
}

// obey stores a choice and says so, in this order: whoever reads 200 may rely on it.
// Of an opt-out that a person chose on our page it asks why then.
func (s *Server) obey(w http.ResponseWriter, r *http.Request, a asked, c templates.Choice, person bool) {
	if c == templates.StopList && a.list == "" {
		c = templates.StopAll
	}
	sig, ok := a.signal(c, s.now())
	if !ok {
		s.notice(w, r, http.StatusBadRequest, templates.Refused)
		return
	}
	if !s.store(w, r, a, c, sig) {
		return
	}
	p := a.after(templates.Done)
	p.Choice, p.Ask = c, person && sig.Kind == gateway.SignalUnsubscribed
	if sig.Wish != nil {
		p.Until = sig.Wish.Until
	}
	s.page(w, r, http.StatusOK, p)
}

// hear takes the answer to why somebody left: it stops nothing more and brings nothing
// back. It is about what the form says they left, their list or all of the sender's bulk.
func (s *Server) hear(w http.ResponseWriter, r *http.Request, a asked, form map[string]string) {
	why, left := gateway.Why(form["why"]), templates.Choice(form["left"])
	switch why {
	case gateway.WhyOften, gateway.WhyIrrelevant, gateway.WhyDone:
	default:
		s.notice(w, r, http.StatusBadRequest, templates.Refused)
		return
	}
	sig := a.reader.signal(gateway.SignalConsent, a.source)
	sig.At, sig.Why = s.now(), why
	if left != templates.StopAll {
		sig.List = a.list
	}
	if s.store(w, r, a, templates.Tell, sig) {
		p := a.after(templates.Thanks)
		p.Answer = templates.Answer(why)
		s.page(w, r, http.StatusOK, p)
	}
}

// store makes durable what a reader said, or answers that it could not. That the
// connection breaks meanwhile takes nothing back.
func (s *Server) store(w http.ResponseWriter, r *http.Request, a asked, c templates.Choice, sig gateway.Signal) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTimeout)
	defer cancel()
	count := &s.Metrics.Choices
	if sig.Kind == gateway.SignalUnsubscribed {
		sig.Forward = s.forward(ctx, a.delivery)
		count = &s.Metrics.Unsubscribes
	}
	if _, err := s.Gateway.Learn(ctx, sig); err != nil {
		s.Metrics.Unstored.Add(1)
		s.log().Error("a reader's choice could not be stored", "choice", c, "delivery", sig.Message, "error", err)
		s.later(w, r)
		return false
	}
	count.Add(1)
	return true
}

// after makes the page that follows a form.
func (a *asked) after(kind templates.Kind) templates.Page {
	p := a.fill(kind)
	if p.Preferences == "" && a.source == "preferences" {
		p.Preferences = "?" // this address, asked for with GET
	}
	return p
}
