package experiment

import (
	"fmt"
	"time"
)

// firstMonday begins the week with number 0.
var firstMonday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

const week = 7 * 24 * time.Hour

// weekOf numbers the weeks, which begin on Monday at 0:00 UTC. Times before 1970
// and after January 3226 count as the first and the last week.
func weekOf(at time.Time) uint16 {
	const last = 1<<16 - 1
	n := (at.Unix() - firstMonday.Unix()) / int64(week/time.Second)
	return uint16(min(max(n, 0), last))
}

// Quarter is a quarter of the year: 4 × year + 0 to 3.
type Quarter uint16

// QuarterOf returns the quarter a time is in. Quarters begin with the first week
// that begins in them, so that no week is in two.
func QuarterOf(at time.Time) Quarter { return quarterOfWeek(weekOf(at)) }

func quarterOfWeek(w uint16) Quarter {
	year, month, _ := firstMonday.AddDate(0, 0, 7*int(w)).Date()
	return Quarter(4*year + int(month-1)/3)
}

// String is like 2026-Q4.
func (q Quarter) String() string { return fmt.Sprintf("%04d-Q%d", q/4, q%4+1) }

// ParseQuarter reads what String wrote.
func ParseQuarter(s string) (Quarter, error) {
	var year, n int
	if _, err := fmt.Sscanf(s, "%4d-Q%1d", &year, &n); err != nil || year < 0 || n < 1 || n > 4 || len(s) != len("2026-Q4") {
		return 0, fmt.Errorf("quarter %q: want one like 2026-Q4", s)
	}
	return Quarter(4*year + n - 1), nil
}
