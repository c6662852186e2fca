package parsers

import (
	"cmp"
	"strings"
)

// compareNames orders the names of a folder: natural order, numbers by value,
// and the rotated files of one log from the oldest to the one that is being
// written: by date ("messages-20260301.gz"), then by falling number
// ("ufw.log.2.gz", "ufw.log.1"), then the log itself.
func compareNames(a, b string) int {
	x, y := rotationOf(a), rotationOf(b)
	return cmp.Or(
		natural(x.base, y.base),
		cmp.Compare(x.rank, y.rank),
		natural(x.date, y.date),
		-natural(x.number, y.number),
		natural(a, b),
	)
}

// rotation is a file's name taken apart.
type rotation struct {
	base   string
	rank   int    // 0 rotated with a date, 1 with a number, 2 the log itself
	date   string // "20260301" and what follows
	number string
}

func rotationOf(name string) rotation {
	bare := name
	for _, ext := range []string{".gz", ".zst", ".bz2", ".xz"} {
		bare = strings.TrimSuffix(bare, ext)
	}
	end := len(strings.TrimRight(bare, "0123456789"))
	if digits := bare[end:]; end > 1 && len(digits) >= 1 && len(digits) <= 4 && bare[end-1] == '.' {
		return rotation{base: bare[:end-1], rank: 1, number: digits}
	}
	// -YYYYMMDD, also in front of ".log" and with a time or number behind
	for i := 1; i+9 <= len(bare); i++ {
		if bare[i] == '-' && strings.HasPrefix(bare[i+1:], "20") && allDigits(bare[i+1:i+9]) {
			rest := strings.TrimLeft(bare[i+9:], "-0123456789")
			return rotation{base: bare[:i] + rest, date: bare[i+1 : len(bare)-len(rest)]}
		}
	}
	return rotation{base: bare, rank: 2}
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// natural compares text, runs of digits by their value.
func natural(a, b string) int {
	for a != "" && b != "" {
		da, db := digitRun(a), digitRun(b)
		if da > 0 && db > 0 {
			x, y := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digitRun(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
