package gateway

import (
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	retries := Retries{5 * time.Minute, time.Hour}
	sent := Delivery{State: Sending, Rev: 2, Attempts: 1, Started: now, Expires: now.Add(24 * time.Hour)}
	for _, test := range []struct {
		name    string
		from    func(d *Delivery)
		outcome Outcome
		state   State
		reason  string
		event   EventKind
		wait    time.Duration // ± 10 %
	}{
		{"taken", nil, Outcome{Kind: OutcomeDelivered, Code: 250}, Delivered, "delivered", EventDelivered, 0},
		{"refused for good", nil, Outcome{Kind: OutcomeFailed, Code: 550}, Bounced, "refused", EventBounced, 0},
		{"refused for now", nil, Outcome{Kind: OutcomeDeferred, Code: 451}, Waiting, "retry", EventDeferred, 5 * time.Minute},
		{"no reply after the final dot is a retry, never a loss", nil, Outcome{Kind: OutcomeDeferred}, Waiting, "retry", EventDeferred, 5 * time.Minute},
		{"the last wait repeats", func(d *Delivery) { d.Attempts = 9 }, Outcome{Kind: OutcomeDeferred}, Waiting, "retry", EventDeferred, time.Hour},
		{"one last try at the end", func(d *Delivery) { d.Expires = now.Add(time.Minute) }, Outcome{Kind: OutcomeDeferred}, Waiting, "retry", EventDeferred, time.Minute},
		{"given up", func(d *Delivery) { d.Expires = now }, Outcome{Kind: OutcomeDeferred}, Bounced, "expired", EventBounced, 0},
		{"the client's own deadline is a drop", func(d *Delivery) { d.Deadline, d.HardDeadline = now, true }, Outcome{Kind: OutcomeDeferred}, Dropped, "deadline", EventDropped, 0},
		{"a soft deadline does not", func(d *Delivery) { d.Deadline = now }, Outcome{Kind: OutcomeDeferred}, Waiting, "retry", EventDeferred, 5 * time.Minute},
		{"MAIL was not written: no attempt", nil, Outcome{Kind: OutcomeUnsent}, Waiting, "unsent", EventTakenBack, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := sent
			if test.from != nil {
				test.from(&d)
			}
			n, event := d.After(test.outcome, now, retries)
			if n.State != test.state || n.Reason != test.reason || event.Kind != test.event || n.Rev != d.Rev+1 {
				t.Errorf("got %s %q %s rev %d, want %s %q %s rev %d", n.State, n.Reason, event.Kind, n.Rev, test.state, test.reason, test.event, d.Rev+1)
			}
			if test.wait > 0 {
				if wait := n.Due.Sub(now); wait < test.wait*9/10 || wait > test.wait*11/10 {
					t.Errorf("waits %v, want %v ± 10 %%", wait, test.wait)
				}
			}
			if want := d.Attempts; test.event == EventTakenBack && n.Attempts != want-1 {
				t.Errorf("%d attempts after one that was none, want %d", n.Attempts, want-1)
			}
		})
	}
}

func TestOwes(t *testing.T) {
	bounced := Delivery{State: Bounced}
	taken := Delivery{State: Delivered}
	for _, test := range []struct {
		name   string
		m      Message
		d      Delivery
		notify Notify
		o      Outcome
		want   ReportAction
	}{
		{"a failure, nothing said", Message{From: "a@b.test"}, bounced, 0, Outcome{}, ReportFailed},
		{"a failure of mail from <>", Message{}, bounced, 0, Outcome{}, ""},
		{"a failure, NEVER", Message{From: "a@b.test"}, bounced, NotifyNever, Outcome{}, ""},
		{"a failure, DELAY alone", Message{From: "a@b.test"}, bounced, NotifyDelay, Outcome{}, ""},
		{"success, the next hop tells", Message{From: "a@b.test"}, taken, NotifySuccess, Outcome{}, ""},
		{"success, the next hop cannot tell", Message{From: "a@b.test"}, taken, NotifySuccess, Outcome{Relayed: true}, ReportRelayed},
		{"success nobody asked for", Message{From: "a@b.test"}, taken, 0, Outcome{Relayed: true}, ""},
		{"late", Message{From: "a@b.test"}, Delivery{State: Waiting, Attempts: delayAfter}, NotifyDelay, Outcome{Kind: OutcomeDeferred}, ReportDelayed},
		{"late and told already", Message{From: "a@b.test"}, Delivery{State: Waiting, Attempts: delayAfter, Late: true}, NotifyDelay, Outcome{Kind: OutcomeDeferred}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.d.Notify = test.notify
			got, due := owes(&test.m, &test.d, test.o)
			if !due {
				got = ""
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
