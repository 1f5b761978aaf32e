package public

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/suppression/address"
	"tidepost/templates"
)

// open reads the token in a request's path.
func (s *Server) open(p token.Purpose, r *http.Request) (*token.Token, error) {
	if s.Keys == nil {
		return nil, token.ErrForged
	}
	keys := s.Keys()
	if keys == nil {
		return nil, token.ErrForged
	}
	t, err := keys.Open(p, r.PathValue("token"), s.now())
	switch {
	case errors.Is(err, token.ErrExpired):
		s.Metrics.Expired.Add(1)
	case err != nil:
		s.Metrics.Forged.Add(1)
	}
	return t, err
}

// refuse answers a token that does not open.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, token.ErrExpired) {
		s.notice(w, r, http.StatusGone, templates.Expired)
		return
	}
	s.notFound(w, r)
}

// reader is whom a token is about, and whose mail.
type reader struct {
	tenant, list string
	mailbox      address.Mailbox
	delivery     gateway.DeliveryID // zero: none
}

// reader finds out whom a token is about. The token names the mailbox and the
// source; where one of them is forgotten, the message is asked, if that is still
// there. The error is gateway.ErrNotFound where nothing knows it any more.
func (s *Server) reader(ctx context.Context, t *token.Token) (*reader, error) {
	rd := &reader{delivery: gateway.DeliveryID{Message: t.Message, Ordinal: t.Ordinal}}
	var known bool
	rd.tenant, rd.list, known = s.Gateway.SourceOf(t.Source)
	m, err := s.Store.Mailbox(ctx, t.Mailbox)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, fmt.Errorf("reading the mailbox: %w", err)
	}
	var text string
	if err == nil {
		text = m.Address
	}
	if !known || text == "" {
		msg, _, err := s.message(ctx, rd.delivery)
		if err != nil {
			return nil, err
		}
		if !known {
			rd.tenant, rd.list = msg.Tenant, msg.List
		}
		if to := msg.Recipients; text == "" && int64(t.Ordinal) < int64(len(to)) && to[t.Ordinal].Mailbox == t.Mailbox {
			text = to[t.Ordinal].Canonical
		}
	}
	a, err := address.Parse(text)
	if err != nil {
		return nil, gateway.ErrNotFound
	}
	rd.mailbox = a.Mailbox()
	return rd, nil
}

func (s *Server) message(ctx context.Context, d gateway.DeliveryID) (*gateway.Message, gateway.Ref, error) {
	b, ok := s.Store.(gateway.Browser)
	if !ok || d.Message.IsZero() {
		return nil, gateway.Ref{}, gateway.ErrNotFound
	}
	return b.Message(ctx, d.Message)
}

// signal is what the reader of a delivery did, ready to be told.
func (rd *reader) signal(kind gateway.SignalKind, source string) gateway.Signal {
	sig := gateway.Signal{Kind: kind, Tenant: rd.tenant, Mailbox: rd.mailbox, Source: source, Human: 1}
	if !rd.delivery.Message.IsZero() {
		sig.Message = rd.delivery.String()
	}
	return sig
}

// maxStoredHeader is how much of a stored message's header is looked at.
const maxStoredHeader = 256 << 10

// forward is the one-click URL that the sender itself had put into the mail, so that
// it hears of the unsubscribe too; "" where there is none, or the mail is forgotten.
func (s *Server) forward(ctx context.Context, d gateway.DeliveryID) string {
	if s.OneClick == nil {
		return ""
	}
	url, err := s.oneClick(ctx, d)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		s.log().Warn("the sender's own unsubscribe URL could not be read; the opt-out holds here all the same",
			"delivery", d.String(), "error", err)
	}
	return url
}

func (s *Server) oneClick(ctx context.Context, d gateway.DeliveryID) (string, error) {
	m, ref, err := s.message(ctx, d)
	if err != nil {
		return "", err
	}
	stored, err := s.Store.Body(ctx, ref)
	if err != nil {
		return "", err
	}
	defer stored.Close()
	header := make([]byte, min(m.Header, stored.Size, maxStoredHeader))
	if _, err := io.ReadFull(io.NewSectionReader(stored, 0, stored.Size), header); err != nil {
		return "", err
	}
	return s.OneClick(header), nil
}

// quoted makes text from outside fit for a log (attacks H9).
func quoted(text string) string {
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return strconv.QuoteToASCII(text)
}
