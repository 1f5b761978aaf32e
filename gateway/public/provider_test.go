package public

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"sync"
	"time"
)

const (
	keyText  = "0123456789abcdef0123456789abcdef"
	password = "hook:correct-horse-battery"
	snsTopic = "arn:aws:sns:eu-west-1:123456789012:bounces"
	snsCert  = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem"
)

// provider signs as one of them does. sign returns the body as it is sent and its
// headers; n tells reports apart.
type provider struct {
	secret string
	sign   func(n int, at time.Time, body string) (string, []string)

	opened  string // one event: ann@example.com opened
	wrong   string // of the wrong type
	basic   bool
	signsAt bool // its time is signed, and believed for five minutes
}

func mac(text string) []byte {
	m := hmac.New(sha256.New, []byte(keyText))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func basic(_ int, _ time.Time, body string) (string, []string) {
	return body, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(password))}
}

var providers = sync.OnceValue(func() map[string]*provider {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		panic(err)
	}
	return map[string]*provider{
		"sendgrid": {signsAt: true, secret: base64.StdEncoding.EncodeToString(der),
			opened: `[{"event":"open","email":"ann@example.com","sg_message_id":"q1.filter"}]`, wrong: `[{"event":"open","email":[]}]`,
			sign: func(_ int, at time.Time, body string) (string, []string) {
				stamp := strconv.FormatInt(at.Unix(), 10)
				sum := sha256.Sum256([]byte(stamp + body))
				sig, err := ecdsa.SignASN1(rand.Reader, ec, sum[:])
				if err != nil {
					panic(err)
				}
				return body, []string{"X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(sig), "X-Twilio-Email-Event-Webhook-Timestamp", stamp}
			}},
		"mailgun": {signsAt: true, secret: keyText,
			opened: `{"event":"opened","recipient":"ann@example.com","message":{"headers":{"message-id":"q1"}}}`, wrong: `{"event":"opened","recipient":[]}`,
			sign: func(n int, at time.Time, body string) (string, []string) {
				stamp, token := strconv.FormatInt(at.Unix(), 10), fmt.Sprintf("token-%d", n)
				return fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":%q},"event-data":%s}`, stamp, token, hex.EncodeToString(mac(stamp+token)), body), nil
			}},
		"ses": {secret: snsTopic, sign: signSNS,
			opened: `{"eventType":"Open","mail":{"messageId":"q1","destination":["ann@example.com"]},"open":{}}`, wrong: `{"eventType":"Open","mail":{"destination":[[]]}}`},
		"postmark": {basic: true, secret: password, sign: basic,
			opened: `{"RecordType":"Open","Recipient":"ann@example.com","MessageID":"q1"}`, wrong: `{"RecordType":"Open","Recipient":[]}`},
		"sparkpost": {basic: true, secret: password, sign: basic,
			opened: `[{"msys":{"track_event":{"type":"open","rcpt_to":"ann@example.com","message_id":"q1"}}}]`, wrong: `[{"msys":{"track_event":{"type":[]}}}]`},
		"mautic": {secret: keyText, opened: `{"mautic.email_on_open":[{"stat":{"emailAddress":"ann@example.com"}}]}`, wrong: `{"mautic.email_on_open":7}`,
			sign: func(_ int, _ time.Time, body string) (string, []string) {
				return body, []string{"Webhook-Signature", base64.StdEncoding.EncodeToString(mac(body))}
			}},
		"listmonk": {basic: true, secret: password, sign: basic, opened: `{"email":"ann@example.com","type":"soft"}`, wrong: `{"email":[],"type":"soft"}`},
	}
})

var amazon = sync.OnceValues(func() (*rsa.PrivateKey, []byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
})

func signSNS(n int, at time.Time, body string) (string, []string) {
	e := map[string]string{"Type": "Notification", "MessageId": fmt.Sprintf("m-%d", n), "TopicArn": snsTopic, "Message": body,
		"Timestamp": at.UTC().Format(time.RFC3339), "SignatureVersion": "2", "SigningCertURL": snsCert}
	return sealSNS(e, "Message", "MessageId", "Timestamp", "TopicArn", "Type"), nil
}

func sealSNS(e map[string]string, fields ...string) string {
	text := ""
	for _, f := range fields {
		text += f + "\n" + e[f] + "\n"
	}
	key, _ := amazon()
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	e["Signature"] = base64.StdEncoding.EncodeToString(sig)
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(b)
}
