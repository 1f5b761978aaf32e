package experiment

import (
	"cmp"
	"maps"
	"slices"
)

// Fact is a change of one arm's tally. The zero Fact changes nothing.
type Fact struct {
	Tenant     string
	Experiment string // empty: the standing holdout
	Quarter    Quarter
	Arm        Arm
	Shares     Shares // in force when a mailbox entered
	Tally
}

// Tallies are the counts of all tenants and experiments. The zero value is empty
// and ready to use. It keeps the last quarters of each, and no more tenants than
// fit; the oldest go first.
type Tallies struct {
	cells map[key]*cell
}

type key struct {
	tenant, experiment string
	quarter            Quarter
}

type cell [Arms]Tally

const (
	maxQuarters = 8    // of a tenant or experiment
	maxCells    = 4096 // quarters of all of them
	maxName     = 255  // bytes of a tenant's or an experiment's name
)

// Add counts a fact.
func (t *Tallies) Add(f Fact) {
	if f.Tally == (Tally{}) || f.Arm >= Arms || len(f.Tenant) > maxName || len(f.Experiment) > maxName {
		return
	}
	c := t.cell(key{f.Tenant, f.Experiment, f.Quarter})
	if c == nil {
		return
	}
	c[f.Arm].Merge(f.Tally)
	if f.Mailboxes > 0 {
		c.expect(f.Shares, f.Mailboxes)
	}
}

// expect adds to what each arm should hold.
func (c *cell) expect(shares Shares, mailboxes uint64) {
	if shares == (Shares{}) {
		shares[Model] = 100
	}
	for a, percent := range shares {
		c[a].Expected = sum(c[a].Expected, mailboxes*uint64(percent*expectedUnit/100+.5))
	}
}

// expectedUnit is what one mailbox counts in Tally.Expected.
const expectedUnit = 10000

// Merge adds the counts of others, as those of another process or another day.
func (t *Tallies) Merge(o *Tallies) {
	for _, k := range o.keys() {
		if c := t.cell(k); c != nil {
			for a := range c {
				c[a].Merge(o.cells[k][a])
			}
		}
	}
}

// Arms returns the tallies of a quarter by Arm.
func (t *Tallies) Arms(tenant, experiment string, q Quarter) [Arms]Tally {
	if c := t.cells[key{tenant, experiment, q}]; c != nil {
		return *c
	}
	return [Arms]Tally{}
}

// Tenants returns who has counts.
func (t *Tallies) Tenants() []string {
	seen := map[string]bool{}
	for k := range t.cells {
		seen[k.tenant] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Experiments returns the experiments of a tenant that have counts; the first is
// empty where the standing holdout has.
func (t *Tallies) Experiments(tenant string) []string {
	seen := map[string]bool{}
	for k := range t.cells {
		if k.tenant == tenant {
			seen[k.experiment] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Quarters returns those of an experiment that have counts, oldest first.
func (t *Tallies) Quarters(tenant, experiment string) []Quarter {
	var quarters []Quarter
	for k := range t.cells {
		if k.tenant == tenant && k.experiment == experiment {
			quarters = append(quarters, k.quarter)
		}
	}
	slices.Sort(quarters)
	return quarters
}

// cell returns the counts of a quarter, or nil where it is older than what is
// kept.
func (t *Tallies) cell(k key) *cell {
	if c := t.cells[k]; c != nil {
		return c
	}
	if kept := t.Quarters(k.tenant, k.experiment); len(kept) >= maxQuarters {
		if k.quarter < kept[0] {
			return nil
		}
		delete(t.cells, key{k.tenant, k.experiment, kept[0]})
	}
	if len(t.cells) >= maxCells {
		oldest := slices.MinFunc(t.keys(), t.older)
		if k.quarter < oldest.quarter {
			return nil
		}
		delete(t.cells, oldest)
	}
	if t.cells == nil {
		t.cells = map[key]*cell{}
	}
	c := new(cell)
	t.cells[k] = c
	return c
}

// keys returns what is counted, by tenant, experiment and quarter.
func (t *Tallies) keys() []key {
	return slices.SortedFunc(maps.Keys(t.cells), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.experiment, b.experiment), cmp.Compare(a.quarter, b.quarter))
	})
}

// older orders by what is to be given up first: the oldest, and of these what
// counted least.
func (t *Tallies) older(a, b key) int {
	return cmp.Or(cmp.Compare(a.quarter, b.quarter), cmp.Compare(t.cells[a].weeks(), t.cells[b].weeks()),
		cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.experiment, b.experiment))
}

func (c *cell) weeks() uint64 {
	var n uint64
	for a := range c {
		n = sum(n, c[a].Weeks)
	}
	return n
}
