package content

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

const minRSA = 1024 // bits: below it receivers must not verify (RFC 8301 §3.2)

// LoadKey reads a DKIM key from a PEM file, PKCS #1 or PKCS #8.
func LoadKey(file string) (crypto.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("dkim key: %w; create it with: tidepost dkim keygen", err)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("dkim key %s: %w", file, err)
	}
	return key, nil
}

func parseKey(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("it is not PEM; want a file that begins with -----BEGIN PRIVATE KEY-----")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return checkKey(key)
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return checkKey(key)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is protected by a pass phrase; take that off with: openssl pkey -in OLD -out NEW")
	}
	return nil, fmt.Errorf("it holds a %s; want a private key", block.Type)
}

func checkKey(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("%d bits of RSA are too few; make one of 2048 with: tidepost dkim keygen", k.N.BitLen())
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("a %T cannot sign DKIM; want RSA or Ed25519", key)
}

// GenerateKey makes a key of kind rsa (2048 bits) or ed25519, and its PEM file.
func GenerateKey(kind string) (crypto.Signer, []byte, error) {
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, nil, fmt.Errorf("key kind %q: want rsa or ed25519", kind)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// DNSRecord returns the line for a zone file that publishes a key (RFC 6376
// §3.6.1). A string of a TXT record holds 255 bytes, so it is cut in pieces.
func DNSRecord(selector, domain string, key crypto.Signer) (string, error) {
	txt, err := recordText(key)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s._domainkey.%s. IN TXT (", selector, strings.TrimSuffix(domain, "."))
	for len(txt) > 0 {
		n := min(len(txt), 250)
		fmt.Fprintf(&b, " \"%s\"", txt[:n])
		txt = txt[n:]
	}
	b.WriteString(" )")
	return b.String(), nil
}

// recordText is the content of the TXT record. RSA keys are published as
// SubjectPublicKeyInfo, Ed25519 keys as they are (RFC 8463 §4.2).
func recordText(key crypto.Signer) (string, error) {
	kind, public := "rsa", []byte(nil)
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		kind, public = "ed25519", k
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return "", err
		}
		public = der
	default:
		return "", fmt.Errorf("a %T cannot sign DKIM; want RSA or Ed25519", k)
	}
	return "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public), nil
}
