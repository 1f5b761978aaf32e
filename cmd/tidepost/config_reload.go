package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// notInForce names the keys that are read and checked but do nothing yet.
var notInForce = []string{
	"webhook", "feedback",
}

// warnings names what was written and has no effect in this version, and what
// works but is probably not meant.
func (c *Config) warnings() []string {
	var out []string
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(c.origin)) {
		idle, ok := c.idle(key)
		if ok && !seen[idle] {
			seen[idle] = true
			out = append(out, c.origin[key].String()+": "+idle+": not in force yet: this version reads it and does nothing with it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Hooks)) {
		if h := c.Hooks[name]; h.Secret == "" && h.SecretFile == "" {
			out = append(out, c.at(joinKey([]string{"hooks", name}))+"not in force yet: reports signed with a public key are not understood by this version")
		}
	}
	if c.Route.hasPassword() && c.Route.TLS == "opportunistic" && !loopback(c.Route.Smarthost) {
		out = append(out, c.at("route.tls")+"opportunistic lets somebody on the way read the password: required is safer")
	}
	return out
}

// idle returns the key to warn of where a written key, or the table that it
// is in, has no effect.
func (c *Config) idle(written string) (key string, ok bool) {
	plain := inPolicy(written)
	for _, name := range notInForce {
		if rest, found := strings.CutPrefix(plain, name); found && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return strings.TrimSuffix(written, rest), true
		}
	}
	return "", false
}

// inPolicy gives a tenant's override the name of the key that it overrides.
func inPolicy(key string) string {
	rest, ok := strings.CutPrefix(key, "policy.tenants.")
	if !ok {
		return key
	}
	if rest[0] == '"' {
		_, rest, _ = strings.Cut(rest[1:], `"`)
	} else {
		_, rest, _ = strings.Cut(rest, ".")
	}
	return "policy." + strings.TrimPrefix(rest, ".")
}

// Reload reads the configuration again, with the --set flags and environment
// of the first time. It returns a whole new one or, on any
// error, none at all, so that the caller keeps all of the old one. changed
// names the keys that differ; restart those of them that a running gateway
// cannot take over.
func (c *Config) Reload() (next *Config, changed, restart, warnings []string, err error) {
	next, warnings, err = LoadConfig(c.path, c.sets, c.env)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	changed = c.Diff(next)
	for _, key := range changed {
		if needsRestart(key) {
			restart = append(restart, key)
		}
	}
	return next, changed, restart, warnings, nil
}

// reloaded names the tables and keys that a running gateway takes over.
var reloaded = []string{"credential", "tenant", "destination", "policy", "list_id", "hooks", "experiment", "admin_token", "smtp.certificate", "smtp.key", "smtp.trusted_networks"}

// needsRestart reports whether a key is only looked at when the gateway starts.
func needsRestart(key string) bool {
	table, _, _ := strings.Cut(key, ".")
	return !slices.Contains(reloaded, key) && !slices.Contains(reloaded, table)
}

// Diff names the keys whose values differ, sorted. Lists of tables and named
// tables are compared whole and go by their own key.
func (c *Config) Diff(next *Config) []string {
	var keys []string
	diffTables(reflect.ValueOf(c).Elem(), reflect.ValueOf(next).Elem(), "", &keys)
	slices.Sort(keys)
	return keys
}

func diffTables(a, b reflect.Value, key string, keys *[]string) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name := f.Tag.Get("toml")
		switch {
		case f.Anonymous:
			diffTables(a.Field(i), b.Field(i), key, keys)
		case name == "":
		case kindOf(f.Type) == kindTable && f.Type.Kind() == reflect.Struct:
			diffTables(a.Field(i), b.Field(i), below(key, name), keys)
		case !equalValues(a.Field(i), b.Field(i)):
			*keys = append(*keys, below(key, name))
		}
	}
}

// equalValues compares by value; no list and an empty list are the same.
func equalValues(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
