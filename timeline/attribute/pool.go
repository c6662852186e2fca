package attribute

import (
	"fmt"

	"firetrail"
)

// pool lays all bursts of one behaviour, at whatever sources and under whatever
// runs, against the tool calls of those runs. An agent's violations recur without a
// pattern in time, a few in each run: too few in any one to mean anything, but what
// falls into calls in run after run follows the calls (DETECTION, 1.1 and 4.4).
type pool struct {
	calls   map[runCall]bool // that bursts fell into: bursts of one call are one witness
	outside int              // bursts in no call, those while no run held the address included
	exposed float64          // sum of the fractions of time that calls cover
	claimed int              // bursts that the sum is over
}

type runCall struct {
	run  string
	call int
}

// manyTargets is the number of targets from which a finding is a search: what it
// is about is then not its peer.
const manyTargets = 8

// sortOf is the key under which a finding's behaviour is pooled: detector and peer,
// and for a search the detector alone.
func sortOf(f *firetrail.Finding) habitKey {
	k := keyOf(f, false)
	if scattered(f) {
		k.peer = fmt.Sprintf("more than %d targets", manyTargets)
	}
	return k
}

func scattered(f *firetrail.Finding) bool {
	return max(int(f.Targeted), len(f.Targets)) > manyTargets
}

// add takes one burst. Where several runs could have caused it, it tells nothing.
func (p *pool) add(at firetrail.Interval, eps int64, claims []claim) {
	switch {
	case len(claims) == 0:
		p.outside++
		return
	case len(claims) > 1 || claims[0].trace.clocked == 0:
		return
	}
	c := &claims[0]
	p.claimed++
	p.exposed += c.trace.exposed(c.lease, eps)
	call := -1
	c.trace.windows.overlap(at.Start-eps, at.Start+eps, func(i int) {
		if call < 0 && !c.trace.elsewhere(i, c.lease) {
			call = i
		}
	})
	if call < 0 {
		p.outside++
		return
	}
	p.calls[runCall{c.lease.Run, call}] = true
}

// telling reports that the bursts fall into calls more often than chance allows.
func (p *pool) telling() bool {
	k := len(p.calls)
	if k < coincideCalls || p.claimed == 0 {
		return false
	}
	return binomialTail(k+p.outside, k, p.exposed/float64(p.claimed)) <= coincidence
}
