package columns

import (
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// packing is how the pages of a chunk are encoded and compressed. The first page that
// is large enough to tell decides for the rest, so that it depends on the values alone.
type packing struct {
	decided  bool
	encoding format.Encoding
	way      way
}

// way is how bytes are compressed.
type way uint8

const (
	byMatches  way = iota // whatever they are
	byLiterals            // each on its own
	byNumbers             // eight bytes each, of which most are those of the number before
)

const (
	minPack   = 48   // bytes; less is not worth compressing
	minDecide = 1024 // rows
)

// Looking for matches takes several times as long as doing without. It has to save a share
// of the size: more of texts, which are long, and without a dictionary mostly random ids.
const (
	worth     = 32
	worthText = 12
)

// page writes a page in the smallest of some encodings; one without any value is plain,
// for others have a head, which DuckDB reads without asking whether there are values.
func (e *Encoder) page(ch *chunk, s pageShape, encode func(format.Encoding) []byte, encodings ...format.Encoding) error {
	if s.nulls == s.entries {
		return e.dataPage(ch, s, nil, nil, format.Plain)
	}
	p := ch.packing
	if p.decided {
		values := encode(p.encoding)
		return e.dataPage(ch, s, values, e.compress(values, p.way), p.encoding)
	}
	var values, body []byte
	var tried packing
	least := math.MaxInt
	for _, enc := range encodings {
		values = encode(enc)
		cheap := byLiterals
		if ch.meta.Type == format.Int64 && enc == format.Plain {
			cheap = byNumbers
		}
		for _, w := range [...]way{byMatches, cheap} {
			tried = packing{encoding: enc, way: w}
			body = e.compress(values, w)
			size := len(body)
			switch {
			case w != byMatches:
			case ch.meta.Type == format.ByteArray && enc != format.RLEDictionary:
				size += size / worthText
			default:
				size += size / worth
			}
			if size <= least {
				least, p = size, tried
			}
		}
	}
	if p != tried {
		values = encode(p.encoding)
		body = e.compress(values, p.way)
	}
	ch.packing = p
	ch.packing.decided = s.entries-s.nulls >= minDecide
	return e.dataPage(ch, s, values, body, p.encoding)
}

// compress gives what values are stored as: values themselves if nothing makes them smaller.
func (e *Encoder) compress(values []byte, w way) []byte {
	if e.zstd == nil || len(values) < minPack {
		return values
	}
	if packed := e.pack(values, w); len(packed) < len(values) {
		return packed
	}
	return values
}

// pack compresses values.
func (e *Encoder) pack(values []byte, w way) []byte {
	to := e.packed[:0]
	switch w {
	case byLiterals:
		e.packed = e.literals.frame(to, values)
	case byNumbers:
		if e.packed = e.literals.numbers(to, values); e.packed != nil {
			break
		}
		fallthrough
	default:
		e.packed = e.zstd.EncodeAll(values, to)
	}
	return e.packed
}
