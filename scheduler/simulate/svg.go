package simulate

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// panel is one figure that is drawn by week.
type panel struct {
	title string
	of    func(*Weekly) Estimate
}

var panels = []panel{
	{"mails sent", func(w *Weekly) Estimate { return w.Sent }},
	{"human reads", func(w *Weekly) Estimate { return w.Reads }},
	{"clicks", func(w *Weekly) Estimate { return w.Clicks }},
	{"unsubscribes", func(w *Weekly) Estimate { return w.Unsubscribes }},
	{"complaints", func(w *Weekly) Estimate { return w.Complaints }},
	{"regret: reads per mail the oracle has more", func(w *Weekly) Estimate { return w.Regret }},
}

// colours tell policies apart, also for those who see no red or green (Okabe and Ito).
var colours = map[string]string{
	Immediate: "#666666", TenOClock: "#e69f00", Histogram: "#cc79a7", SendTime: "#56b4e9",
	Random: "#b8b8b8", Model: "#d55e00", When: "#f0a27a", Hours: "#7fbf9f", Oracle: "#009e73",
}

// Sizes of the picture in pixels.
const (
	plotWide, plotHigh   = 230, 120
	cellWide, cellHigh   = plotWide + 50, plotHigh + 46
	marginLeft, headHigh = 44, 88
)

// WriteSVG draws every figure by week: a row for each and a column for each world,
// or all in two rows where there is one world; a line for each policy with its
// interval as a band.
func (r *Report) WriteSVG(w io.Writer) error {
	var b strings.Builder
	columns, rows := len(r.Worlds), len(panels)
	if columns == 1 {
		columns, rows = (len(panels)+1)/2, 2
	}
	wide := max(marginLeft+cellWide*columns, 760)
	high := headHigh + cellHigh*rows + 10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="11" fill="#222">`+"\n", wide, high, wide, high)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", wide, high)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15" font-weight="600">Policies side by side, by the week in which mail was handed in</text>`+"\n", marginLeft)
	fmt.Fprintf(&b, `<text x="%d" y="40" fill="#666">%d people, %d seeds; bands are 95 %% intervals of the mean; shaded weeks are not judged</text>`+"\n", marginLeft, r.People, r.Seeds)
	r.legend(&b)
	for i := range r.Worlds {
		x := marginLeft + i*cellWide
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="13" font-weight="600">%s</text>`+"\n", x, headHigh-6, html.EscapeString(r.Worlds[i].Name))
		for j := range panels {
			column, row := 0, j
			if len(r.Worlds) == 1 {
				column, row = j%columns, j/columns
			}
			r.draw(&b, &r.Worlds[i], &panels[j], x+column*cellWide, headHigh+row*cellHigh+18)
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) legend(b *strings.Builder) {
	if len(r.Worlds) == 0 {
		return
	}
	x := marginLeft
	for i := range r.Worlds[0].Policies {
		name := r.Worlds[0].Policies[i].Name
		fmt.Fprintf(b, `<path d="M%d 57h16" stroke="%s" stroke-width="2.5"/><text x="%d" y="61">%s</text>`+"\n", x, colours[name], x+20, name)
		x += 40 + 7*len(name)
	}
}

// draw puts one panel at its place.
func (r *Report) draw(b *strings.Builder, world *WorldReport, p *panel, x, y int) {
	low, high := bounds(world, p)
	at := func(week int, v float64) (float64, float64) {
		v = min(max(v, low), high) // a band that is wider than the plot is cut
		return float64(x) + (float64(week)+.5)/float64(max(1, r.Weeks))*plotWide, float64(y) + plotHigh*(1-(v-low)/(high-low))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#444">%s</text>`+"\n", x, y-5, p.title)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#f1f1f1"/>`+"\n", x, y, float64(r.From-1)/float64(max(1, r.Weeks))*plotWide, plotHigh)
	for _, v := range []float64{low, (low + high) / 2, high} {
		_, line := at(0, v)
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" fill="#666" font-size="9" text-anchor="end">%s</text>`+"\n", x, line, plotWide, x-4, line+3, short(v))
	}
	for week := 4; week <= r.Weeks; week += 4 {
		tick, _ := at(week-1, low)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#666" font-size="9" text-anchor="middle">%d</text>`+"\n", tick, y+plotHigh+11, week)
	}
	for i := range world.Policies {
		line(b, &world.Policies[i], p, at)
	}
}

func line(b *strings.Builder, policy *PolicyReport, p *panel, at func(int, float64) (float64, float64)) {
	var upper, lower, middle []string
	for week := range policy.Weekly {
		e := p.of(&policy.Weekly[week])
		point := func(v float64) string {
			x, y := at(week, v)
			return fmt.Sprintf("%.1f,%.1f", x, y)
		}
		middle = append(middle, point(e.Mean))
		upper = append(upper, point(e.Mean+e.Width))
		lower = append([]string{point(e.Mean - e.Width)}, lower...)
	}
	colour := colours[policy.Name]
	fmt.Fprintf(b, `<polygon points="%s" fill="%s" fill-opacity=".12"/>`+"\n", strings.Join(append(upper, lower...), " "), colour)
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.6"/>`+"\n", strings.Join(middle, " "), colour)
}

// bounds are the range of a panel: from zero, or below, to somewhat over the highest
// line. Bands may reach beyond: of few seeds they are wide.
func bounds(world *WorldReport, p *panel) (low, high float64) {
	for i := range world.Policies {
		for week := range world.Policies[i].Weekly {
			e := p.of(&world.Policies[i].Weekly[week])
			low, high = min(low, e.Mean), max(high, 1.15*e.Mean)
		}
	}
	if high <= low {
		high = low + 1
	}
	return low, high
}

func short(v float64) string {
	switch {
	case math.Abs(v) >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case math.Abs(v) >= 10 || v == 0:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}
