package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/intake"
	"tidepost/scheduler/simulate"
)

// demo is a gateway whose clock is moved by hand, with a mail server behind it.
type demo struct {
	ctx     context.Context // ends with the gateway
	stop    context.CancelCauseFunc
	server  *server
	done    chan error
	sink    *demoSink
	clock   demoClock
	ids     demoIDs
	log     *os.File
	clients map[string]*demoClient // by tenant
	admin   *client
}

// demoCap is the weekly cap of the demo's policy, over all senders: a mail a day.
const demoCap = 7

// demoConfig is the configuration of the demo, as an operator would write it.
const demoConfig = `data_dir = %q

[smtp]
listen   = ["127.0.0.1:0"]
hostname = "gateway.demo.example"

[http]
admin  = "127.0.0.1:0"
public = "127.0.0.1:0"

[route]
mode      = "smarthost"
smarthost = %q

[destination."default"]
connections = 1

[policy]
mode        = "live"
time_zone   = "Europe/Berlin"
quiet_hours = "22:00-07:00"
weekly_cap  = %d
at_limit    = "drop"
drop        = ["promotional"]
arms        = { control = 10, model = 90 }
`

// demoTenantConfig is what is added for each sender. They share one audience: one
// cap and one profile for a person.
const demoTenantConfig = `
[[tenant]]
name     = %[1]q
audience = "town"

[[credential]]
name          = %[1]q
password_hash = %[2]q
tenant        = %[1]q
bulk_class    = "newsletter"
`

// openDemo starts the mail server and the gateway.
func openDemo(ctx context.Context, dir string, seed uint64) (*demo, error) {
	d := &demo{done: make(chan error, 1), clients: map[string]*demoClient{}, ids: demoIDs{seed: seed}}
	d.ctx, d.stop = context.WithCancelCause(ctx)
	d.clock.set(demoTime(time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)))
	var err error
	if d.sink, err = openDemoSink(d.clock.Now); err != nil {
		return nil, err
	}
	cfg, err := writeDemoConfig(dir, d.sink.address)
	if err == nil {
		d.log, err = os.Create(filepath.Join(dir, "tidepost.log"))
	}
	if err == nil {
		err = d.serve(cfg, seed)
	}
	for _, tenant := range simulate.Tenants() {
		if err == nil {
			d.clients[tenant], err = dialDemo(d.listener("SMTP submission"), tenant)
		}
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func writeDemoConfig(dir, smarthost string) (*Config, error) {
	var text strings.Builder
	fmt.Fprintf(&text, demoConfig, filepath.Join(dir, "data"), smarthost, demoCap)
	for _, tenant := range simulate.Tenants() {
		fmt.Fprintf(&text, demoTenantConfig, tenant, intake.HashPassword(tenant))
	}
	file := filepath.Join(dir, "tidepost.toml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	cfg, _, err := LoadConfig(file, nil, nil)
	return cfg, err
}

// serve starts the gateway as `tidepost serve` does, apart from its clock, its ids
// and its lots.
func (d *demo) serve(cfg *Config, seed uint64) error {
	s := newServer(cfg, io.Discard, d.log)
	s.log = slog.New(slog.NewTextHandler(d.log, nil))
	s.prepare = func(g *gateway.Gateway) {
		g.Now, g.NewID, g.InTurn = d.clock.Now, d.ids.next, true
		g.Salt = demoMix(seed) | 1
		g.IdleClose = 24 * time.Hour // by the clock on the wall: none of the demo's connections closes
	}
	d.server = s
	if err := s.open(d.ctx); err != nil {
		return err
	}
	go func() {
		err := s.run(d.ctx)
		d.stop(err)
		d.done <- err
	}()
	token, err := os.ReadFile(filepath.Join(cfg.DataDir, "admin.token"))
	d.admin = &client{server: "http://" + d.listener("admin API"), token: strings.TrimSpace(string(token)), http: &http.Client{}}
	return err
}

func (d *demo) listener(what string) string {
	for _, l := range d.server.listeners {
		if l.what == what {
			return l.Addr().String()
		}
	}
	return ""
}

// failure is what went wrong first: the gateway's own error where it has ended.
func (d *demo) failure(err error) error {
	if cause := context.Cause(d.ctx); cause != nil {
		return cause
	}
	return err
}

// linger waits until the user has looked around.
func (d *demo) linger(a *app, dir string) {
	fmt.Fprintf(a.Stderr, `
The gateway goes on until you press Ctrl-C; its clock stands still. In another terminal:

    export TIDEPOST_SERVER=%s TIDEPOST_TOKEN=%s
    tidepost campaigns
    tidepost experiments
`, d.admin.server, d.admin.token)
	<-d.ctx.Done()
}

// close stops everything in reverse order.
func (d *demo) close() error {
	for _, c := range d.clients {
		c.close()
	}
	d.stop(context.Canceled)
	var err error
	if d.server != nil {
		if d.admin != nil {
			d.admin.http.CloseIdleConnections()
			err = <-d.done
		}
		d.server.close()
	}
	d.sink.close()
	if d.log != nil {
		d.log.Close()
	}
	return err
}

// step does all that is due at the clock's time.
func (d *demo) step() error {
	ctx, cancel := context.WithTimeout(d.ctx, 5*time.Minute)
	defer cancel()
	if err := d.server.gateway.Step(ctx); err != nil {
		if d.ctx.Err() == nil {
			return fmt.Errorf("the gateway did not come to rest at %s", d.clock.Now())
		}
		return err
	}
	return nil
}

// demoShift moves the simulated calendar to a year that lies ahead and has the same
// weekdays and changes of the clocks: 2026 to 2037. Where real time is looked at,
// as for the ten seconds within which a released mail must be on the wire, nothing
// is ever late.
const demoShift = 574 * 7 * 24 * time.Hour

func demoTime(t time.Time) time.Time { return t.Add(demoShift) }

// demoClock is moved by hand.
type demoClock struct{ seconds atomic.Int64 }

// Now is the time it was moved to.
func (c *demoClock) Now() time.Time { return time.Unix(c.seconds.Load(), 0).UTC() }

func (c *demoClock) set(t time.Time) { c.seconds.Store(max(t.Unix(), c.seconds.Load())) }

// demoIDs makes the ids of messages. Its methods are called by one client at a time.
type demoIDs struct {
	seed uint64
	n    uint32
	last gateway.ID
}

// next returns an id that is larger than the one before and the same for a seed.
func (s *demoIDs) next(now time.Time) gateway.ID {
	s.n++
	var id gateway.ID
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], demoMix(s.seed^demoMix(uint64(s.n))))
	binary.BigEndian.PutUint32(id[6:], s.n)
	s.last = id
	return id
}

// demoMix is the finaliser of splitmix64.
func demoMix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
