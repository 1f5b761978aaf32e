package main

import (
	"crypto"
	"strings"
	"testing"

	"tidepost/gateway/content"
)

// What the DNS says of a key, and what the check says of that.
func TestPublishedKeys(t *testing.T) {
	key, _, err := content.GenerateKey("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := content.GenerateKey("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	record := func(k crypto.Signer) string {
		line, err := content.DNSRecord("t1", "example.com", k)
		if err != nil {
			t.Fatal(err)
		}
		_, quoted, _ := strings.Cut(line, `"`)
		return strings.TrimSuffix(quoted, `" )`)
	}
	for _, test := range []struct {
		name, want string
		published  []string
	}{
		{"the key itself", "", []string{record(key)}},
		{"the key beside another text", "", []string{"v=spf1 -all", record(key)}},
		{"another key", "the DNS has another key", []string{record(other)}},
		{"nothing", "the DNS has another key", nil},
		{"the key, but not for the hash that signs", "forbids sha256", []string{record(key) + "; h=sha1"}},
	} {
		err := publishes(test.published, key)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
