package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sendgridWords are SendGrid's names of kinds. Its dropped is not among them: it says
// that the address is on a list of bounces, and receivers stop writing to it.
var sendgridWords = map[string]string{
	"accepted": "processed", "delivered": "delivered", "deferred": "deferred", "bounced": "bounce",
	"unsubscribed": "unsubscribe", "complained": "spamreport", "opened": "open", "clicked": "click",
}

func encodeSendgrid(list []*notice) ([]byte, http.Header) {
	docs := make([]map[string]any, len(list))
	for i, n := range list {
		docs[i] = n.sendgrid()
	}
	return marshal(docs), nil
}

func (n *notice) sendgrid() map[string]any {
	doc := map[string]any{
		"email": n.address, "timestamp": n.At.Unix(), "event": sendgridWords[n.word], "smtp-id": "<" + n.messageID() + ">",
		"sg_event_id": n.id, "sg_message_id": n.ownID(),
	}
	if d := n.Delivery; d != nil && d.Campaign != "" {
		doc["category"] = []string{cut(d.Campaign, maxText)}
	}
	switch n.word {
	case "bounced":
		// listmonk knows a soft bounce by this word for its kind, in lower case.
		doc["reason"], doc["status"], doc["type"], doc["bounce_classification"] = n.text(), n.bounce.Status, "blocked", "technical"
		if n.bounce.Hard {
			doc["type"], doc["bounce_classification"] = "bounce", "Invalid Address"
		}
	case "delivered":
		doc["response"] = n.text()
	case "deferred":
		doc["response"] = n.text()
		if n.Delivery != nil {
			doc["attempt"] = strconv.Itoa(int(n.Delivery.Attempts))
		}
	case "opened":
		doc["sg_machine_open"] = n.machine()
	case "clicked":
		doc["url"] = n.detail.Link
	}
	// SendGrid flattens fields of the original mail among its own, without hyphens.
	for name, value := range n.headers() {
		if key := strings.ReplaceAll(name, "-", ""); doc[key] == nil {
			doc[key] = value
		}
	}
	return doc
}

// sendgridSigner signs as SendGrid's signed event webhook: ECDSA over SHA-256 of the
// time and the body.
func sendgridSigner(text string) (signer, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	return func(h http.Header, _ string, now time.Time, body []byte) error {
		stamp := strconv.FormatInt(now.Unix(), 10)
		sum := sha256.Sum256(append([]byte(stamp), body...))
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			return err
		}
		h.Set("X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature))
		h.Set("X-Twilio-Email-Event-Webhook-Timestamp", stamp)
		return nil
	}, nil
}

// parseKey reads a private key as NewKey writes it.
func parseKey(text string) (*ecdsa.PrivateKey, error) {
	bad := &EndpointError{"secret", "is no private key of the curve P-256 in PEM", "`tidepost webhooks keygen` makes one, for secret_file"}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, bad
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
			return nil, bad
		}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, bad
	}
	return key, nil
}

// NewKey makes a key for the format sendgrid: the private one in PEM (PKCS #8) for
// the secret, and the public one as SendGrid shows it, for the receiver.
func NewKey() (private, public string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	shown, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), base64.StdEncoding.EncodeToString(shown), nil
}
