package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Every stored value begins with a version byte. A decoder reads its own
// version and older ones; a newer one is an error that says so, because
// guessing at mail is worse than stopping.

// errCorrupt says that bytes whose checksum was right do not decode.
var errCorrupt = errors.New("damaged: it ends too soon or has an impossible value")

// errNewer says that a value was written by a newer version.
var errNewer = errors.New("written by a newer version of tidepost")

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, ss []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(ss)))
	for _, s := range ss {
		b = appendString(b, s)
	}
	return b
}

// appendTime keeps a time to the nanosecond, whatever its year: 0 for the zero
// time, else seconds since 1970 (zigzag, plus one) and nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	s := t.Unix()
	b = binary.AppendUvarint(b, uint64(s<<1)^uint64(s>>63)+1)
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendFloat(b []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
}

// decoder takes values off the front of b until one is not there; then err is
// set and all further ones are zero.
type decoder struct {
	b     []byte
	err   error
	words map[string]string // where set, text() shares equal strings
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errCorrupt
	}
	d.b = nil
}

// version reads the version byte and refuses one above known.
func (d *decoder) version(known byte) byte {
	v := d.byte()
	if d.err == nil && (v == 0 || v > known) {
		d.fail()
		if v > known {
			d.err = fmt.Errorf("%w (format %d, this one reads up to %d)", errNewer, v, known)
		}
	}
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most are
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > math.MaxUint32 {
		d.fail()
	}
	return uint32(v)
}

// count reads the number of things that follow, of at least one byte each.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

// bytes returns the next length-prefixed bytes, which share memory with b.
func (d *decoder) bytes() []byte {
	n := d.count()
	return d.fixed(n)
}

// fixed returns the next n bytes, which share memory with b.
func (d *decoder) fixed(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.bytes()) }

// word reads a string of which few different ones exist.
func (d *decoder) word() string {
	b := d.bytes()
	if len(b) == 0 || d.words == nil {
		return string(b)
	}
	if s, ok := d.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.words) < 1<<16 {
		d.words[s] = s
	}
	return s
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	ss := make([]string, 0, n)
	for range n {
		ss = append(ss, d.string())
	}
	return ss
}

func (d *decoder) time() time.Time {
	v := d.uvarint()
	if v == 0 {
		return time.Time{}
	}
	v--
	nanos := d.uvarint()
	if nanos >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(int64(v>>1)^-int64(v&1), int64(nanos)).UTC()
}

func (d *decoder) float() float32 {
	b := d.fixed(4)
	if b == nil {
		return 0
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

// finish reports the first error, or that bytes are left over.
func (d *decoder) finish() error {
	if d.err == nil && len(d.b) > 0 {
		d.err = errCorrupt
	}
	return d.err
}
