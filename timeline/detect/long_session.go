package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// longSession looks for connections that stay. The bounds are RITA's, on the
// longest single connection and on the time of a day in which any stood; rows of
// connections that still run count.
var longSession = Detector{
	Name:   "long_session",
	Title:  "connections to the internet that stay for hours",
	Doc:    "The longest connection of a pair, or the time of a day in which any of its connections stood, against 1, 4, 8 and 12 hours. What many hosts hold alike is told once; what many hold that no run ever held, not at all.",
	Attack: []string{"T1571", "T1572"},
	Needs:  []Need{NeedDuration},
	Defaults: []Setting{
		{"base", 3600, "seconds from which it counts"},
		{"low", 14400, "seconds"},
		{"medium", 28800, "seconds"},
		{"high", 43200, "seconds"},
	},
	New: func(l *Lab, d *Detector) State {
		return &longState{lab: l, d: d, peers: map[peerKey][]*longPeer{}, chosen: map[peerKey]longChannel{}, shared: map[target]*longGroup{}}
	},
}

// bucket is RITA's threat score of a value against four bounds: 0 below base, .2
// at base, .4 at low, .6 at medium, .8 at high and above.
func bucket(v, base, low, medium, high float64) float64 {
	switch {
	case v < base:
		return 0
	case v < low:
		return .2 + (v-base)/(low-base)*.2
	case v < medium:
		return .4 + (v-low)/(medium-low)*.2
	}
	return .6 + (min(v, high)-medium)/(high-medium)*.2
}

type longPeer struct {
	peerKey
	host    string
	trail   trail
	longest float64
	covered float64 // seconds in which some connection stood
	until   int64   // the latest end so far
	open    bool
	udp     bool // all connections are UDP
	out, in int64
}

// callRate is the rate of speech with its headers, bytes a second: what carries as much both
// ways over UDP is a call, or a network of its own, which overlay_vpn tells.
const callRate = 8000

func (p *longPeer) call() bool {
	return p.udp && float64(min(p.out, p.in)) >= callRate*p.covered && max(p.out, p.in) <= 10*min(p.out, p.in)
}

// longChannel is what flows say at most of a peer's connections, in seconds.
type longChannel struct {
	longest, total float64
	host           string
}

// longGroup is a peer whose connections many inside hosts hold alike: one source stands
// for all of them, the one with the longest connection.
type longGroup struct {
	lead    peerKey
	longest float64
	sources []netip.Addr // sorted
}

type longState struct {
	quota  quota
	lab    *Lab
	d      *Detector
	chosen map[peerKey]longChannel // in phase 1
	peers  map[peerKey][]*longPeer // episodes of a peer, in time order
	shared map[target]*longGroup
}

// Channel keeps outbound peers with a long connection, or with a long sum of them.
func (s *longState) Channel(c *Channel) {
	base := int64(1e9 * s.lab.threshold(s.d, "base"))
	k := peerKey{c.Src, c.Dst, c.Port}
	old := s.chosen[k] // TCP and UDP to one port
	if !c.Out || c.Longest < base && c.Most.Duration < 4*base && !s.lab.all || old.total == 0 && !s.quota.take(s.lab, s.d, c.Src) {
		return
	}
	now := longChannel{max(old.longest, float64(c.Longest)/1e9), old.total + float64(c.Most.Duration)/1e9, old.host}
	if now.host == "" && len(c.Hosts) > 0 {
		now.host = strings.Clone(c.Hosts[0])
	}
	s.chosen[k] = now
}

// Wants leaves out the peers that are told at no severity however their sessions lie, and of
// those that much of the lab holds alike all sources but one.
func (s *longState) Wants() []firetrail.Traffic {
	for _, k := range sortedBy(s.chosen, peerKey.compare) {
		c := s.chosen[k]
		n := s.lab.leastPrevalence(k.dst)
		worth := s.worth(k, c, n)
		if worth && (n < manyHosts || c.host == "") || s.lab.all {
			s.peers[k] = []*longPeer{s.begin(k, c.host)}
		}
		if !worth || n < manyHosts || c.host == "" {
			continue
		}
		to := target{k.dst, k.port}
		g := s.shared[to]
		if g == nil {
			g = &longGroup{}
			s.shared[to] = g
		}
		if g.sources = append(g.sources, k.src); c.longest > g.longest || len(g.sources) == 1 {
			g.lead, g.longest = k, c.longest
		}
	}
	for _, g := range s.shared {
		s.peers[g.lead] = []*longPeer{s.begin(g.lead, s.chosen[g.lead].host)}
	}
	s.chosen = nil
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// worth reports whether connections of such lengths can be told, with so many visitors.
func (s *longState) worth(k peerKey, c longChannel, visitors int64) bool {
	d := &Draft{}
	if s.stay(d, c.longest, c.total); len(d.parts) == 0 || s.lab.ordinary(k.dst) {
		return false
	}
	s.lab.prevalencePart(d, k.dst.String(), visitors)
	return d.points() >= 1
}

func (s *longState) begin(k peerKey, host string) *longPeer {
	return &longPeer{peerKey: k, host: host, until: firetrail.Absent, trail: newTrail(), udp: true}
}

// Session adds up the time in which connections stood, whatever of them at once, and however
// many rows tell of one.
func (s *longState) Session(x *Session) {
	k := peerKey{x.Src, x.Dst, x.DstPort}
	episodes := s.peers[k]
	if len(episodes) == 0 || x.Duration <= 0 {
		return
	}
	p := episodes[len(episodes)-1]
	if p.trail.paused(x, episodeGap) {
		p = s.begin(k, p.host)
		s.peers[k] = append(episodes, p)
	}
	p.trail.add(x, x.Seconds(), "")
	p.open = x.Open()
	p.udp, p.out, p.in = p.udp && x.Proto == "udp", p.out+max(x.BytesOut, 0), p.in+max(x.BytesIn, 0)
	end := x.Start + x.Duration
	if from := max(x.Start, p.until); end > from {
		p.covered += float64(end-from) / 1e9
	}
	p.until = max(p.until, end)
	p.longest = max(p.longest, x.Seconds())
}

func (s *longState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		g := s.shared[target{k.dst, k.port}]
		var best *Draft
		for _, p := range s.peers[k] {
			d := s.judge(p)
			switch {
			case d == nil || g != nil && k != g.lead:
			case g == nil:
				out = append(out, d)
			case best == nil || d.points() > best.points():
				best = d
			}
		}
		if best != nil {
			out = append(out, s.share(best, g))
		}
	}
	return out
}

// share tells once of what many hosts hold alike.
func (s *longState) share(d *Draft, g *longGroup) *Draft {
	d.sources = slices.DeleteFunc(g.sources, s.lab.translated)
	if len(d.sources) < 2 {
		return d
	}
	d.title = fmt.Sprintf("Long sessions: %d inside hosts hold connections to %s (%s), up to %s; %s stands for them", len(d.sources), endpoint(g.lead.dst, g.lead.port), d.host, span(g.longest), g.lead.src)
	d.src = netip.Addr{}
	return d
}

// judge scores an episode by its longest connection and by the time in which any stood: in a
// day, as RITA does, where it went on for longer.
func (s *longState) judge(p *longPeer) *Draft {
	if s.lab.ordinary(p.dst) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: p.host, trail: p.trail, open: p.open}
	total := p.covered
	if days := float64(p.trail.end-p.trail.start) / (86400e9); days > 1 {
		total /= days
	}
	if s.stay(d, p.longest, total); len(d.parts) == 0 {
		return nil
	}
	if p.call() {
		d.part("call", float64(min(p.out, p.in))/p.covered, callRate, -3, "%s a second both ways over UDP: as a call has", size(int64(float64(min(p.out, p.in))/p.covered)))
	}
	s.lab.standing(d)
	if s.lab.prevalenceParts(d, p.dst); d.points() < 1 {
		return nil
	}
	d.title = "Long session: " + p.src.String() + " to " + endpoint(p.dst, p.port) + " for " + span(max(p.longest, p.covered))
	d.benign = []string{"trackers, message queues and push channels that stay connected", "an allowed VPN or tunnel"}
	if p.port == firetrail.Absent {
		d.untested = []string{"which service it is: the record has no port"}
	}
	return d
}

// stay scores the longest connection, and all of them together, in seconds.
func (s *longState) stay(d *Draft, longest, total float64) {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	score := func(v float64) float64 { return round3(bucket(v, t("base"), t("low"), t("medium"), t("high"))) }
	one, all := score(longest), score(total)
	if one > 0 {
		d.part("duration", longest, t("base"), FullScore*one, "the longest connection stood %s (RITA's score %.2f)", span(longest), one)
	}
	if all > one && total >= 4*t("base") {
		d.part("total", total, t("base"), FullScore*(all-one)/2, "some connection stood for %s of a day", span(total))
	}
}

// manyHosts is how many inside hosts make a peer a service of the lab, however large
// the lab is: sandboxes come and go by the thousand, so that a share says little.
const manyHosts = 8

// ordinary reports a peer that many hosts contact which no run ever held: what desks and
// servers use is no agent's doing. Without an inventory nothing is known of that.
func (l *Lab) ordinary(dst netip.Addr) bool {
	v, _ := l.visits.of(dst)
	return len(l.held) > 0 && v.others >= manyHosts
}

// What stands from about the beginning of the data to about their end, of half a day or
// more, was there before, and stays.
const (
	standingLeast = 12 * int64(3600e9)
	standingEdge  = 20 // the part of the data that may be missing at either end
)

// standing adds what speaks for a service of the source's own: it was there when the data began,
// and no run ever held the address.
func (l *Lab) standing(d *Draft) {
	whole := l.End() - l.First
	edge := whole / standingEdge
	if len(l.held) == 0 || l.held[d.src.Unmap().WithZone("")] || l.translated(d.src) || whole < standingLeast || d.trail.start-l.First > edge || l.End()-d.trail.end > edge {
		return
	}
	d.part("standing", 1, 1, -1.5, "it was there when the data begin and is when they end, at an address that no run ever held")
}

// prevalenceParts adds RITA's modifier: rare peers count more, common ones less.
func (l *Lab) prevalenceParts(d *Draft, dst netip.Addr) {
	l.prevalencePart(d, dst.String(), l.Prevalence(dst))
}

// prevalencePart does so for a peer and its number of visitors.
func (l *Lab) prevalencePart(d *Draft, peer string, n int64) {
	share := float64(n) / float64(max(l.Hosts, 1))
	switch {
	case n >= manyHosts:
		d.part("prevalence", float64(n), manyHosts, -3.6, "%d inside hosts contact it: more likely a service of the lab", n)
	case n == 1 || n > 0 && share <= 0.02:
		d.part("prevalence", round3(share), 0.02, 1.2, "%s of %d inside contact %s", plural(n, "host", "hosts"), l.Hosts, peer)
	case share >= 0.5 && n >= 3:
		d.part("prevalence", round3(share), 0.5, -2.4, "%d of %d inside hosts contact it: a service of the lab", n, l.Hosts)
	}
}
