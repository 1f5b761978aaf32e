//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

// fault is one thing that goes wrong: the when-th time that a thread makes a
// system call on our files, the process dies or the call fails.
type fault struct {
	on    string // which files
	call  string
	what  string // as strace's inject says it
	when  int
	paths []string // relative; nil: any
}

// name is the kind of fault.
func (f fault) name() string {
	what := strings.NewReplacer("signal=", "", "error=", "").Replace(f.what)
	return fmt.Sprintf("%s-%s-%s", f.on, f.call, what)
}

// tracer is the command in front of a gateway that makes the fault happen.
// With -D the gateway stays our own child; with --seccomp-bpf it stops at the
// named call alone, but then strace 6.1 sends signals only at the first one.
func (f fault) tracer(dir, trace string) []string {
	args := []string{"strace", "-D", "-f", "-o", trace, "-e", "trace=" + f.call,
		"-e", fmt.Sprintf("inject=%s:%s:when=%d", f.call, f.what, f.when)}
	if !f.kills() {
		args = append(args, "--seccomp-bpf")
	}
	for _, p := range f.paths {
		args = append(args, "-P", filepath.Join(dir, p))
	}
	return args
}

func (f fault) kills() bool { return strings.HasPrefix(f.what, "signal=") }

// faults are the points at which things go wrong: for each kind of call and
// fault a few of the first 40 calls; with TESTING_FAULTS=all, all of them.
func faults() []fault {
	segments := func(dir string) (names []string) {
		for n := range 9 {
			names = append(names, fmt.Sprintf("%s/%08d.seg", dir, n+1))
		}
		return names
	}
	targets := []fault{
		{on: "log", call: "pwritev", paths: segments("log")},
		{on: "log", call: "fdatasync", paths: segments("log")},
		{on: "journal", call: "pwritev", paths: segments("journal")},
		{on: "journal", call: "fdatasync", paths: segments("journal")},
		{on: "index", call: "pwrite64", paths: []string{"state.db"}},
		{on: "index", call: "fdatasync", paths: []string{"state.db"}},
		{on: "any", call: "fdatasync"}, // preparing segments, and starting
		{on: "any", call: "fallocate"}, // a segment
		{on: "any", call: "renameat"},  // a segment or a small file takes its name
		{on: "any", call: "fsync"},     // of a directory
	}
	var all []fault
	for i, f := range targets {
		for j, what := range []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"} {
			f.what = what
			for _, f.when = range f.points(3*i + j) {
				all = append(all, f)
			}
		}
	}
	return all
}

// points chooses which calls fail, so that short runs have early and late
// ones of every kind.
func (f fault) points(seed int) []int {
	most := 40
	switch {
	case f.call == "fallocate" || f.call == "renameat" || f.call == "fsync" || f.call == "fdatasync" && f.on == "index":
		most = 4 // a thread makes few of these
	case f.on == "index":
		most = 16
	}
	switch {
	case os.Getenv("TESTING_FAULTS") == "all":
		var every []int
		for n := range most {
			every = append(every, n+1)
		}
		return every
	case f.on == "log" || f.on == "journal":
		return []int{1 + seed*3%(most/2), most/2 + 1 + seed*7%(most/2)}
	}
	return []int{1 + seed%2*(seed*3%(most/2))}
}

// TestFaults kills the gateway, or fails a system call of its, at one point
// after another while clients submit and mail leaves. Whatever the point:
// nobody is told that their mail is wrong (5xx), what was answered 250 is there
// after a restart, and after a failed write or sync nothing more is taken.
func TestFaults(t *testing.T) {
	t.Parallel()
	needTracer(t)
	var mu sync.Mutex
	happened := map[string]bool{} // by kind; guarded by mu
	t.Run("at", func(t *testing.T) {
		slots := make(chan struct{}, 8) // at a time: they mostly wait
		for i, f := range faults() {
			t.Run(fmt.Sprintf("%s-%d", f.name(), f.when), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				did := f.happens(t, i)
				mu.Lock()
				defer mu.Unlock()
				happened[f.name()] = happened[f.name()] || did
			})
		}
	})
	for kind, did := range happened {
		if !did {
			t.Errorf("no fault of kind %s happened: the test does not reach it", kind)
		}
	}
}

func needTracer(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	out, err := exec.Command("strace", "-D", "-f", "--seccomp-bpf", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=fsync", "true").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Skipf("strace cannot trace here: %v %s", err, out)
	}
}

// happens runs a gateway into the fault, and a second one after it. It reports
// whether the fault was reached.
func (f fault) happens(t *testing.T, number int) (reached bool) {
	sink := smtptest.Scripted(t, smtptest.Polite)
	dir, trace := smallDisk(t, 256), filepath.Join(t.TempDir(), "trace")
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}
	l := &traffic{name: fmt.Sprintf("f%d", number)}
	p, err := start(t, setup{dir: dir, wrap: f.tracer(dir, trace), sets: sets})
	if err == nil {
		stop := l.start(p.smtp, 4)
		eventually(2*time.Second, func() bool { return p.ended() || l.refused.Load() > 0 || f.injected(trace) })
		time.Sleep(100 * time.Millisecond) // what comes after it
		stop()
		f.checkRefusing(t, p, l, trace)
	}
	reached = f.injected(trace) || p.ended() && err == nil && f.kills() || err != nil
	p.kill()
	if err != nil && !f.kills() && p.log.String() == "" {
		t.Errorf("the start failed without a word: %v", err)
	}
	if wrong := l.wrong.Load(); wrong != nil {
		t.Errorf("a client was told %q, want 4xx or a closed connection", *wrong)
	}
	l.checkKept(t, dir, sets, sink)
	return reached
}

// injected reports whether strace has made a call fail.
func (f fault) injected(trace string) bool {
	text, _ := os.ReadFile(trace)
	return strings.Contains(string(text), "(INJECTED)")
}

// checkRefusing: once the disk is in doubt, nothing more is taken. A full disk
// is in no doubt where only the checkpoint or a new segment asked for room.
func (f fault) checkRefusing(t *testing.T, p *process, l *traffic, trace string) {
	if f.kills() || f.on == "any" || f.on == "index" && f.what == "error=ENOSPC" || !f.injected(trace) {
		return
	}
	// Not every failed call is noticed by the client that caused it: the journal
	// is written behind, the checkpoint once a second.
	try := func() bool {
		c, err := dialSMTP(p.smtp)
		if err != nil {
			return false
		}
		defer c.close()
		id := fmt.Sprintf("%s-late%d", l.name, l.late.Add(1))
		err = c.send("a@esp.test", id+"@dest.test", letter(id, 100))
		l.note(id, err)
		return err == nil
	}
	if !eventually(20*time.Second, func() bool { return !try() }) {
		t.Error("mail is still taken 20 s after the failure")
		return
	}
	for range 5 {
		if try() {
			t.Error("mail was refused after the failure and is taken again")
		}
	}
	if f.when > 20 { // one of two: it takes a while
		return
	}
	if p.terminate(); !p.ended() {
		t.Error("SIGTERM after the failure did not end it")
	}
}

// traffic is a few clients that submit, and what they were told.
type traffic struct {
	answers
	name    string
	refused atomic.Int64 // 4xx
	wrong   atomic.Pointer[string]
	late    atomic.Int64
}

// note keeps what the client of one message was told.
func (l *traffic) note(id string, err error) {
	reply := refusal(err)
	switch {
	case err == nil:
		l.add(id)
	case strings.HasPrefix(reply, "4"):
		l.refused.Add(1)
	case reply != "":
		l.wrong.Store(&reply)
	}
}

// start submits over a number of sessions, each of which goes on after a 4xx,
// until stop is called or the gateway is gone.
func (l *traffic) start(address string, sessions int) (stop func()) {
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for session := range sessions {
		wg.Go(func() {
			c, err := dialSMTP(address)
			if err != nil {
				return
			}
			defer c.close()
			for n := 0; !stopped.Load(); n++ {
				id := l.name + "-s" + strconv.Itoa(session) + "-n" + strconv.Itoa(n)
				err := c.send("a@esp.test", id+"@dest.test", letter(id, 20_000))
				l.note(id, err)
				if err != nil && (refusal(err) == "" || c.do("RSET", "250") != nil) {
					return
				}
				if err != nil {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	return func() { stopped.Store(true); wg.Wait() }
}

// checkKept starts the gateway as it is usually started and waits for all that
// was answered 250.
func (l *traffic) checkKept(t *testing.T, dir string, sets []string, sink *smtptest.Server) {
	t.Helper()
	p := mustStart(t, setup{dir: dir, sets: sets})
	defer p.kill()
	if missing := awaitAll(sink, &l.answers); len(missing) > 0 {
		t.Errorf("%d of %d messages answered 250 are missing, the first is %s", len(missing), l.len(), missing[0])
	}
}

// smallDisk returns a directory on a file system of its own, of so many MiB,
// where the store keeps small segments; without the right to mount one it is a
// usual directory.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir, err := mountDisk(t, megabytes)
	if err != nil {
		return t.TempDir()
	}
	return dir
}

func mountDisk(t *testing.T, megabytes int) (string, error) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "tidepost-test", dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mount: %w: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return filepath.Join(dir, "data"), nil
}
