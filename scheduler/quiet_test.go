package scheduler

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func quietOf(t testing.TB, s string) Quiet {
	t.Helper()
	q, err := ParseQuiet(s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestParseQuiet(t *testing.T) {
	for _, s := range []string{"", "21:00-08:00", "00:00-06:30", "12:00-13:59", "23:59-00:00"} {
		q, err := ParseQuiet(s)
		if err != nil || q.String() != s {
			t.Errorf("ParseQuiet(%q) = %q, %v", s, q, err)
		}
	}
	if q, err := ParseQuiet("20:00-24:00"); err != nil || q.String() != "20:00-00:00" {
		t.Errorf("24:00 is read as %q, %v", q, err)
	}
	for _, s := range []string{"21:00", "21:00-", "-08:00", "21:00-21:00", "00:00-24:00", "25:00-08:00", "24:01-08:00", "21:60-08:00", "9:00-10:00", "21:00 - 08:00", "21-08", "+1:00-08:00", "21:00-08:00x"} {
		if q, err := ParseQuiet(s); err == nil {
			t.Errorf("ParseQuiet(%q) = %q, want an error", s, q)
		}
	}
}

func TestQuietUntil(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	tests := []struct {
		story, quiet, zone, at, want string // empty: not quiet
	}{
		{"evening", "21:00-08:00", "Europe/Berlin", "2026-01-10 21:00:00 +0100", "2026-01-11 08:00:00 +0100"},
		{"morning", "21:00-08:00", "Europe/Berlin", "2026-01-10 07:59:59 +0100", "2026-01-10 08:00:00 +0100"},
		{"the end is not quiet", "21:00-08:00", "Europe/Berlin", "2026-01-10 08:00:00 +0100", ""},
		{"a second before the start", "21:00-08:00", "Europe/Berlin", "2026-01-10 20:59:59 +0100", ""},
		{"lunch", "12:00-13:00", "Asia/Kathmandu", "2026-01-10 12:30:00 +0545", "2026-01-10 13:00:00 +0545"},
		{"a short night", "21:00-08:00", "Europe/Berlin", "2026-03-28 22:00:00 +0100", "2026-03-29 08:00:00 +0200"},
		{"a long night", "21:00-08:00", "Europe/Berlin", "2026-10-24 22:00:00 +0200", "2026-10-25 08:00:00 +0100"},
		{"the end falls into the gap", "21:00-02:30", "Europe/Berlin", "2026-03-29 01:00:00 +0100", "2026-03-29 03:00:00 +0200"},
		{"the start falls into the gap", "02:30-05:00", "Europe/Berlin", "2026-03-29 03:00:00 +0200", "2026-03-29 05:00:00 +0200"},
		{"before a start in the gap", "02:30-05:00", "Europe/Berlin", "2026-03-29 01:59:59 +0100", ""},
		{"all of it falls into the gap", "02:15-02:45", "Europe/Berlin", "2026-03-29 03:00:00 +0200", ""},
		{"both edges in the fold, first pass", "02:00-03:00", "Europe/Berlin", "2026-10-25 02:10:00 +0200", "2026-10-25 03:00:00 +0100"},
		{"both edges in the fold, second pass", "02:00-03:00", "Europe/Berlin", "2026-10-25 02:10:00 +0100", "2026-10-25 03:00:00 +0100"},
		{"the end in the fold, second pass", "21:00-02:30", "Europe/Berlin", "2026-10-25 02:10:00 +0100", "2026-10-25 02:30:00 +0100"},
		{"a day that begins at 01:00", "21:00-00:30", "America/Sao_Paulo", "2018-11-03 23:30:00 -0300", "2018-11-04 01:00:00 -0200"},
		{"half an hour of summer time", "21:00-01:45", "Australia/Lord_Howe", "2026-04-05 01:40:00 +1100", "2026-04-05 01:45:00 +1100"},
		{"a day that does not exist", "21:00-08:00", "Pacific/Apia", "2011-12-29 23:00:00 -1000", "2011-12-31 08:00:00 +1400"},
		{"2040", "21:00-08:00", "America/New_York", "2040-07-01 23:00:00 -0400", "2040-07-02 08:00:00 -0400"},
	}
	for _, tt := range tests {
		now, err := time.Parse(layout, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		want := now
		if tt.want != "" {
			if want, err = time.Parse(layout, tt.want); err != nil {
				t.Fatal(err)
			}
		}
		if got := quietOf(t, tt.quiet).Until(now, zoneOf(t, tt.zone)); !got.Equal(want) {
			t.Errorf("%s: quiet at %v until %v, want %v", tt.story, now, got, want)
		}
	}
}

func TestQuietKeepsSubSeconds(t *testing.T) {
	q := quietOf(t, "21:00-08:00")
	end := time.Date(2026, 1, 11, 8, 0, 0, 0, time.UTC)
	if got := q.Until(end.Add(-time.Nanosecond), time.UTC); !got.Equal(end) {
		t.Errorf("quiet until %v, want %v", got, end)
	}
	if got := q.since(end.Add(-time.Nanosecond), time.UTC); !got.Equal(end.Add(-11 * time.Hour)) {
		t.Errorf("quiet since %v", got)
	}
}

func TestQuietWithoutZone(t *testing.T) {
	if got := quietOf(t, "00:00-23:59").Until(start, nil); got != start {
		t.Errorf("without a zone it is quiet until %v", got)
	}
}

// wallQuiet is the definition of quiet, read off the clock on the wall.
func wallQuiet(q Quiet, t time.Time, zone *time.Location) bool {
	if !q.Set() || zone == nil {
		return false
	}
	local := t.In(zone)
	m := local.Hour()*60 + local.Minute()
	if q.from < q.to {
		return m >= q.from && m < q.to
	}
	return m >= q.from || m < q.to
}

func FuzzParseQuiet(f *testing.F) {
	f.Add("21:00-08:00", int64(1774746000))
	zone := zoneOf(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string, sec int64) {
		q, err := ParseQuiet(s)
		if err != nil {
			return
		}
		if again, err := ParseQuiet(q.String()); err != nil || again != q {
			t.Errorf("%q is written %q and read %q, %v", s, q, again, err)
		}
		now := time.Unix(sec%4e9, 0)
		if end := q.Until(now, zone); wallQuiet(q, end, zone) || end.Sub(now) > 26*time.Hour {
			t.Errorf("%q at %v is quiet until %v", s, now, end)
		}
	})
}
