package webhook

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a DNS server in memory. It answers names from its table, the first
// answer of several once; a name that is not there is read as a number in every
// way that some resolver reads one.
type zone struct {
	mu    sync.Mutex
	names map[string][]string // guarded by mu: answers in turn, the last one for ever
	asked int                 // guarded by mu
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go z.serve(far)
		return near, nil
	}}
}

// serve speaks DNS over a stream: each message has its length in front.
func (z *zone) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := readFull(c, size[:]); err != nil {
			return
		}
		text := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := readFull(c, text); err != nil {
			return
		}
		answer := z.answer(text)
		c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
	}
}

func readFull(c net.Conn, b []byte) (int, error) {
	for n := 0; n < len(b); {
		m, err := c.Read(b[n:])
		if err != nil {
			return n, err
		}
		n += m
	}
	return len(b), nil
}

func (z *zone) answer(text []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(text); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals, m.RCode = true, nil, dnsmessage.RCodeNameError
	for _, a := range z.lookup(strings.TrimSuffix(q.Name.String(), "."), q.Type) {
		m.RCode = dnsmessage.RCodeSuccess
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, _ := m.Pack()
	return packed
}

func (z *zone) lookup(name string, t dnsmessage.Type) []netip.Addr {
	z.mu.Lock()
	defer z.mu.Unlock()
	answers, known := z.names[strings.ToLower(name)]
	if !known {
		if a, ok := literally(name); ok {
			return []netip.Addr{a}
		}
		return nil
	}
	now := answers[0]
	if t == dnsmessage.TypeA { // each lookup asks for A and for AAAA
		z.asked++
		if len(answers) > 1 {
			z.names[strings.ToLower(name)] = answers[1:]
		}
	}
	var all []netip.Addr
	for a := range strings.FieldsSeq(now) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// literally reads a host as inet_aton(3) does: one to four numbers, decimal, octal
// or hexadecimal, the last of which fills what is left.
func literally(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 64)
		if p == "0x" {
			n, err = 0, nil
		}
		last := i == len(parts)-1
		if err != nil || strings.Contains(p, "_") || !last && n > 255 || last && n >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, false
		}
		if last {
			all = all<<(8*(5-len(parts))) | n
		} else {
			all = all<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}), true
}
