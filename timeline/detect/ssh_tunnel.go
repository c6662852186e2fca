package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// sshTunnel looks for SSH that leaves and stays. The terms are those of Corelight's
// SSH inferences and of flow shapes measured on real reverse tunnels; none of
// the log families carries packet lengths, so keystrokes cannot be seen.
var sshTunnel = Detector{
	Name:   "ssh_tunnel",
	Title:  "SSH to the internet that lasts, repeats or runs backwards",
	Doc:    "Outbound SSH (by protocol, application or port) from inside to a peer in the internet: duration, symmetry, keepalives, reconnects, prevalence. Git servers and bastions count against it.",
	Attack: []string{"T1572", "T1021.004"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"minutes", 10, "a session of this many minutes is long"},
		{"long", 60, "a session of this many minutes is very long"},
		{"packet", 300, "bytes per packet, both ways, up to which traffic looks interactive"},
		{"reconnect", 120, "seconds within which a session that ended comes again"},
		{"reconnects", 3, "reconnects that look automatic"},
		{"repeats", 3, "attempts that are more than a trial, where nothing says how long they lasted"},
	},
	Known: sortedKeys(gitHosts),
	New: func(l *Lab, d *Detector) State {
		return &sshState{lab: l, d: d, peers: map[peerKey]*sshPeer{}, guests: map[peerKey]*sshGuest{}, hops: map[netip.Addr][]hop{}}
	},
}

// gitHosts serve git over SSH; the names are the services' own.
var gitHosts = map[string]bool{
	"github.com": true, "ssh.github.com": true, "gitlab.com": true, "altssh.gitlab.com": true, "bitbucket.org": true,
	"altssh.bitbucket.org": true, "ssh.dev.azure.com": true, "vs-ssh.visualstudio.com": true, "codeberg.org": true,
	"git.sr.ht": true, "gitee.com": true, "hf.co": true, "huggingface.co": true, "source.developers.google.com": true,
	"codecommit.amazonaws.com": true,
}

// sshPorts are ports on which sshd is put (22xx are taken as well).
var sshPorts = map[int64]bool{22: true, 222: true, 2022: true, 2222: true, 22222: true, 22022: true}

func sshPort(p int64) bool { return sshPorts[p] || p >= 2200 && p <= 2299 }

type sshPeer struct {
	peerKey
	named    bool // protocol or application says SSH, not only the port
	git      string
	episodes []*sshEpisode
}

// sshEpisode is a stretch of sessions with no longer pause than episodeGap.
type sshEpisode struct {
	trail       trail
	host        string
	longest     float64 // seconds
	timed       bool    // some session has a duration
	longestEnd  int64
	out, in     int64
	pktsOut     int64
	pktsIn      int64
	inferences  string
	denied      int64
	passed      int64
	reconnects  int64
	lastEnd     int64
	lastPort    int64
	keepalives  int64
	slice       sliceState
	openAtEnd   bool
	standing    float64 // seconds from the beginning of a session without an end to the end of the data
	established bool
}

// sliceState follows the growing rows of one connection that still runs.
type sliceState struct {
	uid   string
	bytes int64
	delta int64
	equal int64
}

// episodeGap is the pause after which the same behaviour is told as a new
// finding, so that each can belong to another run.
const episodeGap = int64(3600e9)

type sshState struct {
	quota  quota
	lab    *Lab
	d      *Detector
	peers  map[peerKey]*sshPeer
	guests map[peerKey]*sshGuest
	hops   map[netip.Addr][]hop // by the host that a guest may have entered
}

func isSSH(services, apps []string) bool {
	return slices.ContainsFunc(services, sshWord) || slices.ContainsFunc(apps, sshWord)
}

// sshWord accepts "ssh", "SSH-TUNNEL" and Zeek's lists such as "ssh,spicy".
func sshWord(s string) bool {
	for w := range strings.SplitSeq(strings.ToLower(s), ",") {
		if w == "ssh" || w == "ssh-tunnel" || w == "sftp" || w == "scp" {
			return true
		}
	}
	return false
}

// Channel keeps outbound TCP that a sensor calls SSH, or that goes to a customary port
// and that no sensor calls something else.
func (s *sshState) Channel(c *Channel) {
	s.guest(c)
	if !c.Out || c.Proto != "tcp" && c.Proto != "" {
		return
	}
	named := isSSH(c.Services, c.Apps)
	if !named && !sshPort(c.Port) {
		return
	}
	if !named && c.otherProtocol() {
		return
	}
	p := &sshPeer{peerKey: peerKey{c.Src, c.Dst, c.Port}, named: named}
	if name, sure, ok := namedIn(s.lab, c, inTable(gitHosts)); ok && sure {
		p.git = name
	}
	if s.quota.take(s.lab, s.d, c.Src) {
		s.peers[p.peerKey] = p
	}
}

// otherProtocol reports whether the sensors named the channel's protocol or
// application, so that its port proves nothing.
func (c *Channel) otherProtocol() bool {
	vague := func(s string) bool {
		switch s {
		case "", "-", "incomplete", "insufficient-data", "not-applicable", "unknown-tcp", "unknown-udp", "unknown-p2p", "unknown":
			return true
		}
		return false
	}
	if len(c.Services)+len(c.Apps) == 0 {
		return false
	}
	return slices.ContainsFunc(c.Services, func(x string) bool { return !vague(x) }) ||
		slices.ContainsFunc(c.Apps, func(x string) bool { return !vague(x) })
}

func (s *sshState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	for k := range s.guests {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port}, firetrail.Traffic{Src: k.dst, Port: k.port})
	}
	return out
}

// Session adds a session to its peer's running episode, or begins one.
func (s *sshState) Session(x *Session) {
	if g := s.guests[peerKey{x.Src, x.Dst, x.DstPort}]; g != nil {
		s.visit(g, x)
		return
	}
	s.onward(x)
	p := s.peers[peerKey{x.Src, x.Dst, x.DstPort}]
	if p == nil || x.Reply && x.Proto == "tcp" && !x.Settled {
		return
	}
	var e *sshEpisode
	if n := len(p.episodes); n > 0 && x.Start-p.episodes[n-1].trail.end <= episodeGap {
		e = p.episodes[n-1]
	} else {
		e = &sshEpisode{trail: newTrail(), lastEnd: firetrail.Absent, lastPort: firetrail.Absent}
		p.episodes = append(p.episodes, e)
	}
	e.add(x, s)
}

func (e *sshEpisode) add(x *Session, s *sshState) {
	if e.slice.uid != "" && e.slice.uid == x.UID { // a later row of a connection that still runs
		e.grow(x)
	} else {
		if e.lastEnd != firetrail.Absent && x.Duration > 0 && x.SrcPort != e.lastPort && x.Start >= e.lastEnd-1e9 && float64(x.Start-e.lastEnd) <= 1e9*s.lab.threshold(s.d, "reconnect") {
			e.reconnects++
		}
		e.slice = sliceState{uid: strings.Clone(x.UID), bytes: x.BytesOut}
	}
	e.lastEnd, e.lastPort = x.End, x.SrcPort
	weight := x.Seconds()
	note := ""
	if x.Inferences != "" {
		e.inferences, weight, note = strings.Clone(x.Inferences), weight+1e9, "the sensor's inference: "+x.Inferences
	}
	e.trail.add(x, weight, note)
	if x.Host != "" {
		e.host = strings.Clone(x.Host)
	}
	if x.Denied {
		e.denied++
	} else {
		e.passed++
	}
	e.timed = e.timed || x.Duration > 0
	e.established = e.established || x.Settled && !x.Failed
	e.openAtEnd = x.Open()
	if x.Standing && !x.Ended {
		e.standing = max(e.standing, float64(s.lab.End()-x.Start)/1e9)
	}
	if x.Seconds() >= e.longest && x.Duration > 0 {
		e.longest, e.longestEnd = x.Seconds(), x.End
		e.out, e.in, e.pktsOut, e.pktsIn = max(x.BytesOut, 0), max(x.BytesIn, 0), max(x.PktsOut, 0), max(x.PktsIn, 0)
	}
}

// grow compares successive rows of one connection: an idle one grows by the same
// few keepalive bytes each time.
func (e *sshEpisode) grow(x *Session) {
	delta := x.BytesOut - e.slice.bytes
	if delta > 0 && delta == e.slice.delta {
		e.slice.equal++
	} else {
		e.slice.equal = 1
	}
	e.slice.delta, e.slice.bytes = delta, x.BytesOut
	e.keepalives = max(e.keepalives, e.slice.equal)
	e.trail.sessions-- // it is no further session
}

func (s *sshState) Findings() []*Draft {
	s.gather()
	var out []*Draft
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		p := s.peers[k]
		for _, e := range p.episodes {
			if d := s.judge(p, e); d != nil {
				out = append(out, d)
			}
		}
	}
	return append(out, s.entries()...)
}

// gather joins the episodes of a source in which nothing but refusals happened, and
// those of single tries of unknown outcome, over all its peers, where they lie close
// together: ten servers tried within a minute are one finding.
func (s *sshState) gather() {
	type group struct {
		src     netip.Addr
		refused bool
	}
	leads := map[group][]*sshEpisode{}
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		p := s.peers[k]
		p.episodes = slices.DeleteFunc(p.episodes, func(e *sshEpisode) bool {
			g := group{k.src, e.passed == 0}
			if !g.refused && (e.timed || e.established || float64(e.trail.sessions) >= s.lab.threshold(s.d, "repeats")) {
				return false
			}
			for _, lead := range leads[g] {
				if e.trail.start-lead.trail.end <= episodeGap && lead.trail.start-e.trail.end <= episodeGap {
					lead.trail.merge(&e.trail)
					lead.denied, lead.passed = lead.denied+e.denied, lead.passed+e.passed
					return true
				}
			}
			leads[g] = append(leads[g], e)
			return false
		})
	}
}

// judge scores an episode; nil where it is everyday use.
func (s *sshState) judge(p *sshPeer, e *sshEpisode) *Draft {
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: e.host, trail: e.trail, open: e.openAtEnd}
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	hosts := e.trail.hosts()
	if len(e.trail.targets) > 1 {
		d.dst, d.host = e.trail.cover(), ""
		if ports := portsOf(&e.trail); len(ports) > 1 {
			d.port = firetrail.Absent
		}
	}
	if strongInference(e.inferences) {
		d.part("inference", 1, 1, 3, "the sensor inferred a reverse SSH session (%s)", e.inferences)
	}
	if e.established || e.timed {
		s.scoreSession(d, e, t)
	} else {
		s.scoreAttempts(d, e, t)
	}
	if hosts >= 3 {
		d.part("peers", float64(hosts), 3, 1, "%d servers were tried", hosts)
	} else if n := s.lab.Prevalence(p.dst); n == 1 {
		d.part("prevalence", 1, 1, 1, "no other inside host contacts %s", p.dst)
	} else if n >= manyHosts && !e.timed && !e.established {
		d.part("prevalence", float64(n), manyHosts, -2.5, "%d inside hosts contact it: more likely a git server or another service of the lab", n)
	} else if n >= 4 && 2*n >= s.lab.Hosts {
		d.part("prevalence", float64(n), float64(s.lab.Hosts)/2, -1.5, "%d of %d inside hosts contact it: a service of the lab", n, s.lab.Hosts)
	}
	if p.named && p.port != 22 {
		d.part("port", float64(p.port), 22, 1, "SSH on port %d instead of 22", p.port)
		d.attack = append(d.attack, "T1571")
	}
	if e.reconnects >= int64(t("reconnects")) {
		d.part("reconnects", float64(e.reconnects), t("reconnects"), 1, "came back %d times within %.0f s of its end, as autossh does", e.reconnects, t("reconnect"))
	}
	if p.git != "" {
		d.part("git", 1, 1, -3, "%s is a git server", p.git)
	}
	if slices.Contains(s.lab.cfg.Bastions, p.dst) {
		d.part("bastion", 1, 1, -2, "%s is a known bastion", p.dst)
	}
	least := 2.0 // a short session alone is everyday use
	if !e.timed {
		least = 1
	}
	if d.points() < least {
		return nil
	}
	d.title = s.title(p, e)
	d.benign = []string{"an operator's or a service's own SSH session", "git, scp or rsync over SSH to a partner"}
	if !p.named {
		d.untested = append(d.untested, "that the traffic is SSH: only the port says so")
	}
	d.untested = append(d.untested, "the direction of commands inside the session: no packet lengths are recorded")
	return d
}

// strongInference looks for the codes of a reverse session.
func strongInference(codes string) bool {
	for c := range strings.FieldsFuncSeq(codes, func(r rune) bool { return strings.ContainsRune(`,[]" `, r) }) {
		switch c {
		case "RSP", "RSI", "RSIA", "RSL", "RSK":
			return true
		}
	}
	return false
}

// scoreSession scores what a sensor that follows connections has seen.
func (s *sshState) scoreSession(d *Draft, e *sshEpisode, t func(string) float64) {
	minutes := e.longest / 60
	if minutes >= t("minutes") {
		d.part("duration", round3(e.longest), 60*t("minutes"), 2, "the longest session lasted %s", span(e.longest))
	}
	if open := e.standing / 60; minutes < t("minutes") && open >= t("minutes") {
		points := 2.0
		if open >= t("long") {
			points = 3
		}
		d.part("no end", round3(e.standing), 60*t("minutes"), points, "its beginning was recorded, and no end in the %s until the end of the data", span(e.standing))
	}
	if minutes >= t("long") {
		d.part("long duration", round3(e.longest), 60*t("long"), 1, "that is over %s", span(60*t("long")))
	}
	packets := e.pktsOut > 0 && e.pktsIn > 0
	perOut, perIn := float64(e.out)/float64(max(e.pktsOut, 1)), float64(e.in)/float64(max(e.pktsIn, 1))
	if packets && e.longest >= 120 && e.out >= e.in && e.out > 0 && perOut <= t("packet") && perIn <= t("packet") {
		d.part("shape", round3(float64(e.out)/float64(max(e.in, 1))), 1, 1,
			"the inside sent more than it received (%s against %s) in small packets: it answered rather than asked", size(e.out), size(e.in))
	}
	if packets && max(e.out, e.in) > 10<<20 && max(perOut, perIn) >= 700 && min(e.out, e.in)*10 < max(e.out, e.in) {
		d.part("copy", round3(max(perOut, perIn)), 700, -2, "full packets one way only: the shape of a file copy")
	}
	if e.keepalives >= 3 {
		d.part("keepalive", float64(e.keepalives), 3, 1, "grew by the same number of bytes %d times in a row: an idle session that is kept open", e.keepalives)
	}
}

// scoreAttempts scores what a packet filter can say: that it was tried, and how often.
func (s *sshState) scoreAttempts(d *Draft, e *sshEpisode, t func(string) float64) {
	tries := e.trail.sessions
	verb := "was let through"
	if e.passed == 0 {
		verb = "was refused"
	}
	name := "egress"
	if e.passed == 0 {
		name = partRefused
	}
	d.part(name, float64(tries), 1, 1, "SSH to the internet %s, %s", verb, plural(tries, "attempt", "attempts"))
	if tries >= int64(t("repeats")) {
		d.part("repetition", float64(tries), t("repeats"), 1, "it was repeated")
	}
	if e.passed > 0 && tries >= 4*int64(t("repeats")) {
		d.part("persistence", float64(tries), 4*t("repeats"), 1, "and went on for %s", span(float64(e.trail.end-e.trail.start)/1e9))
	}
	if e.passed > 0 {
		d.untested = append(d.untested, "whether a tunnel stood: these logs record packets, not how long a connection lasted or how much it carried")
	}
}

func (s *sshState) title(p *sshPeer, e *sshEpisode) string {
	peer := endpoint(p.dst, p.port)
	if n := len(e.trail.targets); n > 1 {
		peer = fmt.Sprintf("%d addresses and ports", n)
	}
	switch {
	case e.passed == 0:
		return "SSH from " + p.src.String() + " to " + peer + " was refused " + plural(e.trail.sessions, "time", "times")
	case e.longest == 0 && e.standing > 0:
		return "SSH from " + p.src.String() + " to " + peer + " without an end until the end of the data, " + span(e.standing)
	case e.timed:
		return "SSH from " + p.src.String() + " to " + peer + " in " + plural(e.trail.sessions, "session", "sessions") + ", the longest " + span(e.longest)
	}
	return "SSH from " + p.src.String() + " to " + peer + " was let through " + plural(e.trail.sessions, "time", "times")
}
