package parsers

import (
	"math"
	"strconv"
	"time"

	"firetrail"
)

var powersOfTen = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// zeekNanoseconds reads decimal seconds exactly, without a float between:
// "1300475173.475401", "-0.5", "9.05990600e-06". What is finer than a
// nanosecond (the noise of doubles in JSON) is rounded, half away from zero.
// It refuses what does not fit into 64 bits.
func zeekNanoseconds(b []byte) (ns int64, ok bool) {
	if ns, end := zeekSecondsAt(b, 0); end == len(b) {
		return ns, true
	}
	return zeekScaled(b, 9)
}

// zeekSecondsAt reads the nanoseconds of what Zeek prints for nearly every time and
// interval: at most ten digits and six decimals. end is behind them, or -1 where
// something else stands at i, and ns is firetrail.Absent then.
func zeekSecondsAt(b []byte, i int) (ns int64, end int) {
	whole, point := numberAt(b, i)
	if point < 0 || point > i+10 || whole >= 9e9 || point == len(b) || b[point] != '.' {
		return firetrail.Absent, -1
	}
	micros, end := numberAt(b, point+1)
	if end != point+7 {
		return firetrail.Absent, -1
	}
	return whole*1e9 + micros*1e3, end
}

// zeekScaled reads a decimal number times 10^scale.
func zeekScaled(b []byte, scale int) (n int64, ok bool) {
	i, negative := 0, false
	if len(b) > 0 && b[0] == '-' {
		i, negative = 1, true
	}
	digits, point := 0, -1
	for ; i < len(b); i++ {
		c := b[i]
		if c >= '0' && c <= '9' {
			digits++
			if n < 1e17 {
				n = n*10 + int64(c-'0')
				if point >= 0 {
					scale--
				}
			} else if point < 0 {
				return 0, false
			}
			continue
		}
		if c != '.' || point >= 0 {
			break
		}
		point = i
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(b) {
		exponent, ok := zeekExponent(b[i:])
		if !ok {
			return 0, false
		}
		scale += exponent
	}
	if n, ok = shiftDecimal(n, scale); negative {
		n = -n
	}
	return n, ok
}

// zeekExponent reads "e-06".
func zeekExponent(b []byte) (n int, ok bool) {
	if b[0]|0x20 != 'e' || len(b) < 2 {
		return 0, false
	}
	b = b[1:]
	sign := 1
	if b[0] == '-' || b[0] == '+' {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	v, ok := number(b)
	if !ok || len(b) > 3 {
		return 0, false
	}
	return sign * int(v), true
}

// shiftDecimal gives n times 10^scale, rounded.
func shiftDecimal(n int64, scale int) (int64, bool) {
	switch {
	case n == 0 || scale == 0:
		return n, true
	case scale < -18:
		return 0, true
	case scale < 0:
		p := powersOfTen[-scale]
		q := n / p
		if n%p >= p-p/2 {
			q++
		}
		return q, true
	case scale > 18 || n > math.MaxInt64/powersOfTen[scale]:
		return 0, false
	}
	return n * powersOfTen[scale], true
}

// zeekTime reads a time as any Zeek writer prints it: seconds since the epoch
// with decimals (TSV, and JSON::TS_EPOCH), whole milliseconds (JSON::TS_MILLIS;
// also micro- and nanoseconds, told by their size), or ISO 8601. Times relative to
// the start of a capture are small and stay as they are: recorded times are
// never changed.
func zeekTime(ctx *Context, v []byte, ev *firetrail.Event) (t int64, ok bool) {
	if t, end := zeekSecondsAt(v, 0); end == len(v) {
		return t, true
	}
	if len(v) > 10 && v[4] == '-' && v[7] == '-' {
		t, g, ok := zeekISO(ctx, v)
		ev.Guess |= g
		return t, ok
	}
	whole := jsonDigits(v, 0)
	switch {
	case whole <= 11:
		t, ok = zeekScaled(v, 9)
	case whole <= 14:
		t, ok = zeekScaled(v, 6)
	case whole <= 17:
		t, ok = zeekScaled(v, 3)
	default:
		var err error
		t, err = strconv.ParseInt(text(v), 10, 64)
		ok = err == nil
	}
	if !ok {
		t = firetrail.Absent
	}
	return t, ok
}

// zeekISO reads "2008-07-09T16:13:30.005432Z", also with an offset or, marked
// as a guess, without any zone.
func zeekISO(ctx *Context, v []byte) (t int64, g firetrail.Guess, ok bool) {
	var n [6]int64
	const form = "0000-00-00T00:00:00"
	if len(v) < len(form) {
		return firetrail.Absent, 0, false
	}
	part := 0
	for i := range len(form) {
		c := v[i]
		switch {
		case form[i] == '0' && c >= '0' && c <= '9':
			n[part] = n[part]*10 + int64(c-'0')
		case form[i] == c, form[i] == 'T' && c == ' ':
			part++
		default:
			return firetrail.Absent, 0, false
		}
	}
	v = v[len(form):]
	ns := int64(0)
	if len(v) > 0 && (v[0] == '.' || v[0] == ',') {
		end := jsonDigits(v, 1)
		digits := v[1:min(end, 10)]
		if ns, ok = number(digits); !ok {
			return firetrail.Absent, 0, false
		}
		ns *= powersOfTen[9-len(digits)]
		v = v[end:]
	}
	if len(v) == 0 {
		return ctx.Clock.Wall(int(n[0]), time.Month(n[1]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), int(ns))
	}
	east, ok := zeekOffset(v)
	if !ok || n[0] < 1678 || n[0] > 2261 || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return firetrail.Absent, 0, false
	}
	at := time.Date(int(n[0]), time.Month(n[1]), int(n[2]), int(n[3]), int(n[4]), 0, 0, time.UTC)
	if at.Day() != int(n[2]) || at.Month() != time.Month(n[1]) {
		return firetrail.Absent, 0, false
	}
	return (at.Unix()+n[5]-east)*1e9 + ns, 0, true
}

// zeekOffset reads "Z", "+02:00" or "+0200" as seconds east of UTC.
func zeekOffset(v []byte) (east int64, ok bool) {
	if len(v) == 1 && v[0]|0x20 == 'z' {
		return 0, true
	}
	if len(v) == 6 && v[3] == ':' {
		v = []byte{v[0], v[1], v[2], v[4], v[5]}
	}
	if len(v) != 5 || v[0] != '+' && v[0] != '-' {
		return 0, false
	}
	hours, ok1 := number(v[1:3])
	minutes, ok2 := number(v[3:5])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	east = hours*3600 + minutes*60
	if v[0] == '-' {
		east = -east
	}
	return east, true
}
