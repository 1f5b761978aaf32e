package simulate

import (
	"sync"
	"time"
)

// zone is a time zone with its offset in each hour of a run, for looking it up is
// too slow.
type zone struct {
	location *time.Location
	offset   []int32 // seconds east of UTC, by hour since epoch
}

// local is the local time of a moment, in seconds since a local Monday midnight.
func (z *zone) local(t when) when {
	i := min(max(int(t/hour), 0), len(z.offset)-1)
	return t + when(z.offset[i])
}

// hourOfWeek is the local hour of a moment, Monday 00:00 being 0.
func (z *zone) hourOfWeek(t when) int {
	return int((z.local(t)%weekLong+weekLong)%weekLong) / hour
}

// zoneShares say where people live. All but two of the zones change their clocks.
var zoneShares = []struct {
	name  string
	share float64
}{
	{"Europe/Berlin", .40}, {"Europe/London", .15}, {"America/New_York", .20},
	{"America/Los_Angeles", .10}, {"Asia/Kolkata", .07}, {"Australia/Sydney", .05}, {"America/Bogota", .03},
}

// zones are those of zoneShares, with offsets for two years.
var zones = sync.OnceValues(func() ([]*zone, error) {
	var all []*zone
	for _, s := range zoneShares {
		location, err := time.LoadLocation(s.name)
		if err != nil {
			return nil, err
		}
		z := &zone{location: location, offset: make([]int32, 2*366*24)}
		for i := range z.offset {
			_, offset := when(i * hour).time().In(location).Zone()
			z.offset[i] = int32(offset)
		}
		all = append(all, z)
	}
	return all, nil
})
