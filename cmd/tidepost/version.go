package main

import (
	"runtime"
	"runtime/debug"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "devel"

type versionCmd struct {
	JSON bool `help:"Print JSON, for programs." name:"json"`
}

// Run prints the version, and what it was built from and with.
func (v *versionCmd) Run(a *app) error {
	name, commit := buildVersion()
	text := "tidepost " + name
	if commit != "" {
		text += " " + commit
	}
	return a.print(v.JSON, map[string]string{"version": name, "commit": commit, "go": runtime.Version()}, text+" "+runtime.Version())
}

// buildVersion returns the release's name, and the commit it was built from
// where that is known.
func buildVersion() (name, commit string) {
	name = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return name, ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true" && commit != "":
			commit += "+changes"
		}
	}
	return name, commit
}
