package content

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// Support of the tests of marks.

const linkURL = "https://t.example"

var (
	allMarks  = gateway.Marks{Pixel: true, Links: true, Hidden: true, Unsubscribe: true, Source: 77}
	linkMarks = gateway.Marks{Links: true, Source: 77}
	sentTo    = &gateway.Delivery{ID: gateway.DeliveryID{Message: gateway.ID{1, 2, 3}, Ordinal: 7}, Mailbox: gateway.Key{9, 8}, Accepted: noon}
)

func linkKeys(t testing.TB) *token.Keys {
	t.Helper()
	k, err := token.NewKeys(bytes.Repeat([]byte{'k'}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// marking returns a composer that puts marks in; reasons takes why it did not.
func marking(t testing.TB, reasons *[]string, signers ...Signer) *Composer {
	keys := linkKeys(t)
	return &Composer{Hostname: "gw", Signers: signers,
		Links: &Links{URL: linkURL, Keys: func() *token.Keys { return keys }},
		Untouched: func(reason string) {
			if reasons != nil {
				*reasons = append(*reasons, reason)
			}
		}}
}

// mark returns the bytes that leave with marks, and checks the size that was
// promised.
func mark(t testing.TB, c *Composer, s *gateway.Stored, marks gateway.Marks) string {
	t.Helper()
	body, size, err := c.Compose(context.Background(), s, sentTo, marks)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Fatalf("Compose promised %d bytes and gave %d", size, len(b))
	}
	return string(b)
}

// withoutReceived is what leaves without our trace field.
func withoutReceived(t testing.TB, left string, s *gateway.Stored) string {
	t.Helper()
	rest, ok := strings.CutPrefix(left, string(appendReceived(nil, s.Message, "gw")))
	if !ok {
		t.Fatalf("it does not begin with Received:\n%s", left)
	}
	return rest
}

var ourLink = regexp.MustCompile(`https://t\.example/([ouc])/([A-Za-z0-9_-]+)`)

// reveal writes our links as what is in them: [open], [unsubscribe], [1/2 target]
// and [hidden].
func reveal(t testing.TB, s string) string {
	t.Helper()
	keys := linkKeys(t)
	return ourLink.ReplaceAllStringFunc(s, func(link string) string {
		part := ourLink.FindStringSubmatch(link)
		tok, err := keys.Open(token.Purpose(part[1][0]), part[2], noon)
		if err != nil {
			t.Fatalf("%s: %v", link, err)
		}
		if tok.Message != sentTo.ID.Message || tok.Ordinal != 7 || tok.Mailbox != sentTo.Mailbox || tok.Source != 77 {
			t.Fatalf("%s is about another delivery: %+v", link, tok)
		}
		days := tok.Expires.Sub(noon).Hours() / 24
		switch part[1] {
		case "o":
			if days < 29 || days > 31 {
				t.Errorf("a pixel works for %.0f days", days)
			}
			return "[open]"
		case "u":
			if days < 1095 || days > 1097 {
				t.Errorf("an unsubscribe link works for %.0f days", days)
			}
			return "[unsubscribe]"
		}
		if days < 1095 || days > 1097 {
			t.Errorf("a link works for %.0f days", days)
		}
		if tok.Hidden {
			if tok.Target != linkURL+"/" || tok.Link != 0 {
				t.Errorf("the hidden link is %+v", tok)
			}
			return "[hidden]"
		}
		return fmt.Sprintf("[%d/%d %s]", tok.Link, tok.Links, tok.Target)
	})
}

const (
	pixelHTML  = `<img src="[open]" alt="" width="1" height="1" border="0" style="position:absolute;width:1px;height:1px;margin:0;padding:0;border:0">`
	hiddenHTML = `<a href="[hidden]" style="display:none;mso-hide:all" aria-hidden="true" tabindex="-1" rel="nofollow"></a>`
)

func headed(lines ...string) string {
	return message("", append([]string{"Date: d", "Message-ID: <m@x>", "From: a@example.com"}, lines...)...)
}
