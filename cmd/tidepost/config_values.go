package main

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
)

// Duration is a length of time, written "90s", "16h", "14d" or "1d12h".
type Duration struct{ time.Duration }

// UnmarshalText reads what time.ParseDuration reads, with days in front.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	bad := fmt.Errorf("%q is not a length of time: write it like 90s, 16h or 14d", s)
	rest, days := s, 0.0
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return bad
		}
		days, rest = float64(n), after
	}
	var v time.Duration
	if rest != "" || days == 0 && !strings.Contains(s, "d") {
		parsed, err := time.ParseDuration(rest)
		if err != nil {
			return bad
		}
		v = parsed
	}
	if v < 0 {
		return fmt.Errorf("%q is negative", s)
	}
	total := days*24*float64(time.Hour) + float64(v)
	if total > math.MaxInt64/2 {
		return fmt.Errorf("%q is longer than this program can count", s)
	}
	d.Duration = time.Duration(days)*24*time.Hour + v
	return nil
}

// String writes whole days as days, so that what is printed can be read back.
func (d Duration) String() string {
	const day = 24 * time.Hour
	if d.Duration >= day && d.Duration%day == 0 {
		return strconv.FormatInt(int64(d.Duration/day), 10) + "d"
	}
	return d.Duration.String()
}

// Rate is a number of messages in a unit of time, written "5/s", "300/m" or
// "1000/h". The zero Rate, written "", is no limit.
type Rate struct{ PerSecond float64 }

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	n, err := throttle.ParseRate(string(text))
	if err == nil {
		r.PerSecond = n
	}
	return err
}

func (r Rate) String() string {
	if r.PerSecond == 0 {
		return ""
	}
	return strconv.FormatFloat(r.PerSecond, 'g', -1, 64) + "/s"
}

// Bytes is a size: a whole number, or text like "25MiB" or "2GB".
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText reads a size with a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, unit := string(text), 1.0
	for _, u := range byteUnits {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(number), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n*unit >= math.MaxInt64 {
		return fmt.Errorf("%q is not a size: write a number of bytes, or like 25MiB", text)
	}
	*b = Bytes(n * unit)
	return nil
}

// Class is a gateway.Class that is read by its name.
type Class struct{ gateway.Class }

// UnmarshalText reads the name of a class.
func (c *Class) UnmarshalText(text []byte) error {
	class, err := gateway.ParseClass(string(text))
	c.Class = class
	return err
}

// Network is a range of addresses: "10.0.0.0/8", or one address.
type Network struct{ netip.Prefix }

// UnmarshalText reads a network. Bits outside of the mask are an error: they
// are a slip far more often than a habit.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not a network: write it like 10.0.0.0/8 or 192.0.2.1", s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits outside of its mask: did you mean %s?", s, p.Masked())
	}
	n.Prefix = p
	return nil
}

func mustNetwork(s string) Network { return Network{netip.MustParsePrefix(s)} }

// Prefixes returns the networks as the packages of the gateway take them.
func Prefixes(networks []Network) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range networks {
		out = append(out, n.Prefix)
	}
	return out
}

// Zone is an IANA time zone; Location is nil where none was named.
type Zone struct {
	Name     string
	Location *time.Location
}

// UnmarshalText loads a zone by its name. "Local" is refused: what it means
// would change with the machine.
func (z *Zone) UnmarshalText(text []byte) error {
	*z = Zone{}
	if len(text) == 0 {
		return nil
	}
	loc, err := time.LoadLocation(string(text))
	if err != nil || string(text) == "Local" {
		return fmt.Errorf("%q is not a time zone: write its name like Europe/Berlin", text)
	}
	*z = Zone{Name: string(text), Location: loc}
	return nil
}

func (z Zone) String() string { return z.Name }

// QuietHours is a scheduler.Quiet that is read from "21:00-08:00", or "" for
// off.
type QuietHours struct{ scheduler.Quiet }

// UnmarshalText reads quiet hours.
func (q *QuietHours) UnmarshalText(text []byte) error {
	quiet, err := scheduler.ParseQuiet(string(text))
	q.Quiet = quiet
	return err
}
