package detect

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"firetrail"
)

// dnsTunnel looks for data carried in DNS questions. Every tool measured puts all of
// its questions under one registered domain, so the number of distinct names under
// one domain and source is the robust sign; lengths and entropy miss idle tunnels.
var dnsTunnel = Detector{
	Name:   "dns_tunnel",
	Title:  "data carried in DNS questions",
	Doc:    "Distinct names under one registered domain (by the public suffix list) and source: RITA's bounds, raised by rare query types, rate and length.",
	Attack: []string{"T1071.004", "T1048.003"},
	Needs:  []Need{NeedDNS},
	Defaults: []Setting{
		{"base", 100, "distinct names under one domain from which it counts"},
		{"low", 500, "distinct names"},
		{"medium", 800, "distinct names"},
		{"high", 1000, "distinct names"},
		{"rare", 0.5, "share of query types that carry data (NULL, TXT, KEY, CNAME, MX, SRV)"},
		{"rate", 60, "questions in a minute"},
		{"length", 50, "mean length of the names"},
		{"minutes", 10, "a DNS connection of this many minutes, where only volumes are known"},
		{"questions", 500, "DNS connections with one resolver outside from which their size counts, where only volumes are known"},
		{"size", 180, "mean bytes sent in each of them: a question with a name of the greatest length has about 300"},
		{"bytes", 10e6, "bytes sent to one resolver outside within an hour, where only volumes are known"},
	},
	New: func(l *Lab, d *Detector) State {
		return &dnsState{lab: l, d: d, zones: map[zoneKey]*zone{}, crowd: map[string]int64{}, volumes: map[peerKey]*dnsVolume{}}
	},
}

type zoneKey struct {
	src    netip.Addr
	domain string
}

// zone is what one source asked under one registered domain.
type zone struct {
	zoneKey
	resolver    netip.Addr
	names       map[uint64]bool // hashes of the names, up to maxNames
	questions   int64
	rare        int64
	missing     int64 // NXDOMAIN
	length      int64 // sum over the questions
	first, last int64
	minute      int64
	inMinute    int64
	peakMinute  int64
	longest     int64
	trail       trail
}

const (
	maxZones = 10_000  // that are looked into
	maxNames = 4096    // of one of them: four times the highest bound
	maxHeld  = 1 << 21 // of all of them
)

type dnsState struct {
	quota   quota
	lab     *Lab
	d       *Detector
	zones   map[zoneKey]*zone
	volumes map[peerKey]*dnsVolume
	held    int              // names of all zones
	crowd   map[string]int64 // inside sources that ask a lot under a domain
}

// Channel keeps outside resolvers by volume where no record has names.
func (s *dnsState) Channel(c *Channel) {
	if len(c.Hosts) == 0 && c.Out && (c.Port == 53 || dnsTunnelApp(c)) && (c.Timed || dnsTunnelApp(c)) {
		t := func(name string) float64 { return s.lab.threshold(s.d, name) }
		large := float64(c.Events) >= t("questions") && float64(c.BytesOut) >= t("size")*float64(c.Events)
		much := c.Longest >= int64(60e9*t("minutes")) || float64(c.Most.BytesOut) >= t("bytes") || s.lab.all
		if (large || much || dnsTunnelApp(c)) && s.quota.take(s.lab, s.d, c.Src) {
			k := peerKey{c.Src, c.Dst, c.Port}
			s.volumes[k] = &dnsVolume{peerKey: k, large: large, questions: c.Events, mean: c.BytesOut / max(c.Events, 1), named: dnsTunnelApp(c), trail: newTrail(), hours: map[int64]int64{}}
		}
	}
}

// dnsVolume is what can be said of DNS without names: how much, how long.
type dnsVolume struct {
	peerKey
	named bool // the sensor says that it is a tunnel
	large bool // many questions, and large ones

	questions, mean int64 // connections of the whole case, and bytes sent in one
	trail           trail
	longest         float64
	hours           map[int64]int64 // bytes sent by hour
}

// dnsTunnelApp reports a tunnel in DNS as PAN-OS App-ID names them.
func dnsTunnelApp(c *Channel) bool {
	return slices.ContainsFunc(c.Apps, func(a string) bool {
		switch strings.ToLower(a) {
		case "tcp-over-dns", "dns-tunnel", "iodine", "dnscat", "dnscat2", "dns2tcp":
			return true
		}
		return false
	})
}

func (s *dnsState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k := range s.volumes {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// Session adds up volumes, where no record names what was asked for.
func (s *dnsState) Session(x *Session) {
	v := s.volumes[peerKey{x.Src, x.Dst, x.DstPort}]
	if v == nil || x.Failed {
		return
	}
	v.trail.add(x, float64(max(x.BytesOut, 0)), "")
	v.longest = max(v.longest, x.Seconds())
	v.hours[x.Start/3600e9] += max(x.BytesOut, 0)
}

// judgeVolume scores DNS of which only volumes and durations are known.
func (s *dnsState) judgeVolume(v *dnsVolume) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	peak := int64(0)
	for _, n := range v.hours {
		peak = max(peak, n)
	}
	d := &Draft{src: v.src, dst: v.dst.String(), port: v.port, trail: v.trail}
	if v.named {
		d.part("application", 1, 1, 5, "the sensor identified a tunnel in DNS")
	}
	if v.longest >= 60*t("minutes") {
		d.part("duration", v.longest, 60*t("minutes"), 2, "a DNS connection lasted %s: questions take milliseconds", span(v.longest))
	}
	if float64(peak) >= t("bytes") {
		d.part("volume", float64(peak), t("bytes"), 2, "%s sent to one resolver within an hour", size(peak))
	}
	if v.large {
		d.part("size", float64(v.mean), t("size"), 3, "%d questions of %d bytes on average: ordinary ones have 60 to 100", v.questions, v.mean)
	}
	if s.lab.resolvers[v.src] {
		d.part("resolver", 1, 1, -2, "%s is a resolver: it asks for others", v.src)
	}
	if v.trail.start == firetrail.Absent || d.points() < 1 {
		return nil
	}
	d.title = "DNS tunnel: " + v.src.String() + " and the outside resolver " + v.dst.String()
	d.benign = []string{"a resolver of the lab that forwards", "a sensor that joins questions of one socket"}
	d.untested = []string{"the names asked for: no record of them was read"}
	return d
}

// Read looks for the domains under which a source asks for many names, and then into
// their questions. Sessions would hide questions that share a socket.
func (s *dnsState) Read(ctx context.Context, view View) error {
	count := newNameCount(int(s.lab.threshold(s.d, "base")))
	for ev, err := range view.Events(ctx, questions(), "src_ip", "host") {
		if err != nil {
			return err
		}
		if s.lab.Internal(ev.SrcIP) {
			count.add(ev.SrcIP, lowerHost(ev.Host))
		}
	}
	found := count.reached
	if count.full || len(found) > maxZones {
		s.lab.cut[s.d.Name] = fmt.Sprintf("counted names under the first %d domains of sources, and looked into %d: there were more", maxCounted, maxZones)
	}
	if len(found) == 0 {
		return nil
	}
	var sources []firetrail.Query
	var last netip.Addr
	for _, k := range found[:min(len(found), maxZones)] {
		s.zones[k] = &zone{zoneKey: k, names: map[uint64]bool{}, trail: newTrail()}
		if k.src != last {
			last = k.src
			sources = append(sources, firetrail.Exactly("src_ip", last.String()))
		}
	}
	for ev, err := range view.Events(ctx, firetrail.And(questions(), firetrail.Or(sources...)), questionFields...) {
		if err != nil {
			return err
		}
		if ev.Time != firetrail.Absent {
			s.question(ev)
		}
	}
	return nil
}

var questionFields = []string{"time", "end", "src_ip", "dst_ip", "host", "x.qtype_name", "x.qtype", "x.rcode_name"}

// questions selects the records that name what was asked for.
func questions() firetrail.Query {
	has := firetrail.Query{Op: firetrail.OpMatch, Field: "host", Match: firetrail.MatchHas}
	return firetrail.And(has, firetrail.Exactly("dst_port", "53"), firetrail.Not(kinds("iptables", "pf", "paloalto.traffic", "zeek.conn", "zeek.open_conn")))
}

// question takes one of a zone that is looked into.
func (s *dnsState) question(ev *firetrail.Event) {
	name := lowerHost(ev.Host)
	z := s.zones[zoneKey{ev.SrcIP, registered(name)}]
	if z == nil || z.domain == name {
		return
	}
	if z.questions == 0 {
		z.resolver, z.first = ev.DstIP, ev.Time
	}
	if h := hashOf(name); !z.names[h] && len(z.names) < maxNames && s.held < maxHeld {
		z.names[h] = true
		s.held++
	}
	z.questions++
	z.length += int64(len(name))
	z.last = ev.Time
	if m := ev.Time / 60e9; m != z.minute {
		z.minute, z.inMinute = m, 0
	}
	z.inMinute++
	z.peakMinute = max(z.peakMinute, z.inMinute)
	if dataType(ev) {
		z.rare++
	}
	if v, _ := ev.Get("rcode_name"); v == "NXDOMAIN" {
		z.missing++
	}
	weight := 0.0
	if n := int64(len(name)); n > z.longest {
		z.longest, weight = n, float64(n)
	}
	z.trail.span(ev.Time, ev.Last())
	z.trail.count++
	z.trail.sessions++
	z.trail.aim(ev.DstIP, 53, "", ev.Time)
	z.trail.prove(proofOf(ev, ""), weight)
}

// reputation are services that are asked about files, addresses and senders by names that carry
// them, as their vendors document.
var reputation = map[string]string{
	"sophosxl.net": "Sophos' lookups of files and addresses", "sophosxl.com": "Sophos' lookups of files and addresses",
	"mcafee.com": "Trellix' lookups of files", "trellix.com": "Trellix' lookups of files", "e5.sk": "ESET's lookups of files", "eset.com": "ESET's lookups of files",
	"surbl.org": "lists of names in mail", "uribl.com": "lists of names in mail", "spamhaus.org": "lists of senders", "spamhaus.net": "lists of senders",
	"cymru.com": "owners of addresses", "shadowserver.org": "owners of addresses", "rspamd.com": "digests of mail", "spamcop.net": "lists of senders", "barracudacentral.org": "lists of senders",
}

// registered gives the name's registered domain by the public suffix list; "" for
// names of local zones and reverse lookups, which tunnels do not use, and for questions
// about an address, as lists of addresses (DNSBL) are asked: nothing in them is of choice.
func registered(name string) string {
	if asksAddress(name) {
		return ""
	}
	for _, local := range [...]string{".arpa", ".local", ".localdomain", ".internal", ".lan", ".consul", ".corp", ".home"} {
		if strings.HasSuffix(name, local) {
			return ""
		}
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return ""
	}
	return domain
}

// asksAddress reports a name that begins with an address written backwards: four
// numbers below 256, or 32 hexadecimal digits, a label each.
func asksAddress(name string) bool {
	return leading(name, 10, 3) == 4 || leading(name, 16, 1) == 32
}

// leading counts the labels at the beginning that are bytes in the base, of at most so many digits.
func leading(name string, base, digits int) (n int) {
	for label := range strings.SplitSeq(name, ".") {
		if _, err := strconv.ParseUint(label, base, 8); err != nil || len(label) > digits {
			break
		}
		n++
	}
	return n
}

// dataType reports a query type that carries data and is rare in other use.
func dataType(ev *firetrail.Event) bool {
	v, ok := ev.Get("qtype_name")
	if !ok {
		v, _ = ev.Get("qtype")
	}
	switch v {
	case "NULL", "TXT", "KEY", "CNAME", "MX", "SRV", "PRIVATE":
		return true
	}
	n, err := strconv.Atoi(v)
	return err == nil && (n == 5 || n == 10 || n == 15 || n == 16 || n == 25 || n == 33 || n >= 65280)
}

func (s *dnsState) Findings() []*Draft {
	base := s.lab.threshold(s.d, "base")
	keys := sortedBy(s.zones, func(a, b zoneKey) int { return cmp.Or(a.src.Compare(b.src), strings.Compare(a.domain, b.domain)) })
	for _, k := range keys {
		if float64(len(s.zones[k].names)) >= base && !s.lab.resolvers[k.src] {
			s.crowd[k.domain]++
		}
	}
	var out []*Draft
	for _, k := range keys {
		if d := s.judge(s.zones[k]); d != nil {
			out = append(out, d)
		}
	}
	for _, k := range sortedBy(s.volumes, peerKey.compare) {
		if d := s.judgeVolume(s.volumes[k]); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// judge scores what one source asked under one domain.
func (s *dnsState) judge(z *zone) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	names := float64(len(z.names))
	score := round3(bucket(names, t("base"), t("low"), t("medium"), t("high")))
	if score == 0 || s.lab.resolvers[z.src] && s.crowd[z.domain] > 0 {
		return nil // what a resolver passes on is told of the client
	}
	d := &Draft{src: z.src, dst: z.resolver.String(), port: 53, host: z.domain, trail: z.trail}
	d.part("names", names, t("base"), FullScore*score, "%d distinct names under %s (RITA's score %.2f)", len(z.names), z.domain, score)
	if share := float64(z.rare) / float64(z.questions); share > t("rare") {
		d.part("types", round3(share), t("rare"), 1.2, "%.0f %% of the questions are of types that carry data", 100*share)
	}
	if float64(z.peakMinute) > t("rate") {
		d.part("rate", float64(z.peakMinute), t("rate"), 0.8, "up to %d questions in a minute", z.peakMinute)
	}
	mean := float64(z.length) / float64(z.questions)
	if mean >= t("length") {
		d.part("length", mean, t("length"), 0.8, "the names are %.0f characters long on average", mean)
	}
	if s.lab.resolvers[z.src] {
		d.part("resolver", 1, 1, -1, "%s is a resolver: it asks for others", z.src)
	}
	if n := s.crowd[z.domain]; n >= 3 {
		d.part("prevalence", float64(n), 3, -3, "%d inside hosts ask as much under it: a service that uses many names", n)
	}
	if what, ok := suffixOf(z.domain, reputation); ok {
		d.part("reputation", 1, 1, -4, "%s is asked for %s, which it carries in names", z.domain, what)
	}
	if len(d.parts) == 1 && score < .6 {
		d.part("plain", names, 0, -1, "short names, ordinary types and a low rate: content networks look like this too")
	}
	if d.points() < 1 {
		return nil
	}
	d.title = "DNS tunnel: " + z.src.String() + " asked for " + plural(int64(len(z.names)), "name", "names") + " under " + z.domain
	d.benign = []string{"content networks, reputation lists and telemetry that put data into names", "a resolver passing on the questions of many hosts"}
	if len(z.names) == maxNames {
		d.untested = []string{"the exact number of names: counting stopped"}
	}
	return d
}
