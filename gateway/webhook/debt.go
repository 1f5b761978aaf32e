package webhook

import (
	"encoding/json"
	"net/url"
	"time"

	"tidepost/gateway"
)

const (
	firstWait = time.Minute    // after the first call; each wait is as long as all before it together
	longWait  = 8 * time.Hour  // up to this
	giveUp    = 72 * time.Hour // of waits, and it is over
	jitterMax = 0.1            // of a wait, added: never earlier than a receiver asked for
)

// debt is a call that is owed, and how far we are with it: the value of its setting.
type debt struct {
	gateway.Forwarding

	Tries  int       `json:"tries,omitempty"`
	Waited int64     `json:"waited,omitempty"` // seconds between calls so far, jitter and our own absence left out
	Next   time.Time `json:"next,omitzero"`
	Last   string    `json:"last,omitempty"` // answer
}

// tried notes what a call brought and reports whether that was the last one.
func (d *debt) tried(now time.Time, r *Result, random float64) (over bool) {
	d.Tries++
	if r.Verdict != Again {
		return true
	}
	return d.postpone(now, r, random)
}

// postpone puts the next call off, and reports whether there is none any more. It
// counts what was waited and not what time it is: a gateway that was off for a
// week still has its three days.
func (d *debt) postpone(now time.Time, r *Result, random float64) (over bool) {
	if r.Err != nil {
		d.Last = r.Err.Error()
	}
	waited := time.Duration(d.Waited) * time.Second
	if waited >= giveUp {
		return true
	}
	wait := max(min(max(waited, firstWait), longWait), r.After)
	d.Waited += int64(wait / time.Second)
	d.Next = now.Add(wait + time.Duration(random*jitterMax*float64(wait)))
	return false
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
