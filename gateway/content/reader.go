package content

import (
	"bytes"
	"fmt"
	"strconv"

	"tidepost/gateway"
)

// Reader reads headers on their way in. The zero value works, without the
// check for loops through a host of our own name.
type Reader struct {
	Hostname string // our name in Received fields
}

var _ gateway.Reader = (*Reader)(nil)

// MaxReceived is how many hops a message may have behind it (RFC 5321 §6.3).
const MaxReceived = 100

// maxOwnReceived is how often our own name may stand in them: a message may
// pass twice for a reason (a list, a forward), three times is a circle.
const maxOwnReceived = 3

// maxNotes bounds what one message can make us remember about its mistakes.
const maxNotes = 32

// Read fills in m from the first bytes of a message. c may be nil, for mail
// that no credential limits.
func (r *Reader) Read(header []byte, m *gateway.Message, c *gateway.Credential) error {
	v := values{m: m}
	if err := r.scan(header, &v); err != nil {
		return err
	}
	if err := checkFrom(&v, c); err != nil {
		return err
	}
	classify(&v, c)
	readIdentity(&v)
	readSchedule(&v)
	readWorth(&v)
	return nil
}

// scan is the one pass over the header. It checks its size and shape and keeps
// where the known fields are.
func (r *Reader) scan(header []byte, v *values) error {
	s := scanner{b: header}
	if len(header) > MaxHeader {
		s.b = header[:MaxHeader]
	}
	for n := 1; ; n++ {
		f, ok := s.next()
		if !ok {
			break
		}
		if n > MaxFields {
			return errFieldCount
		}
		if len(f.raw) > MaxField {
			return errFieldSize
		}
		v.add(f, r.Hostname)
	}
	if !s.ended && len(header) >= MaxHeader {
		return errHeaderSize
	}
	v.m.Header = int64(s.pos)
	return v.shape(r.Hostname)
}

// values holds the known fields of one header while it is being read.
type values struct {
	m        *gateway.Message
	first    [knownCount][]byte // the value as it stands; nil where absent
	disputed [knownCount]bool   // it is there twice and says two things
	froms    int
	received int
	own      int // Received fields that were written here
}

func (v *values) add(f field, hostname string) {
	h := recognise(f.name)
	switch h {
	case unknown:
		if len(f.name) > len(controlPrefix) && f.hasPrefix(controlPrefix) {
			v.note("%.64s: there is no such field; ignored", f.name)
		}
		return
	case hReceived:
		v.received++
		if hostname != "" && writtenBy(f.value, hostname) {
			v.own++
		}
		return
	case hFrom:
		v.froms++
	case hTags, hMailgunTag, hPostmarkTag:
		v.addTags(h, f.value)
		return
	}
	if v.first[h] == nil {
		v.first[h] = f.value
	} else if !bytes.Equal(v.first[h], f.value) {
		v.disputed[h] = true
	}
}

// shape refuses what no message may look like.
func (v *values) shape(hostname string) error {
	switch {
	case v.received > MaxReceived:
		return &gateway.Reply{Code: 554, Status: "5.4.6", Text: fmt.Sprintf("mail loop: more than %d Received fields", MaxReceived)}
	case v.own >= maxOwnReceived:
		return &gateway.Reply{Code: 554, Status: "5.4.6", Text: "mail loop: it was at " + hostname + " " + strconv.Itoa(v.own) + " times already"}
	case v.froms > 1:
		return &gateway.Reply{Code: 550, Status: "5.6.0", Text: "the header has more than one From field (RFC 5322 section 3.6)"}
	}
	return nil
}

// has reports whether the field is there, whatever it says.
func (v *values) has(h known) bool { return v.first[h] != nil }

// get returns a field's value in one line, or nil where it is absent, empty,
// longer than limit or says two things. All but absence is noted.
func (v *values) get(h known, limit int) []byte {
	if v.first[h] == nil {
		return nil
	}
	if v.disputed[h] {
		v.note("%s: it is there twice and says two things; ignored", h)
		return nil
	}
	value := unfold(v.first[h])
	switch {
	case len(value) == 0:
		v.note("%s: it is empty; ignored", h)
		return nil
	case len(value) > limit:
		v.note("%s: longer than %d bytes; ignored", h, limit)
		return nil
	}
	return value
}

// reject notes that a value could not be used. want ends the sentence "VALUE
// is not …".
func (v *values) reject(h known, value []byte, want string) {
	v.note("%s: %s is not %s; ignored", h, quote(value), want)
}

func (v *values) note(format string, args ...any) {
	if len(v.m.Notes) < maxNotes {
		v.m.Notes = append(v.m.Notes, fmt.Sprintf(format, args...))
	}
}

// quote makes a client's text fit to be shown in one line.
func quote(b []byte) string {
	if len(b) > 64 {
		return strconv.QuoteToASCII(string(b[:64])) + "…"
	}
	return strconv.QuoteToASCII(string(b))
}
