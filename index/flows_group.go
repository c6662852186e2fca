package index

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index/columns"
)

// placed is a flow with the ranks of its addresses in one number, to sort by.
type placed struct {
	ends uint64
	id   uint32
}

// ranked is a text column whose values are replaced by their place in order.
type ranked struct {
	v     *columns.Vector // nil: no row has a value
	rank  []uint32        // of each code, from 1
	code  []uint32        // of each rank
	own   []string        // of each rank that was asked for
	addrs []netip.Addr    // of each rank, if they are addresses
}

// rankText orders the values of a column; addresses by number.
func rankText(v *columns.Vector, addrs bool) ranked {
	r := ranked{v: v}
	if v == nil {
		return r
	}
	n := v.Dict.Len()
	r.code = make([]uint32, n)
	for i := range r.code {
		r.code[i] = uint32(i)
	}
	if addrs {
		r.addrs = sortAddrs(r.code, v.Dict.Addrs())
	} else {
		slices.SortFunc(r.code, func(a, b uint32) int { return strings.Compare(v.Dict.Value(a), v.Dict.Value(b)) })
	}
	r.rank = make([]uint32, n)
	for i, c := range r.code {
		r.rank[c] = uint32(i) + 1
		// In a column without a dictionary values repeat: they share a rank.
		if i > 0 && v.Dict.Value(c) == v.Dict.Value(r.code[i-1]) {
			r.rank[c] = r.rank[r.code[i-1]]
		}
	}
	return r
}

// sortAddrs sorts codes by their addresses, most of which are IPv4, and returns the
// sorted addresses.
func sortAddrs(codes []uint32, list []netip.Addr) []netip.Addr {
	slices.SortFunc(codes, func(a, b uint32) int { return cmp.Compare(list[a].BitLen(), list[b].BitLen()) })
	from, _ := slices.BinarySearchFunc(codes, 32, func(c uint32, bits int) int { return list[c].BitLen() - bits })
	to, _ := slices.BinarySearchFunc(codes, 33, func(c uint32, bits int) int { return list[c].BitLen() - bits })
	keys := make([]uint64, to-from)
	for i, c := range codes[from:to] {
		b := list[c].As4()
		keys[i] = uint64(binary.BigEndian.Uint32(b[:]))<<32 | uint64(c)
	}
	slices.Sort(keys)
	slices.SortFunc(codes[to:], func(a, b uint32) int { return list[a].Compare(list[b]) })
	sorted := make([]netip.Addr, len(codes))
	for i, k := range keys {
		codes[from+i] = uint32(k)
		sorted[from+i] = netip.AddrFrom4([4]byte{byte(k >> 56), byte(k >> 48), byte(k >> 40), byte(k >> 32)})
	}
	for i, c := range codes[to:] {
		sorted[to+i] = list[c]
	}
	return sorted
}

func (r *ranked) of(row int) uint32 {
	if r.v == nil || r.v.Codes[row] == columns.Null {
		return 0
	}
	return r.rank[r.v.Codes[row]]
}

// text is the value of a rank, in memory of its own.
func (r *ranked) text(rank uint32) string {
	if rank == 0 {
		return ""
	}
	if r.own == nil {
		r.own = make([]string, len(r.code))
	}
	if r.own[rank-1] == "" {
		r.own[rank-1] = strings.Clone(r.v.Dict.Value(r.code[rank-1]))
	}
	return r.own[rank-1]
}

// groupVectors are the columns of a row group that flows are made of.
type groupVectors struct {
	src, dst, proto, action, sensor ranked
	port, srcPort                   []int64
	names                           [5]ranked // hosts, apps, services, rules, users
	failed                          [3][]bool // by code of action, state, app
	failing                         [3]*columns.Vector
	start                           uint32 // code of the state "start"

	times, ends, spans, bytesOut, bytesIn, packetsOut, packetsIn []int64
}

// numbers of a column, nil where no row has one
func numbers(g *columns.Group, name string) []int64 {
	if v := g.Vector(name); v != nil {
		return v.Ints()
	}
	return nil
}

func number(list []int64, row int) int64 {
	if list == nil {
		return firetrail.Absent
	}
	return list[row]
}

func known(list []int64, row int) int64 {
	if n := number(list, row); n != firetrail.Absent {
		return n
	}
	return 0
}

func newGroupVectors(g *columns.Group) *groupVectors {
	v := &groupVectors{
		src: rankText(g.Vector("src_ip"), true), dst: rankText(g.Vector("dst_ip"), true),
		proto: rankText(g.Vector("proto"), false), action: rankText(g.Vector("action"), false), sensor: rankText(g.Vector("sensor"), false),
		port: numbers(g, "dst_port"), srcPort: numbers(g, "src_port"), start: columns.Null,
		times: numbers(g, "time"), ends: numbers(g, "end"), spans: numbers(g, "duration"),
		bytesOut: numbers(g, "bytes_out"), bytesIn: numbers(g, "bytes_in"),
		packetsOut: numbers(g, "packets_out"), packetsIn: numbers(g, "packets_in"),
	}
	for i, name := range [...]string{"host", "app", "service", "rule", "user"} {
		v.names[i] = rankText(g.Vector(name), false)
	}
	for i, name := range [...]string{"action", "state", "app"} {
		f, _ := firetrail.FieldNamed(name)
		if v.failing[i] = g.Vector(name); v.failing[i] == nil {
			continue
		}
		d := v.failing[i].Dict
		v.failed[i] = make([]bool, d.Len())
		for c := range v.failed[i] {
			var ev firetrail.Event
			*f.Text(&ev) = d.Value(uint32(c))
			v.failed[i][c] = ev.Failed()
			if ev.State == stateStart {
				v.start = uint32(c)
			}
		}
	}
	return v
}

// failedAt says what Event.Failed would: any of the three fields is enough.
func (v *groupVectors) failedAt(row int) bool {
	for i, f := range v.failing {
		if f != nil && f.Codes[row] != columns.Null && v.failed[i][f.Codes[row]] {
			return true
		}
	}
	return false
}

// stateStart is the state of records whose counts the record of the session's end
// has again.
const stateStart = "start"

// starts says whether the row has that state.
func (v *groupVectors) starts(row int) bool {
	return v.start != columns.Null && v.failing[1].Codes[row] == v.start
}

// ends of a row's flow: the ranks of its addresses.
func (v *groupVectors) endsOf(row uint32) uint64 {
	return uint64(v.src.of(int(row)))<<32 | uint64(v.dst.of(int(row)))
}

// compare orders rows of equal ends by the rest of their flows' keys.
func (v *groupVectors) compare(a, b uint32) int {
	i, j := int(a), int(b)
	return cmp.Or(cmp.Compare(number(v.port, i), number(v.port, j)), cmp.Compare(v.proto.of(i), v.proto.of(j)),
		cmp.Compare(v.action.of(i), v.action.of(j)), cmp.Compare(v.sensor.of(i), v.sensor.of(j)))
}

// roller makes rollups; its memory is used again for the next one.
type roller struct {
	codes  codeTable
	flowOf []uint32 // of each row
	first  []uint32 // row of each flow
	order  []placed
	from   []uint32 // where the rows of each flow begin in rows
	rows   []uint32
	names  []string
	list   []uint32
}

// rollup yields the flows of a row group, in key order, made from its columns. A
// flow is valid until the next, its lists until the next call.
func (r *roller) rollup(g *columns.Group, kind string, yield func(*firetrail.Flow) error) error {
	v := newGroupVectors(g)
	r.assign(v, g.Rows())
	r.names = r.names[:0]
	var f firetrail.Flow
	for _, p := range r.order {
		f = firetrail.Flow{FlowKey: firetrail.FlowKey{Kind: kind}, First: firetrail.Absent, Last: firetrail.Absent}
		v.setKey(&f.FlowKey, p.ends, int(r.first[p.id]))
		rows := r.rows[r.from[p.id]:r.from[p.id+1]]
		for _, row := range rows {
			v.observe(&f, int(row))
		}
		f.SrcPorts = r.ports(v, rows)
		for i := range v.names {
			if v.names[i].v != nil {
				r.keep(&v.names[i], rows, &f, i)
			}
		}
		if err := yield(&f); err != nil {
			return err
		}
	}
	return nil
}

// assign gives rows to flows: equal keys are found column by column.
func (r *roller) assign(v *groupVectors, n int) {
	r.flowOf = slices.Grow(r.flowOf[:0], n)[:n]
	clear(r.flowOf)
	for _, c := range [...]*ranked{&v.proto, &v.action, &v.sensor} {
		if c.v != nil {
			r.codes.combine(r.flowOf, c.of)
		}
	}
	if v.port != nil {
		r.codes.combine(r.flowOf, portCodes(v.port))
	}
	for _, c := range [...]*ranked{&v.dst, &v.src} {
		if c.v != nil {
			r.codes.combine(r.flowOf, c.of)
		}
	}
	r.first, r.from = r.first[:0], r.from[:0]
	for row, id := range r.flowOf { // ids are in the order of first sight
		if int(id) == len(r.first) {
			r.first, r.from = append(r.first, uint32(row)), append(r.from, 0)
		}
		r.from[id]++
	}
	r.order = r.order[:0]
	at := uint32(0)
	for id, row := range r.first {
		r.order = append(r.order, placed{v.endsOf(row), uint32(id)})
		at += r.from[id]
		r.from[id] = at
	}
	r.from = append(r.from, at)
	r.rows = slices.Grow(r.rows[:0], n)[:n]
	for row := n - 1; row >= 0; row-- {
		id := r.flowOf[row]
		r.from[id]--
		r.rows[r.from[id]] = uint32(row)
	}
	slices.SortFunc(r.order, func(a, b placed) int {
		if a.ends != b.ends {
			return cmp.Compare(a.ends, b.ends)
		}
		return v.compare(r.first[a.id], r.first[b.id])
	})
}

func (v *groupVectors) setKey(f *firetrail.FlowKey, ends uint64, row int) {
	if rank := ends >> 32; rank > 0 {
		f.SrcIP = v.src.addrs[rank-1]
	}
	if rank := uint32(ends); rank > 0 {
		f.DstIP = v.dst.addrs[rank-1]
	}
	f.DstPort = number(v.port, row)
	f.Proto, f.Action, f.Sensor = v.proto.text(v.proto.of(row)), v.action.text(v.action.of(row)), v.sensor.text(v.sensor.of(row))
}

// observe adds up what Flow.Observe adds up.
func (v *groupVectors) observe(f *firetrail.Flow, row int) {
	f.Events++
	if v.failedAt(row) {
		f.Failed++
	}
	if !v.starts(row) {
		f.BytesOut += known(v.bytesOut, row)
		f.BytesIn += known(v.bytesIn, row)
		f.PacketsOut += known(v.packetsOut, row)
		f.PacketsIn += known(v.packetsIn, row)
		d := known(v.spans, row)
		f.Duration += d
		f.Longest = max(f.Longest, d)
	}
	if t := number(v.times, row); t != firetrail.Absent {
		f.First = earliest(f.First, t)
		last := t
		if e := number(v.ends, row); e != firetrail.Absent {
			last = e
		}
		f.Last = latest(f.Last, last)
	}
}

// ports counts the distinct source ports of rows.
func (r *roller) ports(v *groupVectors, rows []uint32) (n int64) {
	if v.srcPort == nil {
		return 0
	}
	r.list = r.list[:0]
	for _, row := range rows {
		if p := v.srcPort[row]; p != firetrail.Absent {
			r.list = append(r.list, uint32(p))
		}
	}
	return int64(len(r.distinct()))
}

// distinct sorts the list and takes out what repeats.
func (r *roller) distinct() []uint32 {
	if len(r.list) > 1 {
		slices.Sort(r.list)
		r.list = slices.Compact(r.list)
	}
	return r.list
}

// keep gives a flow its smallest names.
func (r *roller) keep(n *ranked, rows []uint32, f *firetrail.Flow, which int) {
	r.list = r.list[:0]
	for _, row := range rows {
		if rank := n.of(int(row)); rank > 0 {
			r.list = append(r.list, rank)
		}
	}
	ranks := r.distinct()
	if len(ranks) == 0 {
		return
	}
	if len(ranks) > firetrail.MaxNames {
		ranks, f.More = ranks[:firetrail.MaxNames], true
	}
	from := len(r.names)
	for _, rank := range ranks {
		r.names = append(r.names, n.text(rank))
	}
	*nameList(f, which) = r.names[from:len(r.names):len(r.names)]
}

// nameList is one of the five lists of names of a flow.
func nameList(f *firetrail.Flow, which int) *[]string {
	return [...]*[]string{&f.Hosts, &f.Apps, &f.Services, &f.Rules, &f.Users}[which]
}
