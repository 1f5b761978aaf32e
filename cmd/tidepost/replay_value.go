package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// value is a JSON value of a line: its kind is '"', '0', 't', 'f', 'n' or '{' for
// what has parts. The text of a string is without quotes.
type value struct {
	kind byte
	text []byte
}

var (
	errText   = errors.New("want text")
	errNumber = errors.New("want a number")
)

func (v value) string() ([]byte, error) {
	switch v.kind {
	case '"':
		return v.text, nil
	case 'n':
		return nil, nil
	}
	return nil, errText
}

// empty reports whether the value says nothing.
func (v value) empty() bool { return v.kind == 'n' || v.kind == '"' && len(v.text) == 0 }

// Times outside of these years cannot be kept in the ring of sends.
const firstYear, lastYear = 1970, 2105

func (v value) time() (t time.Time, err error) {
	if v.empty() {
		return t, nil
	}
	if v.kind != '"' || t.UnmarshalText(v.text) != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: write it like 2026-03-02T10:00:00Z", v.text)
	}
	t = t.UTC()
	if y := t.Year(); y < firstYear || y > lastYear {
		return time.Time{}, fmt.Errorf("%q lies outside of %d to %d", v.text, firstYear, lastYear)
	}
	return t, nil
}

func (v value) lineType() (lineType, error) {
	if v.kind == '"' {
		switch string(v.text) {
		case "message":
			return lineMessage, nil
		case "signal":
			return lineSignal, nil
		case "mailbox":
			return lineMailbox, nil
		case "advance":
			return lineAdvance, nil
		}
	}
	return lineNone, fmt.Errorf("%q: want message, signal, mailbox or advance", v.text)
}

func (v value) class() (gateway.Class, bool, error) {
	if v.empty() {
		return 0, false, nil
	}
	switch {
	case v.kind != '"':
		return 0, false, errText
	case string(v.text) == "promotional":
		return gateway.Promotional, true, nil
	case string(v.text) == "newsletter":
		return gateway.Newsletter, true, nil
	}
	class, err := gateway.ParseClass(string(v.text))
	return class, err == nil, err
}

func (v value) aim() (scheduler.Aim, error) {
	if v.empty() {
		return 0, nil
	}
	if v.kind != '"' {
		return 0, errText
	}
	return scheduler.ParseAim(string(v.text))
}

// duration reads "24h", "1d12h", or a number of seconds.
func (v value) duration() (time.Duration, error) {
	if v.empty() {
		return 0, nil
	}
	if v.kind == '0' {
		seconds, err := v.number(0, 1e9)
		return time.Duration(seconds * float64(time.Second)), err
	}
	if v.kind != '"' {
		return 0, errText
	}
	if string(v.text) == "24h" { // by far the commonest
		return 24 * time.Hour, nil
	}
	var d Duration
	err := d.UnmarshalText(v.text)
	return d.Duration, err
}

func (v value) number(least, most float64) (float64, error) {
	if v.kind != '0' {
		return 0, errNumber
	}
	n, err := strconv.ParseFloat(string(v.text), 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s: want a number from %g to %g", v.text, least, most)
	}
	return n, nil
}

func (v value) worth() (float32, error) {
	if v.empty() {
		return 0, nil
	}
	n, err := v.number(0, 1e6)
	return float32(n), err
}

func (v value) priority() (int8, error) {
	if v.empty() {
		return 0, nil
	}
	n, err := v.number(-9, 9)
	if err == nil && n != float64(int8(n)) {
		err = fmt.Errorf("%s: want a whole number", v.text)
	}
	return int8(n), err
}

// replaySignals are the kinds of signals. Those that are neither opens nor clicks
// nor departures show that the person is there.
var replaySignals = []struct {
	name string
	kind scheduler.Kind
}{
	{"opened", scheduler.Opened}, {"clicked", scheduler.Clicked},
	{"unsubscribed", scheduler.Unsubscribed}, {"complained", scheduler.Complained}, {"bounced", signalBounced},
	{"active", scheduler.Active}, {"viewed", scheduler.Active}, {"converted", scheduler.Active}, {"replied", scheduler.Active},
	{"attributes", signalIgnored}, {"consent", signalIgnored},
}

func (v value) signal() (scheduler.Kind, bool, error) {
	if v.kind == '"' {
		for i := range replaySignals {
			if string(v.text) == replaySignals[i].name {
				return replaySignals[i].kind, true, nil
			}
		}
	}
	return 0, false, fmt.Errorf("%q is no kind of signal: want one of opened, clicked, viewed, converted, replied, unsubscribed, complained, bounced, active", v.text)
}

// human reads how surely a person did it: true, false or 0 to 1.
func (v value) human() (float32, error) {
	switch v.kind {
	case 't', 'n':
		return 1, nil
	case 'f':
		return 0, nil
	case '0':
		n, err := v.number(0, 1)
		return float32(n), err
	}
	return 0, errors.New("want true, false or a number from 0 to 1")
}

func (v value) soft() (bool, error) {
	switch v.kind {
	case 't', 'n':
		return false, nil
	case 'f':
		return true, nil
	}
	return false, errors.New("want true or false")
}

func (v value) object() ([]byte, error) {
	switch {
	case v.kind == 'n':
		return nil, nil
	case v.kind == '{' && v.text[0] == '{':
		return slices.Clone(v.text), nil
	}
	return nil, errors.New("want a JSON object")
}
