package detect

import "firetrail"

// refusedEgress looks for a source that keeps trying one peer in vain: a call home
// that the policy stops, or a server that is gone. Five attempts is Slips' value
// for reconnects.
var refusedEgress = Detector{
	Name:   "refused_egress",
	Title:  "attempts at one peer in the internet that keep failing",
	Doc:    "Refused or unanswered attempts at one external address and port; what most hosts are refused alike counts less.",
	Attack: []string{"T1041", "T1095"},
	Needs:  []Need{NeedOutcome},
	Defaults: []Setting{
		{"attempts", 5, "attempts that failed, at least"},
		{"many", 20, "attempts that are many"},
		{"failed", 0.8, "share of the attempts that failed, at least"},
		{"peers", 5, "addresses on one port that are told together"},
		{"hours", 1, "hours over which it is kept up"},
	},
	New: func(l *Lab, d *Detector) State {
		return &refusedState{lab: l, d: d, peers: map[peerKey][]*refusedPeer{}, shared: map[target]int64{}}
	},
}

// refusedGap is the pause that ends an episode: longer than elsewhere, for keeping
// on at a slow pace is what this detector is about.
const refusedGap = 6 * episodeGap

type refusedPeer struct {
	peerKey
	proto    string
	host     string
	trail    trail
	failed   int64
	answered int64
	denied   int64
}

type refusedState struct {
	quota  quota
	lab    *Lab
	d      *Detector
	peers  map[peerKey][]*refusedPeer // episodes of a peer, in time order
	shared map[target]int64           // inside sources that fail at it
}

// Channel keeps outbound peers most of whose attempts failed, over all of the data.
func (s *refusedState) Channel(c *Channel) {
	if !c.Out || c.Failed == 0 || float64(c.Failed) < s.lab.threshold(s.d, "failed")*float64(c.Settled) {
		return
	}
	if k := (target{c.Dst, c.Port}); len(s.shared) < 1<<18 || s.shared[k] > 0 {
		s.shared[k]++
	}
	if (float64(c.Most.Failed) >= s.lab.threshold(s.d, "attempts") || s.lab.all) && s.quota.take(s.lab, s.d, c.Src) {
		p := &refusedPeer{peerKey: peerKey{c.Src, c.Dst, c.Port}, proto: protoName(c.Proto), trail: newTrail()}
		if len(c.Hosts) > 0 {
			p.host = c.Hosts[0]
		}
		s.peers[p.peerKey] = []*refusedPeer{p}
	}
}

func (s *refusedState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// Session counts attempts by outcome; one of unknown outcome counts for nothing.
func (s *refusedState) Session(x *Session) {
	k := peerKey{x.Src, x.Dst, x.DstPort}
	episodes := s.peers[k]
	if len(episodes) == 0 || x.Reply && (x.Denied || !x.Settled) || x.Proto != episodes[0].proto {
		return
	}
	p := episodes[len(episodes)-1]
	if p.trail.paused(x, refusedGap) {
		p = &refusedPeer{peerKey: k, proto: p.proto, host: p.host, trail: newTrail()}
		s.peers[k] = append(episodes, p)
	}
	switch {
	case x.Failed:
		p.failed++
	case x.Settled:
		p.answered++
		return
	default:
		return
	}
	if x.Denied {
		p.denied++
	}
	p.trail.add(x, 0, "")
}

func (s *refusedState) Findings() []*Draft {
	var out []*Draft
	common := map[target]*sharedBurst{}
	bySource := map[target][]*Draft{} // by source and port
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		var drafts []*Draft
		for _, p := range s.peers[k] {
			if d := s.judge(p); d != nil {
				drafts = append(drafts, d)
			}
		}
		if len(drafts) == 0 {
			continue
		}
		to := target{k.dst, k.port}
		if n := s.shared[to]; n < 3 || 4*n < s.lab.Hosts {
			at := target{k.src, k.port}
			bySource[at] = append(bySource[at], drafts...)
			continue
		}
		if common[to] == nil {
			common[to] = &sharedBurst{trail: newTrail()}
		}
		for _, d := range drafts {
			common[to].trail.merge(&d.trail)
		}
		common[to].sources = append(common[to].sources, k.src)
	}
	for _, k := range sortedBy(bySource, target.compare) {
		out = append(out, s.gather(bySource[k])...)
	}
	for _, k := range sortedBy(common, target.compare) {
		out = append(out, s.judgeShared(k, common[k]))
	}
	return out
}

// gather tells once of a source that fails at many peers on one port: the finding of
// most points stands for all.
func (s *refusedState) gather(drafts []*Draft) []*Draft {
	peers := map[string]bool{}
	for _, d := range drafts {
		peers[d.dst] = true
	}
	if float64(len(peers)) < s.lab.threshold(s.d, "peers") {
		return drafts
	}
	lead := joined(drafts)
	n := int64(len(peers))
	lead.part("peers", float64(n), s.lab.threshold(s.d, "peers"), 0.5, "and so at %d addresses; the parts above are of one of them", n)
	lead.title = plural(lead.trail.sessions, "failed attempt", "failed attempts") + " of " + lead.src.String() + " at " + plural(n, "address", "addresses") + ", " + portName("port", lead.port)
	lead.dst, lead.host = lead.trail.cover(), ""
	return []*Draft{lead}
}

// judgeShared tells once what many hosts fail at.
func (s *refusedState) judgeShared(k target, g *sharedBurst) *Draft {
	d := &Draft{dst: k.ip.String(), port: k.port, trail: g.trail, sources: g.sources}
	hosts := s.shared[k]
	d.part("attempts", float64(g.trail.sessions), s.lab.threshold(s.d, "attempts"), 2, "%d attempts failed", g.trail.sessions)
	d.part("shared", float64(hosts), 3, -1, "%d of %d inside hosts fail at it: a service that is gone or forgotten by the policy", hosts, s.lab.Hosts)
	d.title = plural(hosts, "inside host keeps", "inside hosts keep") + " failing at " + endpoint(k.ip, k.port)
	d.benign = []string{"an update, licence or telemetry server that the policy does not know", "a server that is down"}
	return d
}

// judge scores an episode; nil where too little failed.
func (s *refusedState) judge(p *refusedPeer) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	if float64(p.failed) < t("attempts") || float64(p.failed) < t("failed")*float64(p.failed+p.answered) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: p.host, trail: p.trail}
	d.part("attempts", float64(p.failed), t("attempts"), 1, "%d attempts, %d refused by a firewall, %d unanswered or reset", p.failed, p.denied, p.failed-p.denied)
	if float64(p.failed) >= t("many") {
		d.part("many", float64(p.failed), t("many"), 1, "that is many")
	}
	if hours := float64(p.trail.end-p.trail.start) / 3600e9; hours >= t("hours") {
		d.part("persistence", round3(hours), t("hours"), 1, "kept up for %s", span(hours*3600))
	}
	if sshPort(p.port) || minePorts[p.port] || remotePorts[p.port] {
		d.part("port", float64(p.port), 0, 1, "port %d is one of remote access or mining", p.port)
	}
	if p.dst.Is6() && !p.dst.Is4In6() {
		d.part("IPv6", 6, 6, -1, "programs try IPv6 first and fall back where the network has none")
	}
	if d.points() < 1 {
		return nil
	}
	d.title = plural(p.failed, "failed attempt", "failed attempts") + " of " + p.src.String() + " at " + endpoint(p.dst, p.port)
	d.benign = []string{"an update, licence or telemetry server that the policy does not know", "a server that is down"}
	return d
}
