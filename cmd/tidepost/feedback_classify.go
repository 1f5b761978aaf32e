package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"tidepost/gateway/bounce"
)

// feedbackClassifyCmd reads mails that came back; docs/bounces.md tells what the
// groups mean.
type feedbackClassifyCmd struct {
	Files []string `arg:"" optional:"" name:"file" help:"Mails that came back, one a file; - or none is standard input." placeholder:"FILE"`
}

// classified is one report, as it is printed.
type classified struct {
	File       string        `json:"file"`
	Record     int           `json:"record"` // in the file, from 1
	Recipient  string        `json:"recipient"`
	Status     string        `json:"status"`
	ReplyCode  string        `json:"reply_code"`
	Group      bounce.Group  `json:"group"`
	Hard       bool          `json:"hard_bounce"`
	Reason     bounce.Reason `json:"reason"`
	Action     string        `json:"action"`
	Diagnostic string        `json:"diagnostic"`
}

// Run prints the reports of all files. A file that cannot be read does not keep it
// from the others.
func (c *feedbackClassifyCmd) Run(a *app) error {
	if len(c.Files) == 0 {
		c.Files = []string{"-"}
	}
	out := bufio.NewWriterSize(a.Stdout, 64<<10)
	failed := false
	for _, name := range c.Files {
		m, err := a.readBounce(name)
		if err != nil {
			fmt.Fprintf(a.Stderr, "tidepost: %s\n", safe(err.Error()))
			failed = true
			continue
		}
		if len(m.Reports) == 0 {
			fmt.Fprintf(a.Stderr, "%s: no report in it\n", safe(name))
		}
		if err := writeReports(out, name, m.Reports); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed {
		return errQuiet
	}
	return nil
}

// readBounce reads one mail.
func (a *app) readBounce(name string) (*bounce.Mail, error) {
	if name == "-" {
		m, err := bounce.Read(a.Stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return m, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name the mails in it, as %s/*", name, name)
	}
	return bounce.Read(f)
}

// writeReports prints one line a report. Angle brackets stay readable.
func writeReports(w io.Writer, name string, reports []bounce.Report) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	for i, r := range reports {
		line.Reset()
		err := encoder.Encode(classified{File: name, Record: i + 1, Recipient: r.Recipient, Status: r.Status, ReplyCode: r.ReplyCode,
			Group: r.Group, Hard: r.Hard, Reason: r.Reason, Action: r.Action, Diagnostic: r.Diagnostic})
		if err != nil {
			return err
		}
		if _, err := w.Write(safeJSON(line.Bytes())); err != nil {
			return err
		}
	}
	return nil
}
