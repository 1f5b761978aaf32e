package interest

import (
	"sort"
	"testing"
)

func TestTmp(t *testing.T) {
	r := loadRecording(t)
	p := BuiltIn()
	for _, cut := range []int{14, 20, 26} {
		h := r.histories(38)
		type row struct{ f, y, n, q float64 }
		var rows []row
		for _, x := range h {
			var s State
			var b belief
			w := row{}
			for _, o := range x {
				if o.At <= r.at[cut] {
					live(&s, p, o.Mail, o.Read)
					b = s.belief(p, o.At)
					w.q = s.Read(p, o.Mail)
					continue
				}
				w.n++
				if o.Read {
					w.y++
				}
			}
			if w.n < 8 || s.Mails() < 5 {
				continue
			}
			row := 0
			for 1<<(row+1) <= int(w.n) && row < futures-2 {
				row++
			}
			lo, hi := float64(b.mean(&p.future[row])), float64(b.mean(&p.future[row+1]))
			w.f = lo + (hi-lo)*(w.n-float64(int(1)<<row))/float64(int(1)<<row)
			rows = append(rows, w)
		}
		sort.Slice(rows, func(i, j int) bool { return rows[i].f/rows[i].n < rows[j].f/rows[j].n })
		for k := range 10 {
			var f, y, n, q float64
			for _, w := range rows[k*len(rows)/10 : (k+1)*len(rows)/10] {
				f += w.f
				y += w.y
				n += w.n
				q += w.q * w.n
			}
			t.Logf("cut %d decile %d: foreseen rate %.3f seen %.3f, now %.3f", cut, k, f/n, y/n, q/n)
		}
	}
}
