package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// bulkEgress looks for much that leaves to one peer. The volume is Slips' shipped
// value (500 MB an hour to one peer); the second rule compares a peer with the
// source's own other peers.
var bulkEgress = Detector{
	Name:   "bulk_egress",
	Title:  "a large volume sent to one peer in the internet",
	Doc:    "Bytes sent to one external peer: over a volume in any hour, or far beyond what this source sends to its other peers, however slowly and to however few at once. What comes back over UDP as much as it goes is a call. A store that many hosts send to is told once; checkpoint stores belong on the allow list.",
	Attack: []string{"T1041", "T1048", "T1567"},
	Needs:  []Need{NeedBytes},
	Defaults: []Setting{
		{"bytes", 500e6, "bytes sent to one peer within an hour"},
		{"factor", 5, "times the source's own 99th percentile over its other peers"},
		{"floor", 50e6, "bytes below which the factor does not count"},
		{"others", 10, "other peers needed for a percentile"},
	},
	New: func(l *Lab, d *Detector) State {
		return &bulkState{lab: l, d: d, peers: map[[2]netip.Addr][]*bulkPeer{}}
	},
}

// bulkStep is the grain of the hour: bytes of a session are spread evenly over it.
const (
	bulkStep  = int64(300e9)
	bulkSteps = int64(3600e9) / bulkStep
)

type bulkPeer struct {
	src, dst netip.Addr
	total    int64
	most     int64 // by all sensors together
	p99      int64 // over the source's other peers, 0 unknown
	hosts    []string
	steps    map[int64]float64 // bytes by step of time
	in       int64
	sent     int64
	heavy    int64            // of them, in sessions of heavySession and more
	udp      bool             // all sessions are UDP
	counted  map[string]int64 // bytes counted of a connection, by its id
	ports    map[int64]bool
	trail    trail
	loads    trail // of the heavy sessions
	open     bool
}

// heavySession is from how many bytes sent a session is a load of its own. Where such make
// nearly all of a volume, the contacts between them are no part of it.
const heavySession = 1e6

// newBulkPeer begins an episode with what is known of the peer.
func newBulkPeer(known bulkPeer) *bulkPeer {
	known.steps, known.ports, known.trail = map[int64]float64{}, map[int64]bool{}, newTrail()
	known.counted, known.loads, known.udp = map[string]int64{}, newTrail(), true
	return &known
}

type bulkState struct {
	quota quota
	lab   *Lab
	d     *Detector
	peers map[[2]netip.Addr][]*bulkPeer // episodes of a peer, in time order
	// the source at hand in phase 1
	src     netip.Addr
	dst     netip.Addr
	sum     int64
	most    int64 // the same by all sensors together
	names   []string
	volumes []int64 // by peer
	big     []*bulkPeer
}

// Channel sums what the source at hand sent to the peer at hand, over all ports.
func (s *bulkState) Channel(c *Channel) {
	if c.Src != s.src {
		s.closeSource()
		s.src = c.Src
	}
	if c.Dst != s.dst {
		s.closePeer()
		s.dst = c.Dst
	}
	if c.Out {
		s.sum, s.most = s.sum+c.BytesOut, s.most+c.Most.BytesOut
		s.names = union(s.names, c.Hosts)
	}
}

// closePeer notes the peer's volume and, from the floor on, the peer.
func (s *bulkState) closePeer() {
	if s.sum > 0 {
		s.volumes = append(s.volumes, s.sum)
	}
	if float64(s.most) >= s.lab.threshold(s.d, "floor") || s.lab.all && s.most > 0 {
		s.big = append(s.big, newBulkPeer(bulkPeer{src: s.src, dst: s.dst, total: s.sum, most: s.most, hosts: slices.Clone(s.names)}))
	}
	s.sum, s.most, s.dst, s.names = 0, 0, netip.Addr{}, s.names[:0]
}

// closeSource keeps those peers of the source that can satisfy a rule.
func (s *bulkState) closeSource() {
	s.closePeer()
	slices.Sort(s.volumes)
	far, usual := s.outliers()
	for _, p := range s.big {
		if n := len(s.volumes) - 1; n >= int(s.lab.threshold(s.d, "others")) {
			i, _ := slices.BinarySearch(s.volumes, p.total)
			others := slices.Delete(slices.Clone(s.volumes), i, i+1)
			p.p99 = others[(len(others)-1)*99/100]
		}
		if usual > 0 && p.total >= far {
			p.p99 = usual
		}
		outlier := p.p99 > 0 && float64(p.most) > s.lab.threshold(s.d, "factor")*float64(p.p99)
		if (outlier || float64(p.most) > s.lab.threshold(s.d, "bytes") || s.lab.all) && s.quota.take(s.lab, s.d, p.src) {
			s.peers[[2]netip.Addr{p.src, p.dst}] = []*bulkPeer{p}
		}
	}
	s.volumes, s.big = s.volumes[:0], s.big[:0]
}

// maxOutliers is to how many peers at once a source may send far more than to the others.
const maxOutliers = 8

// outliers finds the most peers of the source at hand, up to maxOutliers, each of which
// got far more than the 99th percentile of all others: taken one by one they would hide each
// other. It gives the least volume of them and that percentile, or 0 and 0.
func (s *bulkState) outliers() (far, p99 int64) {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	for k := 1; k <= maxOutliers && len(s.volumes)-k >= int(t("others")); k++ {
		rest := s.volumes[:len(s.volumes)-k]
		least, usual := s.volumes[len(s.volumes)-k], rest[(len(rest)-1)*99/100]
		if float64(least) < t("floor") {
			break
		}
		if float64(least) > t("factor")*float64(usual) {
			far, p99 = least, usual
		}
	}
	return far, p99
}

func (s *bulkState) Wants() []firetrail.Traffic {
	s.closeSource()
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k[0], Dst: k[1], Port: firetrail.Absent})
	}
	return out
}

// Session spreads a session's bytes over its time.
func (s *bulkState) Session(x *Session) {
	k := [2]netip.Addr{x.Src, x.Dst}
	episodes := s.peers[k]
	if len(episodes) == 0 || x.BytesOut <= 0 {
		return
	}
	p := episodes[len(episodes)-1]
	if p.trail.paused(x, episodeGap) {
		p = newBulkPeer(bulkPeer{src: p.src, dst: p.dst, p99: p.p99, hosts: p.hosts})
		s.peers[k] = append(episodes, p)
	}
	sent := x.BytesOut - p.counted[x.UID] // a connection that runs stands in several rows
	if x.UID != "" && (x.Listed || len(p.counted) < 1024) {
		p.counted[strings.Clone(x.UID)] = max(x.BytesOut, p.counted[x.UID])
	}
	if sent <= 0 {
		return
	}
	p.open = x.Open()
	p.sent += sent
	p.in += max(x.BytesIn, 0)
	p.ports[x.DstPort] = true
	p.udp = p.udp && x.Proto == "udp"
	p.trail.add(x, float64(sent), "")
	if sent >= heavySession {
		p.heavy += sent
		p.loads.add(x, float64(sent), "")
	}
	first, last := x.Start/bulkStep, max(x.Start, x.End)/bulkStep
	share := float64(sent) / float64(last-first+1)
	for i := first; i <= last && i-first < 24*365*bulkSteps; i++ {
		p.steps[i] += share
	}
}

// peak is the largest volume of any hour.
func (p *bulkPeer) peak() (most float64) {
	for i := range p.steps {
		sum := 0.0
		for j := range bulkSteps {
			sum += p.steps[i+j]
		}
		most = max(most, sum)
	}
	return most
}

func (s *bulkState) Findings() []*Draft {
	var all []*bulkPeer
	for _, k := range sortedBy(s.peers, func(a, b [2]netip.Addr) int {
		return cmp.Or(a[0].Compare(b[0]), a[1].Compare(b[1]))
	}) {
		for _, p := range s.slowly(s.peers[k]) {
			if float64(p.sent) > s.lab.threshold(s.d, "floor") {
				all = append(all, p)
			}
		}
	}
	callAlike(all)
	routine := routinesOf(all)
	var out []*Draft
	stores := map[string][]*bulkPeer{}
	for _, p := range all {
		if r := routine[p.name()]; len(r.sources) >= manyHosts {
			stores[p.name()] = append(stores[p.name()], p)
		} else if d := s.judge(p, r); d != nil {
			out = append(out, d)
		}
	}
	for _, name := range sortedKeys(stores) {
		out = append(out, s.store(stores[name], routine[name])...)
	}
	return out
}

// slowly makes one of a peer's episodes where none of them reaches the volume of an hour: what
// is far beyond the other peers is then the sum.
func (s *bulkState) slowly(episodes []*bulkPeer) []*bulkPeer {
	if len(episodes) < 2 || episodes[0].p99 == 0 || slices.ContainsFunc(episodes, func(p *bulkPeer) bool { return p.peak() > s.lab.threshold(s.d, "bytes") }) {
		return episodes
	}
	one := newBulkPeer(*episodes[0])
	one.sent, one.in, one.heavy = 0, 0, 0
	var trails, loads []*trail
	for _, p := range episodes {
		one.sent, one.in, one.heavy, one.udp, one.open = one.sent+p.sent, one.in+p.in, one.heavy+p.heavy, one.udp && p.udp, p.open
		for i, n := range p.steps {
			one.steps[i] += n
		}
		for port := range p.ports {
			one.ports[port] = true
		}
		trails, loads = append(trails, &p.trail), append(loads, &p.loads)
	}
	one.trail.merge(trails...)
	one.loads.merge(loads...)
	return []*bulkPeer{one}
}

// callAlike gives the peers that no record of their own names the lowest name that others use
// for the address.
func callAlike(all []*bulkPeer) {
	names := map[netip.Addr]string{}
	for _, p := range all {
		if old, known := names[p.dst]; len(p.hosts) > 0 && (!known || p.hosts[0] < old) {
			names[p.dst] = p.hosts[0]
		}
	}
	for _, p := range all {
		if name, known := names[p.dst]; known && len(p.hosts) == 0 {
			p.hosts = []string{name}
		}
	}
}

// store tells once of the volumes that many hosts send to one peer: a store of the lab. What
// goes far beyond the usual of them is told by itself.
func (s *bulkState) store(all []*bulkPeer, r *routine) []*Draft {
	peaks := make([]float64, 0, len(all))
	for _, p := range all {
		peaks = append(peaks, p.peak())
	}
	slices.Sort(peaks)
	usual := s.lab.threshold(s.d, "factor") * peaks[(len(peaks)-1)*95/100]
	var out []*Draft
	var lead *Draft
	var others []*trail
	for _, p := range all {
		d := s.judge(p, r)
		switch {
		case d == nil:
		case p.peak() > usual:
			d.part("beyond", p.peak(), usual, 2, "over %g times as much as 95 of 100 such volumes", s.lab.threshold(s.d, "factor"))
			out = append(out, d)
		case lead == nil || d.points() > lead.points():
			if lead != nil {
				others = append(others, &lead.trail)
			}
			lead = d
		default:
			others = append(others, &d.trail)
		}
	}
	if lead == nil {
		return out
	}
	lead.trail.merge(others...)
	lead.sources = slices.DeleteFunc(sortedBy(r.sources, netip.Addr.Compare), s.lab.translated)
	lead.title = plural(int64(len(lead.sources)), "inside host sends", "inside hosts send") + " large volumes to " + cmp.Or(lead.host, lead.dst) + ", " +
		plural(int64(len(others)+1), "time", "times") + ": a store of the lab"
	lead.src, lead.open = netip.Addr{}, false
	return append(out, lead)
}

// routine is what is known of the volumes sent to one name, whatever its addresses:
// a store in the internet answers at many.
type routine struct {
	sources map[netip.Addr]int // episodes by source
}

// routinesOf counts the episodes of each name and source. Episodes of one source
// that overlap are one: a client spreads an upload over addresses.
func routinesOf(all []*bulkPeer) map[string]*routine {
	out := map[string]*routine{}
	last := map[string]int64{}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *bulkPeer) int { return cmp.Compare(a.trail.start, b.trail.start) })
	for _, p := range sorted {
		name := p.name()
		if out[name] == nil {
			out[name] = &routine{map[netip.Addr]int{}}
		}
		key := p.src.String() + " " + name
		if end, known := last[key]; !known || p.trail.start > end+episodeGap {
			out[name].sources[p.src]++
		}
		last[key] = max(last[key], p.trail.end)
	}
	return out
}

// name is what the peer is called, its address if nothing calls it anything.
func (p *bulkPeer) name() string {
	if len(p.hosts) == 0 {
		return p.dst.String()
	}
	return p.hosts[0]
}

// objectStores are the domains at which clouds let buckets: where checkpoints go,
// though anybody may rent one.
var objectStores = map[string]bool{
	"amazonaws.com": true, "storage.googleapis.com": true, "blob.core.windows.net": true, "r2.cloudflarestorage.com": true,
	"aliyuncs.com": true, "myqcloud.com": true, "digitaloceanspaces.com": true, "backblazeb2.com": true, "wasabisys.com": true,
	"objectstorage.oraclecloud.com": true, "oraclecloud.com": true, "huggingface.co": true, "hf.co": true, "wandb.ai": true,
}

// usual scores what speaks for an upload that the lab makes all the time.
func (r *routine) usual(d *Draft, p *bulkPeer) {
	if n := len(r.sources); n >= 3 {
		points := -1.5
		if n >= manyHosts {
			points = -3
		}
		d.part("shared", float64(n), 3, points, "%d inside hosts send such volumes to %s: a store of the lab", n, p.name())
	}
	if n := r.sources[p.src]; n >= 3 {
		d.part("routine", float64(n), 3, -1.5, "this host sent such volumes to %s %d times", p.name(), n)
	}
	if _, ok := suffixOf(p.name(), objectStores); ok {
		d.part("store", 1, 1, -1, "%s is a name of an object store: where checkpoints go, though anybody may rent one", p.name())
	}
}

// judge scores an episode; nil where neither rule holds.
func (s *bulkState) judge(p *bulkPeer, usual *routine) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	if p.udp && 4*p.in >= p.sent { // a call, a game
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: firetrail.Absent, trail: p.trail, open: p.open}
	if 20*p.heavy >= 19*p.sent {
		d.trail = p.loads
	}
	if ports := sortedKeys(p.ports); len(ports) == 1 {
		d.port = ports[0]
	}
	if len(p.hosts) > 0 {
		d.host = p.hosts[0]
	}
	peak := p.peak()
	if peak > t("bytes") {
		d.part("volume", peak, t("bytes"), 3, "%s sent within an hour", size(int64(peak)))
	}
	if peak > 10*t("bytes") {
		d.part("large volume", peak, 10*t("bytes"), 1, "that is over %s", size(int64(10*t("bytes"))))
	}
	if p.p99 > 0 && float64(p.sent) > t("factor")*float64(p.p99) && float64(p.sent) > t("floor") {
		d.part("outlier", float64(p.sent), t("factor")*float64(p.p99), 1.5, "%s, against %s for the 99th percentile of this source's other peers", size(p.sent), size(p.p99))
	}
	if len(d.parts) == 0 {
		return nil
	}
	switch n := s.lab.Prevalence(p.dst); {
	case n == 1 && len(usual.sources) == 1:
		d.part("prevalence", 1, 1, 1, "no other inside host contacts %s", p.dst)
	case n >= 4 && 2*n >= s.lab.Hosts:
		d.part("prevalence", float64(n), float64(s.lab.Hosts)/2, -1.5, "%d of %d inside hosts contact it: a service of the lab", n, s.lab.Hosts)
	}
	usual.usual(d, p)
	if len(p.hosts) == 0 {
		d.part("nameless", 1, 1, 0.5, "no record names the peer")
	}
	if p.in > p.sent {
		d.part("download", float64(p.in), float64(p.sent), -1.5, "more was received than sent (%s)", size(p.in))
	}
	d.title = "Bulk egress: " + p.src.String() + " sent " + size(p.sent) + " to " + endpoint(p.dst, d.port)
	if d.host != "" {
		d.title += " (" + d.host + ")"
	}
	d.benign = []string{"checkpoints, datasets or logs sent to a store of the lab that is not on the allow list", "backups"}
	return d
}
