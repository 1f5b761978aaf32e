package lists

import (
	"fmt"
	"slices"
	"strings"

	"tidepost/suppression"
)

// Format names one shape of list. The empty one is recognised by its header.
type Format string

// The formats.
const (
	Tidepost          Format = "tidepost"
	SendGridBounces   Format = "sendgrid-bounces"
	SendGridBlocks    Format = "sendgrid-blocks"
	SendGridSpam      Format = "sendgrid-spam"
	SendGridInvalid   Format = "sendgrid-invalid"
	SendGridUnsubs    Format = "sendgrid-unsubscribes"
	SendGridGroups    Format = "sendgrid-groups"
	MailgunBounces    Format = "mailgun-bounces"
	MailgunUnsubs     Format = "mailgun-unsubscribes"
	MailgunComplaints Format = "mailgun-complaints"
	SES               Format = "ses"
	Postmark          Format = "postmark"
	SparkPost         Format = "sparkpost"
	Listmonk          Format = "listmonk"
	Cloudflare        Format = "cloudflare"
	Telnyx            Format = "telnyx"
	Resend            Format = "resend"
	Hashed            Format = "hashed"
	Plain             Format = "plain"
)

// Where a shape is known from.
const (
	fromDocs   = "its documentation"
	fromCode   = "its source"
	fromMemory = "memory"
)

// Shape is one list that Read recognises.
type Shape struct {
	Format  Format
	Service string // and which of its lists
	Header  string // the columns as the service writes them; also their order in a file without header
	Becomes string // what its lines become
	Known   string // where the shape is known from: its documentation, its source, memory
}

// shape is a Shape and how it is told and read.
type shape struct {
	Shape
	need   []string // columns it is told by; a|b is either
	may    []string // further columns it may have
	strict bool     // no other columns, known or not: the header alone says what the lines mean
	twin   Format   // another format with the same header

	reason suppression.Reason            // of every line, if it has one
	said   map[string]suppression.Reason // or by the word
	in     column                        // in this column
	hint   []column                      // become the evidence
	narrow []column                      // name a narrower scope: the note
	special
}

// special is what a table cannot say: it may set the reason, the expiry and
// Skipped, or find fault.
type special func(d *decoder, c *cells, row *Row) *Error

// shapes in the order in which they are tried.
var shapes = []shape{
	{Shape: Shape{Tidepost, "Tidepost export", "address,scope,reason,source,evidence,note,created,expires,removed", "the same entry", fromCode},
		need: []string{"address", "reason"}},
	{Shape: Shape{Postmark, "Postmark suppression dump", "EmailAddress,SuppressionReason,Origin,CreatedAt", "HardBounce hard_bounce; SpamComplaint complaint; ManualSuppression unsubscribe if the origin is Recipient, else manual", fromDocs},
		need: []string{"emailaddress", "suppressionreason"}, in: colReason, hint: []column{colReason, colOrigin}, special: postmark,
		said: words("hardbounce", suppression.HardBounce, "spamcomplaint", suppression.Complaint, "manualsuppression", suppression.Manual)},
	{Shape: Shape{SES, "Amazon SES account suppression list", "EmailAddress,Reason,LastUpdateTime", "BOUNCE hard_bounce; COMPLAINT complaint", fromDocs},
		need: []string{"emailaddress", "reason"}, in: colReason, hint: []column{colReason},
		said: words("bounce", suppression.HardBounce, "complaint", suppression.Complaint)},
	{Shape: Shape{SparkPost, "SparkPost suppression list", "recipient,type,source,description,created", "by source: Bounce Rule hard_bounce; Spam Complaint complaint; List Unsubscribe, Unsubscribe Link unsubscribe; Compliance manual; Manually Added and others manual if transactional, else unsubscribe", fromDocs},
		need: []string{"recipient", "type|nontransactional|transactional"}, hint: []column{colSource, colDescription}, narrow: []column{colListID}, special: sparkpost},
	{Shape: Shape{Telnyx, "Telnyx suppression export", "id,to,from,reason,source,scope,status,domain_id,created_at,updated_at,expires_at,group_id", "hard_bounce; spam_complaint complaint; invalid; unsubscribe; manual_block manual; what is not active is left out", fromDocs},
		need: []string{"to", "reason"}, in: colReason, hint: []column{colReason, colSource}, narrow: []column{colGroup}, special: telnyx,
		said: words("hardbounce", suppression.HardBounce, "spamcomplaint", suppression.Complaint, "invalid", suppression.Invalid, "unsubscribe", suppression.Unsubscribe, "manualblock", suppression.Manual, "manual", suppression.Manual)},
	{Shape: Shape{Resend, "Resend suppression list", "id,email,origin,source_id,created_at", "bounce hard_bounce; complaint; manual", fromDocs + "; of the CSV file: " + fromMemory},
		need: []string{"email", "origin"}, in: colOrigin, hint: []column{colOrigin},
		said: words("bounce", suppression.HardBounce, "complaint", suppression.Complaint, "manual", suppression.Manual)},
	{Shape: Shape{MailgunBounces, "Mailgun bounces", "address,code,error,created_at", "hard_bounce (Mailgun never lists soft ones); a code 4yz is left out", fromDocs},
		need: []string{"address", "code|error"}, may: []string{"createdat", "messagehash"}, strict: true, reason: suppression.HardBounce, hint: []column{colCode, colError}, special: notTemporary},
	{Shape: Shape{MailgunUnsubs, "Mailgun unsubscribes", "address,tags,created_at", "unsubscribe, tags in the note", fromDocs},
		need: []string{"address", "tags|tag"}, may: []string{"createdat", "id"}, strict: true, reason: suppression.Unsubscribe, narrow: []column{colTags}},
	{Shape: Shape{MailgunComplaints, "Mailgun complaints", "address,created_at", "complaint", fromDocs},
		need: []string{"address", "createdat"}, may: []string{"count"}, strict: true, reason: suppression.Complaint},
	{Shape: Shape{SendGridBounces, "SendGrid bounces", "status,reason,email,created", "hard_bounce; a status 4.y.z is left out", fromMemory},
		need: []string{"email", "status", "reason", "created"}, strict: true, twin: SendGridBlocks, reason: suppression.HardBounce, hint: []column{colStatus, colReason}, special: notTemporary},
	{Shape: Shape{SendGridBlocks, "SendGrid blocks", "status,reason,email,created", "soft_bounce, for 7 days from the block", fromMemory},
		need: []string{"email", "status", "reason", "created"}, strict: true, twin: SendGridBounces, reason: suppression.SoftBounce, hint: []column{colStatus, colReason}, special: block},
	{Shape: Shape{SendGridSpam, "SendGrid spam reports", "ip,email,created", "complaint", fromMemory},
		need: []string{"email", "ip", "created"}, strict: true, reason: suppression.Complaint, hint: []column{colIP}},
	{Shape: Shape{SendGridInvalid, "SendGrid invalid emails", "reason,email,created", "invalid", fromMemory},
		need: []string{"email", "reason", "created"}, strict: true, reason: suppression.Invalid, hint: []column{colReason}},
	{Shape: Shape{SendGridGroups, "SendGrid group unsubscribes", "group_name,email,created", "unsubscribe, the group in the note", fromMemory},
		need: []string{"email", "groupname|groupid"}, may: []string{"created", "createdat", "groupid"}, strict: true, reason: suppression.Unsubscribe, narrow: []column{colGroup}},
	{Shape: Shape{SendGridUnsubs, "SendGrid global unsubscribes", "email,created", "unsubscribe", fromMemory},
		need: []string{"email", "created"}, strict: true, reason: suppression.Unsubscribe},
	{Shape: Shape{Listmonk, "listmonk subscriber export", "uuid,email,name,attributes,status,created_at,updated_at", "blocklisted unsubscribe, unless another reason is given; a subscription_status unsubscribed the same; others are left out", fromCode},
		need: []string{"email", "status|subscriptionstatus", "uuid|attributes|attribs|name|subscriptionstatus"}, hint: []column{colStatus, colSubscription}, special: listmonk},
	{Shape: Shape{Cloudflare, "Cloudflare suppressions", "email,expiry,scope", "the reason given, else manual; the scope in the note", fromDocs + "; of the JSON file: " + fromMemory},
		need: []string{"email", "expiry|expires|expiresat"}, narrow: []column{colScope}, special: cloudflare},
	{Shape: Shape{Hashed, "hashed list, SHA-256 or MD5", "sha256", "the reason given, for whoever's address has this hash", fromMemory},
		need: []string{"sha256|md5|hash|emailsha256|emailmd5|emailhash|hashedemail|sha256email|md5email|emailaddresssha256|emailaddressmd5"}, special: given},
	{Shape: Shape{Plain, "one address a line", "email", "the reason given", fromMemory},
		need: []string{"email|address|emailaddress|recipient"}, strict: true, special: given},
}

func words(pairs ...any) map[string]suppression.Reason {
	m := map[string]suppression.Reason{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1].(suppression.Reason)
	}
	return m
}

// Shapes is every list that Read knows, in the order in which headers are compared.
func Shapes() []Shape {
	all := make([]Shape, len(shapes))
	for i := range shapes {
		all[i] = shapes[i].Shape
	}
	return all
}

func shapeOf(f Format) *shape {
	for i := range shapes {
		if shapes[i].Format == f {
			return &shapes[i]
		}
	}
	return nil
}

// matches reports whether the header, its names folded, is of the shape.
func (s *shape) matches(header []string) bool {
	has := func(name string) bool { return slices.Contains(header, name) }
	known := slices.Clone(s.may)
	for _, either := range s.need {
		names := strings.Split(either, "|")
		if !slices.ContainsFunc(names, has) {
			return false
		}
		known = append(known, names...)
	}
	if !s.strict {
		return true
	}
	return !slices.ContainsFunc(header, func(name string) bool { return name != "" && !slices.Contains(known, name) })
}

// recognise finds the shape of a header.
func recognise(header []string) (*shape, *Error) {
	for i := range shapes {
		s := &shapes[i]
		if !s.matches(header) {
			continue
		}
		if s.twin != "" {
			return nil, &Error{Problem: fmt.Sprintf("this is the header of %s and of %s alike", s.Service, shapeOf(s.twin).Service),
				Remedy: fmt.Sprintf("say which it is: format %s or %s", s.Format, s.twin), Fatal: true}
		}
		return s, nil
	}
	return nil, &Error{Problem: fmt.Sprintf("the header %s is of no list known here", show(strings.Join(header, ","))),
		Remedy: "name the format, one of " + formatNames() + "; or keep only the column with the addresses", Fatal: true}
}

func formatNames() string {
	names := make([]string, len(shapes))
	for i := range shapes {
		names[i] = string(shapes[i].Format)
	}
	return strings.Join(names, ", ")
}
