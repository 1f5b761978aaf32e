package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// LoadConfig reads the file at path ("": none), then TIDEPOST_… variables of
// env, then sets of the form key=value, each winning over what came before. It
// returns the configuration with warnings worth printing. The error names
// file, line, key and remedy of everything that is wrong, a line each.
func LoadConfig(path string, sets []string, env []string) (*Config, []string, error) {
	c, err := ParseConfig(path, sets, env)
	if err != nil {
		return nil, nil, err
	}
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	if err := c.readSecrets(); err != nil {
		return nil, nil, err
	}
	if err := c.checkHookFiles(); err != nil {
		return nil, nil, err
	}
	if err := c.checkWebhookFiles(); err != nil {
		return nil, nil, err
	}
	return c, c.warnings(), nil
}

// ParseConfig is LoadConfig without the rules that span keys and without
// reading any file named in the configuration: enough for a command that only
// asks where the gateway is.
func ParseConfig(path string, sets []string, env []string) (*Config, error) {
	c := DefaultConfig()
	c.sets, c.env = sets, env
	if path != "" {
		if err := c.applyFile(path); err != nil {
			return nil, err
		}
	}
	if err := c.applyEnv(env); err != nil {
		return nil, err
	}
	for _, s := range sets {
		if err := c.applySet(s); err != nil {
			return nil, err
		}
	}
	c.fillIn()
	return c, nil
}

// origin is where a key was written.
type origin struct {
	Source string // file name, variable or flag
	Line   int    // 0 outside of a file
}

func (o origin) String() string {
	if o.Line == 0 {
		return o.Source
	}
	return fmt.Sprintf("%s:%d", o.Source, o.Line)
}

// origins maps written keys to where they were written. The elements of a
// list of tables are credential[0], credential[0].name and so on.
type origins map[string]origin

// forget drops a key and everything below it, because it is written anew.
func (o origins) forget(key string) {
	for k := range o {
		if rest, ok := strings.CutPrefix(k, key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			delete(o, k)
		}
	}
}

// ConfigError lists what is wrong with a configuration.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string { return strings.Join(e.Problems, "\n") }

func problemf(format string, args ...any) error {
	return &ConfigError{Problems: []string{fmt.Sprintf(format, args...)}}
}

func (c *Config) applyFile(path string) error {
	doc, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return problemf("%s: no such file; leave --config out to start with the defaults", path)
	}
	if err != nil {
		return problemf("%s: %v", path, errors.Unwrap(err))
	}
	c.path = path
	return c.applyDocument(doc, func(line int) origin { return origin{path, line} })
}

// applySet lays one key=value of the command line over the configuration.
func (c *Config) applySet(set string) error {
	key, value, ok := strings.Cut(set, "=")
	key = strings.TrimSpace(key)
	if !ok {
		return problemf("--set %s: want key=value, as in --set route.mode=mx", set)
	}
	var p unstable.Parser
	p.Reset([]byte(key + " = 0"))
	if !p.NextExpression() || p.Expression().Kind != unstable.KeyValue {
		return problemf("--set %s: %q is not a key", set, key)
	}
	path, _ := keyPath(p.Expression())
	return c.applyValue(path, strings.TrimSpace(value), origin{Source: "--set"})
}

// applyValue lays a value written outside of the file over one key.
func (c *Config) applyValue(path []string, value string, o origin) error {
	info, ok := lookupKey(path)
	if !ok {
		return problemf("%s: %s: no such key%s", o, joinKey(path), suggestKey(path))
	}
	if i := slices.Index(info.Path, "[]"); i >= 0 {
		list := joinKey(path[:i])
		return problemf(`%s: %s: %s is a list of tables: give it whole, as in %s=[{%s = …}]`, o, joinKey(path), list, list, joinKey(path[i:]))
	}
	if info.Kind == kindList {
		c.clear(info.Path)
	}
	doc := []byte(joinKey(path) + " = " + asTOML(value, info))
	if n, err := walkTOML(doc, func(written) {}); err != nil || n != 1 {
		return problemf("%s: %s: want %s", o, joinKey(path), info.wants())
	}
	return c.applyDocument(doc, func(int) origin { return o })
}

// clear empties a list, so that elements of an earlier one do not shine
// through. Lists below a map hold plain values, which need none of this.
func (c *Config) clear(path []string) {
	v := reflect.ValueOf(c).Elem()
	for _, name := range path {
		if v.Kind() != reflect.Struct {
			return
		}
		v = fieldByKey(v, name)
	}
	v.SetZero()
}

func fieldByKey(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("toml") == name {
			return v.Field(i)
		}
		if f.Anonymous {
			if inner := fieldByKey(v.Field(i), name); inner.IsValid() {
				return inner
			}
		}
	}
	return reflect.Value{}
}

// asTOML writes a value in the key's own type: text needs no quotes and a
// list of one needs no brackets.
func asTOML(value string, info keyInfo) string {
	kind := info.Kind
	if kind == kindList {
		if value == "" {
			return "[]"
		}
		if strings.HasPrefix(value, "[") || info.Elem == kindTable {
			return value
		}
		return "[" + asTOML(value, keyInfo{Kind: info.Elem}) + "]"
	}
	number := value != "" && strings.Trim(value, "0123456789_-+") == ""
	if kind == kindText && !quoted(value) || kind == kindSize && !number && !quoted(value) {
		return quoteText(value)
	}
	return value
}

// quoted reports whether value is a TOML string already.
func quoted(value string) bool {
	if len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '"' && value[0] != '\'' {
		return false
	}
	var doc struct{ V string }
	return toml.Unmarshal([]byte("V = "+value), &doc) == nil
}

// quoteText writes a TOML basic string; JSON's escapes are a part of TOML's.
func quoteText(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
