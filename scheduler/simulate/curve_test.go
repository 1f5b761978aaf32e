package simulate

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"tidepost/scheduler/clock"
)

// What decision model 5 found: from mail that mostly leaves at ten, opens by hour
// say more about the sender's habits than about the reader's. Told when mail lay
// unread, the engine's clock comes much nearer to the reader's.
func TestCurvesAreCorrectedForExposure(t *testing.T) {
	w, _ := WorldByName("matching")
	w.Declared, w.Change, w.Prefetch = 1, 0, 0
	s, err := newStage(&w, 11, 250, 24)
	if err != nil {
		t.Fatal(err)
	}
	prior := clock.BuiltIn()
	clocks, naive, reads := make([]clock.Clock, len(s.people)), make([][24]float64, len(s.people)), make([]int, len(s.people))
	type event struct {
		at   when
		tell func()
	}
	var events []event
	mustPlay(t, s, immediate, func(m *mail, at when, out *outcome) {
		const mass = .3
		i, z, read := m.person.index, m.person.home, out.read
		events = append(events, event{at, func() { clocks[i].Sent(prior, at.time().Unix(), z.hourOfWeek(at), mass) }})
		if read == never {
			return
		}
		naive[i][z.hourOfWeek(read)%24]++
		reads[i]++
		events = append(events, event{read, func() {
			clocks[i].Read(prior, read.time().Unix(), z.hourOfWeek(read), at.time().Unix(), mass, 1)
		}})
	})
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, e := range events {
		e.tell()
	}
	var engine, histogram float64
	n := 0.0
	for i, p := range s.people {
		if reads[i] < 12 {
			continue
		}
		var curve clock.Curve
		clocks[i].Curve(prior, &curve)
		var own, truth [24]float64
		for h := range curve {
			own[h%24] += float64(curve[h])
			truth[h%24] += float64(p.curves[0][h])
		}
		engine, histogram, n = engine+correlation(&own, &truth), histogram+correlation(&naive[i], &truth), n+1
	}
	engine, histogram = engine/n, histogram/n
	t.Logf("%.0f people with at least 12 reads: correlation with their habits %.3f, of their histogram %.3f", n, engine, histogram)
	if n < 30 || engine < .55 || engine < histogram+.1 {
		t.Errorf("correlation of %.0f people's curves with their habits is %.3f; of their histograms %.3f", n, engine, histogram)
	}
}

func correlation(a, b *[24]float64) float64 {
	var meanA, meanB, ab, aa, bb float64
	for h := range a {
		meanA, meanB = meanA+a[h]/24, meanB+b[h]/24
	}
	for h := range a {
		x, y := a[h]-meanA, b[h]-meanB
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb+1e-12)
}
