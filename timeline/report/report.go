// Package report writes incidents as documents for other people: one file a
// form, one ordered list, All. A form writes what it is given and computes
// nothing; all text that stems from logs is made inert. Reports hold no clock
// time of their own: the same case gives the same bytes.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"firetrail"
	"firetrail/timeline"
)

// Form is one report form. A new one is a file and a word in All.
type Form struct {
	Name  string // what --to takes
	Doc   string
	Write func(io.Writer, *Report) error
}

// All are the forms. Read-only.
var All = []Form{htmlForm, markdownForm, jsonForm}

// Named finds a form.
func Named(name string) (Form, bool) {
	for _, f := range All {
		if f.Name == name {
			return f, true
		}
	}
	return Form{}, false
}

// Report is what a document says.
type Report struct {
	Title   string
	Case    string // name of the case folder, no path
	Results firetrail.Results
	Sources []firetrail.Source
	Runs    map[string]firetrail.Run // by id, for names and bounds
	Notes   []string                 // annotations, oldest first
	Repeat  []string                 // commands that make this report again
}

// finding finds a finding of the report.
func (r *Report) finding(id string) *firetrail.Finding {
	for i := range r.Results.Findings {
		if r.Results.Findings[i].ID == id {
			return &r.Results.Findings[i]
		}
	}
	return nil
}

// Select keeps the named incidents and runs and their findings; with neither,
// everything. Findings that belong to no incident are kept only then.
func Select(r firetrail.Results, incidents []string, runs []string) firetrail.Results {
	if len(incidents) == 0 && len(runs) == 0 {
		return r
	}
	out := r
	out.Incidents, out.Findings = nil, nil
	keep := map[string]bool{}
	for _, i := range r.Incidents {
		if slices.Contains(incidents, i.ID) || i.Run != nil && slices.Contains(runs, i.Run.ID) {
			out.Incidents = append(out.Incidents, i)
			for _, id := range i.Findings {
				keep[id] = true
			}
		}
	}
	for _, f := range r.Findings {
		if keep[f.ID] {
			out.Findings = append(out.Findings, f)
		}
	}
	return out
}

// Reference is how a document cites a record so that it can be verified: the
// event's id, the record's length in bytes and the SHA-256 of those bytes.
func Reference(e *firetrail.Evidence) string {
	return fmt.Sprintf("%s+%d sha256:%s", e.ID(), e.Length, e.SHA256)
}

// totals sums the sources' counts.
func (r *Report) totals() firetrail.Counts {
	var c firetrail.Counts
	for i := range r.Sources {
		c.Add(r.Sources[i].Counts)
	}
	return c
}

// who says which run it was, as a sentence.
func who(a *firetrail.Attribution) string {
	if a.Run == nil {
		if a.Unattributed == "" {
			return "No run can be named."
		}
		return "No run can be named: " + a.Unattributed
	}
	return fmt.Sprintf("Run %s, probability %s, level %s (%s).", a.Run.ID, firetrail.Probability(a.Run.Probability), a.Run.Level, levelText(a.Run.Level))
}

// levelText says what an attribution level means.
func levelText(level string) string {
	switch level {
	case "A1":
		return "one of several candidates"
	case "A2":
		return "the only run that held the address"
	case "A3":
		return "held the address, and a tool call was active"
	case "A4":
		return "held the address, and a tool call's content matches"
	case "A5":
		return "content matches, and it recurs in other runs or hosts"
	}
	return "nothing known"
}

// causeText says who caused it, as a sentence.
func causeText(c *firetrail.Cause) string {
	p := c.Posterior
	odds := fmt.Sprintf("agent %s, host %s, misconfiguration %s", firetrail.Probability(p.Agent), firetrail.Probability(p.Host), firetrail.Probability(p.Misconfiguration))
	switch c.Verdict {
	case firetrail.VerdictAgent:
		return "The agent (" + odds + ")."
	case firetrail.VerdictHost:
		return "The host, not the agent (" + odds + ")."
	case firetrail.VerdictMisconfiguration:
		return "The configuration (" + odds + ")."
	}
	return "Undetermined (" + odds + ")."
}

// span prints the bounds of something.
func span(start, end int64, open bool) string {
	text := firetrail.Stamp(start) + " to " + firetrail.Stamp(end)
	if open {
		text += ", still open at the end of the data"
	}
	return text
}

// target prints a peer.
func target(t firetrail.Target) string {
	text := firetrail.AddrText(t.IP)
	if t.Port != firetrail.Absent && t.Port != 0 {
		if t.IP.Is6() {
			text = "[" + text + "]"
		}
		text += fmt.Sprintf(":%d", t.Port)
	}
	if t.Host != "" {
		text = strings.TrimSpace(text + " " + t.Host)
	}
	return firetrail.Inert(text)
}

// targets prints peers, the first few of many.
func targets(ts []firetrail.Target, all int64) string {
	const shown = 8
	var parts []string
	for _, t := range ts[:min(len(ts), shown)] {
		parts = append(parts, target(t))
	}
	if n := max(int64(len(ts)), all); n > int64(len(parts)) {
		parts = append(parts, fmt.Sprintf("and %d more", n-int64(len(parts))))
	}
	return strings.Join(parts, ", ")
}

// jsonForm is the whole report as one document, for scripts.
var jsonForm = Form{
	Name: "json",
	Doc:  "one JSON document: incidents, findings with evidence, sources, coverage",
	Write: func(w io.Writer, r *Report) error {
		findings := make([]*firetrail.Finding, 0, len(r.Results.Findings))
		for i := range r.Results.Findings {
			findings = append(findings, &r.Results.Findings[i])
		}
		incidents := make([]*firetrail.Incident, 0, len(r.Results.Incidents))
		for _, i := range timeline.Gravest(r.Results.Incidents) {
			incidents = append(incidents, &i)
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		return enc.Encode(struct {
			Title      string                 `json:"title"`
			Case       string                 `json:"case"`
			Tool       string                 `json:"tool"`
			Complete   bool                   `json:"complete"`
			Reasons    []string               `json:"reasons"`
			Parameters []string               `json:"parameters"`
			Totals     firetrail.Counts       `json:"totals"`
			Incidents  []*firetrail.Incident  `json:"incidents"`
			Findings   []*firetrail.Finding   `json:"findings"`
			Sources    []firetrail.Source     `json:"sources"`
			Coverage   []firetrail.Gap        `json:"coverage"`
			Untestable []firetrail.Untestable `json:"untestable"`
			Suppressed []firetrail.Suppressed `json:"suppressed"`
			Notes      []string               `json:"notes"`
			Repeat     []string               `json:"repeat"`
		}{
			r.Title, r.Case, r.Results.Tool, r.Results.Complete, list(r.Results.Reasons), list(r.Results.Parameters), r.totals(),
			incidents, findings, list(r.Sources), list(r.Results.Coverage), list(r.Results.Untestable), list(r.Results.Suppressed),
			list(r.Notes), list(r.Repeat),
		})
	},
}

// list makes an empty JSON list of nil.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
