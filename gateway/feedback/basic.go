package feedback

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What formats that are signed with a password alone ask for.
const (
	basicChallenge = `Basic realm="tidepost"`
	basicSecret    = "write it as user:password; `echo hook:$(openssl rand -hex 24)` makes one"
)

// Sizes of a secret that others chose, in bytes. Whoever guesses one has a try a second.
const (
	minPassword = 12
	minText     = 16
	maxPassword = 256
)

// parseBasic reads user:password.
func parseBasic(text string) ([]byte, error) {
	user, password, ok := strings.Cut(text, ":")
	switch {
	case !ok || user == "":
		return nil, errors.New("is not user:password")
	case len(password) < minPassword:
		return nil, fmt.Errorf("has a password of %d bytes, want %d or more", len(password), minPassword)
	case len(text) > maxPassword || !printable(text):
		return nil, fmt.Errorf("is longer than %d bytes or has characters that cannot be seen", maxPassword)
	}
	return []byte(text), nil
}

// parseText reads a key that is used as it is written.
func parseText(text string) ([]byte, error) {
	if len(text) < minText || len(text) > maxPassword || !printable(text) {
		return nil, fmt.Errorf("has %d bytes, want %d to %d that can be seen", len(text), minText, maxPassword)
	}
	return []byte(text), nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// basicVerify checks a report that brings no more than a user and a password. Nothing
// in it tells a repetition but that it is the same.
func basicVerify(_ context.Context, r *Request) (string, error) {
	if !authorized(r.Header, r.Secrets) {
		return "", errPassword
	}
	return fingerprint(r.Body), nil
}

const errPassword = refusal("user or password is missing or not right")

// authorized reports whether the one Authorization field (RFC 7617) has one of the
// secrets. All are compared, each in constant time.
func authorized(h http.Header, secrets [][]byte) bool {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, code, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(code) > 2*maxPassword || strings.ContainsAny(code, "\r\n") { // which encoding/base64 passes over
		return false
	}
	got, err := base64.StdEncoding.Strict().DecodeString(code)
	if err != nil {
		return false
	}
	found := false
	for _, secret := range secrets {
		if len(secret) > 0 && same(got, secret) {
			found = true
		}
	}
	return found
}

// same compares in a time that tells neither the content nor the length.
func same(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
