package local

import (
	"context"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
)

// finder knows in which parts of the log a message can be: for stretches of 64
// KiB, the span of the ids in them. It is exact, whatever order ids come in: what
// compaction has copied makes a span wide, never wrong. A segment is read through
// at the first question that reaches it; later ones read the parts whose span holds
// the id. What grows is read on from where the last question ended.
type finder struct {
	log *segments

	mu    sync.Mutex                    // one segment is read through at a time
	spans map[uint32]idSpan             // guarded by mu: of whole segments
	known *lru.Cache[uint32, *outlined] // guarded by mu
}

// outlined is a segment that was read, at least in part.
type outlined struct {
	parts []part
	end   int64 // behind the last record read
	whole bool
	idSpan
}

// part is a stretch of records.
type part struct {
	from, to int64
	idSpan
}

const (
	partSize = 64 << 10

	// finderSegments is how many segments' parts are kept, 32 bytes each: 32 KiB for a
	// segment of 64 MiB.
	finderSegments = 256

	// finderLook is how many records are read between looks at the context.
	finderLook = 1000
)

func newFinder(log *segments) *finder {
	f := &finder{log: log, spans: make(map[uint32]idSpan)}
	f.known, _ = lru.New[uint32, *outlined](finderSegments) // fails only for a size below 1
	return f
}

// parts returns the parts of a segment, as far as it is durable, in which there
// are ids of that millisecond.
func (f *finder) parts(ctx context.Context, n uint32, durable place, ms int64) (parts []part, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if span, ok := f.spans[n]; ok && !span.holds(ms) {
		return nil, nil
	}
	o, ok := f.known.Get(n)
	if !ok {
		o = &outlined{end: segmentHeader}
		f.known.Add(n, o)
	}
	if !o.whole {
		if err := f.readOn(ctx, n, durable, o); err != nil {
			return nil, err
		}
	}
	for _, p := range o.parts {
		if p.holds(ms) {
			parts = append(parts, p)
		}
	}
	return parts, nil
}

// readOn reads a segment from where it was left.
func (f *finder) readOn(ctx context.Context, n uint32, durable place, o *outlined) error {
	limit := int64(0)
	if n == durable.segment() {
		if limit = int64(durable.offset()); limit <= o.end {
			return nil
		}
	}
	sc, done, err := f.log.scan(n, o.end, limit)
	if err != nil {
		return err
	}
	defer done()
	for i := 0; ; i++ {
		r, err := sc.next()
		if err == nil && i%finderLook == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if r.typ == 0 {
			break
		}
		o.add(&r)
	}
	if limit == 0 {
		o.whole, f.spans[n] = true, o.idSpan
	}
	return nil
}

// add puts a record into the last part, or into a new one.
func (o *outlined) add(r *rawRecord) {
	o.end = r.end()
	id, ok := messageID(r)
	if !ok {
		return
	}
	if n := len(o.parts); n == 0 || r.end()-o.parts[n-1].from > partSize {
		o.parts = append(o.parts, part{from: r.off})
	}
	p := &o.parts[len(o.parts)-1]
	p.to = r.end()
	p.add(id.Time().UnixMilli())
	o.idSpan.add(id.Time().UnixMilli())
}

// forget lets go of a segment that is removed.
func (f *finder) forget(n uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.spans, n)
	f.known.Remove(n)
}

// messageID returns the id in a message's record, where it has a fixed place.
func messageID(r *rawRecord) (id gateway.ID, ok bool) {
	if !isMessage(r.typ) || len(r.payload) < 21 {
		return id, false
	}
	return gateway.ID(r.payload[5:21]), true
}
