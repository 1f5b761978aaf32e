package interest

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func report(t *testing.T, r *recording, p *Prior, test bool) {
	o, c := r.run(p, 1, 0)
	part := func(all []prediction, lo, hi int) []prediction {
		var x []prediction
		for _, v := range all {
			if v.mail >= lo && v.mail <= hi {
				x = append(x, v)
			}
		}
		return x
	}
	t.Log("open valid ", scored(part(o, 13, 38)))
	t.Log("click valid", scored(part(c, 13, 38)))
	if test {
		t.Log("open TEST ", scored(part(o, 39, 54)))
		t.Log("click TEST", scored(part(c, 39, 54)))
		o, c = r.run(p, 39, 7*86400)
		t.Log("open TEST 7d", scored(o))
		t.Log("click TEST 7d", scored(c))
	}
}

func TestResearch(t *testing.T) {
	r := loadRecording(t)
	h := r.histories(38)
	t0 := time.Now()
	p := Fit(h, BuiltIn())
	t.Log(time.Since(t0))
	q := BuiltIn()
	q.Open, q.Tap = p.Open, p.Tap
	report(t, r, q.derive(), false)
	report(t, r, p, os.Getenv("TEST_TOO") != "")
	t.Logf("%+v", p.Open)
	t.Logf("%+v", p.Tap)
	t.Logf("%+v", p.Reading)
	t.Logf("%+v", p.Tapping)
	fmt.Fprintf(os.Stderr, "%#v\n%#v\n%#v\n%#v\n", p.Open, p.Tap, p.Reading.Weights, p.Tapping.Weights)
}
