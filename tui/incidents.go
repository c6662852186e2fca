package tui

import (
	"fmt"

	"firetrail"
)

// newIncidents is the first screen: the gravest incident first, then what the
// results leave open.
func newIncidents() screen {
	return &document{is: kindIncidents, title: "Incidents", make: incidentItems}
}

func incidentItems(m *model) []item {
	w := &writer{}
	f := m.facts
	switch {
	case m.err != nil:
		w.text(redStrong, "", "The case cannot be read: "+m.err.Error())
		w.text(plain, "", "'firetrail verify' says what is damaged.")
		return w.items
	case f == nil:
		w.text(faint, "", "reading the case …")
		return w.items
	case len(f.sources) == 0:
		nextStep(w, "There are no logs in this case yet.", "firetrail ingest PATH...")
		return w.items
	case !f.made:
		nextStep(w, fmt.Sprintf("%s of %s are in this case, but nothing was correlated yet.",
			plural(f.events, "event"), plural(int64(len(f.sources)), "source")), "firetrail correlate")
		if f.known && len(f.inventory.Runs) == 0 {
			w.gap()
			w.text(plain, "", "No training runs are known either. To have incidents attributed to runs, import them first:")
			w.text(strong, "    ", "firetrail runs import FILE...")
		}
		w.gap()
		w.text(plain, "", "The events can be read now: press 2.")
		return w.items
	case len(f.results.Incidents) == 0:
		nothingFound(w, f)
	}
	for _, inc := range sorted(f.results.Incidents) {
		w.incident(m, inc)
	}
	looseFindings(w, m)
	w.coverage(m)
	return w.items
}

func nextStep(w *writer, what, command string) {
	w.text(strong, "", what)
	w.gap()
	w.text(plain, "", "Leave with q and type:")
	w.text(strong, "    ", command)
}

func nothingFound(w *writer, f *facts) {
	w.text(strong, "", fmt.Sprintf("No incident was found in %s.", plural(f.events, "event")))
	switch {
	case !f.results.Complete:
		w.text(yellow, "", "That is not the same as none: the results are incomplete, as said below.")
	case len(f.results.Untestable) > 0:
		w.text(yellow, "", "That is not the same as none: some detectors could not be fed by these logs, as said below.")
	}
	w.text(plain, "", "The events can be searched: press 2.")
}

// incident is one entry of the list: title, then when, where, who and why.
func (w *writer) incident(m *model, inc *firetrail.Incident) {
	severity, title := fmt.Sprintf("%-9s ", firetrail.Inert(inc.Severity)), firetrail.Inert(inc.Title)
	parts := []string{
		m.bounds(inc.Start, inc.End, inc.Open), "from " + addresses(inc.Sources, 3), runOf(&inc.Attribution),
		"cause " + firetrail.Inert(inc.Cause.Verdict), plural(int64(len(inc.Findings)), "finding"),
	}
	it := w.add(func(width int) []line {
		return append(wrap(severityStyle(inc.Severity), severity, title, width), flow(plain, 10, parts, width)...)
	})
	it.open = func() screen { return newIncident(inc) }
}

// looseFindings lists findings of no incident.
func looseFindings(w *writer, m *model) {
	within := map[string]bool{}
	for i := range m.facts.results.Incidents {
		for _, id := range m.facts.results.Incidents[i].Findings {
			within[id] = true
		}
	}
	headed := false
	for i := range m.facts.results.Findings {
		f := &m.facts.results.Findings[i]
		if within[f.ID] {
			continue
		}
		if !headed {
			w.head("Findings that belong to no incident")
			headed = true
		}
		w.finding(m, f)
	}
}

// coverage says how far the results can be trusted and what they cannot say.
func (w *writer) coverage(m *model) {
	f := m.facts
	r := &f.results
	w.head("How far this can be relied on")
	text := fmt.Sprintf("%s of %s read", plural(f.events, "event"), plural(int64(len(f.sources)), "source"))
	if f.rejected > 0 {
		text += fmt.Sprintf(", %s quarantined; see 'firetrail sources'", plural(f.rejected, "record"))
	} else {
		text += ", nothing quarantined"
	}
	w.text(plain, "", text)
	if r.Complete {
		w.text(green, "complete: ", "nothing was unreadable or cut short")
	}
	for _, s := range r.Reasons {
		w.text(yellow, "incomplete: ", s)
	}
	for _, s := range f.inventory.Notes {
		w.text(yellow, "inventory: ", s)
	}
	for _, g := range r.Coverage {
		w.text(yellow, "gap: ", fmt.Sprintf("%s, %s: %s", g.Sensor, m.bounds(g.Start, g.End, false), g.Text))
	}
	for _, u := range r.Untestable {
		w.text(yellow, "not testable: ", u.Detector+", because "+u.Reason)
	}
	for _, s := range r.Suppressed {
		label, was := "allowed: ", plural(s.Findings, "finding")+" kept out by "+s.Entry
		if s.Expired {
			label, was = "allow entry expired: ", s.Entry
		}
		w.text(plain, label, fmt.Sprintf("%s (%s), %s:%d", was, s.Reason, s.Where.Source, s.Where.Line))
		w.texts("  ", s.Listed)
	}
	for _, s := range r.Parameters {
		w.text(faint, "computed with ", s)
	}
}
