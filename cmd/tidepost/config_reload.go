package main

import (
	"reflect"
	"slices"
	"strings"
)

// warnings names what works but is probably not meant.
func (c *Config) warnings() []string {
	var out []string
	if c.Feedback.ReturnPathDomain != "" && len(c.Feedback.ReturnPathListen) == 0 {
		out = append(out, c.at("feedback.return_path_domain")+"bounces go to it and nothing here takes them: set feedback.return_path_listen, or bring them with `tidepost feedback learn`")
	}
	if c.Route.hasPassword() && c.Route.TLS == "opportunistic" && !loopback(c.Route.Smarthost) {
		out = append(out, c.at("route.tls")+"opportunistic lets somebody on the way read the password: required is safer")
	}
	return out
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
var reloaded = []string{"credential", "tenant", "destination", "policy", "list_id", "hooks", "webhook", "experiment", "admin_token", "smtp.certificate", "smtp.key", "smtp.trusted_networks"}

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
