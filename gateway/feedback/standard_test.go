package feedback

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example that the libraries of Standard Webhooks publish and test themselves
// with (github.com/standard-webhooks/standard-webhooks, libraries/*).
const (
	published = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	theirID   = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	theirTime = "1614265330"
	theirBody = `{"test": 2432232314}`
	theirSign = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var then = time.Unix(1614265330, 0)

func header(id, stamp string, signatures ...string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	for _, s := range signatures {
		h.Add("webhook-signature", s)
	}
	return h
}

func mustSecret(t testing.TB, text string) []byte {
	t.Helper()
	secret, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestVerify(t *testing.T) {
	secret, other := mustSecret(t, published), bytes.Repeat([]byte("x"), 32)
	both := header(theirID, theirTime, theirSign)
	both.Add("webhook-id", "another")
	for _, tt := range []struct {
		story   string
		header  http.Header
		body    string
		secrets [][]byte
		after   time.Duration
		want    error
	}{
		{story: "the published example", header: header(theirID, theirTime, theirSign)},
		{story: "among others", header: header(theirID, theirTime, "v1,AAAA v1a,xyz v2,"+theirSign[3:]+" "+theirSign+" v1,!")},
		{story: "in a second field", header: header(theirID, theirTime, "v1,AAAA", theirSign)},
		{story: "the second of two secrets", header: header(theirID, theirTime, theirSign), secrets: [][]byte{other, secret}},
		{story: "5 minutes later", header: header(theirID, theirTime, theirSign), after: 300 * time.Second},
		{story: "and a second", header: header(theirID, theirTime, theirSign), after: 301 * time.Second, want: ErrStale},
		{story: "5 minutes and a second early", header: header(theirID, theirTime, theirSign), after: -301 * time.Second, want: ErrStale},
		{story: "another version", header: header(theirID, theirTime, "v1a,"+theirSign[3:]), want: ErrSignature},
		{story: "no version", header: header(theirID, theirTime, theirSign[3:]), want: ErrSignature},
		{story: "cut", header: header(theirID, theirTime, theirSign[:20]), want: ErrSignature},
		{story: "empty", header: header(theirID, theirTime, "v1,"), want: ErrSignature},
		{story: "no signature", header: header(theirID, theirTime), want: ErrSignature},
		{story: "no headers", header: http.Header{}, want: ErrSignature},
		{story: "another id", header: header("msg_other", theirTime, theirSign), want: ErrSignature},
		{story: "another time", header: header(theirID, "1614265331", theirSign), want: ErrSignature},
		{story: "the same time, written otherwise", header: header(theirID, "+"+theirTime, theirSign), want: ErrSignature},
		{story: "two ids", header: both, want: ErrSignature},
		{story: "another body", header: header(theirID, theirTime, theirSign), body: theirBody + " ", want: ErrSignature},
		{story: "another secret", header: header(theirID, theirTime, theirSign), secrets: [][]byte{other}, want: ErrSignature},
		{story: "no secret", header: header(theirID, theirTime, theirSign), secrets: [][]byte{}, want: ErrSignature},
		{story: "an empty secret", header: header("a", theirTime, sum("", "a", theirTime, theirBody)), secrets: [][]byte{{}}, want: ErrSignature},
		{story: "an id with a brace", header: header("a{", theirTime, sum(string(secret), "a{", theirTime, theirBody)), want: ErrSignature},
		{story: "an id of 129 bytes", header: header(strings.Repeat("a", 129), theirTime, sum(string(secret), strings.Repeat("a", 129), theirTime, theirBody)), want: ErrSignature},
		{story: "a time beyond all", header: header("a", "999999999999999", sum(string(secret), "a", "999999999999999", theirBody)), want: ErrStale},
	} {
		if tt.body == "" {
			tt.body = theirBody
		}
		if tt.secrets == nil {
			tt.secrets = [][]byte{secret}
		}
		id, err := Verify(tt.header, []byte(tt.body), tt.secrets, then.Add(tt.after))
		if !errors.Is(err, tt.want) || (err == nil) != (id == theirID) {
			t.Errorf("%s: %q, %v; want %v", tt.story, id, err, tt.want)
		}
	}
}

func sum(secret, id, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestParseSecret(t *testing.T) {
	for text, want := range map[string]int{
		published: 24, published[6:]: 24, " " + published + "\n": 24,
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 64)): 64,
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)): 0,
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)): 0,
		"": 0, "whsec_": 0, "whsec_*": 0, "whpk_AAAA": 0,
	} {
		secret, err := ParseSecret(text)
		if len(secret) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d bytes, %v", text, len(secret), err)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]bool{"": true, "standard": true, "sendmail": false} {
		if f, ok := Lookup(name); ok != want || ok && (f.Verify == nil || f.Read == nil) {
			t.Errorf("%q: %v", name, ok)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(theirID, theirTime, theirSign, theirBody)
	f.Add("", "-1", "v1,v1, v1", "")
	secret := mustSecret(f, published)
	f.Fuzz(func(t *testing.T, id, stamp, signature, body string) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		got, err := Verify(h, []byte(body), [][]byte{secret}, then)
		if err == nil && (got != id || !strings.Contains(signature, sum(string(secret), id, stamp, body))) {
			t.Errorf("%q %q %q %q verifies", id, stamp, signature, body)
		}
	})
}
