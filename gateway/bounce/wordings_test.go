package bounce

import (
	"os"
	"strings"
	"testing"
)

// What servers say is told apart by group, and by hard or soft: testdata/sayings.txt
// has lines of reason, command, status and words, with a bar between them.
func TestWordings(t *testing.T) {
	b, err := os.ReadFile("testdata/sayings.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all, exact int
	for line := range strings.Lines(string(b)) {
		if line[0] == '#' {
			continue
		}
		f := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(f) != 4 {
			t.Fatalf("%q has not four parts", line)
		}
		want := Reason(f[0])
		r := (&told{recipient: "ann@far.test", action: "failed", status: f[2], diagnostic: f[3], stage: stage(f[1])}).report()
		all++
		if r.Reason == want {
			exact++
		}
		if r.Group != want.Group() || r.Hard != want.Hard() {
			t.Errorf("%q (%s): %s, want %s", f[3], f[1], r.Reason, want)
		}
	}
	t.Logf("of %d: %d with the very reason", all, exact)
}
