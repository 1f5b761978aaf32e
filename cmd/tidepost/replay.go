package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/replay"
)

// replayCmd is the decision engine as a coprocess; docs/replay.md tells its lines.
type replayCmd struct {
	Policy string `help:"Put every mailbox into one arm, live: immediate, fixed-hour, histogram or model. Default: as the configuration says." enum:",immediate,fixed-hour,histogram,model" default:"" placeholder:"NAME"`
	Seed   uint64 `help:"Of everything that is drawn: the same input and seed give the same output." default:"1"`
}

// Run answers each line of standard input on standard output.
func (r *replayCmd) Run(a *app) error {
	cfg, _, err := LoadConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(a.Stdout, 64<<10)
	p := newReplayer(cfg, r.Policy, r.Seed, w)
	return p.run(a.Context, a.Stdin)
}

// replayer decides about the lines of an input.
type replayer struct {
	cfg    *Config
	only   *scheduler.Arm // --policy
	seed   uint64
	out    *bufio.Writer
	engine replay.Engine
	yield  func(replay.Decision)
	line   []byte // being written

	tenants   map[string]*replayTenant
	audiences map[string]int32
	addresses map[string]int32
	people    []replayAddress
	names     []string // of addresses, by box
	zones     map[string]*time.Location
}

// replayTenant is what the configuration says of a tenant.
type replayTenant struct {
	id       replay.Tenant
	rules    *gateway.Rules
	audience int32
	prefix   string // of supersede keys
}

// replayAddress is a mailbox of the input: one box in each audience.
type replayAddress struct {
	name  string
	zone  *time.Location
	sees  scheduler.Sees
	boxes []replayBox
}

type replayBox struct {
	audience int32 // unclaimed: that of the first message
	box      replay.Box
}

// unclaimed is the audience of a mailbox that has signals and no mail yet.
const unclaimed = -1

// replayArms are what --policy names.
var replayArms = map[string]scheduler.Arm{
	"immediate": scheduler.ArmControl, "fixed-hour": scheduler.ArmFixedHour, "histogram": scheduler.ArmHistogram, "model": scheduler.ArmModel,
}

func newReplayer(cfg *Config, policy string, seed uint64, out *bufio.Writer) *replayer {
	p := &replayer{cfg: cfg, seed: seed, out: out,
		tenants: map[string]*replayTenant{}, audiences: map[string]int32{}, addresses: map[string]int32{}, zones: map[string]*time.Location{}}
	if arm, ok := replayArms[policy]; ok {
		p.only = &arm
	}
	p.yield = p.tell
	return p
}

// run answers lines until the input ends, one is bad or ctx ends. What was decided
// is written in any case.
func (p *replayer) run(ctx context.Context, r io.Reader) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	in := newReplayInput(r)
	go in.run(reading) // it may stay behind in a read that never ends; the process does not
	for {
		select {
		case b, ok := <-in.ready:
			if !ok {
				return p.out.Flush() // ctx ended
			}
			err := p.answer(b)
			if err == nil {
				err = b.err
			}
			if flushed := p.out.Flush(); err == nil {
				err = flushed
			}
			if err != nil || b.last {
				return err
			}
			in.free <- b
		case <-ctx.Done():
			return p.out.Flush()
		}
	}
}

// answer decides about the lines of a batch.
func (p *replayer) answer(b *replayBatch) error {
	for i := range b.lines {
		l := &b.lines[i]
		if now := p.engine.Now(); l.At.Before(now) {
			return fmt.Errorf("line %d: at: %s lies before %s, and time does not go back",
				l.Number, l.At.Format(time.RFC3339Nano), now.Format(time.RFC3339Nano))
		}
		if err := p.take(l); err != nil {
			return fmt.Errorf("line %d: %w", l.Number, err)
		}
		p.engine.Advance(l.At, p.yield)
		p.ok(l.At)
	}
	return nil
}

// take hands one line to the engine.
func (p *replayer) take(l *replayLine) error {
	switch l.Type {
	case lineMessage:
		p.message(l)
	case lineSignal:
		p.signal(l)
	case lineMailbox:
		return p.mailbox(l)
	}
	return nil
}

// message plans a delivery, seen by the engine as the gateway shows it one.
func (p *replayer) message(l *replayLine) {
	t := p.tenant(l.Tenant)
	person := p.person(l.Mailbox)
	class := l.class()
	it := scheduler.Item{
		ID: deliveryHash(l.ID, l.Mailbox), NotBefore: l.NotBefore, Deadline: l.Deadline, HardDeadline: true, Window: l.Window,
		Bypass: class == gateway.Transactional || l.Priority >= urgentPriority, Exempt: class == gateway.Triggered,
		Droppable: slices.Contains(t.rules.Drop, class), Priority: l.Priority, Value: l.Value, HalfLife: l.HalfLife,
		Weight: uint8(class), Topic: topicOf(l.List, class), Pressure: classPressure[class], Aim: l.Aim,
	}
	if len(l.Supersede) > 0 {
		it.Supersede = t.prefix + string(l.Supersede)
	}
	if len(l.List) > 0 && len(t.rules.Sensitive) > 0 {
		it.Sensitive = slices.Contains(t.rules.Sensitive, string(l.List))
	}
	p.engine.Message(replay.Message{
		At: l.At, Box: p.box(l.At, person, t), Tenant: t.id, Name: string(l.ID),
		Item: it, Bulk: class.Bulk(), Vital: class == gateway.Transactional,
	}, p.yield)
}

// urgentPriority is the MT-PRIORITY from which on mail is not held.
const urgentPriority = 4

// classPressure is what a mail of a class weighs on its reader (decision model §4.2).
var classPressure = [...]float32{gateway.Transactional: 0.1, gateway.Triggered: 0.4, gateway.Newsletter: 0.6, gateway.Promotional: 1}

// class is what the line says, or else newsletter for what names a campaign or a
// list and transactional for all the rest.
func (l *replayLine) class() gateway.Class {
	switch {
	case l.HasClass:
		return l.Class
	case len(l.Campaign) > 0 || len(l.List) > 0:
		return gateway.Newsletter
	}
	return gateway.Transactional
}

// signalBounced and signalIgnored are kinds that no profile is told of.
const (
	signalBounced = replay.Bounced
	signalIgnored = replay.Bounced + 1
)

// signal hands a signal to the mailboxes that it may be about: that of the named
// tenant, else that which got the message, else all of the address.
func (p *replayer) signal(l *replayLine) {
	if l.Kind == signalIgnored || l.Kind == signalBounced && l.Soft {
		return
	}
	s := replay.Signal{At: l.At, Kind: l.Kind, Weight: l.Human}
	if len(l.Message) > 0 {
		s.ID = deliveryHash(l.Message, l.Mailbox)
	}
	person := p.person(l.Mailbox)
	if len(l.Tenant) > 0 {
		t := p.tenant(l.Tenant)
		s.Box, s.Tenant = p.box(l.At, person, t), t.id
		p.engine.Signal(s, p.yield)
		return
	}
	boxes := p.people[person].boxes
	if len(boxes) == 0 {
		boxes = p.newBox(l.At, person, unclaimed)
	}
	if i := slices.IndexFunc(boxes, func(b replayBox) bool { return s.ID != 0 && p.engine.Knows(b.box, s.ID) }); i >= 0 && s.Kind != signalBounced {
		boxes = boxes[i : i+1]
	}
	for _, b := range boxes {
		s.Box = b.box
		p.engine.Signal(s, p.yield)
	}
}

// mailbox takes in what is known of an address, for all of its mailboxes.
func (p *replayer) mailbox(l *replayLine) error {
	zone, err := p.zone(l.Zone)
	if err != nil {
		return fieldError{"timezone", err}
	}
	sees, err := evidenceOf(l.Attributes)
	if err != nil {
		return fieldError{"attributes", err}
	}
	person := p.person(l.Mailbox)
	a := &p.people[person]
	a.zone, a.sees = zone, sees
	for _, b := range a.boxes {
		p.engine.Mailbox(l.At, b.box, zone, sees, p.yield)
	}
	return nil
}

// evidenceOf reads what the attributes of a mailbox say of its owner's consent.
func evidenceOf(attributes []byte) (scheduler.Sees, error) {
	if attributes == nil {
		return scheduler.SeesFull, nil
	}
	var said struct {
		Evidence string `json:"evidence"`
	}
	if err := json.Unmarshal(attributes, &said); err != nil {
		return 0, err
	}
	return scheduler.ParseSees(said.Evidence)
}

func (p *replayer) zone(name []byte) (*time.Location, error) {
	if len(name) == 0 {
		return nil, nil
	}
	if z, ok := p.zones[string(name)]; ok {
		return z, nil
	}
	z, err := time.LoadLocation(string(name))
	if err != nil || string(name) == "Local" {
		return nil, fmt.Errorf("%q is not a time zone: write it like Europe/Berlin", name)
	}
	p.zones[string(name)] = z
	return z, nil
}

// tenant returns what the configuration says of a tenant; "" is default.
func (p *replayer) tenant(name []byte) *replayTenant {
	if len(name) == 0 {
		name = []byte("default")
	}
	if t, ok := p.tenants[string(name)]; ok {
		return t
	}
	n := string(name)
	t := &replayTenant{rules: newRules(p.cfg.PolicyFor(n)), prefix: n + "\x00"}
	audience := p.cfg.Tenant(n).Audience
	if audience == "" {
		audience = n
	}
	number, ok := p.audiences[audience]
	if !ok {
		number = int32(len(p.audiences))
		p.audiences[audience] = number
	}
	t.audience = number
	policy := t.rules.Policy
	policy.Salt = p.seed
	if p.only != nil {
		policy.Only, policy.Live = p.only, true
	}
	t.id = p.engine.Tenant(replay.Rules{Policy: policy, Sees: t.rules.Sees, MaxDrop: t.rules.MaxDrop, Learn: true})
	p.tenants[n] = t
	return t
}

func (p *replayer) person(name []byte) int32 {
	if i, ok := p.addresses[string(name)]; ok {
		return i
	}
	i := int32(len(p.people))
	a := replayAddress{name: string(name)}
	p.addresses[a.name] = i
	p.people = append(p.people, a)
	return i
}

// box returns the mailbox of an address in a tenant's audience.
func (p *replayer) box(at time.Time, person int32, t *replayTenant) replay.Box {
	boxes := p.people[person].boxes
	for i := range boxes {
		if boxes[i].audience == unclaimed {
			boxes[i].audience = t.audience
		}
		if boxes[i].audience == t.audience {
			return boxes[i].box
		}
	}
	boxes = p.newBox(at, person, t.audience)
	return boxes[len(boxes)-1].box
}

// newBox makes a mailbox. What is drawn for it depends on its address, and in all
// audiences but its first on them.
func (p *replayer) newBox(at time.Time, person, audience int32) []replayBox {
	a := &p.people[person]
	key := hashText(hashStart, a.name)
	if len(a.boxes) > 0 {
		key += uint64(audience) * 0x9e3779b97f4a7c15
	}
	x := p.engine.Box(mix(key))
	if a.zone != nil || a.sees != 0 {
		p.engine.Mailbox(at, x, a.zone, a.sees, p.yield)
	}
	a.boxes = append(a.boxes, replayBox{audience: audience, box: x})
	p.names = append(p.names, a.name)
	return a.boxes
}

// The hashes are FNV-1a: they must be the same everywhere and always.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

func hashText[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// deliveryHash is the hash of one message to one mailbox; it is never 0.
func deliveryHash(message, mailbox []byte) uint64 {
	return max(1, mix(hashText(hashText(hashStart, message)*hashPrime, mailbox)))
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// topicOf is what a reader's interest is kept apart by: the list, or else the class.
func topicOf(list []byte, class gateway.Class) uint32 {
	const start, prime = 2166136261, 16777619 // FNV-1a
	h := uint32(start)
	if len(list) == 0 {
		list = []byte(class.String())
	}
	for _, c := range list {
		h = (h ^ uint32(c)) * prime
	}
	return h
}
