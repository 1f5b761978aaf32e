package scheduler

import "fmt"

var aimNames = [...]string{"", "soonest", "hour", "now", "reads"}

func (a Aim) String() string { return aimNames[min(int(a), len(aimNames)-1)] }

// ParseAim reads the name of an aim; an empty one is AimDefault.
func ParseAim(s string) (Aim, error) {
	for i, name := range aimNames {
		if s == name {
			return Aim(i), nil
		}
	}
	return 0, fmt.Errorf("aim %q: want soonest, hour, reads or now", s)
}

var seesNames = [...]string{"full", "click", "day", "none"}

func (s Sees) String() string { return seesNames[min(int(s), len(seesNames)-1)] }

// ParseSees reads the name of an evidence mode; an empty one is SeesFull.
func ParseSees(s string) (Sees, error) {
	if s == "" {
		return SeesFull, nil
	}
	for i, name := range seesNames {
		if s == name {
			return Sees(i), nil
		}
	}
	return 0, fmt.Errorf("evidence %q: want full, click, day or none", s)
}
