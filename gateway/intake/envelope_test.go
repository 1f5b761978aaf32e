package intake

import (
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// What was said in the transaction is what is submitted.
func TestEnvelope(t *testing.T) {
	o := &outbox{}
	c := dial(t, serve(t, newServer(authTLS, o)), authTLS)
	story{steps: []step{
		on("MAIL FROM:<Ann+x@Client.test> SIZE=20 BODY=8BITMIME RET=hdrs ENVID=a+2Bb+20c AUTH=<> BY=3600;rt MT-PRIORITY=-4 HOLDFOR=60\r\n", "250 2.1.0"),
		on("RCPT TO:<b@there.test> NOTIFY=failure,DELAY ORCPT=rfc822;b+2Bx@there.test\r\n", "250"),
		on("RCPT TO:<b+x@there.test> NOTIFY=NEVER\r\n", "250"), // another address, though the same mailbox
		on("RCPT TO:<b@there.test>\r\n", "250"),                // the same one
		on("RCPT TO:<B@there.test>\r\n", "250"),
		on("RCPT TO:<postmaster>\r\n", "250"),
		on("DATA\r\n", "354"), on("Subject: x\r\n\r\nbody\r\n.\r\n", "250 2.0.0 Ok: queued as 0"),
	}}.tell(c)
	got := o.all()[0]
	m := got.Message
	if m.From != "Ann+x@Client.test" || m.EnvID != "a+b c" || m.Return != "HDRS" || !m.EightBit || m.UTF8 || m.By != gateway.ByReturn || !m.ByTrace || m.Priority != -4 {
		t.Errorf("message %+v", m)
	}
	if m.Tenant != "acme" || m.Audience != "acme" || m.Credential != "ann" || m.Client != "127.0.0.1" || m.Helo != "client.test" || m.Protocol != "ESMTPSA" || m.TLSVersion != "TLS1.3" || m.TLSCipher == "" {
		t.Errorf("message %+v", m)
	}
	s := got.Submission
	if d := time.Until(s.HoldUntil); d < 50*time.Second || d > time.Minute || !s.Prioritised {
		t.Errorf("held for %v, prioritised %v", d, s.Prioritised)
	}
	if d := time.Until(s.ByDeadline); d < 3590*time.Second || d > time.Hour {
		t.Errorf("deadline in %v", d)
	}
	if got.Header != "Subject: x\r\n\r\n" || got.Body != "Subject: x\r\n\r\nbody\r\n" || m.Size != 20 || m.Header != 14 {
		t.Errorf("header %q of %d, body %q of %d", got.Header, m.Header, got.Body, m.Size)
	}
	checkRecipients(t, m.Recipients)
}

func checkRecipients(t *testing.T, got []gateway.Recipient) {
	t.Helper()
	want := []gateway.Recipient{
		{Address: "b@there.test", Canonical: "b@there.test", Notify: gateway.NotifyFailure | gateway.NotifyDelay, Original: "rfc822;b+x@there.test"},
		{Address: "b+x@there.test", Canonical: "b@there.test", Notify: gateway.NotifyNever},
		{Address: "B@there.test", Canonical: "b@there.test"},
		{Address: "postmaster@mx.test", Canonical: "postmaster@mx.test"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d recipients, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		a, _ := address.Parse(w.Address)
		w.Mailbox = gateway.MailboxKey("acme", a.Mailbox())
		if got[i] != w {
			t.Errorf("recipient %d is %+v, want %+v", i, got[i], w)
		}
	}
}

// Many recipients, some of them twice.
func TestManyRecipients(t *testing.T) {
	o := &outbox{}
	c := dial(t, serve(t, newServer(plain, o)), plain)
	c.say(mail, "250")
	c.say(recipients(0, 100)+recipients(50, 150), times(200, "250")...)
	c.say("DATA\r\n", "354")
	c.say("A: b\r\n.\r\n", "250")
	if n := len(o.all()[0].Recipients); n != 150 {
		t.Errorf("%d recipients, want 150", n)
	}
}

func TestProtocolNames(t *testing.T) {
	for _, row := range []struct {
		m          mode
		helo, mail string
		want       string
	}{
		{plain, "HELO", mail, "SMTP"},
		{plain, "EHLO", mail, "ESMTP"},
		{startTLS, "EHLO", mail, "ESMTPS"},
		{implicit, "EHLO", mail, "ESMTPS"},
		{authTLS, "EHLO", mail, "ESMTPSA"},
		{authTLS, "EHLO", "MAIL FROM:<a@x.test> SMTPUTF8\r\n", "UTF8SMTPSA"},
	} {
		o := &outbox{}
		c := dial(t, serve(t, newServer(row.m, o)), row.m)
		c.say(row.helo+" again.test\r\n", "250")
		c.say(row.mail, "250")
		c.say("RCPT TO:<b@x.test>\r\n", "250")
		c.say("DATA\r\n", "354")
		c.say("A: b\r\n.\r\n", "250")
		if got := o.all()[0].Protocol; got != row.want {
			t.Errorf("%s over %s: %q, want %q", row.helo, row.m, got, row.want)
		}
	}
}

// Rows of parameters: what MAIL and RCPT answer to them. A12 is among them.
func TestParameters(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	late := time.Now().Add(25 * time.Hour).UTC().Format(time.RFC3339)
	rows := []struct{ params, want string }{
		{"SIZE=10 SIZE=10", "501 5.5.4"},
		{"SIZE", "501 5.5.4"},
		{"SIZE=", "501 5.5.4"},
		{"SIZE=1x", "501 5.5.4"},
		{"BODY=7BIT", "250"},
		{"BODY=BINARYMIME", "501 5.5.4"},
		{"SMTPUTF8", "250"},
		{"SMTPUTF8=1", "501 5.5.4"},
		{"SMTPUTF8 SMTPUTF8", "501 5.5.4"},
		{"FOO=1", "555 5.5.4"},
		{"REQUIRETLS", "555 5.5.4"},
		{"NOTIFY=NEVER", "555 5.5.4"},
		{"=x", "501 5.5.4"},
		{"SIZE=1\tBODY=7BIT", "501 5.5.4"},
		{"RET=FULL", "250"},
		{"RET=SOME", "501 5.5.4"},
		{"AUTH=<>", "250"},
		{"AUTH=a+40x.test", "250"},
		{"AUTH=a+4", "501 5.5.4"},

		// A12
		{"ENVID=" + strings.Repeat("x", 100), "250"},
		{"ENVID=" + strings.Repeat("x", 101), "501 5.5.4"},
		{"ENVID=a+0D+0AX:y", "501 5.5.4"},
		{"ENVID=a+zz", "501 5.5.4"},
		{"ENVID=a+2b", "501 5.5.4"},
		{"ENVID=a+", "501 5.5.4"},
		{"ENVID=a+C3+BC", "501 5.5.4"},

		{"HOLDFOR=60", "250"},
		{"HOLDFOR=86400", "250"},
		{"HOLDFOR=86401", "501 5.5.4"},
		{"HOLDFOR=9999999999", "501 5.5.4"},
		{"HOLDFOR=-1", "501 5.5.4"},
		{"HOLDFOR=60 HOLDFOR=60", "501 5.5.4"},
		{"HOLDFOR=60 HOLDUNTIL=" + soon, "501 5.5.4"},
		{"HOLDUNTIL=" + soon, "250"},
		{"HOLDUNTIL=" + strings.ToLower(soon), "250"},
		{"HOLDUNTIL=2001-01-01T00:00:00Z", "250"},
		{"HOLDUNTIL=" + late, "501 5.5.4"},
		{"HOLDUNTIL=tomorrow", "501 5.5.4"},
		{"HOLDFOR=60 BY=61;R", "250"},
		{"HOLDFOR=60 BY=60;R", "250"},
		{"HOLDFOR=60 BY=59;R", "501 5.5.4"},
		{"BY=59;N HOLDFOR=60", "501 5.5.4"},

		{"BY=120;N", "250"},
		{"BY=-120;NT", "250"},
		{"BY=1;R", "250"},
		{"BY=0;R", "501 5.5.4"},
		{"BY=-1;RT", "501 5.5.4"},
		{"BY=1;X", "501 5.5.4"},
		{"BY=1;", "501 5.5.4"},
		{"BY=1", "501 5.5.4"},
		{"BY=;N", "501 5.5.4"},
		{"BY=1234567890;N", "501 5.5.4"},
		{"BY=1;NTT", "501 5.5.4"},

		{"MT-PRIORITY=9", "250 2.1.0"},
		{"MT-PRIORITY=-9", "250 2.1.0"},
		{"MT-PRIORITY=10", "501 5.5.4"},
		{"MT-PRIORITY=+1", "501 5.5.4"},
		{"MT-PRIORITY=-", "501 5.5.4"},
	}
	srv := newServer(plain, &outbox{})
	srv.Limits.HardErrors, srv.Limits.MaxJunk, srv.Limits.SoftErrors = -1, -1, -1
	c := dial(t, serve(t, srv), plain)
	for _, r := range rows {
		t.Run(r.params, func(t *testing.T) {
			c.t = t
			c.say("MAIL FROM:<a@x.test> "+r.params+"\r\n", r.want)
			c.say("RSET\r\n", "250")
		})
	}
	c.t = t
	c.say("MAIL FROM:<> HOLDFOR=60\r\n", "501 5.5.4")
	c.say(mail, "250")
	for _, r := range []struct{ params, want string }{
		{"NOTIFY=NEVER", "250"},
		{"NOTIFY=SUCCESS,FAILURE,DELAY", "250"},
		{"NOTIFY=NEVER,FAILURE", "501 5.5.4"}, // A12
		{"NOTIFY=FAILURE,NEVER", "501 5.5.4"},
		{"NOTIFY=FAILURE,FAILURE", "501 5.5.4"},
		{"NOTIFY=FAILURE,", "501 5.5.4"},
		{"NOTIFY=", "501 5.5.4"},
		{"NOTIFY", "501 5.5.4"},
		{"NOTIFY=NEVER NOTIFY=NEVER", "501 5.5.4"},
		{"ORCPT=rfc822;a@x.test", "250"},
		{"ORCPT=rfc822;a+0D+0AX: y", "501 5.5.4"}, // A12
		{"ORCPT=rfc822;a+0D+0AX:+20y", "501 5.5.4"},
		{"ORCPT=rfc822;a+7F", "501 5.5.4"},
		{"ORCPT=rfc822;a+FF", "501 5.5.4"},
		{"ORCPT=rfc822;a+C3+BC", "501 5.5.4"},
		{"ORCPT=rfc822;", "501 5.5.4"},
		{"ORCPT=a@x.test", "501 5.5.4"},
		{"ORCPT=;a@x.test", "501 5.5.4"},
		{"ORCPT=rf:c;a@x.test", "501 5.5.4"},
		{"ORCPT=rfc822;" + strings.Repeat("x", 500), "501 5.5.4"},
		{`ORCPT=utf-8;j\x{FC}rgen@x.test`, "250"},
		{`ORCPT=utf-8;jürgen@x.test`, "250"},
		{`ORCPT=utf-8;a\x{0A}b`, "501 5.5.4"},
		{`ORCPT=utf-8;a\x{D800}b`, "501 5.5.4"},
		{`ORCPT=utf-8;a\x{202E}b`, "501 5.5.4"},
		{`ORCPT=utf-8;a\x{}b`, "501 5.5.4"},
		{`ORCPT=utf-8;a\b`, "501 5.5.4"},
		{"SIZE=10", "555 5.5.4"},
		{"BY=10;N", "555 5.5.4"},
		{"RRVS=2014-04-03T23:01:00Z", "555 5.5.4"},
	} {
		t.Run(r.params, func(t *testing.T) {
			c.t = t
			c.say("RCPT TO:<b@x.test> "+r.params+"\r\n", r.want)
		})
	}
}

// MT-PRIORITY above 3 needs the right to transactional mail (RFC 6710 §4.1).
func TestPriorityLowered(t *testing.T) {
	o := &outbox{}
	srv := newServer(authTLS, o)
	cred := ann()
	cred.Classes = []gateway.Class{gateway.Newsletter}
	srv.SetCredentials([]gateway.Credential{cred})
	c := dial(t, serve(t, srv), authTLS)
	c.say("MAIL FROM:<a@x.test> MT-PRIORITY=6\r\n", "250 2.3.6 3 is the new priority")
	c.say("RSET\r\n", "250")
	c.say("MAIL FROM:<a@x.test> MT-PRIORITY=3\r\n", "250 2.1.0")
}

// What EHLO offers, and when.
func TestCapabilities(t *testing.T) {
	always := []string{"PIPELINING", "SIZE 26214400", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "FUTURERELEASE 86400 ", "DELIVERBY", "MT-PRIORITY"}
	for _, row := range []struct {
		m       mode
		trusted bool
		yes, no []string
	}{
		{plain, true, []string{"STARTTLS", "AUTH PLAIN LOGIN"}, nil},
		{plain, false, []string{"STARTTLS"}, []string{"AUTH"}},
		{startTLS, false, []string{"AUTH PLAIN LOGIN"}, []string{"STARTTLS"}},
		{implicit, false, []string{"AUTH PLAIN LOGIN"}, []string{"STARTTLS"}},
		{authTLS, false, nil, []string{"AUTH", "STARTTLS", "BINARYMIME"}},
	} {
		srv := newServer(row.m, &outbox{})
		if !row.trusted {
			srv.TrustedNetworks = nil
		}
		c := dial(t, serve(t, srv), row.m)
		c.send("EHLO x.test\r\n")
		got, err := c.reply()
		if err != nil {
			t.Fatal(err)
		}
		got = strings.ReplaceAll(got, "250 ", "250-")
		for _, k := range append(row.yes, always...) {
			if !strings.Contains(got, "\r\n250-"+k) {
				t.Errorf("%s, trusted %v: no %s in %q", row.m, row.trusted, k, got)
			}
		}
		for _, k := range append(row.no, "BINARYMIME") {
			if strings.Contains(got, "\r\n250-"+k) {
				t.Errorf("%s, trusted %v: %s in %q", row.m, row.trusted, k, got)
			}
		}
	}
}
