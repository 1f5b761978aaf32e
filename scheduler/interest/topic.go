package interest

import "math"

// topicSlots is how many topics a person is told apart by; the least used makes
// way for a new one.
const topicSlots = 5

// topic compares how often mails of one topic were read with what was foreseen
// of the person as a whole. An empty slot has id 0; one whose topic the person said
// does not concern them has an id without topicMark.
type topic struct {
	id                     uint16
	mails, reads, foreseen uint8 // decayed, in topicUnit
}

const (
	topicUnit   = 16
	topicMemory = 15 // mails of the topic after which evidence falls to 1/e
	// topicShrink is the inverse of the variance of topics' log-odds in a person.
	topicShrink = 0.5
)

func topicID(t uint32) uint16 {
	if t == 0 {
		return 0
	}
	return uint16(t>>16^t) | topicMark // never 0
}

// topicMark is set in every topic's id.
const topicMark = 1 << 15

// is reports whether the slot is that of a topic.
func (t *topic) is(id uint16) bool { return t.id|topicMark == id && t.id != 0 }

// averse reports whether the person said that the topic does not concern them.
func (t *topic) averse() bool { return t.id != 0 && t.id&topicMark == 0 }

// deviation is how far a topic's log-odds lie from those of all the person's
// topics together, shrunk to 0 where little was seen.
func (s *State) deviation(t uint32) float64 {
	favour := s.favour(t)
	if favour == 1 {
		return 0
	}
	return math.Log(float64(favour))
}

// favour is the factor on the odds of reading that a topic has with the person,
// relative to that of all topics.
func (s *State) favour(t uint32) float32 {
	id := topicID(t)
	if id == 0 {
		return 1
	}
	var own, all topicSum
	said := float32(1)
	for i := range s.topics {
		slot := &s.topics[i]
		if slot.is(id) {
			own.add(slot)
			if slot.averse() {
				said = aversion
			}
		}
		all.add(slot)
	}
	if own == all || own.mails == 0 {
		return said // nothing to compare it with, or unknown
	}
	return said * own.favour(&all)
}

// topicSum is the evidence of some topics, in topicUnit.
type topicSum struct{ mails, reads, foreseen uint32 }

func (t *topicSum) add(slot *topic) {
	t.mails += uint32(slot.mails)
	t.reads += uint32(slot.reads)
	t.foreseen += uint32(slot.foreseen)
}

// favour is the odds ratio of reading these mails against q, the share foreseen.
// What was foreseen is first corrected by how wrong it was of all the person's
// mails. The prior weighs as much at every q: one reading more or less than
// foreseen says little of somebody who reads a half, but much of one who hardly
// reads.
func (t *topicSum) favour(all *topicSum) float32 {
	missed := float32((t.mails - t.foreseen) * all.foreseen * (all.mails - all.reads))
	foreseen := float32(t.foreseen * all.reads * (all.mails - all.foreseen))
	if foreseen+missed == 0 {
		return 1
	}
	q := foreseen / (foreseen + missed)
	const shrink = topicShrink * topicUnit
	return (float32(t.reads)*(1-q) + shrink) / (float32(t.mails-t.reads)*q + shrink)
}

// noteTopic adds one outcome to the topic's slot; foreseen is the chance of
// reading a mail of no particular topic.
func (s *State) noteTopic(t uint32, foreseen float32, read bool, weight float32) {
	id := topicID(t)
	if id == 0 {
		return
	}
	slot, up := s.slot(id), s.dither()
	gain := float32(0)
	if read {
		gain = weight
	}
	if read && weight == 1 {
		slot.id = id // what they do counts more than what they said
	}
	slot.mails = topicCount(slot.mails, weight, weight, up)
	slot.reads = topicCount(slot.reads, weight, gain, up)
	slot.foreseen = min(topicCount(slot.foreseen, weight, foreseen*weight, up), slot.mails)
}

func topicCount(old uint8, weight, gain, up float32) uint8 {
	v := float32(old)*(1-weight/topicMemory) + gain*topicUnit + up
	return uint8(min(v, 255))
}

// slot finds the topic's slot or empties the one with the least evidence for it.
func (s *State) slot(id uint16) *topic {
	least := &s.topics[0]
	for i := range s.topics {
		slot := &s.topics[i]
		if slot.is(id) {
			return slot
		}
		if slot.mails < least.mails || slot.id == 0 && least.id != 0 {
			least = slot
		}
	}
	*least = topic{id: id}
	return least
}
