package index

import (
	"cmp"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index/columns"
)

// flowCodes is the key of a flow within a row group: ranks of dictionary values,
// 0 for absent, so that keys compare as the flows do.
type flowCodes struct {
	src, dst              uint32
	port                  int64
	proto, action, sensor uint32
}

// compare orders keys with equal addresses.
func (k *flowCodes) compare(o *flowCodes) int {
	return cmp.Or(cmp.Compare(k.port, o.port), cmp.Compare(k.proto, o.proto),
		cmp.Compare(k.action, o.action), cmp.Compare(k.sensor, o.sensor))
}

// placed is a flow with the addresses of its key in one number, to sort by.
type placed struct {
	ends uint64
	id   uint32
}

// ranked is a text column whose values are replaced by their place in order.
type ranked struct {
	v    *columns.Vector // nil: no row has a value
	rank []uint32        // of each code, from 1
	code []uint32        // of each rank
	own  []string        // of each rank that was asked for
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
		list := v.Dict.Addrs()
		slices.SortFunc(r.code, func(a, b uint32) int { return list[a].Compare(list[b]) })
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
	port                            []int64
	names                           [5]ranked // hosts, apps, services, rules, users
	failed                          [3][]bool // by code of action, state, app
	failing                         [3]*columns.Vector
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
		port: numbers(g, "dst_port"),
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

func (v *groupVectors) key(row int) flowCodes {
	return flowCodes{v.src.of(row), v.dst.of(row), number(v.port, row), v.proto.of(row), v.action.of(row), v.sensor.of(row)}
}

// roller makes rollups; its memory is used again for the next one.
type roller struct {
	ids    map[flowCodes]uint32
	keys   []flowCodes
	flowOf []uint32
	order  []placed
	place  []uint32
	flows  []firetrail.Flow
	pairs  []uint64
}

// rollup makes the flows of a row group, in key order, from its columns. They are
// valid until the next call.
func (r *roller) rollup(g *columns.Group, kind string) []firetrail.Flow {
	if r.ids == nil {
		r.ids = map[flowCodes]uint32{}
	}
	clear(r.ids)
	v := newGroupVectors(g)
	r.keys, r.flowOf, r.order = r.keys[:0], r.flowOf[:0], r.order[:0]
	for row := range g.Rows() {
		k := v.key(row)
		id, ok := r.ids[k]
		if !ok {
			id = uint32(len(r.keys))
			r.ids[k] = id
			r.keys = append(r.keys, k)
			r.order = append(r.order, placed{uint64(k.src)<<32 | uint64(k.dst), id})
		}
		r.flowOf = append(r.flowOf, id)
	}
	slices.SortFunc(r.order, func(a, b placed) int {
		if a.ends != b.ends {
			return cmp.Compare(a.ends, b.ends)
		}
		return r.keys[a.id].compare(&r.keys[b.id])
	})
	n := len(r.keys)
	r.flows = slices.Grow(r.flows[:0], n)[:n]
	clear(r.flows)
	r.place = slices.Grow(r.place[:0], n)[:n]
	for i, p := range r.order {
		r.place[p.id] = uint32(i)
		v.setKey(&r.flows[i].FlowKey, &r.keys[p.id])
		r.flows[i].Kind = kind
	}
	for row := range r.flowOf {
		r.flowOf[row] = r.place[r.flowOf[row]]
	}
	sums(g, v, r.flows, r.flowOf)
	r.pairs = v.distinct(g, r.flows, r.flowOf, r.pairs[:0])
	return r.flows
}

func (v *groupVectors) setKey(f *firetrail.FlowKey, k *flowCodes) {
	f.DstPort, f.Proto, f.Action, f.Sensor = k.port, v.proto.text(k.proto), v.action.text(k.action), v.sensor.text(k.sensor)
	if k.src > 0 {
		f.SrcIP = v.src.v.Dict.Addrs()[v.src.code[k.src-1]]
	}
	if k.dst > 0 {
		f.DstIP = v.dst.v.Dict.Addrs()[v.dst.code[k.dst-1]]
	}
}

// sums adds up what Flow.Observe adds up.
func sums(g *columns.Group, v *groupVectors, flows []firetrail.Flow, flowOf []uint32) {
	times, ends, spans := numbers(g, "time"), numbers(g, "end"), numbers(g, "duration")
	out, in := numbers(g, "bytes_out"), numbers(g, "bytes_in")
	pout, pin := numbers(g, "packets_out"), numbers(g, "packets_in")
	for i := range flows {
		flows[i].First, flows[i].Last = firetrail.Absent, firetrail.Absent
	}
	for row, id := range flowOf {
		f := &flows[id]
		f.Events++
		if v.failedAt(row) {
			f.Failed++
		}
		f.BytesOut += known(out, row)
		f.BytesIn += known(in, row)
		f.PacketsOut += known(pout, row)
		f.PacketsIn += known(pin, row)
		d := known(spans, row)
		f.Duration += d
		f.Longest = max(f.Longest, d)
		if t := number(times, row); t != firetrail.Absent {
			f.First = earliest(f.First, t)
			last := t
			if e := number(ends, row); e != firetrail.Absent {
				last = e
			}
			f.Last = latest(f.Last, last)
		}
	}
}

// distinct counts source ports and keeps the smallest names of each flow. pairs is
// memory to work in.
func (v *groupVectors) distinct(g *columns.Group, flows []firetrail.Flow, flowOf []uint32, pairs []uint64) []uint64 {
	for row, p := range numbers(g, "src_port") {
		if p != firetrail.Absent {
			pairs = append(pairs, uint64(flowOf[row])<<32|uint64(uint32(p)))
		}
	}
	slices.Sort(pairs)
	for _, p := range slices.Compact(pairs) {
		flows[p>>32].SrcPorts++
	}
	for i := range v.names {
		n := &v.names[i]
		if n.v == nil {
			continue
		}
		pairs = pairs[:0]
		for row, id := range flowOf {
			if r := n.of(row); r > 0 {
				pairs = append(pairs, uint64(id)<<32|uint64(r))
			}
		}
		slices.Sort(pairs)
		n.keep(slices.Compact(pairs), flows, i)
	}
	return pairs
}

// keep gives each flow its names; pairs are flow and rank, sorted.
func (r *ranked) keep(pairs []uint64, flows []firetrail.Flow, which int) {
	for _, p := range pairs {
		f, rank := &flows[p>>32], uint32(p)
		list := nameList(f, which)
		if len(*list) == firetrail.MaxNames {
			f.More = true
			continue
		}
		*list = append(*list, r.text(rank))
	}
}

// nameList is one of the five lists of names of a flow.
func nameList(f *firetrail.Flow, which int) *[]string {
	return [...]*[]string{&f.Hosts, &f.Apps, &f.Services, &f.Rules, &f.Users}[which]
}
