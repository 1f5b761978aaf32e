package outbound

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// dotted is what the dot writer makes of a body, with the sizes of its writes.
func dotted(t testing.TB, body io.Reader) (string, []int) {
	t.Helper()
	var wire bytes.Buffer
	var sizes []int
	w := dotWriters.Get().(*dotWriter)
	w.flush = func(b []byte) error {
		sizes = append(sizes, len(b))
		wire.Write(b)
		return nil
	}
	if err := w.copy(body); err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return wire.String(), sizes
}

func TestDots(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"empty", "", ".\r\n"},
		{"one line", "a\r\n", "a\r\n.\r\n"},
		{"no end of line", "a", "a\r\n.\r\n"},
		{"dot line", ".\r\n", "..\r\n.\r\n"},
		{"dot at the start and after", ".a\r\n.b\r\nc.d\r\n", "..a\r\n..b\r\nc.d\r\n.\r\n"},
		{"dot at the very end", "a\r\n.", "a\r\n..\r\n.\r\n"},
		{"empty lines", "\r\n\r\n", "\r\n\r\n.\r\n"},
		{"bare LF", "a\nb\n", "a\r\nb\r\n.\r\n"},
		{"bare CR", "a\rb\r\n", "a b\r\n.\r\n"},
		{"CR at the end", "a\r", "a \r\n.\r\n"},
		{"NUL", "a\x00b\r\n", "a b\r\n.\r\n"},
		{"F1 LF dot LF", "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"F2 LF dot CR", "a\n.\rb", "a\r\n.. b\r\n.\r\n"},
		{"F3 LF dot CRLF", "a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"F4 CR dot LF", "a\r.\nb", "a .\r\nb\r\n.\r\n"},
		{"F5 CR dot CR", "a\r.\rb", "a . b\r\n.\r\n"},
		{"F6 CR dot CRLF", "a\r.\r\nb", "a .\r\nb\r\n.\r\n"},
		{"F7 CRLF dot LF", "a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"F8 CRLF dot CR", "a\r\n.\rb", "a\r\n.. b\r\n.\r\n"},
		{"F9 CRCRLF dot", "a\r\r\n.\r\nb", "a \r\n..\r\nb\r\n.\r\n"},
		{"F10 CRLF dot CRCRLF", "a\r\n.\r\r\nb", "a\r\n.. \r\nb\r\n.\r\n"},
		{"F10 CRLF NUL dot", "a\r\n\x00.\r\nb", "a\r\n .\r\nb\r\n.\r\n"},
		{"F10 CRLF dot NUL", "a\r\n.\x00\r\nb", "a\r\n.. \r\nb\r\n.\r\n"},
	} {
		for _, r := range []io.Reader{strings.NewReader(row.in), iotest.OneByteReader(strings.NewReader(row.in)), iotest.DataErrReader(strings.NewReader(row.in))} {
			if got, _ := dotted(t, r); got != row.want {
				t.Errorf("%s: %q, want %q", row.name, got, row.want)
			}
		}
	}
}

// slow is the oracle: one byte at a time, written from the rules.
func slow(in string) string {
	var out []byte
	start := true
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch {
		case c == '\r' && i+1 < len(in) && in[i+1] == '\n':
			continue
		case c == '\n':
			out, start = append(out, "\r\n"...), true
			continue
		case c == '\r' || c == 0:
			c = ' '
		case c == '.' && start:
			out = append(out, '.')
		}
		out, start = append(out, c), false
	}
	if !start {
		out = append(out, "\r\n"...)
	}
	return string(out) + ".\r\n"
}

func FuzzDots(f *testing.F) {
	f.Add("a\r\n.\r\n\x00..\n\r", uint8(3))
	f.Add(letter, uint8(0))
	f.Fuzz(func(t *testing.T, in string, seed uint8) {
		got, _ := dotted(t, &chunks{in: in, random: rand.New(rand.NewPCG(uint64(seed), 1))})
		if want := slow(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	})
}

// chunks reads in pieces of random size.
type chunks struct {
	in     string
	random *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.in == "" {
		return 0, io.EOF
	}
	n := copy(p, c.in[:1+c.random.IntN(len(c.in))])
	c.in = c.in[n:]
	return n, nil
}

func TestDotsLarge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"\r\n", "\r\n", "\r\n.", "text of a line", ".", "\n", "\r", "\x00", strings.Repeat("x", 900)}
	for range 20 {
		var b strings.Builder
		for b.Len() < 300_000 {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		got, sizes := dotted(t, &chunks{in: b.String(), random: random})
		if got != slow(b.String()) {
			t.Fatal("differs from the oracle")
		}
		for _, n := range sizes {
			if n > blockSize {
				t.Fatalf("a write of %d bytes", n)
			}
		}
	}
}

func TestBodyFails(t *testing.T) {
	w := dotWriters.Get().(*dotWriter)
	w.flush = func([]byte) error { return nil }
	broken := errors.New("checksum")
	if err := w.copy(iotest.ErrReader(broken)); !isSource(err) || !errors.Is(err, broken) {
		t.Errorf("%v, want an error of the source", err)
	}
	if err := w.copy(stuck{}); !isSource(err) {
		t.Errorf("%v, want no progress", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func BenchmarkDots(b *testing.B) {
	body := strings.Repeat("A line of a newsletter, about as long as they are.\r\n", 80)
	w := dotWriters.Get().(*dotWriter)
	w.flush = func([]byte) error { return nil }
	r := strings.NewReader("")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r.Reset(body)
		w.out, w.inLine = w.out[:0], false
		w.copy(r)
		w.end()
	}
}
