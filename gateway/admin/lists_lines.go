package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// refusal is a problem that comes with a report on what was looked at.
type refusal struct {
	*Problem
	report any
}

// Unwrap lets asProblem find the problem.
func (r *refusal) Unwrap() error { return r.Problem }

// refusalDoc is a refusal as it is sent: a report is an extension member (RFC 9457 §3.2).
type refusalDoc struct {
	problemDoc
	Report any `json:"report"`
}

// inLines does what takes long. Where the client asks for application/x-ndjson it is
// told how far that is, about four times a second: the answer is a line of JSON each
// time, and the last has the result or the problem. The lines come while the request
// is still read, so that a client that sends a file must read meanwhile.
func (s *Server) inLines(c *call, do func(tell func(progress any)) (any, error)) (any, error) {
	c.unhurried()
	if !strings.Contains(c.Header.Get("Accept"), "application/x-ndjson") {
		v, err := do(func(any) {})
		if r, ok := err.(*refusal); ok {
			return refused(r), nil
		}
		return v, err
	}
	return body(func(w http.ResponseWriter) error {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex() // HTTP/2 is so by itself
		w.Header().Set("Content-Type", "application/x-ndjson")
		line := func(v any) error {
			doc, err := json.Marshal(v)
			if err == nil {
				_, err = w.Write(append(escape(doc), '\n'))
			}
			_ = rc.Flush() // a writer that cannot tells at the end
			return err
		}
		told := time.Now()
		v, err := do(func(progress any) {
			if now := time.Now(); now.Sub(told) > time.Second/4 {
				told = now
				_ = line(map[string]any{"progress": progress}) // who went away learns nothing
			}
		})
		if err == nil {
			return line(map[string]any{"result": v})
		}
		p := asProblem(err)
		last := map[string]any{"problem": mark(shorten(p.Detail, 2000)), "remedy": mark(shorten(p.Remedy, 1000)), "status": p.Status}
		if r, ok := err.(*refusal); ok {
			last["report"] = r.report
		}
		return line(last)
	}), nil
}

func refused(r *refusal) body {
	return func(w http.ResponseWriter) error {
		p := r.Problem
		writeJSON(w, p.Status, "application/problem+json", refusalDoc{problemDoc{
			Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status,
			Detail: mark(shorten(p.Error(), 2000)), Field: p.Field, Remedy: mark(shorten(p.Remedy, 1000)),
		}, r.report})
		return nil
	}
}
