package local

import (
	"encoding/binary"
	"maps"
	"sync"
	"time"

	"tidepost/gateway"
)

// sums are numbers that follow from the records of both logs: totals of
// campaigns and tenants, and how much of each log segment is still needed. A
// record adds to them once, so the checkpoint stores them exactly as they were
// at its positions (capture), never newer.
type sums struct {
	mu        sync.Mutex // guards all below
	campaigns map[gateway.CampaignKey]*gateway.Totals
	tenants   map[string]*gateway.Totals
	segments  map[uint32]*segmentUse

	changedCampaigns map[gateway.CampaignKey]bool
	changedTenants   map[string]bool
	changedSegments  map[uint32]bool // true: there is none any more
}

// segmentUse tells whether a log segment may go.
type segmentUse struct {
	Messages int64     // records in it
	Live     int64     // unsettled deliveries whose content is in it
	Accepted int64     // deliveries that were ever in it
	Last     time.Time // when something in it was accepted or settled last
}

func newSums() *sums {
	return &sums{
		campaigns:        make(map[gateway.CampaignKey]*gateway.Totals),
		tenants:          make(map[string]*gateway.Totals),
		segments:         make(map[uint32]*segmentUse),
		changedCampaigns: make(map[gateway.CampaignKey]bool),
		changedTenants:   make(map[string]bool),
		changedSegments:  make(map[uint32]bool),
	}
}

// accepted counts a message's new deliveries in.
func (s *sums) accepted(ds []*gateway.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := ds[0]
	n := int64(len(ds))
	s.addLocked(d, func(t *gateway.Totals) {
		t.Accepted += n
		t.Waiting += n
		if t.First.IsZero() || d.Accepted.Before(t.First) {
			t.First = d.Accepted
		}
		if d.Accepted.After(t.Last) {
			t.Last = d.Accepted
		}
	})
	use := s.useLocked(d.Ref.Segment)
	use.Messages++
	use.Accepted += n
	use.Live += n
	use.touch(d.Accepted)
}

// changed moves a delivery from one sum to another. before is its earlier
// state, or unknownState.
func (s *sums) changed(d *gateway.Delivery, before byte, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before == unknownState && d.Settled() {
		return // it was counted when it settled first
	}
	s.addLocked(d, func(t *gateway.Totals) {
		if before == unknownState {
			t.Accepted++
		} else {
			*slot(t, gateway.State(before)) -= 1
		}
		if d.State != gateway.Dropped {
			*slot(t, d.State) += 1
			return
		}
		if t.Dropped == nil {
			t.Dropped = make(map[string]int64)
		}
		t.Dropped[d.Reason]++
	})
	switch use := s.useLocked(d.Ref.Segment); {
	case before == unknownState:
		use.Live++
	case d.Settled():
		use.Live--
		use.touch(at)
	}
}

// slot returns where a state other than Dropped is counted. A delivery does not
// come back from Dropped, but if it did the count would go nowhere.
func slot(t *gateway.Totals, s gateway.State) *int64 {
	switch s {
	case gateway.Waiting:
		return &t.Waiting
	case gateway.Sending:
		return &t.Sending
	case gateway.Delivered:
		return &t.Delivered
	case gateway.Bounced:
		return &t.Bounced
	case gateway.Captured:
		return &t.Captured
	}
	return new(int64)
}

func (s *sums) addLocked(d *gateway.Delivery, add func(*gateway.Totals)) {
	t := s.tenants[d.Tenant]
	if t == nil {
		t = new(gateway.Totals)
		s.tenants[d.Tenant] = t
	}
	add(t)
	s.changedTenants[d.Tenant] = true
	if d.Campaign == "" {
		return
	}
	k := gateway.CampaignKey{Tenant: d.Tenant, Campaign: d.Campaign}
	c := s.campaigns[k]
	if c == nil {
		c = new(gateway.Totals)
		s.campaigns[k] = c
	}
	add(c)
	s.changedCampaigns[k] = true
}

func (s *sums) useLocked(segment uint32) *segmentUse {
	u := s.segments[segment]
	if u == nil {
		u = new(segmentUse)
		s.segments[segment] = u
	}
	s.changedSegments[segment] = false
	return u
}

func (u *segmentUse) touch(t time.Time) {
	if t.After(u.Last) {
		u.Last = t
	}
}

// moved counts a delivery's content as lying in another segment.
func (s *sums) moved(from, to uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useLocked(from).Live--
	use := s.useLocked(to)
	use.Live++
	use.Accepted++
}

// uncount forgets what is unsettled, to be counted again.
func (s *sums) uncount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		uncount(t)
	}
	for _, t := range s.campaigns {
		uncount(t)
	}
	for _, u := range s.segments {
		u.Live = 0
	}
}

func uncount(t *gateway.Totals) {
	t.Waiting, t.Sending, t.Captured = 0, 0, 0
	t.Accepted = t.Delivered + t.Bounced
	for _, n := range t.Dropped {
		t.Accepted += n
	}
}

// count counts an unsettled delivery in.
func (s *sums) count(d *gateway.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(d, func(t *gateway.Totals) {
		t.Accepted++
		*slot(t, d.State) += 1
	})
	s.useLocked(d.Ref.Segment).Live++
}

// use returns what is known of a segment.
func (s *sums) use(segment uint32) segmentUse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.segments[segment]; u != nil {
		return *u
	}
	return segmentUse{}
}

// forget drops a segment that was removed.
func (s *sums) forget(segment uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.segments, segment)
	s.changedSegments[segment] = true
}

// captured returns how many deliveries are captured.
func (s *sums) captured() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		n += t.Captured
	}
	return n
}

// totals returns copies of all sums.
func (s *sums) totals() (map[gateway.CampaignKey]gateway.Totals, map[string]gateway.Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	campaigns := make(map[gateway.CampaignKey]gateway.Totals, len(s.campaigns))
	for k, t := range s.campaigns {
		campaigns[k] = copyTotals(t)
	}
	tenants := make(map[string]gateway.Totals, len(s.tenants))
	for k, t := range s.tenants {
		tenants[k] = copyTotals(t)
	}
	return campaigns, tenants
}

func copyTotals(t *gateway.Totals) gateway.Totals {
	c := *t
	c.Dropped = maps.Clone(t.Dropped)
	return c
}

// sumsCopy is what changed since the last checkpoint, encoded.
type sumsCopy struct {
	totals   map[string][]byte // bucket key → value
	segments map[uint32][]byte // nil: gone

	campaigns map[gateway.CampaignKey]bool
	tenants   map[string]bool
	gone      map[uint32]bool
}

// capture takes what changed since the last capture.
func (s *sums) capture() *sumsCopy {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &sumsCopy{totals: make(map[string][]byte), segments: make(map[uint32][]byte)}
	for k := range s.changedCampaigns {
		c.totals[string(campaignKey(k))] = appendTotals(nil, s.campaigns[k])
	}
	for k := range s.changedTenants {
		c.totals[string(tenantKey(k))] = appendTotals(nil, s.tenants[k])
	}
	for n, gone := range s.changedSegments {
		c.segments[n] = nil
		if !gone {
			c.segments[n] = appendUse(nil, s.segments[n])
		}
	}
	c.campaigns, s.changedCampaigns = s.changedCampaigns, make(map[gateway.CampaignKey]bool)
	c.tenants, s.changedTenants = s.changedTenants, make(map[string]bool)
	c.gone, s.changedSegments = s.changedSegments, make(map[uint32]bool)
	return c
}

// restore puts back a capture that could not be stored.
func (s *sums) restore(c *sumsCopy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.changedCampaigns, c.campaigns)
	maps.Copy(s.changedTenants, c.tenants)
	for n := range c.gone {
		s.changedSegments[n] = s.segments[n] == nil
	}
}

func tenantKey(name string) []byte { return appendString([]byte{'t'}, name) }

func campaignKey(k gateway.CampaignKey) []byte {
	return appendString(appendString([]byte{'c'}, k.Tenant), k.Campaign)
}

const sumsVersion = 1

func appendTotals(b []byte, t *gateway.Totals) []byte {
	b = append(b, sumsVersion)
	for _, n := range [...]int64{t.Accepted, t.Waiting, t.Sending, t.Delivered, t.Bounced, t.Captured} {
		b = binary.AppendVarint(b, n)
	}
	b = appendTime(appendTime(b, t.First), t.Last)
	b = binary.AppendUvarint(b, uint64(len(t.Dropped)))
	for reason, n := range t.Dropped {
		b = binary.AppendVarint(appendString(b, reason), n)
	}
	return b
}

func decodeTotals(b []byte) (*gateway.Totals, error) {
	d := decoder{b: b}
	t := new(gateway.Totals)
	d.version(sumsVersion)
	for _, n := range [...]*int64{&t.Accepted, &t.Waiting, &t.Sending, &t.Delivered, &t.Bounced, &t.Captured} {
		*n = d.varint()
	}
	t.First, t.Last = d.time(), d.time()
	for range d.count() {
		if t.Dropped == nil {
			t.Dropped = make(map[string]int64)
		}
		reason := d.string()
		t.Dropped[reason] = d.varint()
	}
	return t, d.finish()
}

func appendUse(b []byte, u *segmentUse) []byte {
	b = append(b, sumsVersion)
	b = binary.AppendVarint(b, u.Messages)
	b = binary.AppendVarint(b, u.Live)
	b = binary.AppendVarint(b, u.Accepted)
	return appendTime(b, u.Last)
}

func decodeUse(b []byte) (*segmentUse, error) {
	d := decoder{b: b}
	d.version(sumsVersion)
	u := &segmentUse{Messages: d.varint(), Live: d.varint(), Accepted: d.varint(), Last: d.time()}
	return u, d.finish()
}

// loadSum takes one stored total back in.
func (s *sums) loadSum(key, value []byte) error {
	t, err := decodeTotals(value)
	if err != nil || len(key) == 0 {
		return err
	}
	d := decoder{b: key[1:]}
	if key[0] == 't' {
		s.tenants[d.string()] = t
	} else {
		s.campaigns[gateway.CampaignKey{Tenant: d.string(), Campaign: d.string()}] = t
	}
	return d.finish()
}
