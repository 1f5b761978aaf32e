package local

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"tidepost/suppression"
)

// baseReader goes through what came one by one in the order of the hashes,
// forward only, with a short transaction for each piece.
type baseReader struct {
	e     *entries
	piece []basePair
	from  entryHash // the piece holds all from here
	to    entryHash // up to here
	valid bool
}

type basePair struct {
	hash entryHash
	list *entryList
}

const basePiece = 128

var lastHash = entryHash(bytes.Repeat([]byte{0xFF}, 16))

// at returns the first pair of h or a later hash; its list is nil at the end.
func (r *baseReader) at(h entryHash) (basePair, error) {
	for {
		if !r.valid || h.compare(r.from) < 0 || h.compare(r.to) > 0 {
			if err := r.read(h); err != nil {
				return basePair{}, err
			}
		}
		i, _ := slices.BinarySearchFunc(r.piece, h, func(p basePair, h entryHash) int { return p.hash.compare(h) })
		if i < len(r.piece) {
			return r.piece[i], nil
		}
		if r.to == lastHash {
			return basePair{}, nil
		}
		h, _ = r.to.next()
	}
}

// of returns what is there under one hash. Unlike at it never looks beyond the piece:
// where nothing is there, the next pair may be many parts away.
func (r *baseReader) of(h entryHash) (*entryList, error) {
	if !r.valid || h.compare(r.from) < 0 || h.compare(r.to) > 0 {
		if err := r.read(h); err != nil {
			return &noEntries, err
		}
	}
	i, ok := slices.BinarySearchFunc(r.piece, h, func(p basePair, h entryHash) int { return p.hash.compare(h) })
	if !ok {
		return &noEntries, nil
	}
	return r.piece[i].list, nil
}

// read reads the piece from h on, at most to the end of its part: the checkpoint
// after what changed, since what goes from the one to the other is in the
// checkpoint first.
func (r *baseReader) read(h entryHash) error {
	changed, end := r.e.changedFrom(h)
	r.piece, r.from, r.to, r.valid = r.piece[:0], h, end, false
	err := r.e.index.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketEntries).Cursor()
		for k, v := c.Seek(h[:]); k != nil && bytes.Compare(k, end[:]) <= 0; k, v = c.Next() {
			if len(r.piece) == basePiece {
				r.to = r.piece[basePiece-1].hash
				break
			}
			if len(k) != len(h) {
				return errCorrupt
			}
			list, err := decodeEntryList(v)
			if err != nil {
				return err
			}
			r.piece = append(r.piece, basePair{entryHash(k), list})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("suppression entries in state.db: %w", err)
	}
	for _, p := range changed {
		if p.hash.compare(r.to) > 0 {
			continue
		}
		i, ok := slices.BinarySearchFunc(r.piece, p.hash, func(p basePair, h entryHash) int { return p.hash.compare(h) })
		if ok {
			r.piece[i] = p
		} else {
			r.piece = slices.Insert(r.piece, i, p)
		}
	}
	r.valid = true
	return nil
}

// changedFrom returns what is not in the checkpoint from h to the end of its
// part, in no order, and that end.
func (e *entries) changedFrom(h entryHash) (all []basePair, end entryHash) {
	p := e.part(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, l := range p.changed {
		if k.compare(h) >= 0 {
			all = append(all, basePair{k, l})
		}
	}
	end = lastHash
	end[0] = h[0] | 3
	return all, end
}

// scan calls visit for each hash from one on with all that is in force under it,
// until it returns false.
func (e *entries) scan(ctx context.Context, from entryHash, visit func(entryHash, []suppression.Entry) bool) error {
	for {
		set := e.set.Load()
		next, done, err := e.scanSet(ctx, set, from, visit)
		if done || err == nil || ctx.Err() != nil || set == e.set.Load() {
			return err
		}
		from = next // the files were exchanged
	}
}

// scanSet scans with one set of lists. It returns where it would go on.
func (e *entries) scanSet(ctx context.Context, set *layerSet, from entryHash, visit func(entryHash, []suppression.Entry) bool) (entryHash, bool, error) {
	base, layers := baseReader{e: e}, mergeLayers(set.layers, from)
	var found []listed
	var p basePair // the next one that came by itself; asked says that it is known
	asked := false
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return from, false, ctx.Err()
		}
		var err error
		if !asked || p.list != nil && p.hash.compare(from) < 0 {
			p, err = base.at(from)
			asked = true
		}
		h, ok := layers.peek()
		if err = errors.Join(err, layers.err); err != nil {
			return from, false, err
		}
		if p.list != nil && (!ok || p.hash.compare(h) < 0) {
			h = p.hash
		} else if !ok {
			return from, true, nil
		}
		list := &noEntries
		if p.list != nil && p.hash == h {
			list = p.list
		}
		if found = found[:0]; ok && layers.cursors[0].h == h {
			if found = layers.take(found); layers.err != nil {
				return from, false, layers.err
			}
		}
		all := set.inForce("", list, found)
		slices.SortFunc(all, func(a, b suppression.Entry) int { return compareEntries(&a, &b) })
		if len(all) > 0 && !visit(h, all) {
			return from, true, nil
		}
		if from, ok = h.next(); !ok {
			return from, true, nil
		}
	}
}

// ScanEntries yields every entry in force, tombstones too, in the order of their
// hashes, from behind a cursor on. A cursor is the hash of an address in hex and
// how many of its entries were yielded.
func (s *Store) ScanEntries(ctx context.Context, after string, yield func(cursor string, e suppression.Entry) bool) error {
	from, skip, err := parseEntryCursor(after)
	if err != nil {
		return err
	}
	began := from
	return s.entries.scan(ctx, from, func(h entryHash, list []suppression.Entry) bool {
		for i, e := range list {
			if h == began && i < skip {
				continue
			}
			if !yield(hex.EncodeToString(h[:])+"."+strconv.Itoa(i+1), e) {
				return false
			}
		}
		return true
	})
}

func parseEntryCursor(text string) (h entryHash, skip int, err error) {
	if text == "" {
		return h, 0, nil
	}
	front, count, ok := strings.Cut(text, ".")
	b, hexErr := hex.DecodeString(front)
	skip, countErr := strconv.Atoi(count)
	if !ok || hexErr != nil || countErr != nil || len(b) != len(h) || skip < 0 {
		return h, 0, fmt.Errorf("scanning suppressions: %q is no cursor: begin with an empty one", text)
	}
	return entryHash(b), skip, nil
}
