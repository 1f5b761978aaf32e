package intake

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidepost/gateway"
)

func TestAbuse(t *testing.T) {
	for _, s := range abuse {
		s.run(t)
	}
}

const mail = "MAIL FROM:<a@client.test>\r\n"

var abuse = []story{
	{id: "A1 relay, with permission", stored: 0, steps: []step{
		on(mail, "250"),
		on("RCPT TO:<a@other.test>\r\n", "250"),
		on("RCPT TO:<a%other.test@us.test>\r\n", "550 5.7.1"),
		on("RCPT TO:<a@other.test@us.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<\"a@other.test\"@us.test>\r\n", "550 5.7.1"),
		on("RCPT TO:<@us.test:a@other.test>\r\n", "550 5.7.1"),
		on("RCPT TO:<us.test!a>\r\n", "501 5.1.3"),
		on("RCPT TO:<us!a@us.test>\r\n", "550 5.7.1"),
		on("RCPT TO:<a@[127.0.0.1]>\r\n", "550 5.7.1"),
		on("RCPT TO:<a@127.0.0.1>\r\n", "550 5.7.1"),
		on("RCPT TO:<>\r\n", "501 5.1.3"),
	}},

	{id: "A3 recipients", steps: []step{
		on(mail, "250"),
		on("RCPT TO:<a\rb@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a\x00b@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a\tb@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a\x0bb@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a\x7fb@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a b@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@x.test> SIZE=1\r\n", "555 5.5.4"),
		on("RCPT TO:<a@x.test>SIZE=1\r\n", "501 5.1.3"),
		on("RCPT TO:<"+strings.Repeat("l", 65)+"@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@"+strings.Repeat("d.", 126)+"test>\r\n", "501 5.1.3"),
	}},
	{id: "A3 domains", steps: []step{
		on(mail, "250"),
		on("RCPT TO:<a@x..test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@.test>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@x.test.>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@>\r\n", "501 5.1.3"),
		on("RCPT TO:<a@-x.test>\r\n", "501 5.1.3"),
		on("RCPT TO:a@x.test\r\n", "501 5.1.3"),
		on("RCPT TO:<a@x.test\r\n", "501 5.1.3"),
		on("RCPT <a@x.test>\r\n", "501 5.1.3"),
		on("RCPT TO: <"+strings.Repeat("l", 64)+"@x.test>\r\n", "250"),
	}},
	{id: "A3 senders", steps: []step{
		on("MAIL FROM:<a\rb@x.test>\r\n", "501 5.1.7"),
		on("MAIL FROM:<a@x..test>\r\n", "501 5.1.7"),
		on("MAIL FROM:a@x.test\r\n", "501 5.1.7"),
		on("MAIL FROM:<@us.test:a@x.test>\r\n", "550 5.7.1"),
		on("MAIL\r\n", "501"),
		on("MAIL FROM:<>\r\n", "250"),
	}},

	{id: "A4 MAIL twice", steps: []step{on(mail, "250"), on("MAIL FROM:<c@x.test>\r\n", "503")}},
	{id: "A4 RCPT before MAIL", steps: []step{on("RCPT TO:<b@x.test>\r\n", "503")}},
	{id: "A4 DATA before RCPT", steps: []step{on("DATA\r\n", "503"), on(mail, "250"), on("DATA\r\n", "554")}},
	{id: "A4 DATA when no RCPT was valid", steps: []step{on(mail+"RCPT TO:<b@>\r\nDATA\r\n", "250", "501", "554")}},
	{id: "A4 EHLO in a transaction", steps: []step{on(envelope, "250", "250"), on("EHLO x.test\r\n", "250"), on("DATA\r\n", "503"), on("RCPT TO:<b@x.test>\r\n", "503")}},
	{id: "A4 AUTH in a transaction", modes: []mode{plain, startTLS, implicit}, steps: []step{on(mail, "250"), on("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503")}},
	{id: "A4 second AUTH", modes: []mode{authTLS}, steps: []step{on("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503")}},
	{id: "A4 DATA with an argument", steps: []step{on(envelope+"DATA now\r\n", "250", "250", "501")}},
	{id: "after a message comes the next", stored: 2, steps: []step{
		toData(), on("A: b\r\n.\r\n", "250"), on("DATA\r\n", "503"), on("RCPT TO:<b@x.test>\r\n", "503"), toData(), on("A: b\r\n.\r\n", "250"),
	}},

	{id: "A6 a thousand recipients and no more", stored: 1, steps: []step{
		on(mail, "250"),
		on(recipients(0, 1200), append(times(1000, "250 2.1.5"), times(200, "452 4.5.3")...)...),
		on("DATA\r\n", "354"), on("A: b\r\n.\r\n", "250"),
	}},
	{id: "A6 ten thousand recipients", steps: []step{
		on(mail, "250"),
		on(recipients(0, 10_000), append(append(times(1000, "250 2.1.5"), times(1021, "452 4.5.3")...), "421 4.7.0", closed)...),
	}},
	{id: "A6 unknown recipients", steps: []step{
		on(mail, "250"),
		on(strings.Repeat("RCPT TO:<x@y@z>\r\n", 1000), append(times(21, "501 5.1.3"), "421 4.7.0", closed)...),
	}},
	{id: "A6 NOOP", steps: []step{on(strings.Repeat("NOOP\r\n", 10_000), append(times(100, "250"), "421 4.7.0", closed)...)}},
	{id: "A6 RSET", steps: []step{on(strings.Repeat("RSET\r\n", 10_000), append(times(100, "250"), "421 4.7.0", closed)...)}},
	{id: "A6 VRFY", steps: []step{on(strings.Repeat("VRFY a\r\n", 10_000), append(times(100, "252"), "421 4.7.0", closed)...)}},
	{id: "A6 unknown commands", steps: []step{on(strings.Repeat("XYZ\r\n", 10_000), append(times(21, "500"), "421 4.7.0", closed)...)}},
	{id: "A6 EHLO", modes: []mode{authTLS}, steps: []step{on(strings.Repeat("EHLO x\r\n", 10_000), append(times(100, "250"), "421 4.7.0", closed)...)}},
	{id: "a message forgives", stored: 1, steps: []step{
		on(strings.Repeat("XYZ\r\n", 15), times(15, "500")...),
		toData(), on("A: b\r\n.\r\n", "250"),
		on(strings.Repeat("XYZ\r\n", 15), times(15, "500")...),
	}},

	{id: "A9 SIZE over the limit", steps: []step{
		on("MAIL FROM:<a@x.test> SIZE=26214401\r\n", "552 5.3.4"),
		on("MAIL FROM:<a@x.test> SIZE=9999999999\r\n", "552 5.3.4"),
		on("MAIL FROM:<a@x.test> SIZE=99999999999999999999\r\n", "552 5.3.4"),
		on("MAIL FROM:<a@x.test> SIZE=999999999999999999999\r\n", "501 5.5.4"),
		on("MAIL FROM:<a@x.test> SIZE=-1\r\n", "501 5.5.4"),
		on("MAIL FROM:<a@x.test> SIZE=26214400\r\n", "250"),
	}},
	{id: "A9 exactly the limit", stored: 2, server: maxBytes(100), steps: []step{
		toData(), on(strings.Repeat("x", 98)+"\r\n.\r\n", "250"),
		on(envelope+"BDAT 100 LAST\r\n"+strings.Repeat("x", 98)+"\r\n", "250", "250", "250"),
	}},
	{id: "A9 dots do not count", stored: 1, server: maxBytes(6), steps: []step{toData(), on("..\r\n..\r\n.\r\n", "250")}},
	{id: "A9 a byte over", server: maxBytes(100), steps: []step{
		toData(), on(strings.Repeat("x", 99)+"\r\n.\r\n", "552 5.3.4"),
		on(envelope+"BDAT 101 LAST\r\n"+strings.Repeat("x", 99)+"\r\n", "250", "250", "552 5.3.4"),
	}},
	{id: "A9 far over", server: maxBytes(100), steps: []step{
		toData(), on(strings.Repeat(strings.Repeat("x", 998)+"\r\n", 200)+".\r\n", "552 5.3.4", closed),
	}},

	{id: "A10 a loop is what Submit says", server: refusing(&gateway.Reply{Code: 554, Status: "5.4.6", Text: "mail loop: 101 Received fields"}), steps: []step{
		toData(), on(strings.Repeat("Received: by mx.test\r\n", 101)+"\r\n.\r\n", "554 5.4.6 mail loop"),
		toData(), on(".\r\n", "554 5.4.6"),
	}},
	{id: "storage is full", server: refusing(fmt.Errorf("local: %w", gateway.ErrFull)), steps: []step{toData(), on(".\r\n", "452 4.3.1 Insufficient storage, try again later")}},
	{id: "storage has stopped", server: refusing(gateway.ErrStopped), steps: []step{toData(), on(".\r\n", "451 4.3.0")}},
	{id: "storage fails", server: refusing(fmt.Errorf("disk\r\n250 fooled")), steps: []step{toData(), on(".\r\n", "451 4.3.0")}},
	{id: "a reply with raw bytes", server: refusing(&gateway.Reply{Code: 550, Status: "5.0.0", Text: "a\r\n250 b\x1b[2Jü" + strings.Repeat("x", 2000)}), steps: []step{
		toData(), on(".\r\n", `550 5.0.0 a\x0d\x0a250 b\x1b[2J\xc3\xbc`),
	}},

	{id: "web browser", steps: []step{on("GET / HTTP/1.1\r\nHost: mx.test\r\n\r\nMAIL FROM:<smug@x.test>\r\n", "500", closed)}},
	{id: "commands we do not have", steps: []step{on("EXPN list\r\n", "502"), on("TURN\r\n", "502"), on("HELP\r\n", "214"), on("VRFY a\r\n", "252")}},
	{id: "commands are not case-sensitive", stored: 1, steps: []step{
		on("mail from:<a@x.test> size=10 body=8bitmime\r\nrcpt to:<b@x.test>\r\nData \r\n", "250", "250", "354"), on("A: b\r\n.\r\n", "250"),
	}},
	{id: "raw bytes in commands", steps: []step{
		on("EHLO \x1b[2J\r\n", "501"), on("\xff\xfe\r\n", "500"), on("MAIL FROM:<a@x.test> \x00\r\n", "5"), on("\r\n", "500"),
	}},
}

func recipients(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "RCPT TO:<r%d@there.test>\r\n", i)
	}
	return b.String()
}

func refusing(err error) func(*Server) {
	return func(s *Server) { s.Submit = (&outbox{err: err}).Submit }
}

// A1: who is nobody here may not relay anything, and is told which key would help.
func TestNobody(t *testing.T) {
	for _, m := range []mode{plain, startTLS, implicit} {
		t.Run("A1/"+string(m), func(t *testing.T) {
			o := &outbox{}
			srv := newServer(m, o)
			srv.TrustedNetworks = nil
			srv.Limits.HardErrors = -1
			c := dial(t, serve(t, srv), m)
			c.say(mail, "530 5.7.0 127.0.0.1 is not in smtp.trusted_networks; authenticate or add its network")
			for _, to := range []string{"a@other.test", "a%other.test@us.test", "a@other.test@us.test", `"a@other.test"@us.test`, "@us.test:a@other.test", "us.test!a", "a@[127.0.0.1]", "postmaster"} {
				c.say("RCPT TO:<"+to+">\r\n", "530 5.7.0")
			}
			c.say("DATA\r\n", "503")
			c.say("BDAT 6 LAST\r\nA: b\r\n", "503")
			c.quiet()
			story{}.check(t, o)
		})
	}
}

// A2: a credential's envelope senders.
func TestSenders(t *testing.T) {
	o := &outbox{}
	srv := newServer(authTLS, o)
	cred := ann()
	cred.Senders = []string{"client.test"}
	srv.SetCredentials([]gateway.Credential{cred})
	c := dial(t, serve(t, srv), authTLS)
	c.say("MAIL FROM:<a@evil.test>\r\n", `550 5.7.1 evil.test is not in the senders of credential "ann"`)
	c.say("MAIL FROM:<a@sub.client.test>\r\n", "550 5.7.1")
	c.say("MAIL FROM:<>\r\n", "250")
	c.say("RSET\r\n", "250")
	c.say("MAIL FROM:<a@CLIENT.test>\r\n", "250")
}

// A network may be a credential, without any password.
func TestNetworkCredential(t *testing.T) {
	o := &outbox{}
	srv := newServer(plain, o)
	srv.SetCredentials([]gateway.Credential{
		{Name: "wide", Tenant: "wide", Networks: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}},
		{Name: "narrow", Tenant: "acme", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	})
	srv.Tenants = func(string) string { return "people" }
	c := dial(t, serve(t, srv), plain)
	story{steps: []step{toData(), on("A: b\r\n.\r\n", "250")}}.tell(c)
	m := o.all()[0].Message
	if m.Credential != "narrow" || m.Tenant != "acme" || m.Audience != "people" {
		t.Errorf("submitted by %q of %q, audience %q", m.Credential, m.Tenant, m.Audience)
	}
}
