package detect

import (
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

// firstContact is the sequential test of Jung et al. (2004) over a source's first
// contacts with inside hosts: each failure makes a scanner four times likelier,
// each success four times less. The walk is bounded on both sides, so that early
// successes do not make a source innocent for good.
var firstContact = Detector{
	Name:   "first_contact",
	Title:  "first contacts that fail one after the other",
	Doc:    "Bounded sequential test (TRW) over first contacts with inside hosts: likelihood ratio 4 and 1/4 a step, between 1/99 and 99.",
	Attack: []string{"T1046"},
	Needs:  []Need{NeedOutcome},
	Defaults: []Setting{
		{"ratio", 99, "likelihood ratio at which a source is told"},
		{"step", 4, "factor of one failed first contact"},
		{"contacts", 6, "failed first contacts, at least"},
	},
	New: func(l *Lab, d *Detector) State {
		return &walkState{lab: l, d: d, walks: map[netip.Addr]*walk{}}
	},
}

type walk struct {
	src      netip.Addr
	hosts    int64    // inside hosts that it contacted in all
	met      []target // whom it met on which ports; beyond maxMet all of it is looked at
	seen     map[netip.Addr]bool
	ratio    float64
	failures int64
	contacts int64
	told     bool
	trail    trail
}

// maxMet bounds the hosts and ports by which a source's contacts are asked for.
const maxMet = 4096

type walkState struct {
	quota  quota
	lab    *Lab
	d      *Detector
	src    netip.Addr
	dst    netip.Addr
	failed int64 // inside hosts of the source at hand that only failed
	hosts  int64
	met    []target // of the source at hand
	bad    bool     // of the host at hand
	good   bool
	walks  map[netip.Addr]*walk
}

// Channel counts the source's inside hosts by outcome, to see who is worth a walk.
func (s *walkState) Channel(c *Channel) {
	if c.Src != s.src || c.Dst != s.dst {
		s.closeHost()
		if c.Src != s.src {
			s.closeSource()
		}
		s.src, s.dst = c.Src, c.Dst
	}
	if c.Inside && c.Settled > 0 && !noise(c.Proto, c.Port) {
		if len(s.met) <= maxMet {
			s.met = append(s.met, target{c.Dst, c.Port})
		}
		s.bad = s.bad || c.Failed > 0
		s.good = s.good || c.Failed < c.Settled
	}
}

func (s *walkState) closeHost() {
	if s.bad || s.good {
		s.hosts++
		if s.bad {
			s.failed++
		}
	}
	s.bad, s.good = false, false
}

// closeSource keeps a source if its failures could carry the walk to the end.
func (s *walkState) closeSource() {
	if (float64(s.failed) >= s.lab.threshold(s.d, "contacts") && 5*s.failed >= s.hosts || s.lab.all && s.hosts > 0) && s.quota.take(s.lab, s.d, s.src) {
		s.walks[s.src] = &walk{src: s.src, hosts: s.hosts, met: slices.Clone(s.met), seen: map[netip.Addr]bool{}, ratio: 1, trail: newTrail()}
	}
	s.failed, s.hosts, s.met = 0, 0, s.met[:0]
}

func (s *walkState) Wants() []firetrail.Traffic {
	s.closeHost()
	s.closeSource()
	var out []firetrail.Traffic
	for src, w := range s.walks {
		if len(w.met) > maxMet {
			out = append(out, firetrail.Traffic{Src: src, Port: firetrail.Absent})
			continue
		}
		for _, k := range w.met {
			out = append(out, firetrail.Traffic{Src: src, Dst: k.ip, Port: k.port})
		}
	}
	return out
}

// Session takes a step of the walk at the first contact with a host.
func (s *walkState) Session(x *Session) {
	w := s.walks[x.Src]
	if w == nil || !x.Settled || x.Reply || !s.lab.Internal(x.Dst) || !Unicast(x.Dst) || isMetadata(x.Dst) || noise(x.Proto, x.DstPort) ||
		w.seen[x.Dst] || len(w.seen) == maxSeen {
		return
	}
	w.seen[x.Dst] = true
	w.contacts++
	limit, step := s.lab.threshold(s.d, "ratio"), s.lab.threshold(s.d, "step")
	if !x.Failed {
		w.ratio = max(w.ratio/step, 1/limit)
		return
	}
	w.failures++
	w.ratio = min(w.ratio*step, limit)
	w.trail.add(x, w.ratio, "")
	w.told = w.told || w.ratio >= limit && float64(w.failures) >= s.lab.threshold(s.d, "contacts")
}

func (s *walkState) Findings() []*Draft {
	var out []*Draft
	for _, src := range sortedBy(s.walks, netip.Addr.Compare) {
		w := s.walks[src]
		if !w.told || 5*w.failures < w.hosts { // monitoring meets hosts that are down, among many that are not
			continue
		}
		d := &Draft{src: src, dst: w.trail.cover(), port: firetrail.Absent, trail: w.trail}
		limit := s.lab.threshold(s.d, "ratio")
		d.part("walk", limit, limit, 2, "%d of %d first contacts with inside hosts failed; the likelihood ratio of a scanner reached %.0f", w.failures, w.contacts, limit)
		if w.failures >= 20 {
			d.part("many", float64(w.failures), 20, round3(min(2, math.Log10(float64(w.failures)/2))), "that many hosts were new to it")
		}
		if s.lab.resolvers[src] {
			d.part("server", 1, 1, -2, "%s serves others", src)
		}
		if d.points() < 1 {
			continue
		}
		d.title = src.String() + " failed at " + plural(w.failures, "inside host", "inside hosts") + " on first contact"
		d.benign = []string{"a scanner or monitoring of the lab (put it on the allow list)", "a cluster starting while its members are still down"}
		out = append(out, d)
	}
	return out
}
