package templates

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

//go:embed page/*
var pageFiles embed.FS

// Kind is one of the pages that a reader may see.
type Kind string

// The pages. Those from Expired on say one thing and ask nothing.
const (
	Confirm     Kind = "confirm"     // asks before an unsubscribe
	Preferences Kind = "preferences" // offers every choice
	Done        Kind = "done"        // says what holds now
	Thanks      Kind = "thanks"      // after an answer to why somebody left
	Expired     Kind = "expired"     // the link was ours, its time is over
	Gone        Kind = "gone"        // the link is ours, what it is about is forgotten
	NotFound    Kind = "not-found"
	Later       Kind = "later"   // we cannot at the moment
	Refused     Kind = "refused" // the request was no good
)

// Choice is what a reader wants, as the pages' forms send it in the field
// "choice".
type Choice string

// The choices.
const (
	StopList Choice = "stop-list" // no more mail of this list
	StopAll  Choice = "stop-all"  // no more bulk mail of this sender
	Pause    Choice = "pause"     // none for a while
	Less     Choice = "less"      // one a week
	Unseen   Choice = "unseen"    // do not observe what I read
	Seen     Choice = "seen"      // takes Unseen back
	Resume   Choice = "resume"    // takes Pause and Less back
	Tell     Choice = "why"       // says why, in the field "why"; changes nothing that holds
)

// Answer is why somebody left, as the form sends it in the field "why".
type Answer string

// The answers.
const (
	TooOften   Answer = "often"
	Irrelevant Answer = "irrelevant"
	NoInterest Answer = "done"
)

// undo is how a choice is taken back; a stop cannot be: whoever wants mail again
// has to say so to its sender.
var undo = map[Choice]Choice{Pause: Resume, Less: Resume, Unseen: Seen, Seen: Unseen}

// Page is one page for one reader. Text from outside needs no care: it is escaped
// when the page is made.
type Page struct {
	Kind        Kind
	Sender      string // whose mail it is about
	List        string // "": none, then nothing is said of lists
	Reader      string // the address, masked (Mask)
	Preferences string // address of the preference page, relative; "": no link to it
	Choice      Choice // of Done: what was chosen
	Until       time.Time
	Ask         bool   // of Done: whether to ask why, once the opt-out holds
	Answer      Answer // of Thanks: what was answered
	Holds       *Holds // of Preferences: what holds now; nil: it is not known
}

// Holds is what a reader chose before.
type Holds struct {
	List, All bool      // is stopped
	Until     time.Time // pauses until then; zero: does not
	PerWeek   int       // mails; 0: no limit
	Unseen    bool      // nothing is observed
	Partly    bool      // not all is
}

// Section is a part of the preference page.
type Section struct {
	ID      string
	Heading string // key of the message
	Choices []Choice
}

var parsedPages = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "page/*.html")) // the files are part of the program
})

var pageStyle = sync.OnceValue(func() string {
	css, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		panic(err)
	}
	return string(css)
})

// StyleSource is what a Content-Security-Policy allows as style-src, so that the
// pages' one style sheet is taken and no other.
func StyleSource() string {
	sum := sha256.Sum256([]byte(pageStyle()))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Page makes a page in the catalogue's language.
func (c *Catalogue) Page(p Page) ([]byte, error) {
	v := &view{Page: p, c: c}
	name := string(p.Kind) + ".html"
	if v.notice() {
		name = "notice.html"
	}
	var body, all bytes.Buffer
	if err := parsedPages().ExecuteTemplate(&body, name, v); err != nil {
		return nil, err
	}
	err := parsedPages().ExecuteTemplate(&all, "layout.html", map[string]any{
		"Language": c.Language, "Title": v.T("page." + string(p.Kind) + ".title"),
		"Style": template.HTML("<style>" + pageStyle() + "</style>"), // ours, to the byte: its hash is in the policy
		"Body":  template.HTML(body.String()),                        // made by a template, hence escaped
	})
	return all.Bytes(), err
}

// view is what the files in page/ ask for.
type view struct {
	Page
	c *Catalogue
}

func (v *view) notice() bool {
	switch v.Kind {
	case Confirm, Preferences, Done, Thanks:
		return false
	}
	return true
}

// T is a message with the page's values in their places.
func (v *view) T(key string) string {
	values := map[string]string{"sender": apart(v.Sender), "list": apart(v.List), "reader": apart(v.Reader)}
	until := v.Until
	if h := v.Holds; h != nil {
		until, values["count"] = h.Until, strconv.Itoa(h.PerWeek)
	}
	if !until.IsZero() {
		values["until"] = until.Format(v.c.Text("page.date", nil))
	}
	return v.c.Text(key, values)
}

// Text is the one thing that a notice says.
func (v *view) Text() string { return "page." + string(v.Kind) + ".text" }

// Now is what holds after a choice, and After what to know about it.
func (v *view) Now() string { return "page.done." + string(v.Choice) }

// After is what a reader should know about the choice.
func (v *view) After() string {
	if v.Choice == StopList || v.Choice == StopAll {
		return "page.done.stopped"
	}
	return "page.done.changed"
}

// Undo is the choice that takes this one back, "" where none does.
func (v *view) Undo() Choice { return undo[v.Choice] }

// Answers are those offered, in the order in which people give them most.
func (v *view) Answers() []Answer { return []Answer{TooOften, Irrelevant, NoInterest} }

// AnswerText is what stands on an answer's button.
func (v *view) AnswerText(a Answer) string { return v.T("page.done.why." + string(a)) }

// Less reports whether less mail might have kept the reader.
func (v *view) Less() bool { return v.Answer == TooOften }

// Held are the keys of what is said of now, one at least.
func (v *view) Held() (keys []string) {
	h := v.Holds
	add := func(holds bool, key string) {
		if holds {
			keys = append(keys, key)
		}
	}
	add(h.All, "page.done.stop-all")
	add(h.List && !h.All, "page.done.stop-list")
	add(!h.Until.IsZero() && !h.All, "page.done.pause")
	add(h.PerWeek == 1 && !h.All, "page.done.less")
	add(h.PerWeek > 1 && !h.All, "page.preferences.now.few")
	add(h.Unseen, "page.preferences.now.unseen")
	add(h.Partly, "page.preferences.now.partly")
	add(len(keys) == 0, "page.preferences.now.usual")
	return keys
}

// Note says what a choice does.
func (v *view) Note(c Choice) string { return v.T("page.preferences." + string(c) + ".note") }

// Button is what stands on a choice's button.
func (v *view) Button(c Choice) string { return v.T("page.preferences." + string(c) + ".button") }

// Sections are the parts of the preference page: what most people want stands
// first, and leaving is as near as staying.
func (v *view) Sections() []Section {
	stop := []Choice{StopList, StopAll}
	if v.List == "" {
		stop = []Choice{StopAll}
	}
	return []Section{
		{"stop", "page.preferences.stop.heading", stop},
		{"less", "page.preferences.less.heading", []Choice{Less, Pause}},
		{"privacy", "page.preferences.privacy.heading", []Choice{Unseen}},
		{"back", "page.preferences.back.heading", []Choice{Resume}},
	}
}

// maxName is how much of a name from outside is shown, in characters.
const maxName = 80

// apart makes a name from outside part of a sentence: without characters that move
// or turn what stands around it, not too long, and isolated from the direction of
// the sentence (U+2068, U+2069; Unicode Standard Annex 9 §2.7).
func apart(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if s == "" {
		return ""
	}
	if runes := []rune(s); len(runes) > maxName {
		s = string(runes[:maxName]) + "…"
	}
	return "\u2068" + s + "\u2069"
}

// Mask is an address as its owner knows it again and others, to whom a mail was
// forwarded, do not learn it.
func Mask(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	first := []rune(address[:at])[0]
	return string(first) + "•••" + address[at:]
}
