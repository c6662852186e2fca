package parsers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"firetrail"
)

// someDigits are texts around numbers: of every length, among other bytes, at and
// far from the end.
func someDigits(r *rand.Rand) []byte {
	const bytes = "0123456789012345678901234567890123456789..:/-\x00\xff\t"
	b := make([]byte, r.IntN(30))
	for i := range b {
		b[i] = bytes[r.IntN(len(bytes))]
	}
	return b
}

// TestNumberAt compares with number, which looks at byte after byte.
func TestNumberAt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50000 {
		b := someDigits(r)
		i := r.IntN(len(b) + 1)
		end := i
		for end < len(b) && b[end] >= '0' && b[end] <= '9' {
			end++
		}
		if got := jsonDigits(b, i); got != end {
			t.Fatalf("%q from %d: digits to %d, want %d", b, i, got, end)
		}
		n, ok := number(b[i:end])
		if !ok {
			n, end = firetrail.Absent, -1
		}
		if gotN, gotEnd := numberAt(b, i); gotN != n || gotEnd != end {
			t.Fatalf("%q from %d: %d to %d, want %d to %d", b, i, gotN, gotEnd, n, end)
		}
	}
}

// TestAddress compares with the standard library, which takes no zeros in front of
// the numbers of IPv4 either; address takes none in front of those of IPv6.
func TestAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	parts := []string{"0", "1", "9", "10", "99", "100", "255", "256", "300", "999", "1000", "00", "01", "007", "", "a", "-1", "1 ", "2\t3"}
	for range 50000 {
		var b strings.Builder
		for i := range 2 + r.IntN(4) {
			if i > 0 {
				b.WriteByte("...:"[r.IntN(4)])
			}
			if r.IntN(2) == 0 {
				fmt.Fprint(&b, r.IntN(256))
			} else {
				b.WriteString(parts[r.IntN(len(parts))])
			}
		}
		text := b.String()
		want, err := netip.ParseAddr(text)
		isAddr := err == nil && want.Zone() == ""
		got, ok := address([]byte(text))
		if !isAddr {
			want = netip.Addr{}
		}
		if ok != isAddr && !strings.HasPrefix(text, "0") || ok && got != want {
			t.Fatalf("%q: %v %v, want %v", text, got, ok, want)
		}
		behind := []byte("7.8\t" + text + "\t12345678")
		if at, end := address4(behind, 4); isAddr && want.Is4() && (at != want || end != 4+len(text)) {
			t.Fatalf("%q: %v to %d", behind, at, end)
		} else if end == 4+len(text) && !isAddr {
			t.Fatalf("%q: %v, which is none", behind, at)
		}
	}
}

// TestIndexFrom finds a byte wherever it is.
func TestIndexFrom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50000 {
		b := someDigits(r)
		i := r.IntN(len(b) + 1)
		want := len(b)
		if n := strings.IndexByte(string(b[i:]), '\t'); n >= 0 {
			want = i + n
		}
		if got := indexFrom(b, i, '\t'); got != want {
			t.Fatalf("%q from %d: %d, want %d", b, i, got, want)
		}
	}
}
