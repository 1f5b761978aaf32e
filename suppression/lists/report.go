package lists

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tidepost/suppression"
)

// MaxNamed is how many bad lines a Report names; the others it counts.
const MaxNamed = 10

// Report is what a file would do.
type Report struct {
	Format  Format // empty: not recognised
	Entries int    // lines that would become entries, the same address twice counted twice
	Hashes  int    // lines that would become hashed entries
	Reasons map[suppression.Reason]int
	Skipped map[string]int // lines left out on purpose, by why
	Bad     int            // lines that cannot be read
	Named   []*Error       // the first of them
	Stopped *Error         // why the file was not read to its end; nil: it was
}

// DryRun reads the file and stores nothing.
func DryRun(r io.Reader, opt Options) *Report {
	rep := &Report{Reasons: map[suppression.Reason]int{}, Skipped: map[string]int{}}
	for row, err := range Read(r, opt) {
		if err != nil {
			rep.fault(err.(*Error)) // Read has no other
			continue
		}
		rep.Format = row.Format
		switch {
		case row.Skipped != "":
			rep.Skipped[row.Skipped]++
			continue
		case row.Hash.Kind != "":
			rep.Hashes++
		default:
			rep.Entries++
		}
		rep.Reasons[row.Entry.Reason]++
	}
	return rep
}

func (r *Report) fault(e *Error) {
	if e.Fatal {
		r.Stopped = e
		return
	}
	r.Bad++
	if len(r.Named) < MaxNamed {
		r.Named = append(r.Named, e)
	}
}

// String is the report for a person.
func (r *Report) String() string {
	var b strings.Builder
	if s := shapeOf(r.Format); s != nil {
		fmt.Fprintf(&b, "%s (%s)\n", s.Service, s.Format)
	}
	fmt.Fprintf(&b, "%d entries", r.Entries)
	if r.Hashes > 0 {
		fmt.Fprintf(&b, ", %d hashes", r.Hashes)
	}
	b.WriteString(counts(r.Reasons) + "\n")
	for _, why := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(&b, "%d left out: %s\n", r.Skipped[why], why)
	}
	if r.Bad > 0 {
		fmt.Fprintf(&b, "%d bad\n", r.Bad)
	}
	for _, e := range r.Named {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	if more := r.Bad - len(r.Named); more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	if r.Stopped != nil {
		fmt.Fprintf(&b, "stopped: %s\n", r.Stopped)
	}
	return b.String()
}

// counts lists what there is of each, most first.
func counts(m map[suppression.Reason]int) string {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, func(a, b suppression.Reason) int { return cmp.Or(m[b]-m[a], cmp.Compare(a, b)) })
	text := make([]string, len(keys))
	for i, k := range keys {
		text[i] = fmt.Sprintf("%d %v", m[k], k)
	}
	if len(text) == 0 {
		return ""
	}
	return ": " + strings.Join(text, ", ")
}
