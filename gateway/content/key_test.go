package content

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	for _, kind := range []string{"rsa", "ed25519"} {
		key, file, err := GenerateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), kind+".pem")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadKey(name)
		if err != nil {
			t.Fatal(err)
		}
		line, err := DNSRecord("t1", "example.com", loaded)
		if err != nil || !strings.HasPrefix(line, "t1._domainkey.example.com. IN TXT ( \"v=DKIM1; k="+kind+"; p=") {
			t.Errorf("record %s: %v", line, err)
		}
		var txt string
		for _, s := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(line, -1) {
			if len(s[1]) > 255 {
				t.Errorf("a string of %d bytes", len(s[1]))
			}
			txt += s[1]
		}
		record, err := CheckRecord(txt)
		if err != nil || record.Kind != kind || !record.Fits(key) || record.Testing {
			t.Errorf("%s reads as %+v: %v", txt, record, err)
		}
		if record.Fits(keys()[kind]) {
			t.Errorf("another %s key fits", kind)
		}
	}
	if _, _, err := GenerateKey("dsa"); err == nil {
		t.Error("a key of kind dsa was made")
	}
}

func TestLoadKeyPKCS1(t *testing.T) {
	der := x509.MarshalPKCS1PrivateKey(keys()["rsa"].(*rsa.PrivateKey))
	key, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))
	if err != nil || !key.(*rsa.PrivateKey).Equal(keys()["rsa"]) {
		t.Errorf("a PKCS #1 key: %v", err)
	}
}

// Every error names the file and what to do.
func TestLoadKeyErrors(t *testing.T) {
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec, _ := x509.MarshalPKCS8PrivateKey(curve)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for _, c := range []struct{ content, want string }{
		{"", "is not PEM"},
		{"p=MIIB", "is not PEM"},
		{block("CERTIFICATE", nil), "holds a CERTIFICATE; want a private key"},
		{block("ENCRYPTED PRIVATE KEY", nil), "openssl pkey"},
		{block("PRIVATE KEY", ec), "want RSA or Ed25519"},
		{block("PRIVATE KEY", []byte("x")), "asn1"},
		{block("RSA PRIVATE KEY", []byte("x")), "asn1"},
	} {
		name := filepath.Join(t.TempDir(), "k.pem")
		if err := os.WriteFile(name, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(name); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%.30q: error %v, want one with %q and the file", c.content, err, c.want)
		}
	}
	if _, err := LoadKey("/no/such/key.pem"); err == nil || !strings.Contains(err.Error(), "tidepost dkim keygen") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCheckRecord(t *testing.T) {
	good, err := recordText(keys()["ed25519"])
	if err != nil {
		t.Fatal(err)
	}
	p := good[strings.Index(good, "p="):]
	for _, c := range []struct{ txt, want string }{
		{good, ""},
		{"k=ed25519; " + p, ""},
		{" v = DKIM1 ; k=ed25519; h=sha1 : sha256; s=email; t=y:s; n=note;" + p + ";", ""},
		{"v=DKIM2; " + p, "not a version of DKIM"},
		{"k=ed25519; h=sha1; " + p, "forbids sha256"},
		{"k=ed25519; s=other; " + p, "not for mail"},
		{"v=DKIM1; k=ed25519", "there is no p="},
		{"v=DKIM1; k=ed25519; p=", "revoked"},
		{"v=DKIM1; k=ed25519; p=!!", "not base64"},
		{"v=DKIM1; k=ed25519; p=AAAA", "an Ed25519 key has 32"},
		{"v=DKIM1; " + p, "not an RSA key"},
		{"v=DKIM1; k=dsa; " + p, "no kind of key"},
		{"v=spf1 -all", "not a version"},
		{"v=DKIM1; k=rsa; k=rsa; " + p, "there twice"},
		{"nonsense", "not a tag"},
		{strings.Repeat("x=y;", 2000), "longer than"},
	} {
		_, err := CheckRecord(c.txt)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("CheckRecord(%.60q): %v, want %q", c.txt, err, c.want)
		}
	}
}

func TestCheckRecordBareRSA(t *testing.T) {
	key := keys()["rsa"].(*rsa.PrivateKey)
	r, err := CheckRecord("p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey)))
	if err != nil || !r.Fits(key) {
		t.Errorf("a key without its SubjectPublicKeyInfo: %v", err)
	}
}
