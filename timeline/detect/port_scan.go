package detect

import (
	"net/netip"

	"firetrail"
)

// portScan looks for one source that tries many ports of one host. Fifteen ports
// in five minutes is Zeek's former default; the short list of sensitive ports is
// after Elastic's rule.
var portScan = Detector{
	Name:   "port_scan",
	Title:  "many ports tried on one host",
	Doc:    "Distinct ports of one host within five minutes, most refused or unanswered; or several of the ports that lead into a host. Over a day, more of them, or several of the latter.",
	Attack: []string{"T1046"},
	Needs:  []Need{NeedOutcome},
	Defaults: []Setting{
		{"ports", 15, "distinct ports in the window"},
		{"minutes", 5, "the window"},
		{"sensitive", 5, "distinct sensitive ports in the window"},
		{"sensitive_failed", 3, "of these, refused or unanswered"},
		{"failed", 0.6, "share of ports that failed"},
		{"slow_ports", 40, "distinct ports in a day"},
	},
	New: func(l *Lab, d *Detector) State {
		return &scanState{lab: l, d: d, pairs: map[[2]netip.Addr]*scan{}}
	},
}

type scan struct {
	src, dst netip.Addr
	window   window
	episodes []*scanEpisode
	day      scanEpisode
}

type scanEpisode struct {
	trail     trail
	state     map[int64]uint8
	peak      int64
	sensitive int64 // most in one window
}

type scanState struct {
	quota quota
	lab   *Lab
	d     *Detector
	src   netip.Addr
	dst   netip.Addr
	ports portCount // of the pair at hand
	keen  portCount // of those, what leads into a host
	pairs map[[2]netip.Addr]*scan
}

// portCount counts ports of a pair: all, those that failed, and those of which nobody
// knows the outcome and that programs do not draw.
type portCount struct{ all, failed, unsure int64 }

func (n *portCount) add(failed, unsure bool) {
	n.all++
	if failed {
		n.failed++
	}
	if unsure {
		n.unsure++
	}
}

const (
	scanSettled = 0.2   // share of ports whose outcome has to be known for it to count
	drawnPorts  = 10000 // from here on programs draw ports
)

// worth reports whether the ports of the pair at hand, and those of them that lead into
// a host, can satisfy a rule.
func (s *scanState) worth() bool {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	least := scanSettled * t("failed")
	return float64(s.ports.all) >= t("ports") && (float64(s.ports.failed) >= least*t("ports") || float64(s.ports.unsure) >= 0.3*t("ports")) ||
		float64(s.keen.all) >= t("sensitive") && (float64(s.keen.failed) >= t("sensitive_failed") || s.keen.unsure > 0)
}

// Channel counts the ports of the pair at hand.
func (s *scanState) Channel(c *Channel) {
	if c.Src != s.src || c.Dst != s.dst {
		s.closePair()
		s.src, s.dst = c.Src, c.Dst
	}
	if !c.Inside && !c.Out || c.Port == firetrail.Absent {
		return
	}
	failed, unsure := c.Most.Failed > 0, c.Settled < c.Events && c.Port < drawnPorts
	s.ports.add(failed, unsure)
	if remotePorts[c.Port] {
		s.keen.add(failed, c.Settled < c.Events)
	}
}

// closePair keeps the pair if it could satisfy a rule.
func (s *scanState) closePair() {
	if s.ports.all > 0 && (s.worth() || s.lab.all) && s.quota.take(s.lab, s.d, s.src) {
		s.pairs[[2]netip.Addr{s.src, s.dst}] = &scan{src: s.src, dst: s.dst, day: scanEpisode{trail: newTrail(), state: map[int64]uint8{}}}
	}
	s.ports, s.keen = portCount{}, portCount{}
}

func (s *scanState) Wants() []firetrail.Traffic {
	s.closePair()
	var out []firetrail.Traffic
	for _, p := range s.pairs {
		out = append(out, firetrail.Traffic{Src: p.src, Dst: p.dst, Port: firetrail.Absent})
	}
	return out
}

// Session moves the window; a window with enough ports begins an episode.
func (s *scanState) Session(x *Session) {
	p := s.pairs[[2]netip.Addr{x.Src, x.Dst}]
	if p == nil || x.DstPort == firetrail.Absent || x.Reply && (x.Denied || !x.Settled) {
		return
	}
	p.day.add(x)
	span := int64(60e9 * s.lab.threshold(s.d, "minutes"))
	p.window.push(x, span)
	ports, keen := p.window.distinct(), p.window.keen
	var e *scanEpisode
	n := len(p.episodes)
	switch {
	case n > 0 && x.Start-p.episodes[n-1].trail.end <= span:
		e = p.episodes[n-1]
		e.add(x)
	case ports >= int64(s.lab.threshold(s.d, "ports")) || keen >= int64(s.lab.threshold(s.d, "sensitive")):
		e = &scanEpisode{trail: newTrail(), state: map[int64]uint8{}}
		for _, c := range p.window.held() {
			e.trail.recall(c)
			e.mark(c.dst.port, c.failed, c.known)
		}
		p.episodes = append(p.episodes, e)
	default:
		return
	}
	e.peak, e.sensitive = max(e.peak, ports), max(e.sensitive, keen)
}

func (e *scanEpisode) add(x *Session) {
	weight := 0.0
	if x.Settled && !x.Failed {
		weight = 1
	}
	e.trail.add(x, weight, "")
	e.mark(x.DstPort, x.Failed, x.Settled)
}

func (e *scanEpisode) mark(port int64, failed, known bool) {
	switch {
	case failed:
		e.state[port] |= hostFailed
	case known:
		e.state[port] |= hostAnswered
	default:
		e.state[port] |= hostUnsure
	}
}

// outcome counts ports: all, failed, of unknown outcome, and the sensitive ones.
func (e *scanEpisode) outcome() (ports, failed, unsure, keen, keenFailed int64) {
	for port, st := range e.state {
		ports++
		refused := st&hostFailed != 0 && st&hostAnswered == 0
		if refused {
			failed++
		} else if st == hostUnsure {
			unsure++
		}
		if remotePorts[port] {
			keen++
			if refused {
				keenFailed++
			}
		}
	}
	return ports, failed, unsure, keen, keenFailed
}

func (s *scanState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.pairs, func(a, b [2]netip.Addr) int {
		if c := a[0].Compare(b[0]); c != 0 {
			return c
		}
		return a[1].Compare(b[1])
	}) {
		p := s.pairs[k]
		told := false
		for _, e := range p.episodes {
			if d := s.judge(p, e, false); d != nil {
				out = append(out, d)
				told = true
			}
		}
		if !told {
			if d := s.judge(p, &p.day, true); d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// judge scores an episode, or with slow set all that passed between the pair.
func (s *scanState) judge(p *scan, e *scanEpisode, slow bool) *Draft {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	ports, failed, unsure, keen, keenFailed := e.outcome()
	settled := ports - unsure
	blind := settled == 0 || float64(settled) < scanSettled*float64(ports)
	share := float64(failed) / float64(max(settled, 1))
	patient := ports >= int64(t("slow_ports")) || ports >= int64(t("ports")) && keenFailed >= int64(t("sensitive"))
	if slow && (!patient || blind) || !blind && share < t("failed") || blind && ephemeral(e) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: firetrail.Absent, trail: e.trail}
	switch {
	case slow:
		d.part("ports", float64(ports), t("slow_ports"), 2, "%d ports in %s, too slowly for a window", ports, span(float64(e.trail.end-e.trail.start)/1e9))
	case e.peak >= int64(t("ports")):
		d.part("ports", float64(e.peak), t("ports"), 3, "%d distinct ports within %.0f min", e.peak, t("minutes"))
		if ports >= 6*int64(t("ports")) {
			d.part("many ports", float64(ports), 6*t("ports"), 1, "%d in all", ports)
		}
	}
	if (e.sensitive >= int64(t("sensitive")) || slow && keen >= int64(t("sensitive"))) && (keenFailed >= int64(t("sensitive_failed")) || blind) {
		points := 1.0
		if len(d.parts) == 0 {
			points = 3
		}
		d.part("sensitive", float64(keen), t("sensitive"), points, "%d of them lead into a host or its data, %d refused or unanswered", keen, keenFailed)
	}
	if len(d.parts) == 0 {
		return nil
	}
	if blind {
		d.part("outcome", float64(unsure), 1, -1.5, "these records do not say whether anybody answered")
		d.untested = append(d.untested, "whether the contacts failed: the logs record that packets passed, not what came back")
	} else {
		d.part("failed", round3(share), t("failed"), 1, "%d of %d ports refused or did not answer", failed, settled)
	}
	where := "inside"
	if s.lab.External(p.dst) {
		where = "in the internet"
	}
	d.title = "Port scan of " + p.dst.String() + " (" + where + ") by " + p.src.String() + ", " + plural(ports, "port", "ports")
	d.benign = []string{"a security scanner (put it on the allow list)", "peer-to-peer or collective communication over many ports while members are down"}
	return d
}

// ephemeral reports whether most ports are of the range that programs draw from.
func ephemeral(e *scanEpisode) bool {
	high := 0
	for p := range e.state {
		if p >= drawnPorts {
			high++
		}
	}
	return 2*high >= len(e.state)
}
