package parsers

import (
	"fmt"
	"strconv"
	"time"

	"firetrail"
)

const (
	daySeconds = 86400
	halfYear   = 183 * daySeconds // a year-less stamp that jumps back by more has passed New Year
	straggler  = 2 * daySeconds   // a line may come so much too late over New Year
	setBack    = 30 * daySeconds  // a jump ahead by more may undo a New Year that was none
)

// Clock turns the wall-clock stamps of one source into UTC and says what it
// had to guess.
//
// A stamp without a zone is read in Options.Zone, else in UTC, marked GuessZone.
// Where the zone's clocks were put back, the hour that exists twice is read as its first
// pass (the earlier moment); a stamp in the hour that was skipped is read with
// the offset before the change, which is the moment the wall would have shown.
//
// A stamp without a year is resolved from the line before: records of a source
// are nearly in order, so a jump back by more than half a year is New Year. A
// jump ahead that leads back to where the source was before a New Year undoes
// it: a straggler, or a clock that had been set back for a while.
// The first year is Options.Year, or what the Reader's survey found (see
// Options.Reopen), or the latest year that puts the first stamp before the
// source's end: ModTime, else Now, plus a day. No stamp is put behind that end: a
// wall that seems to go there was set back (a router without a battery starts
// in January), and the year stays. 29 February takes the nearest leap year
// at or before the one that is due.
type Clock struct {
	zone  *time.Location
	given bool  // the zone was named by the user
	fixed bool  // the first year was named by the user or surveyed
	bound int64 // seconds: no year-less stamp is later; Absent: none
	years

	// The zone's offset is asked for once per quarter of an hour of wall time:
	// every zone changes its offset at a multiple of that.
	slot   int64
	offset int64
}

// NewClock makes the clock of a source.
func NewClock(opt Options) *Clock {
	c := &Clock{zone: opt.Zone, given: opt.Zone != nil, bound: firetrail.Absent, years: noYears, slot: firetrail.Absent}
	if c.zone == nil {
		c.zone = time.UTC
	}
	switch {
	case !opt.ModTime.IsZero():
		c.setBound(opt.ModTime)
		c.How = "from the file's modification time"
	case !opt.Now.IsZero():
		c.setBound(opt.Now)
		c.How = "from the current time"
	}
	if opt.Year != 0 {
		c.start(opt.Year, "given")
		c.bound = firetrail.Absent
	}
	return c
}

// setBound takes the end of the source in wall time of the zone, plus a day.
func (c *Clock) setBound(end time.Time) {
	_, offset := end.In(c.zone).Zone()
	c.bound = end.Unix() + int64(offset) + daySeconds
}

// start fixes the year of the first year-less stamp.
func (c *Clock) start(year int, how string) {
	c.Year, c.fixed, c.How = year, true, how
}

// Wall resolves a stamp without a zone. ok is false for a date or time of day
// that does not exist; second 60 is read as the start of the next minute.
func (c *Clock) Wall(year int, month time.Month, day, hour, minute, second, ns int) (t int64, g firetrail.Guess, ok bool) {
	wall, ok := wallSeconds(year, month, day, hour, minute, second)
	if !ok {
		return firetrail.Absent, 0, false
	}
	c.Evidence = wall
	t, g = c.utc(wall, ns)
	return t, g, true
}

// Zoned resolves a stamp with an offset of so many seconds east of UTC.
func (c *Clock) Zoned(year int, month time.Month, day, hour, minute, second, ns, offset int) (t int64, ok bool) {
	wall, ok := wallSeconds(year, month, day, hour, minute, second)
	if !ok {
		return firetrail.Absent, false
	}
	c.Evidence = wall
	return (wall-int64(offset))*1e9 + int64(ns), true
}

// Yearless resolves a stamp that has neither year nor zone ("Mar  1 08:00:00").
// ok is also false where there is nothing to tell the year from.
func (c *Clock) Yearless(month time.Month, day, hour, minute, second, ns int) (t int64, g firetrail.Guess, ok bool) {
	c.Met = true
	if c.Year == 0 && !c.begin(month, day, hour, minute, second) {
		return firetrail.Absent, 0, false
	}
	year := c.Year
	wall, ok := leapWall(year, month, day, hour, minute, second)
	if !ok {
		return firetrail.Absent, 0, false
	}
	if c.From == 0 {
		c.From, c.To = year, year
	} else if y := c.follow(year, wall, month, day, hour, minute, second); y != year {
		year = y
		wall, _ = wallSeconds(year, month, day, hour, minute, second)
	}
	c.From, c.To = min(c.From, year), max(c.To, year)
	c.Year, c.Latest = year, wall
	t, g = c.utc(wall, ns)
	return t, g | firetrail.GuessYear, true
}

// follow decides the year of a stamp that would be at wall in the year of the
// stamp before it.
func (c *Clock) follow(year int, wall int64, month time.Month, day, hour, minute, second int) int {
	jump := wall - c.Latest
	if jump < -halfYear {
		if w, ok := wallSeconds(year+1, month, day, hour, minute, second); ok && !c.beyond(w) {
			c.Before, c.After = c.Latest, w
			return year + 1
		}
		return year
	}
	if jump < setBack {
		return year
	}
	w, ok := wallSeconds(year-1, month, day, hour, minute, second)
	late := c.Latest-w < straggler
	back := c.Before != firetrail.Absent && c.Latest-c.After < setBack && w > c.Before-straggler && w < c.Before+2*setBack
	if ok && (late || back || jump > halfYear && c.beyond(wall)) {
		return year - 1
	}
	return year
}

// near resolves a year-less stamp by a moment that is known to be close to it.
func (c *Clock) near(s *stamp, moment int64) (t int64, g firetrail.Guess, ok bool) {
	year := time.Unix(0, moment).UTC().Year()
	best := int64(firetrail.Absent)
	for y := year - 1; y <= year+1; y++ {
		w, valid := wallSeconds(y, time.Month(s.month), int(s.day), int(s.hour), int(s.minute), int(s.second))
		if valid && (!ok || abs(w-moment/1e9) < abs(best-moment/1e9)) {
			best, ok = w, true
		}
	}
	if !ok {
		return firetrail.Absent, 0, false
	}
	t, g = c.utc(best, int(s.ns))
	return t, g | firetrail.GuessYear, true
}

// begin chooses the year of the first year-less stamp.
func (c *Clock) begin(month time.Month, day, hour, minute, second int) bool {
	bound, how := c.bound, c.How
	if bound == firetrail.Absent {
		if c.Evidence == firetrail.Absent {
			return false
		}
		bound, how = c.Evidence+daySeconds, "from other lines of the source"
	}
	year := time.Unix(bound, 0).UTC().Year()
	for ; year > 1970; year-- {
		if w, ok := wallSeconds(year, month, day, hour, minute, second); ok && w <= bound {
			c.Year, c.How = year, how
			return true
		}
	}
	return false
}

// leapWall is wallSeconds, but 29 February goes to a leap year.
func leapWall(year int, month time.Month, day, hour, minute, second int) (int64, bool) {
	if month == time.February && day == 29 {
		for n := 0; n < 8 && !leap(year); n++ {
			year--
		}
	}
	return wallSeconds(year, month, day, hour, minute, second)
}

func (c *Clock) beyond(wall int64) bool {
	return c.bound != firetrail.Absent && wall > c.bound
}

// utc converts seconds of wall time in the zone.
func (c *Clock) utc(wall int64, ns int) (t int64, g firetrail.Guess) {
	if !c.given {
		c.Zoneless = true
		return wall*1e9 + int64(ns), firetrail.GuessZone
	}
	if slot := wall / 900; slot != c.slot {
		c.slot, c.offset = slot, c.offsetAt(wall)
	}
	c.Zoneless = true
	return (wall-c.offset)*1e9 + int64(ns), 0
}

// offsetAt finds the zone's offset for a wall time. Before and after a change of
// offset it is certain; in a fold the earlier moment counts, in a gap the
// offset before the change.
func (c *Clock) offsetAt(wall int64) int64 {
	_, before := time.Unix(wall-daySeconds, 0).In(c.zone).Zone()
	_, after := time.Unix(wall+daySeconds, 0).In(c.zone).Zone()
	early := wall - int64(before)
	if before == after {
		return int64(before)
	}
	if _, o := time.Unix(early, 0).In(c.zone).Zone(); o == before {
		return int64(before)
	}
	late := wall - int64(after)
	if _, o := time.Unix(late, 0).In(c.zone).Zone(); o == after {
		return int64(after)
	}
	return int64(before)
}

// Describe says which zone and year were used and how they were chosen, for
// people: "UTC (assumed)", "Europe/Berlin (given)"; "2025-2026 (from the file's
// modification time)". Each is "" where no stamp needed it.
func (c *Clock) Describe() (zone, year string) {
	if c.Zoneless {
		zone = c.zone.String() + " (given)"
		if !c.given {
			zone = "UTC (assumed)"
		}
	}
	switch {
	case c.From != 0 && c.From == c.To:
		year = fmt.Sprintf("%d (%s)", c.From, c.How)
	case c.From != 0:
		year = fmt.Sprintf("%d-%s (%s)", c.From, strconv.Itoa(c.To), c.How)
	case c.Met:
		year = "unknown: nothing tells the year"
	}
	return zone, year
}

// wallSeconds counts the seconds from 1970-01-01 00:00:00 to a wall time of the
// Gregorian calendar, leap seconds not counted.
func wallSeconds(year int, month time.Month, day, hour, minute, second int) (int64, bool) {
	if month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
		second < 0 || second > 60 || year < 1678 || year > 2261 || day > 28 && day > monthDays(year, month) {
		return 0, false
	}
	return days(year, month, day)*daySeconds + int64(hour*3600+minute*60+second), true
}

// days counts the days from 1970-01-01. March starts its year, so that the leap
// day is the last of it.
func days(year int, month time.Month, day int) int64 {
	y, m := year, int(month)-3
	if m < 0 {
		y, m = y-1, m+12
	}
	return int64(y*365+y/4-y/100+y/400+(m*153+2)/5+day-1) - 719468
}

func monthDays(year int, month time.Month) int {
	switch month {
	case time.February:
		if leap(year) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

// leap reports whether a year of the Gregorian calendar has 366 days.
func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func abs(n int64) int64 { return max(n, -n) }
