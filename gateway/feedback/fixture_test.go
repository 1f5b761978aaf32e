package feedback

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"tidepost/gateway"
)

// fixtures are recorded-shape reports: one element is one event, as a report of its
// own where the format has no lists.
func fixtures(t testing.TB, format string) []json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("testdata/" + format + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var docs []json.RawMessage
	if err := json.Unmarshal(text, &docs); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return docs
}

// report makes a whole report of one element.
func report(format string, doc []byte) []byte {
	switch format {
	case "sendgrid", "sparkpost":
		return fmt.Appendf(nil, "[%s]", doc)
	case "ses":
		b, _ := json.Marshal(map[string]string{"Type": "Notification", "MessageId": "1", "Message": string(doc)})
		return b
	}
	return doc
}

// line tells an event in one line.
func line(e *Event) string {
	var d details
	json.Unmarshal(e.Data, &d)
	parts := []string{e.Kind, e.Mailbox}
	say := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	if e.Kind == "bounced" {
		say("", map[bool]string{true: "hard", false: "soft"}[*d.Hard])
	}
	say("", d.Status)
	say("", d.Code)
	say("", string(d.Group))
	say("", d.Feedback)
	if e.Human != nil {
		say("human=", fmt.Sprint(*e.Human))
	}
	say("", d.Method)
	say("", d.Link)
	say("", d.IP)
	say("id=", e.ID)
	say("queue=", strings.Join(e.Clue.QueueIDs, ","))
	say("message=", strings.Join(e.Clue.MessageIDs, ","))
	say("from=", e.Clue.ReturnPath)
	if !e.At.IsZero() {
		say("at ", e.At.Format("15:04:05"))
	}
	if !e.Clue.At.IsZero() {
		say("sent ", e.Clue.At.Format("15:04:05"))
	}
	return strings.Join(parts, " ")
}

// What each event of each provider becomes. "" is nothing: it says nothing of a reader
// or an address, or says it of a list of the provider's own.
var become = map[string][]struct{ story, want string }{
	"sendgrid": {
		{"taken in", ""},
		{"tried again", ""},
		{"delivered", ""},
		{"a hard bounce", "bounced gone@example.com hard 5.1.1 550 no_such_user id=sg-04 queue=aaaBBBccc message=news.2@shop.example at 11:46:43"},
		{"a block is for the sender", "bounced ben@example.com soft 5.7.1 550 policy id=sg-05 queue=aaaBBBccd at 11:46:44"},
		{"a full mailbox, called a bounce and of class 4", "bounced cas@example.com soft 4.2.2 452 mailbox_full id=sg-06 queue=aaaBBBcce at 11:46:45"},
		{"dropped: no address", ""},
		{"dropped: on SendGrid's list of opt-outs", ""},
		{"dropped: on its list of bounces", ""},
		{"an open", "opened ann@example.com 198.51.100.7 id=sg-10 queue=dkH2l1HnTJ-CLLsRvqXx0A at 11:46:49"},
		{"an open by Apple's machines", "opened eve@example.com human=0 17.58.1.1 id=sg-11 queue=aaaBBBccf at 11:46:50"},
		{"a click", "clicked ann@example.com https://shop.example/sale?x=1 198.51.100.7 id=sg-12 queue=dkH2l1HnTJ-CLLsRvqXx0A at 11:46:51"},
		{"a complaint", "complained fay@example.com id=sg-13 queue=aaaBBBccg at 11:46:52"},
		{"an opt-out", "unsubscribed gus@example.com id=sg-14 queue=aaaBBBcch at 11:46:53"},
		{"out of one group", "unsubscribed hal@example.com id=sg-15 queue=aaaBBBcci at 11:46:54"},
		{"and back in", ""},
		{"the account's", ""},
		{"a bounce of nobody", ""},
	},
	"mailgun": {
		{"delivered", ""},
		{"a hard bounce", "bounced gone@example.com hard 5.1.1 550 no_such_user id=mg-02 message=news.2@shop.example from=bounce+7@shop.example at 11:46:41"},
		{"one attempt of several", "bounced ben@example.com soft 4.2.2 452 mailbox_full id=temporary news.3@shop.example message=news.3@shop.example at 11:46:42"},
		{"on Mailgun's own list", ""},
		{"tried for too long", "bounced cas@example.com soft unreachable id=mg-05 message=news.5@shop.example at 11:46:44"},
		{"an open", "opened ann@example.com 198.51.100.7 id=mg-06 message=news.1@shop.example at 11:46:45"},
		{"by Apple's machines", "opened eve@example.com human=0 17.58.1.1 id=mg-07 message=news.7@shop.example at 11:46:46"},
		{"by Gmail's proxy, which people sit behind", "opened ida@example.com 66.249.84.1 id=mg-08 message=news.8@shop.example at 11:46:47"},
		{"a click by a scanner", "clicked ann@example.com human=0 https://shop.example/sale 198.51.100.7 id=mg-09 message=news.1@shop.example at 11:46:48"},
		{"a complaint", "complained fay@example.com id=mg-10 message=news.9@shop.example at 11:46:49"},
		{"an opt-out, signed by the parent account, too", "unsubscribed gus@example.com id=mg-11 message=news.10@shop.example at 11:46:50"},
	},
	"ses": {
		{"delivered", ""},
		{"a notification of a hard bounce", "bounced gone@example.com hard 5.1.1 550 no_such_user id=0102-fb-1 queue=0102-02 message=news.2@shop.example from=bounce+7@shop.example at 11:46:42 sent 11:46:40"},
		{"an event of a full mailbox, to a name", "bounced ben@example.com soft 4.2.2 452 mailbox_full id=0102-fb-2 queue=0102-03 from=news@shop.example at 11:46:43 sent 11:46:40"},
		{"a note of absence", ""},
		{"undetermined", "bounced cas@example.com soft unknown id=0102-fb-4 queue=0102-05 at 11:46:45"},
		{"on the account's own list", ""},
		{"on Amazon's own list", ""},
		{"a bounce of two", "bounced a@example.com hard no_such_user id=0102-fb-7/0 queue=0102-08 at 11:46:47; bounced b@example.com hard no_such_user id=0102-fb-7/1 queue=0102-08 at 11:46:47"},
		{"a complaint", "complained fay@example.com abuse id=0102-fb-8 queue=0102-09 from=news@shop.example at 11:46:48 sent 11:46:40"},
		{"a complaint of one of two", ""},
		{"a complaint that is on a list already", ""},
		{"taken back", ""},
		{"an open", "opened ann@example.com 198.51.100.7 queue=0102-13 from=news@shop.example at 11:46:50 sent 11:46:40"},
		{"an open by one of two", ""},
		{"a click", "clicked ann@example.com https://shop.example/sale 198.51.100.7 queue=0102-15 from=news@shop.example at 11:46:51 sent 11:46:40"},
		{"out of all topics", "unsubscribed hal@example.com queue=0102-16 at 11:46:52"},
		{"into one", ""},
		{"rejected for what is in it", ""},
		{"not rendered", ""},
		{"delayed", ""},
	},
	"postmark": {
		{"delivered", ""},
		{"a hard bounce", "bounced gone@example.com hard 5.1.1 550 no_such_user id=bounce 4323372036854775807 queue=00000000-0000-0000-0000-000000000002 at 11:46:41"},
		{"a soft one", "bounced ben@example.com soft 4.2.2 452 mailbox_full id=bounce 43 queue=00000000-0000-0000-0000-000000000003 at 11:46:42"},
		{"for the sender's DMARC", "bounced cas@example.com soft policy id=bounce 44 queue=00000000-0000-0000-0000-000000000004 at 11:46:43"},
		{"a note of absence", ""},
		{"by an administrator", ""},
		{"a wish to be taken off, by mail", "unsubscribed gus@example.com id=bounce 47 queue=00000000-0000-0000-0000-000000000007 at 11:46:46"},
		{"a complaint", "complained fay@example.com id=bounce 42 queue=00000000-0000-0000-0000-000000000008 at 11:46:47"},
		{"an open", "opened ann@example.com 198.51.100.7 queue=00000000-0000-0000-0000-000000000009 at 11:46:48"},
		{"a click", "clicked ann@example.com https://shop.example/sale 198.51.100.7 queue=00000000-0000-0000-0000-000000000009 at 11:46:49"},
		{"a reader's opt-out", "unsubscribed hal@example.com queue=00000000-0000-0000-0000-000000000010 at 11:46:50"},
		{"an administrator's", ""},
		{"told as a bounce already", ""},
		{"allowed again", ""},
	},
	"sparkpost": {
		{"the test of the address", ""},
		{"taken in", ""},
		{"a hard bounce", "bounced gone@example.com hard 5.1.1 550 no_such_user id=sp-02 queue=000443ee14578172be23,65832150921904138 from=bounce+7@shop.example at 11:46:41 sent 11:46:40"},
		{"a full mailbox", "bounced ben@example.com soft 5.2.2 552 mailbox_full id=sp-03 queue=000443ee14578172be24 at 11:46:42"},
		{"a block is for the sender", "bounced cas@example.com soft 554 blocked_sender id=sp-04 queue=000443ee14578172be25 at 11:46:43"},
		{"on SparkPost's own list", ""},
		{"a note of absence", ""},
		{"a bounce long after", "bounced gone@example.com hard 550 no_such_user id=sp-07 queue=000443ee14578172be26 at 11:46:46"},
		{"a wish to be taken off, by mail", "unsubscribed gus@example.com id=sp-08 queue=000443ee14578172be27 at 11:46:47"},
		{"delayed", ""},
		{"rejected by policy", ""},
		{"a complaint", "complained fay@example.com abuse id=sp-11 queue=000443ee14578172be28 at 11:46:50"},
		{"an open", "opened ann@example.com 198.51.100.7 id=sp-12 queue=000443ee14578172be22 at 11:46:51"},
		{"a first open by Apple's machines", "opened eve@example.com human=0 17.58.1.1 id=sp-13 queue=000443ee14578172be29 at 11:46:52"},
		{"a click", "clicked ann@example.com https://shop.example/sale 198.51.100.7 id=sp-14 queue=000443ee14578172be22 at 11:46:53"},
		{"not rendered", ""},
		{"out by header", "unsubscribed hal@example.com id=sp-16 queue=000443ee14578172be2a at 11:46:55"},
		{"out by link", "unsubscribed ike@example.com id=sp-17 queue=000443ee14578172be2b at 11:46:56"},
		{"mail in", ""},
	},
	"mautic": {
		{"an open", "opened ann@example.com GET id=open 17 2 at 11:46:41 sent 11:00:00"},
		{"an open without the stat's address", "opened ben@example.com GET id=open 18  at 11:46:42"},
		{"an opt-out", "unsubscribed gus@example.com id=left 7 2026-11-22T11:46:43+00:00 at 11:46:43"},
		{"of another channel", ""},
		{"Mautic's own bounce", ""},
		{"an administrator's", ""},
		{"and back in", ""},
		{"sent", ""},
		{"a page was looked at", "viewed ann@example.com id=hit 31 at 11:46:45"},
		{"by somebody unknown", ""},
	},
	"listmonk": {
		{"hard", "bounced gone@example.com hard"},
		{"soft", "bounced ben@example.com soft"},
		{"a complaint", "complained fay@example.com"},
	},
}

func TestFixtures(t *testing.T) {
	for format, rows := range become {
		docs := fixtures(t, format)
		if len(docs) != len(rows) {
			t.Errorf("%s: %d fixtures, %d stories", format, len(docs), len(rows))
			continue
		}
		for i, tt := range rows {
			p, err := formats[format].Read(report(format, docs[i]))
			if err != nil {
				t.Errorf("%s: %s: %v", format, tt.story, err)
				continue
			}
			var got []string
			for j := range p.Events {
				got = append(got, line(&p.Events[j]))
				checkSignal(t, &p.Events[j])
			}
			if text := strings.Join(got, "; "); text != tt.want || (text == "") != (p.Ignored > 0) {
				t.Errorf("%s: %s:\n got %s, %d ignored\nwant %s", format, tt.story, text, p.Ignored, tt.want)
			}
		}
	}
}

// checkSignal checks that an event makes a signal.
func checkSignal(t testing.TB, e *Event) gateway.Signal {
	t.Helper()
	d := e.SignalDoc
	d.Tenant, d.Source = "acme", "hook:x"
	s, err := d.Signal()
	if err != nil {
		t.Errorf("%s %s makes no signal: %v", d.Kind, d.Data, err)
	}
	return s
}
