package index

import (
	"cmp"
	"container/heap"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"firetrail"
	"firetrail/index/columns"
)

// MaxSorted bounds the hits that can be sorted by another field than the time
// without a limit.
const MaxSorted = 1 << 20

// sortKey is the value a row is sorted by.
type sortKey struct {
	has  bool
	num  bool
	n    float64 // of x fields that are numbers
	i    int64
	addr netip.Addr
	text string
}

func (a *sortKey) compare(b *sortKey) int {
	switch {
	case a.num && b.num:
		return cmp.Compare(a.n, b.n)
	case a.num != b.num:
		return cmp.Compare(btoi(b.num), btoi(a.num)) // numbers before texts
	case a.addr != b.addr:
		return a.addr.Compare(b.addr)
	case a.i != b.i:
		return cmp.Compare(a.i, b.i)
	}
	return strings.Compare(a.text, b.text)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

type sortedRow struct {
	key sortKey
	ref rowRef
}

// topRows keeps the first rows of an order, the last of them on top.
type topRows struct {
	rows []sortedRow
	desc bool
}

// before orders rows: those without a value last, equal ones in the total order.
func (t *topRows) before(a, b *sortedRow) bool {
	if a.key.has != b.key.has {
		return a.key.has
	}
	c := a.key.compare(&b.key)
	if t.desc {
		c = -c
	}
	if c == 0 {
		c = a.ref.compare(&b.ref)
	}
	return c < 0
}

func (t *topRows) Len() int           { return len(t.rows) }
func (t *topRows) Less(i, j int) bool { return t.before(&t.rows[j], &t.rows[i]) }
func (t *topRows) Swap(i, j int)      { t.rows[i], t.rows[j] = t.rows[j], t.rows[i] }
func (t *topRows) Push(x any)         { t.rows = append(t.rows, x.(sortedRow)) }
func (t *topRows) Pop() any {
	n := len(t.rows) - 1
	r := t.rows[n]
	t.rows = t.rows[:n]
	return r
}

// sorted reads the matching rows of all blocks that may have one of the first in the
// order of a field, and returns those one by one. Blocks whose bounds promise most are
// read first: what comes behind the rows that are found in them need not be read.
func (w *sweep) sorted(opt SearchOptions) (func() (rowRef, bool), error) {
	keep := MaxSorted
	if opt.Limit > 0 {
		keep = min(opt.Limit+opt.Offset, MaxSorted)
	}
	blocks, err := w.promising(opt)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	tops := make([]*topRows, len(w.readers))
	for i := range tops {
		tops[i] = &topRows{desc: opt.Desc}
	}
	refs := make([]blockRef, len(blocks))
	for i := range blocks {
		refs[i] = blocks[i].blockRef
	}
	err = w.each(refs, func(r *blockReader, i int) error {
		top := tops[slices.Index(w.readers, r)]
		if blocks[i].bounded && len(top.rows) == keep && opt.Limit > 0 && top.beyond(&blocks[i]) {
			return nil
		}
		return r.sortBlock(refs[i], opt, top, keep)
	})
	if err != nil {
		return nil, err
	}
	all := tops[0]
	for _, t := range tops[1:] {
		all.rows = append(all.rows, t.rows...)
	}
	if opt.Limit == 0 && len(all.rows) > keep {
		return nil, tooManySorted(opt.Sort)
	}
	slices.SortFunc(all.rows, func(a, b sortedRow) int {
		if all.before(&a, &b) {
			return -1
		}
		return 1
	})
	all.rows = all.rows[:min(len(all.rows), keep)]
	w.s.plan.Reading += time.Since(start)
	at := 0
	return func() (rowRef, bool) {
		if at == len(all.rows) {
			return rowRef{}, false
		}
		at++
		return all.rows[at-1].ref, true
	}, nil
}

func tooManySorted(field string) error {
	return fmt.Errorf("sort by %s: more than %d hits; give a limit, or sort by time", field, MaxSorted)
}

// sortedBlock is a block with the bounds of the field that rows are sorted by.
type sortedBlock struct {
	blockRef
	bounded   bool
	none      bool // no row has the field
	low, high int64
}

// promising finds the candidate blocks of all segments, in the order in which they are
// to be read.
func (w *sweep) promising(opt SearchOptions) ([]sortedBlock, error) {
	var list []sortedBlock
	def, _ := firetrail.FieldNamed(opt.Sort)
	for i := range w.s.segs {
		refs, err := w.candidates(i)
		if err != nil {
			return nil, err
		}
		if len(refs) == 0 {
			continue
		}
		seg, release, err := w.s.c.segment(w.s.segs[i].Name)
		if err != nil {
			return nil, err
		}
		column, ok := seg.Column(opt.Sort)
		common := def != nil && def.Int != nil && ok
		for _, ref := range refs {
			b := sortedBlock{blockRef: ref}
			if common {
				b.bounded = true
				if b.low, b.high, ok, err = seg.Bounds(column, ref.block); err != nil {
					release()
					return nil, err
				}
				b.none = !ok
			}
			list = append(list, b)
		}
		release()
	}
	slices.SortStableFunc(list, func(a, b sortedBlock) int {
		switch {
		case a.none != b.none:
			return btoi(a.none) - btoi(b.none)
		case a.bounded != b.bounded:
			return btoi(a.bounded) - btoi(b.bounded)
		case opt.Desc:
			return cmp.Compare(b.high, a.high)
		}
		return cmp.Compare(a.low, b.low)
	})
	return list, nil
}

// beyond reports whether every row of a block comes behind all that are kept.
func (t *topRows) beyond(b *sortedBlock) bool {
	last := &t.rows[0].key
	switch {
	case !last.has:
		return false // rows without a value are in the order of their places
	case b.none:
		return true
	case t.desc:
		return b.high < last.i
	}
	return b.low > last.i
}

func (r *blockReader) sortBlock(b blockRef, opt SearchOptions, top *topRows, keep int) error {
	t, m, err := r.test(b)
	if err != nil || m.empty() {
		return err
	}
	r.plan.Hits += int64(m.len())
	value, err := newValues(t, opt.Sort)
	if err != nil {
		return err
	}
	if len(top.rows) == keep && opt.Limit > 0 {
		value.better(&m, top)
	}
	refs, err := r.s.places(nil, t, b, &m)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		row := sortedRow{ref: ref}
		if row.key, err = value.key(int(ref.row)); err != nil {
			return err
		}
		switch {
		case len(top.rows) < keep:
			heap.Push(top, row)
		case opt.Limit == 0:
			return tooManySorted(opt.Sort)
		case top.before(&row, &top.rows[0]):
			top.rows[0] = row
			heap.Fix(top, 0)
		}
	}
	return nil
}

// better leaves out the rows of a common number that come behind all that are kept.
func (v *values) better(m *mask, top *topRows) {
	last := &top.rows[0].key
	if v.field == nil || v.field.Int == nil || v.vector == nil || !last.has {
		return
	}
	ints := v.vector.Ints()
	m.rows(func(row int) {
		if n := ints[row]; n == firetrail.Absent || top.desc && n < last.i || !top.desc && n > last.i {
			m[row/64] &^= 1 << (row % 64)
		}
	})
}

// values reads any field of the rows of one block.
type values struct {
	t      *tester
	field  *firetrail.FieldDef
	x      string // name of the record's own field
	vector *columns.Vector
	fixed  string // kind or source
	rest   bool   // the map may have it
}

// newValues is for the block on which t stands.
func newValues(t *tester, field string) (*values, error) {
	v := &values{t: t}
	v.field, _ = firetrail.FieldNamed(field)
	v.x, _ = isX(field)
	switch field {
	case "kind":
		v.fixed = t.seg.Kind()
		return v, nil
	case "source":
		if v.fixed = t.seg.Source(); v.fixed != "" {
			return v, nil
		}
	case "time.guess":
		field = "time_guess"
	}
	var err error
	if i, ok := t.seg.Column(field); ok && !t.seg.Absent(i, t.r.Block()) {
		v.vector, err = t.r.Vector(i)
	}
	if v.x != "" {
		last := len(t.seg.Columns()) - 1
		v.rest = t.seg.Columns()[last].Type == columns.Map && !t.seg.Absent(last, t.r.Block())
	}
	return v, err
}

// key gives the value by which a row is sorted.
func (v *values) key(row int) (sortKey, error) {
	if v.vector != nil && v.vector.Type == columns.Int {
		if n := v.vector.Ints()[row]; n != firetrail.Absent {
			if v.x != "" {
				return sortKey{has: true, num: true, n: float64(n)}, nil
			}
			return sortKey{has: true, i: n}, nil
		}
		if !v.rest {
			return sortKey{}, nil
		}
	}
	s, ok, err := v.text(row)
	if !ok || err != nil {
		return sortKey{}, err
	}
	switch {
	case v.field != nil && v.field.Addr != nil:
		a, err := netip.ParseAddr(s)
		return sortKey{has: err == nil, addr: a}, nil
	case v.x != "":
		if n, err := strconv.ParseFloat(s, 64); err == nil && n == n {
			return sortKey{has: true, num: true, n: n}, nil
		}
	}
	return sortKey{has: true, text: s}, nil
}

// text gives a row's value as it is printed; ok is false where there is none.
func (v *values) text(row int) (s string, ok bool, err error) {
	switch {
	case v.fixed != "":
		return v.fixed, true, nil
	case v.vector == nil:
	case v.vector.Type == columns.Int:
		if n := v.vector.Ints()[row]; n != firetrail.Absent {
			return printInt(v.field, n), true, nil
		}
	default:
		if s, ok = v.vector.Text(row); ok {
			return s, true, nil
		}
	}
	if !v.rest {
		return "", false, nil
	}
	fields, err := v.t.r.Rest(row)
	if err != nil {
		return "", false, err
	}
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Name == v.x {
			return fields[i].Value, true, nil
		}
	}
	return "", false, nil
}

// printInt prints a number as the field's values are printed; f is nil for fields
// of the record's own.
func printInt(f *firetrail.FieldDef, n int64) string {
	if f != nil {
		switch f.Type {
		case firetrail.TypeTime:
			return firetrail.Stamp(n)
		case firetrail.TypeDuration:
			return firetrail.Seconds(n)
		}
	}
	return strconv.FormatInt(n, 10)
}
