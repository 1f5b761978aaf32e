package interest

import "math"

// Learner learns the weights of the logistic layer online, from the outcomes of
// one list. It is not safe for concurrent use; what it publishes is.
type Learner struct {
	prior     Prior
	read, tap kalman
	at        int64 // delivery of the latest mail seen
	campaigns [lucks]uint32
	used      [lucks]int // observation at which each campaign was last met
	observed  int

	readLoss, tapLoss float64 // summed log-loss of all outcomes, each before it was learned
}

// NewLearner starts from the weights of a prior.
func NewLearner(from *Prior) *Learner {
	l := &Learner{prior: *from}
	l.read.start(&from.Reading)
	l.tap.start(&from.Tapping)
	return l
}

// Observe takes in the outcome of one delivered mail; s must not have resolved it
// yet. Where other mails of the person were resolved since it was sent, s knows
// more now than when the outcome was foreseen, and a Learner that sees too much
// trusts too much: keep the Evidence of the sending and use ObserveSent.
func (l *Learner) Observe(s *State, m Mail, read, clicked bool) {
	var in inputs
	s.inputs(&l.prior, m, &in)
	l.observe(&in, m, read, clicked)
}

// ObserveSent takes in the outcome of a mail from the evidence that its sending
// rested on.
func (l *Learner) ObserveSent(e Evidence, m Mail, read, clicked bool) {
	in := e.inputs()
	l.observe(&in, m, read, clicked)
}

func (l *Learner) observe(in *inputs, m Mail, read, clicked bool) {
	if l.at != 0 && m.At > l.at {
		days := float64(m.At-l.at) / secondsPerDay
		l.read.age(&l.prior.Reading, days)
		l.tap.age(&l.prior.Tapping, days)
	}
	l.at = max(l.at, m.At)
	l.observed++
	luck := l.luck(m.Campaign)
	l.readLoss += l.read.learn(in, luck, read)
	l.tapLoss += l.tap.learn(in, luck, clicked)
}

// luck is the coordinate of a campaign's luck, -1 if it has none. A new campaign
// takes the place of the one not met for longest.
func (l *Learner) luck(campaign uint32) int {
	if campaign == 0 {
		return -1
	}
	oldest := 0
	for i, c := range l.campaigns {
		if c == campaign {
			l.used[i] = l.observed
			return i
		}
		if l.used[i] < l.used[oldest] {
			oldest = i
		}
	}
	l.campaigns[oldest], l.used[oldest] = campaign, l.observed
	l.read.forget(oldest, float64(l.prior.Reading.Luck))
	l.tap.forget(oldest, float64(l.prior.Tapping.Luck))
	return oldest
}

// Level is the effect of a recent campaign on the log-odds of reading as far as
// its outcomes show it, 0 if it is not known. It serves as Mail.Level for the
// campaign's later mails; not for Observe, which would learn it twice.
func (l *Learner) Level(campaign uint32) float32 {
	for i, c := range l.campaigns {
		if c == campaign && c != 0 {
			return float32(l.read.mean[Inputs+i])
		}
	}
	return 0
}

// Snapshot publishes what has been learned so far.
func (l *Learner) Snapshot() *Prior {
	l.prior.Version++
	p := l.prior
	l.read.publish(&p.Reading)
	l.tap.publish(&p.Tapping)
	return &p
}

const (
	lucks       = 4 // campaigns told apart at a time
	coordinates = Inputs + lucks
	unsure      = 4 // the most variance a weight can have
)

// kalman is a logistic regression under a Gaussian belief about its weights. The
// last coordinates are the luck of the campaigns at hand: thousands of outcomes of
// one mail say little about the list if that mail was a lucky one.
type kalman struct {
	mean       [coordinates]float64
	covariance [coordinates][coordinates]float64
}

func (k *kalman) start(l *Layer) {
	for i := range Inputs {
		k.mean[i] = float64(l.Weights[i])
		k.covariance[i][i] = float64(l.Variance[i])
	}
}

// forget makes room for another campaign of unknown luck.
func (k *kalman) forget(slot int, variance float64) {
	c := Inputs + slot
	k.mean[c] = 0
	for i := range k.covariance {
		k.covariance[i][c], k.covariance[c][i] = 0, 0
	}
	k.covariance[c][c] = variance
}

// age lets the weights become less certain with time.
func (k *kalman) age(l *Layer, days float64) {
	for i := range Inputs {
		v := &k.covariance[i][i]
		*v = max(*v, min(*v+float64(l.Noise[i])*days, unsure))
	}
}

// learn takes one step of the extended Kalman filter and returns the log-loss of
// what was foreseen.
func (k *kalman) learn(in *inputs, luck int, happened bool) (loss float64) {
	var x, gain [coordinates]float64
	copy(x[:], in[:])
	if luck >= 0 {
		x[Inputs+luck] = 1
	}
	z, spread := 0.0, 0.0
	for i := range x {
		z += k.mean[i] * x[i]
		row := &k.covariance[i]
		for j := range x {
			gain[i] += row[j] * x[j]
		}
		spread += gain[i] * x[i]
	}
	p := sigmoid(z)
	information := max(p*(1-p), 1e-5)
	miss, likely := -p, 1-p
	if happened {
		miss, likely = 1-p, p
	}
	scale := 1 / (1 + information*spread)
	for i := range x {
		k.mean[i] += gain[i] * miss * scale
		pull := gain[i] * information * scale
		row := &k.covariance[i]
		for j := range x {
			row[j] -= pull * gain[j]
		}
	}
	return -math.Log(max(likely, 1e-9))
}

// signs are the directions of the inputs: whoever reads must not be foreseen to
// read less for it. Inputs of sign 0 are free.
var signs = [Inputs]float64{inRead: 1, inTap: 1, inShort: 1, inMiddle: 1, inLong: 1, inMisses: -1, inDays: -1, inLoad: -1}

// publish gives the layer the likeliest weights that have the right signs: those
// that have not are taken as 0, and what is known of the others follows. The
// belief itself stays free, or it could not find back.
func (k *kalman) publish(l *Layer) {
	t := *k
	for {
		worst, least := -1, 0.0
		for i, sign := range signs {
			if wrong := t.mean[i] * sign; wrong < least {
				worst, least = i, wrong
			}
		}
		if worst < 0 {
			break
		}
		t.know(worst, 0)
	}
	for i := range Inputs {
		l.Weights[i] = float32(t.mean[i])
		l.Variance[i] = float32(max(k.covariance[i][i], 0))
	}
}

// know conditions the belief on one weight.
func (k *kalman) know(i int, weight float64) {
	row := k.covariance[i]
	pull := (weight - k.mean[i]) / max(row[i], 1e-12)
	for j := range row {
		k.mean[j] += pull * row[j]
		for m := range row {
			k.covariance[j][m] -= row[j] * row[m] / max(row[i], 1e-12)
		}
	}
	k.mean[i] = weight
	for j := range row {
		k.covariance[i][j], k.covariance[j][i] = 0, 0
	}
}
