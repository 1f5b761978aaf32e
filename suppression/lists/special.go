package lists

import (
	"bytes"
	"time"

	"tidepost/suppression"
)

// BlockFor is how long a SendGrid block counts, from its date. Blocks come from
// the sender's reputation and from full or busy servers, not from the mailbox.
const BlockFor = 7 * 24 * time.Hour

const temporary = "a temporary failure"

// notTemporary leaves out bounces with a 4yz reply or a 4.y.z status.
func notTemporary(_ *decoder, c *cells, row *Row) *Error {
	for _, col := range [...]column{colStatus, colCode} {
		if b := c.value[col]; len(b) > 1 && b[0] == '4' {
			row.Skipped = temporary
		}
	}
	return nil
}

func block(_ *decoder, _ *cells, row *Row) *Error {
	row.Entry.Expires = row.Entry.Created.Add(BlockFor)
	return nil
}

// postmark tells the reader's own opt-out, which Postmark lists as a manual one.
func postmark(_ *decoder, c *cells, row *Row) *Error {
	if row.Entry.Reason == suppression.Manual && bytes.EqualFold(c.value[colOrigin], []byte("Recipient")) {
		row.Entry.Reason = suppression.Unsubscribe
	}
	return nil
}

// sparkpost goes by the source, of which six are documented. What an operator
// added for bulk alone must not stop a password reset, as reason manual would.
func sparkpost(d *decoder, c *cells, row *Row) *Error {
	d.word = fold(d.word[:0], c.value[colSource])
	switch string(d.word) {
	case "bouncerule":
		row.Entry.Reason = suppression.HardBounce
	case "spamcomplaint":
		row.Entry.Reason = suppression.Complaint
	case "listunsubscribe", "unsubscribelink":
		row.Entry.Reason = suppression.Unsubscribe
	case "compliance":
		row.Entry.Reason = suppression.Manual
	default:
		row.Entry.Reason = suppression.Unsubscribe
		d.word = fold(d.word[:0], c.value[colType])
		if string(d.word) == "transactional" || len(d.word) == 0 && bytes.EqualFold(c.value[colTransactional], []byte("true")) {
			row.Entry.Reason = suppression.Manual
		}
	}
	return nil
}

func telnyx(_ *decoder, c *cells, row *Row) *Error {
	if s := c.value[colStatus]; len(s) > 0 && !bytes.EqualFold(s, []byte("active")) {
		row.Skipped = "its status is not active"
	}
	return nil
}

// listmonk's export has all subscribers. It blocklists after bounces, complaints
// and opt-outs alike and does not say which; opt-out is what all of them are at
// least.
func listmonk(d *decoder, c *cells, row *Row) *Error {
	listed := bytes.EqualFold(c.value[colStatus], []byte("blocklisted")) ||
		bytes.EqualFold(c.value[colStatus], []byte("unsubscribed")) ||
		bytes.EqualFold(c.value[colSubscription], []byte("unsubscribed"))
	if !listed {
		row.Skipped = "the subscriber is not blocklisted"
		return nil
	}
	// created_at is when they subscribed; the last change comes closer to the opt-out.
	if b := c.value[colUpdated]; len(b) > 0 {
		t, ok := d.clock.read(b)
		if !ok {
			return c.bad(colUpdated, "the date "+show(string(b))+" cannot be read", whenRemedy)
		}
		row.Entry.Created = t
	}
	return orElse(d, row, suppression.Unsubscribe)
}

func cloudflare(d *decoder, c *cells, row *Row) *Error {
	if bytes.EqualFold(c.value[colScope], []byte("account")) {
		c.value[colScope] = nil
	}
	return orElse(d, row, suppression.Manual)
}

func given(d *decoder, _ *cells, row *Row) *Error {
	row.Entry.Reason = d.opt.Reason
	return nil
}

// orElse sets the reason that was asked for, or another.
func orElse(d *decoder, row *Row, reason suppression.Reason) *Error {
	if row.Entry.Reason = d.opt.Reason; row.Entry.Reason == "" {
		row.Entry.Reason = reason
	}
	return nil
}
