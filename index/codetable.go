package index

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// addrTable gives numbers to addresses in the order of first sight.
type addrTable struct {
	slots []uint32 // number+1, 0 is free; the length is a power of two
	list  []netip.Addr
}

// id finds or makes the number of an address.
func (t *addrTable) id(a netip.Addr) uint32 {
	if 2*len(t.list) >= len(t.slots) {
		t.grow()
	}
	i := t.place(a)
	if t.slots[i] == 0 {
		t.list = append(t.list, a)
		t.slots[i] = uint32(len(t.list))
	}
	return t.slots[i] - 1
}

// place is where an address is, or the free slot where it would be.
func (t *addrTable) place(a netip.Addr) uint64 {
	b := a.As16()
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(b[:8])^0x9e3779b97f4a7c15, binary.LittleEndian.Uint64(b[8:])^0xe7037ed1a0b428db)
	mask := uint64(len(t.slots) - 1)
	i := (hi ^ lo) >> 7 & mask
	for t.slots[i] != 0 && t.list[t.slots[i]-1] != a {
		i = (i + 1) & mask
	}
	return i
}

func (t *addrTable) grow() {
	t.slots = make([]uint32, max(64, 4*len(t.slots)))
	for i, a := range t.list {
		t.slots[t.place(a)] = uint32(i) + 1
	}
}

// codeTable is a hash table from numbers to codes in the order of first sight.
type codeTable struct {
	slots []uint32 // code+1, 0 is free; the length is a power of two
	keys  []uint64 // of each code
}

// code finds or makes the code of a key.
func (t *codeTable) code(key uint64) uint32 {
	if 2*len(t.keys) >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	i := t.slot(key)
	for t.slots[i] != 0 {
		if c := t.slots[i] - 1; t.keys[c] == key {
			return c
		}
		i = (i + 1) & mask
	}
	t.keys = append(t.keys, key)
	t.slots[i] = uint32(len(t.keys))
	return t.slots[i] - 1
}

// slot is where the search for a key begins.
func (t *codeTable) slot(key uint64) uint64 {
	return (key * 0x9e3779b97f4a7c15) >> 40 & uint64(len(t.slots)-1)
}

func (t *codeTable) grow() {
	n := max(1024, 4*len(t.slots))
	t.slots = slices.Grow(t.slots[:0], n)[:n]
	clear(t.slots)
	for code, key := range t.keys {
		i := t.slot(key)
		for t.slots[i] != 0 {
			i = (i + 1) & uint64(n-1)
		}
		t.slots[i] = uint32(code) + 1
	}
}
