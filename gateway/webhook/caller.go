package webhook

import (
	"context"
	"net/http"
	"time"

	"tidepost/gateway"
)

// caller tells one endpoint of events. It may be used by several goroutines.
type caller struct {
	e       Endpoint
	format  *format
	sign    signer
	client  *Client
	archive *archive
	kinds   map[gateway.EventKind]bool
	now     func() time.Time
}

func (s *Sender) newCaller(e *Endpoint) (*caller, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	c := &caller{e: *e, format: formats[e.Format], archive: newArchive(s.Store, e.echoes()), kinds: e.wants(), now: s.now}
	var err error
	if c.sign, err = c.format.signer(e.Secret); err != nil {
		return nil, err
	}
	if c.client = (&Client{AllowPrivate: e.AllowPrivate, AllowHTTP: e.AllowPrivate, Now: s.Now}); s.client != nil {
		c.client = s.client(e)
	}
	return c, nil
}

// wanted returns what the endpoint may be told of an event, false where that is
// nothing: it is another tenant's, or of a kind that was not asked for.
func (c *caller) wanted(e *gateway.Event) (*notice, bool) {
	if !c.kinds[e.Kind] {
		return nil, false
	}
	n, ok := newNotice(e)
	return n, ok && n.tenant == c.e.Tenant
}

// tell makes one call. told are the notices that it was about: where the format has
// nothing to say of any, none, and no call was made. The error is of the store, not
// of the endpoint.
func (c *caller) tell(ctx context.Context, list []*notice) (told []*notice, r Result, err error) {
	for _, n := range list {
		if err := c.archive.resolve(ctx, n); err != nil {
			return nil, r, err
		}
		if !c.mute(n) {
			told = append(told, n)
		}
	}
	if len(told) == 0 {
		return nil, Result{Verdict: Done}, nil
	}
	body, h := c.format.encode(told)
	if h == nil {
		h = http.Header{"Content-Type": {"application/json"}}
	}
	if err := c.sign(h, told[0].id, c.now(), body); err != nil {
		return nil, r, err
	}
	return told, c.client.Do(ctx, Request{URL: c.e.URL, Header: h, Body: body}), nil
}

// mute reports whether the format has nothing to say of a notice: it names readers by
// their address, or has no word for what a machine did.
func (c *caller) mute(n *notice) bool {
	if !c.format.strict {
		return false
	}
	return n.address == "" || n.machine() && !(c.format.machineOpens && n.word == "opened")
}
