package columns

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/encoding/rle"
)

// same encodes n equal levels: one run, its length shifted by one, then the value.
func same(n int, level byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, 4), uint64(n)<<1), level)
}

// levels encodes repetition or definition levels, in memory of its own.
func (e *Encoder) levels(n, width int, level func(int) byte) []byte {
	e.level = sized(e.level, n)
	for i := range e.level {
		e.level[i] = level(i)
	}
	b, _ := (&rle.Encoding{BitWidth: width}).EncodeLevels(nil, e.level)
	return b
}
