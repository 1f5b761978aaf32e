package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
		w.submit("dan@dest.test", nil)
		w.submit("dan@dest.test", func(m *Message) {
			m.Tenant, m.Audience = "other", "other"
			m.Recipients[0].Mailbox = MailboxKey("other", mustMailbox(t, "dan@dest.test"))
		})
		synctest.Wait()
		store.Trace(Trace{Delivery: ann, Mailbox: w.key("ann@dest.test")}, queueName("QTWICE1"))
		store.Trace(Trace{Delivery: ann, Mailbox: w.key("ann@dest.test")}, queueName("QTWICE1"))
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
			{"a token of a recipient that the mail had not", Clue{Delivery: DeliveryID{ann.Message, 1}}, DeliveryID{}, ""},
			{"a token before all else", Clue{ReturnPath: openPath{}.Seal(bob, 0), QueueIDs: []string{"QANN123"}, MessageIDs: []string{"two@esp.test"}, Message: ann.Message}, bob, ByToken},
			{"the next hop's id before ours", Clue{QueueIDs: []string{"QANN123"}, Message: other.Message}, ann, ByQueueID},
			{"our id before the Message-ID", Clue{Message: ann.Message, MessageIDs: []string{"two@esp.test"}}, ann, ByMessageID},
			{"a mail that the next hop took twice", Clue{QueueIDs: []string{"QTWICE1"}}, ann, ByQueueID},
			{"a mail that arrived long after it was handed in", Clue{MessageIDs: []string{"two@esp.test"}, At: sent.Add(30 * time.Minute)}, other, ByMessageID},
			{"our own id, from a hook that names somebody else", Clue{Message: ann.Message, Recipient: "bob@dest.test", Tenant: "acme"}, DeliveryID{}, ByRecipient},
			{"an address that two tenants wrote to", Clue{Recipient: "dan@dest.test"}, DeliveryID{}, ""},
			{"the same, from a hook of one", Clue{Recipient: "dan@dest.test", Tenant: "other"}, DeliveryID{}, ByRecipient},
			{"the address, half a day before it was written to", Clue{Recipient: "ann@dest.test", At: sent.Add(-13 * time.Hour)}, DeliveryID{}, ""},
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
			if tt.clue.Tenant != "" && got.Tenant != tt.clue.Tenant {
				t.Errorf("%s: of tenant %s", tt.story, got.Tenant)
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
		id := w.submit("ann@dest.test", func(m *Message) { m.MessageID = "old@esp.test" })
		synctest.Wait()
		time.Sleep(6 * 24 * time.Hour)
		if m, err := w.Match(t.Context(), &Clue{Recipient: "ann@dest.test", Tenant: "acme"}); !errors.Is(err, ErrNoMatch) {
			t.Errorf("by an address that had mail a week ago: %+v, %v", m, err)
		}
		w.submit("cat@dest.test", nil)
		synctest.Wait()
		time.Sleep(20 * 24 * time.Hour)
		store.forgets = true
		m, err := w.Match(t.Context(), &Clue{MessageIDs: []string{"old@esp.test"}, Recipient: "ann@dest.test", Tenant: "acme"})
		if err != nil || m.Delivery != id || m.Tenant != "acme" || m.By != ByMessageID {
			t.Errorf("a hook that names it: %+v, %v", m, err)
		}
		path := w.returnPath(t.Context(), &Message{From: "a@b.test"}, &Delivery{ID: id, Tenant: "acme"})
		if m, err := w.Match(t.Context(), &Clue{ReturnPath: path, Recipient: "ann@dest.test", Tenant: "other"}); !errors.Is(err, ErrNoMatch) {
			t.Errorf("of another tenant's: %+v, %v", m, err)
		}
		m, err = w.Match(t.Context(), &Clue{ReturnPath: path, Recipient: "ann@dest.test"})
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
