package feedback

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
	"tidepost/suppression/address"
)

// around puts a value where each format has its first text.
var around = map[string]string{
	"sendgrid":  `[{"event":"open","email":%s}]`,
	"mailgun":   `{"event-data":{"event":"opened","recipient":%s}}`,
	"ses":       `{"eventType":"Open","mail":{"destination":[%s]}}`,
	"postmark":  `{"RecordType":"Open","Recipient":%s}`,
	"sparkpost": `[{"msys":{"track_event":{"type":"open","rcpt_to":%s}}}]`,
	"mautic":    `{"mautic.email_on_open":[{"stat":{"emailAddress":%s}}]}`,
	"listmonk":  `{"email":%s,"type":"hard"}`,
}

// wrapped is a body as Read gets it: SES's is a string in an envelope.
func wrapped(format, body string) []byte {
	if format == "ses" {
		return report(format, []byte(body))
	}
	return []byte(body)
}

// Row H3 behind a right signature, for every format.
func TestHostileReports(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for format, form := range around {
		for _, tt := range []struct {
			story, body string
			tooMany     bool
		}{
			{"10,000 deep", fmt.Sprintf(form, deep(10_000)), false},
			{"33 deep", fmt.Sprintf(form, deep(33)), false},
			{"a list of a million", fmt.Sprintf(form, "["+strings.Repeat("1,", 999_999)+"1]"), true},
			{"nothing but a list of a million", "[" + strings.Repeat("1,", 999_999) + "1]", true},
			{"of the wrong type", fmt.Sprintf(form, `{"a":1}`), false},
			{"a list", fmt.Sprintf(form, `["a@b.example"]`), false},
			{"a name said twice", strings.Replace(fmt.Sprintf(form, `"a@b.example"`), "{", `{"x":1,"x":2,`, 1), false},
			{"in another case", strings.Replace(fmt.Sprintf(form, `"a@b.example"`), "{", `{"x":1,"X":2,`, 1), false},
			{"cut off", fmt.Sprintf(form, `"a@b.`), false},
			{"two values", fmt.Sprintf(form, `"a@b.example"`) + "{}", false},
			{"a text", `"x"`, false},
			{"nothing", "", false},
		} {
			p, err := formats[format].Read(wrapped(format, tt.body))
			var e *PayloadError
			if !errors.As(err, &e) || e.TooMany != tt.tooMany || len(err.Error()) > 500 {
				t.Errorf("%s: %s: %v, %v", format, tt.story, p, err)
			}
		}
		if p, err := formats[format].Read(wrapped(format, fmt.Sprintf(form, `"a@b.example"`))); err != nil || len(p.Events) != 1 {
			t.Errorf("%s: %v, %v", format, p, err)
		}
		// What one event says of nobody must not make all others come again for ever.
		if p, err := formats[format].Read(wrapped(format, fmt.Sprintf(form, `"nobody"`))); err != nil || len(p.Events) != 0 || p.Ignored != 1 {
			t.Errorf("%s: nobody's: %v, %v", format, p, err)
		}
	}
}

func TestReportErrors(t *testing.T) {
	for _, tt := range []struct{ format, body, want string }{
		{"listmonk", `{"subscriber_uuid":"x","type":"hard"}`, "email is missing, and we know nobody by a subscriber_uuid; send email"},
		{"listmonk", `{"email":"a@b.example","type":"blocked"}`, "type is none; send hard, soft or complaint"},
		{"listmonk", `{"type":"hard"}`, "email is missing"},
		{"postmark", `{"Recipient":"a@b.example"}`, "RecordType is missing"},
		{"mailgun", `{"signature":{}}`, "event-data is missing; use the webhooks of"},
		{"sendgrid", `[{"event":"open"},{"event":[]}]`, "[1] cannot be read"},
		{"sendgrid", `{"event":"open"}`, "cannot be read"},
		{"mautic", `{"mautic.email_on_open":[{},{"stat":7}]}`, "mautic.email_on_open[1] cannot be read"},
		{"ses", `{"a":1}`, "Message is not of SES"},
		{"ses", `]`, "help hooks"},
	} {
		if _, err := formats[tt.format].Read(wrapped(tt.format, tt.body)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.format, tt.body, err, tt.want)
		}
	}
}

func TestReadEvent(t *testing.T) {
	for format, part := range map[string]string{"sendgrid": "", "ses": "", "mailgun": "event-data"} {
		for i, doc := range fixtures(t, format) {
			if part != "" {
				var of map[string]json.RawMessage
				if err := json.Unmarshal(doc, &of); err != nil {
					t.Fatal(err)
				}
				doc = of[part]
			}
			events, ignored, err := ReadEvent(format, doc)
			var got []string
			for j := range events {
				got = append(got, line(&events[j]))
			}
			if want := become[format][i]; err != nil || strings.Join(got, "; ") != want.want || (len(got) == 0) != (ignored > 0) {
				t.Errorf("%s: %s: %q, %d ignored, %v", format, want.story, got, ignored, err)
			}
		}
	}
	for _, tt := range [][2]string{{"postmark", `{}`}, {"", `{}`}, {"ses", `[`}, {"sendgrid", `{"a":1,"a":1}`}, {"mailgun", `[]`}} {
		if _, _, err := ReadEvent(tt[0], []byte(tt[1])); err == nil {
			t.Errorf("%q: no error", tt)
		}
	}
}

func TestGroupOf(t *testing.T) {
	for _, tt := range []struct {
		status, text string
		want         bounce.Group
	}{
		{"", "", ""},
		{"5.1.1", "", bounce.NoSuchUser},
		{"5.1.10", "", bounce.NoSuchHost},
		{"5.2.2", "", bounce.MailboxFull},
		{"4.2.1", "", bounce.Filtered},
		{"5.3.4", "", bounce.ContentOrSize},
		{"5.4.7", "", bounce.Unreachable},
		{"5.7.26", "", bounce.PolicyGroup},
		{"5.9.9", "", bounce.Unknown},
		{"", "something odd", bounce.Unknown},
		{"5.1.1", "550 5.1.1 <a@b> mailbox full", bounce.MailboxFull},
		{"5.4.1", "550 5.4.1 Recipient address rejected: Access denied.", bounce.NoSuchUser},
		{"5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", bounce.BlockedSender},
		{"5.7.1", "550 5.7.1 Message rejected as spam", bounce.PolicyGroup},
		{"", "Host or domain name not found", bounce.NoSuchHost},
		{"4.4.1", "connection timed out", bounce.Unreachable},
		{"5.2.1", "The email account that you tried to reach is inactive", bounce.Suspended},
	} {
		if got := groupOf(tt.status, tt.text); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.status, tt.text, got, tt.want)
		}
	}
}

// What a provider calls hard is so for an address that is not there.
func TestHard(t *testing.T) {
	for text, want := range map[string]string{
		"550 5.1.1 user unknown":                           "hard no_such_user",
		"550 5.1.10 null MX":                               "hard no_such_host",
		"550 no":                                           "hard unknown",
		"552 5.2.2 mailbox full":                           "soft mailbox_full",
		"550 5.2.1 account disabled":                       "soft suspended",
		"554 5.7.1 blocked using zen.spamhaus.org":         "soft blocked_sender",
		"550 mailbox unavailable: policy restrictions":     "soft policy",
		"550 mailbox unavailable":                          "hard filtered",
		"smtp; 550-5.1.1 <spam@example.com>: no such user": "hard no_such_user",
	} {
		events, _, err := ReadEvent("mailgun", []byte(`{"event":"failed","severity":"permanent","recipient":"a@b.example","delivery-status":{"message":"`+text+`"}}`))
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: %v, %v", text, events, err)
		}
		s := checkSignal(t, &events[0])
		if got := map[bool]string{true: "soft", false: "hard"}[s.Soft] + " " + string(s.Bounce.Group); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestStamp(t *testing.T) {
	want := time.Date(2026, 11, 22, 11, 46, 40, 0, time.UTC)
	for _, s := range []string{"2026-11-22T11:46:40Z", "2026-11-22T13:46:40+02:00", "2026-11-22T13:46:40+0200", "2026-11-22T11:46:40.000Z"} {
		if got := stamp(s); !got.Equal(want) {
			t.Errorf("%s: %v", s, got)
		}
	}
	for _, s := range []text{"-1", "x", "", "NaN", "1e300", "0"} {
		if !epoch(s).IsZero() || !stamp(string(s)).IsZero() {
			t.Errorf("%s is a time", s)
		}
	}
	if got := epoch("1795348000.25"); got.UnixMilli() != 1795348000250 {
		t.Errorf("%v", got)
	}
}

// Whatever a provider sends, signed: what comes out are signals that hold.
func FuzzRead(f *testing.F) {
	for format := range become {
		for _, doc := range fixtures(f, format) {
			f.Add(format, string(report(format, doc)))
		}
	}
	f.Fuzz(func(t *testing.T, name, body string) {
		format, ok := Lookup(name)
		if !ok || name == "" || name == "standard" { // FuzzSignals has those
			return
		}
		p, err := format.Read([]byte(body))
		if err != nil {
			var e *PayloadError
			if !errors.As(err, &e) {
				t.Errorf("%v is no *PayloadError", err)
			}
			return
		}
		for i := range p.Events {
			e := &p.Events[i]
			s := checkSignal(t, e)
			if a, err := address.Parse(e.Clue.Recipient); err != nil || a.Mailbox() != s.Mailbox {
				t.Errorf("the clue is about %q, the signal about %q", e.Clue.Recipient, e.Mailbox)
			}
			if s.Kind == gateway.SignalBounced && s.Bounce == nil && name != "listmonk" {
				t.Logf("a bounce that tells nothing: %s", body)
			}
		}
	})
}

// signatureField is where a format has what is secret in a request; "": in the body.
var signatureField = map[string]string{"sendgrid": "X-Twilio-Email-Event-Webhook-Signature", "mautic": "Webhook-Signature",
	"postmark": "Authorization", "sparkpost": "Authorization", "listmonk": "Authorization"}

// Nothing verifies but what was signed.
func FuzzVerifyProviders(f *testing.F) {
	right := map[string]*Request{} // made once: a signature is another each time
	for format, body := range inner {
		r := sent(f, format, []byte(body), then)
		f.Add(format, string(r.Body), r.Header.Get(signatureField[format]))
		right[format] = r
	}
	f.Fuzz(func(t *testing.T, name, body, signature string) {
		if right[name] == nil {
			return
		}
		r, field := *right[name], signatureField[name]
		r.Body, r.Header = []byte(body), r.Header.Clone()
		if field != "" {
			r.Header.Set(field, signature)
		}
		id, err := formats[name].Verify(t.Context(), &r)
		if err == nil && (id == "" || !means(name, body, signature, right[name])) {
			t.Errorf("%s: %q with %q verifies", name, body, signature)
		}
	})
}

// means reports whether a request says what the right one said under its signature.
func means(name, body, signature string, right *Request) bool {
	switch name {
	case "sendgrid", "mautic":
		return body == string(right.Body)
	case "mailgun":
		a, err1 := member([]byte(body), "signature")
		b, err2 := member(right.Body, "signature")
		var x, y map[string]any
		return err1 == nil && err2 == nil && json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && fmt.Sprint(x["token"]) == fmt.Sprint(y["token"])
	case "ses":
		var x, y notification
		if json.Unmarshal([]byte(body), &x) != nil || json.Unmarshal(right.Body, &y) != nil {
			return false
		}
		a, err1 := x.signed()
		b, err2 := y.signed()
		return err1 == nil && err2 == nil && string(a) == string(b)
	}
	_, code, _ := strings.Cut(signature, " ")
	_, want, _ := strings.Cut(right.Header.Get("Authorization"), " ")
	return code == want
}
