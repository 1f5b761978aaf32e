package bounce

import "testing"

// Ordinary mail that has the words of bounces is no report.
func TestOrdinaryMail(t *testing.T) {
	for _, tt := range []struct{ story, mail string }{
		{"a parcel service", "From: Parcels <info@parcels.test>\nSubject: Your parcel could not be delivered\n\nWe were unable to deliver your parcel to ann@example.test.\nDelivery failed: nobody at home. It is returned to sender after 7 days.\n"},
		{"a newsletter about mail", "From: News <news@mailnews.test>\nList-Id: <news.mailnews.test>\nSubject: Why mailboxes are full\nPrecedence: bulk\n\nMailbox full, quota exceeded, user unknown: what bounces tell you.\nWrite to editor@mailnews.test.\n"},
		{"a provider warns its customer", "From: Support <support@provider.test>\nSubject: Your mailbox quota\n\nYour mailbox ann@provider.test is almost full. Over quota mail is rejected.\n"},
		{"a question to the postmaster's colleague", "From: Bob <bob@example.test>\nTo: postmaster@example.test\nSubject: Re: undelivered mail\nIn-Reply-To: <1@example.test>\n\nHello,\nthe message to <carol@far.test> was not delivered:\n550 5.1.1 <carol@far.test>: user unknown\nCan you help?\n"},
		{"someone forwards a bounce inline", "From: Ann <ann@example.test>\nTo: help@example.test\nSubject: Fwd: failure notice\n\nWhat is this?\n\n> Hi. This is the qmail-send program.\n> <dave@far.test>:\n> Sorry, no mailbox here by that name. (#5.1.1)\n"},
		{"a reply", "From: Ann <ann@example.test>\nSubject: Re: The next issue\nIn-Reply-To: <2@sender.test>\n\nThanks! I am out of office on Monday.\n"},
		{"a reply to an automatic reply", "From: Ann <ann@example.test>\nSubject: Re: Automatic reply: The next issue\nIn-Reply-To: <3@sender.test>\n\nEnjoy it.\n"},
		{"an order that the system sends", "From: Shop <no-reply@shop.test>\nAuto-Submitted: auto-generated\nSubject: Order 550 5521 has shipped\n\nYour order to ann@example.test has been delivered to the carrier.\n"},
		{"a status page", "From: Status <status@host.test>\nSubject: Delivery delayed in region 4\n\nMessages may be deferred with 421 4.7.0 try again later. We will retry.\n"},
		{"HTML with a price list", "From: Offers <o@offers.test>\nSubject: 552 offers\nContent-Type: text/html\n\n<p>No such price anywhere! Mail <a href=\"mailto:o@offers.test\">o@offers.test</a></p>\n"},
		{"an invitation with a calendar", "From: Cal <cal@example.test>\nSubject: Invitation\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nPlease come.\n--b\nContent-Type: text/calendar\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n--b--\n"},
		{"a read receipt", "From: Ann <ann@example.test>\nSubject: Read: The next issue\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\nContent-Type: text/plain\n\nYour message was displayed.\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; ann@example.test\nDisposition: manual-action/MDN-sent-manually; displayed\n--b--\n"},
		{"a forwarded mail", "From: Ann <ann@example.test>\nSubject: Fwd: hello\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nlook\n--b\nContent-Type: message/rfc822\n\nFrom: Bob <bob@example.test>\nTo: ann@example.test\nSubject: hello\n\nhello\n--b--\n"},
		{"nothing", ""},
	} {
		t.Run(tt.story, func(t *testing.T) {
			if m := Parse([]byte(tt.mail)); len(m.Reports) > 0 {
				t.Errorf("taken for a report: %+v", m.Reports)
			}
		})
	}
}
