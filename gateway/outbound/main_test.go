package outbound

import (
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"tidepost/gateway/smtptest"
)

// TestMain runs the tests or, in a process that a benchmark started, a sink.
func TestMain(m *testing.M) {
	if kind := os.Getenv("TIDEPOST_TEST_SINK"); kind != "" {
		runSink(kind)
		return
	}
	goleak.VerifyTestMain(m)
}

// runSink takes mail until its standard input ends.
func runSink(kind string) {
	s := &smtptest.Server{Discard: true}
	if kind == "raw" {
		s.Script = smtptest.Polite
	}
	s.Start(sinkTB{})
	fmt.Println(s.Addr())
	io.Copy(io.Discard, os.Stdin)
}

// sinkTB stands in for a test where there is none.
type sinkTB struct{}

func (sinkTB) Helper()        {}
func (sinkTB) Cleanup(func()) {}
func (sinkTB) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
