package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// applyDocument lays a TOML document over the configuration. at says where a
// line of it was written.
func (c *Config) applyDocument(doc []byte, at func(line int) origin) error {
	if problems := lint(doc, at); len(problems) > 0 {
		return &ConfigError{problems}
	}
	decoder := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields()
	if err := decoder.Decode(c); err != nil {
		return explainTOML(err, at)
	}
	_, err := walkTOML(doc, func(w written) {
		if w.value != nil {
			c.origin.forget(w.key)
		}
		c.origin[w.key] = at(w.line)
	})
	return err
}

// explainTOML turns an error of the decoder into a problem with its place.
func explainTOML(err error, at func(line int) origin) error {
	var bad *toml.DecodeError
	if !errors.As(err, &bad) {
		return problemf("%s: %v", at(0), err)
	}
	line, _ := bad.Position()
	text := strings.TrimPrefix(bad.Error(), "toml: ")
	if len(bad.Key()) == 0 {
		return problemf("%s: %s", at(line), text)
	}
	return problemf("%s: %s: %s", at(line), joinKey(bad.Key()), text)
}

// written is one key of a document: of a table's header, of a value, or of an
// element in a list of tables.
type written struct {
	path  []string       // without indexes
	key   string         // with indexes: credential[0].name
	kind  unstable.Kind  // of the value, or Table or ArrayTable for a header
	value *unstable.Node // nil for a header
	line  int
}

// walkTOML visits every key that a document writes, in order, and returns how
// many expressions it has.
func walkTOML(doc []byte, visit func(written)) (expressions int, err error) {
	var p unstable.Parser
	p.Reset(doc)
	table, tables := written{}, map[string]int{}
	for p.NextExpression() {
		e := p.Expression()
		path, offset := keyPath(e)
		w := written{path: path, key: joinKey(path), kind: e.Kind, line: 1 + bytes.Count(doc[:offset], []byte("\n"))}
		expressions++
		switch e.Kind {
		case unstable.Table:
			table = w
			visit(w)
		case unstable.ArrayTable:
			visit(w)
			w.key = fmt.Sprintf("%s[%d]", w.key, tables[w.key])
			tables[joinKey(path)]++
			table = w
			visit(w)
		case unstable.KeyValue:
			walkValue(table.member(path, e.Value(), w.line), visit)
		}
	}
	return expressions, p.Error()
}

// member is a key inside of a table.
func (w written) member(path []string, value *unstable.Node, line int) written {
	return written{
		path: slices.Concat(w.path, path), key: strings.TrimPrefix(w.key+"."+joinKey(path), "."),
		kind: value.Kind, value: value, line: line,
	}
}

// walkValue visits a value and the tables written inside of it.
func walkValue(w written, visit func(written)) {
	visit(w)
	it := w.value.Children()
	for i := 0; it.Next(); i++ {
		switch inner := it.Node(); {
		case w.kind == unstable.InlineTable:
			path, _ := keyPath(inner)
			walkValue(w.member(path, inner.Value(), w.line), visit)
		case w.kind == unstable.Array && inner.Kind == unstable.InlineTable:
			element := w
			element.key, element.kind, element.value = fmt.Sprintf("%s[%d]", w.key, i), unstable.InlineTable, inner
			walkValue(element, visit)
		}
	}
}

// keyPath returns the key of an expression and the offset of its first part.
func keyPath(e *unstable.Node) (path []string, offset int) {
	for it := e.Key(); it.Next(); {
		if path == nil {
			offset = int(it.Node().Raw.Offset)
		}
		path = append(path, string(it.Node().Data))
	}
	return path, offset
}

// lint finds keys that do not exist and values of the wrong type: all of them
// at once, where the decoder would stop at the first. What it lets through by
// mistake the decoder still refuses.
func lint(doc []byte, at func(line int) origin) (problems []string) {
	var unknown [][]string
	walkTOML(doc, func(w written) {
		info, ok := lookupKey(w.path)
		switch {
		case !ok && !slices.ContainsFunc(unknown, func(u []string) bool { return prefixOf(u, w.path) }):
			unknown = append(unknown, w.path)
			problems = append(problems, fmt.Sprintf("%s: %s: no such key%s", at(w.line), joinKey(w.path), suggestKey(w.path)))
		case ok && !strings.HasSuffix(w.key, "]") && !info.takes(w):
			problems = append(problems, fmt.Sprintf("%s: %s: want %s", at(w.line), joinKey(w.path), info.wants()))
		}
	})
	return problems
}

func prefixOf(prefix, path []string) bool {
	return len(prefix) <= len(path) && slices.Equal(prefix, path[:len(prefix)])
}

// takes reports whether a key can be given what was written.
func (k keyInfo) takes(w written) bool {
	if k.Kind != kindList {
		return k.Kind.takes(w.kind)
	}
	if w.kind != unstable.Array {
		return w.kind == unstable.ArrayTable && k.Elem == kindTable
	}
	for it := w.value.Children(); it.Next(); {
		if !k.Elem.takes(it.Node().Kind) {
			return false
		}
	}
	return true
}

func (k keyKind) takes(value unstable.Kind) bool {
	switch value {
	case unstable.String:
		return k == kindText || k == kindSize
	case unstable.Integer:
		return k == kindNumber || k == kindFraction || k == kindSize
	case unstable.Float:
		return k == kindFraction
	case unstable.Bool:
		return k == kindBool
	case unstable.InlineTable, unstable.Table:
		return k == kindTable
	case unstable.Comment:
		return true
	}
	return false
}
