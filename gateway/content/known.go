package content

// known numbers the header fields that mean something to the gateway.
type known uint8

const (
	unknown known = iota
	hClass
	hCampaign
	hWindow
	hNotBefore
	hDeadline
	hValue
	hHalfLife
	hSupersede
	hVariant
	hProfile
	hEvidence
	hAim
	hRender
	hTags
	hMailgunWindow
	hMailgunDeliverBy
	hMailgunLocalize
	hMailgunCampaign
	hMailgunTag
	hSchedule
	hListmonkCampaign
	hMauticEmail
	hPostmarkTag
	hFeedbackID
	hListID
	hListUnsubscribe
	hPrecedence
	hExpires
	hMessageID
	hSubject
	hFrom
	hReceived
	knownCount
)

// knownNames are the fields as people write them; notes quote them so.
var knownNames = [knownCount]string{
	hClass:            "X-Tidepost-Class",
	hCampaign:         "X-Tidepost-Campaign",
	hWindow:           "X-Tidepost-Window",
	hNotBefore:        "X-Tidepost-Not-Before",
	hDeadline:         "X-Tidepost-Deadline",
	hValue:            "X-Tidepost-Value",
	hHalfLife:         "X-Tidepost-Half-Life",
	hSupersede:        "X-Tidepost-Supersede",
	hVariant:          "X-Tidepost-Variant",
	hProfile:          "X-Tidepost-Profile",
	hEvidence:         "X-Tidepost-Evidence",
	hAim:              "X-Tidepost-Aim",
	hRender:           "X-Tidepost-Render",
	hTags:             "X-Tidepost-Tags",
	hMailgunWindow:    "X-Mailgun-Delivery-Time-Optimize-Period",
	hMailgunDeliverBy: "X-Mailgun-Deliver-By",
	hMailgunLocalize:  "X-Mailgun-Time-Zone-Localize",
	hMailgunCampaign:  "X-Mailgun-Campaign-Id",
	hMailgunTag:       "X-Mailgun-Tag",
	hSchedule:         "X-Schedule",
	hListmonkCampaign: "X-Listmonk-Campaign",
	hMauticEmail:      "X-EMAIL-ID",
	hPostmarkTag:      "X-PM-Tag",
	hFeedbackID:       "Feedback-ID",
	hListID:           "List-Id",
	hListUnsubscribe:  "List-Unsubscribe",
	hPrecedence:       "Precedence",
	hExpires:          "Expires",
	hMessageID:        "Message-ID",
	hSubject:          "Subject",
	hFrom:             "From",
	hReceived:         "Received",
}

func (h known) String() string { return knownNames[h] }

// The longest known name decides how long a name is worth looking up.
var knownByName, longestKnown = indexNames()

func indexNames() (map[string]known, int) {
	index, longest := make(map[string]known, knownCount), 0
	for h, name := range knownNames {
		if name != "" {
			index[string(lowerASCII(nil, []byte(name)))] = known(h)
			longest = max(longest, len(name))
		}
	}
	return index, longest
}

func lowerASCII(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, toLower(c))
	}
	return dst
}

// recognise returns which known field a name is.
func recognise(name []byte) known {
	var buf [64]byte
	if len(name) > longestKnown {
		return unknown
	}
	return knownByName[string(lowerASCII(buf[:0], name))]
}

// The control fields are taken off before a message leaves: ours, and those of
// others that we obey in their makers' stead, so that a hop behind us does not
// schedule a second time.
const controlPrefix = "x-tidepost-"

func isControl(f field) bool {
	if len(f.name) == 0 || toLower(f.name[0]) != 'x' {
		return false
	}
	if f.hasPrefix(controlPrefix) {
		return true
	}
	switch recognise(f.name) {
	case hMailgunWindow, hMailgunDeliverBy, hMailgunLocalize, hSchedule:
		return true
	}
	return false
}
