package templates

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed catalogue/*.txt
var files embed.FS

// Default is the language of last resort; every message exists in it.
const Default = "en"

// Catalogue is what the gateway says in one language.
type Catalogue struct {
	Language string
	messages map[string]*Template
}

var catalogues = sync.OnceValue(func() map[string]*Catalogue {
	all := make(map[string]*Catalogue)
	entries, err := files.ReadDir("catalogue")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		text, err := files.ReadFile(path.Join("catalogue", e.Name()))
		if err != nil {
			panic(err)
		}
		lang := strings.TrimSuffix(e.Name(), ".txt")
		messages, err := parseCatalogue(string(text))
		if err != nil {
			panic(fmt.Sprintf("catalogue %s: %v", e.Name(), err)) // the files are part of the program
		}
		all[lang] = &Catalogue{lang, messages}
	}
	return all
})

// Lookup returns the catalogue of a language tag such as "de" or "de-AT", or
// the default one where there is none.
func Lookup(lang string) *Catalogue {
	base, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(lang), "_", "-"), "-")
	if c := catalogues()[base]; c != nil {
		return c
	}
	return catalogues()[Default]
}

// Languages returns the languages there are, sorted.
func Languages() []string { return slices.Sorted(maps.Keys(catalogues())) }

// Text returns a message with the values in their places. A message that the
// language lacks is said in the default one; one that nobody knows is its key.
func (c *Catalogue) Text(key string, values map[string]string) string {
	t := c.messages[key]
	if t == nil {
		t = catalogues()[Default].messages[key]
	}
	var b strings.Builder
	if t == nil || t.Render(&b, values) != nil {
		return key
	}
	return b.String()
}

// parseCatalogue reads messages, each under a line "== key". Lines before the
// first one are for people.
func parseCatalogue(text string) (map[string]*Template, error) {
	messages := make(map[string]*Template)
	for _, section := range strings.Split("\n"+text, "\n== ")[1:] {
		key, body, _ := strings.Cut(section, "\n")
		if _, twice := messages[key]; twice || !isName(key) {
			return nil, fmt.Errorf("message %q is no name, or is there twice", key)
		}
		t, err := Parse(strings.TrimSpace(body))
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", key, err)
		}
		messages[key] = t
	}
	return messages, nil
}
