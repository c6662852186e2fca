package attribute

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

// Bounds of a single term, in log10 of a likelihood ratio: no one test decides,
// a command that says what was done may almost.
const (
	termBound    = 2.0
	contentBound = 3.0
)

// Requirements of a verdict.
const (
	verdictPosterior = 0.95
	verdictShift     = 0.01
	verdictMatches   = 2 // bursts with a matching call that stand for themselves
)

// burstGap joins what follows within it into one burst, the unit of all counts.
const burstGap = minute

// hypothesis is one of three; its value is its place in scores.
type hypothesis int

const (
	byAgent hypothesis = iota
	byHost
	byConfiguration
)

// caseFile is what the causes of all incidents share.
type caseFile struct {
	x        *Index
	byID     map[string]*firetrail.Finding
	byHabit  map[habitKey][]int // findings by detector and peer
	findings []firetrail.Finding
	observed []firetrail.Interval
	places   []place // addresses of the inventory, sorted
	runs     []exposure
	agentic  int
}

// place is an address of the inventory with the time it was observed.
type place struct {
	ip    netip.Addr
	held  []firetrail.Interval // by any run, cut to the observed time
	total float64              // hours
}

// exposure is one run's observed time: all of it, and that within its tool calls.
type exposure struct {
	id      string
	agentic bool
	hours   float64
	tool    float64
}

// Causes fills the cause of each incident: whether the agent of a run, the host
// or the configuration is behind it. observed is the time in which sensors were
// logging, without gaps (see Observed); nil takes all time from the first burst
// or lease to the last. Terms are clipped log10 likelihood ratios that make the
// posterior from equal priors; every verdict comes with its figures, the
// assumptions, and what speaks against it. "agent" asks for a posterior of 0.95,
// nothing that contradicts, and one of: a shift p of 0.01, matching tool calls
// on two bursts, a call that names the peer, or runs a tool for it, and
// during which, or soon after, a burst begins; "host" for something that points to it: bursts in idle time, a
// way in, or a trace that would have shown the act and does not.
func (x *Index) Causes(incidents []firetrail.Incident, findings []firetrail.Finding, observed []firetrail.Interval) {
	c := &caseFile{x: x, byID: map[string]*firetrail.Finding{}, byHabit: map[habitKey][]int{}, findings: findings}
	for i := range findings {
		c.byID[findings[i].ID] = &findings[i]
		k := keyOf(&findings[i], false)
		c.byHabit[k] = append(c.byHabit[k], i)
	}
	c.observed = union(observed, 0)
	if len(c.observed) == 0 {
		c.observed = c.span()
	}
	c.expose()
	for i := range incidents {
		incidents[i].Cause = c.cause(&incidents[i])
	}
}

// Observed takes the gaps out of the time from start to end.
func Observed(start, end int64, gaps []firetrail.Gap) []firetrail.Interval {
	var out []firetrail.Interval
	for _, g := range gaps {
		if g.Start != firetrail.Absent && g.End != firetrail.Absent && g.End > g.Start {
			out = append(out, firetrail.Interval{Start: g.Start, End: g.End})
		}
	}
	return subtract([]firetrail.Interval{{Start: start, End: end}}, union(out, 0))
}

// span is the time between the first and the last thing known.
func (c *caseFile) span() []firetrail.Interval {
	lo, hi := int64(forever), int64(firetrail.Absent)
	see := func(t int64) {
		if t != firetrail.Absent && t != forever {
			lo, hi = min(lo, t), max(hi, t)
		}
	}
	for i := range c.findings {
		see(c.findings[i].Start)
		see(c.findings[i].End)
	}
	for _, id := range c.x.ids {
		for _, l := range c.x.runs[id].run.Leases {
			see(l.Start)
			see(l.End)
		}
	}
	if lo >= hi {
		return nil
	}
	return []firetrail.Interval{{Start: lo, End: hi}}
}

// expose measures the observed time of every address and run once.
func (c *caseFile) expose() {
	ips := make([]netip.Addr, 0, len(c.x.byAddr))
	for ip := range c.x.byAddr {
		ips = append(ips, ip)
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	for _, ip := range ips {
		p := place{ip: ip, total: hours(c.observed)}
		var held []firetrail.Interval
		for _, l := range c.x.byAddr[ip].leases {
			if l.Run != "" {
				held = append(held, leaseSpan(l))
			}
		}
		p.held = intersect(union(held, 0), c.observed)
		c.places = append(c.places, p)
	}
	for _, id := range c.x.ids {
		t := c.x.runs[id]
		e := exposure{id: id, agentic: t.run.Agentic || len(t.calls) > 0}
		if e.agentic {
			c.agentic++
		}
		lease := intersect(c.leaseTime(t, netip.Addr{}), c.observed)
		e.hours = hours(lease)
		if e.tool = e.hours; t.clocked > 0 {
			e.tool = hours(intersect(union(t.windows.iv, 0), lease))
		}
		c.runs = append(c.runs, e)
	}
}

// leaseTime is the time in which a run held an address, any of its own for an invalid one.
func (c *caseFile) leaseTime(t *trace, ip netip.Addr) []firetrail.Interval {
	var iv []firetrail.Interval
	for _, l := range t.run.Leases {
		if !ip.IsValid() || l.IP.Unmap() == ip {
			iv = append(iv, leaseSpan(l))
		}
	}
	return union(iv, 0)
}

func hours(iv []firetrail.Interval) float64 { return length(iv) / 3.6e12 }

// moment is one burst of an incident: the unit of the statistics.
type moment struct {
	at      firetrail.Interval // by the inventory's clock
	src     netip.Addr
	run     string // of the incident, where it held the address then
	inside  bool   // within a tool call of the run
	matched bool   // and its content fits, or it is in the wake of one that did
	named   bool   // a call that was active then names the peer, or runs the tool on its port
	lasting bool
	hinted  bool // a call that was active then says a little: the port, a tool that may do it
	idle    bool // no run held the address
	follows bool // goes on what one process began before: no witness of its own for what its time says
}

// inquiry is the work on one incident.
type inquiry struct {
	*caseFile
	inc      *firetrail.Incident
	run      *trace // the run asked about, nil if none is a candidate
	findings []*firetrail.Finding
	moments  []moment
	cells    cells
	scores   [3]float64
	terms    []firetrail.Part
	facts    []string
	contrary []string // what contradicts an agent
	doubts   []string // what weakens without contradicting
	shift    float64
	matches  int  // bursts that a call's content explains
	named    int  // those during a call that names the peer, or runs the tool on its port
	mistaken bool // a zone, it seems: see zone
	shown    bool // something points to the host itself, not only away from known agents
}

// cause answers for one incident.
func (c *caseFile) cause(inc *firetrail.Incident) firetrail.Cause {
	q := &inquiry{caseFile: c, inc: inc, shift: 1}
	for _, id := range inc.Findings {
		if f := c.byID[id]; f != nil {
			q.findings = append(q.findings, f)
		}
	}
	if len(c.x.runs) == 0 {
		if cause, ok := q.policyAlone(); ok {
			return cause
		}
		return undetermined("no inventory of runs was imported, so neither runs nor tool calls can be laid against it")
	}
	if !slices.ContainsFunc(q.findings, func(f *firetrail.Finding) bool { return !hasPart(f, "resolver") }) && len(q.findings) > 0 {
		return undetermined("a resolver asks for others: who asked it is not recorded")
	}
	q.run = c.suspect(inc)
	q.gather()
	if len(q.moments) == 0 {
		return undetermined("the incident has no dated evidence")
	}
	q.timing()
	q.content()
	q.factors()
	q.recurrence()
	q.circumstances()
	q.zone()
	return q.conclude()
}

// suspect is the run that an incident is laid against: the one it is attributed to,
// else the likeliest candidate, however unlikely; nil where no run is one.
func (c *caseFile) suspect(inc *firetrail.Incident) *trace {
	if inc.Run != nil {
		return c.x.runs[inc.Run.ID]
	}
	for _, candidate := range inc.Candidates {
		if candidate.ID != Background {
			return c.x.runs[candidate.ID]
		}
	}
	return nil
}

func undetermined(why string) firetrail.Cause {
	third := 1.0 / 3
	return firetrail.Cause{Verdict: firetrail.VerdictUndetermined, Posterior: firetrail.Posterior{Agent: third, Host: third, Misconfiguration: third}, Facts: []string{why}}
}

// gather makes bursts of the findings: what one source did, whatever detectors
// saw in it, joined over gaps of up to a minute. Counting a session once, not
// once a detector, keeps the tests honest.
func (q *inquiry) gather() {
	bySrc := map[netip.Addr][]moment{}
	var order []netip.Addr
	for _, f := range q.findings {
		_, eps := q.x.opt.clock(f)
		for _, one := range split(f) {
			src := one.SrcIP.Unmap().WithZone("")
			if _, known := bySrc[src]; !known {
				order = append(order, src)
			}
			for _, b := range q.x.bursts(&one) {
				bySrc[src] = append(bySrc[src], q.moment(&one, src, &b, eps))
			}
		}
	}
	slices.SortFunc(order, netip.Addr.Compare)
	for _, src := range order {
		all := bySrc[src]
		slices.SortStableFunc(all, func(a, b moment) int { return compareIntervals(a.at, b.at) })
		for i, m := range all {
			if n := len(q.moments); i > 0 && m.at.Start <= add(q.moments[n-1].at.End, burstGap) {
				o := &q.moments[n-1]
				o.at.End = max(o.at.End, m.at.End)
				o.matched, o.lasting, o.named, o.follows = o.matched || m.matched, o.lasting || m.lasting, o.named || m.named, o.follows && m.follows
				o.hinted = o.hinted || m.hinted
				continue
			}
			q.moments = append(q.moments, m)
		}
	}
	slices.SortStableFunc(q.moments, func(a, b moment) int { return cmp.Compare(a.at.Start, b.at.Start) })
}

// split gives a finding of several sources once for each of them.
func split(f *firetrail.Finding) []firetrail.Finding {
	if f.SrcIP.IsValid() || len(f.Sources) == 0 {
		return []firetrail.Finding{*f}
	}
	out := make([]firetrail.Finding, 0, len(f.Sources))
	for _, src := range f.Sources {
		one := *f
		one.SrcIP, one.Sources = src, nil
		out = append(out, one)
	}
	return out
}

func (q *inquiry) moment(f *firetrail.Finding, src netip.Addr, b *burst, eps int64) moment {
	m := moment{at: b.at, src: src, idle: len(b.weights) == 0, follows: b.follows}
	for i := range b.weights {
		w := &b.weights[i]
		if q.run == nil || w.claim.lease.Run != q.run.run.ID || w.member < 0.5 {
			continue
		}
		m.run = w.claim.lease.Run
		m.matched = w.matched()
		m.hinted = w.call >= 0 && w.k > contentSilent
		m.named = m.matched && w.begun(b.at, eps) && (w.k > contentTool || w.k == contentTool && w.does(f.Detector))
		m.lasting = w.lasting
		q.run.windows.overlap(b.at.Start-eps, b.at.Start+eps, func(i int) {
			m.inside = m.inside || !q.run.elsewhere(i, w.claim.lease)
		})
	}
	return m
}

// begun reports that the burst began while the weight's call was active, or soon after it
// had left a process running.
func (w *weight) begun(at firetrail.Interval, eps int64) bool {
	return !w.lasting || w.call >= 0 && w.call < w.claim.trace.clocked && at.Start <= add(w.claim.trace.windows.iv[w.call].End, eps)
}

// does reports that the weight's call runs a tool that is for what the detector sees.
func (w *weight) does(detector string) bool {
	if w.call < 0 {
		return false
	}
	_, own := w.claim.trace.contentOf(w.call).families.explains(detector)
	return own
}

// term adds a log10 likelihood ratio for one hypothesis, clipped.
func (q *inquiry) term(h hypothesis, part string, value, points, bound float64, text string) {
	points = math.Round(max(-bound, min(bound, points))*1e4) / 1e4
	q.scores[h] += points
	names := [...]string{"agent", "host", "misconfiguration"}
	q.terms = append(q.terms, firetrail.Part{Part: names[h] + ": " + part, Value: value, Points: points, Text: text})
}

func (q *inquiry) fact(format string, args ...any) {
	q.facts = append(q.facts, fmt.Sprintf(format, args...))
}

// seed makes the permutations of an incident the same every time.
func seed(id string) [2]uint64 {
	h := sha256.Sum256([]byte(id))
	return [2]uint64{binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])}
}

// conclude turns scores into a posterior and a verdict.
func (q *inquiry) conclude() firetrail.Cause {
	top := max(q.scores[0], q.scores[1], q.scores[2])
	var p [3]float64
	sum := 0.0
	for i, s := range q.scores {
		p[i] = math.Pow(10, s-top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	post := firetrail.Posterior{Agent: p[byAgent], Host: p[byHost], Misconfiguration: p[byConfiguration]}
	verdict := firetrail.VerdictUndetermined
	clean := len(q.contrary) == 0
	switch {
	case q.run != nil && !q.unlikely() && clean && p[byAgent] >= verdictPosterior && (q.shift <= verdictShift || q.matches >= verdictMatches || q.named > 0):
		verdict = firetrail.VerdictAgent
	case p[byHost] >= verdictPosterior && q.shown && !q.mistaken:
		verdict = firetrail.VerdictHost
	case p[byConfiguration] >= verdictPosterior && q.byRule():
		verdict = firetrail.VerdictMisconfiguration
	}
	q.fact("posterior from equal priors: agent %.3f, host %.3f, misconfiguration %.3f (log10 scores %+.2f, %+.2f, %+.2f); the terms are taken as independent", post.Agent, post.Host, post.Misconfiguration, q.scores[0], q.scores[1], q.scores[2])
	if verdict == firetrail.VerdictUndetermined {
		q.why(p)
	}
	against := append(slices.Clone(q.contrary), q.doubts...)
	if verdict != firetrail.VerdictHost && verdict != firetrail.VerdictMisconfiguration && len(against) > 0 {
		q.fact("strongest fact against an agent: %s", against[0])
		for _, s := range against[1:] {
			q.fact("against an agent: %s", s)
		}
	} else {
		for _, s := range against {
			q.fact("%s", s)
		}
	}
	if len(against) == 0 && verdict == firetrail.VerdictAgent {
		q.fact("nothing was found that contradicts it; records of the host's own processes were not looked at")
	}
	return firetrail.Cause{Verdict: verdict, Posterior: post, Facts: q.facts, Terms: q.terms}
}

// unlikely reports an incident that is rather laid to something outside of all runs.
func (q *inquiry) unlikely() bool {
	return q.inc.Run == nil && len(q.inc.Candidates) > 0 && q.inc.Candidates[0].ID == Background
}

// byRule reports what a configuration can be behind: refusals, or what half of the known
// addresses do alike. What a few do that nobody refused has another cause, though
// nothing tells which.
func (q *inquiry) byRule() bool {
	known := 0
	for _, p := range q.places {
		if q.cells.host[p.ip] > 0 {
			known++
		}
	}
	return q.denied() || 2*known >= len(q.places)
}

// denied reports that all of it got nowhere.
func (q *inquiry) denied() bool {
	return !slices.ContainsFunc(q.findings, func(f *firetrail.Finding) bool { return !refusedOnly(f.Detector) })
}

// why says what kept a verdict away.
func (q *inquiry) why(p [3]float64) {
	switch {
	case q.mistaken:
		q.fact("undetermined: the times of bursts and calls do not fit as they are, and would with another zone")
	case p[byAgent] < verdictPosterior && p[byAgent] >= max(p[byHost], p[byConfiguration]):
		q.fact("undetermined: the posterior of an agent is %.3f, below %.2f", p[byAgent], verdictPosterior)
	case p[byAgent] >= verdictPosterior && q.unlikely():
		q.fact("undetermined: a cause outside the runs is likelier than any of them")
	case p[byAgent] >= verdictPosterior && len(q.contrary) > 0:
		q.fact("undetermined: a fact contradicts an agent")
	case p[byAgent] >= verdictPosterior:
		q.fact("undetermined: the shift test gives p = %.3g, above %.2f, and no tool call in time names the peer; %d bursts match loosely, fewer than %d", q.shift, verdictShift, q.matches, verdictMatches)
	case p[byConfiguration] >= verdictPosterior:
		q.fact("undetermined: several addresses do it alike, but few of those that are known, and it was not refused")
	case p[byHost] >= verdictPosterior:
		q.fact("undetermined: nothing points to the host itself: no way in, fewer than two bursts in idle time, and no trace that would have shown the act")
	default:
		q.fact("undetermined: no cause reaches a posterior of %.2f", verdictPosterior)
	}
}
