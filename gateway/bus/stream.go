package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Where events go and where signals come from. The names are a promise to those
// who use them.
const (
	EventStream  = "TIDEPOST_EVENTS"
	EventSubject = "tidepost.event." // and the kind

	SignalStream    = "TIDEPOST_SIGNALS"
	SignalSubject   = "tidepost.signal."         // and the kind
	RejectedSubject = "tidepost.signal.rejected" // what was wrong with a signal

	allEvents  = EventSubject + ">"
	fromTenant = "tidepost.from." // the tenant, signalOf and the kind
	signalOf   = ".signal."
)

// shape is what makes a stream the one that it is; the rest is the operator's.
type shape struct {
	name, description string
	subjects          []string
}

var (
	eventShape = shape{EventStream, "what Tidepost states about deliveries", []string{allEvents}}

	// Signals are taken under every kind, so that a misspelt one is told by a
	// rejection and not lost by whoever publishes without asking for an answer. A
	// wildcard leaves no subject to a stream of its own, so what was rejected lies
	// in this one: a rejection holds at most 4 KiB of a signal that lies in it too.
	signalShape = shape{SignalStream, "what Tidepost is told about readers, and what of it was rejected",
		[]string{SignalSubject + "*", fromTenant + "*" + signalOf + "*"}}
)

// What a stream that we create gets unless Stream says otherwise.
const (
	DefaultMaxAge     = 7 * 24 * time.Hour
	DefaultMaxBytes   = 1 << 30
	DefaultDuplicates = 10 * time.Minute
)

// Stream is how a stream of ours is kept. A field that is zero is our default
// in a stream that we create, and is left as it is in one that is there: an
// operator's own limits and replicas stay.
//
// The oldest events go when a limit is reached, read or not, so a consumer
// that is away does not stop the others.
type Stream struct {
	MaxAge     time.Duration
	MaxBytes   int64
	Duplicates time.Duration // how long ids are remembered, in the server's memory: 155 bytes each
	Replicas   int           // 0: one
}

// ensure creates or updates the stream. Where we may not update it, it is used
// as it is.
func (s Stream) ensure(ctx context.Context, nc *nats.Conn, of shape, log *slog.Logger) (jetstream.Stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	have, err := js.Stream(ctx, of.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		have, err = js.CreateStream(ctx, s.fresh(of))
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", of.name, plain(err))
	}
	want, differs := s.merge(of, have.CachedInfo().Config)
	if !differs {
		return have, nil
	}
	updated, err := js.UpdateStream(ctx, want)
	if err != nil {
		log.Warn("the stream stays as it is: NATS refuses our changes", "stream", of.name, "error", err)
		return have, nil
	}
	return updated, nil
}

// lastID returns the id of the stream's last event; "" where there is none, or
// none that we may read.
func lastID(ctx context.Context, s jetstream.Stream) string {
	m, err := s.GetLastMsgForSubject(ctx, allEvents)
	if err != nil {
		return ""
	}
	return m.Header.Get(nats.MsgIdHdr)
}

// fresh is the stream as we create it.
func (s Stream) fresh(of shape) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:               of.name,
		Description:        of.description,
		Subjects:           of.subjects,
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		MaxAge:             DefaultMaxAge,
		MaxBytes:           DefaultMaxBytes,
		Duplicates:         DefaultDuplicates,
		Replicas:           1,
		AllowAtomicPublish: true,
		AllowDirect:        true,
	}
	c, _ = s.merge(of, c)
	return c
}

// merge sets what Stream asks for in a configuration, and what we cannot do
// without.
func (s Stream) merge(of shape, is jetstream.StreamConfig) (c jetstream.StreamConfig, differs bool) {
	c = is
	set(&c.MaxAge, s.MaxAge, &differs)
	set(&c.MaxBytes, s.MaxBytes, &differs)
	set(&c.Duplicates, s.Duplicates, &differs)
	set(&c.Replicas, s.Replicas, &differs)
	set(&c.AllowAtomicPublish, true, &differs)
	for _, want := range of.subjects {
		if !slices.ContainsFunc(c.Subjects, func(has string) bool { return covers(has, want) }) {
			c.Subjects = append(slices.Clone(c.Subjects), want)
			differs = true
		}
	}
	return c, differs
}

// covers reports whether whatever a subject stands for a pattern stands for, too.
func covers(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i := range p {
		switch {
		case i >= len(s):
			return false
		case p[i] == ">":
			return true
		case s[i] == ">" || p[i] != "*" && p[i] != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

func set[T comparable](field *T, want T, differs *bool) {
	var zero T
	if want != zero && *field != want {
		*field, *differs = want, true
	}
}
