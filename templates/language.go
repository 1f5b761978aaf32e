package templates

import (
	"strconv"
	"strings"
)

// Bounds of an Accept-Language header: what lies behind them is not read.
const (
	maxRanges     = 32
	maxPreference = 1024 // bytes
)

// Negotiate returns the catalogue that a reader understands best, from the
// Accept-Language header of the request (RFC 9110 §12.5.4): the language with the
// highest weight, the first of equals. The default one is for those who name none
// of ours, or say that any will do.
func Negotiate(accept string) *Catalogue {
	if len(accept) > maxPreference {
		accept = accept[:maxPreference]
	}
	best, most := catalogues()[Default], 0
	for n := 0; accept != "" && n < maxRanges; n++ {
		var one string
		one, accept, _ = strings.Cut(accept, ",")
		tag, params, _ := strings.Cut(one, ";")
		c, weight := spoken(strings.TrimSpace(tag)), weight(params)
		if c != nil && weight > most {
			best, most = c, weight
		}
	}
	return best
}

// spoken finds the catalogue of a language range by its first part, as de for
// de-AT (RFC 4647 §3.4); nil where there is none.
func spoken(tag string) *Catalogue {
	if tag == "*" {
		return catalogues()[Default]
	}
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	return catalogues()[base]
}

// weight reads the parameter q of a range in thousandths: 1 where it is missing,
// 0, which means never, where it cannot be read (RFC 9110 §12.4.2).
func weight(params string) int {
	name, value, said := strings.Cut(strings.TrimSpace(params), "=")
	if strings.TrimSpace(params) == "" {
		return 1000
	}
	value = strings.TrimSpace(value)
	if !said || !strings.EqualFold(strings.TrimSpace(name), "q") || len(value) > 5 || strings.Trim(value, "0123456789.") != "" {
		return 0
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || q > 1 {
		return 0
	}
	return int(q*1000 + 0.5)
}
