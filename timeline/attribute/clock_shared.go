package attribute

import (
	"cmp"
	"net/netip"
	"slices"

	"firetrail"
)

// ClockSource is one source of a case, as far as its clock goes.
type ClockSource struct {
	ID    string
	Clock string // sources with one name are taken to share a clock, until they are seen to differ
	Trust Trust
}

// Trust says how far a source's times can be believed before any comparing.
type Trust int

const (
	TrustAssumed  Trust = iota // stamps without a zone, and nobody named one
	TrustNamed                 // stamps without a zone, which somebody named
	TrustAbsolute              // stamps with their zone
	TrustEpoch                 // seconds since the epoch, with fractions, taken from the packets
)

// Reading is what the comparison says of one source's clock.
type Reading struct {
	ClockSource
	Known     bool   // false: too few flows are shared with any other clock
	Reference string // clock that the offset is against, its own name for the reference itself
	Offset    Offset // how far it runs ahead of the reference
	Shared    int    // pairs with the clock it has most in common with
	Anchored  int    // tool calls by which the reference is compared with the inventory, 0 none
	Inventory Offset // how far the reference runs ahead of the inventory's clock
}

// Sightings collects flows that several clocks saw, and estimates from them how
// far the clocks are apart. It keeps at most MaxSightings of them, 24 bytes
// each; what comes later is not looked at.
type Sightings struct {
	sources []ClockSource
	place   map[string]int32
	clocks  []string // sorted
	clock   []int32  // of each source
	seen    []sighting
}

// sighting is one record of a flow: key is a hash of its five-tuple.
type sighting struct {
	key    uint64
	time   int64
	source int32
}

const (
	// MaxSightings bounds the records that are compared.
	MaxSightings = 1 << 20
	maxReuse     = 4                // uses of a five-tuple by one clock; more say nothing
	sameFlow     = minute           // records of one clock closer than this are one flow: resent packets
	pairWindow   = quarter          // two sightings further apart than this, less the offset, are two flows
	maxZone      = 14*hour + minute // furthest that a mistaken zone can lead
	cluster      = 10 * second      // width of the window in which most differences have to fall
	maxEdge      = 1 << 17          // differences kept of two clocks
	maxEdges     = 1 << 21          // and of all
	farther      = 5 * second       // sources of one clock that differ by more have a clock each
)

// NewSightings takes the sources whose clocks are to be compared.
func NewSightings(sources []ClockSource) *Sightings {
	s := &Sightings{sources: sources, place: map[string]int32{}}
	for i, c := range sources {
		s.place[c.ID] = int32(i)
		s.clocks = append(s.clocks, c.Clock)
	}
	slices.Sort(s.clocks)
	s.clocks = slices.Compact(s.clocks)
	for _, c := range sources {
		n, _ := slices.BinarySearch(s.clocks, c.Clock)
		s.clock = append(s.clock, int32(n))
	}
	return s
}

// Full reports that no more sightings are taken.
func (s *Sightings) Full() bool { return len(s.seen) >= MaxSightings }

// Add takes an event whose Time is the flow's begin, before and after
// translation; events without a time or ports say nothing and are passed over.
func (s *Sightings) Add(ev *firetrail.Event) {
	i, ok := s.place[ev.Source]
	if !ok || ev.Time == firetrail.Absent || ev.SrcPort <= 0 || ev.DstPort == firetrail.Absent || !ev.SrcIP.IsValid() || !ev.DstIP.IsValid() {
		return
	}
	s.add(i, ev.Time, ev.Proto, ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort)
	if ev.NATSrcIP.IsValid() && ev.NATSrcPort > 0 {
		dst, port := ev.DstIP, ev.DstPort
		if ev.NATDstIP.IsValid() {
			dst = ev.NATDstIP
		}
		if ev.NATDstPort > 0 {
			port = ev.NATDstPort
		}
		s.add(i, ev.Time, ev.Proto, ev.NATSrcIP, dst, ev.NATSrcPort, port)
	}
}

func (s *Sightings) add(source int32, at int64, proto string, src, dst netip.Addr, srcPort, dstPort int64) {
	if len(s.seen) >= MaxSightings {
		return
	}
	h := uint64(14695981039346656037) // FNV-1a
	one := func(b byte) { h = (h ^ uint64(b)) * 1099511628211 }
	for i := range len(proto) {
		one(proto[i])
	}
	for _, a := range [...]netip.Addr{src, dst} {
		for _, b := range a.Unmap().As16() {
			one(b)
		}
	}
	for _, p := range [...]int64{srcPort, dstPort} {
		one(byte(p >> 8))
		one(byte(p))
	}
	s.seen = append(s.seen, sighting{h, at, source})
}

// difference is one flow as two clocks may have seen it.
type difference struct {
	key  uint64
	a, b int64
	from [2]int32 // sources
}

// edge is what two clocks have in common.
type edge struct {
	a, b   int32
	diffs  []difference // in the order of keys
	offset Offset
	ok     bool
}

// edges compares every two clocks that saw a flow.
func (s *Sightings) edges() []*edge {
	slices.SortFunc(s.seen, func(x, y sighting) int {
		return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(s.clock[x.source], s.clock[y.source]), cmp.Compare(x.time, y.time), cmp.Compare(x.source, y.source))
	})
	byPair := map[[2]int32]*edge{}
	var flow []sighting
	total := 0
	for i := 0; i < len(s.seen); {
		j := i
		for j < len(s.seen) && s.seen[j].key == s.seen[i].key {
			j++
		}
		flow = s.flow(flow[:0], s.seen[i:j])
		i = j
		for n, x := range flow {
			for _, y := range flow[n+1:] {
				pair := [2]int32{s.clock[x.source], s.clock[y.source]}
				if pair[0] == pair[1] || abs(y.time-x.time) > maxZone+pairWindow {
					continue
				}
				e := byPair[pair]
				if e == nil {
					e = &edge{a: pair[0], b: pair[1]}
					byPair[pair] = e
				}
				if len(e.diffs) < maxEdge && total < maxEdges {
					total++
					e.diffs = append(e.diffs, difference{x.key, x.time, y.time, [2]int32{x.source, y.source}})
				}
			}
		}
	}
	out := make([]*edge, 0, len(byPair))
	for _, e := range byPair {
		e.offset, e.ok = estimate(e.diffs)
		out = append(out, e)
	}
	slices.SortFunc(out, func(x, y *edge) int {
		return cmp.Or(cmp.Compare(y.offset.Pairs, x.offset.Pairs), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	return out
}

// flow keeps the first record of each use of a five-tuple by each clock, and
// nothing of clocks that saw it used often.
func (s *Sightings) flow(to, seen []sighting) []sighting {
	for i := 0; i < len(seen); {
		start, last := len(to), int64(firetrail.Absent)
		clock := s.clock[seen[i].source]
		for ; i < len(seen) && s.clock[seen[i].source] == clock; i++ {
			if last == firetrail.Absent || seen[i].time-last > sameFlow {
				to = append(to, seen[i])
			}
			last = seen[i].time
		}
		if len(to)-start > maxReuse {
			to = to[:start]
		}
	}
	return to
}

// estimate finds the shift around which most differences lie, and from the
// flows that each clock saw exactly once about it the offset. A shift of more
// than 15 minutes has to have twice as many on its side as any smaller one. Where
// the differences do not lie together they are chance: ports that translation
// drew twice.
func estimate(diffs []difference) (Offset, bool) {
	pairs := unique(diffs, mode(diffs))
	o, ok := Estimate(pairs)
	return o, ok && o.Spread <= cluster
}

// mode is the middle of the densest window of differences.
func mode(diffs []difference) int64 {
	d := make([]int64, len(diffs))
	for i, x := range diffs {
		d[i] = x.b - x.a
	}
	slices.Sort(d)
	var best, near [2]int // place and count
	for lo, hi := 0, 0; lo < len(d); lo++ {
		for hi < len(d) && d[hi]-d[lo] <= cluster {
			hi++
		}
		if n := hi - lo; n > best[1] {
			best = [2]int{lo, n}
		}
		if n := hi - lo; n > near[1] && abs(d[lo]) <= pairWindow {
			near = [2]int{lo, n}
		}
	}
	if near[1]*2 > best[1] {
		best = near
	}
	if best[1] == 0 {
		return 0
	}
	return d[best[0]+best[1]/2]
}

// unique pairs the flows that have one difference only about the shift.
func unique(diffs []difference, shift int64) []Pair {
	var out []Pair
	for i := 0; i < len(diffs); {
		key, n, at := diffs[i].key, 0, 0
		for ; i < len(diffs) && diffs[i].key == key; i++ {
			if abs(diffs[i].b-diffs[i].a-shift) <= pairWindow {
				n, at = n+1, i
			}
		}
		if n == 1 {
			out = append(out, Pair{diffs[at].a, diffs[at].b})
		}
	}
	slices.SortFunc(out, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	return out
}

// Readings compares the clocks: those that share flows, over third ones where
// need be, against the one of them that is to be trusted most. Sources come in
// the order in which NewSightings took them.
func (s *Sightings) Readings() []Reading {
	edges := s.edges()
	n := len(s.clocks)
	trust, shared := make([]Trust, n), make([]int, n)
	for i, c := range s.sources {
		trust[s.clock[i]] = max(trust[s.clock[i]], c.Trust)
	}
	for _, e := range edges {
		shared[e.a], shared[e.b] = max(shared[e.a], e.offset.Pairs), max(shared[e.b], e.offset.Pairs)
	}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(trust[b], trust[a]), cmp.Compare(shared[b], shared[a]))
	})
	known := make([]*Reading, n)
	for _, root := range order {
		if known[root] == nil {
			s.spread(root, edges, known)
		}
	}
	apart := s.apart(edges, known)
	var out []Reading
	for i, c := range s.sources {
		k := s.clock[i]
		r := *known[k]
		r.ClockSource, r.Shared = c, shared[k]
		if o, ok := apart[int32(i)]; ok {
			r.Offset, r.Known = o, true
		}
		out = append(out, r)
	}
	return out
}

// spread gives every clock that root leads to its offset against root, over the
// edges with most pairs first.
func (s *Sightings) spread(root int32, edges []*edge, known []*Reading) {
	known[root] = &Reading{Reference: s.clocks[root]}
	for again := true; again; {
		again = false
		for _, e := range edges {
			from, to, o := e.a, e.b, e.offset
			if known[from] == nil {
				from, to, o = e.b, e.a, o.reversed()
			}
			if !e.ok || known[from] == nil || known[to] != nil || known[from].Reference != s.clocks[root] {
				continue
			}
			known[root].Known = true
			known[to] = &Reading{Known: true, Reference: s.clocks[root], Offset: known[from].Offset.plus(o)}
			again = true
			break
		}
	}
}

// apart finds the offsets of sources that run differently from the others of
// their clock, each over the edge with most pairs that has enough of it.
func (s *Sightings) apart(edges []*edge, known []*Reading) map[int32]Offset {
	several := make([]int, len(s.clocks))
	for _, k := range s.clock {
		several[k]++
	}
	out := map[int32]Offset{}
	settled := map[int32]bool{}
	for _, e := range edges {
		if !e.ok {
			continue
		}
		for side, k := range [...]int32{e.a, e.b} {
			if several[k] == 1 {
				continue
			}
			own := map[int32][]difference{}
			for _, d := range e.diffs {
				source := d.from[side]
				if side == 0 {
					d.a, d.b = d.b, d.a
				}
				own[source] = append(own[source], d)
			}
			other := known[e.a+e.b-k]
			for source, diffs := range own {
				if settled[source] {
					continue
				}
				o, ok := estimate(diffs)
				if settled[source] = ok; !ok {
					continue
				}
				if o = other.Offset.plus(o); !o.Vague() && abs(o.Shift-known[k].Offset.Shift) > farther {
					out[source] = o
				}
			}
		}
	}
	return out
}
