package returns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
	"tidepost/suppression/address"
)

// office is a gateway that knows one mail: to ann@dest.test, of acme.
type office struct {
	t      *testing.T
	id     gateway.DeliveryID
	weak   bool // found by its recipient alone
	shared bool // the Message-ID is several mails'
	fail   error
	heard  []gateway.Signal
	passed []gateway.ReturnedMail
	asked  int
	clue   gateway.Clue // of the last question
	seen   map[string]bool
}

func (o *office) Match(_ context.Context, c *gateway.Clue) (gateway.Match, error) {
	o.asked, o.clue = o.asked+1, *c
	a, err := address.Parse("ann@dest.test")
	if err != nil {
		o.t.Fatal(err)
	}
	m := gateway.Match{Delivery: o.id, Mailbox: a.Mailbox(), Tenant: "acme", By: gateway.ByToken}
	switch {
	case c.Delivery == o.id:
		return m, nil
	case slices.Contains(c.MessageIDs, "news-1@esp.test"):
		m.By, m.Shared = gateway.ByMessageID, o.shared
		return m, nil
	case o.weak && c.Recipient == "ann@dest.test":
		return gateway.Match{Mailbox: m.Mailbox, Tenant: "acme", By: gateway.ByRecipient}, nil
	}
	return gateway.Match{}, gateway.ErrNoMatch
}

func (o *office) Learn(_ context.Context, s gateway.Signal) (bool, error) {
	if o.fail != nil {
		return false, o.fail
	}
	o.heard = append(o.heard, s)
	news := !o.seen[s.ID]
	o.seen[s.ID] = true
	return news, nil
}

func (o *office) PassOn(_ context.Context, r *gateway.ReturnedMail) (bool, error) {
	o.passed = append(o.passed, *r)
	return true, nil
}

func (o *office) SourceOf(n uint32) (tenant, list string, ok bool) {
	return "acme", "", n == 7
}

// letters are return paths of one delivery: b-ann@back.test.
type letters struct{ id gateway.DeliveryID }

func (l letters) Seal(gateway.DeliveryID, uint32) string { return "b-ann@back.test" }
func (l letters) Ours(address string) bool               { return strings.HasSuffix(address, "@back.test") }
func (l letters) Open(address string) (gateway.DeliveryID, uint32, bool) {
	if strings.EqualFold(address, "b-ann@back.test") {
		return l.id, 7, true
	}
	return gateway.DeliveryID{}, 0, false
}

func newDesk(t *testing.T) (*Desk, *office) {
	o := &office{t: t, id: gateway.DeliveryID{Message: gateway.ID{1}}, seen: map[string]bool{}}
	d := NewDesk()
	d.Gateway, d.Path, d.Domain = o, letters{o.id}, func() string { return "back.test" }
	d.Shelf = &Shelf{Dir: t.TempDir() + "/unmatched"}
	d.Log = slog.New(slog.DiscardHandler)
	return d, o
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// dsn is a bounce as RFC 3464 has it.
func dsn(messageID, recipient, action, status, diagnostic, original string) []byte {
	return crlf(fmt.Sprintf(`From: MAILER-DAEMON@mx.dest.test
To: b-ann@back.test
Subject: Undelivered Mail Returned to Sender
Message-ID: <%s>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your mail could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.dest.test
Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; %s
Action: %s
Status: %s
Diagnostic-Code: smtp; %s

--b
Content-Type: text/rfc822-headers

From: news@esp.test
To: ann@dest.test
Message-ID: <%s>

--b--
`, messageID, recipient, action, status, diagnostic, original))
}

func TestDesk(t *testing.T) {
	gone := dsn("bounce-1@mx", "ann@dest.test", "failed", "5.1.1", "550 5.1.1 <ann@dest.test>: user unknown", "x@esp.test")
	byID := dsn("bounce-2@mx", "ann@dest.test", "failed", "5.1.1", "550 5.1.1 user unknown", "news-1@esp.test")
	late := dsn("bounce-3@mx", "ann@dest.test", "delayed", "4.4.1", "connection timed out", "x@esp.test")
	note := crlf("From: ann@dest.test\nTo: b-ann@back.test\nAuto-Submitted: auto-replied\nSubject: Out of office\n\nI am away.\n")
	letter := crlf("From: ann@dest.test\nTo: abuse@back.test\nSubject: Your newsletter\n\nWhere do I find the last issue?\n")
	for _, tt := range []struct {
		story     string
		in        Mail
		weak      bool
		shared    bool
		hooked    bool // a webhook tells of bounces
		signals   []gateway.SignalKind
		soft      bool
		passed    bool
		unmatched bool
		kept      bool // though it reports nothing
	}{
		{story: "a bounce to its return path", in: Mail{To: []string{"B-Ann@back.test"}, Content: gone}, signals: []gateway.SignalKind{"bounced"}, passed: true},
		{story: "a webhook tells its ESP", in: Mail{To: []string{"b-ann@back.test"}, Content: gone}, hooked: true, signals: []gateway.SignalKind{"bounced"}},
		{story: "to the address for all, and it knows the mail", in: Mail{To: []string{"bounces@back.test"}, Content: byID}, signals: []gateway.SignalKind{"bounced"}, passed: true},
		{story: "to the address for all, about any address", in: Mail{To: []string{"bounces@back.test"}, Content: gone}, unmatched: true},
		{story: "the same, of somebody whom we have written to: it may be forged", in: Mail{To: []string{"bounces@back.test"}, Content: gone}, weak: true, signals: []gateway.SignalKind{"bounced"}, soft: true},
		{story: "the same, brought by an admin", in: Mail{Content: gone, Trusted: true}, weak: true, signals: []gateway.SignalKind{"bounced"}},
		{story: "to the address for all, and it knows a name of many mails", in: Mail{To: []string{"bounces@back.test"}, Content: byID}, shared: true, signals: []gateway.SignalKind{"bounced"}, soft: true, passed: true},
		{story: "a name of many mails, brought by an admin", in: Mail{Content: byID, Trusted: true}, shared: true, signals: []gateway.SignalKind{"bounced"}},
		{story: "brought by an admin, whose ESP has it already", in: Mail{Content: byID, Trusted: true}, signals: []gateway.SignalKind{"bounced"}},
		{story: "a delay, which no webhook tells", in: Mail{To: []string{"b-ann@back.test"}, Content: late}, hooked: true, passed: true},
		{story: "an answer of a machine", in: Mail{To: []string{"b-ann@back.test"}, Content: note}, hooked: true, passed: true},
		{story: "what a person writes", in: Mail{To: []string{"b-ann@back.test"}, Content: crlf("From: ann@dest.test\nSubject: Re: news\n\nThanks!\n")}, passed: true},
		{story: "twice to the same path", in: Mail{To: []string{"b-ann@back.test", "B-ANN@back.test"}, Content: gone}, signals: []gateway.SignalKind{"bounced"}, passed: true},
		{story: "a letter to the address for all is kept for a person", in: Mail{To: []string{"abuse@back.test"}, Content: letter}, kept: true},
		{story: "a letter that an admin brought", in: Mail{Content: letter, Trusted: true}},
		{story: "a letter to a return path goes on to the ESP", in: Mail{To: []string{"b-ann@back.test"}, Content: letter}, passed: true},
		{story: "a machine's answer to the address for all", in: Mail{To: []string{"abuse@back.test"}, Content: note}},
	} {
		d, o := newDesk(t)
		o.weak, o.shared = tt.weak, tt.shared
		d.Told = func(tenant string, kind gateway.EventKind) bool {
			return tt.hooked && tenant == "acme" && kind == gateway.EventBounced
		}
		r, err := d.Take(t.Context(), &tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.story, err)
			continue
		}
		var kinds []gateway.SignalKind
		for _, s := range o.heard {
			kinds = append(kinds, s.Kind)
			if s.Soft != tt.soft || s.ID == "" || s.Source != "mail" || s.Tenant != "acme" || s.Bounce.Group != bounce.NoSuchUser {
				t.Errorf("%s: told as %+v, %+v", tt.story, s, s.Bounce)
			}
		}
		if !slices.Equal(kinds, tt.signals) || r.PassedOn != tt.passed || len(o.passed) > 0 != tt.passed || r.Unmatched != tt.unmatched {
			t.Errorf("%s: signals %v, result %+v", tt.story, kinds, r)
		}
		kept, err := d.Shelf.List()
		if err != nil || len(kept) > 0 != (tt.unmatched || tt.kept) {
			t.Errorf("%s: kept %v, %v", tt.story, kept, err)
		}
		if tt.unmatched {
			if mail, err := d.Shelf.Mail(r.Kept); err != nil || string(mail) != string(tt.in.Content) {
				t.Errorf("%s: the kept mail: %v", tt.story, err)
			}
		}
	}
}

// A mail that comes twice has the same ids, also when a relay added fields to it.
func TestTwice(t *testing.T) {
	d, o := newDesk(t)
	mail := dsn("bounce-1@mx", "ann@dest.test", "failed", "5.1.1", "550 user unknown", "x@esp.test")
	for _, content := range [][]byte{mail, append([]byte("Received: from a by b\r\n"), mail...)} {
		if _, err := d.Take(t.Context(), &Mail{To: []string{"b-ann@back.test"}, Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.heard) != 2 || o.heard[0].ID != o.heard[1].ID {
		t.Errorf("told %+v", o.heard)
	}
}

// aliased is a bounce of a mail to an alias, n of whose members have a full mailbox.
func aliased(n int) []byte {
	b := []byte("From: MAILER-DAEMON@mx.dest.test\nTo: b-ann@back.test\nSubject: Undelivered\nMessage-ID: <alias@mx>\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nsorry\n--b\nContent-Type: message/delivery-status\n\n" +
		"Reporting-MTA: dns; mx.dest.test\n")
	for i := range n {
		b = fmt.Appendf(b, "\nFinal-Recipient: rfc822; member%d@dest.test\nAction: failed\nStatus: 4.2.2\nDiagnostic-Code: smtp; 452 4.2.2 mailbox full\n", i)
	}
	return crlf(string(b) + "\n--b--\n")
}

// One mail that came back is one, however many records its report has.
func TestManyRecords(t *testing.T) {
	d, o := newDesk(t)
	r, err := d.Take(t.Context(), &Mail{To: []string{"b-ann@back.test"}, Content: aliased(3)})
	if err != nil || len(r.Reports) != 3 || r.Reports[2].Signal != "bounced" {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(o.heard) != 1 || !r.Reports[0].News || r.Reports[1].News || d.Metrics.Reports.Load() != 1 {
		t.Errorf("told %d times: %+v", len(o.heard), r.Reports)
	}
}

// A mail of a thousand records that nobody knows is not searched for a thousand times,
// unless an admin wants that.
func TestManyUnknown(t *testing.T) {
	for _, in := range []Mail{{To: []string{"bounces@back.test"}}, {Trusted: true}} {
		d, o := newDesk(t)
		in.Content = aliased(1000)
		r, err := d.Take(t.Context(), &in)
		if err != nil || len(r.Reports) != 1000 || !r.Unmatched || d.Metrics.Unmatched.Load() != 1 {
			t.Fatalf("%d reports, %v", len(r.Reports), err)
		}
		if want := map[bool]int{false: mostMissed, true: 1000}[in.Trusted]; o.asked != want {
			t.Errorf("searched %d times, want %d", o.asked, want)
		}
	}
}

// complaint is one in the format of RFC 5965 that names no more than an address.
const complaint = `From: fbl@mail.test
To: fbl@back.test
Subject: complaint
Message-ID: <c@mail.test>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b

spam
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: x/1
Version: 1
Original-Rcpt-To: <ann@dest.test>

--b
Content-Type: text/rfc822-headers

From: news@esp.test

--b--
`

// What anybody could have written counts once a month, however often it comes; a
// complaint of that kind never does, and is kept.
func TestForged(t *testing.T) {
	d, o := newDesk(t)
	o.weak = true
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	d.Now = func() time.Time { return now }
	take := func(mail []byte) *Result {
		t.Helper()
		r, err := d.Take(t.Context(), &Mail{To: []string{"bounces@back.test"}, Content: mail})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i := range 5 {
		take(dsn(fmt.Sprintf("forged-%d@mx", i), "ann@dest.test", "failed", "5.1.1", "550 user unknown", "x@esp.test"))
	}
	if len(o.seen) != 1 {
		t.Errorf("in a day it counts %d times", len(o.seen))
	}
	now = now.AddDate(0, 0, 31)
	take(dsn("forged-6@mx", "ann@dest.test", "failed", "5.1.1", "550 user unknown", "x@esp.test"))
	if len(o.seen) != 2 {
		t.Errorf("a month later it counts %d times", len(o.seen))
	}
	told := len(o.heard)
	r := take(crlf(complaint))
	if len(o.heard) != told || !r.Unmatched || r.Kept == "" || r.PassedOn {
		t.Errorf("a complaint of anybody's: %+v", r)
	}
}

// A mail that goes round in circles is not passed on for ever.
func TestHops(t *testing.T) {
	for _, tt := range []struct {
		story  string
		hops   int
		in     Mail
		refuse bool
	}{
		{"as many hops as there may be", maxHops, Mail{To: []string{"b-ann@back.test"}}, false},
		{"one too many", maxHops + 1, Mail{To: []string{"b-ann@back.test"}}, true},
		{"one too many, brought by an admin", maxHops + 1, Mail{Trusted: true}, false},
	} {
		d, o := newDesk(t)
		trace := strings.Repeat("RECEIVED: from a by b;\r\n\tSun, 22 Nov 2026 10:00:00 +0000\r\n", tt.hops)
		tt.in.Content = append([]byte(trace), dsn("x@mx", "ann@dest.test", "failed", "5.1.1", "550 user unknown", "news-1@esp.test")...)
		tt.in.Content = append(tt.in.Content, "Received: in the body\r\n"...)
		_, err := d.Take(t.Context(), &tt.in)
		var r *gateway.Reply
		if errors.As(err, &r) != tt.refuse || tt.refuse && (r.Code != 554 || r.Status != "5.4.6" || len(o.heard)+len(o.passed) > 0) {
			t.Errorf("%s: %v", tt.story, err)
		}
	}
}

// What cannot be stored is brought again: nothing is passed on meanwhile.
func TestStoreAway(t *testing.T) {
	d, o := newDesk(t)
	o.fail = errors.New("the disk is full")
	mail := dsn("bounce-1@mx", "ann@dest.test", "failed", "5.1.1", "550 user unknown", "x@esp.test")
	if _, err := d.Take(t.Context(), &Mail{To: []string{"b-ann@back.test"}, Content: mail}); !errors.Is(err, o.fail) {
		t.Errorf("Take: %v", err)
	}
	if len(o.passed) > 0 {
		t.Error("it was passed on")
	}
}

func TestRecipient(t *testing.T) {
	d, _ := newDesk(t)
	for address, code := range map[string]int{
		"b-ann@back.test": 0, "B-ANN@BACK.TEST": 0, "postmaster": 0, "POSTMASTER": 0, "Postmaster@back.test": 0, "fbl@back.test": 0, "abuse@back.test": 0,
		"b-bob@back.test": 550, "ann@back.test": 550, "b-ann@elsewhere.test": 550, "ann": 550, "": 550, "@back.test": 550,
	} {
		err := d.Recipient(t.Context(), address)
		var r *gateway.Reply
		if (err == nil) != (code == 0) || err != nil && (!errors.As(err, &r) || r.Code != code) {
			t.Errorf("%s: %v, want %d", address, err, code)
		}
	}
	d.Domain = func() string { return "" }
	if err := d.Recipient(t.Context(), "fbl@"); err == nil {
		t.Error("without a domain an address of none is taken")
	}
}

// A mail that finds a fault in the reader is kept, and does no more.
func TestFaultInTheReader(t *testing.T) {
	d, o := newDesk(t)
	d.parse = func([]byte) *bounce.Mail { panic("out of range") }
	for range readers + 1 { // nobody keeps the place
		r, err := d.Take(t.Context(), &Mail{To: []string{"b-ann@back.test"}, Content: crlf("From: <>\n\nbang\n")})
		if err != nil || !r.Unmatched || r.Kept == "" || !r.PassedOn {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if len(o.heard) > 0 {
		t.Errorf("told %v", o.heard)
	}
}
