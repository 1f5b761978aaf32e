package rules

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// place is where a value of a file starts.
type place struct {
	line, column int    // of its first byte, from 1, columns in code points
	raw          string // as it is written, with its quotes
}

// placeOf is the place of a value at that offset of a file.
func placeOf(text []byte, offset, length int) place {
	line, column := lineColumn(text, offset)
	return place{line, column, string(text[offset : offset+length])}
}

// lineColumn is an offset as an editor shows it.
func lineColumn(text []byte, offset int) (line, column int) {
	before := text[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// inside is the place in the file of a place in the string that the value denotes,
// line from 1 and column from 0 in code points, as CEL reports it.
func (p place) inside(line, column int) (int, int) {
	offset := p.opening()
	escapes := strings.HasPrefix(p.raw, `"`)
	for (line > 1 || column > 0) && offset < len(p.raw) {
		size, letter := letterAt(p.raw[offset:], escapes)
		offset += size
		switch {
		case letter == '\n' && line > 1:
			line--
		case line == 1 && letter >= 0:
			column--
		}
	}
	if offset < len(p.raw) {
		if size, letter := letterAt(p.raw[offset:], escapes); letter < 0 {
			offset += size
		}
	}
	l, c := lineColumn([]byte(p.raw), min(offset, len(p.raw)))
	if l == 1 {
		return p.line, p.column + c - 1
	}
	return p.line + l - 1, c
}

// opening is how long the quotes are that a string starts with. The newline right
// after three of them is not part of it (TOML, Strings).
func (p place) opening() int {
	for _, quote := range []string{`"""`, `'''`} {
		if rest, ok := strings.CutPrefix(p.raw, quote); ok && len(rest) >= 3 {
			trimmed := strings.TrimPrefix(strings.TrimPrefix(rest, "\r"), "\n")
			if strings.HasPrefix(rest, "\n") || strings.HasPrefix(rest, "\r\n") {
				return len(p.raw) - len(trimmed)
			}
			return len(quote)
		}
	}
	return min(1, len(p.raw))
}

// letterAt is how many bytes the next letter of a string takes as it is written,
// and the letter: '\n' for a line's end, -1 for a line continuation, which is no
// letter, and 0 for any other.
func letterAt(s string, escapes bool) (int, rune) {
	if s[0] == '\n' {
		return 1, '\n'
	}
	if !escapes || s[0] != '\\' || len(s) == 1 {
		_, size := utf8.DecodeRuneInString(s)
		return size, 0
	}
	switch s[1] {
	case 'n':
		return 2, '\n'
	case 'x':
		return min(4, len(s)), 0
	case 'u':
		return min(6, len(s)), 0
	case 'U':
		return min(10, len(s)), 0
	case ' ', '\t', '\r', '\n':
		return 1 + len(s[1:]) - len(strings.TrimLeft(s[1:], " \t\r\n")), -1
	}
	return 2, 0
}
