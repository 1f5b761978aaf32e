package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Where events go. Both names are a promise to those who consume them.
const (
	EventStream  = "TIDEPOST_EVENTS"
	EventSubject = "tidepost.event." // and the kind

	allEvents = EventSubject + ">"
)

// What a stream that we create gets unless Stream says otherwise.
const (
	DefaultMaxAge     = 7 * 24 * time.Hour
	DefaultMaxBytes   = 1 << 30
	DefaultDuplicates = 10 * time.Minute
)

// Stream is how TIDEPOST_EVENTS is kept. A field that is zero is our default
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
func (s Stream) ensure(ctx context.Context, nc *nats.Conn, log *slog.Logger) (jetstream.Stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	have, err := js.Stream(ctx, EventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		have, err = js.CreateStream(ctx, s.fresh())
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", EventStream, plain(err))
	}
	want, differs := s.merge(have.CachedInfo().Config)
	if !differs {
		return have, nil
	}
	updated, err := js.UpdateStream(ctx, want)
	if err != nil {
		log.Warn("the stream stays as it is: NATS refuses our changes", "stream", EventStream, "error", err)
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
func (s Stream) fresh() jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:               EventStream,
		Description:        "what Tidepost states about deliveries",
		Subjects:           []string{allEvents},
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
	c, _ = s.merge(c)
	return c
}

// merge sets what Stream asks for in a configuration, and what the relay
// cannot do without.
func (s Stream) merge(is jetstream.StreamConfig) (c jetstream.StreamConfig, differs bool) {
	c = is
	set(&c.MaxAge, s.MaxAge, &differs)
	set(&c.MaxBytes, s.MaxBytes, &differs)
	set(&c.Duplicates, s.Duplicates, &differs)
	set(&c.Replicas, s.Replicas, &differs)
	set(&c.AllowAtomicPublish, true, &differs)
	if !slices.Contains(c.Subjects, allEvents) {
		c.Subjects = append(slices.Clone(c.Subjects), allEvents)
		differs = true
	}
	return c, differs
}

func set[T comparable](field *T, want T, differs *bool) {
	var zero T
	if want != zero && *field != want {
		*field, *differs = want, true
	}
}
