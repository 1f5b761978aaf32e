package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"tidepost/gateway/bounce"
	"tidepost/suppression"
)

// openPath is a return path that everybody can read: b-DELIVERY-SOURCE@back.test.
type openPath struct{}

func (openPath) Seal(id DeliveryID, source uint32) string {
	return fmt.Sprintf("b-%s-%d@back.test", id, source)
}

func (openPath) Ours(address string) bool { return strings.HasSuffix(address, "@back.test") }

func (openPath) Open(address string) (id DeliveryID, source uint32, ok bool) {
	var text string
	local, found := strings.CutSuffix(address, "@back.test")
	if !found {
		return id, 0, false
	}
	if _, err := fmt.Sscanf(strings.ReplaceAll(local, "-", " "), "b %s %d", &text, &source); err != nil {
		return id, 0, false
	}
	id, err := ParseDeliveryID(text)
	return id, source, err == nil
}

func TestQueueIDs(t *testing.T) {
	for reply, want := range map[string][]string{
		"250 2.0.0 Ok: queued as 4XyZ12abcd":                                      {"4XyZ12abcd"},
		"250 OK id=1tAbCd-00000001-0Xx":                                           {"1tAbCd-00000001-0Xx"},
		"250 OK ids=0f3c9a1e2b4d11ef":                                             {"0f3c9a1e2b4d11ef"},
		"250 Ok 010201937f4a1c2d-1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901-000000":     {"010201937f4a1c2d-1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901-000000"},
		"250 2.0.0 OK  1700000000 abc-20020a17090a.si123 - gsmtp":                 {"abc-20020a17090a.si123"},
		"250 2.6.0 <x1y2z3@mail.example> [InternalId=5] Queued mail for delivery": {"x1y2z3@mail.example"},
		"250 ok 1700000000 qp 12345":                                              nil,
		"250 Great success":                                                       nil,
		"":                                                                        nil,
		"250 ok queued as":                                                        nil,
		"250 queued as " + strings.Repeat("9", 129):                               nil,
		"250 2.0.0 a1234567890 b1234567890 c1234567890 and more than two are too many": {"a1234567890", "b1234567890"},
	} {
		if got := QueueIDs(reply); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

// What a report tells leads to its mail, the surest first; what could be two mails is
// none.
func TestMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) {
			w.ReturnPath = openPath{}
			w.Tenants = func() []string { return []string{"acme", "other"} }
			w.far.answer = func(e *Envelope, _ int) Outcome {
				return Outcome{Kind: OutcomeDelivered, Code: 250, Status: "2.0.0", Text: "Ok: queued as Q" + strings.ToUpper(e.Recipients[0].Address[:3]) + "123"}
			}
		})
		ann := w.submit("ann@dest.test", func(m *Message) { m.MessageID = "one@esp.test" })
		bob := w.submit("bob@dest.test", func(m *Message) { m.MessageID = "one@esp.test" })
		other := w.submit("cat@dest.test", func(m *Message) {
			m.Tenant, m.Audience, m.MessageID = "other", "other", "two@esp.test"
			m.Recipients[0].Mailbox = MailboxKey("other", mustMailbox(t, "cat@dest.test"))
		})
		synctest.Wait()
		sent := time.Now()
		time.Sleep(time.Hour)
		for _, tt := range []struct {
			story string
			clue  Clue
			want  DeliveryID
			by    MatchedBy
		}{
			{"a token", Clue{Delivery: ann}, ann, ByToken},
			{"a token of another tenant's mail", Clue{Delivery: other, Tenant: "acme"}, DeliveryID{}, ""},
			{"the return path", Clue{ReturnPath: openPath{}.Seal(bob, 0)}, bob, ByToken},
			{"the client's return path", Clue{ReturnPath: "sender@esp.test"}, DeliveryID{}, ""},
			{"the next hop's id", Clue{QueueIDs: []string{"", "nobody", "QANN123"}}, ann, ByQueueID},
			{"the next hop's id, and the address it was forwarded to", Clue{QueueIDs: []string{"QANN123"}, Recipient: "ann@elsewhere.test"}, ann, ByQueueID},
			{"the next hop's id, of a tenant's own mail", Clue{QueueIDs: []string{"QANN123"}, Recipient: "ann@dest.test", Tenant: "acme"}, ann, ByQueueID},
			{"the next hop's id, of another tenant's", Clue{QueueIDs: []string{"QCAT123"}, Recipient: "cat@dest.test", Tenant: "acme"}, DeliveryID{}, ""},
			{"a hook that names nobody", Clue{QueueIDs: []string{"QANN123"}, Tenant: "acme"}, DeliveryID{}, ""},
			{"a message id, and whose", Clue{MessageIDs: []string{"one@esp.test"}, Recipient: "BOB@dest.test"}, bob, ByMessageID},
			{"a message id, and a clock that is ahead", Clue{MessageIDs: []string{"two@esp.test"}, At: sent.AddDate(9, 0, 0)}, other, ByMessageID},
			{"a message id of two mails", Clue{MessageIDs: []string{"one@esp.test"}}, DeliveryID{}, ""},
			{"a message id of one", Clue{MessageIDs: []string{"two@esp.test"}}, other, ByMessageID},
			{"our own id", Clue{Message: ann.Message}, ann, ByMessageID},
			{"our own id, of another tenant's", Clue{Message: other.Message, Tenant: "acme", Recipient: "cat@dest.test"}, DeliveryID{}, ""},
			{"the address and when", Clue{Recipient: "ann@dest.test", At: sent}, DeliveryID{}, ByRecipient},
			{"the address alone", Clue{Recipient: "cat@dest.test"}, DeliveryID{}, ByRecipient},
			{"the address, long before", Clue{Recipient: "ann@dest.test", At: sent.AddDate(0, 0, -3)}, DeliveryID{}, ""},
			{"somebody else", Clue{Recipient: "eve@dest.test", At: sent}, DeliveryID{}, ""},
			{"nothing", Clue{}, DeliveryID{}, ""},
		} {
			got, err := w.Match(t.Context(), &tt.clue)
			if tt.by == "" {
				if !errors.Is(err, ErrNoMatch) {
					t.Errorf("%s: %+v, %v; want none", tt.story, got, err)
				}
				continue
			}
			if err != nil || got.Delivery != tt.want || got.By != tt.by || got.Tenant == "" || got.Mailbox.String() == "" {
				t.Errorf("%s: %+v, %v; want %s by %s", tt.story, got, err, tt.want, tt.by)
			}
		}
	})
}

// A name that several readers know does not say which of them brings it: what is found
// by the address beside it is not sure.
func TestMatchOfSharedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := manyWorld(t, func(w *world, m *many) {
			w.ReturnPath = openPath{}
			m.answer = func(string) Outcome { return Outcome{Kind: OutcomeDelivered, Code: 250, Text: "queued as Q-one-1234"} }
		})
		ids := w.submitMany([]string{"ann@dest.test", "eve@dest.test"}, func(m *Message) { m.MessageID = "both@esp.test" })
		alone := w.submit("cat@dest.test", func(m *Message) { m.MessageID = "alone@esp.test" })
		time.Sleep(time.Minute)
		path := openPath{}.Seal(ids[0], 0)
		for _, tt := range []struct {
			story string
			clue  Clue
			want  DeliveryID
			sure  bool
		}{
			{"its own token", Clue{ReturnPath: path}, ids[0], true},
			{"the id of a mail to two", Clue{Message: ids[0].Message, Recipient: "ann@dest.test"}, ids[0], false},
			{"the Message-ID of a mail to two", Clue{MessageIDs: []string{"both@esp.test"}, Recipient: "ann@dest.test"}, ids[0], false},
			{"a queue id that the next hop gives to all", Clue{QueueIDs: []string{"Q-one-1234"}, Recipient: "ann@dest.test"}, ids[0], false},
			{"the id of a mail to one", Clue{Message: alone.Message}, alone, true},
			{"the Message-ID of a mail to one", Clue{MessageIDs: []string{"alone@esp.test"}}, alone, true},
		} {
			m, err := w.Match(t.Context(), &tt.clue)
			if err != nil || m.Delivery != tt.want || m.Sure() != tt.sure {
				t.Errorf("%s: %+v, %v; want %s, sure %t", tt.story, m, err, tt.want, tt.sure)
			}
		}
	})
}

// Of mail that is forgotten a token still says whose it was, but only where the
// mailbox's last sends show it: whoever kept an old mail may not speak of others.
func TestMatchOfForgottenMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		w := newWorld(t, store, func(w *world) { w.ReturnPath = openPath{} })
		time.Sleep(time.Hour)
		w.submit("bob@dest.test", nil)
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		id := w.submit("ann@dest.test", nil)
		synctest.Wait()
		time.Sleep(20 * 24 * time.Hour)
		w.submit("cat@dest.test", nil)
		synctest.Wait()
		time.Sleep(20 * 24 * time.Hour)
		store.forgets = true
		path := w.returnPath(t.Context(), &Message{From: "a@b.test"}, &Delivery{ID: id, Tenant: "acme"})
		m, err := w.Match(t.Context(), &Clue{ReturnPath: path, Recipient: "ann@dest.test"})
		if err != nil || m.Tenant != "acme" || m.Mailbox.String() != "ann@dest.test" || m.Delivery != id || m.Sure() {
			t.Errorf("%+v, %v", m, err)
		}
		for _, other := range []string{"bob@dest.test", "cat@dest.test", "dan@dest.test"} {
			if m, err := w.Match(t.Context(), &Clue{ReturnPath: path, Recipient: other}); !errors.Is(err, ErrNoMatch) {
				t.Errorf("of %s: %+v, %v", other, m, err)
			}
		}
		if m, err := w.Match(t.Context(), &Clue{ReturnPath: path}); !errors.Is(err, ErrNoMatch) {
			t.Errorf("without an address: %+v, %v", m, err)
		}
	})
}

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
		{"one of three arrives", "x.xx", true},
		{"two arrive in a row", "xx..xx", false},
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
			if len(entries) != 1 || entries[0].Scope != (suppression.Scope{}) || entries[0].Validate() != nil || !utf8.ValidString(entries[0].Evidence) {
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
		if !last.Returned || last.From != "" || last.Class != Transactional || last.Recipients[0].Address != "sender@esp.test" || len(w.far.letters("sender@esp.test")) != 1 {
			t.Errorf("passed on as %+v", last)
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
		"To: \xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9 <B-X@back.test>\r\n\r\n":                   "To: \xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9 <verp+1@esp.test>\r\n\r\n",
		"To: \"b-x@back.test\" <b-x@back.test>\r\n\r\n":                                  "To: \"verp+1@esp.test\" <verp+1@esp.test>\r\n\r\n",
		"To: you\r\n\t<b-x@back.test>\r\nSubject: of\r\n b-x@back.test\r\n\r\n":          "To: you\r\n\t<verp+1@esp.test>\r\nSubject: of\r\n b-x@back.test\r\n\r\n",
		"To: b-x@back.test":              "To: b-x@back.test",
		"Subject: b-x@back.test\r\n\r\n": "Subject: b-x@back.test\r\n\r\n",
	} {
		if got := string(readdress([]byte(in), ours, theirs)); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}
