package feedback

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What holds for every provider: the right signature passes, and nothing that differs
// from it in anything does.
func TestVerifyProviders(t *testing.T) {
	for format, body := range inner {
		f := formats[format]
		verify := func(story string, want error, change func(*Request)) {
			t.Helper()
			r := sent(t, format, []byte(body), then)
			if change != nil {
				change(r)
			}
			id, err := f.Verify(t.Context(), r)
			if !errors.Is(err, want) || (err == nil) != (id != "") {
				t.Errorf("%s: %s: %q, %v; want %v", format, story, id, err, want)
			}
		}
		verify("as it is sent", nil, nil)
		verify("with another secret beside it", nil, func(r *Request) { r.Secrets = append([][]byte{[]byte("other")}, r.Secrets...) })
		verify("no secret", ErrSignature, func(r *Request) { r.Secrets = nil })
		verify("an empty secret", ErrSignature, func(r *Request) { r.Secrets = [][]byte{{}} })
		verify("another secret", ErrSignature, func(r *Request) { r.Secrets = [][]byte{bytes.Repeat([]byte("x"), 32)} })
		verify("nothing", ErrSignature, func(r *Request) { r.Header, r.Body = http.Header{}, nil })
		if format != "mailgun" && format != "ses" {
			verify("no headers", ErrSignature, func(r *Request) { r.Header = http.Header{} })
			verify("every header twice", ErrSignature, func(r *Request) {
				for name, v := range r.Header {
					r.Header[name] = append(v, v...)
				}
			})
		}
		if f.Challenge == "" && format != "mailgun" { // passwords sign no body, Mailgun's signature neither
			verify("a byte more", ErrSignature, func(r *Request) { r.Body = bytes.Replace(r.Body, []byte("a@b"), []byte("aa@b"), 1) })
		}
	}
}

// Those who sign their time; of SNS it is a day.
func TestVerifyStale(t *testing.T) {
	for format, window := range map[string][2]time.Duration{
		"sendgrid": {Tolerance, Tolerance}, "mailgun": {Tolerance, Tolerance}, "ses": {snsWindow, Tolerance},
	} {
		for _, tt := range []struct {
			ago  time.Duration
			want error
		}{{window[0], nil}, {window[0] + time.Second, ErrStale}, {-window[1], nil}, {-window[1] - time.Second, ErrStale}} {
			r := sent(t, format, []byte(inner[format]), then.Add(-tt.ago))
			if _, err := formats[format].Verify(t.Context(), r); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v ago: %v, want %v", format, tt.ago, err, tt.want)
			}
		}
	}
}

func TestVerifyIDs(t *testing.T) {
	id := func(format string, change func(*Request)) string {
		t.Helper()
		r := sent(t, format, []byte(inner[format]), then)
		if change != nil {
			change(r)
		}
		id, err := formats[format].Verify(t.Context(), r)
		if err != nil || plainID(id) != id {
			t.Errorf("%s: id %q, %v", format, id, err)
		}
		return id
	}
	for format, want := range map[string]string{"mailgun": "tok-1", "ses": "m-1"} {
		if got := id(format, nil); got != want {
			t.Errorf("%s: id %q, want %q", format, got, want)
		}
	}
	for _, format := range []string{"sendgrid", "postmark", "mautic", "listmonk", "sparkpost"} {
		if first, again := id(format, nil), id(format, nil); first != again || !strings.HasPrefix(first, "sha256-") {
			t.Errorf("%s: the same body is %q, then %q", format, first, again)
		}
	}
	if got := id("sparkpost", func(r *Request) { r.Header.Set("X-MessageSystems-Batch-ID", "b-7") }); got != "b-7" {
		t.Errorf("sparkpost: id %q", got)
	}
}

func TestVerifyBasic(t *testing.T) {
	secret := []byte("hook:correct-horse-battery")
	code := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		story  string
		fields []string
		want   bool
	}{
		{"as it is", []string{"Basic " + code(string(secret))}, true},
		{"in another case", []string{"bAsIc " + code(string(secret))}, true},
		{"another password", []string{"Basic " + code("hook:correct-horse-batterx")}, false},
		{"the beginning of it", []string{"Basic " + code("hook:correct")}, false},
		{"no password", []string{"Basic " + code("hook:")}, false},
		{"another scheme", []string{"Bearer " + code(string(secret))}, false},
		{"no scheme", []string{code(string(secret))}, false},
		{"no base64", []string{"Basic " + string(secret)}, false},
		{"two fields", []string{"Basic " + code(string(secret)), "Basic " + code("a:b")}, false},
		{"two in one field", []string{"Basic " + code(string(secret)) + ", Basic " + code("a:b")}, false},
		{"very long", []string{"Basic " + strings.Repeat("A", 1<<20)}, false},
		{"none", nil, false},
	} {
		if got := authorized(http.Header{"Authorization": tt.fields}, [][]byte{secret}); got != tt.want {
			t.Errorf("%s: %t", tt.story, got)
		}
	}
}

func TestMember(t *testing.T) {
	for _, tt := range []struct{ story, body, want string }{
		{"first", `{"signature":{"a":1},"event-data":`, `{"a":1}`},
		{"behind the rest", `{"event-data":{"signature":{"b":2},"x":["signature",{}]},"signature":{"a":1}}`, `{"a":1}`},
		{"the first of two", `{"signature":{"a":1},"signature":{"a":2}}`, `{"a":1}`},
		{"as a value", `{"x":"signature","y":{"a":1}}`, ""},
		{"deeper", `{"x":{"signature":{"a":1}}}`, ""},
		{"a text", `{"signature":"a"}`, ""},
		{"a long one", `{"signature":{"a":"` + strings.Repeat("x", maxSignature) + `"}}`, ""},
		{"none", `{}`, ""},
		{"a list", `["signature",{"a":1}]`, ""},
		{"behind 100,000 lists", `{"x":` + strings.Repeat("[", 100_000), ""},
		{"nothing", ``, ""},
	} {
		if got, err := member([]byte(tt.body), "signature"); string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %s, %v; want %s", tt.story, got, err, tt.want)
		}
	}
	if _, err := mailgunRead([]byte(`{"signature":{},"Signature":{},"event-data":{"event":"opened"}}`)); err == nil {
		t.Error("two signatures are read")
	}
}

func TestVerifySNS(t *testing.T) {
	forever := then.AddDate(10, 0, 0)
	small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string][]byte{
		certURL: certificate(t, "sns.amazonaws.com", rsaKey(), then, forever),
		"https://sns.af-south-1.amazonaws.com/a.pem": certificate(t, "sns-signing.af-south-1.amazonaws.com", rsaKey(), then, forever),
		"https://sns.eu-west-1.amazonaws.com/m.pem":  certificate(t, "mallory.example", rsaKey(), then, forever),
		"https://sns.eu-west-1.amazonaws.com/o.pem":  certificate(t, "sns.amazonaws.com", rsaKey(), then.AddDate(-1, 0, 0), then.Add(-time.Second)),
		"https://sns.eu-west-1.amazonaws.com/e.pem":  certificate(t, "sns.amazonaws.com", small, then, forever),
		"https://sns.eu-west-1.amazonaws.com/t.pem":  []byte("<html>"),
		"https://mallory.example/x.pem":              certificate(t, "sns.amazonaws.com", rsaKey(), then, forever),
	}
	from := func(url string) func(*notification) { return func(n *notification) { n.SigningCertURL = url } }
	subject := "Amazon SES Email Event Notification"
	for _, tt := range []struct {
		story         string
		change, after func(*notification)
		problem       string // "": none
	}{
		{story: "of today"},
		{story: "signed with SHA-1, as is the default", change: func(n *notification) { n.SignatureVersion = "1" }},
		{story: "with a subject", change: func(n *notification) { n.Subject = &subject }},
		{story: "a confirmation", change: func(n *notification) {
			n.Type, n.Token, n.SubscribeURL = snsSubscribe, "t", "https://sns.eu-west-1.amazonaws.com/?x"
		}},
		{story: "a region that signs with its own name", change: from("https://sns.af-south-1.amazonaws.com/a.pem")},
		{story: "the subject was changed", change: func(n *notification) { n.Subject = &subject }, after: func(n *notification) { n.Subject = nil }, problem: "signature"},
		{story: "the message was changed", after: func(n *notification) { n.Message += " " }, problem: "signature"},
		{story: "the address to confirm was changed", change: func(n *notification) { n.Type, n.SubscribeURL = snsSubscribe, "https://a" },
			after: func(n *notification) { n.SubscribeURL = "https://b" }, problem: "signature"},
		{story: "another's topic", change: func(n *notification) { n.TopicARN = strings.Replace(topic, "1234", "9999", 1) }, problem: "TopicArn"},
		{story: "our topic, written over another's", change: func(n *notification) { n.TopicARN = "arn:x" }, after: func(n *notification) { n.TopicARN = topic }, problem: "signature"},
		{story: "version 3", after: func(n *notification) { n.SignatureVersion = "3" }, problem: "SignatureVersion"},
		{story: "a signature of SHA-256 that says it is of SHA-1", after: func(n *notification) { n.SignatureVersion = "1" }, problem: "signature"},
		{story: "no signature", after: func(n *notification) { n.Signature = "" }, problem: "signature"},
		{story: "another type", change: func(n *notification) { n.Type = "Other" }, problem: "Type"},
		{story: "raw delivery", change: func(n *notification) { n.Type = "-" }, after: func(n *notification) { n.Type = "" }, problem: "raw message delivery"},
		{story: "no time", change: func(n *notification) { n.Timestamp = "" }, problem: "timestamp"},
		{story: "no id", change: func(n *notification) { n.MessageID = "" }, problem: "MessageId"},
		{story: "a certificate elsewhere", change: from("https://mallory.example/x.pem"), problem: "not Amazon's"},
		{story: "a host that begins so", change: from("https://sns.eu-west-1.amazonaws.com.mallory.example/x.pem"), problem: "not Amazon's"},
		{story: "a host that ends so", change: from("https://mallorysns.eu-west-1.amazonaws.com/x.pem"), problem: "not Amazon's"},
		{story: "somebody's bucket", change: from("https://sns.s3.amazonaws.com/x.pem"), problem: "not Amazon's"},
		{story: "somebody's bucket in a region", change: from("https://sns.s3-us-west-2.amazonaws.com/x.pem"), problem: "not Amazon's"},
		{story: "a user before the host", change: from("https://sns.eu-west-1.amazonaws.com@mallory.example/x.pem"), problem: "not Amazon's"},
		{story: "without TLS", change: from("http" + certURL[5:]), problem: "not Amazon's"},
		{story: "on a port", change: from("https://sns.eu-west-1.amazonaws.com:8443/x.pem"), problem: "not Amazon's"},
		{story: "with a query", change: from(certURL + "?x=.pem"), problem: "not Amazon's"},
		{story: "no certificate by its name", change: from("https://sns.eu-west-1.amazonaws.com/?Action=GetTopic"), problem: "not Amazon's"},
		{story: "a path upwards", change: from("https://sns.eu-west-1.amazonaws.com/../x.pem"), problem: "not Amazon's"},
		{story: "a certificate of somebody else", change: from("https://sns.eu-west-1.amazonaws.com/m.pem"), problem: "somebody else"},
		{story: "one that has ended", change: from("https://sns.eu-west-1.amazonaws.com/o.pem"), problem: "not valid now"},
		{story: "one without RSA", change: from("https://sns.eu-west-1.amazonaws.com/e.pem"), problem: "no RSA"},
		{story: "something else", change: from("https://sns.eu-west-1.amazonaws.com/t.pem"), problem: "no certificate"},
	} {
		r := &Request{Body: stampSNS(t, notification{Message: "hello"}, tt.change, tt.after), Secrets: [][]byte{[]byte(topic)}, Now: then, Fetch: serve(docs)}
		_, err := snsVerify(t.Context(), r)
		bad := errors.Is(err, ErrSignature) || errors.Is(err, ErrStale)
		if bad != (tt.problem != "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: %v, want %q", tt.story, err, tt.problem)
		}
	}
}

// That Amazon cannot be reached is not the sender's fault: it is told to come again.
func TestVerifySNSWithoutAmazon(t *testing.T) {
	r := sent(t, "ses", []byte(inner["ses"]), then)
	for _, fetch := range []func(context.Context, string) ([]byte, error){nil, serve(nil)} {
		r.Fetch = fetch
		if _, err := snsVerify(t.Context(), r); err == nil || errors.Is(err, ErrSignature) || errors.Is(err, ErrStale) {
			t.Errorf("%v", err)
		}
	}
}

func TestConfirm(t *testing.T) {
	for url, want := range map[string]bool{
		"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=t":     true,
		"https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&TopicArn=x&Token=t": true,
		"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe":                                false,
		"https://mallory.example/?Action=ConfirmSubscription":                                    false,
		"http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription":                         false,
		"": false,
	} {
		body, _ := json.Marshal(notification{Type: snsSubscribe, SubscribeURL: url})
		p, err := sesRead(body)
		if (err == nil) != want || want && (p.Confirm != url || len(p.Events) > 0) {
			t.Errorf("%s: %+v, %v", url, p, err)
		}
	}
	p, err := sesRead([]byte(`{"Type":"UnsubscribeConfirmation","SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"}`))
	if err != nil || p.Confirm != "" || p.Ignored != 1 {
		t.Errorf("the end of a subscription: %+v, %v", p, err)
	}
	if p, err = sesRead([]byte(`{"Type":"Notification","Message":"Successfully validated SNS topic for Amazon SES event publishing."}`)); err != nil || p.Ignored != 1 {
		t.Errorf("SES's greeting: %+v, %v", p, err)
	}
}

func TestSecrets(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(&ecKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		format, text, problem string
	}{
		{"sendgrid", base64.StdEncoding.EncodeToString(der), ""},
		{"sendgrid", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), ""},
		{"sendgrid", base64.StdEncoding.EncodeToString(other), "no public key of ECDSA"},
		{"sendgrid", "*", "neither base64 nor PEM"},
		{"mailgun", textSecret, ""},
		{"mailgun", "short", "has 5 bytes"},
		{"mailgun", "", "has 0 bytes"},
		{"ses", topic, ""},
		{"ses", "arn:aws-cn:sns:cn-north-1:123456789012:b.fifo", ""},
		{"ses", "arn:aws:sqs:eu-west-1:123456789012:b", "no topic ARN, as in arn:aws:sns"},
		{"postmark", "hook:correct-horse", ""},
		{"postmark", "hook", "not user:password"},
		{"postmark", ":correct-horse-battery", "not user:password"},
		{"sparkpost", "hook:horse", "a password of 5 bytes"},
		{"listmonk", "hook:" + strings.Repeat("x", 300), "longer than"},
		{"mautic", textSecret, ""},
	} {
		_, err := formats[tt.format].CheckSecret(tt.text)
		if (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s %.20q: %v, want %q", tt.format, tt.text, err, tt.problem)
		}
		if _, secret, _ := strings.Cut(tt.text, ":"); err != nil && secret != "" && tt.format != "ses" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
	for name, f := range formats {
		if f.Verify == nil || f.Read == nil || f.CheckSecret == nil || f.Secret == "" {
			t.Errorf("%s is not whole: %+v", name, f)
		}
	}
}
