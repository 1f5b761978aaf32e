package scheduler

// Planner plans several items of one request: what is foreseen of the reader, and
// the order of the items, are found out once for all of them. The zero value is
// ready. It is large, and made to be used again.
type Planner struct {
	t     table
	begun bool
}

// Begin takes up a request. Neither it nor what it refers to may change while its
// items are being planned.
func (n *Planner) Begin(p *Policy, r *Request) {
	n.begun = false
	n.t.p, n.t.r = p, r
}

// Plan is Policy.Plan of the request's Items[i].
func (n *Planner) Plan(i int) Plan {
	p, r := n.t.p, n.t.r
	if plan, done := p.unasked(r, i); done {
		return plan
	}
	if !n.begun {
		n.t.begin(p, r)
		n.begun = true
	}
	return n.t.asked(i)
}
