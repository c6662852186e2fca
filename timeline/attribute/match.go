package attribute

import (
	"fmt"
	"net/netip"
	"slices"

	"firetrail"
)

// Weights of the content of a call, K of the posterior.
const (
	contentPeer    = 1000.0 // the arguments name the peer
	contentBoth    = 300.0  // a tool that does what the detector saw, and the port
	contentTool    = 100.0  // such a tool alone, or a network around the peer
	contentMaybe   = 30.0   // such a tool, with a peer by a name that the log does not know
	contentPort    = 10.0   // the port, where it is not one that everybody uses
	contentCommon  = 2.0    // a port or a tool that everybody uses, a tool that may have such effects
	contentSilent  = 1.0    // the trace has no arguments
	contentOther   = 0.3    // arguments, and nothing in them is related
	contentMatches = contentMaybe
)

// match weighs what a call's arguments say against a finding, with the reason
// as the end of a sentence: "names 203.0.113.9".
func (c *content) match(f *firetrail.Finding) (k float64, why string) {
	if !c.known {
		return contentSilent, ""
	}
	k, why = c.peer(f)
	if name, own := c.families.explains(f.Detector); name != "" && k < contentTool {
		switch {
		case c.peers > 0 && !(f.Host == "" && len(c.names) > 0): // it goes elsewhere
		case !own:
			k, why = max(k, contentCommon), "runs a "+name+", which may lead to "+f.Detector
		case c.peers == 0:
			k, why = contentTool, "runs a "+name+", which fits "+f.Detector
		default:
			k, why = contentMaybe, "runs a "+name+", which fits "+f.Detector+", with a peer by name that the log does not show"
		}
	}
	if k < contentPort && f.DstPort == firetrail.Absent && c.portsOf(f.Targets) {
		return contentPort, "writes most of the ports"
	}
	if k >= contentTool || f.DstPort == firetrail.Absent || !slices.Contains(c.ports, f.DstPort) {
		return max(k, contentOther), why
	}
	port := fmt.Sprintf("writes the port %d", f.DstPort)
	switch f.DstPort {
	case 22, 53, 80, 443:
		if k < contentCommon {
			return contentCommon, port
		}
		return k, why
	}
	if k >= contentMaybe { // the tool and the port, though not the peer
		return contentBoth, why + ", and " + port
	}
	return contentPort, port
}

// fewPorts is how many ports a list has to have before it says more than that they are common.
const fewPorts = 3

// portsOf reports that the call lists the ports of most targets, several of them.
func (c *content) portsOf(targets []firetrail.Target) bool {
	held, different := 0, map[int64]bool{}
	for i := range targets {
		if slices.Contains(c.ports, targets[i].Port) {
			held++
			different[targets[i].Port] = true
		}
	}
	return len(different) >= fewPorts && 2*held > len(targets)
}

// peer compares addresses, networks and names with the finding's peer and targets.
func (c *content) peer(f *firetrail.Finding) (k float64, why string) {
	dst, net := parseDst(f.Dst)
	better := func(w float64, text string) {
		if w > k {
			k, why = w, text
		}
	}
	for _, a := range c.addrs {
		switch {
		case a == dst:
			better(contentPeer, "names "+a.String())
		case net.IsValid() && net.Contains(a):
			better(contentTool, "names "+a.String()+" of "+f.Dst)
		}
	}
	for _, r := range c.ranges {
		c.network(f, dst, net, r, better)
	}
	c.hosts(f.Host, 1, better)
	for _, n := range c.names {
		if f.Detector == dnsTunnel && f.Host != "" && covers(f.Host, n) { // the zone below the registered domain that is asked about
			better(contentPeer, "names "+n+" under "+f.Host)
		}
	}
	for i := range f.Targets {
		t := &f.Targets[i]
		for _, a := range c.addrs {
			if a == t.IP {
				better(share(len(f.Targets)), "names "+a.String())
			}
		}
		c.hosts(t.Host, len(f.Targets), better)
	}
	return k, why
}

// share is the weight of a named peer among n of a finding.
func share(n int) float64 {
	if n <= 4 {
		return contentPeer
	}
	return contentTool
}

func (c *content) hosts(host string, among int, better func(float64, string)) {
	if host == "" {
		return
	}
	for _, n := range c.names {
		switch {
		case n == host:
			better(share(among), "names "+n)
		case covers(n, host), covers(host, n):
			better(contentTool, "names "+n+", of which "+host+" is a relative")
		}
	}
}

// network weighs a network or range that a command names: it has to hold the
// peer, or half of the targets at least. The whole private space says less.
func (c *content) network(f *firetrail.Finding, dst netip.Addr, net netip.Prefix, r [2]netip.Addr, better func(float64, string)) {
	in := func(a netip.Addr) bool {
		return a.Is4() == r[0].Is4() && r[0].Compare(a) <= 0 && a.Compare(r[1]) <= 0
	}
	held := 0
	for i := range f.Targets {
		if in(f.Targets[i].IP) {
			held++
		}
	}
	covered := dst.IsValid() && in(dst) || net.IsValid() && in(net.Addr()) || held > 0 && 2*held >= len(f.Targets)
	if !covered {
		return
	}
	text := "covers " + r[0].String() + " to " + r[1].String()
	if wide(r) {
		better(contentTool, text)
	} else {
		better(contentPeer, text)
	}
}

// wide reports a range that does not lie within one /16, or /48 of IPv6.
func wide(r [2]netip.Addr) bool {
	bits := 16
	if r[0].Is6() {
		bits = 48
	}
	p, err := r[0].Prefix(bits)
	return err != nil || !p.Contains(r[1])
}

// parseDst takes a finding's destination: an address, or the network of a sweep.
func parseDst(dst string) (netip.Addr, netip.Prefix) {
	if a, err := netip.ParseAddr(dst); err == nil {
		return a.Unmap(), netip.Prefix{}
	}
	p, _ := netip.ParsePrefix(dst)
	return netip.Addr{}, p
}
