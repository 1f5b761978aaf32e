package simulate

import (
	"context"
	"math"
	"slices"
	"testing"
)

func testStage(t *testing.T, world string, people, weeks int) *stage {
	t.Helper()
	w, ok := WorldByName(world)
	if !ok {
		t.Fatalf("no world %s", world)
	}
	s, err := newStage(&w, 7, people, weeks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPlay(t *testing.T, s *stage, start starter, seen func(*mail, when, *outcome)) *play {
	t.Helper()
	p, err := s.play(context.Background(), func(p *play) (sender, error) {
		p.seen = seen
		return start(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What holds in every world whatever is sent: nothing happens to a mail before it
// is delivered, machines come before humans, clicks after reads, and nobody is
// written to who has left.
func TestOrderOfEvents(t *testing.T) {
	for _, w := range Worlds() {
		s := testStage(t, w.Name, 40, 5)
		reads, prefetched := 0, 0
		p := mustPlay(t, s, random(.1), func(m *mail, at when, out *outcome) {
			for _, e := range []when{out.read, out.clicked, out.left, out.complained, out.prefetched} {
				if e < at {
					t.Errorf("%s: something happened to a mail %d s before it came", w.Name, at-e)
				}
			}
			switch {
			case at < m.at:
				t.Errorf("%s: a mail came before it was handed in", w.Name)
			case out.prefetched != never && out.prefetched > out.read:
				t.Errorf("%s: a human opened before the machine", w.Name)
			case out.clicked != never && out.clicked <= out.read:
				t.Errorf("%s: a click without a read before it", w.Name)
			case out.prefetched != never && !m.person.prefetch:
				t.Errorf("%s: a machine opened somebody's mail who has none", w.Name)
			}
			if out.read != never {
				reads++
			}
			if out.prefetched != never {
				prefetched++
			}
		})
		sum := total(p.weekly)
		if sum.Accepted != sum.Sent+sum.Dropped+sum.Suppressed {
			t.Errorf("%s: %v accepted are %v sent, %v dropped, %v suppressed", w.Name, sum.Accepted, sum.Sent, sum.Dropped, sum.Suppressed)
		}
		if float64(reads) != sum.Reads || reads == 0 || prefetched == 0 {
			t.Errorf("%s: %d reads seen, %v counted, %d prefetched", w.Name, reads, sum.Reads, prefetched)
		}
	}
}

// Somebody who has left gets no more mail of that sender, and still that of others.
func TestLeavers(t *testing.T) {
	s := testStage(t, "extreme-fatigue", 300, 12)
	type pair struct{ person, tenant int }
	left := map[pair]when{}
	later := 0
	mustPlay(t, s, random(0), func(m *mail, at when, out *outcome) {
		k := pair{m.person.index, topics[m.campaign.topic].tenant}
		if gone, ok := left[k]; ok && at >= gone {
			t.Errorf("mail at %d to somebody who left at %d", at, gone)
		}
		for other := range left {
			if other.person == k.person && other != k {
				later++
			}
		}
		if e := min(out.left, out.complained); e != never {
			if gone, ok := left[k]; !ok || e < gone {
				left[k] = e
			}
		}
	})
	if len(left) < 10 || later == 0 {
		t.Errorf("%d left, %d mails of others afterwards", len(left), later)
	}
}

// Policies that send the same mail at the same time get the same outcome, however
// they differ elsewhere: people, visits, campaigns and lots are shared.
func TestCommonLots(t *testing.T) {
	s := testStage(t, "no-fatigue", 120, 8)
	type sent struct {
		at  when
		out outcome
	}
	relay, other := map[int]sent{}, map[int]sent{}
	mustPlay(t, s, immediate, func(m *mail, at when, out *outcome) { relay[m.id] = sent{at, *out} })
	half := func(*play) (sender, error) { // holds every other person's mail, drops some
		return &timer{choose: func(at when, m *mail) (when, bool) {
			if m.person.index%2 == 0 {
				return at, true
			}
			return at + 5*hour, m.id%3 > 0
		}}, nil
	}
	mustPlay(t, s, half, func(m *mail, at when, out *outcome) { other[m.id] = sent{at, *out} })
	same := 0
	for id, a := range relay {
		b, ok := other[id]
		if !ok || a.at != b.at {
			continue
		}
		if a.out != b.out {
			t.Fatalf("mail %d: %+v and %+v", id, a.out, b.out)
		}
		same++
	}
	if same < len(relay)/3 {
		t.Errorf("only %d of %d mails are alike", same, len(relay))
	}
}

// The same seed makes the same people in worlds that share their assumptions, and
// other seeds make others.
func TestSeeds(t *testing.T) {
	a, b := testStage(t, "matching", 50, 6), testStage(t, "matching", 50, 6)
	for i := range a.people {
		if !slices.Equal(a.people[i].visits, b.people[i].visits) {
			t.Fatal("the same seed makes other people")
		}
	}
	w, _ := WorldByName("matching")
	c, err := newStage(&w, 8, 50, 6)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(a.people[0].visits, c.people[0].visits) {
		t.Error("another seed makes the same people")
	}
}

// The audience is like recorded ones (shared figures of a newsletter with 124,000
// sends): few people do most of the reading, and silence tells.
func TestAudienceIsPlausible(t *testing.T) {
	s := testStage(t, "matching", 1500, 20)
	reads, misses := make([]float64, len(s.people)), make([]int, len(s.people))
	var after, readAfter [60]float64
	soon, sum := 0.0, 0.0
	p := mustPlay(t, s, immediate, func(m *mail, at when, out *outcome) {
		i := m.person.index
		streak := min(misses[i], len(after)-1)
		after[streak]++
		if out.read == never {
			misses[i]++
			return
		}
		misses[i] = 0
		readAfter[streak]++
		reads[i]++
		sum++
		if out.read-at <= hour {
			soon++
		}
	})
	slices.Sort(reads)
	share := func(from, to float64) float64 {
		part := 0.0
		for _, r := range reads[int(from*float64(len(reads))):int(to*float64(len(reads)))] {
			part += r
		}
		return part / sum
	}
	all := total(p.weekly)
	for _, c := range []struct {
		what     string
		got      float64
		from, to float64
	}{
		{"read rate", all.perMail(), .10, .20},                            // 17 %
		{"reads of the upper fifth", share(.8, 1), .55, .75},              // 70 %
		{"reads of the lower half", share(0, .5), .04, .13},               // 8 %
		{"read after a read", readAfter[0] / after[0], .28, .6},           // .55
		{"read after 15 misses", readAfter[15] / after[15], .03, .09},     // .05
		{"reads within the hour", soon / sum, .22, .4},                    // a third
		{"unsubscribes a mail", all.Unsubscribes / all.Sent, .0005, .005}, // a few in a thousand
		{"complaints a mail", all.Complaints / all.Sent, .0001, .0015},    // under one in a thousand
		{"mails a person and week", all.Sent / 20 / 1500, 3, 6},           //
		{"clicks a read", all.Clicks / all.Reads, .07, .25},               //
	} {
		if c.got < c.from || c.got > c.to {
			t.Errorf("%s is %.4f, not between %g and %g", c.what, c.got, c.from, c.to)
		}
	}
}

// People visit their inbox as their curves say, but for holidays.
func TestVisitsFollowCurves(t *testing.T) {
	for _, world := range []string{"matching", "bursts"} {
		s := testStage(t, world, 150, 20)
		got, want := 0.0, 0.0
		var dot, squares float64
		for _, p := range s.people {
			var seen [24]float64
			for _, v := range p.visits {
				if at := when(v); at < min(p.changes, p.moves) {
					seen[p.zone(at).hourOfWeek(at)%24]++
				}
			}
			n := 0.0
			for at := when(0); at < min(p.changes, p.moves, 22*weekLong); at += hour {
				if !p.isAway(at) {
					n += p.pace * float64(p.curve(at)[p.zone(at).hourOfWeek(at)])
				}
			}
			for _, v := range seen {
				got += v
			}
			want += n
			for h := range 24 {
				c := 0.0
				for d := range 7 {
					c += float64(p.curves[0][d*24+h]) / 7
				}
				dot += (c - 1) * seen[h]
				squares += math.Abs(c-1) * seen[h]
			}
		}
		if r := got / want; r < .85 || r > 1.15 {
			t.Errorf("%s: %.2f of the visits due", world, r)
		}
		if dot < .3*squares {
			t.Errorf("%s: visits do not follow habits: %.2f", world, dot/squares)
		}
	}
}

func TestClocksChange(t *testing.T) {
	all, err := zones()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range zoneShares {
		for _, at := range []when{0, 9 * weekLong, 13 * weekLong, 30*weekLong + 7*hour} {
			local := at.time().In(all[i].location)
			if want := (int(local.Weekday())+6)%7*24 + local.Hour(); s.name != "Asia/Kolkata" && all[i].hourOfWeek(at) != want {
				t.Errorf("%s: hour %d of the week at %v, want %d", s.name, all[i].hourOfWeek(at), local, want)
			}
		}
	}
	if _, offset := when(30 * weekLong).time().In(all[0].location).Zone(); int(all[0].offset[30*168]) != offset {
		t.Error("summer is missed")
	}
}

func TestLotsAreUniform(t *testing.T) {
	const n = 20000
	sum, squares := 0.0, 0.0
	for i := range n {
		u := lot(3, i, i*7, forReading)
		if u <= 0 || u >= 1 {
			t.Fatalf("lot %v", u)
		}
		sum, squares = sum+u, squares+u*u
	}
	if mean := sum / n; math.Abs(mean-.5) > .01 || math.Abs(squares/n-1./3) > .01 {
		t.Errorf("mean %v, mean square %v", mean, squares/n)
	}
	if lot(3, 1, 2, forReading) == lot(3, 1, 2, forClicking) || lot(3, 1, 2, forReading) != lot(3, 1, 2, forReading) {
		t.Error("lots of two purposes are one, or one is two")
	}
}
