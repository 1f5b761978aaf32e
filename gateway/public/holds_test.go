package public

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/scheduler"
	"tidepost/suppression/address"
)

// chooser is a learner that knows what was chosen.
type chooser struct {
	*learner
	chosen gateway.Chosen
	err    error
	asked  string
}

func (c *chooser) Chosen(_ context.Context, tenant, list string, m address.Mailbox) (gateway.Chosen, error) {
	c.asked = tenant + " " + list + " " + m.String()
	return c.chosen, c.err
}

// The preference page says what holds now, and offers the choices even where it cannot.
func TestPreferencesSayWhatHolds(t *testing.T) {
	var c *chooser
	w := newWorld(t, func(w *world) {
		c = &chooser{learner: w.told}
		w.Gateway = c
	})
	path := w.seal(token.Preferences, nil)
	for _, tt := range []struct {
		story  string
		chosen gateway.Chosen
		want   []string
		not    string
	}{
		{story: "nothing", want: []string{"as it is sent"}, not: "gets no"},
		{story: "this list", chosen: gateway.Chosen{List: true}, want: []string{"no more mail of the list"}, not: "as it is sent"},
		{story: "all mail", chosen: gateway.Chosen{List: true, All: true, PerWeek: 1}, want: []string{"gets no more newsletters"}, not: "no more mail of the list"},
		{story: "a pause, less, unobserved", chosen: gateway.Chosen{Until: noon.Add(30 * 24 * time.Hour), PerWeek: 1, Sees: scheduler.SeesNone},
			want: []string{"until 22 December 2026", "at most one newsletter or offer a week from", "is not used."}},
		{story: "three a week, clicks alone", chosen: gateway.Chosen{PerWeek: 3, Sees: scheduler.SeesClick}, want: []string{"at most 3 newsletters", "only a part"}},
	} {
		c.chosen = tt.chosen
		a := w.get(path)
		_, now, _ := strings.Cut(a.text, `<section aria-labelledby="now">`)
		now, _, _ = strings.Cut(now, "</section>")
		for _, want := range tt.want {
			if !strings.Contains(now, want) {
				t.Errorf("%s: %q is not said:\n%s", tt.story, want, now)
			}
		}
		if tt.not != "" && strings.Contains(now, tt.not) {
			t.Errorf("%s: %q is said", tt.story, tt.not)
		}
	}
	if want := "acme news.acme.example " + ann.String(); c.asked != want {
		t.Errorf("asked of %q, want %q", c.asked, want)
	}
	c.err = errors.New("a disk")
	if a := w.get(path); a.StatusCode != 200 || strings.Contains(a.text, `id="now"`) || !strings.Contains(a.text, "Pause for 30 days") {
		t.Errorf("where it is not known: %s", a.Status)
	}
	w.silence("looking")
}
