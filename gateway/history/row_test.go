package history

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/suppression/lists"
)

// told is a row in a few words.
func told(r *Row) string {
	if r.Skipped != "" {
		return fmt.Sprintf("%d skipped: %s", r.Line, r.Skipped)
	}
	text := fmt.Sprintf("%d %s %s %s", r.Line, r.Kind, r.At.Format("2006-01-02T15:04:05.999"), r.Mailbox)
	for _, part := range []struct {
		is   bool
		text string
	}{{r.Message != "", "of " + r.Message}, {r.Link != "", "to " + r.Link}, {r.List != "", "list " + r.List}, {r.UserAgent != "", "by " + r.UserAgent},
		{r.IP != "", "from " + r.IP}, {r.Delivered, "delivered"}, {r.Rough, "rough"}, {r.Machine, "machine"}, {r.Hard, "hard"}, {r.Class != gateway.Newsletter, r.Class.String()}} {
		if part.is {
			text += " " + part.text
		}
	}
	return text
}

func readAll(file string, opt Options) (got []string) {
	opt.Now, opt.Class = today, gateway.Newsletter
	for row, err := range Read(strings.NewReader(file), opt) {
		var e *lists.Error
		switch {
		case errors.As(err, &e) && e.Fatal:
			got = append(got, "end: "+err.Error())
		case err != nil:
			got = append(got, "bad: "+err.Error())
		default:
			got = append(got, told(&row))
		}
	}
	return got
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		story  string
		format Format
		file   string
		want   []string
	}{
		{"all that our own format has", CSV, "time,event,email,message,list,class,url,user_agent,ip\n" +
			"2026-06-01T08:00:00Z,delivered,Ann+x@Example.com,m1,news.example.com,promotional,,,\n" +
			"2026-06-01T10:00:00+02:00,open,ann@example.com,m1,,,,Firefox,192.0.2.1\n" +
			"1780300800,click,ann@example.com,m1,,,https://a.test/,,\n", []string{
			"2 sent 2026-06-01T08:00:00 ann@example.com of m1 list news.example.com delivered promotional",
			"3 opened 2026-06-01T08:00:00 ann@example.com of m1 by Firefox from 192.0.2.1",
			"4 clicked 2026-06-01T08:00:00 ann@example.com of m1 to https://a.test/"}},
		{"other names, semicolons, and the header again where two files were joined", CSV, "Date;Action;Email Address;Campaign ID\n" +
			"2026-06-01 08:00:00;Sent;ann@example.com;7\nDate;Action;Email Address;Campaign ID\n2026-06-01 09:00:00;Opt-Out;<ann@example.com>;7\n", []string{
			"2 sent 2026-06-01T08:00:00 ann@example.com of 7", "3 skipped: a header again", "4 unsubscribed 2026-06-01T09:00:00 ann@example.com of 7"}},
		{"bounces are for good only where they say so", CSV, "time,event,email,hard\n" +
			"2026-06-01,bounced,a@example.com,\n2026-06-01,bounced,b@example.com,true\n2026-06-01,hard_bounce,c@example.com,\n2026-06-01,soft_bounce,d@example.com,\n2026-06-01,dropped,e@example.com,\n", []string{
			"2 bounced 2026-06-01T00:00:00 a@example.com", "3 bounced 2026-06-01T00:00:00 b@example.com hard", "4 bounced 2026-06-01T00:00:00 c@example.com hard",
			"5 bounced 2026-06-01T00:00:00 d@example.com", "6 skipped: not delivered"}},
		{"bad lines are named and the next is read", CSV, "time,event,email\n" +
			"yesterday,open,a@example.com\n2026-06-01,opend,a@example.com\n2026-06-01,open,nobody\n2026-06-01,open\n2027-06-01,open,a@example.com\n1980-06-01,open,a@example.com\n2026-06-01,open,a@example.com\n", []string{
			`bad: line 2, column 1 (time): "yesterday" is no time: ` + lists.WhenRemedy,
			`bad: line 3, column 12 (event): "opend" is no event: write sent, delivered, opened, clicked, unsubscribed, complained, hard_bounce or soft_bounce`,
			`bad: line 4: "nobody" is no address: write it as reader@example.com`,
			`bad: line 5, column 16: the line has 2 fields and the header 3: put fields with a separator in them between quotes, and write empty fields too`,
			`bad: line 6: the time lies in the future: is its zone right? Times without one are taken for UTC`,
			`bad: line 7: the time lies before 1990: ` + lists.WhenRemedy,
			"8 opened 2026-06-01T00:00:00 a@example.com"}},
		{"a header that lacks what is needed", CSV, "time,email\n", []string{"end: line 1: the columns time and event are needed: name them in the first line; `tidepost help history` has the queries that do"}},
		{"no address", CSV, "time,event\n", []string{"end: line 1: no column has the address: the first line must name the columns: time,event,email and, where there are, message,campaign,list,url,user_agent,ip"}},
		{"an empty file", CSV, "", []string{"end: the file is empty: it needs a line that names its columns"}},
		{"JSON for CSV", CSV, `{"a":1}`, []string{"end: line 1: the file is JSON and not CSV: name the format whose it is: mailgun, sendgrid or ses"}},
		{"CSV for JSON", SES, "a,b\n", []string{"end: line 1: the file is no JSON: export events as JSON, one a line or in an array; of a CSV file name the columns as `tidepost help history` says, and use --format csv"}},
		{"an unknown format", "brevo", "", []string{`end: the format "brevo" is unknown: use csv, listmonk, mautic, mailgun, sendgrid or ses`}},
		{"listmonk's query: when a campaign began is not when each mail left", Listmonk, "event,created_at,email,campaign,url\n" +
			"sent,2026-06-01 08:00:00.123456+00,ann@example.com,3f,\nopened,2026-06-01 09:30:00+00,ann@example.com,3f,\nblocklisted,2026-06-02 00:00:00+00,ann@example.com,,\n", []string{
			"2 sent 2026-06-01T08:00:00.123 ann@example.com of 3f rough", "3 opened 2026-06-01T09:30:00 ann@example.com of 3f", "4 unsubscribed 2026-06-02T00:00:00 ann@example.com"}},
		{"Mautic's own table: one mail a line", Mautic, "id,email_id,email_address,date_sent,is_read,is_failed,date_read\n" +
			"1,5,ann@example.com,2026-06-01 08:00:00,1,0,2026-06-01 20:00:00\n2,5,bob@example.com,2026-06-01 08:00:00,0,0,NULL\n3,5,eve@example.com,2026-06-01 08:00:00,0,1,\n", []string{
			"2 sent 2026-06-01T08:00:00 ann@example.com of 5", "2 opened 2026-06-01T20:00:00 ann@example.com of 5", "3 sent 2026-06-01T08:00:00 bob@example.com of 5", "4 skipped: not delivered"}},
		{"Mailgun's pages, one after another", Mailgun, `{"items":[
{"event":"accepted","timestamp":1780300800.25,"recipient":"ann@example.com","message":{"headers":{"message-id":"m1@x"}}},
{"event":"delivered","timestamp":1780300801,"recipient":"ann@example.com","message":{"headers":{"message-id":"m1@x"}}}],"paging":{"next":"https://x"}}
{"items":[{"event":"opened","timestamp":1780300900,"recipient":"ann@example.com","ip":"192.0.2.1","client-info":{"user-agent":"Firefox","bot":""},"message":{"headers":{"message-id":"m1@x"}}},
{"event":"opened","timestamp":1780300900,"recipient":"bob@example.com","client-info":{"bot":"apple"}},
{"event":"failed","severity":"permanent","reason":"bounce","timestamp":1780300900,"recipient":"eve@example.com","delivery-status":{"code":550,"enhanced-code":"5.1.1","message":"no such user"}},
{"event":"stored","timestamp":1780300900,"recipient":"ann@example.com"}],"paging":{}}`, []string{
			"1 sent 2026-06-01T08:00:00.25 ann@example.com of m1@x", "2 sent 2026-06-01T08:00:01 ann@example.com of m1@x delivered",
			"3 opened 2026-06-01T08:01:40 ann@example.com of m1@x by Firefox from 192.0.2.1", "4 opened 2026-06-01T08:01:40 bob@example.com machine",
			"5 bounced 2026-06-01T08:01:40 eve@example.com hard", "6 skipped: stored"}},
		{"Mailgun's webhooks, one a line", Mailgun, `{"signature":{},"event-data":{"event":"unsubscribed","timestamp":1780300900,"recipient":"ann@example.com"}}` + "\n" + `{"event":"clicked"}` + "\n{}\n{", []string{
			"1 unsubscribed 2026-06-01T08:01:40 ann@example.com", `bad: line 2: "" is no address: write it as reader@example.com`,
			"bad: line 3 (event): the event has no kind: is it an event of Mailgun's?",
			"bad: line 4: the JSON cannot be read: unexpected end of JSON input: write one event a line, or an array of them"}},
		{"SendGrid's arrays as they were posted, one a line", SendGrid, `[{"email":"ann@example.com","timestamp":1780300800,"event":"processed","sg_message_id":"abc.filter01.7"},{"email":"ann@example.com","timestamp":1780300801,"event":"delivered","sg_message_id":"abc.filter01.7"}]` + "\n" +
			`[{"email":"ann@example.com","timestamp":1780300900,"event":"open","sg_machine_open":true,"useragent":"Mozilla/5.0","ip":"192.0.2.1","sg_message_id":"abc.filter01.7"},{"email":"ann@example.com","timestamp":1780301000,"event":"click","url":"https://a.test/","sg_message_id":"abc.filter01.7"}]` + "\n" +
			`{"email":"eve@example.com","timestamp":1780300900,"event":"bounce","type":"blocked","status":"4.0.0"}` + "\n" + `{"email":"dan@example.com","timestamp":1780300900,"event":"spamreport"}`, []string{
			"1 sent 2026-06-01T08:00:00 ann@example.com of abc", "2 sent 2026-06-01T08:00:01 ann@example.com of abc delivered",
			"3 opened 2026-06-01T08:01:40 ann@example.com of abc by Mozilla/5.0 from 192.0.2.1 machine", "4 clicked 2026-06-01T08:03:20 ann@example.com of abc to https://a.test/",
			"5 bounced 2026-06-01T08:01:40 eve@example.com", "6 complained 2026-06-01T08:01:40 dan@example.com"}},
		{"SendGrid's events, one a line", SendGrid, `{"email":"eve@example.com","timestamp":"1780300900","event":"bounce","type":"blocked","status":"4.0.0"}` + "\n\n" + `{"email":"dan@example.com","timestamp":1780300900,"event":"spamreport"}` + "\n" + `{"email":"dan@example.com","timestamp":1780300900,"event":"deferred"}`, []string{
			"1 bounced 2026-06-01T08:01:40 eve@example.com", "3 complained 2026-06-01T08:01:40 dan@example.com", "4 skipped: deferred"}},
		{"SES as it is and wrapped by SNS", SES, `{"eventType":"Send","mail":{"timestamp":"2026-06-01T08:00:00.000Z","messageId":"s1","destination":["ann@example.com","bob@example.com"]},"send":{}}` + "\n" +
			`{"eventType":"Delivery","mail":{"messageId":"s1","destination":["ann@example.com"]},"delivery":{"timestamp":"2026-06-01T08:00:02.000Z","recipients":["ann@example.com"]}}` + "\n" +
			`{"Type":"Notification","Message":"{\"eventType\":\"Click\",\"mail\":{\"messageId\":\"s1\",\"destination\":[\"ann@example.com\"]},\"click\":{\"timestamp\":\"2026-06-01T09:00:00Z\",\"ipAddress\":\"192.0.2.1\",\"userAgent\":\"Firefox\",\"link\":\"https://a.test/\"}}"}` + "\n" +
			`{"notificationType":"Bounce","mail":{"messageId":"s1"},"bounce":{"bounceType":"Permanent","timestamp":"2026-06-01T09:00:00Z","bouncedRecipients":[{"emailAddress":"eve@example.com","status":"5.1.1"}]}}` + "\n" +
			`{"eventType":"Open","mail":{"destination":["a@example.com","b@example.com"]},"open":{"timestamp":"2026-06-01T09:00:00Z"}}` + "\n" + `{"eventType":"Reject","mail":{}}`, []string{
			"1 sent 2026-06-01T08:00:00 ann@example.com of s1", "1 sent 2026-06-01T08:00:00 bob@example.com of s1", "2 sent 2026-06-01T08:00:02 ann@example.com of s1 delivered",
			"3 clicked 2026-06-01T09:00:00 ann@example.com of s1 to https://a.test/ by Firefox from 192.0.2.1", "4 bounced 2026-06-01T09:00:00 eve@example.com of s1 hard",
			"5 skipped: a mail to several: nobody knows who it was", "6 skipped: Reject"}},
		{"SES's events put together without line ends", SES, `{"eventType":"Reject","mail":{}}{"eventType":"Complaint","mail":{"messageId":"s"},"complaint":{"timestamp":"2026-06-01T09:00:00Z","complainedRecipients":[{"emailAddress":"eve@example.com"}]}}{"eventType":"Reject"}`, []string{
			"1 skipped: Reject", "2 complained 2026-06-01T09:00:00 eve@example.com of s", "3 skipped: Reject"}},
		{"a file that breaks off", SES, `[{"eventType":"Reject","mail":{}}, {"eventType"`, []string{"1 skipped: Reject", "end: line 2: the JSON cannot be read: unexpected EOF: write one event a line, or an array of them"}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			got := readAll(tt.file, Options{Format: tt.format})
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// A packed file reads as the plain one, and what the file does not tell is as asked.
func TestReadPacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("time,event,email\n2026-06-01,sent,a@example.com\n"))
	z.Close()
	got := readAll(packed.String(), Options{Format: CSV, List: "news.example.com"})
	if len(got) != 1 || got[0] != "2 sent 2026-06-01T00:00:00 a@example.com list news.example.com" {
		t.Errorf("got %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(0, "time,event,email,url,ip\n2026-06-01,open,a@example.com,,\n\"x\n")
	f.Add(1, "event,created_at,email\nsent,2026-06-01,a@example.com")
	f.Add(2, "email_address,date_sent,date_read\na@example.com,2026-06-01,NULL")
	f.Add(3, `{"items":[{"event":"failed","recipient":"a@example.com","timestamp":1780300900}],"paging":{}}`)
	f.Add(4, `[{"email":"a@example.com","event":"bounce","timestamp":1780300900}]`)
	f.Add(5, `{"Type":"Notification","Message":"{}"}`)
	f.Fuzz(func(t *testing.T, format int, file string) {
		ended := false
		for row, err := range Read(strings.NewReader(file), Options{Format: Formats()[max(format, 0)%6], Now: today}) {
			var e *lists.Error
			switch {
			case ended:
				t.Fatal("something comes behind the end")
			case err != nil && !errors.As(err, &e):
				t.Fatalf("%v is no *lists.Error", err)
			case err != nil:
				if ended = e.Fatal; e.Remedy == "" {
					t.Errorf("%v has no remedy", err)
				}
			case row.Skipped == "":
				b := appendRow(nil, gateway.Key{}, &row)
				if r, err := parseRecord(b); err != nil || r.kind != row.Kind || !r.at.Equal(row.At) || r.address != row.Mailbox.String() {
					t.Fatalf("%+v became %+v, %v", row, r, err)
				}
			}
		}
	})
}

// BenchmarkRead reads events of each kind of file.
func BenchmarkRead(b *testing.B) {
	for format, line := range map[Format]string{
		CSV:      "2026-06-01T10:00:00Z,opened,reader%d@example.com,m1,," + browser + ",192.0.2.1\n",
		Mailgun:  `{"event":"opened","id":"x","timestamp":1780300900.5,"log-level":"info","recipient":"reader%d@example.com","ip":"192.0.2.1","geolocation":{"country":"DE","region":"BE","city":"Berlin"},"client-info":{"client-os":"Linux","device-type":"desktop","client-name":"Firefox","client-type":"browser","user-agent":"` + browser + `","bot":""},"message":{"headers":{"message-id":"20260601.1@example.com"}},"tags":["news"],"campaigns":[],"user-variables":{}}` + "\n",
		SendGrid: `{"email":"reader%d@example.com","event":"open","ip":"192.0.2.1","sg_content_type":"html","sg_event_id":"abc","sg_machine_open":false,"sg_message_id":"abc.filter01.7","timestamp":1780300900,"useragent":"` + browser + `"}` + "\n",
		SES:      `{"eventType":"Open","mail":{"timestamp":"2026-06-01T08:00:00.000Z","source":"news@example.com","sendingAccountId":"1","messageId":"0100","destination":["reader%d@example.com"],"headersTruncated":false,"headers":[{"name":"From","value":"news@example.com"},{"name":"To","value":"reader@example.com"},{"name":"Subject","value":"Spring"},{"name":"MIME-Version","value":"1.0"}],"commonHeaders":{"from":["news@example.com"],"to":["reader@example.com"],"subject":"Spring"},"tags":{"ses:configuration-set":["x"],"ses:source-ip":["192.0.2.1"]}},"open":{"ipAddress":"192.0.2.1","timestamp":"2026-06-01T10:00:00.000Z","userAgent":"` + browser + `"}}` + "\n",
	} {
		var file strings.Builder
		if format == CSV {
			file.WriteString(header)
		}
		for i := range 20_000 {
			fmt.Fprintf(&file, line, i)
		}
		b.Run(string(format), func(b *testing.B) {
			for b.Loop() {
				for _, err := range Read(strings.NewReader(file.String()), Options{Format: format, Now: today}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
