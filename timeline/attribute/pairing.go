package attribute

import (
	"cmp"
	"net/netip"
	"slices"

	"firetrail"
)

// Pairing collects flows that two clocks saw, for Estimate. The zero value is
// ready. It keeps at most 262,144 five-tuples; later ones are not looked at.
type Pairing struct {
	seen map[tuple]*sighting
}

// tuple is a flow's five-tuple as it was before translation.
type tuple struct {
	proto            string
	src, dst         netip.Addr
	srcPort, dstPort int64
}

type sighting struct {
	times [2]int64
	count [2]int
}

const (
	maxTuples  = 1 << 18
	pairWindow = quarter // two sightings further apart are two flows
)

// Add takes an event of clock A (side 0) or B (side 1). Its Time has to be the
// flow's begin; events without a time or ports say nothing and are passed over.
func (p *Pairing) Add(side int, ev *firetrail.Event) {
	if ev.Time == firetrail.Absent || ev.SrcPort == firetrail.Absent || ev.DstPort == firetrail.Absent || !ev.SrcIP.IsValid() || !ev.DstIP.IsValid() {
		return
	}
	k := tuple{ev.Proto, ev.SrcIP.Unmap(), ev.DstIP.Unmap(), ev.SrcPort, ev.DstPort}
	s := p.seen[k]
	if s == nil {
		if len(p.seen) >= maxTuples {
			return
		}
		if p.seen == nil {
			p.seen = map[tuple]*sighting{}
		}
		s = &sighting{}
		p.seen[k] = s
	}
	s.times[side] = ev.Time
	s.count[side]++
}

// Pairs gives the flows that each clock saw exactly once, within 15 minutes of
// each other or - for a mistaken zone - of a multiple of 15 minutes, in order.
func (p *Pairing) Pairs() []Pair {
	var out []Pair
	for _, s := range p.seen {
		if s.count != [2]int{1, 1} {
			continue
		}
		if d := abs(s.times[1] - s.times[0]); d <= pairWindow || d <= 14*hour && min(d%quarter, quarter-d%quarter) <= 5*second {
			out = append(out, Pair{s.times[0], s.times[1]})
		}
	}
	slices.SortFunc(out, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	return out
}
