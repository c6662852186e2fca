package blocks

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/blevesearch/vellum"
)

// Writer collects the terms of the blocks of one segment and writes its file.
// Terms are interned once and then added by number, so that the work for a
// value of a dictionary is done once and not for each block it occurs in.
type Writer struct {
	ids    map[string]Term
	terms  []string
	sets   []Set
	within []Term // of each: the term that occurs wherever it does, plus 1
	blocks int
}

// Term is the number of a term within a Writer.
type Term uint32

// NewWriter returns a Writer for a new segment.
func NewWriter() *Writer { return &Writer{ids: map[string]Term{}} }

// Reset makes the Writer ready for another segment.
func (w *Writer) Reset() {
	clear(w.ids)
	clear(w.terms)
	w.terms, w.sets, w.within, w.blocks = w.terms[:0], w.sets[:0], w.within[:0], 0
}

// Intern gives the number of a term; its text must stay unchanged.
func (w *Writer) Intern(term string) Term {
	id, ok := w.ids[term]
	if !ok {
		id = w.New(term)
		w.ids[term] = id
	}
	return id
}

// New is Intern for a caller that knows which terms it has made: those of New are
// given neither to New again nor to Intern.
func (w *Writer) New(term string) Term {
	w.terms = append(w.terms, term)
	w.sets = append(w.sets, Set{})
	w.within = append(w.within, 0)
	return Term(len(w.terms) - 1)
}

// Within says that every block that has the term t has the older term outer, too, and
// spares adding it.
func (w *Writer) Within(t, outer Term) { w.within[t] = outer + 1 }

// Add says that a block, counted from 0 and less than MaxBlocks, has the term.
func (w *Writer) Add(block int, t Term) { w.sets[t].Add(block) }

// Has reports whether a block was given the term.
func (w *Writer) Has(block int, t Term) bool { return w.sets[t].Has(block) }

// Blocks says how many blocks the segment has; those without any term count, too.
func (w *Writer) Blocks(n int) { w.blocks = n }

// Terms is the number of distinct terms so far.
func (w *Writer) Terms() int { return len(w.terms) }

// WriteFile writes the file of the segment, mode 0600. The caller makes it durable
// and gives it its final name.
func (w *Writer) WriteFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write block index: %w", err)
	}
	err = w.write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write block index: %w", err)
	}
	return nil
}

func (w *Writer) write(f io.Writer) error {
	if w.blocks == 0 || w.blocks > MaxBlocks {
		return fmt.Errorf("%d blocks", w.blocks)
	}
	buffered := bufio.NewWriterSize(f, 256<<10)
	out := &summed{w: buffered}
	if _, err := io.WriteString(out, magic); err != nil {
		return err
	}
	sets, err := w.dictionary(out)
	if err != nil {
		return err
	}
	dict := out.n - int64(len(magic))
	width := (w.blocks + 7) / 8
	for _, s := range sets {
		var b [MaxBlocks / 8]byte
		for i, word := range s {
			binary.LittleEndian.PutUint64(b[i*8:], word)
		}
		if _, err := out.Write(b[:width]); err != nil {
			return err
		}
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(w.blocks))
	end = binary.LittleEndian.AppendUint32(end, uint32(len(sets)))
	end = binary.LittleEndian.AppendUint64(end, uint64(dict))
	if _, err := out.Write(end); err != nil {
		return err
	}
	end = binary.LittleEndian.AppendUint32(nil, out.sum)
	if _, err := out.Write(append(end, magic...)); err != nil {
		return err
	}
	return buffered.Flush()
}

// dictionary writes the terms in their order and returns the sets they refer to,
// each once.
func (w *Writer) dictionary(out io.Writer) ([]Set, error) {
	for t := len(w.within) - 1; t >= 0; t-- { // outer terms are older
		if outer := w.within[t]; outer > 0 {
			w.sets[outer-1].Or(w.sets[t])
		}
	}
	order := w.order()
	// A larger registry finds more common suffixes, but terms share few and
	// the builder's time is mostly spent there.
	b, err := vellum.New(out, &vellum.BuilderOpts{Encoder: 1, RegistryTableSize: 1000, RegistryMRUSize: 2})
	if err != nil {
		return nil, err
	}
	var sets []Set
	known := map[Set]uint64{}
	for i := range order {
		t := order[i].term
		value := w.sets[t].single()
		if value == 0 {
			n, ok := known[w.sets[t]]
			if !ok {
				n = uint64(len(sets)) << 1
				known[w.sets[t]] = n
				sets = append(sets, w.sets[t])
			}
			value = n
		}
		if err := b.Insert([]byte(w.terms[t]), value); err != nil {
			return nil, err
		}
	}
	return sets, b.Close()
}

// placed is a term with the first 16 bytes of its text as two numbers, which mostly say
// already which of two comes first.
type placed struct {
	high, low uint64
	term      Term
}

// order gives the terms by their texts.
func (w *Writer) order() []placed {
	order := make([]placed, len(w.terms))
	for i, text := range w.terms {
		var b [16]byte
		copy(b[:], text)
		order[i] = placed{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), Term(i)}
	}
	w.sort(order, make([]placed, len(order)))
	return order
}

// fewPlaced are compared with each other, more are counted into place.
const fewPlaced = 128

// sort sorts terms: many by the first byte in which they differ, and then those that have
// the same one. spare has room for them.
func (w *Writer) sort(list, spare []placed) {
	n := shared(list)
	if len(list) < fewPlaced || n == 16 {
		slices.SortFunc(list, w.compare)
		return
	}
	var next [257]int // place of the next one of each byte
	for i := range list {
		next[int(list[i].at(n))+1]++
	}
	for b := range 256 {
		next[b+1] += next[b]
	}
	for i := range list {
		b := list[i].at(n)
		spare[next[b]] = list[i]
		next[b]++
	}
	copy(list, spare)
	from := 0
	for _, to := range next[:256] { // each is where the next byte begins by now
		if to > from+1 {
			w.sort(list[from:to], spare[from:to])
		}
		from = to
	}
}

// shared counts the first bytes that are the same in all terms, up to 16.
func shared(list []placed) int {
	high, low := uint64(0), uint64(0)
	for i := range list {
		high |= list[i].high ^ list[0].high
		low |= list[i].low ^ list[0].low
	}
	if high != 0 {
		return bits.LeadingZeros64(high) / 8
	}
	return 8 + bits.LeadingZeros64(low)/8
}

// at gives byte n of the first 16.
func (p *placed) at(n int) byte {
	if n < 8 {
		return byte(p.high >> (56 - 8*n))
	}
	return byte(p.low >> (120 - 8*n))
}

func (w *Writer) compare(a, b placed) int {
	if a.high != b.high {
		return cmp.Compare(a.high, b.high)
	}
	if a.low != b.low {
		return cmp.Compare(a.low, b.low)
	}
	return strings.Compare(w.terms[a.term], w.terms[b.term])
}

// single is block<<1|1 for a set of one block, else 0.
func (s *Set) single() uint64 {
	value := uint64(0)
	for i, w := range s {
		switch {
		case w == 0:
		case w&(w-1) != 0 || value != 0:
			return 0
		default:
			value = uint64(i*64+bits.TrailingZeros64(w))<<1 | 1
		}
	}
	return value
}

// summed counts and sums what is written.
type summed struct {
	w   io.Writer
	n   int64
	sum uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	return n, err
}
