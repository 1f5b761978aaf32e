package experiment

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// MaxBinary is the most that encoded tallies take.
const MaxBinary = 64 << 10

const talliesVersion = 1

// AppendBinary appends the tallies in at most MaxBinary bytes: where they do not
// fit, the oldest quarters are left out.
//
// The form is a version, then for each quarter its tenant, its experiment, its
// number, which arms follow by bit, and the sums of these as varints.
func (t *Tallies) AppendBinary(b []byte) ([]byte, error) {
	keys := t.keys()
	encoded := make(map[key][]byte, len(keys))
	size := 1
	for _, k := range keys {
		encoded[k] = appendCell(nil, k, t.cells[k])
		size += len(encoded[k])
	}
	oldest := slices.SortedFunc(slices.Values(keys), t.older)
	for i := 0; size > MaxBinary; i++ {
		size -= len(encoded[oldest[i]])
		delete(encoded, oldest[i])
	}
	b = append(b, talliesVersion)
	for _, k := range keys {
		b = append(b, encoded[k]...)
	}
	return b, nil
}

// MarshalBinary is AppendBinary(nil).
func (t *Tallies) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

func appendCell(b []byte, k key, c *cell) []byte {
	for _, name := range [...]string{k.tenant, k.experiment} {
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(k.quarter))
	arms := len(b)
	b = append(b, 0)
	for a := range c {
		if c[a] == (Tally{}) {
			continue
		}
		b[arms] |= 1 << a
		for _, f := range c[a].fields() {
			b = binary.AppendUvarint(b, *f)
		}
	}
	return b
}

var errTallies = errors.New("not the tallies of experiments")

// UnmarshalBinary reads what AppendBinary wrote.
func (t *Tallies) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || len(b) > MaxBinary || b[0] != talliesVersion {
		return errTallies
	}
	var read Tallies
	r := reader{b[1:], false}
	for len(r.rest) > 0 && !r.failed {
		k := key{r.name(), r.name(), Quarter(r.uint16())}
		var c cell
		for a, set := 0, r.byte(); a < Arms; a++ {
			if set>>a&1 == 0 {
				continue
			}
			for _, f := range c[a].fields() {
				*f = r.uvarint()
			}
		}
		if r.failed || read.cells[k] != nil {
			return errTallies
		}
		if kept := read.cell(k); kept != nil {
			*kept = c
		}
	}
	if r.failed {
		return errTallies
	}
	*t = read
	return nil
}

// reader takes a slice apart. Past its end everything is zero and failed is set.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.failed = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) name() string   { return string(r.take(int(r.byte()))) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > maxSum {
		r.rest, r.failed = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// row is an arm's quarter in JSON.
type row struct {
	Tenant     string `json:"tenant"`
	Experiment string `json:"experiment,omitempty"`
	Quarter    string `json:"quarter"`
	Arm        string `json:"arm"`
	Tally
}

// MarshalJSON writes a list with one object for each arm and quarter.
func (t *Tallies) MarshalJSON() ([]byte, error) {
	rows := []row{}
	for _, k := range t.keys() {
		for a, tally := range t.cells[k] {
			if tally != (Tally{}) {
				rows = append(rows, row{k.tenant, k.experiment, k.quarter.String(), Arm(a).String(), tally})
			}
		}
	}
	return json.Marshal(rows)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Tallies) UnmarshalJSON(b []byte) error {
	var rows []row
	if err := json.Unmarshal(b, &rows); err != nil {
		return err
	}
	var read Tallies
	for _, r := range rows {
		if err := read.row(r); err != nil {
			return err
		}
	}
	*t = read
	return nil
}

func (t *Tallies) row(r row) error {
	q, err := ParseQuarter(r.Quarter)
	if err != nil {
		return err
	}
	a, err := ParseArm(r.Arm)
	if err != nil {
		return err
	}
	if len(r.Tenant) > maxName || len(r.Experiment) > maxName {
		return fmt.Errorf("a name of more than %d bytes", maxName)
	}
	for _, f := range r.Tally.fields() {
		*f = min(*f, maxSum)
	}
	if c := t.cell(key{r.Tenant, r.Experiment, q}); c != nil {
		c[a] = r.Tally
	}
	return nil
}
