package interest

import "math"

const (
	futureWeeks = 26
	futures     = 10 // horizons of 1, 2, 4, .. 512 mails
)

// deriveFuture tabulates the readings expected of the next 1, 2, 4, .. mails from
// each level: the walk run forward without looking.
func (p *Prior) deriveFuture() {
	for k := range Levels {
		var b belief
		b[k] = 1
		sum, row := float32(0), 0
		for mail := 1; row < futures; mail++ {
			sum += b.mean(&p.open.p)
			b.move(&p.Open, 0)
			if mail == 1<<row {
				p.future[row][k] = sum
				row++
			}
		}
	}
}

// Future is the number of readings expected within the next 26 weeks if mails
// keep coming as often as lately, at least one a month.
func (s *State) Future(p *Prior, at int64) (reads float64) {
	mails := max(s.Pace(p, at)*futureWeeks, futureWeeks/4)
	b := s.belief(p, at)
	scale := min(max(math.Log2(mails), 0), futures-1)
	row := min(int(scale), futures-2)
	lower := float64(b.mean(&p.future[row]))
	upper := float64(b.mean(&p.future[row+1]))
	// Between two horizons the readings grow about linearly with the mails.
	share := (mails - float64(int(1)<<row)) / float64(int(1)<<row)
	return lower + (upper-lower)*min(max(share, 0), 1)
}

// Pace is the number of mails a week that came of late.
func (s *State) Pace(p *Prior, at int64) float64 {
	if s.usual == 0 {
		return 0
	}
	_, slow := s.stocks(p, at)
	return float64(slow/p.Fatigue.Slow) * 7 * usualUnit / float64(s.usual)
}
