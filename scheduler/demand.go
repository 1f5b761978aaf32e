package scheduler

import (
	"encoding/binary"
	"math"
)

// Demand is how much the mail that was planned of late is expected to be read:
// what tells which of it brings least. It is a plain value.
//
// Where volume must fall, mail that is least likely to be read costs least: in
// recorded newsletters half of the recipients hold 92 % of the opens. What is
// dropped is therefore chosen by one rule for all of a tenant's mail: what brings
// least for what it costs, as long as a share of the readings expected (Policy.Keep)
// is left. A fixed bound on utility drops a tenth on one list and half on another.
type Demand struct {
	bins  [demandBins]float64 // readings expected of mail that may be dropped, by its thrift
	total float64             // of all mail to people of whom something is known
	since int64               // unix second at which a mail has the weight 1; later ones have more
	mails uint32
}

const (
	demandBins   = 64
	demandLeast  = 1e-3              // upper edge of the lowest bin
	demandSteps  = 4                 // bins to a doubling
	demandMemory = 7 * secondsPerDay // half-life: lists and their people change
	demandEnough = 500               // mails below which nothing is said
)

// attention is what a mail costs its reader whatever else it costs, in readings: it
// wants to be looked at. It decides how much the likelihood of a reading counts for
// the order of drops, and how much pressure and the risk that the reader leaves.
const attention = 0.08

// thrift is what mail brings for what it costs.
func thrift(worth, cost float32) float32 { return worth / (attention + max(cost, 0)) }

// Add counts one mail that was planned at a unix second: its value times the
// probability that it is read, what it costs, and whether it may be dropped for
// that. It is to be mail to people of whom something is known: what is foreseen of
// newcomers is the usual, and would pass for readings that can be lost.
func (d *Demand) Add(at int64, worth, cost float32, droppable bool) {
	if d.since == 0 || at-d.since > 20*demandMemory {
		d.refer(at)
	}
	weight := math.Exp2(float64(at-d.since)/demandMemory) * float64(max(worth, 0))
	d.mails = min(d.mails+1, demandEnough)
	d.total += weight
	if droppable {
		d.bins[demandBin(thrift(worth, cost))] += weight
	}
}

// refer moves the second at which a mail has the weight 1.
func (d *Demand) refer(at int64) {
	by := math.Exp2(float64(d.since-at) / demandMemory)
	if d.since == 0 {
		by = 0
	}
	for i := range d.bins {
		d.bins[i] *= by
	}
	d.total *= by
	d.since = at
}

// Floor is the thrift below which mail may be dropped so that the share keep of all
// readings is left; 0 where nothing may, or where too little is known.
func (d *Demand) Floor(keep float32) float32 {
	if d.mails < demandEnough || keep >= 1 {
		return 0
	}
	rest := (1 - float64(keep)) * d.total
	for i, lost := range d.bins {
		if lost > rest {
			// Within the bin readings are taken to be spread evenly.
			return demandEdge(i) + (demandEdge(i+1)-demandEdge(i))*float32(rest/lost)
		}
		rest -= lost
	}
	return demandEdge(demandBins)
}

func demandBin(thrift float32) int {
	if thrift <= demandLeast {
		return 0
	}
	return min(demandBins-1, 1+int(demandSteps*math.Log2(float64(thrift/demandLeast))))
}

// demandEdge is the lower edge of a bin.
func demandEdge(i int) float32 {
	if i == 0 {
		return 0
	}
	return demandLeast * float32(math.Exp2(float64(i-1)/demandSteps))
}

const demandSize = 8*(demandBins+2) + 4

func (d *Demand) appendBinary(b []byte) []byte {
	le := binary.LittleEndian
	for _, v := range d.bins {
		b = le.AppendUint64(b, math.Float64bits(v))
	}
	b = le.AppendUint64(b, math.Float64bits(d.total))
	b = le.AppendUint64(b, uint64(d.since))
	return le.AppendUint32(b, d.mails)
}

// readDemand reads what appendBinary wrote.
func readDemand(b []byte) (d Demand, ok bool) {
	if len(b) != demandSize {
		return d, false
	}
	le := binary.LittleEndian
	number := func(i int) float64 { return math.Float64frombits(le.Uint64(b[8*i:])) }
	for i := range d.bins {
		d.bins[i] = number(i)
		ok = ok || !(d.bins[i] >= 0 && d.bins[i] < 1e15) // also not a number
	}
	d.total, d.since = number(demandBins), int64(le.Uint64(b[8*(demandBins+1):]))
	if ok || !(d.total >= 0 && d.total < 1e15) || d.since < 0 {
		return Demand{}, false
	}
	d.mails = min(le.Uint32(b[demandSize-4:]), demandEnough)
	return d, true
}
