package outbound

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

// destination is a Destination of these hosts.
func destination(hosts ...string) gateway.Destination {
	return gateway.Destination{Name: "test", Hosts: hosts}
}

// open opens a session that ends with the test.
func open(t testing.TB, tr *Transport, hosts ...string) gateway.Session {
	t.Helper()
	s, err := tr.Open(context.Background(), destination(hosts...))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// envelope is an Envelope for these recipients.
func envelope(to ...string) *gateway.Envelope {
	e := &gateway.Envelope{From: "sender@example.com"}
	for _, a := range to {
		e.Recipients = append(e.Recipients, gateway.EnvelopeRecipient{Address: a})
	}
	return e
}

const letter = "Subject: hello\r\n\r\nHello.\r\n.\r\n..two\r\nBye.\r\n"

// send sends letter, or another body, in a minute.
func send(s gateway.Session, e *gateway.Envelope, body ...string) []gateway.Outcome {
	if len(body) == 0 {
		body = []string{letter}
	}
	return s.Send(context.Background(), e, strings.NewReader(body[0]), time.Now().Add(time.Minute))
}

// kinds writes outcomes as "delivered 250 2.0.0, failed 550".
func kinds(out []gateway.Outcome) string {
	names := map[gateway.OutcomeKind]string{gateway.OutcomeDelivered: "delivered", gateway.OutcomeDeferred: "deferred",
		gateway.OutcomeFailed: "failed", gateway.OutcomeUnsent: "unsent", gateway.OutcomeCaptured: "captured"}
	var s []string
	for _, o := range out {
		w := fmt.Sprintf("%s %d %s", names[o.Kind], o.Code, o.Status)
		if o.Busy {
			w += " busy"
		}
		s = append(s, strings.Join(strings.Fields(w), " "))
	}
	return strings.Join(s, ", ")
}

func want(t *testing.T, out []gateway.Outcome, kind string) {
	t.Helper()
	if got := kinds(out); got != kind {
		t.Errorf("outcomes %q, want %q (%v)", got, kind, out)
	}
}

func TestSendToGoSMTP(t *testing.T) {
	sink := smtptest.New(t)
	s := open(t, &Transport{Hostname: "mx.example.com"}, sink.Addr())
	for i := range 3 {
		out := send(s, envelope("a@example.net", "b@example.net"))
		want(t, out, "delivered 250 2.0.0, delivered 250 2.0.0")
		m := sink.Messages()
		if len(m) != i+1 {
			t.Fatalf("%d messages arrived, want %d", len(m), i+1)
		}
		if got := string(m[i].Data); got != letter {
			t.Errorf("arrived as %q, want %q", got, letter)
		}
		if m[i].From != "sender@example.com" || fmt.Sprint(m[i].To) != "[a@example.net b@example.net]" {
			t.Errorf("envelope %q %q", m[i].From, m[i].To)
		}
	}
	if n := sink.Connections.Load(); n != 1 || !s.Usable() {
		t.Errorf("%d connections, usable %v: want one that is", n, s.Usable())
	}
}

// TestWire is F11: whatever is in the content, nothing bare gets on the wire
// to a host that would take it, and what is well-formed arrives as it was.
func TestWire(t *testing.T) {
	sink := smtptest.Scripted(t, smtptest.Polite)
	s := open(t, &Transport{}, sink.Addr())
	ends := []string{"\n.\n", "\n.\r", "\n.\r\n", "\r.\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\n",
		"\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\n"}
	for i, end := range ends {
		want(t, send(s, envelope("a@x"), "one"+end+"MAIL FROM:<smug@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nSubject: smuggled\r\n"), "delivered 250 2.0.0")
		m := sink.Messages()
		if len(m) != i+1 {
			t.Fatalf("%q: %d messages, want %d", end, len(m), i+1)
		}
		rest := strings.ReplaceAll(string(m[i].Wire), "\r\n", "")
		if strings.ContainsAny(rest, "\r\n\x00") {
			t.Errorf("%q: on the wire %q", end, m[i].Wire)
		}
	}
	want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
	if got := string(sink.Messages()[len(ends)].Data); got != letter {
		t.Errorf("arrived as %q", got)
	}
}
