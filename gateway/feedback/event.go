package feedback

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
	"tidepost/suppression/address"
)

// text is a string that some providers write as a number.
type text string

// UnmarshalJSON takes a string, a number or null.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		var s string
		err := json.Unmarshal(b, &s)
		*t = text(s)
		return err
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		*t = text(b)
		return nil
	case string(b) == "null":
		return nil
	}
	return errors.New("want a string or a number")
}

// decode reads a part of a provider's report.
func decode(at string, doc []byte, into any) error {
	if err := json.Unmarshal(doc, into); err != nil {
		return &PayloadError{At: at, Problem: "cannot be read: " + strings.TrimPrefix(err.Error(), "json: "), Remedy: seeHooks}
	}
	return nil
}

// decodeList calls one for each element of a provider's list.
func decodeList(body []byte, one func(*Payload, []byte) error) (*Payload, error) {
	if err := checkReport(body); err != nil {
		return nil, err
	}
	var docs []json.RawMessage
	if err := decode("", body, &docs); err != nil {
		return nil, err
	}
	p := &Payload{}
	for i, doc := range docs {
		if err := one(p, doc); err != nil {
			var e *PayloadError
			if errors.As(err, &e) && e.At == "" {
				e.At = fmt.Sprintf("[%d]", i)
			}
			return nil, err
		}
	}
	return p, nil
}

// decodeOne reads a report that is one event.
func decodeOne(body []byte, one func(*Payload, []byte) error) (*Payload, error) {
	if err := checkReport(body); err != nil {
		return nil, err
	}
	p := &Payload{}
	return p, one(p, body)
}

// details are the data of a signal, as schema/signal.json has them.
type details struct {
	Hard *bool `json:"hard,omitempty"`
	gateway.Bounce
	Link      string `json:"link,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	IP        string `json:"ip,omitempty"`
	Method    string `json:"method,omitempty"`
}

// Longest texts of a signal that we make, in bytes; more of them is cut off.
const (
	maxText = 500
	maxLink = 2000
)

// add takes an event in. One that is about nobody whose address can be read is
// ignored: its provider would send the whole report again and again for it.
func (p *Payload) add(e Event, kind gateway.SignalKind, d details) {
	if _, err := address.Parse(e.Mailbox); err != nil {
		p.Ignored++
		return
	}
	e.Kind, e.ID = string(kind), plainID(e.ID)
	if d != (details{}) {
		e.Data, _ = json.Marshal(d) // strings and a bool: it cannot fail
	}
	p.Events = append(p.Events, e)
}

// bounced takes a mail that came back. The status and the reply are looked for in the
// text where they are not told, and so is the group. What a provider calls hard is so
// where the group is one of an address that may not be there ("mailbox unavailable" is
// filtered), or is not told: a full mailbox has room again, and a block is none of the
// reader's.
func (p *Payload) bounced(e Event, hard bool, b gateway.Bounce) {
	b.Text = strings.Join(strings.Fields(b.Text), " ")
	if kind, words, ok := strings.Cut(b.Text, ";"); ok && diagnosticKind.MatchString(kind) {
		b.Text = strings.TrimSpace(words)
	}
	b.Text = cut(b.Text, maxText)
	if !statusForm.MatchString(b.Status) {
		b.Status = statusInText.FindString(b.Text)
	}
	if !codeForm.MatchString(b.Code) {
		b.Code = ""
		if m := codeInText.FindStringSubmatch(b.Text); m != nil {
			b.Code = m[1]
		}
	}
	if b.Group == "" {
		b.Group = groupOf(b.Status, b.Text)
	}
	switch b.Group {
	case bounce.NoSuchUser, bounce.NoSuchHost, bounce.Filtered, bounce.Unknown, "":
	default:
		hard = false
	}
	p.add(e, gateway.SignalBounced, details{Hard: &hard, Bounce: b})
}

// complained takes a complaint; feedback is its type (RFC 5965 §7.3), "" if not told.
func (p *Payload) complained(e Event, feedback string) {
	if len(feedback) > 32 {
		feedback = ""
	}
	p.add(e, gateway.SignalComplained, details{Bounce: gateway.Bounce{Feedback: feedback}})
}

// saw is the request behind an open or a click, as a provider tells of it.
type saw struct {
	link, agent, ip string
	machine         bool // the provider says so
}

// seen takes an open or a click. Whether a person did it is judged by what the
// provider saw; where it saw nothing, the signal says that, too.
func (p *Payload) seen(e Event, kind gateway.SignalKind, s saw) {
	d := details{Link: cut(s.link, maxLink), UserAgent: cut(s.agent, maxLink)}
	if _, err := netip.ParseAddr(s.ip); err == nil {
		d.IP = s.ip
	}
	if s.machine {
		nobody := float32(0)
		e.Human = &nobody
	}
	if d.UserAgent == "" && d.IP == "" {
		d.Method = "GET"
	}
	p.add(e, kind, d)
}

var (
	diagnosticKind = regexp.MustCompile(`^(?i:smtp|x-[a-z0-9-]+)$`) // of RFC 3464 §2.3.6, before the far side's words
	statusForm     = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}$`)
	statusInText   = regexp.MustCompile(`\b[45]\.\d{1,3}\.\d{1,3}\b`)
	codeForm       = regexp.MustCompile(`^[245]\d\d$`)
	codeInText     = regexp.MustCompile(`(?:^|[:;(] ?)([45]\d\d)[ -]`)
)

// plainID is a provider's id of an event as a signal can have it.
func plainID(id string) string {
	if len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fingerprint([]byte(id))
	}
	return id
}

// fingerprint stands for an id where the sender has none, or none that we can use.
func fingerprint(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256-" + hex.EncodeToString(h[:16])
}

// cut shortens a text at a rune's beginning.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// epoch reads seconds since 1970, whole or not; the zero time if they are none.
func epoch(s text) time.Time {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !(f > 0 && f < 1e11) {
		return time.Time{}
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e6)*1000).UTC()
}

// stamp reads a time of RFC 3339, or as PHP and Python write it; the zero time if it
// is none.
func stamp(s string) time.Time {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05.999999999-0700"} {
		if t, err := time.Parse(form, s); err == nil && t.Year() > 1970 && t.Year() < 9999 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// names are the ids that are told, without brackets.
func names(ids ...string) (told []string) {
	for _, id := range ids {
		if id = strings.Trim(id, "<> \t"); id != "" && len(id) <= 998 {
			told = append(told, id)
		}
	}
	return told
}
