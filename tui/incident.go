package tui

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// newIncident shows one incident: when, who, why that is believed and what
// speaks against it, and its findings in phases.
func newIncident(inc *firetrail.Incident) screen {
	return &document{
		is: kindIncident, title: firetrail.Inert(inc.ID),
		make:   func(m *model) []item { return incidentDetail(m, inc) },
		events: func(*model) (firetrail.Query, bool) { return eventsOf(inc.Sources, inc.Start, inc.End) },
	}
}

// eventsOf selects what some addresses did in an interval.
func eventsOf(sources []netip.Addr, start, end int64) (firetrail.Query, bool) {
	if len(sources) == 0 || start == firetrail.Absent || end == firetrail.Absent {
		return firetrail.Query{}, false
	}
	var any []firetrail.Query
	for _, s := range sources {
		any = append(any, firetrail.Is("ip", s.String()))
	}
	q := firetrail.Or(any...)
	if len(any) == 1 {
		q = any[0]
	}
	return firetrail.And(q, firetrail.During(start, end)), true
}

func incidentDetail(m *model, inc *firetrail.Incident) []item {
	w := &writer{}
	w.text(strong, "", inc.Title)
	w.text(severityStyle(inc.Severity), "severity  ", inc.Severity)
	w.text(plain, "when      ", m.bounds(inc.Start, inc.End, inc.Open))
	w.text(plain, "sources   ", addresses(inc.Sources, 16))
	w.targets(inc.Targets, int64(len(inc.Targets)))
	w.summary(m, inc)
	w.phases(m, inc)
	w.attribution(m, &inc.Attribution)
	w.cause(&inc.Cause)
	if len(inc.Unseen) > 0 {
		w.head("Not seen, or not testable with these logs")
		w.texts("- ", inc.Unseen)
	}
	if len(inc.Elsewhere) > 0 {
		w.head("The same behaviour elsewhere")
		w.texts("- ", inc.Elsewhere)
	}
	return w.items
}

// summary answers in a line each which run it was, which cause, and what showed it first.
func (w *writer) summary(m *model, inc *firetrail.Incident) {
	who, st := "none: "+inc.Unattributed, yellow
	if inc.Run != nil {
		who, st = fmt.Sprintf("%s, probability %s (%s)", inc.Run.ID, firetrail.Probability(inc.Run.Probability), level(inc.Run.Level)), strong
	}
	it := w.text(st, "run       ", who)
	if inc.Run != nil {
		it.open = openRun(m, inc.Run.ID)
	}
	p := inc.Cause.Posterior
	w.text(strong, "cause     ", fmt.Sprintf("%s (agent %s, host %s, misconfiguration %s)", inc.Cause.Verdict, firetrail.Probability(p.Agent), firetrail.Probability(p.Host), firetrail.Probability(p.Misconfiguration)))
	for _, id := range inc.Findings {
		f := m.facts.findings[id]
		if f == nil {
			continue
		}
		for _, e := range f.Evidence {
			if e.ID() == inc.FirstSign {
				w.text(plain, "first     ", fmt.Sprintf("%s at %s:%d", m.stamp(e.Time), e.Path, e.Line)).open = func() screen { return newRecord(e.ID(), e.SHA256) }
				return
			}
		}
	}
}

// targets lists the first peers; all is how many there are.
func (w *writer) targets(list []firetrail.Target, all int64) {
	if len(list) == 0 {
		return
	}
	var parts []string
	for i, t := range list {
		if i == 8 {
			break
		}
		parts = append(parts, target(t))
	}
	text := strings.Join(parts, ", ")
	if more := max(all, int64(len(list))) - int64(len(parts)); more > 0 {
		text += fmt.Sprintf(" and %s more", thousands(more))
	}
	w.text(plain, "targets   ", text)
}

// attribution says which run, how sure, and what speaks against it.
func (w *writer) attribution(m *model, a *firetrail.Attribution) {
	w.head("Which run")
	if a.Run != nil {
		run := w.text(strong, "run       ", fmt.Sprintf("%s, probability %s", a.Run.ID, firetrail.Probability(a.Run.Probability)))
		run.open = openRun(m, a.Run.ID)
		w.text(plain, "          ", level(a.Run.Level))
	} else {
		why := a.Unattributed
		if why == "" {
			why = "no reason given"
		}
		w.text(yellow, "none: ", why)
	}
	for _, c := range a.Candidates {
		it := w.text(plain, "candidate ", fmt.Sprintf("%s, probability %s", c.ID, firetrail.Probability(c.Probability)))
		it.open = openRun(m, c.ID)
		w.texts("          - ", c.Reasons)
	}
	for _, l := range a.Leases {
		w.text(plain, "lease     ", fmt.Sprintf("%s held by %s %s, %s (%s:%d)", firetrail.AddrText(l.IP), l.Subject,
			strings.TrimSpace(l.Name+" "+l.Run), m.lease(l.Start, l.End), l.Source, l.Line))
	}
	for _, t := range a.Calls {
		w.text(plain, "tool call ", m.call(&t))
	}
	w.texts("against   ", a.Against)
}

// call is a tool call in a sentence.
func (m *model) call(t *firetrail.ToolCall) string {
	when := "without a clock"
	if t.Start != firetrail.Absent {
		when = m.bounds(t.Start, t.End, false)
	}
	args := t.Args
	if t.NoArgs {
		args = "(arguments not recorded)"
	}
	return fmt.Sprintf("%s: %s %s (%s:%d)", when, t.Tool, args, t.Source, t.Line)
}

func (w *writer) cause(c *firetrail.Cause) {
	w.head("Which cause")
	w.text(strong, "verdict   ", c.Verdict)
	w.texts("- ", c.Facts)
	if len(c.Terms) > 0 {
		w.text(faint, "", "what made it, as log10 likelihood ratios:")
		for _, t := range c.Terms {
			w.text(plain, fmt.Sprintf("%+7.2f  ", t.Points), t.Part+": "+t.Text)
		}
	}
}

// phases lists the findings of an incident step by step.
func (w *writer) phases(m *model, inc *firetrail.Incident) {
	w.head("What happened, in phases")
	var told []string
	list := func(ids []string) {
		for _, id := range ids {
			told = append(told, id)
			if f := m.facts.findings[id]; f != nil {
				w.finding(m, f)
			} else {
				w.text(red, "  ", id+" is not in the results: correlate again")
			}
		}
	}
	for _, p := range inc.Phases {
		w.text(cyan, "", fmt.Sprintf("%s, %s", p.Name, m.bounds(p.Start, p.End, false)))
		list(p.Findings)
	}
	var rest []string
	for _, id := range inc.Findings {
		if !slices.Contains(told, id) {
			rest = append(rest, id)
		}
	}
	if len(rest) > 0 {
		w.text(cyan, "", "without a phase")
		list(rest)
	}
}

// finding is an entry that opens it.
func (w *writer) finding(m *model, f *firetrail.Finding) {
	head, title := firetrail.Inert(fmt.Sprintf("  %-9s %-18s", f.Severity, f.Detector)), firetrail.Inert(f.Title)
	parts := []string{m.bounds(f.Start, f.End, f.Open), plural(f.Count, "event"), "score " + number(f.Score), runOf(&f.Attribution)}
	it := w.add(func(width int) []line {
		return append(wrap(severityStyle(f.Severity), head, title, width), flow(plain, 12, parts, width)...)
	})
	it.open = func() screen { return newFinding(f) }
}
