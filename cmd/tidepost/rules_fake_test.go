package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const someRules = `{"version": 7, "by": "ops\u001b[2J", "at": "2026-11-20T10:00:00Z", "note": "spring", "text": "[[rule]]\nname = 'x'\u001b\n",
	"rules": [{"name": "sunset", "version": 3, "state": "shadow", "tripped": true, "class": ["newsletter"], "tenant": ["acme"], "when": "a &&\n  b", "then": "drop('x')",
		"stats": {"evaluated": 10, "fired": 2, "undecided": 5, "failed": 1}}]}`

func TestRulesListOfAFake(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/rules": someRules, "GET /api/v1/rules/history/7": someRules})
	status, stdout, stderr := g.tidepost(t, "", "rules", "list")
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{`version 7, by ops\x1b[2J at`, ": spring", "sunset", "shadow, failed too often", "tenant acme, newsletter", "a && b", "drop('x')"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, stdout, _ = g.tidepost(t, "", "rules", "list", "--json"); !json.Valid([]byte(stdout)) {
		t.Errorf("--json: %s", stdout)
	}
	if _, stdout, _ = g.tidepost(t, "", "rules", "show", "7"); stdout != "[[rule]]\nname = 'x'\x1b\n" { // to a pipe as it is
		t.Errorf("show: %q", stdout)
	}
}

// What a gateway of another version finds wrong is shown at its place, too.
func TestRulesApplyToAFake(t *testing.T) {
	const problem = `400|{"detail": "1 mistake", "errors": [{"file": "rules.toml", "line": 3, "column": 9, "rule": "a", "message": "is too new"}]}`
	text := "[[rule]]\nname = 'a'\nwhen = \"\tmessage.size > 1\"\nthen = 'allow'\n"
	file := put(t, t.TempDir(), "a.toml", text)
	g := newFakeGateway(t, map[string]string{"PUT /api/v1/rules": problem, "POST /api/v1/rules/backtest": problem})
	for _, command := range [][]string{{"rules", "apply", file}, {"rules", "backtest", file}} {
		status, _, stderr := g.tidepost(t, "", command...)
		if want := file + ":3:9: rule a: is too new\n    when = \"\tmessage.size > 1\"\n            ^\n"; status != exitFailed || stderr != want {
			t.Errorf("%v: status %d: %q, want %q", command, status, stderr, want)
		}
	}
	g = newFakeGateway(t, map[string]string{"PUT /api/v1/rules": `{"version": 4, "files": "/etc/rules", "changes": {"reordered": true}}`})
	if status, stdout, stderr := g.tidepost(t, "y\n", "rules", "apply", file); status != exitFailed || !strings.Contains(stdout, "another order") || !strings.Contains(stderr, "/etc/rules") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

// Lines of progress end with the result, or with what went wrong.
func TestLastLine(t *testing.T) {
	c := &client{server: "http://gateway.test"}
	for _, x := range []struct{ body, want, err string }{
		{"{\"progress\":0.5}\n{\"result\":{\"decisions\":1}}\n", `{"decisions":1}`, ""},
		{"{\"progress\":0.5}\n{\"problem\":\"it broke\",\"remedy\":\"again\"}\n", "", "it broke; again"},
		{"{\"progress\":0.5}\n", "", "stopped in the middle"},
		{"<html>", "", "stopped in the middle"},
	} {
		var shown []float64
		doc, err := c.lastLine(strings.NewReader(x.body), func(share float64) { shown = append(shown, share) })
		if string(doc) != x.want || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("%q: %s, %v", x.body, doc, err)
		}
	}
}

func TestAuditOfAFake(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/audit": `{"items": [
		{"at": "2026-11-20T10:00:00Z", "kind": "rule_changed", "what": "changed", "by": "ops\u009b", "subject": "rules version 2", "before": "a\nb\n", "after": "a\nb\nc\n", "note": "n"},
		{"at": "2026-11-20T10:00:00Z", "kind": "setting", "what": "paused", "by": "ops", "subject": "pause/tenant/acme", "before": "going", "after": "paused"}]}`})
	status, stdout, stderr := g.tidepost(t, "", "audit", "--since", "7d", "--by", "ops")
	if status != exitDone || !strings.Contains(g.asked[0], "by=ops") || !strings.Contains(g.asked[0], "since=") {
		t.Fatalf("status %d: %s; asked %q", status, stderr, g.asked)
	}
	for _, want := range []string{"rule_changed changed", "rules version 2", "2 lines", "3 lines", `ops\x9b`, "going", "paused"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	g = newFakeGateway(t, map[string]string{"GET /api/v1/audit": "at,kind\n"})
	if status, stdout, stderr := g.tidepost(t, "", "audit", "--export", "csv"); status != exitDone || stdout != "at,kind\n" {
		t.Errorf("status %d: %q%s", status, stdout, stderr)
	}
	g = newFakeGateway(t, map[string]string{"GET /api/v1/audit": `403|{"detail": "a viewer may"}`})
	if status, _, stderr := g.tidepost(t, "", "audit", "--export", "csv"); status != exitFailed || !strings.Contains(stderr, "a viewer may") {
		t.Errorf("status %d: %s", status, stderr)
	}
}
