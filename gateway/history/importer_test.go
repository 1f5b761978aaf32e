package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// state is what is kept of acme's readers, but for revisions.
func (w *world) state(readers int) (all []string) {
	w.Helper()
	for i := range readers {
		name := fmt.Sprintf("reader%d@dest%d.test", i, i%50)
		box := w.box(name)
		entries, err := w.store.Entries(w.Context(), name)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %x %x %v %v", box.Address, box.Profile, box.Heard, box.Gates, entries))
	}
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: reader %d is\n%s, want\n%s", what, i, got[i], want[i])
		}
	}
}

// Whatever the order of a file's lines, in memory or on disk, it brings the same; and
// again, or within a longer file, nothing.
func TestImportIsTheSame(t *testing.T) {
	const readers = 60
	lines := past(readers, 5)
	half := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, ",delivered,reader0@dest0.test,3,") })
	w := newWorld(t, t.TempDir())
	whole := w.bring(header + strings.Join(lines, ""))
	want, kept := w.state(readers), w.kept()
	if whole.Taken != whole.Rows || whole.Changed != readers || whole.Entered == 0 || whole.Entered != whole.OptOuts["unsubscribe"] {
		t.Errorf("the whole: %+v", whole)
	}
	for seed := range uint64(2) {
		again := newWorld(t, t.TempDir())
		again.runBytes = 10_000 * int(seed)
		again.bring(shuffled(lines, seed))
		same(t, "another order", again.state(readers), want)
		if got := again.kept(); got.PastWould != kept.PastWould {
			t.Errorf("another order: %+v, want %+v", got, kept)
		}
		if _, err := os.Stat(again.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("runs are left: %v", err)
		}
	}

	revision := w.box("reader1@dest1.test").Rev
	second := w.bring(shuffled(lines, 3))
	same(t, "again", w.state(readers), want)
	if second.Taken != 0 || second.Known != second.Rows || second.Changed != 0 || w.box("reader1@dest1.test").Rev != revision {
		t.Errorf("again: %+v", second)
	}
	if got := w.kept(); got.PastWould != kept.PastWould {
		t.Errorf("again: %+v, want %+v", got.PastWould, kept.PastWould)
	}

	parts := newWorld(t, t.TempDir())
	parts.bring(header + strings.Join(lines[:half], ""))
	longer := parts.bring(header + strings.Join(lines, "") + strings.Join(lines, ""))
	for i := range readers { // the model has learned from the first part
		name := fmt.Sprintf("reader%d@dest%d.test", i, i%50)
		a, _ := w.Gateway.Facts(w.box(name), "acme")
		b, _ := parts.Gateway.Facts(parts.box(name), "acme")
		if math.Abs(float64(a.Read-b.Read)) > .05 || math.Abs(float64(a.Evidence-b.Evidence)) > .05*float64(a.Evidence) || a.Mails != b.Mails {
			t.Fatalf("a part and then all: %s is %+v, want %+v", name, b, a)
		}
	}
	if longer.Repeated != longer.Rows/2 || longer.Known == 0 || longer.Taken == 0 {
		t.Errorf("a part and then all: %+v", longer)
	}
	if got := parts.kept(); got.PastWould != kept.PastWould {
		t.Errorf("a part and then all: %+v, want %+v", got.PastWould, kept.PastWould)
	}
}

// The habits that a history shows are known, and live would have used them.
func TestImportTeaches(t *testing.T) {
	w := newWorld(t, t.TempDir())
	r := w.bring(header + strings.Join(past(60, 20), ""))
	if r.Judged.Machine > 0 || r.Judged.Human == 0 || r.Mailboxes != 60 {
		t.Errorf("%+v", r)
	}
	f, ok := w.Gateway.Facts(w.box("reader1@dest1.test"), "acme")
	if hour := f.Hours[0] % 24; !ok || f.Evidence < 3 || hour < 17 || hour > 20 || f.Read < .5 {
		t.Errorf("%+v", f)
	}
	kept := w.kept()
	if kept.Looked != 60*20 || kept.Readers != 60 || kept.Own < 30 || kept.Moved == 0 || kept.Read == 0 || kept.Closer*2 < kept.Read {
		t.Errorf("%+v", kept)
	}
	if h := kept.Quantile(.5); h < 8 || h > 12 {
		t.Errorf("half of them moved by at most %d hours", h)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newWorld(t, t.TempDir())
	r, err := w.Run(t.Context(), strings.NewReader(header+strings.Join(past(20, 3), "")+"x,open,y\n"), Ask{Options: Options{Format: CSV, Now: today}, Tenant: "acme", DryRun: true}, func(Progress) {})
	if err != nil || r.Bad != 1 || r.Rows == 0 || r.Mailboxes != 20 || r.OptOuts["unsubscribe"] != 1 || r.Judged.Human == 0 || r.PastTaken != (gateway.PastTaken{}) {
		t.Errorf("%+v, %v", r, err)
	}
	if box := w.box("reader1@dest1.test"); box.Rev != 0 || len(gateway.Pasts(w.store, "")) != 0 {
		t.Errorf("%+v", box)
	}
}

// A file with a bad line changes nothing, unless bad lines are left out.
func TestBadLinesAreRefused(t *testing.T) {
	w := newWorld(t, t.TempDir())
	file := "time,event,email\n2026-06-01,sent,ann@example.com\nnever,sent,ann@example.com\n"
	for _, skip := range []bool{false, true} {
		r, err := w.Run(t.Context(), strings.NewReader(file), Ask{Options: Options{Format: CSV, Now: today}, Tenant: "acme", SkipBad: skip}, func(Progress) {})
		var refused *Refused
		if errors.As(err, &refused) == skip || r.Bad != 1 || r.BadLines[0].Line != 3 || (w.box("ann@example.com").Rev > 0) != skip {
			t.Errorf("skip %t: %+v, %v", skip, r, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Run(ctx, strings.NewReader(file), Ask{Options: Options{Format: CSV, Now: today}, Tenant: "acme", SkipBad: true}, func(Progress) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that is gone: %v", err)
	}
}

// What a reader or a policy does not permit is not learned; opt-outs count.
func TestEvidenceIsLimited(t *testing.T) {
	file := header + "2026-06-01T08:00:00Z,delivered,ann@example.com,m,,,\n2026-06-01T18:00:00Z,opened,ann@example.com,m,,Firefox,\n" +
		"2026-06-01T18:01:00Z,clicked,ann@example.com,m,,Firefox,\n2026-06-01T18:02:00Z,unsubscribed,ann@example.com,m,,,\n"
	for _, tt := range []struct {
		sees     scheduler.Sees
		excluded int
		evidence bool
	}{{scheduler.SeesFull, 0, true}, {scheduler.SeesClick, 1, true}, {scheduler.SeesDay, 0, false}, {scheduler.SeesNone, 2, false}} {
		w := newWorld(t, t.TempDir())
		w.rules.Sees = tt.sees
		r := w.bring(file)
		f, _ := w.Gateway.Facts(w.box("ann@example.com"), "acme")
		if r.Excluded != tt.excluded || r.Entered != 1 || (f.Evidence > 0) != tt.evidence {
			t.Errorf("%v: %+v, evidence %v", tt.sees, r, f.Evidence)
		}
		if again := w.bring(file); again.Changed != 0 || again.Entered != 0 {
			t.Errorf("%v: again: %+v", tt.sees, again)
		}
	}
}

// Opt-outs, complaints and hard bounces become entries; one that was taken back here
// since stays so, and erasing forgets what was brought in.
func TestOptOuts(t *testing.T) {
	w := newWorld(t, t.TempDir())
	file := "time,event,email,list\n2026-06-01,unsubscribed,ann@example.com,\n2026-06-01,unsubscribed,bob@example.com,news.example.com\n" +
		"2026-06-01,complained,dan@example.com,\n2026-06-01,hard_bounce,eve@example.com,\n2026-06-01,soft_bounce,fay@example.com,\n2026-06-02,unsubscribed,ann@example.com,\n"
	if r := w.bring(file); r.Entered != 4 {
		t.Errorf("%+v", r)
	}
	want := map[string]string{"ann": "tenant:acme unsubscribe", "bob": "list:acme/news.example.com unsubscribe", "dan": "tenant:acme complaint", "eve": "global hard_bounce", "fay": ""}
	for name, want := range want {
		entries, err := w.store.Entries(t.Context(), name+"@example.com")
		got := ""
		if len(entries) > 0 {
			got = entries[0].Scope.String() + " " + string(entries[0].Reason)
		}
		if err != nil || got != want || len(entries) > 1 {
			t.Errorf("%s: %+v, %v, want %s", name, entries, err, want)
		}
	}
	entries, _ := w.store.Entries(t.Context(), "ann@example.com")
	taken := entries[0]
	taken.Removed = today
	if err := w.Gateway.Observe(t.Context(), taken, "admin"); err != nil {
		t.Fatal(err)
	}
	if r := w.bring(file); r.Entered != 0 {
		t.Errorf("what was taken back is entered again: %+v", r)
	}
	a, _ := address.Parse("dan@example.com")
	if _, err := w.Gateway.Erase(t.Context(), a.Mailbox(), "admin"); err != nil {
		t.Fatal(err)
	}
	if box := w.box("dan@example.com"); len(box.Heard)+len(box.Profile) > 0 || box.Address != "" {
		t.Errorf("erased: %+v", box)
	}
	if entries, _ := w.Gateway.EntriesOf(t.Context(), "dan@example.com"); len(entries) != 1 || entries[0].Reason != suppression.Complaint || strings.Contains(entries[0].Address, "dan") {
		t.Errorf("erased: %+v", entries)
	}
}

// A mailbox that had signs of life here does not go back in time.
func TestLateRows(t *testing.T) {
	w := newWorld(t, t.TempDir())
	a, _ := address.Parse("reader1@dest1.test")
	for _, kind := range []gateway.SignalKind{gateway.SignalOpened, gateway.SignalClicked} {
		if _, err := w.Gateway.Learn(t.Context(), gateway.Signal{Kind: kind, At: today.Add(-time.Hour), Tenant: "acme", Mailbox: a.Mailbox(), Human: 1}); err != nil {
			t.Fatal(err)
		}
	}
	before := w.box("reader1@dest1.test")
	r := w.bring(header + strings.Join(past(2, 3), ""))
	after := w.box("reader1@dest1.test")
	if r.Late == 0 || r.Late+r.Taken != r.Rows || !bytes.Equal(before.Profile, after.Profile) || !bytes.Equal(before.Heard, after.Heard) {
		t.Errorf("%+v", r)
	}
}

// Recent sends count for gap and cap, older ones do not.
func TestRecentSendsCount(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.bring("time,event,email\n2026-06-01,sent,ann@example.com\n2026-06-05,sent,ann@example.com\n2026-06-09,sent,ann@example.com\n")
	gates := w.box("ann@example.com").Gates
	if gates.Len() != 2 || !gates.Send(0).At.Equal(time.Date(2026, 6, 5, 0, 0, 0, 0, time.UTC)) || !gates.Send(0).Bulk {
		t.Errorf("%d sends count", gates.Len())
	}
}

// An address that gets every alarm is brought in in parts, once.
func TestManyRowsOfOneMailbox(t *testing.T) {
	w := newWorld(t, t.TempDir())
	var file strings.Builder
	file.WriteString("time,event,email,class\n")
	for i := range 3 * manyRows / 2 {
		fmt.Fprintf(&file, "%d,sent,ops@example.com,transactional\n", today.Unix()-40_000+int64(i))
	}
	r := w.bring(file.String())
	before := w.box("ops@example.com")
	if r.Taken != r.Rows || r.Mailboxes != 1 || before.Gates.Len() != 32 {
		t.Errorf("%+v", r)
	}
	again := w.bring(file.String())
	if after := w.box("ops@example.com"); again.Known != r.Rows || after.Rev != before.Rev {
		t.Errorf("again: %+v", again)
	}
}

// Who was behind an open or a click is judged as it is live.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		story string
		file  string
		want  Judged
	}{
		{"a person", "2026-06-01T08:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T09:00:00Z,opened,a@x.test,m,," + browser + ",192.0.2.1\n", Judged{Human: 1}},
		{"a library", "2026-06-01T08:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T09:00:00Z,clicked,a@x.test,m,https://a/,curl/8.0,192.0.2.1\n", Judged{Machine: 1}},
		{"within a second of delivery", "2026-06-01T08:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T08:00:01Z,clicked,a@x.test,m,https://a/," + browser + ",\n", Judged{Machine: 1}},
		{"when it was handed in says nothing where deliveries are told", "2026-06-01T08:00:00Z,processed,a@x.test,m,,,\n2026-06-01T07:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T08:00:01Z,clicked,a@x.test,m,https://a/," + browser + ",\n", Judged{Human: 1}},
		{"nothing but the time", "2026-06-01T08:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T09:00:00Z,opened,a@x.test,m,,,\n", Judged{Human: 1, Unseen: 1}},
		{"two links at once, and both clicks are taken back", "2026-06-01T08:00:00Z,delivered,a@x.test,m,,,\n2026-06-01T09:00:00Z,clicked,a@x.test,m,https://a/," + browser + ",\n2026-06-01T09:00:01Z,clicked,a@x.test,m,https://b/," + browser + ",\n", Judged{Human: 1, Machine: 1}},
		{"of no told mail, of the last", "2026-06-01T08:00:00Z,delivered,a@x.test,,,,\n2026-06-01T08:00:01Z,opened,a@x.test,,," + browser + ",\n", Judged{Machine: 1}},
	} {
		w := newWorld(t, t.TempDir())
		if r := w.bring(header + tt.file); r.Judged != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.story, r.Judged, tt.want)
		}
		if f, _ := w.Gateway.Facts(w.box("a@x.test"), "acme"); tt.want.Machine == 1 && f.Evidence > 0 {
			t.Errorf("%s: it taught something: %+v", tt.story, f)
		}
	}
}

// What is sorted on disk comes as what is sorted in memory.
func TestSorter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var want []string
	s := &sorter{dir: t.TempDir() + "/runs", most: 1000}
	for range 2000 {
		b := make([]byte, 8+r.IntN(20))
		for i := range b {
			b[i] = byte(r.IntN(3))
		}
		want = append(want, string(b))
		if err := s.add(b); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	i := 0
	for got, err := range s.sorted() {
		if err != nil || string(got) != want[i] {
			t.Fatalf("%d: %q, %v, want %q", i, got, err, want[i])
		}
		i++
	}
	if i != len(want) || s.runs < 10 {
		t.Errorf("%d of %d, %d runs", i, len(want), s.runs)
	}
	s.end()
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("runs are left: %v", err)
	}
	full := errors.New("full")
	s = &sorter{dir: t.TempDir(), most: 10, room: func(int64) error { return full }}
	if err := errors.Join(s.add([]byte("12345678")), s.add([]byte("12345678"))); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

// BenchmarkImport brings in 200,000 rows of 40,000 mailboxes.
func BenchmarkImport(b *testing.B) {
	lines := past(40_000, 3)
	file := header + strings.Join(lines, "")
	for b.Loop() {
		w := newWorld(b, b.TempDir())
		began := time.Now()
		r := w.bring(file)
		b.ReportMetric(float64(r.Rows)/time.Since(began).Seconds(), "rows/s")
		w.stop()
	}
}
