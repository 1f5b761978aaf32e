package webhook

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// Signatures as the npm package standardwebhooks 1.1.1 makes them, of two secrets.
func TestStandardSignature(t *testing.T) {
	body := `{"type":"delivery.bounced","timestamp":"2026-11-22T12:00:00.000Z","data":{"id":"01.0.2","address":"ann@example.com"}}`
	sign, err := standardSigner("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := sign(h, "01.0.2", time.Unix(1763812800, 0), []byte(body)); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Webhook-Id": {"evt_01_0_2"}, "Webhook-Timestamp": {"1763812800"}, "Webhook-Signature": {"v1,UB8sP2XTCbpmXz8qAIsc0zCz8CN2JrLNRwlObb5m0Gs= v1,BPp9LNIbV9fVe7dGhXQ4NopxXZq+fuHTa1RvxUM0C5Q="}}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("%v, want %v", h, want)
	}
}

// told is the one body that a format makes of an event, and its header.
func told1(t *testing.T, w *world, e Endpoint, event gateway.Event) (map[string]any, http.Header) {
	t.Helper()
	var body []byte
	var header http.Header
	to := &receiverFunc{}
	s := w.sender(map[string]*receiverFunc{e.Name: to})
	c, err := s.newCaller(&e)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := c.wanted(&event)
	if !ok {
		return nil, nil
	}
	if err := c.archive.resolve(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if c.mute(n) {
		return nil, nil
	}
	if body, header = c.format.encode([]*notice{n}); header == nil {
		header = http.Header{}
	}
	if err := c.sign(header, n.id, time.Now(), body); err != nil {
		t.Fatal(err)
	}
	doc := map[string]any{}
	if e.Format == "sendgrid" {
		var list []map[string]any
		if err := json.Unmarshal(body, &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		return list[0], header
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return doc, header
}

const (
	campaignUUID   = "6f1b2a3c-0000-4000-8000-0123456789ab"
	subscriberUUID = "0a1b2c3d-0000-4000-8000-0123456789ab"
	listmonkHeader = "From: News <news@esp.test>\r\nX-Listmonk-Campaign: " + campaignUUID + "\r\nX-Listmonk-Subscriber: " + subscriberUUID +
		"\r\nX-EMAIL-ID:\r\n 42\r\nSubject: Spring\r\n\r\n"
)

// story is a mail with its reader, and events about both.
type story struct {
	*world
	key      gateway.Key
	delivery gateway.DeliveryID
	refused  gateway.Event
}

func newStory(t *testing.T) *story {
	s := &story{world: newWorld(t), key: gateway.Key{1, 2, 3}}
	id, ref := s.mail(listmonkHeader, gateway.Recipient{Address: "Ann@Example.com", Mailbox: s.key, Canonical: "Ann@example.com"})
	s.boxes[s.key] = &gateway.Mailbox{Key: s.key, Address: "Ann@example.com"}
	s.delivery = gateway.DeliveryID{Message: id}
	s.refused = s.bounce("acme")
	s.refused.Delivery.ID, s.refused.Delivery.Ref, s.refused.Delivery.Mailbox = s.delivery, ref, s.key
	return s
}

func (s *story) reader(kind gateway.EventKind, change func(*gateway.SignalDetail)) gateway.Event {
	d := gateway.SignalDetail{Mailbox: s.key.String(), Tenant: "acme", Delivery: s.delivery.String(), Human: 1}
	if change != nil {
		change(&d)
	}
	return s.signal(kind, d)
}

func (s *story) endpoint(format string, kinds ...string) Endpoint {
	e := Endpoint{Name: "a", Tenant: "acme", URL: "https://hooks.example.com/", Format: format, Kinds: kinds}
	switch format {
	case "standard":
		e.Secret = testSecret
	case "listmonk":
		e.Secret = "gateway:token"
	case "sendgrid":
		e.Secret, _, _ = NewKey()
	}
	return e
}

// at looks a path up in a document.
func at(doc any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch d := doc.(type) {
		case map[string]any:
			doc = d[name]
		case []any:
			doc = d[0]
		default:
			return nil
		}
	}
	return doc
}

func TestFormats(t *testing.T) {
	s := newStory(t)
	later := func(soft bool) func(*gateway.SignalDetail) {
		return func(d *gateway.SignalDetail) {
			d.Soft, d.Bounce = soft, &gateway.Bounce{Status: "4.2.2", Code: "452", Group: bounce.MailboxFull, Text: "quota"}
		}
	}
	soft := s.refused
	other := *s.refused.Delivery
	other.Reply, soft.Delivery = "550 5.7.1 not you", &other
	for _, tt := range []struct {
		story, format string
		event         gateway.Event
		kinds         []string
		want          map[string]any // nil: nothing is told
	}{
		{"nobody there", "standard", s.refused, nil, map[string]any{"type": "delivery.bounced", "data.kind": "bounced", "data.tenant": "acme",
			"data.address": "Ann@Example.com", "data.bounce.hard": true, "data.bounce.status": "5.1.1", "data.bounce.code": "550", "data.headers": nil}},
		{"they refuse us", "standard", soft, nil, map[string]any{"data.bounce.hard": false, "data.bounce.status": "5.7.1"}},
		{"it came back", "standard", s.reader(gateway.EventBounceTold, later(true)), nil, map[string]any{"type": "delivery.bounced", "data.kind": "bounce_told",
			"data.bounce.hard": false, "data.bounce.group": "mailbox_full", "data.address": "Ann@example.com", "data.message": s.delivery.Message.String()}},
		{"she left", "standard", s.reader(gateway.EventUnsubscribed, nil), nil, map[string]any{"type": "mailbox.unsubscribed", "data.tenant": "acme", "data.address": "Ann@example.com"}},
		{"she clicked, and nobody asked", "standard", s.reader(gateway.EventClicked, nil), nil, nil},

		{"nobody there", "listmonk", s.refused, nil, map[string]any{"email": "Ann@Example.com", "type": "hard", "source": "tidepost",
			"campaign_uuid": campaignUUID, "subscriber_uuid": subscriberUUID}},
		{"they refuse us", "listmonk", soft, nil, map[string]any{"type": "soft"}},
		{"a bounce that came back, hard", "listmonk", s.reader(gateway.EventBounceTold, later(false)), nil, map[string]any{"type": "hard", "email": "Ann@Example.com"}},
		{"she complained", "listmonk", s.reader(gateway.EventComplained, nil), nil, map[string]any{"type": "complaint", "email": "Ann@Example.com"}},
		{"she left", "listmonk", s.reader(gateway.EventUnsubscribed, nil), nil, nil},

		{"nobody there", "sendgrid", s.refused, nil, map[string]any{"email": "Ann@Example.com", "event": "bounce", "type": "bounce", "status": "5.1.1",
			"XListmonkCampaign": campaignUUID, "XEMAILID": "42", "smtp-id": "<m1@esp.test>", "sg_event_id": s.refused.ID(), "sg_message_id": s.delivery.String()}},
		{"they refuse us", "sendgrid", soft, nil, map[string]any{"event": "bounce", "type": "blocked", "bounce_classification": "technical"}},
		{"she left", "sendgrid", s.reader(gateway.EventUnsubscribed, nil), nil, map[string]any{"event": "unsubscribe", "email": "Ann@Example.com"}},
		{"she complained", "sendgrid", s.reader(gateway.EventComplained, nil), nil, map[string]any{"event": "spamreport"}},
		{"a machine opened", "sendgrid", s.reader(gateway.EventOpened, func(d *gateway.SignalDetail) { d.Human = 0 }), []string{"opened"},
			map[string]any{"event": "open", "sg_machine_open": true}},
		{"a machine clicked", "sendgrid", s.reader(gateway.EventClicked, func(d *gateway.SignalDetail) { d.Human = 0 }), []string{"clicked"}, nil},
		{"she clicked", "sendgrid", s.reader(gateway.EventClicked, func(d *gateway.SignalDetail) { d.Link = "https://shop.example.com/" }), []string{"clicked"},
			map[string]any{"event": "click", "url": "https://shop.example.com/"}},

		{"nobody there", "ses", s.refused, nil, map[string]any{"Type": "Notification", "Signature": ""}},
		{"nobody there", "postmark", s.refused, nil, map[string]any{"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1.0, "Email": "Ann@Example.com", "Inactive": true,
			"Metadata.X-Listmonk-Campaign": campaignUUID, "Subject": "Spring", "From": "news@esp.test", "Tag": "spring"}},
		{"they refuse us", "postmark", soft, nil, map[string]any{"Type": "SoftBounce", "TypeCode": 4096.0, "Inactive": false}},
		{"she complained", "postmark", s.reader(gateway.EventComplained, nil), nil, map[string]any{"RecordType": "SpamComplaint", "Type": "SpamComplaint", "TypeCode": 100001.0}},
		{"she left", "postmark", s.reader(gateway.EventUnsubscribed, nil), nil, map[string]any{"RecordType": "SubscriptionChange", "SuppressSending": true, "Recipient": "Ann@Example.com"}},
		{"she opened", "postmark", s.reader(gateway.EventOpened, nil), []string{"opened"}, map[string]any{"RecordType": "Open"}},
		{"a machine opened", "postmark", s.reader(gateway.EventOpened, func(d *gateway.SignalDetail) { d.Human = 0 }), []string{"opened"}, nil},
		{"she clicked", "postmark", s.reader(gateway.EventClicked, func(d *gateway.SignalDetail) { d.Link = "https://x.test/" }), []string{"clicked"},
			map[string]any{"RecordType": "Click", "OriginalLink": "https://x.test/"}},
	} {
		doc, _ := told1(t, s.world, s.endpoint(tt.format, tt.kinds...), tt.event)
		if (doc == nil) != (tt.want == nil) {
			t.Errorf("%s: %s: %v", tt.format, tt.story, doc)
		}
		for path, want := range tt.want {
			if got := at(doc, path); got != want {
				t.Errorf("%s: %s: %s is %v, want %v", tt.format, tt.story, path, got, want)
			}
		}
	}
}

// The inner notification of SES, and the delivery events of formats that have them.
func TestDelivered(t *testing.T) {
	s := newStory(t)
	ok := s.refused
	d := *ok.Delivery
	d.State, d.Reply, ok.Delivery, ok.Kind = gateway.Delivered, "250 2.0.0 queued", &d, gateway.EventDelivered
	doc, h := told1(t, s.world, s.endpoint("ses", "delivered"), ok)
	var inner map[string]any
	if err := json.Unmarshal([]byte(doc["Message"].(string)), &inner); err != nil {
		t.Fatal(err)
	}
	if at(inner, "eventType") != "Delivery" || at(inner, "delivery.smtpResponse") != "250 2.0.0 queued" || at(inner, "mail.destination.0") != "Ann@Example.com" ||
		h.Get("X-Amz-Sns-Message-Type") != "Notification" || !uuid.MatchString(doc["MessageId"].(string)) {
		t.Errorf("%v %v", inner, h)
	}
	for _, field := range at(inner, "mail.headers").([]any) {
		if at(field, "name") == "X-Listmonk-Campaign" && at(field, "value") != campaignUUID {
			t.Errorf("%v", field)
		}
	}
	bad, _ := told1(t, s.world, s.endpoint("ses"), s.refused)
	json.Unmarshal([]byte(bad["Message"].(string)), &inner)
	if at(inner, "bounce.bounceType") != "Permanent" || at(inner, "bounce.bouncedRecipients.0.emailAddress") != "Ann@Example.com" || at(inner, "notificationType") != "Bounce" {
		t.Errorf("%v", inner)
	}
	if doc, _ := told1(t, s.world, s.endpoint("sendgrid", "delivered"), ok); doc["event"] != "delivered" || doc["response"] != "250 2.0.0 queued" {
		t.Errorf("%v", doc)
	}
	if doc, _ := told1(t, s.world, s.endpoint("postmark", "delivered"), ok); doc["RecordType"] != "Delivery" || doc["Recipient"] != "Ann@Example.com" {
		t.Errorf("%v", doc)
	}
}

// What settings, entries and rules tell of, and what is of no tenant, never leaves.
func TestNeverTold(t *testing.T) {
	s := newStory(t)
	for _, e := range []gateway.Event{
		{Kind: gateway.EventSetting, Name: "1", Detail: `{"mailbox":"x","tenant":"acme"}`},
		{Kind: gateway.EventEntry, Name: "1", Detail: `{"mailbox":"x","tenant":"acme"}`},
		{Kind: gateway.EventRules, Name: "1", Detail: `{"mailbox":"x","tenant":"acme"}`},
		{Kind: gateway.EventErased, Name: "1", Detail: `{"mailbox":"x","tenant":"acme"}`},
		{Kind: gateway.EventUnsubscribed, Name: "1", Detail: `{"mailbox":"x"}`},
		{Kind: gateway.EventUnsubscribed, Name: "1", Detail: `{"mailbox":"x","tenant":"bolt"}`},
		{Kind: gateway.EventUnsubscribed, Name: "1", Detail: "not JSON"},
		s.bounce("bolt"), s.bounce(""),
	} {
		if doc, _ := told1(t, s.world, s.endpoint("standard", Kinds()...), e); doc != nil {
			t.Errorf("%s %s is told: %v", e.Kind, e.Detail, doc)
		}
	}
	for name, f := range formats {
		for _, kind := range []string{"dropped", "suppressed"} {
			if name != "standard" && slices.Contains(f.kinds, kind) {
				t.Errorf("%s has a word for %s: its receivers would take it for a bounce", name, kind)
			}
		}
	}
}

// Who was erased has no address any more: the emulations say nothing then.
func TestErased(t *testing.T) {
	s := newStory(t)
	s.boxes[s.key] = &gateway.Mailbox{Key: s.key}
	e := s.reader(gateway.EventComplained, nil)
	if doc, _ := told1(t, s.world, s.endpoint("listmonk"), e); doc != nil {
		t.Errorf("%v", doc)
	}
	if doc, _ := told1(t, s.world, s.endpoint("standard"), e); doc == nil || at(doc, "data.address") != nil {
		t.Errorf("%v", doc)
	}
}

// Fields are repeated as they were asked for; without the mail, nothing is.
func TestRepeatedFields(t *testing.T) {
	s := newStory(t)
	e := s.endpoint("standard")
	e.Headers = []string{"x-listmonk-campaign", "X-EMAIL-ID", "X-None"}
	doc, _ := told1(t, s.world, e, s.refused)
	if got := at(doc, "data.headers"); !reflect.DeepEqual(got, map[string]any{"x-listmonk-campaign": campaignUUID, "X-EMAIL-ID": "42"}) {
		t.Errorf("%v", got)
	}
	moved := s.refused
	d := *moved.Delivery
	d.Ref, moved.Delivery = gateway.Ref{}, &d
	if doc, _ = told1(t, s.world, e, moved); at(doc, "data.headers.X-EMAIL-ID") != "42" {
		t.Errorf("after a compaction: %v", doc)
	}
	s.mails = nil
	if doc, _ = told1(t, s.world, e, s.refused); doc == nil || at(doc, "data.headers") != nil {
		t.Errorf("forgotten: %v", doc)
	}
	if doc, _ = told1(t, s.world, s.endpoint("listmonk"), s.refused); doc["email"] != "Ann@Example.com" || doc["campaign_uuid"] != nil {
		t.Errorf("forgotten: %v", doc)
	}
}

// No body of Standard Webhooks reaches 20 kB, whatever is in the event.
func TestStandardIsShort(t *testing.T) {
	s := newStory(t)
	long := s.refused
	d := *long.Delivery
	d.Reply, d.Campaign, d.List = strings.Repeat("é", 5000), strings.Repeat("c", 9000), strings.Repeat("l", 9000)
	long.Delivery, long.Detail = &d, `{"facts":"`+strings.Repeat("x", 30_000)+`"}`
	body, _ := encodeStandard([]*notice{{Event: &long, word: "bounced", mail: &mail{fields: map[string]string{"X-A": strings.Repeat("<", 1000)}}}})
	if len(body) >= maxStandard || !json.Valid(body) || !strings.Contains(string(body), `"truncated":true`) {
		t.Errorf("%d bytes: %s", len(body), body[:200])
	}
}

// A signature verifies as SendGrid's own libraries do it: with the public key that
// keygen shows.
func TestSendgridSignature(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sign, err := sendgridSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	h, body := http.Header{}, []byte(`[{"event":"bounce"}]`)
	if err := sign(h, "", time.Unix(1763812800, 0), body); err != nil {
		t.Fatal(err)
	}
	der, _ := base64.StdEncoding.DecodeString(public)
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	signature, _ := base64.StdEncoding.DecodeString(h.Get("X-Twilio-Email-Event-Webhook-Signature"))
	sum := sha256.Sum256(append([]byte(h.Get("X-Twilio-Email-Event-Webhook-Timestamp")), body...))
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], signature) || h.Get("X-Twilio-Email-Event-Webhook-Timestamp") != "1763812800" {
		t.Errorf("%v does not verify", h)
	}
}

// What the configuration may not say, with what it says instead.
func TestEndpointCheck(t *testing.T) {
	good := standard("a", "acme")
	for _, tt := range []struct {
		story  string
		change func(*Endpoint)
		want   string // the beginning of the error; "": none
	}{
		{"as it should be", func(*Endpoint) {}, ""},
		{"two secrets", func(e *Endpoint) { e.Secret += " " + testSecret }, ""},
		{"five", func(e *Endpoint) { e.Secret = strings.Repeat(testSecret+" ", 5) }, "secret is missing, or there are more than four"},
		{"no secret", func(e *Endpoint) { e.Secret = "" }, "secret is missing"},
		{"half a secret", func(e *Endpoint) { e.Secret = "whsec_AAAA" }, "secret has 3 bytes"},
		{"no such format", func(e *Endpoint) { e.Format = "sendmail" }, "format is unknown: write one of listmonk, postmark, sendgrid, ses, standard"},
		{"a name with a slash", func(e *Endpoint) { e.Name = "a/b" }, "name is part of"},
		{"no such kind", func(e *Endpoint) { e.Kinds = []string{"bounce"} }, `kinds have "bounce", which is none`},
		{"a drop for listmonk", func(e *Endpoint) { e.Format, e.Secret, e.Kinds = "listmonk", "u:p", []string{"dropped"} }, `kinds have "dropped", for which listmonk has no word: leave it out, or add a [[webhook]] of format standard`},
		{"listmonk without a user", func(e *Endpoint) { e.Format, e.Secret = "listmonk", "token" }, "secret is no user and password"},
		{"a line break in it", func(e *Endpoint) { e.Format, e.Secret = "listmonk", "u:p\r\nX: y" }, "secret is no user and password"},
		{"SES without a user", func(e *Endpoint) { e.Format, e.Secret = "ses", "" }, ""},
		{"Postmark with one", func(e *Endpoint) { e.Format, e.Secret = "postmark", "u:p" }, ""},
		{"SendGrid without a key", func(e *Endpoint) { e.Format, e.Secret = "sendgrid", "x" }, "secret is no private key of the curve P-256"},
		{"a field with a colon", func(e *Endpoint) { e.Headers = []string{"X-A:"} }, `headers have "X-A:"`},
		{"many fields", func(e *Endpoint) { e.Headers = slices.Repeat([]string{"X-A"}, 21) }, "headers are too many"},
		{"a private address", func(e *Endpoint) { e.URL = "https://10.0.0.1/" }, "url is refused: 10.0.0.1 is a private address: use a public one, or set allow_private"},
		{"that is meant", func(e *Endpoint) { e.URL, e.AllowPrivate = "http://10.0.0.1/", true }, ""},
		{"where clouds keep keys", func(e *Endpoint) { e.URL, e.AllowPrivate = "http://169.254.169.254/", true }, "url is refused"},
	} {
		e := good
		tt.change(&e)
		err := e.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.story, err, tt.want)
		}
		if err != nil && len(e.Secret) > 8 && strings.Contains(err.Error(), e.Secret) {
			t.Errorf("%s: the error has the secret", tt.story)
		}
	}
	for _, h := range hostile {
		e := good
		e.URL = h.url
		if err := e.Check(); (err == nil) != (h.problem == "") {
			t.Errorf("%s: %v", h.url, err)
		}
	}
	if a, b := EndpointName("standard", "acme", "https://a/"), EndpointName("standard", "bolt", "https://a/"); a == b || !isEndpointName(a) {
		t.Error(a, b)
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add("550 5.1.1 no such user", "refused")
	f.Add("5", "expired")
	f.Fuzz(func(t *testing.T, reply, reason string) {
		v := refusal(reply, reason)
		if v.Hard && (reason != "refused" || !strings.HasPrefix(v.Status, "5.1.")) || len(v.Text) > maxText || len(v.Code) != 0 && len(v.Code) != 3 {
			t.Errorf("%q: %+v", reply, v)
		}
	})
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(listmonkHeader))
	f.Add([]byte("A: b\nX-A: \xff\xfe\r\n folded\r\n"))
	f.Fuzz(func(t *testing.T, header []byte) {
		for name, value := range fields(header, []string{"X-A", "X-EMAIL-ID"}) {
			if value == "" || len(value) > maxField || strings.ContainsAny(value, "\r\n") {
				t.Errorf("%s is %q", name, value)
			}
		}
	})
}
