package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"tidepost/gateway"
)

type signalsCmd struct {
	Import signalsImportCmd `cmd:"" help:"Tell what readers did: one JSON object a line, {\"at\",\"kind\",\"mailbox\",\"tenant\",\"message\",\"human\"}; with --format, the history that another service recorded (see tidepost help history)."`
	Resume signalsResumeCmd `cmd:"" help:"Accept that the stream in NATS has lost signals, and go on with those that come."`
}

type signalsImportCmd struct {
	remote
	File   string `arg:"" help:"File of signals; - is standard input." placeholder:"FILE"`
	Tenant string `help:"Tenant of lines that name none; with --format, whose mail it was." placeholder:"NAME"`
	historyFlags
}

type signalsResumeCmd struct{ remote }

// Run asks the gateway to go on.
func (s *signalsResumeCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	if err := c.do(a.Context, http.MethodPost, "/api/v1/signals/resume", nil, nil); err != nil {
		return err
	}
	return a.print(s.JSON, map[string]bool{"resumed": true}, "signals go on")
}

// signalBatch is how many signals go in one request.
const signalBatch = 1000

// Run sends a file of signals to the gateway.
func (s *signalsImportCmd) Run(a *app) error {
	c, err := s.connect(a)
	if err != nil {
		return err
	}
	if s.Format != "" {
		return s.bring(a, c)
	}
	if s.historyFlags != (historyFlags{}) {
		return usagef("--class, --list, --dry-run and --skip-bad need --format: whose history is it?")
	}
	in := a.Stdin
	if s.File != "-" {
		f, err := os.Open(s.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	taken, news, err := s.send(a, c, in)
	if err != nil {
		return fmt.Errorf("%w (%d signals before it were taken; taking them again changes nothing)", err, taken)
	}
	return a.print(s.JSON, map[string]int{"taken": taken, "news": news}, fmt.Sprintf("%d signals taken, %d of them news", taken, news))
}

func (s *signalsImportCmd) send(a *app, c *client, in io.Reader) (taken, news int, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var batch []gateway.SignalDoc
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		var answer struct{ Taken, News int }
		request := struct {
			Signals []gateway.SignalDoc `json:"signals"`
		}{batch}
		if err := c.do(a.Context, http.MethodPost, "/api/v1/signals", request, &answer); err != nil {
			return err
		}
		taken, news, batch = taken+answer.Taken, news+answer.News, batch[:0]
		return nil
	}
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var l gateway.SignalDoc
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return taken, news, fmt.Errorf("line %d is no signal: %w", n, err)
		}
		if l.Tenant == "" {
			l.Tenant = firstOf(s.Tenant, "default")
		}
		if batch = append(batch, l); len(batch) == signalBatch {
			if err := flush(); err != nil {
				return taken, news, fmt.Errorf("up to line %d: %w", n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return taken, news, err
	}
	return taken, news, flush()
}
