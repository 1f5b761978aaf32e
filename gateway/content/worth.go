package content

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// MaxProfile is how long an X-Tidepost-Profile may be, in bytes.
const MaxProfile = 4 << 10

// maxValue bounds X-Tidepost-Value: worth is relative, and one message must
// not be able to outweigh all others together.
const maxValue = 1000

// readWorth fills in what a message is worth, what it replaces and what may be
// learned from it.
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
	if value := v.get(hProfile, MaxProfile); value != nil {
		if isObject(value) {
			m.Attributes = string(value)
		} else {
			v.reject(hProfile, value, "a JSON object")
		}
	}
	if value := v.get(hRender, maxName); value != nil {
		v.note("%s: %s is not available yet; the text leaves as it came", hRender, quote(value))
	}
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
