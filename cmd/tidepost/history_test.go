package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/history"
	"tidepost/gateway/local"
	"tidepost/suppression/address"
)

// historyRows are how many rows of history are brought in: 20,000, or as many as
// TESTING_HISTORY says.
func historyRows(t *testing.T) int {
	n := 20_000
	if v := os.Getenv("TESTING_HISTORY"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func historyReader(i int) string { return fmt.Sprintf("reader%d@dest%d.test", i, i%97) }

// historyFile makes so many rows of a fifth as many readers, in order of time: five
// mails to each, of which two are read in the evening. Now and then somebody leaves.
func historyFile(rows int) (file string, readers int) {
	readers = rows / 5
	var b strings.Builder
	b.WriteString("time,event,email,campaign,url,user_agent,ip\n")
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	for week := range 3 {
		at := begin.AddDate(0, 0, 7*week).Add(8 * time.Hour)
		for i := range readers {
			fmt.Fprintf(&b, "%s,sent,%s,c%d,,,\n", at.Add(time.Duration(i%3600)*time.Second).Format(time.RFC3339), historyReader(i), week)
		}
		for i := range readers {
			read := at.Add(11*time.Hour + time.Duration(i*7919%3600)*time.Second).Format(time.RFC3339)
			switch {
			case week == 0:
				fmt.Fprintf(&b, "%s,opened,%s,c0,,Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0,192.0.2.%d\n", read, historyReader(i), i%200)
			case week == 1 && i%50 == 0:
				fmt.Fprintf(&b, "%s,unsubscribed,%s,c1,,,\n", read, historyReader(i))
			case week == 1:
				fmt.Fprintf(&b, "%s,clicked,%s,c1,https://shop.test/%d,Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X),192.0.2.%d\n", read, historyReader(i), i%3, i%200)
			}
		}
	}
	return b.String(), readers
}

// historyState is what a stopped gateway keeps of readers, and of the import.
func historyState(t *testing.T, dir string, readers int) (all []string, kept gateway.PastReport) {
	t.Helper()
	store, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := range readers {
		a, err := address.Parse(historyReader(i))
		if err != nil {
			t.Fatal(err)
		}
		box, err := store.Mailbox(t.Context(), gateway.MailboxKey("default", a.Mailbox()))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := store.Entries(t.Context(), a.Mailbox().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %x %x %d %v", box.Address, box.Profile, box.Heard, box.Gates.Len(), entries))
	}
	if pasts := gateway.Pasts(store, ""); len(pasts) == 1 {
		kept = pasts[0]
	}
	return all, kept
}

func TestHistoryImport(t *testing.T) {
	file, readers := historyFile(historyRows(t))
	d := newDesk(t)
	path := d.file("history.csv", file)
	var dry, done, again history.Report
	decode := func(text string, into *history.Report) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	decode(d.want("signals import --format csv --dry-run --json "+path), &dry)
	if dry.Rows != 5*readers || dry.Mailboxes != readers || dry.Kinds["opened"] != readers || dry.OptOuts["unsubscribe"] != (readers+49)/50 || dry.Taken != 0 {
		t.Errorf("dry run: %+v", dry)
	}
	began := time.Now()
	decode(d.want("signals import --format csv --json "+path), &done)
	t.Logf("%d rows of %d mailboxes: %.0f rows/s", done.Rows, done.Mailboxes, float64(done.Rows)/time.Since(began).Seconds())
	if done.Taken != done.Rows || done.Changed != readers || done.Entered != dry.OptOuts["unsubscribe"] {
		t.Errorf("import: %+v", done)
	}
	began = time.Now()
	decode(d.want("signals import --format csv --json "+path), &again)
	t.Logf("again: %.0f rows/s", float64(again.Rows)/time.Since(began).Seconds())
	if again.Known != again.Rows || again.Changed != 0 || again.Entered != 0 {
		t.Errorf("again: %+v", again)
	}
	d.want("report", "History", fmt.Sprintf("Each of its %d bulk mails was looked at", 3*readers), "This is no forecast")
	d.want("report --json", `"history"`, `"looked"`)
	d.want("report --html "+d.files+"/report.html", "History")
	if page, err := os.ReadFile(d.files + "/report.html"); err != nil || !bytes.Contains(page, []byte("<h2>History</h2>")) {
		t.Errorf("%v: %s", err, page)
	}
	d.want("mailbox show "+historyReader(0), "unsubscribe")
}

// TestHistorySpeed logs how long a client that submits 200 mails a second waits for its
// 250 beside an import of TESTING_HISTORY rows.
func TestHistorySpeed(t *testing.T) {
	if os.Getenv("TESTING_HISTORY") == "" {
		t.Skip("TESTING_HISTORY says how many rows")
	}
	file, _ := historyFile(historyRows(t))
	d := newDesk(t)
	path := d.file("history.csv", file)
	waits := paced(t, d.p.smtp, 5*time.Second, nil)
	t.Logf("250 without an import: p50 %v, p99 %v, most %v", waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1])
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		began := time.Now()
		d.want("signals import --format csv "+path, "taken")
		t.Logf("beside 200 mails a second: %.0f rows/s", float64(historyRows(t))/time.Since(began).Seconds())
	})
	waits = paced(t, d.p.smtp, time.Hour, done)
	wg.Wait()
	t.Logf("250 beside it: p50 %v, p99 %v, most %v of %d", waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1], len(waits))
}

// What is wrong with a file is said, with the line, and nothing changes.
func TestHistoryRefused(t *testing.T) {
	d := newDesk(t)
	bad := d.file("bad.csv", "time,event,email\n2026-06-01,sent,ann@example.com\nlately,sent,ann@example.com\n")
	d.refuse("signals import --format csv "+bad, exitFailed, "nothing was changed", `line 3, column 1 (time): "lately" is no time`, "--skip-bad")
	d.refuse("signals import --format csv --dry-run "+bad, exitFailed, "would be refused")
	d.want("signals import --format csv --skip-bad "+bad, "1 row of 1 row taken")
	d.refuse("signals import --format brevo "+bad, exitFailed, `the format "brevo" is unknown`)
	d.refuse("signals import --format csv --tenant nobody "+bad, exitFailed, `"nobody" is not known`)
	d.refuse("signals import --format csv --class x "+bad, exitFailed, "class is unknown")
	d.refuse("signals import --dry-run "+bad, exitUsage, "need --format")
}

// Killed in the middle, again and again, an import ends where one does that is not.
func TestHistorySurvivesKills(t *testing.T) {
	file, readers := historyFile(historyRows(t))
	whole := newDesk(t)
	whole.want("signals import --format csv " + whole.file("history.csv", file))
	if err := whole.p.terminate(); err != nil {
		t.Fatal(err)
	}
	want, kept := historyState(t, whole.d, readers)

	d := newDesk(t)
	path := d.file("history.csv", file)
	for round := range 3 {
		p := d.p
		time.AfterFunc(time.Duration(40+40*round)*time.Millisecond, func() { p.cmd.Process.Kill() })
		status, out := d.run("signals import --format csv " + path)
		p.kill()
		d.p = startProcess(t, d.d, nil)
		if status == exitDone {
			break
		}
		if !strings.Contains(out, "the same command again") {
			t.Errorf("round %d: %s", round, out)
		}
	}
	if _, err := os.Stat(d.d + "/import"); !os.IsNotExist(err) {
		t.Errorf("a killed import left its runs: %v", err)
	}
	var last history.Report
	if err := json.Unmarshal([]byte(d.want("signals import --format csv --json "+path)), &last); err != nil {
		t.Fatal(err)
	}
	t.Logf("after the last kill %d rows were known, %d were not", last.Known, last.Taken)
	if err := d.p.terminate(); err != nil {
		t.Fatal(err)
	}
	got, again := historyState(t, d.d, readers)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s is\n%s, want\n%s", historyReader(i), got[i], want[i])
		}
	}
	if again.Looked != kept.Looked || again.Readers != kept.Readers || again.Own != kept.Own || again.Looked != 3*readers {
		t.Errorf("the report is %+v, want %+v", again.PastWould, kept.PastWould)
	}
}

// The example in the manual is read as it stands there.
func TestHistoryExample(t *testing.T) {
	_, text, _ := strings.Cut(readDoc(t, "history.md"), "\n    time,event,")
	text, _, _ = strings.Cut("time,event,"+text, "\n\n")
	rows := 0
	for row, err := range history.Read(strings.NewReader(strings.ReplaceAll(text, "\n    ", "\n")), history.Options{Format: history.CSV, Class: gateway.Newsletter}) {
		if err != nil || row.Skipped != "" {
			t.Errorf("%+v, %v", row, err)
		}
		rows++
	}
	if rows != 3 {
		t.Errorf("%d rows", rows)
	}
}
