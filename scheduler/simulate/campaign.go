package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// tenants write to people, each about two topics.
var tenants = [...]string{"shop", "paper", "club", "travel"}

const (
	tenantCount = len(tenants)
	topicCount  = len(topics)
)

// topic is what a tenant writes about.
type topic struct {
	tenant int
	class  string
	list   string
	appeal float64 // log odds of being read, besides the person's
	weekly float64 // campaigns a week
	weight float64 // how much one tires
}

var topics = [...]topic{
	{0, "promotional", "offers.shop.example", -.45, 2.2, 1},
	{0, "newsletter", "news.shop.example", .1, .5, .6},
	{1, "newsletter", "daily.paper.example", .25, 2.2, .6},
	{1, "promotional", "subscribe.paper.example", -.6, .4, 1},
	{2, "newsletter", "members.club.example", .3, .9, .6},
	{2, "promotional", "tickets.club.example", -.2, .8, 1},
	{3, "promotional", "deals.travel.example", -.5, 1.6, 1},
	{3, "newsletter", "letter.travel.example", 0, .3, .6},
}

// campaign is one message to all of a tenant's people.
type campaign struct {
	index    int
	topic    int
	at       when // handed in from here on
	window   time.Duration
	value    float64
	halfLife time.Duration
	quality  float64 // log odds of being read, besides topic and person
}

// campaigns draws the calendar of a run: most leave at ten in the morning in the
// tenant's zone, as they do.
func campaigns(seed uint64, weeks int) ([]campaign, error) {
	where, err := zones()
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(mix(seed), 0xca1e))
	var all []campaign
	for week := range weeks {
		for t := range topics {
			n := int(topics[t].weekly + r.Float64())
			for range n {
				all = append(all, newCampaign(r, where[0], week, t))
			}
		}
	}
	slices.SortFunc(all, func(a, b campaign) int { return int(a.at - b.at) })
	for i := range all {
		all[i].index = i
	}
	return all, nil
}

func newCampaign(r *rand.Rand, home *zone, week, topic int) campaign {
	c := campaign{topic: topic, window: 24 * time.Hour, value: 1, quality: .25 * r.NormFloat64()}
	d := r.IntN(5)
	if r.Float64() < .15 {
		d = 5 + r.IntN(2)
	}
	local := 10 * hour
	switch u, at := r.Float64(), r.Float64(); {
	case u > .95:
		local = int(at * day)
	case u > .8:
		local = 15 * hour
	}
	local += r.IntN(1200)
	guess := when(week*weekLong + d*day + local)
	c.at = max(guess-(home.local(guess)-guess), when(week*weekLong))
	switch u := r.Float64(); {
	case u > .8:
		c.window = 48 * time.Hour
	case u > .65:
		c.window = 36 * time.Hour
	}
	switch u := r.Float64(); {
	case u > .85:
		c.halfLife = 24 * time.Hour
	case u > .5:
		c.halfLife = 72 * time.Hour
	}
	c.value = math.Round(4*math.Exp(.4*r.NormFloat64())) / 4
	c.value = max(c.value, .25)
	return c
}

// spread is how long handing in one campaign takes.
const spread = 900

// mail is one delivery that a policy may make.
type mail struct {
	id       int // unique in the run
	at       when
	person   *person
	campaign *campaign
}

// mails lists every mail of a run in order of time.
func mails(people []*person, calendar []campaign) []mail {
	var all []mail
	for i := range calendar {
		c := &calendar[i]
		for _, p := range people {
			if p.tenants[topics[c.topic].tenant] {
				step := int(mix(uint64(p.index)^mix(uint64(i))) % spread) // in no order of people
				all = append(all, mail{at: c.at + when(step), person: p, campaign: c})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mail) int { return int(a.at - b.at) })
	for i := range all {
		all[i].id = i
	}
	return all
}
