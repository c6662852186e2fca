package parsers

import (
	"time"

	"firetrail"
)

// stamp is a date and time of day as written, not yet resolved: most records
// carry more stamps than anybody asks for, so resolving waits for Clock.at.
type stamp struct {
	kind                 stampKind
	month, day           uint8
	hour, minute, second uint8
	year                 int16
	offset               int32 // seconds east of UTC, of stampZoned
	ns                   int32 // decimals of the second
	unix                 int64 // nanoseconds since the epoch, of stampUnix
}

type stampKind uint8

const (
	stampNone     stampKind = iota
	stampYearless           // month, day and time of day
	stampWall               // with a year, without a zone
	stampZoned              // with a year and an offset from UTC
	stampUnix               // a count since the epoch
	stampUptime             // a count since the machine started: no date at all
)

// at resolves s. ok is false where it names no moment: none, an uptime, a date
// that does not exist, or a year-less one without anything to tell the year from.
func (c *Clock) at(s *stamp) (t int64, g firetrail.Guess, ok bool) {
	month, day, hour, minute, second, ns := time.Month(s.month), int(s.day), int(s.hour), int(s.minute), int(s.second), int(s.ns)
	switch s.kind {
	case stampYearless:
		return c.Yearless(month, day, hour, minute, second, ns)
	case stampWall:
		return c.Wall(int(s.year), month, day, hour, minute, second, ns)
	case stampZoned:
		t, ok = c.Zoned(int(s.year), month, day, hour, minute, second, ns, int(s.offset))
		return t, 0, ok
	case stampUnix:
		return s.unix, 0, true
	}
	return firetrail.Absent, 0, false
}

// readStamp reads the date and time that b begins with, in any form syslog
// daemons write (see syslog.go). n is the length of the stamp without the blank behind it, 0 if
// there is none.
func readStamp(b []byte) (s stamp, n int) {
	if len(b) < 15 {
		return stamp{}, 0
	}
	switch c := b[0]; {
	case c >= '0' && c <= '9':
		if c <= '2' && (b[4] == '-' || b[4] == '/') {
			return isoStamp(b)
		}
		if b[2] == '/' {
			return clfStamp(b)
		}
		return unixStamp(b)
	case c == '[':
		return bracketStamp(b)
	}
	return namedStamp(b)
}

// namedStamp reads the forms that begin with a name of a month or a weekday:
// "Mar  1 08:00:00", "Mar 01 2026 08:00:00.123", "Sun Mar  1 08:00:00 2026",
// "Sun 2026-03-01 08:00:00 UTC".
func namedStamp(b []byte) (s stamp, n int) {
	i := 0
	if weekday(b) {
		if b[4] >= '0' && b[4] <= '9' {
			s, n = isoStamp(b[4:])
			if n == 0 {
				return stamp{}, 0
			}
			return s, n + 4
		}
		i = 4
	}
	if len(b) < i+15 {
		return stamp{}, 0
	}
	m := monthNamed(b[i:])
	if m == 0 || b[i+3] != ' ' {
		return stamp{}, 0
	}
	i += 4
	for i < len(b) && b[i] == ' ' {
		i++
	}
	end := digitsEnd(b, i)
	if end == i || end > i+2 || end >= len(b) || b[end] != ' ' {
		return stamp{}, 0
	}
	day := b[end-1] - '0'
	if end == i+2 {
		day += (b[i] - '0') * 10
	}
	i = end + 1
	if i < len(b) && b[i] == ' ' {
		i++
	}
	s = stamp{kind: stampYearless, month: uint8(m), day: day}
	if i+4 < len(b) && b[i+4] == ' ' {
		if year, j, ok := digits(b, i, 4, 4); ok {
			s.kind, s.year = stampWall, int16(year)
			i = j + 1
		}
	}
	i, ok := s.clock(b, i)
	if !ok || !s.valid() {
		return stamp{}, 0
	}
	if i < len(b) && b[i] != ' ' && b[i] != ':' && b[i] != ']' && b[i] != '\t' {
		return stamp{}, 0
	}
	if s.kind == stampYearless && i+1 < len(b) && b[i] == ' ' && b[i+1]-'0' <= 9 {
		if year, j, ok := digits(b, i+1, 4, 4); ok && year >= 1970 && year < 2200 && (j == len(b) || b[j] == ' ' || b[j] == ']') {
			s.kind, s.year = stampWall, int16(year)
			i = j
		}
	}
	return s, i
}

// isoStamp reads ISO 8601 and its relatives: "2026-03-01T08:00:00.123456+01:00",
// "2026-03-01 08:00:00,123 +0100", "2026/03/01 08:00:00".
func isoStamp(b []byte) (s stamp, n int) {
	if len(b) < 19 || b[4] != b[7] || (b[4] != '-' && b[4] != '/') || (b[10] != 'T' && b[10] != 't' && b[10] != ' ') {
		return stamp{}, 0
	}
	century, ok1 := twoDigits(b)
	year, ok2 := twoDigits(b[2:])
	month, ok3 := twoDigits(b[5:])
	day, ok4 := twoDigits(b[8:])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return stamp{}, 0
	}
	s = stamp{kind: stampWall, year: int16(century)*100 + int16(year), month: month, day: day}
	i, ok := s.clock(b, 11)
	if !ok || !s.valid() {
		return stamp{}, 0
	}
	i = s.zone(b, i)
	if i < len(b) && b[i] != ' ' && b[i] != '\t' && b[i] != ':' && b[i] != ']' {
		return stamp{}, 0
	}
	return s, i
}

// clfStamp reads "20/Jun/2022:13:09:14 +0200".
func clfStamp(b []byte) (s stamp, n int) {
	if len(b) < 20 || b[6] != '/' || b[11] != ':' {
		return stamp{}, 0
	}
	day, _, ok1 := digits(b, 0, 2, 2)
	year, _, ok2 := digits(b, 7, 4, 4)
	m := monthNamed(b[3:])
	if !ok1 || !ok2 || m == 0 {
		return stamp{}, 0
	}
	s = stamp{kind: stampWall, year: int16(year), month: uint8(m), day: uint8(day)}
	i, ok := s.clock(b, 12)
	if !ok || !s.valid() {
		return stamp{}, 0
	}
	return s, s.zone(b, i)
}

// unixStamp reads "1772352000.118004": seconds since the epoch with decimals.
func unixStamp(b []byte) (s stamp, n int) {
	sec, i, ok := digits(b, 0, 9, 10)
	if !ok || i+1 >= len(b) || b[i] != '.' {
		return stamp{}, 0
	}
	ns, i := fraction(b, i+1)
	if i >= len(b) || b[i] != ' ' {
		return stamp{}, 0
	}
	return stamp{kind: stampUnix, unix: sec*1e9 + int64(ns)}, i
}

// bracketStamp reads the kernel's own stamps, "[ 1732.118004]" and the
// "[Sun Mar  1 08:00:00 2026]" of dmesg -T.
func bracketStamp(b []byte) (s stamp, n int) {
	if n = uptime(b); n > 0 {
		return stamp{kind: stampUptime}, n
	}
	if !weekday(b[1:]) {
		return stamp{}, 0
	}
	s, n = namedStamp(b[1:])
	if n == 0 || n+1 >= len(b) || b[n+1] != ']' {
		return stamp{}, 0
	}
	return s, n + 2
}

// uptime is the length of the "[ 1732.118004]" that b begins with, the thread
// or processor number of CONFIG_PRINTK_CALLER ("[ T1]") included; 0 if none.
func uptime(b []byte) int {
	if len(b) < 5 || b[0] != '[' {
		return 0
	}
	i := 1
	for i < len(b) && b[i] == ' ' {
		i++
	}
	dot := digitsEnd(b, i)
	if dot == i || dot > i+12 || dot >= len(b) || b[dot] != '.' {
		return 0
	}
	end := digitsEnd(b, dot+1)
	if end == dot+1 || end > dot+10 || end >= len(b) || b[end] != ']' {
		return 0
	}
	return end + 1
}

// clock reads "08:00:00" with optional decimals at b[i:] into s. The hour may have
// one digit.
func (s *stamp) clock(b []byte, i int) (next int, ok bool) {
	hour := i + 2 // behind it
	if i+1 < len(b) && b[i+1] == ':' {
		hour = i + 1
	}
	next = hour + len(":00:00")
	if next > len(b) || b[hour] != ':' || b[hour+3] != ':' {
		return i, false
	}
	tens, okTens := uint8(0), true
	if hour == i+2 {
		tens, okTens = b[i]-'0', b[i]-'0' <= 9
	}
	units := b[hour-1] - '0'
	minute, okMinute := twoDigits(b[hour+1:])
	second, okSecond := twoDigits(b[hour+4:])
	if !okTens || units > 9 || !okMinute || !okSecond {
		return i, false
	}
	s.hour, s.minute, s.second = tens*10+units, minute, second
	if next+1 < len(b) && (b[next] == '.' || b[next] == ',') && b[next+1] >= '0' && b[next+1] <= '9' {
		s.ns, next = fraction(b, next+1)
	}
	return next, true
}

// zone reads what follows an ISO time: "Z", "+01:00", "+0100", "+01", each also
// behind a blank, or " UTC". Other names of zones are left: they are ambiguous.
func (s *stamp) zone(b []byte, i int) (next int) {
	j := i
	if j < len(b) && b[j] == ' ' {
		j++
	}
	if j >= len(b) {
		return i
	}
	switch b[j] {
	case 'Z', 'z':
		if j == i {
			s.kind = stampZoned
			return j + 1
		}
	case 'U', 'G':
		if len(b) >= j+3 && (string(b[j:j+3]) == "UTC" || string(b[j:j+3]) == "GMT") && (len(b) == j+3 || b[j+3] == ' ') {
			s.kind = stampZoned
			return j + 3
		}
	case '+', '-':
		k := j + 3
		if k > len(b) {
			return i
		}
		hours, ok := twoDigits(b[j+1:])
		if !ok {
			return i
		}
		minutes := uint8(0)
		if k < len(b) && b[k] == ':' {
			k++
		}
		if k+2 <= len(b) {
			if m, ok := twoDigits(b[k:]); ok {
				minutes, k = m, k+2
			}
		}
		if hours > 15 || minutes > 59 {
			return i
		}
		s.kind, s.offset = stampZoned, int32(hours)*3600+int32(minutes)*60
		if b[j] == '-' {
			s.offset = -s.offset
		}
		return k
	}
	return i
}

// valid checks the ranges; whether the day exists in its month is for Clock.
func (s *stamp) valid() bool {
	return s.month >= 1 && s.month <= 12 && s.day >= 1 && s.day <= 31 && s.hour <= 23 && s.minute <= 59 && s.second <= 60
}

// twoDigits reads the number of two digits that b, which is as long at least, begins with.
func twoDigits(b []byte) (n uint8, ok bool) {
	tens, units := b[0]-'0', b[1]-'0'
	return tens*10 + units, tens <= 9 && units <= 9
}

// digitsEnd is where the digits end that begin at b[i:], if there are any.
func digitsEnd(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// digits reads a decimal number of least to most digits at b[i:].
func digits(b []byte, i, least, most int) (n int64, next int, ok bool) {
	start := i
	for i < len(b) && i-start < most && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, i, i-start >= least
}

// fraction reads decimals of a second as nanoseconds; more than nine are cut.
func fraction(b []byte, i int) (ns int32, next int) {
	scale := int32(100_000_000)
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		ns += int32(b[i]-'0') * scale
		scale /= 10
		i++
	}
	return ns, i
}

// monthNamed reads an English month abbreviation, 0 if b begins with none.
func monthNamed(b []byte) time.Month {
	if len(b) < 3 {
		return 0
	}
	switch string(b[:3]) {
	case "Jan":
		return time.January
	case "Feb":
		return time.February
	case "Mar":
		return time.March
	case "Apr":
		return time.April
	case "May":
		return time.May
	case "Jun":
		return time.June
	case "Jul":
		return time.July
	case "Aug":
		return time.August
	case "Sep":
		return time.September
	case "Oct":
		return time.October
	case "Nov":
		return time.November
	case "Dec":
		return time.December
	}
	return 0
}

// weekday reports whether b begins with "Mon " to "Sun ".
func weekday(b []byte) bool {
	if len(b) < 5 || b[3] != ' ' {
		return false
	}
	switch string(b[:3]) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}
