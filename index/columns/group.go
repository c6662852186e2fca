package columns

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"firetrail"
)

// Group is a row group being collected or, once cut, ready to be encoded. Its
// vectors may be read until it is written.
type Group struct {
	columns []*column // the common ones, length, time_guess, then x.NAME
	x       map[string]int
	rest    *mapColumn
	rows    int
	bytes   int64 // of the records, roughly what the values take
	final   bool  // the segment's last
	fixed   bool  // no further x columns: the segment's first group is complete
	unit    int64 // of the segment's times, nanoseconds: known once fixed
	finer   bool  // the next event has a time that is no multiple of unit

	begun   sync.Once // its encoding
	taken   atomic.Int32
	chunks  []chunk
	derived bool // the ends follow from times and durations
	failed  atomic.Pointer[error]
}

const (
	groupBytes = 48 << 20 // of records; a group that exceeds it is the segment's last
	maxName    = 128      // longer names of fields stay in the map
)

// commonColumns are the columns before those of x. source and kind are constant
// and made when the segment is closed.
func commonColumns() []Info {
	var infos []Info
	for i := range firetrail.Fields {
		f := &firetrail.Fields[i]
		t := Text
		if f.Int != nil {
			t = Int
		}
		infos = append(infos, Info{Name: f.Name, Type: t, Field: f, Bloom: hasBloom(f.Name), Unit: 1})
	}
	return append(infos, Info{Name: "length", Type: Int, Unit: 1}, Info{Name: "time_guess", Type: Text})
}

// common is the number of these columns.
var common = len(firetrail.Fields) + 2

func newGroup() *Group {
	g := &Group{x: map[string]int{}, rest: newMapColumn()}
	for _, info := range commonColumns() {
		g.columns = append(g.columns, newColumn(info))
	}
	return g
}

// like makes an empty group with the columns of another.
func (g *Group) like() *Group {
	n := &Group{x: g.x, rest: newMapColumn(), fixed: true, unit: g.unit}
	for _, c := range g.columns {
		n.columns = append(n.columns, newColumn(c.Info))
	}
	return n
}

func (g *Group) reset() {
	for _, c := range g.columns {
		c.reset()
	}
	g.rest.reset()
	g.rows, g.bytes, g.finer = 0, 0, false
	g.begun = sync.Once{}
	g.taken.Store(0)
	g.failed.Store(nil)
	for i := range g.chunks {
		g.chunks[i].reset()
	}
}

// Rows is the number of events in the group.
func (g *Group) Rows() int { return g.rows }

// Vector gives a column of the whole group by name. It is nil for columns that
// have no value in the group, for source and for kind.
func (g *Group) Vector(name string) *Vector {
	c := g.named(name)
	if c == nil || !c.used {
		return nil
	}
	c.pad(g.rows)
	if c.Type == Int {
		return &Vector{Type: Int, Rows: g.rows, ints: c.ints}
	}
	return &Vector{Type: Text, Rows: g.rows, Codes: c.codes, Dict: &c.dict.Dict}
}

// named finds a column, nil if there is none of that name.
func (g *Group) named(name string) *column {
	if i := slices.IndexFunc(g.columns, func(c *column) bool { return c.Name == name }); i >= 0 {
		return g.columns[i]
	}
	return nil
}

// Names lists the columns that have a value in the group, in their order.
func (g *Group) Names() []string {
	var names []string
	for _, c := range g.columns {
		if c.used {
			names = append(names, c.Name)
		}
	}
	return names
}

// Rest calls f for every entry of the map column, in row order.
func (g *Group) Rest(f func(row int, name, value string)) {
	for i, row := range g.rest.rows {
		f(int(row), g.rest.keys.Value(g.rest.key[i]), g.rest.values.Value(g.rest.value[i]))
	}
}

// stride is how many events are spread over the columns at a time: few enough
// to stay in a near cache.
const stride = 32

// append takes as many events as the group has room for.
func (g *Group) append(evs []firetrail.Event) int {
	done := 0
	for done < len(evs) && !g.full() {
		// A part ends with the first row of a block: see textDict.decide.
		room := min(stride, GroupRows-g.rows, (g.rows+BlockRows-1)/BlockRows*BlockRows-g.rows+1)
		n := g.fitting(evs[done:min(done+room, len(evs))])
		if n == 0 {
			break
		}
		g.spread(evs[done : done+n])
		g.rows += n
		done += n
	}
	return done
}

// spread appends some events column by column.
func (g *Group) spread(evs []firetrail.Event) {
	for _, c := range g.columns[:common-2] {
		c.spread(g.rows, evs)
	}
	length, guess := g.columns[common-2], g.columns[common-1]
	length.putInts(g.rows, len(evs), run{unsafe.Pointer(&evs[0].Length)})
	for i := range evs {
		ev := &evs[i]
		if ev.Guess != 0 {
			guess.putText(g.rows+i, ev.Guess.String())
		}
		g.fields(g.rows+i, ev.X)
		g.bytes += ev.Length
	}
}

// fitting counts the events up to the first one with a time that is finer than the
// segment's unit, which has to begin another segment.
func (g *Group) fitting(evs []firetrail.Event) int {
	for i := range evs {
		if ev := &evs[i]; !whole(ev.Time, g.unit) || !whole(ev.End, g.unit) {
			g.finer = true
			return i
		}
	}
	return len(evs)
}

// whole reports whether a time is a multiple of a unit.
func whole(t, unit int64) bool {
	switch unit { // divisions by constants are multiplications
	case 1e3:
		return t%1e3 == 0 || t == absent
	case 1e6:
		return t%1e6 == 0 || t == absent
	}
	return true
}

// size is roughly the memory that the group's values take.
func (g *Group) size() int64 {
	n := 12*len(g.rest.rows) + g.rest.keys.size() + g.rest.values.size()
	for _, c := range g.columns {
		n += 4*len(c.codes) + 8*len(c.ints)
		if c.dict != nil {
			n += c.dict.size()
		}
	}
	return int64(n)
}

func (g *Group) full() bool { return g.rows == GroupRows || g.bytes > groupBytes || g.finer }

// run is the values that events of a slice have in one field. Its place is worked out once
// for some events, as a distance within an event: most fields of most records are empty,
// and a call for each costs more than the rest.
type run struct{ first unsafe.Pointer }

func (r run) at(i int) unsafe.Pointer { return unsafe.Add(r.first, uintptr(i)*eventSize) }

// eventSize is how far the same fields of events of a slice lie apart.
const eventSize = unsafe.Sizeof(firetrail.Event{})

// spread appends one common field of some events, the first of which is row. A column
// without any value is left as it is.
func (c *column) spread(row int, evs []firetrail.Event) {
	f, first, n := c.Field, &evs[0], len(evs)
	switch {
	case f.Int != nil:
		of := run{unsafe.Pointer(f.Int(first))}
		if c.used || !of.same(n, absent) {
			c.putInts(row, n, of)
		}
	case f.Addr != nil:
		of := run{unsafe.Pointer(f.Addr(first))}
		if c.used || of.valid(n) {
			c.putAddr(row, n, of)
		}
	case f.Name == "source" || f.Name == "kind":
	default:
		of := run{unsafe.Pointer(f.Text(first))}
		if c.used || !(run{unsafe.Add(of.first, unsafe.Sizeof(of.first))}).same(n, 0) { // the lengths
			c.putTexts(row, n, of)
		}
	}
}

// same reports whether n values are all a word.
func (r run) same(n int, word int64) bool {
	differ, i := int64(0), 0
	for ; i+4 <= n; i += 4 {
		q := r.at(i)
		differ |= *(*int64)(q) ^ word
		differ |= *(*int64)(unsafe.Add(q, eventSize)) ^ word
		differ |= *(*int64)(unsafe.Add(q, 2*eventSize)) ^ word
		differ |= *(*int64)(unsafe.Add(q, 3*eventSize)) ^ word
	}
	for ; i < n; i++ {
		differ |= *(*int64)(r.at(i)) ^ word
	}
	return differ == 0
}

// valid reports whether one of n addresses is.
func (r run) valid(n int) bool {
	for i := range n {
		if (*netip.Addr)(r.at(i)).IsValid() {
			return true
		}
	}
	return false
}

// fields files a record's own fields. Records mostly have the same names in the
// same order: the column after the one before is tried first.
func (g *Group) fields(row int, fields []firetrail.Field) {
	at := common
	for i := range fields {
		f := &fields[i]
		if at >= len(g.columns) || !g.columns[at].named(f.Name) {
			if at = g.next(at, f.Name); at < 0 {
				g.rest.put(row, *f)
				at = common
				continue
			}
			if c := g.columns[at]; c.own == "" {
				c.own = f.Name
			}
		}
		if !g.columns[at].putX(row, f.Value) {
			// Rare enough to look: the name may have had a value that fitted,
			// or get one.
			g.repeated(row, fields)
			return
		}
		at++
	}
}

// next finds a column of a record's own field as column does, looking at the few from a
// place on first: those that a record does not have are skipped.
func (g *Group) next(at int, name string) int {
	for i := at + 1; i < min(at+8, len(g.columns)); i++ {
		if g.columns[i].named(name) {
			return i
		}
	}
	return g.column(name)
}

// named says whether the name is that of the column as records mostly have it:
// the same memory, or the same text.
func (c *column) named(name string) bool {
	if len(name) == 0 || len(name) != len(c.own) {
		return false
	}
	return unsafe.StringData(name) == unsafe.StringData(c.own) || name == c.own
}

// column finds the column of a record's own field, making one while the
// segment's columns are not fixed; -1 is the map.
func (g *Group) column(name string) int {
	if at, ok := g.x[name]; ok {
		return at
	}
	if g.fixed || len(g.x) >= MaxX || len(name) > maxName || !utf8.ValidString(name) {
		return -1
	}
	at := len(g.columns)
	c := newColumn(Info{Name: "x." + name, Type: Text, Unit: 1})
	g.x[c.Name[2:]] = at
	g.columns = append(g.columns, c)
	return at
}

// repeated files the fields of a row anew, with care for names that occur more
// than once and values that do not fit: the last value of a name goes to its
// column if it fits; all others go to the map.
func (g *Group) repeated(row int, fields []firetrail.Field) {
	for _, c := range g.columns[common:] {
		c.cut(row)
	}
	m := g.rest
	for len(m.rows) > 0 && m.rows[len(m.rows)-1] == uint32(row) {
		n := len(m.rows) - 1
		m.rows, m.key, m.value = m.rows[:n], m.key[:n], m.value[:n]
	}
	last := make(map[string]int, len(fields))
	for i, f := range fields {
		last[f.Name] = i
	}
	for i, f := range fields {
		at := -1
		if last[f.Name] == i {
			at = g.column(f.Name)
		}
		if at < 0 || !g.columns[at].putX(row, f.Value) {
			m.put(row, f)
		}
	}
}

// fix ends the discovery of columns and settles their types.
func (g *Group) fix() {
	if g.fixed {
		return
	}
	g.fixed = true
	for _, c := range g.columns[common:] {
		c.narrow()
	}
	g.unit = unitOf(g.columns)
	for _, c := range g.columns {
		if c.isTime() {
			c.Unit = g.unit
		}
	}
}

// unitOf finds the largest unit that all times are multiples of.
func unitOf(columns []*column) int64 {
	unit := int64(1e6)
	for _, c := range columns {
		if !c.isTime() {
			continue
		}
		for _, t := range c.ints {
			for !whole(t, unit) {
				unit /= 1e3
			}
		}
	}
	return unit
}
