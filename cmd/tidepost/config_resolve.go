package main

import (
	"path/filepath"
	"reflect"
	"strconv"
)

// isSet reports whether the operator wrote a key at all.
func (c *Config) isSet(key string) bool {
	_, ok := c.origin[key]
	return ok
}

// fillIn gives elements of lists their defaults and settles what depends on
// another key.
func (c *Config) fillIn() {
	for i := range c.Credentials {
		cred, key := &c.Credentials[i], element("credential", i)
		if !c.isSet(key + ".tenant") {
			cred.Tenant = "default"
		}
		if !c.isSet(key + ".bulk_class") {
			cred.BulkClass = mustClass("newsletter")
		}
	}
	for i := range c.Tenants {
		t, key := &c.Tenants[i], element("tenant", i)
		d := defaultTenant(t.Name)
		if !c.isSet(key + ".max_held") {
			t.MaxHeld = d.MaxHeld
		}
		if t.Audience == "" {
			t.Audience = d.Audience
		}
	}
	for name, h := range c.Hooks {
		if h.Format == "" {
			h.Format = hookFormat(name)
		}
		if h.Tenant == "" {
			h.Tenant = "default"
		}
		c.Hooks[name] = h
	}
	for name, l := range c.Lists {
		if l.Evidence == "" {
			l.Evidence = "full"
		}
		c.Lists[name] = l
	}
	if c.Route.TLS == "" {
		c.Route.TLS = "opportunistic"
		if c.Route.hasPassword() {
			c.Route.TLS = "required"
		}
	}
	c.resolvePaths()
}

func (r *RouteConfig) hasPassword() bool { return r.Password != "" || r.PasswordFile != "" }

// element is the key of one table of a list.
func element(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func mustClass(name string) Class {
	var c Class
	if err := c.UnmarshalText([]byte(name)); err != nil {
		panic(err)
	}
	return c
}

func defaultTenant(name string) Tenant {
	return Tenant{Name: name, MaxHeld: 10_000_000, Audience: name}
}

// Tenant returns what holds for a tenant, whether it has a table or not.
func (c *Config) Tenant(name string) Tenant {
	for _, t := range c.Tenants {
		if t.Name == name {
			return t
		}
	}
	return defaultTenant(name)
}

// Destination returns what holds for a destination: its own table over
// [destination.default] over the defaults of the route's mode.
func (c *Config) Destination(name string) Destination {
	d := Destination{Connections: 2, MessagesPerConnection: 100, Rate: Rate{5}, RateMax: Rate{100}}
	if c.Route.Mode == "smarthost" {
		d.Connections, d.Rate, d.RateMax = 20, Rate{}, Rate{}
	}
	c.overlay(reflect.ValueOf(&d).Elem(), c.Destinations["default"], "destination.default")
	if name != "default" {
		c.overlay(reflect.ValueOf(&d).Elem(), c.Destinations[name], joinKey([]string{"destination", name}))
	}
	return d
}

// PolicyFor returns what holds for a tenant's bulk mail: [policy.tenants.NAME]
// over [policy]. The name "" asks for [policy] itself.
func (c *Config) PolicyFor(tenant string) PolicyKeys {
	p := c.Policy.PolicyKeys
	if override, ok := c.Policy.Tenants[tenant]; ok {
		c.overlay(reflect.ValueOf(&p).Elem(), override, joinKey([]string{"policy", "tenants", tenant}))
	}
	return p
}

// overlay copies the fields of from that were written below key into to.
func (c *Config) overlay(to reflect.Value, from any, key string) {
	source := reflect.ValueOf(from)
	for i := range to.NumField() {
		if name := to.Type().Field(i).Tag.Get("toml"); c.isSet(key + "." + name) {
			to.Field(i).Set(source.Field(i))
		}
	}
}

// tables calls f for every table of the configuration with its key, the
// elements of lists and maps too. f may change the table through its value.
func (c *Config) tables(f func(table reflect.Value, key string)) {
	visitTables(reflect.ValueOf(c).Elem(), "", f)
}

func visitTables(v reflect.Value, key string, f func(reflect.Value, string)) {
	f(v, key)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, value := field.Tag.Get("toml"), v.Field(i)
		switch {
		case name == "":
		case kindOf(field.Type) == kindTable && value.Kind() == reflect.Struct:
			visitTables(value, below(key, name), f)
		case value.Kind() == reflect.Map:
			for _, k := range value.MapKeys() {
				table := reflect.New(field.Type.Elem()).Elem()
				table.Set(value.MapIndex(k))
				visitTables(table, below(below(key, name), joinKey([]string{k.String()})), f)
				value.SetMapIndex(k, table)
			}
		case value.Kind() == reflect.Slice && kindOf(field.Type.Elem()) == kindTable:
			for j := range value.Len() {
				visitTables(value.Index(j), element(below(key, name), j), f)
			}
		}
	}
}

func below(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// resolvePaths makes paths written in the file relative to the file.
func (c *Config) resolvePaths() {
	c.DataDir = c.resolvePath("data_dir", c.DataDir)
	c.tables(func(table reflect.Value, key string) {
		for i := range table.NumField() {
			if f := table.Type().Field(i); f.Tag.Get("path") != "" {
				path := table.Field(i)
				path.SetString(c.resolvePath(below(key, f.Tag.Get("toml")), path.String()))
			}
		}
	})
}

// resolvePath makes a path written in the file relative to the file; written
// elsewhere it is relative to the working directory.
func (c *Config) resolvePath(key, path string) string {
	o := c.origin[key]
	if path == "" || o.Line == 0 || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(o.Source), path)
}
