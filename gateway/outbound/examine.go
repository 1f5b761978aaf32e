package outbound

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"tidepost/gateway"
)

// maxPath is the length of an address that we write. RFC 5321 §4.5.3.1.3 says
// 256; UTF-8 and generous hosts take more.
const maxPath = 1000

// examine decides, without a word to the host, what this host cannot take:
// such recipients get their outcome. It returns the body, whose beginning it
// may have had to read.
func (t *transaction) examine(body io.Reader) io.Reader {
	if err := checkPath(t.e.From); err != nil {
		t.settle(*failed(553, "5.1.7", "sender: "+err.Error()))
	}
	for i := range t.e.Recipients {
		err := checkPath(t.e.Recipients[i].Address)
		if err == nil && t.e.Recipients[i].Address == "" {
			err = errors.New("address is empty")
		}
		if err != nil && t.state[i] == undecided {
			t.state[i] = decided
			t.out[i] = *failed(553, "5.1.3", "recipient: "+err.Error())
		}
	}
	if limit := t.features.maxSize; limit > 0 && t.e.Size > limit { // RFC 1870
		t.settle(*failed(552, "5.3.4", fmt.Sprintf("message of %d bytes is over the host's limit of %d", t.e.Size, limit)))
	}
	if t.e.By == gateway.ByReturn && !t.e.Deadline.IsZero() && time.Until(t.e.Deadline) < time.Second { // RFC 2852
		t.settle(*failed(554, "5.4.7", "the deliver-by time has passed"))
	}
	return t.examineUTF8(body)
}

// examineUTF8 decides about SMTPUTF8: it is written when the envelope says so
// or an address needs it. A host without it gets the message all the same if,
// seen closely, nothing needs it (RFC 6531 §3.2); else that is a 5.6.7.
func (t *transaction) examineUTF8(body io.Reader) io.Reader {
	needed := !ascii(t.path(t.e.From))
	for i := range t.e.Recipients {
		if t.state[i] == undecided && !ascii(t.path(t.e.Recipients[i].Address)) {
			needed = true
		}
	}
	if t.features.utf8 {
		t.utf8 = needed || t.e.UTF8
		return body
	}
	if !needed && t.e.UTF8 {
		needed, body = utf8Header(body)
	}
	if needed {
		t.settle(*failed(550, "5.6.7", "the message needs SMTPUTF8, which the host does not offer"))
	}
	return body
}

// utf8Header reports whether the header may have characters outside ASCII. It
// looks at 64 KiB; a longer header is taken to have some. The reader returned
// reads the whole body.
func utf8Header(body io.Reader) (bool, io.Reader) {
	start, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return true, body
	}
	whole := io.MultiReader(bytes.NewReader(start), body)
	if i := bytes.Index(start, []byte("\r\n\r\n")); i >= 0 {
		return !ascii(string(start[:i])), whole
	}
	return len(start) == 64<<10 || !ascii(string(start)), whole
}

// path is an address as it is written to this host: as it came, or with an
// international domain in its ASCII form for a host without SMTPUTF8.
func (t *transaction) path(address string) string {
	if t.features.utf8 || ascii(address) {
		return address
	}
	if at := strings.LastIndexByte(address, '@'); at > 0 && ascii(address[:at]) {
		if domain, err := idna.Lookup.ToASCII(address[at+1:]); err == nil {
			return address[:at+1] + domain
		}
	}
	return address
}

// checkPath refuses what could end the address early and be read as a
// parameter or as another command (attack C6). Quoted local parts may hold
// spaces, but `<` and `>` are refused even there: not every host counts quotes.
func checkPath(address string) error {
	if len(address) > maxPath || !utf8.ValidString(address) {
		return errors.New("address is too long or not UTF-8")
	}
	quoted := false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case c < ' ' || c == 0x7f || c == '<' || c == '>' || c == ' ' && !quoted:
			return fmt.Errorf("%q in an address", c)
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(address) && address[i+1] >= ' ' && address[i+1] < 0x7f:
			if i++; address[i] == '<' || address[i] == '>' {
				return fmt.Errorf("%q in an address", address[i])
			}
		}
	}
	if quoted {
		return errors.New("quote without end in an address")
	}
	return nil
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
