package scheduler

import (
	"encoding/binary"
	"errors"
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/interest"
)

// Learner learns what is shared by all people of a tenant from their outcomes,
// in bounded time and memory.
type Learner struct {
	model    Model
	interest *interest.Learner
	Habits   Habits
}

// Habits is what a refit of the shared curves and of the delay kernel rests on.
// It is taken out of the learner while it is being fitted, which may take seconds.
type Habits struct {
	clocks clock.Learner
	delays []clock.Delay
	oldest int // of delays, once there are enough
}

const (
	// habitHorizon is how far ahead a refit's curves must foretell, in seconds:
	// long enough to have every weekday, short enough to survive restarts.
	habitHorizon = 7 * 24 * 3600
	keptDelays   = 5000
)

// Watch notes the state of a person's clock.
func (h *Habits) Watch(m *Model, key uint64, c *clock.Clock, at time.Time) {
	h.clocks.Horizon = habitHorizon
	h.clocks.Observe(m.Clock, key, c, at.Unix())
}

// Delayed notes how long a mail whose hour was drawn by lot waited for its reader.
func (h *Habits) Delayed(d time.Duration) {
	delay := clock.Delay{Hours: float32(d.Hours())}
	if len(h.delays) < keptDelays {
		h.delays = append(h.delays, delay)
		return
	}
	h.delays[h.oldest%keptDelays] = delay
	h.oldest = (h.oldest + 1) % keptDelays
}

// Refit fits the shared clock anew. It is from itself where there is too little to
// go by, or where people who were kept out of the fit are foretold worse.
func (h *Habits) Refit(from *clock.Prior) (*clock.Prior, clock.Report) {
	next, report := h.clocks.Refit(from)
	if len(h.delays) < fewDelays {
		return next, report
	}
	return next.WithKernel(clock.FitKernel(h.delays, next.Kernel)), report
}

const fewDelays = 100 // fewer do not move the kernel

// NewLearner starts from a model.
func NewLearner(from *Model) *Learner {
	return &Learner{model: *from, interest: interest.NewLearner(from.Interest)}
}

// Observe learns from one delivered mail whose outcome is known; before is the
// person without it. It is what Model.Resolved calls.
func (l *Learner) Observe(before *interest.State, m interest.Mail, read, clicked bool) {
	l.model.Observed = l.model.Observed || read || clicked
	l.interest.Observe(before, m, read, clicked)
}

// SetObserved notes that an open or a click came back.
func (l *Learner) SetObserved() { l.model.Observed = true }

// Observed reports whether an open or a click ever came back.
func (l *Learner) Observed() bool { return l.model.Observed }

// Model is what was learned so far, as a model of its own.
func (l *Learner) Model() *Model {
	l.model.Interest = l.interest.Snapshot()
	m := l.model
	return &m
}

// Planned counts a mail that was planned for the first time, and why.
func (l *Learner) Planned(d *Decision, value float32, droppable bool) {
	if !d.At.IsZero() && d.Mails >= leastMails {
		l.model.Demand.Add(d.At.Unix(), value*d.Interest, d.Now.costs(), droppable)
	}
}

// Adopt takes over a refitted clock and counts a version on.
func (l *Learner) Adopt(p *clock.Prior) {
	if p != l.model.Clock {
		l.model.Clock = p
		l.model.Version++
	}
}

const learnerVersion = 1

var errLearner = errors.New("scheduler: a learned model cannot be read: unknown version or damaged")

// AppendBinary appends what was learned: version, whether anything came back, the
// model's version and the priors with their lengths.
func (l *Learner) AppendBinary(b []byte) []byte {
	m := l.Model()
	observed := byte(0)
	if m.Observed {
		observed = 1
	}
	b = append(b, learnerVersion, observed)
	b = binary.LittleEndian.AppendUint32(b, m.Version)
	b = appendPart(b, m.Clock.AppendBinary(nil))
	prior, err := m.Interest.AppendBinary(nil)
	if err != nil {
		prior = nil // read back as damaged, and started anew
	}
	return m.Demand.appendBinary(appendPart(b, prior))
}

func appendPart(b, part []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(part))), part...)
}

func cutPart(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 || uint64(len(b)-4) < uint64(binary.LittleEndian.Uint32(b)) {
		return nil, nil, errLearner
	}
	n := 4 + int(binary.LittleEndian.Uint32(b))
	return b[4:n], b[n:], nil
}

// ReadLearner reads what AppendBinary wrote.
func ReadLearner(b []byte) (*Learner, error) {
	if len(b) < 6 || b[0] != learnerVersion || b[1] > 1 {
		return nil, errLearner
	}
	m := Model{Version: binary.LittleEndian.Uint32(b[2:]), Observed: b[1] == 1, Clock: new(clock.Prior), Interest: new(interest.Prior)}
	habits, rest, err := cutPart(b[6:])
	if err != nil {
		return nil, err
	}
	prior, rest, err := cutPart(rest)
	if err != nil {
		return nil, err
	}
	var ok bool
	if m.Demand, ok = readDemand(rest); !ok {
		return nil, errLearner
	}
	if err := m.Interest.UnmarshalBinary(prior); err != nil {
		return nil, err
	}
	if rest, err := m.Clock.UnmarshalBinary(habits); err != nil || len(rest) > 0 {
		return nil, errLearner
	}
	return NewLearner(&m), nil
}
