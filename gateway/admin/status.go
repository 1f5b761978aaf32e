package admin

import (
	"time"

	"tidepost/gateway"
)

// statusDoc is the answer of GET /api/v1/status: one screen for 3 a.m.
type statusDoc struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Mode       string    `json:"mode"`
	Warning    string    `json:"warning,omitempty"`
	PolicyMode string    `json:"policy_mode"`
	DataDir    string    `json:"data_dir"`
	Accepting  bool      `json:"accepting"`
	Why        string    `json:"why"` // why it is not accepting

	Held     int64 `json:"held"`
	Sending  int64 `json:"sending"`
	Captured int64 `json:"captured"`
	InDoubt  int64 `json:"in_doubt"` // since the start

	Overdue     float64          `json:"oldest_overdue_seconds"`
	Closed      []destinationDoc `json:"closed"`
	Bus         Bus              `json:"bus"`
	Disk        diskDoc          `json:"disk"`
	Signals     Signals          `json:"signals"`
	Paused      []pauseDoc       `json:"paused"`
	Replanning  int64            `json:"replanning"` // mailboxes planned anew so far; -1: none under way
	Differences []Difference     `json:"differences"`
	Warnings    []string         `json:"warnings,omitempty"` // of the configuration
	Problems    []attention      `json:"problems"`
	Hints       []hint           `json:"hints"`
}

// maxClosed is how many closed destinations fit on the screen.
const maxClosed = 100

// getStatus answers GET /api/v1/status.
func (s *Server) getStatus(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return s.status(), nil
}

func (s *Server) status() statusDoc {
	info := s.info()
	doc := statusDoc{
		Version: info.Version, Started: utc(info.Started), Mode: info.Mode, Warning: warning(info.Mode),
		PolicyMode: info.PolicyMode, DataDir: info.DataDir, Accepting: true,
		InDoubt: s.Gateway.Metrics.InDoubt.Load(), Overdue: s.Gateway.Overdue().Seconds(),
		Closed: []destinationDoc{}, Bus: s.bus(), Disk: s.diskUse(), Paused: s.pauses(),
		Replanning: s.Gateway.Replanning(), Differences: info.Differences, Warnings: info.Warnings,
	}
	if why := s.notReady(); why != nil {
		doc.Accepting, doc.Why = false, mark(shorten(why.Error(), 500))
	}
	doc.Differences = append(doc.Differences, s.modeDifferences()...)
	doc.Differences = append(doc.Differences, s.endedDifferences()...)
	if doc.Differences == nil {
		doc.Differences = []Difference{}
	}
	doc.Signals.Hour, doc.Signals.Last = s.Gateway.Heard()
	doc.Signals.Excluded = s.Gateway.Metrics.Excluded.Load()
	if s.Sources.Stream != nil {
		stream := s.Sources.Stream()
		doc.Signals.Stream = &stream
	}
	if s.holding() {
		doc.Paused = append([]pauseDoc{{By: "restore", At: utc(info.Started)}}, doc.Paused...)
	}
	sum := s.sum()
	doc.Held, doc.Sending, doc.Captured = sum.Waiting, sum.Sending, sum.Captured
	closed := s.closed()
	for i := range closed[:min(len(closed), maxClosed)] {
		doc.Closed = append(doc.Closed, s.newDestinationDoc(&closed[i]))
	}
	doc.Problems, doc.Hints = s.problems(&doc), s.hints()
	return doc
}

// bus returns how the relay stands; without one nothing lags.
func (s *Server) bus() Bus {
	if s.Sources.Bus == nil {
		return Bus{Server: "none", Connected: true}
	}
	return s.Sources.Bus()
}

// sum returns the sums over all tenants.
func (s *Server) sum() gateway.Totals {
	all := gateway.Totals{Dropped: map[string]int64{}}
	b, ok := s.Store.(gateway.Browser)
	if !ok {
		return all
	}
	_, tenants := b.Totals()
	for _, t := range tenants {
		all.Accepted += t.Accepted
		all.Waiting += t.Waiting
		all.Sending += t.Sending
		all.Delivered += t.Delivered
		all.Bounced += t.Bounced
		all.Captured += t.Captured
		for reason, n := range t.Dropped {
			all.Dropped[reason] += n
		}
	}
	return all
}
