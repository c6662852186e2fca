package detect

import (
	"context"
	"net/netip"

	"firetrail"
)

// callByName gives findings of a single peer in the internet the name it was known
// by, where their own records have none: packet filters and SSH carry no name, but a
// DNS answer or another connection may. What this source was told comes before
// what others were, and the lowest name before the rest, so that all findings of one
// source and peer agree.
func (l *Lab) callByName(ctx context.Context, view View, drafts []*Draft) error {
	nameless := map[netip.Addr]bool{}
	for _, d := range drafts {
		if a, err := netip.ParseAddr(d.dst); err == nil && d.host == "" && l.External(a) {
			nameless[a] = true
		}
	}
	if len(nameless) == 0 {
		return nil
	}
	names := book{bySrc: map[[2]netip.Addr][]string{}, byDst: map[netip.Addr][]string{}}
	var peers []firetrail.Query
	for _, a := range sortedBy(nameless, netip.Addr.Compare) {
		peers = append(peers, firetrail.Exactly("dst_ip", a.String()))
	}
	has := func(field string) firetrail.Query {
		return firetrail.Query{Op: firetrail.OpMatch, Field: field, Match: firetrail.MatchHas}
	}
	for _, q := range []firetrail.Query{firetrail.And(firetrail.Or(peers...), has("host")), firetrail.And(has("x.answers"), has("host"))} {
		for ev, err := range view.Events(ctx, q, nameFields[2:]...) {
			if err != nil {
				return err
			}
			name := lowerHost(ev.Host)
			if _, err := netip.ParseAddr(name); err == nil {
				continue
			}
			if !isDNS(ev) && nameless[ev.DstIP] {
				names.bind(ev.SrcIP, ev.DstIP, name)
			}
			for _, a := range answersOf(ev) {
				if nameless[a] {
					names.bind(ev.SrcIP, a, name)
				}
			}
		}
	}
	for _, d := range drafts {
		a, err := netip.ParseAddr(d.dst)
		if err != nil || d.host != "" || !nameless[a] {
			continue
		}
		if own := names.bySrc[[2]netip.Addr{d.src, a}]; len(own) > 0 {
			d.host = own[0]
		} else if others := names.byDst[a]; len(others) > 0 {
			d.host = others[0]
		}
	}
	return nil
}
