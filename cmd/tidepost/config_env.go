package main

import (
	"regexp"
	"slices"
	"strings"
)

// envPrefix starts every variable that is ours.
const envPrefix = "TIDEPOST_"

// ownVariables belong to the command line, not to the configuration.
var ownVariables = []string{envPrefix + "SERVER", envPrefix + "TOKEN"}

// serviceVariable matches what Kubernetes and Docker links put into the
// environment for a service called tidepost; none of it is meant for us.
var serviceVariable = regexp.MustCompile(`^TIDEPOST_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// applyEnv lays the TIDEPOST_… variables over the configuration, in the order
// of their names.
func (c *Config) applyEnv(env []string) error {
	var ours []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(ownVariables, name) && !serviceVariable.MatchString(name) {
			ours = append(ours, e)
		}
	}
	slices.Sort(ours)
	for _, e := range ours {
		name, value, _ := strings.Cut(e, "=")
		path, ok := envKey(name)
		if !ok {
			return problemf("%s: no such variable%s", name, didYouMean(name, envNames(), "_"))
		}
		if err := c.applyValue(path, strings.TrimSpace(value), origin{Source: name}); err != nil {
			return err
		}
	}
	return nil
}

// envName is the variable of a key, with NAME where the operator's own name
// goes: TIDEPOST_DESTINATION_NAME_RATE.
func (k keyInfo) envName() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k.name()))
}

// envNames lists the variables of all keys that have one.
func envNames() []string {
	names := slices.Clone(ownVariables)
	for _, k := range configKeys() {
		if !slices.Contains(k.Path, "[]") {
			names = append(names, k.envName())
		}
	}
	return names
}

// envKey finds the key that a variable sets. Keys without a name of the
// operator's win; of the others the one with the longest ending.
func envKey(name string) (path []string, ok bool) {
	longest := -1
	for _, k := range configKeys() {
		if slices.Contains(k.Path, "[]") {
			continue
		}
		before, after, named := strings.Cut(k.envName(), "NAME")
		if !slices.Contains(k.Path, "*") {
			if name == k.envName() {
				return k.Path, true
			}
			continue
		}
		given, okBefore := strings.CutPrefix(name, before)
		given, okAfter := strings.CutSuffix(given, after)
		if named && okBefore && okAfter && given != "" && len(after) > longest {
			path, longest = withName(k.Path, given), len(after)
		}
	}
	return path, longest >= 0
}

// withName puts the operator's name into a pattern. A variable's name has no
// dots, and a domain no underscores: TIDEPOST_DESTINATION_EXAMPLE_COM_RATE.
func withName(pattern []string, given string) []string {
	given = strings.ToLower(given)
	if pattern[0] == "destination" {
		given = strings.ReplaceAll(given, "_", ".")
	}
	path := slices.Clone(pattern)
	path[slices.Index(path, "*")] = given
	return path
}
