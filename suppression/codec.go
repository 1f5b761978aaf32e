package suppression

import (
	"encoding/binary"
	"errors"
	"time"
)

// An entry is stored as a version, the length of what follows, and that: kind,
// six texts each behind its length, three times. A later version may add fields
// at the end; this one skips them.
const entryVersion = 1

var errEntry = errors.New("suppression: an entry cannot be read: unknown version or damaged")

// AppendEntry appends the binary form of the entry. Times are kept to the
// millisecond.
func AppendEntry(b []byte, e *Entry) []byte {
	body := make([]byte, 0, 160)
	body = append(body, byte(e.Scope.Kind))
	for _, s := range [...]string{e.Address, e.Scope.Name, string(e.Reason), e.Source, e.Evidence, e.Note} {
		body = binary.AppendUvarint(body, uint64(len(s)))
		body = append(body, s...)
	}
	for _, t := range [...]time.Time{e.Created, e.Expires, e.Removed} {
		body = appendTime(body, t)
	}
	b = append(b, entryVersion)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// DecodeEntry reads what AppendEntry wrote and returns the bytes behind it. It does
// not Validate: a rule that became stricter must not make old entries unreadable.
func DecodeEntry(b []byte) (Entry, []byte, error) {
	if len(b) == 0 || b[0] != entryVersion {
		return Entry{}, nil, errEntry
	}
	frame := reader{b: b[1:]}
	body := reader{b: frame.bytes()}
	if frame.bad || len(body.b) == 0 {
		return Entry{}, nil, errEntry
	}
	e := Entry{Scope: Scope{Kind: ScopeKind(body.b[0])}}
	body.b = body.b[1:]
	e.Address, e.Scope.Name, e.Reason = body.text(), body.text(), Reason(body.text())
	e.Source, e.Evidence, e.Note = body.text(), body.text(), body.text()
	e.Created, e.Expires, e.Removed = body.time(), body.time(), body.time()
	if body.bad {
		return Entry{}, nil, errEntry
	}
	return e, frame.b, nil
}

// appendTime writes milliseconds since 1970 with one added, because 0 is the zero
// time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	ms := t.UnixMilli()
	if ms >= 0 {
		ms++
	}
	return binary.AppendVarint(b, ms)
}

// reader takes fields off b until the first that is not there; then bad is set and
// all further ones are empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes() []byte {
	n, size := binary.Uvarint(r.b)
	if r.bad || size <= 0 || n > uint64(len(r.b)-size) {
		r.bad = true
		return nil
	}
	field := r.b[size : size+int(n)]
	r.b = r.b[size+int(n):]
	return field
}

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	ms, size := binary.Varint(r.b)
	if r.bad || size <= 0 {
		r.bad = true
		return time.Time{}
	}
	r.b = r.b[size:]
	if ms == 0 {
		return time.Time{}
	}
	if ms > 0 {
		ms--
	}
	return time.UnixMilli(ms).UTC()
}
