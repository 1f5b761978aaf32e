package bounce

import (
	"strings"
	"sync"
)

// signs tell a mail of a mail system from one that people wrote, where no structure
// tells. Each alone is found in ordinary mail as well.
type signs struct{ senders, subjects, words matcher }

var bounceSigns = sync.OnceValue(func() *signs {
	s := &signs{}
	into := map[string]*matcher{"senders": &s.senders, "subjects": &s.subjects, "words": &s.words}
	for p := range readPhrases("signs.txt") {
		into[p.section].add("", clear, p.text)
	}
	return s
})

// enoughSigns make a bounce; at least one of them is that a machine wrote it.
const enoughSigns = 4

// isBounce reports whether a mail without the structure of a report is one.
func isBounce(h header, words string, returned bool) bool {
	s := bounceSigns()
	n := s.ofMachine(h)
	if n == 0 || isList(h) {
		return false
	}
	if s.subjects.has(fold(h.text("subject"))) {
		n += 2
	}
	if s.words.has(fold(words)) {
		n += 2
	}
	if returned {
		n++
	}
	return n >= enoughSigns
}

// isList reports whether a mail went to a list of people, who may well write about
// mail that came back. The list's own address stands in its envelope, as a machine's.
func isList(h header) bool {
	for _, name := range []string{"list-post", "list-id", "x-beenthere", "x-mailman-version", "x-mailing-list"} {
		if h.get(name) != "" && h.get("x-failed-recipients") == "" {
			return true
		}
	}
	return false
}

// isForward reports whether a person passes a mail on, perhaps with a delivery status
// quoted in it.
func isForward(h header) bool {
	subject := strings.ToLower(h.text("subject"))
	return strings.HasPrefix(subject, "fwd:") || strings.HasPrefix(subject, "fw:")
}

// ofMachine counts the signs that no person wrote a mail.
func (s *signs) ofMachine(h header) (n int) {
	from := strings.ToLower(h.text("from"))
	if s.senders.has(from) || s.senders.has(strings.ToLower(h.get("sender"))) || strings.Trim(from, " <>\"") == "" {
		n += 2
	}
	if h.get("x-failed-recipients") != "" {
		n += enoughSigns
	}
	if strings.TrimSpace(h.get("return-path")) == "<>" || s.senders.has(strings.ToLower(h.get("return-path"))) {
		n++
	}
	if auto := strings.ToLower(h.get("auto-submitted")); strings.HasPrefix(auto, "auto-") {
		n++
	}
	return n
}
