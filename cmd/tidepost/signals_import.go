package main

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"tidepost/gateway/history"
)

// historyFlags are those of an import of history.
type historyFlags struct {
	Format  string `help:"Whose history it is: csv, listmonk, mautic, mailgun, sendgrid or ses." placeholder:"FORMAT"`
	Class   string `help:"Class of mail of which the file tells none; else newsletter." placeholder:"CLASS"`
	List    string `help:"List-Id of mail of which the file tells none." placeholder:"LIST-ID"`
	DryRun  bool   `help:"Only say what is in it."`
	SkipBad bool   `help:"Leave out lines that cannot be read, instead of refusing the file."`
}

// bring sends a file of history to the gateway.
func (s *signalsImportCmd) bring(a *app, c *client) error {
	in, bar := a.Stdin, &importBar{w: a.Stderr, shown: isTerminal(a.Stderr), size: -1, began: time.Now()}
	if s.File != "-" {
		f, err := os.Open(s.File)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := bar.sizeOf(f); err != nil {
			return err
		}
		in = f
	}
	last, err := c.upload(a.Context, "/api/v1/signals/import?"+s.query().Encode(), in, bar)
	if err != nil {
		return s.broken(err)
	}
	return s.told(a, last)
}

// broken adds what helps after an import that broke off.
func (s *signalsImportCmd) broken(err error) error {
	if s.DryRun {
		return err
	}
	return fmt.Errorf("%w; the same command again brings what is missing, and nothing twice", err)
}

func (s *signalsImportCmd) query() url.Values {
	q := url.Values{"format": {s.Format}}
	for name, value := range map[string]string{"tenant": s.Tenant, "class": s.Class, "list": s.List} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.DryRun {
		q.Set("dry_run", "true")
	}
	if s.SkipBad {
		q.Set("bad", "skip")
	}
	return q
}

// told says what came of it. A file that is refused, or would be, is a failure.
func (s *signalsImportCmd) told(a *app, last *lastLine) error {
	doc := last.doc()
	var r history.Report
	if len(doc) > 0 {
		if err := decodeAnswer(doc, &r); err != nil {
			return err
		}
		if s.JSON {
			if err := printJSON(a.Stdout, doc); err != nil {
				return err
			}
		} else {
			describeHistory(a.Stdout, &r)
		}
	}
	switch {
	case last.Problem != "":
		return last.failure()
	case s.DryRun && (r.Stopped != nil || r.Bad > 0 && !s.SkipBad):
		fmt.Fprintln(a.Stderr, "tidepost: the import would be refused")
		return errQuiet
	case s.JSON:
		return nil
	case s.DryRun:
		return a.print(false, nil, "nothing changed")
	}
	text := fmt.Sprintf("%s of %s taken; %s known now by more than before", count(int64(r.Taken), "row", "rows"), count(int64(r.Rows), "row", "rows"), count(int64(r.Changed), "mailbox", "mailboxes"))
	if r.Changed > 0 {
		text += "; `tidepost report` says what live would have done"
	}
	return a.print(false, nil, text)
}

// describeHistory prints a report for people.
func describeHistory(w io.Writer, r *history.Report) {
	say := func(format string, args ...any) { fmt.Fprintln(w, safe(fmt.Sprintf(format, args...))) }
	say("format %s, tenant %s: %s, %s of %s", r.Format, r.Tenant, count(int64(r.Lines), "line", "lines"), count(int64(r.Rows), "row", "rows"), count(int64(r.Mailboxes), "mailbox", "mailboxes"))
	if r.Rows > 0 {
		say("from %s to %s", r.First.UTC().Format("2006-01-02 15:04"), r.Last.UTC().Format("2006-01-02 15:04 UTC"))
		say("rows: %s", listCounts(r.Kinds))
	}
	if j := r.Judged; j.Human+j.Doubtful+j.Machine > 0 {
		all := float64(j.Human + j.Doubtful + j.Machine)
		say("opens and clicks: %.0f %% people, %.0f %% doubtful, %.0f %% machines; of %.0f %% nothing but the time was recorded",
			100*float64(j.Human)/all, 100*float64(j.Doubtful)/all, 100*float64(j.Machine)/all, 100*float64(j.Unseen)/all)
	}
	for _, part := range []struct {
		what string
		of   map[string]int
	}{{"mailboxes not to be written to", r.OptOuts}, {"lines that tell of nothing here", r.Skipped}} {
		if len(part.of) > 0 {
			say("%s: %s", part.what, listCounts(part.of))
		}
	}
	for _, n := range []struct {
		n    int
		what string
	}{{r.Repeated, "rows are there twice"}, {r.Known, "rows were known, or are not newer than what an earlier import brought"}, {r.Late, "rows are older than what is known of their mailboxes, and teach nothing"},
		{r.Excluded, "rows may not be learned (policy.evidence, or the reader's consent)"}, {r.Entered, "suppression entries are new"}} {
		if n.n > 0 {
			say("%d %s", n.n, n.what)
		}
	}
	for i := range r.BadLines {
		say("  %s", withRemedy(&r.BadLines[i]))
	}
	if more := r.Bad - len(r.BadLines); more > 0 {
		say("  and %d more", more)
	}
	if r.Stopped != nil {
		say("stopped: %s", withRemedy(r.Stopped))
	}
}

func withRemedy(b *history.BadLine) string {
	return strings.TrimSuffix(b.Text()+": "+b.Remedy, ": ")
}

// listCounts lists counts by name.
func listCounts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(parts, ", ")
}
