package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"tidepost/gateway/bounce"
	"tidepost/suppression"
)

// Mail leaves with our return path, each recipient's its own; from <> stays from <>.
func TestReturnPathOfMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var from []string
		w := newWorld(t, newMemory(), func(w *world) {
			w.ReturnPath = openPath{}
			w.far.answer = func(e *Envelope, _ int) Outcome {
				from = append(from, e.From)
				return Outcome{Kind: OutcomeDelivered, Code: 250, Text: "ok"}
			}
		})
		ann := w.submit("ann@dest.test", nil)
		synctest.Wait()
		w.submit("bob@dest.test", func(m *Message) { m.From = "" })
		synctest.Wait()
		if len(from) != 2 || !strings.HasPrefix(from[0], "b-"+ann.String()) || from[1] != "" {
			t.Errorf("envelope senders %q", from)
		}
	})
}

// What the next hop calls a mail is worth knowing once it has the mail.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, tries := newMemory(), 0
		w := newWorld(t, store, func(w *world) {
			w.far.answer = func(*Envelope, int) Outcome {
				if tries++; tries == 1 {
					return Outcome{Kind: OutcomeDeferred, Code: 451, Text: "greylisted, id=LATER12345"}
				}
				return Outcome{Kind: OutcomeDelivered, Code: 250, Text: "ok id=TAKEN12345"}
			}
		})
		id := w.submit("ann@dest.test", nil)
		time.Sleep(24 * time.Hour)
		for name, want := range map[string]int{"LATER12345": 0, "TAKEN12345": 1} {
			found, err := store.Traced(t.Context(), queueName(name), time.Time{}, 10)
			if err != nil || len(found) != want || want > 0 && found[0].Delivery != id {
				t.Errorf("%s: %v, %v", name, found, err)
			}
		}
	})
}

// What a bounce says of an address suppresses it; what it says of us or of the mail
// does not.
func TestReportsSuppress(t *testing.T) {
	for _, tt := range []struct {
		story  string
		report bounce.Report
		times  int
		want   suppression.Reason
	}{
		{"there is nobody", bounce.Report{Group: bounce.NoSuchUser, Hard: true}, 1, suppression.HardBounce},
		{"nobody for now", bounce.Report{Group: bounce.NoSuchUser, Hard: true, Status: "4.1.1"}, 1, ""},
		{"permanently blocked, as we are", bounce.Report{Group: bounce.BlockedSender, Hard: true}, 5, ""},
		{"a full mailbox", bounce.Report{Group: bounce.MailboxFull}, softMany - 1, ""},
		{"a full mailbox again and again", bounce.Report{Group: bounce.MailboxFull}, softMany, suppression.SoftBounce},
		{"too large a mail, again and again", bounce.Report{Group: bounce.ContentOrSize}, 5, ""},
		{"there is nobody, and policy.bounces ignores that", bounce.Report{Group: bounce.NoSuchUser, Hard: true}, -1, ""},
		{"a delay", bounce.Report{Group: bounce.Unreachable, Action: "delayed"}, 5, ""},
		{"a success", bounce.Report{Group: bounce.NotABounce, Action: "delivered"}, 1, ""},
		{"a complaint", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "abuse"}, 1, suppression.Complaint},
		{"a complaint that wants out", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "opt-out"}, 1, suppression.Unsubscribe},
		{"no complaint at all", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "not-spam"}, 1, ""},
		{"an answer of a machine", bounce.Report{Group: bounce.NotABounce, Hard: true}, 5, ""},
		{"a full mailbox that it will be tried again", bounce.Report{Group: bounce.MailboxFull, Action: "delayed"}, 5, ""},
		{"a complaint that wants out of a list", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "opt-out-list"}, 1, suppression.Unsubscribe},
		{"a report about how it is signed", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "dmarc"}, 1, ""},
		{"a signature that failed", bounce.Report{Group: bounce.NotABounce, Action: "complaint", Feedback: "auth-failure"}, 1, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = tt.times > 0 })
			m := Match{Mailbox: mustMailbox(t, "ann@dest.test"), Tenant: "acme", By: ByToken}
			for i := range max(tt.times, 1) {
				s, ok := m.SignalOf(&tt.report)
				if !ok {
					continue
				}
				s.ID = fmt.Sprint(i)
				if _, err := w.Learn(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
			}
			entries, _ := store.Entries(t.Context(), "ann@dest.test")
			if tt.want == "" && len(entries) > 0 || tt.want != "" && (len(entries) != 1 || entries[0].Reason != tt.want) {
				t.Errorf("%s: %+v, want %q", tt.story, entries, tt.want)
			}
		})
	}
}

// What tells nothing of a mailbox is no signal, and so no event.
func TestSignalOf(t *testing.T) {
	for _, r := range []bounce.Report{
		{Group: bounce.NotABounce}, {Group: bounce.NotABounce, Action: "failed"}, {Group: bounce.Unreachable, Action: "delayed"},
		{Group: bounce.NoSuchUser, Action: "relayed"}, {Group: bounce.NotABounce, Action: "reply"},
		{Group: bounce.NotABounce, Action: "complaint", Feedback: "dmarc"},
	} {
		m := Match{Mailbox: mustMailbox(t, "ann@dest.test"), Tenant: "acme", By: ByToken}
		if s, ok := m.SignalOf(&r); ok {
			t.Errorf("%+v is told as %+v", r, s)
		}
	}
}

// A relay takes all mail and its bounces come after: that it took one more does not say
// that an address is well.
func TestBouncesAfterDelivery(t *testing.T) {
	for _, tt := range []struct {
		story   string
		bounces string // of each mail, in order
		want    bool   // suppressed in the end
	}{
		{"each comes back", "xxx", true},
		{"each but the last comes back", "xx.", false},
		{"one arrives in between", "x.xx", false},
		{"one arrives, and then three in a row do not", "x.xxx", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = true })
			for i, c := range tt.bounces {
				id := w.submit("ann@dest.test", nil)
				time.Sleep(time.Hour)
				if c == 'x' {
					m := Match{Delivery: id, Mailbox: mustMailbox(t, "ann@dest.test"), Tenant: "acme", By: ByToken}
					s, _ := m.SignalOf(&bounce.Report{Group: bounce.MailboxFull})
					if s.Message != id.String() {
						t.Errorf("it is about %q", s.Message)
					}
					s.ID = fmt.Sprint(i)
					if _, err := w.Learn(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(24 * time.Hour)
			}
			if entries, _ := store.Entries(t.Context(), "ann@dest.test"); len(entries) > 0 != tt.want {
				t.Errorf("%s: %+v", tt.story, entries)
			}
		})
	}
}

// What a far side says may be written anyhow; an entry holds for everybody and keeps it.
func TestBounceText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = true })
		for i, text := range []string{"550 no\r\nsuch user", "550 \xe9", "x\x00y", strings.Repeat("é", 400)} {
			to := fmt.Sprintf("p%d@dest.test", i)
			m := Match{Mailbox: mustMailbox(t, to), Tenant: "acme", By: ByToken}
			s, _ := m.SignalOf(&bounce.Report{Group: bounce.NoSuchUser, Hard: true, Diagnostic: "a" + text})
			if _, err := w.Learn(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			entries, _ := store.Entries(t.Context(), to)
			if len(entries) != 1 || entries[0].Scope != (suppression.Scope{}) || entries[0].Validate() != nil || !utf8.ValidString(entries[0].Evidence) ||
				utf8.ValidString(text) && strings.ContainsRune(entries[0].Evidence, utf8.RuneError) {
				t.Errorf("%q: %+v", text, entries)
			}
		}
	})
}

// A mail that came back goes on to the sender that its client used, where it expects
// its own address.
func TestPassOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.ReturnPath = openPath{} })
		id := w.submit("ann@dest.test", nil)
		far := w.submit("dan@dest.test", func(m *Message) { m.From = "jörg@esp.test" })
		none := w.submit("bob@dest.test", func(m *Message) { m.From = "" })
		loop := w.submit("cat@dest.test", func(m *Message) { m.From = "bounces@back.test" })
		synctest.Wait()
		const ours = "b-x@back.test"
		back := &ReturnedMail{Delivery: id, Address: ours, Content: []byte("From: <>\r\nTo: <B-X@back.test>\r\nSubject: to b-x@back.test\r\n\r\nb-x@back.test\r\n")}
		passed, err := w.PassOn(t.Context(), back)
		if err != nil || !passed {
			t.Fatalf("passed on: %t, %v", passed, err)
		}
		synctest.Wait()
		last := store.messages[len(store.messages)-1]
		if got, want := string(store.bodies[len(store.bodies)-1]), "From: <>\r\nTo: <sender@esp.test>\r\nSubject: to b-x@back.test\r\n\r\nb-x@back.test\r\n"; got != want {
			t.Errorf("it reads %q, want %q", got, want)
		}
		if !last.Returned || last.From != "" || last.UTF8 || last.Recipients[0].Notify != NotifyNever || last.Class != Transactional || last.Recipients[0].Address != "sender@esp.test" || len(w.far.letters("sender@esp.test")) != 1 {
			t.Errorf("passed on as %+v", last)
		}
		if _, err := w.PassOn(t.Context(), &ReturnedMail{Delivery: far, Content: []byte("Subject: x\r\n\r\n")}); err != nil {
			t.Error(err)
		}
		if last := store.messages[len(store.messages)-1]; !last.UTF8 || last.Recipients[0].Address != "jörg@esp.test" {
			t.Errorf("to an address in UTF-8 it goes as %+v", last)
		}
		for _, id := range []DeliveryID{none, loop, {ID{1}, 0}} {
			if passed, err := w.PassOn(t.Context(), &ReturnedMail{Delivery: id, Content: []byte("x")}); passed || err != nil {
				t.Errorf("mail of nobody: passed on %t, %v", passed, err)
			}
		}
	})
}

func TestReaddress(t *testing.T) {
	const ours, theirs = "b-x@back.test", "verp+1@esp.test"
	for in, want := range map[string]string{
		"Delivered-To: b-x@back.test\r\nTO: a, <B-X@BACK.test>\r\n\r\nTo: b-x@back.test": "Delivered-To: verp+1@esp.test\r\nTO: a, <verp+1@esp.test>\r\n\r\nTo: b-x@back.test",
		"To: b-x@back.test\r\nDKIM-Signature: v=1\r\n\r\n":                               "To: b-x@back.test\r\nDKIM-Signature: v=1\r\n\r\n",
		"DKIM-Signature: v=1\r\nTo: b-x@back.test\r\n\r\n":                               "DKIM-Signature: v=1\r\nTo: b-x@back.test\r\n\r\n",
		"To: \xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9 <B-X@back.test>\r\n\r\n":                   "To: \xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9 <verp+1@esp.test>\r\n\r\n",
		"To: \"b-x@back.test\" <b-x@back.test>\r\n\r\n":                                  "To: \"verp+1@esp.test\" <verp+1@esp.test>\r\n\r\n",
		"To: you\r\n\t<b-x@back.test>\r\nSubject: of\r\n b-x@back.test\r\n\r\n":          "To: you\r\n\t<verp+1@esp.test>\r\nSubject: of\r\n b-x@back.test\r\n\r\n",
		"To: b-x@back.test":              "To: b-x@back.test",
		"Subject: b-x@back.test\r\n\r\n": "Subject: b-x@back.test\r\n\r\n",
	} {
		if got := string(readdress([]byte(in), ours, theirs)); got != want {
			t.Errorf("%q became %q", in, got)
		}
		if got := string(readdress([]byte(in), "", theirs)); got != in {
			t.Errorf("%q, which came to no return path, became %q", in, got)
		}
	}
}

// A tenant's own bringer closes an address for everybody only where the tenant has
// written to it: what it says of others' readers concerns itself alone.
func TestReachOfABounce(t *testing.T) {
	for _, tt := range []struct {
		story  string
		own    bool // the bringer speaks for one tenant
		about  string
		tenant bool // the entry is the tenant's alone
	}{
		{"an operator's", false, "", false},
		{"a hook's, about a mail of the tenant's", true, "ann", false},
		{"a hook's, about no mail", true, "", true},
		{"a hook's, about a mail to somebody else", true, "bob", true},
		{"a hook's, about another tenant's mail", true, "cat", true},
		{"a hook's, about a mail that there never was", true, "nobody", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newMemory()
			w := newWorld(t, store, func(w *world) { w.rules.SuppressBounces = true })
			mails := map[string]string{"": "", "nobody": DeliveryID{ID{1}, 0}.String(),
				"ann": w.submit("ann@dest.test", nil).String(), "bob": w.submit("bob@dest.test", nil).String(),
				"cat": w.submit("ann@dest.test", func(m *Message) { m.Tenant, m.Audience = "other", "other" }).String()}
			synctest.Wait()
			w.tell("ann@dest.test", Signal{Kind: SignalBounced, Own: tt.own, Message: mails[tt.about]})
			entries, _ := store.Entries(t.Context(), "ann@dest.test")
			want := suppression.Scope{}
			if tt.tenant {
				want = suppression.Scope{Kind: suppression.Tenant, Name: "acme"}
			}
			if len(entries) != 1 || entries[0].Scope != want {
				t.Errorf("%s: %+v", tt.story, entries)
			}
		})
	}
}

// Whatever stands in a header, only our return path in it is replaced, and no body is.
func FuzzReaddress(f *testing.F) {
	const ours, theirs = "b-x@back.test", "verp+1@esp.test"
	for _, seed := range []string{"To: <B-X@back.test>\r\n\r\nTo: b-x@back.test", "To: \xe9\xe9 b-x@back.test\r\n\tb-x@back.test\r\n\r\n", "\r\n\r\n", "to\xc4\xb0: b-x@back.test\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		was := string(mail)
		got := string(readdress(mail, ours, theirs))
		if string(mail) != was {
			t.Fatal("the mail itself was changed")
		}
		header, body, found := strings.Cut(was, "\r\n\r\n")
		if !found || !strings.Contains(strings.ToLower(header), ours) {
			if got != was {
				t.Fatalf("%q became %q", was, got)
			}
			return
		}
		if _, rest, _ := strings.Cut(got, "\r\n\r\n"); rest != body {
			t.Fatalf("the body of %q became %q", was, rest)
		}
	})
}

// refusing is a store that makes files and takes no mail.
type refusing struct {
	Store
	file kept
}

// kept counts what is written to it, and how often it is thrown away.
type kept struct{ bytes, discarded int }

func (f *kept) Write(p []byte) (int, error) { f.bytes += len(p); return len(p), nil }
func (f *kept) Discard()                    { f.discarded++ }

func (s *refusing) Spool() (SpoolFile, error) { return &s.file, nil }
func (s *refusing) Accept(context.Context, *Message, Content) ([]*Delivery, error) {
	return nil, ErrFull
}

// Of a large mail that the store does not take no file is left.
func TestLargeMailThatIsNotTaken(t *testing.T) {
	s := &refusing{}
	g := &Gateway{Store: s}
	if err := g.acceptOwn(t.Context(), &Message{}, make([]byte, MemoryLimit+1)); !errors.Is(err, ErrFull) {
		t.Errorf("it was taken: %v", err)
	}
	if s.file.bytes != MemoryLimit+1 || s.file.discarded != 1 {
		t.Errorf("%d bytes were written and thrown away %d times", s.file.bytes, s.file.discarded)
	}
}
