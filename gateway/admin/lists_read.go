package admin

import (
	"context"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// importDoc tells what is in a file, and what became of it.
type importDoc struct {
	Name      string                     `json:"name,omitempty"`
	DryRun    bool                       `json:"dry_run,omitempty"`
	Published bool                       `json:"published"`
	Format    lists.Format               `json:"format,omitempty"`
	Lines     int                        `json:"lines"`   // entries + hashes + skipped + bad
	Entries   int                        `json:"entries"` // lines with an address, the same one twice counted twice
	Hashes    int                        `json:"hashes,omitempty"`
	Listed    int64                      `json:"listed,omitempty"`  // entries of the list: each address, scope and reason once
	Resumed   int                        `json:"resumed,omitempty"` // of them were durable from an earlier attempt
	Reasons   map[suppression.Reason]int `json:"reasons"`
	Skipped   map[string]int             `json:"skipped"` // lines left out on purpose, by why
	Bad       int                        `json:"bad"`
	BadLines  []badLine                  `json:"bad_lines,omitempty"` // the first of them
	Stopped   *badLine                   `json:"stopped,omitempty"`   // why the file was not read to its end
	Bytes     int64                      `json:"bytes"`
	Digest    string                     `json:"digest,omitempty"`
}

// badLine is what is wrong with a line, or with all of a file.
type badLine struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy,omitempty"`
}

func newBadLine(e *lists.Error) badLine {
	b := badLine{Line: e.Line, Column: e.Column, Field: e.Field, Problem: e.Problem, Remedy: e.Remedy}
	if e.Err != nil {
		b.Problem += ": " + e.Err.Error()
	}
	return b
}

// text is the place and the problem, without the remedy.
func (b *badLine) text() string {
	return (&lists.Error{Line: b.Line, Column: b.Column, Field: b.Field, Problem: b.Problem}).Error()
}

func newImportDoc(a *importAsk) *importDoc {
	d := &importDoc{Name: a.name, DryRun: a.dry, Reasons: map[suppression.Reason]int{}, Skipped: map[string]int{}}
	if a.dry {
		d.Name = ""
	}
	return d
}

// finish adds what is known at the end of the file.
func (d *importDoc) finish(in *importInput) {
	d.Bytes = in.size
	if d.Stopped == nil {
		d.Digest = in.digest()
	}
}

func (d *importDoc) fault(e *lists.Error) {
	b := newBadLine(e)
	if e.Fatal {
		d.Stopped = &b
		return
	}
	d.Lines++
	d.Bad++
	if len(d.BadLines) < lists.MaxNamed {
		d.BadLines = append(d.BadLines, b)
	}
}

// count takes a row into the sums and reports whether it is an entry.
func (d *importDoc) count(row *lists.Row) bool {
	d.Lines++
	d.Format = row.Format
	switch {
	case row.Skipped != "":
		d.Skipped[row.Skipped]++
		return false
	case row.Hash.Kind != "":
		row.Entry.Address = digested(row.Hash)
		d.Hashes++
	default:
		d.Entries++
	}
	d.Reasons[row.Entry.Reason]++
	return true
}

// importProgress is how far an import is.
type importProgress struct {
	Lines int    `json:"lines"`
	Bytes int64  `json:"bytes"`
	Phase string `json:"phase"` // reading, sorting or publishing
}

// lookEvery is how many lines lie between two looks at whether anybody still wants
// the answer.
const lookEvery = 4096

// read goes through the file once. st, which may be nil, gets the entries until a bad
// line shows that none will count; the rest is read for the counts. It returns false
// where the store takes no more.
func (im *listImport) read(ctx context.Context, st *staging) bool {
	for row, err := range lists.Read(im.in, im.ask.opt) {
		if err != nil {
			im.doc.fault(err.(*lists.Error)) // Read has no other
			if !im.ask.skip {
				st = nil
			}
			continue
		}
		entry := im.doc.count(&row)
		if im.doc.Lines%lookEvery == 0 {
			if ctx.Err() != nil {
				return true
			}
			im.tell(importProgress{im.doc.Lines, im.in.size, "reading"})
		}
		if entry && st != nil && !st.put(row.Entry) {
			return false
		}
	}
	im.tell(importProgress{im.doc.Lines, im.in.size, "sorting"})
	return true
}

// staging hands entries in batches to the store, which sorts them while the next are
// read. A few batches are under way at a time, and used again.
type staging struct {
	skip    int // entries that are durable already
	batch   []suppression.Entry
	batches chan []suppression.Entry
	free    chan []suppression.Entry
	stop    context.CancelFunc
	done    chan struct{} // closed when the store wants no more; list and err are set then
	list    gateway.StagedList
	err     error
}

const (
	stagedBatch   = 512 // entries
	stagedBatches = 8
)

// stage begins to stage the list.
func (im *listImport) stage(ctx context.Context, skip int) *staging {
	ctx, stop := context.WithCancel(ctx)
	st := &staging{skip: skip, stop: stop, done: make(chan struct{}),
		batches: make(chan []suppression.Entry, stagedBatches), free: make(chan []suppression.Entry, stagedBatches)}
	go func() { // ends when batches is closed or the store has failed; end waits for it
		defer close(st.done)
		st.list, st.err = im.all.Stage(ctx, im.ask.name, skip, st.entries, nil)
	}()
	return st
}

func (st *staging) entries(yield func(suppression.Entry) bool) {
	for batch := range st.batches {
		for _, e := range batch {
			if !yield(e) {
				return
			}
		}
		select {
		case st.free <- batch[:0]:
		default:
		}
	}
}

// put hands an entry on; false: the store takes no more.
func (st *staging) put(e suppression.Entry) bool {
	if st.skip > 0 {
		st.skip--
		return true
	}
	st.batch = append(st.batch, e)
	return len(st.batch) < stagedBatch || st.flush()
}

func (st *staging) flush() bool {
	select {
	case st.batches <- st.batch:
	case <-st.done:
		return false
	}
	select {
	case st.batch = <-st.free:
	default:
		st.batch = make([]suppression.Entry, 0, stagedBatch)
	}
	return true
}

// end waits for the list, or for its end where it failed.
func (st *staging) end(failed bool) (gateway.StagedList, error) {
	if failed {
		st.stop()
	} else {
		st.flush()
	}
	close(st.batches)
	<-st.done
	st.stop()
	return st.list, st.err
}
