package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Decision is one decision of the past: the facts it rested on and what came of
// it.
type Decision struct {
	ID      string // of the delivery
	Mailbox uint64 // hash of the mailbox, the unit by which arms are drawn
	Facts   Facts

	Happened Effect // what was done
	Arm      string // of the experiment; empty: none
	// Propensity is how likely Happened was, over all that was drawn by lot: arms
	// and exploration. 1 says that nothing else could have happened, 0 that it is
	// not known; between them the decision was randomised.
	Propensity float64

	Outcome Outcome // what the reader did; nothing, if it never went
}

// Outcome is what a reader did with a delivery.
type Outcome struct{ Opened, Clicked, Unsubscribed, Complained bool }

// codecVersion is the first byte of a decision.
const codecVersion = 1

// Bounds of what a decision may say of times.
const (
	maxUnix   = 253402300799      // 9999-12-31
	maxAge    = 100 * 366 * 86400 // seconds, 100 years
	maxOffset = 24 * 60 * 60      // seconds from UTC
)

// ErrCorrupt is a decision that cannot be read.
var ErrCorrupt = errors.New("corrupt decision")

// AppendBinary appends the decision, some 150 to 250 bytes. Times and spans are
// kept to the second, spans up to 100 years, and of the time zone its offset. It
// fails for a decision without a time.
func (d *Decision) AppendBinary(b []byte) ([]byte, error) {
	f := &d.Facts
	at := f.Now.Unix()
	if at < 0 || at > maxUnix {
		return b, fmt.Errorf("decision %s is of the year %d", d.ID, f.Now.Year())
	}
	_, offset := f.Now.Zone()
	b = append(b, codecVersion, d.flags())
	b = binary.LittleEndian.AppendUint64(b, d.Mailbox)
	b = binary.AppendUvarint(b, uint64(at))
	b = binary.AppendVarint(b, int64(min(max(offset, -maxOffset), maxOffset)))
	for _, s := range d.texts() {
		b = appendText(b, *s)
	}
	b = appendTexts(b, f.Message.Tags)
	b = appendTexts(b, f.Mailbox.Segments)
	b = binary.AppendUvarint(b, uint64(len(f.Mailbox.Attributes)))
	for _, key := range slices.Sorted(maps.Keys(f.Mailbox.Attributes)) {
		b = appendText(appendText(b, key), f.Mailbox.Attributes[key])
	}
	b = binary.AppendVarint(b, f.Message.Size)
	for _, n := range d.counts() {
		b = binary.AppendUvarint(b, uint64(*n))
	}
	for _, x := range d.numbers() {
		// Round numbers end in zero bytes; turned round they are short.
		b = binary.AppendUvarint(b, bits.ReverseBytes64(math.Float64bits(*x)))
	}
	for _, span := range d.spans() {
		b = appendSpan(b, *span)
	}
	for _, t := range d.times() {
		if t.IsZero() {
			b = append(b, 0)
			continue
		}
		b = appendSpan(append(b, 1), f.Now.Sub(*t))
	}
	return b, nil
}

// Decode reads what AppendBinary wrote, the whole of b, or fails with ErrCorrupt.
func Decode(b []byte) (Decision, error) {
	var d Decision
	r := &decoder{b: b}
	if v := r.byte(); v != codecVersion {
		return d, fmt.Errorf("%w: version %d", ErrCorrupt, v)
	}
	d.setFlags(r.byte())
	f := &d.Facts
	d.Mailbox = binary.LittleEndian.Uint64(r.take(8))
	at, offset := r.uvarint(maxUnix), r.varint(maxOffset)
	f.Now = time.Unix(int64(at), 0).In(zone(int(offset)))
	for _, s := range d.texts() {
		*s = r.text()
	}
	f.Message.Tags, f.Mailbox.Segments = r.texts(), r.texts()
	if n := r.length(2); n > 0 {
		f.Mailbox.Attributes = make(map[string]string, n)
		for range n {
			key := r.text()
			f.Mailbox.Attributes[key] = r.text()
		}
	}
	f.Message.Size = r.varint(math.MaxInt64)
	for _, n := range d.counts() {
		*n = uint32(r.uvarint(math.MaxUint32))
	}
	for _, x := range d.numbers() {
		*x = math.Float64frombits(bits.ReverseBytes64(r.uvarint(math.MaxUint64)))
	}
	for _, span := range d.spans() {
		*span = r.span()
	}
	for _, t := range d.times() {
		if r.byte() != 0 {
			*t = f.Now.Add(-r.span())
		}
	}
	if r.bad || len(r.b) > 0 {
		return Decision{}, ErrCorrupt
	}
	return d, nil
}

// zone is a place so far east of UTC.
func zone(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

// The members in the order they are written.

func (d *Decision) texts() [10]*string {
	m, b := &d.Facts.Message, &d.Facts.Mailbox
	return [...]*string{&d.ID, &d.Arm, &d.Facts.Tenant, &m.Class, &m.Campaign, &m.List, &m.Subject, &b.Local, &b.Domain, &b.Provider}
}

func (d *Decision) counts() [15]*uint32 {
	b := &d.Facts.Mailbox
	return [...]*uint32{
		&b.Sends.D1, &b.Sends.D7, &b.Sends.D30, &b.Sends.D90, &b.Opens.D1, &b.Opens.D7, &b.Opens.D30, &b.Opens.D90,
		&b.Clicks.D1, &b.Clicks.D7, &b.Clicks.D30, &b.Clicks.D90, &b.Complaints, &b.DomainSends, &b.DomainBounces,
	}
}

func (d *Decision) numbers() [5]*float64 {
	b := &d.Facts.Mailbox
	return [...]*float64{&d.Facts.Message.Value, &b.Fatigue, &b.Interest, &b.Tolerance, &d.Propensity}
}

func (d *Decision) spans() [3]*time.Duration {
	return [...]*time.Duration{&d.Facts.Message.Age, &d.Facts.Mailbox.OpensVisible, &d.Facts.Mailbox.ClicksVisible}
}

func (d *Decision) times() [3]*time.Time {
	b := &d.Facts.Mailbox
	return [...]*time.Time{&b.LastSend, &b.LastOpen, &b.LastClick}
}

// flags packs what is said in a bit: the effect, the outcome, whether there is a
// model.
func (d *Decision) flags() byte {
	flags := byte(d.Happened) & 3
	for i, set := range []bool{d.Outcome.Opened, d.Outcome.Clicked, d.Outcome.Unsubscribed, d.Outcome.Complained, d.Facts.Mailbox.Modelled} {
		if set {
			flags |= 4 << i
		}
	}
	return flags
}

func (d *Decision) setFlags(flags byte) {
	d.Happened = Effect(flags & 3)
	d.Outcome = Outcome{flags&4 != 0, flags&8 != 0, flags&16 != 0, flags&32 != 0}
	d.Facts.Mailbox.Modelled = flags&64 != 0
}
