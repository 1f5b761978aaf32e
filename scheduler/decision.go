package scheduler

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Aim is what a release hour is chosen for.
type Aim uint8

// The aims. Measured on recorded activity (devclock, 17,000 releases, 24 h): at once,
// 2.6 % are seen within the hour and the mean wait is 73.2 h; AimHour 6.6 % and
// 71.3 h; AimSoonest 3.6 % and 68.6 h; AimReads 5.5 % and 69.1 h, which is why it is
// the default.
const (
	AimDefault Aim = iota // the policy's; there, AimReads
	AimSoonest            // the shortest wait between delivery and reading
	AimHour               // read within the hour
	AimNow                // urgent: at once
	AimReads              // the most readings, soon or late
)

// Decision is why the model decides as it does: the numbers behind a plan, stored
// with the delivery. Utilities are in reads' worth of a message of value 1.
type Decision struct {
	At         time.Time // when it was made; zero: no model was asked
	Live       bool      // it was carried out, not only noted
	Arm        Arm
	Model      uint32  // version
	Propensity float32 // of the chosen hour under the arm's rule; 1 where there was no choice

	Would   Action    // what the model does, or would do were it live
	WouldAt time.Time // when

	Now, Best Parts     // of releasing now, and at BestAt
	BestAt    time.Time // best permitted hour
	RunnerUp  float32   // utility of the second best
	RunnerAt  time.Time // zero: there is none

	Reads    float32 // how much likelier a read within three hours of BestAt is than of now
	Pressure float32 // 1 is exactly at what the person bears
	Interest float32 // probability that the person reads a mail like this
	Evidence float32 // own observed hours, decayed
	Own      bool    // the curve is the person's own, not the shared one
	Mails    uint16  // outcomes known of this person

	Thrift float32 // what the mail brings for what it costs (Policy.Keep)
	Floor  float32 // thrift below which mail was dropped then; 0: none was
}

// Parts are what a utility is the sum of: what a reading brings, less what it may
// cost that the reader leaves or complains, that later mail is read less, and that
// the destination is busy.
type Parts struct{ Read, Unsubscribe, Complaint, Future, Price float32 }

// U is the utility.
func (p Parts) U() float32 { return p.Read + p.Unsubscribe + p.Complaint + p.Future + p.Price }

// costs is U without Read, as a positive number.
func (p Parts) costs() float32 { return -(p.Unsubscribe + p.Complaint + p.Future + p.Price) }

const (
	decisionVersion = 1
	decisionSize    = 4 + 4 + 2 + 4*4 + 18*4
)

var errDecision = errors.New("scheduler: a decision cannot be read: unknown version or damaged")

const (
	decidedLive = 1 << iota
	decidedOwn
)

// AppendBinary appends the decision, with times to the second: 98 bytes.
func (d *Decision) AppendBinary(b []byte) []byte {
	flags := byte(0)
	if d.Live {
		flags |= decidedLive
	}
	if d.Own {
		flags |= decidedOwn
	}
	le := binary.LittleEndian
	b = append(b, decisionVersion, flags, byte(d.Arm), byte(d.Would))
	b = le.AppendUint32(b, d.Model)
	b = le.AppendUint16(b, d.Mails)
	for _, t := range [...]time.Time{d.At, d.WouldAt, d.BestAt, d.RunnerAt} {
		b = le.AppendUint32(b, seconds(t))
	}
	for _, v := range d.numbers() {
		b = le.AppendUint32(b, math.Float32bits(*v))
	}
	return b
}

// UnmarshalBinary reads what AppendBinary wrote and returns the bytes behind it.
// On an error the decision is unchanged.
func (d *Decision) UnmarshalBinary(b []byte) (rest []byte, err error) {
	if len(b) < decisionSize || b[0] != decisionVersion || b[1] > decidedLive|decidedOwn ||
		b[2] > byte(ArmHistogram) || b[3] > byte(Drop) {
		return nil, errDecision
	}
	le := binary.LittleEndian
	read := Decision{Live: b[1]&decidedLive != 0, Own: b[1]&decidedOwn != 0, Arm: Arm(b[2]), Would: Action(b[3]),
		Model: le.Uint32(b[4:]), Mails: le.Uint16(b[8:])}
	b = b[10:]
	for _, t := range [...]*time.Time{&read.At, &read.WouldAt, &read.BestAt, &read.RunnerAt} {
		if s := le.Uint32(b); s != 0 {
			*t = time.Unix(int64(s), 0).UTC()
		}
		b = b[4:]
	}
	for _, v := range read.numbers() {
		*v = math.Float32frombits(le.Uint32(b))
		if math.IsNaN(float64(*v)) {
			return nil, errDecision
		}
		b = b[4:]
	}
	*d = read
	return b, nil
}

func (d *Decision) numbers() [18]*float32 {
	return [...]*float32{&d.Propensity,
		&d.Now.Read, &d.Now.Unsubscribe, &d.Now.Complaint, &d.Now.Future, &d.Now.Price,
		&d.Best.Read, &d.Best.Unsubscribe, &d.Best.Complaint, &d.Best.Future, &d.Best.Price,
		&d.RunnerUp, &d.Reads, &d.Pressure, &d.Interest, &d.Evidence, &d.Thrift, &d.Floor}
}
