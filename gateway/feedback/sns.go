package feedback

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// snsWindow is how old a message of SNS may be: it is repeated for long, and keeps its
// first Timestamp and its MessageId then. The gateway knows signals again for longer
// than that.
const snsWindow = 24 * time.Hour

// notification is the envelope of SNS.
// https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
type notification struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
}

// Types of a notification.
const (
	snsMessage     = "Notification"
	snsSubscribe   = "SubscriptionConfirmation"
	snsUnsubscribe = "UnsubscribeConfirmation"
)

var (
	topicForm = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)
	// The middle is a region: sns.s3.amazonaws.com would be anybody's bucket.
	snsHost = regexp.MustCompile(`^sns\.[a-z]{2}(-[a-z]+)+-\d{1,2}\.amazonaws\.com(\.cn)?$`)
	snsCert = regexp.MustCompile(`^/[A-Za-z0-9_-]{1,128}\.pem$`)
	// Regions that came later sign with a name of their own.
	snsSubject = regexp.MustCompile(`^sns(-[a-z0-9-]+)?(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?$`)
)

// parseTopic reads the ARN of a topic. It is no secret: SNS signs for every topic of
// everybody with the same keys, and the ARN says whose messages are believed.
func parseTopic(text string) ([]byte, error) {
	if !topicForm.MatchString(text) {
		return nil, errors.New("is no topic ARN, as in arn:aws:sns:eu-west-1:123456789012:bounces")
	}
	return []byte(text), nil
}

// snsVerify checks an envelope of SNS: its topic is ours, its certificate is one of
// Amazon's, its signature is right, and it is not too old. The signature is over the
// values of the envelope; they are read, and the message in it is not.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
func snsVerify(ctx context.Context, r *Request) (string, error) {
	var n notification
	if err := json.Unmarshal(r.Body, &n); err != nil || n.Type == "" {
		return "", refusal("there is no envelope of SNS, which alone is signed: turn raw message delivery off in the subscription")
	}
	if !slices.ContainsFunc(r.Secrets, func(topic []byte) bool { return same(topic, []byte(n.TopicARN)) }) {
		return "", refusal("TopicArn is none of this hook's")
	}
	text, err := n.signed()
	if err != nil {
		return "", err
	}
	key, err := snsKey(ctx, r, n.SigningCertURL)
	if err != nil {
		return "", err
	}
	if err := n.check(key, text); err != nil {
		return "", err
	}
	at, err := time.Parse(time.RFC3339, n.Timestamp)
	if age := r.Now.Sub(at); err != nil || age > snsWindow || age < -Tolerance {
		return "", ErrStale
	}
	if n.MessageID == "" {
		return "", refusal("MessageId is missing")
	}
	return plainID(n.MessageID), nil
}

// signed is the text that the signature covers: names and values, a line each.
func (n *notification) signed() ([]byte, error) {
	fields := []string{"Message", n.Message, "MessageId", n.MessageID}
	switch n.Type {
	case snsMessage:
		if n.Subject != nil {
			fields = append(fields, "Subject", *n.Subject)
		}
		fields = append(fields, "Timestamp", n.Timestamp, "TopicArn", n.TopicARN, "Type", n.Type)
	case snsSubscribe, snsUnsubscribe:
		fields = append(fields, "SubscribeURL", n.SubscribeURL, "Timestamp", n.Timestamp, "Token", n.Token, "TopicArn", n.TopicARN, "Type", n.Type)
	default:
		return nil, refusal("Type is none of SNS")
	}
	return []byte(strings.Join(fields, "\n") + "\n"), nil
}

func (n *notification) check(key *rsa.PublicKey, text []byte) error {
	signature, err := base64.StdEncoding.DecodeString(n.Signature)
	if err != nil {
		return ErrSignature
	}
	switch n.SignatureVersion {
	case "1":
		sum := sha1.Sum(text)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256(text)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		return refusal("SignatureVersion is neither 1 nor 2")
	}
	if err != nil {
		return ErrSignature
	}
	return nil
}

// snsKey gets the key of a certificate. That it is Amazon's follows from where it comes
// from, over TLS; what it says of itself is checked beside that.
func snsKey(ctx context.Context, r *Request, from string) (*rsa.PublicKey, error) {
	if u, ok := amazon(from); !ok || u.RawQuery != "" || !snsCert.MatchString(u.Path) {
		return nil, refusal("SigningCertURL is not Amazon's")
	}
	if r.Fetch == nil {
		return nil, errors.New("the certificate of SNS cannot be fetched here")
	}
	doc, err := r.Fetch(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("the certificate of SNS: %w", err)
	}
	block, _ := pem.Decode(doc)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, refusal("SigningCertURL has no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, refusal("SigningCertURL has no certificate")
	}
	if r.Now.Before(cert.NotBefore) || r.Now.After(cert.NotAfter) {
		return nil, refusal("the certificate of SNS is not valid now")
	}
	if !slices.ContainsFunc(append(cert.DNSNames, cert.Subject.CommonName), snsSubject.MatchString) {
		return nil, refusal("the certificate is of somebody else than SNS")
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 {
		return nil, refusal("the certificate of SNS has no RSA key of 2048 bits")
	}
	return key, nil
}

// amazon reports whether a URL leads to SNS itself.
func amazon(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > 2048 {
		return nil, false
	}
	return u, u.Scheme == "https" && u.User == nil && u.Fragment == "" && snsHost.MatchString(u.Host)
}

// sesRead reads an envelope that was verified: a subscription is confirmed, and of a
// message that SES wrote its events are taken.
func sesRead(body []byte) (*Payload, error) {
	if err := checkReport(body); err != nil {
		return nil, err
	}
	var n notification
	if err := decode("", body, &n); err != nil {
		return nil, err
	}
	p := &Payload{}
	switch n.Type {
	case snsSubscribe:
		u, ok := amazon(n.SubscribeURL)
		if !ok || u.Query().Get("Action") != "ConfirmSubscription" {
			return nil, &PayloadError{At: "SubscribeURL", Problem: "is not Amazon's", Remedy: "subscribe this hook to a topic of SNS"}
		}
		p.Confirm = n.SubscribeURL
		return p, nil
	case snsUnsubscribe:
		p.Ignored++ // whoever ended the subscription meant it
		return p, nil
	}
	if strings.HasPrefix(n.Message, "Successfully validated SNS topic") {
		p.Ignored++ // SES says so once, in words
		return p, nil
	}
	doc := []byte(n.Message)
	if err := checkReport(doc); err != nil {
		return nil, err
	}
	return p, sesMessage(p, doc)
}
