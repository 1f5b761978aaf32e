package lists

import "fmt"

// Error is what is wrong with a file or a line of it, in words for the person who
// has the file.
type Error struct {
	Line    int    // 1 is the first; 0: not about a line
	Column  int    // in characters, 1 is the first; 0: the whole line
	Field   string // the column's name; empty: not about one
	Problem string
	Remedy  string
	Fatal   bool  // nothing is read after it
	Err     error // what the reader underneath said; nil: nothing
}

// Error is one sentence: place, problem, remedy.
func (e *Error) Error() string {
	place := ""
	if e.Line > 0 {
		place = fmt.Sprintf("line %d", e.Line)
		if e.Column > 0 {
			place += fmt.Sprintf(", column %d", e.Column)
		}
		if e.Field != "" {
			place += " (" + e.Field + ")"
		}
		place += ": "
	}
	text := place + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Remedy == "" {
		return text
	}
	return text + ": " + e.Remedy
}

// Unwrap is the error of the reader underneath.
func (e *Error) Unwrap() error { return e.Err }
