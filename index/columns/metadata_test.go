package columns

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"

	"firetrail"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// TestMetadata decodes the metadata of a segment as the Parquet library does.
func TestMetadata(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	evs := make([]firetrail.Event, GroupRows+3*BlockRows+7)
	for i := range evs {
		evs[i] = random(r, i)
	}
	s, err := Open(write(t, t.TempDir(), evs)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file, err := os.ReadFile(s.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	unmarshal := func(b []byte, v any) {
		t.Helper()
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), b, v); err != nil {
			t.Fatal(err)
		}
	}
	var want format.FileMetaData
	n := len(file) - 8
	unmarshal(file[n-int(binary.LittleEndian.Uint32(file[n:])):n], &want)
	if s.meta.rows != want.NumRows || len(s.meta.schema) != len(want.Schema) || len(s.meta.pairs) != len(want.KeyValueMetadata) {
		t.Fatalf("%d rows, %d elements, %d pairs", s.meta.rows, len(s.meta.schema), len(s.meta.pairs))
	}
	for i, el := range want.Schema {
		got := s.meta.schema[i]
		if got.name != el.Name || got.nested != el.NumChildren.Valid || el.Type.Valid && got.typ != el.Type.V {
			t.Errorf("element %d: %+v, want %+v", i, got, el)
		}
		unit := int64(1)
		if ts, ok := el.LogicalType.Value.(*format.TimestampType); ok {
			switch ts.Unit.Value.(type) {
			case *format.MilliSeconds:
				unit = 1e6
			case *format.MicroSeconds:
				unit = 1e3
			}
		}
		if got.unit != unit {
			t.Errorf("element %s: unit %d, want %d", got.name, got.unit, unit)
		}
	}
	for g, rg := range want.RowGroups {
		for i := range rg.Columns {
			ch, md := &rg.Columns[i], &rg.Columns[i].MetaData
			wanted := chunkMeta{md.Codec, md.DataPageOffset, md.DictionaryPageOffset, md.Statistics.NullCount, md.BloomFilterOffset,
				ch.OffsetIndexOffset, ch.ColumnIndexOffset, ch.OffsetIndexLength, ch.ColumnIndexLength}
			if s.meta.groups[g].rows != rg.NumRows || s.meta.groups[g].chunks[i] != wanted {
				t.Fatalf("group %d column %d: %+v, want %+v", g, i, s.meta.groups[g].chunks[i], wanted)
			}
			idx, err := s.index(chunkID{g, i})
			if err != nil {
				t.Fatal(err)
			}
			checkIndex(t, idx, file, ch, unmarshal)
			for _, p := range idx.pages {
				checkPage(t, file[p.offset:p.offset+p.size], unmarshal)
			}
			if md.DictionaryPageOffset > 0 {
				checkPage(t, file[md.DictionaryPageOffset:md.DataPageOffset], unmarshal)
			}
		}
	}
}

func checkIndex(t *testing.T, got *pageIndex, file []byte, ch *format.ColumnChunk, unmarshal func([]byte, any)) {
	t.Helper()
	var offsets format.OffsetIndex
	unmarshal(file[ch.OffsetIndexOffset:][:ch.OffsetIndexLength], &offsets)
	if len(got.pages) != len(offsets.PageLocations) || got.bounded != (ch.ColumnIndexLength > 0) {
		t.Fatalf("%d pages, bounded %v", len(got.pages), got.bounded)
	}
	for i, p := range offsets.PageLocations {
		if want := (pagePlace{p.Offset, int64(p.CompressedPageSize), int(p.FirstRowIndex)}); got.pages[i] != want {
			t.Errorf("page %+v, want %+v", got.pages[i], want)
		}
	}
	if !got.bounded {
		return
	}
	var bounds format.ColumnIndex
	unmarshal(file[ch.ColumnIndexOffset:][:ch.ColumnIndexLength], &bounds)
	for i, null := range bounds.NullPages {
		want := pageBounds{null: null}
		if len(bounds.MinValues[i]) == 8 {
			want.known = true
			want.low = int64(binary.LittleEndian.Uint64(bounds.MinValues[i]))
			want.high = int64(binary.LittleEndian.Uint64(bounds.MaxValues[i]))
		}
		if got.bounds[i] != want {
			t.Errorf("bounds %+v, want %+v", got.bounds[i], want)
		}
	}
}

func checkPage(t *testing.T, page []byte, unmarshal func([]byte, any)) {
	t.Helper()
	h, n, ok := decodePage(page)
	if !ok || n+h.stored != len(page) {
		t.Fatalf("a header of %d bytes and %d of content in %d", n, h.stored, len(page))
	}
	var p format.PageHeader
	unmarshal(page[:n], &p)
	want := pageHeader{kind: p.Type, raw: int(p.UncompressedPageSize), stored: int(p.CompressedPageSize), crc: uint32(p.CRC)}
	if p.DictionaryPageHeader.Valid {
		want.values = int(p.DictionaryPageHeader.V.NumValues)
	} else {
		d := &p.DataPageHeaderV2.V
		want.values, want.nulls, want.rows, want.encoding = int(d.NumValues), int(d.NumNulls), int(d.NumRows), d.Encoding
		want.defs, want.reps = int(d.DefinitionLevelsByteLength), int(d.RepetitionLevelsByteLength)
		want.uncompressed = d.IsCompressed.Valid && !d.IsCompressed.V
	}
	if h != want {
		t.Errorf("header %+v, want %+v", h, want)
	}
}

// FuzzMetadata decodes anything without a panic and without taking more memory than
// the input accounts for.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte{0x15, 2, 0x19, 0x1c, 0x48, 1, 'a', 0, 0})
	f.Add([]byte{0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0x1b, 0xff, 0xff, 0xff, 0x7f, 0x11})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := decodeFooter(b); ok && len(m.groups)+len(m.schema)+len(m.pairs) > len(b) {
			t.Error("more elements than bytes")
		}
		var x pageIndex
		if decodeOffsets(b, &x) {
			decodeBounds(b, &x)
		}
		if _, n, ok := decodePage(b); ok && n > len(b) {
			t.Error("a header beyond the end")
		}
		decodeBloom(b)
	})
}
