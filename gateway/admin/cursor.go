package admin

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"tidepost/gateway"
)

// Rows of a page.
const (
	usualLimit = 100
	maxLimit   = 1000
)

// page is a part of a listing, as it is sent.
type page struct {
	Items   any    `json:"items"`
	Next    string `json:"next,omitempty"` // cursor of the next page; "": this is the last
	Mode    string `json:"mode,omitempty"`
	Warning string `json:"warning,omitempty"`
	Total   *int64 `json:"total,omitempty"` // of all pages, where it was asked for
}

// captureWarning is said in every listing while nothing is sent.
const captureWarning = "route.mode is capture: nothing leaves this machine"

// page puts items into a page with what every listing says.
func (s *Server) page(items any, next string) page {
	mode := s.info().Mode
	return page{Items: items, Next: next, Mode: mode, Warning: warning(mode)}
}

func warning(mode string) string {
	if mode == "capture" {
		return captureWarning
	}
	return ""
}

// place is where a scan over mailboxes goes on: at a key, or behind one of its
// deliveries.
type place struct {
	key    gateway.Key
	within bool
	after  gateway.DeliveryID // with within: the last one seen of key
}

const (
	cursorScan   = 's'
	cursorNumber = 'n'
	cursorText   = 't'
)

func sealed(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var errCursor = invalid("cursor", "is none that this listing gave out", "begin again without it")

// opened returns a cursor of that kind without the byte that says so.
func opened(cursor string, kind byte) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) == 0 || b[0] != kind {
		return nil, errCursor
	}
	return b[1:], nil
}

func (p place) cursor() string {
	b := append([]byte{cursorScan}, p.key[:]...)
	if p.within {
		b = append(b, p.after.Message[:]...)
		b = binary.BigEndian.AppendUint32(b, p.after.Ordinal)
	}
	return sealed(b)
}

func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	b, err := opened(cursor, cursorScan)
	if err != nil || len(b) != 16 && len(b) != 36 {
		return p, errCursor
	}
	copy(p.key[:], b)
	if len(b) == 36 {
		p.within = true
		copy(p.after.Message[:], b[16:])
		p.after.Ordinal = binary.BigEndian.Uint32(b[32:])
	}
	return p, nil
}

func numberCursor(n int) string {
	return sealed(binary.BigEndian.AppendUint32([]byte{cursorNumber}, uint32(n)))
}

func parseNumber(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	b, err := opened(cursor, cursorNumber)
	if err != nil || len(b) != 4 {
		return 0, errCursor
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

// textCursor is for listings that are sorted by more than a key.
func textCursor(v any) string {
	doc, _ := json.Marshal(v) // plain structs
	return sealed(append([]byte{cursorText}, doc...))
}

func parseText(cursor string, v any) error {
	b, err := opened(cursor, cursorText)
	if err != nil || json.Unmarshal(b, v) != nil {
		return errCursor
	}
	return nil
}

// limit is how many rows a page may have.
func (c *call) limit(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return usualLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, invalid("limit", strconv.Quote(shorten(text, 20))+" is no number of rows", "write 1 to "+strconv.Itoa(maxLimit))
	}
	return min(n, maxLimit), nil
}

// query reads the query, in which each of the names may stand once.
func (c *call) query(names ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "cannot be read: "+err.Error(), "escape it")
	}
	for name, values := range q {
		switch {
		case !slices.Contains(names, name):
			return nil, invalid(name, "is no parameter here", "leave it out; `tidepost help api` lists them")
		case len(values) > 1:
			return nil, invalid(name, "is said more than once", "say it once")
		}
	}
	return q, nil
}
