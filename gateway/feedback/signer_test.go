package feedback

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The secrets of tests, each as the configuration has it.
const (
	textSecret = "0123456789abcdef0123456789abcdef"
	topic      = "arn:aws:sns:eu-west-1:123456789012:bounces"
	certURL    = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate makes one of SNS's kind.
func certificate(t testing.TB, name string, key crypto.Signer, from, until time.Time) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func serve(docs map[string][]byte) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, url string) ([]byte, error) {
		if doc, ok := docs[url]; ok {
			return doc, nil
		}
		return nil, errors.New("answered 404")
	}
}

// amazons is where SNS keeps its certificate.
func amazons(t testing.TB) func(context.Context, string) ([]byte, error) {
	return serve(map[string][]byte{certURL: certificate(t, "sns.amazonaws.com", rsaKey(), then.AddDate(0, -1, 0), then.AddDate(0, 1, 0))})
}

// stampSNS signs an envelope, after change has had its way with it; after is for what
// the signature should not know.
func stampSNS(t testing.TB, n notification, change, after func(*notification)) []byte {
	t.Helper()
	if n.Type == "" {
		n.Type = snsMessage
	}
	n.MessageID, n.TopicARN, n.Timestamp, n.SignatureVersion, n.SigningCertURL = "m-1", topic, then.UTC().Format(time.RFC3339), "2", certURL
	if change != nil {
		change(&n)
	}
	text, err := n.signed()
	if err != nil {
		text = []byte("x")
	}
	var sig []byte
	if n.SignatureVersion == "1" {
		sum := sha1.Sum(text)
		sig, err = rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA1, sum[:])
	} else {
		sum := sha256.Sum256(text)
		sig, err = rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	n.Signature = base64.StdEncoding.EncodeToString(sig)
	if after != nil {
		after(&n)
	}
	b, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hmacOf(secret, text string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// sent makes a request as a provider sends it at that time, and the secrets that it
// is right for.
func sent(t testing.TB, format string, body []byte, at time.Time) *Request {
	t.Helper()
	h, secret, stamp := http.Header{}, "", strconv.FormatInt(at.Unix(), 10)
	switch format {
	case "sendgrid":
		der, err := x509.MarshalPKIXPublicKey(&ecKey().PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		secret = base64.StdEncoding.EncodeToString(der)
		sum := sha256.Sum256(append([]byte(stamp), body...))
		sig, err := ecdsa.SignASN1(rand.Reader, ecKey(), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		h.Set("X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(sig))
		h.Set("X-Twilio-Email-Event-Webhook-Timestamp", stamp)
	case "mailgun":
		secret = textSecret
		body = fmt.Appendf(nil, `{"signature":{"timestamp":%q,"token":"tok-1","signature":%q},"event-data":%s}`, stamp, hex.EncodeToString(hmacOf(textSecret, stamp+"tok-1")), body)
	case "ses":
		secret = topic
		body = stampSNS(t, notification{Message: string(body)}, func(n *notification) { n.Timestamp = at.UTC().Format(time.RFC3339) }, nil)
	case "mautic":
		secret = textSecret
		h.Set("Webhook-Signature", base64.StdEncoding.EncodeToString(hmacOf(textSecret, string(body))))
	default:
		secret = "hook:correct-horse-battery"
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	key, err := formats[format].CheckSecret(secret)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return &Request{Header: h, Body: body, Secrets: [][]byte{key}, Now: then, Fetch: amazons(t)}
}

// inner is one good report of each format, without what signs it.
var inner = map[string]string{
	"sendgrid":  `[{"event":"open","email":"a@b.example","sg_event_id":"1"}]`,
	"mailgun":   `{"event":"opened","recipient":"a@b.example","id":"1"}`,
	"ses":       `{"eventType":"Open","mail":{"destination":["a@b.example"]},"open":{}}`,
	"postmark":  `{"RecordType":"Open","Recipient":"a@b.example"}`,
	"sparkpost": `[{"msys":{"track_event":{"type":"open","rcpt_to":"a@b.example"}}}]`,
	"mautic":    `{"mautic.email_on_open":[{"stat":{"emailAddress":"a@b.example"}}]}`,
	"listmonk":  `{"email":"a@b.example","type":"hard"}`,
}
