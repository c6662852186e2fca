package columns

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go/encoding/rle"
)

// same encodes n equal levels: one run, its length shifted by one, then the value.
func same(n int, level byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, 4), uint64(n)<<1), level)
}

// packCodes encodes the codes of a dictionary as RLE_DICTIONARY: the width in bits,
// then runs. Codes wider than four bits take one or two whole bytes each, in
// a single run: bits that do not begin with a byte are nothing that zstd can
// compress, and take longer to pack and unpack.
func packCodes(to []byte, codes []int32) ([]byte, error) {
	if len(codes) == 0 {
		return to, nil
	}
	most := int32(0)
	for _, c := range codes {
		most = max(most, c)
	}
	width := bits.Len32(uint32(most))
	if width <= 4 || width > 16 {
		return new(rle.DictionaryEncoding).EncodeInt32(to, codes)
	}
	groups := (len(codes) + 7) / 8 // of eight values
	run := uint64(groups)<<1 | 1
	bytes := 1
	if width > 8 {
		bytes = 2
	}
	to = binary.AppendUvarint(append(to, byte(8*bytes)), run)
	start, size := len(to), bytes*8*groups
	to = slices.Grow(to, size)[:start+size]
	body := to[start:]
	clear(body[bytes*len(codes):])
	if bytes == 1 {
		for i, c := range codes {
			body[i] = byte(c)
		}
	} else {
		for i, c := range codes {
			binary.LittleEndian.PutUint16(body[2*i:], uint16(c))
		}
	}
	return to, nil
}

// unpackCodes decodes what packCodes, or another writer, encoded.
func unpackCodes(to []int32, data []byte, n int) ([]int32, error) {
	if len(data) > 1 && (data[0] == 8 || data[0] == 16) {
		run, k := binary.Uvarint(data[1:])
		size := n * int(data[0]) / 8
		if k > 0 && run&1 == 1 && run>>1 >= uint64(n+7)/8 && len(data)-1-k >= size {
			body := data[1+k : 1+k+size]
			if data[0] == 8 {
				to = slices.Grow(to, n)[:n]
				for i, c := range body[:len(to)] {
					to[i] = int32(c)
				}
				return to, nil
			}
			to = slices.Grow(to, n)[:n]
			for i := range to {
				to[i] = int32(binary.LittleEndian.Uint16(body[2*i : 2*i+2]))
			}
			return to, nil
		}
	}
	return new(rle.DictionaryEncoding).DecodeInt32(to, data)
}
