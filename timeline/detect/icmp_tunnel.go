package detect

import (
	"context"
	"net/netip"
	"strconv"

	"firetrail"
)

// icmpTunnel looks for echo traffic to the internet that carries more than an echo:
// large packets (Elastic's 256 bytes), or sustained payloads of varying size.
var icmpTunnel = Detector{
	Name:   "icmp_tunnel",
	Title:  "data carried in ICMP echoes",
	Doc:    "ICMP from inside to an external peer with large or many payloads: bytes per packet, volume, packets.",
	Attack: []string{"T1095"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"size", 256, "bytes per packet, on average"},
		{"payload", 64, "bytes per packet that exceed an ordinary ping's, if sustained"},
		{"packets", 30, "packets that are sustained"},
		{"bytes", 100_000, "bytes in all that are much for ICMP"},
		{"length", 128, "length of a packet in a packet filter's record (LEN)"},
	},
	New: func(l *Lab, d *Detector) State {
		return &icmpState{lab: l, d: d, peers: map[[2]netip.Addr]*icmpPeer{}}
	},
}

type icmpPeer struct {
	src, dst      netip.Addr
	trail         trail
	bytes, pkts   int64
	lengths       map[int64]bool // of packets in packet filters' records, up to 64
	large, logged int64
	sum           int64
}

type icmpState struct {
	quota quota
	lab   *Lab
	d     *Detector
	peers map[[2]netip.Addr]*icmpPeer
}

func isICMP(proto string) bool { return proto == "icmp" || proto == "icmpv6" || proto == "ipv6-icmp" }

// Channel keeps outbound ICMP of some volume or number.
func (s *icmpState) Channel(c *Channel) {
	if !c.Out || !isICMP(c.Proto) || !s.sustained(c.Most.Events, c.Most.BytesOut+c.Most.BytesIn) && !s.lab.all {
		return
	}
	key := [2]netip.Addr{c.Src, c.Dst}
	if s.peers[key] == nil && s.quota.take(s.lab, s.d, c.Src) {
		s.peers[key] = &icmpPeer{src: c.Src, dst: c.Dst, trail: newTrail(), lengths: map[int64]bool{}}
	}
}

// sustained reports whether so many records, or so many bytes, are more than a few pings.
func (s *icmpState) sustained(events, bytes int64) bool {
	packets := s.lab.threshold(s.d, "packets")
	return float64(events) >= packets/3 || float64(bytes) >= packets*s.lab.threshold(s.d, "payload")
}

func (s *icmpState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for _, p := range s.peers {
		out = append(out, firetrail.Traffic{Src: p.src, Dst: p.dst, Port: firetrail.Absent})
	}
	return out
}

// Read takes the lengths of packets, which only single records give.
func (s *icmpState) Read(ctx context.Context, view View) error {
	wants := s.Wants()
	if len(wants) == 0 {
		return nil
	}
	for ev, err := range view.Traffic(ctx, wants, "time", "src_ip", "dst_ip", "proto", "x.LEN", "x.length", "x.datalen") {
		if err != nil {
			return err
		}
		if isICMP(ev.Proto) && ev.Time != firetrail.Absent {
			s.measure(ev)
		}
	}
	return nil
}

func (s *icmpState) measure(ev *firetrail.Event) {
	p := s.peers[[2]netip.Addr{ev.SrcIP, ev.DstIP}]
	v, ok := "", false
	for _, name := range [...]string{"LEN", "length", "datalen"} {
		if v, ok = ev.Get(name); ok {
			break
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if p == nil || !ok || err != nil {
		return
	}
	p.logged++
	p.sum += n
	if float64(n) > s.lab.threshold(s.d, "length") {
		p.large++
	}
	if len(p.lengths) < 64 {
		p.lengths[n] = true
	}
}

// Session adds up bytes and packets of both directions.
func (s *icmpState) Session(x *Session) {
	p := s.peers[[2]netip.Addr{x.Src, x.Dst}]
	if p == nil || !isICMP(x.Proto) {
		return
	}
	p.bytes += max(x.BytesOut, 0) + max(x.BytesIn, 0)
	p.pkts += max(x.PktsOut, 0) + max(x.PktsIn, 0)
	p.trail.add(x, float64(max(x.BytesOut, 0)), "")
}

func (s *icmpState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, func(a, b [2]netip.Addr) int {
		if c := a[0].Compare(b[0]); c != 0 {
			return c
		}
		return a[1].Compare(b[1])
	}) {
		if d := s.judge(s.peers[k]); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// judge scores a pair; nil for what pings look like.
func (s *icmpState) judge(p *icmpPeer) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	d := &Draft{src: p.src, dst: p.dst.String(), port: firetrail.Absent, trail: p.trail}
	if p.trail.start == firetrail.Absent || !s.sustained(max(p.trail.count, p.logged), p.bytes) {
		return nil
	}
	mean := float64(p.bytes) / float64(max(p.pkts, 1))
	switch {
	case p.pkts > 0 && mean >= t("size"):
		d.part("size", mean, t("size"), 3, "%.0f bytes per packet on average, over %d packets", mean, p.pkts)
	case p.pkts > 0 && mean > t("payload") && float64(p.pkts) >= t("packets"):
		d.part("payload", mean, t("payload"), 1.5, "%.0f bytes per packet over %d packets: more than a ping carries", mean, p.pkts)
	}
	if p.pkts > 0 && len(d.parts) > 0 && float64(p.bytes) >= t("bytes") {
		d.part("volume", float64(p.bytes), t("bytes"), 2, "%s in ICMP", size(p.bytes))
	}
	if float64(p.large) >= t("packets") {
		d.part("length", float64(p.sum)/float64(max(p.logged, 1)), t("length"), 2, "%d packets longer than %.0f bytes", p.large, t("length"))
		if len(p.lengths) >= 5 {
			d.part("variety", float64(len(p.lengths)), 5, 1, "of %d different lengths: pings are all alike", len(p.lengths))
		}
	}
	if len(d.parts) == 0 {
		return nil
	}
	s.lab.prevalenceParts(d, p.dst)
	if d.points() < 1 {
		return nil
	}
	d.title = "ICMP tunnel: " + p.src.String() + " and " + p.dst.String() + " exchanged " + size(max(p.bytes, p.sum)) + " in echoes"
	d.benign = []string{"path MTU tests with large packets", "monitoring with long pings"}
	return d
}
