package feedback

import (
	"errors"

	"tidepost/gateway/strict"
)

// check bounds a report of ours before it is decoded.
func check(doc []byte) error { return bound(doc, MaxSignals) }

// checkReport bounds one of a provider's.
func checkReport(doc []byte) error {
	err := bound(doc, MaxEvents)
	var p *PayloadError
	if errors.As(err, &p) && p.Remedy == seeSchema {
		p.Remedy = seeHooks
	}
	return err
}

func bound(doc []byte, list int) error {
	err := strict.Check(doc, strict.Limits{Depth: maxDepth, List: list})
	var fault *strict.Fault
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault):
		return err
	case fault.Err != nil:
		return unreadable("", fault.Err)
	}
	return &PayloadError{Problem: fault.Problem, Remedy: fault.Remedy, TooMany: fault.Large}
}
