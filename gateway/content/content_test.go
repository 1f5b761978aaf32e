package content

import (
	"bytes"
	"context"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// Support shared by the tests of this package.

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// message makes content of header lines and a body.
func message(body string, lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// read runs the Reader over header lines, received at noon.
func read(t *testing.T, c *gateway.Credential, lines ...string) (*gateway.Message, error) {
	t.Helper()
	m := &gateway.Message{Received: noon}
	r := &Reader{Hostname: "gw.example.net"}
	err := r.Read([]byte(message("", lines...)), m, c)
	return m, err
}

// mustRead is read of a header that may not be refused.
func mustRead(t *testing.T, c *gateway.Credential, lines ...string) *gateway.Message {
	t.Helper()
	m, err := read(t, c, lines...)
	if err != nil {
		t.Fatalf("Read(%q): %v", lines, err)
	}
	return m
}

// stored is a message as a Store hands it out.
func stored(t testing.TB, content string) *gateway.Stored {
	t.Helper()
	m := &gateway.Message{
		Received: noon, Client: "192.0.2.7", Helo: "client.example", Protocol: "ESMTP",
		Recipients: []gateway.Recipient{{Address: "b@y.test"}}, From: "a@x.test", Size: int64(len(content)),
	}
	id, err := gateway.ParseID("01JDAY0000000000000000TEST")
	if err != nil {
		id = gateway.ID{1, 2, 3}
	}
	m.ID = id
	s := scanner{b: []byte(content)}
	for _, ok := s.next(); ok; _, ok = s.next() {
	}
	m.Header = int64(s.pos)
	return &gateway.Stored{Message: m, ReaderAt: strings.NewReader(content), Size: int64(len(content))}
}

// compose returns the bytes that leave, and checks the size that was promised.
func compose(t testing.TB, c *Composer, s *gateway.Stored) string {
	t.Helper()
	body, size, err := c.Compose(context.Background(), s, &gateway.Delivery{}, gateway.Marks{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Fatalf("Compose promised %d bytes and gave %d", size, len(b))
	}
	return string(b)
}

// parsed reads what left as a receiver would.
func parsed(t testing.TB, s string) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(s))
	if err != nil {
		t.Fatalf("what left is no message: %v\n%s", err, s)
	}
	return m
}

// newsletter is 4 KB of mail as listmonk sends it.
func newsletter() string {
	return message(strings.Repeat("This is a line of a newsletter,  with some text in it.\r\n", 60),
		"From: Tide News <news@example.com>",
		"To: Reader <reader@example.org>",
		"Subject: =?utf-8?q?The_tide_is_high?= this week",
		"Date: Sun, 22 Nov 2026 11:59:00 +0000",
		"Message-Id: <7d3c4a40-1111-2222-3333-444455556666@example.com>",
		"Mime-Version: 1.0",
		"Content-Type: text/html; charset=UTF-8",
		"Content-Transfer-Encoding: quoted-printable",
		"List-Unsubscribe: <https://list.example.com/subscription/1/2>",
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
		"X-Listmonk-Campaign: 5b0cbbb4-9c3d-4b7c-8d0e-000000000001",
		"X-Listmonk-Subscriber: 5b0cbbb4-9c3d-4b7c-8d0e-000000000002",
		"X-Tidepost-Window: 24h",
	)
}

func BenchmarkRead(b *testing.B) {
	header, _, _ := bytes.Cut([]byte(newsletter()), []byte("\r\n\r\n"))
	header = append(header, "\r\n\r\n"...)
	r := &Reader{Hostname: "gw.example.net"}
	c := &gateway.Credential{BulkClass: gateway.Newsletter}
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		m := gateway.Message{Received: noon}
		if err := r.Read(header, &m, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	s := stored(b, newsletter())
	c := &Composer{Hostname: "gw.example.net"}
	benchmarkCompose(b, c, s)
}

func benchmarkCompose(b *testing.B, c *Composer, s *gateway.Stored) {
	d := &gateway.Delivery{}
	buf := make([]byte, 32<<10)
	b.SetBytes(s.Size)
	b.ReportAllocs()
	for b.Loop() {
		body, _, err := c.Compose(context.Background(), s, d, gateway.Marks{})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		body.Close()
	}
}
