package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ID names a message: a ULID, 48 bits of milliseconds and 80 random bits, so
// that ids sort by the time of acceptance and are unique across restarts. The
// text form is 26 characters of Crockford's base 32.
type ID [16]byte

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// String returns the 26 characters of the id.
func (id ID) String() string {
	var out [26]byte
	hi := binary.BigEndian.Uint64(id[:8])
	lo := binary.BigEndian.Uint64(id[8:])
	for i := 25; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// IsZero reports whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// Time returns the millisecond at which the id was made.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// ParseID reads the text form, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 26 {
		return id, fmt.Errorf("message id %q: want 26 characters", s)
	}
	var hi, lo uint64
	for i := 0; i < len(s); i++ {
		v := strings.IndexByte(crockford, upper(s[i]))
		if v < 0 || (i == 0 && v > 7) {
			return id, fmt.Errorf("message id %q: character %d is not of base 32", s, i+1)
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// IDSource makes ids that only ever grow, also when the clock jumps back. The
// zero value is ready; it is safe for concurrent use.
type IDSource struct {
	mu   sync.Mutex
	last ID // guarded by mu
}

// Next returns a new id for the instant now.
func (s *IDSource) Next(now time.Time) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	rand.Read(id[6:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(id[:6]) <= string(s.last[:6]) {
		id = s.last
		increment(id[:])
	}
	s.last = id
	return id
}

func increment(b []byte) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return
		}
	}
}

// DeliveryID names one message for one recipient: the message and the
// recipient's ordinal in its envelope, counted from 0.
type DeliveryID struct {
	Message ID
	Ordinal uint32
}

// String returns "MESSAGE.ORDINAL".
func (d DeliveryID) String() string {
	return d.Message.String() + "." + strconv.FormatUint(uint64(d.Ordinal), 10)
}

// Compare orders deliveries by message, then by ordinal.
func (d DeliveryID) Compare(o DeliveryID) int {
	if c := bytes.Compare(d.Message[:], o.Message[:]); c != 0 {
		return c
	}
	return int(int64(d.Ordinal) - int64(o.Ordinal))
}

// Hash returns a well-mixed number for jitter, ties and ring references.
func (d DeliveryID) Hash() uint64 {
	h := binary.BigEndian.Uint64(d.Message[8:]) ^ binary.BigEndian.Uint64(d.Message[:8])*0x9E3779B97F4A7C15
	h = (h ^ uint64(d.Ordinal)) * 0xBF58476D1CE4E5B9
	h ^= h >> 29
	h *= 0x94D049BB133111EB
	return h ^ h>>32
}

var errDeliveryID = errors.New("want MESSAGE.ORDINAL as queue list prints it")

// ParseDeliveryID reads "MESSAGE.ORDINAL".
func ParseDeliveryID(s string) (DeliveryID, error) {
	msg, ord, ok := strings.Cut(s, ".")
	if !ok {
		return DeliveryID{}, fmt.Errorf("delivery id %q: %w", s, errDeliveryID)
	}
	id, err := ParseID(msg)
	if err != nil {
		return DeliveryID{}, err
	}
	n, err := strconv.ParseUint(ord, 10, 32)
	if err != nil {
		return DeliveryID{}, fmt.Errorf("delivery id %q: %w", s, errDeliveryID)
	}
	return DeliveryID{Message: id, Ordinal: uint32(n)}, nil
}
