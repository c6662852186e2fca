package main

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	"firetrail"
	"firetrail/index"
	"firetrail/timeline/attribute"
)

// Bounds of the translations that are read from events.
const (
	maxFindingNAT = 4096                // of one finding
	maxNAT        = 1 << 18             // in all
	natMargin     = 2 * 60 * int64(1e9) // around a finding's bursts
)

// translations reads from the events who stood behind the findings' sources
// where those are translated addresses: records of the same peer and time, by the
// inventory's clock, in the order of the findings.
func translations(ctx context.Context, c *index.Case, findings []firetrail.Finding, offsets map[string]attribute.Offset) ([]firetrail.NAT, error) {
	paths := map[string]string{}
	for _, s := range c.Sources() {
		paths[s.ID] = s.Path
	}
	margin := int64(natMargin)
	for _, o := range offsets {
		margin = max(margin, natMargin+2*max(o.Shift, -o.Shift))
	}
	type record struct {
		source string
		line   int64
	}
	seen := map[record]bool{}
	outside := map[netip.Addr]bool{}
	var out []firetrail.NAT
	for i := range findings {
		f := &findings[i]
		translated, asked := outside[f.SrcIP]
		if !asked && f.SrcIP.IsValid() {
			for _, err := range c.Search(ctx, firetrail.Exactly("nat_src_ip", f.SrcIP.String()), index.SearchOptions{Fields: []string{"time"}, Limit: 1}) {
				if err != nil {
					return nil, err
				}
				translated = true
			}
			outside[f.SrcIP] = translated
		}
		if !translated || f.Start == firetrail.Absent {
			continue
		}
		opt := index.SearchOptions{Limit: min(maxFindingNAT, maxNAT-len(out)), Since: f.Start - margin, Until: max(f.Start, f.End) + margin,
			Fields: []string{"time", "end", "proto", "src_ip", "dst_ip", "src_port", "dst_port", "nat_src_ip", "nat_src_port", "line"}}
		if opt.Limit <= 0 {
			break
		}
		for ev, err := range c.Search(ctx, behindQuery(f), opt) {
			if err != nil {
				return nil, err
			}
			n, ok := attribute.Translation(ev, paths[ev.Source])
			if r := (record{ev.Source, ev.Line}); !ok || seen[r] {
				continue
			} else {
				seen[r] = true
			}
			o := offsets[ev.Source]
			n.Start, n.End = n.Start-o.Of(n.Start), n.End-o.Of(n.End)
			out = append(out, n)
		}
	}
	return slices.Clip(out), nil
}

// behindQuery selects records in which a finding's source is the translated
// address, to the same peer where it has one.
func behindQuery(f *firetrail.Finding) firetrail.Query {
	q := []firetrail.Query{firetrail.Exactly("nat_src_ip", f.SrcIP.String())}
	if f.Dst != "" {
		q = append(q, firetrail.Or(firetrail.Is("dst_ip", f.Dst), firetrail.Is("nat_dst_ip", f.Dst)))
	}
	if f.DstPort != firetrail.Absent {
		q = append(q, firetrail.Exactly("dst_port", strconv.FormatInt(f.DstPort, 10)))
	}
	return firetrail.And(q...)
}

// gatewayHosts is from how many inside addresses on an outside one is a gateway's.
const gatewayHosts = 3

// gateways are the addresses that several others are translated to, sorted.
func gateways(nat []firetrail.NAT) []netip.Addr {
	behind := map[netip.Addr]map[netip.Addr]bool{}
	for _, n := range nat {
		if behind[n.OutsideIP] == nil {
			behind[n.OutsideIP] = map[netip.Addr]bool{}
		}
		behind[n.OutsideIP][n.InsideIP] = true
	}
	var out []netip.Addr
	for a, inside := range behind {
		if len(inside) >= gatewayHosts {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
