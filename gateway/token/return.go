package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// Return is what the local part of our return path says (VERP): which delivery a
// bounce is about. Whoever sees the mail can read it, nobody else can make one.
type Return struct {
	Message [16]byte // and Ordinal: the delivery
	Ordinal uint32
	Source  uint32 // number of the tenant and list (gateway.Source)
}

// returnPrefix begins every such local part.
const returnPrefix = "b-"

const (
	returnText = 16 + 4 + 4
	returnMAC  = 10
	returnLen  = len(returnPrefix) + (1+returnText+returnMAC)*8/5 // 58; a local part has at most 64 (RFC 5321 §4.5.3.1.1)
)

// base32Lower is RFC 4648 §6 in lower case. Its digits are none of the characters
// that a local part must quote.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// SealReturn returns the local part, always the same for the same delivery.
func (k *Keys) SealReturn(r Return) string {
	key := k.of[0][ReturnPath]
	b := make([]byte, 0, 1+returnText+returnMAC)
	b = append(b, key.id)
	b = append(b, r.Message[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Ordinal)
	b = binary.BigEndian.AppendUint32(b, r.Source)
	return returnPrefix + base32Lower.EncodeToString(append(b, key.sum(b)...))
}

// sum authenticates the key's id and the text behind it.
func (p *pair) sum(b []byte) []byte {
	m := hmac.New(sha256.New, p.mac)
	m.Write(b)
	return m.Sum(nil)[:returnMAC]
}

// OpenReturn reads a local part that SealReturn wrote, with any of the secrets.
// Upper case is read too: some systems fold an address on its way.
func (k *Keys) OpenReturn(local string) (r Return, ok bool) {
	if !isReturn(local) {
		return r, false
	}
	b, err := base32Lower.DecodeString(strings.ToLower(local[len(returnPrefix):]))
	if err != nil || len(b) != 1+returnText+returnMAC {
		return r, false // encoding/base32 passes over line ends
	}
	text, mac := b[:1+returnText], b[1+returnText:]
	for _, of := range k.of {
		if key := of[ReturnPath]; key.id == b[0] && hmac.Equal(key.sum(text), mac) {
			n := 1 + copy(r.Message[:], text[1:])
			r.Ordinal = binary.BigEndian.Uint32(text[n:])
			r.Source = binary.BigEndian.Uint32(text[n+4:])
			return r, true
		}
	}
	return r, false
}

// isReturn reports whether a local part has the form of a return path: if it does
// not open, it is a forged or a damaged one, not another address.
func isReturn(local string) bool {
	return len(local) == returnLen && strings.EqualFold(local[:len(returnPrefix)], returnPrefix)
}
