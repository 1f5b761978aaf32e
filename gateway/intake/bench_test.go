package intake

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"tidepost/gateway"
)

func benchBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString("From: <a@bench.test>\r\nTo: <b@bench.test>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nMessage-ID: <bench@bench.test>\r\nSubject: bench\r\n\r\n")
	line := strings.Repeat("x", 76) + "\r\n"
	for b.Len()+len(line) < size {
		b.WriteString(line)
	}
	b.WriteString("end\r\n.\r\n")
	return b.Bytes()
}

// benchSession sends messages without pipelining, as most ESPs do.
func benchSession(tb testing.TB, addr string, body []byte, next func() bool) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(want, line string) bool {
		if line != "" {
			io.WriteString(conn, line)
		}
		for {
			got, err := r.ReadSlice('\n')
			if err != nil || !bytes.HasPrefix(got, []byte(want)) {
				tb.Errorf("after %q: %q, %v, want %s", line, got, err, want)
				return false
			}
			if got[3] == ' ' {
				return true
			}
		}
	}
	ok := say("220", "") && say("250", "EHLO bench.test\r\n")
	for ok && next() {
		ok = say("250", "MAIL FROM:<a@bench.test>\r\n") && say("250", "RCPT TO:<b@bench.test>\r\n") && say("354", "DATA\r\n")
		if ok {
			conn.Write(body)
			ok = say("250", "")
		}
	}
	if ok {
		say("221", "QUIT\r\n")
	}
}

func benchSessions(b *testing.B, addr string, sessions, size int) {
	body := benchBody(size)
	var n atomic.Int64
	next := func() bool { return n.Add(1) <= int64(b.N) }
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() { benchSession(b, addr, body, next) })
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func discard(context.Context, *gateway.Submission) (gateway.ID, error) { return gateway.ID{}, nil }

// BenchmarkSession is whole sessions over loopback beside go-smtp's server, which
// throws messages away unread.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{4 << 10, 40 << 10} {
		for _, sessions := range []int{1, 20} {
			name := fmt.Sprintf("%dKB/%dsessions", size>>10, sessions)
			b.Run("tidepost/"+name, func(b *testing.B) {
				benchSessions(b, serve(b, &Server{Hostname: "bench.test", TrustedNetworks: loopback, Submit: discard}), sessions, size)
			})
			b.Run("go-smtp/"+name, func(b *testing.B) {
				benchSessions(b, serveSink(b), sessions, size)
			})
		}
	}
}

// BenchmarkDATA is the content of one message through the reader alone.
func BenchmarkDATA(b *testing.B) {
	for _, size := range []int{4 << 10, 40 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KB"), func(b *testing.B) {
			body := benchBody(size)
			c := &scriptConn{}
			w := &wire{nc: c, buf: make([]byte, largeBuffer)}
			d := &dataReader{in: w, scan: scanner{maxLine: 65536, maxBytes: -1}}
			buf := make([]byte, size+1)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				c.pieces = append(c.pieces[:0], body)
				d.reset()
				w.beginContent(time.Minute, 500)
				n, err := io.ReadFull(d, buf)
				if err != io.ErrUnexpectedEOF || n < size-100 {
					b.Fatal(n, err)
				}
			}
		})
	}
}

type sink struct{}

func (sink) Reset()                               {}
func (sink) Logout() error                        { return nil }
func (sink) Mail(string, *smtp.MailOptions) error { return nil }
func (sink) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (sink) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

func serveSink(b testing.TB) string {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return sink{}, nil }))
	s.Domain = "bench.test"
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	b.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}
