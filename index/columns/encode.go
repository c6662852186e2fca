package columns

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
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
	codes    []int32
	offs     []uint32
	ints     []int64
	dict     intDict
	level    []byte
	defs     []byte
}

// NewEncoder makes an encoder. What it writes depends on the events alone.
func NewEncoder() *Encoder {
	e := &Encoder{}
	e.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(true),
		zstd.WithAllLitEntropyCompression(true))
	return e
}

// thriftWriter encodes structures of the format's metadata.
type thriftWriter struct {
	buf bytes.Buffer
	enc *thrift.Encoder
}

func (w *thriftWriter) encode(v any) ([]byte, error) {
	if w.enc == nil {
		w.enc = thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(&w.buf))
	}
	w.buf.Reset()
	err := w.enc.Encode(v)
	return w.buf.Bytes(), err
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

// Encode compresses the group's columns. It may run on any goroutine; the group
// must not change meanwhile. An error is also returned by Writer.Write.
func (g *Group) Encode(e *Encoder) error {
	leaves := len(g.columns) + 2
	for len(g.chunks) < leaves {
		g.chunks = append(g.chunks, chunk{})
	}
	g.derived = g.endFollows()
	for i, c := range g.columns {
		if g.err = g.encode(e, &g.chunks[i], c); g.err != nil {
			return g.err
		}
	}
	g.err = e.encodeMap(g.chunks[leaves-2:], g.rest, g.rows)
	return g.err
}

func (g *Group) encode(e *Encoder, ch *chunk, c *column) error {
	switch {
	case c.Name == "source" || c.Name == "kind":
		return nil
	case !c.used, c.Name == "end" && g.derived:
		return e.absent(ch, c, g.rows)
	}
	c.pad(g.rows)
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
	e.codes = append(e.codes[:0], make([]int32, rows)...)
	return e.codesPage(ch, pageShape{rows: rows, entries: rows})
}

// encodeInts writes a number column: as a dictionary where values repeat, else
// delta-packed or plain, whichever is smaller on the first block.
func (e *Encoder) encodeInts(ch *chunk, c *column, ints []int64) error {
	ch.meta.Type = format.Int64
	rows := len(ints)
	nulls, low, high := intBounds(ints)
	ch.meta.NumValues = int64(rows)
	ch.meta.Statistics.NullCount = int64(nulls)
	if nulls == rows { // a value that was taken back for the map
		return e.nullPage(ch, rows)
	}
	ch.meta.Statistics.MinValue, ch.meta.Statistics.MaxValue = int64Bytes(low), int64Bytes(high)
	serial := c.Name == "offset" || c.Name == "line"
	if !serial && !c.isTime() && e.dict.encode(ints, (rows-nulls)/4+1) {
		if err := e.dictionary(ch, &Dict{Ints: e.dict.values}); err != nil {
			return err
		}
		return e.codedPages(ch, e.dict.codes, len(e.dict.values) == 1 && nulls == 0, c, ints)
	}
	encodings := []format.Encoding{format.DeltaBinaryPacked, format.Plain}
	if serial {
		encodings = encodings[:1]
	}
	for first := 0; first < rows; first += BlockRows {
		page := ints[first:min(first+BlockRows, rows)]
		shape := e.intShape(first, page, c)
		if err := e.page(ch, shape, e.packInts, encodings...); err != nil {
			return err
		}
		ch.bound(page)
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
	nulls, size := 0, 0
	for _, code := range c.codes {
		if code == Null {
			nulls++
		} else {
			size += int(c.dict.offs[code+1] - c.dict.offs[code])
		}
	}
	ch.meta.NumValues = int64(rows)
	ch.meta.Statistics.NullCount = int64(nulls)
	if nulls == rows {
		return e.nullPage(ch, rows)
	}
	if c.Bloom {
		ch.bloom = bloomOf(&c.dict.Dict)
	}
	if c.dict.pays(rows-nulls, size) {
		if err := e.dictionary(ch, &c.dict.Dict); err != nil {
			return err
		}
		return e.codedPages(ch, c.codes, c.dict.Len() == 1 && nulls == 0, c, nil)
	}
	for first := 0; first < rows; first += BlockRows {
		page := c.codes[first:min(first+BlockRows, rows)]
		shape := e.codeShape(first, page)
		pack := func(enc format.Encoding) []byte { return e.packText(&c.dict.Dict, page, enc) }
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

// codedPages writes the pages of codes that follow a dictionary, or a single
// page if all rows are the same. ints are the values of a number column.
func (e *Encoder) codedPages(ch *chunk, codes []uint32, constant bool, c *column, ints []int64) error {
	step := BlockRows
	if constant {
		step = len(codes)
	}
	for first := 0; first < len(codes); first += step {
		page := codes[first:min(first+step, len(codes))]
		shape := e.codeShape(first, page)
		if required(c.Name) {
			shape.defs = nil
		}
		if err := e.codesPage(ch, shape); err != nil {
			return err
		}
		if ints != nil {
			ch.bound(ints[first : first+len(page)])
		}
	}
	return nil
}

// codesPage writes the page of e.codes.
func (e *Encoder) codesPage(ch *chunk, shape pageShape) (err error) {
	if e.vals, err = packCodes(e.vals[:0], e.codes); err != nil {
		return err
	}
	pack := func(format.Encoding) []byte { return e.vals }
	return e.page(ch, shape, pack, format.RLEDictionary)
}

// packText gives the values of a page with their lengths in front: of each, or of
// all together.
func (e *Encoder) packText(d *Dict, codes []uint32, enc format.Encoding) []byte {
	e.vals, e.text, e.offs = e.vals[:0], e.text[:0], append(e.offs[:0], 0)
	for _, code := range codes {
		if code == Null {
			continue
		}
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

// intShape describes a page of numbers, whose values it leaves in e.ints.
func (e *Encoder) intShape(first int, page []int64, c *column) pageShape {
	s := pageShape{first: first, rows: len(page), entries: len(page)}
	e.ints, e.level = e.ints[:0], sized(e.level, len(page))
	for i, v := range page {
		e.level[i] = 0
		if v != absent {
			e.level[i] = 1
			e.ints = append(e.ints, v)
		}
	}
	if s.nulls = len(page) - len(e.ints); !required(c.Name) {
		s.defs = e.presence(s)
	}
	return s
}

// codeShape describes a page of codes, which it leaves in e.codes.
func (e *Encoder) codeShape(first int, page []uint32) pageShape {
	s := pageShape{first: first, rows: len(page), entries: len(page)}
	e.codes, e.level = e.codes[:0], sized(e.level, len(page))
	for i, c := range page {
		e.level[i] = 0
		if c != Null {
			e.level[i] = 1
			e.codes = append(e.codes, int32(c))
		}
	}
	s.nulls = len(page) - len(e.codes)
	s.defs = e.presence(s)
	return s
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

// bound notes the smallest and the largest value of a page of numbers.
func (c *chunk) bound(page []int64) {
	nulls, low, high := intBounds(page)
	b := &c.bounds
	b.NullPages = append(b.NullPages, nulls == len(page))
	b.NullCounts = append(b.NullCounts, int64(nulls))
	if nulls == len(page) {
		b.MinValues, b.MaxValues = append(b.MinValues, []byte{}), append(b.MaxValues, []byte{})
		return
	}
	b.MinValues, b.MaxValues = append(b.MinValues, int64Bytes(low)), append(b.MaxValues, int64Bytes(high))
}

// intBounds finds the smallest and the largest present value.
func intBounds(ints []int64) (nulls int, low, high int64) {
	low, high = math.MaxInt64, math.MinInt64
	for _, v := range ints {
		if v == absent {
			nulls++
			continue
		}
		low, high = min(low, v), max(high, v)
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
