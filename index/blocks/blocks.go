// Package blocks keeps which terms occur in which blocks of a segment, so that a
// query reads few blocks, and none where an indicator is absent. It is the only
// importer of bleve's packages, of which it uses the term dictionary (vellum, a
// finite-state transducer) on its own: writing a bleve document for each block
// took eight times as long as the rest of what ingest does for a block.
//
// There is a file for each segment, written once, whole, and never changed, so
// readers need no lock and a case needs no transaction across the index: a
// segment whose file is missing or damaged counts as a candidate in all its blocks
// until Writer makes it anew from the segment. The index may cost time, but is
// never the reason for a wrong answer.
//
// Terms are those of index/query (query.TermKey and its like): folded texts of
// fields with few or some values, names back to front, addresses with their
// networks, destination ports, and words of the searched texts. Times and
// numbers are not here: Parquet's own column index has their bounds.
//
// # File
//
// magic, dictionary, sets, footer. The dictionary maps a term to block<<1|1, or, if
// it occurs in several blocks, to set<<1. A set is a bitmap of ceil(blocks/8) bytes.
// The footer is, in little endian, the number of blocks (4 bytes), of sets (4), the
// length of the dictionary (8), and the CRC-32C of all before (4), then magic.
package blocks

import (
	"errors"
	"fmt"
	"math/bits"
)

// MaxBlocks is the largest number of blocks of a segment.
const MaxBlocks = 256

// ErrDamaged is wrapped by every error that means that a file is not what a
// Writer wrote; the remedy is to write it again from its segment.
var ErrDamaged = errors.New("block index is damaged")

// Set is a set of blocks of one segment.
type Set [MaxBlocks / 64]uint64

// All is the set of the first n blocks.
func All(n int) Set {
	var s Set
	for i := range n {
		s.Add(i)
	}
	return s
}

// Add puts a block into the set.
func (s *Set) Add(block int) { s[block/64] |= 1 << (block % 64) }

// Has reports whether a block is in the set.
func (s *Set) Has(block int) bool { return s[block/64]>>(block%64)&1 != 0 }

// And keeps what is in o, too.
func (s *Set) And(o Set) {
	for i := range s {
		s[i] &= o[i]
	}
}

// Or adds what is in o.
func (s *Set) Or(o Set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// Len is the number of blocks in the set.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

const (
	magic  = "FTBLOCK1"
	footer = 4 + 4 + 8 + 4 + len(magic)
)

func damaged(path, what string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", path, ErrDamaged, fmt.Sprintf(what, args...))
}
