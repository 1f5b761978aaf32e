package local

import (
	"encoding/binary"
	"slices"
	"time"

	"tidepost/suppression"
)

// listTable names the lists that are live, in the order of their publication. It
// is small and always stored whole, in the journal and in the checkpoint.
type listTable struct {
	published uint64 // how many lists ever were
	lists     []liveList
	gone      []uint64 // files that are no longer needed and not removed yet
}

// liveList is one list of the table. Several may share a file.
type liveList struct {
	id      uint64 // in the file
	seq     uint64 // number of its publication
	file    uint64
	name    string
	entries int64
	at      time.Time
	actor   string
}

const tableVersion = 1

func (t *listTable) append(b []byte) []byte {
	b = append(b, tableVersion)
	b = binary.AppendUvarint(b, t.published)
	b = binary.AppendUvarint(b, uint64(len(t.lists)))
	for _, l := range t.lists {
		b = binary.AppendUvarint(b, l.id)
		b = binary.AppendUvarint(b, l.seq)
		b = binary.AppendUvarint(b, l.file)
		b = appendString(b, l.name)
		b = binary.AppendUvarint(b, uint64(l.entries))
		b = appendTime(b, l.at)
		b = appendString(b, l.actor)
	}
	b = binary.AppendUvarint(b, uint64(len(t.gone)))
	for _, n := range t.gone {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeTable(b []byte) (t listTable, err error) {
	d := decoder{b: b}
	d.version(tableVersion)
	t.published = d.uvarint()
	for range d.count() {
		if d.err != nil {
			break
		}
		t.lists = append(t.lists, liveList{
			id: d.uvarint(), seq: d.uvarint(), file: d.uvarint(), name: d.string(),
			entries: int64(d.uvarint()), at: d.time(), actor: d.string(),
		})
	}
	for range d.count() {
		if d.err != nil {
			break
		}
		t.gone = append(t.gone, d.uvarint())
	}
	return t, d.finish()
}

// files lists the files of the table, each once.
func (t *listTable) files() (numbers []uint64) {
	for _, l := range t.lists {
		if !slices.Contains(numbers, l.file) {
			numbers = append(numbers, l.file)
		}
	}
	return numbers
}

// without returns the table less the lists of a name.
func (t *listTable) without(name string) listTable {
	n := listTable{published: t.published, gone: t.gone}
	for _, l := range t.lists {
		if l.name != name {
			n.lists = append(n.lists, l)
		}
	}
	return n
}

func (t *listTable) has(name string) bool {
	return slices.ContainsFunc(t.lists, func(l liveList) bool { return l.name == name })
}

// layerSet is a table with its files open. It is never changed.
type layerSet struct {
	table  listTable
	layers []*layer
	seqs   map[uint64]uint64 // by id of a live list
}

func newLayerSet(t listTable, layers []*layer) *layerSet {
	s := &layerSet{table: t, layers: layers, seqs: make(map[uint64]uint64, len(t.lists))}
	for _, l := range t.lists {
		s.seqs[l.id] = l.seq
	}
	return s
}

// last is the number of the last publication, 0 where no list is live: there is
// nothing to hide then.
func (s *layerSet) last() uint64 {
	if len(s.table.lists) == 0 {
		return 0
	}
	return s.table.published
}

func (s *layerSet) layer(number uint64) *layer {
	for _, l := range s.layers {
		if l.number == number {
			return l
		}
	}
	return nil
}

// find appends what the files hold of an address, of lists that are not live too.
// On an error it goes on, so that what can be read is found.
func (s *layerSet) find(h entryHash, address string, dst []listed) (_ []listed, failed error) {
	for _, l := range s.layers {
		var err error
		if dst, err = l.find(h, address, dst); err != nil {
			failed = err
		}
	}
	return dst, failed
}

// inForce returns what is in force of an address, given what came one by one and
// what files hold. It does not change found.
func (s *layerSet) inForce(address string, base *entryList, found []listed) []suppression.Entry {
	var live []listed
	for i := range found {
		if seq := s.seqs[found[i].list]; seq > 0 {
			l := found[i]
			l.seq = seq
			live = append(live, l)
		}
	}
	return overlay(base, address, live)
}
