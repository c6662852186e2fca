package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"firetrail"
	"firetrail/timeline"
)

// markdownForm is CommonMark. Text from logs is escaped, records stand in code
// fences that no record can close.
var markdownForm = Form{
	Name: "markdown",
	Doc:  "Markdown for tickets and wikis",
	Write: func(w io.Writer, r *Report) error {
		m := &markdown{w: bufio.NewWriter(w)}
		m.head(r)
		for _, i := range timeline.Gravest(r.Results.Incidents) {
			m.incident(r, &i)
		}
		m.coverage(r)
		return m.w.Flush()
	},
}

type markdown struct {
	w *bufio.Writer
}

// say writes a line; its %s arguments of type string are escaped.
func (m *markdown) say(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escape(s)
		}
	}
	fmt.Fprintf(m.w, format+"\n", args...)
}

// escape makes text inert in Markdown: every character that could begin markup
// gets a backslash, and line ends cannot occur.
func escape(s string) string {
	s = firetrail.Inert(s)
	if !strings.ContainsAny(s, "\\`*_{}[]()<>#+!|~&@") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("\\`*_{}[]()<>#+!|~&@", s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	// A bare address must not become a link of a lenient renderer.
	return strings.ReplaceAll(b.String(), "://", `:\/\/`)
}

// code writes a record in a fence longer than any run of backticks in it.
func (m *markdown) code(text string) {
	fence, run := 3, 0
	for i := 0; i < len(text); i++ {
		if text[i] == '`' {
			run++
			fence = max(fence, run+1)
		} else {
			run = 0
		}
	}
	bar := strings.Repeat("`", fence)
	fmt.Fprintf(m.w, "%stext\n%s\n%s\n", bar, text, bar)
}

// list writes items below a title, nothing where there are none. Items are escaped by say.
func (m *markdown) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(m.w, "\n%s\n\n", title)
	for _, i := range items {
		m.say("- %s", i)
	}
}

// head says first whether the report is whole: a reader who stops here must know.
func (m *markdown) head(r *Report) {
	m.say("# %s\n", r.Title)
	if !r.Results.Complete {
		m.list("**This report is incomplete:**", r.Results.Reasons)
	}
	c := r.totals()
	m.say("\n%d sources, %d records: %d events, %d quarantined, %d headers, %d other lines. %d incidents, %d findings.\n",
		len(r.Sources), c.Records, c.Events, c.Rejected, c.Headers, c.Other, len(r.Results.Incidents), len(r.Results.Findings))
	if len(r.Results.Incidents) == 0 {
		m.say("No incident was found. What could not be tested is listed below.")
		return
	}
	m.say("| severity | incident | from | to | run | cause |\n|---|---|---|---|---|---|")
	for _, i := range timeline.Gravest(r.Results.Incidents) {
		run := "none"
		if i.Run != nil {
			run = fmt.Sprintf("%s (%s, %s)", i.Run.ID, firetrail.Probability(i.Run.Probability), i.Run.Level)
		}
		m.say("| %s | %s | %s | %s | %s | %s |", i.Severity, i.Title, firetrail.Stamp(i.Start), firetrail.Stamp(i.End), run, i.Cause.Verdict)
	}
}

// incident writes one incident with its findings, in the order of the incident.
func (m *markdown) incident(r *Report, i *firetrail.Incident) {
	m.say("\n## %s\n", i.Title)
	m.say("- Incident %s, severity %s", i.ID, i.Severity)
	m.say("- Time: %s", span(i.Start, i.End, i.Open))
	m.say("- Targets: %s", targets(i.Targets, 0))
	m.say("- Which run: %s", who(&i.Attribution))
	m.say("- Cause: %s", causeText(&i.Cause))
	m.list("What speaks for the cause and against it:", i.Cause.Facts)
	m.list("What speaks against the attribution:", i.Against)
	m.list("Not seen or not testable:", i.Unseen)
	m.list("Elsewhere:", i.Elsewhere)
	if len(i.Phases) > 0 {
		m.say("\n### Phases\n\n| phase | from | to | findings |\n|---|---|---|---|")
		for _, p := range i.Phases {
			m.say("| %s | %s | %s | %d |", p.Name, firetrail.Stamp(p.Start), firetrail.Stamp(p.End), len(p.Findings))
		}
	}
	for _, id := range i.Findings {
		if f := r.finding(id); f != nil {
			m.finding(f)
		}
	}
}

// finding writes the score point by point and each cited record as it stands in its file.
func (m *markdown) finding(f *firetrail.Finding) {
	m.say("\n### %s\n", f.Title)
	m.say("- Finding %s, %s, severity %s, score %.2f, %d events", f.ID, f.Detector, f.Severity, f.Score, f.Count)
	m.say("- Time: %s", span(f.Start, f.End, f.Open))
	if len(f.Targets) > 0 {
		m.say("- Targets: %s", targets(f.Targets, f.Targeted))
	}
	m.say("- Which run: %s", who(&f.Attribution))
	for _, c := range f.Candidates {
		m.say("  - %s %s: %s", c.ID, firetrail.Probability(c.Probability), strings.Join(c.Reasons, "; "))
	}
	m.say("\nWhy:\n")
	for _, p := range f.Why {
		m.say("- %+.2f %s", p.Points, p.Text)
	}
	m.list("Harmless explanations to rule out:", f.Benign)
	m.say("\nEvidence:\n")
	for k := range f.Evidence {
		e := &f.Evidence[k]
		m.say("%d\\. %s:%d, offset %d %s\n", k+1, e.Path, e.Line, e.Offset, e.Note)
		fmt.Fprintf(m.w, "`%s`\n\n", Reference(e))
		m.code(firetrail.InertRecord(string(e.Raw)))
	}
}

// coverage accounts for each source, for what was not seen and for what could not be tested.
func (m *markdown) coverage(r *Report) {
	m.say("\n## Coverage\n")
	m.say("| source | format | sensor | records | events | quarantined | from | to | zone |\n|---|---|---|---|---|---|---|---|---|")
	for i := range r.Sources {
		s := &r.Sources[i]
		m.say("| %s | %s | %s | %d | %d | %d | %s | %s | %s |", s.Path, s.Format, s.Sensor, s.Counts.Records, s.Counts.Events, s.Counts.Rejected,
			firetrail.Stamp(s.First), firetrail.Stamp(s.Last), s.Zone)
	}
	var lines []string
	for _, g := range r.Results.Coverage {
		lines = append(lines, fmt.Sprintf("%s %s: %s", g.Sensor, span(g.Start, g.End, false), g.Text))
	}
	m.list("Gaps:", lines)
	lines = nil
	for _, u := range r.Results.Untestable {
		lines = append(lines, u.Detector+": "+u.Reason)
	}
	m.list("Not testable with these logs:", lines)
	lines = nil
	for _, s := range r.Results.Suppressed {
		lines = append(lines, fmt.Sprintf("%s (%s): %d findings", s.Entry, s.Reason, s.Findings))
	}
	m.list("Kept out by the allow list:", lines)
	m.list("Notes:", r.Notes)
	m.list("Settings:", append([]string{"made by " + r.Results.Tool}, r.Results.Parameters...))
	m.list("To make and to check this report:", r.Repeat)
}
