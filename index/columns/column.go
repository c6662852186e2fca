package columns

import (
	"net/netip"
	"slices"

	"firetrail"
)

const absent = firetrail.Absent

// column collects the values of one column of a row group. Rows at the end
// that have no value are not there until pad.
type column struct {
	Info
	dict  *textDict
	own   string   // x.NAME: the name as records have it, which is mostly the same memory
	codes []uint32 // Text
	ints  []int64  // Int
	last  uint32   // code of the text before, most often the next one too; Null: none
	text  string   // that text, in the dictionary's memory
	used  bool     // some row has a value

	values int // Text: rows that have one
	size   int // bytes of those
}

func newColumn(info Info) *column {
	c := &column{Info: info, last: Null}
	if c.Type == Text {
		c.dict = newTextDict()
	}
	return c
}

func (c *column) reset() {
	c.codes, c.ints, c.last, c.used = c.codes[:0], c.ints[:0], Null, false
	c.values, c.size = 0, 0
	if c.dict != nil {
		c.dict.reset()
	}
}

// isTime says whether the numbers are times, which are kept in the segment's unit.
func (c *column) isTime() bool { return c.Field != nil && c.Field.Type == firetrail.TypeTime }

func (c *column) isAddr() bool { return c.Field != nil && c.Field.Addr != nil }

// pad gives the column no value up to a row.
func (c *column) pad(rows int) {
	if c.Type == Int {
		for len(c.ints) < rows {
			c.ints = append(c.ints, absent)
		}
		return
	}
	for len(c.codes) < rows {
		c.codes = append(c.codes, Null)
	}
}

// room makes room for n further rows from row on, and gives it.
func (c *column) room(row, n int) []uint32 {
	c.pad(row)
	if row+n > cap(c.codes) {
		c.codes = slices.Grow(c.codes, max(n, cap(c.codes))) // slices that grow by less copy more
	}
	c.codes, c.used = c.codes[:row+n], true
	return c.codes[row:]
}

// putTexts sets the values of n rows from row on to the texts of a run, "" where a row
// has none.
func (c *column) putTexts(row, n int, of run) {
	d, code, text := c.dict, c.last, c.text
	codes := c.room(row, n)
	values, size := 0, 0
	for i := range codes {
		s := *(*string)(of.at(i))
		if s == "" {
			codes[i] = Null
			continue
		}
		if s != text || code == Null || d.unique {
			code = d.code(s)
		}
		codes[i], text = code, s
		values, size = values+1, size+len(s)
	}
	c.values, c.size = c.values+values, c.size+size
	if c.last = code; code != Null {
		c.text = d.Value(code)
	}
	if codes[n-1] != Null {
		d.decide(row + n - 1)
	}
}

// putText sets the value of a row that follows all rows set so far.
func (c *column) putText(row int, s string) {
	if len(c.codes) < row {
		c.pad(row)
	}
	d := c.dict
	if c.text != s || c.last == Null || d.unique {
		c.last = d.code(s)
		c.text = d.Value(c.last)
	}
	c.codes, c.used = append(c.codes, c.last), true
	c.values, c.size = c.values+1, c.size+len(s)
	if row%BlockRows == 0 {
		d.decide(row)
	}
}

// putAddr sets the values of n rows from row on to the addresses of a run.
func (c *column) putAddr(row, n int, of run) {
	d, code := c.dict, c.last
	var last netip.Addr
	codes := c.room(row, n)
	values, size, width := 0, 0, 0
	for i := range codes {
		a := (*netip.Addr)(of.at(i))
		if !a.IsValid() {
			codes[i] = Null
			continue
		}
		if *a != last {
			code, last = d.addr(*a), *a
			width = int(d.offs[code+1] - d.offs[code])
		}
		codes[i] = code
		values, size = values+1, size+width
	}
	c.values, c.size = c.values+values, c.size+size
}

// putInts sets the values of n rows from row on to the numbers of a run.
func (c *column) putInts(row, n int, of run) {
	c.pad(row)
	if row+n > cap(c.ints) {
		c.ints = slices.Grow(c.ints, max(n, cap(c.ints))) // slices that grow by less copy more
	}
	c.ints, c.used = c.ints[:row+n], true
	to := c.ints[row:]
	for i := range to {
		to[i] = *(*int64)(of.at(i))
	}
}

// putInt sets the value of a row that follows all rows set so far, if it is a number; it
// reports whether it is.
func (c *column) putInt(row int, s string) bool {
	n, ok := integer(s)
	if ok {
		if len(c.ints) < row {
			c.pad(row)
		}
		c.ints, c.used = append(c.ints, n), true
	}
	return ok
}

// putX sets a value of the record's own; it reports whether it fits the column and is the
// first one of its row.
func (c *column) putX(row int, s string) bool {
	if c.Type == Int {
		return len(c.ints) <= row && c.putInt(row, s)
	}
	if len(c.codes) > row {
		return false
	}
	c.putText(row, s)
	return true
}

// cut takes the values of x.NAME back from a row on.
func (c *column) cut(rows int) {
	c.ints = c.ints[:min(rows, len(c.ints))]
	for n := len(c.codes) - 1; n >= rows; n-- {
		if code := c.codes[n]; code != Null {
			c.values, c.size = c.values-1, c.size-len(c.dict.Value(code))
		}
		c.codes = c.codes[:n]
	}
}

// narrow turns a text column into an Int column if all its values are integers.
func (c *column) narrow() {
	d := c.dict
	ints := make([]int64, 0, d.Len())
	for i := range d.Len() {
		n, ok := integer(d.Value(uint32(i)))
		if !ok {
			return
		}
		ints = append(ints, n)
	}
	c.Type, c.dict = Int, nil
	c.ints = make([]int64, len(c.codes))
	for i, code := range c.codes {
		c.ints[i] = absent
		if code != Null {
			c.ints[i] = ints[code]
		}
	}
	c.codes = nil
}

// mapColumn collects the fields that have no column or do not fit it.
type mapColumn struct {
	rows   []uint32 // row of each entry
	keys   *textDict
	values *textDict
	key    []uint32 // codes of each entry
	value  []uint32
}

func newMapColumn() *mapColumn {
	return &mapColumn{keys: newTextDict(), values: newTextDict()}
}

func (m *mapColumn) reset() {
	m.rows, m.key, m.value = m.rows[:0], m.key[:0], m.value[:0]
	m.keys.reset()
	m.values.reset()
}

func (m *mapColumn) put(row int, f firetrail.Field) {
	m.rows = append(m.rows, uint32(row))
	m.key = append(m.key, m.keys.code(f.Name))
	m.value = append(m.value, m.values.code(f.Value))
}
