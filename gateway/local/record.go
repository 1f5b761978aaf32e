package local

import "hash/crc32"

// record is one record on its way into a log. head begins with recordHeader
// spare bytes; body, which may be nil, follows it on disk.
type record struct {
	head, body []byte
	crc        uint32 // of the payload: head behind the header, and body
	typ        byte
	at         place // set by the writer
}

// prepare computes what does not depend on the record's place.
func (r *record) prepare() {
	r.crc = crc32.Update(crc32.Checksum(r.head[recordHeader:], castagnoli), castagnoli, r.body)
}

func (r *record) size() int64 { return int64(len(r.head) + len(r.body)) }

// submission is what one caller hands to a writer: records that share a fate.
type submission struct {
	records []record
	dict    *dictionary // its segment must have it; may be nil
	relaxed bool        // acknowledged when written
	apply   func()      // called in the order of the log, before the caller is told
	done    chan error
}

func (s *submission) size() int64 {
	var n int64
	for i := range s.records {
		n += s.records[i].size()
	}
	return n
}

func (s *submission) finish(err error) {
	if err == nil && s.apply != nil {
		s.apply()
	}
	s.done <- err
}

// openSegment is the one that grows.
type openSegment struct {
	file   file
	number uint32
	salt   uint32
	off    int64
	size   int64
	dicts  map[uint64]uint32 // offsets of the dictionaries in it, by id
}

// needs returns the bytes that s takes in the segment.
func (g *openSegment) needs(s *submission) int64 {
	size := s.size()
	if s.dict != nil && g.dicts[s.dict.id] == 0 {
		size += s.dict.record.size()
	}
	return size
}
