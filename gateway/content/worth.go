package content

import (
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MaxProfile is how long an X-Tidepost-Profile may be, in bytes.
const MaxProfile = 4 << 10

// maxValue bounds X-Tidepost-Value: worth is relative, and one message must
// not be able to outweigh all others together.
const maxValue = 1000

// readWorth fills in what a message is worth, what it replaces, what its hour is
// chosen for and what may be learned from it.
func readWorth(v *values) {
	m := v.m
	m.Value = readValue(v, m.Value)
	if m.Supersede == "" && v.has(hSupersede) {
		m.Supersede = text(v.get(hSupersede, maxEncoded), maxName)
	}
	if m.Variant == "" && v.has(hVariant) {
		m.Variant = text(v.get(hVariant, maxEncoded), maxName)
	}
	if value := v.get(hEvidence, maxName); value != nil {
		switch said := strings.ToLower(string(value)); said {
		case "none", "day", "click", "full":
			m.Evidence = said
		default:
			v.reject(hEvidence, value, "none, day, click or full")
		}
	}
	if value := v.get(hAim, maxName); value != nil {
		switch said := strings.ToLower(string(value)); said {
		case "soonest", "hour", "reads", "now":
			m.Aim = said
		default:
			v.reject(hAim, value, "soonest, hour, reads or now")
		}
	}
	readProfile(v)
	if value := v.get(hRender, maxName); value != nil {
		v.note("%s: %s is not available yet; the text leaves as it came", hRender, quote(value))
	}
}

// readProfile takes what the sender says of the reader. Of it the time zone
// decides at what hour mail leaves.
func readProfile(v *values) {
	value := v.get(hProfile, MaxProfile)
	if value == nil {
		return
	}
	if !isObject(value) {
		v.reject(hProfile, value, "a JSON object")
		return
	}
	v.m.Attributes = string(value)
	var reader struct {
		Zone any `json:"timezone"`
	}
	if json.Unmarshal(value, &reader) != nil || reader.Zone == nil {
		return
	}
	name, _ := reader.Zone.(string)
	if !isZone(name) {
		v.note("%s: timezone %s is not a name like Europe/Berlin; ignored", hProfile, quote(fmt.Append(nil, reader.Zone)))
		return
	}
	v.m.Zone = name
}

// zones remembers the names that are time zones; there are some six hundred.
var zones sync.Map

// isZone reports whether a name is in the zone database. "Local" is ours, not
// the sender's.
func isZone(name string) bool {
	if _, ok := zones.Load(name); ok {
		return true
	}
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" || path.Clean(name) != name {
		return false
	}
	zones.Store(strings.Clone(name), nil)
	return true
}

func readValue(v *values, current float32) float32 {
	value := v.get(hValue, maxName)
	if value == nil {
		return orOne(current)
	}
	f, err := strconv.ParseFloat(string(value), 32)
	if err != nil || math.IsNaN(f) || f <= 0 || f > maxValue {
		v.reject(hValue, value, "a number above 0 and up to "+strconv.Itoa(maxValue))
		return orOne(current)
	}
	return float32(f)
}

func orOne(f float32) float32 {
	if f == 0 {
		return 1
	}
	return f
}

// isObject reports whether b is one JSON object. Valid bounds its own depth.
func isObject(b []byte) bool { return b[0] == '{' && json.Valid(b) }
