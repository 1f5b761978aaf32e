package main

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestSuppressImportSpeed sends a file of TESTING_LINES lines to a running gateway
// with the command itself, and logs how long a client that submits 200 mails a second
// waits for its 250, before the import and beside it.
func TestSuppressImportSpeed(t *testing.T) {
	lines, err := strconv.Atoi(os.Getenv("TESTING_LINES"))
	if err != nil {
		t.Skip("TESTING_LINES says how many lines")
	}
	d := newDesk(t)
	file := d.file("list.csv", unsubscribes(lines))
	command := "suppress import --tenant default --name speed " + file
	began := time.Now()
	d.want(command, "counts now")
	t.Logf("alone: %.0f lines/s", float64(lines)/time.Since(began).Seconds())
	waits := paced(t, d.p.smtp, 10*time.Second, nil)
	t.Logf("250 without an import: p50 %v, p99 %v, most %v", waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1])
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		began := time.Now()
		d.want(command, "counts now")
		t.Logf("beside 200 mails a second: %.0f lines/s", float64(lines)/time.Since(began).Seconds())
	})
	waits = paced(t, d.p.smtp, time.Hour, done)
	wg.Wait()
	t.Logf("250 beside it: p50 %v, p99 %v, most %v of %d", waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1], len(waits))
	began = time.Now()
	d.want("suppress export -o " + file)
	t.Logf("export: %.0f entries/s", float64(lines)/time.Since(began).Seconds())
}

// paced submits 200 mails a second until the time is over or done is closed, and
// returns how long each took, sorted.
func paced(t *testing.T, smtp string, long time.Duration, done chan struct{}) (waits []time.Duration) {
	c, err := dialSMTP(smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	defer func() { slices.Sort(waits) }()
	for end := time.Now().Add(long); time.Now().Before(end); {
		select {
		case <-done:
			return waits
		case <-tick.C:
		}
		c.conn.SetDeadline(time.Now().Add(30 * time.Second))
		if err := c.begin("a@esp.test", "b"+strconv.Itoa(len(waits))+"@dest.test"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.do(letter("m"+strconv.Itoa(len(waits)), 4096)+"\r\n.", "250"); err != nil {
			t.Fatal(err)
		}
		waits = append(waits, time.Since(began))
	}
	return waits
}
