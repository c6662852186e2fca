package index

import (
	"math/bits"
	"slices"
	"strconv"
	"unsafe"

	"firetrail"
	"firetrail/index/columns"
)

// textTable gives numbers to texts in the order of first sight. It keeps them in memory
// of its own: a text of a segment would keep the whole dictionary it comes from.
type textTable struct {
	slots []uint64 // upper half of the hash, and number+1, 0 is free; the length is a power of two
	texts []heldText
	data  []byte
}

type heldText struct {
	hash     uint64
	from, to uint32 // place in data
}

// id finds or makes the number of a text with its hash.
func (t *textTable) id(s string, hash uint64) uint32 {
	if 2*len(t.texts) >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if t.slots[i]>>32 == hash>>32 {
			if n := uint32(t.slots[i]) - 1; t.text(n) == s {
				return n
			}
		}
	}
	from := uint32(len(t.data))
	t.data = append(t.data, s...)
	t.texts = append(t.texts, heldText{hash, from, uint32(len(t.data))})
	t.slots[i] = hash>>32<<32 | uint64(len(t.texts))
	return uint32(len(t.texts) - 1)
}

func (t *textTable) grow() {
	n := max(64, 2*len(t.slots))
	t.slots = make([]uint64, n)
	for id := range t.texts {
		hash := t.texts[id].hash
		i := hash & uint64(n-1)
		for t.slots[i] != 0 {
			i = (i + 1) & uint64(n-1)
		}
		t.slots[i] = hash>>32<<32 | uint64(id+1)
	}
}

// text is the text of a number. What is appended later does not change it.
func (t *textTable) text(n uint32) string {
	b := t.data[t.texts[n].from:t.texts[n].to]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (t *textTable) size() int { return 8*cap(t.slots) + 16*cap(t.texts) + cap(t.data) }

// groupColumn numbers the values of one field from 1 on; 0 is no value. Of a
// dictionary, each value is looked at once.
type groupColumn struct {
	by    groupBy
	texts textTable
	ints  codeTable // values of common numbers; of a record's own field, what whole maps to texts
	whole []uint32  // of each of a record's own numbers, the number of its text

	dict   *columns.Dict
	codes  []uint32 // of each code of dict, its number, plus 1
	hashes []uint64 // of each code of dict; 0: not made yet

	first, end int64 // the latest number's bucket: [first, end) has the number last
	last       uint32
}

// number gives each row the number of its value.
func (c *groupColumn) number(v *values, rows []uint16, to []uint32) error {
	switch {
	case v.fixed != "":
		id := c.text(v.fixed)
		for i := range to {
			to[i] = id
		}
	case v.rest:
		return c.slow(v, rows, to)
	case v.vector == nil:
		clear(to)
	case v.vector.Codes != nil:
		c.coded(v.vector, rows, to)
	default:
		ints := v.vector.Ints()
		for i, row := range rows {
			to[i] = c.int(ints[row])
		}
	}
	return nil
}

// coded numbers a column with a dictionary.
func (c *groupColumn) coded(v *columns.Vector, rows []uint16, to []uint32) {
	c.use(v.Dict)
	codes := v.Codes
	for i, row := range rows {
		code := codes[row]
		if code == columns.Null {
			to[i] = 0
			continue
		}
		if c.codes[code] == 0 {
			if v.Type == columns.Int {
				c.codes[code] = c.int(v.Dict.Ints[code]) + 1
			} else {
				c.codes[code] = c.text(v.Dict.Value(code)) + 1
			}
		}
		to[i] = c.codes[code] - 1
	}
}

// slow numbers fields that may be in the map.
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

func (c *groupColumn) text(s string) uint32 { return c.texts.id(s, hashText(s)) + 1 }

// int numbers a number, or the bucket that it lies in. A record's own numbers are texts:
// in another segment the field may be one.
func (c *groupColumn) int(n int64) uint32 {
	switch {
	case n == firetrail.Absent:
		return 0
	case n >= c.first && n < c.end:
		return c.last
	}
	c.first, c.end = n, n+1
	if c.by.width > 0 {
		c.first = floor(n, c.by.width)
		c.end = c.first + c.by.width
	}
	code := c.ints.code(uint64(c.first))
	c.last = code + 1
	if c.by.def == nil {
		if int(code) == len(c.whole) {
			c.whole = append(c.whole, c.text(strconv.FormatInt(n, 10)))
		}
		c.last = c.whole[code]
	}
	return c.last
}

// floor is the largest multiple of width that is at most n.
func floor(n, width int64) int64 {
	if r := n % width; r < 0 {
		return n - r - width
	} else {
		return n - r
	}
}

// use turns to a dictionary.
func (c *groupColumn) use(d *columns.Dict) {
	if c.dict == d {
		return
	}
	c.dict = d
	n := d.Len()
	c.codes, c.hashes = slices.Grow(c.codes[:0], n)[:n], slices.Grow(c.hashes[:0], n)[:n]
	clear(c.codes)
	clear(c.hashes)
}

// mix mixes the hash of each row's value into those of the columns before.
func (c *groupColumn) mix(v *values, rows []uint16, hashes []uint64) error {
	none := func(i int) { hashes[i] = mixed(hashes[i], 0) }
	switch {
	case v.fixed != "" || v.rest:
		for i, row := range rows {
			s, ok, err := v.text(int(row))
			if err != nil {
				return err
			}
			if none(i); ok {
				hashes[i] ^= hashText(s)
			}
		}
	case v.vector == nil:
		for i := range rows {
			none(i)
		}
	case v.vector.Type == columns.Int:
		ints := v.vector.Ints()
		for i, row := range rows {
			if none(i); ints[row] != firetrail.Absent {
				hashes[i] ^= c.hashInt(ints[row])
			}
		}
	default:
		c.use(v.vector.Dict)
		for i, row := range rows {
			none(i)
			if code := v.vector.Codes[row]; code != columns.Null {
				if c.hashes[code] == 0 {
					c.hashes[code] = hashText(v.vector.Dict.Value(code))
				}
				hashes[i] ^= c.hashes[code]
			}
		}
	}
	return nil
}

// mixed goes on from the hash of some columns to the next one.
func mixed(hash, value uint64) uint64 { return bits.RotateLeft64(hash*0x9e3779b97f4a7c15, 23) ^ value }

func (c *groupColumn) hashInt(n int64) uint64 {
	if c.by.def == nil {
		return hashText(strconv.FormatInt(n, 10))
	}
	if c.by.width > 0 {
		n = floor(n, c.by.width)
	}
	return hashInt(uint64(n))
}

// cell is the value of a number.
func (c *groupColumn) cell(id uint32) Cell {
	switch {
	case id == 0:
		return Cell{}
	case c.numeric():
		return intCell(c.by.def, int64(c.ints.keys[id-1]))
	}
	return Cell{Valid: true, Str: c.texts.text(id - 1)}
}

// numeric reports whether the values are common numbers.
func (c *groupColumn) numeric() bool { return c.by.def != nil && c.by.def.Int != nil }

// values is how many have a number.
func (c *groupColumn) values() int {
	if c.numeric() {
		return len(c.ints.keys)
	}
	return len(c.texts.texts)
}

// hash is what mix mixes in for the value of a number.
func (c *groupColumn) hash(id uint32) uint64 {
	switch {
	case id == 0:
		return 0
	case c.numeric():
		return hashInt(c.ints.keys[id-1])
	}
	return c.texts.texts[id-1].hash
}

// adopt finds the number of a value of another column of the same field.
func (c *groupColumn) adopt(o *groupColumn, id uint32) uint32 {
	if c.numeric() {
		return c.int(int64(o.ints.keys[id-1]))
	}
	return c.texts.id(o.texts.text(id-1), o.texts.texts[id-1].hash) + 1
}

func (c *groupColumn) size() int {
	return c.texts.size() + 4*cap(c.ints.slots) + 8*cap(c.ints.keys) + 4*cap(c.whole)
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
