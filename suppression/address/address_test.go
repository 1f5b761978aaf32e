package address

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 64)
	label := strings.Repeat("d", 63)
	tests := []struct {
		in   string
		want Address
		err  error
	}{
		{in: "ann@example.com", want: Address{Local: "ann", Domain: "example.com"}},
		{in: "Ann.B+x@Example.COM", want: Address{Local: "Ann.B+x", Domain: "Example.COM"}},
		{in: "o'hara/dept=1@x-y.example", want: Address{Local: "o'hara/dept=1", Domain: "x-y.example"}},
		{in: "a!b%c@example.com", want: Address{Local: "a!b%c", Domain: "example.com"}},
		{in: "ann@localhost", want: Address{Local: "ann", Domain: "localhost"}},
		{in: "postmaster", want: Address{Local: "postmaster"}},
		{in: "PostMaster", want: Address{Local: "PostMaster"}},
		{in: `"postmaster"`, want: Address{Local: "postmaster"}},
		{in: `"ann b"@example.com`, want: Address{Local: "ann b", Domain: "example.com"}},
		{in: `"a@b"@example.com`, want: Address{Local: "a@b", Domain: "example.com"}},
		{in: `"a\"\\\b"@example.com`, want: Address{Local: `a"\b`, Domain: "example.com"}},
		{in: `""@example.com`, want: Address{Domain: "example.com"}},
		{in: "jürgen@example.com", want: Address{Local: "jürgen", Domain: "example.com", UTF8: true}},
		{in: "ann@bücher.example", want: Address{Local: "ann", Domain: "bücher.example", UTF8: true}},
		{in: "我買@屋企.香港", want: Address{Local: "我買", Domain: "屋企.香港", UTF8: true}},
		{in: "अ\u200dब@example.com", want: Address{Local: "अ\u200dब", Domain: "example.com", UTF8: true}},
		{in: long + "@example.com", want: Address{Local: long, Domain: "example.com"}},
		{in: "a@" + label + ".com", want: Address{Local: "a", Domain: label + ".com"}},
		{in: "a@xn--bcher-kva.example", want: Address{Local: "a", Domain: "xn--bcher-kva.example"}},

		{in: "", err: ErrEmpty},
		{in: "ann", err: ErrNoDomain},
		{in: "ann@", err: ErrNoDomain},
		{in: "@example.com", err: ErrSourceRoute},
		{in: "@a.example,@b.example:ann@c.example", err: ErrSourceRoute},
		{in: "ann@[192.0.2.1]", err: ErrLiteral},
		{in: "ann@[IPv6:::1]", err: ErrLiteral},
		{in: "ann@127.0.0.1", err: ErrLiteral},
		{in: "ann@2130706433", err: ErrLiteral},
		{in: "a" + long + "@example.com", err: ErrLocalTooLong},
		{in: `"` + long + `"@example.com`, err: ErrLocalTooLong},
		{in: "a@d" + label + ".com", err: ErrDomainTooLong},
		{in: "a@" + strings.Repeat("abc.", 63) + "abcd", err: ErrDomainTooLong},
		{in: "a@" + strings.Repeat("ü", 100) + ".com", err: ErrDomainTooLong},
		{in: ".ann@example.com", err: ErrDots},
		{in: "ann.@example.com", err: ErrDots},
		{in: "a..b@example.com", err: ErrDots},
		{in: "a@.example.com", err: ErrDots},
		{in: "a@example..com", err: ErrDots},
		{in: "a@example.com.", err: ErrDots},
		{in: "a@-x.com", err: ErrDomain},
		{in: "a@x-.com", err: ErrDomain},
		{in: "a@屋企。香港", err: ErrDomain},
		{in: "a@a_b.com", err: ErrCharacter},
		{in: "a b@example.com", err: ErrCharacter},
		{in: "a@b@example.com", err: ErrCharacter},
		{in: "a@example.com>", err: ErrCharacter},
		{in: "<a@example.com", err: ErrCharacter},
		{in: "a@example.com ", err: ErrCharacter},
		{in: "a(c)@example.com", err: ErrCharacter},
		{in: "a,b@example.com", err: ErrCharacter},
		{in: `"ann@example.com`, err: ErrQuote},
		{in: `"ann"b@example.com`, err: ErrQuote},
		{in: `"ann\`, err: ErrQuote},
		{in: "\"ann\\\x7f\"@example.com", err: ErrQuote},
		{in: `ann"b"@example.com`, err: ErrCharacter},
		{in: "a\rb@example.com", err: ErrControl},
		{in: "a\n@example.com", err: ErrControl},
		{in: "\"a\r\nRCPT\"@example.com", err: ErrControl},
		{in: "a\x00@example.com", err: ErrControl},
		{in: "a\t@example.com", err: ErrControl},
		{in: "\"a\t\"@example.com", err: ErrControl},
		{in: "a\v@example.com", err: ErrControl},
		{in: "a\x7f@example.com", err: ErrControl},
		{in: "a@exa\x00mple.com", err: ErrControl},
		{in: "a\u0085@example.com", err: ErrControl},
		{in: "a\u202eb@example.com", err: ErrControl},
		{in: "a\u2066b@example.com", err: ErrControl},
		{in: "a@exa\u200emple.com", err: ErrControl},
		{in: "a\u00a0b@example.com", err: ErrControl},
		{in: "a\ufeff@example.com", err: ErrControl},
		{in: "a\xff@example.com", err: ErrInvalidUTF8},
		{in: "a\xc0\xae@example.com", err: ErrInvalidUTF8},     // overlong dot
		{in: "a\xed\xa0\x80@example.com", err: ErrInvalidUTF8}, // surrogate
		{in: "a@\xffexample.com", err: ErrInvalidUTF8},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if err != tt.err && !(err == nil && tt.err == nil) {
			t.Errorf("Parse(%q): error %v, want %v", tt.in, err, tt.err)
			continue
		}
		if got != tt.want {
			t.Errorf("Parse(%q) = %+v, want %+v", tt.in, got, tt.want)
		}
		if err == nil {
			roundTrip(t, got)
		}
	}
}

// roundTrip checks that the address survives its wire form, and that the canonical
// form is its own canonical form.
func roundTrip(t *testing.T, a Address) {
	t.Helper()
	again, err := Parse(a.String())
	if err != nil || again != a {
		t.Errorf("Parse(%q) = %+v, %v, want %+v", a.String(), again, err, a)
	}
	m := a.Mailbox()
	c, err := Parse(m.String())
	if err != nil {
		t.Errorf("%q: canonical %q does not parse: %v", a, m, err)
	} else if c.Mailbox() != m {
		t.Errorf("%q: canonical %q has the canonical form %q", a, m, c.Mailbox())
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		a    Address
		want string
	}{
		{Address{}, ""},
		{Address{Local: "Postmaster"}, "Postmaster"},
		{Address{Local: "a.b", Domain: "X.example"}, "a.b@X.example"},
		{Address{Local: "a..b", Domain: "x.example"}, `"a..b"@x.example`},
		{Address{Local: `a"\`, Domain: "x.example"}, `"a\"\\"@x.example`},
		{Address{Domain: "x.example"}, `""@x.example`},
	}
	for _, tt := range tests {
		if got := tt.a.String(); got != tt.want {
			t.Errorf("%+v is written %q, want %q", tt.a, got, tt.want)
		}
	}
}

func TestMailbox(t *testing.T) {
	tests := []struct{ in, want, domain string }{
		{"Ann@Example.COM", "ann@example.com", "example.com"},
		{"ann+shop@example.com", "ann@example.com", "example.com"},
		{"ann+a+b@example.com", "ann@example.com", "example.com"},
		{"+ann@example.com", "+ann@example.com", "example.com"},
		{"+ann+x@example.com", "+ann@example.com", "example.com"},
		{"ann.+x@example.com", "ann@example.com", "example.com"},
		{"a.n.n@example.com", "a.n.n@example.com", "example.com"},
		{"A.N.N+x@Gmail.com", "ann@gmail.com", "gmail.com"},
		{"a.nn@googlemail.com", "ann@gmail.com", "gmail.com"},
		{`"."@gmail.com`, `"."@gmail.com`, "gmail.com"},
		{`".+x"@gmail.com`, `"."@gmail.com`, "gmail.com"},
		{`"ann"@example.com`, "ann@example.com", "example.com"},
		{`"Ann B"@example.com`, `"ann b"@example.com`, "example.com"},
		{`"ann b+x"@example.com`, `"ann b"@example.com`, "example.com"},
		{"JÜRGEN@example.com", "jürgen@example.com", "example.com"},
		{"\u212aate@example.com", "\u212aate@example.com", "example.com"}, // Kelvin sign is no k
		{"ann@BÜCHER.example", "ann@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"ann@XN--bcher-kva.example", "ann@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"PostMaster", "postmaster", ""},
	}
	for _, tt := range tests {
		a, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		m := a.Mailbox()
		if m.String() != tt.want || m.Domain() != tt.domain {
			t.Errorf("mailbox of %q is %q at %q, want %q at %q", tt.in, m, m.Domain(), tt.want, tt.domain)
		}
	}
}

func TestHost(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a@GoogleMail.com", "googlemail.com"},
		{"a@Bücher.example", "xn--bcher-kva.example"},
		{"postmaster", ""},
	}
	for _, tt := range tests {
		a, _ := Parse(tt.in)
		if got := a.Host(); got != tt.want {
			t.Errorf("host of %q is %q, want %q", tt.in, got, tt.want)
		}
	}
	unparsed := Address{Local: "a", Domain: "Ü\xff.Example"}
	if got := unparsed.Host(); got == "" {
		t.Error("an address that was not parsed has no host")
	}
}

// The hash is stored and shards by it: it may never change.
func TestHash(t *testing.T) {
	a, _ := Parse("Ann+x@example.com")
	b, _ := Parse("ann@EXAMPLE.com")
	if a.Mailbox().Hash() != b.Mailbox().Hash() {
		t.Error("one mailbox has two hashes")
	}
	const want = "71d4f55f" // printf ann@example.com | sha256sum
	if hash := a.Mailbox().Hash(); fmt.Sprintf("%x", hash[:4]) != want {
		t.Errorf("hash begins %x, want %s", hash[:4], want)
	}
}

func TestErrorsDoNotQuote(t *testing.T) {
	_, err := Parse("secret person@example.com")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %q, want one without the address", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ann@example.com", `"a\"b"@x.example`, "postmaster", "我買@屋企.香港", "a.+b@gmail.com", `".+"@x`, "\u212a@x.y", "a@xn--a.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.String(), "\r\n\x00\t\x7f") {
			t.Errorf("%q was accepted", s)
		}
		if len(a.String()) > len(s) {
			t.Errorf("%q grew to %q", s, a)
		}
		roundTrip(t, a)
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("some.person+tag@mail.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMailbox(b *testing.B) {
	b.ReportAllocs()
	a, _ := Parse("Some.Person+tag@mail.Example.com")
	for b.Loop() {
		if a.Mailbox().Domain() == "" {
			b.Fatal("no domain")
		}
	}
}
