package content

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Record is a published DKIM key.
type Record struct {
	Kind    string // rsa or ed25519
	Public  crypto.PublicKey
	Testing bool // t=y: receivers treat signatures as if they were not there
}

// maxRecord is how long a record may be, in bytes.
const maxRecord = 4 << 10

// CheckRecord reads the text of a TXT record, its strings joined (RFC 6376
// §3.6.1). The error says why mail signed with the key would not verify.
func CheckRecord(txt string) (Record, error) {
	if len(txt) > maxRecord {
		return Record{}, fmt.Errorf("the record is longer than %d bytes", maxRecord)
	}
	tags, err := recordTags(txt)
	if err != nil {
		return Record{}, err
	}
	if v, ok := tags["v"]; ok && v != "DKIM1" {
		return Record{}, fmt.Errorf("v=%s is not a version of DKIM; want DKIM1", clean(v, 64))
	}
	if h, ok := tags["h"]; ok && !listed(h, "sha256") {
		return Record{}, fmt.Errorf("h=%s forbids sha256, which is what mail is signed with", clean(h, 64))
	}
	if s, ok := tags["s"]; ok && !listed(s, "email") && !listed(s, "*") {
		return Record{}, fmt.Errorf("s=%s: the key is not for mail", clean(s, 64))
	}
	r := Record{Kind: "rsa", Testing: listed(tags["t"], "y")}
	if k, ok := tags["k"]; ok {
		r.Kind = k
	}
	r.Public, err = publicKey(r.Kind, tags)
	return r, err
}

func recordTags(txt string) (map[string]string, error) {
	tags := make(map[string]string)
	for part := range strings.SplitSeq(txt, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if _, twice := tags[key]; !ok || twice {
			return nil, fmt.Errorf("%q is not a tag like k=rsa, or is there twice", clean(part, 64))
		}
		tags[key] = strings.TrimSpace(value)
	}
	return tags, nil
}

func listed(list, want string) bool {
	return slices.ContainsFunc(strings.Split(list, ":"), func(s string) bool { return strings.TrimSpace(s) == want })
}

func publicKey(kind string, tags map[string]string) (crypto.PublicKey, error) {
	p, ok := tags["p"]
	if !ok {
		return nil, errors.New("there is no p=, the key itself")
	}
	if p == "" {
		return nil, errors.New("p= is empty: the key is revoked")
	}
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p), ""))
	if err != nil {
		return nil, fmt.Errorf("p= is not base64: %w", err)
	}
	switch kind {
	case "ed25519":
		if len(b) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("p= holds %d bytes; an Ed25519 key has %d", len(b), ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(b), nil
	case "rsa":
		return rsaKey(b)
	}
	return nil, fmt.Errorf("k=%s is no kind of key that mail is signed with; want rsa or ed25519", clean(kind, 64))
}

// rsaKey reads SubjectPublicKeyInfo, and the bare key that RFC 6376 describes.
func rsaKey(b []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		if key, err = x509.ParsePKCS1PublicKey(b); err != nil {
			return nil, fmt.Errorf("p= is not an RSA key: %w", err)
		}
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("k=rsa, but p= holds a %T", key)
	}
	if public.N.BitLen() < minRSA {
		return nil, fmt.Errorf("%d bits of RSA are too few (RFC 8301)", public.N.BitLen())
	}
	return public, nil
}

// Fits reports whether the record publishes the key.
func (r Record) Fits(key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(r.Public)
}
