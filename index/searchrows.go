package index

import (
	"math/bits"
	"net/netip"
	"strconv"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// mask is a set of rows of a block.
type mask [columns.BlockRows / 64]uint64

func fullMask(rows int) (m mask) {
	for i := range rows / 64 {
		m[i] = ^uint64(0)
	}
	if rows%64 != 0 {
		m[rows/64] = 1<<(rows%64) - 1
	}
	return m
}

func (m *mask) empty() bool {
	for _, w := range m {
		if w != 0 {
			return false
		}
	}
	return true
}

func (m *mask) len() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// rows calls f for each row of the set in order.
func (m *mask) rows(f func(row int)) {
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}

// tester tests the rows of the blocks of one segment, for one goroutine. It tests
// the values of a dictionary once each, however many rows have them.
type tester struct {
	seg  *columns.Segment
	info *segment
	r    *columns.Reader
	root *node
	err  error
}

// node is a node of a predicate bound to the columns of a segment.
type node struct {
	op      firetrail.QueryOp
	args    []*node
	leaf    *query.Leaf
	known   bool // the same answer for all rows of the segment
	holds   bool
	columns []int  // that the leaf tests; a row passes if one of them does
	memos   []memo // one for each
	name    string // x name to look for in the map, "" for none
	all     bool   // every searched name is looked for in the map
	bounded bool   // low and high decide in a column of numbers
	low     int64
	high    int64
}

// memo keeps what was found of the values of a dictionary: 0 not tested, 1 fails, 2 passes.
type memo struct {
	dict *columns.Dict
	seen []uint8
}

func newTester(seg *columns.Segment, info *segment, p *query.Predicate) *tester {
	t := &tester{seg: seg, info: info, r: seg.NewReader()}
	t.root = t.bind(p)
	return t
}

func (t *tester) close() { t.r.Close() }

// bind finds the columns that a predicate tests.
func (t *tester) bind(p *query.Predicate) *node {
	n := &node{op: p.Op, leaf: p.Leaf}
	for _, a := range p.Args {
		n.args = append(n.args, t.bind(a))
	}
	if p.Leaf == nil {
		return n
	}
	l := p.Leaf
	if n.known, n.holds = constant(l, t.info); n.known {
		return n
	}
	x, own := isX(l.Field)
	switch {
	case l.Field == query.Messages:
		n.all = t.seg.HasMap()
		for i, info := range t.seg.Columns() {
			if x, ok := isX(info.Name); ok && info.Type == columns.Text && query.Searched(x) {
				n.columns = append(n.columns, i)
			}
		}
	default:
		name := l.Field
		if name == "time.guess" {
			name = "time_guess"
		}
		if i, ok := t.seg.Column(name); ok {
			n.columns = []int{i}
		}
		if own && t.seg.HasMap() {
			n.name = x
		}
	}
	n.memos = make([]memo, len(n.columns))
	switch {
	case l.Need.Bounded:
		n.bounded, n.low, n.high = true, l.Need.Low, l.Need.High
	case l.Whole != nil:
		n.bounded, n.low, n.high = true, l.Whole.Low, l.Whole.High
	}
	if len(n.columns) == 0 && n.name == "" && !n.all {
		n.known = true
	}
	return n
}

// block seeks a block and returns its matching rows.
func (t *tester) block(b int) (mask, error) {
	t.r.Seek(b)
	m := t.eval(t.root, fullMask(t.r.Rows()))
	return m, t.err
}

// eval returns the rows of in that pass; after an error, anything.
func (t *tester) eval(n *node, in mask) mask {
	if t.err != nil || in.empty() {
		return mask{}
	}
	switch n.op {
	case firetrail.OpMatch:
		return t.leaf(n, in)
	case firetrail.OpNot:
		out := t.eval(n.args[0], in)
		for i := range in {
			in[i] &^= out[i]
		}
	case firetrail.OpAnd:
		for _, a := range n.args {
			in = t.eval(a, in)
		}
	case firetrail.OpOr:
		var union mask
		for _, a := range n.args {
			out := t.eval(a, in)
			for i := range in {
				union[i] |= out[i]
				in[i] &^= out[i]
			}
		}
		return union
	}
	return in
}

func (t *tester) leaf(n *node, in mask) (out mask) {
	if n.known {
		if n.holds {
			return in
		}
		return mask{}
	}
	for i, c := range n.columns {
		if t.seg.Absent(c, t.r.Block()) {
			continue
		}
		v, err := t.r.Vector(c)
		if err != nil {
			t.err = err
			return mask{}
		}
		rest := in
		for w := range rest {
			rest[w] &^= out[w]
		}
		hits := t.vector(n, &n.memos[i], v, rest)
		for w := range out {
			out[w] |= hits[w]
		}
	}
	if n.name != "" || n.all {
		t.inMap(n, in, &out)
	}
	return out
}

// vector tests the rows of one column.
func (t *tester) vector(n *node, m *memo, v *columns.Vector, in mask) (out mask) {
	l := n.leaf
	switch {
	case v.Type == columns.Int && l.Int == nil && !n.bounded:
		var buf [20]byte
		ints := v.Ints()
		in.rows(func(row int) {
			if x := ints[row]; x != firetrail.Absent && l.Text(string(strconv.AppendInt(buf[:0], x, 10))) {
				out[row/64] |= 1 << (row % 64)
			}
		})
		return out
	case v.Type == columns.Int:
		return t.numbers(n, v.Ints(), in)
	}
	m.use(v.Dict)
	test := func(code uint32) bool {
		if m.seen[code] == 0 {
			m.seen[code] = 1
			if passes(l, v.Dict.Value(code)) {
				m.seen[code] = 2
			}
		}
		return m.seen[code] == 2
	}
	if v.Const {
		if c := v.Codes[0]; c != columns.Null && test(c) {
			return in
		}
		return out
	}
	codes := v.Codes
	for i, w := range in {
		word := uint64(0)
		for ; w != 0; w &= w - 1 {
			at := bits.TrailingZeros64(w)
			if c := codes[i*64+at]; c != columns.Null && (m.seen[c] == 2 || m.seen[c] == 0 && test(c)) {
				word |= 1 << at
			}
		}
		out[i] = word
	}
	return out
}

func (m *memo) use(d *columns.Dict) {
	if m.dict == d {
		return
	}
	m.dict = d
	if n := d.Len(); cap(m.seen) >= n {
		m.seen = m.seen[:n]
		clear(m.seen)
	} else {
		m.seen = make([]uint8, n)
	}
}

// passes tests a value that is kept as text.
func passes(l *query.Leaf, s string) bool {
	if l.Addr != nil {
		a, err := netip.ParseAddr(s)
		return err == nil && l.Addr(a)
	}
	return l.Text(s)
}

func (t *tester) numbers(n *node, ints []int64, in mask) (out mask) {
	test := n.leaf.Int
	bounded := n.bounded
	low, high := n.low, n.high
	for i, w := range in {
		word := uint64(0)
		for ; w != 0; w &= w - 1 {
			at := bits.TrailingZeros64(w)
			x := ints[i*64+at]
			if bounded {
				if low <= x && x <= high && x != firetrail.Absent {
					word |= 1 << at
				}
			} else if x != firetrail.Absent && test(x) {
				word |= 1 << at
			}
		}
		out[i] = word
	}
	return out
}

// inMap tests fields that have no column or did not fit it. A record's own field
// counts with the last value of its name: that of the column unless it is null.
func (t *tester) inMap(n *node, in mask, out *mask) {
	last := len(t.seg.Columns()) - 1
	if t.seg.Absent(last, t.r.Block()) {
		return
	}
	var column *columns.Vector
	if n.name != "" && len(n.columns) == 1 && !t.seg.Absent(n.columns[0], t.r.Block()) {
		if column, t.err = t.r.Vector(n.columns[0]); t.err != nil {
			return
		}
	}
	in.rows(func(row int) {
		if t.err != nil || out[row/64]>>(row%64)&1 != 0 || column != nil && has(column, row) {
			return
		}
		var fields []firetrail.Field
		if fields, t.err = t.r.Rest(row); t.err == nil && n.inFields(fields) {
			out[row/64] |= 1 << (row % 64)
		}
	})
}

func (n *node) inFields(fields []firetrail.Field) bool {
	for i := len(fields) - 1; i >= 0; i-- {
		f := &fields[i]
		if n.all {
			if query.Searched(f.Name) && n.leaf.Text(f.Value) {
				return true
			}
		} else if f.Name == n.name {
			return n.leaf.Text(f.Value)
		}
	}
	return false
}

// has reports whether a row has a value.
func has(v *columns.Vector, row int) bool {
	if v.Codes != nil {
		return v.Codes[row] != columns.Null
	}
	return v.Ints()[row] != firetrail.Absent
}
