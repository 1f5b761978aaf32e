package gateway

import (
	"encoding/binary"
	"slices"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression/rules"
)

// activity is what rules count of a mailbox: bulk mail, opens and clicks by the day,
// and since when opens and clicks could be seen at all. Days are dates in UTC.
type activity struct {
	days       []dayCount // oldest first, of the last activityDays
	open       visible
	click      visible
	lastSend   uint32 // unix seconds; 0: never
	complaints uint8
	softs      uint8  // soft bounces in a row, each within a month of the one before
	lastSoft   uint32 // unix seconds
}

type dayCount struct {
	day                  uint16 // since 1970
	sends, opens, clicks uint8
}

// visible is since when something could be seen without a break, and when it last
// was; unix seconds, 0: it cannot, it was not.
type visible struct{ since, last uint32 }

const activityDays = 90

func unixSeconds(at time.Time) uint32 { return uint32(min(max(at.Unix(), 0), 1<<32-1)) }

// on returns the counts of a day, making room for them.
func (a *activity) on(at time.Time) *dayCount {
	day := uint16(max(at.Unix(), 0) / 86400)
	i, known := slices.BinarySearchFunc(a.days, day, func(c dayCount, day uint16) int { return int(c.day) - int(day) })
	if !known {
		a.days = slices.Insert(a.days, i, dayCount{day: day})
		if newest := a.days[len(a.days)-1].day; newest-a.days[0].day >= activityDays {
			old, _ := slices.BinarySearchFunc(a.days, newest-activityDays+1, func(c dayCount, day uint16) int { return int(c.day) - int(day) })
			a.days = slices.Delete(a.days, 0, old)
			i -= old
		}
	}
	if i < 0 {
		return &dayCount{} // too old to count
	}
	return &a.days[i]
}

func bump(n *uint8) { *n = uint8(min(int(*n)+1, 255)) }

// sent counts a bulk mail. What of it can be seen decides whether silence means
// anything from now on.
func (a *activity) sent(at time.Time, opens, clicks bool) {
	a.disbelieve(at)
	bump(&a.on(at).sends)
	a.lastSend = max(a.lastSend, unixSeconds(at))
	a.open.watch(at, opens)
	a.click.watch(at, clicks)
}

// disbelieve takes out what a clock that was ahead has written: beside its days those
// of now would be too old to count.
func (a *activity) disbelieve(now time.Time) {
	latest := unixSeconds(now.Add(24 * time.Hour))
	a.days = slices.DeleteFunc(a.days, func(c dayCount) bool { return uint32(c.day) > latest/86400 })
	for _, n := range []*uint32{&a.lastSend, &a.open.last, &a.click.last, &a.open.since, &a.click.since, &a.lastSoft} {
		if *n > latest {
			*n = 0
		}
	}
}

func (v *visible) watch(at time.Time, seen bool) {
	switch {
	case !seen:
		v.since = 0
	case v.since == 0:
		v.since = unixSeconds(at)
	}
}

// saw notes that something was seen: so it can be.
func (v *visible) saw(at time.Time) {
	v.last = max(v.last, unixSeconds(at))
	if v.since == 0 {
		v.since = unixSeconds(at)
	}
}

func (a *activity) opened(at time.Time) {
	bump(&a.on(at).opens)
	a.open.saw(at)
}

func (a *activity) clicked(at time.Time) {
	bump(&a.on(at).clicks)
	a.click.saw(at)
}

// unclicked takes a click back.
func (a *activity) unclicked(at time.Time) bool {
	i, known := slices.BinarySearchFunc(a.days, uint16(max(at.Unix(), 0)/86400), func(c dayCount, day uint16) int { return int(c.day) - int(day) })
	if !known || a.days[i].clicks == 0 {
		return false
	}
	a.days[i].clicks--
	return true
}

// narrow forgets what may not be known any more (decision model 2.3): opens where
// only clicks may, all but the day of the last open where only that may.
func (a *activity) narrow(sees scheduler.Sees) {
	if sees == scheduler.SeesFull {
		return
	}
	open := a.open
	a.open = visible{}
	if sees != scheduler.SeesClick {
		a.click = visible{}
	}
	for i := range a.days {
		a.days[i].opens = 0
		if sees != scheduler.SeesClick {
			a.days[i].clicks = 0
		}
	}
	if sees == scheduler.SeesDay && open.since > 0 {
		a.open.since = (open.since + 86399) / 86400 * 86400 // from the next day on it was surely so
	}
	if sees == scheduler.SeesDay && open.last > 0 {
		a.open.last = open.last / 86400 * 86400
		bump(&a.on(instant(open.last)).opens)
	}
	a.days = slices.DeleteFunc(a.days, func(c dayCount) bool { return c.sends == 0 && c.opens == 0 && c.clicks == 0 })
}

// signal counts what a person did: of an open of which no more than the day may be
// kept, that day. What a machine did is no silence either, but nothing to count.
func (a *activity) signal(s *Signal, sees scheduler.Sees) {
	switch {
	case s.Kind == SignalComplained:
		bump(&a.complaints)
	case s.Human < 0.5:
	case sees == scheduler.SeesDay:
		if s.Kind == SignalOpened {
			a.open.last = max(a.open.last, unixSeconds(s.At)/86400*86400)
		}
	case s.Kind == SignalOpened:
		a.opened(s.At)
	case s.Kind == SignalClicked:
		a.clicked(s.At)
	}
}

// facts writes what rules may ask into the facts: of what was learned no more than
// may be of the mail that they judge.
func (a *activity) facts(m *rules.Mailbox, now time.Time, sees scheduler.Sees) {
	today := int(max(now.Unix(), 0) / 86400)
	for _, c := range a.days {
		ago := today - int(c.day)
		add(&m.Sends, ago, c.sends)
		if sees == scheduler.SeesFull || sees == scheduler.SeesDay {
			add(&m.Opens, ago, c.opens)
		}
		if sees <= scheduler.SeesClick {
			add(&m.Clicks, ago, c.clicks)
		}
	}
	m.LastSend, m.Complaints = instant(a.lastSend), uint32(a.complaints)
	if sees == scheduler.SeesFull || sees == scheduler.SeesDay {
		m.LastOpen, m.OpensVisible = instant(a.open.last), a.open.length(now)
	}
	if sees <= scheduler.SeesClick {
		m.LastClick, m.ClicksVisible = instant(a.click.last), a.click.length(now)
	}
}

func add(c *rules.Counts, ago int, n uint8) {
	for _, w := range []struct {
		days int
		of   *uint32
	}{{1, &c.D1}, {7, &c.D7}, {30, &c.D30}, {90, &c.D90}} {
		if ago >= 0 && ago < w.days {
			*w.of += uint32(n)
		}
	}
}

func instant(unix uint32) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(int64(unix), 0).UTC()
}

func (v *visible) length(now time.Time) time.Duration {
	if v.since == 0 {
		return 0
	}
	return max(0, now.Sub(instant(v.since)))
}

func (a *activity) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(a.days)))
	last := uint16(0)
	for _, c := range a.days {
		b = binary.AppendUvarint(b, uint64(c.day-last))
		b = append(b, c.sends, c.opens, c.clicks)
		last = c.day
	}
	for _, n := range []uint32{a.lastSend, a.open.since, a.open.last, a.click.since, a.click.last, a.lastSoft} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(b, a.complaints, a.softs)
}

// parseActivity reads what append wrote and returns what is behind it.
func parseActivity(b []byte) (a activity, rest []byte, err error) {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v>>32 > 0 {
			err = errHeard
			return 0
		}
		b = b[n:]
		return v
	}
	count := number()
	if count > activityDays || err != nil {
		return activity{}, nil, errHeard
	}
	last := uint64(0)
	for i := range count {
		gap := number()
		if last += gap; err != nil || len(b) < 3 || last > 1<<16-1 || i > 0 && gap == 0 {
			return activity{}, nil, errHeard
		}
		a.days = append(a.days, dayCount{uint16(last), b[0], b[1], b[2]})
		b = b[3:]
	}
	for _, n := range []*uint32{&a.lastSend, &a.open.since, &a.open.last, &a.click.since, &a.click.last, &a.lastSoft} {
		*n = uint32(number())
	}
	if err != nil || len(b) < 2 {
		return activity{}, nil, errHeard
	}
	a.complaints, a.softs = b[0], b[1]
	return a, b[2:], nil
}
