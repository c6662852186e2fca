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
	last  uint32   // code of the value before, most often the next one too; Null: none
	text  string   // that value, in the dictionary's memory
	width int      // its bytes
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

// rows is the number of rows up to the last one with a value.
func (c *column) rows() int { return len(c.codes) + len(c.ints) }

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

func (c *column) cut(rows int) {
	if c.Type == Int {
		c.ints = c.ints[:min(rows, len(c.ints))]
	} else {
		for n := len(c.codes) - 1; n >= rows; n-- {
			if code := c.codes[n]; code != Null {
				c.values, c.size = c.values-1, c.size-len(c.dict.Value(code))
			}
			c.codes = c.codes[:n]
		}
	}
}

// putText sets the value of a row that follows all rows set so far.
func (c *column) putText(row int, s string) {
	if len(c.codes) < row {
		c.pad(row)
	}
	d := c.dict
	if d.unique || c.text != s || c.last == Null {
		c.last = d.code(s)
		c.text, c.width = d.Value(c.last), len(s)
	}
	c.putCode()
	if row%BlockRows == 0 && row > 0 && 4*d.Len() > 3*row {
		d.unique = true // looking up what never comes again costs more than it saves
	}
}

func (c *column) putAddr(row int, a netip.Addr) {
	if len(c.codes) < row {
		c.pad(row)
	}
	if d := c.dict; int(c.last) >= len(d.addrs) || d.addrs[c.last] != a {
		c.last = d.addr(a)
		c.width = int(d.offs[c.last+1] - d.offs[c.last])
	}
	c.putCode()
}

// putCode gives the next row the last value's code.
func (c *column) putCode() {
	if len(c.codes) == cap(c.codes) {
		c.codes = slices.Grow(c.codes, max(stride, len(c.codes))) // slices that grow by less copy more
	}
	c.codes, c.used = append(c.codes, c.last), true
	c.values, c.size = c.values+1, c.size+c.width
}

func (c *column) putInt(row int, n int64) {
	if len(c.ints) < row {
		c.pad(row)
	}
	c.ints, c.used = append(c.ints, n), true
}

// putX sets a value of the record's own; it reports whether it fits the column.
func (c *column) putX(row int, s string) bool {
	if c.Type == Text {
		c.putText(row, s)
		return true
	}
	n, ok := integer(s)
	if ok {
		c.putInt(row, n)
	}
	return ok
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
