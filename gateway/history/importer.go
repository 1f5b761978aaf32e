package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tidepost/gateway"
	"tidepost/suppression/lists"
)

// Importer brings files into a gateway, one at a time.
type Importer struct {
	Gateway *gateway.Gateway
	Dir     string // where rows are sorted; it is the importer's own, and goes after each import

	runBytes int // 0: the usual
}

// Ask is what to import, and how.
type Ask struct {
	Options
	Tenant  string
	DryRun  bool // only read and judge
	SkipBad bool // leave bad lines out instead of refusing the file
	By      string
}

// Progress is how far an import is.
type Progress struct {
	Lines int    `json:"lines"` // read, then rows brought in
	Bytes int64  `json:"bytes"` // read
	Phase string `json:"phase"` // reading, judging, bringing in or learning
}

// Refused says why a file must not count: nothing was changed.
type Refused struct {
	Problem, Remedy string
	Err             error // of the reader that the file came from; nil: none
}

func (e *Refused) Error() string { return e.Problem + ": " + e.Remedy }

// Unwrap is the error of the reader underneath.
func (e *Refused) Unwrap() error { return e.Err }

// reserve is how much of the disk sorting leaves alone, in bytes.
const reserve = 512 << 20

// Clean removes what an import left that was killed.
func (im *Importer) Clean() error { return os.RemoveAll(im.Dir) }

// Run imports a file. tell hears now and then how far it is. The report is there
// with an error, too; a *Refused is one about the file, before anything was changed.
func (im *Importer) Run(ctx context.Context, in io.Reader, a Ask, tell func(Progress)) (*Report, error) {
	if err := im.Clean(); err != nil {
		return nil, fmt.Errorf("removing what an earlier import left: %w", err)
	}
	s := &sorter{dir: im.Dir, most: im.runBytes, room: im.room}
	defer s.end()
	w := &work{Importer: im, ask: a, in: &counter{r: in}, report: newReport(&a), tell: tell, sorter: s}
	if err := w.read(ctx); err != nil {
		return w.report, err
	}
	if err := w.refused(); err != nil && !a.DryRun {
		return w.report, err
	}
	return w.report, w.bring(ctx)
}

// room refuses what would fill the disk.
func (im *Importer) room(size int64) error {
	b, ok := im.Gateway.Store.(gateway.Browser)
	if !ok {
		return nil
	}
	if free := b.Usage().Free; free > 0 && free-size < reserve {
		return fmt.Errorf("%w: %d MiB of disk are left, and %d MiB are kept in reserve; sorting needs about as much as the file, unpacked", gateway.ErrFull, free>>20, int64(reserve)>>20)
	}
	return nil
}

// counter is the file as it comes.
type counter struct {
	r   io.Reader
	n   int64
	err error // why it broke off; nil: it did not
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// work is one import.
type work struct {
	*Importer
	ask       Ask
	in        *counter
	report    *Report
	tell      func(Progress)
	sorter    *sorter
	delivered bool // the file tells of deliveries
}

// lookEvery is how many rows lie between two looks at whether anybody still wants
// the answer.
const lookEvery = 4096

// read takes all rows into the sorter.
func (w *work) read(ctx context.Context) error {
	r, audience := w.report, w.Gateway.Audience(w.ask.Tenant)
	var b []byte
	n := 0
	for row, err := range Read(w.in, w.ask.Options) {
		if n++; n%lookEvery == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			w.tell(Progress{r.Lines, w.in.n, "reading"})
		}
		if err != nil {
			r.fault(err.(*lists.Error)) // Read has no other
			continue
		}
		r.count(&row)
		if row.Skipped != "" {
			continue
		}
		w.delivered = w.delivered || row.Delivered
		b = appendRow(b[:0], gateway.MailboxKey(audience, row.Mailbox), &row)
		if err := w.sorter.add(b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// refused says why the file must not count.
func (w *work) refused() error {
	r := w.report
	switch {
	case r.Stopped != nil:
		return &Refused{"nothing was changed: " + r.Stopped.Text(), r.Stopped.Remedy, w.in.err}
	case r.Bad > 0 && !w.ask.SkipBad:
		return &Refused{fmt.Sprintf("nothing was changed: %d of %d lines cannot be read; the first: %s", r.Bad, r.Lines, r.BadLines[0].Text()),
			"correct them, or leave them out with bad=skip (--skip-bad)", nil}
	}
	return nil
}

// bring judges the rows of each mailbox and, unless this is a dry run, hands them to
// its owner.
func (w *work) bring(ctx context.Context) error {
	r := w.report
	var past *gateway.PastImport
	if !w.ask.DryRun {
		past = w.Gateway.BeginPast(w.ask.Tenant, "history:"+string(w.ask.Format), r.Kinds[string(gateway.SignalOpened)]+r.Kinds[string(gateway.SignalClicked)] > 0)
	}
	err := w.mailboxes(ctx, past)
	if past == nil {
		return err
	}
	if err != nil {
		past.Abort()
		return err
	}
	w.tell(Progress{r.Rows, w.in.n, "learning"})
	kept := gateway.PastReport{Format: string(w.ask.Format), First: r.First, Last: r.Last, Rows: r.Rows}
	kept, err = past.End(context.WithoutCancel(ctx), kept, w.ask.By)
	r.PastTaken = kept.PastTaken
	return err
}

// mailboxes goes through the sorted rows, a mailbox at a time.
func (w *work) mailboxes(ctx context.Context, past *gateway.PastImport) error {
	g := &group{work: w, past: past, judge: judge{tenant: w.ask.Tenant, delivered: w.delivered}}
	phase := "bringing in"
	if past == nil {
		phase = "judging"
	}
	n := 0
	for text, err := range w.sorter.sorted() {
		if err == nil {
			err = g.add(ctx, text)
		}
		if err != nil {
			return err
		}
		if n++; n%lookEvery == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			w.tell(Progress{n, w.in.n, phase})
		}
	}
	err := g.flush(ctx)
	w.report.Judged = g.judge.sum
	return errors.Join(err, ctx.Err())
}

// manyRows of one mailbox are brought in at a time: there are addresses that get
// every alarm.
const manyRows = 10_000

// group gathers the rows of one mailbox.
type group struct {
	*work
	past  *gateway.PastImport // nil: a dry run
	judge judge
	last  []byte // record
	rows  []record
}

// add takes the next record in order.
func (g *group) add(ctx context.Context, text []byte) error {
	if bytes.Equal(text, g.last) {
		g.report.Repeated++
		return nil
	}
	another := len(g.last) == 0 || !bytes.Equal(text[:keySize], g.last[:keySize])
	if another || len(g.rows) == manyRows {
		if err := g.flush(ctx); err != nil {
			return err
		}
	}
	if another {
		g.report.Mailboxes++
	}
	g.last = append(g.last[:0], text...)
	r, err := parseRecord(text)
	g.rows = append(g.rows, r)
	return err
}

// flush judges the rows at hand and hands them on.
func (g *group) flush(ctx context.Context) error {
	if len(g.rows) == 0 {
		return nil
	}
	b := &gateway.PastMailbox{Address: g.rows[0].address, Key: gateway.Key(g.last[:keySize])}
	b.Rows = g.judge.mailbox(b.Key, g.rows)
	g.rows = g.rows[:0]
	g.report.optOuts(b.Rows)
	if g.past == nil || len(b.Rows) == 0 {
		return nil
	}
	return g.past.Bring(ctx, b)
}
