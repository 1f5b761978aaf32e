package main

import (
	"html/template"
	"io"
)

// bar is one day's column in the picture; lengths are in its units.
type bar struct {
	Date                     string
	X, Height, Held, HeldTop float64
	Top, Dropped, DroppedTop float64
	Planned, HeldN, DroppedN int64
	Label                    bool
}

// The picture of a report.
const (
	pictureWide = 720.0
	pictureHigh = 200.0
	mostLabels  = 10
)

// bars scales the days to the picture.
func (r *reported) bars() []bar {
	most := int64(1)
	for _, d := range r.Days {
		most = max(most, d.Planned)
	}
	step := pictureWide / float64(max(1, len(r.Days)))
	every := (len(r.Days) + mostLabels - 1) / mostLabels
	var out []bar
	for i, d := range r.Days {
		scale := func(n int64) float64 { return pictureHigh * float64(min(n, most)) / float64(most) }
		b := bar{Date: d.Date, X: float64(i) * step, Planned: d.Planned, HeldN: d.Held, DroppedN: d.Dropped, Label: i%every == 0}
		b.Height, b.Held, b.Dropped = scale(d.Planned), scale(d.Held), scale(d.Dropped)
		b.Top, b.HeldTop, b.DroppedTop = pictureHigh-b.Height, pictureHigh-b.Held, pictureHigh-b.Held-b.Dropped
		out = append(out, b)
	}
	return out
}

// writeHTML writes one page without anything that would have to be fetched.
func (r *reported) writeHTML(w io.Writer) error {
	return reportPage.Execute(w, struct {
		*reported
		Bars       []bar
		Wide, Step float64
	}{r, r.bars(), pictureWide, 0.8 * pictureWide / float64(max(1, len(r.Days)))})
}

var reportPage = template.Must(template.New("report").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Tidepost: what live does</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #1c2733; background: #fff }
h1 { font-size: 1.4em } table { border-collapse: collapse; width: 100% } th, td { text-align: right; padding: .2em .6em; border-bottom: 1px solid #d8dee4 }
th:first-child, td:first-child { text-align: left } svg { width: 100%; height: auto } .all { fill: #c9d6e2 } .held { fill: #2a7f9e } .dropped { fill: #b5502f }
text { font-size: 11px; fill: #55616d } .key span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
@media (prefers-color-scheme: dark) { body { color: #dfe6ec; background: #14191e } th, td { border-color: #333d47 } .all { fill: #3a4753 } text { fill: #9aa7b3 } }
</style>
<h1>{{if .Live}}What the model did{{else}}What live would have done{{end}}{{with .Tenant}}, tenant {{.}}{{end}}</h1>
<p>{{.Since.UTC.Format "2006-01-02 15:04"}} to {{.Until.UTC.Format "2006-01-02 15:04"}} UTC</p>
{{range .Sentences}}<p>{{.}}</p>
{{end}}{{if .Bars}}<svg viewBox="0 -5 {{.Wide}} 230" role="img" aria-label="Bulk mail by day">
{{$w := .Step}}{{range .Bars}}<g><title>{{.Date}}: {{.Planned}} planned, {{.HeldN}} held, {{.DroppedN}} dropped</title><rect class="all" x="{{.X}}" y="{{.Top}}" width="{{$w}}" height="{{.Height}}"/><rect class="held" x="{{.X}}" y="{{.HeldTop}}" width="{{$w}}" height="{{.Held}}"/><rect class="dropped" x="{{.X}}" y="{{.DroppedTop}}" width="{{$w}}" height="{{.Dropped}}"/></g>
{{end}}{{range .Bars}}{{if .Label}}<text x="{{.X}}" y="216">{{.Date}}</text>
{{end}}{{end}}</svg>
<p class="key"><span style="background:#c9d6e2"></span>planned <span style="background:#2a7f9e"></span>held <span style="background:#b5502f"></span>dropped</p>
<table><tr><th>Day (UTC)<th>Planned<th>Held<th>Dropped<th>Over pace</tr>
{{range .Days}}<tr><td>{{.Date}}<td>{{.Planned}}<td>{{.Held}}<td>{{.Dropped}}<td>{{.Pressed}}</tr>
{{end}}</table>
{{end}}{{range .History}}<h2>History</h2>
{{range .Sentences}}<p>{{.}}</p>
{{end}}{{end}}</html>
`))
