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
	again    float64  // contacts with each of those that only failed, on average; 0 if they are few
	met      []target // whom it met on which ports; beyond maxMet all of it is looked at
	seen     map[netip.Addr]bool
	ratio    float64
	failures int64
	contacts int64
	told     bool
	trail    trail
}

// manyTries is from how many contacts with each host that fails they are a routine.
const manyTries = 20

// maxMet bounds the hosts and ports by which a source's contacts are asked for.
const maxMet = 4096

type walkState struct {
	quota  quota
	lab    *Lab
	d      *Detector
	src    netip.Addr
	dst    netip.Addr
	failed int64 // inside hosts of the source at hand that failed
	dead   int64 // of them, those that only failed
	tries  int64 // contacts with those
	here   int64 // contacts with the host at hand
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
		s.here += c.Events
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
		if !s.good {
			s.dead++
			s.tries += s.here
		}
	}
	s.bad, s.good, s.here = false, false, 0
}

// closeSource keeps a source if its failures could carry the walk to the end.
func (s *walkState) closeSource() {
	if (float64(s.failed) >= s.lab.threshold(s.d, "contacts") && 5*s.failed >= s.hosts || s.lab.all && s.hosts > 0) && s.quota.take(s.lab, s.d, s.src) {
		again := 0.0
		if 2*s.dead > s.failed {
			again = float64(s.tries) / float64(s.dead)
		}
		s.walks[s.src] = &walk{src: s.src, hosts: s.hosts, again: again, met: slices.Clone(s.met), seen: map[netip.Addr]bool{}, ratio: 1, trail: newTrail()}
	}
	s.failed, s.dead, s.tries, s.hosts, s.met = 0, 0, 0, 0, s.met[:0]
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
	var out, desks []*Draft
	for _, src := range sortedBy(s.walks, netip.Addr.Compare) {
		d := s.judge(s.walks[src])
		switch {
		case d == nil:
		case len(s.lab.held) > 0 && !s.lab.held[src.Unmap().WithZone("")]:
			desks = append(desks, d)
		default:
			out = append(out, d)
		}
	}
	if len(desks) < manyHosts {
		return append(out, desks...)
	}
	return append(out, together(desks))
}

// together tells once of what many hosts do that no run ever held: the lead is the first
// of those with most points.
func together(desks []*Draft) *Draft {
	lead := joined(desks)
	for _, d := range desks {
		lead.sources = append(lead.sources, d.src)
	}
	lead.part("alike", float64(len(desks)), manyHosts, -1, "%d hosts that no run ever held do so: more likely the network's own habit, %s stands for them", len(desks), lead.src)
	lead.title = plural(int64(len(desks)), "inside host", "inside hosts") + " failed at others on first contact, up to " + lead.title
	lead.src, lead.dst = netip.Addr{}, lead.trail.cover()
	return lead
}

// judge tells of a walk that reached its end.
func (s *walkState) judge(w *walk) *Draft {
	if !w.told || 5*w.failures < w.hosts { // monitoring meets hosts that are down, among many that are not
		return nil
	}
	d := &Draft{src: w.src, dst: w.trail.cover(), port: firetrail.Absent, trail: w.trail}
	limit := s.lab.threshold(s.d, "ratio")
	d.part("walk", limit, limit, 2, "%d of %d first contacts with inside hosts failed; the likelihood ratio of a scanner reached %.0f", w.failures, w.contacts, limit)
	if w.failures >= 20 {
		d.part("many", float64(w.failures), 20, round3(min(2, math.Log10(float64(w.failures)/2))), "that many hosts were new to it")
	}
	if w.again >= manyTries {
		d.part("routine", w.again, manyTries, -2, "it contacts those that fail again and again (%.0f times each): monitoring does not give up, a search goes on", w.again)
	}
	if s.lab.resolvers[w.src] {
		d.part("server", 1, 1, -2, "%s serves others", w.src)
	}
	if d.points() < 1 {
		return nil
	}
	d.title = w.src.String() + " failed at " + plural(w.failures, "inside host", "inside hosts") + " on first contact"
	d.benign = []string{"a scanner or monitoring of the lab (put it on the allow list)", "a cluster starting while its members are still down"}
	return d
}
