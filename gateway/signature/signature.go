// Package signature has what both ends of Standard Webhooks 1.0 share: how a secret
// is written, and the sum that a signature of version v1 is.
//
// What can go wrong: a secret that is too short to be one, or in another form. The
// error never repeats it.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Sizes of a secret, in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// prefix is how a secret is known again when it lies about.
const prefix = "whsec_"

// ParseSecret reads a secret as Standard Webhooks writes it: whsec_ and 24 to 64
// bytes in base64. Without the prefix it is read too.
func ParseSecret(text string) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), prefix))
	if err != nil {
		return nil, errors.New("is not whsec_ and base64")
	}
	if len(secret) < minSecret || len(secret) > maxSecret {
		return nil, fmt.Errorf("has %d bytes, want %d to %d", len(secret), minSecret, maxSecret)
	}
	return secret, nil
}

// Sum is HMAC-SHA-256 over the id of a report, its time in seconds and its body, with
// a full stop after each of the first two.
func Sum(secret []byte, id, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
