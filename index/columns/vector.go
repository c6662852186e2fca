package columns

import (
	"net/netip"
	"unsafe"

	"firetrail"
)

// Vector holds the values of one column for a run of rows: a block when read
// from a segment, a row group when it comes from a Group. It is read-only and
// valid until the Reader moves to another block (the Group is written).
type Vector struct {
	Type Type
	Rows int

	// Const says that all rows have the same code; false says nothing.
	Const bool
	// Codes gives each row's place in Dict, or Null. It is nil in Int vectors
	// whose page has no dictionary.
	Codes []uint32
	Dict  *Dict

	ints []int64 // Int: a value for each row, decoded on demand from Codes
}

// Ints returns a number for each row of an Int vector, firetrail.Absent where null.
func (v *Vector) Ints() []int64 {
	if v.Codes != nil && len(v.ints) != v.Rows {
		if cap(v.ints) < v.Rows {
			v.ints = make([]int64, v.Rows, max(v.Rows, BlockRows))
		}
		v.ints = v.ints[:v.Rows]
		for i, c := range v.Codes {
			if c == Null {
				v.ints[i] = firetrail.Absent
			} else {
				v.ints[i] = v.Dict.Ints[c]
			}
		}
	}
	return v.ints
}

// Int returns the number of one row of an Int vector, firetrail.Absent where null.
func (v *Vector) Int(row int) int64 {
	switch {
	case v.Codes == nil:
		return v.ints[row]
	case v.Codes[row] == Null:
		return firetrail.Absent
	}
	return v.Dict.Ints[v.Codes[row]]
}

// Text returns the value of a row of a Text vector; ok is false where null.
func (v *Vector) Text(row int) (value string, ok bool) {
	c := v.Codes[row]
	if c == Null {
		return "", false
	}
	return v.Dict.Value(c), true
}

// Dict is the distinct values of a column in a row group; where a column has no
// dictionary there, the values of one block, which may then repeat. The same
// *Dict is given for all blocks that share it, so what was computed for it can
// be kept by its pointer. Its memory is never reused: values stay valid.
type Dict struct {
	Ints []int64 // values of an Int dictionary

	data  []byte
	offs  []uint32 // one more than there are values; value i is data[offs[i]:offs[i+1]]
	addrs []netip.Addr
}

// Len is the number of values.
func (d *Dict) Len() int {
	if d.Ints != nil {
		return len(d.Ints)
	}
	return max(len(d.offs)-1, 0)
}

// Value returns the text of a code.
func (d *Dict) Value(code uint32) string {
	b := d.data[d.offs[code]:d.offs[code+1]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Addrs returns all values as addresses, invalid where the text is none. They
// are parsed at the first call; Dicts that goroutines share must have had it.
func (d *Dict) Addrs() []netip.Addr {
	if d.addrs == nil {
		d.addrs = make([]netip.Addr, d.Len())
		for i := range d.addrs {
			d.addrs[i], _ = netip.ParseAddr(d.Value(uint32(i)))
		}
	}
	return d.addrs
}

// Of returns a dictionary of the values that codes have, which it renumbers, or d
// itself if that is no larger. Codes may be Null.
func (d *Dict) Of(codes []uint32) *Dict {
	if d.Len() <= len(codes) {
		return d
	}
	part := &Dict{offs: []uint32{0}}
	at := make(map[uint32]uint32, len(codes))
	for i, code := range codes {
		if code == Null {
			continue
		}
		n, known := at[code]
		if !known {
			n = uint32(part.Len())
			at[code] = n
			part.data = append(part.data, d.Value(code)...)
			part.offs = append(part.offs, uint32(len(part.data)))
			if d.addrs != nil {
				part.addrs = append(part.addrs, d.addrs[code])
			}
		}
		codes[i] = n
	}
	return part
}
