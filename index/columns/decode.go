package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

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
	first, end := idx.pages[p].first, int(r.seg.meta.groups[r.group].rows)
	if p+1 < len(idx.pages) {
		end = idx.pages[p+1].first
	}
	if err := r.decode(leaf, idx.pages[p].offset, idx.pages[p].size, end-first); err != nil {
		return fmt.Errorf("%w (column %s, row group %d, page %d)", err, r.leafName(leaf), r.group, p)
	}
	c.first, c.end = first, end
	return nil
}

func (r *Reader) leafName(leaf int) string {
	return r.seg.columns[min(leaf, len(r.seg.columns)-1)].Name
}

// readPage reads a page, checks its checksum and splits it.
func (r *Reader) readPage(offset, size int64) (h pageHeader, body []byte, err error) {
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
	h, n, ok := decodePage(r.raw)
	if !ok {
		return h, nil, corrupt(path, "page header at %d", offset)
	}
	body = r.raw[n:]
	if h.stored != len(body) || h.raw < 0 {
		return h, nil, corrupt(path, "page at %d has %d bytes, not %d", offset, len(body), h.stored)
	}
	if h.crc != crc32.ChecksumIEEE(body) {
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
	out, err := unpacker().DecodeAll(body, to)
	if err != nil || len(out) != size {
		return nil, corrupt(r.seg.file.Name(), "page unpacks to %d bytes, not %d: %v", len(out), size, err)
	}
	return out, nil
}

// decode fills the state of a leaf with one page.
func (r *Reader) decode(leaf int, offset, size int64, rows int) error {
	if r.cols[leaf].dict == nil && r.seg.meta.groups[r.group].chunks[leaf].dict != 0 {
		if err := r.dictionary(leaf); err != nil {
			return err
		}
	}
	h, body, err := r.readPage(offset, size)
	if err != nil {
		return err
	}
	path, reps, defs, values := r.seg.file.Name(), h.reps, h.defs, h.values
	if h.kind != format.DataPageV2 || h.rows != rows || values < rows || reps < 0 || defs < 0 || reps+defs > len(body) ||
		values > maxEntries || h.nulls < 0 || h.nulls > values || h.raw < reps+defs {
		return corrupt(path, "page header at %d", offset)
	}
	c := &r.cols[leaf]
	isMap := leaf >= len(r.seg.columns)-1
	width, full := 1, byte(1)
	if isMap {
		width, full = 2, 2
		if c.reps, err = levels(c.reps, body[:reps], values, 1, 0); err != nil {
			return corrupt(path, "repetition levels: %v", err)
		}
	}
	if isMap || h.nulls != 0 && h.nulls != values { // else the count says it all
		if c.defs, err = levels(c.defs, body[reps:reps+defs], values, width, full); err != nil {
			return corrupt(path, "definition levels: %v", err)
		}
	}
	text := !isInt(r.seg, leaf)
	fresh := text && h.encoding != format.RLEDictionary
	data, err := r.unpack(body[reps+defs:], h.raw-reps-defs, !h.uncompressed, fresh)
	if err != nil {
		return err
	}
	return r.values(leaf, data, h.encoding, values, values-h.nulls, full)
}

// maxEntries bounds the entries of a page; the map column may have many a row.
const maxEntries = 1 << 26

func isInt(s *Segment, leaf int) bool { return leaf < len(s.columns) && s.columns[leaf].Type == Int }

// levels decodes levels, or fills in the one that all have where none are stored.
func levels(to, from []byte, n, width int, all byte) ([]byte, error) {
	if len(from) == 0 {
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
		if v.Dict = c.dict; v.Dict == nil {
			v.Dict = &noValues
		}
		return r.codesOf(leaf, data, present, full)
	case v.Type == Int && enc == format.DeltaBinaryPacked:
		r.nums, err = new(delta.BinaryPackedEncoding).DecodeInt64(slices.Grow(r.nums[:0], present), data)
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
	if v.Type == Int {
		inNanoseconds(r.nums, r.seg.columns[leaf].Unit)
		return r.spreadInts(c, present)
	}
	if v.Dict.Len() < present {
		return corrupt(path, "%d values are too few", v.Dict.Len())
	}
	r.codes = slices.Grow(r.codes[:0], present)[:present]
	for i := range r.codes {
		r.codes[i] = int32(i)
	}
	return r.spreadCodes(c, present, full)
}

// noValues is the dictionary of a column that has none.
var noValues Dict

// inNanoseconds multiplies numbers by the unit in which they are stored.
func inNanoseconds(ints []int64, unit int64) {
	if unit == 1 {
		return
	}
	for i := range ints {
		ints[i] *= unit
	}
}

// codesOf decodes the codes of a page into its dictionary. A page of which all rows
// have the same code keeps none: stored makes those of a block.
func (r *Reader) codesOf(leaf int, data []byte, present int, full byte) (err error) {
	c, path := &r.cols[leaf], r.seg.file.Name()
	v := &c.all
	known := v.Dict.Len()
	whole := present == v.Rows
	if leaf < len(r.seg.columns)-1 && (present == 0 || whole && known == 1) {
		v.Const, c.null = true, present == 0
		return nil
	}
	codes := r.codes[:0]
	if whole {
		codes = signed(v.Codes[:0]) // straight to where they belong
	}
	if present > 0 {
		if codes, err = unpackCodes(slices.Grow(codes, present+8), data, present); err != nil {
			return corrupt(path, "codes: %v", err)
		}
	}
	if len(codes) < present {
		return corrupt(path, "%d codes are too few", len(codes))
	}
	most := uint32(0)
	for _, code := range codes[:present] {
		most = max(most, uint32(code))
	}
	if present > 0 && int(most) >= known {
		return corrupt(path, "code %d of %d", most, known)
	}
	if whole {
		v.Codes, v.ints = unsigned(codes)[:present], v.ints[:0]
		return nil
	}
	r.codes = codes
	return r.spreadCodes(c, present, full)
}

// signed and unsigned give the other view of the same memory: Parquet's codes are
// signed, ours are not.
func signed(codes []uint32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(codes))), cap(codes))[:len(codes)]
}

func unsigned(codes []int32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(codes))), cap(codes))[:len(codes)]
}

// spreadCodes gives each entry of a page its code, the next of r.codes if it has a
// value. That is decided without a branch, which nobody could foretell.
func (r *Reader) spreadCodes(c *columnReader, present int, full byte) error {
	v := &c.all
	v.ints = v.ints[:0]
	v.Codes = slices.Grow(v.Codes[:0], v.Rows)[:v.Rows]
	if present == v.Rows {
		copy(v.Codes, unsigned(r.codes))
		return nil
	}
	codes := unsigned(append(r.codes[:present], 0)) // one more, which the last rows look at
	next := 0
	for i, d := range c.defs[:v.Rows] {
		has := uint32(1)
		if d != full {
			has = 0
		}
		if next >= len(codes) {
			return corrupt(r.seg.file.Name(), "more values than were counted")
		}
		v.Codes[i] = codes[next] | (has - 1)
		next += int(has)
	}
	if next != present {
		return corrupt(r.seg.file.Name(), "%d values, not %d", next, present)
	}
	return nil
}

// spreadInts does the same with numbers.
func (r *Reader) spreadInts(c *columnReader, present int) error {
	v := &c.all
	v.Codes = nil
	if len(r.nums) < present {
		return corrupt(r.seg.file.Name(), "%d numbers are too few", len(r.nums))
	}
	if present == v.Rows {
		v.ints, r.nums = r.nums[:present], v.ints[:0]
		return nil
	}
	v.ints = slices.Grow(v.ints[:0], v.Rows)[:v.Rows]
	nums := append(r.nums[:present], 0)
	next := 0
	for i, d := range c.defs[:v.Rows] {
		if next >= len(nums) {
			return corrupt(r.seg.file.Name(), "more numbers than were counted")
		}
		n, has := nums[next], int64(d&1)
		v.ints[i] = n&-has | absent&(has-1)
		next += int(has)
	}
	if next != present {
		return corrupt(r.seg.file.Name(), "%d numbers, not %d", next, present)
	}
	return nil
}

// dictionary reads the dictionary page of a leaf in the current row group.
func (r *Reader) dictionary(leaf int) error {
	md := &r.seg.meta.groups[r.group].chunks[leaf]
	path := r.seg.file.Name()
	if md.dict <= 0 {
		return corrupt(path, "no dictionary")
	}
	h, body, err := r.readPage(md.dict, md.data-md.dict)
	if err != nil {
		return err
	}
	n := h.values
	if h.kind != format.DictionaryPage || n < 0 || n > maxEntries {
		return corrupt(path, "dictionary header")
	}
	ints := isInt(r.seg, leaf)
	data, err := r.unpack(body, h.raw, md.codec == format.Zstd, !ints)
	if err != nil {
		return err
	}
	d := &Dict{}
	if ints {
		d.Ints = plainInts(nil, data)
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
	n := len(data) / 8
	to = slices.Grow(to[:0], n)[:n]
	for i := range to {
		to[i] = int64(binary.LittleEndian.Uint64(data[8*i : 8*i+8]))
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
