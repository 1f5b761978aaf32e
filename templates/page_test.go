package templates

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// everyPage are all pages that a reader can come to see.
func everyPage() []Page {
	p := Page{Sender: "acme", List: "news.acme.example", Reader: Mask("ann@example.com"), Preferences: "../p/x", Until: time.Date(2026, 12, 22, 0, 0, 0, 0, time.UTC)}
	var all []Page
	for _, k := range []Kind{Confirm, Preferences, Done, Thanks, Expired, Gone, NotFound, Later, Refused} {
		p.Kind = k
		if k == Thanks {
			for _, p.Answer = range []Answer{TooOften, Irrelevant, NoInterest} {
				all = append(all, p)
			}
			continue
		}
		if k != Done {
			all = append(all, p)
			continue
		}
		for _, c := range []Choice{StopList, StopAll, Pause, Less, Unseen, Seen, Resume} {
			p.Choice, p.Ask = c, c == StopList || c == StopAll
			all = append(all, p)
		}
	}
	p.Kind, p.List = Preferences, ""
	all = append(all, p)
	for _, h := range []Holds{{}, {List: true}, {All: true, List: true}, {Until: p.Until, PerWeek: 1, Unseen: true}, {PerWeek: 3, Partly: true}} {
		p.Holds = &h
		all = append(all, p)
	}
	return all
}

// Every page in every language says all that it has to say, and is whole: one
// heading, a title, a language, labels that are there, no key without its text.
func TestPages(t *testing.T) {
	for _, lang := range Languages() {
		for _, p := range everyPage() {
			doc, err := Lookup(lang).Page(p)
			if err != nil {
				t.Fatalf("%s %s: %v", lang, p.Kind, err)
			}
			text := string(doc)
			for _, want := range []string{`<html lang="` + lang + `">`, "<main>", `name="viewport"`, `name="color-scheme"`, "</html>"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s %s lacks %s", lang, p.Kind, want)
				}
			}
			if n := strings.Count(text, "<h1>"); n != 1 {
				t.Errorf("%s %s has %d headings", lang, p.Kind, n)
			}
			if m := regexp.MustCompile(`page\.[a-z-]+\.[a-z.-]+|\{\{|ZgotmplZ|%!`).FindString(text); m != "" {
				t.Errorf("%s %s %s shows %q", lang, p.Kind, p.Choice, m)
			}
			for _, m := range regexp.MustCompile(`aria-(?:labelledby|describedby)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
				if strings.Count(text, `id="`+m[1]+`"`) != 1 {
					t.Errorf("%s %s: nothing is called %s, or more than one", lang, p.Kind, m[1])
				}
			}
			if m := regexp.MustCompile(`(?i)<script|<img|<link|<iframe|src=|url\(|@import|\son[a-z]+=|https?:`).FindString(text); m != "" {
				t.Errorf("%s %s has %q", lang, p.Kind, m)
			}
		}
	}
}

func TestPageSaysWhatItShould(t *testing.T) {
	p := Page{Kind: Preferences, Sender: "acme", Reader: "a•••@b.example"}
	doc, _ := Lookup("en").Page(p)
	if strings.Contains(string(doc), "stop-list") {
		t.Error("without a list, its choice is offered")
	}
	for choice, want := range map[Choice]string{Pause: `value="resume"`, Less: `value="resume"`, Unseen: `value="seen"`, StopAll: "", StopList: "", Resume: ""} {
		doc, _ := Lookup("en").Page(Page{Kind: Done, Choice: choice})
		if got := strings.Contains(string(doc), "<button"); got != (want != "") || !strings.Contains(string(doc), want) {
			t.Errorf("after %s: a button is there: %v, want %s", choice, got, want)
		}
	}
	for _, ask := range []bool{false, true} {
		doc, _ := Lookup("en").Page(Page{Kind: Done, Choice: StopAll, Ask: ask})
		for _, want := range []string{`name="choice" value="why"`, `name="left" value="stop-all"`, `value="often"`, `value="irrelevant"`, `value="done"`, "Only if you like"} {
			if strings.Contains(string(doc), want) != ask {
				t.Errorf("asked why: %v, and %s is the other way round", ask, want)
			}
		}
	}
	for answer, want := range map[Answer]bool{TooOften: true, Irrelevant: false, NoInterest: false} {
		doc, _ := Lookup("en").Page(Page{Kind: Thanks, Answer: answer, Preferences: "../p/x"})
		if text := string(doc); strings.Contains(text, "one mail a week") != want || !strings.Contains(text, "You stay unsubscribed") || strings.Contains(text, "<button") {
			t.Errorf("after %s: less mail is offered: %v, or something else is missing:\n%s", answer, !want, text)
		}
	}
	doc, _ = Lookup("de").Page(Page{Kind: Done, Choice: Pause, Until: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)})
	if !strings.Contains(string(doc), "2.12.2026") {
		t.Errorf("the date is missing:\n%s", doc)
	}
}

// What comes from outside cannot become markup, nor move what stands around it.
func TestPageEscapes(t *testing.T) {
	evil := `<img src=x onerror=alert(1)>"'&` + "\u202e\x1b\n\u2028" + strings.Repeat("x", 500)
	for _, p := range everyPage() {
		p.Sender, p.List, p.Reader, p.Preferences = evil, evil, evil, "javascript:alert(1)"
		doc, err := Lookup("en").Page(p)
		text := string(doc)
		if err != nil || strings.Contains(text, "<img") || strings.ContainsAny(text, "\u202e\x1b\u2028") || strings.Contains(text, `"javascript:`) || strings.Contains(text, strings.Repeat("x", 100)) {
			t.Errorf("%s: %v\n%s", p.Kind, err, text)
		}
	}
}

func TestStyleSource(t *testing.T) {
	doc, err := Lookup("en").Page(Page{Kind: NotFound})
	if err != nil {
		t.Fatal(err)
	}
	_, style, _ := strings.Cut(string(doc), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; StyleSource() != want {
		t.Errorf("%s, want %s", StyleSource(), want)
	}
}

// Text and the edges of buttons can be told from what they stand on: WCAG 2.2 asks
// for 4.5 to 1 (1.4.3) and 3 to 1 (1.4.11).
func TestContrast(t *testing.T) {
	blocks := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(pageStyle(), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d sets of colours, want light and dark", len(blocks))
	}
	for i, b := range blocks {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+):#([0-9a-f]+)`).FindAllStringSubmatch(b[1], -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for _, tt := range []struct {
			front, back string
			least       float64
		}{{"ink", "paper", 4.5}, {"quiet", "paper", 4.5}, {"link", "paper", 4.5}, {"on", "strong", 4.5}, {"edge", "paper", 3}, {"strong", "paper", 3}, {"link", "ground", 3}} {
			light, dark := max(colour[tt.front], colour[tt.back]), min(colour[tt.front], colour[tt.back])
			if ratio := (light + .05) / (dark + .05); ratio < tt.least || colour[tt.front] == 0 && colour[tt.back] == 0 {
				t.Errorf("set %d: %s on %s is %.1f to 1, want %v", i, tt.front, tt.back, ratio, tt.least)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= .04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func TestMask(t *testing.T) {
	for address, want := range map[string]string{"ann@example.com": "a•••@example.com", "ö@b.example": "ö•••@b.example", `"a@b"@c.example`: `"•••@c.example`, "": "", "@b": "", "none": ""} {
		if got := Mask(address); got != want {
			t.Errorf("%s is masked as %s, want %s", address, got, want)
		}
	}
}
