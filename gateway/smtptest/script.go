package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"time"
)

// Step is what a scripted server does about one command.
type Step struct {
	Reply string        // written as it is, with CRLF where it does not end in LF; "": nothing
	Every time.Duration // waited after each byte of Reply: a drip
	Then  Fault
}

// Fault is what happens after a reply.
type Fault int

// The faults.
const (
	Continue Fault = iota // none: the next command is read
	Close                 // FIN
	Reset                 // RST; like Close on a pipe
	Stall                 // read and write nothing more, but stay open: in the content, a zero window
	Repeat                // write the reply again and again
	Encrypt               // TLS, with the server's TLSConfig
)

// Polite is what a server that takes everything answers, PIPELINING, 8BITMIME,
// SIZE, SMTPUTF8 and DSN on offer. Scripts fall back on it.
func Polite(cmd string) Step {
	verb, _, _ := strings.Cut(strings.ToUpper(cmd), " ")
	switch verb {
	case "":
		return Step{Reply: "220 sink.test ESMTP"}
	case "EHLO":
		return Step{Reply: "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 52428800\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN"}
	case "DATA":
		return Step{Reply: "354 go ahead"}
	case ".":
		return Step{Reply: "250 2.0.0 queued"}
	case "QUIT":
		return Step{Reply: "221 2.0.0 bye", Then: Close}
	}
	return Step{Reply: "250 2.0.0 ok"}
}

// conversation is one connection of a scripted server.
type conversation struct {
	net.Conn
	s         *Server
	br        *bufio.Reader
	bw        *bufio.Writer // flushed when no whole command is left to answer
	message   Message
	encrypted bool
}

// converse lets the script speak until the connection ends.
func (s *Server) converse(nc net.Conn) {
	c := &conversation{Conn: nc, s: s, br: bufio.NewReaderSize(nc, 64<<10), bw: bufio.NewWriter(nc)}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, nc)
		nc.Close()
	}()
	for cmd := ""; ; {
		s.Commands.Add(1)
		step := s.Script(cmd)
		if cmd == "." && strings.HasPrefix(step.Reply, "2") {
			s.take(c.message) // before its client can know
		}
		if !c.perform(step) {
			return
		}
		var ok bool
		if cmd, ok = c.next(cmd, step); !ok {
			return
		}
	}
}

// next reads what follows a command that was answered: the content after a
// 354 to DATA, or else a command.
func (c *conversation) next(cmd string, step Step) (string, bool) {
	verb := strings.ToUpper(cmd)
	taken := strings.HasPrefix(step.Reply, "2")
	switch {
	case verb == "DATA" && strings.HasPrefix(step.Reply, "354"):
		return ".", c.content() == nil
	case strings.HasPrefix(verb, "MAIL") && taken:
		c.message = Message{From: path(cmd), Commands: []string{cmd}, TLS: c.encrypted}
	case strings.HasPrefix(verb, "RCPT") && taken:
		c.message.To = append(c.message.To, path(cmd))
		c.message.Commands = append(c.message.Commands, cmd)
	}
	line, err := c.br.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err == nil
}

// path is what stands between the first < and the last > before a parameter.
func path(cmd string) string {
	_, rest, _ := strings.Cut(cmd, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}

// content reads through CRLF.CRLF and nothing that only looks like it.
func (c *conversation) content() error {
	var wire, data []byte
	whole := true // the line before ended with CRLF
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		end := whole && string(line) == ".\r\n"
		if !c.s.Discard {
			wire = append(wire, line...)
			if whole && line[0] == '.' {
				line = line[1:]
			}
			if !end {
				data = append(data, line...)
			}
		}
		if end {
			c.message.Wire, c.message.Data = wire, data
			return nil
		}
		whole = bytes.HasSuffix(line, []byte("\r\n"))
	}
}

// perform carries out a step and reports whether the connection goes on.
func (c *conversation) perform(step Step) bool {
	if !c.reply(step) {
		return false
	}
	switch step.Then {
	case Close:
		return false
	case Reset:
		if t, ok := c.Conn.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		return false
	case Stall:
		<-c.s.done
		return false
	case Repeat:
		for c.reply(step) {
		}
		return false
	case Encrypt:
		t := tls.Server(c.Conn, c.s.TLSConfig)
		if t.Handshake() != nil {
			return false
		}
		c.Conn, c.encrypted = t, true
		c.br.Reset(t)
		c.bw.Reset(t)
	}
	return true
}

func (c *conversation) reply(step Step) bool {
	text := step.Reply
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\r\n"
	}
	if step.Every <= 0 {
		c.bw.WriteString(text)
		ahead, _ := c.br.Peek(c.br.Buffered())
		if step.Then == Continue && bytes.IndexByte(ahead, '\n') >= 0 {
			return true
		}
		return c.bw.Flush() == nil
	}
	c.bw.Flush()
	for i := range len(text) {
		if _, err := io.WriteString(c.Conn, text[i:i+1]); err != nil {
			return false
		}
		select {
		case <-time.After(step.Every):
		case <-c.s.done:
			return false
		}
	}
	return true
}
