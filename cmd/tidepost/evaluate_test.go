package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// record writes a gzipped table.
func record(t *testing.T, dir, name string, lines ...string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	io.WriteString(z, strings.Join(lines, "\n")+"\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

// evaluated runs the command and returns the rows it wrote and what it printed.
func evaluated(t *testing.T, dir string, args ...string) ([][]string, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "predictions.csv")
	var stdout, stderr strings.Builder
	args = append([]string{"evaluate", "--data", dir, "--out", out}, args...)
	if status := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, nil); status != exitDone {
		t.Fatalf("exit status %d: %s", status, stderr.String())
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows, stdout.String()
}

// activity records people who are there in the evening, with rows in no order, one
// of them seen once only.
func activity(seed uint64, people int) []string {
	r := rand.New(rand.NewPCG(seed, 3))
	lines := []string{"1000000007,26000000,0"}
	for p := range people {
		for day := range 200 {
			if r.IntN(3) > 0 {
				minute := 26_000_640 + day*1440 + (18+r.IntN(5))*60 + r.IntN(60) - 330
				lines = append(lines, fmt.Sprintf("%d,%d,330", p*37-5, minute))
			}
		}
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return append([]string{"person,utc_min,tz_min"}, lines...)
}

func TestEvaluateActivity(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, "active_hours.csv.gz", activity(1, 12)...)
	rows, printed := evaluated(t, dir)
	if len(rows) != 14 || len(rows[0]) != 169 || rows[0][168] != "h167" {
		t.Fatalf("%d rows of %d columns", len(rows), len(rows[0]))
	}
	for _, row := range rows[1:] {
		sum, evening := 0.0, 0.0
		for h, text := range row[1:] {
			p, err := strconv.ParseFloat(text, 64)
			if err != nil || p < 0 {
				t.Fatalf("person %s, hour %d: %q", row[0], h, text)
			}
			sum += p
			if h%24 >= 18 && h%24 < 23 {
				evening += p
			}
		}
		if math.Abs(sum-1) > 1e-4 {
			t.Errorf("person %s: sum %v", row[0], sum)
		}
		if row[0] != "1000000007" && evening < 0.3 {
			t.Errorf("person %s: only %.2f of the evening is foreseen", row[0], evening)
		}
	}
	if !strings.Contains(printed, "persons                      12.0000") {
		t.Errorf("printed %s", printed)
	}
}

// What comes after the first 70 % of a person's time changes no prediction.
func TestEvaluateLooksAtNothingLater(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	lines := activity(2, 40)
	record(t, dir, "active_hours.csv.gz", lines...)
	for i, line := range lines[1:] {
		f := strings.Split(line, ",")
		if minute, _ := strconv.Atoi(f[1]); minute > 26_000_640+145*1440 && minute < 26_000_640+195*1440 {
			lines[i+1] = fmt.Sprintf("%s,%d,%s", f[0], minute-600, f[2]) // it becomes a morning
		}
	}
	record(t, other, "active_hours.csv.gz", lines...)
	first, _ := evaluated(t, dir)
	second, _ := evaluated(t, other)
	for i := range first {
		if strings.Join(first[i], ",") != strings.Join(second[i], ",") {
			t.Errorf("the prediction for person %s rests on what came later", first[i][0])
		}
	}
}

func TestEvaluateDeliveries(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, "active_hours.csv.gz", activity(3, 12)...)
	lines := []string{"person,release_hour,local"}
	for p := range 12 {
		for day := 150; day < 190; day += 3 {
			lines = append(lines, fmt.Sprintf("%d,%d,x", p*37-5, (26_000_640+day*1440)/60+72+p))
		}
	}
	record(t, dir, "releases.csv.gz", lines...)
	_, printed := evaluated(t, dir, "--deliveries", filepath.Join(dir, "releases.csv.gz"), "--json")
	if !strings.Contains(printed, "soonest wait_h") || !strings.Contains(printed, "immediate total_h") {
		t.Errorf("printed %s", printed)
	}
}

// Mails whose numbers do not begin at 1 nor follow each other, in no order.
func TestEvaluateOpens(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(4, 4))
	lines := []string{}
	for user := range 300 {
		for mail := range 20 {
			opened, clicked := 0, 0
			if user%3 == 0 && r.IntN(10) < 8 || r.IntN(10) == 0 {
				opened = 1
				clicked = r.IntN(4) / 3
			}
			lines = append(lines, fmt.Sprintf("%d,%d,%d,%d", user*11, 5+mail*7, opened, clicked))
		}
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	record(t, dir, "sends.csv.gz", append([]string{"user,mail,opened,clicked"}, lines...)...)
	rows, printed := evaluated(t, dir)
	if strings.Join(rows[0], ",") != "user,mail,p" || len(rows) != 1+300*18 { // mails above number 14, as score.py takes them
		t.Fatalf("%d rows, %v", len(rows), rows[0])
	}
	mean := [2]float64{}
	for _, row := range rows[1:] {
		user, _ := strconv.Atoi(row[0])
		p, err := strconv.ParseFloat(row[2], 64)
		if err != nil || p < 0 || p > 1 {
			t.Fatalf("%v", row)
		}
		reader := 0
		if user/11%3 == 0 {
			reader = 1
		}
		mean[reader] += p / 300 / 18
	}
	if mean[1]/mean[0] < 1.5 { // one in three, and eight times as likely
		t.Errorf("readers are not told from others: %v", mean)
	}
	if !strings.Contains(printed, "calibration_error") {
		t.Errorf("printed %s", printed)
	}
	if clicks, _ := evaluated(t, dir, "--target", "clicked"); len(clicks) != len(rows) {
		t.Errorf("%d rows of clicks", len(clicks))
	}
}

func TestEvaluateErrors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		lines      []string
		status     int
		want       string
	}{
		{"nothing", "x.csv.gz", []string{"a"}, exitUsage, "has neither active_hours.csv.gz nor sends.csv.gz"},
		{"no rows", "active_hours.csv.gz", []string{"person,utc_min,tz_min"}, exitFailed, "active_hours.csv.gz: no rows"},
		{"column", "active_hours.csv.gz", []string{"person,utc_min"}, exitFailed, `line 1: no column "tz_min" among person, utc_min`},
		{"number", "active_hours.csv.gz", []string{"person,utc_min,tz_min", "1,2,3", "1,soon,3"}, exitFailed, `line 3: column "utc_min": "soon": want a whole number`},
		{"range", "active_hours.csv.gz", []string{"person,utc_min,tz_min", "1,2,3000"}, exitFailed, `line 2: column "tz_min": "3000": want a number from -1440 to 1440`},
		{"fields", "sends.csv.gz", []string{"user,mail,opened,clicked", "1,2"}, exitFailed, "sends.csv.gz: line 2: wrong number of fields"},
		{"one mail", "sends.csv.gz", []string{"user,mail,opened,clicked", "1,2,0,0"}, exitFailed, "at least two are needed"},
		{"yes", "sends.csv.gz", []string{"user,mail,opened,clicked", "1,2,yes,0"}, exitFailed, `line 2: column "opened": "yes": want a whole number`},
	} {
		dir := t.TempDir()
		record(t, dir, c.file, c.lines...)
		out := filepath.Join(dir, "out.csv")
		var stdout, stderr strings.Builder
		status := run(t.Context(), []string{"evaluate", "--data", dir, "--out", out}, strings.NewReader(""), &stdout, &stderr, nil)
		if status != c.status || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: exit status %d, %q", c.name, status, stderr.String())
		}
		if fileExists(out) {
			t.Errorf("%s: a file was left", c.name)
		}
	}
}
