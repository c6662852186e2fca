package columns

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// Encoder encodes groups; one goroutine uses it at a time.
type Encoder struct {
	zstd     *zstd.Encoder // nil: nothing is compressed
	literals literals
	header   thriftWriter
	vals     []byte
	packed   []byte
	text     []byte
	scaled   []int64
	codes    []uint32 // of the page; read-only, they may be the column's
	ints     []int64  // of the page, likewise
	some     struct { // memory for those of a page that has rows without a value
		codes []uint32
		ints  []int64
	}
	offs  []uint32
	dict  intDict
	level []byte
	defs  []byte
}

// NewEncoder makes an encoder. What it writes depends on the events alone.
func NewEncoder() *Encoder {
	e := &Encoder{}
	e.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(true),
		zstd.WithAllLitEntropyCompression(true))
	return e
}

// chunk is an encoded column chunk; offsets count from its first byte until it
// is written.
type chunk struct {
	data    []byte
	packing packing
	meta    format.ColumnMetaData
	offsets format.OffsetIndex
	bounds  format.ColumnIndex // of Int columns
	bloom   []byte
}

func (c *chunk) reset() { *c = chunk{data: c.data[:0]} }

// pageShape is what a data page's header says besides its encoding.
type pageShape struct {
	first, rows, entries, nulls int
	reps, defs                  []byte // encoded levels
}

// Encode compresses those of the group's columns that no other encoder has taken. It may
// run on any goroutine, and on several at a time with an encoder each: the group is encoded
// when all have returned. It must not change meanwhile. An error is also returned by
// Writer.Write.
func (g *Group) Encode(e *Encoder) error {
	g.begun.Do(g.begin)
	for {
		i := int(g.taken.Add(1)) - 1
		var err error
		switch n := len(g.columns); {
		case i < n:
			err = g.encode(e, &g.chunks[i], g.columns[i])
		case i == n:
			err = e.encodeMap(g.chunks[n:n+2], g.rest, g.rows)
		default:
			return nil
		}
		if err != nil {
			g.failed.CompareAndSwap(nil, &err)
			return err
		}
	}
}

// begin prepares what all columns' encoding needs.
func (g *Group) begin() {
	for len(g.chunks) < len(g.columns)+2 {
		g.chunks = append(g.chunks, chunk{})
	}
	g.derived = g.endFollows()
}

func (g *Group) encode(e *Encoder, ch *chunk, c *column) error {
	switch {
	case c.Name == "source" || c.Name == "kind":
		return nil
	case !c.used, c.Name == "end" && g.derived:
		return e.absent(ch, c, g.rows)
	}
	switch {
	case c.Type == Text:
		return e.encodeText(ch, c, g.rows)
	case c.Name == "length":
		return e.encodeInts(ch, c, e.lengths(c.ints, g.named("offset").ints))
	}
	return e.encodeInts(ch, c, e.inUnits(c))
}

// absent makes the chunk of a column without any value.
func (e *Encoder) absent(ch *chunk, c *column, rows int) error {
	ch.meta.Type = format.ByteArray
	if c.Type == Int {
		ch.meta.Type = format.Int64
	}
	ch.meta.NumValues, ch.meta.Statistics.NullCount = int64(rows), int64(rows)
	return e.nullPage(ch, rows)
}

// constant makes the chunk of a required text column with one value.
func (e *Encoder) constant(ch *chunk, value string, rows int) error {
	d := newTextDict()
	d.code(value)
	ch.meta.Type, ch.meta.NumValues = format.ByteArray, int64(rows)
	if err := e.dictionary(ch, &d.Dict); err != nil {
		return err
	}
	e.codes = make([]uint32, rows)
	return e.codesPage(ch, pageShape{rows: rows, entries: rows})
}

// encodeInts writes a number column: as a dictionary where values repeat, else
// delta-packed or plain, whichever is smaller on the first block.
func (e *Encoder) encodeInts(ch *chunk, c *column, ints []int64) error {
	ch.meta.Type = format.Int64
	rows := len(ints)
	nulls, low, high := ch.bound(ints, BlockRows)
	ch.meta.NumValues = int64(rows)
	ch.meta.Statistics.NullCount = int64(nulls)
	if nulls == rows { // a value that was taken back for the map
		ch.bounds = format.ColumnIndex{}
		return e.nullPage(ch, rows)
	}
	ch.meta.Statistics.MinValue, ch.meta.Statistics.MaxValue = int64Bytes(low), int64Bytes(high)
	serial := c.Name == "offset" || c.Name == "line"
	if !serial && !c.isTime() && e.dict.encode(ints, (rows-nulls)/4+1, low, high) {
		if err := e.dictionary(ch, &Dict{Ints: e.dict.values}); err != nil {
			return err
		}
		step := BlockRows
		if low == high && nulls == 0 {
			step, ch.bounds = rows, format.ColumnIndex{}
			ch.bound(ints, step)
		}
		return e.codedPages(ch, e.dict.codes, step, nulls > 0, false)
	}
	encodings := []format.Encoding{format.DeltaBinaryPacked, format.Plain}
	if serial {
		encodings = encodings[:1]
	}
	for first := 0; first < rows; first += BlockRows {
		page := ints[first:min(first+BlockRows, rows)]
		shape := pageShape{first: first, rows: len(page), entries: len(page)}
		e.ints = page
		if nulls > 0 {
			e.ints, e.level = present(e.some.ints, page, absent, e.level)
			e.some.ints = e.ints
		}
		if shape.nulls = len(page) - len(e.ints); !required(c.Name) {
			shape.defs = e.presence(shape)
		}
		if err := e.page(ch, shape, e.packInts, encodings...); err != nil {
			return err
		}
	}
	return nil
}

// packInts gives e.ints in an encoding.
func (e *Encoder) packInts(enc format.Encoding) []byte {
	e.vals = e.vals[:0]
	switch {
	case enc == format.Plain:
		e.vals = plainBytes(e.vals, e.ints)
	case len(e.ints) > 0:
		e.vals, _ = new(delta.BinaryPackedEncoding).EncodeInt64(e.vals, e.ints)
	}
	return e.vals
}

// encodeText writes a text column: with a dictionary unless that would be larger.
func (e *Encoder) encodeText(ch *chunk, c *column, rows int) error {
	ch.meta.Type = format.ByteArray
	nulls := rows - c.values
	ch.meta.NumValues = int64(rows)
	ch.meta.Statistics.NullCount = int64(nulls)
	if nulls == rows {
		return e.nullPage(ch, rows)
	}
	c.dict.binary = !c.isAddr() && !c.dict.valid()
	if c.Bloom {
		ch.bloom = bloomOf(&c.dict.Dict)
	}
	if c.dict.pays(c.values, c.size) {
		if err := e.dictionary(ch, &c.dict.Dict); err != nil {
			return err
		}
		step := BlockRows
		if c.dict.Len() == 1 && nulls == 0 {
			step = rows
		}
		return e.codedPages(ch, c.codes, step, nulls > 0, false)
	}
	for first := 0; first < rows; first += BlockRows {
		shape := e.codeShape(first, c.codes[first:min(first+BlockRows, rows)], nulls > 0)
		pack := func(enc format.Encoding) []byte { return e.packText(&c.dict.Dict, e.codes, enc) }
		if err := e.page(ch, shape, pack, format.DeltaLengthByteArray, format.Plain); err != nil {
			return err
		}
	}
	return nil
}

// pays reports whether a dictionary and codes are smaller than the values of
// the rows one after the other.
func (d *textDict) pays(values, size int) bool {
	width := bits.Len(uint(max(d.Len()-1, 0)))
	return !d.unique && len(d.data)+4*d.Len()+values*width/8 < size+values
}

// codedPages writes the pages of codes that follow a dictionary, of step rows each.
func (e *Encoder) codedPages(ch *chunk, codes []uint32, step int, nulls, required bool) error {
	for first := 0; first < len(codes); first += step {
		shape := e.codeShape(first, codes[first:min(first+step, len(codes))], nulls)
		if required {
			shape.defs = nil
		}
		if err := e.codesPage(ch, shape); err != nil {
			return err
		}
	}
	return nil
}

// codesPage writes the page of e.codes.
func (e *Encoder) codesPage(ch *chunk, shape pageShape) (err error) {
	if e.vals, err = packCodes(e.vals[:0], signed(e.codes)); err != nil {
		return err
	}
	pack := func(format.Encoding) []byte { return e.vals }
	return e.page(ch, shape, pack, format.RLEDictionary)
}

// packText gives the values of some codes with their lengths in front: of each, or of
// all together.
func (e *Encoder) packText(d *Dict, codes []uint32, enc format.Encoding) []byte {
	e.vals, e.text, e.offs = e.vals[:0], e.text[:0], append(e.offs[:0], 0)
	for _, code := range codes {
		b := d.data[d.offs[code]:d.offs[code+1]]
		if enc == format.Plain {
			e.vals = append(binary.LittleEndian.AppendUint32(e.vals, uint32(len(b))), b...)
		} else {
			e.text = append(e.text, b...)
			e.offs = append(e.offs, uint32(len(e.text)))
		}
	}
	if enc != format.Plain {
		e.vals, _ = new(delta.LengthByteArrayEncoding).EncodeByteArray(e.vals, e.text, e.offs)
	}
	return e.vals
}

// nullPage is the one page of a chunk without any value.
func (e *Encoder) nullPage(ch *chunk, rows int) error {
	shape := pageShape{rows: rows, entries: rows, nulls: rows, defs: same(rows, 0)}
	if ch.meta.Type == format.Int64 {
		ch.bounds.NullPages = append(ch.bounds.NullPages, true)
		ch.bounds.MinValues = append(ch.bounds.MinValues, []byte{})
		ch.bounds.MaxValues = append(ch.bounds.MaxValues, []byte{})
		ch.bounds.NullCounts = append(ch.bounds.NullCounts, int64(rows))
	}
	return e.dataPage(ch, shape, nil, nil, format.Plain)
}

// codeShape describes a page of codes, of which it leaves those of values in e.codes.
func (e *Encoder) codeShape(first int, page []uint32, nulls bool) pageShape {
	s := pageShape{first: first, rows: len(page), entries: len(page)}
	e.codes = page
	if nulls {
		e.codes, e.level = present(e.some.codes, page, Null, e.level)
		e.some.codes = e.codes
	}
	s.nulls = len(page) - len(e.codes)
	s.defs = e.presence(s)
	return s
}

// present gives the values of a page that are not null, and for each row a level that says
// whether it is one. That is decided without a branch, which nobody could foretell.
func present[T int64 | uint32](to, page []T, null T, level []byte) ([]T, []byte) {
	to, level = slices.Grow(to[:0], len(page))[:len(page)], sized(level, len(page))
	n := 0
	for i, v := range page {
		has := byte(1)
		if v == null {
			has = 0
		}
		to[n], level[i] = v, has
		n += int(has)
	}
	return to[:n], level
}

// presence encodes e.level, which rows of a page have a value. It is valid until
// the next page.
func (e *Encoder) presence(s pageShape) []byte {
	switch s.nulls {
	case 0:
		return same(s.rows, 1)
	case s.rows:
		return same(s.rows, 0)
	}
	e.defs, _ = (&rle.Encoding{BitWidth: 1}).EncodeLevels(e.defs[:0], e.level)
	return e.defs
}

// dictionary writes the dictionary page at the start of a chunk.
func (e *Encoder) dictionary(ch *chunk, d *Dict) error {
	w := byMatches
	if d.Ints != nil {
		e.vals = plainBytes(e.vals, d.Ints)
		if d.Len() >= minDecide {
			w = byNumbers
		}
	} else {
		e.vals = plainText(e.vals[:0], d)
	}
	ch.meta.Codec = format.Zstd
	if e.zstd != nil {
		e.pack(e.vals, w)
	} else {
		ch.meta.Codec = format.Uncompressed
		e.packed = append(e.packed[:0], e.vals...)
	}
	h := format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(e.vals)),
		CompressedPageSize: int32(len(e.packed)), CRC: int32(crc32.ChecksumIEEE(e.packed))}
	h.DictionaryPageHeader.Valid = true
	h.DictionaryPageHeader.V = format.DictionaryPageHeader{NumValues: int32(d.Len()), Encoding: format.Plain}
	head, err := e.header.encode(&h)
	if err != nil {
		return err
	}
	ch.meta.TotalUncompressedSize += int64(len(head) + len(e.vals))
	ch.meta.DictionaryPageOffset = 1 // there is one; the writer puts the offset
	ch.data = append(append(ch.data, head...), e.packed...)
	ch.meta.DataPageOffset = int64(len(ch.data))
	ch.encoding(format.Plain)
	return nil
}

// dataPage writes one page: levels as they are, then body, which is values compressed
// if that made them smaller.
func (e *Encoder) dataPage(ch *chunk, s pageShape, values, body []byte, enc format.Encoding) error {
	if ch.meta.Codec = format.Zstd; e.zstd == nil {
		ch.meta.Codec = format.Uncompressed
	}
	levels := len(s.reps) + len(s.defs)
	crc := crc32.ChecksumIEEE(s.reps)
	crc = crc32.Update(crc, crc32.IEEETable, s.defs)
	crc = crc32.Update(crc, crc32.IEEETable, body)
	h := format.PageHeader{Type: format.DataPageV2, UncompressedPageSize: int32(levels + len(values)),
		CompressedPageSize: int32(levels + len(body)), CRC: int32(crc)}
	h.DataPageHeaderV2.Valid = true
	v2 := &h.DataPageHeaderV2.V
	*v2 = format.DataPageHeaderV2{NumValues: int32(s.entries), NumNulls: int32(s.nulls), NumRows: int32(s.rows), Encoding: enc,
		DefinitionLevelsByteLength: int32(len(s.defs)), RepetitionLevelsByteLength: int32(len(s.reps))}
	v2.IsCompressed.Valid = true
	v2.IsCompressed.V = len(body) < len(values)
	head, err := e.header.encode(&h)
	if err != nil {
		return err
	}
	start := len(ch.data)
	ch.data = append(ch.data, head...)
	ch.data = append(ch.data, s.reps...)
	ch.data = append(ch.data, s.defs...)
	ch.data = append(ch.data, body...)
	ch.meta.TotalUncompressedSize += int64(len(head) + levels + len(values))
	ch.offsets.PageLocations = append(ch.offsets.PageLocations, format.PageLocation{
		Offset: int64(start), CompressedPageSize: int32(len(ch.data) - start), FirstRowIndex: int64(s.first)})
	ch.encoding(enc)
	if levels > 0 {
		ch.encoding(format.RLE)
	}
	return nil
}

// encoding notes an encoding that the chunk uses.
func (c *chunk) encoding(enc format.Encoding) {
	if !slices.Contains(c.meta.Encoding, enc) {
		c.meta.Encoding = append(c.meta.Encoding, enc)
	}
}

// bound notes the smallest and the largest number of each page of step rows, and gives
// those of all rows.
func (c *chunk) bound(ints []int64, step int) (nulls int, low, high int64) {
	low, high = math.MaxInt64, math.MinInt64
	b := &c.bounds
	for first := 0; first < len(ints); first += step {
		page := ints[first:min(first+step, len(ints))]
		n, least, most := intBounds(page)
		nulls, low, high = nulls+n, min(low, least), max(high, most)
		b.NullPages = append(b.NullPages, n == len(page))
		b.NullCounts = append(b.NullCounts, int64(n))
		if n == len(page) {
			b.MinValues, b.MaxValues = append(b.MinValues, []byte{}), append(b.MaxValues, []byte{})
		} else {
			b.MinValues, b.MaxValues = append(b.MinValues, int64Bytes(least)), append(b.MaxValues, int64Bytes(most))
		}
	}
	return nulls, low, high
}

// intBounds finds the smallest and the largest present value. Absent is the smallest
// number: it is looked for only where it is found.
func intBounds(ints []int64) (nulls int, low, high int64) {
	low, high = math.MaxInt64, math.MinInt64
	for _, v := range ints {
		low, high = min(low, v), max(high, v)
	}
	if low != absent {
		return 0, low, high
	}
	low = math.MaxInt64
	for _, v := range ints {
		if v == absent {
			nulls++
		} else {
			low = min(low, v)
		}
	}
	return nulls, low, high
}

func int64Bytes(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

// plainBytes gives numbers as eight bytes each.
func plainBytes(to []byte, ints []int64) []byte {
	to = sized(to, 8*len(ints))
	for i, v := range ints {
		binary.LittleEndian.PutUint64(to[8*i:], uint64(v))
	}
	return to
}

// plainText appends the values with four bytes of length in front of each.
func plainText(to []byte, d *Dict) []byte {
	for i := range d.Len() {
		b := d.data[d.offs[i]:d.offs[i+1]]
		to = binary.LittleEndian.AppendUint32(to, uint32(len(b)))
		to = append(to, b...)
	}
	return to
}

// bloomBits is the size of a bloom filter for each value: 8 bits refute all but
// about 2 % of the values that are not there.
const bloomBits = 8

func bloomOf(d *Dict) []byte {
	f := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(d.Len()), bloomBits))
	for i := range d.Len() {
		f.Insert(bloom.XXH64{}.Sum64(d.data[d.offs[i]:d.offs[i+1]]))
	}
	return f.Bytes()
}

// required says which columns have a value in every row.
func required(name string) bool {
	switch name {
	case "source", "kind", "line", "offset":
		return true
	}
	return false
}
