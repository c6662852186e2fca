package parsers

import (
	"time"

	"firetrail"
)

// Clock turns the wall-clock stamps of one source into UTC and says what it
// had to guess.
type Clock struct {
	zone  *time.Location
	given bool // the zone was named by the user
	year  int
}

// NewClock makes the clock of a source.
func NewClock(opt Options) *Clock {
	c := &Clock{zone: opt.Zone, given: opt.Zone != nil, year: opt.Year}
	if c.zone == nil {
		c.zone = time.UTC
	}
	if c.year == 0 && !opt.ModTime.IsZero() {
		c.year = opt.ModTime.In(c.zone).Year()
	}
	return c
}

// Wall resolves a stamp without a zone. ok is false for a date or time of day
// that does not exist; second 60 is read as the start of the next minute.
func (c *Clock) Wall(year int, month time.Month, day, hour, minute, second, ns int) (t int64, g firetrail.Guess, ok bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || year < 1678 || year > 2261 {
		return firetrail.Absent, 0, false
	}
	at := time.Date(year, month, day, hour, minute, second, ns, c.zone)
	if at.AddDate(0, 0, 0).Month() != month && second < 60 {
		return firetrail.Absent, 0, false
	}
	if !c.given {
		g = firetrail.GuessZone
	}
	return at.UnixNano(), g, true
}

// Yearless resolves a stamp that has neither year nor zone ("Mar  1 08:00:00").
func (c *Clock) Yearless(month time.Month, day, hour, minute, second, ns int) (t int64, g firetrail.Guess, ok bool) {
	year := c.year
	if year == 0 {
		return firetrail.Absent, 0, false
	}
	t, g, ok = c.Wall(year, month, day, hour, minute, second, ns)
	return t, g | firetrail.GuessYear, ok
}
