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
	var q [4]byte
	part, digits, value := 0, 0, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9' && digits < 3:
			if digits == 1 && value == 0 {
				return netip.Addr{}, false
			}
			value = value*10 + int(c-'0')
			digits++
		case c == '.' && digits > 0 && part < 3 && value < 256:
			q[part] = byte(value)
			part, digits, value = part+1, 0, 0
		default:
			return address6(b)
		}
	}
	if part != 3 || digits == 0 || value > 255 {
		return address6(b)
	}
	q[3] = byte(value)
	return netip.AddrFrom4(q), true
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
