package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Purpose is what a link is for. A token of one purpose opens for no other.
type Purpose byte

// The purposes.
const (
	Open        Purpose = 'o' // the pixel
	Click       Purpose = 'c'
	Unsubscribe Purpose = 'u'
	Preferences Purpose = 'p'
	ReturnPath  Purpose = 'r' // an address, not a link: SealReturn
)

// Token is what a link says.
type Token struct {
	Message [16]byte // and Ordinal: the delivery that the link was put into
	Ordinal uint32
	Mailbox [16]byte // key of the mailbox in its audience
	Source  uint32   // number of the tenant and list (gateway.Source)
	Expires time.Time

	// Of clicks alone.
	Link   uint16 // which link of the mail, from 1
	Links  uint16 // how many distinct links the mail has
	Hidden bool   // no reader sees this link: who follows it is a machine
	Target string // where it leads
}

// ErrForged says that we did not make this token, or not for this purpose.
var ErrForged = errors.New("token: not one of ours")

// ErrExpired says that the token was ours and its time is over. Open returns the
// token with it.
var ErrExpired = errors.New("token: expired")

// MaxTarget is the longest target that is sealed, in bytes: a longer link stays as
// it is. MaxLen is what such a token takes; one without a target takes at most
// maxPlain.
const (
	MaxTarget = 2000
	MaxLen    = (fixed + 5 + MaxTarget + ivSize) * 4 / 3
	maxPlain  = 100
)

const (
	secretSize = 32
	ivSize     = 16
	fixed      = 1 + 16 + 4 + 16 + 4 + 2
	version    = 1

	hidden = 1 << 15 // in Link
)

// epoch is day 0 of Expires, which is kept in whole days, rounded up.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Keys seal with the first of several secrets and open with any.
type Keys struct{ of []purposes }

type purposes map[Purpose]*pair

// pair are the two keys of one secret for one purpose.
type pair struct {
	id  byte // in clear in front of a token, to find the key again
	mac []byte
	enc cipher.Block
}

// NewKeys derives keys from secrets of at least 32 bytes, the newest first.
func NewKeys(secrets ...[]byte) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("token: there is no secret")
	}
	k := &Keys{}
	for _, secret := range secrets {
		if len(secret) < secretSize {
			return nil, errors.New("token: a secret has fewer than 32 bytes")
		}
		of := purposes{}
		for _, p := range []Purpose{Open, Click, Unsubscribe, Preferences, ReturnPath} {
			keys, err := hkdf.Key(sha256.New, secret, nil, "tidepost link "+string(rune(p)), 65)
			if err != nil {
				return nil, err
			}
			block, err := aes.NewCipher(keys[33:])
			if err != nil {
				return nil, err
			}
			of[p] = &pair{id: keys[0], mac: keys[1:33], enc: block}
		}
		k.of = append(k.of, of)
	}
	return k, nil
}

// Seal returns the token as it stands in a URL.
func (k *Keys) Seal(p Purpose, t *Token) string {
	b := make([]byte, 1+ivSize, 1+ivSize+fixed+5+len(t.Target))
	b = t.append(b)
	key := k.of[0][p]
	b[0] = key.id
	text := b[1+ivSize:]
	iv := key.iv(text)
	copy(b[1:], iv)
	cipher.NewCTR(key.enc, iv).XORKeyStream(text, text)
	return base64.RawURLEncoding.EncodeToString(b)
}

// iv is the synthetic initialisation vector: it authenticates the text and makes
// the cipher deterministic (the construction of RFC 5297, with HMAC-SHA-256).
func (p *pair) iv(text []byte) []byte {
	m := hmac.New(sha256.New, p.mac)
	m.Write(text)
	return m.Sum(nil)[:ivSize]
}

// Open reads what Seal wrote for the same purpose. The error is ErrForged or
// ErrExpired.
func (k *Keys) Open(p Purpose, s string, now time.Time) (*Token, error) {
	if len(s) > MaxLen+4 || p != Click && len(s) > maxPlain || strings.ContainsAny(s, "\r\n") { // which encoding/base64 passes over
		return nil, ErrForged
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 1+ivSize+fixed {
		return nil, ErrForged
	}
	for _, of := range k.of {
		key := of[p]
		if key == nil || key.id != b[0] {
			continue
		}
		text := make([]byte, len(b)-1-ivSize)
		cipher.NewCTR(key.enc, b[1:1+ivSize]).XORKeyStream(text, b[1+ivSize:])
		if !hmac.Equal(key.iv(text), b[1:1+ivSize]) {
			continue // two secrets may share an id
		}
		t, ok := parse(text, p == Click)
		switch {
		case !ok:
			return nil, ErrForged
		case !t.Expires.IsZero() && now.After(t.Expires):
			return t, ErrExpired
		}
		return t, nil
	}
	return nil, ErrForged
}

func (t *Token) append(b []byte) []byte {
	b = append(b, version)
	b = append(b, t.Message[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Ordinal)
	b = append(b, t.Mailbox[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Source)
	b = binary.BigEndian.AppendUint16(b, days(t.Expires))
	if t.Target == "" {
		return b
	}
	link := t.Link &^ hidden
	if t.Hidden {
		link |= hidden
	}
	b = binary.BigEndian.AppendUint16(b, link)
	b = binary.BigEndian.AppendUint16(b, t.Links)
	return append(b, t.Target...)
}

// days counts to the midnight that follows an instant; 0 stands for never.
func days(at time.Time) uint16 {
	if at.IsZero() {
		return 0
	}
	return uint16(min(max((at.Sub(epoch)+24*time.Hour-1)/(24*time.Hour), 1), 1<<16-1))
}

func parse(b []byte, click bool) (*Token, bool) {
	if b[0] != version {
		return nil, false
	}
	b = b[1:]
	t := &Token{}
	b = b[copy(t.Message[:], b):]
	t.Ordinal, b = binary.BigEndian.Uint32(b), b[4:]
	b = b[copy(t.Mailbox[:], b):]
	t.Source, b = binary.BigEndian.Uint32(b), b[4:]
	if n := binary.BigEndian.Uint16(b); n > 0 {
		t.Expires = epoch.Add(time.Duration(n) * 24 * time.Hour)
	}
	b = b[2:]
	if !click {
		return t, len(b) == 0
	}
	if len(b) < 5 {
		return nil, false
	}
	link := binary.BigEndian.Uint16(b)
	t.Link, t.Hidden = link&^hidden, link&hidden != 0
	t.Links, t.Target = binary.BigEndian.Uint16(b[2:]), string(b[4:])
	return t, true
}
