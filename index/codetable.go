package index

import "slices"

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
