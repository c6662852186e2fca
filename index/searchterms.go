package index

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"firetrail"
	"firetrail/index/blocks"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// termsExt ends the names of the files in blocks/.
const termsExt = ".fst"

// Bounds of the terms a block keeps. What exceeds one leaves a single term that
// says so, and the block stays a candidate for every value of that field.
const (
	maxTexts  = 2048 // values of a common text field; names and addresses have no bound
	maxXTexts = 256  // values of a record's own field
	maxWords  = 16384
)

// termWriter collects the terms of a segment's blocks from column vectors: those
// of groups on their way into a segment, or those read back from one. The file that
// comes of it is blocks/<segment> with termsExt; it is derived and may be
// missing, so the manifest does not name it.
type termWriter struct {
	w      *blocks.Writer
	rows   int
	fields map[string]*fieldTerms
	ports  []uint32 // of each port, the last block it was added for, plus 1
	words  int      // added for the present block
	word   int      // that block
}

// fieldTerms are the terms of the values of one dictionary.
type fieldTerms struct {
	name     string
	addr     bool
	own      bool // the record's own field: see query.SearchedValue
	indexed  bool // the values are terms
	searched bool // their words are
	limit    int

	dict  *columns.Dict
	terms [][2]uint32 // of each value: where its terms lie in all; zero: not made yet
	all   []blocks.Term
	whole []uint32      // of each value: how many of them are not words
	nets  codeTable     // IPv4 networks and addresses, with their level
	net   []blocks.Term // of each
	nets6 map[netip.Prefix]blocks.Term
	seen  []uint32 // of each value: the last block it was met in, plus 1
	found []uint32 // values of the present block
}

func newTermWriter(w *blocks.Writer) *termWriter {
	return &termWriter{w: w, fields: map[string]*fieldTerms{}, ports: make([]uint32, 1<<16), word: -1}
}

// group adds the next group of rows, before it is written.
func (t *termWriter) group(g *columns.Group) {
	first := t.rows / columns.BlockRows
	for _, name := range g.Names() {
		if v := g.Vector(name); v != nil {
			t.vector(name, first, v)
		}
	}
	g.Rest(func(row int, name, value string) { t.rest(first+row/columns.BlockRows, name, value) })
	t.rows += g.Rows()
	for _, f := range t.fields {
		f.dict = nil // another group may have the memory of this one
	}
}

// blocks is the number of blocks of the rows so far.
func (t *termWriter) blocks() int { return (t.rows + columns.BlockRows - 1) / columns.BlockRows }

// vector adds a column for the blocks from first on.
func (t *termWriter) vector(name string, first int, v *columns.Vector) {
	if v.Type == columns.Int {
		t.numbers(name, first, v.Ints())
		return
	}
	f := t.field(name)
	if !f.indexed && !f.searched {
		return
	}
	f.use(v.Dict)
	for at := 0; at < v.Rows; at += columns.BlockRows {
		t.texts(f, first+at/columns.BlockRows, v.Codes[at:min(at+columns.BlockRows, v.Rows)])
	}
}

func (t *termWriter) field(name string) *fieldTerms {
	if f := t.fields[name]; f != nil {
		return f
	}
	f := &fieldTerms{name: name, indexed: query.Indexed(name), limit: maxTexts, nets6: map[netip.Prefix]blocks.Term{}}
	switch x, own := isX(name); {
	case name == "length" || name == "time_guess":
		f.indexed = false
	case own:
		f.limit, f.own, f.searched = maxXTexts, true, query.Searched(x)
	default:
		for _, s := range query.SearchFields {
			f.searched = f.searched || s == name
		}
		for _, a := range query.Addresses {
			f.addr = f.addr || a == name
		}
		if f.addr || name == "host" {
			f.limit = columns.BlockRows
		}
	}
	t.fields[name] = f
	return f
}

func isX(name string) (string, bool) {
	if len(name) > 2 && name[:2] == "x." {
		return name[2:], true
	}
	return "", false
}

// use turns to a dictionary; that of the vector before is mostly the same one.
func (f *fieldTerms) use(d *columns.Dict) {
	if f.dict == d {
		return
	}
	n := d.Len()
	f.dict, f.all = d, f.all[:0]
	f.terms, f.whole, f.seen = slices.Grow(f.terms[:0], n)[:n], slices.Grow(f.whole[:0], n)[:n], slices.Grow(f.seen[:0], n)[:n]
	clear(f.terms)
	clear(f.whole)
	clear(f.seen)
}

// texts adds the values of one block.
func (t *termWriter) texts(f *fieldTerms, block int, codes []uint32) {
	f.found = f.found[:0]
	last := columns.Null
	for _, c := range codes {
		if c == last { // as most are
			continue
		}
		last = c
		if c != columns.Null && f.seen[c] != uint32(block)+1 {
			f.seen[c] = uint32(block) + 1
			f.found = append(f.found, c)
		}
	}
	own := f.indexed && len(f.found) <= f.limit
	if f.indexed && !own {
		t.w.Add(block, t.w.Intern(query.Over(f.name)))
	}
	if !own && !f.searched {
		return
	}
	for _, c := range f.found {
		if f.terms[c][1] == 0 || own && f.whole[c] == 0 {
			t.make(f, c, own)
		}
		from, to := f.terms[c][0], f.terms[c][1]-1
		words := from + f.whole[c]
		if own {
			for _, term := range f.all[from:words] {
				t.w.Add(block, term)
			}
		}
		t.addWords(block, f.all[words:to])
	}
}

// addWords adds words to a block as long as it has room for them.
func (t *termWriter) addWords(block int, words []blocks.Term) {
	if block != t.word {
		t.word, t.words = block, 0
	}
	for _, w := range words {
		if t.w.Has(block, w) {
			continue
		}
		if t.words++; t.words > maxWords {
			t.w.Add(block, t.w.Intern(query.Over(query.WordsField)))
			return
		}
		t.w.Add(block, w)
	}
}

// make interns the terms of a value: its own, if it is wanted, then its words.
func (t *termWriter) make(f *fieldTerms, code uint32, own bool) {
	from := len(f.all)
	if own {
		if f.addr {
			if a := f.dict.Addrs()[code]; a.IsValid() {
				f.all = append(f.all, t.addr(f, a, len(query.AddrLevels(a.Is4()))-1))
			}
		} else {
			f.all = append(f.all, t.w.Intern(query.TermKey(f.name, query.TermValue(f.name, f.dict.Value(code)))))
		}
	}
	f.whole[code] = uint32(len(f.all) - from)
	if value := f.dict.Value(code); f.searched && (!f.own || query.SearchedValue(value)) {
		query.Words(value, func(word string) bool {
			f.all = append(f.all, t.w.Intern(query.WordTerm(word)))
			return true
		})
	}
	f.terms[code] = [2]uint32{uint32(from), uint32(len(f.all)) + 1}
}

// addr gives the term of an address, or of its network of a level. The wider
// networks follow from it.
func (t *termWriter) addr(f *fieldTerms, a netip.Addr, level int) blocks.Term {
	bits := query.AddrLevels(a.Is4())[level]
	p, _ := a.Prefix(bits)
	if !a.Is4() {
		id, ok := f.nets6[p]
		if !ok {
			id = t.network(f, p, level)
			f.nets6[p] = id
		}
		return id
	}
	b := p.Addr().As4()
	code := f.nets.code(uint64(bits)<<32 | uint64(binary.BigEndian.Uint32(b[:])))
	if int(code) == len(f.net) {
		f.net = append(f.net, 0)
		f.net[code] = t.network(f, p, level)
	}
	return f.net[code]
}

// network makes the term of a network that was not met before.
func (t *termWriter) network(f *fieldTerms, p netip.Prefix, level int) blocks.Term {
	if level == 0 {
		return t.w.New(query.AddrTerm(f.name, p))
	}
	outer := t.addr(f, p.Addr(), level-1)
	id := t.w.New(query.AddrTerm(f.name, p))
	t.w.Within(id, outer)
	return id
}

// numbers adds the destination ports of a column; other common numbers have
// their bounds in the segment. A record's own numbers are not kept.
func (t *termWriter) numbers(name string, first int, ints []int64) {
	_, own := isX(name)
	switch {
	case own:
		over := t.w.Intern(query.Over(name))
		for block := range slices.Chunk(ints, columns.BlockRows) {
			if slices.ContainsFunc(block, func(n int64) bool { return n != firetrail.Absent }) {
				t.w.Add(first, over)
			}
			first++
		}
	case query.Indexed(name):
		clear(t.ports)
		for i, n := range ints {
			block := first + i/columns.BlockRows
			if n >= 0 && n < int64(len(t.ports)) && t.ports[n] != uint32(block)+1 {
				t.ports[n] = uint32(block) + 1
				t.w.Add(block, t.w.Intern(query.PortTerm(name, n)))
			} else if n != firetrail.Absent && (n < 0 || n >= int64(len(t.ports))) {
				t.w.Add(block, t.w.Intern(query.Over(name)))
			}
		}
	}
}

// rest adds an entry of the map column.
func (t *termWriter) rest(block int, name, value string) {
	t.w.Add(block, t.w.Intern(query.Over("x."+name)))
	if query.Searched(name) && query.SearchedValue(value) {
		query.Words(value, func(word string) bool {
			t.addWords(block, []blocks.Term{t.w.Intern(query.WordTerm(word))})
			return true
		})
	}
}

// segment adds the blocks of a segment that is read back.
func (t *termWriter) segment(s *columns.Segment) error {
	r := s.NewReader()
	defer r.Close()
	for b := range s.Blocks() {
		r.Seek(b)
		for i, info := range s.Columns() {
			if s.Absent(i, b) {
				continue
			}
			if info.Type == columns.Map {
				if err := t.restOf(r); err != nil {
					return err
				}
				continue
			}
			if info.Name == "source" || info.Name == "kind" {
				continue
			}
			v, err := r.Vector(i)
			if err != nil {
				return err
			}
			t.vector(info.Name, b, v)
		}
		t.rows += r.Rows()
	}
	return nil
}

func (t *termWriter) restOf(r *columns.Reader) error {
	for row := range r.Rows() {
		fields, err := r.Rest(row)
		if err != nil {
			return err
		}
		for _, f := range fields {
			t.rest(r.Block(), f.Name, f.Value)
		}
	}
	return nil
}

// rebuildTerms writes the block index of a segment anew, from the segment, under
// its final name.
func (c *Case) rebuildTerms(name string) error {
	seg, release, err := c.segment(name)
	if err != nil {
		return err
	}
	defer release()
	w := blocks.NewWriter()
	if err := newTermWriter(w).segment(seg); err != nil {
		return fmt.Errorf("rebuild block index: %w", err)
	}
	w.Blocks(seg.Blocks())
	staged := c.path("staging", name, termsExt)
	if err := w.WriteFile(staged); err != nil {
		return err
	}
	if err := os.Rename(staged, c.path("blocks", name, termsExt)); err != nil {
		return fmt.Errorf("rebuild block index: %w", err)
	}
	c.terms.forget(name)
	return nil
}

// RepairTerms makes the block indexes anew that are missing or damaged, and names
// their segments. It changes no answer, only how fast it comes.
func (c *Case) RepairTerms(ctx context.Context) (rebuilt []string, err error) {
	if err := c.acquire(); err != nil {
		return nil, err
	}
	defer c.unlock()
	snap := c.parts()
	for i := range snap.segments {
		if err := live(ctx); err != nil {
			return rebuilt, err
		}
		seg := &snap.segments[i]
		path := c.path("blocks", seg.Name, termsExt)
		if x, err := blocks.Open(path, seg.blocks()); err == nil {
			x.Close()
			if blocks.Check(path) == nil {
				continue
			}
		}
		if err := c.rebuildTerms(seg.Name); err != nil {
			return rebuilt, err
		}
		rebuilt = append(rebuilt, seg.Name)
	}
	return rebuilt, nil
}
