package columns

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/huff0"
)

// literals writes frames of zstd (RFC 8878) without looking for matches, which is most
// of the work of compressing, and in random ids and counts finds next to nothing.
type literals struct {
	huff huff0.Scratch
	low  []byte
}

// Types of blocks and of the literals in them, RFC 8878, 3.1.1.2.2 and 3.1.1.3.1.1.
const (
	raw = iota
	single
	coded
)

const (
	maxBlock  = 128 << 10
	maxStream = 1 << 10 // literals from which four streams are made
)

// frame appends a frame in which each byte is Huffman-coded.
func (l *literals) frame(to, src []byte) []byte {
	to = frameHeader(to, len(src))
	for len(src) > maxBlock {
		to = l.block(to, src[:maxBlock], 0)
		src = src[maxBlock:]
	}
	return l.block(to, src, 1)
}

// frameHeader is that of a single segment, whose size follows at once.
func frameHeader(to []byte, size int) []byte {
	const segment = 1 << 5
	to = append(to, 0x28, 0xb5, 0x2f, 0xfd)
	switch {
	case size < 256:
		return append(to, segment, byte(size))
	case size < 256+1<<16:
		return binary.LittleEndian.AppendUint16(append(to, segment|1<<6), uint16(size-256))
	}
	return binary.LittleEndian.AppendUint32(append(to, segment|2<<6), uint32(size))
}

func blockHeader(to []byte, last, kind, size int) []byte {
	h := last | kind<<1 | size<<3
	return append(to, byte(h), byte(h>>8), byte(h>>16))
}

// block appends a block of literals only.
func (l *literals) block(to, src []byte, last int) []byte {
	if len(src) > 1 && bytes.Equal(src[1:], src[:len(src)-1]) {
		return append(blockHeader(to, last, single, len(src)), src[0])
	}
	start := len(to)
	to = append(l.section(blockHeader(to, 0, 0, 0), src), 0) // no sequences
	if size := len(to) - start - 3; size < len(src) {
		blockHeader(to[:start], last, coded, size)
		return to
	}
	return append(blockHeader(to[:start], last, raw, len(src)), src...)
}

// section appends a literals section: sizes, then a table and codes, or src itself.
func (l *literals) section(to, src []byte) []byte {
	l.huff.Reuse = huff0.ReusePolicyNone
	code := huff0.Compress4X
	if len(src) < maxStream {
		code = huff0.Compress1X
	}
	out, _, err := code(src, &l.huff)
	n, m := uint64(len(src)), uint64(len(out))
	switch {
	case err != nil && n < 32:
		to = append(to, byte(raw|n<<3))
	case err != nil && n < 1<<12:
		to = binary.LittleEndian.AppendUint16(to, uint16(raw|1<<2|n<<4))
	case err != nil:
		to = append(to, byte(raw|3<<2|n<<4), byte(n>>4), byte(n>>12))
	case n < maxStream:
		h := coded | n<<4 | m<<14
		to = append(to, byte(h), byte(h>>8), byte(h>>16))
	case n < 1<<14:
		to = binary.LittleEndian.AppendUint32(to, uint32(coded|2<<2|n<<4|m<<18))
	default:
		to = binary.LittleEndian.AppendUint32(to, uint32(coded|3<<2|n<<4|m<<22))
		to = append(to, byte(m>>10))
	}
	if err != nil {
		return append(to, src...)
	}
	return append(to, out...)
}

// minMatch is the shortest match of the format.
const minMatch = 3

// numbers appends a frame of numbers of eight bytes, lowest first, whose highest bytes are
// those of the number before: mostly zeros. Each number is a sequence of the same few
// literals and the same match eight bytes back, which the format can say for all of them
// in three bytes. It returns nil if fewer high bytes than a match has are the same.
func (l *literals) numbers(to, src []byte) []byte {
	n := len(src) / 8
	if n < 8 || len(src) > maxBlock {
		return nil
	}
	first, differ := binary.LittleEndian.Uint64(src), uint64(0)
	l.low = sized(l.low, len(src)+8)
	for i := 8; i+8 <= len(src); i += 8 {
		differ |= binary.LittleEndian.Uint64(src[i:]) ^ first
	}
	low := (bits.Len64(differ) + 7) / 8
	if low == 0 || 8-low < minMatch {
		return nil
	}
	at := 0
	for i := 16; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(l.low[at:], binary.LittleEndian.Uint64(src[i:]))
		at += low
	}
	to = frameHeader(to, len(src))
	// The first two numbers have a block of their own: after it, eight bytes back is
	// the latest distance, which takes no bits to say. At the start of a frame it is the third.
	start := len(to)
	to = append(blockHeader(to, 0, 0, 0), byte(raw|(8+low)<<3))
	to = append(to, src[:8+low]...)
	to = sequences(to, 1, 8+low, 1, 8-low, 3)
	blockHeader(to[:start], 0, coded, len(to)-start-3)
	start = len(to)
	to = l.section(blockHeader(to, 0, 0, 0), l.low[:at])
	to = sequences(to, n-2, low, 0, 8-low, 1)
	size := len(to) - start - 3
	if size >= len(src)-16 {
		return nil
	}
	blockHeader(to[:start], 1, coded, size)
	return to
}

// sequences appends a section of n equal sequences: the codes of their literals, distance
// and match are given once, and the bits of each are those of the last byte.
func sequences(to []byte, n, literals, distance, match int, last byte) []byte {
	if n < 128 {
		to = append(to, byte(n))
	} else {
		to = append(to, byte(128+n>>8), byte(n))
	}
	const modes = single<<6 | single<<4 | single<<2
	return append(to, modes, byte(literals), byte(distance), byte(match-minMatch), last)
}
