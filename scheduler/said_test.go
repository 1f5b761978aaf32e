package scheduler

import (
	"testing"
	"time"

	"tidepost/scheduler/interest"
)

// What people say when they leave, as it shows in what is foreseen of their mail.
func TestSaid(t *testing.T) {
	const news, shop = 1001, 2002
	m := BuiltIn()
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	var before Profile
	for i := range 12 {
		topic := uint32(news)
		if i%2 == 1 {
			topic = shop
		}
		before.Sent(m, time.UTC, Sent{At: at, Ref: uint16(i), Topic: topic, Pressure: .6, Observable: true})
		before.Observe(m, time.UTC, SeesFull, Evidence{Kind: Clicked, At: at.Add(time.Hour), Ref: uint16(i), Weight: 1})
		at = at.AddDate(0, 0, 3)
	}
	read := func(p *Profile, topic uint32) float64 {
		return p.Interest.Read(m.Interest, interest.Mail{At: at.Unix(), Topic: fold(topic), Weight: .6})
	}
	for _, tt := range []struct {
		story                   string
		cause                   Cause
		topic                   uint32
		news, shop, often, tell bool // what is lower afterwards, and whether anything is
	}{
		{story: "too often", cause: CauseTooOften, topic: news, often: true, tell: true},
		{story: "the newsletter does not concern them", cause: CauseIrrelevant, topic: news, news: true, tell: true},
		{story: "none of it concerns them", cause: CauseIrrelevant, news: true, shop: true, tell: true},
		{story: "no longer interested", cause: CauseLost, topic: news, news: true, shop: true, tell: true},
		{story: "nothing was said", cause: CauseUntold, topic: news},
	} {
		p := before
		if told := p.Said(m, tt.cause, tt.topic); told != tt.tell || p.Said(m, tt.cause, tt.topic) {
			t.Errorf("%s: told %v, or twice", tt.story, told)
		}
		for _, x := range []struct {
			what    string
			is, was float64
			lower   bool
		}{
			{"the newsletter", read(&p, news), read(&before, news), tt.news}, {"the shop", read(&p, shop), read(&before, shop), tt.shop},
			{"the tolerance", float64(p.Interest.Tolerance(m.Interest)), float64(before.Interest.Tolerance(m.Interest)), tt.often},
		} {
			if x.lower != (x.is < x.was) || x.is > x.was {
				t.Errorf("%s: %s is at %.4f, was at %.4f", tt.story, x.what, x.is, x.was)
			}
		}
		var back Profile
		b := p.AppendBinary(nil)
		if rest, err := back.UnmarshalBinary(b); err != nil || len(rest) > 0 || back.Interest != p.Interest || len(b) > 256 {
			t.Errorf("%s: %d bytes, read back as another: %v", tt.story, len(b), err)
		}
	}
}
