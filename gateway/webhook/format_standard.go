package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/signature"
)

// maxStandard is how long a body is at most: the specification of Standard Webhooks
// wants fewer than 20 kB.
const maxStandard = 20_000

// maxSecrets is how many secrets sign at a time.
const maxSecrets = 4

// types are the words of Standard Webhooks for kinds.
var types = map[string]string{
	"unsubscribed": "mailbox.unsubscribed", "complained": "mailbox.complained", "consent": "mailbox.consent",
	testWord: "webhook.test",
}

// standardDoc is the body that Standard Webhooks recommends.
type standardDoc struct {
	Type      string       `json:"type"`
	Timestamp string       `json:"timestamp"`
	Data      standardData `json:"data"`
}

// standardData is an event as it goes over NATS too, with what only we know of it.
type standardData struct {
	gateway.EventDoc
	Bounce  *verdict          `json:"bounce,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // of the original mail
}

func encodeStandard(list []*notice) ([]byte, http.Header) {
	n := list[0]
	data := standardData{EventDoc: n.doc(), Headers: n.headers()}
	if n.word == "bounced" {
		data.Bounce = n.bounce
	}
	doc := standardDoc{Type: types[n.word], Timestamp: gateway.Stamp(n.At), Data: data}
	if doc.Type == "" {
		doc.Type = "delivery." + n.word
	}
	body := marshal(&doc)
	// What is long goes in turn: the details of rules and readers, then repeated fields.
	for _, shorten := range []func(*standardData){
		func(d *standardData) { d.Data, d.Detail = nil, "" },
		func(d *standardData) { d.Headers = nil },
		func(d *standardData) {
			d.Reply, d.Campaign, d.List = cut(d.Reply, 500), cut(d.Campaign, 500), cut(d.List, 500)
		},
	} {
		if len(body) < maxStandard {
			break
		}
		shorten(&doc.Data)
		doc.Data.Truncated = true
		body = marshal(&doc)
	}
	return body, nil
}

// marshal writes JSON without making \u003c of the brackets around addresses.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // plain structs and maps of text
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// standardSigner signs as Standard Webhooks 1.0 asks: with every secret that is
// configured, so that one can take the other's place.
func standardSigner(text string) (signer, error) {
	var secrets [][]byte
	for word := range strings.FieldsSeq(text) {
		secret, err := signature.ParseSecret(word)
		if err != nil {
			return nil, &EndpointError{"secret", err.Error(), "`echo whsec_$(openssl rand -base64 32)` makes one"}
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return nil, &EndpointError{"secret", "is missing, or there are more than four", "`echo whsec_$(openssl rand -base64 32)` makes one; two with a space between while one replaces the other"}
	}
	return func(h http.Header, id string, now time.Time, body []byte) error {
		id, stamp := standardID(id), strconv.FormatInt(now.Unix(), 10)
		signatures := make([]string, len(secrets))
		for i, secret := range secrets {
			signatures[i] = "v1," + base64.StdEncoding.EncodeToString(signature.Sum(secret, id, stamp, body))
		}
		h.Set("Webhook-Id", id)
		h.Set("Webhook-Timestamp", stamp)
		h.Set("Webhook-Signature", strings.Join(signatures, " "))
		return nil
	}, nil
}

// standardID is an event's id without full stops: the specification warns that one
// would let a signature stand for two readings of the same bytes.
func standardID(id string) string { return "evt_" + strings.ReplaceAll(id, ".", "_") }
