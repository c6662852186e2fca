package detect

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// beacon looks for contacts at regular intervals, by RITA's formula: regularity of
// the intervals and of the sizes, spread over the day, evenness of its histogram.
// Evenly spread traffic scores high without any beacon, so that the peer's
// prevalence weighs in and the sub-scores are told.
var beacon = Detector{
	Name:   "beacon",
	Title:  "contacts at regular intervals",
	Doc:    "RITA's beacon score of a source and an external peer by address or by name, over the last day of their contacts, or over their own life of an hour or more; questions in DNS of types that carry data; contacts at random, NTP, DNS and what much of the lab contacts are left out.",
	Attack: []string{"T1071"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"contacts", 10, "distinct seconds with a contact, at least"},
		{"score", 0.8, "beacon score from which it is told"},
		{"time", 0.65, "score of the intervals alone, at least"},
		{"chance", 1e-5, "probability with which contacts at random times have intervals as even, at most"},
		{"common", 0.3, "share of inside hosts that contact the peer, from which it is the lab's own service"},
	},
	New: func(l *Lab, d *Detector) State {
		return &beaconState{lab: l, d: d, seen: map[peerKey]beaconSpan{}, peers: map[peerKey]*beaconPeer{}, names: newBeaconNames(), polls: map[zoneKey]*dnsPoll{}}
	},
}

const (
	beaconWindow = int64(86400)
	maxContacts  = 6000      // a contact every 14 s for a day; more often is no beacon but a stream
	beaconRoom   = 192 << 20 // bytes for the contacts of all candidates
	maxSpans     = 1 << 19   // peers of phase 1, some 150 bytes each
	beaconLeast  = 600       // seconds from the first to the last contact, at least
)

// beaconSpan is what flows say of a peer's contacts.
type beaconSpan struct {
	host        string
	events      int64
	first, last int64 // seconds
}

type beaconPeer struct {
	peerKey
	beaconSpan
	times []uint32 // seconds since the beginning of the data, by session
	sizes []uint32 // bytes sent, where recorded
	stood float64  // seconds for which those contacts lasted
	trail trail
	hits  map[netip.Addr]int64 // contacts by address, of a peer that is a name; its dst is then invalid
}

type beaconState struct {
	lab   *Lab
	d     *Detector
	seen  map[peerKey]beaconSpan // in phase 1
	peers map[peerKey]*beaconPeer
	names beaconNames
	polls map[zoneKey]*dnsPoll
	left  int // candidates that there was no room for
}

// Channel keeps outbound peers with enough contacts, over time enough, that mostly succeed.
func (s *beaconState) Channel(c *Channel) {
	if !c.Out || c.Port == 123 || c.Port == 53 || c.Port == 853 || isICMP(c.Proto) || 2*c.Failed > c.Events || c.First == firetrail.Absent {
		return
	}
	s.names.note(c)
	enough := float64(c.Most.Events) >= s.lab.threshold(s.d, "contacts") && c.Last/1e9-c.First/1e9 >= beaconLeast
	k := peerKey{c.Src, c.Dst, c.Port}
	p, known := s.seen[k]
	switch {
	case !known && (!enough || s.lab.visits.many(c.Dst)) && !s.lab.all:
		return
	case !known && len(s.seen) == maxSpans:
		s.left++
		return
	case !known:
		p.first = c.First / 1e9
	}
	p.first, p.last, p.events = min(p.first, c.First/1e9), max(p.last, c.Last/1e9), p.events+c.Most.Events
	if len(c.Hosts) > 0 && p.host == "" {
		p.host = strings.Clone(c.Hosts[0])
	}
	s.seen[k] = p
}

// worth reports whether contacts that go on for so long can score. RITA's histogram and
// duration are 0 with less than six bins of its window in use, which leaves half of the
// score, so that what lives for less has to be scored over its own life.
func (s *beaconState) worth(p *beaconSpan) bool {
	lo, hi := s.window(p.last)
	return p.last-p.first >= min(beaconLife, 4*(hi-lo)/beaconBins)
}

// window is the last day of the data, or the day up to a last contact that lies before, seconds.
func (s *beaconState) window(last int64) (lo, hi int64) {
	hi = s.lab.End() / 1e9
	if last < hi-beaconWindow {
		hi = last
	}
	return max(hi-beaconWindow, s.lab.First/1e9), hi
}

// Wants leaves out what much of the lab contacts, and, where there is no room for all
// contacts of the rest, the peers with most visitors first, of those the ones of the shortest life.
func (s *beaconState) Wants() []firetrail.Traffic {
	var chosen []*beaconPeer
	for k, p := range s.seen {
		if s.worth(&p) && !s.common(s.lab.leastPrevalence(k.dst)) || s.lab.all {
			chosen = append(chosen, &beaconPeer{peerKey: k, beaconSpan: p, trail: newTrail()})
		}
	}
	s.seen = nil
	chosen = append(chosen, s.namesWanted()...)
	s.left += s.names.left
	slices.SortFunc(chosen, func(a, b *beaconPeer) int {
		return cmp.Or(cmp.Compare(s.visitors(a), s.visitors(b)), cmp.Compare(b.last-b.first, a.last-a.first), a.compare(b.peerKey), strings.Compare(a.host, b.host))
	})
	var out []firetrail.Traffic
	room := int64(beaconRoom)
	for _, p := range chosen {
		if room -= p.size(); room < 0 {
			s.left++
			continue
		}
		from := (p.last-beaconWindow)*1e9 - 3600e9 // an hour more, so that no session is cut
		if p.events <= maxContacts {               // all of them, so that its beginning is known
			from = 0
		}
		if p.hits != nil {
			s.names.peers[nameKey{p.src, p.host, p.port}] = p
			for dst := range p.hits {
				out = append(out, firetrail.Traffic{Src: p.src, Dst: dst, Port: p.port, From: max(from, 0)})
			}
			continue
		}
		s.peers[p.peerKey] = p
		out = append(out, firetrail.Traffic{Src: p.src, Dst: p.dst, Port: p.port, From: max(from, 0)})
	}
	if s.left > 0 {
		s.lab.cut[s.d.Name] = fmt.Sprintf("left out %s: there was no room to follow more", plural(int64(s.left), "pair", "pairs"))
	}
	return out
}

// size is about the memory that the peer may take: its contacts of a day, their bursts.
func (p *beaconPeer) size() int64 { return 1024 + 24*min(p.events, maxContacts) }

// common reports so many visitors as the lab's own services have.
func (s *beaconState) common(n int64) bool {
	return n >= 3 && float64(n) >= s.lab.threshold(s.d, "common")*float64(s.lab.Hosts) || n >= manyHosts
}

// Session notes a contact: it counts for the score if it is of the last day, or comes from where they are few.
func (s *beaconState) Session(x *Session) {
	if x.Reply && !x.Settled && x.Conn {
		return
	}
	s.peers[peerKey{x.Src, x.Dst, x.DstPort}].note(x, s.lab.First)
	if x.Host != "" {
		s.names.peers[nameKey{x.Src, x.Host, x.DstPort}].note(x, s.lab.First)
	}
}

// note adds a contact; nothing to a nil peer.
func (p *beaconPeer) note(x *Session, first int64) {
	if p == nil || len(p.times) == maxContacts {
		return
	}
	p.trail.add(x, 0, "")
	if x.Start/1e9 < p.last-beaconWindow && !p.slow() {
		return
	}
	p.times = append(p.times, uint32(x.Start/1e9-first/1e9))
	p.stood += x.Seconds()
	if x.BytesOut >= 0 {
		p.sizes = append(p.sizes, uint32(min(x.BytesOut, math.MaxUint32)))
	}
	if p.hits != nil {
		p.hits[x.Dst]++
	}
}

func (s *beaconState) Findings() []*Draft {
	var out []*Draft
	told := map[nameKey]bool{} // its addresses are not told once more
	for _, k := range sortedBy(s.names.peers, nameKey.compare) {
		if d := s.judge(s.names.peers[k]); d != nil {
			told[k] = true
			out = append(out, d)
		}
	}
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		if d := s.judge(s.peers[k]); d != nil && !told[nameKey{d.src, d.host, d.port}] {
			out = append(out, d)
		}
	}
	return append(out, s.dnsBeacons()...)
}

// judge scores a peer; nil for what much of the lab contacts.
func (s *beaconState) judge(p *beaconPeer) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	b, own, ok := s.score(p)
	if !ok || float64(b.contacts) < t("contacts") || b.score < t("score") || b.time < t("time") || b.chance > t("chance") {
		return nil
	}
	visitors := s.visitors(p)
	if s.common(visitors) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: p.host, trail: p.trail}
	called := endpoint(p.dst, p.port)
	if p.hits != nil {
		d.dst, called = p.most().String(), fmt.Sprintf("%s:%d at %s", p.host, p.port, plural(p.met(), "address", "addresses"))
	}
	sizes := "not recorded"
	if len(p.sizes) > 0 {
		sizes = fmt.Sprintf("%.3f", b.data)
	}
	d.part("beacon", b.score, t("score"), round3(FullScore*bucket(100*b.score, 50, 70, 90, 100)),
		"score %.3f of %d contacts, most often %s apart: intervals %.3f, sizes %s, duration %.3f, histogram %.3f",
		b.score, b.contacts, span(float64(b.mode)), b.time, sizes, b.duration, b.histogram)
	if own > 0 {
		d.part("life", float64(own), float64(beaconLife), 0, "scored over its own life of %s, not over a day", span(float64(own)))
	}
	if share := p.stood / float64(slices.Max(p.times)-slices.Min(p.times)); share >= beaconStands {
		d.part("stands", round3(share), beaconStands, -2, "the contacts last for %.0f %% of the time: one connection that is renewed, or recorded in parts", 100*min(share, 1))
	}
	d.part("ordinary", 1, 1, -3, "most regular traffic is a program checking in with its own service")
	s.lab.prevalencePart(d, cmp.Or(nameOf(p), p.dst.String()), visitors)
	if p.host == "" && s.lab.have[NeedNames] {
		d.part("nameless", 1, 1, 0.5, "no record names the peer")
	}
	if d.points() < 1 {
		return nil
	}
	d.title = "Beacon: " + p.src.String() + " to " + called + " every " + span(float64(b.mode))
	d.benign = []string{"update checks, trackers, health checks, licence servers", "a job that looks for work or reports at intervals"}
	if len(p.sizes) == 0 {
		d.untested = []string{"the regularity of sizes: these logs count no bytes"}
	}
	if s.left > 0 {
		d.untested = append(d.untested, plural(int64(s.left), "further pair", "further pairs")+": there was no room to follow more")
	}
	return d
}

// A beacon that lives less than a day, as a run does, is scored over its own life
// as well: over a whole day RITA's histogram and duration count against it. So is one
// that comes back after hours, of which a day holds too few contacts. Both have to be plainer.
const (
	beaconLife     = int64(3600) // seconds, at least
	beaconContacts = 20
	beaconPlain    = 0.85 // its score, at least
	beaconStands   = 0.5  // share of the time for which contacts last that are no visits
	beaconSlow     = 24   // contacts in a day, below which all days count
)

// score is RITA's score over the last day of the data, or over the day up to the
// last contact where that lies before. Own is the life in seconds of a beacon that
// was scored over that instead, else 0.
func (s *beaconState) score(p *beaconPeer) (b beaconParts, own int64, ok bool) {
	if len(p.times) == 0 || len(p.times) == maxContacts {
		return b, 0, false
	}
	times, sizes := s.seconds(p), wide(p.sizes)
	first, last := slices.Min(times), slices.Max(times)
	lo, hi := s.window(last)
	life := last - first
	if b, ok = beaconScore(times, sizes, lo, hi); life < beaconLeast {
		return b, 0, false
	}
	if (life >= beaconLife && 3*life <= 2*beaconWindow || p.slow()) && len(times) >= beaconContacts {
		plain, fits := beaconScore(times, sizes, first, last)
		if fits && plain.score >= beaconPlain && plain.score > b.score {
			return plain, life, true
		}
	}
	return b, 0, ok
}

// slow reports contacts over days of which each holds few.
func (p *beaconPeer) slow() bool {
	life := p.last - p.first
	return life > beaconWindow && p.events*beaconWindow < beaconSlow*life
}

// seconds are the times of a peer's contacts.
func (s *beaconState) seconds(p *beaconPeer) []int64 {
	out := wide(p.times)
	for i := range out {
		out[i] += s.lab.First / 1e9
	}
	return out
}

func wide(v []uint32) []int64 {
	out := make([]int64, len(v))
	for i, n := range v {
		out[i] = int64(n)
	}
	return out
}
