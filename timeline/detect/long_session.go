package detect

import (
	"net/netip"
	"strings"

	"firetrail"
)

// longSession looks for connections that stay. The bounds are RITA's, on the
// longest single connection and on the pair's total; rows of connections that
// still run count.
var longSession = Detector{
	Name:   "long_session",
	Title:  "connections to the internet that stay for hours",
	Doc:    "The longest connection of a pair, or all its connections together, against 1, 4, 8 and 12 hours.",
	Attack: []string{"T1571", "T1572"},
	Needs:  []Need{NeedDuration},
	Defaults: []Setting{
		{"base", 3600, "seconds from which it counts"},
		{"low", 14400, "seconds"},
		{"medium", 28800, "seconds"},
		{"high", 43200, "seconds"},
	},
	New: func(l *Lab, d *Detector) State {
		return &longState{lab: l, d: d, peers: map[peerKey][]*longPeer{}, chosen: map[peerKey]longChannel{}}
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
	names    []string
	trail    trail
	longest  float64
	total    float64
	out, in  int64
	open     bool
	uid      string
	uidSpent float64
}

// longChannel is what flows say at most of a peer's connections, in seconds.
type longChannel struct {
	longest, total float64
	names          []string
}

type longState struct {
	chosen map[peerKey]longChannel
	quota  quota
	lab    *Lab
	d      *Detector
	peers  map[peerKey][]*longPeer // episodes of a peer, in time order
}

// Channel keeps outbound peers with a long connection, or with a long sum of them.
func (s *longState) Channel(c *Channel) {
	base := int64(1e9 * s.lab.threshold(s.d, "base"))
	k := peerKey{c.Src, c.Dst, c.Port}
	old := s.chosen[k] // TCP and UDP to one port
	if !c.Out || c.Longest < base && c.Most.Duration < 4*base && !s.lab.all || old.total == 0 && !s.quota.take(s.lab, s.d, c.Src) {
		return
	}
	now := longChannel{max(old.longest, float64(c.Longest)/1e9), old.total + float64(c.Most.Duration)/1e9, old.names}
	if len(now.names) == 0 && len(c.Hosts) > 0 {
		now.names = []string{c.Hosts[0]}
	}
	s.chosen[k] = now
}

// Wants leaves out the peers that are told at no severity however their sessions lie:
// what much of the lab holds has to be held for long.
func (s *longState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k, c := range s.chosen {
		d := &Draft{}
		if s.stay(d, c.longest, c.total); len(d.parts) == 0 && !s.lab.all {
			continue
		}
		s.lab.prevalencePart(d, k.dst, s.lab.leastPrevalence(k.dst))
		if (d.points() < 1 || s.lab.ordinary(k.dst)) && !s.lab.all {
			continue
		}
		s.peers[k] = []*longPeer{{peerKey: k, names: c.names, trail: newTrail()}}
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	s.chosen = nil
	return out
}

// Session adds up durations; a connection in several rows counts once.
func (s *longState) Session(x *Session) {
	k := peerKey{x.Src, x.Dst, x.DstPort}
	episodes := s.peers[k]
	if len(episodes) == 0 || x.Duration <= 0 {
		return
	}
	p := episodes[len(episodes)-1]
	if p.trail.paused(x, episodeGap) {
		p = &longPeer{peerKey: k, names: p.names, trail: newTrail()}
		s.peers[k] = append(episodes, p)
	}
	p.trail.add(x, x.Seconds(), "")
	p.open = x.Open()
	if p.uid != "" && p.uid == x.UID { // a later row of the same connection
		p.total -= p.uidSpent
	}
	p.uid, p.uidSpent = strings.Clone(x.UID), x.Seconds()
	p.total += x.Seconds()
	p.out, p.in = p.out+max(x.BytesOut, 0), p.in+max(x.BytesIn, 0)
	p.longest = max(p.longest, x.Seconds())
}

func (s *longState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		for _, p := range s.peers[k] {
			if d := s.judge(p); d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// judge scores an episode by its longest connection and by their sum.
func (s *longState) judge(p *longPeer) *Draft {
	if s.lab.ordinary(p.dst) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, trail: p.trail, open: p.open}
	if len(p.names) > 0 {
		d.host = p.names[0]
	}
	if s.stay(d, p.longest, p.total); len(d.parts) == 0 {
		return nil
	}
	if s.lab.prevalenceParts(d, p.dst); d.points() < 1 {
		return nil
	}
	d.title = "Long session: " + p.src.String() + " to " + endpoint(p.dst, p.port) + " for " + span(max(p.longest, p.total))
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
		d.part("total", total, t("base"), FullScore*(all-one)/2, "all together %s", span(total))
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

// prevalenceParts adds RITA's modifier: rare peers count more, common ones less.
func (l *Lab) prevalenceParts(d *Draft, dst netip.Addr) { l.prevalencePart(d, dst, l.Prevalence(dst)) }

// prevalencePart does so for a number of visitors.
func (l *Lab) prevalencePart(d *Draft, dst netip.Addr, n int64) {
	share := float64(n) / float64(max(l.Hosts, 1))
	switch {
	case n >= manyHosts:
		d.part("prevalence", float64(n), manyHosts, -3.6, "%d inside hosts contact it: more likely a service of the lab", n)
	case n == 1 || n > 0 && share <= 0.02:
		d.part("prevalence", round3(share), 0.02, 1.2, "%s of %d inside contact %s", plural(n, "host", "hosts"), l.Hosts, dst)
	case share >= 0.5 && n >= 3:
		d.part("prevalence", round3(share), 0.5, -2.4, "%d of %d inside hosts contact it: a service of the lab", n, l.Hosts)
	}
}
