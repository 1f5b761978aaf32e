package evidence

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const defaultSize = 65_536

// moment is a time in milliseconds of Unix time; 0: never.
type moment int64

// minute is how far back requests shed light on each other.
const minute = 60_000

// near reports whether two moments are at most so many milliseconds apart. Requests
// arrive in any order.
func near(a, b, apart moment) bool {
	return a != 0 && b != 0 && a-b <= apart && b-a <= apart
}

// memory is what was seen. It is not safe for concurrent use.
type memory struct {
	seed       maphash.Seed
	deliveries table[deliveryKey, delivery]
	sources    table[sourceKey, source]
	domains    table[uint64, domain] // by hash of the name
}

// deliveryKey holds the hash of the tenant's name: ids of deliveries come from requests.
type deliveryKey struct{ tenant, delivery uint64 }

type sourceKey struct {
	tenant uint64
	addr   [16]byte
}

func (m *memory) start(size int) {
	size = cmp.Or(max(size, 0), defaultSize)
	m.seed = maphash.MakeSeed()
	m.deliveries = newTable[deliveryKey, delivery](size)
	m.sources = newTable[sourceKey, source](size)
	m.domains = newTable[uint64, domain](max(size/4, 1))
}

// judge adds what the memory knows about the request, and remembers it.
func (m *memory) judge(r *Request, addr netip.Addr, f *findings) {
	at := moment(r.At.UnixMilli())
	tenant := maphash.String(m.seed, r.Tenant)
	if r.Mailbox != ([16]byte{}) && public(addr) && m.source(tenant, addr).busy(at, r.Mailbox) {
		f.add(manyMailboxes, manyScore(r.Action))
	}
	if r.Action == Open {
		f.timing(r, false)
		return
	}
	var of *domain
	if r.Domain != "" {
		of = m.domains.of(maphash.String(m.seed, r.Domain))
	}
	f.timing(r, of.scans(r.At))
	if r.Delivery == 0 {
		if r.Hidden {
			f.add(honeypot, decisive)
		}
		return
	}
	d := m.deliveries.of(deliveryKey{tenant, r.Delivery})
	d.clicked(at, r, f)
	if of != nil {
		d.teach(of, r.At, f)
	}
}

func manyScore(a Action) int {
	if a == Open {
		return scoreMany
	}
	return scoreManyHit
}

// firstFetch reports whether Google's proxy fetched nothing of the delivery before.
func (m *memory) firstFetch(r *Request) bool {
	if r.Delivery == 0 {
		return true
	}
	at := moment(r.At.UnixMilli())
	d := m.deliveries.of(deliveryKey{maphash.String(m.seed, r.Tenant), r.Delivery})
	if d.fetched == 0 || at <= d.fetched {
		d.fetched = at
		return true
	}
	return false
}

func (m *memory) source(tenant uint64, addr netip.Addr) *source {
	key := sourceKey{tenant, addr.As16()}
	if addr.Is6() {
		clear(key.addr[8:]) // whoever has one address has the whole /64
	}
	return m.sources.of(key)
}

// table keeps so many entries and forgets the least recently used.
type table[K comparable, V any] struct {
	lru  *simplelru.LRU[K, *V]
	size int
}

func newTable[K comparable, V any](size int) table[K, V] {
	lru, _ := simplelru.NewLRU[K, *V](size, nil) // fails for a size below 1 only
	return table[K, V]{lru, size}
}

// of is the entry of the key, an empty one if there was none. A full table uses the
// memory of the entry it forgets again.
func (t table[K, V]) of(key K) *V {
	v, ok := t.lru.Get(key)
	if ok {
		return v
	}
	if t.lru.Len() < t.size {
		v = new(V)
	} else {
		var empty V
		_, v, _ = t.lru.RemoveOldest()
		*v = empty
	}
	t.lru.Add(key, v)
	return v
}

// public reports whether the address is that of a client. Others are those of a
// proxy in front of us, behind which is everybody.
func public(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}

// visitors is how many mailboxes make an address busy.
const visitors = 5

// source is an address from which a tenant's mail was opened or clicked: the last
// mailboxes seen there.
type source struct {
	mailbox [visitors][16]byte
	at      [visitors]moment
}

// busy notes the mailbox and reports whether there are so many within a minute.
func (s *source) busy(at moment, mailbox [16]byte) bool {
	place := 0
	for i := range s.mailbox {
		if s.mailbox[i] == mailbox {
			place = i
			break
		}
		if s.at[i] < s.at[place] {
			place = i
		}
	}
	if s.mailbox[place] != mailbox {
		s.mailbox[place], s.at[place] = mailbox, at
	}
	s.at[place] = max(s.at[place], at)
	for _, other := range s.at {
		if !near(at, other, minute) {
			return false
		}
	}
	return true
}

// What makes a domain one whose mail is scanned: of the deliveries of which
// something was clicked, so many and such a share were clicked by a machine.
// Where a gateway scans, it scans all; a few machines among a free provider's many
// readers do not make a scanned domain.
const (
	scannedLeast = 2.5 // three within a week, by the decay
	scannedShare = .2
	halfLife     = 30 * 24 * time.Hour
)

// domain counts the deliveries clicked at a domain, decayed.
type domain struct {
	clicked, scanned float32
	at               moment
}

// decay brings the counts to the time; a clock that goes back changes nothing.
func (d *domain) decay(now time.Time) {
	at := moment(now.UnixMilli())
	if age := at - d.at; d.at != 0 && age > 0 {
		keep := decayed(age)
		d.clicked *= keep
		d.scanned *= keep
	}
	d.at = max(d.at, at)
}

// scans reports whether mail to the domain is scanned; nil: not known.
func (d *domain) scans(now time.Time) bool {
	if d == nil || d.scanned == 0 {
		return false
	}
	d.decay(now)
	return d.scanned > scannedLeast && d.scanned >= scannedShare*d.clicked
}
