package query

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firetrail"
)

// TypeOf is the type that decides what operators mean for any field name.
func TypeOf(name string) firetrail.FieldType {
	switch name {
	case "ip":
		return firetrail.TypeAddr
	case "port":
		return firetrail.TypePort
	}
	if f, ok := firetrail.FieldNamed(name); ok {
		return f.Type
	}
	return firetrail.TypeText
}

// expected says for people what a value of the field looks like.
func expected(name string) string {
	if name == "has" {
		return "a field name"
	}
	switch TypeOf(name) {
	case firetrail.TypeAddr:
		return "an address or a network (192.0.2.7, 10.0.0.0/8)"
	case firetrail.TypePort:
		return "a port number"
	case firetrail.TypeInt:
		return "a number"
	case firetrail.TypeBytes:
		return "a number or a size (1500, 10k, 1.5G, 64Ki)"
	case firetrail.TypeTime:
		return "a time (2026-03-01, 2026-03-01T10:15:00Z, -24h, today, now)"
	case firetrail.TypeDuration:
		return "a duration (90s, 1h30m, 2d) or seconds"
	case firetrail.TypeName:
		return "a name"
	}
	return "a value"
}

var units = map[string]float64{
	"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15,
	"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40, "pi": 1 << 50,
}

// Size reads "1500", "10k", "1.5G", "64KiB" as a whole number. K, M, G, T, P are
// powers of 1000; Ki, Mi … powers of 1024, as for disks, links and containers.
func Size(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n != firetrail.Absent {
		return n, nil
	}
	i := len(s)
	for i > 0 && (s[i-1] < '0' || s[i-1] > '9') && s[i-1] != '.' {
		i--
	}
	factor, ok := units[strings.TrimSuffix(strings.ToLower(s[i:]), "b")]
	if !ok || !decimal(s[:i]) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	if err != nil || math.Abs(f*factor) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no number in range", s)
	}
	return int64(math.Round(f * factor)), nil
}

// decimal reports whether s is digits with at most one point and a sign.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := strings.Replace(s, ".", "", 1)
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

var spans = map[string]float64{
	"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9, "w": 7 * 86400e9,
}

// Span reads "90s", "1h30m", "1.5d" or plain seconds as nanoseconds, exactly
// where the digits allow it.
func Span(s string) (int64, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, negative := strings.CutPrefix(s, "-")
	if rest == "" {
		return 0, bad
	}
	var sum float64
	var whole int64 // the sum without fractions, exact
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if n < 0 {
			n = len(rest)
		}
		digits := rest[:n]
		rest = rest[n:]
		u := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
		if u < 0 {
			u = len(rest)
		}
		unit := rest[:u]
		rest = rest[u:]
		if unit == "" && len(s) == n+btoi(negative) {
			unit = "s"
		}
		scale, ok := spans[unit]
		if !ok || !decimal(digits) {
			return 0, bad
		}
		exact, frac, _ := strings.Cut(digits, ".")
		i, _ := strconv.ParseInt("0"+exact, 10, 64)
		f, _ := strconv.ParseFloat("0."+frac+"0", 64)
		part := math.Round(f * scale)
		if sum += float64(i)*scale + part; sum >= math.MaxInt64/2 {
			return 0, fmt.Errorf("%q is too long", s)
		}
		whole += i*int64(scale) + int64(part)
	}
	if negative {
		whole = -whole
	}
	return whole, nil
}

// layouts are the ways to write a time, with the length of what each names;
// zero is an instant. Zones are tried after each.
var layouts = []struct {
	layout string
	unit   time.Duration
}{
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02 15:04", time.Minute},
	{"2006-01-02T15", time.Hour},
	{"2006-01-02", 24 * time.Hour},
	{"2006/01/02", 24 * time.Hour},
}

// Time reads a time as the interval [low, high) that it names: a day, a minute, a
// second, or one nanosecond where decimals are given. Text without an offset is
// UTC. "now", "-24h", "today" and "yesterday" are measured from now.
func Time(s string, now int64) (low, high int64, err error) {
	if s == "today" || s == "yesterday" {
		day := time.Unix(0, now).UTC().Truncate(24 * time.Hour)
		if s == "yesterday" {
			day = day.AddDate(0, 0, -1)
		}
		return interval(day, day.AddDate(0, 0, 1))
	}
	if rest, ok := strings.CutPrefix(s, "now"); ok && rest == "" {
		return now, now + 1, nil
	} else if ok || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		if !ok {
			rest = s
		}
		d, err := Span(strings.TrimPrefix(rest, "+"))
		if err != nil || rest[0] != '-' && rest[0] != '+' || strings.HasPrefix(rest, "+-") {
			return 0, 0, fmt.Errorf("%q is no time", s)
		}
		if (d > 0) == (now > 0) && now > math.MaxInt64-max(d, 0) {
			return 0, 0, fmt.Errorf("%q is out of range", s)
		}
		return now + d, now + d + 1, nil
	}
	if t, err := time.Parse("2006-01", s); err == nil {
		return interval(t, t.AddDate(0, 1, 0))
	}
	for _, l := range layouts {
		for _, zone := range []string{"", "Z07:00", "Z0700"} {
			t, err := time.Parse(l.layout+zone, s)
			if err != nil {
				continue
			}
			if l.unit == time.Second && strings.ContainsAny(s[len("2006-01-02"):], ".,") {
				return interval(t, t.Add(1))
			}
			return interval(t, t.Add(l.unit))
		}
	}
	return 0, 0, fmt.Errorf("%q is no time", s)
}

// interval is the span [from, to) in nanoseconds since 1970, which cover the years 1678 to 2261.
func interval(from, to time.Time) (low, high int64, err error) {
	if from.Year() < 1678 || to.Year() > 2261 {
		return 0, 0, fmt.Errorf("years are 1678 to 2261")
	}
	return from.UnixNano(), to.UnixNano(), nil
}

// number reads an operand of a numeric field as the closed interval [low, high] it names.
// instant makes a second-precise stamp a single instant, as bounds need it.
func number(t firetrail.FieldType, s string, now int64, instant bool) (low, high int64, err error) {
	switch t {
	case firetrail.TypeTime:
		low, high, err = Time(s, now)
		if instant && high-low == int64(time.Second) {
			high = low + 1
		}
		return low, high - 1, err
	case firetrail.TypeDuration:
		low, err = Span(s)
	case firetrail.TypePort:
		var n uint64
		if n, err = strconv.ParseUint(s, 10, 16); err != nil {
			err = fmt.Errorf("%q is no port", s)
		}
		low = int64(n)
	default:
		low, err = Size(s)
	}
	return low, low, err
}

// network reads an address or a network; an address is a network of one.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no address or network", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
