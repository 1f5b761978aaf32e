package main

import (
	"encoding"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// keyKind is how a value given outside of the file is read.
type keyKind uint8

const (
	kindText     keyKind = iota // a string, or a type that reads itself from one
	kindSize                    // a whole number, or text with a unit
	kindNumber                  // a whole number
	kindFraction                // a number with a point, or without
	kindBool
	kindList
	kindTable
)

// keyInfo describes one key of the configuration. A part "*" of Path is a name
// that the operator chooses; a part "[]" is an element of a list of tables.
type keyInfo struct {
	Path []string
	Kind keyKind
	Elem keyKind // of a list
}

// name is the key as documentation writes it: destination.NAME.rate,
// credential.name.
func (k keyInfo) name() string {
	var parts []string
	for _, p := range k.Path {
		switch p {
		case "[]":
		case "*":
			parts = append(parts, "NAME")
		default:
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ".")
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// configKeys returns every key, tables included, in the order of Config.
var configKeys = sync.OnceValue(func() []keyInfo {
	return appendKeys(nil, reflect.TypeFor[Config](), nil)
})

func appendKeys(keys []keyInfo, t reflect.Type, prefix []string) []keyInfo {
	for f := range fields(t) {
		name := f.Tag.Get("toml")
		if name == "" {
			if f.Anonymous {
				keys = appendKeys(keys, f.Type, prefix)
			}
			continue
		}
		path := append(slices.Clone(prefix), name)
		info := keyInfo{Path: path, Kind: kindOf(f.Type)}
		below := path
		elem := f.Type
		switch {
		case info.Kind == kindList:
			elem = f.Type.Elem()
			info.Elem = kindOf(elem)
			below = append(slices.Clone(path), "[]")
		case f.Type.Kind() == reflect.Map:
			elem = f.Type.Elem()
			below = append(slices.Clone(path), "*")
			keys = append(keys, keyInfo{Path: below, Kind: kindTable})
		}
		keys = append(keys, info)
		if kindOf(elem) == kindTable {
			keys = appendKeys(keys, elem, below)
		}
	}
	return keys
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func kindOf(t reflect.Type) keyKind {
	switch {
	case t == reflect.TypeFor[Bytes]():
		return kindSize
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return kindText
	}
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.Slice:
		return kindList
	case reflect.Struct, reflect.Map:
		return kindTable
	case reflect.String:
		return kindText
	case reflect.Float64:
		return kindFraction
	}
	return kindNumber
}

// wants says in words what a key takes, for an error about its type.
func (k keyInfo) wants() string {
	words := map[keyKind]string{
		kindText: "text in quotes", kindSize: "a whole number of bytes, or text like \"25MiB\"",
		kindNumber: "a whole number", kindFraction: "a number", kindBool: "true or false", kindTable: "a table",
	}
	if k.Kind != kindList {
		return words[k.Kind]
	}
	if k.Elem == kindTable {
		return "a list of tables"
	}
	return `a list like ["…", "…"]`
}

// lookupKey finds the key that a written path means.
func lookupKey(path []string) (keyInfo, bool) {
	for _, k := range configKeys() {
		if matchPath(k.Path, path) {
			return k, true
		}
	}
	return keyInfo{}, false
}

// matchPath compares a pattern with a path that has no "[]" parts.
func matchPath(pattern, path []string) bool {
	pattern = slices.DeleteFunc(slices.Clone(pattern), func(p string) bool { return p == "[]" })
	return slices.EqualFunc(pattern, path, func(p, s string) bool { return p == s || p == "*" })
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// joinKey writes a path as TOML does, with quotes where a part needs them.
func joinKey(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		if parts[i] = p; !bareKey.MatchString(p) {
			parts[i] = quoteText(p)
		}
	}
	return strings.Join(parts, ".")
}

// suggestKey names the key that was probably meant by an unknown path, as
// `; did you mean …?`, or "".
func suggestKey(path []string) string {
	var names []string
	for _, k := range configKeys() {
		pattern := slices.DeleteFunc(slices.Clone(k.Path), func(p string) bool { return p == "[]" })
		for i, p := range pattern {
			if p == "*" && i < len(path) {
				pattern[i] = path[i]
			}
		}
		if !slices.Contains(pattern, "*") {
			names = append(names, joinKey(pattern))
		}
	}
	return didYouMean(joinKey(path), names, ".")
}

// didYouMean picks the nearest of names: the one with the fewest changed
// letters, else the few that end in the same word after sep.
func didYouMean(word string, names []string, sep string) string {
	best, distance := "", max(2, len(word)/4)+1
	var sameEnd []string
	end := sep + word[strings.LastIndex(word, sep)+1:]
	for _, n := range names {
		if d := editDistance(word, n); d < distance {
			best, distance = n, d
		}
		if strings.HasSuffix(sep+n, end) {
			sameEnd = append(sameEnd, n)
		}
	}
	if best == "" && len(sameEnd) < 4 {
		best = strings.Join(sameEnd, " or ")
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is the number of letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(diagonal+cost, row[j]+1, row[j+1]+1)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
