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

// sorted reads all matching rows and returns the first of them in the order of a
// field, one by one.
func (w *sweep) sorted(opt SearchOptions) (func() (rowRef, bool), error) {
	keep := MaxSorted
	if opt.Limit > 0 {
		keep = min(opt.Limit+opt.Offset, MaxSorted)
	}
	top := &topRows{desc: opt.Desc}
	for i := range w.s.segs {
		refs, err := w.candidates(i)
		if err != nil {
			return nil, err
		}
		for _, b := range refs {
			if err := live(w.ctx); err != nil {
				return nil, err
			}
			start := time.Now()
			if err := w.sortBlock(b, opt, top, keep); err != nil {
				return nil, err
			}
			w.s.plan.Reading += time.Since(start)
		}
	}
	slices.SortFunc(top.rows, func(a, b sortedRow) int {
		if top.before(&a, &b) {
			return -1
		}
		return 1
	})
	at := 0
	return func() (rowRef, bool) {
		if at == len(top.rows) {
			return rowRef{}, false
		}
		at++
		return top.rows[at-1].ref, true
	}, nil
}

func (w *sweep) sortBlock(b blockRef, opt SearchOptions, top *topRows, keep int) error {
	t, err := w.open.tester(b.seg)
	if err != nil {
		return err
	}
	refs, err := w.s.refs(t, b)
	if err != nil || len(refs) == 0 {
		return err
	}
	w.s.plan.Hits += int64(len(refs))
	value, err := newValues(t, opt.Sort)
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
			return fmt.Errorf("sort by %s: more than %d hits; give a limit, or sort by time", opt.Sort, MaxSorted)
		case top.before(&row, &top.rows[0]):
			top.rows[0] = row
			heap.Fix(top, 0)
		}
	}
	return nil
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
