package admin

import (
	"slices"
	"strconv"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// signalDoc is one signal of POST /api/v1/signals.
type signalDoc struct {
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"` // absent: now
	Mailbox string    `json:"mailbox"`
	Tenant  string    `json:"tenant"`
	Message string    `json:"message"`  // or a delivery
	Human   *float32  `json:"human"`    // 0 to 1; absent: 1
	Zone    string    `json:"timezone"` // of attributes
}

// maxSignals is how many signals one request may bring.
const maxSignals = 10_000

// takeSignals answers POST /api/v1/signals: what readers did, as the sender's
// own tracking saw it. Each signal is stored before the answer.
func (s *Server) takeSignals(c *call) (any, error) {
	var doc struct {
		Signals []signalDoc `json:"signals"`
	}
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if len(doc.Signals) > maxSignals {
		return nil, invalid("signals", "are too many", "send at most 10,000 at a time")
	}
	signals := make([]gateway.Signal, len(doc.Signals))
	tenants := s.tenants()
	for i := range doc.Signals {
		sig, err := doc.Signals[i].parse(c.who.Name)
		if err == nil && !slices.Contains(tenants, sig.Tenant) {
			err = &Problem{Status: 400, Field: "tenant", Detail: "is not known", Remedy: "write one that the configuration names or that has sent mail"}
		}
		if err != nil {
			return nil, at1("signals", i, err)
		}
		signals[i] = sig
	}
	c.unhurried()
	var answer struct {
		Taken int `json:"taken"`
		News  int `json:"news"` // the others were known already, or taught nothing
	}
	for i := range signals {
		news, err := s.Gateway.Learn(c.Context(), signals[i])
		if err != nil {
			return nil, err
		}
		answer.Taken++
		if news {
			answer.News++
		}
	}
	return answer, nil
}

func at1(field string, i int, err error) error {
	if p, ok := err.(*Problem); ok {
		p.Field = field + "[" + strconv.Itoa(i) + "]." + p.Field
		p.Detail = p.Field + " " + p.Detail
	}
	return err
}

func (d *signalDoc) parse(source string) (gateway.Signal, error) {
	s := gateway.Signal{At: d.At, Tenant: d.Tenant, Message: d.Message, Human: 1, Source: source, Zone: d.Zone}
	kind, err := gateway.ParseSignalKind(d.Kind)
	if err != nil {
		return s, &Problem{Status: 400, Field: "kind", Detail: "is unknown", Remedy: "write opened, clicked, viewed, converted, replied, active, unsubscribed, complained, bounced or attributes"}
	}
	a, err := address.Parse(d.Mailbox)
	if err != nil {
		return s, &Problem{Status: 400, Field: "mailbox", Detail: "is no address", Remedy: "write it as reader@example.com"}
	}
	if d.Tenant == "" {
		return s, &Problem{Status: 400, Field: "tenant", Detail: "is missing", Remedy: "say whose mail it is about"}
	}
	if d.Human != nil {
		if *d.Human < 0 || *d.Human > 1 {
			return s, &Problem{Status: 400, Field: "human", Detail: "is out of range", Remedy: "write how sure it is that a person did it, from 0 to 1"}
		}
		s.Human = *d.Human
	}
	if d.Message != "" && !isAbout(d.Message) {
		return s, &Problem{Status: 400, Field: "message", Detail: "is no id", Remedy: "write the id that our 250 named, or a delivery as queue list prints it"}
	}
	if kind == gateway.SignalAttributes && !gateway.IsZone(d.Zone) {
		return s, &Problem{Status: 400, Field: "timezone", Detail: "is unknown", Remedy: "write a name like Europe/Berlin"}
	}
	s.Kind, s.Mailbox = kind, a.Mailbox()
	return s, nil
}

// isAbout reports whether a text names a message or a delivery.
func isAbout(text string) bool {
	_, delivery := gateway.ParseDeliveryID(text)
	_, message := gateway.ParseID(text)
	return delivery == nil || message == nil
}
