package returns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// Gateway is what a Desk tells. *gateway.Gateway is one.
type Gateway interface {
	Match(ctx context.Context, c *gateway.Clue) (gateway.Match, error)
	Learn(ctx context.Context, s gateway.Signal) (news bool, err error)
	PassOn(ctx context.Context, r *gateway.ReturnedMail) (passed bool, err error)
	SourceOf(n uint32) (tenant, list string, ok bool)
}

// Desk takes mail that came back. Its fields are set before it is used.
type Desk struct {
	Gateway Gateway
	Domain  func() string      // of our return paths; "": there are none
	Path    gateway.ReturnPath // nil: there are none

	// Told reports whether a webhook of the tenant tells its ESP of events of a kind,
	// so that the mail about it need not be passed on; nil: none does.
	Told func(tenant string, kind gateway.EventKind) bool

	Shelf *Shelf           // of what cannot be matched; nil: it is not kept
	Log   *slog.Logger     // nil: slog.Default
	Now   func() time.Time // nil: time.Now

	Metrics Metrics

	reading chan struct{}                  // set by NewDesk
	parse   func(mail []byte) *bounce.Mail // the same
}

// Metrics count what came back; they only grow.
type Metrics struct {
	Mails     atomic.Int64
	Reports   atomic.Int64 // bounces and complaints that were matched
	Unmatched atomic.Int64 // mails that report on something that we do not know
	Silent    atomic.Int64 // mails that report nothing: answers of machines, delays, other mail
	PassedOn  atomic.Int64
	Refused   atomic.Int64 // recipients that are no addresses of ours
}

// readers is how many mails are read at a time: each may take a second of a core.
const readers = 2

// NewDesk returns a desk without gateway.
func NewDesk() *Desk { return &Desk{reading: make(chan struct{}, readers), parse: bounce.Parse} }

// Mail is a mail that came back.
type Mail struct {
	To           []string // addresses that it came to; none: an admin brought it
	Content      []byte
	Client, Helo string // who brought it
	Trusted      bool   // an admin brought it: what it says of an address alone is believed
}

// Result says what became of a mail.
type Result struct {
	Reports   []Said `json:"reports"`
	Unmatched bool   `json:"unmatched"`      // some report is about no mail that we know
	Kept      string `json:"kept,omitempty"` // the id under which it is kept then
	PassedOn  bool   `json:"passed_on"`      // to the envelope sender that its client used

	missed int // reports for whose mail was searched in vain
}

// mostMissed is how many reports of a mail from the wire may be about nothing that we
// know before the rest is taken for the same: each costs a search by all that it names.
const mostMissed = 20

// Said is what one report was taken for.
type Said struct {
	Record    int               `json:"record"` // from 1
	Recipient string            `json:"recipient"`
	Status    string            `json:"status,omitempty"`
	Group     bounce.Group      `json:"group"`
	Hard      bool              `json:"hard_bounce"`
	Match     gateway.MatchedBy `json:"match,omitempty"` // "": not matched
	Delivery  string            `json:"delivery,omitempty"`
	Tenant    string            `json:"tenant,omitempty"`
	Signal    string            `json:"signal,omitempty"` // what it was told as; "": it tells nothing
	News      bool              `json:"news"`             // it was not known
}

// plain are the addresses that are ours beside the sealed ones: for feedback loops
// that want one address for all, and what RFC 5321 §4.5.1 and RFC 2142 ask for.
var plain = []string{"postmaster", "abuse", "fbl", "complaints", "bounces"}

// Recipient says whether mail to an address is taken, as intake asks; the error is a
// *gateway.Reply.
func (d *Desk) Recipient(_ context.Context, address string) error {
	local, domain, found := cutAddress(address)
	if !found && strings.EqualFold(address, "postmaster") {
		return nil
	}
	if found && d.ours(domain) {
		if _, _, ok := d.open(address); ok {
			return nil
		}
		for _, name := range plain {
			if strings.EqualFold(local, name) {
				return nil
			}
		}
	}
	d.Metrics.Refused.Add(1)
	if !found || !d.ours(domain) {
		return &gateway.Reply{Code: 550, Status: "5.7.1", Text: "this server takes reports about its own mail only"}
	}
	return &gateway.Reply{Code: 550, Status: "5.1.1", Text: "no such address here"}
}

func (d *Desk) ours(domain string) bool {
	return d.Domain != nil && d.Domain() != "" && strings.EqualFold(domain, d.Domain())
}

func (d *Desk) open(address string) (id gateway.DeliveryID, source uint32, ok bool) {
	if d.Path == nil {
		return id, 0, false
	}
	return d.Path.Open(address)
}

func cutAddress(address string) (local, domain string, found bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, "", false
	}
	return address[:at], address[at+1:], true
}

// Take does what a mail says: it returns when that is durable. An error says that it
// should be brought again.
func (d *Desk) Take(ctx context.Context, in *Mail) (*Result, error) {
	if !in.Trusted && hops(in.Content) > maxHops {
		return nil, &gateway.Reply{Code: 554, Status: "5.4.6", Text: fmt.Sprintf("mail loop: more than %d Received fields", maxHops)}
	}
	mail, err := d.read(ctx, in.Content)
	if err != nil {
		return nil, err
	}
	d.Metrics.Mails.Add(1)
	result := &Result{Reports: []Said{}}
	if mail == nil {
		mail, result.Unmatched = &bounce.Mail{}, true
	} else if len(mail.Reports) == 0 {
		d.Metrics.Silent.Add(1)
	}
	for _, path := range d.paths(in.To) {
		v := &visit{Desk: d, in: in, mail: mail, id: identity(in.Content, mail), result: result, path: path}
		if err := v.take(ctx); err != nil {
			return nil, err
		}
	}
	if result.Unmatched {
		d.Metrics.Unmatched.Add(1)
	}
	if result.Unmatched || d.isLetter(in, mail) {
		d.keep(in, result)
	}
	return result, nil
}

// isLetter reports whether a mail is none that came back: what people write to
// postmaster or abuse is for a person to read.
func (d *Desk) isLetter(in *Mail, mail *bounce.Mail) bool {
	return len(mail.Reports) == 0 && !in.Trusted && !slices.ContainsFunc(in.To, func(address string) bool {
		_, _, ours := d.open(address)
		return ours
	})
}

// read reads a mail when it is its turn. Anybody may send one: should it find a fault in
// the reader, the mail is kept for a person, and the gateway goes on. nil is such a mail.
func (d *Desk) read(ctx context.Context, content []byte) (mail *bounce.Mail, err error) {
	select {
	case d.reading <- struct{}{}:
		defer func() { <-d.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		if fault := recover(); fault != nil {
			d.log().Error("a mail that came back could not be read; please report it with the mail", "error", fault)
			mail = nil
		}
	}()
	return d.parse(content), nil
}

// path is a return path of ours that a mail came to; the zero one: none.
type path struct {
	address string
	to      gateway.DeliveryID
	tenant  string
}

// paths are the return paths among addresses: nearly always one, for that is what they
// are for.
func (d *Desk) paths(addresses []string) []path {
	var all []path
	for _, address := range addresses {
		id, source, ok := d.open(address)
		if !ok || slices.ContainsFunc(all, func(p path) bool { return p.to == id }) {
			continue
		}
		tenant, _, _ := d.Gateway.SourceOf(source)
		all = append(all, path{address, id, tenant})
	}
	if len(all) == 0 {
		return []path{{}}
	}
	return all
}

// visit is one mail at the desk.
type visit struct {
	*Desk
	in *Mail
	path
	mail   *bounce.Mail
	id     string             // the same for the same mail
	about  gateway.DeliveryID // that its reports are about, else that of its return path
	told   []told
	result *Result
}

// told is what was told of which mail.
type told struct {
	match gateway.Match
	kind  gateway.SignalKind
	soft  bool
}

// take tells all reports, and passes the mail on.
func (v *visit) take(ctx context.Context) error {
	v.about = v.to
	for i := range v.mail.Reports {
		if err := v.tell(ctx, i); err != nil {
			return err
		}
	}
	return v.passOn(ctx)
}

// tell finds what a report is about and tells it.
func (v *visit) tell(ctx context.Context, i int) error {
	r := &v.mail.Reports[i]
	said := Said{Record: i + 1, Recipient: r.Recipient, Status: r.Status, Group: r.Group, Hard: r.Hard}
	defer func() { v.result.Reports = append(v.result.Reports, said) }()
	m, err := gateway.Match{}, gateway.ErrNoMatch
	if v.in.Trusted || v.result.missed < mostMissed {
		m, err = v.match(ctx, r)
	}
	if errors.Is(err, gateway.ErrNoMatch) {
		v.result.missed++
		// An answer of a machine, or a success, need not be ours to be understood.
		v.result.Unmatched = v.result.Unmatched || r.Group != bounce.NotABounce || r.Action == "complaint"
		return nil
	}
	if err != nil {
		return err
	}
	said.Match, said.Tenant = m.By, m.Tenant
	if !m.Delivery.Message.IsZero() {
		said.Delivery, v.about = m.Delivery.String(), m.Delivery
	}
	s, ok := m.SignalOf(r)
	s.ID, s.Source = fmt.Sprintf("mail:%s/%d", v.id, i+1), "mail"
	if ok && !m.Sure() && !v.in.Trusted {
		ok = v.doubt(&s)
	}
	if !ok {
		return nil
	}
	said.Signal = string(s.Kind)
	this := told{m, s.Kind, s.Soft}
	if slices.Contains(v.told, this) {
		return nil // an alias of many members, say: it is one mail that came back
	}
	v.told = append(v.told, this)
	said.News, err = v.Gateway.Learn(ctx, s)
	if err == nil {
		v.Metrics.Reports.Add(1)
	}
	return err
}

// doubtful is the time in which what anybody could have written counts once for a
// mailbox, however often they write it.
const doubtful = 30 * 24 * time.Hour

// doubt weakens what anybody could have written.
func (v *visit) doubt(s *gateway.Signal) (ok bool) {
	if s.Kind != gateway.SignalBounced {
		v.result.Unmatched = true
		return false
	}
	s.Soft, s.ID = true, fmt.Sprintf("doubt:%d", v.now().Unix()/int64(doubtful/time.Second))
	return true
}

// match asks for the mail that a report is about.
func (v *visit) match(ctx context.Context, r *bounce.Report) (gateway.Match, error) {
	o := &v.mail.Original
	c := gateway.Clue{Delivery: v.to, Tenant: v.tenant, ReturnPath: o.ReturnPath, QueueIDs: o.QueueIDs, At: o.Sent, Recipient: r.Recipient}
	if o.MessageID != "" {
		c.MessageIDs = []string{o.MessageID}
	}
	c.Message = ownID(o.Received)
	m, err := v.Gateway.Match(ctx, &c)
	if errors.Is(err, gateway.ErrNoMatch) && r.Intended != "" { // it was forwarded: we know the first address
		c.Recipient = r.Intended
		return v.Gateway.Match(ctx, &c)
	}
	return m, err
}

// passOn gives the mail to the envelope sender that its client used, unless all that it
// says is told by a webhook. What an admin brings comes from the ESP already.
func (v *visit) passOn(ctx context.Context) error {
	if v.about.Message.IsZero() || v.in.Trusted || v.isTold() {
		return nil
	}
	passed, err := v.Gateway.PassOn(ctx, &gateway.ReturnedMail{Content: v.in.Content, Client: v.in.Client, Helo: v.in.Helo,
		Delivery: v.about, Address: v.address})
	if passed {
		v.result.PassedOn = true
		v.Metrics.PassedOn.Add(1)
	}
	return err
}

func (v *visit) isTold() bool {
	if v.Told == nil || len(v.told) == 0 {
		return false
	}
	for _, said := range v.told {
		if !v.Told(said.match.Tenant, gateway.EventKind(said.kind)) {
			return false
		}
	}
	return true
}

// keep puts a mail aside that only a person can make something of.
func (d *Desk) keep(in *Mail, result *Result) {
	if d.Shelf == nil {
		return
	}
	id, err := d.Shelf.Keep(d.now(), in.Content)
	if err != nil {
		d.log().Error("a mail for a person to look at could not be kept", "error", err)
		return
	}
	result.Kept = id
	d.log().Info("a mail waits for a person; `tidepost feedback unmatched` shows it", "kept", id)
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Desk) log() *slog.Logger {
	if d.Log != nil {
		return d.Log
	}
	return slog.Default()
}
