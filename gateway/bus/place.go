package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway"
)

// behindMark stands behind the stream's identity in the cursor of a lane that
// stands. It is stored, so that a restart does not forget what a person has not
// seen, after publishers have brought the stream's end past the cursor again.
const behindMark = " behind"

// errBehind is the alarm.
var errBehind = errors.New("the stream " + SignalStream + " ends before what was applied from it: it was put back from an older copy, or lost what it had " +
	"acknowledged, and signals with it, opt-outs perhaps; publish again what was lost, then `tidepost signals resume`")

// identity tells a stream from one made in its place.
func identity(info *jetstream.StreamInfo) string {
	return info.Config.Name + "@" + info.Created.UTC().Format(time.RFC3339Nano)
}

// finding is what a cursor says about a stream.
type finding int

const (
	goOn      finding = iota
	first             // nothing was applied yet
	recreated         // it is another stream than the one the cursor is of
	behind            // it ends before the cursor: it lost messages
	stands            // that was noticed earlier and nobody has accepted it
)

func find(c gateway.StreamCursor, id string, last uint64) finding {
	switch {
	case c.Stream == "":
		return first
	case c.Stream == id+behindMark:
		return stands
	case c.Stream != id:
		return recreated
	case last < c.Seq:
		return behind
	}
	return goOn
}

// locate finds where the lane goes on in a stream and keeps it in l.cursor.
func (l *lane) locate(ctx context.Context, info *jetstream.StreamInfo) error {
	c, id := l.of.To.StreamCursor(l.lane), identity(info)
	found := find(c, id, info.State.LastSeq)
	switch found {
	case first:
		c = gateway.StreamCursor{Stream: id, Epoch: c.Epoch}
	case recreated:
		l.of.log().Error("the stream of signals was made anew: what was not applied from the old one is lost; going on from its beginning",
			"consumer", l.name, "was", c.Stream, "is", id)
		l.gauge.add(func(g *laneGauge) { g.recreated++ })
		c = gateway.StreamCursor{Stream: id, Epoch: c.Epoch + 1}
	case behind:
		l.of.log().Error("the stream of signals lost messages", "consumer", l.name, "applied", c.Seq, "last", info.State.LastSeq)
		c.Stream, c.Seq = id+behindMark, info.State.LastSeq
	}
	if found != goOn && found != stands {
		if err := l.of.To.SaveStreamCursor(ctx, l.lane, c); err != nil {
			return fmt.Errorf("saving the place in the stream: %w", err)
		}
	}
	if found == behind || found == stands {
		return errBehind
	}
	l.cursor, l.unsaved, l.last = c, 0, nil
	// Only the lane that reads everything can tell: the other's next signal may
	// well stand far behind its cursor.
	if oldest := info.State.FirstSeq; l.lane == gateway.LaneEvidence && found == goOn && oldest > c.Seq+1 && oldest != l.missed {
		l.missed = oldest
		l.of.log().Error("signals left the stream before they were applied: it was full, too old or purged", "consumer", l.name, "applied", c.Seq, "oldest", oldest)
		l.gauge.add(func(g *laneGauge) { g.missed += oldest - c.Seq - 1 })
	}
	return nil
}

// consumer sees to the durable consumer, so that it delivers what follows the
// cursor, in order. One with messages under way to nobody would deliver them
// after later ones, and a mailbox would take them for applied: it is made anew.
func (l *lane) consumer(ctx context.Context, s jetstream.Stream) error {
	want := l.config()
	c, err := s.Consumer(ctx, l.name)
	if err == nil {
		is := c.CachedInfo()
		if is.NumAckPending == 0 && is.Delivered.Stream <= l.cursor.Seq && sameConsumer(is.Config, want) {
			l.follows(is)
			return nil
		}
		err = s.DeleteConsumer(ctx, l.name)
	}
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer %s: %w", l.name, plain(err))
	}
	want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, l.cursor.Seq+1
	if c, err = s.CreateConsumer(ctx, want); err != nil {
		return fmt.Errorf("consumer %s: %w", l.name, plain(err))
	}
	l.follows(c.CachedInfo())
	return nil
}

// follows notes what a consumer is about to deliver.
func (l *lane) follows(is *jetstream.ConsumerInfo) {
	l.delivered = is.Delivered.Consumer
	l.gauge.at(is.NumPending, 0, time.Time{})
	l.gauge.runs()
	l.drained(is.NumPending == 0)
}

// config is the consumer without its beginning. NATS has no filter for "all but":
// the lane of evidence reads the whole stream and passes by what is not its own.
func (l *lane) config() jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       l.name,
		Description:   "how far Tidepost has applied signals",
		AckPolicy:     jetstream.AckAllPolicy,
		AckWait:       ackWait,
		MaxAckPending: 4 * gulpSize,
		MaxDeliver:    -1,
	}
	if l.lane == gateway.LanePermission {
		for _, k := range gateway.SignalKinds() {
			if k.Permission() {
				c.FilterSubjects = append(c.FilterSubjects, SignalSubject+string(k), fromTenant+"*"+signalOf+string(k))
			}
		}
	}
	return c
}

func sameConsumer(is, want jetstream.ConsumerConfig) bool {
	a, b := slices.Clone(is.FilterSubjects), slices.Clone(want.FilterSubjects)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b) && is.FilterSubject == "" && is.AckPolicy == want.AckPolicy
}
