package webhook

import (
	"encoding/json"
	"net/url"

	"tidepost/gateway"
)

// debt is a call that is owed, and how far we are with it: the value of its setting.
type debt struct {
	gateway.Forwarding
	waits
}

func (d *debt) encode() []byte {
	text, _ := json.Marshal(d) // a struct of plain fields
	return text
}

// host is who is called: its calls go one after another.
func (d *debt) host() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	return u.Host
}
