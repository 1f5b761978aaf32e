package gateway

import (
	"context"

	"tidepost/scheduler"
)

// Tracking is what we put into a tenant's mail (policy.tracking).
type Tracking uint8

// What is put in.
const (
	TrackNone  Tracking = iota // nothing: mail leaves as it came
	TrackClick                 // links that lead over us, and one-click unsubscription
	TrackFull                  // an image that tells of an open, too
)

// Marks are what we put into a mail when it leaves, beside our trace fields and
// signatures. The zero value puts nothing in.
type Marks struct {
	Pixel       bool // an image that tells of an open
	Links       bool // links that lead over us
	Hidden      bool // a link that no reader sees: whoever follows it is a machine
	Unsubscribe bool // List-Unsubscribe and List-Unsubscribe-Post (RFC 8058)
	Source      uint32
	Complaints  string // address for complaints (CFBL-Address, RFC 9477); "": none
}

// personal reports whether what leaves is different for each recipient.
func (m Marks) personal() bool { return m.Pixel || m.Links || m.Unsubscribe || m.Complaints != "" }

// marks are what a delivery gets. Where nothing may be learned, nothing is put in;
// where only clicks or the day of the last open may, no more than that needs. A
// state that cannot be read costs the marks, never the mail.
func (g *Gateway) marks(ctx context.Context, d *Delivery) Marks {
	rules := g.Rules(d.Tenant)
	if rules.Tracking == TrackNone || !d.Class.Bulk() {
		return Marks{}
	}
	box, err := g.Store.Mailbox(ctx, d.Mailbox)
	if err != nil {
		return Marks{}
	}
	sees := g.sees(box, d)
	if sees == scheduler.SeesNone {
		return Marks{}
	}
	source, err := g.source(ctx, d.Tenant, d.List)
	if err != nil {
		g.log().Error("mail leaves without our links", "error", err)
		return Marks{}
	}
	m := Marks{Unsubscribe: true, Source: source, Links: sees <= scheduler.SeesClick}
	m.Pixel = rules.Tracking == TrackFull && sees != scheduler.SeesClick
	m.Hidden = m.Links && rules.Honeypot
	return m
}
