package gateway

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"tidepost/gateway/bounce"
	"tidepost/suppression/address"
)

// returnPath is the envelope sender that a delivery leaves with: an address of ours
// that brings its reports back to us, else the client's. Mail from <> stays so: nobody
// wants to hear of it.
func (g *Gateway) returnPath(ctx context.Context, m *Message, d *Delivery) string {
	if g.ReturnPath == nil || m.From == "" {
		return m.From
	}
	source, err := g.source(ctx, d.Tenant, d.List)
	if err != nil {
		g.log().Error("mail leaves with its client's return path", "error", err)
		return m.From
	}
	return g.ReturnPath.Seal(d.ID, source)
}

// trace notes what others call a delivery that the next hop took.
func (g *Gateway) trace(k Key, n *Delivery, m *Message) {
	traces, ok := g.Store.(Traces)
	if !ok || n.State != Delivered {
		return
	}
	var names []string
	for _, id := range QueueIDs(n.Reply) {
		names = append(names, queueName(id))
	}
	if m.MessageID != "" {
		names = append(names, messageName(m.MessageID))
	}
	if len(names) > 0 {
		traces.Trace(Trace{Delivery: n.ID, Mailbox: k}, names...)
	}
}

func queueName(id string) string   { return "queue " + id }
func messageName(id string) string { return "message " + id }

// maxQueueIDs bounds the ids that are taken from one reply.
const maxQueueIDs = 2

// QueueIDs are the ids under which the next hop may know a mail, from its 250 reply.
// There is no standard for them: what follows "queued as", "id=" or "ids=" is one,
// else each word that looks drawn by lot.
func QueueIDs(reply string) []string {
	var ids []string
	add := func(word string) {
		if word = strings.Trim(word, "<>[](),;:.\"'"); len(word) >= 6 && len(word) <= 128 && !slices.Contains(ids, word) && len(ids) < maxQueueIDs {
			ids = append(ids, word)
		}
	}
	words := strings.Fields(reply)
	for i, word := range words {
		lower := strings.ToLower(word)
		switch {
		case lower == "as" && i > 0 && strings.EqualFold(words[i-1], "queued") && i+1 < len(words):
			add(words[i+1])
		case strings.HasPrefix(lower, "id="), strings.HasPrefix(lower, "ids="):
			id, _, _ := strings.Cut(word[strings.IndexByte(word, '=')+1:], ",")
			add(id)
		}
	}
	if len(ids) > 0 {
		return ids
	}
	for _, word := range words {
		if drawn(word) {
			add(word)
		}
	}
	return ids
}

// drawn reports whether a word has digits and letters, or very many digits, as no word
// of a sentence has.
func drawn(word string) bool {
	digits := strings.IndexFunc(word, unicode.IsDigit) >= 0
	letters := strings.IndexFunc(word, unicode.IsLetter) >= 0
	return digits && len(word) >= 10 && (letters || len(word) >= 16) && !strings.Contains(word, "=")
}

// ReturnedMail is a mail that came back to a return path of ours.
type ReturnedMail struct {
	Content      []byte // as it came
	Client, Helo string // who brought it
	Delivery     DeliveryID
	Address      string // the return path that it came to; "": another address of ours
}

// PassOn accepts a mail that came back for the envelope sender that its client used: our
// return path must not blind the ESP. Where that is nobody, or is forgotten, it does
// nothing.
func (g *Gateway) PassOn(ctx context.Context, r *ReturnedMail) (passed bool, err error) {
	b, ok := g.Store.(Browser)
	if !ok {
		return false, nil
	}
	m, _, err := b.Message(ctx, r.Delivery.Message)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case m.From == "", g.ReturnPath != nil && g.ReturnPath.Ours(m.From): // it would come back, and go on, for ever
		return false, nil
	}
	to, err := address.Parse(m.From)
	if err != nil {
		return false, nil
	}
	box := to.Mailbox()
	text := readdress(r.Content, r.Address, m.From)
	err = g.acceptOwn(ctx, &Message{
		Tenant: m.Tenant, Audience: m.Audience, Protocol: "ESMTP", Client: r.Client, Helo: r.Helo, UTF8: to.UTF8,
		Returned: true, ClassReason: "mail that came back to our return path", Subject: "returned mail",
		Recipients: []Recipient{{Address: m.From, Mailbox: MailboxKey(m.Audience, box), Canonical: box.String(), Notify: NotifyNever}},
	}, text)
	return err == nil, err
}

// readdress puts the client's own sender into the header where our return path stands:
// ESPs that have a return path for each mail look for theirs in To. What is signed stays.
func readdress(mail []byte, ours, theirs string) []byte {
	end := bytes.Index(mail, []byte("\r\n\r\n"))
	if end < 0 || ours == "" {
		return mail
	}
	header := mail[:end+2]
	lower := bytes.ToLower(header)
	if bytes.HasPrefix(lower, []byte("dkim-signature:")) || bytes.Contains(lower, []byte("\ndkim-signature:")) {
		return mail
	}
	var out []byte
	names := false // the field that the line belongs to names a recipient
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' { // else it is the rest of a folded field
			name, _, _ := bytes.Cut(bytes.ToLower(line), []byte(":"))
			names = slices.Contains(toFields, string(bytes.TrimSpace(name)))
		}
		if names {
			out = appendReplaced(out, line, []byte(ours), theirs)
		} else {
			out = append(out, line...)
		}
	}
	return append(out, mail[end+2:]...)
}

// toFields are the fields in which an ESP looks for its own return path.
var toFields = []string{"to", "delivered-to", "x-original-to", "envelope-to"}

// appendReplaced appends a line with what stands for ours in it, in any case, replaced.
func appendReplaced(out, line, ours []byte, theirs string) []byte {
	for len(line) > 0 {
		if len(line) >= len(ours) && bytes.EqualFold(line[:len(ours)], ours) {
			out, line = append(out, theirs...), line[len(ours):]
			continue
		}
		out, line = append(out, line[0]), line[1:]
	}
	return out
}

// SignalOf is what a report about one recipient tells of a mailbox; ok is false where
// it tells nothing: a delay, a success, an answer of a machine.
func (m *Match) SignalOf(r *bounce.Report) (s Signal, ok bool) {
	s = Signal{Tenant: m.Tenant, Mailbox: m.Mailbox, Human: 1,
		Bounce: &Bounce{Status: r.Status, Code: r.ReplyCode, Group: r.Group, Text: shorten(r.Diagnostic, maxBounceText), Feedback: r.Feedback, Match: m.By}}
	if !m.Delivery.Message.IsZero() {
		s.Message = m.Delivery.String()
	}
	switch {
	case r.Action == "complaint":
		return s, s.complaint(r.Feedback)
	case r.Group == bounce.NotABounce || r.Action != "" && r.Action != "failed":
		return s, false
	}
	// A system that says for days "not now" of a user whom it does not know may still
	// not know all of its users: only what is said for good closes for good.
	s.Kind, s.Soft = SignalBounced, !r.Hard || strings.HasPrefix(r.Status, "4.")
	return s, true
}

// complaint takes the kind of a complaint (RFC 5965 §7.3, RFC 6430). Those about how a
// mail was signed (RFC 6591) are no reader's.
func (s *Signal) complaint(feedback string) bool {
	switch feedback {
	case "not-spam", "auth-failure", "dmarc":
		return false
	case "opt-out", "opt-out-list":
		s.Kind, s.Bounce = SignalUnsubscribed, nil
	default:
		s.Kind = SignalComplained
	}
	return true
}
