package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// inbox is an Inbound that takes mail for two addresses and keeps what it got.
type inbox struct {
	mu    sync.Mutex
	asked []string
	list  []Incoming
	err   error // what Deliver says instead
}

func (b *inbox) recipient(_ context.Context, address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, address)
	switch strings.ToLower(address) {
	case "b-token@bounce.test", "postmaster", "postmaster@bounce.test":
		return nil
	case "later@bounce.test":
		return errors.New("the store does not answer")
	}
	return &gateway.Reply{Code: 550, Status: "5.1.1", Text: "no such mailbox here"}
}

func (b *inbox) deliver(_ context.Context, m *Incoming) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	kept := *m
	kept.Content = bytes.Clone(m.Content)
	b.list = append(b.list, kept)
	return nil
}

func (b *inbox) all() []Incoming {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list
}

// newInboundServer is one whose clients nobody trusts.
func newInboundServer(b *inbox) *Server {
	return &Server{
		Hostname: "mx.test",
		TLS:      testCert(),
		Inbound:  &Inbound{Recipient: b.recipient, Deliver: b.deliver},
		Log:      slog.New(slog.DiscardHandler),
		Limits:   Limits{ErrorDelay: time.Millisecond},
	}
}

const bounce = "From: <MAILER-DAEMON@far.test>\r\nSubject: Undelivered\r\nContent-Type: multipart/report\r\n\r\n..gone\r\n"

// stuffed is how it goes over the wire with DATA.
var stuffed = strings.ReplaceAll(bounce, "\r\n.", "\r\n..") + ".\r\n"

const bounceEnvelope = "MAIL FROM:<>\r\nRCPT TO:<b-token@bounce.test>\r\n"

func TestInbound(t *testing.T) {
	toData := on(bounceEnvelope+"DATA\r\n", "250 2.1.0", "250 2.1.5", "354")
	for _, tt := range []struct {
		story  string
		server func(*Server, *inbox)
		steps  []step
		want   []Incoming
	}{
		{"a bounce from <> is taken", nil,
			[]step{toData, on(stuffed, "250 2.0.0 Ok")},
			[]Incoming{{Recipients: []string{"b-token@bounce.test"}, Content: []byte(bounce)}}},
		{"and in chunks", nil,
			[]step{on(fmt.Sprintf("%sBDAT %d\r\n%sBDAT 0 LAST\r\n", bounceEnvelope, len(bounce), bounce), "250", "250", "250", "250 2.0.0 Ok")},
			[]Incoming{{Recipients: []string{"b-token@bounce.test"}, Content: []byte(bounce)}}},
		{"any sender, as written; what a sender for the world may add is harmless", nil,
			[]step{
				on("MAIL FROM:<MAILER-DAEMON> SIZE=99 RET=HDRS ENVID=x BODY=8BITMIME\r\nRCPT TO:<b-token@BOUNCE.test> NOTIFY=NEVER\r\nDATA\r\n", "250", "250", "354"),
				on(stuffed, "250 2.0.0 Ok"),
				on("MAIL FROM:<\"odd one\"@far..test>\r\nRCPT TO:<B-TOKEN@bounce.test>\r\nDATA\r\n", "250", "250", "354"),
				on(stuffed, "250 2.0.0 Ok")},
			[]Incoming{
				{From: "MAILER-DAEMON", Recipients: []string{"b-token@BOUNCE.test"}, Content: []byte(bounce)},
				{From: `"odd one"@far..test`, Recipients: []string{"B-TOKEN@bounce.test"}, Content: []byte(bounce)}}},
		{"postmaster is there, also without a domain; the same address counts once", nil,
			[]step{
				on("MAIL FROM:<>\r\nRCPT TO:<PostMaster>\r\nRCPT TO:<postmaster@bounce.test>\r\nRCPT TO:<PostMaster>\r\nDATA\r\n", "250", "250", "250", "250", "354"),
				on(stuffed, "250 2.0.0 Ok")},
			[]Incoming{{Recipients: []string{"PostMaster", "postmaster@bounce.test"}, Content: []byte(bounce)}}},
		{"an unknown recipient is refused, the one beside it is not", nil,
			[]step{
				on("MAIL FROM:<>\r\nRCPT TO:<nobody@bounce.test>\r\nRCPT TO:<b-token@bounce.test>\r\nDATA\r\n", "250", "550 5.1.1 no such", "250", "354"),
				on(stuffed, "250 2.0.0 Ok")},
			[]Incoming{{Recipients: []string{"b-token@bounce.test"}, Content: []byte(bounce)}}},
		{"nobody relays", nil,
			[]step{
				on("MAIL FROM:<a@far.test>\r\nRCPT TO:<victim@elsewhere.test>\r\nDATA\r\n", "250", "550 5.1.1", "554 5.5.1 no valid")},
			nil},
		{"nor by a route", nil,
			[]step{
				on("MAIL FROM:<a@far.test>\r\nRCPT TO:<victim%elsewhere.test@bounce.test>\r\nRCPT TO:<@bounce.test:victim@elsewhere.test>\r\nRCPT TO:<elsewhere.test!victim@bounce.test>\r\n", "250", "550 5.7.1", "550 5.7.1", "550 5.7.1")},
			nil},
		{"malformed recipients do not reach the handler", nil,
			[]step{
				on("MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:<b-token>\r\nRCPT TO:<b token@bounce.test>\r\nRCPT TO:<\xff@bounce.test>\r\n", "250", "501", "501", "501", "550 5.6.7")},
			nil},
		{"no AUTH is offered or taken", nil,
			[]step{on("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503 5.5.1 authentication is not enabled"), on(bounceEnvelope, "250", "250")}, nil},
		{"credentials change nothing", func(s *Server, _ *inbox) { s.SetCredentials([]gateway.Credential{ann()}) },
			[]step{on("AUTH LOGIN\r\n", "503 5.5.1"), on("MAIL FROM:<a@acme.test>\r\nRCPT TO:<victim@elsewhere.test>\r\n", "250", "550 5.1.1")}, nil},
		{"what concerns planning is unknown", nil,
			[]step{on("MAIL FROM:<> BY=99;R\r\nMAIL FROM:<> MT-PRIORITY=3\r\nMAIL FROM:<> HOLDFOR=9\r\n", "555", "555", "555")}, nil},
		{"a recipient that cannot be judged now may come again", nil,
			[]step{on("MAIL FROM:<>\r\nRCPT TO:<later@bounce.test>\r\n", "250", "451 4.3.0")}, nil},
		{"a handler that fails is told as 451, and nothing is lost by it", func(_ *Server, b *inbox) { b.err = errors.New("no") },
			[]step{toData, on(stuffed, "451 4.3.0"), toData, on(stuffed, "451 4.3.0")}, nil},
		{"a handler may say why", func(_ *Server, b *inbox) {
			b.err = fmt.Errorf("judging: %w", &gateway.Reply{Code: 554, Status: "5.6.0", Text: "neither bounce nor complaint"})
		}, []step{toData, on(stuffed, "554 5.6.0 neither")}, nil},
		{"the store is full", func(_ *Server, b *inbox) { b.err = gateway.ErrFull },
			[]step{toData, on(stuffed, "452 4.3.1")}, nil},
		{"too large, as declared", nil,
			[]step{on("MAIL FROM:<> SIZE=11000000\r\n", "552 5.3.4")}, nil},
		{"too large, as it came", func(s *Server, _ *inbox) { s.Limits.MaxMessageBytes = 20 },
			[]step{toData, on(stuffed, "552 5.3.4"), toData, on("x: y\r\n\r\n.\r\n", "250 2.0.0")},
			[]Incoming{{Recipients: []string{"b-token@bounce.test"}, Content: []byte("x: y\r\n\r\n")}}},
		{"a bare LF is mended", nil,
			[]step{toData, on("Subject: x\n\nold\nsystem\x00\r\n.\r\n", "250 2.0.0")},
			[]Incoming{{Recipients: []string{"b-token@bounce.test"}, Content: []byte("Subject: x\r\n\r\nold\r\nsystem \r\n")}}},
		{"unless it is to be refused", func(s *Server, _ *inbox) { s.BareNewline = BareReject },
			[]step{toData, on("Subject: x\n\nold\r\n.\r\n", "550 5.5.2")}, nil},
		{"who talks before the answer to DATA is hung up on", nil,
			[]step{on(bounceEnvelope+"DATA\r\nSubject: x\r\n", "250", "250", "554 5.5.0", closed)}, nil},
	} {
		t.Run(tt.story, func(t *testing.T) {
			t.Parallel()
			b := &inbox{}
			srv := newInboundServer(b)
			if tt.server != nil {
				tt.server(srv, b)
			}
			story{steps: tt.steps}.tell(dial(t, serve(t, srv), plain))
			checkIncoming(t, b.all(), tt.want)
		})
	}
}

func checkIncoming(t *testing.T, got, want []Incoming) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages were delivered, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		w.Received, w.Client, w.Helo, w.Protocol = g.Received, "127.0.0.1", "client.test", "ESMTP"
		if fmt.Sprintf("%q", g.Content) != fmt.Sprintf("%q", w.Content) || fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", w) || time.Since(g.Received) > time.Hour {
			t.Errorf("delivered\n%+v\nwant\n%+v", g, w)
		}
	}
}

// What EHLO offers the world, in clear text and over TLS.
func TestInboundCapabilities(t *testing.T) {
	for _, m := range []mode{plain, startTLS} {
		b := &inbox{}
		srv := newInboundServer(b)
		srv.MaxHold = time.Hour
		srv.SetCredentials([]gateway.Credential{ann()})
		c := dial(t, serve(t, srv), m)
		c.send("EHLO client.test\r\n")
		got, err := c.reply()
		if err != nil {
			t.Fatal(err)
		}
		want := "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 10747904\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES"
		if m == startTLS {
			want = strings.Replace(want, "250-STARTTLS\r\n", "", 1)
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: EHLO offers %q, want %q", m, got, want)
		}
		c.say("MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<b-token@bounce.test>\r\nDATA\r\n", "250", "250", "354")
		c.say(stuffed, "250")
		if p := b.all()[0]; m == startTLS && (p.Protocol != "UTF8SMTPS" || p.TLSVersion != "TLS1.3" || p.TLSCipher == "") {
			t.Errorf("over TLS it came as %+v", p)
		}
	}
}

// F1–F10: false ends are none here either. What follows one is content, mended, and
// never a second message.
func TestInboundFalseEndings(t *testing.T) {
	for _, e := range append(endings, struct{ id, bytes, reply string }{"F9", "\r\r\n", ""}) {
		b := &inbox{}
		c := dial(t, serve(t, newInboundServer(b)), plain)
		text := "Subject: first\r\n\r\nbody" + e.bytes + "MAIL FROM:<smug@x.test>\r\nRCPT TO:<b-token@bounce.test>\r\nDATA\r\nboo\r\n"
		c.say(bounceEnvelope+"DATA\r\n", "250", "250", "354")
		c.say(text+".\r\n", "250 2.0.0 Ok")
		c.quiet()
		c.say(fmt.Sprintf("%sBDAT %d LAST\r\n%s", bounceEnvelope, len(text), text), "250", "250", "250 2.0.0 Ok")
		c.quiet()
		if n := len(b.all()); n != 2 {
			t.Fatalf("%s: %d messages, want 2", e.id, n)
		}
		for _, m := range b.all() {
			checkLines(t, string(m.Content))
			if m.From != "" || !bytes.Contains(m.Content, []byte("MAIL FROM:<smug@x.test>\r\nRCPT TO:")) {
				t.Errorf("%s: delivered %q from %q", e.id, m.Content, m.From)
			}
		}
	}
}

// Who looks for addresses is sent away after Limits.HardErrors of them.
func TestInboundHarvest(t *testing.T) {
	b := &inbox{}
	c := dial(t, serve(t, newInboundServer(b)), plain)
	c.say("MAIL FROM:<a@far.test>\r\n", "250")
	var send strings.Builder
	want := times(20, "550 5.1.1")
	for i := range 21 {
		fmt.Fprintf(&send, "RCPT TO:<user%d@bounce.test>\r\n", i)
	}
	c.say(send.String(), append(want, "550 5.1.1", "421 4.7.0 too many errors", closed)...)
	if n := len(b.asked); n != 21 {
		t.Errorf("the handler was asked %d times", n)
	}
}

// One message has at most 20 recipients; the rest may come with the next.
func TestInboundRecipients(t *testing.T) {
	b := &inbox{}
	srv := newInboundServer(b)
	srv.Inbound.Recipient = func(context.Context, string) error { return nil }
	c := dial(t, serve(t, srv), plain)
	var send strings.Builder
	for i := range 22 {
		fmt.Fprintf(&send, "RCPT TO:<user%d@bounce.test>\r\n", i)
	}
	c.say("MAIL FROM:<>\r\n"+send.String()+"DATA\r\n", append(append([]string{"250"}, times(20, "250")...), "452 4.5.3", "452 4.5.3", "354")...)
	c.say(stuffed, "250 2.0.0")
	if m := b.all(); len(m) != 1 || len(m[0].Recipients) != 20 {
		t.Errorf("delivered %+v", m)
	}
}

// Large bounces are kept in memory, as far as the budget reaches, and leave none
// of it behind.
func TestInboundLarge(t *testing.T) {
	b := &inbox{}
	srv := newInboundServer(b)
	srv.Budget = NewBudget(32 << 20)
	addr := serve(t, srv)
	text := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 10<<10)
	c := dial(t, addr, plain)
	c.say(bounceEnvelope+"DATA\r\n", "250", "250", "354")
	c.say(text+".\r\n", "250 2.0.0")
	if m := b.all(); len(m) != 1 || string(m[0].Content) != text {
		t.Fatalf("a message of %d bytes was delivered as %d", len(text), len(m))
	}
	hold := int64(32<<20 - 6<<20)
	if !srv.Budget.TryAcquire(hold) {
		t.Fatal("the message's memory was not given back")
	}
	c.say(bounceEnvelope+"DATA\r\n", "250", "250", "354")
	c.say(text+".\r\n", "452 4.3.1")
	c.say(bounceEnvelope+"DATA\r\n", "250", "250", "354")
	c.say(stuffed, "250 2.0.0") // small ones go on
	srv.Budget.Release(hold)
	until(t, "all memory is back", func() bool { return srv.Budget.TryAcquire(32 << 20) })
}

// A panic in a handler costs its connection, not the server; 200 connections at
// once are served; one address may have no more than its share.
func TestInboundConnections(t *testing.T) {
	b := &inbox{}
	srv := newInboundServer(b)
	srv.Limits.MaxPerAddress = 200
	recipient := srv.Inbound.Recipient
	srv.Inbound.Recipient = func(ctx context.Context, address string) error {
		if strings.HasPrefix(address, "panic") {
			panic("in the handler")
		}
		return recipient(ctx, address)
	}
	addr := serve(t, srv)
	c := dial(t, addr, plain)
	c.say("MAIL FROM:<>\r\nRCPT TO:<panic@bounce.test>\r\n", "250", "421 4.3.0", closed)
	until(t, "it is gone", func() bool { return srv.Metrics.Open.Load() == 0 })
	clients := make([]*client, 200)
	for i := range clients {
		clients[i] = dial(t, addr, plain)
	}
	connect(t, addr, plain).want("421 4.3.2", closed)
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			c.send(bounceEnvelope + "DATA\r\n")
			for _, want := range []string{"250", "250", "354"} {
				if got, err := c.reply(); err != nil || !strings.HasPrefix(got, want) {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
			c.send(stuffed)
			if got, err := c.reply(); err != nil || !strings.HasPrefix(got, "250") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := len(b.all()); n != 200 {
		t.Errorf("%d messages, want 200", n)
	}
}

// A server that lacks a part of its Inbound does not start.
func TestInboundIncomplete(t *testing.T) {
	for _, in := range []*Inbound{{}, {Recipient: (&inbox{}).recipient}, {Deliver: (&inbox{}).deliver}} {
		if err := (&Server{Inbound: in}).init(); err == nil {
			t.Errorf("%+v starts", in)
		}
	}
}
