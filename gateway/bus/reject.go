package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

const (
	keptOfRejected = 4 << 10     // bytes of a rejected signal that are told
	complainEvery  = time.Minute // in the log, about what could be said of each signal
)

// rejectionJSON is what is published about a signal that cannot be applied.
type rejectionJSON struct {
	Reason    string `json:"reason"`
	Field     string `json:"field"`
	Remedy    string `json:"remedy"`
	Subject   string `json:"subject"`
	Stream    string `json:"stream"`
	Sequence  uint64 `json:"sequence"`
	At        string `json:"at"` // when it was published
	Data      string `json:"data"`
	Truncated bool   `json:"truncated,omitempty"`
}

// rejection makes the message that tells why an entry is not applied. Its id is
// the entry's place, so that a repetition is one for as long as the stream knows.
func (l *lane) rejection(e *entry) (*nats.Msg, error) {
	data := e.msg.Data
	text := data[:min(len(data), keptOfRejected)]
	for i := 0; i < utf8.UTFMax-1 && len(text) < len(data) && !utf8.Valid(text); i++ {
		text = text[:len(text)-1] // a character that was cut
	}
	j := rejectionJSON{Reason: e.wrong.Field + " " + e.wrong.Problem, Field: e.wrong.Field, Remedy: e.wrong.Remedy,
		Subject: e.msg.Subject, Stream: SignalStream, Sequence: e.seq, At: gateway.Stamp(e.at),
		Data: strings.ToValidUTF8(string(text), "\uFFFD"), Truncated: len(text) < len(data)}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&j); err != nil {
		return nil, fmt.Errorf("a rejection: %w", err)
	}
	return &nats.Msg{Subject: RejectedSubject, Data: bytes.TrimSuffix(b.Bytes(), []byte{'\n'}),
		Header: nats.Header{nats.MsgIdHdr: {fmt.Sprintf("%s.%d", l.cursor.Stream, e.seq)}}}, nil
}

// reject publishes why entries are not applied. It fails only where they come
// again: when the connection ends, or while a server gives no answer the first
// times. A stream that refuses holds up nothing.
func (l *lane) reject(ctx context.Context, wrong []*entry) error {
	msgs := make([]*nats.Msg, 0, len(wrong))
	for _, e := range wrong {
		m, err := l.rejection(e)
		if err != nil {
			return err
		}
		msgs = append(msgs, m)
	}
	for len(msgs) > 0 {
		n, err := l.publisher.publish(ctx, msgs)
		msgs = msgs[n:]
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, errNotConnected) || errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("publishing rejections: %w", err)
		}
		if silence(err) && l.retry.silences < manySilences {
			return fmt.Errorf("publishing rejections: %w", err)
		}
		if refusal(err) != 0 {
			l.unrecorded(1, err)
			msgs = msgs[1:]
			continue
		}
		l.unrecorded(len(msgs), err)
		break
	}
	l.complain(wrong)
	return nil
}

func (l *lane) unrecorded(n int, err error) {
	l.gauge.add(func(g *laneGauge) { g.unrecorded += uint64(n) })
	if now := l.of.now(); now.Sub(l.refused) >= complainEvery {
		l.refused = now
		l.of.log().Error("NATS does not take what we reject; signals behind it go on", "subject", RejectedSubject, "error", err)
	}
}

// complain counts rejections and logs the first of many.
func (l *lane) complain(wrong []*entry) {
	l.gauge.add(func(g *laneGauge) { g.rejected += uint64(len(wrong)) })
	if now := l.of.now(); now.Sub(l.complained) >= complainEvery {
		l.complained = now
		e := wrong[0]
		l.of.log().Warn("signals are rejected", "subject", e.msg.Subject, "sequence", e.seq, "reason", e.wrong.Error(), "now", len(wrong))
	}
}

func asSignalError(err error) *gateway.SignalError {
	var e *gateway.SignalError
	if errors.As(err, &e) {
		return e
	}
	return &gateway.SignalError{Field: "signal", Problem: "cannot be read: " + err.Error(), Remedy: "see schema/signal.json"}
}
