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
	cheap    bool // by literals
}

const (
	minPack   = 48   // bytes; less is not worth compressing
	minDecide = 1024 // rows
)

// page writes a page in the smallest of some encodings. Looking for matches has to save
// a little more than nothing, since it takes several times as long.
func (e *Encoder) page(ch *chunk, s pageShape, encode func(format.Encoding) []byte, encodings ...format.Encoding) error {
	p := ch.packing
	if p.decided {
		values := encode(p.encoding)
		return e.dataPage(ch, s, values, e.compress(values, p, ch.meta.Type), p.encoding)
	}
	var values, body []byte
	var tried packing
	least := math.MaxInt
	for _, enc := range encodings {
		values = encode(enc)
		for _, cheap := range [...]bool{false, true} {
			tried = packing{encoding: enc, cheap: cheap}
			body = e.compress(values, tried, ch.meta.Type)
			size := len(body)
			if !cheap {
				size += size / 32
			}
			if size <= least {
				least, p = size, tried
			}
		}
	}
	if p != tried {
		values = encode(p.encoding)
		body = e.compress(values, p, ch.meta.Type)
	}
	ch.packing = p
	ch.packing.decided = s.entries-s.nulls >= minDecide
	return e.dataPage(ch, s, values, body, p.encoding)
}

// compress gives what values are stored as: values themselves if nothing makes them smaller.
func (e *Encoder) compress(values []byte, p packing, t format.Type) []byte {
	if e.zstd == nil || len(values) < minPack {
		return values
	}
	var packed []byte
	switch {
	case p.cheap && p.encoding == format.Plain && t == format.Int64:
		packed = e.literals.numbers(e.packed[:0], values)
	case p.cheap:
		packed = e.literals.frame(e.packed[:0], values)
	}
	if packed == nil {
		packed = e.zstd.EncodeAll(values, e.packed[:0])
	}
	if e.packed = packed; len(packed) < len(values) {
		return packed
	}
	return values
}
