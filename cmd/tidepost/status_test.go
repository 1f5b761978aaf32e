package main

import (
	"strings"
	"testing"
)

// A hint is shown, and nobody is woken for it: the exit status is that of no problem.
func TestStatusShowsHints(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/status": `{"version": "1", "mode": "mx", "accepting": true, "bus": {"connected": true},
		"hints": [{"text": "0 signals in 24 h: three ways to connect them", "ways": ["tracking", "webhooks", "NATS"]}], "problems": []}`})
	status, out, errs := g.tidepost(t, "", "status")
	if status != exitDone || errs != "" {
		t.Errorf("exit status %d: %s", status, errs)
	}
	_, hint, _ := strings.Cut(out, "hint")
	if got := strings.Fields(hint); strings.Join(got, " ") != "0 signals in 24 h: three ways to connect them way 1 tracking way 2 webhooks way 3 NATS" || strings.Count(hint, "\n") != 4 {
		t.Errorf("printed\n%s", out)
	}
}
