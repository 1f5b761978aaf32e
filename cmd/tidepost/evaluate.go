package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// evaluateCmd measures the engine's predictors on recorded data; docs/evaluate.md
// tells the formats.
type evaluateCmd struct {
	Data       string `help:"Folder with active_hours.csv.gz (who was active when) or sends.csv.gz (who opened what)." required:"" placeholder:"DIR"`
	Out        string `help:"Where the predictions go, as CSV." required:"" placeholder:"FILE"`
	Target     string `help:"Of sends: what is predicted, opened or clicked." enum:"opened,clicked" default:"opened"`
	Deliveries string `help:"Of activity: also deliver mail at these moments (person, release_hour) and print what it brings." placeholder:"FILE"`
	JSON       bool   `name:"json" help:"Print the figures as JSON."`
}

// measured is one figure of an evaluation.
type measured struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Run writes the predictions and prints how good they are.
func (e *evaluateCmd) Run(a *app) error {
	what, err := e.kind()
	if err != nil {
		return err
	}
	note := newProgressNote(a.Stderr)
	defer note.done()
	var figures []measured
	err = writeWhole(e.Out, func(w io.Writer) error {
		figures, err = what(w, note)
		return err
	})
	if err != nil {
		return err
	}
	note.done()
	return a.printFigures(e.JSON, figures)
}

// kind tells from the folder what was recorded.
func (e *evaluateCmd) kind() (func(io.Writer, *progressNote) ([]measured, error), error) {
	activity, sends := fileExists(filepath.Join(e.Data, "active_hours.csv.gz")), fileExists(filepath.Join(e.Data, "sends.csv.gz"))
	switch {
	case activity && sends:
		return nil, usagef("evaluate: %s has both active_hours.csv.gz and sends.csv.gz: put them into folders of their own", e.Data)
	case activity:
		return e.evaluateActivity, nil
	case sends && e.Deliveries != "":
		return nil, usagef("evaluate: --deliveries needs to know who was active when, and %s has only sends.csv.gz", e.Data)
	case sends:
		return e.evaluateOpens, nil
	}
	return nil, usagef("evaluate: %s has neither active_hours.csv.gz nor sends.csv.gz", e.Data)
}

// writeWhole writes a file under another name first, so that it is there whole or
// not at all.
func writeWhole(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".evaluate-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func (a *app) printFigures(asJSON bool, figures []measured) error {
	if asJSON {
		return a.print(true, figures, "")
	}
	w := bufio.NewWriter(a.Stdout)
	for _, m := range figures {
		fmt.Fprintf(w, "%-28s %.4f\n", m.Name, m.Value)
	}
	return w.Flush()
}

// openScore scores predictions of things that happen or not.
type openScore struct{ all []outcomeScore }

type outcomeScore struct {
	p        float32
	happened bool
}

func (s *openScore) add(p float64, happened bool) {
	s.all = append(s.all, outcomeScore{float32(p), happened})
}

// measured are the figures of score.py.
func (s *openScore) measured(target string) []measured {
	n := float64(len(s.all))
	if n == 0 {
		return nil
	}
	slices.SortFunc(s.all, func(a, b outcomeScore) int {
		switch {
		case a.p < b.p:
			return -1
		case a.p > b.p:
			return 1
		case a.happened != b.happened && b.happened:
			return -1
		case a.happened != b.happened:
			return 1
		}
		return 0
	})
	loss, happened := 0.0, 0.0
	for _, o := range s.all {
		p := min(max(float64(o.p), 1e-6), 1-1e-6)
		if !o.happened {
			p = 1 - p
		} else {
			happened++
		}
		loss -= math.Log(p)
	}
	return []measured{{"sends", n}, {target + " rate", happened / n}, {"auc", s.area(happened)}, {"log_loss", loss / n}, {"calibration_error", s.miscalibration()}}
}

// area is that under the ROC curve; ties count half.
func (s *openScore) area(happened float64) float64 {
	ranks := 0.0
	for i := 0; i < len(s.all); {
		j := i
		for j < len(s.all) && s.all[j].p == s.all[i].p {
			j++
		}
		for _, o := range s.all[i:j] {
			if o.happened {
				ranks += float64(i+1+j) / 2
			}
		}
		i = j
	}
	rest := float64(len(s.all)) - happened
	if happened == 0 || rest == 0 {
		return 0.5
	}
	return (ranks - happened*(happened+1)/2) / (happened * rest)
}

// miscalibration is the mean error of tenths of the predictions.
func (s *openScore) miscalibration() (e float64) {
	for k := range 10 {
		sum := 0.0
		for _, o := range s.all[k*len(s.all)/10 : (k+1)*len(s.all)/10] {
			sum += float64(o.p)
			if o.happened {
				sum--
			}
		}
		e += math.Abs(sum) / float64(len(s.all))
	}
	return e
}
