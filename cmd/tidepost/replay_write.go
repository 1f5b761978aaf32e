package main

import (
	"encoding/json"
	"strconv"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/replay"
)

// tell writes a decision.
func (p *replayer) tell(d replay.Decision) {
	b := append(p.line[:0], `{"at":"`...)
	b = d.At.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","type":"`...)
	b = append(b, [...]string{scheduler.Now: "release", scheduler.Hold: "hold", scheduler.Drop: "drop"}[d.Plan.Action]...)
	b = append(b, `","id":`...)
	b = appendText(b, d.Name)
	b = append(b, `,"mailbox":`...)
	b = appendText(b, p.names[d.Box])
	b = append(b, `,"until":`...)
	if d.Plan.Action == scheduler.Hold {
		b = append(b, '"')
		b = d.Plan.At.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"reason":`...)
	b = appendText(b, string(d.Plan.Reason))
	b = append(b, `,"propensity":`...)
	b = strconv.AppendFloat(b, float64(d.Plan.Decision.Propensity), 'g', -1, 32)
	b = append(b, `,"arm":`...)
	b = appendText(b, d.Plan.Decision.Arm.String())
	p.line = append(b, "}\n"...)
	p.out.Write(p.line) // an error stays until Flush
}

// ok closes the answer to a line.
func (p *replayer) ok(at time.Time) {
	b := append(p.line[:0], `{"type":"ok","at":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","next":`...)
	if next, ok := p.engine.Next(); ok {
		b = append(b, '"')
		b = next.AppendFormat(b, time.RFC3339Nano)
		b = append(b, "\"}\n"...)
	} else {
		b = append(b, "null}\n"...)
	}
	p.line = b
	p.out.Write(b)
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // of a string: no error
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
