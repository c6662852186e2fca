package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"firetrail"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// version of the segments that are written
const version = "2"

// Writer makes one segment. Append, Full and Cut belong to one goroutine and
// Write and Close to one goroutine, which may be another; the caller sees to
// it that Close comes last.
type Writer struct {
	kind  string
	group *Group // being collected
	first *Group // columns of the segment, once fixed
	free  chan *Group
	cut   int // rows cut so far
	ended bool

	out     io.Writer
	offset  int64
	rows    int64
	groups  []format.RowGroup
	ends    []byte    // of each group, for metaEnds
	indexes [][]chunk // of each group, without data
	binary  []bool    // of each leaf: some value is no UTF-8
	names   []Info
	meta    thriftWriter
	err     error
}

// NewWriter begins a segment of events of one kind.
func NewWriter(out io.Writer, kind string) *Writer {
	return &Writer{kind: kind, group: newGroup(), out: out, free: make(chan *Group, 2)}
}

// Append takes events of the writer's kind, in record order, as many as fit,
// and returns how many it took. Nothing of them is kept.
func (w *Writer) Append(evs []firetrail.Event) int {
	if w.ended {
		return 0
	}
	if w.group == nil {
		w.group = w.fresh()
	}
	n := w.group.append(evs)
	w.ended = w.group.finer && w.group.rows == 0
	return n
}

// fresh gives an empty group with the segment's columns.
func (w *Writer) fresh() *Group {
	select {
	case g := <-w.free:
		g.reset()
		return g
	default:
		return w.first.like()
	}
}

// Full reports whether Cut is due before more is appended.
func (w *Writer) Full() bool { return w.group != nil && w.group.rows > 0 && w.group.full() }

// Size is roughly how much memory the events take that were appended since the last Cut.
func (w *Writer) Size() int64 {
	if w.group == nil {
		return 0
	}
	return w.group.size()
}

// Ended reports whether the segment takes no more events: it has SegmentRows,
// very long records, or comes to a time that is finer than its unit. What follows goes to another Writer.
func (w *Writer) Ended() bool { return w.ended }

// Cut takes out the events appended since the last Cut; nil if there are none.
// A group of fewer than GroupRows rows ends the segment.
func (w *Writer) Cut() *Group {
	g := w.group
	if g == nil || g.rows == 0 {
		return nil
	}
	g.fix()
	for _, c := range g.columns {
		if c.used {
			c.pad(g.rows)
		}
	}
	if w.first == nil {
		w.first = g.like()
	}
	w.group = nil
	w.cut += g.rows
	w.ended = g.rows < GroupRows || w.cut >= SegmentRows
	g.final = w.ended
	return g
}

// Write appends an encoded group to the file. Groups come in the order of Cut;
// the group's memory goes back to the writer.
func (w *Writer) Write(g *Group) error {
	if w.err == nil {
		w.err = w.write(g)
	}
	if g.final {
		w.free = nil // what is left waits for Close, and should be small
		return w.err
	}
	select {
	case w.free <- g:
	default:
	}
	return w.err
}

func (w *Writer) write(g *Group) error {
	if err := g.failed.Load(); err != nil {
		return fmt.Errorf("encode row group: %w", *err)
	}
	if w.offset == 0 {
		if err := w.bytes([]byte(magic)); err != nil {
			return err
		}
		for _, c := range g.columns {
			w.names = append(w.names, c.Info)
		}
		w.binary = make([]bool, len(g.columns)+2)
	}
	for i, c := range g.columns {
		w.binary[i] = w.binary[i] || c.dict != nil && c.dict.binary
	}
	n := len(g.columns)
	w.binary[n] = w.binary[n] || g.rest.keys.binary
	w.binary[n+1] = w.binary[n+1] || g.rest.values.binary
	index := make([]chunk, len(g.chunks))
	for i := range g.chunks {
		if err := w.chunk(&g.chunks[i]); err != nil {
			return err
		}
		index[i] = g.chunks[i]
		index[i].data, index[i].bloom = nil, nil
	}
	w.indexes = append(w.indexes, index)
	w.groups = append(w.groups, format.RowGroup{NumRows: int64(g.rows)})
	w.rows += int64(g.rows)
	if g.derived {
		w.ends = append(w.ends, '1')
	} else {
		w.ends = append(w.ends, '0')
	}
	return nil
}

// chunk writes a chunk's pages and turns its offsets into those of the file.
func (w *Writer) chunk(c *chunk) error {
	if len(c.data) == 0 {
		return nil // source and kind, which come at the end
	}
	start := w.offset
	c.meta.TotalCompressedSize = int64(len(c.data))
	c.meta.DataPageOffset += start
	if c.meta.DictionaryPageOffset != 0 {
		c.meta.DictionaryPageOffset = start
	}
	for i := range c.offsets.PageLocations {
		c.offsets.PageLocations[i].Offset += start
	}
	if err := w.bytes(c.data); err != nil || c.bloom == nil {
		return err
	}
	c.meta.BloomFilterOffset = w.offset
	if err := w.thrift(bloomHeader(len(c.bloom))); err != nil {
		return err
	}
	err := w.bytes(c.bloom)
	c.meta.BloomFilterLength = int32(w.offset - c.meta.BloomFilterOffset)
	return err
}

func (w *Writer) bytes(b []byte) error {
	n, err := w.out.Write(b)
	w.offset += int64(n)
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// Rows is the number of events written.
func (w *Writer) Rows() int64 { return w.rows }

// Close writes the footer, with the ids of the sources of the rows, which only now
// need be known. It does not close the file. A segment has at least one event.
func (w *Writer) Close(runs []Run) error {
	source := oneSource(runs)
	if w.err != nil {
		return w.err
	}
	if len(w.groups) == 0 {
		return fmt.Errorf("write segment: no events")
	}
	var enc Encoder // constants need no compression
	for g := range w.indexes {
		rows := w.groups[g].NumRows
		of, rest, err := takeRows(runs, rows)
		if err != nil {
			return err
		}
		runs = rest
		for i, info := range w.names {
			c := &w.indexes[g][i]
			switch info.Name {
			case "source":
				*c = chunk{}
				err = enc.sources(c, of, int(rows))
			case "kind":
				*c = chunk{}
				err = enc.constant(c, w.kind, int(rows))
			default:
				continue
			}
			if err == nil {
				err = w.chunk(c)
			}
			if err != nil {
				return err
			}
			c.data = nil
		}
	}
	if len(runs) > 0 {
		return fmt.Errorf("write segment: sources of more than %d rows", w.rows)
	}
	if err := w.writeIndexes(); err != nil {
		return err
	}
	return w.writeFooter(source)
}

// writeIndexes writes page indexes and completes the row
// groups with where they are.
func (w *Writer) writeIndexes() error {
	for g, chunks := range w.indexes {
		rg := &w.groups[g]
		rg.Ordinal = int16(g)
		for i := range chunks {
			c := &chunks[i]
			c.meta.PathInSchema = w.path(i)
			col := format.ColumnChunk{MetaData: c.meta}
			if len(c.bounds.NullPages) > 0 {
				col.ColumnIndexOffset = w.offset
				if err := w.thrift(&c.bounds); err != nil {
					return err
				}
				col.ColumnIndexLength = int32(w.offset - col.ColumnIndexOffset)
			}
			col.OffsetIndexOffset = w.offset
			if err := w.thrift(&c.offsets); err != nil {
				return err
			}
			col.OffsetIndexLength = int32(w.offset - col.OffsetIndexOffset)
			rg.Columns = append(rg.Columns, col)
			rg.TotalByteSize += c.meta.TotalUncompressedSize
			rg.TotalCompressedSize += c.meta.TotalCompressedSize
		}
		first := &rg.Columns[0].MetaData
		rg.FileOffset = first.DataPageOffset
		if first.DictionaryPageOffset != 0 {
			rg.FileOffset = first.DictionaryPageOffset
		}
	}
	return nil
}

func (w *Writer) thrift(v any) error {
	b, err := w.meta.encode(v)
	if err != nil {
		return err
	}
	return w.bytes(b)
}

func bloomHeader(n int) *format.BloomFilterHeader {
	return &format.BloomFilterHeader{
		NumBytes:    int32(n),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	}
}

// path is the place of a leaf column in the schema.
func (w *Writer) path(leaf int) []string {
	if leaf < len(w.names) {
		return []string{w.names[leaf].Name}
	}
	return []string{"x", "key_value", []string{"key", "value"}[leaf-len(w.names)]}
}

func (w *Writer) writeFooter(source string) error {
	meta := format.FileMetaData{
		Version: 2, NumRows: w.rows, RowGroups: w.groups, Schema: w.schema(), CreatedBy: "firetrail",
		KeyValueMetadata: []format.KeyValue{{Key: metaVersion, Value: version}, {Key: metaSource, Value: source}, {Key: metaKind, Value: w.kind}, {Key: metaEnds, Value: string(w.ends)}},
	}
	for range len(w.names) + 2 {
		meta.ColumnOrders = append(meta.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	b, err := w.meta.encode(&meta)
	if err != nil {
		return err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return w.bytes(append(b, magic...))
}

// schema describes the columns: a flat list, then the map.
func (w *Writer) schema() []format.SchemaElement {
	root := format.SchemaElement{Name: "event"}
	root.NumChildren.Valid, root.NumChildren.V = true, int32(len(w.names)+1)
	els := []format.SchemaElement{root}
	for i, info := range w.names {
		rep := format.Optional
		if required(info.Name) {
			rep = format.Required
		}
		el := leaf(info.Name, format.ByteArray, rep, !w.binary[i])
		if info.Type == Int {
			el = leaf(info.Name, format.Int64, rep, false)
		}
		if info.Field != nil && info.Field.Type == firetrail.TypeTime {
			el.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: timeUnit(info.Unit)}
		}
		els = append(els, el)
	}
	x := element("x", format.Optional)
	x.NumChildren.Valid, x.NumChildren.V = true, 1
	x.LogicalType.Value = &format.MapType{}
	x.ConvertedType.Valid, x.ConvertedType.V = true, deprecated.Map
	kv := element("key_value", format.Repeated)
	kv.NumChildren.Valid, kv.NumChildren.V = true, 2
	n := len(w.names)
	return append(els, x, kv, leaf("key", format.ByteArray, format.Required, !w.binary[n]), leaf("value", format.ByteArray, format.Required, !w.binary[n+1]))
}

func timeUnit(ns int64) (u format.TimeUnit) {
	switch ns {
	case 1e6:
		u.Value = &format.MilliSeconds{}
	case 1e3:
		u.Value = &format.MicroSeconds{}
	default:
		u.Value = &format.NanoSeconds{}
	}
	return u
}

func element(name string, rep format.FieldRepetitionType) format.SchemaElement {
	el := format.SchemaElement{Name: name}
	el.RepetitionType.Valid, el.RepetitionType.V = true, rep
	return el
}

func leaf(name string, t format.Type, rep format.FieldRepetitionType, text bool) format.SchemaElement {
	el := element(name, rep)
	el.Type.Valid, el.Type.V = true, t
	if text {
		el.LogicalType.Value = &format.StringType{}
		el.ConvertedType.Valid, el.ConvertedType.V = true, deprecated.UTF8
	}
	return el
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
