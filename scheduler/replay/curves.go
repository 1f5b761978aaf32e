package replay

import "tidepost/scheduler/clock"

// curves keeps the curves of mailboxes from one plan to the next: most plans are
// made while nothing has changed that a curve depends on. Boxes whose numbers are
// keptCurves apart share a place.
type curves struct {
	chunks [keptCurves / chunkSize]*[chunkSize]keptCurve
}

const keptCurves = 32 * chunkSize // 22 MB

type keptCurve struct {
	box   Box
	prior *clock.Prior // nil: there is no curve
	curve clock.Curve
}

// of is the curve of a mailbox under a prior, valid until the next call.
func (c *curves) of(x Box, b *box, prior *clock.Prior) *clock.Curve {
	chunk := &c.chunks[x/chunkSize%(keptCurves/chunkSize)]
	if *chunk == nil {
		*chunk = new([chunkSize]keptCurve)
	}
	k := &(*chunk)[x%chunkSize]
	if k.box != x || k.prior != prior {
		k.box, k.prior = x, prior
		b.profile.Clock.Curve(prior, &k.curve)
	}
	return &k.curve
}

// drop forgets the curve of a mailbox whose profile has changed.
func (c *curves) drop(x Box) {
	if chunk := c.chunks[x/chunkSize%(keptCurves/chunkSize)]; chunk != nil {
		if k := &chunk[x%chunkSize]; k.box == x {
			k.prior = nil
		}
	}
}
