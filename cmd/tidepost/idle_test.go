package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdleConnections opens 2,000 connections that say nothing, or as many as
// TESTING_IDLE says: a new session works beside them.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	n := 2000
	if v := os.Getenv("TESTING_IDLE"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	// Above three quarters of the limit idle clients are sent away quickly.
	p := startProcess(t, t.TempDir(), nil, fmt.Sprintf("smtp.max_connections=%d", n*3/2))
	before := residentKiB(t, p)
	idle := make([]*smtpClient, n)
	for i := range idle {
		c, err := greetSMTP(p.smtp)
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer c.close()
		idle[i] = c
	}
	if err := mustDial(t, p.smtp).send("a@esp.test", "b@dest.test", letter("busy", 1000)); err != nil {
		t.Errorf("a session beside %d idle ones: %v", n, err)
	}
	after := residentKiB(t, p)
	t.Logf("%d idle connections: resident memory %d MiB, %d MiB before, %.1f KiB a connection", n, after>>10, before>>10, float64(after-before)/float64(n))
	for _, c := range []*smtpClient{idle[0], idle[n/2], idle[n-1]} {
		c.conn.SetDeadline(time.Now().Add(30 * time.Second))
		if err := c.do("EHLO client.test", "250"); err != nil {
			t.Errorf("an idle connection does not work any more: %v", err)
		}
	}
}

// residentKiB is the memory that a process has, 0 where that cannot be told.
func residentKiB(t *testing.T, p *process) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return n
}

// TestConnectionLimits: one connection too many is told so, in all or from one
// address, and those that are there are not harmed. Trusted networks have no
// limit of their own.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		sets []string
		fit  int
	}{
		{"in all", []string{"smtp.max_connections=12"}, 12},
		{"from one address", []string{"smtp.max_per_address=5", "smtp.trusted_networks=[]"}, 5},
		{"from a trusted address", []string{"smtp.max_connections=12", "smtp.max_per_address=5"}, 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProcess(t, t.TempDir(), nil, test.sets...)
			var there []*smtpClient
			for i := range test.fit {
				c, err := greetSMTP(p.smtp)
				if err != nil {
					t.Fatalf("connection %d of %d: %v", i+1, test.fit, err)
				}
				defer c.close()
				there = append(there, c)
			}
			if _, err := greetSMTP(p.smtp); !strings.HasPrefix(refusal(err), "421 4.3.2") {
				t.Errorf("the connection past the limit: %v, want 421 4.3.2", err)
			}
			for i, c := range there {
				if err := c.do("EHLO client.test", "250"); err != nil {
					t.Errorf("connection %d afterwards: %v", i+1, err)
				}
			}
			there[0].close()
			if !eventually(10*time.Second, func() bool {
				c, err := greetSMTP(p.smtp)
				if err == nil {
					c.close()
				}
				return err == nil
			}) {
				t.Error("when one has gone there is no room for another")
			}
		})
	}
}
