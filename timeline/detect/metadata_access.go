package detect

import (
	"net/netip"

	"firetrail"
)

// metadataAccess looks for contacts with the metadata services of clouds, which
// hand out credentials to whoever asks from inside. Addresses are those of the
// providers' documentation.
var metadataAccess = Detector{
	Name:   "metadata_access",
	Title:  "contacts with a cloud's metadata service",
	Doc:    "Any contact from inside with a metadata address or name: grave from pods and sandboxes; from hosts unless it recurs all the time, as agents of the cloud do.",
	Attack: []string{"T1552.005"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"routine_hours", 6, "distinct hours with contacts that make a routine, or as many parts of shorter data"},
		{"routine_share", 0.5, "share of the data's hours, or parts, that the routine covers"},
		{"many_hosts", 0.5, "share of inside hosts that do the same, from which it is the platform's doing"},
	},
	Names: []string{"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"},
	New: func(l *Lab, d *Detector) State {
		return &metaState{lab: l, d: d, peers: map[[2]netip.Addr]*metaPeer{}, hosts: map[netip.Addr]int64{}}
	},
}

// metadataAddrs are the metadata services and cloud-internal endpoints.
var metadataAddrs = map[netip.Addr]string{
	netip.MustParseAddr("169.254.169.254"): "instance metadata (AWS, Azure, Google, Oracle and others)",
	netip.MustParseAddr("169.254.170.2"):   "AWS ECS task credentials",
	netip.MustParseAddr("169.254.170.23"):  "AWS EKS pod identity",
	netip.MustParseAddr("fd00:ec2::254"):   "AWS instance metadata",
	netip.MustParseAddr("fd00:ec2::23"):    "AWS EKS pod identity",
	netip.MustParseAddr("100.100.100.200"): "Alibaba Cloud instance metadata",
	netip.MustParseAddr("168.63.129.16"):   "Azure platform endpoint",
	netip.MustParseAddr("169.254.0.23"):    "Tencent Cloud instance metadata",
	netip.MustParseAddr("192.0.0.192"):     "Oracle Cloud instance metadata",
}

func isMetadata(a netip.Addr) bool {
	_, ok := metadataAddrs[a]
	return ok
}

type metaPeer struct {
	src, dst netip.Addr
	parts    map[int64]bool // of the data: see metaParts
	episodes []*metaEpisode
}

// metaParts is into how many parts data are cut that are shorter than so many hours; a part
// has to be longer than what asks several times in a row.
const (
	metaParts = 12
	metaLeast = int64(300e9)
)

// part is the length of a part of the data.
func (s *metaState) part() int64 {
	return max(metaLeast, min(3600e9, (s.lab.Last-s.lab.First)/metaParts))
}

type metaEpisode struct {
	trail  trail
	denied int64
	total  int64
}

type metaState struct {
	quota quota
	lab   *Lab
	d     *Detector
	peers map[[2]netip.Addr]*metaPeer
	hosts map[netip.Addr]int64 // sources a metadata address
}

// Channel keeps every contact with a metadata address from inside.
func (s *metaState) Channel(c *Channel) {
	if !isMetadata(c.Dst) || !s.lab.Internal(c.Src) || !Unicast(c.Src) || isMetadata(c.Src) || c.Port == 53 || c.Port == 123 {
		return // port 53 and 123: the same address serves DNS and time on some clouds
	}
	if key := [2]netip.Addr{c.Src, c.Dst}; s.peers[key] == nil && s.quota.take(s.lab, s.d, c.Src) {
		s.peers[key] = &metaPeer{src: c.Src, dst: c.Dst, parts: map[int64]bool{}}
		s.hosts[c.Dst]++
	}
}

func (s *metaState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for _, p := range s.peers {
		out = append(out, firetrail.Traffic{Src: p.src, Dst: p.dst, Port: firetrail.Absent})
	}
	return out
}

// Session adds a contact to its peer's running episode, or begins one.
func (s *metaState) Session(x *Session) {
	p := s.peers[[2]netip.Addr{x.Src, x.Dst}]
	if p == nil || x.DstPort == 53 || x.DstPort == 123 || x.Reply && !x.Settled && x.Conn {
		return
	}
	p.parts[(x.Start-s.lab.First)/s.part()] = true
	n := len(p.episodes)
	if n == 0 || x.Start-p.episodes[n-1].trail.end > episodeGap {
		p.episodes = append(p.episodes, &metaEpisode{trail: newTrail()})
		n++
	}
	e := p.episodes[n-1]
	e.total++
	if x.Denied {
		e.denied++
	}
	e.trail.add(x, 0, "")
}

func (s *metaState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, func(a, b [2]netip.Addr) int {
		if c := a[0].Compare(b[0]); c != 0 {
			return c
		}
		return a[1].Compare(b[1])
	}) {
		p := s.peers[k]
		if s.routine(p) {
			out = append(out, s.judge(p, p.all(), true))
			continue
		}
		for _, e := range p.episodes {
			out = append(out, s.judge(p, e, false))
		}
	}
	return append(out, s.lookups()...)
}

// all joins the episodes into one.
func (p *metaPeer) all() *metaEpisode {
	sum := &metaEpisode{trail: newTrail()}
	for _, e := range p.episodes {
		sum.trail.merge(&e.trail)
		sum.denied += e.denied
		sum.total += e.total
	}
	return sum
}

// routine reports whether the source asks all the time, as the cloud's own
// agents and credential refreshes do.
func (s *metaState) routine(p *metaPeer) bool {
	if s.lab.First == firetrail.Absent {
		return false
	}
	n := float64(len(p.parts))
	all := float64((s.lab.Last-s.lab.First)/s.part()) + 1
	return n >= s.lab.threshold(s.d, "routine_hours") && n >= all*s.lab.threshold(s.d, "routine_share")
}

// judge scores an episode, or a routine as a whole.
func (s *metaState) judge(p *metaPeer, e *metaEpisode, routine bool) *Draft {
	d := &Draft{src: p.src, dst: p.dst.String(), port: firetrail.Absent, trail: e.trail}
	if ports := portsOf(&e.trail); len(ports) == 1 {
		d.port = ports[0]
	}
	d.part("contact", float64(e.total), 1, 3, "%s with %s, %s", plural(e.total, "contact", "contacts"), p.dst, metadataAddrs[p.dst])
	sandbox := s.lab.Sandbox(p.src)
	if sandbox {
		d.part("sandbox", 1, 1, 2.5, "%s is a pod's or sandbox's address: it has no business there", p.src)
	}
	share := float64(s.hosts[p.dst]) / float64(max(s.lab.Hosts, 1))
	many := s.lab.Hosts >= 4 && share >= s.lab.threshold(s.d, "many_hosts")
	switch {
	case routine && !sandbox:
		d.part("routine", float64(len(p.parts)), s.lab.threshold(s.d, "routine_hours"), -2.5, "it asks in %d of %d parts of %s: as the cloud's own agents do", len(p.parts), (s.lab.Last-s.lab.First)/s.part()+1, span(float64(s.part())/1e9))
	case many && !sandbox:
		d.part("platform", round3(share), s.lab.threshold(s.d, "many_hosts"), -2, "%d of %d inside hosts do the same", s.hosts[p.dst], s.lab.Hosts)
	case !routine && len(p.episodes) == 1 && !many:
		d.part("rare", float64(e.total), 0, 1, "this host does it only here")
	}
	if e.denied == e.total {
		d.part(partRefused, float64(e.denied), 1, -0.5, "every attempt was refused")
	}
	d.title = "Metadata service " + p.dst.String() + " contacted by " + p.src.String() + ", " + plural(e.total, "time", "times")
	d.benign = []string{"cloud-init, the provider's agents and SDKs refreshing credentials on the host", "a workload with its own cloud identity"}
	d.untested = []string{"which paths were read (credentials or harmless facts), unless an http record says so"}
	return d
}

// portsOf lists the distinct ports of the targets, sorted.
func portsOf(t *trail) []int64 {
	seen := map[int64]bool{}
	for k := range t.targets {
		seen[k.port] = true
	}
	return sortedKeys(seen)
}

// lookups tells of sources that asked for a metadata service by name and were
// not seen to contact its address.
func (s *metaState) lookups() []*Draft {
	contacted := map[netip.Addr]bool{}
	for k := range s.peers {
		contacted[k[0]] = true
	}
	table := map[string]bool{}
	for _, n := range s.d.Names {
		table[n] = true
	}
	var out []*Draft
	for _, g := range newHitGroups(s.lab, func(h *hit) bool {
		_, ok := suffixOf(h.name, table)
		return ok && s.lab.Internal(h.src) && !contacted[h.src] && !s.lab.resolvers[h.src]
	}) {
		d := &Draft{src: g.src, port: firetrail.Absent, host: g.name, trail: g.trail}
		g.address(d)
		points := 1.0
		if s.lab.Sandbox(g.src) {
			points = 3
		}
		d.part("lookup", float64(g.count), 1, points, "%s of %q", plural(g.count, "lookup", "lookups"), g.name)
		d.title = "Metadata service asked for by name by " + g.src.String()
		d.benign = []string{"SDKs that probe for their cloud at start"}
		d.untested = []string{"whether it was contacted: link-local traffic is invisible to a perimeter sensor"}
		out = append(out, d)
	}
	return out
}
