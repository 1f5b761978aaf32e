package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"tidepost/suppression"
	"tidepost/suppression/lists"
)

type suppressImportCmd struct {
	remote
	File    string `arg:"" help:"The list, gzip or not; - is standard input." placeholder:"FILE"`
	Format  string `help:"Whose it is, where its header does not tell; suppress formats lists them." placeholder:"FORMAT"`
	Tenant  string `help:"Whose opt-outs and complaints these are." placeholder:"NAME"`
	Scope   string `help:"Scope of all entries; else hard bounces are global and the rest the tenant's." placeholder:"SCOPE"`
	Reason  string `help:"Why, where the list does not say." placeholder:"REASON"`
	Name    string `help:"Name of the list; one of that name is replaced. Else made from the file." placeholder:"NAME"`
	DryRun  bool   `help:"Only say what is in it."`
	SkipBad bool   `help:"Leave out lines that cannot be read, instead of refusing the file."`
	Resume  bool   `help:"Go on with an import of the same file that was interrupted."`
}

// importReport is what the gateway says of a file.
type importReport struct {
	Name      string                     `json:"name"`
	Published bool                       `json:"published"`
	Format    lists.Format               `json:"format"`
	Lines     int                        `json:"lines"`
	Entries   int                        `json:"entries"`
	Hashes    int                        `json:"hashes"`
	Listed    int64                      `json:"listed"`
	Resumed   int64                      `json:"resumed"`
	Reasons   map[suppression.Reason]int `json:"reasons"`
	Skipped   map[string]int             `json:"skipped"`
	Bad       int                        `json:"bad"`
	BadLines  []*lists.Error             `json:"bad_lines"`
	Stopped   *lists.Error               `json:"stopped"`
}

// text is the report in lines, for a person.
func (r *importReport) text() string {
	return (&lists.Report{Format: r.Format, Entries: r.Entries, Hashes: r.Hashes, Reasons: r.Reasons, Skipped: r.Skipped,
		Bad: r.Bad, Named: r.BadLines, Stopped: r.Stopped}).String()
}

// Run sends a list to the gateway.
func (s *suppressImportCmd) Run(a *app) error {
	if s.Resume && s.File == "-" {
		return usagef("--resume needs a file: it is read twice, to be sure that it is the same")
	}
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	in, bar := a.Stdin, &importBar{w: a.Stderr, shown: isTerminal(a.Stderr), size: -1, began: time.Now()}
	query := s.query()
	if s.File != "-" {
		f, err := os.Open(s.File)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := bar.sizeOf(f); err != nil {
			return err
		}
		if !s.DryRun {
			digest, err := digestOf(a.Context, f)
			if err != nil {
				return err
			}
			query.Set("digest", digest)
		}
		in = f
	}
	last, err := c.upload(a.Context, "/api/v1/suppressions/import?"+query.Encode(), in, bar)
	if err != nil {
		return s.interrupted(err)
	}
	return s.print(a, last)
}

// interrupted adds what helps after an import that broke off.
func (s *suppressImportCmd) interrupted(err error) error {
	if s.File == "-" || s.DryRun {
		return err
	}
	return fmt.Errorf("%w; nothing counts yet, and the same command with --resume goes on", err)
}

func (s *suppressImportCmd) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"format": s.Format, "tenant": s.Tenant, "scope": s.Scope, "reason": s.Reason, "name": s.Name} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, set := range map[string]bool{"dry_run": s.DryRun, "resume": s.Resume} {
		if set {
			q.Set(name, "true")
		}
	}
	if s.SkipBad {
		q.Set("bad", "skip")
	}
	return q
}

// print says what came of it. A file that is refused, or would be, is a failure.
func (s *suppressImportCmd) print(a *app, last *lastLine) error {
	doc := last.doc()
	var r importReport
	if len(doc) > 0 {
		if err := decodeAnswer(doc, &r); err != nil {
			return err
		}
		if s.JSON {
			if err := printJSON(a.Stdout, doc); err != nil {
				return err
			}
		} else {
			for line := range strings.Lines(r.text()) {
				fmt.Fprintln(a.Stdout, safe(strings.TrimRight(line, "\n")))
			}
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
	case !r.Published:
		return a.print(false, nil, "there is nothing to import; nothing changed")
	}
	text := fmt.Sprintf("list %s counts now: %s", r.Name, count(r.Listed, "entry", "entries"))
	if r.Resumed > 0 {
		text += fmt.Sprintf(", %d of the lines from an earlier attempt", r.Resumed)
	}
	return a.print(false, nil, text)
}

// digestOf reads a file for its SHA-256, and winds it back.
func digestOf(ctx context.Context, f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, heeding{ctx, f}); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)), err
}

// heeding is a reader that ends with its context.
type heeding struct {
	ctx context.Context
	r   io.Reader
}

func (h heeding) Read(p []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, errors.New("interrupted")
	}
	return h.r.Read(p)
}

// send makes a request that is answered in lines while it is sent. size is -1 where
// nobody knows it. A gateway that refuses it does so before the body goes out.
func (c *client) send(ctx context.Context, path, kind string, body io.Reader, size int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, io.NopCloser(body))
	if err != nil {
		return nil, err
	}
	if request.ContentLength = size; size == 0 {
		request.Body = http.NoBody
	}
	request.Header.Set("Accept", "application/x-ndjson")
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Expect", "100-continue")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return answer, nil
}

// upload sends a file, shows how far it is, and returns what came of it.
func (c *client) upload(ctx context.Context, path string, in io.Reader, bar *importBar) (*lastLine, error) {
	answer, err := c.send(ctx, path, "application/octet-stream", in, bar.size)
	if err != nil {
		return nil, err
	}
	defer bar.clear()
	return c.follow(answer, bar.show)
}

// doc is what came of it in numbers, whether it was done or refused.
func (l *lastLine) doc() json.RawMessage {
	if l.Problem != "" {
		return l.Report
	}
	return l.Result
}

// lastLine is the end of an answer in lines.
type lastLine struct {
	Result, Report  json.RawMessage
	Problem, Remedy string
}

// failure is the problem, if there was one.
func (l *lastLine) failure() error {
	if l.Problem == "" {
		return nil
	}
	return errors.New(strings.TrimSuffix(l.Problem+"; "+l.Remedy, "; "))
}

// follow reads an answer in lines to its last one.
func (c *client) follow(answer *http.Response, show func(progress json.RawMessage)) (*lastLine, error) {
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		doc, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		return nil, c.problem(answer, doc)
	}
	d := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	for {
		var line struct {
			lastLine
			Progress json.RawMessage
		}
		switch err := d.Decode(&line); {
		case err != nil && answer.Request.Context().Err() != nil:
			return nil, errors.New("interrupted")
		case err != nil:
			return nil, fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
		case line.Result != nil || line.Problem != "":
			return &line.lastLine, nil
		}
		show(line.Progress)
	}
}

// importBar shows on a terminal how far an import is.
type importBar struct {
	w     io.Writer
	shown bool
	size  int64 // of the file; -1: not known
	began time.Time
}

// sizeOf takes the size of a regular file; of a pipe nobody knows it.
func (b *importBar) sizeOf(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder: name a file", f.Name())
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: use - and feed it to standard input", f.Name())
	}
	b.size = info.Size()
	return nil
}

func (b *importBar) show(progress json.RawMessage) {
	var p struct {
		Lines, Bytes int64
		Phase        string
	}
	if !b.shown || json.Unmarshal(progress, &p) != nil {
		return
	}
	text := fmt.Sprintf("%s: %d lines, %.0f lines/s", p.Phase, p.Lines, float64(p.Lines)/time.Since(b.began).Seconds())
	if b.size > 0 {
		const wide = 20
		full := int(min(wide, p.Bytes*wide/b.size))
		text = fmt.Sprintf("[%s%s] %3d %% %s", strings.Repeat("#", full), strings.Repeat(".", wide-full), p.Bytes*100/b.size, text)
	}
	fmt.Fprintf(b.w, "\r%-78s", safe(text))
}

func (b *importBar) clear() {
	if b.shown {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", 78))
	}
}
