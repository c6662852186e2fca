package parsers

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"

	"firetrail"
)

type captureKind uint8

const (
	captureUnknown captureKind = iota
	capturePcap
	capturePcapng
)

// capture walks the records of a pcap file or the blocks of a pcapng file. It
// is a Framer; what it learns from headers it learns in next, so a record must
// be handed to next before the one behind it is framed.
type capture struct {
	kind   captureKind
	order  binary.ByteOrder
	nano   bool // pcap: fractions are nanoseconds
	head   int  // pcap: bytes before a packet, 16, or 24 in the modified form of 1999
	faces  []captureFace
	limit  int  // longest record
	broken bool // a length made no sense; the rest cannot be divided
}

// captureFace is an interface of the file. A pcap file has one.
type captureFace struct {
	link   uint16
	snap   uint32
	binary bool  // ticks of 2^-power seconds, else of 10^-power
	power  uint8 // of the tick
	shift  int64 // seconds to add
}

// captured is one packet of a capture.
type captured struct {
	link uint16
	time int64 // nanoseconds since the epoch, Absent in simple packet blocks
	wire uint32
	at   int // of data in the record
	data []byte
	lost int64 // packets that a statistics block says were dropped
}

const (
	pcapMicro    = 0xa1b2c3d4
	pcapNano     = 0xa1b23c4d
	pcapModified = 0xa1b2cd34

	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockStats     = 5
	blockPacket    = 6
	sectionOrder   = 0x1a2b3c4d
)

// Frame gives the length of the record at the start of data. Where a record
// announces more than there is at the end, it gives what there is, and next
// refuses it. What cannot be divided is refused in pieces as long as the limit.
func (c *capture) Frame(data []byte, atEOF bool) int {
	n := -1
	if !c.broken {
		n = c.length(data)
	}
	if n < 0 {
		n = c.limit
	}
	switch {
	case n > 0 && n <= len(data):
		return n
	case atEOF:
		return len(data)
	}
	return 0
}

// length is that of the record data begins with: 0 if more is needed to tell,
// -1 if it cannot be one.
func (c *capture) length(data []byte) int {
	if len(data) < 4 {
		return 0
	}
	switch c.kind {
	case capturePcap:
		if len(data) < c.head {
			return 0
		}
		if n := int64(c.order.Uint32(data[8:])) + int64(c.head); n <= int64(c.limit) {
			return int(n)
		}
		return -1
	case captureUnknown:
		if order, magic := pcapMagic(data); order != nil && magic != 0 {
			return 24
		}
		if binary.BigEndian.Uint32(data) != blockSection {
			return -1
		}
	}
	return c.blockLength(data)
}

func (c *capture) blockLength(data []byte) int {
	if len(data) < 12 {
		return 0
	}
	order := c.order
	if binary.BigEndian.Uint32(data) == blockSection {
		order = sectionByteOrder(data)
	}
	if order == nil {
		return -1
	}
	n := order.Uint32(data[4:])
	if n < 12 || n%4 != 0 || n > uint32(c.limit) {
		return -1
	}
	return int(n)
}

func pcapMagic(b []byte) (binary.ByteOrder, uint32) {
	for _, order := range [...]binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch m := order.Uint32(b); m {
		case pcapMicro, pcapNano, pcapModified:
			return order, m
		}
	}
	return nil, 0
}

func sectionByteOrder(b []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(b[8:]) == sectionOrder:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(b[8:]) == sectionOrder:
		return binary.BigEndian
	}
	return nil
}

// next reads one framed record: a packet, or ErrHeader for what describes the file.
func (c *capture) next(rec []byte) (captured, error) {
	if c.broken {
		return captured{}, reject(0, "the capture cannot be divided into records behind the damaged one")
	}
	n := c.length(rec)
	switch {
	case n < 0:
		c.broken = true
		return captured{}, reject(1, "a capture's record expected: its length or magic makes no sense, the rest of the file cannot be read")
	case n == 0:
		return captured{}, reject(len(rec)+1, "the capture is cut off in the header of its last record, after %d bytes", len(rec))
	case n > len(rec):
		return captured{}, reject(len(rec)+1, "the capture is cut off: the last record has %d of %d bytes", len(rec), n)
	}
	switch c.kind {
	case capturePcap:
		return c.pcapPacket(rec)
	case captureUnknown:
		if order, magic := pcapMagic(rec); order != nil {
			return captured{}, c.pcapHeader(rec, order, magic)
		}
	}
	return c.block(rec)
}

func (c *capture) pcapHeader(rec []byte, order binary.ByteOrder, magic uint32) error {
	c.kind, c.order, c.head = capturePcap, order, 16
	c.nano = magic == pcapNano
	if magic == pcapModified {
		c.head = 24
	}
	// The upper bits of the link type hold the length of a frame check sequence.
	c.faces = append(c.faces[:0], captureFace{link: uint16(order.Uint32(rec[20:])), snap: order.Uint32(rec[16:])})
	return ErrHeader
}

func (c *capture) pcapPacket(rec []byte) (captured, error) {
	frac := int64(c.order.Uint32(rec[4:]))
	if !c.nano {
		frac *= 1000
	}
	return captured{
		link: c.faces[0].link,
		time: int64(c.order.Uint32(rec))*1e9 + frac,
		wire: c.order.Uint32(rec[12:]),
		at:   c.head,
		data: rec[c.head:],
	}, nil
}

// block reads a pcapng block, whose length Frame has checked.
func (c *capture) block(rec []byte) (captured, error) {
	if binary.BigEndian.Uint32(rec) == blockSection {
		c.kind, c.order = capturePcapng, sectionByteOrder(rec)
		c.faces = c.faces[:0]
		return captured{}, ErrHeader
	}
	kind, body := c.order.Uint32(rec), rec[8:len(rec)-4]
	if c.order.Uint32(rec[len(rec)-4:]) != uint32(len(rec)) {
		return captured{}, reject(len(rec)-3, "a pcapng block whose two lengths differ")
	}
	switch kind {
	case blockInterface:
		if len(body) < 8 {
			return captured{}, reject(1, "a pcapng interface block of %d bytes", len(rec))
		}
		c.faces = append(c.faces, c.face(body))
	case blockPacket, blockOldPacket:
		return c.packetBlock(kind, body)
	case blockSimple:
		return c.simpleBlock(body)
	case blockStats:
		return captured{lost: c.lost(body)}, ErrHeader
	}
	return captured{}, ErrHeader
}

func (c *capture) face(body []byte) captureFace {
	f := captureFace{link: c.order.Uint16(body), snap: c.order.Uint32(body[4:]), power: 6}
	c.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == 9 && len(value) == 1: // if_tsresol
			f.binary, f.power = value[0]&0x80 != 0, value[0]&0x7f
		case code == 14 && len(value) == 8: // if_tsoffset
			f.shift = int64(c.order.Uint64(value))
		}
	})
	return f
}

// lost sums isb_ifdrop and isb_osdrop of a statistics block.
func (c *capture) lost(body []byte) (n int64) {
	if len(body) < 12 {
		return 0
	}
	c.options(body[12:], func(code uint16, value []byte) {
		if (code == 5 || code == 7) && len(value) == 8 {
			n += int64(min(c.order.Uint64(value), 1<<60))
		}
	})
	return n
}

func (c *capture) options(b []byte, yield func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := c.order.Uint16(b), int(c.order.Uint16(b[2:]))
		if code == 0 || 4+n > len(b) {
			return
		}
		yield(code, b[4:4+n])
		b = b[min(4+(n+3)&^3, len(b)):]
	}
}

func (c *capture) packetBlock(kind uint32, body []byte) (captured, error) {
	if len(body) < 20 {
		return captured{}, reject(1, "a pcapng packet block of %d bytes", len(body)+12)
	}
	id := c.order.Uint32(body)
	if kind == blockOldPacket {
		id = uint32(c.order.Uint16(body))
	}
	if int64(id) >= int64(len(c.faces)) {
		return captured{}, reject(9, "a packet of interface %d, which the file does not describe", id)
	}
	n := c.order.Uint32(body[12:])
	if int64(n) > int64(len(body)-20) {
		return captured{}, reject(21, "a packet of %d bytes in a block that has room for %d", n, len(body)-20)
	}
	f := &c.faces[id]
	ticks := uint64(c.order.Uint32(body[4:]))<<32 | uint64(c.order.Uint32(body[8:]))
	return captured{
		link: f.link, time: f.moment(ticks), wire: c.order.Uint32(body[16:]),
		at: 28, data: body[20 : 20+n : 20+n],
	}, nil
}

func (c *capture) simpleBlock(body []byte) (captured, error) {
	if len(body) < 4 || len(c.faces) == 0 {
		return captured{}, reject(1, "a simple packet block without a length or an interface")
	}
	f := &c.faces[0]
	wire := c.order.Uint32(body)
	n := min(int64(wire), int64(len(body)-4))
	if f.snap > 0 {
		n = min(n, int64(f.snap))
	}
	return captured{link: f.link, time: firetrail.Absent, wire: wire, at: 12, data: body[4 : 4+n : 4+n]}, nil
}

// moment turns ticks into nanoseconds since the epoch, Absent beyond the year 2262.
func (f *captureFace) moment(ticks uint64) int64 {
	var sec, ns uint64
	switch {
	case f.binary && f.power < 64:
		sec = ticks >> f.power
		hi, lo := bits.Mul64(ticks&(1<<f.power-1), 1e9)
		ns = lo>>f.power | hi<<(64-f.power)
	case f.binary || f.power > 19:
	default:
		unit := uint64(1)
		for range f.power {
			unit *= 10
		}
		sec = ticks / unit
		hi, lo := bits.Mul64(ticks%unit, 1e9)
		ns, _ = bits.Div64(hi, lo, unit)
	}
	if sec > 9e9 || f.shift > 9e9 || f.shift < -9e9 || int64(sec)+f.shift > 9e9 || int64(sec)+f.shift < -9e9 {
		return firetrail.Absent
	}
	return (int64(sec)+f.shift)*1e9 + int64(ns)
}

// learntCapture is what the headers of a capture have said.
type learntCapture struct {
	Kind   captureKind  `json:"kind"`
	Big    bool         `json:"big,omitempty"` // byte order
	Nano   bool         `json:"nano,omitempty"`
	Head   int          `json:"head,omitempty"`
	Faces  []learntFace `json:"faces,omitempty"`
	Broken bool         `json:"broken,omitempty"`
}

type learntFace struct {
	Link   uint16 `json:"link"`
	Snap   uint32 `json:"snap,omitempty"`
	Binary bool   `json:"binary,omitempty"`
	Power  uint8  `json:"power,omitempty"`
	Shift  int64  `json:"shift,omitempty"`
}

func (c *capture) learnt() (any, error) {
	l := learntCapture{Kind: c.kind, Big: c.order == binary.BigEndian, Nano: c.nano, Head: c.head, Broken: c.broken}
	for _, f := range c.faces {
		l.Faces = append(l.Faces, learntFace{f.link, f.snap, f.binary, f.power, f.shift})
	}
	return l, nil
}

func (c *capture) relearn(data []byte) error {
	var l learntCapture
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	*c = capture{kind: l.Kind, order: binary.LittleEndian, nano: l.Nano, head: l.Head, broken: l.Broken, limit: c.limit}
	if l.Big {
		c.order = binary.BigEndian
	}
	for _, f := range l.Faces {
		c.faces = append(c.faces, captureFace{f.Link, f.Snap, f.Binary, f.Power, f.Shift})
	}
	return nil
}
