package evidence

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sound checks what holds for every judgement.
func sound(t *testing.T, r Request, j Judgement) {
	t.Helper()
	fail := func(what string) { t.Helper(); t.Errorf("%s:\n%+v\n%+v", what, r, j) }
	google := slices.Contains(j.Reasons, "google_proxy") && j.Verdict == Doubtful
	if (j.Weight == 0) != (j.Verdict == Machine || google) {
		fail("weight 0 is for machines and Google's proxy alone")
	}
	weights := map[Verdict][]float32{Human: {1, weightEarly}, Doubtful: {weightDoubtful, 0}, Machine: {0}}
	if !slices.Contains(weights[j.Verdict], j.Weight) {
		fail("that weight does not belong to the verdict")
	}
	want := Human
	switch {
	case j.Score >= 4:
		want = Machine
	case j.Score >= 2:
		want = Doubtful
	}
	if j.Verdict != want {
		fail("score and verdict do not agree")
	}
	if j.Verdict != Human && len(j.Reasons) == 0 {
		fail("no reason")
	}
	if j.Retract && (j.Verdict != Machine || r.Action == Open) {
		fail("only a machine's click takes others back")
	}
	for i, reason := range j.Reasons {
		if slices.Index(words[:], reason) < 0 || slices.Contains(j.Reasons[:i], reason) {
			fail("not a reason, or twice")
		}
	}
}

var someAgents = []string{"", "Mozilla/5.0", firefox, userAgents["gmail"], "curl/8", userAgents["yahoo"], userAgents["barracuda"]}

// lives are the requests of a number of mailboxes that share nothing, each in order.
func lives(rng *rand.Rand, n int) [][]Request {
	all := make([][]Request, n)
	for i := range all {
		at := start
		for range 1 + rng.IntN(12) {
			at = at.Add([]time.Duration{300 * time.Millisecond, 3 * time.Second, 30 * time.Second, time.Hour}[rng.IntN(4)])
			name := fmt.Sprint(i)
			r := person(start, at.Sub(start), name)
			r.Addr = netip.AddrFrom4([4]byte{203, 1, byte(i >> 8), byte(i)})
			r.Domain = name + ".example"
			r.Action, r.Link, r.Links = Action(rng.IntN(2)), uint64(rng.IntN(5)), rng.IntN(6)
			r.Hidden, r.Confirmed = rng.IntN(20) == 0, rng.IntN(10) == 0
			r.UserAgent = someAgents[min(rng.IntN(20), len(someAgents)-1)]
			if rng.IntN(10) < 7 {
				r.UserAgent = firefox
			}
			all[i] = append(all[i], r)
		}
	}
	return all
}

// judge judges the lives in the order in which next draws them.
func judge(t *testing.T, all [][]Request, next func(left []int) int) [][]Judgement {
	var c Classifier
	results := make([][]Judgement, len(all))
	var left []int
	for i := range all {
		left = append(left, i)
	}
	for len(left) > 0 {
		k := next(left)
		i := left[k]
		r := all[i][len(results[i])]
		j := c.Judge(r)
		sound(t, r, j)
		if results[i] = append(results[i], j); len(results[i]) == len(all[i]) {
			left = slices.Delete(left, k, k+1)
		}
	}
	return results
}

func TestMailboxesThatShareNothingDoNotMatterToEachOther(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all := lives(rng, 20)
		alone := judge(t, all, func([]int) int { return 0 }) // one after the other
		mixed := judge(t, all, func(left []int) int { return rng.IntN(len(left)) })
		if !reflect.DeepEqual(alone, mixed) {
			t.Fatalf("seed %d: the order of independent mailboxes changed a verdict", seed)
		}
	}
}

func TestSameRequestTwiceIsJudgedTheSame(t *testing.T) {
	for seed := range uint64(100) {
		var c Classifier
		for _, life := range lives(rand.New(rand.NewPCG(seed, 2)), 5) {
			for _, r := range life {
				one, two := c.Judge(r), c.Judge(r)
				if one.Verdict == two.Verdict {
					continue
				}
				t.Fatalf("seed %d: %v, then %v for %+v", seed, one, two, r)
			}
		}
	}
}

// FuzzJudge reads the input as a sequence of requests, 16 bytes each.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdee"), "curl/8.5.0")
	f.Add(make([]byte, 160), "Mozilla/5.0")
	f.Add(slices.Repeat([]byte{1, 0, 9, 1, 3, 7}, 40), firefox)
	f.Fuzz(func(t *testing.T, data []byte, ua string) {
		c := Classifier{Size: 8}
		for ; len(data) >= 16; data = data[16:] {
			r := decode(data, ua)
			sound(t, r, c.Judge(r))
		}
		if c.memory.domains.lru == nil {
			return // too short for a request
		}
		for _, d := range c.memory.deliveries.lru.Values() {
			if len(d.links) > mostLinks {
				t.Fatalf("%d links remembered", len(d.links))
			}
		}
		if n := c.memory.deliveries.lru.Len() + c.memory.sources.lru.Len() + c.memory.domains.lru.Len(); n > 8+8+2 {
			t.Fatalf("%d entries remembered", n)
		}
	})
}

func decode(b []byte, ua string) Request {
	flag := func(i int) bool { return b[1]>>i&1 == 1 }
	r := Request{
		At:     start.Add(time.Duration(int32(binary.BigEndian.Uint32(b[2:]))) * time.Millisecond),
		Action: Action(b[0] % 3), Method: []string{"GET", "HEAD", "", "OPTIONS", "GET"}[b[0]>>2%5],
		Hidden: flag(0), Confirmed: flag(1), Sending: flag(2), Known: flag(3),
		Tenant: string(b[6:7]), Domain: string(b[7 : 7+b[7]%2]),
		Mailbox: [16]byte{b[8]}, Delivery: uint64(b[9] % 12), Link: uint64(b[10] % 50), Links: int(int8(b[11])),
	}
	if flag(4) {
		r.Delivered = start
	}
	if flag(5) {
		r.UserAgent = ua
	}
	if flag(6) {
		r.Addr = netip.AddrFrom4([4]byte(b[12:]))
	} else if flag(7) {
		r.Addr = netip.AddrFrom16([16]byte{0x20, 1, 13: b[12], 15: b[13]}).WithZone("z")
	}
	if b[14] == 255 { // times far off
		r.At = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	}
	return r
}

func TestNothingKnownIsHuman(t *testing.T) {
	var c Classifier
	for _, r := range []Request{{}, {Action: Click}, {At: start, Action: Click, Links: -1}} {
		if j := c.Judge(r); j.Verdict != Human || j.Weight != 1 || j.Reasons != nil {
			t.Errorf("%+v: %+v", r, j)
		}
	}
}

func TestOwnRanges(t *testing.T) {
	c := Classifier{
		Ranges: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("203.0.0.0/16"), {}},
		Relays: []netip.Prefix{netip.MustParsePrefix("::ffff:198.51.100.0/120")},
	}
	for _, tt := range []struct{ addr, want string }{
		{"203.0.113.9", "known_range"}, {"203.0.200.1", "known_range"}, {"203.1.0.0", ""},
		{"209.222.82.5", ""}, // the built-in list does not count any more
		{"198.51.100.1", "apple_privacy"}, {"172.225.1.1", ""},
	} {
		r := person(start, time.Hour, tt.addr)
		r.Addr = netip.MustParseAddr(tt.addr)
		if got := strings.Join(c.Judge(r).Reasons, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.addr, got, tt.want)
		}
	}
}

func TestRangesAgainstEachInTurn(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	random := func() netip.Addr {
		b := [4]byte{byte(rng.IntN(3)), byte(rng.IntN(4)), byte(rng.IntN(256)), byte(rng.IntN(256))}
		if rng.IntN(3) == 0 {
			return netip.AddrFrom16([16]byte{0: b[0], 1: b[1], 15: b[3]})
		}
		return netip.AddrFrom4(b)
	}
	for range 50 {
		list := make([]netip.Prefix, 0, 30)
		for range 1 + rng.IntN(30) {
			a := random()
			list = append(list, netip.PrefixFrom(a, 8+rng.IntN(a.BitLen()-8)))
		}
		r := newRanges(list, nil)
		for range 1000 {
			a := random()
			want := slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
			if got := r.contain(a); got != want {
				t.Fatalf("%v in %v: %v, want %v", a, list, got, want)
			}
		}
	}
}

func TestUserAgents(t *testing.T) {
	for _, tt := range []struct {
		ua   string
		want agent
	}{
		{"curl", agentLibrary}, {"CURL/8", agentLibrary}, {"curly/8", agentOther}, {"libcurl-agent", agentOther},
		{"Mozilla/5.0 curl/8", agentOther}, // a library is told by its first word
		{"python-requests/2.31 Barracuda", agentLibrary}, {" Mozilla/5.0 ", agentPlain}, {"Mozilla/5.0 (", agentOther},
		{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", agentLibrary},
		{"x/1 (+http://www.mimecast.com)", agentGateway}, {"((((", agentOther}, {"G", agentOther},
		{strings.Repeat("x", longest) + " curl", agentOther}, {strings.Repeat(" ", longest) + "Firefox", agentEmpty},
		{strings.Repeat("a", 1000), agentOther}, {"\xff\xfecurl/1", agentLibrary},
	} {
		if got := agentOf(&Request{UserAgent: tt.ua, Known: true}); got != tt.want {
			t.Errorf("%.60q: %d, want %d", tt.ua, got, tt.want)
		}
	}
	for name, want := range anywhere {
		if got := agentOf(&Request{UserAgent: "Mozilla/5.0 (compatible; " + strings.ToUpper(name) + ")"}); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for name := range firsts {
		if agentOf(&Request{UserAgent: name + "/1.0"}) != agentLibrary {
			t.Errorf("%s is not found", name)
		}
	}
}

// TestManyLinks: of a message with a hundred links a machine may need the whole
// minute, and is found all the same.
func TestManyLinks(t *testing.T) {
	for _, gap := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
		var c Classifier
		for i := range 100 {
			r := person(start, time.Hour+time.Duration(i)*gap, "ann")
			r.Action, r.Link, r.Links = Click, uint64(i+1), 100
			if j := c.Judge(r); (j.Verdict == Machine) != (i > 0) {
				t.Fatalf("link %d every %v: %+v", i, gap, j)
			}
		}
	}
}

func TestVerdictString(t *testing.T) {
	for v, want := range []string{"human", "doubtful", "machine", "machine"} {
		if got := Verdict(v).String(); got != want {
			t.Errorf("%d: %s, want %s", v, got, want)
		}
	}
}

func TestForgettingTheOldest(t *testing.T) {
	c := Classifier{Size: 4}
	open := func(box string, after time.Duration) Verdict {
		r := person(start, after, box)
		r.UserAgent = userAgents["gmail"]
		return c.Judge(r).Verdict
	}
	if first, again := open("a", time.Hour), open("a", 2*time.Hour); first != Human || again != Doubtful {
		t.Errorf("%v, then %v", first, again)
	}
	for i := range 4 {
		open(fmt.Sprint("other", i), time.Hour)
	}
	if v := open("a", 3*time.Hour); v != Human {
		t.Errorf("after it was forgotten: %v", v)
	}
}

// full is a classifier that has no more room.
func full(links int) *Classifier {
	c := new(Classifier)
	for i := range defaultSize + 1000 {
		r := Request{
			At: start, Action: Click, Delivery: uint64(i + 1), Tenant: "acme", Domain: fmt.Sprint(i, ".example"),
			Addr: netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}), Mailbox: mailbox(fmt.Sprint(i)),
		}
		for l := range links {
			r.Link = uint64(l + 1)
			c.Judge(r)
		}
	}
	return c
}

func TestMemoryIsBounded(t *testing.T) {
	for _, tt := range []struct{ links, most int }{{1, 38 << 20}, {mostLinks + 5, 76 << 20}} {
		before := heap()
		c := full(tt.links)
		used := int(heap() - before)
		t.Logf("%d links: %.1f MB", tt.links, float64(used)/1e6)
		if used > tt.most {
			t.Errorf("%d links a delivery: %d bytes, want %d at most", tt.links, used, tt.most)
		}
		runtime.KeepAlive(c)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestConcurrentUse(t *testing.T) {
	var c Classifier
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, life := range lives(rand.New(rand.NewPCG(uint64(i), 4)), 50) {
				for _, r := range life {
					sound(t, r, c.Judge(r))
				}
			}
		})
	}
	wg.Wait()
}

func TestAPersonCostsNoAllocation(t *testing.T) {
	for name, ua := range map[string]string{"person": firefox, "gmail": userAgents["gmail"]} {
		for _, after := range []time.Duration{70 * time.Second, time.Hour} {
			for _, action := range []Action{Open, Click} {
				var c Classifier
				r := person(start, after, "ann")
				r.Action, r.UserAgent, r.Domain, r.Link, r.Links = action, ua, "corp.example", 2, 7
				if n := testing.AllocsPerRun(100, func() { c.Judge(r) }); n > 0 {
					t.Errorf("%s, action %d after %v: %v allocations", name, action, after, n)
				}
			}
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	flood := person(start, time.Hour, "ann")
	flood.Action, flood.Link, flood.Links, flood.Domain = Click, 1, 7, "corp.example"
	machine := flood
	machine.Method, machine.UserAgent = "HEAD", "curl/8.5.0"
	run := func(name string, next func(i int, r *Request), r Request) {
		b.Run(name, func(b *testing.B) {
			var c Classifier
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				next(i, &r)
				c.Judge(r)
			}
		})
	}
	another := func(i int, r *Request) {
		r.Addr = netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
		r.Delivery = uint64(i + 1)
		binary.BigEndian.PutUint64(r.Mailbox[:], uint64(i))
	}
	run("flood-of-one-person", func(int, *Request) {}, flood)
	run("flood-of-one-machine", func(i int, r *Request) { r.Link = uint64(i); r.At = r.At.Add(time.Millisecond) }, machine)
	run("always-somebody-else", another, flood)
	flood.Action = Open
	run("always-another-open", another, flood)
}
