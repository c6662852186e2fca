package runs

import (
	"math"
	"strconv"
	"strings"
	"time"

	"firetrail"
)

// stamp reads a time as inventories write it: RFC 3339 with or without a zone,
// with a blank for the T, or epoch seconds, milliseconds, microseconds or
// nanoseconds told apart by their size. Words for "not yet" give Absent and ok.
func (f *file) stamp(s string) (t int64, ok bool) {
	s = strings.TrimSpace(s)
	switch strings.ToLower(s) {
	case "", "unknown", "none", "null", "n/a", "-", "(null)":
		return firetrail.Absent, true
	}
	if t, ok := epoch(s); ok {
		return t, true
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999-0700",
		"2006-01-02 15:04:05.999999999 -0700",
	} {
		if at, err := time.Parse(layout, s); err == nil {
			return nanos(at)
		}
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
		"2006/01/02 15:04:05",
	} {
		if at, err := time.ParseInLocation(layout, s, f.zone()); err == nil {
			return nanos(at)
		}
	}
	return firetrail.Absent, false
}

// nanos refuses years that nanoseconds cannot hold.
func nanos(at time.Time) (int64, bool) {
	if y := at.Year(); y < 1678 || y > 2261 {
		return firetrail.Absent, false
	}
	return at.UnixNano(), true
}

// epoch reads a number of seconds (up to 11 digits before the point), of
// milliseconds (13), microseconds (16) or nanoseconds (19) since 1970, exactly.
func epoch(s string) (int64, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		if v, ferr := strconv.ParseFloat(s, 64); ferr == nil && strings.ContainsAny(s, "eE") && math.Abs(v) < 9e9 {
			return int64(v * 1e9), true
		}
		return 0, false
	}
	unit := int64(1e9)
	switch digits := len(strings.TrimPrefix(whole, "-")); {
	case digits <= 8:
		return 0, false // a date such as 20260301 or a plain count, not a time
	case digits <= 11:
	case digits <= 14:
		unit = 1e6
	case digits <= 17:
		unit = 1e3
	default:
		unit = 1
	}
	t := n * unit
	for scale := unit / 10; scale > 0 && frac != ""; scale /= 10 {
		if frac[0] < '0' || frac[0] > '9' {
			return 0, false
		}
		t += int64(frac[0]-'0') * scale
		frac = frac[1:]
	}
	return t, true
}
