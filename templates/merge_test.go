package templates

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func render(t *testing.T, tpl *Template, values map[string]string) string {
	t.Helper()
	var b strings.Builder
	if err := tpl.Render(&b, values); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRender(t *testing.T) {
	values := map[string]string{"name": "Ann", "empty": "", "sly": "{{name}}", "html": `<b onclick="x">&`}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"no places", "no places"},
		{"Hello {{name}}!", "Hello Ann!"},
		{"{{name}}{{name}}", "AnnAnn"},
		{"{{ name }}", "Ann"},
		{"Hello {{nobody}}!", "Hello !"},
		{"Hello {{nobody|friend}}!", "Hello friend!"},
		{"Hello {{empty|friend}}!", "Hello friend!"},
		{"Hello {{nobody|my | friend}}!", "Hello my | friend!"},
		{"a value is data: {{sly}}", "a value is data: {{name}}"},
		{"one } is text, so is {", "one } is text, so is {"},
		{"}} alone is text", "}} alone is text"},
		{"{{html}}", `<b onclick="x">&`},
	} {
		tpl, err := Parse(c.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if got := render(t, tpl, values); got != c.want {
			t.Errorf("%q renders as %q, want %q", c.text, got, c.want)
		}
	}
}

func TestHTMLEscapesValuesOnly(t *testing.T) {
	tpl, err := Parse("<p>{{name|<i>friend</i>}}</p>")
	if err != nil {
		t.Fatal(err)
	}
	tpl.HTML = true
	if got, want := render(t, tpl, map[string]string{"name": `"><script>`}), "<p>&#34;&gt;&lt;script&gt;</p>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := render(t, tpl, nil), "<p><i>friend</i></p>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a\nb {{name", "line 2: {{ without }}"},
		{"{{}}", "want {{name}}"},
		{"{{a b}}", "want {{name}}"},
		{"{{a{{b}}", "want {{name}}"},
		{"{{" + strings.Repeat("n", MaxName+1) + "}}", "want {{name}}"},
		{"{{nmae}}", "no such value"},
		{strings.Repeat("x", MaxText+1), "too large"},
		{strings.Repeat("{{name}}", MaxPlaces+1), "too large"},
	} {
		_, err := Parse(c.text, "name")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%.30q): error %v, want one with %q", c.text, err, c.want)
		}
	}
	if _, err := Parse("{{nmae|friend}}", "name"); err != nil {
		t.Errorf("an unknown name with a fallback: %v", err)
	}
}

func TestRenderIsBounded(t *testing.T) {
	tpl, err := Parse(strings.Repeat("{{name}}", 1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{MaxValue + 1, MaxValue} { // one value too long; the sum too long
		err := tpl.Render(new(strings.Builder), map[string]string{"name": strings.Repeat("x", size)})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("values of %d bytes: error %v, want ErrTooLarge", size, err)
		}
	}
}

func TestNames(t *testing.T) {
	tpl, _ := Parse("{{b}} {{a|x}} {{b}}")
	if got := fmt.Sprint(tpl.Names()); got != "[b a]" {
		t.Errorf("Names() = %s, want [b a]", got)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Hello {{name|friend}}!", "Ann")
	f.Add("{{name}}{{", "}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		tpl, err := Parse(text)
		if err != nil {
			return
		}
		var b strings.Builder
		err = tpl.Render(&b, map[string]string{"name": value})
		switch {
		case err != nil && !errors.Is(err, ErrTooLarge):
			t.Fatal(err)
		case err == nil && !strings.Contains(text, "{{") && b.String() != text:
			t.Fatalf("text without places %q renders as %q", text, b.String())
		case err == nil && b.Len() > len(text)+len(value)*MaxPlaces:
			t.Fatalf("%d bytes from a text of %d", b.Len(), len(text))
		}
	})
}

func BenchmarkRender(b *testing.B) {
	tpl, _ := Parse(strings.Repeat("Some text for {{name|friend}} in {{city|your town}}. ", 20))
	values := map[string]string{"name": "Ann"}
	var out strings.Builder
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		tpl.Render(&out, values)
	}
}
