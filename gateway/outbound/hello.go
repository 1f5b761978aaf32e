package outbound

import (
	"bytes"
	"net"
	"strconv"
	"strings"
)

// features is what a host offered in its reply to EHLO.
type features struct {
	pipelining bool  // RFC 2920
	size       bool  // RFC 1870
	maxSize    int64 // 0: none named
	eightBit   bool  // RFC 6152
	utf8       bool  // RFC 6531
	dsn        bool  // RFC 3461
	deliverBy  bool  // RFC 2852
	priority   bool  // RFC 6710
	startTLS   bool  // RFC 3207
	plain      bool  // RFC 4954, RFC 4616
	login      bool
}

// parseFeatures reads a reply to EHLO. Its first line names the host; keywords
// are case-insensitive (RFC 5321 §4.1.1.1), unknown ones are ignored.
func parseFeatures(r *reply) features {
	var f features
	first := true
	for line := range r.lines {
		if first {
			first = false
			continue
		}
		fields := bytes.Fields(bytes.ToUpper(line))
		if len(fields) > 0 {
			f.add(string(fields[0]), fields[1:])
		}
	}
	return f
}

func (f *features) add(keyword string, params [][]byte) {
	switch keyword {
	case "PIPELINING":
		f.pipelining = true
	case "SIZE":
		f.size = true
		if len(params) > 0 {
			f.maxSize, _ = strconv.ParseInt(string(params[0]), 10, 64) // 0 also for nonsense
		}
	case "8BITMIME":
		f.eightBit = true
	case "SMTPUTF8":
		f.utf8 = true
	case "DSN":
		f.dsn = true
	case "DELIVERBY":
		f.deliverBy = true
	case "MT-PRIORITY":
		f.priority = true
	case "STARTTLS":
		f.startTLS = true
	case "AUTH":
		f.mechanisms(params)
	default:
		if m, ok := strings.CutPrefix(keyword, "AUTH="); ok { // before RFC 2554
			f.mechanisms(append([][]byte{[]byte(m)}, params...))
		}
	}
}

func (f *features) mechanisms(names [][]byte) {
	for _, name := range names {
		switch string(name) {
		case "PLAIN":
			f.plain = true
		case "LOGIN":
			f.login = true
		}
	}
}

// hello introduces us: EHLO, or HELO to a host that refuses that (RFC 5321
// §3.2). The error is a *gateway.Outcome.
func (s *session) hello(name string) error {
	if name == "" {
		name = literal(s.LocalAddr())
	}
	for _, verb := range []string{"EHLO ", "HELO "} {
		if err := s.command(verb+name, s.timeouts.Hello); err != nil {
			return s.lost(verb[:4], err)
		}
		if s.reply.ok() {
			if verb == "EHLO " {
				s.features = parseFeatures(&s.reply)
			}
			return nil
		}
		if !s.reply.refused() {
			break
		}
	}
	return s.reply.unsent(s.host, "EHLO refused")
}

// literal is how a host without a name calls itself (RFC 5321 §4.1.4).
func literal(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	ip := net.ParseIP(host)
	switch {
	case err != nil || ip == nil:
		return "localhost"
	case ip.To4() != nil:
		return "[" + host + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}
