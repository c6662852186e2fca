package index

import (
	"fmt"
	"math/bits"
	"slices"

	"firetrail"
	"firetrail/index/columns"
)

// grouper collects groups and their aggregates, for one goroutine. Rows are
// grouped by numbers: each value of a column gets one when it is first met, and the
// text of a dictionary's value is looked at once for the dictionary.
type grouper struct {
	by     []groupBy
	cols   []*groupColumn
	joins  []pairs  // of the first two columns, of that and the third …
	groups []uint32 // with one column: its number for each group
	direct []uint32 // with one column: group of each number, plus 1
	n      int      // groups
	aggs   []*aggState

	rows []uint16 // matching rows of the block
	ids  []uint32 // number of each: at first of the values so far, then of the group
	next []uint32
}

// pairs numbers pairs of numbers.
type pairs struct {
	ids  map[uint64]uint32
	keys []uint64
}

// groupColumn numbers the values of one column; 0 is no value.
type groupColumn struct {
	by    groupBy
	texts map[string]uint32
	ints  map[int64]uint32
	cells []Cell
	dict  *columns.Dict
	codes []uint32 // of each code of dict, its number, plus 1

	lastInt int64
	lastID  uint32
}

func newGrouper(by []groupBy, aggs []aggregate) *grouper {
	g := &grouper{by: by}
	for _, b := range by {
		g.cols = append(g.cols, &groupColumn{by: b, texts: map[string]uint32{}, ints: map[int64]uint32{}, cells: []Cell{{}}, lastInt: firetrail.Absent})
	}
	for i := 1; i < len(by); i++ {
		g.joins = append(g.joins, pairs{ids: map[uint64]uint32{}})
	}
	for _, a := range aggs {
		g.aggs = append(g.aggs, newAggState(a))
	}
	return g
}

// block adds the matching rows of the block on which t stands.
func (g *grouper) block(t *tester, block int, m *mask) error {
	g.rows = g.rows[:0]
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			g.rows = append(g.rows, uint16(i*64+bits.TrailingZeros64(w)))
		}
	}
	if err := g.group(t); err != nil {
		return err
	}
	for _, a := range g.aggs {
		a.grow(g.n)
		if err := a.add(t, g.rows, g.ids); err != nil {
			return err
		}
		if block%64 == 63 { // counting what is held costs more than a block adds
			if err := a.full(); err != nil {
				return err
			}
		}
	}
	return nil
}

// group finds the group of each row.
func (g *grouper) group(t *tester) error {
	if cap(g.ids) < len(g.rows) {
		g.ids, g.next = make([]uint32, columns.BlockRows), make([]uint32, columns.BlockRows)
	}
	g.ids, g.next = g.ids[:len(g.rows)], g.next[:len(g.rows)]
	if len(g.cols) == 0 {
		clear(g.ids)
		g.n = 1
		return nil
	}
	for i, c := range g.cols {
		to := g.ids
		if i > 0 {
			to = g.next
		}
		if err := c.number(t, g.rows, to); err != nil {
			return err
		}
		if i > 0 {
			g.joins[i-1].join(g.ids, g.next)
			g.n = len(g.joins[i-1].keys)
		}
	}
	if len(g.cols) == 1 {
		for i, id := range g.ids {
			if int(id) < len(g.direct) && g.direct[id] != 0 {
				g.ids[i] = g.direct[id] - 1
			} else {
				g.ids[i] = g.single(id)
			}
		}
	}
	if g.n > MaxGroups {
		return tooManyGroups()
	}
	return nil
}

func tooManyGroups() error {
	return fmt.Errorf("more than %d groups: narrow the query, or group by fewer or coarser fields", MaxGroups)
}

// join turns the numbers in ids, with those in next, into those of the pairs.
func (p *pairs) join(ids, next []uint32) {
	last, id := ^uint64(0), uint32(0)
	for i := range ids {
		if key := uint64(ids[i])<<32 | uint64(next[i]); key != last {
			last, id = key, p.id(key)
		}
		ids[i] = id
	}
}

func (p *pairs) id(key uint64) uint32 {
	id, ok := p.ids[key]
	if !ok {
		id = uint32(len(p.keys))
		p.ids[key] = id
		p.keys = append(p.keys, key)
	}
	return id
}

// values gives the numbers of a group's values.
func (g *grouper) values(group int, to []uint32) []uint32 {
	to = to[:0]
	if len(g.cols) == 1 {
		return append(to, g.groups[group])
	}
	id := uint32(group)
	for level := len(g.joins) - 1; level >= 0; level-- {
		key := g.joins[level].keys[id]
		to = append(to, uint32(key))
		id = uint32(key >> 32)
	}
	to = append(to, id)
	slices.Reverse(to)
	return to[:len(g.cols)]
}

// number gives each row the number of its value.
func (c *groupColumn) number(t *tester, rows []uint16, to []uint32) error {
	v, err := newValues(t, c.by.field)
	if err != nil {
		return err
	}
	switch {
	case v.fixed != "":
		id := c.text(v.fixed)
		for i := range to {
			to[i] = id
		}
	case v.rest || v.x != "" && v.vector != nil && v.vector.Type == columns.Int:
		return c.slow(v, rows, to)
	case v.vector == nil:
		clear(to)
	case v.vector.Type == columns.Int:
		c.numbers(v.vector, rows, to)
	default:
		c.coded(v.vector, rows, to)
	}
	return nil
}

func (c *groupColumn) text(s string) uint32 {
	id, ok := c.texts[s]
	if !ok {
		id = uint32(len(c.cells))
		c.texts[s] = id
		c.cells = append(c.cells, Cell{Valid: true, Str: s})
	}
	return id
}

func (c *groupColumn) int(n int64) uint32 {
	if n == firetrail.Absent {
		return 0
	}
	if c.by.width > 0 {
		n = floor(n, c.by.width)
	}
	if n == c.lastInt {
		return c.lastID
	}
	id, ok := c.ints[n]
	if !ok {
		id = uint32(len(c.cells))
		c.ints[n] = id
		c.cells = append(c.cells, intCell(c.by.def, n))
	}
	c.lastInt, c.lastID = n, id
	return id
}

// floor is the largest multiple of width that is at most n.
func floor(n, width int64) int64 {
	if r := n % width; r < 0 {
		return n - r - width
	} else {
		return n - r
	}
}

func intCell(f *firetrail.FieldDef, n int64) Cell {
	c := Cell{Valid: n != firetrail.Absent, Type: CellInt, Int: n}
	if f != nil {
		switch f.Type {
		case firetrail.TypeTime:
			c.Type = CellTime
		case firetrail.TypeDuration:
			c.Type = CellDuration
		}
	}
	return c
}

// slow numbers fields that may be in the map, or are text in some segments and
// numbers in others.
func (c *groupColumn) slow(v *values, rows []uint16, to []uint32) error {
	for i, row := range rows {
		s, ok, err := v.text(int(row))
		if err != nil {
			return err
		}
		if to[i] = 0; ok {
			to[i] = c.text(s)
		}
	}
	return nil
}

func (c *groupColumn) numbers(v *columns.Vector, rows []uint16, to []uint32) {
	if v.Codes != nil {
		c.use(v.Dict)
		for i, row := range rows {
			code := v.Codes[row]
			if code == columns.Null {
				to[i] = 0
				continue
			}
			if c.codes[code] == 0 {
				c.codes[code] = c.int(v.Dict.Ints[code]) + 1
			}
			to[i] = c.codes[code] - 1
		}
		return
	}
	ints := v.Ints()
	for i, row := range rows {
		to[i] = c.int(ints[row])
	}
}

func (c *groupColumn) coded(v *columns.Vector, rows []uint16, to []uint32) {
	c.use(v.Dict)
	for i, row := range rows {
		code := v.Codes[row]
		if code == columns.Null {
			to[i] = 0
			continue
		}
		if c.codes[code] == 0 {
			c.codes[code] = c.text(v.Dict.Value(code)) + 1
		}
		to[i] = c.codes[code] - 1
	}
}

// use turns to a dictionary.
func (c *groupColumn) use(d *columns.Dict) {
	if c.dict == d {
		return
	}
	c.dict = d
	if n := d.Len(); cap(c.codes) >= n {
		c.codes = c.codes[:n]
		clear(c.codes)
	} else {
		c.codes = make([]uint32, n)
	}
}

// merge adds the groups of another grouper of the same question.
func (g *grouper) merge(o *grouper) error {
	// Numbers of o's values and groups in g.
	values := make([][]uint32, len(g.cols))
	for i, c := range g.cols {
		values[i] = make([]uint32, len(o.cols[i].cells))
		for id, cell := range o.cols[i].cells[1:] {
			if cell.Type == CellText {
				values[i][id+1] = c.text(cell.Str)
			} else {
				values[i][id+1] = c.int(cell.Int)
			}
		}
	}
	to := make([]uint32, o.n)
	var path []uint32
	for group := range to {
		if len(g.cols) == 0 {
			g.n = 1
			continue
		}
		path = o.values(group, path)
		id := values[0][path[0]]
		for i := 1; i < len(path); i++ {
			id = g.joins[i-1].id(uint64(id)<<32 | uint64(values[i][path[i]]))
		}
		if len(g.cols) == 1 {
			id = g.single(id)
		} else {
			g.n = len(g.joins[len(g.joins)-1].keys)
		}
		to[group] = id
	}
	if g.n > MaxGroups {
		return tooManyGroups()
	}
	for i, a := range g.aggs {
		a.grow(g.n)
		for group, id := range to {
			a.merge(int(id), o.aggs[i], group)
		}
	}
	return nil
}

// single is the group of a number, with one column.
func (g *grouper) single(id uint32) uint32 {
	for int(id) >= len(g.direct) {
		g.direct = append(g.direct, 0)
	}
	if g.direct[id] == 0 {
		g.groups = append(g.groups, id)
		g.n++
		g.direct[id] = uint32(g.n)
	}
	return g.direct[id] - 1
}

// table makes the rows, in no order.
func (g *grouper) table() *Table {
	t := &Table{Groups: g.n}
	for _, b := range g.by {
		t.Columns = append(t.Columns, b.label)
	}
	for _, a := range g.aggs {
		t.Columns = append(t.Columns, a.label)
	}
	if len(g.cols) == 0 && g.n == 0 {
		g.n, t.Groups = 1, 1 // no event at all still counts 0
		for _, a := range g.aggs {
			a.grow(1)
		}
	}
	var path []uint32
	for group := range g.n {
		row := make([]Cell, 0, len(t.Columns))
		if len(g.cols) > 0 {
			path = g.values(group, path)
		}
		for i, c := range g.cols {
			row = append(row, c.cells[path[i]])
		}
		for _, a := range g.aggs {
			row = append(row, a.cell(group))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
