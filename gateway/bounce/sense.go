package bounce

import (
	"strings"
	"sync"
)

// sense is a reason told by words that stand together in one sentence, in whatever
// order and with whatever between them: one of each group.
type sense struct {
	tells  Reason
	groups [][]string
}

// The bounds of the text that is searched for senses.
const (
	maxSense     = 2 << 10
	maxSentences = 50
)

// senses are those of the table, the more telling first. A line is a sense: groups
// with an ampersand between them, and alternatives with a bar. An alternative is the
// beginning of a word, or some words.
var senses = sync.OnceValue(func() (all []sense) {
	for p := range readPhrases("senses.txt") {
		s := sense{tells: Reason(p.section)}
		for group := range strings.SplitSeq(p.text, " & ") {
			s.groups = append(s.groups, strings.Split(group, "|"))
		}
		all = append(all, s)
	}
	return all
})

// senseOf returns the reason of the first sense that a sentence of a text makes; ""
// if none does. It serves where no phrase is known: wordings are endless, words are
// not.
func senseOf(text string) Reason {
	var sentences []string
	for line := range strings.Lines(text[:min(len(text), maxSense)]) {
		sentences = append(sentences, strings.Split(fold(line), ". ")...)
	}
	sentences = sentences[:min(len(sentences), maxSentences)]
	for _, s := range senses() {
		for _, sentence := range sentences {
			if s.in(sentence) {
				return s.tells
			}
		}
	}
	return ""
}

// in reports whether each group of the sense has a word in a folded sentence.
func (s *sense) in(sentence string) bool {
	for _, group := range s.groups {
		if !anyWord(sentence, group) {
			return false
		}
	}
	return true
}

func anyWord(sentence string, words []string) bool {
	for _, w := range words {
		for at := 0; ; at++ {
			i := strings.Index(sentence[at:], w)
			if i < 0 {
				break
			}
			if at += i; at == 0 || !isWordByte(sentence[at-1]) || !isWordByte(w[0]) {
				return true
			}
		}
	}
	return false
}
