package interest

import "math"

// Inputs is the number of inputs of the logistic layer.
const Inputs = 13

// What each input of the layer is. All are of the order of one.
const (
	inConstant = iota
	inRead     // log-odds of the filter for readings
	inTap      // log-odds of the filter for clicks
	inShort    // log-odds of the share read of the last 2 mails,
	inMiddle   // of 8
	inLong     // and of 32
	inMisses   // mails since the last reading
	inDays     // days since it
	inLoad     // slow fatigue stock: pressure of the last weeks
	inNew      // whether nothing is known of the person
	inTopic    // how the topic differs from the person's usual
	inLevel    // known effect of the mail
	inBend     // square of inTap, for lists whose clickers are rarer still
)

type inputs [Inputs]float64

// Layer is a logistic regression shared by all persons.
type Layer struct {
	Weights  [Inputs]float32
	Variance [Inputs]float32 // of the weights, where a Learner starts
	Noise    [Inputs]float32 // variance a weight gains per day: how fast lists change
	Luck     float32         // variance of the log-odds between campaigns of one list
}

// logit of the layer for the inputs.
func (l *Layer) logit(x *inputs) (z float64) {
	for i, v := range x {
		z += float64(l.Weights[i]) * v
	}
	return z
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

// Read is the probability that a person reads the mail within a week, at the
// pressure usual for that person. More pressure than usual multiplies it by the
// ratio of Openness with the extra units and without.
func (s *State) Read(p *Prior, m Mail) float64 {
	var x inputs
	s.inputs(p, m, &x)
	return sigmoid(p.Reading.logit(&x))
}

// Click is the probability that a person clicks in the mail.
func (s *State) Click(p *Prior, m Mail) float64 {
	var x inputs
	s.inputs(p, m, &x)
	return sigmoid(p.Tapping.logit(&x))
}

// Foresee is Read and Click at the price of one.
func (s *State) Foresee(p *Prior, m Mail) (read, click float64) {
	var x inputs
	s.inputs(p, m, &x)
	return sigmoid(p.Reading.logit(&x)), sigmoid(p.Tapping.logit(&x))
}

// Sd is the standard error of Read: how unsure the filter still is of the person.
func (s *State) Sd(p *Prior, m Mail) float64 {
	b := s.belief(p, m.At)
	return math.Sqrt(float64(b.spread(&p.open.p)))
}

// inputs gives the inputs of the layer for one mail, from what was known before it.
func (s *State) inputs(p *Prior, m Mail, x *inputs) {
	read, tap := s.filtered(p, m.At)
	x[inConstant] = 1
	x[inRead] = logit(read) + 2
	x[inTap] = logit(tap) + 4
	usual := float64(p.startRead)
	for i := range memories {
		x[inShort+i] = s.frequency(i, usual) + 1
	}
	x[inMisses] = logs[s.misses] - 1
	x[inDays] = math.Log(1+s.sinceRead(m.At))/3 - 1
	x[inLoad] = math.Log(1 + s.load(p, m))
	x[inNew] = s.fresh()
	x[inTopic] = s.deviation(m.Topic)
	x[inLevel] = float64(m.Level)
	x[inBend] = (x[inTap]*x[inTap] - 1) / 4
}

// filtered gives the two filters' probabilities of reading and clicking.
func (s *State) filtered(p *Prior, at int64) (read, tap float64) {
	r, t := s.open.mean(&p.open.p, p.startRead), s.tap.mean(&p.tap.p, p.startTap)
	if days := s.resolved.daysTo(at); days > 0 {
		r += p.Open.revived(days) * (p.startRead - r)
		t += p.Tap.revived(days) * (p.startTap - t)
	}
	return bound(r), bound(t)
}

func bound(p float32) float64 { return min(max(float64(p), 1e-5), 1-1e-5) }

// sinceRead is the days since the last reading, a year at most.
func (s *State) sinceRead(at int64) float64 {
	if s.read == 0 {
		return 365
	}
	return min(s.read.daysTo(at), 365)
}

// fresh is 1 before the first mail is resolved and next to nothing after a few.
func (s *State) fresh() float64 {
	f := countUnit / (countUnit + float64(s.n))
	return f * f * f * f
}

// load is the slow stock before the mail. A mail already sent is taken out again,
// so that the Learner sees what the prediction saw.
func (s *State) load(p *Prior, m Mail) float64 {
	if s.sent == 0 {
		return 0
	}
	slow := s.slow * decay(s.sent.daysTo(m.At), p.Fatigue.Slow)
	if s.sent >= stampOf(m.At) {
		slow = max(slow-m.Weight, 0)
	}
	return float64(slow)
}

// memory is a span of mails over which readings are remembered.
type memory struct {
	halfLife float64       // mails
	keep     float64       // share kept from one mail to the next
	mails    [seen]float32 // mails remembered of the first 0, 1, 2, ..
}

// seen is the number of mails after which a memory remembers no more of them.
const seen = 512

var memories = [3]memory{newMemory(2), newMemory(8), newMemory(32)}

func newMemory(halfLife float64) (m memory) {
	m.halfLife, m.keep = halfLife, math.Exp2(-1/halfLife)
	for n := range m.mails {
		m.mails[n] = float32((1 - math.Pow(m.keep, float64(n))) / (1 - m.keep))
	}
	return m
}

// of gives the mails remembered of n, in countUnit.
func (m *memory) of(n uint16) float64 {
	whole := n / countUnit
	if whole >= seen-1 {
		return float64(m.mails[seen-1])
	}
	a, b := m.mails[whole], m.mails[whole+1]
	return float64(a + (b-a)*float32(n%countUnit)/countUnit)
}

// frequency is the log-odds of the remembered share of readings, shrunk to the
// share of everybody.
func (s *State) frequency(i int, usual float64) float64 {
	reads := float64(s.reads[i]) / readUnit
	mails := memories[i].of(s.n)
	return math.Log((reads + usual) / (max(mails-reads, 0) + 1 - usual))
}

// logs is the logarithm of 1 + a number of misses.
var logs = func() (t [256]float64) {
	for i := range t {
		t[i] = math.Log(float64(1 + i))
	}
	return t
}()
