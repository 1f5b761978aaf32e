package content

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Signer is one DKIM key. It signs mail whose From address is of Domain or of a
// domain below it, which DMARC takes as aligned; where keys of several such
// domains exist, those of the longest one sign. Several keys of one domain all
// sign: RSA for everybody, Ed25519 (RFC 8463) for those who read it.
//
// Mail that arrives with a signature of the domain gets ours beside it, and both
// verify, because nothing that either covers is changed; only a signature of the
// same selector is replaced.
type Signer struct {
	Domain   string
	Selector string
	Key      crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}

// signedFields are the fields we sign where they exist (RFC 6376 §5.4.1). A
// sealed one is listed once more than it exists, so that another cannot be
// added later without breaking the signature (§8.15).
var signedFields = [...]struct {
	name   string
	sealed bool
}{
	{"From", true},
	{"Reply-To", true},
	{"Sender", false},
	{"To", true},
	{"Cc", true},
	{"Subject", true},
	{"Date", true},
	{"Message-ID", true},
	{"In-Reply-To", false},
	{"References", false},
	{"MIME-Version", false},
	{"Content-Type", true},
	{"Content-Transfer-Encoding", false},
	{"List-Id", false},
	{"List-Unsubscribe", true}, // RFC 8058 §4 wants both covered
	{"List-Unsubscribe-Post", true},
	{"List-Help", false},
	{"List-Post", false},
	{"List-Owner", false},
	{"List-Archive", false},
	{"Feedback-ID", false},
	{"Auto-Submitted", false},
	{"CFBL-Address", false}, // RFC 9477 §3.1
	{"CFBL-Feedback-ID", false},
}

// signersFor returns the keys that sign mail with that From field.
func (c *Composer) signersFor(from []byte) []*Signer {
	if len(c.Signers) == 0 || from == nil {
		return nil
	}
	domains, err := fromDomains(from)
	if err != nil {
		return nil
	}
	var chosen []*Signer
	for i := range c.Signers {
		s := &c.Signers[i]
		switch {
		case !below(domains[0], s.Domain):
		case len(chosen) == 0 || len(s.Domain) > len(chosen[0].Domain):
			chosen = append(chosen[:0], s)
		case len(s.Domain) == len(chosen[0].Domain):
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// below reports whether a domain is parent or lies under it.
func below(domain, parent string) bool {
	n := len(domain) - len(parent)
	return n >= 0 && strings.EqualFold(domain[n:], parent) && (n == 0 || domain[n-1] == '.')
}

// sign returns the signatures to stand in front of the message. It is the most
// expensive step on the way out, so only as many are made at once as there are
// processors; the others wait here, not in the run queue.
func (c *Composer) sign(ctx context.Context, o *outgoing, signers []*Signer) ([]byte, error) {
	if err := c.signing.enter(ctx); err != nil {
		return nil, err
	}
	defer c.signing.leave()
	bodyHash, err := o.hashBody()
	if err != nil {
		return nil, err
	}
	o.w.list()
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	listed, headers := o.w.canonicalHeaders()
	sigs := make([]byte, 0, 1024)
	for _, s := range signers {
		if sigs, err = s.appendSignature(sigs, listed, bodyHash, headers, now()); err != nil {
			return nil, fmt.Errorf("dkim key %s of %s: %w", s.Selector, s.Domain, err)
		}
	}
	return sigs, nil
}

// list splits the edited header into its fields.
func (w *workspace) list() {
	w.fields = w.fields[:0]
	s := scanner{b: w.out}
	for f, ok := s.next(); ok; f, ok = s.next() {
		w.fields = append(w.fields, f)
	}
}

// canonicalHeaders returns the names for h= and the text they stand for. Of a
// name that occurs several times the last field is taken first (§5.4.2).
func (w *workspace) canonicalHeaders() (listed []string, text []byte) {
	text = make([]byte, 0, 1024)
	for _, want := range signedFields {
		for i := len(w.fields) - 1; i >= 0; i-- {
			if f := w.fields[i]; len(f.name) == len(want.name) && bytes.EqualFold(f.name, []byte(want.name)) {
				listed = append(listed, want.name)
				text = appendRelaxed(text, f.name, f.value)
			}
		}
		if want.sealed {
			listed = append(listed, want.name)
		}
	}
	return listed, text
}

// appendSignature appends one DKIM-Signature field. The hash is over the signed
// fields and then this one, still without its value of b= (§3.7).
func (s *Signer) appendSignature(dst []byte, listed []string, bodyHash [sha256.Size]byte, headers []byte, now time.Time) ([]byte, error) {
	algorithm, hash := "rsa", crypto.SHA256
	if _, ok := s.Key.Public().(ed25519.PublicKey); ok {
		algorithm, hash = "ed25519", crypto.Hash(0) // RFC 8463 §3: the digest is signed as it is
	}
	value := fmt.Appendf(nil, " v=1; a=%s-sha256; c=relaxed/relaxed; d=%s;\r\n\ts=%s; t=%s;\r\n\th=",
		algorithm, s.Domain, s.Selector, strconv.FormatInt(now.Unix(), 10))
	value = appendNames(value, listed)
	value = append(value, ";\r\n\tbh="...)
	value = base64.StdEncoding.AppendEncode(value, bodyHash[:])
	value = append(value, ";\r\n\tb="...)

	h := sha256.New()
	h.Write(headers)
	h.Write(bytes.TrimSuffix(appendRelaxed(nil, []byte("DKIM-Signature"), value), []byte("\r\n")))
	sig, err := s.Key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	dst = append(append(dst, "DKIM-Signature:"...), value...)
	return append(appendFolded(dst, base64.StdEncoding.AppendEncode(nil, sig)), '\r', '\n'), nil
}

const foldAt = 72 // characters of a line, well inside the 78 of RFC 5322 §2.1.1

// appendNames joins names with colons, folded.
func appendNames(b []byte, names []string) []byte {
	line := 2
	for i, name := range names {
		if i > 0 {
			b = append(b, ':')
		}
		if line += len(name) + 1; line > foldAt {
			b, line = append(b, "\r\n\t "...), len(name)+1
		}
		b = append(b, name...)
	}
	return b
}

func appendFolded(b, text []byte) []byte {
	for len(text) > foldAt {
		b = append(append(b, text[:foldAt]...), "\r\n\t "...)
		text = text[foldAt:]
	}
	return append(b, text...)
}

// hashBody returns the hash of the body as it leaves, read piece by piece. The
// text of the first segment is the header.
func (o *outgoing) hashBody() (sum [sha256.Size]byte, err error) {
	if o.w.body == nil {
		o.w.body = make([]byte, hashPiece+canonPiece)
	}
	c := bodyCanon{hash: sha256.New(), out: o.w.body[hashPiece:hashPiece]}
	if err := o.hashRun(&c, o.from, o.to); err != nil {
		return sum, err
	}
	for i := range o.more {
		c.write(o.more[i].text)
		if err := o.hashRun(&c, o.more[i].from, o.more[i].to); err != nil {
			return sum, err
		}
	}
	c.close()
	c.hash.Sum(sum[:0])
	return sum, nil
}

const hashPiece = 32 << 10

// hashRun hashes a run of the stored message.
func (o *outgoing) hashRun(c *bodyCanon, from, to int64) error {
	for at := from; at < to; {
		b := o.w.body[:min(hashPiece, to-at)]
		if err := o.readRun(b, at); err != nil {
			return err
		}
		c.write(b)
		at += int64(len(b))
	}
	return nil
}

// gate lets as many in as there are processors. The zero value is open.
type gate struct {
	once  sync.Once
	slots chan struct{}
}

func (g *gate) enter(ctx context.Context) error {
	g.once.Do(func() { g.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.slots }
