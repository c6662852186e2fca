package attribute

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// recurrence asks whether the behaviour follows agentic runs rather than runs
// in general: of all runs with observed time, those that show it are drawn.
func (q *inquiry) recurrence() {
	all, agentic, shown, both := 0, 0, 0, 0
	for _, e := range q.runs {
		if e.hours <= 0 {
			continue
		}
		all++
		if e.agentic {
			agentic++
		}
		if q.cells.runs[e.id] {
			shown++
			if e.agentic {
				both++
			}
		}
	}
	if shown < 2 {
		return
	}
	if other := shown - both; other > 0 && q.matches == 0 {
		q.contrary = append(q.contrary, fmt.Sprintf("%d runs that are not agentic show it too", other))
		q.term(byAgent, "other jobs", float64(other), -1, termBound, "runs without an agent show the same behaviour")
	}
	if agentic == all {
		q.fact("%d of %d runs show the same behaviour; all runs are agentic, so recurrence does not tell agents from jobs", shown, all)
		return
	}
	p := hypergeometricTail(all, agentic, shown, both)
	text := fmt.Sprintf("recurrence: %d of %d runs show it, %d of them among the %d agentic ones (hypergeometric p = %.3g)", shown, all, both, agentic, p)
	q.fact("%s", text)
	q.term(byAgent, "recurrence", p, bayesBound(p), termBound, text)
}

// circumstances are the facts that tell the causes apart beyond the counts.
func (q *inquiry) circumstances() {
	q.idleTime()
	q.beforeRuns()
	q.inbound()
	q.reach()
	q.ownAddress()
}

// idleTime: what happens while no run holds the address was no run's doing.
func (q *inquiry) idleTime() {
	own, unknown, apart := 0, 0, 0 // apart: of one process that went on, one for each time without a run
	never, quiet := true, map[netip.Addr]bool{}
	for _, m := range q.moments {
		was := quiet[m.src]
		quiet[m.src] = false
		switch {
		case !m.idle || q.x.byAddr[m.src] == nil || !q.farFromRuns(m.src, m.at):
		case q.x.podOnly(m.src):
			unknown++
		default:
			own++
			if quiet[m.src] = true; !m.follows || !was {
				apart++
			}
			never = never && q.x.neverHeld(m.src)
		}
	}
	if unknown > 0 {
		q.doubts = append(q.doubts, fmt.Sprintf("nothing says who held %s during %d of %d bursts: an address of pods, which the inventory may not all list", q.sources(), unknown, len(q.moments)))
	}
	q.shown = q.shown || apart > 1 || own > 0 && never
	if own > 0 && own == len(q.moments) {
		text := fmt.Sprintf("no run held %s during any of %d bursts", q.sources(), own)
		q.contrary = append(q.contrary, text)
		q.term(byAgent, "idle", float64(own), -termBound, termBound, text)
		q.term(byHost, "idle", float64(own), 1, termBound, text)
		return
	}
	idle := 0
	for _, m := range q.moments {
		if slices.Contains(q.cells.idles, m.src) {
			idle = q.cells.idle
		}
	}
	if idle == 0 && own == 0 {
		return
	}
	idle = max(idle, apart)
	q.shown = q.shown || idle > 1
	text := fmt.Sprintf("the same behaviour, of %d bursts, came or went on %d times while no run held the address", q.cells.seen, idle)
	q.term(byAgent, "idle", float64(idle), -float64(idle), termBound, text)
	q.term(byHost, "idle", float64(idle), 0.7*float64(idle), termBound, text)
	if len(q.cells.host) >= manySources {
		q.term(byConfiguration, "idle", float64(idle), 0.7*float64(idle), termBound, text)
	}
	if q.matches < verdictMatches || idle > 1 {
		q.contrary = append(q.contrary, text)
	} else {
		q.doubts = append(q.doubts, text)
	}
}

// beforeRuns: what was there before the first agentic run began was not brought by one.
func (q *inquiry) beforeRuns() {
	first := int64(forever)
	for _, e := range q.runs {
		t := q.x.runs[e.id]
		if !e.agentic {
			continue
		}
		for _, l := range t.run.Leases {
			if l.Start != firetrail.Absent {
				first = min(first, add(l.Start, -l.StartUnc))
			} else {
				return
			}
		}
	}
	if q.agentic == 0 {
		q.doubts = append(q.doubts, "no run of the inventory is known to be agentic")
		return
	}
	n := 0
	for _, m := range q.moments {
		if m.at.Start < add(first, -idleMargin) {
			n++
		}
	}
	if n > 0 {
		text := fmt.Sprintf("%d of %d bursts came before the first agentic run began at %s", n, len(q.moments), firetrail.Stamp(first))
		if q.matches < verdictMatches || n > 1 {
			q.contrary = append(q.contrary, text)
		} else {
			q.doubts = append(q.doubts, text)
		}
		q.term(byAgent, "before", float64(n), -1, termBound, text)
	}
}

// wayInLasts is how long after a way in what happens may still come from it, and onwardLasts
// how long after it went on to another host, which others enter from there as well.
const (
	wayInLasts  = 6 * hour
	onwardLasts = 2 * hour
)

// way is how a source of an incident may have been entered.
type way struct {
	by  *firetrail.Finding
	src netip.Addr
}

// waysIn looks for findings that have a source of this incident as their target, from
// elsewhere, before the incident began there.
func (q *inquiry) waysIn() (out []way) {
	began := map[netip.Addr]int64{}
	for _, f := range q.findings {
		if t, ok := began[f.SrcIP]; f.Start != firetrail.Absent && (!ok || f.Start < t) {
			began[f.SrcIP] = f.Start
		}
	}
	for i := range q.caseFile.findings {
		f := &q.caseFile.findings[i]
		if f.Start == firetrail.Absent || slices.Contains(q.inc.Findings, f.ID) && len(q.inc.Sources) < 2 {
			continue
		}
		for _, src := range q.inc.Sources {
			if t, ok := began[src]; ok && f.SrcIP != src && leads(f, src, t) {
				out = append(out, way{f, src})
			}
		}
	}
	return out
}

// inbound tells of the first way in.
func (q *inquiry) inbound() {
	ways := q.waysIn()
	if len(ways) == 0 {
		return
	}
	f, src, points := ways[0].by, ways[0].src, 1.0
	text := fmt.Sprintf("%s was reached from %s (%s, finding %s) before it began: a way in for someone else", src, f.SrcIP, f.Detector, f.ID)
	if entered(f) {
		text = fmt.Sprintf("somebody logged in to %s from %s after many attempts (finding %s) before it began", src, f.SrcIP, f.ID)
		points = 1.5
	}
	q.doubts = append(q.doubts, text)
	q.term(byHost, "inbound", points, points, termBound, text)
	q.shown = true
}

// invaded lists the sources that somebody who had got in reached before the incident began there.
func (q *inquiry) invaded() (out []netip.Addr) {
	for _, w := range q.waysIn() {
		if src := w.src.Unmap().WithZone(""); entered(w.by) && !slices.Contains(out, src) {
			out = append(out, src)
		}
	}
	return out
}

// entered reports a finding of a login that succeeded after guessing.
func entered(f *firetrail.Finding) bool { return hasPart(f, "entered") }

func hasPart(f *firetrail.Finding, name string) bool {
	return slices.ContainsFunc(f.Why, func(p firetrail.Part) bool { return p.Part == name })
}

// leads reports whether what began at an address at t may come from its having been reached by
// a finding.
func leads(f *firetrail.Finding, a netip.Addr, t int64) bool {
	if dst, _ := parseDst(f.Dst); dst == a {
		return f.Start < t && t <= add(max(f.Start, f.End), wayInLasts)
	}
	return slices.ContainsFunc(f.Targets, func(o firetrail.Target) bool {
		if o.IP != a {
			return false
		}
		if o.First == 0 || o.First == firetrail.Absent {
			return f.Start < t && t <= add(max(f.Start, f.End), wayInLasts)
		}
		return o.First < t && t <= add(o.First, onwardLasts)
	})
}

// manySources is from how many sources the same thing has a common cause.
const manySources = 3

// refusedOnly are detectors of traffic that got nowhere: all that a mistaken
// rule for wanted traffic leaves behind.
func refusedOnly(detector string) bool {
	return detector == policyBurst || detector == refused
}

// policyAlone answers without an inventory, where that needs none: many sources were
// refused the same few destinations, and did nothing else.
func (q *inquiry) policyAlone() (firetrail.Cause, bool) {
	var sources []netip.Addr
	for _, f := range q.findings {
		if !refusedOnly(f.Detector) || scattered(f) {
			return firetrail.Cause{}, false
		}
		for _, one := range split(f) {
			if !slices.Contains(sources, one.SrcIP) {
				sources = append(sources, one.SrcIP)
			}
		}
	}
	n := len(sources)
	if n < manySources {
		return firetrail.Cause{}, false
	}
	text := fmt.Sprintf("%d sources were refused at the same destinations, and nothing else of them belongs to it", n)
	q.term(byConfiguration, "reach", float64(n), 0.5*float64(n), termBound, text)
	q.term(byHost, "reach", float64(n), -1, termBound, "one host does not account for several")
	q.fact("%s", text)
	q.fact("no inventory of runs was imported: that an agent did it on each of them was not looked at")
	return q.conclude(), true
}

// reach: a mistake of the configuration shows at many sources and as refusals;
// what one source of many does is not the policy's doing.
func (q *inquiry) reach() {
	sources := len(q.cells.host)
	denied := q.denied()
	switch {
	case sources >= manySources && denied:
		text := fmt.Sprintf("%d sources were refused at the same destinations", sources)
		q.term(byConfiguration, "reach", float64(sources), 0.5*float64(sources), termBound, text)
		q.term(byHost, "reach", float64(sources), -1, termBound, "one host does not account for several")
		if q.matches == 0 {
			q.contrary = append(q.contrary, text)
		}
		q.fact("%s", text)
	case sources >= manySources:
		q.fact("%d sources show the same behaviour", sources)
	case len(q.places) >= manySources:
		text := fmt.Sprintf("%d of %d known addresses show the behaviour", sources, len(q.places))
		q.term(byConfiguration, "reach", float64(sources), -1, termBound, text)
	}
	if !denied {
		text := "not all of it was refused, as a mistaken rule would leave it"
		q.term(byConfiguration, "outcome", 1, -1, termBound, text)
	}
}

// ownAddress: behind an address of a pod's own no service of the host hides.
func (q *inquiry) ownAddress() {
	own, shared := false, false
	for _, m := range q.moments {
		at := m.at
		for _, c := range q.x.held(m.src, at, q.x.opt.Slack, 1, "") {
			if (c.lease.Subject == "pod" || c.lease.Subject == "sandbox") && !c.lease.Shared {
				own = true
			} else {
				shared = true
			}
		}
		if l, ok := q.x.hostAt(m.src, at); ok && l.Subject == "host" {
			shared = true
		}
	}
	switch {
	case shared:
		q.doubts = append(q.doubts, fmt.Sprintf("%s is a machine's address: services of the host use it too", q.sources()))
	case own:
		text := fmt.Sprintf("%s is the address of a pod of its own: services of the host do not use it", q.sources())
		q.fact("%s", text)
		q.term(byHost, "address", 1, -1, termBound, text)
	}
}

// sources names the incident's sources, a few of them.
func (q *inquiry) sources() string {
	var names []string
	for _, a := range q.inc.Sources {
		if len(names) == 3 {
			names = append(names, fmt.Sprintf("%d more", len(q.inc.Sources)-3))
			break
		}
		names = append(names, a.String())
	}
	if len(names) == 0 {
		return "the source"
	}
	return strings.Join(names, ", ")
}
