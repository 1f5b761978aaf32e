package intake

import (
	"bytes"
	"strconv"
	"time"

	"tidepost/gateway"
)

// verb is a command's name.
type verb uint8

const (
	verbUnknown verb = iota
	verbEHLO
	verbHELO
	verbMAIL
	verbRCPT
	verbDATA
	verbBDAT
	verbRSET
	verbNOOP
	verbVRFY
	verbHELP
	verbQUIT
	verbAUTH
	verbSTARTTLS
	verbMissing // known by RFC 5321 and not here
	verbWeb     // HTTP
)

var spaceByte = []byte{' '}

// cutVerb splits a command line, without regard to case or trailing space
// (RFC 5321 §2.4, §4.1.1).
func cutVerb(line []byte) (verb, []byte) {
	line = bytes.TrimRight(line, " \t")
	word, arg, _ := bytes.Cut(line, spaceByte)
	arg = bytes.TrimLeft(arg, " ")
	var up [8]byte
	if len(word) > len(up) {
		return verbUnknown, arg
	}
	for i, ch := range word {
		if 'a' <= ch && ch <= 'z' {
			ch -= 'a' - 'A'
		}
		up[i] = ch
	}
	return verbOf(up[:len(word)]), arg
}

func verbOf(word []byte) verb {
	switch string(word) {
	case "MAIL":
		return verbMAIL
	case "RCPT":
		return verbRCPT
	case "DATA":
		return verbDATA
	case "BDAT":
		return verbBDAT
	case "RSET":
		return verbRSET
	case "NOOP":
		return verbNOOP
	case "QUIT":
		return verbQUIT
	case "EHLO":
		return verbEHLO
	case "HELO":
		return verbHELO
	case "AUTH":
		return verbAUTH
	case "STARTTLS":
		return verbSTARTTLS
	case "VRFY":
		return verbVRFY
	case "HELP":
		return verbHELP
	case "EXPN", "TURN", "ETRN", "SEND", "SOML", "SAML":
		return verbMissing
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS":
		return verbWeb
	}
	return verbUnknown
}

// run answers one command line.
func (c *conn) run(line []byte) {
	v, arg := cutVerb(line)
	if c.outOfSync(v) {
		return
	}
	switch v {
	case verbMAIL:
		c.mailFrom(arg)
	case verbRCPT:
		c.rcptTo(arg)
	case verbDATA:
		c.data(arg)
	case verbBDAT:
		c.bdat(arg)
	case verbEHLO, verbHELO:
		c.hello(v, arg)
	case verbAUTH:
		c.auth(arg)
	case verbSTARTTLS:
		c.startTLS(arg)
	case verbQUIT:
		c.reply(221, "2.0.0", "Bye")
		c.closing = true
	case verbWeb:
		c.reply(500, "5.5.1", "this is an SMTP server, not a web server")
		c.hangUp(RefusedSync)
	case verbMissing:
		c.refuse(502, "5.5.1", "command not implemented")
	case verbUnknown:
		c.refuse(500, "5.5.1", "command not recognized")
	default:
		c.idleCommand(v)
	}
}

// idleCommand answers the commands that do no work, of which a client needs few.
func (c *conn) idleCommand(v verb) {
	if c.tooMuchJunk() {
		return
	}
	switch v {
	case verbRSET:
		c.resetTransaction()
		c.reply(250, "2.0.0", "Ok")
	case verbNOOP:
		c.reply(250, "2.0.0", "Ok")
	case verbVRFY: // RFC 5321 §3.5.3
		c.reply(252, "2.0.0", "not verified; the message will be accepted or refused at RCPT")
	case verbHELP:
		c.reply(214, "2.0.0", "see RFC 5321 and tidepost help smtp")
	}
}

// outOfSync hangs up on a client that talks before it may: nothing may follow
// EHLO, DATA, AUTH or STARTTLS before their answer, and nothing may be pipelined at
// all before EHLO was answered (RFC 2920 §3.1). Who does so is injecting commands
// through something that speaks to us, so nothing more of it is read.
func (c *conn) outOfSync(v verb) bool {
	if len(c.in.buffered()) == 0 || v == verbQUIT {
		return false
	}
	last := v == verbEHLO || v == verbHELO || v == verbDATA || v == verbAUTH || v == verbSTARTTLS
	if c.esmtp && !last {
		return false
	}
	// An authenticated client is no open door. Yet plaintext before TLS is never
	// believed (RFC 3207 §4.2), nor content after a DATA that was refused.
	if c.authed && v != verbSTARTTLS && (v != verbDATA || c.mail && c.rcpts > 0 && !c.inBdat) {
		return false
	}
	c.reply(554, "5.5.0", "synchronization error: input before the answer to this command")
	c.hangUp(RefusedSync)
	return true
}

// hello is EHLO and HELO: they start the session anew (RFC 5321 §4.1.4).
func (c *conn) hello(v verb, arg []byte) {
	if !validHelo(arg) {
		c.refuse(501, "5.5.2", "EHLO wants the name of your host")
		return
	}
	if c.greeted && c.tooMuchJunk() {
		return
	}
	c.peer.helo = string(arg)
	c.esmtp, c.peer.esmtp = v == verbEHLO, v == verbEHLO
	c.greeted = true
	if c.session == nil {
		c.openSession()
	} else {
		c.resetTransaction()
	}
	if v == verbHELO {
		c.reply(250, "", c.s.Hostname)
		return
	}
	c.capabilities()
}

// validHelo accepts what hosts call themselves in practice: any printable word.
func validHelo(arg []byte) bool {
	if len(arg) == 0 || len(arg) > 255 {
		return false
	}
	for _, ch := range arg {
		if ch <= ' ' || ch > '~' {
			return false
		}
	}
	return true
}

// capabilities is the answer to EHLO.
func (c *conn) capabilities() {
	out := append(c.in.out, "250-"...)
	out = append(out, c.s.Hostname...)
	out = append(out, c.s.extensions...)
	if c.s.MaxHold > 0 { // RFC 4865 §3
		out = append(out, "\r\n250-FUTURERELEASE "...)
		out = strconv.AppendInt(out, int64(c.s.MaxHold/time.Second), 10)
		out = append(out, ' ')
		out = time.Now().Add(c.s.MaxHold).UTC().AppendFormat(out, time.RFC3339)
	}
	if c.s.TLS != nil && !c.peer.secure {
		out = append(out, "\r\n250-STARTTLS"...)
	}
	if c.mechanisms() != nil && c.mayAuth() && !c.authed {
		out = append(out, "\r\n250-AUTH"...)
		for _, m := range c.mechanisms() {
			out = append(append(out, ' '), m...)
		}
	}
	c.in.out = append(out, "\r\n250 ENHANCEDSTATUSCODES\r\n"...)
}

func (c *conn) mailFrom(arg []byte) {
	switch {
	case !c.greeted:
		c.refuse(503, "5.5.1", "say EHLO first")
		return
	case c.mail:
		c.refuse(503, "5.5.1", "there is a transaction already; RSET ends it")
		return
	case !c.allowed():
		return
	}
	path, params, ok := cutPath(arg, "FROM:")
	if !ok {
		c.refuse(501, "5.1.7", "MAIL wants FROM:<address>")
		return
	}
	if bad := c.params.parseMail(params, c.mailLimits(path)); bad != nil {
		c.refuseReply(bad)
		return
	}
	var note *gateway.Reply
	var err error
	if c.ext != nil {
		note, err = c.ext.MailExtended(string(path), &c.params.mail, &c.params.ext)
	} else {
		err = c.session.Mail(string(path), &c.params.mail)
	}
	if err != nil {
		c.replyError(err)
		return
	}
	c.mail = true
	if note != nil {
		c.reply(note.Code, note.Status, note.Text)
		return
	}
	c.in.out = append(c.in.out, "250 2.1.0 Ok\r\n"...)
}

// maxOvershoot is how many recipients too many are answered kindly: clients that
// know RFC 5321 §4.5.3.1.10 send the rest in another transaction.
const maxOvershoot = 1000

func (c *conn) rcptTo(arg []byte) {
	if c.greeted && !c.allowed() {
		return
	}
	switch {
	case !c.mail || c.inBdat:
		c.refuse(503, "5.5.1", "RCPT comes after MAIL")
		return
	case over(c.rcpts+1, c.limits.MaxRecipients):
		c.overshoot++
		if c.overshoot > maxOvershoot {
			c.refuse(452, "4.5.3", "too many recipients")
			return
		}
		c.reply(452, "4.5.3", "too many recipients")
		return
	}
	path, params, ok := cutPath(arg, "TO:")
	if !ok || len(path) == 0 {
		c.refuse(501, "5.1.3", "RCPT wants TO:<address>")
		return
	}
	if bad := c.params.parseRcpt(params); bad != nil {
		c.refuseReply(bad)
		return
	}
	if err := c.session.Rcpt(string(path), &c.params.rcpt); err != nil {
		c.replyError(err)
		return
	}
	c.rcpts++
	c.in.out = append(c.in.out, "250 2.1.5 Ok\r\n"...)
}

// data is DATA and the content that follows it.
func (c *conn) data(arg []byte) {
	switch {
	case len(arg) > 0:
		c.refuse(501, "5.5.4", "DATA takes no argument")
		return
	case !c.mail || c.inBdat:
		c.refuse(503, "5.5.1", "DATA comes after MAIL and RCPT")
		return
	case c.rcpts == 0:
		c.refuse(554, "5.5.1", "no valid recipients")
		return
	}
	if err := c.ready(); err != nil {
		c.replyError(err)
		return
	}
	c.in.out = append(c.in.out, "354 End data with <CR><LF>.<CR><LF>\r\n"...)
	d := &c.content
	d.reset()
	c.in.enlarge()
	c.in.beginContent(c.timeout(c.limits.DataTimeout), c.limits.MinDataRate)
	err := c.session.Data(d)
	c.endData(d, err)
}

// endData answers the content of DATA, once its true end was read.
func (c *conn) endData(d *dataReader, err error) {
	if !d.end && d.lost == nil && !d.drain(c.drainLimit()) && d.lost == nil {
		c.replyContent(d.scan.bad, err)
		c.hangUp(RefusedSize)
		return
	}
	if d.lost != nil {
		c.lost(d.lost)
		return
	}
	c.in.shrink()
	c.endMessage(d.scan.bad, err, d.scan.size)
}
