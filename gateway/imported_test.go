package gateway

import (
	"bytes"
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestPastMarkSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heard
		at := time.UnixMilli(rapid.Int64Range(1, 4e12).Draw(t, "at"))
		var rows []Past
		for i := range rapid.IntRange(1, 60).Draw(t, "rows") {
			rows = append(rows, Past{At: at, Mark: uint32(i)})
			at = at.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "wait")) * time.Millisecond)
		}
		taken := rapid.IntRange(1, len(rows)).Draw(t, "taken")
		for i := range taken {
			h.past.note(&rows[i])
		}
		got, err := parseHeard(h.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			switch passed := got.past.passed(&rows[i]); {
			case i < taken && !passed:
				t.Fatalf("row %d of %d taken is unknown", i, taken)
			case passed && rows[i].At.After(rows[taken-1].At):
				t.Fatalf("row %d is known though only %d were taken", i, taken)
			}
		}
		if got.coarsen(); got.past.until%86400_000 != 0 || !got.past.passed(&rows[taken-1]) || len(got.past.marks) > 0 {
			t.Fatalf("coarsened: %+v", got.past)
		}
		if size := len(h.append(nil)); size > 110 {
			t.Fatalf("%d bytes", size)
		}
	})
}

// What was heard before history could be brought in is read as it was, and written so.
func TestHeardWithoutPast(t *testing.T) {
	var h heard
	h.note(Place{LaneEvidence, 3, 9}, 7, time.Unix(1e9, 0))
	b := h.append(nil)
	if got, err := parseHeard(b); b[0] != heardVersion || err != nil || got.past.until != 0 || !bytes.Equal(got.append(nil), b) {
		t.Errorf("version %d, %+v, %v", b[0], got, err)
	}
	h.past.note(&Past{At: time.Unix(1e9, 0), Mark: 1})
	for b := h.append(nil); len(b) > 0; b = b[:len(b)-1] {
		if len(b)%7 == 0 { // a mark fewer, or a cut that looks like one
			continue
		}
		parseHeard(b) // must not panic
	}
}

// bring brings rows in as an import does.
func (w *world) bring(to string, rows []Past) PastReport {
	w.t.Helper()
	im := w.BeginPast("acme", "history:test", true)
	m := mustMailbox(w.t, to)
	if err := im.Bring(context.Background(), &PastMailbox{Address: m.String(), Key: MailboxKey("acme", m), Rows: rows}); err != nil {
		w.t.Fatal(err)
	}
	r, err := im.End(context.Background(), PastReport{Format: "test"}, "tester")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// The same sends, opens and clicks teach the same, live or brought in.
func TestImportedAsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const to = "ann@dest.test"
		live, later := newWorld(t, newMemory(), nil), newWorld(t, newMemory(), nil)
		k := MailboxKey("acme", mustMailbox(t, to))
		live.models.tenant("acme").observed()
		var rows []Past
		for week := range 10 {
			id := DeliveryID{ID{1, byte(week)}, uint32(week)}
			d := &Delivery{ID: id, Mailbox: k, Address: to, Tenant: "acme", Class: Newsletter, List: "news.example.com"}
			if err := live.perform(t.Context(), k, func(tn *turn) {
				tn.head().Address, tn.box.Audience = to, "acme"
				tn.sent(d)
				tn.box.Gates.Count(d.send(tn.now))
			}); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, Past{Kind: PastSent, At: time.Now(), Ref: id.Hash(), Mark: uint32(len(rows)), List: d.List, Class: Newsletter})
			time.Sleep(9 * time.Hour)
			did := func(kind SignalKind, human float32) {
				live.tell(to, Signal{Kind: kind, Message: id.String(), Human: human})
				rows = append(rows, Past{Kind: kind, At: time.Now(), Ref: id.Hash(), Mark: uint32(len(rows)), Human: human})
			}
			if week%3 > 0 {
				did(SignalOpened, 0.9)
			}
			time.Sleep(time.Minute)
			if week%4 == 0 {
				did(SignalClicked, 1)
			}
			time.Sleep(7*24*time.Hour - 9*time.Hour - time.Minute)
		}
		later.bring(to, rows)
		was, is := live.knownOf(k), later.knownOf(k)
		m := later.BeginPast("acme", "", false).begun
		a, b := was.Facts(m, time.Now()), is.Facts(m, time.Now())
		near := func(what string, got, want float32) {
			if math.Abs(float64(got-want)) > 0.05*math.Abs(float64(want))+0.005 {
				t.Errorf("%s is %v, live %v", what, got, want)
			}
		}
		near("the evidence", b.Evidence, a.Evidence)
		near("the rate", b.Rate, a.Rate)
		near("the next mail's chance", b.Read, a.Read)
		near("the pressure", b.Pressure, a.Pressure)
		if a.Hours[0] != b.Hours[0] || a.Mails != b.Mails || a.Waiting != b.Waiting {
			t.Errorf("brought in %+v, live %+v", b, a)
		}
		heardOf := func(w *world) activity {
			box, _ := w.store.Mailbox(t.Context(), k)
			h, err := parseHeard(box.Heard)
			if err != nil {
				t.Fatal(err)
			}
			return h.did
		}
		one, other := heardOf(live), heardOf(later)
		if x, y := one.append(nil), other.append(nil); !bytes.Equal(x, y) {
			t.Errorf("rules count %+v, live %+v", other, one)
		}
		one1, _ := live.store.Mailbox(t.Context(), k)
		other1, _ := later.store.Mailbox(t.Context(), k)
		if n := other1.Gates.Len(); n != 0 && !other1.Gates.Send(n-1).At.Equal(one1.Gates.Send(one1.Gates.Len()-1).At) {
			t.Errorf("the last send: %+v", other1.Gates)
		}
	})
}

// An opt-out that is brought in stops what waits.
func TestImportedOptOutStopsMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		w.submit("ann@dest.test", func(m *Message) { m.NotBefore = time.Now().Add(5 * time.Hour) })
		k := MailboxKey("acme", mustMailbox(t, "ann@dest.test"))
		r := w.bring("ann@dest.test", []Past{{Kind: SignalUnsubscribed, At: time.Now().Add(-24 * time.Hour), Mark: 1}})
		synctest.Wait()
		if box, _ := w.store.Mailbox(t.Context(), k); len(box.Deliveries) != 0 || r.Entered != 1 {
			t.Errorf("%d still wait; %+v", len(box.Deliveries), r)
		}
	})
}

// A gateway that has stopped takes nothing more, and nobody waits for it.
func TestImportEndsWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), nil)
		im := w.BeginPast("acme", "history:test", true)
		w.stop()
		m := mustMailbox(t, "ann@dest.test")
		b := &PastMailbox{Address: m.String(), Key: MailboxKey("acme", m), Rows: []Past{{Kind: PastSent, At: time.Now(), Ref: 1, Mark: 1}}}
		for range 3 {
			_ = im.Bring(t.Context(), b) // it may be refused now, or at the end
		}
		if _, err := im.End(t.Context(), PastReport{Format: "test"}, "tester"); err == nil {
			t.Error("it ended well")
		}
		// What was handed to a shard that is gone stays there; nobody is to wait in this test.
		for range len(im.slots) {
			im.wg.Done()
		}
	})
}
