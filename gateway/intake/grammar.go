package intake

import (
	"bytes"

	"tidepost/gateway"
)

// cutPath splits "FROM:<path> parameters". The path comes without its brackets
// and is not checked beyond what is needed to find its end.
func cutPath(arg []byte, prefix string) (path, rest []byte, ok bool) {
	if len(arg) < len(prefix) || !bytes.EqualFold(arg[:len(prefix)], []byte(prefix)) {
		return nil, nil, false
	}
	// A space here is wrong and common (RFC 5321 §3.3).
	s := bytes.TrimLeft(arg[len(prefix):], " ")
	if len(s) < 2 || s[0] != '<' {
		return nil, nil, false
	}
	end := pathEnd(s)
	if end < 0 {
		return nil, nil, false
	}
	path, rest = s[1:end], s[end+1:]
	return path, rest, len(rest) == 0 || rest[0] == ' '
}

// pathEnd returns the index of the > that closes s[0], outside of quotes.
func pathEnd(s []byte) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		ch := s[i]
		switch {
		case ch < ' ' || ch == 0x7f:
			return -1
		case quoted && ch == '\\':
			i++
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '>':
			return i
		case ch == ' ' || ch == '<':
			return -1
		}
	}
	return -1
}

// param is one "KEY=value" (RFC 5321 §4.1.2).
type param struct {
	key      string // in upper case; "" for one that is none of ours
	value    []byte
	hasValue bool
}

// nextParam cuts the first parameter from rest, which starts with a space.
func nextParam(rest []byte) (p param, tail []byte, ok bool) {
	rest = bytes.TrimLeft(rest, " ")
	word, tail, more := bytes.Cut(rest, spaceByte)
	if more {
		tail = rest[len(word):]
	}
	key, value, has := bytes.Cut(word, []byte{'='})
	if len(key) == 0 || has && len(value) == 0 {
		return p, tail, false
	}
	for _, ch := range value {
		if ch <= ' ' || ch == 0x7f || ch == '=' {
			return p, tail, false
		}
	}
	return param{keyOf(key), value, has}, tail, true
}

var keys = []string{"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH", "HOLDFOR", "HOLDUNTIL", "BY", "MT-PRIORITY", "NOTIFY", "ORCPT"}

func keyOf(b []byte) string {
	for _, k := range keys {
		if len(k) == len(b) && bytes.EqualFold([]byte(k), b) {
			return k
		}
	}
	return ""
}

// each calls set for every parameter and refuses malformed and doubled ones.
func each(rest []byte, set func(param) *gateway.Reply) *gateway.Reply {
	var seen [12]string
	for n := 0; len(bytes.TrimLeft(rest, " ")) > 0; n++ {
		p, tail, ok := nextParam(rest)
		switch {
		case !ok:
			return badSyntax
		case p.key == "":
			return badUnknown
		}
		for _, k := range seen[:n] {
			if k == p.key {
				return badDuplicate
			}
		}
		seen[n] = p.key
		if bad := set(p); bad != nil {
			return bad
		}
		rest = tail
	}
	return nil
}

func allDigits(b []byte) bool {
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return false
		}
	}
	return true
}

func isAtom(b []byte) bool {
	for _, ch := range b {
		letter := 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9'
		if !letter && ch != '-' {
			return false
		}
	}
	return len(b) > 0
}
