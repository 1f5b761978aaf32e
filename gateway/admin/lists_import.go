package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// maxImport is how large a file may be, as it is sent and unpacked: 50 million lines
// of 150 bytes.
const maxImport = 8 << 30

// imports is what the server knows of imports of lists.
type imports struct {
	busy  sync.Mutex // held while one runs: each sorts in memory
	lines atomic.Int64
}

// importAsk is a request to import a file.
type importAsk struct {
	opt    lists.Options
	name   string
	dry    bool
	skip   bool // leave bad lines out
	resume bool
	record importRecord
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parseImport reads what is asked for. Whether the format and the reason fit is said
// by the reader of the file.
func (s *Server) parseImport(c *call) (*importAsk, error) {
	q, err := c.query("format", "tenant", "scope", "reason", "name", "dry_run", "bad", "digest", "resume")
	if err != nil {
		return nil, err
	}
	a := &importAsk{name: q.Get("name")}
	for name, into := range map[string]*bool{"dry_run": &a.dry, "resume": &a.resume} {
		if *into, err = flag(q, name); err != nil {
			return nil, err
		}
	}
	switch q.Get("bad") {
	case "", "refuse":
	case "skip":
		a.skip = true
	default:
		return nil, invalid("bad", "is neither refuse nor skip", "say what becomes of bad lines")
	}
	if d := q.Get("digest"); d != "" && !sha256Hex.MatchString(d) {
		return nil, invalid("digest", "is no SHA-256", "write 64 hex digits in lower case")
	}
	a.opt = lists.Options{Format: lists.Format(q.Get("format")), Tenant: q.Get("tenant"), Reason: suppression.Reason(q.Get("reason")), MaxBytes: maxImport}
	scope := suppression.Scope{Kind: suppression.Tenant, Name: a.opt.Tenant}
	if a.opt.Tenant != "" && scope.Validate() != nil {
		return nil, invalid("tenant", strconv.Quote(shorten(a.opt.Tenant, 40))+" is no name", "write one without blanks")
	}
	if text := q.Get("scope"); text != "" {
		if scope, err = suppression.ParseScope(text); err != nil {
			return nil, invalid("scope", "cannot be read: "+err.Error(), "write global, or tenant:acme and the like")
		}
		a.opt.Scope = &scope
	}
	a.record = importRecord{Digest: q.Get("digest"), Format: a.opt.Format, Tenant: a.opt.Tenant, Scope: q.Get("scope"),
		Reason: a.opt.Reason, Skip: a.skip, Version: s.info().Version, Now: s.now().UTC(), By: c.who.Name}
	if a.name == "" {
		a.name = a.record.listName()
	}
	return a, checkListName(a.name)
}

func flag(q url.Values, name string) (bool, error) {
	switch q.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, invalid(name, "is neither true nor false", "write true")
}

// importList answers POST /api/v1/suppressions/import. The file becomes a list of its
// own, whatever its size, so that all of it counts or nothing does and it can be
// discarded as a whole.
func (s *Server) importList(c *call) (any, error) {
	a, err := s.parseImport(c)
	if err != nil {
		return nil, err
	}
	all, err := s.lists()
	if err != nil {
		return nil, err
	}
	im := &listImport{s: s, all: all, ask: a, doc: newImportDoc(a), actor: c.who.Name}
	im.in = &importInput{r: http.MaxBytesReader(c.w, c.Body, maxImport), hash: sha256.New()}
	return s.inLines(c, func(tell func(any)) (any, error) {
		im.tell = tell
		if a.dry {
			im.read(c.Context(), nil)
			return im.dryRun()
		}
		if !s.metrics.imports.busy.TryLock() {
			return nil, &Problem{Status: http.StatusConflict, Detail: "another list is being imported", Remedy: "wait until it is done"}
		}
		defer s.metrics.imports.busy.Unlock()
		return im.run(c.Context())
	})
}

// importInput is the file as it comes, with what is known of it.
type importInput struct {
	r    io.Reader
	hash hash.Hash
	size int64
	err  error // why it broke off; nil: it did not
}

func (in *importInput) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.hash.Write(p[:n])
	in.size += int64(n)
	if err != nil && err != io.EOF {
		in.err = err
	}
	return n, err
}

func (in *importInput) digest() string { return hex.EncodeToString(in.hash.Sum(nil)) }

// listImport is one import: lines are read and sorted side by side.
type listImport struct {
	s     *Server
	all   gateway.Lists
	ask   *importAsk
	in    *importInput
	actor string
	tell  func(any)
	doc   *importDoc
}

func (im *listImport) dryRun() (any, error) {
	if im.in.err != nil {
		return nil, im.brokeOff()
	}
	im.doc.finish(im.in)
	return im.doc, nil
}

// run stages the file and makes it live, or leaves everything as it was. What was
// interrupted stays in part where the file can be told again, to be resumed.
func (im *listImport) run(ctx context.Context) (any, error) {
	a := im.ask
	skip := 0
	if a.resume {
		var err error
		if skip, err = im.s.resumeImport(im.all, a); err != nil {
			return nil, err
		}
	}
	var err error
	if a.record.Digest == "" {
		err = im.s.forgetImport(ctx, a.name)
	} else {
		err = im.s.keepImport(ctx, a.name, a.record)
	}
	if err != nil {
		return nil, err
	}
	a.opt.Now, im.doc.Resumed = a.record.Now, skip
	st := im.stage(ctx, skip)
	took := im.read(ctx, st)
	im.doc.finish(im.in)
	im.s.metrics.imports.lines.Add(int64(im.doc.Lines))
	if took {
		err = im.failed(ctx)
	}
	list, stageErr := st.end(!took || err != nil)
	if err == nil {
		err = stageErr
	}
	if err != nil || list.Entries == 0 {
		return im.doc, im.undo(ctx, err)
	}
	return im.publish(ctx, list)
}

// publish makes the list live.
func (im *listImport) publish(ctx context.Context, list gateway.StagedList) (any, error) {
	a := im.ask
	im.tell(importProgress{im.doc.Lines, im.in.size, "publishing"})
	if err := im.all.Publish(ctx, a.name, im.actor); err != nil {
		return nil, err
	}
	im.doc.Published, im.doc.Listed = true, list.Entries
	im.s.Gateway.Replan() // what waits for these people; the release asks again anyway
	return im.doc, im.s.forgetImport(ctx, a.name)
}

// failed says why the file must not count.
func (im *listImport) failed(ctx context.Context) error {
	d := im.doc
	var p *Problem
	switch {
	case im.in.err != nil:
		return im.brokeOff()
	case ctx.Err() != nil:
		return ctx.Err()
	case d.Stopped != nil:
		p = &Problem{Detail: d.Stopped.text(), Remedy: d.Stopped.Remedy}
	case d.Bad > 0 && !im.ask.skip:
		p = &Problem{Detail: plural(int64(d.Bad), "line", "lines") + " cannot be read; the first: " + d.BadLines[0].text(),
			Remedy: "correct them, or leave them out with bad=skip (--skip-bad)"}
	case im.ask.record.Digest != "" && im.ask.record.Digest != im.in.digest():
		p = &Problem{Detail: "the file is not the one that digest is of", Field: "digest", Remedy: "it was damaged on the way, or changed meanwhile: send it again"}
	default:
		return nil
	}
	p.Status, p.Detail = http.StatusBadRequest, "nothing was changed: "+p.Detail
	return &refusal{p, d}
}

// brokeOff is about a file that did not come whole.
func (im *listImport) brokeOff() error {
	var large *http.MaxBytesError
	if errors.As(im.in.err, &large) {
		return &Problem{Status: http.StatusRequestEntityTooLarge, Detail: "a file may have " + strconv.FormatInt(maxImport, 10) + " bytes", Remedy: "cut it in two"}
	}
	return &Problem{Status: http.StatusBadRequest, Detail: "nothing was changed: the file broke off behind line " + strconv.Itoa(im.doc.Lines), Remedy: "send it again, with resume=true"}
}

// undo discards what was staged, unless it can be resumed, and returns why.
func (im *listImport) undo(ctx context.Context, why error) error {
	ctx = context.WithoutCancel(ctx) // the client may be gone
	var r *refusal
	if im.ask.record.Digest != "" && why != nil && !errors.As(why, &r) {
		return why
	}
	var err error
	if stagedUnder(im.all, im.ask.name) {
		err = im.all.Discard(ctx, im.ask.name, im.actor)
	}
	if err = errors.Join(err, im.s.forgetImport(ctx, im.ask.name)); err != nil {
		im.s.log().Error("what an import left could not be discarded", "list", im.ask.name, "error", err)
	}
	return why
}

// digested is what stands in place of an address of which only a hash is known.
func digested(d lists.Digest) string { return strings.ToLower(d.Kind) + ":" + d.String() }
