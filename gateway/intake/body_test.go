package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// What is larger than gateway.MemoryLimit goes to a file, and is the same there.
func TestSpool(t *testing.T) {
	line := strings.Repeat("x", 62) + "\r\n"
	head := "Subject: x\r\n\r\n"
	for _, row := range []struct {
		size int
		file bool
	}{{gateway.MemoryLimit, false}, {gateway.MemoryLimit + 2, true}, {3 << 20, true}} {
		text := head + strings.Repeat(line, row.size/len(line))
		text = text[:row.size-2] + "\r\n"
		for _, how := range []string{"DATA", "BDAT"} {
			t.Run(fmt.Sprint(how, row.size), func(t *testing.T) {
				o := &outbox{}
				c := dial(t, serve(t, newServer(plain, o)), plain)
				if how == "DATA" {
					c.say(envelope+"DATA\r\n", "250", "250", "354")
					c.say(text+".\r\n", "250")
				} else {
					c.say(fmt.Sprintf(envelope+"BDAT %d LAST\r\n%s", len(text), text), "250", "250", "250")
				}
				got := o.all()[0]
				if got.Body != text {
					t.Errorf("%d bytes stored, want %d the same", len(got.Body), len(text))
				}
				if file := got.Submission.Content.File != nil; file != row.file || got.Header != head || got.Size != int64(row.size) {
					t.Errorf("in a file: %v, header %q, size %d", file, got.Header, got.Size)
				}
			})
		}
	}
}

// A file that nobody took is thrown away.
func TestSpoolDiscarded(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 998)+"\r\n", 1500)
	for what, end := range map[string]string{"bad content": "a\rb\r\n.\r\n", "refused": ".\r\n", "file fails": ".\r\n", "broken off": ""} {
		t.Run(what, func(t *testing.T) {
			var files []*memoryFile
			srv := newServer(plain, &outbox{err: gateway.ErrFull})
			srv.Spool = func() (gateway.SpoolFile, error) {
				f := &memoryFile{}
				files = append(files, f)
				if what == "file fails" {
					return brokenFile{f}, nil
				}
				return f, nil
			}
			c := dial(t, serve(t, srv), plain)
			c.say(envelope+"DATA\r\n", "250", "250", "354")
			c.send(big + end)
			switch what {
			case "bad content":
				c.want("550 5.5.2")
			case "broken off":
				c.conn.Close()
			default:
				c.want("452 4.3.1")
			}
			until(t, "the memory is back", func() bool { return free(srv) == DefaultBudget })
			if len(files) != 1 || !files[0].discarded {
				t.Errorf("files %v", len(files))
			}
		})
	}
}

type brokenFile struct{ *memoryFile }

func (brokenFile) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func free(s *Server) int64 {
	b := s.Budget.(*budget)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// A hundred messages of the largest size at once, with memory for a few of them.
func TestBudget(t *testing.T) {
	const sessions, size = 100, 4 << 20
	for _, memory := range []int64{96 << 10, 1 << 20, 8 << 20} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) {
			o := &outbox{}
			srv := newServer(plain, o)
			srv.Budget = NewBudget(memory)
			srv.Limits.MaxMessageBytes = size
			srv.Submit = func(_ context.Context, s *gateway.Submission) (gateway.ID, error) {
				if s.Content.Size != size || s.Content.File == nil {
					t.Errorf("%d bytes in %v", s.Content.Size, s.Content.File)
				}
				return gateway.ID{}, nil
			}
			srv.Spool = func() (gateway.SpoolFile, error) { return nullFile{}, nil }
			addr := serve(t, srv)
			text := "A: b\r\n\r\n" + strings.Repeat(strings.Repeat("x", 1022)+"\r\n", size/1024)
			text = text[:size-2] + "\r\n.\r\n"
			var wg sync.WaitGroup
			for range sessions {
				c := dial(t, addr, plain)
				wg.Go(func() {
					c.say(envelope, "250", "250")
					c.send("DATA\r\n")
					if got, err := slowReply(c); err != nil || !strings.HasPrefix(got, "354") {
						t.Errorf("%q, %v", got, err)
						return
					}
					c.conn.SetWriteDeadline(time.Now().Add(time.Minute))
					c.conn.Write([]byte(text))
					if got, err := slowReply(c); err != nil || !strings.HasPrefix(got, "250") {
						t.Errorf("%q, %v", got, err)
					}
				})
			}
			wg.Wait()
			if n := free(srv); n != memory {
				t.Errorf("%d bytes free, want %d", n, memory)
			}
		})
	}
}

func slowReply(c *client) (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	return c.r.ReadString('\n')
}

type nullFile struct{}

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }
func (nullFile) Discard()                    {}

// Where memory does not come in time the client is told before it sends.
func TestBudgetTimeout(t *testing.T) {
	srv := newServer(plain, &outbox{})
	srv.Budget = NewBudget(96 << 10)
	srv.Limits.BudgetTimeout = 20 * time.Millisecond
	addr := serve(t, srv)
	holder, other := dial(t, addr, plain), dial(t, addr, plain)
	holder.say(envelope+"DATA\r\n", "250", "250", "354")
	other.say(envelope+"DATA\r\n", "250", "250", "452 4.3.1")
	other.say("BDAT 6 LAST\r\nA: b\r\n", "452 4.3.1")
	other.quiet()
	holder.say("A: b\r\n.\r\n", "250")
	other.say("RSET\r\n", "250")
	other.say(envelope+"DATA\r\n", "250", "250", "354")
}
