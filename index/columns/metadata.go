package columns

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"
)

// What a reader needs of Parquet's metadata. It is decoded by hand, into as little
// memory as that takes: decoding by reflection is most of the time of a search that
// looks at a few rows of many segments.

// fileMeta is a footer.
type fileMeta struct {
	rows   int64
	schema []schemaElement
	groups []groupMeta
	pairs  []pair
}

type schemaElement struct {
	name   string
	typ    format.Type // -1 for a group
	nested bool
	unit   int64 // of times, nanoseconds; 1 for all else
}

type pair struct{ key, value string }

type groupMeta struct {
	rows   int64
	chunks []chunkMeta
}

// chunkMeta is a column of a row group.
type chunkMeta struct {
	codec        format.CompressionCodec
	data, dict   int64 // offsets of the first data page and of the dictionary, 0 without
	nulls        int64
	bloom        int64 // offset, 0 without
	offsets      int64 // of the index that says where its pages are
	bounds       int64 // of the index that says what they hold
	offsetsBytes int32
	boundsBytes  int32
}

// pageHeader is the header of a data page of version 2 or of a dictionary.
type pageHeader struct {
	kind         format.PageType
	raw, stored  int // sizes, without and with compression
	crc          uint32
	values       int
	nulls, rows  int
	encoding     format.Encoding
	defs, reps   int // bytes of levels
	uncompressed bool
}

// decodeFooter reads a FileMetaData.
func decodeFooter(b []byte) (m fileMeta, ok bool) {
	c := compact{b: b}
	c.fields(func(id int, typ byte) {
		switch id {
		case 2:
			n, _ := c.list()
			m.schema = make([]schemaElement, n)
			for i := range m.schema {
				m.schema[i] = c.element()
			}
		case 3:
			m.rows = c.varint()
		case 4:
			n, _ := c.list()
			m.groups = make([]groupMeta, n)
			for i := range m.groups {
				m.groups[i] = c.group()
			}
		case 5:
			n, _ := c.list()
			m.pairs = make([]pair, n)
			for i := range m.pairs {
				m.pairs[i] = c.pair()
			}
		default:
			c.skip(typ)
		}
	})
	return m, !c.failed
}

func (c *compact) element() schemaElement {
	e := schemaElement{typ: -1, unit: 1}
	c.fields(func(id int, typ byte) {
		switch id {
		case 1:
			e.typ = format.Type(c.varint())
		case 4:
			e.name = string(c.bytes())
		case 5:
			e.nested = c.varint() > 0
		case 10:
			c.fields(func(id int, typ byte) {
				if id == 8 {
					e.unit = c.unit()
				} else {
					c.skip(typ)
				}
			})
		default:
			c.skip(typ)
		}
	})
	return e
}

// unit reads the unit of a TimestampType, in nanoseconds.
func (c *compact) unit() int64 {
	unit := int64(1)
	c.fields(func(id int, typ byte) {
		if id != 2 {
			c.skip(typ)
			return
		}
		c.fields(func(id int, typ byte) {
			switch id {
			case 1:
				unit = 1e6
			case 2:
				unit = 1e3
			}
			c.skip(typ)
		})
	})
	return unit
}

func (c *compact) pair() (p pair) {
	c.fields(func(id int, typ byte) {
		switch id {
		case 1:
			p.key = string(c.bytes())
		case 2:
			p.value = string(c.bytes())
		default:
			c.skip(typ)
		}
	})
	return p
}

func (c *compact) group() (g groupMeta) {
	c.fields(func(id int, typ byte) {
		switch id {
		case 1:
			n, _ := c.list()
			g.chunks = make([]chunkMeta, n)
			for i := range g.chunks {
				c.chunk(&g.chunks[i])
			}
		case 3:
			g.rows = c.varint()
		default:
			c.skip(typ)
		}
	})
	return g
}

// chunk reads a ColumnChunk with its ColumnMetaData.
func (c *compact) chunk(m *chunkMeta) {
	c.fields(func(id int, typ byte) {
		switch id {
		case 3:
			c.fields(func(id int, typ byte) { c.column(m, id, typ) })
		case 4:
			m.offsets = c.varint()
		case 5:
			m.offsetsBytes = int32(c.varint())
		case 6:
			m.bounds = c.varint()
		case 7:
			m.boundsBytes = int32(c.varint())
		default:
			c.skip(typ)
		}
	})
}

func (c *compact) column(m *chunkMeta, id int, typ byte) {
	switch id {
	case 4:
		m.codec = format.CompressionCodec(c.varint())
	case 9:
		m.data = c.varint()
	case 11:
		m.dict = c.varint()
	case 12:
		c.fields(func(id int, typ byte) {
			if id == 3 {
				m.nulls = c.varint()
			} else {
				c.skip(typ)
			}
		})
	case 14:
		m.bloom = c.varint()
	default:
		c.skip(typ)
	}
}

// pageIndex is where the pages of a column chunk lie, and the bounds of each.
type pageIndex struct {
	pages   []pagePlace
	bounded bool // bounds were written
	bounds  []pageBounds
}

type pagePlace struct {
	offset int64
	size   int64
	first  int // row within the row group
}

// pageBounds are the smallest and the largest number of a page.
type pageBounds struct {
	null      bool // no row has a value
	known     bool
	low, high int64
}

// decodeOffsets reads an OffsetIndex.
func decodeOffsets(b []byte, x *pageIndex) (ok bool) {
	c := compact{b: b}
	c.fields(func(id int, typ byte) {
		if id != 1 {
			c.skip(typ)
			return
		}
		n, _ := c.list()
		x.pages = make([]pagePlace, n)
		for i := range x.pages {
			p := &x.pages[i]
			c.fields(func(id int, typ byte) {
				switch id {
				case 1:
					p.offset = c.varint()
				case 2:
					p.size = c.varint()
				case 3:
					p.first = int(c.varint())
				default:
					c.skip(typ)
				}
			})
		}
	})
	return !c.failed
}

// decodeBounds reads a ColumnIndex; offsets have been read.
func decodeBounds(b []byte, x *pageIndex) (ok bool) {
	c := compact{b: b}
	x.bounds, x.bounded = make([]pageBounds, len(x.pages)), true
	lows, highs := 0, 0
	c.fields(func(id int, typ byte) {
		switch id {
		case 1:
			n, _ := c.list()
			c.failed = c.failed || n != len(x.pages)
			for i := 0; i < n && !c.failed; i++ {
				v := c.byte()
				x.bounds[i].null = v != 0 && v != thriftFalse
			}
		case 2, 3:
			n, _ := c.list()
			c.failed = c.failed || n != len(x.pages)
			for i := 0; i < n && !c.failed; i++ {
				v := c.bytes()
				if len(v) != 8 {
					continue
				}
				if id == 2 {
					x.bounds[i].low = int64(binary.LittleEndian.Uint64(v))
					lows++
				} else {
					x.bounds[i].high, x.bounds[i].known = int64(binary.LittleEndian.Uint64(v)), true
					highs++
				}
			}
		default:
			c.skip(typ)
		}
	})
	return !c.failed && lows == highs
}

// decodePage reads a PageHeader at the start of b and says how long it is.
func decodePage(b []byte) (h pageHeader, n int, ok bool) {
	c := compact{b: b}
	h.kind = -1
	c.fields(func(id int, typ byte) {
		switch id {
		case 1:
			h.kind = format.PageType(c.varint())
		case 2:
			h.raw = int(c.varint())
		case 3:
			h.stored = int(c.varint())
		case 4:
			h.crc = uint32(c.varint())
		case 7:
			c.fields(func(id int, typ byte) {
				if id == 1 {
					h.values = int(c.varint())
				} else {
					c.skip(typ)
				}
			})
		case 8:
			c.fields(func(id int, typ byte) { c.dataPage(&h, id, typ) })
		default:
			c.skip(typ)
		}
	})
	return h, c.at, !c.failed
}

// dataPage reads a field of a DataPageHeaderV2.
func (c *compact) dataPage(h *pageHeader, id int, typ byte) {
	switch id {
	case 1:
		h.values = int(c.varint())
	case 2:
		h.nulls = int(c.varint())
	case 3:
		h.rows = int(c.varint())
	case 4:
		h.encoding = format.Encoding(c.varint())
	case 5:
		h.defs = int(c.varint())
	case 6:
		h.reps = int(c.varint())
	case 7:
		h.uncompressed = typ == thriftFalse
	default:
		c.skip(typ)
	}
}

// decodeBloom reads a BloomFilterHeader: the bytes of the filter, and of the header.
func decodeBloom(b []byte) (bytes, n int, ok bool) {
	c := compact{b: b}
	c.fields(func(id int, typ byte) {
		if id == 1 {
			bytes = int(c.varint())
		} else {
			c.skip(typ)
		}
	})
	return bytes, c.at, !c.failed
}
