package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"
)

// The types below are what the client reads of the admin API's answers; all
// fields are in docs/api.md.

// delivery is one delivery as the API shows it.
type delivery struct {
	ID        string
	Message   string
	Mailbox   string
	Address   string
	Tenant    string
	Campaign  string
	Class     string
	State     string
	Due       time.Time
	Reason    string
	Sentence  string
	Attempts  int
	Accepted  time.Time
	Deadline  time.Time
	Expires   time.Time
	Paused    bool
	Reply     string
	Size      int64
	Duplicate bool
}

// page is one page of a listing.
type page struct {
	Items []json.RawMessage
	Next  string
	Mode  string // the route's; "capture" is worth a warning
	Total *int64 // only when count=true was asked for
}

// pageSize is how many items are asked for at a time.
const pageSize = 500

// list reads pages until limit items were read; 0 reads all. more tells that
// there were others.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int) (all page, more bool, err error) {
	query = cloneValues(query)
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(all.Items))
		}
		query.Set("limit", strconv.Itoa(size))
		var p page
		short, cancel := deadline(ctx)
		err := c.get(short, path, query, &p)
		cancel()
		if err != nil {
			return all, false, err
		}
		all.Items, all.Mode, all.Total = append(all.Items, p.Items...), p.Mode, p.Total
		done := limit > 0 && len(all.Items) >= limit
		if p.Next == "" || done { // a page may be empty and not the last: filters look at a bounded piece at a time
			return all, p.Next != "", nil
		}
		query.Set("cursor", p.Next)
	}
}

func cloneValues(v url.Values) url.Values {
	out := url.Values{}
	for key, values := range v {
		out[key] = append([]string(nil), values...)
	}
	return out
}

// decodeAnswer reads what the gateway answered.
func decodeAnswer(doc json.RawMessage, v any) error {
	if err := json.Unmarshal(doc, v); err != nil {
		return fmt.Errorf("the gateway's answer cannot be read (%v): is it of another version?", err)
	}
	return nil
}

// decodeAll reads the items of a page.
func decodeAll[T any](items []json.RawMessage) ([]T, error) {
	out := make([]T, len(items))
	for i, item := range items {
		if err := decodeAnswer(item, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// printJSON writes a value indented, without control characters.
func printJSON(w io.Writer, v any) error {
	doc, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(safeJSON(doc), '\n'))
	return err
}

// printItems writes a listing as one JSON array.
func printItems(w io.Writer, items []json.RawMessage) error {
	if items == nil {
		items = []json.RawMessage{}
	}
	return printJSON(w, items)
}

// captureWarning is the first line of every listing while nothing is sent.
const captureWarning = "route.mode is capture: nothing leaves this machine"

// warnCapture says so where it holds: above a table, and beside JSON.
func (a *app) warnCapture(mode string, json bool) {
	if mode != "capture" {
		return
	}
	if json {
		fmt.Fprintln(a.Stderr, captureWarning)
		return
	}
	fmt.Fprintln(a.Stdout, captureWarning)
}

// table writes aligned columns. Every cell is made safe for a terminal.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	if len(columns) > 0 {
		cells := make([]any, len(columns))
		for i, c := range columns {
			cells[i] = c
		}
		t.row(cells...)
	}
	return t
}

func (t *table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			io.WriteString(t.w, "\t")
		}
		io.WriteString(t.w, safe(show(cell)))
	}
	io.WriteString(t.w, "\n")
}

// fact writes a name and a value, and nothing where the value is empty.
func (t *table) fact(name string, value any) {
	if text := show(value); text != "" && text != "-" {
		t.row(name, text)
	}
}

func (t *table) flush() error { return t.w.Flush() }

// show writes a cell: times short and in the reader's own zone.
func show(cell any) string {
	switch v := cell.(type) {
	case time.Time:
		if v.IsZero() {
			return "-"
		}
		return v.Local().Format("2006-01-02 15:04:05")
	case string:
		if v == "" {
			return "-"
		}
		return v
	case bool:
		if v {
			return "yes"
		}
		return "-"
	}
	return fmt.Sprint(cell)
}

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}

// count writes a number with its noun.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
