package intake

import (
	"bytes"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"tidepost/gateway"
)

// MailExtensions are the parameters of MAIL that go-smtp's MailOptions lacks, or
// has at RCPT, where no RFC puts them.
type MailExtensions struct {
	HoldUntil   time.Time             // HOLDFOR and HOLDUNTIL (RFC 4865); zero: none
	By          smtp.DeliverByOptions // BY (RFC 2852); Mode "": none
	ByTime      time.Time             // the instant By.Time stands for
	Priority    int8                  // MT-PRIORITY (RFC 6710)
	Prioritised bool                  // MT-PRIORITY was written
}

// params holds the parameters of the command at hand; they are overwritten by the
// next one.
type params struct {
	mail smtp.MailOptions
	ext  MailExtensions
	rcpt smtp.RcptOptions
}

// mailLimits is what parameters are held against.
type mailLimits struct {
	maxBytes int64
	maxHold  time.Duration
	now      time.Time
	null     bool
	inbound  bool // what concerns the planning of mail is unknown
}

func badParam(text string) *gateway.Reply {
	return &gateway.Reply{Code: 501, Status: "5.5.4", Text: text}
}

var (
	badSyntax    = badParam("a parameter is malformed")
	badDuplicate = badParam("a parameter is written twice")
	badUnknown   = &gateway.Reply{Code: 555, Status: "5.5.4", Text: "a parameter is not supported"}
	badSize      = &gateway.Reply{Code: 552, Status: "5.3.4", Text: errContentSize.Message}
)

// parseMail reads the parameters of MAIL.
func (ps *params) parseMail(rest []byte, lim mailLimits) *gateway.Reply {
	ps.mail, ps.ext = smtp.MailOptions{}, MailExtensions{}
	if len(rest) == 0 {
		return nil
	}
	holds := 0
	bad := each(rest, func(p param) *gateway.Reply {
		if p.key == "HOLDFOR" || p.key == "HOLDUNTIL" {
			holds++
		}
		return ps.setMail(p, lim)
	})
	switch {
	case bad != nil:
		return bad
	case holds > 1: // RFC 4865 §4: exactly one
		return badParam("HOLDFOR and HOLDUNTIL exclude each other")
	case holds > 0 && lim.null:
		return badParam("a notification (null sender) is not held")
	case holds > 0 && ps.ext.By.Mode != "" && ps.ext.HoldUntil.After(ps.ext.ByTime):
		return badParam("the hold ends after the deadline that BY sets")
	}
	return nil
}

func (ps *params) setMail(p param, lim mailLimits) *gateway.Reply {
	if p.hasValue == (p.key == "SMTPUTF8") {
		return badSyntax
	}
	if lim.inbound && (p.key == "BY" || p.key == "MT-PRIORITY") {
		return badUnknown
	}
	switch p.key {
	case "SIZE":
		return ps.setSize(p.value, lim.maxBytes)
	case "BODY":
		return ps.setBody(p.value)
	case "SMTPUTF8":
		ps.mail.UTF8 = true
	case "RET":
		return ps.setReturn(p.value)
	case "ENVID":
		return ps.setEnvID(p.value)
	case "AUTH": // RFC 4954 §5: who wrote the mail, in the client's opinion
		if _, ok := decodeXtext(p.value); !ok {
			return badSyntax
		}
	case "HOLDFOR", "HOLDUNTIL":
		return ps.setHold(p, lim)
	case "BY":
		return ps.setBy(p.value, lim.now)
	case "MT-PRIORITY":
		return ps.setPriority(p.value)
	default:
		return badUnknown
	}
	return nil
}

// setSize reads SIZE (RFC 1870 §4): up to 20 digits, so values over 64 bits are
// numbers too.
func (ps *params) setSize(v []byte, limit int64) *gateway.Reply {
	if len(v) > 20 || !allDigits(v) {
		return badParam("SIZE wants a number")
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if limit >= 0 && (err != nil || n > limit) {
		return badSize
	}
	ps.mail.Size = n
	return nil
}

func (ps *params) setBody(v []byte) *gateway.Reply {
	switch {
	case bytes.EqualFold(v, []byte("7BIT")):
		ps.mail.Body = smtp.Body7Bit
	case bytes.EqualFold(v, []byte("8BITMIME")):
		ps.mail.Body = smtp.Body8BitMIME
	default:
		return badParam("BODY is 7BIT or 8BITMIME")
	}
	return nil
}

func (ps *params) setReturn(v []byte) *gateway.Reply {
	switch {
	case bytes.EqualFold(v, []byte("FULL")):
		ps.mail.Return = smtp.DSNReturnFull
	case bytes.EqualFold(v, []byte("HDRS")):
		ps.mail.Return = smtp.DSNReturnHeaders
	default:
		return badParam("RET is FULL or HDRS")
	}
	return nil
}

// setEnvID reads ENVID (RFC 3461 §4.4): xtext of at most 100 printable characters.
func (ps *params) setEnvID(v []byte) *gateway.Reply {
	id, ok := decodeXtext(v)
	if !ok || len(v) > 100 || !printable(id) {
		return badParam("ENVID wants xtext of at most 100 characters")
	}
	ps.mail.EnvelopeID = id
	return nil
}

// setHold reads HOLDFOR (1 to 9 digits, seconds) and HOLDUNTIL (RFC 4865 §4).
func (ps *params) setHold(p param, lim mailLimits) *gateway.Reply {
	if lim.maxHold <= 0 {
		return badUnknown
	}
	until, err := time.Parse(time.RFC3339, string(bytes.ToUpper(p.value)))
	if p.key == "HOLDFOR" {
		if len(p.value) > 9 || !allDigits(p.value) {
			return badParam("HOLDFOR wants seconds")
		}
		var n int64
		n, err = strconv.ParseInt(string(p.value), 10, 64)
		until = lim.now.Add(time.Duration(n) * time.Second)
	}
	switch {
	case err != nil:
		return badParam("HOLDUNTIL wants a date and time of RFC 3339")
	case until.After(lim.now.Add(lim.maxHold)):
		return badParam("the hold is longer than policy.max_hold, see EHLO")
	}
	ps.ext.HoldUntil = until
	return nil
}

// setBy reads BY=seconds;mode (RFC 2852 §4): up to 9 digits, perhaps a sign, then N
// or R, then perhaps T.
func (ps *params) setBy(v []byte, now time.Time) *gateway.Reply {
	const want = "BY wants seconds;N or seconds;R, perhaps with T"
	num, mode, ok := bytes.Cut(bytes.ToUpper(v), []byte{';'})
	digits := bytes.TrimPrefix(num, []byte{'-'})
	if !ok || len(digits) == 0 || len(digits) > 9 || !allDigits(digits) {
		return badParam(want)
	}
	n, _ := strconv.ParseInt(string(num), 10, 64)
	mode, trace := bytes.CutSuffix(mode, []byte{'T'})
	switch {
	case string(mode) != "N" && string(mode) != "R":
		return badParam(want)
	case string(mode) == "R" && n <= 0:
		return badParam("BY with R wants a time in the future")
	}
	ps.ext.By = smtp.DeliverByOptions{Time: time.Duration(n) * time.Second, Mode: smtp.DeliverByMode(mode), Trace: trace}
	ps.ext.ByTime = now.Add(ps.ext.By.Time)
	return nil
}

// setPriority reads MT-PRIORITY (RFC 6710 §5): one digit, perhaps with a minus.
func (ps *params) setPriority(v []byte) *gateway.Reply {
	digit := bytes.TrimPrefix(v, []byte{'-'})
	if len(digit) != 1 || !allDigits(digit) {
		return badParam("MT-PRIORITY is -9 to 9")
	}
	ps.ext.Priority = int8(digit[0] - '0')
	if len(v) > 1 {
		ps.ext.Priority = -ps.ext.Priority
	}
	ps.ext.Prioritised = true
	return nil
}

// parseRcpt reads the parameters of RCPT.
func (ps *params) parseRcpt(rest []byte) *gateway.Reply {
	ps.rcpt = smtp.RcptOptions{}
	if len(rest) == 0 {
		return nil
	}
	return each(rest, func(p param) *gateway.Reply {
		switch {
		case p.key != "NOTIFY" && p.key != "ORCPT":
			return badUnknown
		case !p.hasValue:
			return badSyntax
		case p.key == "NOTIFY":
			return ps.setNotify(p.value)
		}
		return ps.setOriginal(p.value)
	})
}

var notifyWords = []smtp.DSNNotify{smtp.DSNNotifyNever, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}

// setNotify reads NOTIFY (RFC 3461 §4.1): NEVER alone, or a list of the others.
func (ps *params) setNotify(v []byte) *gateway.Reply {
	const want = "NOTIFY is NEVER or a list of SUCCESS, FAILURE and DELAY"
	for more := true; more; {
		var word []byte
		word, v, more = bytes.Cut(v, []byte{','})
		n := notifyWord(word)
		if n == "" {
			return badParam(want)
		}
		for _, o := range ps.rcpt.Notify {
			if o == n || o == smtp.DSNNotifyNever || n == smtp.DSNNotifyNever {
				return badParam(want)
			}
		}
		ps.rcpt.Notify = append(ps.rcpt.Notify, n)
	}
	return nil
}

func notifyWord(word []byte) smtp.DSNNotify {
	for _, n := range notifyWords {
		if bytes.EqualFold(word, []byte(n)) {
			return n
		}
	}
	return ""
}

// setOriginal reads ORCPT=type;address (RFC 3461 §4.2, RFC 6533 §3): at most 500
// characters, decoded printable.
func (ps *params) setOriginal(v []byte) *gateway.Reply {
	bad := badParam("ORCPT wants type;address in xtext")
	kind, addr, ok := bytes.Cut(v, []byte{';'})
	if !ok || len(v) > 500 || len(addr) == 0 || !isAtom(kind) {
		return bad
	}
	decode := decodeXtext
	if bytes.EqualFold(kind, []byte("utf-8")) {
		decode = decodeUTF8
	}
	text, ok := decode(addr)
	if !ok || text == "" || !printable(text) {
		return bad
	}
	ps.rcpt.OriginalRecipientType = smtp.DSNAddressType(kind)
	ps.rcpt.OriginalRecipient = text
	return nil
}
