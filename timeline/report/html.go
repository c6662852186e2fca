package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"firetrail"
	"firetrail/timeline"
)

//go:embed report.gohtml
var htmlText string

// htmlForm is one self-contained page: no script, no outside request, readable
// under "default-src 'none'". Everything from logs goes through Inert and the
// contextual escaping of html/template.
var htmlForm = Form{
	Name: "html",
	Doc:  "one self-contained HTML page, no scripts, no outside requests",
	Write: func(w io.Writer, r *Report) error {
		t, err := template.New("report").Funcs(template.FuncMap{
			"inert": firetrail.Inert, "stamp": firetrail.Stamp, "who": func(a firetrail.Attribution) string { return who(&a) },
			"cause": func(c firetrail.Cause) string { return causeText(&c) }, "span": span, "targets": targets, "level": levelText,
			"finding": r.finding, "raw": func(b []byte) string { return firetrail.InertRecord(string(b)) },
			"reference": func(e firetrail.Evidence) string { return Reference(&e) }, "probability": firetrail.Probability,
			"points": func(p float64) string { return fmt.Sprintf("%+.2f", p) }, "lanes": func(i firetrail.Incident) template.HTML { return lanes(r, &i) },
			"join": strings.Join, "score": func(f float64) string { return fmt.Sprintf("%.2f", f) },
		}).Parse(htmlText)
		if err != nil {
			return fmt.Errorf("parse report template: %w", err)
		}
		return t.Execute(w, struct {
			*Report
			Totals    firetrail.Counts
			Incidents []firetrail.Incident
		}{r, r.totals(), timeline.Gravest(r.Results.Incidents)})
	},
}

// lanes draws an incident's findings over time as an inline SVG: one lane a
// finding, the bursts as marks. Numbers only are computed here, and the labels
// are escaped, so the result is safe to insert.
func lanes(r *Report, i *firetrail.Incident) template.HTML {
	const width, left, lane = 960, 210, 24
	if i.End <= i.Start || len(i.Findings) == 0 {
		return ""
	}
	x := func(t int64) float64 {
		t = min(max(t, i.Start), i.End)
		return left + float64(t-i.Start)/float64(i.End-i.Start)*(width-left-12)
	}
	var b strings.Builder
	height := lane*len(i.Findings) + 34
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="findings over time">`, width, height)
	for n, id := range i.Findings {
		f := r.finding(id)
		if f == nil {
			continue
		}
		y := n*lane + 4
		fmt.Fprintf(&b, `<text x="0" y="%d">%s</text><line x1="%d" y1="%d" x2="%d" y2="%d"/>`, y+14, template.HTMLEscapeString(f.Detector), left, y+10, width-12, y+10)
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="14" rx="3"/>`, template.HTMLEscapeString(f.Severity), x(f.Start), y+3, max(3, x(f.End)-x(f.Start)))
		for k, burst := range f.Bursts {
			if k == 400 {
				break
			}
			fmt.Fprintf(&b, `<rect class="burst" x="%.1f" y="%d" width="%.1f" height="14"/>`, x(burst.Start), y+3, max(1, x(burst.End)-x(burst.Start)))
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text></svg>`,
		left, height-8, firetrail.Stamp(i.Start), width-12, height-8, firetrail.Stamp(i.End))
	return template.HTML(b.String())
}
