package simulate

import "time"

// clock is how a sensor sees time: an offset, a drift, a zone in which it
// writes, and for drills a step.
type clock struct {
	offset int64   // nanoseconds ahead of true time at the start
	drift  float64 // nanoseconds gained a second, divided by 1e9: 20 ppm is 20e-6
	zone   int64   // nanoseconds east of UTC in which local stamps are written
	start  int64
	stepAt int64 // true time of a step, 0 for none
	step   int64
}

// read is the time that the sensor records for the true time t, in UTC.
func (c *clock) read(t int64) int64 {
	at := t + c.offset + int64(c.drift*float64(t-c.start))
	if c.stepAt != 0 && t >= c.stepAt {
		at += c.step
	}
	return at
}

// stamps formats times quickly: the text of the current second is kept.
type stamps struct {
	unix             int64
	valid            bool
	year, month, day int
	hour, min, sec   int
}

// set moves to the second of t, nanoseconds of the wanted zone.
func (s *stamps) set(t int64) {
	u := floorDiv(t, second)
	if s.valid && u == s.unix {
		return
	}
	if s.valid && floorDiv(u, 86400) == floorDiv(s.unix, 86400) {
		r := int(u - floorDiv(u, 86400)*86400)
		s.hour, s.min, s.sec = r/3600, r/60%60, r%60
		s.unix = u
		return
	}
	at := time.Unix(u, 0).UTC()
	y, m, d := at.Date()
	s.year, s.month, s.day = y, int(m), d
	s.hour, s.min, s.sec = at.Clock()
	s.unix, s.valid = u, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// rfc3164 appends "Mar  1 08:00:15".
func (s *stamps) rfc3164(b []byte, t int64) []byte {
	s.set(t)
	b = append(b, months[3*s.month-3:3*s.month]...)
	b = append(b, ' ')
	if s.day < 10 {
		b = append(b, ' ', byte('0'+s.day))
	} else {
		b = two(b, s.day)
	}
	b = append(b, ' ')
	return s.clock(b)
}

// slashes appends "2026/03/01 08:00:15".
func (s *stamps) slashes(b []byte, t int64) []byte {
	s.set(t)
	b = four(b, s.year)
	b = append(b, '/')
	b = two(b, s.month)
	b = append(b, '/')
	b = two(b, s.day)
	b = append(b, ' ')
	return s.clock(b)
}

// iso appends "2026-03-01T08:00:15" and digits decimals.
func (s *stamps) iso(b []byte, t int64, digits int) []byte {
	s.set(t)
	b = four(b, s.year)
	b = append(b, '-')
	b = two(b, s.month)
	b = append(b, '-')
	b = two(b, s.day)
	b = append(b, 'T')
	b = s.clock(b)
	return decimals(b, t-s.unix*second, digits)
}

func (s *stamps) clock(b []byte) []byte {
	b = two(b, s.hour)
	b = append(b, ':')
	b = two(b, s.min)
	b = append(b, ':')
	return two(b, s.sec)
}

// decimals appends "." and the first digits of nanos, nothing for none.
func decimals(b []byte, nanos int64, digits int) []byte {
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	unit := int64(1e8)
	for range digits {
		b = append(b, byte('0'+nanos/unit%10))
		unit /= 10
	}
	return b
}

func two(b []byte, n int) []byte  { return append(b, byte('0'+n/10), byte('0'+n%10)) }
func four(b []byte, n int) []byte { return two(two(b, n/100), n%100) }

// epoch appends t in seconds with six decimals, as Zeek writes it.
func epoch(b []byte, t int64) []byte {
	return seconds(b, t)
}
