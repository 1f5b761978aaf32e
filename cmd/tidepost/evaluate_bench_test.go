package main

import (
	"os"
	"path/filepath"
	"testing"

	"tidepost/scheduler"
	"tidepost/scheduler/clock"
)

// recordedData is the folder with recorded behaviour, where there is one: beside
// the repository, or where TESTING_DATA says.
func recordedData(t testing.TB, name string) string {
	t.Helper()
	folder := os.Getenv("TESTING_DATA")
	if folder == "" {
		folder = "../../../shared/data"
	}
	folder = filepath.Join(folder, name)
	if !fileExists(folder) {
		t.Skipf("no recorded data in %s; TESTING_DATA may name another folder", folder)
	}
	return folder
}

// knowledge is how much of a person's hours a prediction may know.
type knowledge struct {
	utc     bool // the zone is unknown
	last    int  // only so many of the last hours; 0: all
	updated bool // weekly through the test part
}

// score predicts the rest of a person's hours.
func (k knowledge) score(s *hourScore, p *activePerson, prior *clock.Prior) {
	n := p.trained()
	from := 0
	if k.last > 0 {
		from = n - k.last
	}
	c := clockOf(prior, p.hours[from:n], k.utc)
	var curve [clock.Hours]float64
	shares(&c, prior, &curve)
	if !k.updated {
		s.add(&curve, p.hours[n:], k.utc)
		return
	}
	var weekly hourScore
	for at := n; at < len(p.hours); {
		end := at
		for end < len(p.hours) && p.hours[end].local < p.hours[at].local+clock.Hours {
			end++
		}
		shares(&c, prior, &curve)
		weekly.add(&curve, p.hours[at:end], k.utc)
		s.loss += weekly.loss * float64(end-at) / float64(len(p.hours)-n)
		weekly = hourScore{}
		for _, h := range p.hours[at:end] {
			c.Active(prior, h.unix(), h.week(k.utc), 1)
		}
		at = end
	}
	s.people++
}

// BenchmarkPredictActivity prints the rows of the figures about when people are
// active: log-loss in nats; uniform is 5.124.
func BenchmarkPredictActivity(b *testing.B) {
	people, err := readActivity(recordedData(b, "devclock"), &progressNote{})
	if err != nil {
		b.Fatal(err)
	}
	model := fitClock(people)
	for _, row := range []struct {
		name  string
		model *scheduler.Model
		knowledge
	}{
		{"frozen", model, knowledge{}},
		{"updated", model, knowledge{updated: true}},
		{"zone_unknown", model, knowledge{utc: true}},
		{"zone_unknown_updated", model, knowledge{utc: true, updated: true}},
		{"five_events", model, knowledge{last: 5}},
		{"built_in_frozen", scheduler.BuiltIn(), knowledge{}},
	} {
		b.Run(row.name, func(b *testing.B) {
			var s hourScore
			for range b.N {
				s = hourScore{}
				for i := range people {
					if people[i].scored() {
						row.score(&s, &people[i], row.model.Clock)
					}
				}
			}
			b.ReportMetric(s.loss/s.people, "nats")
		})
	}
}

// BenchmarkPredictOpens prints the rows about who opens and who clicks.
func BenchmarkPredictOpens(b *testing.B) {
	r, err := readSends(recordedData(b, "newsletter-opens"), &progressNote{})
	if err != nil {
		b.Fatal(err)
	}
	model := r.fit()
	for _, target := range []string{"opened", "clicked"} {
		b.Run(target, func(b *testing.B) {
			var s openScore
			for range b.N {
				s = openScore{}
				r.predict(model, &progressNote{}, func(_, _ int64, opened, clicked float64, what uint8) error {
					if target == "clicked" {
						s.add(clicked, what&recordedClick != 0)
					} else {
						s.add(opened, what&recordedOpen != 0)
					}
					return nil
				})
			}
			for _, m := range s.measured(target) {
				switch m.Name {
				case "log_loss":
					b.ReportMetric(m.Value, "nats")
				case "auc":
					b.ReportMetric(m.Value, "AUC")
				case "calibration_error":
					b.ReportMetric(m.Value, "ECE")
				}
			}
		})
	}
}

// BenchmarkDeliverRecorded prints what planning the hour of delivery brings.
func BenchmarkDeliverRecorded(b *testing.B) {
	dir := recordedData(b, "devclock")
	people, err := readActivity(dir, &progressNote{})
	if err != nil {
		b.Fatal(err)
	}
	model := fitClock(people)
	for range b.N {
		figures, err := evaluateDeliveries(filepath.Join(dir, "releases.csv.gz"), people, model, &progressNote{})
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range figures[1:] {
			b.ReportMetric(m.Value, underscored(m.Name))
		}
	}
}

func underscored(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}
