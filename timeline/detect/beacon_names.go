package detect

import (
	"cmp"
	"net/netip"
	"strings"
)

// A beacon may go to a name whose addresses change, as content networks' do: RITA takes
// the name that TLS or HTTP says for a peer of its own. Only names of several addresses
// are followed so; the others are the address.

type nameKey struct {
	src  netip.Addr
	name string
	port int64
}

func (k nameKey) compare(o nameKey) int {
	return cmp.Or(k.src.Compare(o.src), strings.Compare(k.name, o.name), cmp.Compare(k.port, o.port))
}

const (
	maxNameKeys  = 1 << 18 // sources and names of phase 1, some 200 bytes each
	maxNameAddrs = 64      // addresses of one that are followed
)

// nameSpan is what flows say at most of the contacts of a source with a name: an address
// that has several names counts for each.
type nameSpan struct {
	beaconSpan
	addrs []netip.Addr
}

type beaconNames struct {
	seen     map[nameKey]*nameSpan // in phase 1
	visitors map[string]int64      // inside sources by name
	last     map[string]netip.Addr // the latest of them: channels come source by source
	peers    map[nameKey]*beaconPeer
	left     int // channels whose names there was no room for
}

func newBeaconNames() beaconNames {
	return beaconNames{seen: map[nameKey]*nameSpan{}, visitors: map[string]int64{}, last: map[string]netip.Addr{}, peers: map[nameKey]*beaconPeer{}}
}

// note takes a channel to a peer that is called by names.
func (b *beaconNames) note(c *Channel) {
	for _, name := range c.Hosts {
		k := nameKey{c.Src, name, c.Port}
		p := b.seen[k]
		if p == nil {
			if len(b.seen) == maxNameKeys {
				b.left++
				return
			}
			k.name = strings.Clone(name)
			p = &nameSpan{beaconSpan: beaconSpan{host: k.name, first: c.First / 1e9}}
			b.seen[k] = p
			if b.last[k.name] != c.Src {
				b.last[k.name] = c.Src
				b.visitors[k.name]++
			}
		}
		p.first, p.last, p.events = min(p.first, c.First/1e9), max(p.last, c.Last/1e9), p.events+c.Most.Events
		if n := len(p.addrs); n < maxNameAddrs && (n == 0 || p.addrs[n-1] != c.Dst) { // destinations come in order
			p.addrs = append(p.addrs, c.Dst)
		}
	}
}

// namesWanted are the names of several addresses that can score.
func (s *beaconState) namesWanted() []*beaconPeer {
	var out []*beaconPeer
	for k, p := range s.names.seen {
		if len(p.addrs) < 2 {
			continue
		}
		enough := float64(p.events) >= s.lab.threshold(s.d, "contacts") && p.last-p.first >= beaconLeast
		if !(enough && s.worth(&p.beaconSpan) && !s.common(s.names.visitors[k.name])) && !s.lab.all {
			continue
		}
		b := &beaconPeer{peerKey: peerKey{src: k.src, port: k.port}, beaconSpan: p.beaconSpan, trail: newTrail(), hits: map[netip.Addr]int64{}}
		for _, a := range p.addrs {
			b.hits[a] = 0
		}
		out = append(out, b)
	}
	s.names.seen, s.names.last = nil, nil
	return out
}

// visitors is the number of inside hosts that contact the peer.
func (s *beaconState) visitors(p *beaconPeer) int64 {
	if p.hits != nil {
		return s.names.visitors[p.host]
	}
	return s.lab.Prevalence(p.dst)
}

// nameOf is the peer's name where it is one, else "".
func nameOf(p *beaconPeer) string {
	if p.hits == nil {
		return ""
	}
	return p.host
}

// most is the address with most contacts, the lowest of several.
func (p *beaconPeer) most() (best netip.Addr) {
	for a, n := range p.hits {
		if m := p.hits[best]; !best.IsValid() || n > m || n == m && a.Compare(best) < 0 {
			best = a
		}
	}
	return best
}

// met is the number of addresses with contacts.
func (p *beaconPeer) met() (n int64) {
	for _, c := range p.hits {
		if c > 0 {
			n++
		}
	}
	return n
}
