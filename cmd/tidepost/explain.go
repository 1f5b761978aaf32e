package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"
)

type explainCmd struct {
	remote
	Subject string `arg:"" help:"An address, or a delivery as queue list prints it." placeholder:"MAILBOX|DELIVERY"`
}

// explanation is the answer of GET /api/v1/explain/….
type explanation struct {
	Subject    string
	Mode       string
	Sentences  []string
	Deliveries []json.RawMessage
	Entries    []json.RawMessage
	Events     []struct {
		At                                    time.Time
		Kind, Delivery, Reason, Detail, Actor string
	}
}

// Run prints why mail is where it is.
func (e *explainCmd) Run(a *app) error {
	c, err := e.connect(a)
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := c.get(a.Context, "/api/v1/explain/"+url.PathEscape(e.Subject), nil, &doc); err != nil {
		return err
	}
	var x explanation
	if err := decodeAnswer(doc, &x); err != nil {
		return err
	}
	a.warnCapture(x.Mode, e.JSON)
	if e.JSON {
		return printJSON(a.Stdout, doc)
	}
	return x.print(a.Stdout)
}

func (x *explanation) print(w io.Writer) error {
	for _, s := range x.Sentences {
		fmt.Fprintln(w, safe(s))
	}
	if len(x.Deliveries) > 0 {
		fmt.Fprintln(w)
		if err := printDeliveries(w, x.Deliveries); err != nil {
			return err
		}
	}
	if len(x.Entries) > 0 {
		fmt.Fprintln(w)
		if err := printEntries(w, x.Entries); err != nil {
			return err
		}
	}
	if len(x.Events) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "WHEN", "WHAT", "DELIVERY", "WHY", "DETAIL", "WHO")
	for _, v := range x.Events {
		t.row(v.At, v.Kind, v.Delivery, v.Reason, cut(v.Detail, 100), v.Actor)
	}
	return t.flush()
}
