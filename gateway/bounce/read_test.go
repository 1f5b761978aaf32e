package bounce

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// stories are mails that came back, each as one kind of system writes it.
var stories = []struct {
	story string
	mail  string
	want  []Report // recipient, status, code, reason and action
}{
	{"Postfix: one is unknown, one is full", head("multipart/report; report-type=delivery-status; boundary=b", "MAILER-DAEMON@mx.test", "Undelivered Mail Returned to Sender") + `--b
Content-Type: text/plain

<ann@far.test>: host mx.far.test[192.0.2.1] said: 550 5.1.1 <ann@far.test>:
    Recipient address rejected: User unknown (in reply to RCPT TO command)

<bob@far.test>: host mx.far.test[192.0.2.1] said: 552 5.2.2 mailbox full

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test
X-Postfix-Queue-ID: 4ABCD
X-Postfix-Sender: rfc822; bounce-17@sender.test
Original-Envelope-Id: job+2B17
Arrival-Date: Mon, 2 Nov 2026 10:00:00 +0100

Final-Recipient: rfc822; ann@far.test
Original-Recipient: rfc822;old.ann@far.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@far.test>: Recipient address
    rejected: User unknown

Final-Recipient: rfc822; bob@far.test
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 mailbox full
--b
Content-Type: text/rfc822-headers

` + returned + "--b--\n", []Report{
		{Recipient: "ann@far.test", Intended: "old.ann@far.test", Status: "5.1.1", ReplyCode: "550", Reason: UserUnknown, Action: "failed"},
		{Recipient: "bob@far.test", Status: "5.2.2", ReplyCode: "552", Reason: FullMailbox, Action: "failed"}}},
	{"qmail: words alone", head("text/plain", "MAILER-DAEMON@mx.test", "failure notice") + `Hi. This is the qmail-send program at mx.test.
I'm afraid I wasn't able to deliver your message to the following addresses.

<ann@far.test>:
192.0.2.1 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

` + returned, []Report{{Recipient: "ann@far.test", ReplyCode: "550", Reason: UserUnknown, Action: "failed"}}},
	{"Exim: the same words after the text are a filter's", head("text/plain", "Mailer-Daemon@mx.test", "Mail delivery failed: returning message to sender") + `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@far.test
    SMTP error from remote mail server after end of data:
    host mx.far.test [192.0.2.1]: 550 User unknown

------ This is a copy of the message, including all the headers. ------

` + returned, []Report{{Recipient: "ann@far.test", ReplyCode: "550", Reason: FilteredOut, Action: "failed"}}},
	{"a status lies: 5.1.1 for a full mailbox", head("multipart/report; boundary=b", "postmaster@mx.test", "Returned mail") + `--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; ann@far.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 sorry, that account is over quota
--b--
`, []Report{{Recipient: "ann@far.test", Status: "5.1.1", ReplyCode: "550", Reason: FullMailbox, Action: "failed"}}},
	{"delayed, with no empty line between recipients", head("multipart/report; boundary=b", "postmaster@mx.test", "Warning: could not send message for past 4 hours") + `--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test
Final-Recipient: rfc822; ann@far.test
Action: delayed
Status: 4.4.1
Final-Recipient: rfc822; bob@far.test
Action: delivered
Status: 2.0.0
--b--
`, []Report{{Recipient: "ann@far.test", Status: "4.4.1", Reason: Expired, Action: "delayed"}, {Recipient: "bob@far.test", Status: "2.0.0", Reason: Delivered, Action: "delivered"}}},
	{"a reader complains; the address is blacked out", head("multipart/report; report-type=feedback-report; boundary=b", "fbl@isp.test", "complaint") + `--b
Content-Type: message/feedback-report

Feedback-Type: Abuse
Original-Mail-From: <bounce-17@sender.test>
Original-Rcpt-To: redacted-8f3@isp.test
Arrival-Date: Mon, 2 Nov 2026 10:00:00 +0100
--b
Content-Type: message/rfc822

` + returned + "--b--\n", []Report{{Recipient: "ann@far.test", Reason: Complaint, Action: "complaint", Feedback: "abuse"}}},
	{"a machine answers", "From: Ann <ann@far.test>\nTo: s@sender.test\nSubject: Automatic reply: News\nAuto-Submitted: auto-replied\nIn-Reply-To: <1@sender.test>\n\nI am away.\n",
		[]Report{{Recipient: "ann@far.test", Reason: Vacation, Action: "reply"}}},
	{"Japanese, in ISO-2022-JP", head("text/plain; charset=iso-2022-jp", "MAILER-DAEMON@mx.test", "Returned mail") +
		"ann@far.test\n\x1b$BMxMQDd;_\x1b(B\n\n----- Original message -----\n\n" + returned, []Report{{Recipient: "ann@far.test", Reason: Suspend, Action: "failed"}}},
	{"a status within a forwarded mail", "From: Postmaster <ops@sender.test>\nSubject: Fwd: bounce\nContent-Type: multipart/mixed; boundary=f\n\n--f\n\nsee below\n--f\nContent-Type: message/rfc822\n\n" +
		head("multipart/report; boundary=b", "postmaster@mx.test", "Returned mail") + "--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; ann@far.test\nAction: failed\nStatus: 5.1.2\n--b--\n--f--\n",
		[]Report{{Recipient: "ann@far.test", Status: "5.1.2", Reason: HostUnknown, Action: "failed"}}},
	{"a person forwards a status as a quotation", "From: Bob <bob@sender.test>\nSubject: Fwd: Returned mail\n\nLook:\n\n> Reporting-MTA: dns; mx.test\n>\n> Final-Recipient: RFC822; ann@far.test\n> Action: failed\n> Status: 5.1.1\n\nBob\n",
		[]Report{{Recipient: "ann@far.test", Status: "5.1.1", Reason: UserUnknown, Action: "failed"}}},
	{"SES tells SNS, SNS writes mail", head("text/plain", "no-reply@sns.test", "AWS Notification Message") +
		`{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"ann@far.test","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]},"mail":{"timestamp":"2026-11-02T10:00:00Z","messageId":"0100-1","source":"bounce-17@sender.test"}}` + "\n",
		[]Report{{Recipient: "ann@far.test", Status: "5.1.1", ReplyCode: "550", Reason: UserUnknown, Action: "failed"}}},
	{"only X-Failed-Recipients names them", head("text/plain", "mailer-daemon@mx.test", "Delivery Status Notification (Failure)") + "X", nil},
}

func head(kind, from, subject string) string {
	return "Return-Path: <>\nFrom: " + from + "\nTo: bounce-17@sender.test\nSubject: " + subject + "\nMessage-ID: <b1@mx.test>\nMIME-Version: 1.0\nContent-Type: " + kind + "\n\n"
}

const returned = `Return-Path: <bounce-17@sender.test>
Received: from sender.test by mx.test (Postfix) with ESMTPS id 4ABCD
	for <ann@far.test>; Mon, 2 Nov 2026 10:00:00 +0100
Message-ID: <m17@sender.test>
From: News <news@sender.test>
To: ann@far.test
Date: Mon, 2 Nov 2026 09:59:58 +0100
List-Id: <news.sender.test>
Feedback-ID: 17:acme
CFBL-Feedback-ID: c17
X-Campaign: 17
Subject: News

`

// brief is what of a report the stories tell.
func brief(reports []Report) (out []Report) {
	for _, r := range reports {
		out = append(out, Report{Recipient: r.Recipient, Intended: r.Intended, Status: r.Status, ReplyCode: r.ReplyCode, Reason: r.Reason, Action: r.Action, Feedback: r.Feedback})
	}
	return out
}

func TestStories(t *testing.T) {
	for _, tt := range stories {
		t.Run(tt.story, func(t *testing.T) {
			m := Parse([]byte(tt.mail))
			if got := brief(m.Reports); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			for _, r := range m.Reports {
				if r.Group != r.Reason.Group() || r.Hard != r.Reason.Hard() {
					t.Errorf("group and hardness do not fit the reason: %+v", r)
				}
			}
		})
	}
}

// What happens to a mail on its way back does not change what it says.
func TestNoiseChangesNothing(t *testing.T) {
	noise := map[string]func(string) string{
		"CRLF":            func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"CR doubled":      func(s string) string { return strings.ReplaceAll(s, "\n", "\r\r\n") },
		"more hops":       func(s string) string { return "Received: from a by b id 1; Mon, 2 Nov 2026 11:00:00 +0100\n" + s },
		"an mbox":         func(s string) string { return "From MAILER-DAEMON Mon Nov  2 11:00:00 2026\n" + s },
		"empty lines":     func(s string) string { return "\n\n" + s },
		"unknown fields":  func(s string) string { return "X-Spam-Status: No\nX-Loop: 1\n" + s },
		"more at the end": func(s string) string { return s + "\n" },
	}
	for _, tt := range stories {
		want := Parse([]byte(tt.mail))
		for name, make := range noise {
			got := Parse([]byte(make(tt.mail)))
			if !reflect.DeepEqual(brief(got.Reports), brief(want.Reports)) || got.Original.MessageID != want.Original.MessageID {
				t.Errorf("%s, %s: %+v, without it %+v", tt.story, name, brief(got.Reports), brief(want.Reports))
			}
		}
	}
}

// What leads back to our delivery is all there.
func TestOriginal(t *testing.T) {
	m := Parse([]byte(stories[0].mail))
	o := m.Original
	if m.MessageID != "b1@mx.test" {
		t.Errorf("the mail itself: %q", m.MessageID)
	}
	if o.MessageID != "m17@sender.test" || o.ReturnPath != "bounce-17@sender.test" {
		t.Errorf("ids: %+v", o)
	}
	if !slices.Equal(o.QueueIDs, []string{"4ABCD"}) || len(o.Received) != 1 || !strings.Contains(o.Received[0], "for <ann@far.test>") {
		t.Errorf("hops: %+v", o)
	}
	if got := o.Sent.UTC().Format("15:04"); got != "09:00" {
		t.Errorf("sent at %s", got)
	}
}

// A report without the returned header says by its own whose answer it is.
func TestOriginalOfAnAnswer(t *testing.T) {
	for field, want := range map[string]string{"In-Reply-To: <m17@sender.test>\n": "m17@sender.test", "References: <m1@sender.test> <m17@sender.test>\n": "m17@sender.test"} {
		m := Parse([]byte(field + head("text/plain", "mailer-daemon@mx.test", "Delivery Status Notification (Failure)") + "Delivery to the following recipient failed permanently:\n\n     ann@far.test\n"))
		if m.Original.MessageID != want || len(m.Reports) != 1 {
			t.Errorf("%s: %q, %d reports", field, m.Original.MessageID, len(m.Reports))
		}
	}
}

func TestFailedRecipientsField(t *testing.T) {
	m := Parse([]byte("X-Failed-Recipients: ann@far.test, bob@far.test\n" + head("text/plain", "mailer-daemon@mx.test", "Mail delivery failed") + "A message could not be delivered.\n"))
	if len(m.Reports) != 2 || m.Reports[0].Recipient != "ann@far.test" || m.Reports[1].Recipient != "bob@far.test" {
		t.Errorf("got %+v", m.Reports)
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// Each reason has a group and a rank, and each group is a group.
func TestReasons(t *testing.T) {
	for r, g := range groups {
		if !slices.Contains(Groups(), g) {
			t.Errorf("%s is in %s, which is none", r, g)
		}
		switch _, ranked := rank[r]; {
		case ranked, r == Undefined, r == Complaint, r == Vacation, r == Delivered:
		default:
			t.Errorf("%s has no rank", r)
		}
	}
	for r := range rank {
		if r.Group() == "" {
			t.Errorf("%s has no group", r)
		}
	}
}

// The tables are as the matcher needs them: phrases are as fold would leave them.
func TestPhrases(t *testing.T) {
	for _, name := range phraseTables {
		for p := range readPhrases(name) {
			reason, l, _ := strings.Cut(p.section, " ")
			if _, known := rank[Reason(reason)]; !known {
				t.Errorf("%s: [%s] has no rank", name, p.section)
			}
			if _, known := levelNames[l]; !known {
				t.Errorf("%s: [%s] has no level", name, p.section)
			}
			if len(strings.TrimRight(p.text, "*")) < 4 || p.text != strings.ToLower(p.text) || strings.Contains(p.text, "  ") {
				t.Errorf("%s: %q is not folded", name, p.text)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	for _, tt := range []struct{ story, text, code, status string }{
		{"both", "550 5.1.1 no such user", "550", "5.1.1"},
		{"joined", "550-5.1.1 no such user\n550 5.1.1 really", "550", "5.1.1"},
		{"in brackets", "sorry (#5.1.1)", "", "5.1.1"},
		{"the more telling one", "554 5.0.0 rejected: 5.7.1 policy", "554", "5.7.1"},
		{"an IP address", "host 192.0.2.250 and 5.1.1.1 said nothing", "", ""},
		{"a port and a size", "connect to mx.test[192.0.2.1]:25 with 1550 bytes", "", ""},
		{"a version", "Sendmail 8.14.5", "", ""},
		{"said by a host", "host mx.test[192.0.2.1]: 421 4.7.0 later", "421", "4.7.0"},
	} {
		if code, status := codes(tt.text); code != tt.code || status != tt.status {
			t.Errorf("%s: %q, %q; want %q, %q", tt.story, code, status, tt.code, tt.status)
		}
	}
}
