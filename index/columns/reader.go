package columns

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"firetrail"

	"github.com/klauspost/compress/zstd"
)

// Reader is a cursor over the blocks of a segment, for one goroutine. Each
// page and dictionary is read and decoded at most once while it stays on a
// block or row group.
type Reader struct {
	seg   *Segment
	block int
	group int
	*scratch
	rest  restRows
	field []firetrail.Field

	// Stats counts what was read so far, for query plans.
	Stats struct {
		Pages, Bytes int64 // pages and dictionaries read, their size in the file
	}
}

// scratch is memory that a Reader decodes in and that outlives it: a search opens many
// Readers for a page each.
type scratch struct {
	cols  []columnReader // one for each leaf column
	raw   []byte         // page as it stands in the file
	page  []byte         // decompressed codes or numbers
	codes []int32
	nums  []int64
}

var (
	scratches = sync.Pool{New: func() any { return &scratch{} }}
	unpacker  = sync.OnceValue(func() *zstd.Decoder {
		d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxPage))
		return d
	})
)

// columnReader is the state of one leaf column.
type columnReader struct {
	vec   Vector
	dict  *Dict // of the row group, nil until read
	first int   // rows [first, end) of the row group that the page holds, -1 for none
	end   int
	all   Vector // the page's rows, of which vec is the block's part
	reps  []byte // repetition levels of the page, map columns only
	defs  []byte // definition levels

	same Vector // of a block whose rows are all the same
	null bool   // they have no value

	derived int     // the block whose values were derived, plus 1
	ints    []int64 // those values
}

// NewReader makes a cursor; it needs a Seek before anything is read.
func (s *Segment) NewReader() *Reader {
	r := &Reader{seg: s, block: -1, group: -1, scratch: scratches.Get().(*scratch)}
	leaves := len(s.columns) + 1
	r.cols = slices.Grow(r.cols, max(leaves-len(r.cols), 0))[:leaves]
	for i := range r.cols {
		r.cols[i].forget()
	}
	return r
}

// forget drops what was read and keeps the memory it was decoded in.
func (c *columnReader) forget() {
	c.dict, c.first, c.derived = nil, -1, 0
	c.all.Dict, c.same = nil, Vector{ints: c.same.ints[:0]}
	c.vec = Vector{}
}

// maxPage bounds a decompressed page or dictionary.
const maxPage = 1 << 30

// Close gives back what the cursor decodes in; it must not be used any more.
func (r *Reader) Close() {
	if r.scratch != nil {
		for i := range r.cols {
			r.cols[i].forget()
		}
		scratches.Put(r.scratch)
		r.scratch = nil
	}
}

// Seek moves to a block. Vectors of the former one are no longer valid.
func (r *Reader) Seek(block int) {
	if g := block * BlockRows / GroupRows; g != r.group {
		r.group = g
		for i := range r.cols {
			r.cols[i].dict, r.cols[i].first = nil, -1
		}
	}
	r.block = block
}

// Block is the block that Seek moved to.
func (r *Reader) Block() int { return r.block }

// Rows is the number of rows of the block.
func (r *Reader) Rows() int { return r.seg.BlockLen(r.block) }

// Vector reads a Text or Int column of the block.
func (r *Reader) Vector(column int) (*Vector, error) {
	switch {
	case r.seg.columns[column].Type == Map:
		return nil, fmt.Errorf("column %q is a map: use Rest", r.seg.columns[column].Name)
	case r.seg.follows(column, r.group):
		return r.derive(column)
	}
	return r.stored(column)
}

// stored reads a column of the block as it is in the file.
func (r *Reader) stored(column int) (*Vector, error) {
	c := &r.cols[column]
	from := r.block*BlockRows - r.group*GroupRows
	if c.first < 0 || from < c.first || from >= c.end {
		if err := r.load(column, from); err != nil {
			return nil, err
		}
	}
	lo, hi := from-c.first, from-c.first+r.Rows()
	switch {
	case c.all.Const:
		codes := allFirst[:hi-lo]
		if c.null {
			codes = allNull[:hi-lo]
		}
		if v := &c.same; v.Rows != hi-lo || v.Dict != c.all.Dict || &v.Codes[0] != &codes[0] {
			*v = Vector{Type: c.all.Type, Rows: hi - lo, Const: true, Dict: c.all.Dict, Codes: codes, ints: v.ints[:0]}
		}
		return &c.same, nil
	case lo == 0 && hi == c.all.Rows:
		return &c.all, nil
	}
	c.vec = Vector{Type: c.all.Type, Rows: hi - lo, Dict: c.all.Dict}
	if c.all.Codes != nil {
		c.vec.Codes = c.all.Codes[lo:hi]
	} else {
		c.vec.ints = c.all.ints[lo:hi]
	}
	return &c.vec, nil
}

// Codes of blocks whose rows are all the same. Read-only.
var allFirst, allNull = [BlockRows]uint32{}, nulls()

func nulls() (codes [BlockRows]uint32) {
	for i := range codes {
		codes[i] = Null
	}
	return codes
}

// restRows are the map entries of the rows of one page.
type restRows struct {
	page  int // first row of the page in its row group, -1 for none
	group int
	start []uint32 // entries of row i are [start[i], start[i+1])
}

// Rest returns the fields of the map column for a row of the block, in record
// order; the slice is valid until the next call of Rest or Event.
func (r *Reader) Rest(row int) ([]firetrail.Field, error) {
	r.field = r.field[:0]
	keyLeaf := len(r.seg.columns) - 1
	if r.seg.Absent(keyLeaf, r.block) {
		return nil, nil
	}
	at := r.block*BlockRows - r.group*GroupRows + row
	key, value := &r.cols[keyLeaf], &r.cols[keyLeaf+1]
	for i, c := range []*columnReader{key, value} {
		if c.first < 0 || at < c.first || at >= c.end {
			r.rest.page = -1
			if err := r.load(keyLeaf+i, at); err != nil {
				return nil, err
			}
		}
	}
	if r.rest.page != key.first || r.rest.group != r.group {
		r.rest = restRows{page: key.first, group: r.group, start: starts(r.rest.start[:0], key.reps)}
	}
	if len(key.all.Codes) != len(value.all.Codes) || at-key.first+1 >= len(r.rest.start) {
		return nil, corrupt(r.seg.file.Name(), "map column")
	}
	for e := r.rest.start[at-key.first]; e < r.rest.start[at-key.first+1]; e++ {
		name, ok := key.all.Text(int(e))
		if !ok {
			continue // the row has no fields here
		}
		text, _ := value.all.Text(int(e))
		r.field = append(r.field, firetrail.Field{Name: name, Value: text})
	}
	return r.field, nil
}

// starts finds the first entry of each row: a repetition level of 0 begins one.
func starts(to []uint32, reps []byte) []uint32 {
	for i, rep := range reps {
		if rep == 0 {
			to = append(to, uint32(i))
		}
	}
	return append(to, uint32(len(reps)))
}

// Event fills ev with a row of the block: all columns, or the given ones and
// always source, kind, line, offset and length. Fields of the map come before
// those of x columns. Text aliases memory that is never reused.
func (r *Reader) Event(row int, ev *firetrail.Event, columns ...int) error {
	ev.Reset()
	var err error
	if ev.Source, err = r.sourceOf(row); err != nil {
		return err
	}
	ev.Kind = r.seg.kind
	if len(columns) == 0 {
		rest, err := r.Rest(row)
		if err != nil {
			return err
		}
		ev.X = append(ev.X, rest...)
		for i := range r.seg.columns {
			if err := r.put(row, i, ev); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range [...]string{"line", "offset", "length"} {
		if err := r.put(row, r.seg.byName[name], ev); err != nil {
			return err
		}
	}
	for _, c := range columns {
		if r.seg.columns[c].Type == Map {
			rest, err := r.Rest(row)
			if err != nil {
				return err
			}
			ev.X = append(ev.X, rest...)
		} else if err := r.put(row, c, ev); err != nil {
			return err
		}
	}
	return nil
}

// put copies the value of a row into its place in ev.
func (r *Reader) put(row, column int, ev *firetrail.Event) error {
	info := &r.seg.columns[column]
	if info.Type == Map || info.Name == "source" || info.Name == "kind" || r.seg.Absent(column, r.block) {
		return nil
	}
	v, err := r.Vector(column)
	if err != nil {
		return err
	}
	if v.Type == Int {
		r.putInt(info, v.Int(row), ev)
		return nil
	}
	text, ok := v.Text(row)
	if !ok {
		return nil
	}
	switch {
	case info.Field == nil && info.Name == "time_guess":
		ev.Guess = GuessNamed(text)
	case info.Field == nil:
		name, _ := isX(info.Name)
		ev.Put(name, text)
	case info.Field.Addr != nil:
		if v.Dict.addrs != nil {
			*info.Field.Addr(ev) = v.Dict.addrs[v.Codes[row]]
		} else if *info.Field.Addr(ev), err = netip.ParseAddr(text); err != nil {
			return corrupt(r.seg.file.Name(), "column %s holds %q", info.Name, text)
		}
	default:
		*info.Field.Text(ev) = text
	}
	return nil
}

func (r *Reader) putInt(info *Info, n int64, ev *firetrail.Event) {
	switch {
	case info.Field != nil:
		*info.Field.Int(ev) = n
	case info.Name == "length":
		ev.Length = n
	case n != firetrail.Absent:
		name, _ := isX(info.Name)
		ev.Put(name, strconv.FormatInt(n, 10))
	}
}

// GuessNamed is the guess that prints as s, none for anything else.
func GuessNamed(s string) firetrail.Guess {
	for g := firetrail.Guess(0); g < 4; g++ {
		if g.String() == s {
			return g
		}
	}
	return 0
}
