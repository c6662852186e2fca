package detect

import (
	"net/netip"
	"slices"

	"firetrail"
)

// hitGroup is one source's use of one name (or one alarm), whatever peers and
// resolvers were involved.
type hitGroup struct {
	src   netip.Addr
	name  string
	alarm string
	count int64
	dns   bool // only looked up
	peers []target
	trail trail
}

// newHitGroups gathers the hits that pass, by source and name, in a fixed order.
// A lookup by a resolver is left out where a client's own use of the name is known.
func newHitGroups(l *Lab, pass func(*hit) bool) []*hitGroup {
	var out []*hitGroup
	asked := map[string]bool{}
	all := l.names.sorted()
	for _, h := range all {
		if !l.resolvers[h.src] && l.Internal(h.src) {
			asked[h.name] = true
		}
	}
	for _, h := range all {
		if !pass(h) {
			continue
		}
		n := len(out)
		if n == 0 || out[n-1].src != h.src || out[n-1].name != h.name {
			out = append(out, &hitGroup{src: h.src, name: h.name, dns: true, trail: newTrail()})
			n++
		}
		g := out[n-1]
		g.count += h.count
		g.dns = g.dns && h.dns
		if g.alarm == "" {
			g.alarm = h.alarm
		}
		g.trail.merge(&h.trail)
		if !h.dns {
			g.peers = append(g.peers, target{h.dst, h.port})
			g.trail.aim(h.dst, h.port, h.name, firetrail.Absent)
			continue
		}
		for _, a := range h.answers {
			g.trail.aim(a, firetrail.Absent, h.name, firetrail.Absent)
		}
	}
	return slices.DeleteFunc(out, func(g *hitGroup) bool { return g.alarm == "" && g.dns && l.resolvers[g.src] && asked[g.name] })
}

// address gives the draft its peer where there is a single one.
func (g *hitGroup) address(d *Draft) {
	if len(g.peers) > 0 {
		d.dst, d.port = g.peers[0].ip.String(), g.peers[0].port
		return
	}
	if len(g.trail.targets) == 1 {
		for t := range g.trail.targets {
			d.dst = t.ip.String()
		}
	}
}
