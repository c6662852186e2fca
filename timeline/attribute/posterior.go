package attribute

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// Bounds of what is listed with an attribution.
const (
	maxReasons = 6
	maxListed  = 16
	maxCalls   = 8
)

// verdict gathers the candidates of one finding.
type verdict struct {
	x       *Index
	f       *firetrail.Finding
	habit   habit
	bursts  []burst
	factor  float64         // B
	content bool            // a call in time whose content fits, of any run
	named   bool            // one that names the peer, or the tool and the port
	timed   bool            // bursts coincide with some run's calls more often than by chance
	ownHost bool            // the address is a machine's, with services of its own
	weights map[string]bool // runs that have a weight at some burst
	share   map[string]float64
	order   []string // run ids, likeliest first
	bg      float64
}

// attribute answers for one finding.
func (x *Index) attribute(f *firetrail.Finding, h habit, bursts []burst) firetrail.Attribution {
	if why := x.hopeless(f); why != "" {
		return firetrail.Attribution{Unattributed: why}
	}
	v := &verdict{x: x, f: f, habit: h, bursts: bursts, weights: map[string]bool{}, share: map[string]float64{}}
	v.weigh()
	var a firetrail.Attribution
	if len(v.order) == 0 {
		a.Unattributed, a.Candidates = v.nobody()
		return a
	}
	a.Candidates = v.candidates()
	a.Run, a.Unattributed = v.best()
	v.cite(&a)
	a.Against = v.against()
	return a
}

// hopeless says why a finding cannot be asked about at all.
func (x *Index) hopeless(f *firetrail.Finding) string {
	switch {
	case len(x.runs) == 0:
		return "no inventory of runs was imported"
	case !f.SrcIP.IsValid() && len(f.Sources) > 0:
		return fmt.Sprintf("%d sources show it at once, so it is no single run's", len(f.Sources))
	case !f.SrcIP.IsValid():
		return "the finding has no source address"
	case len(burstsOf(f)) == 0:
		return "the records carry no time"
	}
	return ""
}

// weigh computes the mean posterior over the bursts.
func (v *verdict) weigh() {
	v.temper()
	for i := range v.bursts {
		for j := range v.bursts[i].weights {
			w := &v.bursts[i].weights[j]
			v.weights[w.claim.lease.Run] = true
			v.content = v.content || w.matched()
			v.named = v.named || w.matched() && w.k > contentTool
			v.ownHost = v.ownHost || w.claim.lease.Shared || w.claim.lease.Subject != "pod" && w.claim.lease.Subject != "sandbox" || w.claim.way != ""
		}
		if l, ok := v.x.hostAt(v.f.SrcIP, v.bursts[i].at); ok && l.Subject == "host" {
			v.ownHost = true
		}
	}
	v.coincide()
	v.factor = v.background()
	for i := range v.bursts {
		b := &v.bursts[i]
		sum := b.bg * v.factor
		for j := range b.weights {
			sum += b.weights[j].w
		}
		for j := range b.weights {
			v.share[b.weights[j].claim.lease.Run] += b.weights[j].w / sum / float64(len(v.bursts))
		}
	}
	for _, id := range v.x.ids {
		if p := math.Floor(v.share[id]*1e6) / 1e6; p > 0 {
			v.share[id] = p
			v.order = append(v.order, id)
			v.bg += p
		}
	}
	v.bg = math.Round((1-v.bg)*1e6) / 1e6
	slices.SortStableFunc(v.order, func(a, b string) int { return cmp.Compare(v.share[b], v.share[a]) })
}

// temper bounds what the content of a call weighs by how surprising it is that the burst falls
// into it, or near it: where the same comes all the time without any such call, it
// would have come during this one as well.
func (v *verdict) temper() {
	_, eps := v.x.opt.clock(v.f)
	for i := range v.bursts {
		for j := range v.bursts[i].weights {
			w := &v.bursts[i].weights[j]
			others, length := v.habit.alone-1, hour // of a peer that was named at another time
			if w.timing == timeActive && w.call >= 0 {
				window := w.claim.trace.windows.iv[w.call]
				others, length = v.habit.alone, window.End-window.Start+2*eps
			}
			if w.call < 0 || w.lasting || w.k <= 1 || others <= 0 {
				continue
			}
			chance := -math.Expm1(-float64(others) / v.habit.span * float64(length) / 1e9)
			if most := 1 / chance; w.k > most {
				w.k = most
				w.w = w.base * w.timing * w.k
			}
		}
	}
}

// coincidence is the chance below which bursts that keep falling into a run's
// tool calls are taken to come from them, and coincideCalls the fewest calls.
const (
	coincidence   = 0.001
	coincideCalls = 3
)

// coincide looks for runs whose calls the bursts keep falling into. Arguments
// may hide what a call does ("python solve.py"): then they no longer speak
// against the run. Bursts of one call count once, as they are no independent
// witnesses. What is known of the behaviour over all runs counts for each.
func (v *verdict) coincide() {
	calls := map[string]map[int]bool{}
	outside := map[string]int{}
	leases := map[string]*firetrail.Lease{}
	for i := range v.bursts {
		if v.bursts[i].follows {
			continue
		}
		for j := range v.bursts[i].weights {
			w := &v.bursts[i].weights[j]
			id := w.claim.lease.Run
			if calls[id] == nil {
				calls[id], leases[id] = map[int]bool{}, w.claim.lease
			}
			if w.call >= 0 && w.timing == timeActive {
				calls[id][w.call] = true
			} else {
				outside[id]++
			}
		}
	}
	_, eps := v.x.opt.clock(v.f)
	for id, in := range calls {
		k := len(in)
		pooled := v.habit.timed && k > outside[id]
		if !pooled && (k < coincideCalls || binomialTail(k+outside[id], k, v.x.runs[id].exposed(leases[id], eps)) > coincidence) {
			continue
		}
		v.timed = true
		for i := range v.bursts {
			for j := range v.bursts[i].weights {
				w := &v.bursts[i].weights[j]
				if w.claim.lease.Run == id && w.timing == timeActive && w.call >= 0 && w.k == contentOther {
					w.w, w.k = w.w/contentOther, contentSilent
				}
			}
		}
	}
}

// exposed is the fraction of a lease that lies in the run's tool calls, give
// or take eps; 1 for a lease without both bounds.
func (t *trace) exposed(l *firetrail.Lease, eps int64) float64 {
	if l.Start == firetrail.Absent || l.End == firetrail.Absent || l.End <= l.Start {
		return 1
	}
	key := exposureKey{l.Start, l.End, eps}
	if f, ok := t.exposure[key]; ok {
		return f
	}
	whole := []firetrail.Interval{{Start: l.Start, End: l.End}}
	wide := make([]firetrail.Interval, len(t.windows.iv))
	for i, w := range t.windows.iv {
		wide[i] = firetrail.Interval{Start: add(w.Start, -eps), End: add(w.End, eps)}
	}
	if t.exposure == nil {
		t.exposure = map[exposureKey]float64{}
	}
	t.exposure[key] = length(intersect(union(wide, 0), whole)) / length(whole)
	return t.exposure[key]
}

// exposureKey is a lease's time and the slack; the answers are kept, as each takes
// a pass over all calls of the run.
type exposureKey struct{ start, end, eps int64 }

// Factors of the background's weight. A call that names the peer makes most of
// them moot: the trace says that the run did it.
const (
	bgHost    = 2  // the address is a machine's: its own services use it too
	bgUnasked = 4  // and the run's trace has arguments, none of which has to do with it
	bgIdle    = 20 // the same went on while no run held the address
	bgOnce    = 5  // it did so once
	bgRuns    = 4  // the same went on under several runs of the address
	bgCommon  = 10 // the same refusals met three sources or more
	bgReuse   = 2  // another run held the address within minutes, or the zone is a guess
)

// background is B, the factor of the background's weight.
func (v *verdict) background() float64 {
	b := 1.0
	idle := func() float64 {
		switch {
		case v.habit.idle == 0:
			return 1
		case v.habit.idle == 1:
			return bgOnce
		}
		return bgIdle
	}
	if v.named {
		return math.Sqrt(idle())
	}
	if v.ownHost && !v.content {
		b *= bgHost
		if v.unasked() && !v.timed {
			b *= bgUnasked / bgHost
		}
	}
	b *= idle()
	if v.habit.runs > 1 && v.ownHost && !v.content {
		b *= bgRuns
	}
	if v.common() {
		b *= bgCommon
	}
	if _, near := v.reuse(reuseNear); near || v.zoneGuessed() && v.neighbours(14*hour) {
		b *= bgReuse
	}
	return b
}

// common reports that several sources were refused the same, so that the policy
// is likelier than any of them: the same few targets, and not in step with tool calls.
// Searches over many targets from several sources have no policy in common.
func (v *verdict) common() bool {
	return len(v.habit.sources) >= manySources && refusedOnly(v.f.Detector) && !scattered(v.f) && !v.timed
}

// unasked reports that some candidate's trace has arguments: had the run done
// it, they would say so.
func (v *verdict) unasked() bool {
	for i := range v.bursts {
		for j := range v.bursts[i].weights {
			if v.bursts[i].weights[j].claim.trace.args {
				return true
			}
		}
	}
	return false
}

// reuseNear is the time within which another lease of the address makes a
// lease alone doubtful: clocks that nobody compared may be that far apart.
const reuseNear = 2 * minute

// reuse finds the nearest lease of another run on the address that does not
// contain the bursts itself, within the given time.
func (v *verdict) reuse(within int64) (l firetrail.Lease, ok bool) {
	h := v.x.byAddr[v.f.SrcIP.Unmap().WithZone("")]
	if h == nil {
		return l, false
	}
	best := within
	for i := range v.bursts {
		at := v.bursts[i].at
		h.spans.overlap(add(at.Start, -within), add(at.End, within), func(j int) {
			o := h.leases[j]
			span := leaseSpan(o)
			if o.Run == "" || span.Start <= at.Start && at.Start <= span.End || v.weights[o.Run] {
				return
			}
			d := max(span.Start-at.End, at.Start-span.End, 0)
			if d < best || d == best && !ok {
				best, l, ok = d, o, true
			}
		})
	}
	return l, ok
}

// neighbours reports whether another run held the address at any time that a
// mistaken zone could mean.
func (v *verdict) neighbours(within int64) bool {
	_, ok := v.reuse(within)
	return ok
}

func (v *verdict) zoneGuessed() bool {
	return len(v.f.Evidence) > 0 && v.x.opt.Guessed[v.f.Evidence[0].Source]&firetrail.GuessZone != 0
}

// clearly is how much likelier the first run must be than the second to be named.
const clearly = 1.5

// best names the run, or says why none is named.
func (v *verdict) best() (*firetrail.RunRef, string) {
	first := v.order[0]
	p := v.share[first]
	if len(v.order) > 1 && p < clearly*v.share[v.order[1]] {
		return nil, fmt.Sprintf("%d runs could have done it, and nothing tells them apart: %s", len(v.order), v.list())
	}
	if p < v.bg {
		if len(v.order) > 1 && v.bg < 0.5 {
			return nil, fmt.Sprintf("%d runs could have done it, none of them likely: %s", len(v.order), v.list())
		}
		return nil, fmt.Sprintf("a cause outside the runs is likelier (%.2f) than run %s (%.2f): %s", v.bg, first, p, strings.Join(v.backgroundReasons()[1:], "; "))
	}
	return &firetrail.RunRef{ID: first, Probability: p, Level: v.level(first)}, ""
}

func (v *verdict) list() string {
	n := min(len(v.order), 6)
	text := strings.Join(v.order[:n], ", ")
	if n < len(v.order) {
		text += fmt.Sprintf(" and %d more", len(v.order)-n)
	}
	return text
}

// level is how far the run is known; recurrence is added by recur.
func (v *verdict) level(id string) string {
	_, bursts, matched, active := v.strongest(id)
	switch {
	case matched > 0 && v.share[id] >= 0.5:
		return levelContent
	case len(v.order) > 1 && v.share[id] < 0.9:
		return levelSet
	case active*2 > bursts:
		return levelCall
	}
	return levelLease
}

// cite lists the leases and calls that the answer rests on, those of the
// likeliest runs first.
func (v *verdict) cite(a *firetrail.Attribution) {
	for _, id := range v.order[:min(len(v.order), maxListed)] {
		for i := range v.bursts {
			for j := range v.bursts[i].weights {
				w := &v.bursts[i].weights[j]
				if w.claim.lease.Run != id {
					continue
				}
				if len(a.Leases) < maxListed && !slices.Contains(a.Leases, *w.claim.lease) {
					a.Leases = append(a.Leases, *w.claim.lease)
				}
				if w.call < 0 || len(a.Calls) >= maxCalls {
					continue
				}
				c := *w.claim.trace.calls[w.call]
				if w.k != contentOther && !slices.Contains(a.Calls, c) {
					a.Calls = append(a.Calls, c)
				}
			}
		}
	}
}

// behaviour is what recurs: what a detector finds, and with whom where the detector
// knows only a shape that many acts have.
func behaviour(f *firetrail.Finding) string {
	switch f.Detector {
	case "long_session", "beacon":
		return f.Detector + " " + f.Dst
	}
	return f.Detector
}

// recur raises findings known by content to A5 where the same behaviour was
// found in two runs, or at two sources, by content.
func recur(findings []firetrail.Finding) {
	type place struct {
		run string
		src netip.Addr
	}
	seen := map[string]map[place]bool{}
	for i := range findings {
		if f := &findings[i]; f.Run != nil && f.Run.Level == levelContent {
			if seen[behaviour(f)] == nil {
				seen[behaviour(f)] = map[place]bool{}
			}
			seen[behaviour(f)][place{f.Run.ID, f.SrcIP}] = true
		}
	}
	for i := range findings {
		if f := &findings[i]; f.Run != nil && f.Run.Level == levelContent && len(seen[behaviour(f)]) > 1 {
			f.Run.Level = levelRecurs
		}
	}
}
