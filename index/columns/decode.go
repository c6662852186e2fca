package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"firetrail"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// decodeThrift decodes a structure at the start of b and says how long it is.
func decodeThrift(b []byte, v any) (n int, err error) {
	rd := bytes.NewReader(b)
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(rd)).Decode(v); err != nil {
		return 0, err
	}
	return len(b) - rd.Len(), nil
}

// load reads and decodes the page of a leaf column that holds a row of the
// current row group.
func (r *Reader) load(leaf, row int) error {
	idx, err := r.seg.index(chunkID{r.group, leaf})
	if err != nil {
		return err
	}
	p := idx.page(row)
	c := &r.cols[leaf]
	c.first = -1
	first, end := int(idx.pages[p].FirstRowIndex), int(r.seg.meta.RowGroups[r.group].NumRows)
	if p+1 < len(idx.pages) {
		end = int(idx.pages[p+1].FirstRowIndex)
	}
	if err := r.decode(leaf, idx.pages[p].Offset, int64(idx.pages[p].CompressedPageSize), end-first); err != nil {
		return fmt.Errorf("%w (column %s, row group %d, page %d)", err, r.leafName(leaf), r.group, p)
	}
	c.first, c.end = first, end
	return nil
}

func (r *Reader) leafName(leaf int) string {
	return r.seg.columns[min(leaf, len(r.seg.columns)-1)].Name
}

// readPage reads a page, checks its checksum and splits it.
func (r *Reader) readPage(offset, size int64) (h format.PageHeader, body []byte, err error) {
	path := r.seg.file.Name()
	if offset < 4 || size <= 0 || size > maxPage || offset+size > r.seg.size {
		return h, nil, corrupt(path, "page at %d+%d", offset, size)
	}
	r.raw = sized(r.raw, int(size))
	if _, err := r.seg.file.ReadAt(r.raw, offset); err != nil {
		return h, nil, fmt.Errorf("read segment %s: %w", path, err)
	}
	r.Stats.Pages++
	r.Stats.Bytes += size
	n, err := decodeThrift(r.raw, &h)
	if err != nil {
		return h, nil, corrupt(path, "page header at %d: %v", offset, err)
	}
	body = r.raw[n:]
	if int(h.CompressedPageSize) != len(body) || h.UncompressedPageSize < 0 {
		return h, nil, corrupt(path, "page at %d has %d bytes, not %d", offset, len(body), h.CompressedPageSize)
	}
	if uint32(h.CRC) != crc32.ChecksumIEEE(body) {
		return h, nil, corrupt(path, "checksum of the page at %d", offset)
	}
	return h, body, nil
}

// unpack decompresses to a length that is known. Fresh memory is for text, to
// which events will point.
func (r *Reader) unpack(body []byte, size int, packed, fresh bool) ([]byte, error) {
	if !packed {
		if fresh {
			body = bytes.Clone(body)
		}
		return body, nil
	}
	var to []byte
	if fresh {
		to = make([]byte, 0, size)
	} else {
		r.page = sized(r.page, size)
		to = r.page[:0]
	}
	out, err := r.zstd.DecodeAll(body, to)
	if err != nil || len(out) != size {
		return nil, corrupt(r.seg.file.Name(), "page unpacks to %d bytes, not %d: %v", len(out), size, err)
	}
	return out, nil
}

// decode fills the state of a leaf with one page.
func (r *Reader) decode(leaf int, offset, size int64, rows int) error {
	if r.cols[leaf].dict == nil && r.seg.meta.RowGroups[r.group].Columns[leaf].MetaData.DictionaryPageOffset != 0 {
		if err := r.dictionary(leaf); err != nil {
			return err
		}
	}
	h, body, err := r.readPage(offset, size)
	if err != nil {
		return err
	}
	path, d := r.seg.file.Name(), h.DataPageHeaderV2.V
	reps, defs := int(d.RepetitionLevelsByteLength), int(d.DefinitionLevelsByteLength)
	values := int(d.NumValues)
	if h.Type != format.DataPageV2 || int(d.NumRows) != rows || values < rows || reps < 0 || defs < 0 || reps+defs > len(body) ||
		values > maxEntries || d.NumNulls < 0 || int(d.NumNulls) > values || int(h.UncompressedPageSize) < reps+defs {
		return corrupt(path, "page header at %d", offset)
	}
	c := &r.cols[leaf]
	isMap := leaf >= len(r.seg.columns)-1
	if c.reps, err = levels(c.reps, body[:reps], values, 1, isMap, 0); err != nil {
		return corrupt(path, "repetition levels: %v", err)
	}
	width, full := 1, byte(1)
	if isMap {
		width, full = 2, 2
	}
	mixed := isMap || d.NumNulls != 0 && int(d.NumNulls) != values // else the count says it all
	if c.defs, err = levels(c.defs, body[reps:reps+defs], values, width, mixed && defs > 0, full); err != nil {
		return corrupt(path, "definition levels: %v", err)
	}
	text := !isInt(r.seg, leaf)
	fresh := text && d.Encoding != format.RLEDictionary
	data, err := r.unpack(body[reps+defs:], int(h.UncompressedPageSize)-reps-defs, !d.IsCompressed.Valid || d.IsCompressed.V, fresh)
	if err != nil {
		return err
	}
	return r.values(leaf, data, d.Encoding, values, values-int(d.NumNulls), full)
}

// maxEntries bounds the entries of a page; the map column may have many a row.
const maxEntries = 1 << 26

func isInt(s *Segment, leaf int) bool { return leaf < len(s.columns) && s.columns[leaf].Type == Int }

// levels decodes levels, or fills in the value that all have where none are stored.
func levels(to, from []byte, n, width int, stored bool, all byte) ([]byte, error) {
	if !stored {
		to = sized(to, n)
		for i := range to {
			to[i] = all
		}
		return to, nil
	}
	e := rle.Encoding{BitWidth: width}
	to, err := e.DecodeLevels(to[:0], from)
	if err == nil && len(to) < n {
		err = fmt.Errorf("%d of %d", len(to), n)
	}
	if err != nil {
		return to, err
	}
	return to[:n], nil
}

// values decodes the values of a page and spreads them over its entries.
func (r *Reader) values(leaf int, data []byte, enc format.Encoding, entries, present int, full byte) (err error) {
	c, path := &r.cols[leaf], r.seg.file.Name()
	v := &c.all
	v.Rows, v.Const, v.Dict = entries, false, nil
	v.Type = Text
	if isInt(r.seg, leaf) {
		v.Type = Int
	}
	switch {
	case present == 0 || enc == format.RLEDictionary:
		if present > 0 {
			r.codes, err = unpackCodes(r.codes[:0], data, present)
		} else {
			r.codes = r.codes[:0]
		}
		if v.Dict = c.dict; v.Dict == nil {
			v.Dict = &Dict{}
		}
	case v.Type == Int && enc == format.DeltaBinaryPacked:
		r.nums, err = new(delta.BinaryPackedEncoding).DecodeInt64(r.nums[:0], data)
	case v.Type == Int && enc == format.Plain:
		r.nums = plainInts(r.nums[:0], data)
	case v.Type == Text && enc == format.Plain:
		d := &Dict{}
		err = d.split(data, present)
		v.Dict = d
	case v.Type == Text && enc == format.DeltaLengthByteArray:
		d := &Dict{}
		d.data, d.offs, err = new(delta.LengthByteArrayEncoding).DecodeByteArray(nil, data, nil)
		v.Dict = d
	default:
		return corrupt(path, "encoding %v", enc)
	}
	if err != nil {
		return corrupt(path, "values: %v", err)
	}
	if v.Type == Int && enc != format.RLEDictionary && present > 0 {
		inNanoseconds(r.nums, r.seg.columns[leaf].Unit)
		return r.spreadInts(c, present, full)
	}
	return r.spreadCodes(c, enc == format.RLEDictionary, present, full)
}

// inNanoseconds multiplies numbers by the unit in which they are stored.
func inNanoseconds(ints []int64, unit int64) {
	if unit == 1 {
		return
	}
	for i := range ints {
		ints[i] *= unit
	}
}

// spreadCodes gives each entry its code; present counts those that have one.
func (r *Reader) spreadCodes(c *columnReader, coded bool, present int, full byte) error {
	v := &c.all
	v.ints = v.ints[:0]
	if cap(v.Codes) < v.Rows {
		v.Codes = make([]uint32, v.Rows)
	}
	v.Codes = v.Codes[:v.Rows]
	known := v.Dict.Len()
	if coded && len(r.codes) < present || !coded && known < present {
		return corrupt(r.seg.file.Name(), "%d values are too few", len(r.codes))
	}
	v.Const = present == 0 || coded && known == 1 && present == v.Rows
	if present == 0 {
		for i := range v.Codes {
			v.Codes[i] = Null
		}
		return nil
	}
	if coded && present == v.Rows {
		for i, code := range r.codes[:present] {
			if uint(code) >= uint(known) {
				return corrupt(r.seg.file.Name(), "code %d of %d", code, known)
			}
			v.Codes[i] = uint32(code)
		}
		return nil
	}
	next := 0
	for i := range v.Codes {
		if c.defs[i] != full {
			v.Codes[i] = Null
			continue
		}
		code := uint32(next)
		if next >= present {
			return corrupt(r.seg.file.Name(), "more values than were counted")
		}
		if coded {
			code = uint32(r.codes[next])
		}
		if int(code) >= known {
			return corrupt(r.seg.file.Name(), "code %d of %d", code, known)
		}
		v.Codes[i] = code
		next++
	}
	return nil
}

func (r *Reader) spreadInts(c *columnReader, present int, full byte) error {
	v := &c.all
	v.Codes = nil
	if cap(v.ints) < v.Rows {
		v.ints = make([]int64, v.Rows)
	}
	v.ints = v.ints[:v.Rows]
	if len(r.nums) < present {
		return corrupt(r.seg.file.Name(), "%d numbers are too few", len(r.nums))
	}
	if present == v.Rows {
		copy(v.ints, r.nums)
		return nil
	}
	next := 0
	for i := range v.ints {
		switch {
		case c.defs[i] != full:
			v.ints[i] = firetrail.Absent
		case next >= present:
			return corrupt(r.seg.file.Name(), "more numbers than were counted")
		default:
			v.ints[i] = r.nums[next]
			next++
		}
	}
	return nil
}

// dictionary reads the dictionary page of a leaf in the current row group.
func (r *Reader) dictionary(leaf int) error {
	md := &r.seg.meta.RowGroups[r.group].Columns[leaf].MetaData
	path := r.seg.file.Name()
	if md.DictionaryPageOffset <= 0 {
		return corrupt(path, "no dictionary")
	}
	h, body, err := r.readPage(md.DictionaryPageOffset, md.DataPageOffset-md.DictionaryPageOffset)
	if err != nil {
		return err
	}
	n := int(h.DictionaryPageHeader.V.NumValues)
	if h.Type != format.DictionaryPage || n < 0 || n > maxEntries {
		return corrupt(path, "dictionary header")
	}
	data, err := r.unpack(body, int(h.UncompressedPageSize), md.Codec == format.Zstd, true)
	if err != nil {
		return err
	}
	d := &Dict{}
	if isInt(r.seg, leaf) {
		d.Ints = plainInts(make([]int64, 0, n), data)
		inNanoseconds(d.Ints, r.seg.columns[leaf].Unit)
	} else if err := d.split(data, n); err != nil {
		return corrupt(path, "dictionary: %v", err)
	}
	if d.Len() != n {
		return corrupt(path, "dictionary has %d values, not %d", d.Len(), n)
	}
	r.cols[leaf].dict = d
	return nil
}

// split finds the values of a plain page: each has four bytes of length in
// front, which are squeezed out in place.
func (d *Dict) split(data []byte, n int) error {
	d.offs = make([]uint32, 1, n+1)
	w := 0
	for i := 0; i < len(data); {
		if len(data)-i < 4 {
			return fmt.Errorf("value %d is cut", len(d.offs)-1)
		}
		size := int(binary.LittleEndian.Uint32(data[i:]))
		i += 4
		if size < 0 || size > len(data)-i {
			return fmt.Errorf("value %d has %d bytes", len(d.offs)-1, size)
		}
		w += copy(data[w:], data[i:i+size])
		i += size
		d.offs = append(d.offs, uint32(w))
	}
	d.data = data[:w]
	return nil
}

func plainInts(to []int64, data []byte) []int64 {
	for ; len(data) >= 8; data = data[8:] {
		to = append(to, int64(binary.LittleEndian.Uint64(data)))
	}
	return to
}

// sized returns a slice of n bytes, in b's memory if it is large enough.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n, n+n/4)
	}
	return b[:n]
}
