package bounce

import "strings"

// cutStatus takes an enhanced status (RFC 3463 §2) off the beginning of a text.
func cutStatus(s string) (status, rest string) {
	if len(s) < 5 || s[1] != '.' || (s[0] != '2' && s[0] != '4' && s[0] != '5') {
		return "", s
	}
	subject := digits(s[2:])
	at := 2 + subject
	if subject == 0 || subject > 3 || at >= len(s) || s[at] != '.' {
		return "", s
	}
	detail := digits(s[at+1:])
	if detail == 0 || detail > 3 {
		return "", s
	}
	at += 1 + detail
	return s[:at], s[at:]
}

// digits counts the digits that begin a text.
func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// codes finds the reply code and the status in what a server said. A status that
// says more wins over one that ends in .0; ones of our own would be "5.0.9xx", and
// are not believed.
func codes(text string) (reply, status string) {
	text = text[:min(len(text), 4<<10)]
	for i := 0; i+3 <= len(text); i++ {
		if c := text[i]; c != '2' && c != '4' && c != '5' || i > 0 && !beginsCode(text, i) {
			continue
		}
		if s, rest := cutStatus(text[i:]); s != "" {
			if rest == "" || rest[0] != '.' && (rest[0] < '0' || rest[0] > '9') {
				if status == "" || vagueStatus(status) && !vagueStatus(s) && s[0] == status[0] {
					status = s
				}
				i += len(s) - 1
			}
			continue
		}
		if code := replyCode(text[i:]); code != "" && reply == "" {
			reply = code
		}
	}
	return reply, status
}

// beginsCode reports whether a number may stand at text[i].
func beginsCode(text string, i int) bool {
	switch text[i-1] {
	case ' ', '\t', '\n', '(', '#', '<', '"', '\'', ':', ';', '=', ',', '>', '[', '/':
		return true
	case '-': // 550-5.1.1
		return i >= 4 && isDigits(text[i-4:i-1])
	}
	return false
}

// replyCode takes a reply code (RFC 5321 §4.2) off the beginning of a text. Only
// those that are in use: the words of people hold numbers, too.
func replyCode(s string) string {
	code := s[:3]
	if !isDigits(code) || len(s) > 3 && strings.IndexByte(" -:;,.\n\t)'\"", s[3]) < 0 {
		return ""
	}
	if len(s) > 4 && s[3] == '.' && s[4] >= '0' && s[4] <= '9' {
		return "" // of an IP address
	}
	switch {
	case code[0] == '2':
		if code == "250" {
			return code
		}
	case code == "421", code == "432", code[:2] == "45", code == "471", code == "472", code == "441", code == "442":
		return code
	case code[:2] == "50", code == "511", code[:2] == "52", code[:2] == "53", code[:2] == "55", code == "571", code == "541":
		return code
	}
	return ""
}

// vagueStatus holds for a status that only says that something went wrong.
func vagueStatus(s string) bool {
	return s == "" || strings.HasSuffix(s, ".0") || strings.HasSuffix(s, ".0.9")
}

// cleanStatus reads the value of a Status field, as "5.1.1 (no such user)".
func cleanStatus(s string) string {
	for i := range min(len(s), 40) {
		if status, _ := cutStatus(s[i:]); status != "" {
			return status
		}
	}
	return ""
}

// stage is the command that a server answered.
type stage string

const (
	stageConnect stage = "connect"
	stageHello   stage = "helo"
	stageMail    stage = "mail"
	stageRcpt    stage = "rcpt"
	stageData    stage = "data"
)

// stageMarks are how mail systems say which command was answered; the first that
// is found counts.
var stageMarks = []struct {
	mark  string
	stage stage
}{
	{"in reply to end of data", stageData}, {"in reply to data", stageData}, {"in reply to message content", stageData},
	{"in reply to rcpt", stageRcpt}, {"in reply to mail from", stageMail},
	{"in reply to ehlo", stageHello}, {"in reply to helo", stageHello},
	{"after end of data", stageData}, {"after data", stageData}, {"after sending end of data", stageData},
	{"after pipelined end of data", stageData}, {"after rcpt", stageRcpt}, {"after pipelined rcpt", stageRcpt},
	{"after mail from", stageMail}, {"after pipelined mail", stageMail},
	{"after initial connection", stageConnect}, {"refused to talk to me", stageConnect}, {"after helo", stageHello}, {"after ehlo", stageHello},
	{"response to end of data", stageData}, {"response to rcpt", stageRcpt}, {"response to mail", stageMail},
	{"does not like recipient", stageRcpt}, {"failed after i sent the message", stageData}, {"failed on data command", stageData},
	{"but sender was rejected", stageMail}, {"but greeting failed", stageConnect}, {"but my name was rejected", stageHello}, // qmail
	{"[rcpt_to]", stageRcpt}, {"[mail_from]", stageMail}, {"[body]", stageData}, {"[data]", stageData}, {"[connect]", stageConnect}, // Yahoo
	{"(state 13)", stageMail}, {"(state 14)", stageRcpt}, {"(state 17)", stageData}, {"(state 18)", stageData}, // Gmail
	{"remote smtp server has rejected address", stageRcpt}, {"remote smtp server has rejected transaction", stageMail}, // Oracle
	{"did not like our rcpt", stageRcpt}, {"did not like our mail", stageMail}, {"did not like our data", stageData}, // DragonFly
	{"did not like our hello", stageHello}, {"did not like our ehlo", stageHello}, {"failed after final ", stageData}, {"final . for", stageData},
	{"for rcpt command", stageRcpt}, {"for text command", stageData}, {"for data command", stageData}, {"for mail from command", stageMail}, // 1&1
	{"after transfer of mail text", stageData}, {"in smtp greeting", stageConnect},
	{"recipient address was rejected", stageRcpt}, {"rejected the recipient", stageRcpt},
	{"following rcpt command", stageRcpt}, {"following data command", stageData}, {"following mail", stageMail}, {"rejected recipient", stageRcpt}, // SurgeMail
	{"sent <<< rcpt", stageRcpt}, {"sent >>> rcpt", stageRcpt}, {"sent <<< mail", stageMail}, {"sent <<< data", stageData}, // InterScan
	{"smtp:rcpt", stageRcpt}, {"smtp:data", stageData}, {"smtp:mail", stageMail},
	{"rcpt to failed", stageRcpt}, {"rcpt command failed", stageRcpt}, {"error in processing rcpt", stageRcpt},
	{"sent: rcpt", stageRcpt}, {"sent: mail", stageMail}, {"sent: data", stageData}, // hMailServer
}

// stageOf finds the command in what a mail system wrote.
func stageOf(texts ...string) stage {
	for _, text := range texts {
		text = strings.ToLower(text[:min(len(text), 8<<10)])
		for _, m := range stageMarks {
			if strings.Contains(text, m.mark) {
				return m.stage
			}
		}
		if s := transcriptStage(text); s != "" {
			return s
		}
	}
	return ""
}

// arrows are those of MDaemon, which stand behind a time, as Sendmail's.
var arrows = strings.NewReplacer("--> ", "\n>>> ", "<-- ", "\n<<< ", "sent >>> ", "\n>>> ", "received <<< ", "\n<<< ", "\nsent: ", "\n>>> ", "\nreceived: ", "\n<<< ")

// transcriptStage reads a transcript: ">>> RCPT To:<…>", "<<< 550 …".
func transcriptStage(text string) (last stage) {
	greeting := strings.Contains(text, "while talking to")
	for line := range strings.Lines(arrows.Replace(text)) {
		line = strings.TrimLeft(line, " \t")
		if said, ok := strings.CutPrefix(line, ">>> "); ok {
			greeting = false
			switch word, _, _ := strings.Cut(strings.TrimSpace(said), " "); word {
			case "data", ".":
				last = stageData
			case "rcpt":
				last = stageRcpt
			case "mail":
				last = stageMail
			case "ehlo", "helo", "lhlo":
				last = stageHello
			}
		}
		if answer, ok := strings.CutPrefix(line, "<<< "); ok && answer != "" && (answer[0] == '4' || answer[0] == '5') {
			if greeting {
				return stageConnect // no command is shown before it
			}
			if last != "" {
				return last
			}
		}
	}
	return ""
}
