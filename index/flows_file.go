package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"slices"

	"firetrail"

	"github.com/klauspost/compress/zstd"
)

// A file of flows begins with flowMagic; then come frames of at most frameFlows flows in key order, and an empty frame. A frame is
// the lengths of its content unpacked and packed, the CRC-32 of the packed bytes
// (each uint32, little endian), and the content packed by zstd. The content has
// the number of flows, a table of texts, and then column after column.
const (
	flowMagic  = "FTflow1\n"
	frameFlows = 1024
	maxFrame   = 64 << 20
)

var errFlows = errors.New("flows are damaged")

// flowWriter writes flows that come in key order. It packs a frame on a goroutine of its
// own while the next one is filled. settle ends that.
type flowWriter struct {
	w     io.Writer
	zstd  *zstd.Encoder
	next  []firetrail.Flow // the frame that is being filled
	packs chan error       // tells how packing the frame before ended, nil before the first

	frame  []firetrail.Flow // being packed
	text   map[string]uint64
	last   string // the text before, which is mostly the next one too
	lastID uint64
	table  []byte
	body   []byte
	packed []byte
}

func newFlowWriter(w io.Writer, z *zstd.Encoder) (*flowWriter, error) {
	if _, err := io.WriteString(w, flowMagic); err != nil {
		return nil, fmt.Errorf("write flows: %w", err)
	}
	return &flowWriter{w: w, zstd: z, text: map[string]uint64{}}, nil
}

// add takes the next flow, which it copies but for its lists.
func (w *flowWriter) add(f *firetrail.Flow) error {
	w.next = append(w.next, *f)
	if len(w.next) == frameFlows {
		return w.flush()
	}
	return nil
}

// close writes what is left and the end mark.
func (w *flowWriter) close() error {
	if len(w.next) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := w.settle(); err != nil {
		return err
	}
	if _, err := w.w.Write(make([]byte, 12)); err != nil {
		return fmt.Errorf("write flows: %w", err)
	}
	return nil
}

// flush has the frame packed and written that has been filled.
func (w *flowWriter) flush() error {
	if err := w.settle(); err != nil {
		return err
	}
	w.frame, w.next = w.next, w.frame[:0]
	done := make(chan error, 1)
	w.packs = done
	go func() { done <- w.pack() }()
	return nil
}

// settle waits until nothing is being packed.
func (w *flowWriter) settle() error {
	if w.packs == nil {
		return nil
	}
	err := <-w.packs
	w.packs = nil
	return err
}

// pack packs and writes a frame.
func (w *flowWriter) pack() error {
	clear(w.text)
	w.table, w.body = w.table[:0], w.body[:0]
	fs := w.frame
	w.addrs(func(f *firetrail.Flow) netip.Addr { return f.SrcIP })
	w.addrs(func(f *firetrail.Flow) netip.Addr { return f.DstIP })
	for _, get := range [...]func(*firetrail.Flow) string{
		func(f *firetrail.Flow) string { return f.Proto },
		func(f *firetrail.Flow) string { return f.Action },
		func(f *firetrail.Flow) string { return f.Sensor },
		func(f *firetrail.Flow) string { return f.Kind },
	} {
		for i := range fs {
			w.string(get(&fs[i]))
		}
	}
	for _, column := range flowNumbers {
		unit := flowUnit(fs, column)
		w.body = binary.AppendUvarint(w.body, uint64(unit))
		for i := range fs {
			w.number(column.get(&fs[i]), unit)
		}
	}
	for which := range 5 {
		for i := range fs {
			list := *nameList(&fs[i], which)
			w.body = binary.AppendUvarint(w.body, uint64(len(list)))
			for _, s := range list {
				w.string(s)
			}
		}
	}
	for i := range fs {
		more := byte(0)
		if fs[i].More {
			more = 1
		}
		w.body = append(w.body, more)
	}
	head := binary.AppendUvarint(nil, uint64(len(fs)))
	head = binary.AppendUvarint(head, uint64(len(w.text)))
	plain := slices.Concat(head, w.table, w.body)
	w.packed = w.zstd.EncodeAll(plain, append(w.packed[:0], make([]byte, 12)...))
	binary.LittleEndian.PutUint32(w.packed, uint32(len(plain)))
	binary.LittleEndian.PutUint32(w.packed[4:], uint32(len(w.packed)-12))
	binary.LittleEndian.PutUint32(w.packed[8:], crc32.ChecksumIEEE(w.packed[12:]))
	if _, err := w.w.Write(w.packed); err != nil {
		return fmt.Errorf("write flows: %w", err)
	}
	return nil
}

// flowNumber is a column of numbers; those that follow from another are kept as
// the difference to it (First and Last are both Absent or neither).
type flowNumber struct {
	get func(*firetrail.Flow) int64
	set func(*firetrail.Flow, int64)
}

var flowNumbers = [...]flowNumber{
	{func(f *firetrail.Flow) int64 { return f.DstPort }, func(f *firetrail.Flow, n int64) { f.DstPort = n }},
	{func(f *firetrail.Flow) int64 { return f.Events }, func(f *firetrail.Flow, n int64) { f.Events = n }},
	{func(f *firetrail.Flow) int64 { return f.Failed }, func(f *firetrail.Flow, n int64) { f.Failed = n }},
	{func(f *firetrail.Flow) int64 { return f.BytesOut }, func(f *firetrail.Flow, n int64) { f.BytesOut = n }},
	{func(f *firetrail.Flow) int64 { return f.BytesIn }, func(f *firetrail.Flow, n int64) { f.BytesIn = n }},
	{func(f *firetrail.Flow) int64 { return f.PacketsOut }, func(f *firetrail.Flow, n int64) { f.PacketsOut = n }},
	{func(f *firetrail.Flow) int64 { return f.PacketsIn }, func(f *firetrail.Flow, n int64) { f.PacketsIn = n }},
	{func(f *firetrail.Flow) int64 { return f.First }, func(f *firetrail.Flow, n int64) { f.First = n }},
	{func(f *firetrail.Flow) int64 { return f.Last - f.First }, func(f *firetrail.Flow, n int64) { f.Last = f.First + n }},
	{func(f *firetrail.Flow) int64 { return f.Duration }, func(f *firetrail.Flow, n int64) { f.Duration = n }},
	{func(f *firetrail.Flow) int64 { return f.Duration - f.Longest }, func(f *firetrail.Flow, n int64) { f.Longest = f.Duration - n }},
	{func(f *firetrail.Flow) int64 { return f.SrcPorts }, func(f *firetrail.Flow, n int64) { f.SrcPorts = n }},
}

// flowUnit is the largest power of 1000 that divides all numbers of a column:
// most sensors write micro- or milliseconds.
func flowUnit(fs []firetrail.Flow, c flowNumber) int64 {
	unit := int64(1e9)
	for i := range fs {
		for n := c.get(&fs[i]); n != firetrail.Absent && n%unit != 0; {
			if unit /= 1000; unit == 1 {
				return 1
			}
		}
	}
	return unit
}

// number appends n/unit; 0 is Absent.
func (w *flowWriter) number(n, unit int64) {
	if n == firetrail.Absent {
		w.body = append(w.body, 0)
		return
	}
	n /= unit
	w.body = binary.AppendUvarint(w.body, (uint64(n)<<1^uint64(n>>63))+1)
}

// string appends the number of a text of the table.
func (w *flowWriter) string(s string) {
	if s == w.last && len(w.text) > 0 {
		w.body = binary.AppendUvarint(w.body, w.lastID)
		return
	}
	id, ok := w.text[s]
	if !ok {
		id = uint64(len(w.text))
		w.text[s] = id
		w.table = binary.AppendUvarint(w.table, uint64(len(s)))
		w.table = append(w.table, s...)
	}
	w.last, w.lastID = s, id
	w.body = binary.AppendUvarint(w.body, id)
}

// addrs appends a column of addresses: 0 for the one before, 1 for none, the difference
// to an IPv4 address before it and 2 (mostly small, since flows are sorted), or
// text.
func (w *flowWriter) addrs(get func(*firetrail.Flow) netip.Addr) {
	var last netip.Addr
	for i := range w.frame {
		a := get(&w.frame[i])
		switch {
		case i > 0 && a == last:
			w.body = append(w.body, 0)
		case !a.IsValid():
			w.body = append(w.body, 1)
		case a.Is4():
			w.body = append(w.body, 2)
			b := a.As4()
			n := binary.BigEndian.Uint32(b[:])
			if last.Is4() {
				l := last.As4()
				n -= binary.BigEndian.Uint32(l[:])
			}
			w.body = binary.AppendUvarint(w.body, uint64(n))
		default:
			w.body = append(w.body, 3)
			w.string(a.String())
		}
		last = a
	}
}

// flowReader reads a file of flows.
type flowReader struct {
	r     *bufio.Reader
	name  string
	zstd  *zstd.Decoder
	buf   []byte
	plain []byte
	frame []firetrail.Flow
	at    int
	done  bool
}

func newFlowReader(r io.Reader, name string) (*flowReader, error) {
	fr := &flowReader{r: bufio.NewReaderSize(r, 32<<10), name: name}
	head := make([]byte, len(flowMagic))
	if _, err := io.ReadFull(fr.r, head); err != nil || string(head) != flowMagic {
		return nil, fr.damaged("no flows")
	}
	var err error
	fr.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	return fr, err
}

func (r *flowReader) damaged(what string) error {
	return fmt.Errorf("%s: %w: %s", r.name, errFlows, what)
}

// next gives the next flow, valid until the next call; io.EOF after the last.
func (r *flowReader) next() (*firetrail.Flow, error) {
	if r.at == len(r.frame) {
		if err := r.load(); err != nil {
			return nil, err
		}
	}
	r.at++
	return &r.frame[r.at-1], nil
}

// load reads a frame.
func (r *flowReader) load() error {
	if r.done {
		return io.EOF
	}
	var head [12]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return r.damaged("cut off")
	}
	size, packed := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if size == 0 {
		r.done = true
		return io.EOF
	}
	if size > maxFrame || packed > maxFrame {
		return r.damaged("frame too large")
	}
	r.buf = slices.Grow(r.buf[:0], int(packed))[:packed]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return r.damaged("cut off")
	}
	if crc32.ChecksumIEEE(r.buf) != binary.LittleEndian.Uint32(head[8:]) {
		return r.damaged("checksum of a frame")
	}
	var err error
	if r.plain, err = r.zstd.DecodeAll(r.buf, r.plain[:0]); err != nil || len(r.plain) != int(size) {
		return r.damaged("frame does not unpack")
	}
	d := flowDecoder{b: r.plain}
	r.frame, r.at = d.frame(r.frame[:0]), 0
	if d.bad || len(r.frame) == 0 {
		return r.damaged("frame content")
	}
	return nil
}

// flowDecoder decodes the content of a frame. A frame that makes no sense sets
// bad; the checksum has made that unlikely.
type flowDecoder struct {
	b     []byte
	texts []string
	bad   bool
}

func (d *flowDecoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most are small
		n := d.b[0]
		d.b = d.b[1:]
		return uint64(n)
	}
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *flowDecoder) frame(fs []firetrail.Flow) []firetrail.Flow {
	n, texts := d.uvarint(), d.uvarint()
	if n > frameFlows || texts > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	for range texts {
		size := d.uvarint()
		if size > uint64(len(d.b)) {
			d.bad = true
			return nil
		}
		d.texts = append(d.texts, string(d.b[:size]))
		d.b = d.b[size:]
	}
	fs = slices.Grow(fs, int(n))[:n]
	for i := range fs {
		fs[i] = firetrail.Flow{}
	}
	d.addrs(fs, func(f *firetrail.Flow) *netip.Addr { return &f.SrcIP })
	d.addrs(fs, func(f *firetrail.Flow) *netip.Addr { return &f.DstIP })
	for _, get := range [...]func(*firetrail.Flow) *string{
		func(f *firetrail.Flow) *string { return &f.Proto },
		func(f *firetrail.Flow) *string { return &f.Action },
		func(f *firetrail.Flow) *string { return &f.Sensor },
		func(f *firetrail.Flow) *string { return &f.Kind },
	} {
		for i := range fs {
			*get(&fs[i]) = d.text()
		}
	}
	for _, column := range flowNumbers {
		unit := int64(d.uvarint())
		for i := range fs {
			column.set(&fs[i], d.number(unit))
		}
	}
	for which := range 5 {
		for i := range fs {
			count := d.uvarint()
			if count > firetrail.MaxNames {
				d.bad = true
				return nil
			}
			for range count {
				list := nameList(&fs[i], which)
				*list = append(*list, d.text())
			}
		}
	}
	if len(d.b) != len(fs) {
		d.bad = true
		return nil
	}
	for i := range fs {
		fs[i].More = d.b[i] == 1
	}
	return fs
}

func (d *flowDecoder) text() string {
	id := d.uvarint()
	if id >= uint64(len(d.texts)) {
		d.bad = true
		return ""
	}
	return d.texts[id]
}

func (d *flowDecoder) number(unit int64) int64 {
	n := d.uvarint()
	if n == 0 {
		return firetrail.Absent
	}
	n--
	return (int64(n>>1) ^ -int64(n&1)) * unit
}

func (d *flowDecoder) addrs(fs []firetrail.Flow, get func(*firetrail.Flow) *netip.Addr) {
	var last netip.Addr
	for i := range fs {
		switch d.uvarint() {
		case 0:
		case 1:
			last = netip.Addr{}
		case 2:
			n := uint32(d.uvarint())
			if last.Is4() {
				l := last.As4()
				n += binary.BigEndian.Uint32(l[:])
			}
			last = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
		default:
			a, err := netip.ParseAddr(d.text())
			d.bad = d.bad || err != nil
			last = a
		}
		*get(&fs[i]) = last
	}
}

// cloneFlow copies a flow so that nothing of it is shared.
func cloneFlow(f *firetrail.Flow) firetrail.Flow {
	c := *f
	for which := range 5 {
		list := nameList(&c, which)
		*list = slices.Clone(*list)
	}
	return c
}
