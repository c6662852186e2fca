package tui

import (
	"fmt"
	"strings"

	"firetrail"
)

// newRuns lists the runs of the inventory.
func newRuns() screen {
	d := &document{is: kindRuns, title: "Runs", make: runItems}
	d.events = func(m *model) (firetrail.Query, bool) {
		if m.facts == nil || d.cursor >= len(m.facts.inventory.Runs) {
			return firetrail.Query{}, false
		}
		return firetrail.Is("run", m.facts.inventory.Runs[d.cursor].ID), true
	}
	return d
}

func runItems(m *model) []item {
	w := &writer{}
	switch {
	case m.err != nil:
		w.text(redStrong, "", "The case cannot be read: "+m.err.Error())
		return w.items
	case m.facts == nil || !m.facts.known:
		w.text(faint, "", "reading the runs …")
		return w.items
	case len(m.facts.inventory.Runs) == 0:
		nextStep(w, "No training runs are known in this case.", "firetrail runs import FILE...")
		w.text(plain, "", "and correlate again. FILE is sacct output, pods as JSON, a run table, tool calls …")
		return w.items
	}
	calls := map[string]int64{}
	for i := range m.facts.inventory.Calls {
		calls[m.facts.inventory.Calls[i].Run]++
	}
	incidents := map[string]int64{}
	for i := range m.facts.results.Incidents {
		if r := m.facts.results.Incidents[i].Run; r != nil {
			incidents[r.ID]++
		}
	}
	for i := range m.facts.inventory.Runs {
		w.run(m, &m.facts.inventory.Runs[i], calls, incidents)
	}
	return w.items
}

// run is one entry of the list.
func (w *writer) run(m *model, r *firetrail.Run, calls, incidents map[string]int64) {
	head := fmt.Sprintf("%-14s %s", firetrail.Inert(r.ID), firetrail.Inert(r.Name))
	st := plain
	agentic := "no agent known"
	if r.Agentic {
		agentic = "agent"
	}
	found := "no incident"
	if n := incidents[r.ID]; n > 0 {
		st, found = red, plural(n, "incident")
	}
	parts := []string{m.lease(r.Start, r.End), agentic, plural(int64(len(r.Leases)), "lease"), plural(calls[r.ID], "tool call"), found}
	if r.Family != "" {
		parts = append(parts, "family "+firetrail.Inert(r.Family))
	}
	it := w.add(func(width int) []line {
		return append([]line{{text: head, style: st}}, flow(plain, 15, parts, width)...)
	})
	it.open = func() screen { return newRun(r) }
}

// openRun opens a run by its id; nil where the inventory has no such run.
func openRun(m *model, id string) func() screen {
	if m.facts == nil {
		return nil
	}
	for i := range m.facts.inventory.Runs {
		if r := &m.facts.inventory.Runs[i]; r.ID == id {
			return func() screen { return newRun(r) }
		}
	}
	return nil
}

// newRun shows a run: its incidents, the addresses it held and its tool calls.
func newRun(r *firetrail.Run) screen {
	return &document{
		is: kindRun, title: firetrail.Inert(r.ID),
		make:   func(m *model) []item { return runDetail(m, r) },
		events: func(*model) (firetrail.Query, bool) { return firetrail.Is("run", r.ID), true },
	}
}

func runDetail(m *model, r *firetrail.Run) []item {
	w := &writer{}
	w.text(strong, "", strings.TrimSpace(r.ID+"  "+r.Name))
	for _, f := range []firetrail.Field{{Name: "family", Value: r.Family}, {Name: "user", Value: r.User}, {Name: "state", Value: r.State}, {Name: "aliases", Value: strings.Join(r.Aliases, ", ")}} {
		if f.Value != "" {
			w.text(plain, fmt.Sprintf("%-10s", f.Name), f.Value)
		}
	}
	w.text(plain, "time      ", m.lease(r.Start, r.End))
	agent := "no tool calls are known of it and no table calls it agentic"
	if r.Agentic {
		agent = "yes: tool calls are known of it, or its table says so"
	}
	w.text(plain, "agentic   ", agent)
	for _, x := range r.Extra {
		w.text(plain, fit(firetrail.Inert(x.Name), 9)+" ", x.Value)
	}
	if r.Where.Source != "" {
		w.text(faint, "from      ", fmt.Sprintf("%s:%d", r.Where.Source, r.Where.Line))
	}
	w.head("Incidents attributed to it")
	n := len(w.items)
	for _, inc := range sorted(m.facts.results.Incidents) {
		if inc.Run != nil && inc.Run.ID == r.ID {
			w.incident(m, inc)
		}
	}
	if len(w.items) == n {
		w.text(plain, "", "none")
	}
	w.head(fmt.Sprintf("Addresses it held: %s; enter shows the events", plural(int64(len(r.Leases)), "lease")))
	for _, l := range r.Leases {
		w.leaseEntry(m, &l)
	}
	w.calls(m, r)
	return w.items
}

// leaseEntry opens the events of an address while it was leased.
func (w *writer) leaseEntry(m *model, l *firetrail.Lease) {
	text := fmt.Sprintf("%s %s %s, %s", firetrail.AddrText(l.IP), l.Subject, l.Name, m.lease(l.Start, l.End))
	if unc := max(l.StartUnc, l.EndUnc); unc > 0 {
		text += ", ± " + span(unc)
	}
	if l.Shared {
		text += ", shared with others"
	}
	it := w.text(plain, "", fmt.Sprintf("%s (%s:%d)", text, l.Source, l.Line))
	if !l.IP.IsValid() {
		return
	}
	low, high := "*", "*"
	if l.Start != firetrail.Absent {
		low = firetrail.Stamp(l.Start)
	}
	if l.End != firetrail.Absent {
		high = firetrail.Stamp(l.End)
	}
	q := firetrail.Is("ip", l.IP.String())
	if low != "*" || high != "*" {
		q = firetrail.And(q, firetrail.Between("time", low, high))
	}
	it.open = func() screen { return newEvents(q, m.store.Print(q)) }
}

// calls lists the tool calls of a run; enter shows what it sent meanwhile.
func (w *writer) calls(m *model, r *firetrail.Run) {
	var list []*firetrail.ToolCall
	for i := range m.facts.inventory.Calls {
		if c := &m.facts.inventory.Calls[i]; c.Run == r.ID {
			list = append(list, c)
		}
	}
	w.head(fmt.Sprintf("Tool calls: %s; enter shows the run's events meanwhile", thousands(int64(len(list)))))
	for _, c := range list {
		it := w.text(plain, "", m.call(c))
		if c.Start == firetrail.Absent {
			continue
		}
		const margin = 5e9 // clocks of traces and sensors differ a little
		q := firetrail.And(firetrail.Is("run", r.ID), firetrail.During(c.Start-margin, max(c.Start, c.End)+margin))
		it.open = func() screen { return newEvents(q, m.store.Print(q)) }
	}
}
