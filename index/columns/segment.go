package columns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"firetrail"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/format"
)

// Segment is an open segment file. Its methods may be called from several
// goroutines at once; reading rows needs a Reader for each.
type Segment struct {
	file    *os.File
	size    int64
	tail    []byte // the last bytes of the file: the footer, and indexes in front of it
	meta    fileMeta
	columns []Info
	byName  map[string]int
	source  string
	kind    string
	ends    []bool // of each row group: ends follow from times and durations

	mu      sync.Mutex
	indexes map[chunkID]*pageIndex
}

type chunkID struct{ group, column int }

// ErrCorrupt is wrapped by every error that means that a segment's bytes are
// not what a Writer wrote.
var ErrCorrupt = errors.New("segment is damaged")

func corrupt(path, what string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", path, ErrCorrupt, fmt.Sprintf(what, args...))
}

const (
	magic     = "PAR1"
	maxFooter = 256 << 20
)

// Open reads the metadata of a segment.
func Open(path string) (*Segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s := &Segment{file: f, indexes: map[chunkID]*pageIndex{}}
	if err := s.readFooter(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the file. Vectors and events that were read stay valid.
func (s *Segment) Close() error { return s.file.Close() }

func (s *Segment) readFooter() error {
	path := s.file.Name()
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.size = info.Size()
	if s.size < 12 {
		return corrupt(path, "%d bytes are too few", s.size)
	}
	if s.tail, err = s.read(s.size-min(s.size, tailBytes), min(s.size, tailBytes)); err != nil {
		return err
	}
	end := s.tail[len(s.tail)-8:]
	n := int64(binary.LittleEndian.Uint32(end))
	if string(end[4:]) != magic || n > maxFooter || n+12 > s.size {
		return corrupt(path, "no footer at the end")
	}
	buf, err := s.bytes(s.size-8-n, n)
	if err != nil {
		return err
	}
	var ok bool
	if s.meta, ok = decodeFooter(buf); !ok {
		return corrupt(path, "footer of %d bytes", n)
	}
	return s.readSchema(path)
}

// tailBytes is read when a segment is opened: mostly it has all that searches look at
// before they read pages.
const tailBytes = 64 << 10

// read reads a part of the file.
func (s *Segment) read(offset, length int64) ([]byte, error) {
	buf := make([]byte, length)
	if _, err := s.file.ReadAt(buf, offset); err != nil {
		return nil, fmt.Errorf("read segment %s: %w", s.file.Name(), err)
	}
	return buf, nil
}

// bytes is read for what may lie in the tail. Read-only.
func (s *Segment) bytes(offset, length int64) ([]byte, error) {
	if at := offset - (s.size - int64(len(s.tail))); at >= 0 {
		return s.tail[at : at+length], nil
	}
	return s.read(offset, length)
}

// readSchema takes the columns from the footer and checks that the file has the
// shape that Writer gives it.
func (s *Segment) readSchema(path string) error {
	s.ends = make([]bool, len(s.meta.groups))
	for _, kv := range s.meta.pairs {
		switch kv.key {
		case metaVersion:
			if kv.value != "1" && kv.value != version {
				return fmt.Errorf("%s: segment of version %q: a newer Firetrail wrote it", path, kv.value)
			}
		case metaEnds:
			for g := range min(len(kv.value), len(s.ends)) {
				s.ends[g] = kv.value[g] == '1'
			}
		case metaSource:
			s.source = kv.value
		case metaKind:
			s.kind = kv.value
		}
	}
	els := s.meta.schema
	if len(els) < 2 {
		return corrupt(path, "no schema")
	}
	s.byName = make(map[string]int, len(els))
	for _, el := range els[1:] {
		if len(s.columns) > 0 && s.columns[len(s.columns)-1].Type == Map {
			break // the rest are the map's own parts
		}
		c := Info{Name: el.name, Type: Text, Unit: el.unit}
		c.Field, _ = firetrail.FieldNamed(el.name)
		switch {
		case el.nested:
			c.Type = Map
		case el.typ == format.Int64:
			c.Type = Int
		case el.typ != format.ByteArray:
			return corrupt(path, "column %q has type %v", el.name, el.typ)
		}
		c.Bloom = hasBloom(c.Name)
		s.byName[c.Name] = len(s.columns)
		s.columns = append(s.columns, c)
	}
	leaves := len(s.columns)
	if s.columns[leaves-1].Type == Map {
		leaves++
	}
	rows := int64(0)
	for g := range s.meta.groups {
		rg := &s.meta.groups[g]
		if len(rg.chunks) != leaves || rg.rows <= 0 || rg.rows > GroupRows ||
			g < len(s.meta.groups)-1 && rg.rows != GroupRows {
			return corrupt(path, "row group %d: %d columns, %d rows", g, len(rg.chunks), rg.rows)
		}
		rows += rg.rows
	}
	if rows != s.meta.rows {
		return corrupt(path, "%d rows in row groups, %d in all", rows, s.meta.rows)
	}
	return nil
}

// Source is the id of the source the events were read from, "" where they are of
// several: then the column "source" tells.
func (s *Segment) Source() string { return s.source }

// Kind is the kind of all events of the segment.
func (s *Segment) Kind() string { return s.kind }

// Rows is the number of events.
func (s *Segment) Rows() int { return int(s.meta.rows) }

// Blocks is the number of blocks.
func (s *Segment) Blocks() int { return (s.Rows() + BlockRows - 1) / BlockRows }

// BlockLen is the number of rows of a block: BlockRows but for the last.
func (s *Segment) BlockLen(block int) int {
	return min(BlockRows, s.Rows()-block*BlockRows)
}

// Columns lists the columns in their order. Read-only.
func (s *Segment) Columns() []Info { return s.columns }

// Column finds a column by its name: of a common field, "length", "time_guess",
// "x.NAME" or "x". A segment without x.NAME may still have it in its map.
func (s *Segment) Column(name string) (column int, ok bool) {
	column, ok = s.byName[name]
	return column, ok
}

// HasMap reports whether any row of the segment has fields in the map.
func (s *Segment) HasMap() bool {
	last := len(s.columns) - 1
	for g := range s.meta.groups {
		if s.meta.groups[g].chunks[last].nulls < s.meta.groups[g].rows {
			return true
		}
	}
	return false
}

// Bounds gives the smallest and the largest value of an Int column in a block.
// ok is false if no row of the block has a value.
func (s *Segment) Bounds(column, block int) (low, high int64, ok bool, err error) {
	g := block * BlockRows / GroupRows
	if s.follows(column, g) {
		if s.columns[column].Name == "end" {
			return s.endBounds(block)
		}
		return math.MinInt64, math.MaxInt64, true, nil
	}
	idx, err := s.index(chunkID{g, column})
	if err != nil {
		return 0, 0, false, err
	}
	if !idx.bounded {
		return math.MinInt64, math.MaxInt64, true, nil
	}
	switch b := &idx.bounds[idx.page(block*BlockRows-g*GroupRows)]; {
	case b.null:
		return 0, 0, false, nil
	case !b.known:
		return math.MinInt64, math.MaxInt64, true, nil
	default:
		unit := s.columns[column].Unit
		return unit * b.low, unit * b.high, true, nil
	}
}

// Absent reports whether no row of the block's row group has a value in column.
func (s *Segment) Absent(column, block int) bool {
	g := block * BlockRows / GroupRows
	rg := &s.meta.groups[g]
	return !s.follows(column, g) && rg.chunks[column].nulls == rg.rows
}

// May reports whether a row of the block's row group may have the text value in
// column: false is certain, true is not. Columns without Bloom always may.
func (s *Segment) May(column, block int, value string) (bool, error) {
	md := &s.meta.groups[block*BlockRows/GroupRows].chunks[column]
	if md.bloom == 0 {
		return !s.Absent(column, block), nil
	}
	var head [64]byte
	n, err := s.file.ReadAt(head[:], md.bloom)
	if err != nil && n < 16 {
		return true, fmt.Errorf("read segment %s: %w", s.file.Name(), err)
	}
	size, used, ok := decodeBloom(head[:n])
	if !ok || size <= 0 || size%bloom.BlockSize != 0 {
		return true, corrupt(s.file.Name(), "bloom filter of %s", s.columns[column].Name)
	}
	r := io.NewSectionReader(s.file, md.bloom+int64(used), int64(size))
	return bloom.CheckSplitBlock(r, int64(size), bloom.XXH64{}.Sum64([]byte(value)))
}

// index reads where the pages of a chunk lie, once.
func (s *Segment) index(id chunkID) (*pageIndex, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if idx := s.indexes[id]; idx != nil {
		return idx, nil
	}
	chunk := &s.meta.groups[id.group].chunks[id.column]
	idx := &pageIndex{}
	b, err := s.part(chunk.offsets, chunk.offsetsBytes)
	if err != nil {
		return nil, err
	}
	if !decodeOffsets(b, idx) || len(idx.pages) == 0 || idx.pages[0].first != 0 {
		return nil, corrupt(s.file.Name(), "offset index of column %d", id.column)
	}
	if chunk.boundsBytes > 0 {
		if b, err = s.part(chunk.bounds, chunk.boundsBytes); err != nil {
			return nil, err
		}
		if !decodeBounds(b, idx) {
			return nil, corrupt(s.file.Name(), "column index of column %d", id.column)
		}
	}
	s.indexes[id] = idx
	return idx, nil
}

// page is the page that holds the row, counted within the row group.
func (idx *pageIndex) page(row int) int {
	p, found := slices.BinarySearchFunc(idx.pages, row, func(p pagePlace, row int) int { return p.first - row })
	if !found {
		p--
	}
	return p
}

// part is bytes with a check of the place, which the footer gave.
func (s *Segment) part(offset int64, length int32) ([]byte, error) {
	if offset < 0 || length < 0 || offset+int64(length) > s.size {
		return nil, corrupt(s.file.Name(), "index at %d+%d", offset, length)
	}
	return s.bytes(offset, int64(length))
}

// hasBloom says which columns get a bloom filter: keys of single connections.
func hasBloom(name string) bool { return name == "uid" || name == "community_id" }

// isX cuts the "x." off the name of a record's own field.
func isX(name string) (string, bool) { return strings.CutPrefix(name, "x.") }

// integer reads a canonical decimal: what strconv.FormatInt prints, so that the
// text can be made again. The smallest int64 stands for null and is none.
func integer(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) == 0 || digits[0] == '0' && (len(digits) > 1 || len(digits) < len(s)) {
		return 0, false
	}
	if len(digits) > 18 {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil && n != firetrail.Absent && s[0] != '+'
	}
	n := int64(0)
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n, true
}

// keys of the footer's metadata
const (
	metaSource  = "firetrail.source"
	metaKind    = "firetrail.kind"
	metaVersion = "firetrail.version"
	metaEnds    = "firetrail.end" // of each row group "1" if end is time + duration there, else "0"
)
