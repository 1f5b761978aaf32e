package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"

	"tidepost/gateway"
)

// Postmark's numbers for the kinds of bounce that we tell.
const (
	postmarkHard      = 1
	postmarkSoft      = 4096
	postmarkComplaint = 100_001
)

// encodePostmark writes one of Postmark's records.
func encodePostmark(list []*notice) ([]byte, http.Header) {
	n := list[0]
	at := gateway.Stamp(n.At)
	doc := map[string]any{"MessageID": n.postmarkID(), "ServerID": 0, "MessageStream": "outbound", "Metadata": n.postmarkMetadata()}
	if d := n.Delivery; d != nil && d.Campaign != "" {
		doc["Tag"] = cut(d.Campaign, maxText)
	}
	switch n.word {
	case "bounced", "complained":
		n.postmarkBounce(doc)
		doc["BouncedAt"] = at
	case "delivered":
		doc["RecordType"], doc["Recipient"], doc["DeliveredAt"], doc["Details"] = "Delivery", n.address, at, n.text()
	case "opened":
		doc["RecordType"], doc["Recipient"], doc["ReceivedAt"], doc["FirstOpen"] = "Open", n.address, at, true
	case "clicked":
		doc["RecordType"], doc["Recipient"], doc["ReceivedAt"], doc["OriginalLink"] = "Click", n.address, at, n.detail.Link
	case "unsubscribed":
		doc["RecordType"], doc["Recipient"], doc["ChangedAt"] = "SubscriptionChange", n.address, at
		doc["Origin"], doc["SuppressSending"], doc["SuppressionReason"] = "Recipient", true, "ManualSuppression"
	}
	return marshal(doc), nil
}

func (n *notice) postmarkBounce(doc map[string]any) {
	record, kind, code, name := "Bounce", "SoftBounce", postmarkSoft, "Soft bounce"
	switch {
	case n.word == "complained":
		record, kind, code, name = "SpamComplaint", "SpamComplaint", postmarkComplaint, "Spam complaint"
	case n.bounce.Hard:
		kind, code, name = "HardBounce", postmarkHard, "Hard bounce"
	}
	sum := sha256.Sum256([]byte(n.id))
	doc["RecordType"], doc["Type"], doc["TypeCode"], doc["Name"] = record, kind, code, name
	doc["ID"] = binary.BigEndian.Uint64(sum[:8]) >> 11 // 53 bits: a number in every language
	doc["Email"], doc["Description"], doc["Details"] = n.address, name, n.text()
	doc["DumpAvailable"], doc["Inactive"], doc["CanActivate"] = false, n.word == "complained" || n.bounce.Hard, n.word == "bounced"
	if n.mail != nil {
		doc["From"], doc["Subject"] = n.mail.from, n.mail.subject
	}
}

// postmarkID is a UUID, as Postmark's own are.
func (n *notice) postmarkID() string {
	if n.delivery.Message.IsZero() {
		return hashUUID(n.id)
	}
	return formUUID(n.delivery.Message)
}

// postmarkMetadata is where Postmark repeats what the sender gave it.
func (n *notice) postmarkMetadata() map[string]string {
	if m := n.headers(); m != nil {
		return m
	}
	return map[string]string{}
}
