package admin

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// A file with two bad lines changes nothing; corrected it counts as a whole, what
// waits is dropped, and it can be taken away as a whole.
func TestImportStory(t *testing.T) {
	w := newListWorld(t)
	wrong := sendgrid(0, 3000) + "not an address,1767225600\n" + sendgrid(3000, 3010)[len("email,created\n"):] + "a@x.test,yesterday\n"
	for _, query := range []string{"tenant=acme&name=sg&dry_run=true", "tenant=acme&name=sg"} {
		want := map[bool]int{true: 200, false: 400}[strings.Contains(query, "dry")]
		doc := w.importFile(query, wrong, want)
		if doc.Lines != 3012 || doc.Entries != 3010 || doc.Bad != 2 || len(doc.BadLines) != 2 || doc.BadLines[0].Line != 3002 || doc.BadLines[0].Remedy == "" || doc.Format != lists.SendGridUnsubs {
			t.Errorf("%s: %+v", query, doc)
		}
		if n := len(w.lists.all()) + len(w.lists.AllLists()); n > 0 {
			t.Fatalf("%s left %d entries and lists", query, n)
		}
	}
	d := w.submit(mail{campaign: "spring", to: []string{"reader7@x0.test"}, notBefore: tomorrow()})[0]
	doc := w.importFile("tenant=acme&name=sg", sendgrid(0, 3010), 200)
	if !doc.Published || doc.Listed != 3010 || doc.Reasons[suppression.Unsubscribe] != 3010 {
		t.Errorf("imported %+v", doc)
	}
	if n := w.state(d.Mailbox, d.ID); !soon(func() bool { n = w.state(d.Mailbox, d.ID); return n.State == gateway.Dropped }) {
		t.Errorf("what waited is %s, %s", n.State, n.Reason)
	}
	if doc := w.importFile("tenant=acme&name=sg&bad=skip", wrong, 200); doc.Listed != 3010 || doc.Bad != 2 || !doc.Published {
		t.Errorf("with bad lines left out: %+v", doc)
	}
	w.importFile("tenant=acme&name=sg", "colour\nred\n", 400)
	if n := len(w.lists.all()); n != 3010 {
		t.Errorf("a wrong file under the name of a live list left %d entries", n)
	}
	w.ask(Operator, "POST", suppressions+"/lists/sg/discard", "", 403)
	w.ask(Admin, "POST", suppressions+"/lists/sg/discard", "", 200)
	w.ask(Admin, "POST", suppressions+"/lists/sg/discard", "", 404)
	if n := len(w.lists.all()); n != 0 {
		t.Errorf("discarded, %d entries are left", n)
	}
}

func soon(so func() bool) bool {
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func TestBadImports(t *testing.T) {
	w := newListWorld(t)
	for query, field := range map[string]string{
		"dry_run=maybe": "dry_run", "bad=perhaps": "bad", "digest=12": "digest", "scope=planet:x": "scope", "tenant=a%20b": "tenant",
		"name=a%00b": "name", "colour=red": "colour",
	} {
		var p problemDoc
		rec := w.send(query, sendgrid(0, 1), "")
		if json.Unmarshal(rec.Body.Bytes(), &p); rec.Code != 400 || p.Field != field {
			t.Errorf("%s: %d %s", query, rec.Code, rec.Body)
		}
	}
	for query, file := range map[string]string{
		"tenant=acme&format=nothing": sendgrid(0, 1),
		"":                           sendgrid(0, 1), // whose opt-outs?
		"format=plain":               "a@x.test\n",   // and why?
		"tenant=acme&digest=" + strings.Repeat("0", 64): sendgrid(0, 1),
	} {
		if rec := w.send(query, file, ""); rec.Code != 400 || !strings.Contains(rec.Body.String(), "nothing was changed") {
			t.Errorf("%q: %d %s", query, rec.Code, rec.Body)
		}
	}
	if doc := w.importFile("tenant=acme", "email,created\n", 200); doc.Published || doc.Lines != 0 {
		t.Errorf("a file without lines: %+v", doc)
	}
	if doc := w.importFile("tenant=acme", "", 200); doc.Published || doc.Lines != 0 {
		t.Errorf("an empty file: %+v", doc)
	}
	if n := len(w.lists.AllLists()) + w.lists.records(); n > 0 {
		t.Errorf("%d lists and records are left", n)
	}
}

// Progress comes as lines, a gzip file is unpacked, and hashes become entries.
func TestImportLines(t *testing.T) {
	w := newListWorld(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintf(z, "%x\n%x\n", lists.Hash(lists.SHA256, "ann@x.test"), lists.Hash(lists.MD5, "bob@x.test"))
	z.Close()
	rec := w.send("reason=manual&scope=global&name=h", packed.String(), "application/x-ndjson")
	var last struct{ Result importDoc }
	lines := strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Result.Hashes != 2 || !last.Result.Published {
		t.Errorf("%v in %s", err, rec.Body)
	}
	w.ask(Operator, "POST", suppressions+"/remove", `{"reason":"manual"}`, 200)
	if a, b := w.lists.HasHashed(); !a || !b {
		t.Errorf("hashes are there: %v, %v", a, b)
	}
	rec = w.send("reason=manual&name=h", "nonsense,more\n", "application/x-ndjson")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"problem":"nothing was changed`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// broken breaks off as a killed client does.
type broken struct {
	io.Reader
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// An import whose client died goes on with the same file, and with no other.
func TestImportResumes(t *testing.T) {
	w := newListWorld(t)
	file := sendgrid(0, 9000)
	sum := sha256.Sum256([]byte(file))
	query := "tenant=acme&name=sg&digest=" + hex.EncodeToString(sum[:])
	r := w.request(Operator, "POST", suppressions+"/import?"+query, "x")
	r.Body = io.NopCloser(broken{strings.NewReader(file[:len(file)*2/3])})
	if rec := w.serve(r); rec.Code != 400 || !strings.Contains(rec.Body.String(), "resume=true") {
		t.Fatalf("broken off: %d %s", rec.Code, rec.Body)
	}
	var all struct{ Items []listDoc }
	rec := w.serve(w.request(Viewer, "GET", suppressions+"/lists", ""))
	if json.Unmarshal(rec.Body.Bytes(), &all); len(all.Items) != 1 || all.Items[0].State != "partial" || all.Items[0].Lines < 5000 || all.Items[0].Digest == "" {
		t.Errorf("the lists are %s", rec.Body)
	}
	if n := len(w.lists.all()); n > 0 {
		t.Errorf("%d entries count already", n)
	}
	if rec := w.send("tenant=other&name=sg&resume=true&digest="+hex.EncodeToString(sum[:]), file, ""); rec.Code != http.StatusConflict {
		t.Errorf("with another tenant: %d %s", rec.Code, rec.Body)
	}
	if rec := w.send("tenant=acme&name=sg&resume=true", file, ""); rec.Code != 400 {
		t.Errorf("without digest: %d %s", rec.Code, rec.Body)
	}
	doc := w.importFile(query+"&resume=true", file, 200)
	if doc.Resumed < 5000 || doc.Listed != 9000 || doc.Lines != 9000 {
		t.Errorf("resumed: %+v", doc)
	}
	if n := len(w.lists.all()); n != 9000 || w.lists.records() > 0 {
		t.Errorf("%d entries count, %d records are left", n, w.lists.records())
	}
}

// What goes out comes in again, tombstones too, and nothing in it is a formula.
func TestExportRoundTrip(t *testing.T) {
	w := newListWorld(t)
	w.importFile("tenant=acme&name=sg", sendgrid(0, 500), 200)
	w.ask(Operator, "POST", suppressions, `{"address":"ann@x.test","scope":"tenant:acme","reason":"complaint","note":"=HYPERLINK(\"http://evil\")"}`, 201)
	w.ask(Operator, "DELETE", suppressions, `{"address":"reader3@x3.test","scope":"tenant:acme"}`, 200)
	for _, format := range []string{"csv", "jsonl"} {
		rec := w.serve(w.request(Operator, "GET", suppressions+"/export?format="+format, ""))
		if rec.Code != 200 || format == "csv" && !strings.Contains(rec.Body.String(), `'=HYPERLINK`) {
			t.Fatalf("export: %d %.300s", rec.Code, rec.Body)
		}
		other := newListWorld(t)
		if doc := other.importFile("name=copy", rec.Body.String(), 200); doc.Listed != 501 {
			t.Errorf("imported again: %+v", doc)
		}
		a, b := w.lists.all(), other.lists.all()
		for i := range a {
			if x, y := newEntryDoc(&a[i]), newEntryDoc(&b[i]); x != y {
				t.Fatalf("%s: %+v became %+v", format, x, y)
			}
		}
	}
	for query, want := range map[string]int{"live=true": 500, "reason=complaint": 1, "scope=tenant": 501, "scope=global": 0, "source=import": 500, "since=1h": 1} {
		rec := w.serve(w.request(Operator, "GET", suppressions+"/export?format=jsonl&"+query, ""))
		if n := strings.Count(rec.Body.String(), "\n"); n != want {
			t.Errorf("export %s has %d entries, want %d", query, n, want)
		}
	}
	w.ask(Viewer, "GET", suppressions+"/export", "", 403)
	w.ask(Operator, "GET", suppressions+"/export?format=xls", "", 400)
}

// failing breaks off in the middle of a scan.
type failing struct{ *listMemory }

func (s failing) ScanEntries(ctx context.Context, after string, yield func(string, suppression.Entry) bool) error {
	n := 0
	return errors.Join(s.listMemory.ScanEntries(ctx, after, func(c string, e suppression.Entry) bool { n++; return n < 10 && yield(c, e) }), gateway.ErrDamaged)
}

// An export that breaks off does not look whole.
func TestExportBreaksOff(t *testing.T) {
	w := newListWorld(t)
	w.importFile("tenant=acme&name=sg", sendgrid(0, 500), 200)
	w.Server.Store = failing{w.lists}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection was not cut")
		}
	}()
	w.serve(w.request(Operator, "GET", suppressions+"/export", ""))
}

// All entries are listed once, page by page, and the stats add up.
func TestListAndStats(t *testing.T) {
	w := newListWorld(t)
	w.importFile("tenant=acme&name=sg", sendgrid(0, 250), 200)
	w.ask(Operator, "POST", suppressions, `{"address":"ann@x.test","scope":"global","reason":"hard_bounce","source":"bounce:x.test"}`, 201)
	seen := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		a := w.get(suppressions + "?limit=100" + cursor)
		for _, e := range a.Items {
			if seen[e.Address] {
				t.Errorf("%s is listed twice", e.Address)
			}
			seen[e.Address] = true
		}
		if cursor = "&cursor=" + a.Next; a.Next == "" || pages > 5 {
			break
		}
	}
	if len(seen) != 251 {
		t.Errorf("listed %d", len(seen))
	}
	if a := w.get(suppressions + "?source=bounce&reason=hard_bounce&scope=global"); len(a.Items) != 1 {
		t.Errorf("filtered %+v", a.Items)
	}
	if a := w.ask(Viewer, "GET", suppressions+"?cursor=x", "", 400); a.Field != "cursor" {
		t.Errorf("cursor: %+v", a)
	}
	var stats statsDoc
	rec := w.serve(w.request(Viewer, "GET", suppressions+"/stats", ""))
	if json.Unmarshal(rec.Body.Bytes(), &stats); stats.Entries != 251 || len(stats.Kinds) != 2 || stats.Kinds[0] != (kindDoc{"unsubscribe", "tenant", 250}) || len(stats.Lists) != 1 {
		t.Errorf("stats %s", rec.Body)
	}
	rec = w.serve(w.request(Viewer, "GET", suppressions+"?address=ann@x.test", ""))
	if !strings.Contains(rec.Body.String(), `"stops":["transactional","triggered","newsletter","promotional"]`) {
		t.Errorf("what stops: %s", rec.Body)
	}
	rec = w.serve(w.request(0, "GET", "/metrics", ""))
	if text := rec.Body.String(); !strings.Contains(text, `tidepost_suppressions{reason="unsubscribe",scope="tenant"} 250`) || !strings.Contains(text, "tidepost_suppression_import_lines_total 250") {
		t.Errorf("metrics: %d", rec.Code)
	}
}

// An outage's entries are taken back by source, destination and time.
func TestRemoveEntries(t *testing.T) {
	w := newListWorld(t)
	w.importFile("tenant=acme&name=sg", sendgrid(0, 100), 200)
	now := time.Now().UTC()
	for i := range 700 {
		e := suppression.Entry{Address: fmt.Sprintf("r%d@big.test", i), Reason: suppression.HardBounce, Source: "bounce:big.test", Created: now}
		if i == 0 {
			e.Created = now.Add(-3 * time.Hour)
		}
		if i == 1 {
			e.Address = "r1@other.test"
		}
		if err := w.Gateway.Observe(t.Context(), e, "test"); err != nil {
			t.Fatal(err)
		}
	}
	ask := `{"source":"bounce","domain":"BIG.test","since":"2h"`
	type answer struct{ Matched, Removed int }
	post := func(doc string) (a answer) {
		rec := w.serve(w.request(Operator, "POST", suppressions+"/remove", doc))
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s", doc, rec.Code, rec.Body)
		}
		return a
	}
	if a := post(ask + `,"dry_run":true}`); a != (answer{698, 0}) {
		t.Errorf("dry run: %+v", a)
	}
	if a := post(ask + "}"); a != (answer{698, 698}) {
		t.Errorf("removed: %+v", a)
	}
	if a := post(ask + "}"); a != (answer{0, 0}) {
		t.Errorf("again: %+v", a)
	}
	if n := w.lists.Suppressed(); n[gateway.SuppressedKind{Reason: suppression.HardBounce}] != 2 || len(n) != 2 {
		t.Errorf("left: %v", n)
	}
	for doc, field := range map[string]string{`{}`: "source", `{"since":"2h"}`: "source", `{"source":"x","since":"soon"}`: "since",
		`{"domain":"no domain"}`: "domain", `{"reason":"because"}`: "reason", `{"source":"x","scope":"planet"}`: "scope"} {
		if a := w.ask(Operator, "POST", suppressions+"/remove", doc, 400); a.Field != field {
			t.Errorf("%s: field %q, want %q", doc, a.Field, field)
		}
	}
}

// Whatever is in a file, its lines add up, a dry run says what the run does, and
// either all of it counts or nothing.
func TestImportCounts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		w := newListWorld(t)
		var b strings.Builder
		b.WriteString("status,reason,email,created\n")
		n, good, skipped, bad := rng.IntN(3000), map[string]bool{}, 0, 0
		for range n {
			to := fmt.Sprintf("r%d@x.test", rng.IntN(2000))
			switch rng.IntN(400) {
			case 0:
				b.WriteString("5.1.1,gone,\"no address\",1767225600\n")
				bad++
			case 1:
				b.WriteString("4.2.2,full," + to + ",1767225600\n")
				skipped++
			default:
				b.WriteString("5.1.1,gone," + to + ",1767225600\n")
				good[to] = true
			}
		}
		query := "format=sendgrid-bounces&name=x"
		dry := w.importFile(query+"&dry_run=true", b.String(), 200)
		if dry.Lines != n || dry.Bad != bad || dry.Entries != n-bad-skipped || dry.Entries+dry.Bad+dry.Skipped["a temporary failure"] != dry.Lines {
			t.Errorf("%d lines, %d bad: %+v", n, bad, dry)
		}
		want := 200
		if bad > 0 {
			want = 400
		}
		doc := w.importFile(query, b.String(), want)
		if doc.Lines != dry.Lines || doc.Entries != dry.Entries || doc.Bad != dry.Bad || doc.Digest != dry.Digest {
			t.Errorf("a dry run said %+v, the run %+v", dry, doc)
		}
		count := len(good)
		if bad > 0 {
			count = 0
		}
		if k := w.lists.Suppressed()[gateway.SuppressedKind{Reason: suppression.HardBounce}]; k != int64(count) {
			t.Errorf("%d entries count, want %d", k, count)
		}
		if t.Failed() {
			return
		}
	}
}
