package feedback

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway/signature"
)

// Tolerance is how far the time of a report may be from ours.
const Tolerance = 5 * time.Minute

// maxID is the length of an id, in bytes. A longer one would leave no room for the
// place of a signal behind it.
const maxID = 128

// ParseSecret reads a secret as Standard Webhooks writes it.
func ParseSecret(text string) ([]byte, error) { return signature.ParseSecret(text) }

// Verify checks a report of Standard Webhooks 1.0: one of the signatures in
// webhook-signature is of version v1 and made with one of the secrets, and
// webhook-timestamp is near now. It returns webhook-id. Several signatures and
// several secrets are how either side changes its secret.
func Verify(h http.Header, body []byte, secrets [][]byte, now time.Time) (id string, err error) {
	id, stamp, ok := identity(h)
	if !ok {
		return "", fmt.Errorf("webhook-id or webhook-timestamp: %w", ErrSignature)
	}
	if !signed(h.Values("Webhook-Signature"), id, stamp, body, secrets) {
		return "", ErrSignature
	}
	if err := fresh(stamp, now); err != nil {
		return "", err
	}
	return id, nil
}

// fresh checks a time in seconds since 1970.
func fresh(stamp string, now time.Time) error {
	at, err := strconv.ParseInt(stamp, 10, 64)
	if d := now.Unix() - at; err != nil || d > int64(Tolerance/time.Second) || -d > int64(Tolerance/time.Second) {
		return ErrStale
	}
	return nil
}

func digits(s string) bool { return s != "" && len(s) <= 15 && strings.Trim(s, "0123456789") == "" }

// identity reads what the signature covers beside the body. The specification
// warns that a full stop in either part would let one signature stand for two
// readings of the same bytes; the time is therefore digits alone, and the id has
// nothing that JSON begins with.
func identity(h http.Header) (id, stamp string, ok bool) {
	ids, stamps := h.Values("Webhook-Id"), h.Values("Webhook-Timestamp")
	if len(ids) != 1 || len(stamps) != 1 {
		return "", "", false
	}
	id, stamp = ids[0], stamps[0]
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:@/+=", r)
	}
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return !plain(r) }) {
		return "", "", false
	}
	return id, stamp, digits(stamp)
}

// signed reports whether any v1 signature is of any secret. All are compared,
// each in constant time; those of other versions, as of v1a (ed25519), are passed
// over.
func signed(headers []string, id, stamp string, body []byte, secrets [][]byte) bool {
	var sums [][]byte
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		sums = append(sums, signature.Sum(secret, id, stamp, body))
	}
	found := false
	for _, h := range headers {
		for one := range strings.FieldsSeq(h) {
			text, ok := strings.CutPrefix(one, "v1,")
			if !ok {
				continue
			}
			got, err := base64.StdEncoding.Strict().DecodeString(text)
			for _, sum := range sums {
				if err == nil && hmac.Equal(got, sum) {
					found = true
				}
			}
		}
	}
	return found
}
