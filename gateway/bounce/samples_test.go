package bounce

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// samples is the folder with real bounces, where there is one: beside the
// repository, or where TESTING_DATA says.
func samples(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("TESTING_DATA")
	if folder == "" {
		folder = "../../../shared/data"
	}
	folder = filepath.Join(folder, "bounces")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no recorded bounces in %s; TESTING_DATA may name another folder", folder)
	}
	return folder
}

// expected is one line of expected.csv.
type expected struct {
	file   string
	record int
	reason Reason
	hard   bool
}

func readExpected(t testing.TB, folder string) (out []expected) {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, "expected.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, expected{row[0], n, Reason(row[4]), row[5] == "true"})
	}
	return out
}

func readSample(t testing.TB, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Real bounces are read as their publisher reads them, but for a few.
func TestSamples(t *testing.T) {
	folder := samples(t)
	mails := map[string]*Mail{}
	var found, hard, group, complaints, complaintsFound int
	all := readExpected(t, folder)
	for _, want := range all {
		m := mails[want.file]
		if m == nil {
			m = Parse(readSample(t, folder, want.file))
			mails[want.file] = m
		}
		var got Report
		if want.record <= len(m.Reports) {
			got = m.Reports[want.record-1]
			found++
		}
		if want.reason == Complaint {
			complaints++
			if got.Reason == Complaint {
				complaintsFound++
			}
		}
		if got.Group != "" && got.Hard == want.hard {
			hard++
		}
		if got.Group == want.reason.Group() {
			group++
		} else {
			t.Logf("%s %d: %s, want %s", want.file, want.record, got.Reason, want.reason)
		}
	}
	t.Logf("of %d records: %d found, %d hard or soft as expected, %d in the expected group", len(all), found, hard, group)
	for _, goal := range []struct {
		what        string
		got, of, at int
	}{{"found", found, len(all), 98}, {"hard or soft", hard, len(all), 98}, {"group", group, len(all), 93}, {"complaints", complaintsFound, complaints, 100}} {
		if 100*goal.got < goal.at*goal.of {
			t.Errorf("%s: %d of %d, want %d %%", goal.what, goal.got, goal.of, goal.at)
		}
	}
}

func BenchmarkSamples(b *testing.B) {
	folder := samples(b)
	var mails [][]byte
	last := ""
	for _, e := range readExpected(b, folder) {
		if e.file != last {
			mails = append(mails, readSample(b, folder, e.file))
			last = e.file
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		Parse(mails[i%len(mails)])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
