package intake

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// hash is an argon2id hash in pieces.
type hash struct {
	memory, time uint32 // memory in KiB
	threads      uint8
	salt, key    []byte
}

// The cost of new hashes: OWASP's first choice, about 25 ms and 19 MiB. A server
// hashes once for every session that logs in, so the costlier profiles of RFC
// 9106 §4 would let a few clients with wrong passwords take the machine.
const (
	hashMemory  = 19 << 10
	hashTime    = 2
	hashThreads = 1
)

var errHash = errors.New("want an argon2id hash as tidepost hash-password prints it: $argon2id$v=19$m=…,t=…,p=…$salt$key")

// HashPassword returns a hash for Credential.PasswordHash.
func HashPassword(password string) string {
	h := hash{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, 16)}
	rand.Read(h.salt)
	h.key = make([]byte, 32)
	h.key = h.derive(password)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt), b64(h.key))
}

// CheckHash reports whether a hash can be used, for those who read configuration.
func CheckHash(phc string) error {
	_, err := parseHash(phc)
	return err
}

// parseHash reads the PHC form. Its cost is bounded: a hash is configuration, but
// a mistyped one must not take the machine down.
func parseHash(phc string) (hash, error) {
	var h hash
	var version int
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errHash
	}
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return h, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 || err != nil {
		return h, errHash
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 {
		return h, errHash
	}
	if h.memory < 8 || h.memory > 1<<20 || h.time < 1 || h.time > 100 || h.threads < 1 {
		return h, errHash
	}
	return h, nil
}

func (h hash) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
}

// matches takes as long for a wrong password as for the right one.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

// like returns a hash of the same cost that no password matches.
func (h hash) like() hash {
	d := h
	d.salt, d.key = make([]byte, len(h.salt)), make([]byte, len(h.key))
	rand.Read(d.salt)
	rand.Read(d.key)
	return d
}

var dummyHash = hash{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, 16), key: make([]byte, 32)}.like()
