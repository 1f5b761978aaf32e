package admin

import (
	"encoding/csv"
	"io"
	"strings"
)

// plainCSV writes values that no spreadsheet takes for a formula (attacks H8).
type plainCSV struct{ w *csv.Writer }

func newPlainCSV(w io.Writer) *plainCSV { return &plainCSV{csv.NewWriter(w)} }

// row writes a record. What goes wrong is told by flush.
func (p *plainCSV) row(cells ...string) {
	for i, c := range cells {
		cells[i] = plainCell(c)
	}
	p.w.Write(cells)
}

func (p *plainCSV) flush() error {
	p.w.Flush()
	return p.w.Error()
}

// formulas are the characters that a spreadsheet may begin a formula with, the wide
// ones too.
const formulas = "=+-@\t\r\n＝＋－＠"

// plainCell puts a quote before what would be calculated, and takes out NUL, which
// ends a cell for some readers.
func plainCell(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.ContainsRune(formulas, []rune(s[:min(len(s), 4)])[0]) {
		return "'" + s
	}
	return s
}
