package history

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/local"
	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
	"tidepost/suppression/address"
)

// world is a gateway that runs and sends nothing.
type world struct {
	testing.TB
	*Importer
	store *local.Store
	rules gateway.Rules
	dir   string
	stop  func()
}

var today = time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{TB: t, dir: dir}
	w.rules.Policy = scheduler.Policy{MaxHold: 24 * time.Hour, Zone: time.UTC}
	var err error
	if w.store, err = local.Open(local.Options{Dir: dir, Now: func() time.Time { return today }}); err != nil {
		t.Fatal(err)
	}
	limits := func(string) throttle.Limits { return throttle.Limits{Connections: 2, Rate: 5, RateMax: 100} }
	g := &gateway.Gateway{Store: w.store, Limits: limits, Throttle: &throttle.Group{Limits: limits}, Rules: func(string) *gateway.Rules { return &w.rules },
		Tenant: func(name string) gateway.Tenant { return gateway.Tenant{Name: name} }, Line: func(domain string) string { return domain },
		Tenants: func() []string { return []string{"acme"} }, Held: true, Salt: 1, Now: func() time.Time { return today }, Log: slog.New(slog.DiscardHandler)}
	if err := g.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Importer = &Importer{Gateway: g, Dir: filepath.Join(dir, "import")}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := w.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

// bring imports a CSV file for acme.
func (w *world) bring(file string) *Report {
	w.Helper()
	r, err := w.Run(w.Context(), strings.NewReader(file), Ask{Options: Options{Format: CSV, Class: gateway.Newsletter, Now: today}, Tenant: "acme", By: "test"}, func(Progress) {})
	if err != nil {
		w.Fatalf("%v: %+v", err, r)
	}
	return r
}

func (w *world) box(name string) *gateway.Mailbox {
	w.Helper()
	a, err := address.Parse(name)
	if err != nil {
		w.Fatal(err)
	}
	box, err := w.store.Mailbox(w.Context(), gateway.MailboxKey("acme", a.Mailbox()))
	if err != nil {
		w.Fatal(err)
	}
	return box
}

// report is what reports know of acme's import.
func (w *world) kept() gateway.PastReport {
	all := gateway.Pasts(w.store, "acme")
	if len(all) != 1 {
		w.Fatalf("%d imports are kept", len(all))
	}
	all[0].PastTaken = gateway.PastTaken{}
	return all[0]
}

const header = "time,event,email,message,url,user_agent,ip\n"

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// past makes lines of so many weekly mails to each of so many readers, who read in
// the evening of the same day or not at all.
func past(readers, weeks int) (lines []string) {
	r := rand.New(rand.NewPCG(1, 2))
	for week := range weeks {
		sent := today.AddDate(0, 0, -7*(weeks-week)).Add(-4 * time.Hour)
		for i := range readers {
			at := sent.Add(time.Duration(i%600) * time.Second)
			line := func(at time.Time, event, url string) {
				agent := ""
				if event != "delivered" {
					agent = browser
				}
				lines = append(lines, fmt.Sprintf("%s,%s,reader%d@dest%d.test,%d,%s,%s,\n", at.Format(time.RFC3339), event, i, i%50, week, url, agent))
			}
			line(at, "delivered", "")
			if (i+week)%3 == 0 {
				continue
			}
			read := at.Add(10*time.Hour + time.Duration(r.IntN(3600))*time.Second)
			line(read, "opened", "")
			if (i+week)%5 == 0 {
				line(read.Add(time.Minute), "clicked", "https://shop.test/a")
			}
			if week == weeks-1 && i%97 == 0 {
				line(read.Add(2*time.Minute), "unsubscribed", "")
			}
		}
	}
	return lines
}

func shuffled(lines []string, seed uint64) string {
	lines = slices.Clone(lines)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return header + strings.Join(lines, "")
}
