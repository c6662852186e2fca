package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"firetrail"
	"firetrail/index/columns"

	"github.com/klauspost/compress/zstd"
)

// maxRollup is how many flows of a segment are held in memory; beyond it they are
// packed, to be merged when the segment ends.
const maxRollup = 1 << 18

// rollup sums the events of one segment up by flow. Groups may come in any order and
// from several goroutines: what comes out does not depend on it.
type rollup struct {
	mu   sync.Mutex
	kind string
	most int // flows that are held in memory after a group

	addrs addrTable
	parts interner[flowPart]
	names interner[string]

	slots []uint32 // hash table: flow+1, 0 is free; the length is a power of two
	keys  []rollKey
	sums  []rollSum
	lists [][]uint32 // names of flows that have more than one, sorted by their text

	groups uint32
	ports  portSet // of the flows of the present group
	runs   [][]byte
}

// flowPart is what few values of make up: the rest of a flow's key.
type flowPart struct{ proto, action, sensor string }

// rollKey is a flow's key with numbers for its addresses and its part.
type rollKey struct {
	ends uint64 // source << 32 | destination
	port int64
	part uint32
}

// rollSum is what Flow adds up.
type rollSum struct {
	events, failed, bytesOut, bytesIn, packetsOut, packetsIn int64
	first, last, duration, longest, srcPorts                 int64

	group uint32    // the last one that had an event of the flow, from 1
	port  uint32    // a source port that it had there
	names [5]uint32 // name+1 of the only one, or listed | its place in lists
	more  bool
}

const listed = 1 << 31

// interner gives numbers to values in the order of first sight.
type interner[K comparable] struct {
	ids  map[K]uint32
	list []K
}

func (n *interner[K]) enter(k K) uint32 {
	if n.ids == nil {
		n.ids = map[K]uint32{}
	}
	id := uint32(len(n.list))
	n.ids[k] = id
	n.list = append(n.list, k)
	return id
}

func newRollup(kind string) *rollup { return &rollup{kind: kind, most: maxRollup} }

// add sums a row group up, whose dictionaries have been told their addresses.
func (r *rollup) add(g *columns.Group, z *zstd.Encoder) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups++
	r.ports.reset()
	v := newFlowColumns(r, g)
	var was rollKey
	at := columns.Null
	for row := range g.Rows() {
		if k := v.key(row); at == columns.Null || k != was {
			was, at = k, r.flow(k)
		}
		r.observe(at, v, row)
	}
	if len(r.keys) > r.most {
		return r.spill(z)
	}
	return nil
}

// flow finds or makes the flow of a key.
func (r *rollup) flow(k rollKey) uint32 {
	if 2*len(r.keys) >= len(r.slots) {
		r.grow()
	}
	mask := uint64(len(r.slots) - 1)
	i := k.hash() & mask
	for r.slots[i] != 0 {
		if f := r.slots[i] - 1; r.keys[f] == k {
			return f
		}
		i = (i + 1) & mask
	}
	f := uint32(len(r.keys))
	r.slots[i] = f + 1
	if len(r.sums) == cap(r.sums) {
		r.sums = slices.Grow(r.sums, max(64, len(r.sums))) // slices that grow by less copy more
	}
	r.keys = append(r.keys, k)
	r.sums = append(r.sums, rollSum{first: firetrail.Absent, last: firetrail.Absent})
	return f
}

func (k rollKey) hash() uint64 {
	h := (k.ends ^ uint64(k.port)<<20 ^ uint64(k.part)<<40) * 0x9e3779b97f4a7c15
	return (h ^ h>>29) * 0xbf58476d1ce4e5b9 >> 24
}

func (r *rollup) grow() {
	r.slots = make([]uint32, max(1024, 4*len(r.slots)))
	mask := uint64(len(r.slots) - 1)
	for f, k := range r.keys {
		i := k.hash() & mask
		for r.slots[i] != 0 {
			i = (i + 1) & mask
		}
		r.slots[i] = uint32(f) + 1
	}
}

// observe adds up what Flow.Observe adds up.
func (r *rollup) observe(flow uint32, v *flowColumns, row int) {
	s := &r.sums[flow]
	s.events++
	if v.failedAt(row) {
		s.failed++
	}
	if !v.starts(row) {
		s.bytesOut += known(v.bytesOut, row)
		s.bytesIn += known(v.bytesIn, row)
		s.packetsOut += known(v.packetsOut, row)
		s.packetsIn += known(v.packetsIn, row)
		d := known(v.spans, row)
		s.duration += d
		s.longest = max(s.longest, d)
	}
	if t := number(v.times, row); t != firetrail.Absent {
		s.first = earliest(s.first, t)
		if e := number(v.ends, row); e != firetrail.Absent {
			t = e
		}
		s.last = latest(s.last, t)
	}
	if p := number(v.srcPorts, row); p != firetrail.Absent {
		r.sourcePort(flow, s, uint32(p))
	}
	for _, n := range v.names {
		if c := n.codes[row]; c != columns.Null {
			r.name(s, n.which, n.ids[c])
		}
	}
}

// sourcePort counts a source port that the flow did not have in this group.
func (r *rollup) sourcePort(flow uint32, s *rollSum, port uint32) {
	switch {
	case s.group != r.groups:
		s.group, s.port = r.groups, port
		s.srcPorts++
	case s.port == port:
	case r.ports.add(uint64(flow)<<32 | uint64(port)):
		s.srcPorts++
	}
}

// name gives a flow another name.
func (r *rollup) name(s *rollSum, which int, id uint32) {
	place := &s.names[which]
	switch had := *place; {
	case had == 0:
		*place = id + 1
	case had == id+1:
	case had&listed == 0:
		*place = listed | uint32(len(r.lists))
		r.lists = append(r.lists, r.insert([]uint32{had - 1}, id, s))
	default:
		r.lists[had&^listed] = r.insert(r.lists[had&^listed], id, s)
	}
}

// insert does what Flow.insert does, with numbers of names.
func (r *rollup) insert(to []uint32, id uint32, s *rollSum) []uint32 {
	if slices.Contains(to, id) {
		return to
	}
	name := r.names.list[id]
	if len(to) == firetrail.MaxNames {
		s.more = true
		if r.names.list[to[len(to)-1]] < name {
			return to
		}
		to = to[:len(to)-1]
	}
	i := len(to)
	for i > 0 && name < r.names.list[to[i-1]] {
		i--
	}
	return slices.Insert(to, i, id)
}

// spill packs the flows and forgets them.
func (r *rollup) spill(z *zstd.Encoder) error {
	if len(r.keys) == 0 {
		return nil
	}
	var b bytes.Buffer
	w, err := newFlowWriter(&b, z)
	if err != nil {
		return err
	}
	defer w.settle()
	if err := mergeFlows([]*flowStream{{next: r.flows().next}}, w.add); err != nil {
		return err
	}
	if err := w.close(); err != nil {
		return err
	}
	r.runs = append(r.runs, b.Bytes())
	r.addrs, r.parts, r.names = addrTable{}, interner[flowPart]{}, interner[string]{}
	r.slots, r.keys, r.sums, r.lists = nil, nil, nil, nil
	return nil
}

// write makes the file of the segment's flows, whose checksum it returns. Nothing
// is added after it.
func (r *rollup) write(path string, z *zstd.Encoder) (sum string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.runs) == 0 {
		if err := r.spill(z); err != nil {
			return "", err
		}
	}
	runs := r.runs
	r.runs = nil
	return writeFlows(path, runs, r.flows(), z)
}

// rollupFlows are the flows of a rollup in key order.
type rollupFlows struct {
	*rollup
	rest  []uint32 // that come
	flow  firetrail.Flow
	names []string // memory of the flows' lists
}

func (r *rollup) flows() *rollupFlows { return &rollupFlows{rollup: r, rest: r.order()} }

// next gives the next flow, valid until the next call; io.EOF after the last.
func (r *rollupFlows) next() (*firetrail.Flow, error) {
	if len(r.rest) == 0 {
		return nil, io.EOF
	}
	k, s := &r.keys[r.rest[0]], &r.sums[r.rest[0]]
	r.rest = r.rest[1:]
	p := r.parts.list[k.part]
	r.flow = firetrail.Flow{
		FlowKey: firetrail.FlowKey{SrcIP: r.addrs.list[k.ends>>32], DstIP: r.addrs.list[uint32(k.ends)], DstPort: k.port,
			Proto: p.proto, Action: p.action, Sensor: p.sensor, Kind: r.kind},
		Events: s.events, Failed: s.failed, BytesOut: s.bytesOut, BytesIn: s.bytesIn, PacketsOut: s.packetsOut, PacketsIn: s.packetsIn,
		First: s.first, Last: s.last, Duration: s.duration, Longest: s.longest, SrcPorts: s.srcPorts, More: s.more,
	}
	for which, n := range s.names {
		if n == 0 {
			continue
		}
		from := len(r.names)
		if n&listed == 0 {
			r.names = append(r.names, r.rollup.names.list[n-1])
		} else {
			for _, id := range r.lists[n&^listed] {
				r.names = append(r.names, r.rollup.names.list[id])
			}
		}
		*nameList(&r.flow, which) = r.names[from:len(r.names):len(r.names)]
	}
	return &r.flow, nil
}

// order gives the flows by their keys. Places of addresses are dense numbers: flows are
// counted into place by their destinations, and then by their sources.
func (r *rollup) order() []uint32 {
	ranks := rankAddrs(r.addrs.list)
	order := make([]uint32, len(r.keys))
	for i := range order {
		order[i] = uint32(i)
	}
	order = counted(order, len(ranks), func(flow uint32) uint32 { return ranks[uint32(r.keys[flow].ends)] })
	order = counted(order, len(ranks), func(flow uint32) uint32 { return ranks[r.keys[flow].ends>>32] })
	for rest := order; len(rest) > 0; {
		n := 1
		for n < len(rest) && r.keys[rest[n]].ends == r.keys[rest[0]].ends {
			n++
		}
		slices.SortFunc(rest[:n], func(a, b uint32) int {
			k, l := &r.keys[a], &r.keys[b]
			if k.port != l.port {
				return cmp.Compare(k.port, l.port)
			}
			return r.parts.list[k.part].compare(r.parts.list[l.part])
		})
		rest = rest[n:]
	}
	return order
}

// counted sorts by ranks less than n; what has the same rank stays in its order.
func counted(order []uint32, n int, rank func(uint32) uint32) []uint32 {
	next := make([]uint32, n+1) // place of the next one of each rank
	for _, v := range order {
		next[rank(v)+1]++
	}
	for i := range n {
		next[i+1] += next[i]
	}
	sorted := make([]uint32, len(order))
	for _, v := range order {
		k := rank(v)
		sorted[next[k]] = v
		next[k]++
	}
	return sorted
}

func (p flowPart) compare(o flowPart) int {
	return cmp.Or(strings.Compare(p.proto, o.proto), strings.Compare(p.action, o.action), strings.Compare(p.sensor, o.sensor))
}

// rankAddrs gives the place of each address in their order. Most are IPv4, which
// are sorted as numbers.
func rankAddrs(list []netip.Addr) []uint32 {
	var short []uint64
	var long []uint32
	ranks := make([]uint32, len(list))
	next := uint32(0)
	for i, a := range list {
		switch {
		case a.Is4():
			b := a.As4()
			short = append(short, uint64(binary.BigEndian.Uint32(b[:]))<<32|uint64(i))
		case a.IsValid():
			long = append(long, uint32(i))
		default: // none comes before all others
			ranks[i] = next
			next++
		}
	}
	slices.Sort(short)
	for _, k := range short {
		ranks[uint32(k)] = next
		next++
	}
	slices.SortFunc(long, func(a, b uint32) int { return list[a].Compare(list[b]) })
	for _, i := range long {
		ranks[i] = next
		next++
	}
	return ranks
}

// nameList is one of the five lists of names of a flow.
func nameList(f *firetrail.Flow, which int) *[]string {
	return [...]*[]string{&f.Hosts, &f.Apps, &f.Services, &f.Rules, &f.Users}[which]
}

// portSet is a set of pairs of flows and ports.
type portSet struct {
	slots []uint64 // a pair plus 1, 0 is free; the length is a power of two
	n     int
}

func (p *portSet) reset() {
	if p.n > 0 {
		clear(p.slots)
	}
	p.n = 0
}

// add reports whether the pair was not there.
func (p *portSet) add(pair uint64) bool {
	if 2*p.n >= len(p.slots) {
		old := p.slots
		p.slots = make([]uint64, max(1024, 4*len(old)))
		for _, k := range old {
			if k != 0 {
				p.slots[p.place(k)] = k
			}
		}
	}
	i := p.place(pair + 1)
	if p.slots[i] != 0 {
		return false
	}
	p.slots[i] = pair + 1
	p.n++
	return true
}

// place is where a pair is, or the free slot where it would be.
func (p *portSet) place(k uint64) uint64 {
	mask := uint64(len(p.slots) - 1)
	i := k * 0x9e3779b97f4a7c15 >> 24 & mask
	for p.slots[i] != 0 && p.slots[i] != k {
		i = (i + 1) & mask
	}
	return i
}
