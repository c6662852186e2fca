package detect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

type servicePeer struct {
	peerKey
	proto    string
	service  string
	name     string
	sure     bool
	others   int64 // further peers that were joined to this one
	app      string
	usual    servicePort
	shaped   bool // only its shape gives it away
	episodes []*serviceEpisode
}

type serviceEpisode struct {
	trail          trail
	host           string
	denied, passed int64
	settled, open  bool
	longest        float64
	out, in        int64
}

// services is what a detector of services knows: how servers are called, which
// ports and which words of the sensors are theirs.
type services struct {
	what   string            // begins the title
	names  map[string]string // DNS suffix → service
	ports  map[int64]servicePort
	apps   map[string]string         // application in lower case → service
	shape  func(*Lab, *Channel) bool // traffic that looks like one of them; nil: none does
	shaped servicePort
	benign []string
}

// servicePort is a port that is customary for a service; points say how seldom
// anything else uses it.
type servicePort struct {
	service string
	protos  string
	points  float64
}

func newServices(table services) func(*Lab, *Detector) State {
	return func(l *Lab, d *Detector) State {
		return &serviceState{lab: l, d: d, table: table, peers: map[peerKey]*servicePeer{}}
	}
}

type serviceState struct {
	quota quota
	lab   *Lab
	d     *Detector
	table services
	peers map[peerKey]*servicePeer
}

// Channel keeps outbound peers by name, application or customary port.
func (s *serviceState) Channel(c *Channel) {
	if !c.Out || c.Port == 53 {
		return
	}
	p := servicePeer{peerKey: peerKey{c.Src, c.Dst, c.Port}, proto: c.Proto}
	if name, sure, ok := namedIn(s.lab, c, inTable(s.table.names)); ok {
		p.name, p.sure = name, sure
		suffix, _ := suffixOf(name, s.table.names)
		p.service = s.table.names[suffix]
	}
	for _, a := range c.Apps {
		if svc, ok := s.table.apps[strings.ToLower(a)]; ok {
			p.app, p.service = a, svc
		}
	}
	if tp, ok := s.table.ports[c.Port]; ok && strings.Contains(tp.protos, c.Proto) && !c.otherThanTLS() && (p.service == "" || p.service == tp.service) {
		p.usual, p.service = tp, tp.service
	}
	if p.service == "" && s.table.shape != nil && s.table.shape(s.lab, c) {
		p.usual, p.service, p.shaped = s.table.shaped, s.table.shaped.service, true
	}
	if p.service == "" {
		return
	}
	if old := s.peers[p.peerKey]; old != nil && old.name+old.app != "" { // TCP and UDP to one port
		return
	}
	if !s.quota.take(s.lab, s.d, c.Src) {
		return
	}
	kept := p // only candidates are worth an allocation
	s.peers[p.peerKey] = &kept
}

// otherThanTLS reports whether the sensors named a protocol or application that
// is not the mere wrapping in which a tunnel travels.
func (c *Channel) otherThanTLS() bool {
	for _, x := range c.words() {
		switch strings.ToLower(x) {
		case "ssl", "tls", "quic", "", "-", "incomplete", "insufficient-data", "not-applicable", "unknown-tcp", "unknown-udp", "unknown":
		default:
			return true
		}
	}
	return false
}

func (s *serviceState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// Session adds a session to its peer's running episode, or begins one.
func (s *serviceState) Session(x *Session) {
	p := s.peers[peerKey{x.Src, x.Dst, x.DstPort}]
	if p == nil || x.Reply && !x.Settled && x.Conn {
		return
	}
	if p.name != "" && x.Host != "" { // the address serves other names too
		if _, ok := suffixOf(x.Host, s.table.names); !ok {
			return
		}
	}
	n := len(p.episodes)
	if n == 0 || x.Start-p.episodes[n-1].trail.end > episodeGap {
		p.episodes = append(p.episodes, &serviceEpisode{trail: newTrail()})
		n++
	}
	e := p.episodes[n-1]
	e.trail.add(x, x.Seconds(), "")
	if x.Denied {
		e.denied++
	} else {
		e.passed++
	}
	if x.Host != "" {
		e.host = strings.Clone(x.Host)
	}
	e.settled = e.settled || x.Settled
	e.open = x.Open()
	e.longest = max(e.longest, x.Seconds())
	e.out += max(x.BytesOut, 0)
	e.in += max(x.BytesIn, 0)
}

func (s *serviceState) Findings() []*Draft {
	s.gather()
	var out []*Draft
	told := map[string]bool{}
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		p := s.peers[k]
		for _, e := range p.episodes {
			if d := s.judge(p, e); d != nil {
				out = append(out, d)
				told[k.src.String()+" "+p.service] = true
			}
		}
	}
	return append(out, s.lookups(told)...)
}

// gather makes one peer of a source's peers that only their port gives away, where
// they are several of one service: relays of one network, edges of one provider.
func (s *serviceState) gather() {
	type group struct {
		src     netip.Addr
		service string
	}
	first := map[group]*servicePeer{}
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		p := s.peers[k]
		if p.app != "" || p.name != "" && p.sure || len(p.episodes) == 0 {
			continue
		}
		g := group{p.src, p.service}
		lead := first[g]
		if lead == nil {
			first[g] = p
			continue
		}
		lead.others++
		lead.episodes = joinEpisodes(append(lead.episodes, p.episodes...))
		delete(s.peers, k)
	}
}

// joinEpisodes merges episodes that overlap or lie close together.
func joinEpisodes(in []*serviceEpisode) []*serviceEpisode {
	slices.SortStableFunc(in, func(a, b *serviceEpisode) int { return cmp.Compare(a.trail.start, b.trail.start) })
	out := in[:0]
	for _, e := range in {
		if n := len(out); n > 0 && e.trail.start-out[n-1].trail.end <= episodeGap {
			o := out[n-1]
			o.trail.merge(&e.trail)
			o.denied, o.passed, o.out, o.in = o.denied+e.denied, o.passed+e.passed, o.out+e.out, o.in+e.in
			o.settled, o.open, o.longest = o.settled || e.settled, o.open || e.open, max(o.longest, e.longest)
			continue
		}
		out = append(out, e)
	}
	return out
}

// judge scores an episode; nil below a low finding.
func (s *serviceState) judge(p *servicePeer, e *serviceEpisode) *Draft {
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.peerKey.port, host: p.name, trail: e.trail, open: e.open}
	if e.host != "" {
		d.host = e.host
	}
	switch {
	case p.name != "" && p.sure:
		d.part("name", 1, 1, 4, "%q is a server of %s", d.host, p.service)
	case p.name != "":
		d.part("name", 1, 1, 2.5, "another host was told this address for %q, a server of %s", p.name, p.service)
	}
	if p.app != "" {
		d.part("application", 1, 1, 4, "the sensor identified the application as %q", p.app)
	}
	if p.shaped {
		d.part("shape", round3(e.longest), 300, p.usual.points, "plain HTTP to an address without a name that stands and carries about as much out (%s) as in (%s)", size(e.out), size(e.in))
	} else if p.usual.service != "" {
		points := p.usual.points
		if p.name != "" || p.app != "" {
			points = 1
		}
		d.part("port", float64(p.peerKey.port), 0, points, "port %d is customary for %s", p.peerKey.port, p.service)
	}
	hosts := e.trail.hosts()
	if hosts >= 3 {
		d.part("peers", float64(hosts), 3, 1.5, "%d addresses on such ports: a network rather than a chance", hosts)
		d.dst = e.trail.cover()
	}
	if e.longest >= 60*s.lab.threshold(s.d, "minutes") {
		d.part("duration", round3(e.longest), 60*s.lab.threshold(s.d, "minutes"), 1.5, "a connection of %s stood, %s sent and %s received", span(e.longest), size(e.out), size(e.in))
	}
	if !e.settled && e.passed >= 3 {
		d.part("repetition", float64(e.passed), 3, 1, "let through %d times", e.passed)
	}
	if e.passed == 0 {
		d.part(partRefused, float64(e.denied), 1, -1, "every attempt was refused")
	}
	if n := s.lab.Prevalence(p.dst); n == 1 && hosts == 1 {
		d.part("prevalence", 1, 1, 0.5, "no other inside host contacts %s", p.dst)
	} else if p.name == "" && p.app == "" && n > 3 {
		d.part("prevalence", float64(n), 3, -2, "%d inside hosts contact it: more likely a service of the lab on the same port", n)
	}
	s.lab.standing(d)
	if d.points() < 1 {
		return nil
	}
	d.title = fmt.Sprintf("%s %s: %s to %s", s.table.what, p.service, p.src, endpoint(p.dst, p.peerKey.port))
	if hosts > 1 {
		d.title = fmt.Sprintf("%s %s: %s to %d addresses", s.table.what, p.service, p.src, hosts)
		d.host = ""
	}
	if d.host != "" {
		d.title += " (" + d.host + ")"
	}
	if e.passed == 0 {
		d.title += ", refused"
	}
	d.benign = s.table.benign
	if !e.settled {
		d.untested = []string{"whether a tunnel stood: these logs record neither duration nor bytes"}
	}
	return d
}

// lookups makes findings of names that were asked for without a connection that
// could be told.
func (s *serviceState) lookups(told map[string]bool) []*Draft {
	service := func(name string) string {
		suffix, _ := suffixOf(name, s.table.names)
		return s.table.names[suffix]
	}
	groups := newHitGroups(s.lab, func(h *hit) bool {
		svc := service(h.name)
		return svc != "" && s.lab.Internal(h.src) && !told[h.src.String()+" "+svc]
	})
	var out []*Draft
	for _, g := range groups {
		d := &Draft{src: g.src, port: firetrail.Absent, host: g.name, trail: g.trail}
		g.address(d)
		if g.dns {
			d.part("lookup", float64(g.count), 1, 2.5, "%s of %q, a server of %s", plural(g.count, "lookup", "lookups"), g.name, service(g.name))
			d.untested = []string{"whether it connected: no connection to the answers was found"}
		} else {
			d.part("name", float64(g.count), 1, 4, "%q is a server of %s", g.name, service(g.name))
		}
		if s.lab.resolvers[g.src] {
			d.part("resolver", 1, 1, -2, "%s is a resolver: it asks for others", g.src)
		}
		if d.points() < 1 && s.lab.resolvers[g.src] {
			continue
		}
		d.title = fmt.Sprintf("%s %s: %s used the name %s", s.table.what, service(g.name), g.src, g.name)
		d.benign = s.table.benign
		out = append(out, d)
	}
	return out
}
