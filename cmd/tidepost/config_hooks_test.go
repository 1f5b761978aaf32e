package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidepost/gateway/feedback"
)

func TestHookSecrets(t *testing.T) {
	var ders [][]byte
	for range 2 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		ders = append(ders, der)
	}
	text := func(i int) string { return base64.StdEncoding.EncodeToString(ders[i]) }
	block := func(i int) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ders[i]}))
	}
	for _, tt := range []struct {
		format, text string
		want         int
	}{
		{"sendgrid", text(0), 1}, {"sendgrid", text(0) + " \n" + text(1), 2}, {"sendgrid", block(0), 1}, {"sendgrid", block(0) + "\n" + block(1), 2},
		{"sendgrid", "-----BEGIN PUBLIC KEY-----", 0}, {"sendgrid", block(0)[:80], 0}, {"sendgrid", "", 0},
		{"ses", "arn:aws:sns:eu-west-1:123456789012:a arn:aws:sns:eu-west-1:123456789012:b", 2},
		{"ses", "arn:aws:sns:eu-west-1:123456789012:a b", 0},
		{"postmark", "hook:correct-horse", 1},
	} {
		f, _ := feedback.Lookup(tt.format)
		if got, err := hookSecrets(&f, tt.text); len(got) != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%s %.60q: %d, %v; want %d", tt.format, tt.text, len(got), err, tt.want)
		}
	}
}

// A hook's name says its format, unless it says another; what its file holds is checked
// when the configuration is read.
func TestHookConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := write("good", "hook:correct-horse-battery\n"), write("bad", "hook")
	c := mustLoad(t, "", []string{"hooks.postmark.secret_file=" + good, "hooks.shop.format=listmonk", "hooks.shop.secret_file=" + good, "hooks.shop.tenant=acme",
		"hooks.own.secret=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="})
	for name, want := range map[string]string{"postmark": "postmark default", "shop": "listmonk acme", "own": "standard default"} {
		h := c.Hooks[name]
		p, err := h.public()
		if got := p.Format + " " + p.Tenant; err != nil || got != want || len(p.Secrets) != 1 {
			t.Errorf("%s: %s, %d secrets, %v; want %s", name, got, len(p.Secrets), err, want)
		}
	}
	_, _, err := LoadConfig("", []string{"hooks.postmark.secret_file=" + bad}, nil)
	if err == nil || !strings.Contains(err.Error(), "hooks.postmark.secret_file: is not user:password; write it as user:password") {
		t.Errorf("a file with half a secret: %v", err)
	}
}
