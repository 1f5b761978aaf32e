package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Role is what a token may do. Each role may do what the ones before it may.
type Role uint8

// The roles.
const (
	Viewer   Role = iota + 1 // sees everything but the content of messages
	Operator                 // steers deliveries and suppressions, reads content
	Admin                    // backs up, compacts, confirms
)

var roleNames = [...]string{"", "viewer", "operator", "admin"}

func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	for i, name := range roleNames {
		if s == name && i > 0 {
			return Role(i), nil
		}
	}
	return 0, fmt.Errorf("role %q: want viewer, operator or admin", s)
}

// Token is one bearer token that the API knows, without the token itself.
type Token struct {
	Name string // for the audit log
	Hash string // of HashToken, or argon2id in PHC form; anything else matches no token
	Role Role
}

const (
	tokenPrefix = "tidepost_" // makes a leaked token recognisable to scanners
	tokenBytes  = 32
	fastPrefix  = "sha256:"
)

// NewToken returns a token of 32 random bytes.
func NewToken() string {
	b := make([]byte, tokenBytes)
	rand.Read(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// HashToken returns the hash of a token that NewToken made. One round of SHA-256
// is right for it and for nothing that a person thought of: 32 random bytes
// cannot be guessed, however fast the guesses are checked.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return fastPrefix + hex.EncodeToString(sum[:])
}

// secret is a token's hash, ready to be compared.
type secret struct {
	sum  []byte // SHA-256, where the hash is fast
	salt []byte
	key  []byte // argon2id's, where it is slow

	memory, time uint32 // memory in KiB
	lanes        uint8
}

// parseSecret reads either form of hash. Its cost is bounded: a mistyped hash
// must not take the machine down.
func parseSecret(hash string) (s secret, err error) {
	if text, ok := strings.CutPrefix(hash, fastPrefix); ok {
		s.sum, err = hex.DecodeString(text)
		if err == nil && len(s.sum) != sha256.Size {
			err = fmt.Errorf("%d bytes, want %d", len(s.sum), sha256.Size)
		}
		return s, err
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return s, fmt.Errorf("want what `tidepost hash-password` prints")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &s.memory, &s.time, &s.lanes); err != nil {
		return s, err
	}
	if s.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return s, err
	}
	if s.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return s, err
	}
	if len(s.salt) < 8 || len(s.key) < 16 || len(s.key) > 64 || s.memory < 8 || s.memory > 1<<20 || s.time < 1 || s.time > 100 || s.lanes < 1 {
		return s, fmt.Errorf("cost or length out of range")
	}
	return s, nil
}

// fast reports whether checking a token costs next to nothing.
func (s *secret) fast() bool { return s.sum != nil }

// matches takes as long for a wrong token as for the right one. sum is the
// token's SHA-256.
func (s *secret) matches(token string, sum [32]byte) bool {
	if s.fast() {
		return subtle.ConstantTimeCompare(s.sum, sum[:]) == 1
	}
	key := argon2.IDKey([]byte(token), s.salt, s.time, s.memory, s.lanes, uint32(len(s.key)))
	return subtle.ConstantTimeCompare(s.key, key) == 1
}
