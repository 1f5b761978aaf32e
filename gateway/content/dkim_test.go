package content

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"tidepost/gateway"
)

// keys are made once: RSA is slow to make.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	made := make(map[string]crypto.Signer)
	for _, kind := range []string{"rsa", "ed25519"} {
		key, _, err := GenerateKey(kind)
		if err != nil {
			panic(err)
		}
		made[kind] = key
	}
	return made
})

// zone answers TXT lookups with the records of signers.
func zone(signers ...Signer) *dkim.VerifyOptions {
	return &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for _, s := range signers {
			if name == s.Selector+"._domainkey."+s.Domain {
				txt, err := recordText(s.Key)
				return []string{txt}, err
			}
		}
		return nil, errors.New("no such record: " + name)
	}}
}

// verify returns the domains of the signatures, all of which must verify.
func verify(t testing.TB, message string, z *dkim.VerifyOptions) []string {
	t.Helper()
	results, err := dkim.VerifyWithOptions(strings.NewReader(message), z)
	if err != nil {
		t.Fatal(err)
	}
	var domains []string
	for _, v := range results {
		if v.Err != nil {
			t.Errorf("the signature of %s: %v\n%s", v.Domain, v.Err, message)
		}
		domains = append(domains, v.Domain)
	}
	return domains
}

// A signature put on before us verifies after us (design rule 7).
func TestForeignSignatureSurvives(t *testing.T) {
	esp := Signer{"example.com", "esp", keys()["ed25519"]}
	ours := Signer{"example.com", "t1", keys()["rsa"]}
	for _, can := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
		var signed bytes.Buffer
		err := dkim.Sign(&signed, strings.NewReader(newsletter()), &dkim.SignOptions{Domain: esp.Domain, Selector: esp.Selector, Signer: esp.Key,
			HeaderCanonicalization: can, BodyCanonicalization: can}) // all fields, also the control field
		if err != nil {
			t.Fatal(err)
		}
		left := compose(t, &Composer{Hostname: "gw"}, stored(t, signed.String()))
		if got := verify(t, left, zone(esp)); len(got) != 1 {
			t.Errorf("%s: signatures of %q, want one", can, got)
		}
		if !strings.HasSuffix(left, signed.String()) {
			t.Errorf("%s: it did not leave byte for byte", can)
		}
		left = compose(t, &Composer{Hostname: "gw", Signers: []Signer{ours}}, stored(t, signed.String()))
		if got := verify(t, left, zone(esp, ours)); len(got) != 2 {
			t.Errorf("%s: beside ours, signatures of %q, want two", can, got)
		}
	}
}

func TestSignersFor(t *testing.T) {
	c := &Composer{Signers: []Signer{
		{Domain: "example.com", Selector: "rsa"}, {Domain: "example.com", Selector: "ed"},
		{Domain: "news.example.com", Selector: "n"}, {Domain: "other.test", Selector: "o"},
	}}
	for from, want := range map[string]string{
		"a@example.com":                            "rsa ed",
		"A <a@EXAMPLE.com.>":                       "", // a final dot is no address
		"A <a@Example.COM>":                        "rsa ed",
		"a@shop.example.com":                       "rsa ed",
		"a@news.example.com":                       "n",
		"a@x.news.example.com":                     "n",
		"a@badexample.com":                         "",
		"a@com":                                    "",
		"a@other.test, b@example.com":              "o",
		"not an address":                           "",
		strings.Repeat("x", 5000) + "@example.com": "",
	} {
		var got []string
		for _, s := range c.signersFor([]byte(from)) {
			got = append(got, s.Selector)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("From: %.40s is signed by %q, want %q", from, got, want)
		}
	}
}

func TestSign(t *testing.T) {
	both := []Signer{{"example.com", "r", keys()["rsa"]}, {"example.com", "e", keys()["ed25519"]}}
	for _, c := range []struct{ name, body string }{
		{"a newsletter", newsletter()},
		{"no body", message("", "From: a@example.com")},
		{"no end of the header", "From: a@example.com\r\n"},
		{"empty lines only", message("\r\n\r\n", "From: a@example.com")},
		{"empty lines at the end", message("a\r\n\r\n \r\n\t\r\n", "From: a@example.com")},
		{"no line end", message("a  b \t", "From: a@example.com")},
		{"white space everywhere", message(" a\t\tb \r\n  \r\nc\r\n", "From:  a@example.com ", "Subject:\ta\r\n\t b  c", "To: x", "To: y")},
		{"fields several times", message("x", "To: a", "From: a@example.com", "To: b", "Received: x", "to : c")},
		{"control characters", message("a\x01b\x0b \x0c c\r\n", "From: a@example.com")},
		{"8 bits", message("\xff\xfe\r\n", "From: a@example.com", "Subject: \xc3\xbc")},
		{"a body of 100 KB", message(strings.Repeat("0123456789 abc\r\n", 6400), "From: a@example.com")},
		{"a line of 100 KB", message(strings.Repeat("x", 100<<10), "From: a@example.com")},
		{"spaces across pieces", message(strings.Repeat(" ", 40<<10)+"x\r\n"+strings.Repeat("\r\n", 20<<10), "From: a@example.com")},
	} {
		composer := &Composer{Hostname: "gw.example.net", Signers: both}
		left := compose(t, composer, stored(t, c.body))
		if got := verify(t, left+crlfAtEnd(left), zone(both...)); len(got) != 2 {
			t.Errorf("%s: %d signatures, want 2", c.name, len(got))
		}
		for line := range strings.SplitSeq(left[:strings.Index(left, "Received:")], "\r\n") {
			if len(line) > 78 {
				t.Errorf("%s: a line of %d characters: %s", c.name, len(line), line)
			}
		}
	}
}

// crlfAtEnd is what a message without an end of its header lacks for the verifier.
func crlfAtEnd(s string) string {
	if !strings.Contains(s, "\r\n\r\n") {
		return "\r\n"
	}
	return ""
}

// A sealed field cannot be added to signed mail.
func TestSealed(t *testing.T) {
	s := Signer{"example.com", "e", keys()["ed25519"]}
	left := compose(t, &Composer{Hostname: "gw", Signers: []Signer{s}}, stored(t, newsletter()))
	for _, added := range []string{"From: b@evil.test", "Subject: free money", "List-Unsubscribe: <https://evil.test/>", "To: v@y", "Reply-To: v@y"} {
		results, err := dkim.VerifyWithOptions(strings.NewReader(added+"\r\n"+left), zone(s))
		if err != nil || len(results) != 1 || results[0].Err == nil {
			t.Errorf("with %q added it still verifies (%v)", added, err)
		}
	}
}

// A signature in the place of ours is a forgery or a repetition; it goes, and
// covers nothing (attacks A14).
func TestReplacedSignature(t *testing.T) {
	s := Signer{"example.com", "e", keys()["ed25519"]}
	forged := "DKIM-Signature: v=1; d=Example.com; s=E; h=from:x-tidepost-class; bh=x; b=y"
	in := message("x", forged, "X-Tidepost-Class: triggered", "From: a@example.com")
	left := compose(t, &Composer{Hostname: "gw", Signers: []Signer{s}}, stored(t, in))
	if got := verify(t, left, zone(s)); len(got) != 1 || strings.Contains(left, "Tidepost-Class") {
		t.Errorf("signatures of %q on\n%s", got, left)
	}
	other := compose(t, &Composer{Hostname: "gw", Signers: []Signer{{"other.test", "e", s.Key}}}, stored(t, in))
	if !strings.Contains(other, forged) {
		t.Errorf("a signature we do not replace is gone from\n%s", other)
	}
}

type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token is gone")
}

func TestSignErrors(t *testing.T) {
	c := &Composer{Hostname: "gw", Signers: []Signer{{"example.com", "e", brokenKey{keys()["ed25519"]}}}}
	if _, _, err := c.Compose(context.Background(), stored(t, newsletter()), &gateway.Delivery{}, gateway.Marks{}); err == nil || !strings.Contains(err.Error(), "dkim key e of example.com") {
		t.Errorf("a broken key: %v", err)
	}
	c.Signers[0].Key = keys()["ed25519"]
	short := stored(t, newsletter())
	short.Size += 100
	if _, _, err := c.Compose(context.Background(), short, &gateway.Delivery{}, gateway.Marks{}); err == nil {
		t.Error("a body cut short was signed")
	}
	var g gate
	ctx, cancel := context.WithCancel(context.Background())
	for g.enter(ctx) == nil && len(g.slots) < cap(g.slots) {
	}
	cancel()
	if err := g.enter(ctx); err != context.Canceled {
		t.Errorf("a full gate lets in one whose time is over: %v", err)
	}
}

// Our relaxed body is the one of go-msgauth, for any body with CRLF line ends
// and pieces of any size.
func FuzzBodyHash(f *testing.F) {
	f.Add("a  b \r\n\r\n", 1)
	f.Add(" \t\r\n\t", 3)
	s := Signer{"example.com", "e", keys()["ed25519"]}
	f.Fuzz(func(t *testing.T, body string, piece int) {
		if strings.ContainsAny(strings.ReplaceAll(body, "\r\n", ""), "\r\n") {
			return // intake lets no bare CR or LF pass
		}
		one, many := bodyCanon{hash: sha256.New()}, bodyCanon{hash: sha256.New()}
		one.write([]byte(body))
		one.close()
		piece = max(1, piece&0xff)
		for rest := []byte(body); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			many.write(rest[:min(piece, len(rest))])
		}
		many.close()
		if !bytes.Equal(one.hash.Sum(nil), many.hash.Sum(nil)) {
			t.Fatalf("pieces of %d change the hash of %q", piece, body)
		}
		verify(t, compose(t, &Composer{Hostname: "gw", Signers: []Signer{s}}, stored(t, message(body, "From: a@example.com"))), zone(s))
	})
}

// Signing is safe and bounded when many deliveries leave at once.
func TestComposeTogether(t *testing.T) {
	s := Signer{"example.com", "e", keys()["ed25519"]}
	c := &Composer{Hostname: "gw", Signers: []Signer{s}}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			text := newsletter() + fmt.Sprint(i) + "\r\n"
			left := compose(t, c, stored(t, text))
			if verify(t, left, zone(s)); !strings.HasSuffix(left, fmt.Sprint(i)+"\r\n") {
				t.Errorf("message %d left with another's body", i)
			}
		})
	}
	wait.Wait()
}

func BenchmarkSign(b *testing.B) {
	body := strings.Repeat("This is a line of a newsletter,  with some text in it.\r\n", 585) // 32 KB
	for _, kind := range []string{"ed25519", "rsa"} {
		b.Run(kind, func(b *testing.B) {
			c := &Composer{Hostname: "gw", Signers: []Signer{{"example.com", "s", keys()[kind]}}}
			benchmarkCompose(b, c, stored(b, message(body, "From: a@example.com", "To: b@example.org", "Subject: x", "Date: d", "Message-ID: <m@example.com>")))
		})
	}
}

func BenchmarkBodyHash(b *testing.B) {
	body := []byte(strings.Repeat("This is a line of a newsletter,  with some text in it.\r\n", 585))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c := bodyCanon{hash: sha256.New()}
		c.write(body)
		c.close()
	}
}
