package bus

import (
	_ "embed" // for SignalSchema
	"encoding/json"
	"fmt"
	"strings"

	"tidepost/gateway"
)

// SignalSchema is the JSON Schema (draft 2020-12) of the messages that
// TIDEPOST_SIGNALS takes. Fields may be added to it; none is renamed or removed.
//
//go:embed schema/signal.json
var SignalSchema string

// parseSubject reads the kind, and the tenant where the subject names one. ok is
// false for subjects that an operator has given to the stream beside ours.
func parseSubject(subject string) (kind, tenant string, ok bool) {
	if kind, ok = strings.CutPrefix(subject, SignalSubject); ok {
		return kind, "", kind != "" && !strings.Contains(kind, ".")
	}
	rest, ok := strings.CutPrefix(subject, fromTenant)
	if !ok {
		return "", "", false
	}
	tenant, kind, ok = strings.Cut(rest, signalOf)
	return kind, tenant, ok && tenant != "" && kind != "" && !strings.Contains(tenant, ".") && !strings.Contains(kind, ".")
}

// laneOf is the lane that a subject belongs to; mine is false where it is none of
// a signal. A kind that is unknown is evidence of something.
func laneOf(subject string) (l gateway.Lane, mine bool) {
	kind, _, ok := parseSubject(subject)
	if !ok || subject == RejectedSubject {
		return 0, false
	}
	if gateway.SignalKind(kind).Permission() {
		return gateway.LanePermission, true
	}
	return gateway.LaneEvidence, true
}

// parse reads a signal as it was published. What the subject says about kind and
// tenant counts: a NATS account is let publish for its own tenant through it.
func parse(subject string, data []byte, known func(tenant string) bool) (gateway.Signal, *gateway.SignalError) {
	kind, tenant, _ := parseSubject(subject)
	if len(data) > gateway.MaxSignal {
		return gateway.Signal{}, &gateway.SignalError{Field: "signal", Problem: fmt.Sprintf("has %d bytes", len(data)),
			Remedy: fmt.Sprintf("send at most %d", gateway.MaxSignal)}
	}
	var d gateway.SignalDoc
	if err := json.Unmarshal(data, &d); err != nil {
		return gateway.Signal{}, &gateway.SignalError{Field: "signal", Problem: "is no JSON object that we know: " + err.Error(),
			Remedy: "see schema/signal.json"}
	}
	if d.Kind != "" && d.Kind != kind {
		return gateway.Signal{}, &gateway.SignalError{Field: "kind", Problem: fmt.Sprintf("is %q, and the subject says %q", d.Kind, kind),
			Remedy: "leave it out, or write the same"}
	}
	if tenant != "" && d.Tenant != "" && d.Tenant != tenant {
		return gateway.Signal{}, &gateway.SignalError{Field: "tenant", Problem: fmt.Sprintf("is %q, and the subject says %q", d.Tenant, tenant),
			Remedy: "leave it out: this account publishes for its own tenant"}
	}
	d.Kind = kind
	if tenant != "" {
		d.Tenant = tenant
	}
	if d.Source == "" {
		d.Source = "nats"
	}
	s, wrong := check(&d, known)
	s.Own = tenant != ""
	return s, wrong
}

func check(d *gateway.SignalDoc, known func(tenant string) bool) (gateway.Signal, *gateway.SignalError) {
	s, err := d.Signal()
	if err != nil {
		return gateway.Signal{}, asSignalError(err)
	}
	if known != nil && !known(s.Tenant) {
		return gateway.Signal{}, &gateway.SignalError{Field: "tenant", Problem: fmt.Sprintf("%q is unknown", s.Tenant),
			Remedy: "name a tenant that a credential of the configuration has"}
	}
	return s, nil
}
