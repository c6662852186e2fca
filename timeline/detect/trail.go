package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// trail gathers, in bounded memory, what a finding is made of: its bounds, its
// bursts, its targets and the records worth showing.
type trail struct {
	start, end int64
	count      int64 // events
	sessions   int64
	bursts     []firetrail.Interval
	targets    map[target]aimed
	crowded    int64 // targets that no longer fitted
	first      []Proof
	last       []Proof
	telling    []weighted
}

type target struct {
	ip   netip.Addr
	port int64
}

func (a target) compare(b target) int { return cmp.Or(a.ip.Compare(b.ip), cmp.Compare(a.port, b.port)) }

type weighted struct {
	Proof
	weight float64
}

const (
	burstGap    = int64(60e9) // bursts of the cause statistics: gap at most 60 s
	maxBursts   = 4096
	maxSeen     = 1 << 16 // distinct targets remembered
	maxTargets  = 64      // targets listed
	maxEvidence = 12
)

func newTrail() trail {
	return trail{start: firetrail.Absent, end: firetrail.Absent, targets: map[target]aimed{}}
}

// add takes a session; weight says how telling its records are (0: ordinary).
func (t *trail) add(s *Session, weight float64, note string) {
	t.span(s.Start, s.End)
	t.count += s.Events
	t.sessions++
	t.aim(s.Dst, s.DstPort, s.Host, s.Start)
	for _, p := range s.Proofs {
		p.Note = note
		t.prove(p, weight)
	}
}

// addEvent takes a single event of phase 0.
func (t *trail) addEvent(ev *firetrail.Event) {
	if ev.Time != firetrail.Absent {
		t.span(ev.Time, ev.Last())
	}
	t.count++
	t.sessions++
	t.prove(proofOf(ev, ""), 0)
}

// aimed is what is known of a target: its name, the lowest of several, and when it was first
// met, Absent if that is not known.
type aimed struct {
	host  string
	first int64
}

func (t *trail) aim(ip netip.Addr, port int64, host string, at int64) {
	k := target{ip, port}
	old, ok := t.targets[k]
	if !ok && len(t.targets) >= maxSeen {
		t.crowded++
		return
	}
	now := old
	if !ok {
		now = aimed{first: at}
	}
	if at != firetrail.Absent && (now.first == firetrail.Absent || at < now.first) {
		now.first = at
	}
	if now.host == "" || host != "" && host < now.host {
		now.host = host
	}
	if !ok || now != old {
		now.host = strings.Clone(now.host)
		t.targets[k] = now
	}
}

// span extends the bounds and the bursts.
func (t *trail) span(start, end int64) {
	if t.start == firetrail.Absent || start < t.start {
		t.start = start
	}
	t.end = max(t.end, end)
	n := len(t.bursts)
	if n > 0 && (start-t.bursts[n-1].End <= burstGap || n == maxBursts) { // beyond the bound the last one grows
		t.bursts[n-1].End = max(t.bursts[n-1].End, end)
		t.bursts[n-1].Start = min(t.bursts[n-1].Start, start)
		return
	}
	t.bursts = append(t.bursts, firetrail.Interval{Start: start, End: end})
}

// paused reports whether the session begins longer than gap after all that was added.
func (t *trail) paused(x *Session, gap int64) bool {
	return t.start != firetrail.Absent && x.Start-t.end > gap
}

func (t *trail) prove(p Proof, weight float64) {
	if len(t.first) < 4 {
		t.first = append(t.first, p)
	} else {
		if len(t.last) == 3 {
			t.last = t.last[:copy(t.last, t.last[1:])]
		}
		t.last = append(t.last, p)
	}
	if weight <= 0 {
		return
	}
	i := len(t.telling)
	for i > 0 && t.telling[i-1].weight < weight {
		i--
	}
	if i < 5 {
		t.telling = slices.Insert(t.telling, i, weighted{p, weight})
		t.telling = t.telling[:min(len(t.telling), 5)]
	}
}

// merge takes over what other trails have gathered: all at once, for the work is in
// putting them in order.
func (t *trail) merge(others ...*trail) {
	proofs := slices.Concat(t.first, t.last)
	for _, o := range others {
		if o.start != firetrail.Absent && (t.start == firetrail.Absent || o.start < t.start) {
			t.start = o.start
		}
		t.end = max(t.end, o.end)
		t.count += o.count
		t.sessions += o.sessions
		t.crowded += o.crowded
		for k, x := range o.targets {
			t.aim(k.ip, k.port, x.host, x.first)
		}
		t.bursts = append(t.bursts, o.bursts...)
		t.telling = append(t.telling, o.telling...)
		proofs = append(append(proofs, o.first...), o.last...)
	}
	t.bursts = joinBursts(t.bursts)
	slices.SortFunc(proofs, compareProofs)
	proofs = slices.CompactFunc(proofs, func(a, b Proof) bool { return a.Origin == b.Origin })
	t.first = slices.Clone(proofs[:min(4, len(proofs))])
	t.last = slices.Clone(proofs[max(len(t.first), len(proofs)-3):])
	slices.SortStableFunc(t.telling, func(a, b weighted) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), compareProofs(a.Proof, b.Proof))
	})
	t.telling = t.telling[:min(len(t.telling), 5)]
}

// joinBursts puts intervals in order and joins those that lie within burstGap; the
// gap grows where more than maxBursts would remain.
func joinBursts(in []firetrail.Interval) []firetrail.Interval {
	slices.SortFunc(in, func(a, b firetrail.Interval) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	for gap := burstGap; ; gap *= 4 {
		var out []firetrail.Interval
		for _, b := range in {
			if n := len(out); n > 0 && b.Start-out[n-1].End <= gap {
				out[n-1].End = max(out[n-1].End, b.End)
				continue
			}
			out = append(out, b)
		}
		if in = out; len(out) <= maxBursts {
			return out
		}
	}
}

func compareProofs(a, b Proof) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Line, b.Line))
}

// evidence lists the records to show in time order: the first, the last and the
// most telling, without doubles.
func (t *trail) evidence() []firetrail.Evidence {
	picked := slices.Clone(t.first)
	picked = append(picked, t.last...)
	for _, w := range t.telling {
		picked = append(picked, w.Proof)
	}
	slices.SortStableFunc(picked, compareProofs)
	picked = slices.CompactFunc(picked, func(a, b Proof) bool { return a.Origin == b.Origin && a.Time == b.Time })
	out := make([]firetrail.Evidence, 0, maxEvidence)
	for _, p := range picked[:min(len(picked), maxEvidence)] {
		out = append(out, firetrail.Evidence{Origin: p.Origin, Time: p.Time, Note: p.Note})
	}
	return out
}

// list gives the targets in address order, at most maxTargets of them, and how
// many there are in all.
func (t *trail) list() ([]firetrail.Target, int64) {
	keys := sortedBy(t.targets, target.compare)
	var out []firetrail.Target
	for _, k := range keys[:min(len(keys), maxTargets)] {
		out = append(out, firetrail.Target{IP: k.ip, Port: k.port, Host: t.targets[k].host, First: t.targets[k].first})
	}
	return out, int64(len(keys)) + t.crowded
}

// hosts is the number of distinct target addresses.
func (t *trail) hosts() int64 {
	seen := map[netip.Addr]bool{}
	for k := range t.targets {
		seen[k.ip] = true
	}
	return int64(len(seen))
}

// cover is the smallest sensible network that holds the targets: the address if
// there is one, else a /24 (IPv6 /64), else what is as wide as it must be; "" where
// that says nothing any more (wider than /8, IPv6 /16).
func (t *trail) cover() string {
	var p netip.Prefix
	n := 0
	for _, k := range sortedBy(t.targets, target.compare) {
		switch {
		case n == 0:
			p = netip.PrefixFrom(k.ip, k.ip.BitLen())
		case k.ip.BitLen() != p.Addr().BitLen():
			continue // the other address family is in the list of targets
		default:
			for !p.Contains(k.ip) {
				p = netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
			}
		}
		n++
	}
	if n == 0 {
		return ""
	}
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	smallest, widest := 24, 8
	if p.Addr().Is6() {
		smallest, widest = 64, 16
	}
	if p.Bits() < widest {
		return ""
	}
	return netip.PrefixFrom(p.Addr(), min(p.Bits(), smallest)).Masked().String()
}
