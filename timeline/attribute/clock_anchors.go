package attribute

import (
	"cmp"
	"net/netip"
	"slices"

	"firetrail"
)

// Anchor is a tool call whose arguments name a destination: traffic to it from
// the run's addresses tells how the sensors' clock and the inventory's lie
// together.
type Anchor struct {
	At      int64        // begin of the call
	Sources []netip.Addr // of the run at that time, sorted
	Addr    netip.Addr   // the destination, or invalid
	Host    string       // and then its name
	Port    int64        // Absent: any
}

// Anchored is an anchor with the times of the sessions that may be its own, by
// the sensors' clock and in any order.
type Anchored struct {
	At   int64
	Seen []int64
}

const (
	maxAnchors   = 512
	anchorNames  = 2  // destinations of a call beyond which none stands for it
	minAnchors   = 5  // calls by which clocks can be compared
	anchorBefore = 2  // seconds: a session that belongs to a call begins from here before
	anchorAfter  = 12 // to here after the call
	anchorStep   = 5 * second
)

// Anchors lists calls with a clock that name one or two destinations, by time.
// Of a destination named again within a minute only the first counts: its
// sessions could not be told apart.
func Anchors(inv firetrail.Inventory) []Anchor {
	runs := map[string]*firetrail.Run{}
	for i := range inv.Runs {
		runs[inv.Runs[i].ID] = &inv.Runs[i]
	}
	type place struct {
		run, host string
		addr      netip.Addr
	}
	last := map[place]int64{}
	var out []Anchor
	for i := range inv.Calls {
		c := &inv.Calls[i]
		run := runs[c.Run]
		if run == nil || c.NoArgs || c.Start == firetrail.Absent || c.Unc > inStep {
			continue
		}
		for _, a := range destinations(c.Args) {
			k := place{c.Run, a.Host, a.Addr}
			if at, known := last[k]; known && c.Start-at < minute {
				continue
			}
			last[k] = c.Start
			if a.At, a.Sources = c.Start, addressesAt(run, c); len(a.Sources) > 0 {
				out = append(out, a)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Anchor) int { return cmp.Compare(a.At, b.At) })
	if n := len(out); n > maxAnchors {
		for i := range maxAnchors {
			out[i] = out[i*n/maxAnchors]
		}
		out = out[:maxAnchors]
	}
	return out
}

// destinations reads a call's arguments; nothing where they name many.
func destinations(args string) []Anchor {
	c := readArgs(args)
	var out []Anchor
	port := int64(firetrail.Absent)
	if len(c.ports) == 1 {
		port = c.ports[0]
	}
	add := func(a Anchor) {
		if !slices.ContainsFunc(out, func(o Anchor) bool { return o.Addr == a.Addr && o.Host == a.Host }) {
			out = append(out, a)
		}
	}
	for _, ip := range c.addrs {
		if !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast() {
			add(Anchor{Addr: ip, Port: port})
		}
	}
	if c.peers > 0 {
		for _, name := range c.names {
			add(Anchor{Host: name, Port: firetrail.Absent}) // what knows its name may be its DNS question
		}
	}
	if len(out) > anchorNames {
		return nil
	}
	return out
}

// addressesAt lists where a call can have come from: its own address, else
// what its run held, a day more or less, as clocks may be far apart.
func addressesAt(run *firetrail.Run, c *firetrail.ToolCall) []netip.Addr {
	if c.IP.IsValid() {
		return []netip.Addr{c.IP.Unmap()}
	}
	var out []netip.Addr
	for _, l := range run.Leases {
		span := leaseSpan(l)
		if l.IP.IsValid() && add(span.Start, -24*hour) <= c.Start && c.Start <= add(span.End, 24*hour) {
			out = append(out, l.IP.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// AnchorOffset compares clocks by calls and what followed them: the shift that
// puts a session within moments after most calls. It needs five calls, half of
// those with any session, and twice as many as at any shift a minute away or
// more: traffic that is always there fits everywhere and says nothing. What
// comes within 5 s of its call needs no correction.
func AnchorOffset(calls []Anchored) (o Offset, explained int, ok bool) {
	type near struct {
		d    int64
		call int
	}
	var all []near
	usable := 0
	for i, c := range calls {
		before := len(all)
		for _, t := range c.Seen {
			if d := t - c.At; abs(d) <= maxZone+pairWindow {
				all = append(all, near{d, i})
			}
		}
		if len(all) > before {
			usable++
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(cmp.Compare(a.d, b.d), cmp.Compare(a.call, b.call)) })
	// counts of distinct calls in the window that begins at each difference.
	const width = (anchorBefore + anchorAfter) * second
	counts := make([]int, len(all))
	in := map[int]int{}
	for lo, hi := 0, 0; lo < len(all); lo++ {
		for hi < len(all) && all[hi].d-all[lo].d <= width {
			in[all[hi].call]++
			hi++
		}
		counts[lo] = len(in)
		if in[all[lo].call]--; in[all[lo].call] == 0 {
			delete(in, all[lo].call)
		}
	}
	best := 0
	for i := range counts {
		if counts[i] > counts[best] {
			best = i
		}
	}
	if len(all) == 0 || counts[best] < minAnchors || counts[best]*2 < usable {
		return o, 0, false
	}
	for i := range counts {
		if abs(all[i].d-all[best].d) > minute && counts[i]*2 > counts[best] {
			return o, 0, false
		}
	}
	if abs(all[best].d) <= anchorStep {
		return Offset{Pairs: counts[best]}, counts[best], true
	}
	var d []float64
	taken := map[int]bool{}
	for _, x := range all[best:] {
		if x.d-all[best].d <= width && !taken[x.call] {
			taken[x.call] = true
			d = append(d, float64(x.d))
		}
	}
	lo, hi := d[0], d[len(d)-1]
	o = Offset{Shift: int64(median(d)), Spread: int64(hi-lo) / 2, Pairs: len(d)}
	o.Zone = zoneMistake(o.Shift)
	return o, len(d), true
}
