package feedback

import (
	"errors"

	"tidepost/gateway/strict"
)

// check bounds a report before it is decoded.
func check(doc []byte) error {
	err := strict.Check(doc, strict.Limits{Depth: maxDepth, List: MaxSignals})
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
