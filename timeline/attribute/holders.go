package attribute

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// Index is an inventory made ready for questions by address and time. It reads
// each tool call's arguments once, so that one Index should serve both the
// findings and the causes of a case. It is not for use by several goroutines.
type Index struct {
	opt    Options
	runs   map[string]*trace
	byAddr map[netip.Addr]*holders
	byNode map[string]*holders          // pods and sandboxes of runs, by the short name of the node they ran on
	nat    map[netip.Addr]*translations // by outside address
	ids    []string                     // of runs, sorted
}

// translations are the entries of one outside address, sorted by start.
type translations struct {
	entries []firetrail.NAT
	spans   spans
}

// holders are the leases of one address, or on one node, sorted by start.
type holders struct {
	leases []firetrail.Lease
	spans  spans // each widened by its own uncertainty
}

// trace is a run with what is known of its acts.
type trace struct {
	run     *firetrail.Run
	calls   []*firetrail.ToolCall // with a clock, by start; then those without one
	clocked int
	windows spans      // of the first clocked calls, grace included
	content []*content // of each call, nil until read
	telling []int      // calls whose arguments say something of the network, once all are read
	read    bool
	args    bool // some call has arguments

	exposure map[exposureKey]float64
}

// NewIndex takes an inventory; its slices must not change afterwards.
func NewIndex(inv firetrail.Inventory, opt Options) *Index {
	x := &Index{opt: opt.filled(), runs: map[string]*trace{}, byAddr: map[netip.Addr]*holders{}, byNode: map[string]*holders{}, nat: map[netip.Addr]*translations{}}
	for i := range inv.Runs {
		r := &inv.Runs[i]
		x.runs[r.ID] = &trace{run: r}
		x.ids = append(x.ids, r.ID)
		for _, l := range r.Leases {
			l.Run = r.ID
			x.hold(l)
		}
	}
	slices.Sort(x.ids)
	for _, l := range inv.Hosts {
		x.hold(l)
	}
	for _, h := range x.byAddr {
		h.sort()
	}
	for _, h := range x.byNode {
		h.sort()
	}
	x.translate(inv.NAT)
	for i := range inv.Calls {
		c := &inv.Calls[i]
		if t := x.runs[c.Run]; t != nil {
			t.calls = append(t.calls, c)
			t.args = t.args || !c.NoArgs && strings.TrimSpace(c.Args) != ""
		}
	}
	for _, t := range x.runs {
		t.build(x.opt.Grace)
	}
	return x
}

func (x *Index) translate(table []firetrail.NAT) {
	for _, n := range table {
		out := n.OutsideIP.Unmap()
		if x.nat[out] == nil {
			x.nat[out] = &translations{}
		}
		n.InsideIP, n.DstIP = n.InsideIP.Unmap(), n.DstIP.Unmap()
		x.nat[out].entries = append(x.nat[out].entries, n)
	}
	for _, t := range x.nat {
		slices.SortStableFunc(t.entries, func(a, b firetrail.NAT) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line), a.InsideIP.Compare(b.InsideIP))
		})
		iv := make([]firetrail.Interval, len(t.entries))
		for i, n := range t.entries {
			iv[i] = firetrail.Interval{Start: n.Start, End: n.End}
			if n.End == firetrail.Absent {
				iv[i].End = forever
			}
		}
		t.spans = newSpans(iv)
	}
}

func (x *Index) hold(l firetrail.Lease) {
	put := func(h *holders) *holders {
		if h == nil {
			h = &holders{}
		}
		h.leases = append(h.leases, l)
		return h
	}
	l.IP = l.IP.Unmap().WithZone("")
	x.byAddr[l.IP] = put(x.byAddr[l.IP])
	if l.Run != "" && l.Host != "" && (l.Subject == "pod" || l.Subject == "sandbox") {
		x.byNode[short(l.Host)] = put(x.byNode[short(l.Host)])
	}
}

// short is the first label of a host's name, in lower case.
func short(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return name
}

func (h *holders) sort() {
	slices.SortStableFunc(h.leases, func(a, b firetrail.Lease) int {
		return cmp.Or(cmp.Compare(leaseSpan(a).Start, leaseSpan(b).Start), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line))
	})
	iv := make([]firetrail.Interval, len(h.leases))
	for i, l := range h.leases {
		iv[i] = leaseSpan(l)
	}
	h.spans = newSpans(iv)
}

// leaseSpan is the widest time a lease can have lasted.
func leaseSpan(l firetrail.Lease) firetrail.Interval {
	end := l.End
	if end == firetrail.Absent {
		end = forever
	}
	return firetrail.Interval{Start: add(l.Start, -l.StartUnc), End: add(end, l.EndUnc)}
}

// build sorts the calls and lays out their windows: from start to end and the
// grace after it. A call whose end is not known lasts until the next one of
// the same place begins, ten minutes at the most.
func (t *trace) build(grace int64) {
	slices.SortStableFunc(t.calls, func(a, b *firetrail.ToolCall) int {
		if (a.Start == firetrail.Absent) != (b.Start == firetrail.Absent) {
			if a.Start == firetrail.Absent {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.Start-max(a.Unc, 0), b.Start-max(b.Unc, 0)), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line), cmp.Compare(a.ID, b.ID))
	})
	t.clocked = len(t.calls)
	for t.clocked > 0 && t.calls[t.clocked-1].Start == firetrail.Absent {
		t.clocked--
	}
	t.content = make([]*content, len(t.calls))
	iv := make([]firetrail.Interval, t.clocked)
	next := map[string]int64{}
	for i := t.clocked - 1; i >= 0; i-- {
		c := t.calls[i]
		end := c.End
		place := c.Sandbox + "\x00" + c.Host
		if end == firetrail.Absent || end < c.Start {
			end = c.Start + 10*minute
			if n, ok := next[place]; ok {
				end = min(end, n)
			}
		}
		next[place] = c.Start
		iv[i] = firetrail.Interval{Start: add(c.Start, -c.Unc), End: add(end, c.Unc+grace)}
	}
	t.windows = newSpans(iv)
}

// Most calls say nothing of the network; they share these.
var (
	noArguments  = &content{}
	onlyOrdinary = &content{known: true}
)

// contentOf reads a call's arguments once.
func (t *trace) contentOf(i int) *content {
	if t.content[i] != nil {
		return t.content[i]
	}
	c := noArguments
	if !t.calls[i].NoArgs && strings.TrimSpace(t.calls[i].Args) != "" {
		read := readArgs(t.calls[i].Args)
		if c = &read; read.ordinary() {
			c = onlyOrdinary
		}
	}
	t.content[i] = c
	return c
}

// tellings lists the calls whose arguments say something of the network.
func (t *trace) tellings() []int {
	if !t.read {
		t.read = true
		for i := range t.calls {
			if c := t.contentOf(i); c != noArguments && c != onlyOrdinary {
				t.telling = append(t.telling, i)
			}
		}
	}
	return t.telling
}

// claim is one way in which a run can have caused traffic of an address.
type claim struct {
	trace *trace
	lease *firetrail.Lease
	share float64 // how far the way itself can be believed, 1 for the run's own address
	way   string  // how the address leads to the lease, "" if directly
}

// Weight of a pod on the node whose address was seen, where no inventory says
// that the pod's traffic leaves by it: it usually does.
const nodeShare = 0.3

// natSlack is how far a translation's record may lie from the flow's start.
const natSlack = 2 * second

// claims lists what can have caused traffic of a finding's source in an
// interval: runs that held the address, the insiders behind a translated
// address, and pods of the node that the address belongs to.
func (x *Index) claims(f *firetrail.Finding, at firetrail.Interval, eps int64) []claim {
	src := f.SrcIP.Unmap().WithZone("")
	out := x.held(src, at, eps, 1, "")
	seen := map[netip.Addr]bool{src: true}
	for _, n := range x.insiders(src, f, at, eps) {
		if seen[n.InsideIP] {
			continue
		}
		seen[n.InsideIP] = true
		way := fmt.Sprintf("%s was %s outside (translation in %s:%d)", n.InsideIP, src, n.Source, n.Line)
		out = append(out, x.held(n.InsideIP, at, eps, 1, way)...)
	}
	node, ok := x.hostAt(src, at)
	if h := x.byNode[short(node.Name)]; ok && h != nil {
		h.spans.overlap(add(at.Start, -eps), add(at.End, eps), func(i int) {
			l := &h.leases[i]
			if l.IP == src || slices.ContainsFunc(out, func(c claim) bool { return c.lease.Run == l.Run }) {
				return
			}
			way := fmt.Sprintf("%s ran on node %s, whose address %s is (%s:%d)", l.Name, node.Name, src, node.Source, node.Line)
			out = append(out, claim{x.runs[l.Run], l, nodeShare, way})
		})
	}
	return out
}

// held lists the runs that held an address itself.
func (x *Index) held(a netip.Addr, at firetrail.Interval, eps int64, share float64, way string) []claim {
	h := x.byAddr[a.Unmap().WithZone("")]
	if h == nil {
		return nil
	}
	var out []claim
	h.spans.overlap(add(at.Start, -eps), add(at.End, eps), func(i int) {
		if l := &h.leases[i]; l.Run != "" && x.runs[l.Run] != nil {
			out = append(out, claim{x.runs[l.Run], l, share, way})
		}
	})
	return out
}

// insiders lists the translations that can have made the finding's source of
// an inside address: everything that is known of both has to agree.
func (x *Index) insiders(outside netip.Addr, f *firetrail.Finding, at firetrail.Interval, eps int64) []firetrail.NAT {
	t := x.nat[outside]
	if t == nil {
		return nil
	}
	dst, _ := parseDst(f.Dst)
	var out []firetrail.NAT
	t.spans.overlap(add(at.Start, -natSlack-eps), add(at.End, natSlack+eps), func(i int) {
		n := &t.entries[i]
		other := n.DstIP.IsValid() && dst.IsValid() && n.DstIP != dst
		if !other && !(n.DstPort > 0 && f.DstPort != firetrail.Absent && n.DstPort != f.DstPort) {
			out = append(out, *n)
		}
	})
	return out
}

// hostAt finds the host of no run that an address belonged to.
func (x *Index) hostAt(a netip.Addr, at firetrail.Interval) (l firetrail.Lease, ok bool) {
	h := x.byAddr[a.Unmap().WithZone("")]
	if h == nil {
		return l, false
	}
	h.spans.overlap(at.Start, at.End, func(i int) {
		if !ok && h.leases[i].Run == "" {
			l, ok = h.leases[i], true
		}
	})
	return l, ok
}

// podOnly reports an address that pods or sandboxes alone are known to have held:
// it has no services of its own, and who else held it the inventory may not say.
func (x *Index) podOnly(a netip.Addr) bool {
	h := x.byAddr[a.Unmap().WithZone("")]
	return h != nil && !slices.ContainsFunc(h.leases, func(l firetrail.Lease) bool {
		return l.Shared || l.Subject != "pod" && l.Subject != "sandbox"
	})
}

// neverHeld reports an address that no run of the inventory ever held.
func (x *Index) neverHeld(a netip.Addr) bool {
	h := x.byAddr[a.Unmap().WithZone("")]
	return h == nil || !slices.ContainsFunc(h.leases, func(l firetrail.Lease) bool { return l.Run != "" })
}

// membership is how far a burst lies within a lease, 0 to 1: 1 well inside, a
// straight line over the uncertainty at either end. A burst that began before
// the lease and reached into it counts a tenth: who began it held the address then.
func membership(l *firetrail.Lease, at firetrail.Interval, eps int64) float64 {
	end := l.End
	if end == firetrail.Absent {
		end = forever
	}
	in := min(ramp(at.Start, l.Start, l.StartUnc+eps), ramp(-at.Start, -end, l.EndUnc+eps))
	if in < 0.1 && at.End > at.Start && l.Start != firetrail.Absent && at.Start < l.Start && at.End > add(l.Start, l.StartUnc+eps) {
		return 0.1
	}
	return in
}

// ramp rises from 0 at edge-width to 1 at edge+width.
func ramp(t, edge, width int64) float64 {
	if edge == firetrail.Absent || edge == -forever {
		return 1
	}
	d := (float64(t) - float64(edge)) + float64(width)
	if width <= 0 {
		if d >= 0 {
			return 1
		}
		return 0
	}
	return math.Max(0, math.Min(1, d/(2*float64(width))))
}
