package columns

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"unicode/utf8"
)

// table is an open-addressing hash table from values to codes, which are given
// in the order of first sight, so that they do not depend on the hash.
type table struct {
	slots  []uint32 // code+1, 0 is free; the length is a power of two
	hashes []uint32 // of each code
}

func (t *table) reset() {
	clear(t.slots)
	t.hashes = t.hashes[:0]
}

// grow keeps the table at most half full.
func (t *table) grow() {
	if 2*len(t.hashes) < len(t.slots) {
		return
	}
	t.slots = make([]uint32, max(64, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for code, h := range t.hashes {
		i := h & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(code) + 1
	}
}

// add enters the next code at a free slot that a search ended on.
func (t *table) add(slot, hash uint32) (code uint32) {
	code = uint32(len(t.hashes))
	t.hashes = append(t.hashes, hash)
	t.slots[slot] = code + 1
	return code
}

// textDict gives codes to strings. In unique mode it does not look for equal
// values any more: they are as good as all different.
type textDict struct {
	Dict
	table
	unique bool
	binary bool // some value is no UTF-8: known once encoded
	seed   maphash.Seed
	key    uint64 // secret of the hash of short texts
}

func newTextDict() *textDict {
	return &textDict{Dict: Dict{offs: []uint32{0}}, seed: maphash.MakeSeed(), key: rand.Uint64()}
}

func (d *textDict) reset() {
	d.table.reset()
	d.data, d.offs, d.addrs = d.data[:0], d.offs[:1], d.addrs[:0]
	d.unique, d.binary = false, false
}

// size is the memory that the values and the table take.
func (d *textDict) size() int {
	return len(d.data) + 4*(len(d.offs)+len(d.slots)+len(d.hashes)) + 24*len(d.addrs)
}

// code finds or makes the code of s.
func (d *textDict) code(s string) uint32 {
	if d.unique {
		return d.append(s)
	}
	d.grow()
	h := d.hash(s)
	mask := uint32(len(d.slots) - 1)
	i := h & mask
	for d.slots[i] != 0 {
		if c := d.slots[i] - 1; d.hashes[c] == h && d.Value(c) == s {
			return c
		}
		i = (i + 1) & mask
	}
	d.append(s)
	return d.add(i, h)
}

// decide ends looking for equal values if most rows up to the first one of a block had a
// value of their own: looking up what never comes again costs more than it saves.
func (d *textDict) decide(row int) {
	if row%BlockRows == 0 && row > 0 && 4*d.Len() > 3*row {
		d.unique = true
	}
}

// hash is that of maphash, which costs more than all else for a text of a few bytes;
// those are mixed by one multiplication with a secret.
func (d *textDict) hash(s string) uint32 {
	n := len(s)
	if n > 16 {
		return uint32(maphash.String(d.seed, s))
	}
	var x, y uint64
	switch {
	case n >= 8:
		x, y = load64(s), load64(s[n-8:])
	case n >= 4:
		x, y = load32(s), load32(s[n-4:])
	case n > 0:
		x = uint64(s[0])<<16 | uint64(s[n/2])<<8 | uint64(s[n-1])
	}
	hi, lo := bits.Mul64(x^d.key, y^uint64(n)^bits.RotateLeft64(d.key, 32))
	return uint32(hi ^ lo)
}

func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func (d *textDict) append(s string) uint32 {
	d.data = append(d.data, s...)
	d.offs = append(d.offs, uint32(len(d.data)))
	return uint32(len(d.offs) - 2)
}

// valid reports whether all values are UTF-8. Mostly all are ASCII.
func (d *Dict) valid() bool {
	b, high := d.data, uint64(0)
	for ; len(b) >= 8; b = b[8:] {
		high |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		high |= uint64(c)
	}
	if high&0x8080808080808080 == 0 {
		return true
	}
	for i := range d.Len() {
		if !utf8.ValidString(d.Value(uint32(i))) {
			return false
		}
	}
	return true
}

// addr finds or makes the code of an address; a dictionary holds either
// addresses or other text.
func (d *textDict) addr(a netip.Addr) uint32 {
	d.grow()
	b := a.As16()
	x, y := binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, y^0xe7037ed1a0b428db)
	h := uint32((hi ^ lo) >> 7)
	mask := uint32(len(d.slots) - 1)
	i := h & mask
	for d.slots[i] != 0 {
		if c := d.slots[i] - 1; d.addrs[c] == a {
			return c
		}
		i = (i + 1) & mask
	}
	d.addrs = append(d.addrs, a)
	d.data = a.AppendTo(d.data)
	d.offs = append(d.offs, uint32(len(d.data)))
	return d.add(i, h)
}

// intDict gives codes to numbers, in the order of first sight.
type intDict struct {
	values []int64
	codes  []uint32 // of the rows
	slots  []uint32 // code+1, 0 is free
}

// maxRange bounds the distance of numbers that are found by a place of their own.
const maxRange = 1 << 16

// encode gives codes to the present values of a column, which are from low to high;
// ok is false once there are more than limit different ones.
func (d *intDict) encode(values []int64, limit int, low, high int64) (ok bool) {
	d.values = d.values[:0]
	d.codes = slices.Grow(d.codes[:0], len(values))[:len(values)]
	if n := uint64(high) - uint64(low); n < maxRange {
		return d.placed(values, limit, low, int(n)+1)
	}
	return d.hashed(values, limit)
}

// placed finds each of n numbers in a slot of its own.
func (d *intDict) placed(values []int64, limit int, low int64, n int) (ok bool) {
	slots := d.clear(n)
	for row, v := range values {
		next := uint32(0) // less one it is Null
		if v != absent {
			next = slots[v-low]
			if next == 0 {
				if len(d.values) == limit {
					return false
				}
				d.values = append(d.values, v)
				next = uint32(len(d.values))
				slots[v-low] = next
			}
		}
		d.codes[row] = next - 1
	}
	return true
}

// hashed finds numbers by open addressing.
func (d *intDict) hashed(values []int64, limit int) (ok bool) {
	slots := d.clear(1 << 10)
	mask := uint32(len(slots) - 1)
	for row, v := range values {
		if v == absent {
			d.codes[row] = Null
			continue
		}
		i := hashInt(v) & mask
		for slots[i] != 0 && d.values[slots[i]-1] != v {
			i = (i + 1) & mask
		}
		if slots[i] == 0 {
			if len(d.values) == limit {
				return false
			}
			d.values = append(d.values, v)
			slots[i] = uint32(len(d.values))
		}
		d.codes[row] = slots[i] - 1
		if 2*len(d.values) > len(slots) {
			slots = d.clear(2 * len(slots))
			mask = uint32(len(slots) - 1)
			for code, v := range d.values {
				i := hashInt(v) & mask
				for slots[i] != 0 {
					i = (i + 1) & mask
				}
				slots[i] = uint32(code) + 1
			}
		}
	}
	return true
}

// clear gives n free slots.
func (d *intDict) clear(n int) []uint32 {
	d.slots = slices.Grow(d.slots[:0], n)[:n]
	clear(d.slots)
	return d.slots
}

func hashInt(v int64) uint32 {
	hi, lo := bits.Mul64(uint64(v)^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return uint32((hi ^ lo) >> 7)
}
