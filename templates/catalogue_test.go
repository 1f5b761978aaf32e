package templates

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestCataloguesSayTheSame(t *testing.T) {
	want := catalogues()[Default].messages
	for lang, c := range catalogues() {
		if got, want := slices.Sorted(maps.Keys(c.messages)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("%s has messages %q, want %q", lang, got, want)
		}
		for key, message := range c.messages {
			got, want := message.Names(), want[key].Names()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s uses %q, want %q", lang, key, got, want)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for tag, want := range map[string]string{"": "en", "en": "en", "de": "de", "de-AT": "de", "DE_de": "de", "tlh": "en"} {
		if got := Lookup(tag).Language; got != want {
			t.Errorf("Lookup(%q) is %s, want %s", tag, got, want)
		}
	}
	if got := Languages(); !slices.Equal(got, []string{"de", "en"}) {
		t.Errorf("Languages() = %q", got)
	}
}

func TestText(t *testing.T) {
	got := Lookup("en").Text("report.failed.body", map[string]string{"host": "gw.example", "recipient": "b@y.test"})
	for _, want := range []string{"mail system at gw.example.", "    b@y.test\n", "no reason was given"} {
		if !strings.Contains(got, want) {
			t.Errorf("the text lacks %q:\n%s", want, got)
		}
	}
	if got := Lookup("de").Text("no.such.message", nil); got != "no.such.message" {
		t.Errorf("an unknown message is %q", got)
	}
}

func TestParseCatalogueErrors(t *testing.T) {
	for _, text := range []string{"== a\nx\n== a\ny", "== a b\nx", "== a\n{{"} {
		if _, err := parseCatalogue(text); err == nil {
			t.Errorf("parseCatalogue(%q) found nothing wrong", text)
		}
	}
}
