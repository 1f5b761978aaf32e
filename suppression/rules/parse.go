package rules

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile is how large a file of rules may be, in bytes.
const maxFile = 1 << 20

// table is a [[rule]] as it is written.
type table struct {
	Name        string `toml:"name"`
	Description string `toml:"description"`
	Version     int    `toml:"version"`
	State       string `toml:"state"`
	When        string `toml:"when"`
	Then        string `toml:"then"`
	Tenant      any    `toml:"tenant"`
	Class       any    `toml:"class"`
	Campaign    any    `toml:"campaign"`
	ValidFrom   any    `toml:"valid_from"`
	ValidUntil  any    `toml:"valid_until"`
}

var tableKeys = []string{"name", "description", "version", "state", "when", "then", "tenant", "class", "campaign", "valid_from", "valid_until"}

// Parse reads the [[rule]] tables of a TOML text; file is only for messages. What
// is wrong comes as Errors. The expressions are not looked at: Compile does.
func Parse(file string, text []byte) ([]Rule, error) {
	if len(text) > maxFile {
		return nil, Errors{{File: file, Message: "is larger than 1 MiB: split it"}}
	}
	var document struct {
		Rule []table `toml:"rule"`
	}
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return nil, tomlErrors(file, err)
	}
	origins := locateTables(file, text)
	var all Errors
	list := make([]Rule, len(document.Rule))
	for i, t := range document.Rule {
		list[i] = Rule{Name: t.Name, Description: t.Description, Version: t.Version, When: t.When, Then: t.Then}
		if i < len(origins) {
			list[i].origin = origins[i]
		} else {
			list[i].origin.file = file
		}
		all = append(all, list[i].take(&t)...)
	}
	return list, all.err()
}

// take reads the values that have several forms.
func (r *Rule) take(t *table) Errors {
	var all Errors
	var err error
	if r.State, err = ParseState(t.State); err != nil {
		all = append(all, r.errorf("state", "%v", err))
	}
	for _, p := range []struct {
		key   string
		value any
		into  *[]string
	}{{"tenant", t.Tenant, &r.Tenant}, {"class", t.Class, &r.Class}, {"campaign", t.Campaign, &r.Campaign}} {
		var ok bool
		if *p.into, ok = patterns(p.value); !ok {
			all = append(all, r.errorf(p.key, "%s: use a text or a list of texts, not empty", p.key))
		}
	}
	for _, p := range []struct {
		key   string
		value any
		into  *time.Time
	}{{"valid_from", t.ValidFrom, &r.ValidFrom}, {"valid_until", t.ValidUntil, &r.ValidUntil}} {
		if p.value == nil {
			continue
		}
		var ok bool
		if *p.into, ok = p.value.(time.Time); !ok {
			all = append(all, r.errorf(p.key, "%s: write a time with its zone, without quotes: 2026-12-01T00:00:00Z", p.key))
		}
	}
	return all
}

// patterns reads a text or a list of them.
func patterns(value any) ([]string, bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, v != ""
	case []any:
		var list []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok || s == "" {
				return nil, false
			}
			list = append(list, s)
		}
		return list, len(list) > 0
	}
	return nil, false
}

// tomlErrors gives what the TOML reader found wrong its place and remedy.
func tomlErrors(file string, err error) Errors {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) {
		var all Errors
		for i := range missing.Errors {
			key := missing.Errors[i].Key()
			line, column := missing.Errors[i].Position()
			message := fmt.Sprintf("unknown key '%s'", key[len(key)-1])
			if len(key) == 1 {
				message += ": rules are [[rule]] tables"
			} else {
				message += suggest(key[len(key)-1], tableKeys)
			}
			all = append(all, &Error{File: file, Line: line, Column: column, Message: message})
		}
		return all
	}
	e := &Error{File: file, Message: err.Error()}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		e.Line, e.Column = wrong.Position()
		e.Message = wrong.Error()
	}
	return Errors{e}
}

// locateTables finds where each [[rule]] and its values stand. The text is known
// to be right.
func locateTables(file string, text []byte) []origin {
	var all []origin
	p := unstable.Parser{}
	p.Reset(text)
	inRule := false
	for p.NextExpression() {
		e := p.Expression()
		key := e.Key()
		switch e.Kind {
		case unstable.Table:
			inRule = false
		case unstable.ArrayTable:
			inRule = key.Next() && string(key.Node().Data) == "rule" && key.IsLast()
			if inRule {
				o := origin{file: file, values: map[string]place{}}
				o.line, o.column = lineColumn(text, int(key.Node().Raw.Offset))
				all = append(all, o)
			}
		case unstable.KeyValue:
			if !inRule || !key.Next() || !key.IsLast() {
				continue
			}
			at := e.Value().Raw
			if at.Length == 0 {
				at = key.Node().Raw // a list has no text of its own
			}
			all[len(all)-1].values[string(key.Node().Data)] = placeOf(text, int(at.Offset), int(at.Length))
		}
	}
	return all
}
