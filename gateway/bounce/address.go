package bounce

import "strings"

// found is an address in a text: text[from:to], without brackets around it.
type found struct{ from, to int }

// addresses finds what looks like addresses in one line: at most 20.
func addresses(line string) (out []found) {
	for at := 0; len(out) < 20; {
		i := strings.IndexByte(line[at:], '@')
		if i < 0 {
			return out
		}
		i += at
		from, to := localStart(line, i, at), domainEnd(line, i+1)
		if from < i && to > i+1 {
			out = append(out, found{from, to})
		}
		at = max(to, i+1)
	}
	return out
}

// localStart is where the local part that ends at line[at] begins.
func localStart(line string, at, floor int) int {
	if at > floor && line[at-1] == '"' {
		if i := strings.LastIndexByte(line[max(floor, at-66):at-1], '"'); i >= 0 {
			return max(floor, at-66) + i
		}
	}
	i := at
	for i > floor && at-i < 128 && isAtext(line[i-1]) {
		i--
	}
	for i < at && (line[i] == '.' || line[i] == '\'' || line[i] == '*' || line[i] == '`') {
		i++
	}
	if i+7 < at && strings.EqualFold(line[i:i+7], "rfc822;") {
		i += 7
	}
	return i
}

func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func domainEnd(line string, at int) int {
	i := at
	for i < len(line) && i-at < 255 && isDomainByte(line[i]) {
		i++
	}
	for i > at && (line[i-1] == '.' || line[i-1] == '-') {
		i--
	}
	return i
}

func isDomainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || c == '.' || c == '-' || c == '_'
}

// mailbox returns the first address in a value, or "". The address in brackets
// comes before one in a name.
func mailbox(value string) string {
	value = value[:min(len(value), 2048)]
	if open := strings.LastIndexByte(value, '<'); open >= 0 {
		for _, a := range addresses(value[open:]) {
			return value[open+a.from : open+a.to]
		}
	}
	for _, a := range addresses(value) {
		return value[a.from:a.to]
	}
	return ""
}

// typed reads "rfc822; user@host" (RFC 3464 §2.1.2, RFC 6533 §3), where a local
// name without a host may stand as well.
func typed(value string) string {
	if a := mailbox(value); a != "" {
		return a
	}
	if _, after, ok := strings.Cut(value, ";"); ok {
		value = after
	}
	value = strings.Trim(strings.TrimSpace(value), "<>")
	if strings.ContainsAny(value, " \t") {
		return ""
	}
	return value[:min(len(value), 320)]
}

func sameMailbox(a, b string) bool { return a != "" && strings.EqualFold(a, b) }
