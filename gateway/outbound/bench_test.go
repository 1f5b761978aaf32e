package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

// BenchmarkSend sends messages of 4 KB over loopback to a sink in a process of
// its own; cpu-µs/op is what this process, our side, spent on each.
func BenchmarkSend(b *testing.B) {
	for _, row := range []struct {
		name, sink string
		sessions   int
	}{{"raw", "raw", 1}, {"raw20", "raw", 20}, {"go-smtp", "go-smtp", 1}, {"go-smtp20", "go-smtp", 20}} {
		b.Run(row.name, func(b *testing.B) {
			benchmarkSend(b, &Transport{}, startSink(b, row.sink), row.sessions)
		})
	}
}

// BenchmarkSendTLS has the sink in this process: cpu-µs/op is both sides'.
func BenchmarkSendTLS(b *testing.B) {
	cert, _ := smtptest.Certificate(b, "127.0.0.1")
	sink := &smtptest.Server{Discard: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	sink.Start(b)
	benchmarkSend(b, &Transport{}, sink.Addr(), 1)
}

func benchmarkSend(b *testing.B, tr *Transport, address string, sessions int) {
	body := "From: a@example.com\r\nSubject: bench\r\n\r\n" + strings.Repeat("A line of a newsletter, about as long as they are.\r\n", 80)
	e := envelope("reader@example.net")
	e.Size = int64(len(body))
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ReportAllocs()
	b.SetBytes(e.Size)
	open := make([]gateway.Session, sessions)
	for i := range open {
		var err error
		if open[i], err = tr.Open(context.Background(), destination(address)); err != nil {
			b.Fatal(err)
		}
		defer open[i].Close()
	}
	b.ResetTimer()
	before := cpu()
	for _, s := range open {
		go func() {
			r := strings.NewReader("")
			for left.Add(-1) >= 0 {
				r.Reset(body)
				if out := s.Send(context.Background(), e, r, time.Now().Add(10*time.Second)); out[0].Kind != gateway.OutcomeDelivered {
					b.Error(out)
				}
			}
			done <- struct{}{}
		}()
	}
	for range open {
		<-done
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
	b.StopTimer()
}

// startSink runs this test binary again, as a sink, and returns its address.
func startSink(b *testing.B, kind string) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TIDEPOST_TEST_SINK="+kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// cpu is the time that this process has spent, in user and in system mode.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
