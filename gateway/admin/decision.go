package admin

import (
	"fmt"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// decisionDoc is the model's decision about a delivery, with the numbers behind
// it. Utilities are in readings of a message of value 1.
type decisionDoc struct {
	Sentence   string    `json:"sentence"`
	At         time.Time `json:"at"`
	Live       bool      `json:"live"` // it was carried out, not only noted
	Arm        string    `json:"arm"`
	Model      uint32    `json:"model_version"`
	Propensity float32   `json:"propensity"`
	Would      string    `json:"would"`
	WouldAt    time.Time `json:"would_at,omitzero"`

	UtilityNow  float32   `json:"utility_now"`
	Now         partsDoc  `json:"now"`
	UtilityBest float32   `json:"utility_best"`
	Best        partsDoc  `json:"best"`
	BestAt      time.Time `json:"best_at,omitzero"`
	RunnerUp    float32   `json:"runner_up"`
	RunnerAt    time.Time `json:"runner_at,omitzero"`

	Reads    float32  `json:"reads_ratio"`
	Pressure float32  `json:"pressure"`
	Interest float32  `json:"interest"`
	Evidence float32  `json:"evidence_hours"`
	Curve    string   `json:"curve"` // person or shared
	Mails    uint16   `json:"mails"`
	Thrift   float32  `json:"thrift"`          // what it brings for what it costs
	Floor    float32  `json:"floor,omitempty"` // thrift below which mail was dropped then
	Changes  []string `json:"changes"`         // what would have changed it
}

// partsDoc are the parts that a utility is the sum of.
type partsDoc struct {
	Read        float32 `json:"read"`
	Unsubscribe float32 `json:"unsubscribe"`
	Complaint   float32 `json:"complaint"`
	Future      float32 `json:"future"`
	Price       float32 `json:"price"`
}

// newDecisionDoc is nil where the model had no say. The second result is false
// where what is stored cannot be read.
func newDecisionDoc(d *gateway.Delivery, zone *time.Location) *decisionDoc {
	why, err := d.Why()
	if err != nil || why.At.IsZero() {
		return nil
	}
	doc := &decisionDoc{
		Sentence: why.Sentence(zone), At: utc(why.At), Live: why.Live, Arm: why.Arm.String(), Model: why.Model, Propensity: why.Propensity,
		Would: why.Would.String(), WouldAt: utc(why.WouldAt),
		UtilityNow: why.Now.U(), Now: partsDoc(why.Now), UtilityBest: why.Best.U(), Best: partsDoc(why.Best), BestAt: utc(why.BestAt),
		RunnerUp: why.RunnerUp, RunnerAt: utc(why.RunnerAt),
		Reads: why.Reads, Pressure: why.Pressure, Interest: why.Interest, Evidence: why.Evidence, Curve: "shared", Mails: why.Mails, Thrift: why.Thrift, Floor: why.Floor,
		Changes: []string{},
	}
	if why.Own {
		doc.Curve = "person"
	}
	for _, c := range why.Changes() {
		doc.Changes = append(doc.Changes, c.String())
	}
	return doc
}

// tellDecision says what the model decided and the numbers that sum to it.
func (x *explanation) tellDecision(d *gateway.Delivery, zone *time.Location) {
	doc := newDecisionDoc(d, zone)
	if doc == nil {
		return
	}
	why, _ := d.Why()
	x.say(doc.Sentence)
	x.say(sum("Its utility at the best hour", why.Best))
	x.say(sum("Its utility at once", why.Now))
	for _, c := range doc.Changes {
		x.say("What alone would have changed that: " + c + ".")
	}
}

func sum(what string, p scheduler.Parts) string {
	return fmt.Sprintf("%s is %+.4f: reading %+.4f, unsubscribing %+.4f, complaining %+.4f, later mail %+.4f, destination %+.4f.",
		what, p.U(), p.Read, p.Unsubscribe+0, p.Complaint+0, p.Future+0, p.Price+0) // +0: no minus before nothing
}

// readerDoc is what is known of a mailbox's owner.
type readerDoc struct {
	Audience  string    `json:"audience"`
	Zone      string    `json:"timezone,omitempty"`
	Pressure  float32   `json:"pressure"`
	Tolerance float32   `json:"tolerance_per_week"`
	Interest  float32   `json:"interest"`
	Alive     float32   `json:"alive"`
	Future    float32   `json:"readings_in_26_weeks"`
	Evidence  float32   `json:"evidence_hours"`
	Rate      float32   `json:"active_hours_per_week"`
	Mails     int       `json:"mails"`
	Hours     []string  `json:"hours"` // likeliest, as Mon 19:00, with how many times likelier than the average
	Active    time.Time `json:"active,omitzero"`
	Bytes     int       `json:"profile_bytes"`
}

var weekdays = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// newReaderDoc is nil for a mailbox of which nothing is known.
func (s *Server) newReaderDoc(box *gateway.Mailbox, tenant string) *readerDoc {
	f, ok := s.Gateway.Facts(box, tenant)
	if !ok {
		return nil
	}
	doc := &readerDoc{Audience: box.Audience, Zone: box.Zone, Pressure: f.Pressure, Tolerance: f.Tolerance, Interest: f.Read, Alive: f.Alive,
		Future: f.Future, Evidence: f.Evidence, Rate: f.Rate, Mails: f.Mails, Active: utc(f.Active), Bytes: len(box.Profile), Hours: []string{}}
	clock := "UTC"
	if f.Local {
		clock = "local"
	}
	for i, h := range f.Hours {
		if f.Evidence > 0 {
			doc.Hours = append(doc.Hours, fmt.Sprintf("%s %02d:00 %s, %.1f times the average hour", weekdays[h/24], h%24, clock, f.Times[i]))
		}
	}
	return doc
}

// tellReader says what is known of a mailbox's owner.
func (x *explanation) tellReader(doc *readerDoc) {
	if doc == nil {
		return
	}
	x.Readers = append(x.Readers, *doc)
	x.say(fmt.Sprintf("Its owner reads a mail with probability %.2f (%s with a known outcome); pressure %.1f of what they bear, %.1f a week.",
		doc.Interest, plural(int64(doc.Mails), "mail", "mails"), doc.Pressure, doc.Tolerance))
	if len(doc.Hours) > 0 {
		x.say(fmt.Sprintf("Most likely they read at %s (%.0f hours of own evidence).", doc.Hours[0], doc.Evidence))
	}
}
