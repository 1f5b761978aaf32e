package lists

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"tidepost/suppression/address"
)

// The kinds of hash in lists.
const (
	SHA256 = "sha256"
	MD5    = "md5" // what older lists have; not to be trusted beyond telling addresses apart
)

// Digest is the hash of an address. It is comparable; the zero value is none.
type Digest struct {
	Kind string
	Sum  [sha256.Size]byte // an MD5 fills the first 16 bytes
}

// Bytes is the hash alone.
func (d Digest) Bytes() []byte {
	if d.Kind == MD5 {
		return slices.Clone(d.Sum[:md5.Size])
	}
	return slices.Clone(d.Sum[:])
}

// String is the hash in hex.
func (d Digest) String() string { return hex.EncodeToString(d.Bytes()) }

// Hash is the hash of an address as services export it: over the UTF-8 text without
// blanks around it, lower-cased, and otherwise as written: plus tags and dots are
// in it. It is nil for a kind that is not SHA256 or MD5.
func Hash(kind, addr string) []byte {
	if kind != SHA256 && kind != MD5 {
		return nil
	}
	return digest(kind, addr).Bytes()
}

func digest(kind, addr string) Digest {
	text := []byte(strings.ToLower(strings.TrimSpace(addr)))
	d := Digest{Kind: kind}
	if kind == MD5 {
		sum := md5.Sum(text)
		copy(d.Sum[:], sum[:])
	} else {
		d.Sum = sha256.Sum256(text)
	}
	return d
}

// Digests are the hashes by which a recipient may stand in a list of that kind: of
// the address as it is written here, of the same with its domain as A-labels, and
// of its canonical form. Check all of them. An address that was hashed with a plus
// tag is not found by one without: a hash does not say what it is of.
func Digests(kind string, a address.Address) []Digest {
	written := a.String()
	forms := [...]string{written, a.Mailbox().String(), ""}
	if a.Domain != "" {
		forms[2] = written[:len(written)-len(a.Domain)] + a.Host()
	}
	all := make([]Digest, 0, len(forms))
	for _, form := range forms {
		if d := digest(kind, form); form != "" && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

// readDigest tells a hash by its length.
func readDigest(b []byte) (d Digest, ok bool) {
	switch len(b) {
	case 2 * sha256.Size:
		d.Kind = SHA256
	case 2 * md5.Size:
		d.Kind = MD5
	default:
		return d, false
	}
	if _, err := hex.Decode(d.Sum[:], b); err != nil {
		return Digest{}, false
	}
	return d, true
}

// isHash reports whether a first line looks like a hash of any kind.
func isHash(b []byte) bool {
	for _, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	switch len(b) {
	case 32, 40, 64, 96, 128:
		return true
	}
	return false
}
