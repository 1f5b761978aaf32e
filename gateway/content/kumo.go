package content

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxSchedule is how long an X-Schedule may be, in bytes.
const maxSchedule = 1024

// kumoSchedule is KumoMTA's X-Schedule. The first and the last field stand
// alone; the others are given together or not at all.
type kumoSchedule struct {
	First   string `json:"first_attempt"`
	Days    string `json:"dow"`
	Zone    string `json:"tz"`
	Start   string `json:"start"`
	End     string `json:"end"`
	Expires string `json:"expires"`
}

// kumoPlan is what of it maps: when the first opening begins, how long after
// acceptance it ends, and when to stop trying. KumoMTA also keeps retries inside
// the hours; here a retry keeps to the mailbox's quiet hours only.
type kumoPlan struct {
	open    time.Time
	window  time.Duration
	expires time.Time
}

func readKumo(v *values) kumoPlan {
	value := v.get(hSchedule, maxSchedule)
	if value == nil {
		return kumoPlan{}
	}
	var s kumoSchedule
	if err := json.Unmarshal(value, &s); err != nil {
		v.reject(hSchedule, value, "JSON as KumoMTA documents it")
		return kumoPlan{}
	}
	plan, err := s.plan(v.now())
	if err != nil {
		v.note("%s: %s; ignored", hSchedule, err)
		return kumoPlan{}
	}
	return plan
}

func (s *kumoSchedule) plan(now time.Time) (p kumoPlan, err error) {
	if p.open, err = optionalDate("first_attempt", s.First, now); err != nil {
		return kumoPlan{}, err
	}
	if p.expires, err = optionalDate("expires", s.Expires, now); err != nil {
		return kumoPlan{}, err
	}
	if s.Days == "" && s.Zone == "" && s.Start == "" && s.End == "" {
		return p, nil
	}
	hours, err := s.hours()
	if err != nil {
		return kumoPlan{}, err
	}
	from := now
	if p.open.After(now) {
		from = p.open
	}
	opens, closes := hours.next(from)
	p.window = min(closes.Sub(now), MaxWindow)
	if opens.After(now) {
		p.open = opens
	}
	return p, nil
}

func optionalDate(key, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := parseRFC3339(s)
	if err != nil || at.Sub(now) > maxAhead {
		return time.Time{}, fmt.Errorf("%s %s is not %s within a year", key, quote([]byte(s)), wantRFC3339)
	}
	return at, nil
}

// openHours are the hours of some days of the week.
type openHours struct {
	zone       *time.Location
	days       [7]bool
	start, end time.Duration // since midnight; an end before the start is of the next day
}

func (s *kumoSchedule) hours() (*openHours, error) {
	h := &openHours{}
	var err error
	// LoadLocation keeps names inside the zone database; "Local" is ours, not theirs.
	if h.zone, err = time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
		return nil, fmt.Errorf("tz %s is not a time zone like Europe/Berlin", quote([]byte(s.Zone)))
	}
	if h.start, err = clock(s.Start); err != nil {
		return nil, fmt.Errorf("start %w", err)
	}
	if h.end, err = clock(s.End); err != nil {
		return nil, fmt.Errorf("end %w", err)
	}
	for day := range strings.SplitSeq(s.Days, ",") {
		i, err := weekday(strings.TrimSpace(day))
		if err != nil {
			return nil, err
		}
		h.days[i] = true
	}
	return h, nil
}

func clock(s string) (time.Duration, error) {
	for _, layout := range [...]string{time.TimeOnly, "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, nil
		}
	}
	return 0, fmt.Errorf("%s is not a time like 17:00:00", quote([]byte(s)))
}

func weekday(s string) (time.Weekday, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("dow %s is not a list of days like Mon,Tue", quote([]byte(s)))
}

// next returns the first opening that ends after t: when it begins, or t where
// it has begun, and when it ends. The search starts a day early because hours
// may reach past midnight.
func (h *openHours) next(t time.Time) (opens, closes time.Time) {
	local := t.In(h.zone)
	for day := -1; day <= 7; day++ {
		at := time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, 0, 0, h.zone)
		if !h.days[at.Weekday()] {
			continue
		}
		opens, closes = h.on(at, h.start), h.on(at, h.end)
		if h.end <= h.start {
			closes = h.on(at.AddDate(0, 0, 1), h.end)
		}
		if closes.After(t) {
			break
		}
	}
	if opens.Before(t) {
		opens = t
	}
	return opens, closes
}

// on is an hour of a day, which on two days of a year is not midnight plus it.
func (h *openHours) on(day time.Time, since time.Duration) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, int(since/time.Second), 0, h.zone)
}
