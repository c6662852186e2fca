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
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Segment is an open segment file. Its methods may be called from several
// goroutines at once; reading rows needs a Reader for each.
type Segment struct {
	file    *os.File
	size    int64
	meta    format.FileMetaData
	columns []Info
	byName  map[string]int
	source  string
	kind    string
	ends    []bool // of each row group: ends follow from times and durations

	mu      sync.Mutex
	indexes map[chunkID]*pageIndex
}

type chunkID struct{ group, column int }

// pageIndex is where the pages of a column chunk lie.
type pageIndex struct {
	pages []format.PageLocation
	bound *format.ColumnIndex // nil where none was written
}

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
	var tail [8]byte
	if s.size < 12 {
		return corrupt(path, "%d bytes are too few", s.size)
	}
	if _, err := s.file.ReadAt(tail[:], s.size-8); err != nil {
		return fmt.Errorf("read segment %s: %w", path, err)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if string(tail[4:]) != magic || n > maxFooter || n+12 > s.size {
		return corrupt(path, "no footer at the end")
	}
	buf := make([]byte, n)
	if _, err := s.file.ReadAt(buf, s.size-8-n); err != nil {
		return fmt.Errorf("read segment %s: %w", path, err)
	}
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), buf, &s.meta); err != nil {
		return corrupt(path, "footer: %v", err)
	}
	return s.readSchema(path)
}

// readSchema takes the columns from the footer and checks that the file has the
// shape that Writer gives it.
func (s *Segment) readSchema(path string) error {
	s.ends = make([]bool, len(s.meta.RowGroups))
	for _, kv := range s.meta.KeyValueMetadata {
		switch kv.Key {
		case metaVersion:
			if kv.Value != "1" && kv.Value != version {
				return fmt.Errorf("%s: segment of version %q: a newer Firetrail wrote it", path, kv.Value)
			}
		case metaEnds:
			for g := range min(len(kv.Value), len(s.ends)) {
				s.ends[g] = kv.Value[g] == '1'
			}
		case metaSource:
			s.source = kv.Value
		case metaKind:
			s.kind = kv.Value
		}
	}
	els := s.meta.Schema
	if len(els) < 2 {
		return corrupt(path, "no schema")
	}
	s.byName = make(map[string]int, len(els))
	for _, el := range els[1:] {
		if len(s.columns) > 0 && s.columns[len(s.columns)-1].Type == Map {
			break // the rest are the map's own parts
		}
		c := Info{Name: el.Name, Type: Text, Unit: 1}
		c.Field, _ = firetrail.FieldNamed(el.Name)
		switch {
		case el.NumChildren.Valid:
			c.Type = Map
		case el.Type.V == format.Int64:
			c.Type = Int
		case el.Type.V != format.ByteArray:
			return corrupt(path, "column %q has type %v", el.Name, el.Type.V)
		}
		if t, ok := el.LogicalType.Value.(*format.TimestampType); ok {
			switch t.Unit.Value.(type) {
			case *format.MilliSeconds:
				c.Unit = 1e6
			case *format.MicroSeconds:
				c.Unit = 1e3
			}
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
	for g := range s.meta.RowGroups {
		rg := &s.meta.RowGroups[g]
		if len(rg.Columns) != leaves || rg.NumRows <= 0 || rg.NumRows > GroupRows ||
			g < len(s.meta.RowGroups)-1 && rg.NumRows != GroupRows {
			return corrupt(path, "row group %d: %d columns, %d rows", g, len(rg.Columns), rg.NumRows)
		}
		rows += rg.NumRows
	}
	if rows != s.meta.NumRows {
		return corrupt(path, "%d rows in row groups, %d in all", rows, s.meta.NumRows)
	}
	return nil
}

// Source is the id of the source the events were read from, "" where they are of
// several: then the column "source" tells.
func (s *Segment) Source() string { return s.source }

// Kind is the kind of all events of the segment.
func (s *Segment) Kind() string { return s.kind }

// Rows is the number of events.
func (s *Segment) Rows() int { return int(s.meta.NumRows) }

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
	for g := range s.meta.RowGroups {
		if s.meta.RowGroups[g].Columns[last].MetaData.Statistics.NullCount < s.meta.RowGroups[g].NumRows {
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
	if idx.bound == nil {
		return math.MinInt64, math.MaxInt64, true, nil
	}
	p := idx.page(block*BlockRows - g*GroupRows)
	b := idx.bound
	if p >= len(b.NullPages) || p >= len(b.MinValues) || p >= len(b.MaxValues) {
		return 0, 0, false, corrupt(s.file.Name(), "column index of %s", s.columns[column].Name)
	}
	if b.NullPages[p] {
		return 0, 0, false, nil
	}
	if len(b.MinValues[p]) != 8 || len(b.MaxValues[p]) != 8 {
		return math.MinInt64, math.MaxInt64, true, nil
	}
	unit := s.columns[column].Unit
	return unit * int64(binary.LittleEndian.Uint64(b.MinValues[p])), unit * int64(binary.LittleEndian.Uint64(b.MaxValues[p])), true, nil
}

// Absent reports whether no row of the block's row group has a value in column.
func (s *Segment) Absent(column, block int) bool {
	g := block * BlockRows / GroupRows
	rg := &s.meta.RowGroups[g]
	return !s.follows(column, g) && rg.Columns[column].MetaData.Statistics.NullCount == rg.NumRows
}

// May reports whether a row of the block's row group may have the text value in
// column: false is certain, true is not. Columns without Bloom always may.
func (s *Segment) May(column, block int, value string) (bool, error) {
	md := &s.meta.RowGroups[block*BlockRows/GroupRows].Columns[column].MetaData
	if md.BloomFilterOffset == 0 {
		return !s.Absent(column, block), nil
	}
	var head [64]byte
	n, err := s.file.ReadAt(head[:], md.BloomFilterOffset)
	if err != nil && n < 16 {
		return true, fmt.Errorf("read segment %s: %w", s.file.Name(), err)
	}
	var h format.BloomFilterHeader
	used, err := decodeThrift(head[:n], &h)
	if err != nil || h.NumBytes <= 0 || h.NumBytes%bloom.BlockSize != 0 {
		return true, corrupt(s.file.Name(), "bloom filter of %s", s.columns[column].Name)
	}
	r := io.NewSectionReader(s.file, md.BloomFilterOffset+int64(used), int64(h.NumBytes))
	return bloom.CheckSplitBlock(r, int64(h.NumBytes), bloom.XXH64{}.Sum64([]byte(value)))
}

// index reads where the pages of a chunk lie, once.
func (s *Segment) index(id chunkID) (*pageIndex, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if idx := s.indexes[id]; idx != nil {
		return idx, nil
	}
	chunk := &s.meta.RowGroups[id.group].Columns[id.column]
	idx := &pageIndex{}
	var offsets format.OffsetIndex
	if err := s.readThrift(chunk.OffsetIndexOffset, int64(chunk.OffsetIndexLength), &offsets); err != nil {
		return nil, err
	}
	idx.pages = offsets.PageLocations
	if len(idx.pages) == 0 || idx.pages[0].FirstRowIndex != 0 {
		return nil, corrupt(s.file.Name(), "offset index of column %d", id.column)
	}
	if chunk.ColumnIndexLength > 0 {
		idx.bound = new(format.ColumnIndex)
		if err := s.readThrift(chunk.ColumnIndexOffset, int64(chunk.ColumnIndexLength), idx.bound); err != nil {
			return nil, err
		}
	}
	s.indexes[id] = idx
	return idx, nil
}

// page is the page that holds the row, counted within the row group.
func (idx *pageIndex) page(row int) int {
	p, found := slices.BinarySearchFunc(idx.pages, int64(row), func(p format.PageLocation, row int64) int {
		return int(p.FirstRowIndex - row)
	})
	if !found {
		p--
	}
	return p
}

func (s *Segment) readThrift(offset, length int64, v any) error {
	if offset < 0 || length < 0 || offset+length > s.size {
		return corrupt(s.file.Name(), "index at %d+%d", offset, length)
	}
	buf := make([]byte, length)
	if _, err := s.file.ReadAt(buf, offset); err != nil {
		return fmt.Errorf("read segment %s: %w", s.file.Name(), err)
	}
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), buf, v); err != nil {
		return corrupt(s.file.Name(), "index at %d: %v", offset, err)
	}
	return nil
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
