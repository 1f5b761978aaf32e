package content

import (
	"bytes"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// How much of a client's text is kept, in bytes.
const (
	maxSubject   = 200
	maxName      = 255 // campaign, supersede key, List-Id, variant
	maxMessageID = 998 // a line (RFC 5322 §2.1.1)
	maxTag       = 128
	maxTags      = 20
	maxEncoded   = 1024 // of a field that is decoded: what 200 bytes may grow to
)

// campaignFields are where a campaign's name may stand, the first one wins: what
// was said to us, then what names one mailing, then what names it for others.
// List-Id is not among them, because a list outlives its campaigns.
var campaignFields = [...]known{hCampaign, hListmonkCampaign, hMailgunCampaign, hMauticEmail, hFeedbackID}

// readIdentity fills in what a message is known by.
func readIdentity(v *values) {
	m := v.m
	for _, h := range campaignFields {
		if m.Campaign != "" {
			break
		}
		value := v.get(h, maxEncoded)
		if h == hFeedbackID {
			// Campaign:Customer:MailType:Sender, of which any but the last may be empty.
			value, _, _ = bytes.Cut(value, []byte{':'})
		}
		m.Campaign = text(value, maxName)
	}
	if v.has(hListID) && m.List == "" {
		m.List = text(inBrackets(v.get(hListID, maxEncoded)), maxName)
	}
	if v.has(hMessageID) && m.MessageID == "" {
		m.MessageID = clean(string(inBrackets(v.get(hMessageID, maxMessageID))), maxMessageID)
	}
	if value := v.first[hSubject]; value != nil && m.Subject == "" {
		m.Subject = text(unfold(value[:min(len(value), maxEncoded)]), maxSubject)
	}
}

// inBrackets returns what stands between the last pair of angle brackets, or
// all of it (RFC 2919 §3: the phrase before them is for people).
func inBrackets(b []byte) []byte {
	open := bytes.LastIndexByte(b, '<')
	if open < 0 {
		return b
	}
	inner, _, ok := bytes.Cut(b[open+1:], []byte{'>'})
	if !ok {
		return b
	}
	return bytes.TrimSpace(inner)
}

// addTags takes a comma-separated list, or one tag where other makers' fields
// hold one each.
func (v *values) addTags(h known, value []byte) {
	value = unfold(value)
	for len(value) > 0 {
		tag, rest := value, []byte(nil)
		if h == hTags {
			tag, rest, _ = bytes.Cut(value, []byte{','})
		}
		value = rest
		if t := text(bytes.TrimSpace(tag[:min(len(tag), maxEncoded)]), maxTag); t != "" {
			if len(v.m.Tags) == maxTags {
				v.note("%s: more than %d tags; the rest is ignored", h, maxTags)
				return
			}
			v.m.Tags = append(v.m.Tags, t)
		}
	}
}

var words = mime.WordDecoder{CharsetReader: charset.Reader}

// text decodes the encoded words of an unfolded value (RFC 2047) and makes it
// fit to be shown. Callers bound the length of b first.
func text(b []byte, limit int) string {
	s := string(b)
	if strings.Contains(s, "=?") {
		if d, err := words.DecodeHeader(s); err == nil {
			s = d
		}
	}
	return clean(s, limit)
}

// clean returns s as valid UTF-8 without control characters, no longer than
// limit bytes.
func clean(s string, limit int) string {
	if isPlain(s) {
		if len(s) <= limit {
			return s
		}
		return strings.Clone(s[:limit])
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) || isBidi(r) {
			r = ' '
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r) // an invalid byte arrives as U+FFFD
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isBidi reports whether a character only turns the direction of what follows,
// which would disguise text in a listing.
func isBidi(r rune) bool {
	return 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}
