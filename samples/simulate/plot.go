package simulate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Scenario is something that can be planted.
type Scenario struct {
	Name  string
	Class string // detector that must find it; "" for decoys and damage
	Doc   string
	plan  func(p *plot)
}

// plot plants one behaviour.
type plot struct {
	sim  *simulation
	r    *random
	loud bool
	item int32 // number of the truth's item from 1
	name string
	run  int32 // acting run, -1 for none
	box  int32
	used map[int32]bool
}

// plant plans the scenarios in the order in which they were asked for.
func (sim *simulation) plant() error {
	used := map[int32]bool{}
	for n, word := range sim.opt.Scenarios {
		name, variant, _ := strings.Cut(word, ":")
		i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
		if i < 0 || variant != "" && variant != "loud" && variant != "quiet" {
			return fmt.Errorf("unknown scenario %q; 'simulate --scenario list' prints them", word)
		}
		for _, loud := range [...]bool{true, false} {
			if variant == "loud" && !loud || variant == "quiet" && loud || Scenarios[i].Class == "" && !loud && variant == "" {
				continue
			}
			p := &plot{sim: sim, r: newRandom(sim.opt.Seed, 11, uint64(n), mix(uint64(i)*2+bit(loud))), loud: loud, run: -1, used: used}
			p.name = name + ":quiet"
			if loud {
				p.name = name + ":loud"
			}
			Scenarios[i].plan(p)
		}
	}
	slices.SortStableFunc(sim.planted, func(a, b Session) int { return cmp.Compare(a.Start, b.Start) })
	sim.schedule.order()
	sim.name()
	return nil
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// name gives the truth the ids of its tool calls, which are known when all are in order.
func (sim *simulation) name() {
	for i := range sim.schedule.calls {
		c := &sim.schedule.calls[i]
		if c.plant > 0 {
			t := &sim.truth.items[c.plant-1]
			t.Calls = append(t.Calls, callID(i))
		}
	}
}

func callID(i int) string { return fmt.Sprintf("c-%06d", i+1) }

func (sim *simulation) plantedRecords() int64 {
	var n int64
	for i := range sim.planted {
		n += sim.planted[i].records()
	}
	return n
}

// begin starts a behaviour of the class.
func (p *plot) begin(class, cause string, also ...string) {
	p.sim.truth.items = append(p.sim.truth.items, Planted{ID: len(p.sim.truth.items) + 1, Scenario: p.name, Class: class, Also: also, Expect: ExpectReport, Cause: cause})
	p.sim.truth.first = append(p.sim.truth.first, 0)
	p.sim.truth.last = append(p.sim.truth.last, 0)
	p.item = int32(len(p.sim.truth.items))
}

// truth is the item at hand.
func (p *plot) truth() *Planted { return &p.sim.truth.items[p.item-1] }

// add plants a session of the behaviour.
func (p *plot) add(s Session) {
	if s.Start < p.sim.opt.start() || s.Start >= p.sim.opt.end() {
		return
	}
	s.plant = p.item
	p.sim.complete(&s)
	p.sim.planted = append(p.sim.planted, s)
	t := p.truth()
	insertAddr(&t.Sources, s.Src)
	insertAddr(&t.Targets, s.Dst)
	insertAddr(&t.Targets, s.outsideDst())
	if s.natted() {
		insertAddr(&t.Outside, natOf(s.Src))
	}
	if !slices.Contains(t.Ports, s.DstPort) && len(t.Ports) < 64 && s.Proto != ICMP {
		t.Ports = append(t.Ports, s.DstPort)
		slices.Sort(t.Ports)
	}
	if t.Start.IsZero() || s.Start < t.Start.UnixNano() {
		t.Start = utc(s.Start)
	}
	if t.End.IsZero() || s.End() > t.End.UnixNano() {
		t.End = utc(s.End())
	}
}

func insertAddr(list *[]netip.Addr, a netip.Addr) {
	i, ok := slices.BinarySearchFunc(*list, a, netip.Addr.Compare)
	if !ok {
		*list = slices.Insert(*list, i, a)
	}
}

// agent picks a run of agents that has at least the time of need before it ends,
// and a moment in it; accept may narrow the choice. It returns the address that
// acts and the moment. Runs are used once as long as there are others.
func (p *plot) agent(need int64, accept func(*run) bool) (netip.Addr, int64) {
	runs := p.sim.schedule.runs
	start, end := p.sim.opt.start(), p.sim.opt.end()
	for pass := range 4 {
		var fit []int32
		for i := range runs {
			x := &runs[i]
			room := min(x.end, end) - max(x.start, start)
			if !x.agentic || room < need+20*minute>>pass || pass < 2 && accept != nil && !accept(x) || pass < 1 && p.used[int32(i)] {
				continue
			}
			fit = append(fit, int32(i))
		}
		if len(fit) == 0 {
			continue
		}
		p.run = fit[p.r.intn(len(fit))]
		break
	}
	if p.run < 0 {
		p.run = 0
	}
	p.used[p.run] = true
	return p.act(need)
}

func (p *plot) act(need int64) (netip.Addr, int64) {
	x := &p.sim.schedule.runs[p.run]
	p.box = 0
	if len(x.boxes) > 0 {
		p.box = int32(p.r.intn(len(x.boxes)))
	}
	from := max(x.start, p.sim.opt.start()) + 5*minute
	to := max(min(x.end, p.sim.opt.end())-need-5*minute, from+1)
	t := from + p.r.below(to-from)
	ip := p.sim.lab.gpus[0].ip
	if len(x.boxes) > 0 {
		ip = x.boxes[p.box].ip
	}
	return ip, t
}

// call plants the tool call that did it, a moment before t. A quiet agent hides
// the command in a script.
func (p *plot) call(t, length int64, args string) {
	x := &p.sim.schedule.runs[p.run]
	if !p.loud {
		args = "bash run_task.sh --stage 2"
	}
	begin := t - p.r.between(300, 2500)*millisecond
	p.sim.schedule.calls = append(p.sim.schedule.calls, call{start: begin, end: min(begin+length, x.end), run: p.run, box: p.box, kind: callPlanted, args: args, plant: p.item})
	tr := p.truth()
	id := x.id
	tr.Run = &id
	p.attributable(x)
}

// attributable says whether the inventory suffices to name the run.
func (p *plot) attributable(x *run) {
	t := p.truth()
	told := p.loud && (x.trace == traceLines || x.trace == traceSpans)
	switch {
	case x.trace == traceNone && x.job != 0 && x.boxes[0].ip != p.sim.lab.nodes[x.boxes[0].node].ip:
		t.Attributable, t.Why = false, "only traces name the addresses of sandboxes, and none was kept of this run"
	case x.shared && !told:
		t.Attributable, t.Why = false, "sandboxes of several runs share the address, and no call that was kept tells what it did"
	case x.shared:
		t.Attributable, t.Why = true, "sandboxes of several runs share the address; the command names the peer or the tool"
	case x.hostNetwork && !told:
		t.Attributable, t.Why = false, "the pods use the node's network, and no call that was kept tells what it did"
	case x.hostNetwork:
		t.Attributable, t.Why = true, "the pods use the node's network; the command names the peer or the tool"
	case told:
		t.Attributable, t.Why = true, "one run held the address, and the command names the peer or the tool"
	case x.trace == traceNone:
		t.Attributable, t.Why = true, "one run held the address; no trace of its calls was kept"
	default:
		t.Attributable, t.Why = true, "one run held the address; the calls do not tell what they did"
	}
}

// nobody says why no run did it.
func (p *plot) nobody(why string) {
	t := p.truth()
	t.Run, t.Attributable, t.Why = nil, false, why
}

// n scales a number of sessions: small simulations have smaller floods.
func (p *plot) n(many, few int) int {
	scale := min(1, max(0.05, float64(p.sim.opt.Events)/500_000))
	return max(few, int(float64(many)*scale))
}

// pick is the loud or the quiet value.
func pick[T any](p *plot, loud, quiet T) T {
	if p.loud {
		return loud
	}
	return quiet
}

// ask is a name lookup by an address through the lab's name server, and the name
// server's own question to the resolver outside.
func (p *plot) ask(t int64, client netip.Addr, name string, kind uint16, answer netip.Addr, size int64) {
	l := p.sim.lab
	q := dnsSession(p.r, t, client, l.dns[0].ip, name, kind, answer)
	q.NX = false
	q.Duration = p.r.span(0.025, 0.4)
	if size > 0 {
		q.In = size
	}
	p.add(q)
	f := q
	f.Src, f.Dst, f.Start, f.Duration = l.dns[0].ip, l.resolver.ip, t+millisecond, q.Duration-millisecond/2
	f.SrcPort = 0
	if f.Duration < 1000 {
		f.Duration = 1000
	}
	sources := slices.Clone(p.truth().Sources)
	p.add(f)
	// The name server only passes it on.
	p.truth().Sources = sources
	insertAddr(&p.truth().Relays, f.Src)
}
