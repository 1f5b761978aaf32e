package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"tidepost/gateway"
)

// Endpoint is one receiver of a tenant's events, as the configuration has it.
type Endpoint struct {
	Name         string // letters, digits, - and _; EndpointName makes one
	Tenant       string // whose events, and nobody else's
	URL          string
	Format       string   // one of Formats
	Secret       string   // what that is, the format says; white space separates two of Standard Webhooks
	Kinds        []string // empty: the format's usual ones
	Headers      []string // fields of the original mail to repeat; empty: only those that the format's receivers look for
	AllowPrivate bool     // an address inside one's own network is meant, and http
}

// EndpointName is the name of an endpoint that was given none: always the same for
// the same receiver.
func EndpointName(format, tenant, url string) string {
	sum := sha256.Sum256([]byte(format + "\x00" + tenant + "\x00" + url))
	return format + "-" + hex.EncodeToString(sum[:4])
}

// EndpointError says which value of an endpoint is wrong, and what to write instead.
type EndpointError struct {
	Field   string // as the configuration names it: name, url, format, secret, kinds, headers
	Problem string
	Remedy  string
}

func (e *EndpointError) Error() string { return e.Field + " " + e.Problem + ": " + e.Remedy }

// Bounds of an endpoint.
const (
	maxName    = 64
	maxHeaders = 20
)

// Kinds are all that an endpoint may ask for.
func Kinds() []string {
	return []string{"accepted", "planned", "held", "released", "delivered", "deferred", "bounced", "dropped", "suppressed", "captured",
		"opened", "clicked", "unsubscribed", "complained", "consent"}
}

// events are the kinds of event behind the words of Kinds.
func events(kind string) []gateway.EventKind {
	if kind == "bounced" {
		return []gateway.EventKind{gateway.EventBounced, gateway.EventBounceTold}
	}
	return []gateway.EventKind{gateway.EventKind(kind)}
}

// word is the one of Kinds that an event is of.
func word(kind gateway.EventKind) string {
	if kind == gateway.EventBounceTold {
		return "bounced"
	}
	return string(kind)
}

// Check returns an *EndpointError for the first value that cannot be, or nil.
func (e *Endpoint) Check() error {
	if !isEndpointName(e.Name) {
		return &EndpointError{"name", "is part of commands and paths", "write letters, digits, - and _, at most 64"}
	}
	f, ok := formats[e.Format]
	if !ok {
		return &EndpointError{"format", "is unknown", "write one of " + strings.Join(Formats(), ", ")}
	}
	if err := CheckURL(e.URL, e.AllowPrivate); err != nil {
		bad := err.(*URLError) // CheckURL returns no other
		return &EndpointError{"url", "is refused: " + bad.Problem, strings.ReplaceAll(bad.Remedy, "allow private addresses", "set allow_private")}
	}
	if err := f.checkKinds(e.Format, e.Kinds); err != nil {
		return err
	}
	if len(e.Headers) > maxHeaders {
		return &EndpointError{"headers", "are too many", fmt.Sprintf("write at most %d", maxHeaders)}
	}
	for _, name := range e.Headers {
		if !isField(name) {
			return &EndpointError{"headers", fmt.Sprintf("have %q, which is no name of a header field", name), "write it without the colon, as X-EMAIL-ID"}
		}
	}
	_, err := f.signer(e.Secret)
	return err
}

func (f *format) checkKinds(name string, kinds []string) error {
	for _, kind := range kinds {
		switch {
		case slices.Contains(f.kinds, kind):
		case slices.Contains(Kinds(), kind):
			return &EndpointError{"kinds", fmt.Sprintf("have %q, for which %s has no word", kind, name),
				"leave it out, or add a [[webhook]] of format standard for it; " + name + " knows " + strings.Join(f.kinds, ", ")}
		default:
			return &EndpointError{"kinds", fmt.Sprintf("have %q, which is none", kind), "write some of " + strings.Join(f.kinds, ", ")}
		}
	}
	return nil
}

func isEndpointName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// isField reports whether s can be the name of a header field (RFC 5322 §3.6.8).
func isField(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' })
}

// Takes reports whether events of the kind go to the endpoint.
func (e *Endpoint) Takes(kind gateway.EventKind) bool { return e.wants()[kind] }

// wants are the kinds of event that go to the endpoint.
func (e *Endpoint) wants() map[gateway.EventKind]bool {
	kinds := e.Kinds
	if len(kinds) == 0 {
		kinds = formats[e.Format].usual
	}
	all := map[gateway.EventKind]bool{}
	for _, kind := range kinds {
		for _, k := range events(kind) {
			all[k] = true
		}
	}
	return all
}

// echoes are the fields of the original mail that are repeated: what the format's
// receivers look for, and what the endpoint names.
func (e *Endpoint) echoes() []string {
	all := slices.Clone(formats[e.Format].headers)
	for _, name := range e.Headers {
		if !slices.ContainsFunc(all, func(have string) bool { return strings.EqualFold(have, name) }) {
			all = append(all, name)
		}
	}
	return all
}
