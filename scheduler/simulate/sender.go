package simulate

import "container/heap"

// sender is a policy at work in one run. Time is passed in and never goes back.
type sender interface {
	// accept takes a mail that is handed in.
	accept(t when, m *mail) error
	// learn takes what came back.
	learn(t when, s *signal) error
	// advance lets time pass and returns what leaves meanwhile, in order of time.
	advance(t when) ([]release, error)
	// next is when it wants to be woken; never: nothing waits.
	next() when
}

// release is a mail that leaves, or is dropped.
type release struct {
	at      when
	mail    *mail
	dropped bool
}

// signal is what a policy hears of an outcome.
type signal struct {
	at    when // it happened; it is heard later
	kind  kind
	mail  *mail
	human bool // as far as the classifier can tell
}

type kind uint8

const (
	opened kind = iota
	clicked
	unsubscribed
	complained
)

// timer releases each mail at a time fixed when it is handed in: all that the
// simpler policies do.
type timer struct {
	choose func(t when, m *mail) (at when, send bool)
	hear   func(s *signal)
	queue  schedule[release]
	out    []release
}

func (p *timer) accept(t when, m *mail) error {
	at, send := p.choose(t, m)
	p.queue.add(at, release{at, m, !send})
	return nil
}

func (p *timer) learn(_ when, s *signal) error {
	if p.hear != nil {
		p.hear(s)
	}
	return nil
}

func (p *timer) advance(t when) ([]release, error) {
	p.out = p.out[:0]
	for p.queue.next() <= t {
		p.out = append(p.out, p.queue.pop())
	}
	return p.out, nil
}

func (p *timer) next() when { return p.queue.next() }

// schedule is things by time; of those at one time the first added comes first.
type schedule[T any] struct {
	entries entries[T]
	added   int
}

func (s *schedule[T]) add(at when, thing T) {
	s.added++
	heap.Push(&s.entries, entry[T]{at, s.added, thing})
}

func (s *schedule[T]) next() when {
	if len(s.entries) == 0 {
		return never
	}
	return s.entries[0].at
}

func (s *schedule[T]) pop() T { return heap.Pop(&s.entries).(entry[T]).thing }

type entry[T any] struct {
	at    when
	order int
	thing T
}

type entries[T any] []entry[T]

func (e entries[T]) Len() int { return len(e) }

func (e entries[T]) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}

func (e entries[T]) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

func (e *entries[T]) Push(x any) { *e = append(*e, x.(entry[T])) }

func (e *entries[T]) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
