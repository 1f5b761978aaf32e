package bounce

import "strings"

// phrase is a wording and what it tells.
type phrase struct {
	text  string
	tells Reason
	level level
	whole bool // one word: longer ones that begin with it are others
}

// level is how much a phrase counts.
type level int

const (
	vague level = iota // other things are said with the same words
	clear
	firm   // it means this, whatever else is said
	beside // of what was found: the clear one next to "no such user"
	levels
)

// matcher finds phrases in a text in one pass. A phrase begins where a word begins.
type matcher [1 << 12][]phrase

// slot is where phrases with the same first four bytes are.
func slot(s string) int {
	head := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return int(head * 2654435761 >> 20)
}

// add takes in a phrase, in lower case and of four bytes or more.
// An underscore at the end stands for a space, a star for the rest of a word.
func (m *matcher) add(tells Reason, l level, text string) {
	if stem, ok := strings.CutSuffix(text, "_"); ok {
		text = stem + " "
	}
	stem, open := strings.CutSuffix(text, "*")
	whole := !open && !strings.Contains(stem, " ") && isWordByte(stem[len(stem)-1])
	i := slot(stem)
	m[i] = append(m[i], phrase{stem, tells, l, whole})
}

// scan calls hit with each phrase of a folded text, until it returns false.
func (m *matcher) scan(text string, hit func(p *phrase) bool) {
	for i := 0; i+4 <= len(text); i++ {
		if i > 0 && isWordByte(text[i-1]) && isWordByte(text[i]) {
			continue
		}
		bucket := m[slot(text[i:])]
		for j := range bucket {
			p := &bucket[j]
			if !strings.HasPrefix(text[i:], p.text) {
				continue
			}
			if end := i + len(p.text); p.whole && end < len(text) && isWordByte(text[end]) {
				continue
			}
			if !hit(p) {
				return
			}
		}
	}
}

// has reports whether any phrase is in a folded text.
func (m *matcher) has(text string) (found bool) {
	m.scan(text, func(*phrase) bool { found = true; return false })
	return found
}

// isWordByte holds for ASCII only: scripts without spaces begin words anywhere.
func isWordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// maxFolded bounds the text in which phrases are looked for.
const maxFolded = 16 << 10

// fold prepares a text for matching: lower case, one space for any run of them, %
// for an address, ' for a typographic quote, and without the reply codes that
// repeat in each line of a long reply (RFC 5321 §4.2.1).
func fold(s string) string {
	var b strings.Builder
	b.Grow(min(len(s), maxFolded) + 64)
	s = s[:min(len(s), maxFolded)]
	for line := range strings.Lines(strings.ToLower(s)) {
		foldLine(&b, line)
	}
	return b.String()
}

func foldLine(b *strings.Builder, line string) {
	at := 0
	for _, a := range addresses(line) {
		from, to := max(a.from, at), a.to // a quote may have closed the one before
		if to <= from {
			continue
		}
		if from > at && to < len(line) && closes(line[from-1], line[to]) {
			from, to = from-1, to+1
		}
		foldWords(b, line[at:from])
		b.WriteByte('%')
		at = to
	}
	foldWords(b, line[at:])
	foldWords(b, " ")
}

func closes(open, end byte) bool {
	return open == '<' && end == '>' || open == '\'' && end == '\'' || open == '"' && end == '"' || open == '(' && end == ')'
}

var quotes = strings.NewReplacer("’", "'", "‘", "'", "`", "'", "\u00a0", " ", "<br>", " ", "<br/>", " ", "<br />", " ")

// foldWords writes text with single spaces and without codes.
func foldWords(b *strings.Builder, s string) {
	s = quotes.Replace(s)
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] > ' ' {
			i++
		}
		if word := s[:i]; word != "" && !isCode(word) {
			b.WriteString(word)
		}
		if i < len(s) {
			if n := b.Len(); n > 0 && b.String()[n-1] != ' ' {
				b.WriteByte(' ')
			}
			i++
		}
		s = s[i:]
	}
}

// isCode holds for 550, 550-5.1.1, 5.1.1, (#5.1.1) and the like.
func isCode(word string) bool {
	word = strings.Trim(word, "()[]#:;,-")
	if len(word) < 3 || len(word) > 14 || (word[0] != '2' && word[0] != '4' && word[0] != '5') {
		return false
	}
	if len(word) == 3 {
		return isDigits(word)
	}
	if len(word) > 4 && word[3] == '-' && isDigits(word[:3]) {
		word = strings.TrimPrefix(word[4:], "#")
	}
	status, rest := cutStatus(word)
	return status != "" && rest == ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
