package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// replayBatch is what one read brought: whole lines, parsed. After its last line
// the input may be drained.
type replayBatch struct {
	text  []byte
	lines []replayLine
	err   error // what is wrong with the line behind the last, or with the input
	last  bool
}

// replayInput reads and parses lines ahead of whoever decides about them. Batches
// go round: at most replayAhead of them exist.
type replayInput struct {
	r      io.Reader
	ready  chan *replayBatch
	free   chan *replayBatch
	number int // lines so far
}

const (
	replayAhead   = 4
	replayChunk   = 64 << 10
	replayMaxLine = 1 << 20
)

func newReplayInput(r io.Reader) *replayInput {
	in := &replayInput{r: r, ready: make(chan *replayBatch, replayAhead), free: make(chan *replayBatch, replayAhead)}
	for range replayAhead {
		in.free <- &replayBatch{text: make([]byte, 0, replayChunk)}
	}
	return in
}

// run reads until the input ends, a line is bad or ctx ends. What is behind the
// last line break of a read waits for the next read; a batch is handed on before
// each read, so that nothing waits for input that may not come.
func (in *replayInput) run(ctx context.Context) {
	defer close(in.ready)
	var rest []byte
	for {
		var b *replayBatch
		select {
		case b = <-in.free:
		case <-ctx.Done():
			return
		}
		rest = in.fill(b, rest)
		select {
		case in.ready <- b:
		case <-ctx.Done():
			return
		}
		if b.last {
			return
		}
	}
}

// fill reads once into a batch, behind rest, and parses its lines. It returns what
// is left of the last line, in memory of its own.
func (in *replayInput) fill(b *replayBatch, rest []byte) []byte {
	b.text, b.lines, b.err, b.last = append(b.text[:0], rest...), b.lines[:0], nil, false
	for {
		if cap(b.text)-len(b.text) < replayChunk/2 {
			grown := make([]byte, len(b.text), 2*cap(b.text))
			copy(grown, b.text)
			b.text = grown
		}
		n, err := in.r.Read(b.text[len(b.text):cap(b.text)])
		fresh := b.text[len(b.text) : len(b.text)+n]
		b.text = b.text[:len(b.text)+n]
		switch {
		case err != nil:
			if !errors.Is(err, io.EOF) {
				b.err = fmt.Errorf("reading the input: %w", err)
			}
			b.last = true
			in.parse(b, b.text)
			return nil
		case bytes.IndexByte(fresh, '\n') >= 0:
			end := bytes.LastIndexByte(b.text, '\n') + 1
			in.parse(b, b.text[:end])
			return bytes.Clone(b.text[end:])
		case len(b.text) > replayMaxLine:
			b.err, b.last = fmt.Errorf("line %d: longer than %d bytes", in.number+1, replayMaxLine), true
			return nil
		}
	}
}

// parse reads the lines of a text up to the first that is bad. Empty ones are
// passed over.
func (in *replayInput) parse(b *replayBatch, text []byte) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		in.number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		b.lines = append(b.lines, replayLine{})
		l := &b.lines[len(b.lines)-1]
		if err := l.parse(line); err != nil {
			b.lines = b.lines[:len(b.lines)-1]
			b.err, b.last = fmt.Errorf("line %d: %w", in.number, err), true
			return
		}
		l.Number = in.number
	}
}
