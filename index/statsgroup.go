package index

import (
	"errors"
	"math"
	"math/bits"

	"firetrail/index/columns"
)

// grouper collects groups and their aggregates, for one goroutine.
type grouper struct {
	cols   []*groupColumn
	table  groupTable
	aggs   []*aggState
	hashes span // of the groups: others are left out
	limit  int  // bytes to hold

	rows    []uint16   // matching rows of the block
	numbers [][]uint32 // of each column, the number of each row's value
	groups  []uint32   // of each row
	mixes   []uint64   // of each row, a hash
}

func newGrouper(by []groupBy, aggs []aggregate, hashes span, limit int) *grouper {
	g := &grouper{hashes: hashes, limit: limit, table: groupTable{width: len(by)}}
	for _, b := range by {
		g.cols = append(g.cols, &groupColumn{by: b})
		g.numbers = append(g.numbers, make([]uint32, columns.BlockRows))
	}
	g.groups, g.mixes = make([]uint32, columns.BlockRows), make([]uint64, columns.BlockRows)
	if len(by) == 0 {
		g.table.n = 1 // the group of all, of none too
	}
	for _, a := range aggs {
		s := newAggState(a)
		for _, o := range g.aggs {
			if s.shares(o) {
				s.same = o
				break
			}
		}
		s.grow(g.table.n)
		g.aggs = append(g.aggs, s)
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
	if err := g.group(t); err != nil || len(g.rows) == 0 {
		return err
	}
	for _, a := range g.aggs {
		a.grow(g.table.n)
		if err := a.add(t, g.rows, g.groups[:len(g.rows)]); err != nil {
			return err
		}
	}
	return g.narrow()
}

// narrow leaves out the upper half of the groups until the rest fits. A single group
// may take what it needs, some 30 megabytes at most.
func (g *grouper) narrow() error {
	for g.table.n > 1 && g.size() > g.limit {
		if g.hashes.last-g.hashes.first < leastSpan {
			return errors.New("the groups need too much memory: narrow the query, or group by fewer or coarser fields")
		}
		*g = *g.only(g.hashes.half())
	}
	return nil
}

// only makes a grouper of the groups in a span.
func (g *grouper) only(hashes span) *grouper {
	var by []groupBy
	for _, c := range g.cols {
		by = append(by, c.by)
	}
	var aggs []aggregate
	for _, a := range g.aggs {
		aggs = append(aggs, a.aggregate)
	}
	n := newGrouper(by, aggs, hashes, g.limit)
	n.merge(g)
	return n
}

// group finds the group of each row, and leaves out the rows of other groups.
func (g *grouper) group(t *tester) error {
	if len(g.cols) == 0 {
		clear(g.groups)
		return nil
	}
	var vs [8]*values
	read := vs[:0]
	for _, c := range g.cols {
		v, err := newValues(t, c.by.field)
		if err != nil {
			return err
		}
		read = append(read, v)
	}
	if g.hashes != allHashes {
		if err := g.choose(read); err != nil {
			return err
		}
	}
	for i, c := range g.cols {
		g.numbers[i] = g.numbers[i][:len(g.rows)]
		if err := c.number(read[i], g.rows, g.numbers[i]); err != nil {
			return err
		}
	}
	g.table.find(g.numbers, g.mixes[:len(g.rows)], g.groups[:len(g.rows)])
	return nil
}

// choose keeps the rows whose groups are counted. Which those are follows from the values,
// so that it is the same for all goroutines.
func (g *grouper) choose(read []*values) error {
	hashes := g.mixes[:len(g.rows)]
	clear(hashes)
	for i, c := range g.cols {
		if err := c.mix(read[i], g.rows, hashes); err != nil {
			return err
		}
	}
	kept := g.rows[:0]
	for i, row := range g.rows {
		if g.hashes.has(hashInt(hashes[i])) {
			kept = append(kept, row)
		}
	}
	g.rows = kept
	return nil
}

// size is roughly the memory that is held.
func (g *grouper) size() int {
	n := g.table.size()
	for _, c := range g.cols {
		n += c.size()
	}
	for _, a := range g.aggs {
		n += a.size()
	}
	return n
}

// hash is that of a group, as choose makes it of a row.
func (g *grouper) hash(group int) (h uint64) {
	for i, id := range g.table.key(group) {
		h = mixed(h, g.cols[i].hash(id))
	}
	return hashInt(h)
}

// noGroup stands for a group that is left out.
const noGroup = math.MaxUint32

// merge adds the groups of another grouper of the same question that are counted here.
func (g *grouper) merge(o *grouper) {
	ids := make([][]uint32, len(g.cols)) // numbers of o's values here, 0 is not asked for yet
	for i, c := range o.cols {
		ids[i] = make([]uint32, c.values()+1)
	}
	to := make([]uint32, o.table.n)
	key := make([]uint32, len(g.cols))
	for group := range to {
		if g.hashes != o.hashes && !g.hashes.has(o.hash(group)) {
			to[group] = noGroup
			continue
		}
		if len(key) == 0 {
			continue
		}
		for i, id := range o.table.key(group) {
			if id > 0 && ids[i][id] == 0 {
				ids[i][id] = g.cols[i].adopt(o.cols[i], id)
			}
			key[i] = ids[i][id]
		}
		to[group] = g.table.one(key)
	}
	for i, a := range g.aggs {
		a.grow(g.table.n)
		a.mergeAll(o.aggs[i], to)
	}
}

// row makes the cells of a group.
func (g *grouper) row(group int, row []Cell) []Cell {
	for i, id := range g.table.key(group) {
		row = append(row, g.cols[i].cell(id))
	}
	for _, a := range g.aggs {
		row = append(row, a.cell(group))
	}
	return row
}

// groupTable gives numbers to groups, which are known by the numbers of their values, in
// the order of first sight.
type groupTable struct {
	width int      // numbers of a group
	n     int      // groups
	keys  []uint32 // width for each
	slots []uint64 // upper half of the hash, and group+1, 0 is free; the length is a power of two
	first []uint32 // of one column, by its number: group+1, 0 is none
}

// key is the numbers of a group's values.
func (t *groupTable) key(group int) []uint32 { return t.keys[group*t.width : (group+1)*t.width] }

func (t *groupTable) size() int { return 4*(cap(t.keys)+cap(t.first)) + 8*cap(t.slots) }

// find finds or makes the groups of rows. hashes is memory to work in. Hashes of all rows
// are made first, so that the processor can look at many places of the table at once.
func (t *groupTable) find(numbers [][]uint32, hashes []uint64, groups []uint32) {
	switch t.width {
	case 0:
		return
	case 1:
		t.direct(numbers[0], groups)
		return
	}
	clear(hashes)
	for _, col := range numbers {
		for i, id := range col {
			hashes[i] = (hashes[i] ^ uint64(id)) * 0x9e3779b97f4a7c15
			hashes[i] ^= hashes[i] >> 29
		}
	}
	for i := range groups {
		if i > 0 && hashes[i] == hashes[i-1] && t.is(int(groups[i-1]), numbers, i) {
			groups[i] = groups[i-1]
			continue
		}
		if 2*t.n >= len(t.slots) {
			t.grow()
		}
		mask := uint64(len(t.slots) - 1)
		at := hashes[i] & mask
		for t.slots[at] != 0 && (t.slots[at]>>32 != hashes[i]>>32 || !t.is(int(uint32(t.slots[at])-1), numbers, i)) {
			at = (at + 1) & mask
		}
		if t.slots[at] == 0 {
			for _, col := range numbers {
				t.keys = append(t.keys, col[i])
			}
			t.n++
			t.slots[at] = hashes[i]>>32<<32 | uint64(t.n)
		}
		groups[i] = uint32(t.slots[at]) - 1
	}
}

// is reports whether a row belongs to a group.
func (t *groupTable) is(group int, numbers [][]uint32, row int) bool {
	key := t.keys[group*t.width:]
	for k, col := range numbers {
		if key[k] != col[row] {
			return false
		}
	}
	return true
}

// direct finds the groups of one column: first is by its numbers.
func (t *groupTable) direct(col, groups []uint32) {
	for i, id := range col {
		for int(id) >= len(t.first) {
			t.first = append(t.first, 0)
		}
		if t.first[id] == 0 {
			t.keys = append(t.keys, id)
			t.n++
			t.first[id] = uint32(t.n)
		}
		groups[i] = t.first[id] - 1
	}
}

func (t *groupTable) grow() {
	n := max(1024, 2*len(t.slots))
	t.slots = make([]uint64, n)
	for group := range t.n {
		hash := uint64(0)
		for _, id := range t.key(group) {
			hash = (hash ^ uint64(id)) * 0x9e3779b97f4a7c15
			hash ^= hash >> 29
		}
		at := hash & uint64(n-1)
		for t.slots[at] != 0 {
			at = (at + 1) & uint64(n-1)
		}
		t.slots[at] = hash>>32<<32 | uint64(group+1)
	}
}

// one finds or makes the group of a key.
func (t *groupTable) one(key []uint32) uint32 {
	var numbers [8][]uint32
	cols := numbers[:0]
	for i := range key {
		cols = append(cols, key[i:i+1])
	}
	var hash [1]uint64
	var group [1]uint32
	t.find(cols, hash[:], group[:])
	return group[0]
}
