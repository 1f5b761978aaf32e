package local

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"time"

	"tidepost/gateway"
)

// traceSize is what a trace takes on disk:
//
//	hash of the name u64 · message [16] · ordinal u32 · mailbox [16]
const traceSize = 44

// traceRecord is a trace in memory, linked to the one noted under the same name
// before it.
type traceRecord struct {
	hash uint64
	gateway.Trace
	before uint32 // its index + 1; 0: none
}

func appendTrace(b []byte, hash uint64, t *gateway.Trace) []byte {
	b = binary.BigEndian.AppendUint64(b, hash)
	b = append(b, t.Delivery.Message[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Delivery.Ordinal)
	return append(b, t.Mailbox[:]...)
}

func decodeTrace(b []byte) (hash uint64, t gateway.Trace) {
	t.Delivery = gateway.DeliveryID{Message: gateway.ID(b[8:24]), Ordinal: binary.BigEndian.Uint32(b[24:])}
	t.Mailbox = gateway.Key(b[28:44])
	return binary.BigEndian.Uint64(b), t
}

// traceRun is the names noted most lately, in the order they came.
type traceRun struct {
	number uint32
	began  time.Time

	// The records lie in arrays that never move: below n they do not change, so that
	// a writer with a copy of both reads them without the lock.
	chunks []*[traceChunk]traceRecord
	n      int
	slots  []uint32 // by hash, open addressing: index + 1 of its latest record
	names  int      // slots in use
	idSpan

	// Guarded by traces.saving.
	log    file
	off    int64 // its end
	saved  int   // records in it
	broken bool  // it could not be written; the run is in memory alone
}

const (
	traceChunk = 4096

	// traceChain is how many traces of one name in one run are looked at: some
	// senders write the same Message-ID into all their mail.
	traceChain = 4096
)

// idSpan is from when to when ids were made, in ms. The zero value is for none.
type idSpan struct{ min, max int64 }

func (s *idSpan) add(ms int64) {
	if *s == (idSpan{}) {
		*s = idSpan{math.MaxInt64, math.MinInt64}
	}
	s.min, s.max = min(s.min, ms), max(s.max, ms)
}

func (s idSpan) holds(ms int64) bool { return s.min <= ms && ms <= s.max }

func (r *traceRun) at(i int) *traceRecord { return &r.chunks[i/traceChunk][i%traceChunk] }

func (r *traceRun) add(hash uint64, t gateway.Trace) {
	if r.n%traceChunk == 0 {
		r.chunks = append(r.chunks, new([traceChunk]traceRecord))
	}
	if 2*(r.names+1) > len(r.slots) {
		r.rehash()
	}
	slot := r.slot(hash)
	if *slot == 0 {
		r.names++
	}
	*r.at(r.n) = traceRecord{hash: hash, Trace: t, before: *slot}
	r.n++
	*slot = uint32(r.n)
	r.idSpan.add(accepted(t))
}

// slot returns the place for a hash: its own or the free one that it may take.
func (r *traceRun) slot(hash uint64) *uint32 {
	mask := uint64(len(r.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &r.slots[i]; *s == 0 || r.at(int(*s)-1).hash == hash {
			return s
		}
	}
}

func (r *traceRun) rehash() {
	old := r.slots
	r.slots = make([]uint32, max(256, 2*len(old)))
	for _, i := range old {
		if i > 0 {
			*r.slot(r.at(int(i) - 1).hash) = i
		}
	}
}

// find appends the traces under a hash of deliveries accepted at since or later.
func (r *traceRun) find(found []gateway.Trace, hash uint64, since int64) []gateway.Trace {
	if r.n == 0 || r.max < since {
		return found
	}
	for i, left := *r.slot(hash), traceChain; i > 0 && left > 0; left-- {
		rec := r.at(int(i) - 1)
		if accepted(rec.Trace) >= since {
			found = append(found, rec.Trace)
		}
		i = rec.before
	}
	return found
}

// A run's log:
//
//	header  magic [8] · began i64, ms
//	block   count u32 · CRC-32C of count and records u32 · records
const (
	traceLogMagic  = "TIDETRL\x01"
	traceLogHeader = 16
	traceBlock     = 8
)

// write appends the records from saved to n to the run's log.
func (r *traceRun) write(d disk, path string, chunks []*[traceChunk]traceRecord, n int) (err error) {
	var b []byte
	if r.log == nil {
		if r.log, err = d.Create(path); err != nil {
			return err
		}
		b = binary.BigEndian.AppendUint64(append(b, traceLogMagic...), uint64(r.began.UnixMilli()))
	}
	for i := r.saved; i < n; {
		end := min(n, (i/traceChunk+1)*traceChunk)
		start := len(b)
		b = binary.BigEndian.AppendUint32(b, uint32(end-i))
		b = binary.BigEndian.AppendUint32(b, 0)
		for ; i < end; i++ {
			rec := &chunks[i/traceChunk][i%traceChunk]
			b = appendTrace(b, rec.hash, &rec.Trace)
		}
		binary.BigEndian.PutUint32(b[start+4:], blockSum(b[start:]))
		size := int64(len(b))
		if err := r.log.Writev(r.off, [][]byte{b}); err != nil {
			return err
		}
		r.off, b = r.off+size, b[:0]
		r.saved = i
	}
	return nil
}

func blockSum(block []byte) uint32 {
	return crc32.Update(crc32.Checksum(block[:4], castagnoli), castagnoli, block[traceBlock:])
}

// readTraceLog reads the log of a run as far as it is whole, and says how much of
// it is not.
func readTraceLog(path string, number uint32) (r *traceRun, torn int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	if len(b) < traceLogHeader || string(b[:8]) != traceLogMagic {
		return nil, 0, fmt.Errorf("its header: %w", gateway.ErrDamaged)
	}
	r = &traceRun{number: number, began: time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:])))}
	rest := b[traceLogHeader:]
	for len(rest) >= traceBlock {
		count := int64(binary.BigEndian.Uint32(rest))
		size := traceBlock + count*traceSize
		if count == 0 || size > int64(len(rest)) || blockSum(rest[:size]) != binary.BigEndian.Uint32(rest[4:]) {
			break
		}
		for p := rest[traceBlock:size]; len(p) > 0; p = p[traceSize:] {
			r.add(decodeTrace(p))
		}
		rest = rest[size:]
	}
	r.off, r.saved = int64(len(b)-len(rest)), r.n
	return r, len(rest), nil
}
