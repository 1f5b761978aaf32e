package experiment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// some are tallies with tenants × quarters full cells, of numbers up to max.
func some(tenants, quarters int, most uint64) *Tallies {
	rng := rand.New(rand.NewPCG(3, 4))
	var t Tallies
	for n := range tenants {
		for q := range quarters {
			for a := range Arms {
				f := Fact{Tenant: fmt.Sprintf("tenant-%04d", n), Quarter: Quarter(8104 + q), Arm: Arm(a), Shares: Shares{89, 5, 5, 1}}
				for _, field := range f.fields() {
					*field = rng.Uint64N(most) + 1
				}
				t.Add(f)
			}
		}
	}
	return &t
}

func TestTalliesAddAndMerge(t *testing.T) {
	var all, a, b Tallies
	for i := range 1000 {
		f := Fact{Tenant: []string{"x", "y"}[i%2], Quarter: Quarter(8104 + i%3), Arm: Arm(i % 4), Shares: Shares{90, 10}, Tally: simple(1, uint64(i%5/4))}
		all.Add(f)
		[]*Tallies{&a, &b}[i%7%2].Add(f)
	}
	a.Merge(&b)
	a.Merge(&Tallies{})
	if !reflect.DeepEqual(a.cells, all.cells) {
		t.Errorf("two halves merged are not the whole:\n%+v\n%+v", a.cells, all.cells)
	}
	if got := all.Tenants(); !reflect.DeepEqual(got, []string{"x", "y"}) {
		t.Errorf("tenants %q", got)
	}
	if got := all.Quarters("x", ""); !reflect.DeepEqual(got, []Quarter{8104, 8105, 8106}) {
		t.Errorf("quarters %v", got)
	}
	arms := all.Arms("x", "", 8104)
	var mailboxes, expected uint64
	for _, arm := range arms {
		mailboxes += arm.Mailboxes
		expected += arm.Expected
	}
	if expected != mailboxes*expectedUnit || arms[Control].Expected*9 != arms[Model].Expected {
		t.Errorf("%d mailboxes, expected %d: %+v", mailboxes, expected, arms)
	}
}

func TestTalliesKeepTheNewest(t *testing.T) {
	var ts Tallies
	add := func(tenant string, q Quarter) {
		ts.Add(Fact{Tenant: tenant, Quarter: q, Tally: Tally{Weeks: 1}})
	}
	for q := Quarter(8100); q < 8120; q++ {
		add("a", q)
	}
	add("a", 8000)
	if got := ts.Quarters("a", ""); len(got) != maxQuarters || got[0] != 8112 {
		t.Errorf("kept %v, want the last %d", got, maxQuarters)
	}
	ts.Add(Fact{Tenant: "a", Arm: Outside, Tally: Tally{Weeks: 1}})
	ts.Add(Fact{Tenant: string(make([]byte, 300)), Tally: Tally{Weeks: 1}})
	ts.Add(Fact{Tenant: "zero"})
	if got := ts.Tenants(); len(got) != 1 {
		t.Errorf("tenants %q", got)
	}
	for i := range maxCells + 10 {
		add(fmt.Sprint(i), 8119)
	}
	add("old", 8001)
	if len(ts.cells) != maxCells || len(ts.Quarters("a", "")) > 1 || ts.cells[key{"old", "", 8001}] != nil {
		t.Errorf("%d quarters are kept, of a %v", len(ts.cells), ts.Quarters("a", ""))
	}
}

func TestSumsDoNotOverflow(t *testing.T) {
	x := Tally{Weeks: maxSum - 1}
	for range 10 {
		x.Merge(x)
	}
	if x.Weeks != maxSum {
		t.Errorf("weeks %d, want %d", x.Weeks, uint64(maxSum))
	}
}

func TestTalliesCodecs(t *testing.T) {
	ts := some(5, maxQuarters, 1_000_000)
	b, err := ts.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Tallies
	if err := back.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(back.cells, ts.cells) {
		t.Errorf("binary: read back %v", err)
	}
	text, err := json.Marshal(ts)
	if err != nil {
		t.Fatal(err)
	}
	back = Tallies{}
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back.cells, ts.cells) {
		t.Errorf("JSON: read back %v", err)
	}
	t.Logf("%d tenants × %d quarters × %d arms: %d bytes, JSON %d", 5, maxQuarters, Arms, len(b), len(text))
	for _, bad := range []string{`{}`, `[{"quarter":"2026","arm":"model"}]`, `[{"quarter":"2026-Q1","arm":"me"}]`, `[{"quarter":"2026-Q1","arm":"model","weeks":-1}]`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// Where not all fits, what is left is the newest of every tenant.
func TestTalliesFit(t *testing.T) {
	ts := some(60, maxQuarters, 1<<40)
	b, _ := ts.MarshalBinary()
	var back Tallies
	if err := back.UnmarshalBinary(b); err != nil || len(b) > MaxBinary {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for _, tenant := range ts.Tenants() {
		kept := back.Quarters(tenant, "")
		if len(kept) == 0 || kept[len(kept)-1] != 8104+maxQuarters-1 {
			t.Errorf("of %s %v are left", tenant, kept)
		}
	}
	if len(b) < MaxBinary*9/10 {
		t.Errorf("%d bytes only", len(b))
	}
}

func FuzzTallies(f *testing.F) {
	b, _ := some(2, 2, 300).MarshalBinary()
	f.Add(b)
	f.Add([]byte{talliesVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		var ts, back Tallies
		if ts.UnmarshalBinary(b) != nil {
			return
		}
		again, err := ts.MarshalBinary()
		if err != nil || len(again) > MaxBinary {
			t.Fatalf("%d bytes, %v", len(again), err)
		}
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		third, _ := back.MarshalBinary()
		if !bytes.Equal(again, third) {
			t.Errorf("written %x, then %x", again, third)
		}
		for _, tenant := range ts.Tenants() {
			for _, e := range ts.Experiments(tenant) {
				r := ts.Report(tenant, e, Rule{})
				if _, err := json.Marshal(r); err != nil {
					t.Errorf("%+v: %v", r, err)
				}
			}
		}
	})
}

func FuzzTalliesJSON(f *testing.F) {
	b, _ := json.Marshal(some(1, 2, 300))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var ts, back Tallies
		if json.Unmarshal(b, &ts) != nil {
			return
		}
		again, err := json.Marshal(&ts)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &back); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
