package detect

import (
	"cmp"
	"fmt"
	"math"
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
	Doc:    "RITA's beacon score of a source and an external peer over the last day of their contacts, or over their own life of two hours or more; NTP, DNS and what much of the lab contacts are left out.",
	Attack: []string{"T1071"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"contacts", 10, "distinct seconds with a contact, at least"},
		{"score", 0.8, "beacon score from which it is told"},
		{"time", 0.75, "score of the intervals alone, at least"},
		{"common", 0.3, "share of inside hosts that contact the peer, from which it is the lab's own service"},
	},
	New: func(l *Lab, d *Detector) State {
		return &beaconState{lab: l, d: d, seen: map[peerKey]beaconSpan{}, peers: map[peerKey]*beaconPeer{}}
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
	trail trail
}

type beaconState struct {
	lab   *Lab
	d     *Detector
	seen  map[peerKey]beaconSpan // in phase 1
	peers map[peerKey]*beaconPeer
	left  int // candidates that there was no room for
}

// Channel keeps outbound peers with enough contacts, over time enough, that mostly succeed.
func (s *beaconState) Channel(c *Channel) {
	if !c.Out || c.Port == 123 || c.Port == 53 || c.Port == 853 || isICMP(c.Proto) || 2*c.Failed > c.Events || c.First == firetrail.Absent {
		return
	}
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
	slices.SortFunc(chosen, func(a, b *beaconPeer) int {
		return cmp.Or(cmp.Compare(s.lab.Prevalence(a.dst), s.lab.Prevalence(b.dst)), cmp.Compare(b.last-b.first, a.last-a.first), a.compare(b.peerKey))
	})
	var out []firetrail.Traffic
	room := int64(beaconRoom)
	for _, p := range chosen {
		if room -= p.size(); room < 0 {
			s.left++
			continue
		}
		s.peers[p.peerKey] = p
		from := (p.last-beaconWindow)*1e9 - 3600e9 // an hour more, so that no session is cut
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

// Session notes a contact of the last day.
func (s *beaconState) Session(x *Session) {
	p := s.peers[peerKey{x.Src, x.Dst, x.DstPort}]
	if p == nil || x.Reply && !x.Settled && x.Conn || len(p.times) == maxContacts || x.Start/1e9 < p.last-beaconWindow {
		return
	}
	p.times = append(p.times, uint32(x.Start/1e9-s.lab.First/1e9))
	if x.BytesOut >= 0 {
		p.sizes = append(p.sizes, uint32(min(x.BytesOut, math.MaxUint32)))
	}
	p.trail.add(x, 0, "")
}

func (s *beaconState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		if d := s.judge(s.peers[k]); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// judge scores a peer; nil for what much of the lab contacts.
func (s *beaconState) judge(p *beaconPeer) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	b, own, ok := s.score(p)
	if !ok || float64(b.contacts) < t("contacts") || b.score < t("score") || b.time < t("time") {
		return nil
	}
	if s.common(s.lab.Prevalence(p.dst)) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: p.host, trail: p.trail}
	sizes := "not recorded"
	if len(p.sizes) > 0 {
		sizes = fmt.Sprintf("%.3f", b.data)
	}
	d.part("beacon", b.score, t("score"), round3(FullScore*bucket(100*b.score, 50, 70, 90, 100)),
		"score %.3f of %d contacts, most often %s apart: intervals %.3f, sizes %s, duration %.3f, histogram %.3f",
		b.score, b.contacts, span(float64(b.mode)), b.time, sizes, b.duration, b.histogram)
	if own > 0 {
		d.part("life", float64(own), float64(beaconLife), 0, "scored over its own life of %s, which is less than a day", span(float64(own)))
	}
	d.part("ordinary", 1, 1, -3, "most regular traffic is a program checking in with its own service")
	s.lab.prevalenceParts(d, p.dst)
	if p.host == "" && s.lab.have[NeedNames] {
		d.part("nameless", 1, 1, 0.5, "no record names the peer")
	}
	if d.points() < 1 {
		return nil
	}
	d.title = "Beacon: " + p.src.String() + " to " + endpoint(p.dst, p.port) + " every " + span(float64(b.mode))
	d.benign = []string{"update checks, trackers, health checks, licence servers", "evenly spread traffic without any beacon scores high too"}
	if len(p.sizes) == 0 {
		d.untested = []string{"the regularity of sizes: these logs count no bytes"}
	}
	if s.left > 0 {
		d.untested = append(d.untested, plural(int64(s.left), "further pair", "further pairs")+": there was no room to follow more")
	}
	return d
}

// A beacon that lives less than a day, as a run does, is scored over its own life
// as well: over a whole day RITA's histogram and duration count against it. It
// then has to be plainer.
const (
	beaconLife     = int64(7200) // seconds, at least
	beaconContacts = 20
	beaconPlain    = 0.85 // its score, at least
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
	if life >= beaconLife && 3*life <= 2*beaconWindow && len(times) >= beaconContacts {
		plain, fits := beaconScore(times, sizes, first, last)
		if fits && plain.score >= beaconPlain && plain.score > b.score {
			return plain, life, true
		}
	}
	return b, 0, ok
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

// beaconParts are RITA's sub-scores, each 0 to 1 with three decimals.
type beaconParts struct {
	contacts                        int
	mode                            int64 // most frequent interval, seconds
	time, data, duration, histogram float64
	score                           float64
}

// beaconScore computes RITA v5's beacon score of contacts at the given seconds
// with the given sizes inside the window [lo, hi] (seconds); without sizes it is the
// mean of the other three parts, which is ours, not RITA's. ok is false where there
// are too few contacts: at least 4 distinct seconds and 3 intervals are needed.
func beaconScore(times, sizes []int64, lo, hi int64) (b beaconParts, ok bool) {
	var inside []int64
	for _, t := range times {
		if t >= lo && t <= hi {
			inside = append(inside, t)
		}
	}
	slices.Sort(inside)
	var deltas []int64
	for i := 1; i < len(inside); i++ {
		if d := inside[i] - inside[i-1]; d != 0 {
			deltas = append(deltas, d)
		}
	}
	b.contacts = len(deltas) + 1
	if b.contacts < 4 || len(inside) >= 86400 || hi <= lo {
		return b, false
	}
	slices.Sort(deltas)
	b.mode = mode(deltas)
	b.time = round3((skewScore(deltas) + madScore(deltas, 1)) / 2)
	if len(sizes) > 0 {
		sorted := slices.Sorted(slices.Values(sizes))
		b.data = round3((skewScore(sorted) + madScore(sorted, 0)) / 2)
	}
	bins := histogram(inside, lo, hi)
	b.histogram = histogramScore(bins)
	b.duration = durationScore(bins, inside[0], inside[len(inside)-1], lo, hi)
	b.score = round3(0.25 * (b.time + b.data + b.duration + b.histogram))
	if len(sizes) == 0 { // packet filters count no bytes: the mean of what there is
		b.score = round3((b.time + b.duration + b.histogram) / 3)
	}
	return b, true
}

// skewScore is 1 - |Bowley skew| of sorted values.
func skewScore(v []int64) float64 {
	q1, q2, q3 := quartiles(v)
	if q3-q1 < 10 || q2 == q1 || q2 == q3 {
		return 1
	}
	return 1 - math.Abs((q1+q3-2*q2)/(q3-q1))
}

// madScore is (median - median absolute deviation)/median, or the default where
// the median is below 1; not below 0.
func madScore(v []int64, byDefault float64) float64 {
	m := median(v)
	if m < 1 {
		return byDefault
	}
	dev := make([]float64, len(v))
	for i, x := range v {
		dev[i] = math.Abs(float64(x) - m)
	}
	slices.Sort(dev)
	return max(0, (m-median(dev))/m)
}

func median[T int64 | float64](v []T) float64 {
	n := len(v)
	if n == 0 {
		return 0
	}
	return (float64(v[(n-1)/2]) + float64(v[n/2])) / 2
}

// quartiles are the medians of the halves, the middle element left out of both
// where the number is odd.
func quartiles(v []int64) (q1, q2, q3 float64) {
	n := len(v)
	return median(v[:n/2]), median(v), median(v[(n+1)/2:])
}

func mode(sorted []int64) int64 {
	best, most := int64(0), 0
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		if j-i > most {
			best, most = sorted[i], j-i
		}
		i = j
	}
	return best
}

const beaconBins = 24

// histogram counts contacts in 24 equal bins over [lo, hi].
func histogram(times []int64, lo, hi int64) (bins [beaconBins]int) {
	for _, t := range times {
		bins[min(int((t-lo)*beaconBins/(hi-lo)), beaconBins-1)]++
	}
	return bins
}

// histogramScore is the better of evenness (1 - coefficient of variation) and, with
// at least 11 bins in use, of how well two heights explain them.
func histogramScore(bins [beaconBins]int) float64 {
	sum, highest, used := 0.0, 0, 0
	for _, n := range bins {
		sum += float64(n)
		highest = max(highest, n)
		if n > 0 {
			used++
		}
	}
	mean, squares := sum/beaconBins, 0.0
	for _, n := range bins {
		squares += (float64(n) - mean) * (float64(n) - mean)
	}
	even := 0.0
	if cv := math.Sqrt(squares/beaconBins) / mean; cv <= 1 {
		even = round3(1 - cv)
	}
	if used < 11 {
		return even
	}
	grain := max(1, int(math.Ceil(float64(highest)*0.05)))
	heights := map[int]int{}
	for _, n := range bins {
		if n > 0 {
			heights[n/grain]++
		}
	}
	first, second := 0, 0
	for _, n := range heights {
		if n > first {
			first, second = n, first
		} else if n > second {
			second = n
		}
	}
	return max(even, min(1, float64(first+second)/float64(max(used-1, 1))))
}

// durationScore is the better of coverage of the window and of the longest run of
// bins in use (the day is a circle) against twelve; 0 below six bins in use.
func durationScore(bins [beaconBins]int, first, last, lo, hi int64) float64 {
	used, run, longest := 0, 0, 0
	for i := range 2 * beaconBins {
		if bins[i%beaconBins] == 0 {
			run = 0
			continue
		}
		if i < beaconBins {
			used++
		}
		run++
		longest = min(max(longest, run), beaconBins)
	}
	if used < 6 {
		return 0
	}
	ceil3 := func(v float64) float64 { return min(1, math.Ceil(v*1000)/1000) }
	return max(ceil3(float64(last-first)/float64(hi-lo)), ceil3(float64(longest)/12))
}
