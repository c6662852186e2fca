package parsers

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"unsafe"

	"firetrail"
)

// text views b as a string without copying. It is sound because the memory of
// records and of arenas is never written after it was filled.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// eightOf gives a word whose bytes are all c.
func eightOf(c byte) uint64 { return 0x0101010101010101 * uint64(c) }

// bytesEqual looks at the first eight bytes of b with one word: the result has the
// top bit of each byte that is c, and no other.
func bytesEqual(b []byte, c byte) uint64 {
	return zeroBytes(binary.LittleEndian.Uint64(b) ^ eightOf(c))
}

// zeroBytes has the top bit of each byte of x that is 0, and no other.
func zeroBytes(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((x&low + low) | x | low)
}

// trimRight drops blanks and carriage returns from the end of b.
func trimRight(b []byte) []byte {
	n := len(b)
	for n > 0 && (b[n-1] == ' ' || b[n-1] == '\t' || b[n-1] == '\r') {
		n--
	}
	return b[:n]
}

// number reads a plain decimal number that fills b: digits only, no sign.
func number(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

const zeroDigits = 0x3030303030303030 // "00000000"

// eightDigits is the number whose digits are the bytes of w, the first one in the
// lowest byte. Each step joins neighbours to digits of a base that is its square.
func eightDigits(w uint64) int64 {
	w = w * (10<<8 + 1) >> 8 & 0x00ff00ff00ff00ff
	w = w * (100<<16 + 1) >> 16 & 0x0000ffff0000ffff
	return int64(w * (10000<<32 + 1) >> 32)
}

// numberAt reads the number at i, of at most 18 digits. end is behind it, or -1
// where there is none, and n is firetrail.Absent then.
func numberAt(b []byte, i int) (n int64, end int) {
	w := eightAt(b, i) ^ zeroDigits
	k := digitBits(w)
	if k == 0 {
		return firetrail.Absent, -1
	}
	if k < 64 {
		return eightDigits(w << (-k & 63)), i + k>>3
	}
	n = eightDigits(w)
	for end = i + 8; end < len(b) && b[end]-'0' <= 9; end++ {
		if end == i+18 {
			return firetrail.Absent, -1
		}
		n = n*10 + int64(b[end]-'0')
	}
	return n, end
}

// eightAt gives the eight bytes at i as a word, zeros for those behind b.
func eightAt(b []byte, i int) uint64 {
	if i >= 0 && i <= len(b)-8 {
		return binary.LittleEndian.Uint64(b[i : i+8])
	}
	return lastAt(b, i)
}

// lastAt is eightAt where b has less than eight bytes more.
func lastAt(b []byte, i int) (w uint64) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b[len(b)-8:]) >> (64 - 8*uint(len(b)-i))
	}
	for k := len(b) - 1; k >= i; k-- {
		w = w<<8 | uint64(b[k])
	}
	return w
}

// digitBits is how many of the low bits of w are bytes of at most 9.
func digitBits(w uint64) int {
	return bits.TrailingZeros64((w|(w+0x7676767676767676))&0x8080808080808080) &^ 7
}

// portAt is numberAt for a port number.
func portAt(b []byte, i int) (n int64, end int) {
	n, end = numberAt(b, i)
	if n > 65535 || end > i+5 {
		return firetrail.Absent, -1
	}
	return n, end
}

// indexFrom returns the position of the first c from i on, or the length of b.
func indexFrom(b []byte, i int, c byte) int {
	eight := eightOf(c)
	for ; i <= len(b)-8; i += 8 {
		if t := zeroBytes(binary.LittleEndian.Uint64(b[i:i+8]) ^ eight); t != 0 {
			return i + bits.TrailingZeros64(t)>>3
		}
	}
	for i < len(b) && b[i] != c {
		i++
	}
	return i
}

// port reads a port number.
func port(b []byte) (n int64, ok bool) {
	n, ok = number(b)
	return n, ok && len(b) <= 5 && n <= 65535
}

// address reads an IPv4 or IPv6 address without a zone.
func address(b []byte) (netip.Addr, bool) {
	if ip, end := address4(b, 0); end == len(b) {
		return ip, true
	}
	return address6(b)
}

// address4 reads the IPv4 address at i, four numbers up to 255 without zeros in
// front; end is behind the last one, or -1 where there is none. It has no branch for
// how long a number is: that cannot be foreseen.
func address4(b []byte, i int) (ip netip.Addr, end int) {
	var a [4]byte
	for part := range a {
		w := uint32(eightAt(b, i) ^ zeroDigits)
		other := (w | (w + 0x76767676)) & 0x80808080
		if other == 0 {
			return netip.Addr{}, -1
		}
		k := bits.TrailingZeros32(other) // 7 more than the bits of the digits
		w = w << ((39 - k) & 31) * (10<<8 + 1) >> 8 & 0x00ff00ff
		value := w&0xff*100 + w>>16
		if value > 255 || value < least[k>>3&3] {
			return netip.Addr{}, -1
		}
		a[part] = byte(value)
		if i += k >> 3; part == 3 {
			break
		}
		if i >= len(b) || b[i] != '.' {
			return netip.Addr{}, -1
		}
		i++
	}
	return netip.AddrFrom4(a), i
}

// least has the least number of so many digits without a zero in front, and for no
// digits one that fails.
var least = [4]uint32{256, 0, 10, 100}

func address6(b []byte) (netip.Addr, bool) {
	if len(b) < 2 || len(b) > 45 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text(b))
	if err != nil || a.Zone() != "" || a.Is4() {
		return netip.Addr{}, false
	}
	return a, true
}
