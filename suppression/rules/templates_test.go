package rules

import (
	"strings"
	"testing"
	"time"
)

// enabled loads a template with its rules switched on.
func enabled(t *testing.T, name string, o Options) *Set {
	t.Helper()
	text, err := New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range compileText(t, text).Rules() {
		if r.State != Shadow || r.Description == "" {
			t.Errorf("rule %s starts %s with description %q", r.Name, r.State, r.Description)
		}
	}
	return compileText(t, strings.ReplaceAll(text, `"shadow"`, `"enabled"`))
}

// Each template does what it says, to the reader it says it of.
func TestTemplates(t *testing.T) {
	for _, row := range []struct {
		story, template string
		options         Options
		with            func(*Facts)
		want            string
	}{
		{"a reader who clicks", "sunset", Options{}, nil, "none"},
		{"no click for half the time", "sunset", Options{}, clicked(91), "none cap 1/7d by sunset-weekly"},
		{"for three quarters", "sunset", Options{}, clicked(136), "none cap 1/30d by sunset-monthly cap 1/7d by sunset-weekly"},
		{"for all of it", "sunset", Options{}, clicked(181), "drop by sunset reason sunset"},
		{"all of a shorter one", "sunset", Options{Days: 30}, clicked(31), "drop by sunset reason sunset"},
		{"a password reset goes", "sunset", Options{}, func(f *Facts) { clicked(181)(f); f.Message.Class = "transactional" }, "none"},
		{"clicks cannot be seen", "sunset", Options{}, func(f *Facts) { clicked(0)(f); f.Mailbox.ClicksVisible = 60 * day }, "none"},
		{"a keen reader's week", "weekly-cap", Options{}, clicked(2), "none cap 5/7d by weekly-cap"},
		{"less keen", "weekly-cap", Options{}, clicked(20), "none cap 3/7d by weekly-cap-15"},
		{"drifting", "weekly-cap", Options{}, clicked(50), "none cap 2/7d by weekly-cap-45"},
		{"gone", "weekly-cap", Options{}, clicked(0), "none cap 1/7d by weekly-cap-90"},
		{"unseen", "weekly-cap", Options{PerWeek: 1}, func(f *Facts) { f.Mailbox.ClicksVisible = 0; clicked(0)(f) }, "none cap 1/7d by weekly-cap"},
		{"a person", "role-addresses", Options{}, nil, "none"},
		{"a task", "role-addresses", Options{}, func(f *Facts) { f.Mailbox.Local = "abuse" }, "drop by role-addresses reason role"},
		{"a sound domain", "bounced-domain", Options{}, nil, "none"},
		{"a big one with a few bounces", "bounced-domain", Options{}, func(f *Facts) { f.Mailbox.DomainBounces = 10 }, "none"},
		{"one that went", "bounced-domain", Options{}, func(f *Facts) { f.Mailbox.DomainBounces = 30 }, "hold by bounced-domain until 11:00"},
	} {
		t.Run(row.template+": "+row.story, func(t *testing.T) {
			f := reader()
			if row.with != nil {
				row.with(&f)
			}
			if got := tell(enabled(t, row.template, row.options).Evaluate(&f)); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// clicked is a reader whose last click was so many days ago; 0: never.
func clicked(days int) func(*Facts) {
	return func(f *Facts) {
		f.Mailbox.LastClick = f.Now.Add(-time.Duration(days) * day)
		if days == 0 {
			f.Mailbox.LastClick = time.Time{}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for want, call := range map[string]func() (string, error){
		"did you mean 'sunset'?": func() (string, error) { return New("sunst", Options{}) },
		"use 7 to 3650":          func() (string, error) { return New("sunset", Options{Days: 3}) },
		"use 1 to 32":            func() (string, error) { return New("weekly-cap", Options{PerWeek: 33}) },
	} {
		if _, err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, tmpl := range Templates() {
		for _, o := range []Options{{}, {Days: 7, PerWeek: 1}, {Days: 3650, PerWeek: 32}} {
			enabled(t, tmpl.Name, o)
		}
	}
}
