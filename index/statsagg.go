package index

import (
	"math"
	"strconv"
	"unsafe"

	"firetrail"
	"firetrail/index/columns"
)

// aggState holds one aggregate of all groups.
type aggState struct {
	aggregate
	same     *aggState // of the same values: this one adds nothing and reads that
	count    []int64   // rows, or rows that have a value
	ints     []int64   // sum, min or max of a number; of a record's own, the whole part
	nanos    []int64   // the rest of that sum, in 1e-9: whole numbers add up to the same in any order
	keys     []sortKey // min or max of what is no common number
	distinct distincts
	ranks    []quantiles
	held     int // values of ranks

	hashes []uint64 // of each code of dict; 0: not made yet
	dict   *columns.Dict
	recent *[4096]uint64 // pairs of group and code that were added last
}

func newAggState(a aggregate) *aggState {
	s := &aggState{aggregate: a}
	if a.name == "distinct" {
		s.recent = new([4096]uint64)
	}
	return s
}

// shares reports whether the two aggregates need the same of a field's values.
func (a *aggState) shares(o *aggState) bool {
	return o.same == nil && a.field == o.field && a.name == o.name && a.name == "percentile"
}

// common reports whether the field is a common number.
func (a *aggState) common() bool { return a.def != nil && a.def.Int != nil }

// grow makes room for n groups.
func (a *aggState) grow(n int) {
	if a.same != nil {
		return
	}
	for len(a.count) < n {
		a.count = append(a.count, 0)
		switch a.name {
		case "percentile":
			a.ranks = append(a.ranks, quantiles{})
		case "sum", "avg":
			if a.ints = append(a.ints, 0); !a.common() {
				a.nanos = append(a.nanos, 0)
			}
		case "min", "max":
			if a.common() {
				a.ints = append(a.ints, firetrail.Absent)
			} else {
				a.keys = append(a.keys, sortKey{})
			}
		}
	}
}

// add adds the rows of the block on which t stands to their groups.
func (a *aggState) add(t *tester, rows []uint16, groups []uint32) error {
	if a.same != nil {
		return nil
	}
	if a.name == "count" && a.field == "" {
		for _, g := range groups {
			a.count[g]++
		}
		return nil
	}
	v, err := newValues(t, a.field)
	if err != nil || v.fixed == "" && v.vector == nil && !v.rest {
		return err
	}
	switch {
	case a.name == "count":
		return a.present(v, rows, groups)
	case a.name == "distinct":
		return a.different(v, rows, groups)
	case a.common():
		a.numbers(v.vector.Ints(), rows, groups)
		return nil
	}
	return a.others(v, rows, groups)
}

// size is roughly the memory that the aggregate takes.
func (a *aggState) size() int {
	n := 8 * (cap(a.count) + cap(a.ints) + cap(a.nanos))
	n += cap(a.keys)*int(unsafe.Sizeof(sortKey{})) + cap(a.ranks)*int(unsafe.Sizeof(quantiles{}))
	return n + a.distinct.size() + 8*a.held
}

// present counts the rows that have the field.
func (a *aggState) present(v *values, rows []uint16, groups []uint32) error {
	for i, row := range rows {
		ok := v.fixed != "" || v.vector != nil && has(v.vector, int(row))
		if !ok && v.rest {
			var err error
			if _, ok, err = v.text(int(row)); err != nil {
				return err
			}
		}
		if ok {
			a.count[groups[i]]++
		}
	}
	return nil
}

// numbers adds a common number.
func (a *aggState) numbers(ints []int64, rows []uint16, groups []uint32) {
	switch a.name {
	case "sum", "avg":
		for i, row := range rows {
			if n := ints[row]; n != firetrail.Absent {
				a.count[groups[i]]++
				a.ints[groups[i]] = plus(a.ints[groups[i]], n)
			}
		}
	case "min":
		for i, row := range rows {
			if n := ints[row]; n != firetrail.Absent {
				if g := groups[i]; a.ints[g] == firetrail.Absent || n < a.ints[g] {
					a.ints[g] = n
				}
			}
		}
	case "max":
		for i, row := range rows {
			if g := groups[i]; ints[row] > a.ints[g] {
				a.ints[g] = ints[row]
			}
		}
	case "percentile":
		for i, row := range rows {
			if n := ints[row]; n != firetrail.Absent {
				a.held += a.ranks[groups[i]].add(float64(n))
			}
		}
	}
}

// plus adds and stays at the ends of the range rather than leaving it.
func plus(a, b int64) int64 {
	c := a + b
	switch {
	case a > 0 && b > 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && c >= 0:
		return math.MinInt64 + 1
	}
	return c
}

// others adds values that are no common number, one by one. What is not a number has no
// sum and no percentile.
func (a *aggState) others(v *values, rows []uint16, groups []uint32) error {
	for i, row := range rows {
		k, err := v.key(int(row))
		if err != nil {
			return err
		}
		if k.has {
			a.value(int(groups[i]), k)
		}
	}
	return nil
}

func (a *aggState) value(g int, k sortKey) {
	switch a.name {
	case "min", "max":
		c := k.compare(&a.keys[g])
		if !a.keys[g].has || a.name == "min" && c < 0 || a.name == "max" && c > 0 {
			a.keys[g] = k
		}
		return
	}
	if !k.num {
		return
	}
	if a.name == "percentile" {
		a.held += a.ranks[g].add(k.n)
		return
	}
	whole := math.Trunc(k.n)
	if math.Abs(whole) >= math.MaxInt64 {
		return // no count of anything
	}
	a.count[g]++
	a.ints[g] = plus(a.ints[g], int64(whole))
	a.nanos[g] += int64(math.Round((k.n - whole) * 1e9))
}

// different adds values to the sets of their groups, by hash; that of a dictionary's
// value is computed once.
func (a *aggState) different(v *values, rows []uint16, groups []uint32) error {
	if v.fixed != "" {
		h := hashText(v.fixed)
		for _, g := range groups {
			a.distinct.add(g, h)
		}
		return nil
	}
	if vec := v.vector; vec != nil && vec.Type == columns.Text && !v.rest {
		if a.dict != vec.Dict {
			a.dict, a.hashes = vec.Dict, make([]uint64, vec.Dict.Len())
			clear(a.recent[:])
		}
		for i, row := range rows {
			c := vec.Codes[row]
			if c == columns.Null {
				continue
			}
			pair := uint64(groups[i]+1)<<32 | uint64(c)
			if at := &a.recent[hashInt(pair)%uint64(len(a.recent))]; *at != pair {
				*at = pair
			} else {
				continue
			}
			if a.hashes[c] == 0 {
				a.hashes[c] = hashText(vec.Dict.Value(c))
			}
			a.distinct.add(groups[i], a.hashes[c])
		}
		return nil
	}
	if vec := v.vector; vec != nil && vec.Type == columns.Int && v.x == "" {
		ints := vec.Ints()
		for i, row := range rows {
			if n := ints[row]; n != firetrail.Absent {
				a.distinct.add(groups[i], hashInt(uint64(n)))
			}
		}
		return nil
	}
	for i, row := range rows {
		s, ok, err := v.text(int(row))
		if err != nil {
			return err
		}
		if ok {
			a.distinct.add(groups[i], hashText(s))
		}
	}
	return nil
}

// mergeAll adds the groups of another state: to says which one each of them is here,
// or noGroup.
func (a *aggState) mergeAll(o *aggState, to []uint32) {
	if a.same != nil {
		return
	}
	if a.name == "distinct" {
		a.distinct.merge(&o.distinct, to)
		return
	}
	for from, g := range to {
		if g != noGroup {
			a.merge(int(g), o, from)
		}
	}
}

// merge adds group from of another state to group g.
func (a *aggState) merge(g int, o *aggState, from int) {
	a.count[g] += o.count[from]
	switch {
	case a.name == "percentile":
		a.ranks[g].merge(&o.ranks[from])
	case a.name == "sum" || a.name == "avg":
		a.ints[g] = plus(a.ints[g], o.ints[from])
		if a.nanos != nil {
			a.nanos[g] += o.nanos[from]
		}
	case (a.name == "min" || a.name == "max") && !a.common():
		if o.keys[from].has {
			a.value(g, o.keys[from])
		}
	case a.name == "max":
		a.ints[g] = max(a.ints[g], o.ints[from])
	case a.name == "min":
		if n := o.ints[from]; n != firetrail.Absent && (a.ints[g] == firetrail.Absent || n < a.ints[g]) {
			a.ints[g] = n
		}
	}
}

// cell is the value of a group.
func (a *aggState) cell(g int) Cell {
	nanos := int64(0)
	if a.nanos != nil {
		nanos = a.nanos[g]
	}
	switch a.name {
	case "count":
		return Cell{Valid: true, Type: CellInt, Int: a.count[g]}
	case "distinct":
		n, exact := a.distinct.count(uint32(g))
		return Cell{Valid: true, Type: CellInt, Int: n, Approx: !exact}
	case "percentile":
		from := a
		if a.same != nil {
			from = a.same
		}
		f, ok, exact := from.ranks[g].at(a.rank)
		c := a.float(f)
		c.Valid, c.Approx = ok, !exact
		return c
	case "min", "max":
		if a.common() {
			return intCell(a.def, a.ints[g])
		}
		return a.keys[g].cell()
	case "avg":
		c := a.float((float64(a.ints[g]) + float64(nanos)/1e9) / float64(a.count[g]))
		c.Valid = a.count[g] > 0
		return c
	}
	c := intCell(a.def, a.ints[g])
	if nanos%1e9 != 0 {
		c.Type, c.Float = CellFloat, float64(a.ints[g])+float64(nanos)/1e9
	} else {
		c.Int = plus(c.Int, nanos/1e9)
	}
	c.Valid = a.count[g] > 0
	return c
}

// float is a cell of a value that need not be whole: times and durations stay what
// they are, to the nanosecond.
func (a *aggState) float(f float64) Cell {
	if a.def != nil && (a.def.Type == firetrail.TypeTime || a.def.Type == firetrail.TypeDuration) && f == f {
		return intCell(a.def, int64(math.Round(f)))
	}
	return Cell{Type: CellFloat, Float: f}
}

// cell prints a sort key.
func (k *sortKey) cell() Cell {
	c := Cell{Valid: k.has, Str: k.text}
	switch {
	case k.num:
		c.Str = strconv.FormatFloat(k.n, 'f', -1, 64)
	case k.addr.IsValid():
		c.Str = k.addr.String()
	}
	return c
}
