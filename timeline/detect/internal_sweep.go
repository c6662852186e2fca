package detect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"firetrail"
)

// internalSweep looks for one source that tries one port on many inside hosts.
// The window and the share are those of Zeek's former scan detector, made
// stricter by the share of failures: collective communication (NCCL, Gloo) and
// monitoring reach many hosts too, but they succeed, and again and again.
var internalSweep = Detector{
	Name:   "internal_sweep",
	Title:  "one port tried on many inside hosts",
	Doc:    "Distinct inside hosts on one port within ten minutes, most contacts refused or unanswered; a slow version over a day.",
	Attack: []string{"T1018", "T1046"},
	Needs:  []Need{NeedOutcome},
	Defaults: []Setting{
		{"hosts", 15, "distinct hosts in the window"},
		{"few", 8, "distinct hosts in the window that are worth a low finding"},
		{"minutes", 10, "the window"},
		{"failed", 0.8, "share of hosts whose contacts failed"},
		{"slow_hosts", 30, "distinct hosts in a day"},
	},
	New: func(l *Lab, d *Detector) State {
		return &sweepState{lab: l, d: d, ports: map[sweepKey]*sweepCount{}, sources: map[sweepKey]*sweep{}}
	},
}

// sweepKey is a source, protocol and port.
type sweepKey struct {
	src   netip.Addr
	proto string
	port  int64
}

func (k sweepKey) compare(o sweepKey) int {
	return cmp.Or(k.src.Compare(o.src), cmp.Compare(k.port, o.port), cmp.Compare(k.proto, o.proto))
}

// sweepCount is phase 1's count for the source at hand.
type sweepCount struct{ failed, unsure, hosts int64 }

// worth reports whether so many hosts can satisfy a rule: enough of them failed, or
// nobody knows of enough on a port that leads into a host.
func (s *sweepState) worth(n *sweepCount, port int64) bool {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	return float64(n.hosts) >= t("few") && s.enough(n.failed, port) ||
		remotePorts[port] && float64(n.hosts) >= t("hosts") && float64(n.unsure) >= 0.8*t("hosts")
}

// sweep is a candidate in phase 2.
type sweep struct {
	sweepKey
	window   window
	episodes []*sweepEpisode
	day      sweepEpisode // everything, for the slow rule
}

type sweepEpisode struct {
	trail trail
	state map[netip.Addr]uint8 // what is known of a host: see hostFailed …
	peak  int64                // most distinct hosts in one window
}

const (
	hostFailed uint8 = 1 << iota
	hostAnswered
	hostUnsure
)

type sweepState struct {
	quota   quota
	lab     *Lab
	d       *Detector
	src     netip.Addr
	ports   map[sweepKey]*sweepCount // of the source at hand
	sources map[sweepKey]*sweep
}

// remotePorts are services that lead into a host or its data; they are what a
// sweep looks for, and the "sensitive" ports of Elastic's rule for port scans.
var remotePorts = map[int64]bool{
	21: true, 22: true, 23: true, 111: true, 135: true, 139: true, 389: true, 445: true, 873: true, 2049: true, 2375: true, 2376: true, 2379: true,
	3306: true, 3389: true, 5432: true, 5900: true, 5985: true, 5986: true, 6379: true, 6443: true, 8500: true, 9200: true, 10250: true, 11211: true, 27017: true,
}

// enough reports whether so many hosts failed that their share says something; on a port that
// leads into a host it takes few.
func (s *sweepState) enough(failed int64, port int64) bool {
	return float64(failed) >= s.lab.threshold(s.d, "failed")*s.lab.threshold(s.d, "few") || remotePorts[port] && failed >= 3
}

// Channel counts, for the source at hand, the inside hosts of each port. Channels are
// distinct in source, destination, port and protocol, so counting them counts hosts.
func (s *sweepState) Channel(c *Channel) {
	if c.Src != s.src {
		s.closeSource()
		s.src = c.Src
	}
	if !c.Inside || s.lab.resolvers[c.Src] && c.Port == 53 {
		return
	}
	k := sweepKey{c.Src, c.Proto, c.Port}
	n := s.ports[k]
	if n == nil {
		if len(s.ports) >= 1<<17 {
			return
		}
		n = &sweepCount{}
		s.ports[k] = n
	}
	n.hosts++
	if c.Most.Failed > 0 {
		n.failed++
	} else if c.Settled < c.Most.Events {
		n.unsure++
	}
}

// closeSource keeps those ports of the source that enough hosts refused.
func (s *sweepState) closeSource() {
	var worth []sweepKey
	for k, n := range s.ports {
		if s.worth(n, k.port) || s.lab.all {
			worth = append(worth, k)
		}
	}
	slices.SortFunc(worth, sweepKey.compare)
	for _, k := range worth {
		if s.quota.take(s.lab, s.d, k.src) {
			s.sources[k] = &sweep{sweepKey: k, day: sweepEpisode{trail: newTrail(), state: map[netip.Addr]uint8{}}}
		}
	}
	clear(s.ports)
}

func (s *sweepState) Wants() []firetrail.Traffic {
	s.closeSource()
	var out []firetrail.Traffic
	for k := range s.sources {
		out = append(out, firetrail.Traffic{Src: k.src, Port: k.port})
	}
	return out
}

// Session moves the window; a window with enough hosts begins an episode.
func (s *sweepState) Session(x *Session) {
	w := s.sources[sweepKey{x.Src, x.Proto, x.DstPort}]
	if w == nil || x.Reply && (x.Denied || !x.Settled) || !s.lab.Internal(x.Dst) || !Unicast(x.Dst) || isMetadata(x.Dst) {
		return
	}
	w.day.add(x)
	span := int64(60e9 * s.lab.threshold(s.d, "minutes"))
	w.window.push(x, span)
	n := len(w.episodes)
	hosts := w.window.distinct()
	switch {
	case n > 0 && x.Start-w.episodes[n-1].trail.end <= span:
		w.episodes[n-1].add(x)
		w.episodes[n-1].peak = max(w.episodes[n-1].peak, hosts)
	case hosts >= int64(s.lab.threshold(s.d, "few")): // the episode begins with the window's first contact
		e := &sweepEpisode{trail: newTrail(), state: map[netip.Addr]uint8{}, peak: hosts}
		for _, c := range w.window.held() {
			e.trail.recall(c)
			e.mark(c.dst.ip, c.failed, c.known)
		}
		w.episodes = append(w.episodes, e)
	}
}

func (e *sweepEpisode) add(x *Session) {
	weight := 0.0
	if x.Settled && !x.Failed {
		weight = 1 // the few that answered are the most telling
	}
	e.trail.add(x, weight, "")
	e.mark(x.Dst, x.Failed, x.Settled)
}

func (e *sweepEpisode) mark(host netip.Addr, failed, known bool) {
	if len(e.state) >= maxSeen {
		return
	}
	switch {
	case failed:
		e.state[host] |= hostFailed
	case known:
		e.state[host] |= hostAnswered
	default:
		e.state[host] |= hostUnsure
	}
}

// outcome counts hosts: all, failed only or first, and with no known outcome.
func (e *sweepEpisode) outcome() (hosts, failed, unsure int64) {
	for _, st := range e.state {
		hosts++
		switch {
		case st&hostFailed != 0 && st&hostAnswered == 0:
			failed++
		case st == hostUnsure:
			unsure++
		}
	}
	return hosts, failed, unsure
}

func (s *sweepState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.sources, sweepKey.compare) {
		w := s.sources[k]
		told := false
		for _, e := range w.episodes {
			if d := s.judge(w, e, false); d != nil {
				out = append(out, d)
				told = true
			}
		}
		if !told && w.day.trail.start != firetrail.Absent {
			if d := s.judge(w, &w.day, true); d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// judge scores an episode, or with slow set all that the source did to the port.
func (s *sweepState) judge(w *sweep, e *sweepEpisode, slow bool) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	hosts, failed, unsure := e.outcome()
	settled := hosts - unsure
	blind := settled == 0 || float64(settled) < 0.2*float64(hosts) // a packet filter that lets all pass
	share := float64(failed) / float64(max(settled, 1))
	if slow && (hosts < int64(t("slow_hosts")) || blind) || blind && (e.peak < int64(t("hosts")) || !remotePorts[w.port]) ||
		!blind && (share < t("failed") || !s.enough(failed, w.port)) {
		return nil
	}
	d := &Draft{src: w.src, dst: e.trail.cover(), port: w.port, trail: e.trail}
	least := t("few")
	switch {
	case slow:
		least = t("slow_hosts")
		d.part("hosts", float64(hosts), least, 2, "%d inside hosts in %s, too slowly for a window", hosts, span(float64(e.trail.end-e.trail.start)/1e9))
	case e.peak >= int64(t("hosts")):
		least = t("hosts")
		d.part("hosts", float64(e.peak), least, 3, "%d distinct inside hosts within %.0f min", e.peak, t("minutes"))
		if hosts >= 4*int64(least) {
			d.part("many hosts", float64(hosts), 4*least, 1, "%d in all", hosts)
		}
	default:
		d.part("hosts", float64(e.peak), least, 1, "%d distinct inside hosts within %.0f min", e.peak, t("minutes"))
	}
	if blind {
		d.part("outcome", float64(unsure), 1, -1.5, "these records do not say whether anybody answered")
		d.untested = append(d.untested, "whether the contacts failed: the logs record that packets passed, not what came back")
	} else {
		d.part("failed", round3(share), t("failed"), 1, "%d of %d hosts refused or did not answer", failed, settled)
	}
	if remotePorts[w.port] {
		d.part("port", float64(w.port), 0, 1, "port %d leads into a host or its data", w.port)
	}
	if n := float64(e.trail.sessions) / float64(hosts); n >= 4 {
		d.part("routine", n, 4, -3, "it contacts the same hosts again and again (%.1f times each): monitoring or a cluster's own traffic", n)
	} else if len(w.episodes) >= 12 {
		d.part("routine", float64(len(w.episodes)), 12, -3, "it did the same %d times: monitoring or a cluster's own traffic", len(w.episodes))
	}
	if d.points() < 1 {
		return nil
	}
	d.title = "Sweep of " + plural(hosts, "inside host", "inside hosts") + " on " + portName(w.proto, w.port) + " by " + w.src.String()
	d.benign = []string{"a security or asset scanner (put it on the allow list)", "monitoring or a service registry with many dead targets", "a cluster starting while its members are still down"}
	return d
}

// portName prints "tcp/22", or the protocol where there is no port.
func portName(proto string, port int64) string {
	if port == firetrail.Absent {
		return proto
	}
	return fmt.Sprintf("%s/%d", proto, port)
}
