//go:build linux

package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

// TestDiskFull fills the disk while the next hop stands still. New mail is
// refused for the time being and before the reserve is touched, what is queued
// still leaves, also after a kill, and mail is taken again when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir, err := mountDisk(t, 64)
	if err != nil {
		t.Skipf("a small disk is needed, and root to make it: %v", err)
	}
	gate := make(chan struct{})
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			<-gate
		}
		return smtptest.Polite(cmd)
	})
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}
	ballast := filepath.Join(filepath.Dir(dir), "ballast")
	if err := os.WriteFile(ballast, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, dir, nil, sets...)
	l := &traffic{name: "full"}
	if reply := l.fill(t, p.smtp, 100_000); !strings.HasPrefix(reply, "452 4.3.1") {
		t.Errorf("when the disk was full a client was told %q, want 452 4.3.1", reply)
	}
	free, total := space(t, dir)
	if free < total/50 {
		t.Errorf("%d KiB of %d MiB are left when mail is refused: the reserve of 2 %% was touched", free>>10, total>>20)
	}
	if l.len() < 50 {
		t.Errorf("only %d messages were taken", l.len())
	}
	// A message too large for memory has a file of its own.
	if reply := l.fill(t, p.smtp, 3<<20); !strings.HasPrefix(reply, "452 4.3.1") {
		t.Errorf("a large message was answered %q, want 452 4.3.1", reply)
	}
	close(gate)
	if missing := awaitAll(sink, &l.answers); len(missing) > 0 {
		t.Errorf("with the disk full %d of %d messages did not leave", len(missing), l.len())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again := &traffic{name: "again"}
	if !eventually(30*time.Second, func() bool { return again.one(p.smtp, 1000) == nil }) {
		t.Error("mail is not taken again 30 s after there was room")
	}
	if missing := awaitAll(sink, &again.answers); len(missing) > 0 {
		t.Error("what was taken after that did not leave")
	}
	if n := len(sink.Messages()); n != l.len()+again.len() {
		t.Errorf("%d messages left, want %d", n, l.len()+again.len())
	}
}

// TestDiskFullRestart kills a gateway whose disk is full. It must come up
// again, because delivering is what makes room.
func TestDiskFullRestart(t *testing.T) {
	t.Parallel()
	dir, err := mountDisk(t, 64)
	if err != nil {
		t.Skipf("a small disk is needed, and root to make it: %v", err)
	}
	sink := smtptest.Scripted(t, smtptest.Polite)
	p := startProcess(t, dir, nil, "route.mode=smarthost", "route.smarthost=127.0.0.1:1") // nobody there
	l := &traffic{name: "full"}
	l.fill(t, p.smtp, 100_000)
	p.kill()
	for hop := range 3 { // two starts without a next hop, so that a start alone costs nothing for good
		smarthost := "127.0.0.1:1"
		if hop == 2 {
			smarthost = sink.Addr()
		}
		p, err = start(t, setup{dir: dir, sets: []string{"route.mode=smarthost", "route.smarthost=" + smarthost}})
		if err != nil {
			free, total := space(t, dir)
			t.Fatalf("start %d fails with %d of %d MiB free: %v\n%s", hop+1, free>>20, total>>20, err, p.log)
		}
		l.fill(t, p.smtp, 100_000)
		if hop < 2 {
			p.kill()
		}
	}
	if missing := awaitAll(sink, &l.answers); len(missing) > 0 {
		t.Errorf("after a restart with the disk full %d of %d messages did not leave", len(missing), l.len())
	}
}

// fill submits messages until ten in a row are refused and returns the last
// reply.
func (l *traffic) fill(t *testing.T, address string, size int) string {
	t.Helper()
	var last error
	for refused := 0; refused < 10; {
		err := l.one(address, size)
		switch {
		case err == nil:
			refused = 0
		case refusal(err) == "":
			t.Fatalf("a client lost its connection: %v", err)
		default:
			refused++
			last = err
		}
	}
	return refusal(last)
}

// one submits one message that does not compress.
func (l *traffic) one(address string, size int) error {
	c, err := dialSMTP(address)
	if err != nil {
		return err
	}
	defer c.close()
	id := fmt.Sprintf("%s-%d", l.name, l.late.Add(1))
	err = c.send("a@esp.test", id+"@dest.test", noise(letter(id, 0), size))
	l.note(id, err)
	return err
}

// noise adds random lines to a message.
func noise(message string, size int) string {
	random := make([]byte, 54)
	b := []byte(message)
	for len(b) < size {
		rand.Read(random)
		b = append(base64.StdEncoding.AppendEncode(b, random), "\r\n"...)
	}
	return string(b)
}

func space(t *testing.T, dir string) (free, total int64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize)
}
