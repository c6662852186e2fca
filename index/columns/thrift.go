package columns

import "encoding/binary"

// compact reads Thrift's compact protocol. After anything that is not what it should
// be, failed stays true, and what was read means nothing.
type compact struct {
	b      []byte
	at     int
	failed bool
}

// Types of the protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

func (c *compact) byte() byte {
	if c.failed || c.at >= len(c.b) {
		c.failed = true
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *compact) uvarint() uint64 {
	if !c.failed && c.at < len(c.b) && c.b[c.at] < 0x80 {
		c.at++
		return uint64(c.b[c.at-1])
	}
	if c.failed {
		return 0
	}
	n, size := binary.Uvarint(c.b[c.at:])
	if size <= 0 {
		c.failed = true
		return 0
	}
	c.at += size
	return n
}

// varint reads an i16, i32 or i64.
func (c *compact) varint() int64 {
	n := c.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// bytes reads a binary, which aliases the input.
func (c *compact) bytes() []byte {
	n := c.uvarint()
	if c.failed || n > uint64(len(c.b)-c.at) {
		c.failed = true
		return nil
	}
	c.at += int(n)
	return c.b[c.at-int(n) : c.at]
}

// list reads the head of a list. Every element takes at least a byte, so a length
// beyond the input is an error.
func (c *compact) list() (n int, typ byte) {
	head := c.byte()
	size := uint64(head >> 4)
	if size == 15 {
		size = c.uvarint()
	}
	if c.failed || size > uint64(len(c.b)-c.at) {
		c.failed = true
		return 0, 0
	}
	return int(size), head & 15
}

// fields calls f with the id and type of each field of a structure; f reads the value,
// or has skip do it.
func (c *compact) fields(f func(id int, typ byte)) {
	for id := 0; ; {
		head := c.byte()
		if c.failed || head == 0 {
			return
		}
		if delta := int(head >> 4); delta > 0 {
			id += delta
		} else {
			id = int(c.varint())
		}
		f(id, head&15)
	}
}

// maxNested bounds structures within structures that are passed over.
const maxNested = 32

func (c *compact) skip(typ byte) { c.pass(typ, 0) }

func (c *compact) pass(typ byte, depth int) {
	if depth > maxNested {
		c.failed = true
	}
	if c.failed {
		return
	}
	switch typ {
	case thriftTrue, thriftFalse:
	case thriftByte:
		c.byte()
	case thriftI16, thriftI32, thriftI64:
		c.uvarint()
	case thriftDouble:
		if len(c.b)-c.at < 8 {
			c.failed = true
			return
		}
		c.at += 8
	case thriftBinary:
		c.bytes()
	case thriftList, thriftSet:
		n, of := c.list()
		for range n {
			if of == thriftTrue || of == thriftFalse {
				c.byte() // a bool of a list is a byte of its own
			} else {
				c.pass(of, depth+1)
			}
		}
	case thriftMap:
		if n := c.uvarint(); n > uint64(len(c.b)-c.at) {
			c.failed = true
		} else if n > 0 {
			types := c.byte()
			for ; n > 0 && !c.failed; n-- {
				c.pass(types>>4, depth+1)
				c.pass(types&15, depth+1)
			}
		}
	case thriftStruct:
		c.fields(func(_ int, typ byte) { c.pass(typ, depth+1) })
	default:
		c.failed = true
	}
}
