package index

import (
	"net/netip"
	"strings"

	"firetrail"
	"firetrail/index/columns"
)

// flowColumns are the columns of a row group that flows are made of.
type flowColumns struct {
	src, dst       idColumn
	port, srcPorts []int64
	parts          partColumns
	names          []nameColumn
	failing        []failColumn
	state          []uint32 // codes of the state, where one is "start"
	start          uint32   // its code
	times, ends    []int64
	spans          []int64
	bytesOut       []int64
	bytesIn        []int64
	packetsOut     []int64
	packetsIn      []int64
}

// idColumn gives each row the rollup's number of its address.
type idColumn struct {
	codes []uint32 // nil: no row has one
	ids   []uint32 // of each code
	none  uint32   // number of the address that is none
}

func (c *idColumn) of(row int) uint64 {
	if c.codes == nil || c.codes[row] == columns.Null {
		return uint64(c.none)
	}
	return uint64(c.ids[c.codes[row]])
}

// nameColumn gives each row the rollup's number of a name.
type nameColumn struct {
	which int
	codes []uint32
	ids   []uint32
}

// failColumn says which values of a column make an event a failure.
type failColumn struct {
	codes  []uint32
	failed []bool
}

func newFlowColumns(r *rollup, g *columns.Group) *flowColumns {
	v := &flowColumns{
		src: r.addrColumn(g.Vector("src_ip")), dst: r.addrColumn(g.Vector("dst_ip")), parts: newPartColumns(r, g),
		port: numbers(g, "dst_port"), srcPorts: numbers(g, "src_port"), start: columns.Null,
		times: numbers(g, "time"), ends: numbers(g, "end"), spans: numbers(g, "duration"),
		bytesOut: numbers(g, "bytes_out"), bytesIn: numbers(g, "bytes_in"),
		packetsOut: numbers(g, "packets_out"), packetsIn: numbers(g, "packets_in"),
	}
	for i, name := range [...]string{"host", "app", "service", "rule", "user"} {
		if c := g.Vector(name); c != nil {
			v.names = append(v.names, nameColumn{i, c.Codes, r.nameIDs(c.Dict)})
		}
	}
	for _, name := range [...]string{"action", "state", "app"} {
		if c := g.Vector(name); c != nil {
			v.fails(name, c)
		}
	}
	return v
}

// fails finds the values of a column that make an event a failure, and the state "start".
func (v *flowColumns) fails(name string, c *columns.Vector) {
	f, _ := firetrail.FieldNamed(name)
	failed, any := make([]bool, c.Dict.Len()), false
	for i := range failed {
		var ev firetrail.Event
		*f.Text(&ev) = c.Dict.Value(uint32(i))
		failed[i] = ev.Failed()
		any = any || failed[i]
		if ev.State == stateStart {
			v.state, v.start = c.Codes, uint32(i)
		}
	}
	if any {
		v.failing = append(v.failing, failColumn{c.Codes, failed})
	}
}

// stateStart is the state of records whose counts the record of the session's end
// has again.
const stateStart = "start"

// starts says whether the row has that state.
func (v *flowColumns) starts(row int) bool { return v.state != nil && v.state[row] == v.start }

// failedAt says what Event.Failed would: any of the three fields is enough.
func (v *flowColumns) failedAt(row int) bool {
	for _, f := range v.failing {
		if c := f.codes[row]; c != columns.Null && f.failed[c] {
			return true
		}
	}
	return false
}

func (v *flowColumns) key(row int) rollKey {
	return rollKey{v.src.of(row)<<32 | v.dst.of(row), number(v.port, row), v.parts.of(row)}
}

func (r *rollup) addrColumn(v *columns.Vector) idColumn {
	c := idColumn{none: r.addrs.id(netip.Addr{})}
	if v == nil {
		return c
	}
	c.codes, c.ids = v.Codes, make([]uint32, v.Dict.Len())
	for code, a := range v.Dict.Addrs() {
		c.ids[code] = r.addrs.id(a)
	}
	return c
}

// nameIDs numbers the values of a dictionary, whose memory may be used again.
func (r *rollup) nameIDs(d *columns.Dict) []uint32 {
	ids := make([]uint32, d.Len())
	for code := range ids {
		s := d.Value(uint32(code))
		id, ok := r.names.ids[s]
		if !ok {
			id = r.names.enter(strings.Clone(s))
		}
		ids[code] = id
	}
	return ids
}

// partColumns give each row the rollup's number of its part of the key. They have
// few values: what was worked out for a combination of codes is kept.
type partColumns struct {
	r       *rollup
	columns [3]*columns.Vector // proto, action, sensor; nil: no row has one
	met     codeTable          // combinations, as of gives them
	parts   []uint32           // of each
}

func newPartColumns(r *rollup, g *columns.Group) partColumns {
	p := partColumns{r: r}
	for i, name := range [...]string{"proto", "action", "sensor"} {
		p.columns[i] = g.Vector(name)
	}
	return p
}

func (p *partColumns) of(row int) uint32 {
	codes := uint64(0) // each plus 1, 0 for none, in 20 bits, since a group has fewer rows
	for _, c := range p.columns {
		codes <<= 20
		if c != nil {
			codes |= uint64(c.Codes[row] + 1)
		}
	}
	n := p.met.code(codes)
	if int(n) == len(p.parts) {
		p.parts = append(p.parts, p.make(row))
	}
	return p.parts[n]
}

// make numbers a row's combination of values, which was not met in this group.
func (p *partColumns) make(row int) uint32 {
	var text [3]string
	for i, c := range p.columns {
		if c != nil && c.Codes[row] != columns.Null {
			text[i] = c.Dict.Value(c.Codes[row])
		}
	}
	k := flowPart{text[0], text[1], text[2]}
	id, ok := p.r.parts.ids[k]
	if !ok {
		id = p.r.parts.enter(flowPart{strings.Clone(k.proto), strings.Clone(k.action), strings.Clone(k.sensor)})
	}
	return id
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
