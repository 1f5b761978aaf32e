package outbound

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"tidepost/gateway"
)

func readReply(s string) (*reply, error) {
	r := &reply{}
	return r, r.read(bufio.NewReaderSize(strings.NewReader(s), 4<<10))
}

func TestReply(t *testing.T) {
	for _, row := range []struct {
		name, in, want, text string
	}{
		{"plain", "250 ok\r\n", "delivered 250", "ok"},
		{"status", "250 2.6.0 queued as 7\r\n", "delivered 250 2.6.0", "queued as 7"},
		{"code alone", "250\r\n", "delivered 250", ""},
		{"code and space", "250 \r\n", "delivered 250", ""},
		{"bare LF ends a line too", "250 ok\n", "delivered 250", "ok"},
		{"several lines", "550-5.7.1 no\r\n550-5.7.1 see\r\n550 5.7.1 https://x.test\r\n", "failed 550 5.7.1", "no see https://x.test"},
		{"status on the last line", "451-wait\r\n451 4.3.0 later\r\n", "deferred 451 4.3.0", "wait later"},
		{"status of another class is text", "550 4.7.1 hm\r\n", "failed 550", "4.7.1 hm"},
		{"status without text", "250 2.0.0\r\n", "delivered 250 2.0.0", ""},
		{"no status", "550 5.7.1.2 x\r\n", "failed 550", "5.7.1.2 x"},
		{"status of four digits", "450 4.7.1234 x\r\n", "deferred 450", "4.7.1234 x"},
		{"codes differ, the last counts", "250-fine\r\n550 no\r\n", "failed 550", "fine no"},
		{"mailbox full", "552 5.2.2 over quota\r\n", "failed 552 5.2.2", "over quota"},
		{"goodbye", "421 4.4.2 idle\r\n", "deferred 421 4.4.2 busy", "idle"},
		{"too many connections", "450 4.7.0 Too many connections from you\r\n", "deferred 450 4.7.0 busy", "Too many connections from you"},
		{"rate limited", "451 4.7.28 slow down\r\n", "deferred 451 4.7.28 busy", "slow down"},
		{"greylisted is about the message", "450 4.7.1 Greylisted, too many connections of new senders\r\n", "deferred 450 4.7.1", "Greylisted, too many connections of new senders"},
		{"a mailbox that gets too much", "450 4.2.1 The user is receiving mail at a rate that is rate limited\r\n", "deferred 450 4.2.1", "The user is receiving mail at a rate that is rate limited"},
		{"354 at the end", "354 more\r\n", "deferred 354", "unexpected reply: more"},
		{"control characters", "550 a\rb\x1b[31mc\x00d\te\r\n", "failed 550", `a\x0db\x1b[31mc\x00d\x09e`},
		{"bidi and what is not UTF-8", "550 a\u202eb\xffc é\r\n", "failed 550", `a\u202eb\xffc é`},
		{"HTML stays", "550 <b>no</b>\r\n", "failed 550", "<b>no</b>"},
	} {
		r, err := readReply(row.in)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		o := r.final("host")
		if got := kinds([]gateway.Outcome{o}); got != row.want || o.Text != row.text {
			t.Errorf("%s: %s %q, want %s %q", row.name, got, o.Text, row.want, row.text)
		}
	}
}

func TestReplyBounds(t *testing.T) {
	long := strings.Repeat("x", 30_000)
	for _, row := range []struct {
		name, in string
		err      error
	}{
		{"no code", "hello there\r\n", errReplyMalformed},
		{"code of two digits", "25 ok\r\n", errReplyMalformed},
		{"1xx", "150 ok\r\n", errReplyMalformed},
		{"6xx", "650 ok\r\n", errReplyMalformed},
		{"no separator", "250ok\r\n", errReplyMalformed},
		{"empty line", "\r\n", errReplyMalformed},
		{"101 lines", strings.Repeat("250-x\r\n", 100) + "250 x\r\n", errReplyTooLong},
		{"100 lines", strings.Repeat("250-x\r\n", 99) + "250 x\r\n", nil},
		{"30 KB line", "250 " + long + "\r\n", nil},
		{"100 KB line", "250 " + long + long + long + long + "\r\n", errReplyTooLong},
		{"100 KB of 1 KB lines", strings.Repeat("250-"+long[:1000]+"\r\n", 99) + "250 x\r\n", errReplyTooLong},
		{"cut short", "250 o", io.EOF},
		{"cut between lines", "250-o\r\n", io.EOF},
		{"nothing", "", io.EOF},
	} {
		r, err := readReply(row.in)
		if !errors.Is(err, row.err) {
			t.Errorf("%s: %v, want %v", row.name, err, row.err)
		}
		if len(r.text) > maxReplyBytes || len(r.cut) > maxReplyLine {
			t.Errorf("%s: %d and %d bytes kept", row.name, len(r.text), len(r.cut))
		}
	}
}

func TestReplyOutOfPlace(t *testing.T) {
	for _, row := range []struct {
		name string
		in   string
		of   func(*reply) gateway.Outcome
		want string
	}{
		{"2xx to MAIL is no delivery", "251 ok", func(r *reply) gateway.Outcome { return r.refusal("h") }, "deferred 251"},
		{"552 after others were taken", "552 too many", func(r *reply) gateway.Outcome { return r.rcptRefusal("h", 3) }, "deferred 552"},
		{"552 to the first", "552 too many", func(r *reply) gateway.Outcome { return r.rcptRefusal("h", 0) }, "failed 552"},
		{"552 5.2.2 after others", "552 5.2.2 full", func(r *reply) gateway.Outcome { return r.rcptRefusal("h", 3) }, "failed 552 5.2.2"},
		{"421 on an old connection", "421 4.4.2 idle", func(r *reply) gateway.Outcome { return r.stale("h") }, "unsent 421 4.4.2"},
		{"421 with a reason", "421 4.7.0 slow", func(r *reply) gateway.Outcome { return r.stale("h") }, "unsent 421 4.7.0 busy"},
		{"554 greeting", "554 go away", func(r *reply) gateway.Outcome { return *r.unsent("h", "greeting") }, "unsent 554"},
	} {
		r, err := readReply(row.in + "\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := kinds([]gateway.Outcome{row.of(r)}); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 2.0.0 b\r\n", "550-5.7.1 a\n550 5.7.1 \x1b\xff\u202e\n", "421", "354 \r\r\n",
		strings.Repeat("250-x\r\n", 120), "250 " + strings.Repeat("é", 3000) + "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := readReply(in)
		if err != nil {
			return
		}
		o := r.final("host")
		if o.Code < 200 || o.Code > 599 {
			t.Errorf("code %d", o.Code)
		}
		if len(o.Text) > maxText || !utf8.ValidString(o.Text) || strings.ContainsFunc(o.Text, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("text %q", o.Text)
		}
		if o.Status != "" && !strings.HasPrefix(o.Status, fmt.Sprint(o.Code/100)+".") {
			t.Errorf("status %q of code %d", o.Status, o.Code)
		}
		if (o.Kind == gateway.OutcomeDelivered) != (o.Code/100 == 2) || (o.Kind == gateway.OutcomeFailed) != (o.Code/100 == 5) {
			t.Errorf("kind %d of code %d", o.Kind, o.Code)
		}
		parseFeatures(r)
	})
}
