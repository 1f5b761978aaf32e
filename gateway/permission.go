package gateway

import (
	"time"

	"tidepost/scheduler"
)

// The reasons of what waits for permission to be known.
const (
	suppressionUnreadable scheduler.Reason = "suppression_unreadable"
	permissionIsLate      scheduler.Reason = "permission_late"
)

// lookedAt reports whether what is held for a reason is looked at each minute: that is
// told once.
func lookedAt(reason string) bool {
	return reason == string(suppressionUnreadable) || reason == string(permissionIsLate)
}

// permissionLate is how long an opt-out may be known to wait before bulk mail waits
// for it (design rule 10).
const permissionLate = time.Minute

// closed reports whether a delivery waits because opt-outs do that we know of and
// have not applied, for as long as it may be held.
func (g *Gateway) closed(d *Delivery, rules *Rules, now time.Time) bool {
	if g.PermissionLag == nil || !d.Class.Bulk() || d.Forced || g.PermissionLag() <= permissionLate {
		return false
	}
	return now.Before(d.Accepted.Add(rules.MaxHold))
}
