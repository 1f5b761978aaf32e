package webhook

import (
	"net/http"
	"regexp"

	"tidepost/gateway"
)

// uuid is what listmonk takes for one; it refuses a call with another.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// listmonkDoc is what listmonk's POST /webhooks/bounce takes.
type listmonkDoc struct {
	Email      string `json:"email"`
	Subscriber string `json:"subscriber_uuid,omitempty"`
	Campaign   string `json:"campaign_uuid,omitempty"`
	Source     string `json:"source"`
	Type       string `json:"type"` // hard, soft or complaint
	Meta       string `json:"meta"` // JSON
	CreatedAt  string `json:"created_at"`
}

// listmonkMeta is what an admin of listmonk sees beside a bounce.
type listmonkMeta struct {
	Event  string `json:"event"`
	Status string `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	Group  string `json:"group,omitempty"`
	Reply  string `json:"reply,omitempty"`
}

func encodeListmonk(list []*notice) ([]byte, http.Header) {
	n := list[0]
	v := n.bounce
	doc := listmonkDoc{
		Email: n.address, Subscriber: onlyUUID(n.header("X-Listmonk-Subscriber")), Campaign: onlyUUID(n.header("X-Listmonk-Campaign")),
		Source: "tidepost", Type: "soft", CreatedAt: gateway.Stamp(n.At),
		Meta: string(marshal(&listmonkMeta{Event: n.id, Status: v.Status, Code: v.Code, Group: v.Group, Reply: v.Text})),
	}
	switch {
	case n.word == "complained":
		doc.Type = "complaint"
	case v.Hard:
		doc.Type = "hard"
	}
	return marshal(&doc), nil
}

func onlyUUID(s string) string {
	if uuid.MatchString(s) {
		return s
	}
	return ""
}
