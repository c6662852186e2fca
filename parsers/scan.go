package parsers

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"unsafe"
)

// text views b as a string without copying. It is sound because the memory of
// records and of arenas is never written after it was filled.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// bytesEqual looks at the first eight bytes of b with one word: the result has the
// top bit of each byte that is c, and no other.
func bytesEqual(b []byte, c byte) uint64 {
	const ones, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	x := binary.LittleEndian.Uint64(b) ^ ones*uint64(c)
	return ^((x&low + low) | x | low)
}

// blankAt is where the next blank stands in b, from position i on; len(b) if there is none.
func blankAt(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if t := bytesEqual(b[i:], ' '); t != 0 {
			return i + bits.TrailingZeros64(t)/8
		}
	}
	for i < len(b) && b[i] != ' ' {
		i++
	}
	return i
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

// port reads a port number.
func port(b []byte) (n int64, ok bool) {
	n, ok = number(b)
	return n, ok && len(b) <= 5 && n <= 65535
}

// address reads an IPv4 or IPv6 address without a zone.
func address(b []byte) (netip.Addr, bool) {
	var q uint32
	i := 0
	for part := 0; i < len(b) && b[i]-'0' <= 9; part++ {
		n := uint32(b[i] - '0')
		i++
		// A leading zero would mean octal to some readers.
		if i < len(b) && b[i]-'0' <= 9 && n > 0 {
			n = n*10 + uint32(b[i]-'0')
			i++
			if i < len(b) && b[i]-'0' <= 9 {
				n = n*10 + uint32(b[i]-'0')
				i++
			}
		}
		q = q<<8 | n
		switch {
		case n > 255:
			return address6(b)
		case part == 3 && i == len(b):
			return netip.AddrFrom4([4]byte{byte(q >> 24), byte(q >> 16), byte(q >> 8), byte(q)}), true
		case part == 3 || i == len(b) || b[i] != '.':
			return address6(b)
		}
		i++
	}
	return address6(b)
}

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
