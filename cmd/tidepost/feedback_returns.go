package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"tidepost/gateway/returns"
)

type feedbackLearnCmd struct {
	remote
	Files []string `arg:"" optional:"" help:"Mails that came back, as files; none, or -: standard input." placeholder:"FILE"`
}

type feedbackUnmatchedCmd struct {
	remote
	ID     string `arg:"" optional:"" help:"Print this one, as it came." placeholder:"ID"`
	Remove bool   `help:"Remove it instead."`
}

// Run brings mails to the gateway that came back elsewhere.
func (f *feedbackLearnCmd) Run(a *app) error {
	c, err := f.connect(a)
	if err != nil {
		return err
	}
	files := f.Files
	if len(files) == 0 {
		files = []string{"-"}
	}
	failed := false
	for _, name := range files {
		if err := f.learn(a, c, name); err != nil {
			fmt.Fprintf(a.Stderr, "tidepost: %s: %v\n", safe(name), err)
			failed = true
		}
	}
	if failed {
		return errQuiet
	}
	return nil
}

func (f *feedbackLearnCmd) learn(a *app, c *client, name string) error {
	mail, err := readMail(a, name)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	answer, err := c.send(ctx, "/api/v1/returns", "message/rfc822", bytes.NewReader(mail), int64(len(mail)))
	if err != nil {
		return err
	}
	doc, err := c.whole(answer)
	if err != nil {
		return err
	}
	if f.JSON {
		return printJSON(a.Stdout, doc)
	}
	var r returns.Result
	if err := decodeAnswer(doc, &r); err != nil {
		return err
	}
	if len(r.Reports) == 0 {
		fmt.Fprintf(a.Stdout, "%s: reports nothing\n", safe(name))
	}
	for _, said := range r.Reports {
		fmt.Fprintf(a.Stdout, "%s: %s\n", safe(name), safe(saidText(&said)))
	}
	if r.Kept != "" {
		fmt.Fprintf(a.Stdout, "%s: kept as %s; `tidepost feedback unmatched` lists what is\n", safe(name), r.Kept)
	}
	return nil
}

// saidText tells in a line what a report was taken for.
func saidText(s *returns.Said) string {
	kind := "temporary"
	if s.Hard {
		kind = "permanent"
	}
	text := fmt.Sprintf("%s %s, %s", firstOf(s.Recipient, "somebody"), s.Group, kind)
	switch {
	case s.Match == "":
		return text + ": about no mail that we know"
	case s.Signal == "":
		return text + ": nothing to be learned"
	case !s.News:
		return text + ": known already"
	}
	return fmt.Sprintf("%s: %s, of tenant %s, found by %s", text, s.Signal, s.Tenant, s.Match)
}

// Run shows what could not be matched.
func (f *feedbackUnmatchedCmd) Run(a *app) error {
	c, err := f.connect(a)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(a.Context)
	defer cancel()
	one := "/api/v1/returns/unmatched/" + url.PathEscape(f.ID)
	switch {
	case f.Remove && f.ID == "":
		return usagef("--remove needs the ID of the mail to remove")
	case f.Remove:
		if err := c.do(ctx, http.MethodDelete, one, nil, nil); err != nil {
			return err
		}
		return a.print(f.JSON, map[string]string{"removed": f.ID}, "removed")
	case f.ID != "":
		answer, err := c.open(ctx, http.MethodGet, one, nil)
		if err != nil {
			return err
		}
		mail, err := c.whole(answer)
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(mail)
		return err
	}
	return f.list(a, c)
}

func (f *feedbackUnmatchedCmd) list(a *app, c *client) error {
	ctx, cancel := deadline(a.Context)
	defer cancel()
	var doc json.RawMessage
	if err := c.get(ctx, "/api/v1/returns/unmatched", nil, &doc); err != nil {
		return err
	}
	if f.JSON {
		return printJSON(a.Stdout, doc)
	}
	var answer struct{ Unmatched []returns.Kept }
	if err := decodeAnswer(doc, &answer); err != nil {
		return err
	}
	if len(answer.Unmatched) == 0 {
		fmt.Fprintln(a.Stdout, "every report was about mail that we know")
		return nil
	}
	for _, k := range answer.Unmatched {
		fmt.Fprintf(a.Stdout, "%s  %s  %d bytes\n", k.ID, k.At.Format(time.RFC3339), k.Bytes)
	}
	fmt.Fprintln(a.Stdout, "`tidepost feedback unmatched ID | tidepost feedback classify` says what one means")
	return nil
}

// whole reads an answer to its end.
func (c *client) whole(answer *http.Response) (json.RawMessage, error) {
	defer answer.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s stopped in the middle of its answer: %w", c.server, err)
	}
	if answer.StatusCode/100 != 2 {
		return nil, c.problem(answer, doc)
	}
	return doc, nil
}

// readMail reads a file, or standard input for -.
func readMail(a *app, name string) ([]byte, error) {
	const most = 10 << 20
	in := a.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	mail, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, err
	case len(mail) > most:
		return nil, errors.New("has more than 10 MiB: a report is shorter")
	case len(mail) == 0:
		return nil, errors.New("is empty")
	}
	return mail, nil
}
