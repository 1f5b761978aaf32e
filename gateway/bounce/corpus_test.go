package bounce

import (
	"os"
	"path/filepath"
	"testing"
)

// A corpus of ordinary mail, one a file, in TESTING_HAM: hardly any of it may be taken
// for a bounce. What is, is named, for some corpora hold real ones.
func TestCorpusOfOrdinaryMail(t *testing.T) {
	root := os.Getenv("TESTING_HAM")
	if root == "" {
		t.Skip("TESTING_HAM names no folder of ordinary mail")
	}
	n, taken := 0, 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		if m := Parse(b); len(m.Reports) > 0 {
			taken++
			t.Logf("%s: %+v", filepath.Base(path), m.Reports[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if float64(taken) > max(1, 0.002*float64(n)) {
		t.Errorf("%d of %d mails are taken for bounces", taken, n)
	}
}
