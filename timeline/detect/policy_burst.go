package detect

import (
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

// policyBurst looks for bursts of refused traffic from one inside source: the
// first sign of the incident that this program is made for. A count is held
// against the source's own past by its Poisson tail; a spread over many targets
// counts by itself; what many hosts are refused alike is told once, and low.
var policyBurst = Detector{
	Name:   "policy_burst",
	Title:  "a burst of policy violations",
	Doc:    "Refused attempts of one inside source within five minutes: improbable against its own trailing day, or spread over several targets. What many hosts are refused is told apart from it, and once.",
	Attack: nil,
	Needs:  []Need{NeedAction},
	Defaults: []Setting{
		{"minutes", 5, "the window"},
		{"tail", 1e-6, "probability of the count under the source's own mean, below which it is a burst"},
		{"mean", 0.2, "least mean of a window"},
		{"least", 6, "refused attempts in the window, at least"},
		{"count", 20, "refused attempts in the window that count by their spread"},
		{"targets", 5, "distinct targets (address and port) of a spread"},
		{"shared_hosts", 3, "inside hosts refused alike that make it a matter of policy"},
		{"shared_share", 0.25, "share of inside hosts that makes it a matter of policy"},
	},
	New: func(l *Lab, d *Detector) State {
		return &burstState{lab: l, d: d, sources: map[netip.Addr]*burstSource{}, common: map[netip.Addr]*burstSource{}, shared: map[target]int64{}, kept: map[target]int64{}}
	},
}

// burstMost bounds the points of a burst: what was refused has done no harm yet.
const burstMost = 6.5

const burstBuckets = 288 // five minutes each: a trailing day

type burstSource struct {
	src      netip.Addr
	total    int64    // refused attempts in phase 1
	most     int64    // the same by all sensors together
	refused  []target // what it was refused; beyond maxRefused everything is looked at
	first    int64
	last     int64
	window   window
	past     []int64 // refused attempts by five minutes, burstBuckets of them
	pastAt   int64   // bucket of the newest entry
	begun    bool
	episodes []*burstEpisode
}

type burstEpisode struct {
	trail   trail
	peak    int64   // most attempts in one window
	spread  int64   // distinct targets in the same sense
	tail    float64 // least probability
	mean    float64 // of the past, at the start
	targets map[target]int64
	inside  int64
	outside int64
	keen    int64
}

// maxRefused bounds the targets by which a source's refusals are asked for.
const maxRefused = 4096

type burstState struct {
	quota   quota
	lab     *Lab
	d       *Detector
	sources map[netip.Addr]*burstSource
	common  map[netip.Addr]*burstSource // the same sources at targets that much of the lab is refused
	shared  map[target]int64            // inside sources that were refused it
	kept    map[target]int64            // of those, the ones that kept trying
}

// noise are ports of discovery and broadcast chatter that firewalls refuse all day.
func noise(proto string, port int64) bool {
	switch port {
	case 67, 68, 137, 138, 1900, 5353, 5355, 546, 547, 3702:
		return proto == "udp" || proto == ""
	}
	return proto == "igmp" || proto == "2"
}

// Channel counts what inside sources were refused, and how many sources each target.
func (s *burstState) Channel(c *Channel) {
	if c.Denied == 0 || !s.lab.Internal(c.Src) || !Unicast(c.Src) || !Unicast(c.Dst) || c.Dst.IsLinkLocalUnicast() && !isMetadata(c.Dst) || noise(c.Proto, c.Port) {
		return
	}
	b := s.sources[c.Src]
	if b == nil {
		b = &burstSource{src: c.Src, first: c.First, last: c.Last}
		s.sources[c.Src] = b
	}
	b.total, b.most = b.total+c.Denied, b.most+c.Most.Denied
	if len(b.refused) <= maxRefused {
		b.refused = append(b.refused, target{c.Dst, c.Port})
	}
	if c.First != firetrail.Absent {
		if b.first == firetrail.Absent || c.First < b.first {
			b.first = c.First
		}
		b.last = max(b.last, c.Last)
	}
	if k := (target{c.Dst, c.Port}); len(s.shared) < 1<<18 || s.shared[k] > 0 {
		if s.shared[k]++; float64(c.Denied) >= s.lab.threshold(s.d, "count") {
			s.kept[k]++
		}
	}
}

func (s *burstState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for _, src := range sortedBy(s.sources, netip.Addr.Compare) {
		b := s.sources[src]
		if float64(b.most) < s.lab.threshold(s.d, "least") && !s.lab.all || !s.quota.take(s.lab, s.d, src) {
			delete(s.sources, src)
			continue
		}
		if len(b.refused) > maxRefused {
			out = append(out, firetrail.Traffic{Src: src, Port: firetrail.Absent})
		} else {
			for _, k := range b.refused {
				out = append(out, firetrail.Traffic{Src: src, Dst: k.ip, Port: k.port})
			}
		}
		b.refused = nil
	}
	return out
}

// Session moves the window over a source's refused attempts and holds its count
// against the past; retransmissions of one attempt are one session.
func (s *burstState) Session(x *Session) {
	b := s.sources[x.Src]
	if b != nil && s.policyOf(target{x.Dst, x.DstPort}) {
		if s.common[x.Src] == nil {
			s.common[x.Src] = &burstSource{src: b.src, total: b.total, first: b.first, last: b.last}
		}
		b = s.common[x.Src]
	}
	if b == nil || !x.Denied || x.Reply || !Unicast(x.Dst) || x.Dst.IsLinkLocalUnicast() && !isMetadata(x.Dst) || noise(x.Proto, x.DstPort) {
		return
	}
	span := int64(60e9 * s.lab.threshold(s.d, "minutes"))
	b.window.push(x, span)
	n := len(b.episodes)
	running := n > 0 && x.Start-b.episodes[n-1].trail.end <= span
	if running {
		e := b.episodes[n-1]
		e.trail.add(x, s.telling(x), "")
		e.note(x.Dst, x.DstPort, s.lab)
	}
	count, spread := int64(len(b.window.held())), b.window.distinct()
	mean := max(s.lab.threshold(s.d, "mean"), b.mean(x.Start, span, s.lab))
	tail := 1.0
	if float64(count) >= s.lab.threshold(s.d, "least") {
		tail = poissonTail(count, mean)
	}
	burst := tail < s.lab.threshold(s.d, "tail") ||
		float64(count) >= s.lab.threshold(s.d, "count") && float64(spread) >= s.lab.threshold(s.d, "targets")
	if burst && !running {
		e := &burstEpisode{trail: newTrail(), targets: map[target]int64{}, tail: tail, mean: mean}
		for _, c := range b.window.held() {
			e.trail.recall(c)
			e.note(c.dst.ip, c.dst.port, s.lab)
		}
		b.episodes = append(b.episodes, e)
		n++
	}
	if n > 0 && burst {
		e := b.episodes[n-1]
		e.peak, e.spread, e.tail = max(e.peak, count), max(e.spread, spread), min(e.tail, tail)
	}
	b.remember(x.Start, span)
}

// telling prefers what is graver: ports into hosts, mining, SSH, metadata.
func (s *burstState) telling(x *Session) float64 {
	if remotePorts[x.DstPort] || minePorts[x.DstPort] || isMetadata(x.Dst) {
		return 1
	}
	return 0
}

// note counts a target, and of what sort it is.
func (e *burstEpisode) note(ip netip.Addr, port int64, l *Lab) {
	k := target{ip, port}
	if len(e.targets) >= maxSeen && e.targets[k] == 0 {
		return
	}
	e.targets[k]++
	if e.targets[k] > 1 {
		return
	}
	if l.Internal(ip) {
		e.inside++
	} else {
		e.outside++
	}
	if remotePorts[port] || minePorts[port] || isMetadata(ip) {
		e.keen++
	}
}

// remember counts an attempt into the ring of five-minute buckets.
func (b *burstSource) remember(t, step int64) {
	now := t / step
	if !b.begun {
		b.begun, b.pastAt, b.past = true, now, make([]int64, burstBuckets)
	}
	for ; b.pastAt < now; b.pastAt++ {
		if now-b.pastAt > burstBuckets {
			clear(b.past)
			b.pastAt = now
			break
		}
		b.past[(b.pastAt+1)%burstBuckets] = 0
	}
	b.past[now%burstBuckets]++
}

// mean is the source's refused attempts a window over the trailing day, the
// window at hand left out. With less than six hours of past the source's rate over
// the whole case stands in, so that what goes on all the time is no burst at the
// beginning of the data.
func (b *burstSource) mean(t, step int64, l *Lab) float64 {
	now := t / step
	known := int64(burstBuckets)
	if l.First != firetrail.Absent {
		known = min(known, now-l.First/step-1)
	}
	if known < 72 {
		windows := (l.Last - l.First) / step
		if windows < 72 {
			return 0
		}
		return float64(b.total) / float64(windows)
	}
	sum := int64(0)
	for i := now - 2; i > now-2-known && b.begun && i > b.pastAt-burstBuckets; i-- {
		if i <= b.pastAt {
			sum += b.past[((i%burstBuckets)+burstBuckets)%burstBuckets]
		}
	}
	return float64(sum) / float64(known)
}

// poissonTail is P(X >= k) for X ~ Poisson(mean) where k exceeds the mean, and 1
// elsewhere: only small tails are asked for.
func poissonTail(k int64, mean float64) float64 {
	if float64(k) <= mean {
		return 1
	}
	lg, _ := math.Lgamma(float64(k) + 1)
	term := math.Exp(float64(k)*math.Log(mean) - mean - lg) // P(X = k); the rest falls off geometrically
	sum := term
	for i := k + 1; term > sum*1e-12 && i < k+10000; i++ {
		term *= mean / float64(i)
		sum += term
	}
	return min(sum, 1)
}

func (s *burstState) Findings() []*Draft {
	var out []*Draft
	common := map[target]*sharedBurst{}
	var all []*burstSource
	for _, src := range sortedBy(s.sources, netip.Addr.Compare) {
		if all = append(all, s.sources[src]); s.common[src] != nil {
			all = append(all, s.common[src])
		}
	}
	for _, b := range all {
		src := b.src
		for _, e := range b.episodes {
			if k, ok := s.policy(e); ok {
				g := common[k]
				if g == nil {
					g = &sharedBurst{trail: newTrail()}
					common[k] = g
				}
				g.add(src, e)
				continue
			}
			if d := s.judge(b, e); d != nil {
				out = append(out, d)
			}
		}
	}
	for _, k := range sortedBy(common, target.compare) {
		out = append(out, s.judgeShared(k, common[k]))
	}
	return out
}

// policy reports whether nine of ten refusals of the episode went to targets that
// many inside hosts are refused, and gives the foremost of them.
func (s *burstState) policy(e *burstEpisode) (target, bool) {
	total, shared := int64(0), int64(0)
	var foremost target
	most := int64(0)
	for _, k := range sortedBy(e.targets, target.compare) {
		n, hosts := e.targets[k], s.shared[k]
		total += n
		if s.policyOf(k) || hosts >= manyHosts {
			shared += n
			if n > most {
				foremost, most = k, n
			}
		}
	}
	return foremost, total > 0 && 10*shared >= 9*total
}

// policyOf reports a target that so much of the lab is refused, or so many hosts again and
// again, that it is no part of what a single source tries.
func (s *burstState) policyOf(k target) bool {
	return float64(s.shared[k]) >= max(s.lab.threshold(s.d, "shared_hosts"), s.lab.threshold(s.d, "shared_share")*float64(s.lab.Hosts)) ||
		s.kept[k] >= manyHosts
}

// sharedBurst is what many hosts are refused alike.
type sharedBurst struct {
	trail   trail
	sources []netip.Addr
}

func (g *sharedBurst) add(src netip.Addr, e *burstEpisode) {
	g.trail.merge(&e.trail)
	if i, found := slices.BinarySearchFunc(g.sources, src, netip.Addr.Compare); !found {
		g.sources = slices.Insert(g.sources, i, src)
	}
}

// judgeShared tells once what many hosts are refused alike.
func (s *burstState) judgeShared(k target, g *sharedBurst) *Draft {
	d := &Draft{dst: k.ip.String(), port: k.port, trail: g.trail, sources: g.sources}
	if len(g.sources) == 1 {
		d.src, d.sources = g.sources[0], nil
	}
	hosts := s.shared[k]
	d.part("refused", float64(g.trail.count), 1, 2, "%s in bursts", plural(g.trail.count, "refused record", "refused records"))
	d.part("shared", float64(hosts), s.lab.threshold(s.d, "shared_hosts"), -1, "%d inside hosts are refused the same: one rule that does not fit, rather than as many attacks", hosts)
	d.title = plural(hosts, "inside host is", "inside hosts are") + " refused " + endpoint(k.ip, k.port) + ": likely one rule that does not fit"
	d.benign = []string{"a service that the policy forgot: telemetry, updates, a mirror", "a rule change"}
	return d
}

// judge scores an episode of one source.
func (s *burstState) judge(b *burstSource, e *burstEpisode) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	d := &Draft{src: b.src, port: firetrail.Absent, trail: e.trail, dst: e.trail.cover()}
	targets := int64(len(e.targets))
	if ports := portsOf(&e.trail); len(ports) == 1 {
		d.port = ports[0]
	}
	if e.tail < t("tail") {
		points := 1.0
		if e.tail < t("tail")*t("tail") && targets > 1 {
			points = 2
		}
		d.part("surprise", float64(e.peak), math.Ceil(e.mean), points, "%d refused attempts within %.0f min, where its own past has %.2g: probability below %.0e",
			e.peak, t("minutes"), e.mean, max(e.tail, 1e-99))
	}
	if float64(e.peak) >= t("count") && float64(e.spread) >= t("targets") {
		d.part("spread", float64(e.spread), t("targets"), 2, "%d attempts at %d distinct targets within %.0f min", e.peak, e.spread, t("minutes"))
		if e.spread >= 4*int64(t("targets")) {
			d.part("wide spread", float64(e.spread), 4*t("targets"), 1, "that is a search, not an application")
		}
	}
	if ports := portsOf(&e.trail); e.inside > 0 && e.outside > 0 && len(ports) >= 3 {
		d.part("mixture", float64(len(ports)), 3, 1, "inside and internet targets alike, on %d ports", len(ports))
	}
	if e.keen > 0 && targets > 1 {
		d.part("ports", float64(e.keen), 1, 1, "%d of the targets are ports that lead into hosts, mining ports or metadata services", e.keen)
	}
	if float64(e.peak) <= 2*e.mean {
		d.part("steady", e.mean, float64(e.peak)/2, -2, "it is refused about as much all the time (%.3g a window)", e.mean)
	}
	if points := d.points(); points > burstMost {
		d.part("outcome", points, burstMost, burstMost-points, "nothing of it got through: by itself never critical")
	}
	if d.points() < 1 {
		return nil
	}
	d.title = "Burst of " + plural(e.trail.sessions, "refused attempt", "refused attempts") + " by " + b.src.String() + " at " + plural(targets, "target", "targets")
	d.benign = []string{"an application whose egress nobody allowed", "a rule change", "a package manager trying its mirrors"}
	d.attack = burstTechniques(e)
	return d
}

// burstTechniques derives ATT&CK techniques from what was refused.
func burstTechniques(e *burstEpisode) []string {
	var out []string
	for k := range e.targets {
		if isMetadata(k.ip) {
			out = append(out, "T1552.005")
		}
		if minePorts[k.port] {
			out = append(out, "T1496")
		}
	}
	if e.inside >= 5 {
		out = append(out, "T1046")
	}
	return out
}
