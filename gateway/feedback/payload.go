package feedback

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tidepost/gateway"
)

// Signals reads a payload of ours, in one of three forms:
//
//	{"kind":"clicked","mailbox":"ann@example.com",…}                          one signal
//	{"type":"signal.clicked","timestamp":"…","data":{"mailbox":…}}            one, as Standard Webhooks recommends
//	{"signals":[{"kind":"clicked",…},…]}                                      up to 1,000
//
// In the second form type says the kind and timestamp the time, unless data does.
// Whether the signals are good is for SignalDoc.Signal to say.
func Signals(body []byte) ([]gateway.SignalDoc, error) {
	if err := check(body); err != nil {
		return nil, err
	}
	var form struct {
		Signals *[]json.RawMessage `json:"signals"`
		Type    *string            `json:"type"`
	}
	if err := json.Unmarshal(body, &form); err != nil {
		return nil, unreadable("", err)
	}
	switch {
	case form.Signals != nil && form.Type != nil:
		return nil, &PayloadError{Problem: "has both signals and type", Remedy: "send one or the other"}
	case form.Signals != nil:
		return list(*form.Signals)
	case form.Type != nil:
		return envelope(body, *form.Type)
	}
	d, err := document("", body)
	return []gateway.SignalDoc{d}, err
}

func list(docs []json.RawMessage) ([]gateway.SignalDoc, error) {
	if len(docs) == 0 {
		return nil, &PayloadError{Problem: "has no signals", Remedy: "send at least one"}
	}
	signals := make([]gateway.SignalDoc, len(docs))
	for i, doc := range docs {
		var err error
		if signals[i], err = document(fmt.Sprintf("signals[%d]", i), doc); err != nil {
			return nil, err
		}
	}
	return signals, nil
}

// envelope reads the form that Standard Webhooks recommends.
func envelope(body []byte, kind string) ([]gateway.SignalDoc, error) {
	kind, ok := strings.CutPrefix(kind, "signal.")
	if !ok {
		return nil, &PayloadError{At: "type", Problem: "is none of ours", Remedy: "write signal. and a kind, as signal.clicked"}
	}
	var e struct {
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, unreadable("", err)
	}
	if len(e.Data) == 0 {
		return nil, &PayloadError{At: "data", Problem: "is missing", Remedy: "put the signal into it"}
	}
	d, err := document("data", e.Data)
	if err != nil {
		return nil, err
	}
	if d.Kind != "" && d.Kind != kind {
		return nil, &PayloadError{At: "data", Problem: "has another kind than type", Remedy: "leave it out, or write the same"}
	}
	d.Kind = kind
	if d.At.IsZero() {
		d.At = e.Timestamp
	}
	return []gateway.SignalDoc{d}, nil
}

func document(at string, doc []byte) (d gateway.SignalDoc, err error) {
	if len(doc) > gateway.MaxSignal {
		return d, &PayloadError{At: at, Problem: fmt.Sprintf("has %d bytes", len(doc)), Remedy: fmt.Sprintf("send at most %d", gateway.MaxSignal)}
	}
	if len(doc) == 0 || doc[0] != '{' {
		return d, &PayloadError{At: at, Problem: "is no object", Remedy: "send a JSON object"}
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return d, unreadable(at, err)
	}
	return d, nil
}

// Where it is written what a report may say.
const (
	seeSchema = "see schema/signal.json"
	seeHooks  = "see `tidepost help hooks`"
)

func unreadable(at string, err error) error {
	return &PayloadError{At: at, Problem: "cannot be read: " + strings.TrimPrefix(err.Error(), "json: "), Remedy: seeSchema}
}
