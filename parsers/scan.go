package parsers

import (
	"encoding/binary"
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
	var q, n uint32 // the bytes of the address before the present one, and that one
	dots, start := 0, 0
	for i, c := range b {
		if d := uint32(c) - '0'; d <= 9 {
			n = n*10 + d
			continue
		}
		if c != '.' || dots == 3 || !octet(b[start:i], n) {
			return address6(b)
		}
		q, n, dots, start = q<<8|n, 0, dots+1, i+1
	}
	if dots != 3 || !octet(b[start:], n) {
		return address6(b)
	}
	q = q<<8 | n
	return netip.AddrFrom4([4]byte{byte(q >> 24), byte(q >> 16), byte(q >> 8), byte(q)}), true
}

// octet reports whether digits, whose number is n, may stand in an IPv4 address: a
// leading zero would mean octal to some readers.
func octet(digits []byte, n uint32) bool {
	return uint(len(digits)-1) < 3 && n < 256 && (len(digits) == 1 || digits[0] != '0')
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
