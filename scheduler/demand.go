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
	bins   [demandBins]float32 // readings expected of mail that may be dropped, by its thrift
	total  float32             // of all mail
	weight float32             // of the next mail; grows, so that old mail fades
	mails  uint32
}

const (
	demandBins   = 64
	demandLeast  = 1e-3   // upper edge of the lowest bin
	demandSteps  = 4      // bins to a doubling
	demandMemory = 20_000 // mails after which a mail's weight has fallen to a third
	demandEnough = 500    // mails below which nothing is said
)

// attention is what a mail costs its reader whatever else it costs, in readings: it
// wants to be looked at. It decides how much the likelihood of a reading counts for
// the order of drops, and how much pressure and the risk that the reader leaves.
const attention = 0.08

// thrift is what mail brings for what it costs.
func thrift(worth, cost float32) float32 { return worth / (attention + max(cost, 0)) }

// Add counts one mail that was planned: its value times the probability that it is
// read, what it costs, and whether it may be dropped for that.
func (d *Demand) Add(worth, cost float32, droppable bool) {
	if d.weight == 0 {
		d.weight = 1
	}
	if !(worth > 0) {
		worth = 0
	}
	d.mails = min(d.mails+1, demandEnough)
	d.total += d.weight * worth
	if droppable {
		d.bins[demandBin(thrift(worth, cost))] += d.weight * worth
	}
	if d.weight *= 1 + 1.0/demandMemory; d.weight > 1e6 {
		d.fade(1 / d.weight)
	}
}

func (d *Demand) fade(by float32) {
	for i := range d.bins {
		d.bins[i] *= by
	}
	d.total *= by
	d.weight *= by
}

func demandBin(thrift float32) int {
	if thrift <= demandLeast {
		return 0
	}
	return min(demandBins-1, 1+int(demandSteps*math.Log2(float64(thrift/demandLeast))))
}

// Floor is the thrift below which mail may be dropped so that the share keep of all
// readings is left; 0 where nothing may, or where too little is known.
func (d *Demand) Floor(keep float32) float32 {
	if d.mails < demandEnough || keep >= 1 {
		return 0
	}
	rest := (1 - keep) * d.total
	for i, lost := range d.bins {
		if lost > rest {
			// Within the bin readings are taken to be spread evenly.
			return demandEdge(i) + (demandEdge(i+1)-demandEdge(i))*rest/lost
		}
		rest -= lost
	}
	return demandEdge(demandBins)
}

// demandEdge is the lower edge of a bin.
func demandEdge(i int) float32 {
	if i == 0 {
		return 0
	}
	return demandLeast * float32(math.Exp2(float64(i-1)/demandSteps))
}

const demandSize = 4 * (demandBins + 3)

func (d *Demand) appendBinary(b []byte) []byte {
	le := binary.LittleEndian
	for _, v := range d.bins {
		b = le.AppendUint32(b, math.Float32bits(v))
	}
	b = le.AppendUint32(b, math.Float32bits(d.total))
	b = le.AppendUint32(b, math.Float32bits(d.weight))
	return le.AppendUint32(b, d.mails)
}

// readDemand reads what appendBinary wrote.
func readDemand(b []byte) (d Demand, ok bool) {
	if len(b) != demandSize {
		return d, false
	}
	le := binary.LittleEndian
	numbers := make([]*float32, 0, demandBins+2)
	for i := range d.bins {
		numbers = append(numbers, &d.bins[i])
	}
	for i, v := range append(numbers, &d.total, &d.weight) {
		*v = math.Float32frombits(le.Uint32(b[4*i:]))
		if !(*v >= 0 && *v < 1e12) { // also not a number
			return Demand{}, false
		}
	}
	d.mails = min(le.Uint32(b[demandSize-4:]), demandEnough)
	return d, true
}
