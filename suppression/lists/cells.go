package lists

import (
	"bytes"
	"slices"
	"strconv"
)

// column is what a column is for, whatever a service calls it.
type column uint8

const (
	colNone column = iota
	colAddress
	colHash
	colReason
	colStatus
	colCode
	colError
	colCreated
	colUpdated
	colExpires
	colRemoved
	colScope
	colType
	colTransactional
	colBulk
	colSource
	colOrigin
	colDescription
	colTags
	colGroup
	colListID
	colIP
	colSubscription
	colEvidence
	colNote
	columns
)

// columnNames says which folded names mean which column; of two names of one column
// in a header the one first here counts. A file may well have a postal "address"
// beside its "email".
var columnNames = [columns][]string{
	colAddress:       {"email", "emailaddress", "recipient", "address", "to"},
	colHash:          {"sha256", "emailsha256", "sha256email", "emailaddresssha256", "md5", "emailmd5", "md5email", "emailaddressmd5", "hash", "emailhash", "hashedemail"},
	colReason:        {"reason", "suppressionreason"},
	colStatus:        {"status"},
	colCode:          {"code"},
	colError:         {"error"},
	colCreated:       {"created", "createdat", "lastupdatetime"},
	colUpdated:       {"updated", "updatedat"},
	colExpires:       {"expires", "expiresat", "expiry"},
	colRemoved:       {"removed"},
	colScope:         {"scope"},
	colType:          {"type"},
	colTransactional: {"transactional"},
	colBulk:          {"nontransactional"},
	colSource:        {"source"},
	colOrigin:        {"origin"},
	colDescription:   {"description"},
	colTags:          {"tags", "tag"},
	colGroup:         {"groupname", "groupid"},
	colListID:        {"listid"},
	colIP:            {"ip"},
	colSubscription:  {"subscriptionstatus"},
	colEvidence:      {"evidence"},
	colNote:          {"note"},
}

// columnOf is the map back: the column and the name's rank in it.
var columnOf = func() map[string]ranked {
	m := map[string]ranked{}
	for col, names := range columnNames {
		for rank, name := range names {
			m[name] = ranked{column(col), rank}
		}
	}
	return m
}()

type ranked struct {
	column
	rank int
}

// cells are the values of one line by column, valid until the next line.
type cells struct {
	value [columns][]byte
	at    [columns]int    // offset in the record, or index into places of JSON
	name  [columns]string // as the file has it
	rank  [columns]int    // of the name in columnNames
	place func(at int) (line, column int)
}

// bad is an error about one cell.
func (c *cells) bad(col column, problem, remedy string) *Error {
	line, column := c.place(c.at[col])
	return &Error{Line: line, Column: column, Field: c.name[col], Problem: problem, Remedy: remedy}
}

// header maps the fields of a line to columns.
type header struct {
	names  []string // as the file has them
	folded []string
	cols   []column
}

func newHeader(fields [][]byte) *header {
	h := &header{}
	for _, f := range fields {
		f = bytes.TrimSpace(f)
		h.names = append(h.names, clip(string(f)))
		h.folded = append(h.folded, string(fold(nil, f)))
	}
	h.cols = make([]column, len(fields))
	var best [columns]int // 1 + index of the field that has the column
	for i, name := range h.folded {
		r, ok := columnOf[name]
		if !ok {
			continue
		}
		if old := best[r.column]; old > 0 {
			if columnOf[h.folded[old-1]].rank <= r.rank {
				continue
			}
			h.cols[old-1] = colNone
		}
		best[r.column], h.cols[i] = i+1, r.column
	}
	return h
}

// isHeader reports whether a first line names an address or a hash column.
func (h *header) isHeader() bool {
	return slices.Contains(h.cols, colAddress) || slices.Contains(h.cols, colHash)
}

// fold lower-cases a word and takes its blanks, hyphens and underscores out.
func fold(b, word []byte) []byte {
	for _, c := range word {
		switch {
		case c == ' ' || c == '-' || c == '_':
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return b
}

// show is text of a file for an error: short, and without what could disturb a
// terminal.
func show(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.QuoteToGraphic(s)
}
