package simulate

// Week is what became of the mail that was handed in during one week.
type Week struct {
	Accepted     float64 `json:"accepted"`
	Sent         float64 `json:"sent"`
	Dropped      float64 `json:"dropped"`
	Suppressed   float64 `json:"suppressed"` // its reader left while it waited
	Reads        float64 `json:"reads"`      // by humans
	Clicks       float64 `json:"clicks"`
	Unsubscribes float64 `json:"unsubscribes"`
	Complaints   float64 `json:"complaints"`

	Soon float64 `json:"read_within_hour"` // reads within an hour of delivery
	Held float64 `json:"held_hours"`       // of all mail sent
	Wait float64 `json:"wait_hours"`       // from delivery to reading, of all mail read
}

func newWeeks(n int) []Week { return make([]Week, n) }

func (w *Week) count(m *mail, t when, out *outcome) {
	w.Sent++
	w.Held += float64(t-m.at) / hour
	if out.read != never {
		w.Reads++
		w.Wait += float64(out.read-t) / hour
		if out.read-t <= hour {
			w.Soon++
		}
	}
	w.Clicks += happened(out.clicked)
	w.Unsubscribes += happened(out.left)
	w.Complaints += happened(out.complained)
}

func happened(t when) float64 {
	if t == never {
		return 0
	}
	return 1
}

// plus is the sum of two weeks.
func (w Week) plus(o Week) Week {
	a, b := w.fields(), o.fields()
	for i := range a {
		*a[i] += *b[i]
	}
	return w
}

// times scales every count.
func (w Week) times(f float64) Week {
	for _, v := range w.fields() {
		*v *= f
	}
	return w
}

func (w *Week) fields() []*float64 {
	return []*float64{&w.Accepted, &w.Sent, &w.Dropped, &w.Suppressed, &w.Reads, &w.Clicks,
		&w.Unsubscribes, &w.Complaints, &w.Soon, &w.Held, &w.Wait}
}

// perMail is human reads per mail sent.
func (w *Week) perMail() float64 { return ratio(w.Reads, w.Sent) }

// lost is people who left or complained.
func (w *Week) lost() float64 { return w.Unsubscribes + w.Complaints }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
