package bounce

import (
	"strings"
)

// strength is how clearly a line names the recipient that it is about.
type strength int

const (
	mentions strength = iota // somewhere in a sentence
	labelled                 // after a label, as "Recipient:", or in a transcript
	heads                    // the line begins with the address
)

// named is a recipient found in words, on one line of them.
type named struct {
	address  string
	line     int
	strength strength
}

// readText finds the recipients in words that a mail system wrote for people. Those
// that stand at the beginning of a line win over labelled ones, and these over
// mere mentions. aside are addresses that are somebody else's.
func readText(text string, aside []string) []told {
	lines := strings.Split(text, "\n")
	var all []named
	best := mentions
	for i, line := range lines {
		for _, n := range nameLine(line) {
			if n.line = i; isAside(n.address, aside) {
				continue
			}
			all = append(all, n)
			best = max(best, n.strength)
		}
		if len(all) >= 4*maxReports {
			break
		}
	}
	return gather(lines, all, best)
}

// gather makes one told for each recipient of the best strength, with the lines
// that belong to it.
func gather(lines []string, all []named, best strength) (out []told) {
	at := map[string]int{}
	blocks := make([]strings.Builder, 0, 4)
	previous := 0
	for i, n := range all {
		if n.strength != best {
			continue
		}
		key := strings.ToLower(n.address)
		k, known := at[key]
		if !known {
			if len(out) >= maxReports {
				break
			}
			k = len(out)
			at[key] = k
			out = append(out, told{recipient: n.address})
			blocks = append(blocks, strings.Builder{})
		}
		from, to := n.line, len(lines)
		if best != heads {
			from, to = previous, n.line+1
		} else if next := nextOf(all[i+1:], best); next >= 0 {
			to = max(next, n.line+1)
		}
		previous = to
		for _, line := range lines[from:to] {
			if blocks[k].Len() < maxFolded {
				blocks[k].WriteString(line)
				blocks[k].WriteByte('\n')
			}
		}
	}
	for k := range out {
		out[k].around = blocks[k].String()
	}
	if len(out) == 1 && best != heads {
		out[0].around = strings.Join(lines, "\n")
	}
	return out
}

// nextOf is the line of the next recipient of a strength, or -1.
func nextOf(all []named, s strength) int {
	for _, n := range all {
		if n.strength == s {
			return n.line
		}
	}
	return -1
}

// bullets may stand before an address at the beginning of a line.
const bullets = " \t>*-•·|<\"'([\u3000"

// endings may follow an address that heads a line.
const endings = ">\"')]:;,. \t-"

// nameLine finds the addresses of one line and how each is named.
func nameLine(line string) (out []named) {
	if len(line) > 2000 || !strings.Contains(line, "@") {
		return nil
	}
	for _, a := range addresses(line) {
		before, after := line[:a.from], line[a.to:]
		n := named{address: line[a.from:a.to]}
		if isMessageID(before) || isSender(before) {
			continue
		}
		switch {
		case strings.Trim(before, bullets) == "" && (after == "" || strings.IndexByte(endings, after[0]) >= 0):
			n.strength = heads
		case isLabel(before):
			n.strength = labelled
		}
		out = append(out, n)
		if n.strength == heads {
			break // what follows is about it
		}
	}
	return out
}

// isLabel holds for "Recipient:", "RCPT TO:<", "550 <", "could not be delivered to:".
func isLabel(before string) bool {
	word := strings.ToLower(strings.TrimRight(before, " \t<\"'(["))
	if strings.HasSuffix(word, ":") || strings.HasSuffix(word, "=") || strings.HasSuffix(word, "：") {
		return true
	}
	word = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(word), "<<<"))
	return len(word) >= 3 && len(word) <= 12 && isDigits(word[:3]) && isCode(strings.Fields(word)[0])
}

// isSender holds where the words before an address name the other side.
func isSender(before string) bool {
	word := strings.ToLower(strings.TrimRight(before, " \t<\"'(["))
	for _, s := range []string{"mail from:", "from:", "sender:", "from", "contact", "reply-to:", "return-path:", "mailto:", "support:",
		"sender", "envelope-from", "id:", "message-id", "postmaster:", "email:", "sent by", "original sender:", "e-mail to", "write to"} {
		if strings.HasSuffix(word, s) {
			return true
		}
	}
	return false
}

func isMessageID(before string) bool {
	word := strings.ToLower(before)
	return strings.Contains(word, "message-id") || strings.Contains(word, "message id") || strings.Contains(word, "references:") || strings.Contains(word, "in-reply-to")
}

// isAside holds for an address that is not a recipient.
func isAside(address string, aside []string) bool {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	if domain == "ims-ms-daemon" { // a channel of Oracle's server
		return true
	}
	switch local {
	case "postmaster", "mailer-daemon", "abuse", "mailer_daemon", "post_master":
		return true
	}
	for _, a := range aside {
		if sameMailbox(a, address) {
			return true
		}
	}
	return false
}

// returnMarks are words on the line before a returned mail.
var returnMarks = []string{"original message", "returned message", "copy of the message", "copy of your message", "copy of the mail", "unsent message",
	"message text follows", "header of the original", "headers of the original", "message header", "message follows", "original mail",
	"returned mail", "undelivered message", "original e-mail", "original email", "message headers", "start of message", "rejected message",
	"ursprüngliche nachricht", "originalnachricht", "message d'origine", "message original", "mensaje original", "mensagem original",
	"messaggio originale", "исходное сообщение", "текст письма", "元のメッセージ", "オリジナルメッセージ", "原始邮件", "原邮件"}

// cutReturned parts the words of a report from the mail that it returns, which
// begins with its header.
func cutReturned(text string) (words, returned string) {
	marked, offset, empty, mark := false, 0, true, 0
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			empty = true
		case (marked || empty) && beginsReturned(text[offset:], marked):
			if !marked {
				mark = offset
			}
			return text[:mark], dedent(text[offset:])
		default:
			was := marked
			marked, empty = isMark(trimmed) || marked && isRule(trimmed), false
			if marked && !was {
				mark = offset
			}
		}
		offset += len(line)
	}
	return text, ""
}

// isRule holds for a line that only draws a rule.
func isRule(line string) bool { return strings.Trim(line, "-=_*|+ ") == "" }

func isMark(line string) bool {
	if len(line) > 200 {
		return false
	}
	low := strings.ToLower(line)
	for _, m := range returnMarks {
		if strings.Contains(low, m) {
			return true
		}
	}
	return strings.HasPrefix(low, "---") && strings.HasSuffix(low, "---")
}

// knownFields are what the header of a returned mail is made of; true for those
// that words for people do not hold.
var knownFields = map[string]bool{"received": true, "return-path": true, "message-id": true, "mime-version": true, "dkim-signature": true,
	"delivered-to": true, "arc-seal": true, "x-received": true, "authentication-results": true, "domainkey-signature": true,
	"from": false, "to": false, "subject": false, "date": false, "content-type": false, "reply-to": false, "sender": false, "cc": false,
	"x-mailer": true, "list-id": true, "x-originating-ip": true, "envelope-to": true, "x-spam-status": true}

// beginsReturned reports whether a header begins a text. Words hold "To:" and
// "Subject:" of a mail, too, so it takes more than that.
func beginsReturned(text string, marked bool) bool {
	text = text[:min(len(text), 8<<10)]
	first, _, _ := strings.Cut(text, "\n")
	if !marked && (first[0] == ' ' || first[0] == '\t') {
		return false
	}
	first = strings.TrimLeft(first, " \t>")
	name := strings.ToLower(fieldName(first))
	certain, known := knownFields[name]
	if !known && !strings.HasPrefix(name, "x-") && !(marked && strings.HasPrefix(first, "From ")) {
		return false
	}
	if marked || certain && name != "message-id" {
		return true
	}
	fields, sure := 0, 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			break
		}
		if certain, ok := knownFields[strings.ToLower(fieldName(line))]; ok {
			fields++
			if certain {
				sure++
			}
		}
	}
	return fields >= 4 && sure >= 1
}

// dedent takes the indent of the first line off all lines.
func dedent(text string) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t>"))]
	if indent == "" {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(line, indent))
	}
	return b.String()
}

// fromHypertext takes the tags off HTML; good enough for the words in it.
func fromHypertext(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		tag := strings.ToLower(s[1:min(end, 12)])
		switch {
		case strings.Contains(s[1:end], "@") && !strings.Contains(s[1:end], "="):
			b.WriteString(s[:end+1]) // an address in brackets
		case strings.HasPrefix(tag, "style"), strings.HasPrefix(tag, "script"):
			if skip := strings.Index(s, "</"); skip > end {
				end = skip - 1
			}
		case strings.HasPrefix(tag, "br"), strings.HasPrefix(tag, "p"), strings.HasPrefix(tag, "/p"), strings.HasPrefix(tag, "div"),
			strings.HasPrefix(tag, "/div"), strings.HasPrefix(tag, "tr"), strings.HasPrefix(tag, "li"), strings.HasPrefix(tag, "/h"), strings.HasPrefix(tag, "td"):
			b.WriteByte('\n')
		}
		s = s[end+1:]
	}
	return entities.Replace(b.String())
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&nbsp;", " ", "&quot;", `"`, "&#39;", "'", "&#64;", "@")
