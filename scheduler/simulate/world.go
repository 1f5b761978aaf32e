package simulate

import (
	"math"
	"time"
)

// World is a set of assumptions about an audience. The fields say how it differs
// from one the planner expects.
type World struct {
	Name  string
	About string // one line

	Kernel func(age float64) float64 // attention per visit and hour of age; its integral is about 1

	Visits  float64 // to the inbox, a day, of the median person
	Cluster int     // visits come in bursts of this many on average; 1: they do not
	Flat    float64 // share of visits that follow no habit
	Change  float64 // share of people whose habits change in mid-run

	Fatigue float64 // how much mail beyond the tolerance lowers reading; 1: as expected, 0: not at all
	Temper  float64 // how much it makes people leave

	Prefetch float64 // share of people whose mail is opened by a machine
	Mistaken float64 // share of those opens that are reported as human
	Hidden   float64 // share of such people's own opens that nobody sees

	Declared float64 // share of people whose time zone is known to the policies
	Moves    float64 // share of people who move to another zone in mid-run

	Capacity float64 // mails an hour to each destination, per person in it; 0: no limit
}

// Worlds lists the built-in worlds: the one the planner expects, and those which
// break an assumption each.
func Worlds() []World {
	return []World{
		matching(),
		varied("heavy-tail", "attention fades by a power law", func(w *World) { w.Kernel = lomax }),
		varied("no-fresh", "fresh mail is noticed no more than older mail", func(w *World) { w.Kernel = slow }),
		varied("bursts", "few visits to the inbox, in bursts", func(w *World) { w.Visits, w.Cluster = 5, 5 }),
		varied("habit-change", "everybody's habits change in mid-run", func(w *World) { w.Change = 1 }),
		varied("prefetch", "45 % have their mail opened by machines, part of it reported as human", func(w *World) {
			w.Prefetch, w.Mistaken, w.Hidden = .45, .3, .8
		}),
		varied("moves", "no time zone is declared, clocks change, a quarter moves", func(w *World) { w.Declared, w.Moves = 0, .25 }),
		varied("no-fatigue", "volume never tires anybody", func(w *World) { w.Fatigue, w.Temper = 0, 0 }),
		varied("extreme-fatigue", "volume tires fast and makes people leave", func(w *World) { w.Fatigue, w.Temper = 2.5, 2 }),
		varied("flat-hours", "hardly any habits", func(w *World) { w.Flat = .85 }),
		varied("capacity", "destinations take mail slowly", func(w *World) { w.Capacity = .12 }),
	}
}

// WorldByName finds a built-in world.
func WorldByName(name string) (World, bool) {
	for _, w := range Worlds() {
		if w.Name == name {
			return w, true
		}
	}
	return World{}, false
}

func matching() World {
	return World{
		Name: "matching", About: "the planner's assumptions hold, roughly",
		Kernel: fading, Visits: 7, Cluster: 1, Flat: .5, Change: .1,
		Fatigue: 1, Temper: 1,
		Prefetch: .15, Mistaken: .03, Hidden: .5,
		Declared: .7,
	}
}

func varied(name, about string, change func(*World)) World {
	w := matching()
	w.Name, w.About = name, about
	change(&w)
	return w
}

// fading is attention as published delays have it: a third within the hour, most
// of the rest within a day or two.
func fading(age float64) float64 {
	return .33/.6*math.Exp(-age/.6) + .42/9*math.Exp(-age/9) + .25/72*math.Exp(-age/72)
}

// lomax has no scale: some mail is dug out after a week.
func lomax(age float64) float64 { return .45 / 1.2 * math.Pow(1+age/1.2, -1.45) }

// slow is an inbox that is read through, however long ago mail came.
func slow(age float64) float64 { return math.Exp(-age/60) / 60 }

// The calendar of a run. It begins on a Monday in winter, so that clocks change on
// the way, in different weeks in different places.
var epoch = time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)

const (
	hour       = 3600 // seconds, the unit of time here
	day        = 24 * hour
	weekLong   = 7 * day
	attention  = 14 * 24 // hours after which nobody finds a mail any more
	afterwards = 2       // weeks a run goes on after its last campaign
)

// when is a moment of a run, in seconds since epoch.
type when int64

func (w when) time() time.Time { return epoch.Add(time.Duration(w) * time.Second) }

func whenOf(t time.Time) when { return when(t.Sub(epoch) / time.Second) }

// kernel is a World's Kernel as a table by age, in tenths of an hour.
type kernel []float32

func newKernel(f func(float64) float64) kernel {
	k := make(kernel, attention*10)
	for i := range k {
		k[i] = float32(f((float64(i) + .5) / 10))
	}
	return k
}

// at is the attention a visit gives to a mail of an age in seconds.
func (k kernel) at(age when) float64 {
	if i := int(age / 360); i < len(k) {
		return float64(k[i])
	}
	return 0
}
