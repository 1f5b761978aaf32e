package admin

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// hooks is what a Server is told by its webhooks, and notes what it is asked.
type hooks struct {
	asked    []string
	problems []string
	fail     error
}

func (h *hooks) List() any          { return []map[string]string{{"name": "shop", "state": "down"}} }
func (h *hooks) Problems() []string { return h.problems }

func (h *hooks) Test(_ context.Context, name string) (any, error) {
	h.asked = append(h.asked, "test "+name)
	return map[string]bool{"taken": true}, h.fail
}

func (h *hooks) Enable(_ context.Context, name, actor string) error {
	h.asked = append(h.asked, "enable "+name+" by "+actor)
	return h.fail
}

func (h *hooks) Redeliver(_ context.Context, name string, r Redelivery) (any, error) {
	h.asked = append(h.asked, fmt.Sprint("redeliver ", name, " ", r.Since.UTC().Format(time.RFC3339), " ", r.Kind, r.Event))
	return map[string]int{"sent": 3}, h.fail
}

func TestWebhooks(t *testing.T) {
	h := &hooks{}
	w := newWorld(t, func(w *world) { w.Webhooks = h })
	if a := w.get("/api/v1/webhooks"); len(a.Items) != 1 || a.Items[0].Name != "shop" || a.Items[0].State != "down" {
		t.Errorf("%+v", a.Items)
	}
	w.ask(Operator, "POST", "/api/v1/webhooks/shop/test", "", 200)
	w.ask(Operator, "POST", "/api/v1/webhooks/shop/enable", "", 204)
	w.ask(Operator, "POST", "/api/v1/webhooks/shop/redeliver", `{"since":"2026-11-20T10:00:00Z","kind":"bounced"}`, 200)
	w.ask(Operator, "POST", "/api/v1/webhooks/shop/redeliver", `{"event":"e"}`, 200)
	if want := []string{"test shop", "enable shop by the-operator", "redeliver shop 2026-11-20T10:00:00Z bounced", "redeliver shop 0001-01-01T00:00:00Z e"}; !reflect.DeepEqual(h.asked, want) {
		t.Errorf("asked %q, want %q", h.asked, want)
	}
	for _, what := range []string{"test", "enable", "redeliver"} {
		w.ask(Viewer, "POST", "/api/v1/webhooks/shop/"+what, `{"event":"e"}`, 403)
	}
	if a := w.ask(Operator, "POST", "/api/v1/webhooks/shop/redeliver", `{}`, 400); a.Field != "since" {
		t.Errorf("%+v", a)
	}
	if a := w.ask(Operator, "POST", "/api/v1/webhooks/shop/redeliver", `{"since":"2026-11-20T10:00:00Z","until":"2026-11-19T10:00:00Z"}`, 400); a.Field != "until" {
		t.Errorf("%+v", a)
	}
	h.fail = fmt.Errorf("no webhook has that name: %w", gateway.ErrNotFound)
	w.ask(Operator, "POST", "/api/v1/webhooks/nobody/enable", "", 404)
	w.ask(Operator, "POST", "/api/v1/webhooks/nobody/test", "", 404)
}

func TestWebhookProblems(t *testing.T) {
	h := &hooks{problems: []string{"Webhook shop takes nothing for 31m0s: \x1b answered 503."}}
	w := newWorld(t, func(w *world) { w.Webhooks, w.Gateway.Held = h, false })
	p := w.status().Problems
	if len(p) != 1 || p[0].Runbook != "runbook#webhook-down" || !strings.Contains(p[0].Text, `\x1b answered 503`) {
		t.Errorf("%+v", p)
	}
}

func TestNoWebhooks(t *testing.T) {
	w := newWorld(t, nil)
	for _, what := range []string{"test", "enable", "redeliver"} {
		w.ask(Operator, "POST", "/api/v1/webhooks/shop/"+what, map[string]string{"redeliver": `{"event":"e"}`}[what], 501)
	}
	w.ask(Viewer, "GET", "/api/v1/webhooks", "", 501)
}
