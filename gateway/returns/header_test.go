package returns

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// All that a report tells of its mail is asked for, with whose return path it came to.
func TestClue(t *testing.T) {
	id := gateway.ID{1, 2, 3}
	mail := crlf(`From: MAILER-DAEMON@mx.dest.test
Message-ID: <bounce@mx.dest.test>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

sorry
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.dest.test
X-Postfix-Queue-ID: 4XyZ12abcd
Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; ann@dest.test
Action: failed
Status: 5.1.1

--b
Content-Type: text/rfc822-headers

Return-Path: <b-bob@back.test>
Received: from tidepost.esp.test by mx.dest.test with ESMTP id 4XyZ12abcd; Sun, 22 Nov 2026 10:00:00 +0000
Received: from client by tidepost.esp.test with ESMTP id ` + id.String() + `; Sun, 22 Nov 2026 09:59:59 +0000
Message-ID: <news-7@esp.test>

--b--
`)
	want := gateway.Clue{ReturnPath: "b-bob@back.test", QueueIDs: []string{"4XyZ12abcd", id.String()}, Message: id, MessageIDs: []string{"news-7@esp.test"},
		Recipient: "ann@dest.test", At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	d, o := newDesk(t)
	for _, to := range []string{"bounces@back.test", "b-ann@back.test"} {
		if _, err := d.Take(t.Context(), &Mail{To: []string{to}, Content: mail}); err != nil {
			t.Fatal(err)
		}
		o.clue.At = o.clue.At.UTC()
		if !reflect.DeepEqual(o.clue, want) {
			t.Errorf("to %s: asked for %+v, want %+v", to, o.clue, want)
		}
		want.Delivery, want.Tenant = o.id, "acme" // sealed in the second
	}
}

// Where a mail was forwarded, and bounced there, the address that it was sent to is meant.
func TestForwarded(t *testing.T) {
	for _, tt := range []struct {
		final, original string
		found           bool
	}{
		{"ann@elsewhere.test", "ann@dest.test", true},
		{"ann@dest.test", "list@dest.test", true},
		{"ann@elsewhere.test", "eve@dest.test", false},
	} {
		d, o := newDesk(t)
		o.weak = true
		mail := strings.Replace(string(dsn("m@mx", tt.final, "failed", "5.1.1", "550 no", "x@esp.test")),
			"Final-Recipient:", "Original-Recipient: rfc822; "+tt.original+"\r\nFinal-Recipient:", 1)
		r, err := d.Take(t.Context(), &Mail{To: []string{"bounces@back.test"}, Content: []byte(mail)})
		if err != nil || r.Unmatched == tt.found || len(o.heard) > 0 != tt.found {
			t.Errorf("%+v: %+v, %v", tt, r, err)
		}
	}
}

// A complaint about nothing that we know is kept for a person.
func TestUnknownComplaint(t *testing.T) {
	d, _ := newDesk(t)
	r, err := d.Take(t.Context(), &Mail{To: []string{"fbl@back.test"}, Content: crlf(complaint)})
	if err != nil || !r.Unmatched || r.Kept == "" {
		t.Errorf("%+v, %v", r, err)
	}
}
