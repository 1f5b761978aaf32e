package content

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

func TestClass(t *testing.T) {
	newsletters := &gateway.Credential{Name: "news", BulkClass: gateway.Newsletter,
		Classes: []gateway.Class{gateway.Newsletter, gateway.Promotional}}
	anything := &gateway.Credential{Name: "app", BulkClass: gateway.Promotional}
	for _, c := range []struct {
		name   string
		cred   *gateway.Credential
		lines  string // separated by |
		want   gateway.Class
		reason string
		notes  int
	}{
		{"a password reset", anything, "Subject: Reset", gateway.Transactional, "no mark of bulk mail", 0},
		{"listmonk's campaign", anything, "X-Listmonk-Campaign: u", gateway.Promotional, "X-Listmonk-Campaign", 0},
		{"Mautic's mailing", anything, "Precedence: Bulk", gateway.Promotional, "Precedence: bulk", 0},
		{"a mailing list", anything, "Precedence: list", gateway.Promotional, "Precedence: list", 0},
		{"a first-class letter", anything, "Precedence: first-class", gateway.Transactional, "no mark of bulk mail", 0},
		{"a list by its name", anything, "List-Id: <a.example>", gateway.Promotional, "List-Id", 0},
		{"an opt-in mail", anything, "List-Unsubscribe: <https://x/>", gateway.Triggered, "List-Unsubscribe alone", 0},
		{"a list with a way out", anything, "List-Unsubscribe: <https://x/>|List-Id: <a.b>", gateway.Promotional, "List-Id", 0},
		{"what it says of itself", anything, "X-Tidepost-Class: Triggered|Precedence: bulk", gateway.Triggered, "X-Tidepost-Class", 0},
		{"a class nobody knows", anything, "X-Tidepost-Class: urgent|Precedence: bulk", gateway.Promotional, "Precedence: bulk", 1},
		{"two classes", anything, "X-Tidepost-Class: triggered|X-Tidepost-Class: newsletter", gateway.Transactional, "no mark of bulk mail", 1},
		{"the same class twice", anything, "X-Tidepost-Class: triggered|x-tidepost-class: triggered", gateway.Triggered, "X-Tidepost-Class", 0},
		{"one it may not use", newsletters, "X-Tidepost-Class: transactional", gateway.Newsletter, "X-Tidepost-Class, but not in credential.classes", 1},
		{"one it may not fall to", newsletters, "Subject: plain", gateway.Newsletter, "no mark of bulk mail, but not in credential.classes", 1},
		{"one it may use", newsletters, "X-Tidepost-Class: promotional", gateway.Promotional, "X-Tidepost-Class", 0},
		{"bulk without a credential", nil, "List-Id: <a.b>", gateway.Newsletter, "List-Id", 0},
	} {
		m := mustRead(t, c.cred, strings.Split(c.lines, "|")...)
		if m.Class != c.want || m.ClassReason != c.reason || len(m.Notes) != c.notes {
			t.Errorf("%s: %s because of %q, notes %q; want %s because of %q and %d notes",
				c.name, m.Class, m.ClassReason, m.Notes, c.want, c.reason, c.notes)
		}
	}
}

func TestIdentity(t *testing.T) {
	m := mustRead(t, nil,
		"Message-ID: <1@x.test>",
		"Subject: =?utf-8?b?R3LDvMOfZQ==?=",
		" folded\x07\ttail",
		"List-Id: The tide <tide.x.test>",
		"X-Tidepost-Tags: spring, sale ,,",
		"X-Mailgun-Tag: one, whole",
		"X-PM-Tag: welcome",
	)
	if m.MessageID != "1@x.test" || m.Subject != "Grüße folded  tail" || m.List != "tide.x.test" {
		t.Errorf("got Message-ID %q, Subject %q, List-Id %q", m.MessageID, m.Subject, m.List)
	}
	if want := []string{"spring", "sale", "one, whole", "welcome"}; !slices.Equal(m.Tags, want) {
		t.Errorf("tags %q, want %q", m.Tags, want)
	}
}

func TestCampaignOrder(t *testing.T) {
	fields := []string{ // each wins over those below it
		"X-Tidepost-Campaign: ours",
		"X-Listmonk-Campaign: 5b0cbbb4",
		"X-Mailgun-Campaign-Id: mg",
		"X-EMAIL-ID: 12",
		"Feedback-ID: c1:customer:type:sender",
	}
	for i, want := range []string{"ours", "5b0cbbb4", "mg", "12", "c1", ""} {
		if m := mustRead(t, nil, fields[i:]...); m.Campaign != want {
			t.Errorf("from %q: campaign %q, want %q", fields[i:], m.Campaign, want)
		}
	}
	if m := mustRead(t, nil, "Feedback-ID: :c:t:sender"); m.Campaign != "" {
		t.Errorf("a Feedback-ID without campaign gives %q", m.Campaign)
	}
}

func TestTextIsFitToBeShown(t *testing.T) {
	for _, c := range []struct{ subject, want string }{
		{"plain", "plain"},
		{"=?utf-8?q?=1B=5B2J?=red", " [2Jred"},
		{"=?utf-8?q?a=0D=0Ab?=", "a  b"},
		{"\xff\xfe", "��"},
		{"=?utf-8?q?=E2=80=AEtxt.exe?=", " txt.exe"}, // right-to-left override
		{"=?x-unknown?q?a?=", "=?x-unknown?q?a?="},
		{"=?iso-8859-15?q?=A4?=", "€"},
		{"=?utf-8?q?broken", "=?utf-8?q?broken"},
		{strings.Repeat("=?utf-8?q?", 6000), strings.Repeat("=?utf-8?q?", 20)},
		{strings.Repeat("é", 150), strings.Repeat("é", 100)},
		{strings.Repeat("x", 3000), strings.Repeat("x", 200)},
	} {
		if m := mustRead(t, nil, "Subject: "+c.subject); m.Subject != c.want {
			t.Errorf("Subject %.40q reads as %q, want %q", c.subject, m.Subject, c.want)
		}
	}
}

func TestWorth(t *testing.T) {
	m := mustRead(t, nil,
		"X-Tidepost-Value: 2.5",
		"X-Tidepost-Half-Life: 6h",
		"X-Tidepost-Supersede: price-17",
		"X-Tidepost-Variant: subject/b",
		"X-Tidepost-Evidence: Click",
		`X-Tidepost-Profile: {"city": "Kiel",`,
		` "vip": true, "timezone": "Europe/Berlin"}`,
		"X-Tidepost-Aim: Hour",
	)
	if m.Value != 2.5 || m.HalfLife != 6*time.Hour || m.Supersede != "price-17" || m.Variant != "subject/b" ||
		m.Evidence != "click" || m.Attributes != `{"city": "Kiel", "vip": true, "timezone": "Europe/Berlin"}` ||
		m.Aim != "hour" || m.Zone != "Europe/Berlin" || len(m.Notes) > 0 {
		t.Errorf("got %+v", m)
	}
	if m := mustRead(t, nil, "Subject: x"); m.Value != 1 {
		t.Errorf("a message that says nothing is worth %v, want 1", m.Value)
	}
}

// What cannot be read is ignored and told, and never costs the message.
func TestNotes(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"X-Tidepost-Aim: noon", `X-Tidepost-Aim: "noon" is not`},
		{`X-Tidepost-Profile: {"timezone":"Kiel"}`, `timezone "Kiel" is not a name like Europe/Berlin; ignored`},
		{`X-Tidepost-Profile: {"timezone":7}`, `timezone "7" is not a name`},
		{"X-Tidepost-Window: soon", `X-Tidepost-Window: "soon" is not a duration like 24h; ignored`},
		{"X-Tidepost-Window: -2h", `"-2h" is not a duration`},
		{"X-Tidepost-Window: 200h", `longer than 100h; taken as 100h`},
		{"X-Tidepost-Window:", "X-Tidepost-Window: it is empty; ignored"},
		{"X-Mailgun-Delivery-Time-Optimize-Period: 1d", `"1d" is not a duration like 24h`},
		{"X-Tidepost-Not-Before: tomorrow", `"tomorrow" is not a date like 2026-`},
		{"X-Tidepost-Not-Before: 2099-01-01T00:00:00Z", "more than a year away"},
		{"X-Mailgun-Deliver-By: 2026-11-22T12:00:00Z", "is not a date like Sun, 22 Nov 2026"},
		{"X-Mailgun-Time-Zone-Localize: 09:00", "each reader's own hour"},
		{"X-Tidepost-Deadline: never", `"never" is not a date`},
		{"Expires: 0", `Expires: "0" is not a date`},
		{"X-Tidepost-Value: NaN", `"NaN" is not a number above 0`},
		{"X-Tidepost-Value: 1e9", "is not a number above 0 and up to 1000"},
		{"X-Tidepost-Half-Life: 0s", "is not a duration"},
		{"X-Tidepost-Profile: [1]", "is not a JSON object"},
		{"X-Tidepost-Profile: {" + strings.Repeat(" ", MaxProfile) + "}", "longer than 4096 bytes"},
		{"X-Tidepost-Evidence: some", "is not none, day, click or full"},
		{"X-Tidepost-Render: merge", "not available yet"},
		{"X-Tidepost-Windwo: 24h", "X-Tidepost-Windwo: there is no such field; ignored"},
		{"X-Schedule: tomorrow", "is not JSON as KumoMTA documents it"},
		{`X-Schedule: {"first_attempt": "noon"}`, "first_attempt \"noon\" is not a date"},
		{`X-Schedule: {"dow": "Mon", "tz": "../etc/passwd", "start": "09:00", "end": "17:00"}`, "is not a time zone"},
		{`X-Schedule: {"dow": "Mo", "tz": "UTC", "start": "09:00", "end": "17:00"}`, "is not a list of days"},
		{`X-Schedule: {"dow": "Mon", "tz": "UTC", "start": "9 am", "end": "17:00"}`, `start "9 am" is not a time`},
		{"X-Tidepost-Evidence: \x1b[2Jfull", `"\x1b[2Jfull" is not`},
	} {
		m := mustRead(t, nil, c.line)
		if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], c.want) {
			t.Errorf("%.60q: notes %q, want one with %q", c.line, m.Notes, c.want)
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	var lines []string
	for i := range 900 {
		lines = append(lines, fmt.Sprintf("X-Tidepost-%0100d: x", i))
	}
	if m := mustRead(t, nil, lines...); len(m.Notes) != maxNotes {
		t.Errorf("%d notes, want %d", len(m.Notes), maxNotes)
	}
}

// refused checks the reply to a header.
func refused(t *testing.T, name string, err error, code int, status, text string) {
	t.Helper()
	var r *gateway.Reply
	if !errors.As(err, &r) {
		t.Errorf("%s: error %v, want a reply", name, err)
	} else if r.Code != code || r.Status != status || !strings.Contains(r.Text, text) {
		t.Errorf("%s: %v, want %d %s with %q", name, r, code, status, text)
	}
}

func TestLoops(t *testing.T) { // attacks A10
	hops := func(n int, line string) []string { return slices.Repeat([]string{line}, n) }
	ours := "Received: from a.test (by gw.example.net) by GW.example.net with ESMTP; Sun, 22 Nov 2026"
	for _, c := range []struct {
		name  string
		lines []string
		loop  bool
	}{
		{"100 hops", hops(100, "Received: by a.test; x"), false},
		{"101 hops", hops(101, "Received: by a.test; x"), true},
		{"twice here", hops(2, ours), false},
		{"three times here", hops(3, ours), true},
		{"three times here, folded", hops(3, "Received: from a.test\r\n\tby gw.example.net;\r\n\tx"), true},
		{"claimed in a comment", hops(9, "Received: from a.test (by gw.example.net); x"), false},
		{"claimed behind the date", hops(9, "Received: from a.test; by gw.example.net"), false},
		{"from here", hops(9, "Received: from gw.example.net by b.test; x"), false},
	} {
		_, err := read(t, nil, c.lines...)
		if c.loop {
			refused(t, c.name, err, 554, "5.4.6", "mail loop")
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHeaderLimits(t *testing.T) { // attacks A16
	field := "X: " + strings.Repeat("x", 60<<10)
	r := &Reader{}
	for _, c := range []struct {
		name, header string
		code         int
		text         string
	}{
		{"300,000 bytes", message("", field, field, field, field, field), 552, "larger than 256 KiB"},
		{"50,000 fields", strings.Repeat("a: b\r\n", 50000), 554, "more than 1000 fields"},
		{"1,001 fields", strings.Repeat("a: b\r\n", 1001) + "\r\n", 554, "more than 1000 fields"},
		{"a field of 64 KiB and one", "a: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 554, "field is larger than 64 KiB"},
		{"a field of many lines", "a: x" + strings.Repeat("\r\n x", 20000) + "\r\n\r\n", 554, "field is larger than 64 KiB"},
	} {
		refused(t, c.name, r.Read([]byte(c.header), &gateway.Message{}, nil), c.code, statusOf(c.code), c.text)
	}
	m := &gateway.Message{}
	if err := r.Read([]byte(strings.Repeat("a: b\r\n", 1000)+"\r\n"), m, nil); err != nil || m.Header != 6002 {
		t.Errorf("1,000 fields: %v, header of %d bytes", err, m.Header)
	}
}

func statusOf(code int) string {
	if code == 552 {
		return "5.3.4"
	}
	return "5.6.0"
}

// A header of any shape is taken as it is.
func TestOddHeaders(t *testing.T) {
	for _, c := range []struct {
		name, header string
		size         int64
		subject      string
	}{
		{"nothing", "", 0, ""},
		{"no header", "\r\nSubject: body\r\n", 2, ""},
		{"no end", "Subject: a\r\n", 12, "a"},
		{"no line end", "Subject: a", 10, "a"},
		{"a line without colon", "hello\r\nSubject: a\r\n\r\nSubject: b", 21, "a"},
		{"a continuation first", " x\r\nSubject: a\r\n\r\n", 18, "a"},
		{"an mbox line", "From a@x Sun Nov 22 12:00:00 2026\r\nSubject: a\r\n\r\n", 49, "a"},
		{"white space before the colon", "Subject \t: a\r\n\r\n", 16, "a"},
		{"white space inside a name", "Sub ject: a\r\n\r\n", 15, ""},
		{"a nameless field", ": a\r\n\r\n", 7, ""},
		{"a folded empty line", "Subject: a\r\n \r\n b\r\n\r\n", 21, "a  b"},
		{"bare line feeds", "Subject: a\n\nbody", 12, "a"},
		{"two subjects", "Subject: a\r\nSubject: b\r\n\r\n", 26, "a"},
		{"a Kelvin sign", "Subject: a\r\nLi\u212At-Id: x\r\n\r\n", 28, "a"},
	} {
		m := &gateway.Message{}
		if err := (&Reader{}).Read([]byte(c.header), m, nil); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if m.Header != c.size || m.Subject != c.subject || m.Class != gateway.Transactional {
			t.Errorf("%s: header of %d bytes, subject %q, %s; want %d and %q", c.name, m.Header, m.Subject, m.Class, c.size, c.subject)
		}
	}
}

func TestMessageID(t *testing.T) {
	for raw, want := range map[string]string{"<a@b>": "a@b", "a@b": "a@b", "< a@b >": "a@b", "<a@b": "<a@b", "x <a@b>": "a@b"} {
		if m := mustRead(t, nil, "Message-Id: "+raw); m.MessageID != want {
			t.Errorf("Message-ID %q reads as %q, want %q", raw, m.MessageID, want)
		}
	}
}
