package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/feedback"
	"tidepost/suppression/lists"
)

const (
	maxEvent  = 256 << 10 // bytes of the longest event
	headBytes = 4096      // from which the form is told; what can be peeked at
)

// json reads events: one a line, in an array, or as an object whose items or Records
// are the events, one such after another.
func (d *reader) json(f *lists.File, event func(*reader, []byte) *lists.Error) *lists.Error {
	head, _ := f.Peek(1)
	for len(head) == 1 && (head[0] == ' ' || head[0] == '\n' || head[0] == '\r' || head[0] == '\t') {
		f.Discard(1)
		head, _ = f.Peek(1)
	}
	if first, _ := f.Peek(headBytes); len(head) == 1 && head[0] == '{' && !listed(first) && lined(first) {
		return d.perLine(f, event)
	}
	return d.values(f, event)
}

// listed reports an object that holds events rather than being one.
func listed(head []byte) bool {
	head = bytes.TrimLeft(head[1:], " \t\r\n")
	for _, name := range []string{`"items"`, `"events"`, `"paging"`} {
		if bytes.HasPrefix(head, []byte(name)) {
			return true
		}
	}
	return len(head) == 0
}

// lined reports that events seem to stand on lines of their own: some pipelines put
// them together without.
func lined(head []byte) bool {
	return !bytes.Contains(head, []byte("}{")) && (len(head) < headBytes || bytes.IndexByte(head, '\n') >= 0)
}

// perLine reads one event a line, or one whole array of them.
func (d *reader) perLine(f *lists.File, event func(*reader, []byte) *lists.Error) *lists.Error {
	l := lists.NewLines(f)
	for !d.stopped {
		text, line, more, err := l.Next()
		if !more && err == nil {
			return nil
		}
		d.line = line
		text = bytes.TrimSpace(text)
		switch {
		case err != nil:
		case len(text) == 0:
			continue
		case text[0] == '[':
			err = d.each(text, event)
		default:
			if bad := event(d, text); bad != nil {
				err = bad
			}
		}
		if err != nil && !d.fault(err.(*lists.Error)) {
			return nil
		}
	}
	return nil
}

// each reads an array on one line, as a webhook's body was.
func (d *reader) each(text []byte, event func(*reader, []byte) *lists.Error) error {
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return d.unreadable(err)
	}
	for _, one := range all {
		if bad := event(d, one); bad != nil && !d.fault(bad) || d.stopped {
			break
		}
	}
	return nil
}

// values reads arrays of events, objects that hold some, and events between these, as
// a stream. Events are numbered in place of lines.
func (d *reader) values(f *lists.File, event func(*reader, []byte) *lists.Error) *lists.Error {
	in := json.NewDecoder(f)
	for !d.stopped {
		t, err := in.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return d.unreadable(err)
		}
		var bad *lists.Error
		switch t {
		case json.Delim('['):
			bad = d.elements(in, event)
		case json.Delim('{'):
			bad = d.object(in, event)
		default:
			bad = &lists.Error{Line: d.line + 1, Problem: "a value stands between the events", Remedy: "write one event a line, or an array of them"}
		}
		if bad != nil {
			return bad
		}
	}
	return nil
}

// elements reads an array of events whose bracket was read.
func (d *reader) elements(in *json.Decoder, event func(*reader, []byte) *lists.Error) *lists.Error {
	for in.More() && !d.stopped {
		if bad := d.element(in, event); bad != nil {
			return bad
		}
	}
	if d.stopped {
		return nil
	}
	if _, err := in.Token(); err != nil {
		return d.unreadable(err)
	}
	return nil
}

// object reads an object whose bracket was read: one that holds events, or an event.
func (d *reader) object(in *json.Decoder, event func(*reader, []byte) *lists.Error) *lists.Error {
	members, held := map[string]json.RawMessage{}, false
	for in.More() && !d.stopped {
		name, err := in.Token()
		if err != nil {
			return d.unreadable(err)
		}
		if holds(name) {
			held = true
			if t, err := in.Token(); err != nil || t != json.Delim('[') {
				return &lists.Error{Line: d.line, Problem: "items is no array", Remedy: "is it a page of events?", Err: err}
			}
			if bad := d.elements(in, event); bad != nil {
				return bad
			}
			continue
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return d.unreadable(err)
		}
		members[name.(string)] = value // of an object, Token gives names or an error
	}
	if d.stopped {
		return nil
	}
	if _, err := in.Token(); err != nil {
		return d.unreadable(err)
	}
	if held {
		return nil
	}
	d.line++
	one, err := json.Marshal(members)
	if err != nil {
		return d.unreadable(err)
	}
	if bad := event(d, one); bad != nil {
		d.fault(bad)
	}
	return nil
}

// element reads one event of an array.
func (d *reader) element(in *json.Decoder, event func(*reader, []byte) *lists.Error) *lists.Error {
	var one json.RawMessage
	d.line++
	if err := in.Decode(&one); err != nil {
		return d.unreadable(err)
	}
	bad := event(d, one)
	if bad == nil && len(one) > maxEvent {
		bad = &lists.Error{Line: d.line, Problem: "the event is longer than 256 KiB", Remedy: "take it out"}
	}
	if bad != nil {
		d.fault(bad)
	}
	return nil
}

// holds reports a name under which events are.
func holds(name json.Token) bool { return name == "items" || name == "events" }

func (d *reader) unreadable(err error) *lists.Error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &lists.Error{Line: d.line, Field: wrong.Field, Problem: "a " + wrong.Value + " stands where another kind of value belongs", Remedy: "is it an event of this service?"}
	}
	return &lists.Error{Line: d.line, Problem: "the JSON cannot be read", Err: err, Remedy: "write one event a line, or an array of them"}
}

// event reads an event's text into a value.
func (d *reader) event(text []byte, into any) *lists.Error {
	if err := json.Unmarshal(text, into); err != nil {
		return d.unreadable(err)
	}
	return nil
}

// unix is a time in seconds since 1970, with or without a fraction, also as a string;
// 0 is none.
type unix float64

// UnmarshalJSON takes a number, a string with one, or null.
func (u *unix) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "text", Field: "timestamp"}
	}
	*u = unix(v)
	return nil
}

func (u unix) time() time.Time {
	if !(u > 0) || u > 1e11 {
		return time.Time{}
	}
	whole, fraction := math.Modf(float64(u))
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000)
}

// permission reads an event that stops mail, as what comes live is read.
func (d *reader) permission(text []byte, message string) *lists.Error {
	events, _, err := feedback.ReadEvent(string(d.opt.Format), text)
	if err != nil {
		return &lists.Error{Line: d.line, Problem: "the event " + err.Error(), Remedy: "is it whole?"}
	}
	if len(events) == 0 {
		return d.skip("says nothing of the reader")
	}
	for _, e := range events {
		e.Tenant = "history" // signals need one
		s, err := e.Signal()
		if err != nil {
			return &lists.Error{Line: d.line, Problem: err.Error(), Remedy: "is the event whole?"}
		}
		row := Row{Kind: s.Kind, At: s.At, Message: message, List: s.List, Hard: s.Kind == gateway.SignalBounced && !s.Soft, Class: classUnknown}
		if bad := d.give(row, e.Mailbox); bad != nil || d.stopped {
			return bad
		}
	}
	return nil
}
