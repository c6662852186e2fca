package index

import "slices"

// portCodes numbers ports: by themselves, but for what is none.
func portCodes(ports []int64) func(row int) uint32 {
	others := map[int64]uint32{}
	return func(row int) uint32 {
		p := ports[row]
		if p >= 0 && p < 1<<16 {
			return uint32(p)
		}
		code, ok := others[p]
		if !ok {
			code = 1<<16 + uint32(len(others))
			others[p] = code
		}
		return code
	}
}

// codeTable is a hash table from pairs of codes to codes in the order of first sight.
type codeTable struct {
	slots []uint32 // code+1, 0 is free; the length is a power of two
	keys  []uint64 // of each code
}

// combine replaces each code by that of its pair with the other one of its row.
func (t *codeTable) combine(codes []uint32, other func(row int) uint32) {
	t.slots, t.keys = t.slots[:min(1024, len(t.slots))], t.keys[:0]
	clear(t.slots)
	last, was := ^uint64(0), uint32(0)
	for row, code := range codes {
		key := uint64(code)<<32 | uint64(other(row))
		if key != last {
			was, last = t.code(key), key
		}
		codes[row] = was
	}
}

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
