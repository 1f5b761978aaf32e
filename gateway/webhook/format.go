package webhook

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// format is a way of writing events that receivers know.
type format struct {
	kinds   []string // that it has words for
	usual   []string // of them, unless the endpoint names some
	headers []string // of the original mail, that its receivers look for
	batch   int      // events in a call, at most
	strict  bool     // it says nothing of events without an address, or that a machine made
	signer  func(secret string) (signer, error)

	machineOpens bool // strict, but it has a word for a machine's opens

	// encode writes events that are wanted; the header has what else the format says
	// beside its body.
	encode func(list []*notice) (body []byte, header http.Header)
}

// signer adds to a call's header what shows that it comes from us. id is that of the
// call's event.
type signer func(h http.Header, id string, now time.Time, body []byte) error

// formats are all formats, by their name in the configuration.
var formats = map[string]*format{
	"standard": {
		kinds: Kinds(), usual: []string{"bounced", "complained", "unsubscribed", "dropped", "suppressed"},
		batch: 1, signer: standardSigner, encode: encodeStandard,
	},
	"listmonk": {
		kinds: []string{"bounced", "complained"}, usual: []string{"bounced", "complained"},
		headers: []string{"X-Listmonk-Campaign", "X-Listmonk-Subscriber"},
		batch:   1, strict: true, signer: mustBasic, encode: encodeListmonk,
	},
	"sendgrid": {
		kinds:   []string{"accepted", "delivered", "deferred", "bounced", "unsubscribed", "complained", "opened", "clicked"},
		usual:   []string{"bounced", "complained", "unsubscribed"},
		headers: []string{"X-Listmonk-Campaign", "X-Listmonk-Subscriber", "X-EMAIL-ID"},
		batch:   100, strict: true, machineOpens: true, signer: sendgridSigner, encode: encodeSendgrid,
	},
	"ses": {
		kinds: []string{"delivered", "bounced", "complained", "opened", "clicked"}, usual: []string{"bounced", "complained"},
		headers: []string{"X-Listmonk-Campaign", "X-Listmonk-Subscriber", "X-EMAIL-ID", "X-Message-ID", "Message-ID", "Subject", "From", "To"},
		batch:   1, strict: true, signer: mayBasic, encode: encodeSES,
	},
	"postmark": {
		kinds:   []string{"delivered", "bounced", "unsubscribed", "complained", "opened", "clicked"},
		usual:   []string{"bounced", "complained", "unsubscribed"},
		headers: []string{"X-Listmonk-Campaign", "X-Listmonk-Subscriber", "X-EMAIL-ID", "X-Message-ID"},
		batch:   1, strict: true, signer: mayBasic, encode: encodePostmark,
	},
}

// Formats are the names of all formats.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// mustBasic is for receivers that want a user and a password (RFC 7617).
func mustBasic(secret string) (signer, error) {
	user, _, found := strings.Cut(secret, ":")
	if !found || user == "" || strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, &EndpointError{"secret", "is no user and password", `write "user:password", as the receiver knows them`}
	}
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(secret))
	return func(h http.Header, _ string, _ time.Time, _ []byte) error {
		h.Set("Authorization", value)
		return nil
	}, nil
}

// mayBasic is mustBasic for receivers that may want none.
func mayBasic(secret string) (signer, error) {
	if secret == "" {
		return func(http.Header, string, time.Time, []byte) error { return nil }, nil
	}
	return mustBasic(secret)
}
