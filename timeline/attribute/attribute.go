// Package attribute says who did what a finding shows, and how sure that is: a
// finding's source leads over translations and leases to training runs and
// their tool calls (Findings), and many bursts together to a cause (Causes).
// Every answer names its alternatives, what it rests on and what speaks
// against it. The package reads nothing but what it is given, changes no
// recorded time, and gives the same answer for the same input.
package attribute

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

// Background is the id of the candidate "no run of the inventory did it": a
// service of the host, another user, someone outside.
const Background = "background"

// Options are the settings of attribution; the zero value works.
type Options struct {
	Offsets map[string]Offset          // by source id: how far the source's clock runs ahead of the inventory's
	Guessed map[string]firetrail.Guess // by source id: what of its times was not in the records
	Slack   int64                      // nanoseconds by which times may miss each other; 0: 5 s, or more by the offset's spread
	Grace   int64                      // how long after a tool call its traffic may come; 0: 30 s
}

func (o Options) filled() Options {
	if o.Slack <= 0 {
		o.Slack = 5 * second
	}
	if o.Grace <= 0 {
		o.Grace = 30 * second
	}
	return o
}

// Levels of a RunRef; A0, none, is a finding without one.
const (
	levelSet, levelLease, levelCall, levelContent, levelRecurs = "A1", "A2", "A3", "A4", "A5"
)

// Findings fills the Attribution and the Offset of each finding. The posterior of a burst is
//
//	P(r|e) = w_r / (Σ w + w_bg),  w_r = q·T·K,  w_bg = (0.05·|C| + 0.05)·B
//
// with q the lease's quality and how far the burst lies in it, T the time
// against the run's tool calls (1 within one, 0.8 in the wake of one that left
// something running, 0.05 idle; 1 where no calls are known) and K their
// content. B is 1 for an address of the run's own, and grows with what points
// to a service of the host: see background. A finding's posterior is the mean
// over its bursts, so that one which spans two leases is split between them.
func (x *Index) Findings(findings []firetrail.Finding) {
	bursts := make([][]burst, len(findings))
	for i := range findings {
		bursts[i] = x.bursts(&findings[i])
	}
	habits := observeHabits(x, findings, bursts)
	for i := range findings {
		f := &findings[i]
		f.Attribution = x.attribute(f, habits.of(f), bursts[i])
		f.Offset, _ = x.opt.clock(f)
	}
	recur(findings)
}

// Translation gives what a record with a translated source says of NAT, for an
// inventory's table; ok is false where it gives none.
func Translation(ev *firetrail.Event, path string) (n firetrail.NAT, ok bool) {
	if !ev.NATSrcIP.IsValid() || ev.NATSrcIP == ev.SrcIP || !ev.SrcIP.IsValid() || ev.Time == firetrail.Absent {
		return n, false
	}
	return firetrail.NAT{Proto: ev.Proto, InsideIP: ev.SrcIP, OutsideIP: ev.NATSrcIP, InsidePort: ev.SrcPort, OutsidePort: ev.NATSrcPort,
		DstIP: ev.DstIP, DstPort: ev.DstPort, Start: ev.Time, End: ev.Last(), Citation: firetrail.Citation{Source: path, Line: ev.Line}}, true
}

// weight is how much one run has to do with one burst.
type weight struct {
	claim   claim
	w       float64
	member  float64
	timing  float64 // T
	k       float64 // K
	call    int     // of the run's calls, -1 for none
	why     string  // of the content match
	lasting bool    // by a process that an earlier call left running
	base    float64 // of the lease: its quality, its share, how far the burst lies in it
}

// matched reports a call in time whose content fits.
func (w *weight) matched() bool {
	return w.k >= contentMatches && w.timing >= 0.5
}

// burst is one burst of a finding with all runs that can have caused it, by id.
type burst struct {
	at      firetrail.Interval // by the inventory's clock
	weights []weight
	bg      float64 // before the factor B
	follows bool    // goes on what the burst before began: one process, which follows no call
}

// hit is a call whose content has to do with the finding.
type hit struct {
	call int
	k    float64
	why  string
}

// bursts weighs every burst of a finding against every run.
func (x *Index) bursts(f *firetrail.Finding) []burst {
	shift, eps := x.opt.clock(f)
	hits := map[string][]hit{}
	done := map[string][]hit{} // hits that an earlier burst matched in time: its peer is this one's
	var out []burst
	for _, at := range burstsOf(f) {
		at = firetrail.Interval{Start: add(at.Start, -shift), End: add(at.End, -shift)}
		b := burst{at: at}
		if n := len(out); n > 0 && at.Start <= add(out[n-1].at.End, pause(f.Detector)) {
			b.follows = true
		}
		for _, c := range x.claims(f, at, eps) {
			id := c.lease.Run
			if _, known := hits[id]; !known {
				hits[id] = c.trace.hits(f)
			}
			w := c.trace.weigh(at, eps, &c, hits[id], done[id])
			if w.w <= 0 {
				continue
			}
			if i := slices.IndexFunc(b.weights, func(o weight) bool { return o.claim.lease.Run == id }); i < 0 {
				b.weights = append(b.weights, w)
			} else if b.weights[i].w < w.w {
				b.weights[i] = w
			}
		}
		if b.follows {
			b.goOn(&out[len(out)-1])
		}
		slices.SortFunc(b.weights, func(a, c weight) int { return cmp.Compare(a.claim.lease.Run, c.claim.lease.Run) })
		for i := range b.weights {
			if w := &b.weights[i]; w.matched() && !w.lasting {
				id := w.claim.lease.Run
				done[id] = append(done[id], hit{w.call, w.k, w.why})
			}
		}
		b.bg = 0.05*float64(len(b.weights)) + 0.05
		out = append(out, b)
	}
	return out
}

// pause is how far the bursts of one process may lie apart, of those that a detector sees: what
// a process keeps doing once it was started follows its own clock, and tool calls only by its
// beginning. Single acts, and what lies further apart, stand for themselves.
func pause(detector string) int64 {
	switch detector {
	case policyBurst, portScan, metadata:
		return -1
	case beacon: // its rhythm is what it was found by
		return forever
	}
	return quarter
}

// goOn gives a burst of a standing process the call that explains the burst before it, where
// that does so better: who began it did this as well.
func (b *burst) goOn(before *burst) {
	for i := range b.weights {
		w := &b.weights[i]
		n := slices.IndexFunc(before.weights, func(o weight) bool { return o.claim.lease.Run == w.claim.lease.Run })
		if n < 0 {
			continue
		}
		if o := &before.weights[n]; o.timing*o.k > w.timing*w.k {
			w.timing, w.k, w.call, w.why, w.lasting = o.timing, o.k, o.call, o.why, true
			w.w = w.base * w.timing * w.k
		}
	}
}

// clock is the correction and the slack for the source of a finding's evidence.
func (o *Options) clock(f *firetrail.Finding) (shift, eps int64) {
	eps = o.Slack
	if len(f.Evidence) > 0 {
		if off, ok := o.Offsets[f.Evidence[0].Source]; ok {
			shift, eps = off.Of(f.Start), max(eps, off.slack())
		}
	}
	return shift, eps
}

// maxBursts bounds the bursts of a finding that are weighed.
const maxBursts = 512

// burstsOf gives a finding's bursts, or its whole time where it has none; none
// for an undated finding. Of very many it takes the first of each of 512 equal
// parts: the mean over them is the same to a few percent.
func burstsOf(f *firetrail.Finding) []firetrail.Interval {
	var out []firetrail.Interval
	for _, b := range f.Bursts {
		if b.Start != firetrail.Absent {
			out = append(out, firetrail.Interval{Start: b.Start, End: max(b.Start, b.End)})
		}
	}
	if len(out) == 0 && f.Start != firetrail.Absent {
		out = append(out, firetrail.Interval{Start: f.Start, End: max(f.Start, f.End)})
	}
	slices.SortFunc(out, compareIntervals)
	if n := len(out); n > maxBursts {
		for i := range maxBursts {
			out[i] = out[i*n/maxBursts]
		}
		out = out[:maxBursts]
	}
	return out
}

// hits lists the calls of a run whose content has to do with a finding.
func (t *trace) hits(f *firetrail.Finding) []hit {
	var out []hit
	for _, i := range t.tellings() {
		if k, why := t.contentOf(i).match(f); k > contentSilent {
			out = append(out, hit{i, k, why})
		}
	}
	return out
}

// Weights of time, T of the posterior, and of a named peer at another time.
const (
	timeActive  = 1.0
	timeLasting = 0.8
	timeIdle    = 0.05
	timeOwnPod  = 0.5     // idle, at an address that nobody but the run has
	peerEarly   = quarter // before the call: clocks that nobody compared
	peerLater   = 20.0    // K of a named peer outside of the call's time: times 0.05 it weighs as much as a call without arguments
)

// weigh finds the call that explains a burst best, or what the lack of one says.
func (t *trace) weigh(at firetrail.Interval, eps int64, c *claim, hits, done []hit) weight {
	w := weight{claim: *c, member: membership(c.lease, at, eps), timing: timeIdle, k: contentSilent, call: -1}
	q := c.lease.Quality
	if q <= 0 || q > 1 || math.IsNaN(q) {
		q = 1
	}
	w.base = q * c.share * w.member
	if ownPod(c) {
		w.timing = timeOwnPod
	}
	better := func(timing, k float64, call int, why string, lasting bool) {
		if timing*k > w.timing*w.k {
			w.timing, w.k, w.call, w.why, w.lasting = timing, k, call, why, lasting
		}
	}
	switch {
	case len(t.calls) == 0:
		w.timing = timeActive
	case t.args:
		w.k = contentOther
	}
	t.windows.overlap(at.Start-eps, at.Start+eps, func(i int) {
		if t.elsewhere(i, c.lease) {
			return
		}
		value, why := contentSilent, ""
		if say := t.contentOf(i); say.known && !(say == onlyOrdinary && ownPod(c)) {
			value = contentOther
		}
		if j, ok := slices.BinarySearchFunc(hits, i, func(h hit, i int) int { return cmp.Compare(h.call, i) }); ok {
			value, why = hits[j].k, hits[j].why
		}
		better(timeActive, value, i, why, false)
	})
	for _, h := range hits {
		t.hit(h, at, eps, c, better)
	}
	for _, h := range done {
		if h.k >= contentPeer {
			better(timeLasting, h.k, h.call, h.why, true)
		}
	}
	w.w = w.base * w.timing * w.k
	return w
}

// ownPod reports a claim by the address of a pod of its own. A command that says
// nothing of the network ("bash run.sh") speaks against a run only beside others who
// may have used the address.
func ownPod(c *claim) bool {
	return (c.lease.Subject == "pod" || c.lease.Subject == "sandbox") && !c.lease.Shared && c.way == ""
}

// hit weighs a call with matching content that is not active: its process may
// have been left running, or its clock may be off.
func (t *trace) hit(h hit, at firetrail.Interval, eps int64, c *claim, better func(timing, k float64, call int, why string, lasting bool)) {
	call, say := t.calls[h.call], t.contentOf(h.call)
	if t.elsewhere(h.call, c.lease) {
		return
	}
	if call.Start == firetrail.Absent {
		if h.k >= contentPeer {
			better(timeIdle, peerLater, h.call, h.why, false)
		}
		return
	}
	if call.Start-call.Unc <= at.Start+eps && (say.background || say.families.lasting()) && h.k >= contentMatches {
		better(timeLasting, h.k, h.call, h.why, true)
	}
	if h.k >= contentPeer && at.Start >= call.Start-call.Unc-peerEarly {
		better(timeIdle, peerLater, h.call, h.why, false)
	}
}

// elsewhere reports a call that another machine of the same run made: its place
// is one of the run's other leases and not this one.
func (t *trace) elsewhere(i int, l *firetrail.Lease) bool {
	call := t.calls[i]
	if len(t.run.Leases) < 2 || call.IP == l.IP && call.IP.IsValid() || same(call.Host, l) || same(call.Sandbox, l) {
		return false
	}
	for j := range t.run.Leases {
		o := &t.run.Leases[j]
		if o.IP == call.IP && call.IP.IsValid() || same(call.Host, o) || same(call.Sandbox, o) {
			return true
		}
	}
	return false
}

// same reports whether a trace's word for a place means the holder of a lease.
func same(place string, l *firetrail.Lease) bool {
	return place != "" && (place == l.Name || short(place) == short(l.Host) || place == l.IP.String())
}

// habit is what is known of a behaviour beyond one finding: the same detector,
// source and peer.
type habit struct {
	bursts  int          // of all findings of this behaviour at this source
	idle    int          // of them while no run held the address
	runs    int          // distinct runs that held the address during others
	sources []netip.Addr // distinct sources of the same behaviour, whatever the address
	timed   bool         // over all sources and runs it keeps falling into tool calls: see pool
	alone   int          // beginnings at this source that no call's content explains
	span    float64      // seconds in which they came
}

type habitKey struct {
	detector, peer string
	src            netip.Addr
}

type habits map[habitKey]*habit

func (h habits) of(f *firetrail.Finding) habit {
	own := *h[keyOf(f, true)]
	own.sources = h[keyOf(f, false)].sources
	own.timed = h[sortOf(f)].timed
	return own
}

func keyOf(f *firetrail.Finding, withSource bool) habitKey {
	k := habitKey{detector: f.Detector, peer: peerOf(f)}
	if withSource {
		k.src = f.SrcIP.Unmap().WithZone("")
	}
	return k
}

// peerOf names the other side of a finding: the host, else the address or
// network, else the first target, with the port.
func peerOf(f *firetrail.Finding) string {
	peer := f.Host
	if peer == "" {
		peer = f.Dst
	}
	if peer == "" && len(f.Targets) > 0 {
		peer = cmp.Or(f.Targets[0].Host, firetrail.AddrText(f.Targets[0].IP))
	}
	return peer
}

// idleMargin is how far from any lease a burst has to lie to count as idle time.
const idleMargin = minute

// observeHabits counts for each behaviour how often it came while no run, or
// several, held the address, how often no call explains it, and from how many sources.
func observeHabits(x *Index, findings []firetrail.Finding, bursts [][]burst) habits {
	all := habits{}
	first, last := int64(forever), int64(firetrail.Absent)
	for _, list := range bursts {
		for i := range list {
			first, last = min(first, list[i].at.Start), max(last, list[i].at.End)
		}
	}
	span := max(float64(last)-float64(first), float64(hour)) / 1e9
	get := func(k habitKey) *habit {
		if all[k] == nil {
			all[k] = &habit{}
		}
		return all[k]
	}
	held := map[habitKey]map[string]bool{}
	pools := map[habitKey]*pool{}
	for i := range findings {
		f := &findings[i]
		k := keyOf(f, true)
		get(sortOf(f))
		if pools[sortOf(f)] == nil {
			pools[sortOf(f)] = &pool{calls: map[runCall]bool{}}
		}
		h, any := get(k), get(keyOf(f, false))
		for _, src := range append([]netip.Addr{k.src}, f.Sources...) {
			if src.IsValid() && !slices.Contains(any.sources, src) {
				any.sources = append(any.sources, src)
			}
		}
		if held[k] == nil {
			held[k] = map[string]bool{}
		}
		_, eps := x.opt.clock(f)
		for n := range bursts[i] {
			b := &bursts[i][n]
			h.bursts++
			if !b.follows && !slices.ContainsFunc(b.weights, func(w weight) bool { return w.matched() }) {
				h.alone, h.span = h.alone+1, span
			}
			claims := x.claims(f, b.at, max(eps, idleMargin))
			if len(claims) == 0 {
				h.idle++
			}
			if !b.follows {
				pools[sortOf(f)].add(b.at, eps, claims)
			}
			for _, c := range claims {
				held[k][c.lease.Run] = true
			}
		}
		h.runs = len(held[k])
	}
	for k, p := range pools {
		all[k].timed = p.telling()
	}
	return all
}
