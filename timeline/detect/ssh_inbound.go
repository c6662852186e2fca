package detect

import (
	"fmt"

	"firetrail"
)

// Bounds of a way in. The bytes are Slips' measure of an SSH session that got past
// the password; a guessing client ends each connection within seconds.
const (
	guesses    = 20   // attempts of one peer that are more than a typing mistake
	enterBytes = 4290 // bytes sent by a client that was let in
	enterNanos = int64(60e9)
)

// hop is a session of SSH from a host that somebody had got into to another inside.
type hop struct {
	at    int64
	trail trail
}

const (
	maxHops = 256          // followed of one host
	hopTime = int64(600e9) // after the session of the guest, up to which they are taken for its doing
)

// onward notes SSH from a host that a guest may have entered to hosts inside.
func (s *sshState) onward(x *Session) {
	hops, followed := s.hops[x.Src]
	if !followed || !s.lab.Internal(x.Dst) || x.Denied || x.Failed || x.Reply && !x.Settled || len(hops) >= maxHops || !sshPort(x.DstPort) && !sshWord(x.Service) && !sshWord(x.App) {
		return
	}
	h := hop{at: x.Start, trail: newTrail()}
	h.trail.add(x, 1, "onward from the host that was entered")
	s.hops[x.Src] = append(hops, h)
}

// sshGuest is a peer in the internet that tried to log in to a host inside.
type sshGuest struct {
	peerKey
	tries   trail // connections that came to nothing, or whose outcome is not recorded
	settled bool
	entered trail // sessions after the guessing
	longest float64
	open    bool
}

// guest notes a peer in the internet whose connections to an inside SSH port were
// let through more often than people mistype.
func (s *sshState) guest(c *Channel) {
	if !s.lab.External(c.Src) || !s.lab.Internal(c.Dst) || s.lab.translated(c.Dst) || c.Proto != "tcp" && c.Proto != "" {
		return
	}
	if named := isSSH(c.Services, c.Apps); c.Most.Events-c.Most.Denied <= guesses && !s.lab.all || !named && (!sshPort(c.Port) || c.otherProtocol()) {
		return
	}
	if s.quota.take(s.lab, s.d, c.Src) {
		k := peerKey{c.Src, c.Dst, c.Port}
		s.guests[k] = &sshGuest{peerKey: k, tries: newTrail(), entered: newTrail()}
		s.hops[k.dst] = nil
	}
}

// visit takes one session of a guest.
func (s *sshState) visit(g *sshGuest, x *Session) {
	if x.Denied || x.Reply && !x.Settled {
		return
	}
	g.settled = g.settled || x.Settled
	in := x.Settled && !x.Failed && x.Duration >= enterNanos && x.BytesOut > enterBytes
	if in && g.tries.sessions >= guesses {
		g.entered.add(x, x.Seconds(), "a session after the guessing")
		g.longest, g.open = max(g.longest, x.Seconds()), g.open || x.Open()
		return
	}
	g.tries.add(x, 0, "")
}

// entries makes findings of guesses that ended in a session: a way in for somebody
// else. Guessing alone is the noise of the internet; it is told, as worth knowing,
// only where the records cannot say whether it succeeded.
func (s *sshState) entries() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.guests, peerKey.compare) {
		g := s.guests[k]
		if g.tries.sessions < guesses || g.settled && g.entered.sessions == 0 {
			continue
		}
		d := &Draft{src: k.src, dst: k.dst.String(), port: k.port, trail: newTrail(), open: g.open, attack: []string{"T1110", "T1133"}}
		d.trail.merge(&g.tries, &g.entered)
		d.part("inbound", float64(g.tries.sessions), guesses, 0.5, "%s from the internet on an SSH port inside were let through", plural(g.tries.sessions, "attempt", "attempts"))
		if g.entered.sessions > 0 {
			d.part("entered", g.longest, float64(enterNanos)/1e9, 3, "after them %s, the longest %s: somebody was let in", plural(g.entered.sessions, "session stood", "sessions stood"), span(g.longest))
			s.follow(d, g)
			d.title = fmt.Sprintf("SSH into %s from %s: %s, then a session of %s", endpoint(k.dst, k.port), k.src, plural(g.tries.sessions, "attempt", "attempts"), span(g.longest))
		} else {
			d.title = fmt.Sprintf("SSH into %s from %s was let through %s", endpoint(k.dst, k.port), k.src, plural(g.tries.sessions, "time", "times"))
			d.untested = []string{"whether one of the logins succeeded: these logs record packets, not how long a connection lasted"}
		}
		d.benign = []string{"automation of a partner that logs in often", "an operator with a client that reconnects"}
		out = append(out, d)
	}
	return out
}

// follow adds where SSH went on to from the host that was entered.
func (s *sshState) follow(d *Draft, g *sshGuest) {
	on := newTrail()
	for i := range s.hops[g.dst] {
		if h := &s.hops[g.dst][i]; h.at >= g.entered.start && h.at <= g.entered.end+hopTime {
			on.merge(&h.trail)
		}
	}
	if n := on.hosts(); n > 0 {
		d.part("onward", float64(n), 1, 1, "from there SSH went on to %s inside", plural(n, "host", "hosts"))
		d.attack = append(d.attack, "T1021.004")
		d.trail.merge(&on)
	}
}

// Corroborate raises findings whose content a tool call's own words explain: DETECTION
// asks for it where the logs alone cannot confirm what was done. It adds a part to
// the score of each such finding and keeps their order.
func Corroborate(findings []firetrail.Finding) {
	for i := range findings {
		f := &findings[i]
		if f.Run == nil || f.Run.Probability < 0.9 || f.Run.Level != "A4" && f.Run.Level != "A5" {
			continue
		}
		f.Why = append(f.Why, firetrail.Part{Part: "tool call", Value: f.Run.Probability, Threshold: 0.9, Points: 1,
			Text: "a tool call of run " + f.Run.ID + " says that it did this"})
		points := 0.0
		for _, p := range f.Why {
			points += p.Points
		}
		f.Severity, f.Score = Severity(points), Score(points)
	}
}
