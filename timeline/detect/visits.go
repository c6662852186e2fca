package detect

import (
	"encoding/binary"
	"net/netip"
)

// visits counts the inside sources of each external destination in one pass over flows,
// which come source by source.
type visits struct {
	sources []netip.Addr // of ours, in the order of flows
	free    bool         // no run ever held the latest of them
	four    map[uint32]visitors
	other   map[netip.Addr]visitors
	full    bool // there are more destinations than maxVisited: of the others nothing is known
}

// visitors are the inside sources that contacted a destination: how many, and the first
// four of them, by their places in visits.sources.
type visitors struct {
	n      uint32
	few    [4]uint32
	others uint32 // of them, those that no run ever held
	end    uint32 // place of the latest, plus 1
}

// maxVisited bounds the destinations, which take some 40 bytes each.
const maxVisited = 1 << 22

func newVisits() visits {
	return visits{four: map[uint32]visitors{}, other: map[netip.Addr]visitors{}}
}

// add notes that a source of ours contacted dst.
func (v *visits) add(src, dst netip.Addr, held map[netip.Addr]bool) {
	if n := len(v.sources); n == 0 || v.sources[n-1] != src {
		v.sources = append(v.sources, src)
		v.free = !held[src.Unmap().WithZone("")]
	}
	at := uint32(len(v.sources))
	old, known := v.of(dst)
	if old.end == at {
		return
	}
	if !known && len(v.four)+len(v.other) == maxVisited {
		v.full = true
		return
	}
	if old.n < uint32(len(old.few)) {
		old.few[old.n] = at - 1
	}
	if old.n, old.end = old.n+1, at; v.free {
		old.others++
	}
	if dst.Is4() {
		v.four[key4(dst)] = old
	} else {
		v.other[dst] = old
	}
}

func (v *visits) of(dst netip.Addr) (visitors, bool) {
	if dst.Is4() {
		x, ok := v.four[key4(dst)]
		return x, ok
	}
	x, ok := v.other[dst]
	return x, ok
}

func key4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// many reports whether so many sources are known to have contacted an external destination
// already that it is a service of the lab, however many of them are translated addresses.
func (v *visits) many(dst netip.Addr) bool {
	x, _ := v.of(dst)
	return int(x.n) >= manyHosts+len(x.few)
}

// Prevalence is the number of internal sources that contacted an external destination,
// translated addresses left out; 0 is unknown.
func (l *Lab) Prevalence(dst netip.Addr) int64 {
	v, _ := l.visits.of(dst)
	n := int64(v.n)
	for i := range min(int(v.n), len(v.few)) {
		if n > 1 && l.translated(l.visits.sources[v.few[i]]) {
			n--
		}
	}
	return n
}

// leastPrevalence is what Prevalence can come down to, once the records of phase 2 have
// told which addresses are translated ones.
func (l *Lab) leastPrevalence(dst netip.Addr) int64 {
	v, _ := l.visits.of(dst)
	return max(int64(v.n)-int64(len(v.few)), min(int64(v.n), 1))
}
