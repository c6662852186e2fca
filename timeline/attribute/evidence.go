package attribute

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

// timingUseless is the exposed fraction from which the time tells nothing: it
// would take more than fifty bursts, all inside, to mean something.
const timingUseless = 0.9

// timing lays the bursts against the run's tool calls: the run is its own
// control (Maclure 1991, case-crossover). Bursts of a process that an earlier
// call left running are left out, and so is what goes on after the beginning of a
// process: they follow no call.
func (q *inquiry) timing() {
	if q.run == nil {
		q.fact("no run is a candidate, so no tool calls can be laid against the bursts")
		return
	}
	id := q.run.run.ID
	if q.run.clocked == 0 {
		q.doubts = append(q.doubts, fmt.Sprintf("no tool calls of run %s with times are known, so timing cannot be tested", id))
		return
	}
	eps := q.x.opt.Slack
	lease := q.leaseOnSources()
	axis := newAxis(intersect(lease, q.observed))
	wide := make([]firetrail.Interval, 0, q.run.clocked)
	var starts []float64
	for i, w := range q.run.windows.iv {
		wide = append(wide, firetrail.Interval{Start: add(w.Start, -eps), End: add(w.End, eps)})
		if at, ok := axis.at(q.run.calls[i].Start); ok {
			starts = append(starts, at)
		}
	}
	windows := axis.windows(union(wide, 0))
	exposed := 0.0
	for _, w := range windows {
		exposed += w[1] - w[0]
	}
	var times []float64
	wake, going := 0, 0
	for _, m := range q.moments {
		at, ok := axis.at(m.at.Start)
		switch {
		case !ok || m.run == "":
		case m.follows:
			going++
		case m.lasting:
			wake++
		default:
			times = append(times, at)
		}
	}
	if going > 0 {
		q.fact("%d bursts go on what one process began before; the beginning alone is counted in the timing", going)
	}
	if wake > 0 {
		q.fact("%d bursts are in the wake of a call that left a process running; they are not counted in the timing", wake)
	}
	if len(times) == 0 && going+wake > 0 {
		q.doubts = append(q.doubts, "no burst is left that a process which was left running does not explain, so timing cannot be tested")
		return
	}
	if len(times) == 0 || axis.total == 0 {
		q.doubts = append(q.doubts, fmt.Sprintf("no burst lies in the observed time of run %s, so timing cannot be tested", id))
		return
	}
	q.window(times, windows, axis.total, min(exposed/axis.total, 1))
	q.trigger(times, starts, axis.total)
}

// leaseOnSources is the time in which the run held the incident's addresses,
// or all of its time where they are translated ones.
func (q *inquiry) leaseOnSources() []firetrail.Interval {
	var iv []firetrail.Interval
	for _, src := range q.inc.Sources {
		iv = append(iv, q.leaseTime(q.run, src.Unmap())...)
	}
	if len(iv) == 0 {
		return q.leaseTime(q.run, netip.Addr{})
	}
	return union(iv, 0)
}

// window is the test with fixed windows: exposed fraction, chance, permutation.
func (q *inquiry) window(times []float64, windows [][2]float64, total, f float64) {
	k, p := shiftTest(times, windows, total, seed(q.inc.ID))
	n := len(times)
	q.shift = p
	q.fact("timing: %d of %d bursts fall into tool calls of run %s, which cover the fraction %.3f of its %.1f observed hours", k, n, q.run.run.ID, f, total/3600)
	if f >= timingUseless {
		q.shift = 1
		q.fact("tool calls cover so much of the time that timing says nothing: %s", power(f))
		return
	}
	bayes := windowBayes(n, k, f)
	text := fmt.Sprintf("chance alone would put %.1f of %d inside; binomial p = %.2g, circular shift p = %.3g (999 shifts), Bayes factor 10^%.2f against a Beta(9,1) agent", f*float64(n), n, binomialTail(n, k, f), p, bayes)
	if rr := rateRatio(n, k, f); rr > 0 {
		text += fmt.Sprintf(", rate ratio %.1f", rr)
	}
	q.fact("%s; assumed: calls and bursts share a clock to within %d s, and the run's habits do not change over the day", text, q.x.opt.Slack/second)
	q.term(byAgent, "timing", float64(k)/float64(n), bayes, termBound, text)
	if out := n - k; out > 0 {
		q.doubts = append(q.doubts, fmt.Sprintf("%d of %d bursts fall outside every tool call of run %s", out, n, q.run.run.ID))
	}
}

// power says how many bursts, all of them inside, would reach p = 0.001.
func power(f float64) string {
	if f >= 1 {
		return "no number of bursts could reach p = 0.001"
	}
	return fmt.Sprintf("it would take %d bursts, all inside, to reach p = 0.001", int(math.Ceil(math.Log(0.001)/math.Log(f))))
}

// rateRatio is the relative incidence inside against outside, 0 where there is
// nothing to compare with.
func rateRatio(n, k int, f float64) float64 {
	if k == n || f <= 0 || f >= 1 {
		return 0
	}
	return (float64(k) / f) / (float64(n-k) / (1 - f))
}

// trigger is the test without windows (after Rubin-Delanchy and Heard, 2014):
// u is the fraction of the time that lies as close after a call's start as the
// burst does; uniform if calls do not matter.
func (q *inquiry) trigger(times, starts []float64, total float64) {
	slices.Sort(starts)
	if len(starts) == 0 {
		return
	}
	var u []float64
	for _, t := range times {
		i, found := slices.BinarySearch(starts, t)
		if !found {
			i--
		}
		if i < 0 {
			u = append(u, 1)
			continue
		}
		u = append(u, within(starts, t-starts[i], total))
	}
	q.fact("without windows: the lags after the last call give p = %.2g (Fisher's method, %d bursts, %d calls)", fisherCombined(u), len(times), len(starts))
}

// within is the fraction of [0, total] that lies at most d after a start.
func within(starts []float64, d, total float64) float64 {
	sum := 0.0
	for i, s := range starts {
		end := total
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		sum += min(d, end-s)
	}
	return min(1, max(sum/total, 1e-9))
}

// content counts the bursts that a tool call's own words explain.
func (q *inquiry) content() {
	if q.run == nil || len(q.run.calls) == 0 {
		return
	}
	for _, m := range q.moments {
		if m.matched {
			q.matches++
		}
		if m.named {
			q.named++
		}
	}
	hinted := slices.ContainsFunc(q.moments, func(m moment) bool { return m.hinted })
	n, id := len(q.moments), q.run.run.ID
	text := fmt.Sprintf("tool calls of run %s explain %d of %d bursts by their content; %d began in or soon after a call that names the peer, or runs a tool for it", id, q.matches, n, q.named)
	switch {
	case q.matches >= verdictMatches:
		q.fact("%s", text)
		q.term(byAgent, "content", float64(q.matches), contentBound, contentBound, text)
	case q.matches == 1:
		q.fact("%s", text)
		q.term(byAgent, "content", 1, 2, contentBound, text)
	case q.run.args && hinted:
		q.doubts = append(q.doubts, fmt.Sprintf("the arguments of run %s's tool calls say no more of it than the port, or a tool of many uses", id))
	case q.run.args:
		text := fmt.Sprintf("the arguments of run %s's tool calls are recorded, and nothing in them has to do with it", id)
		q.doubts = append(q.doubts, text)
		q.term(byAgent, "content", 0, -1, contentBound, text)
		q.shown = q.shown || q.outside()
	default:
		q.doubts = append(q.doubts, fmt.Sprintf("the trace of run %s records no arguments, so what its calls did is not known", id))
	}
}

// outside reports that most bursts, two at least, fall outside the run's tool calls: what it
// did in them, a script may hide, and one may come from what a script left running.
func (q *inquiry) outside() bool {
	in, out := 0, 0
	for _, m := range q.moments {
		switch {
		case m.follows || m.run == "":
		case m.inside:
			in++
		default:
			out++
		}
	}
	return out >= 2 && in < out
}

// related are the findings of the case that show the same behaviour: the same
// detector and peer, at any source.
func (q *inquiry) related() []*firetrail.Finding {
	var at []int
	for _, f := range q.findings {
		at = append(at, q.byHabit[keyOf(f, false)]...)
	}
	slices.Sort(at)
	var out []*firetrail.Finding
	for _, i := range slices.Compact(at) {
		out = append(out, &q.caseFile.findings[i])
	}
	return out
}

// cells counts the bursts of a behaviour by where they fell.
type cells struct {
	all   int // what is counted below; bursts that go on what one process began are not
	seen  int // bursts, those included
	host  map[netip.Addr]int
	tool  map[string]int // within tool calls of a run; all of its time where it has no trace
	runs  map[string]bool
	idle  int  // while no run held the address, at addresses that a run held at some time or a host's: times without a run, for one process
	quiet bool // the burst before, of the same source, was one of those
	idles []netip.Addr
}

// count sorts the bursts of related findings into cells; what one source did
// within a minute counts once.
func (q *inquiry) count() cells {
	c := cells{host: map[netip.Addr]int{}, tool: map[string]int{}, runs: map[string]bool{}}
	bySrc := map[netip.Addr][]burst{}
	for _, f := range q.related() {
		for _, one := range split(f) {
			src := one.SrcIP.Unmap().WithZone("")
			bySrc[src] = append(bySrc[src], q.x.bursts(&one)...)
		}
	}
	srcs := make([]netip.Addr, 0, len(bySrc))
	for src := range bySrc {
		srcs = append(srcs, src)
	}
	slices.SortFunc(srcs, netip.Addr.Compare)
	for _, src := range srcs {
		all := bySrc[src]
		slices.SortStableFunc(all, func(a, b burst) int { return compareIntervals(a.at, b.at) })
		end := int64(firetrail.Absent)
		c.quiet = false
		for i := range all {
			b := &all[i]
			if i > 0 && b.at.Start <= add(end, burstGap) {
				end = max(end, b.at.End)
				continue
			}
			end = b.at.End
			q.cell(&c, src, b)
		}
	}
	return c
}

func (q *inquiry) cell(c *cells, src netip.Addr, b *burst) {
	c.seen++
	if !b.follows {
		c.all++
		c.host[src]++
	}
	var best *weight
	for i := range b.weights {
		if w := &b.weights[i]; best == nil || w.w > best.w {
			best = w
		}
	}
	quiet := c.quiet
	c.quiet = best == nil
	if best == nil {
		if q.x.byAddr[src] != nil && !q.x.podOnly(src) && q.farFromRuns(src, b.at) {
			if !b.follows || !quiet {
				c.idle++
			}
			if !slices.Contains(c.idles, src) {
				c.idles = append(c.idles, src)
			}
		}
		return
	}
	id := best.claim.lease.Run
	c.runs[id] = true
	if b.follows {
		return
	}
	if best.claim.trace.clocked == 0 || best.call >= 0 && best.timing >= timeLasting {
		c.tool[id]++
	}
}

// farFromRuns reports that no run held an address within a minute of a burst:
// clocks may miss each other by less.
func (q *inquiry) farFromRuns(src netip.Addr, at firetrail.Interval) bool {
	far := true
	h := q.x.byAddr[src]
	h.spans.overlap(add(at.Start, -idleMargin), add(at.End, idleMargin), func(i int) {
		far = far && h.leases[i].Run == ""
	})
	return far
}

// factors compares what carries the bursts: the tool calls of agentic runs, one
// host, or nothing in particular, by Gamma-Poisson marginals over the cells
// (host, run or idle, tool or no tool) with their observed hours.
func (q *inquiry) factors() {
	c := q.count()
	q.cells = c
	m := q.measure(&c)
	if m.hours <= 0 {
		return
	}
	var single []float64
	n, agents, t := 0, 0, 0.0
	for _, e := range q.runs {
		if e.agentic {
			n, t, agents = n+c.tool[e.id], t+e.tool, agents+1
		}
		// A run without a trace may be an agent's as well: its whole time counts.
		if e.hours > 0 {
			single = append(single, m.apart(c.tool[e.id], e.tool))
		}
	}
	agent := m.alike
	if len(single) > 0 {
		agent = logMean([]float64{m.apart(n, t), logMean(single)})
	}
	configuration := m.alike
	if n := len(c.host); n >= manySources { // the rule may hold for some hosts only: which ones is a choice that has its price
		configuration = logMean([]float64{m.alike, m.apart(c.all, m.scope) - logChoose(m.places, n)})
	}
	one := logMean(m.hosts)
	if into := q.invaded(); len(into) > 1 { // an intruder takes several hosts
		n := 0
		for _, src := range into {
			n += c.host[src]
		}
		one = max(one, m.apart(n, float64(len(into))*hours(q.observed)))
	}
	models := []float64{agent, one, configuration}
	mean := logMean(models)
	text := fmt.Sprintf("%d bursts at %d sources, %d of them in tool calls of %d agentic runs (%.1f h), over %d addresses (%.0f h)", c.all, len(c.host), n, agents, t, len(q.places), m.hours)
	for h, name := range [...]string{"tool calls of agentic runs carry them", "one host carries them", "all hosts alike"} {
		ln := models[h] - mean
		q.term(hypothesis(h), "factor", ln/math.Ln10, ln/math.Ln10, termBound, name+": "+text)
	}
	q.fact("which factor carries the same behaviour: %s; log10 marginal likelihoods %.2f tool calls, %.2f one host, %.2f all hosts alike", text, models[0]/math.Ln10, models[1]/math.Ln10, models[2]/math.Ln10)
}

// measured is the observed time of a behaviour and what it says of hosts.
type measured struct {
	all    int
	places int       // addresses, those of no inventory included
	hours  float64   // of all addresses
	scope  float64   // of those that show the behaviour
	alike  float64   // log marginal of one rate everywhere
	hosts  []float64 // log marginals of each host against the rest, in ascending order
}

func (q *inquiry) measure(c *cells) measured {
	m := measured{all: c.all}
	observed := hours(q.observed)
	known := map[netip.Addr]bool{}
	type host struct {
		n   int
		t   float64
		pod bool
	}
	var hosts []host
	for _, p := range q.places {
		known[p.ip] = true
		hosts = append(hosts, host{c.host[p.ip], p.total, q.x.podOnly(p.ip)})
	}
	for src, n := range c.host {
		if !known[src] {
			hosts = append(hosts, host{n, observed, false})
		}
	}
	for _, h := range hosts {
		m.hours += h.t
		if h.n > 0 {
			m.scope += h.t
		}
	}
	m.alike = logMarginal(c.all, m.hours)
	m.places = len(hosts)
	for _, h := range hosts {
		if h.pod { // host and run are one there: what the pod does tells no host from its run
			m.hosts = append(m.hosts, m.alike)
			continue
		}
		m.hosts = append(m.hosts, m.apart(h.n, h.t))
	}
	slices.Sort(m.hosts) // their mean must not depend on the order of a map
	return m
}

// apart is the log marginal of a group with a rate of its own. A group that
// shows the behaviour no more than the rest carries nothing: it is as if there
// were one rate.
func (m *measured) apart(n int, t float64) float64 {
	t = min(t, m.hours)
	if float64(n)*(m.hours-t) <= float64(m.all-n)*t {
		return m.alike
	}
	return logMarginal(n, t) + logMarginal(m.all-n, m.hours-t)
}
