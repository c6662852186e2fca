package parsers

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
)

// dated reads kernel packets with the given year-less stamps and returns their dates.
func dated(t *testing.T, opt Options, stamps ...string) []string {
	t.Helper()
	var log strings.Builder
	for _, s := range stamps {
		log.WriteString(s + " gw1 kernel: [UFW BLOCK] " + lanPacket + "\n")
	}
	events, _, _, _, err := readAll(strings.NewReader(log.String()), opt)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range events {
		out = append(out, strings.TrimSuffix(firetrail.Stamp(events[i].Time), ":00Z"))
	}
	return out
}

func TestYears(t *testing.T) {
	until := func(y int, m time.Month, d int) Options {
		return Options{ModTime: time.Date(y, m, d, 12, 0, 0, 0, time.UTC)}
	}
	for _, test := range []struct {
		name   string
		opt    Options
		stamps []string
		want   []string
	}{
		{"same year", until(2026, 3, 2), []string{"Mar  1 08:00:00", "Mar  2 08:00:00"}, []string{"2026-03-01T08:00", "2026-03-02T08:00"}},
		{"last year", until(2026, 3, 2), []string{"Jun  1 08:00:00"}, []string{"2025-06-01T08:00"}},
		{"New Year", until(2026, 1, 2), []string{"Dec 31 23:59:00", "Jan  1 00:00:00"}, []string{"2025-12-31T23:59", "2026-01-01T00:00"}},
		{"straggler", until(2026, 1, 2), []string{"Dec 31 23:59:00", "Jan  1 00:00:00", "Dec 31 23:58:00", "Jan  1 00:01:00"},
			[]string{"2025-12-31T23:59", "2026-01-01T00:00", "2025-12-31T23:58", "2026-01-01T00:01"}},
		{"straggler first", until(2026, 1, 2), []string{"Jan  1 00:00:00", "Dec 31 23:58:00", "Jan  1 00:01:00"},
			[]string{"2026-01-01T00:00", "2025-12-31T23:58", "2026-01-01T00:01"}},
		{"leap day", until(2024, 3, 2), []string{"Feb 28 08:00:00", "Feb 29 08:00:00", "Mar  1 08:00:00"}, []string{"2024-02-28T08:00", "2024-02-29T08:00", "2024-03-01T08:00"}},
		{"leap day tells the year", until(2026, 3, 2), []string{"Feb 28 08:00:00", "Feb 29 08:00:00", "Mar  1 08:00:00"}, []string{"2024-02-28T08:00", "2024-02-29T08:00", "2024-03-01T08:00"}},
		{"three years", until(2026, 3, 2), []string{"Jun  1 08:00:00", "Dec  1 08:00:00", "Mar  1 08:00:00", "Jun  1 08:00:00", "Dec  1 08:00:00", "Mar  1 08:00:00"},
			[]string{"2024-06-01T08:00", "2024-12-01T08:00", "2025-03-01T08:00", "2025-06-01T08:00", "2025-12-01T08:00", "2026-03-01T08:00"}},
		{"clock set back", until(2026, 8, 25), []string{"Aug 20 08:00:00", "Jan  1 00:00:00", "Aug 20 08:02:00"}, []string{"2026-08-20T08:00", "2026-01-01T00:00", "2026-08-20T08:02"}},
		{"clock set back in an earlier year", until(2026, 8, 25), []string{"Aug 20 08:00:00", "Jan  1 00:00:00", "Aug 20 08:02:00", "Dec 20 08:00:00", "Mar 20 08:00:00"},
			[]string{"2025-08-20T08:00", "2026-01-01T00:00", "2025-08-20T08:02", "2025-12-20T08:00", "2026-03-20T08:00"}},
		{"out of order within a year", until(2026, 8, 25), []string{"Aug 20 08:00:00", "Jun  1 00:00:00", "Aug 20 08:02:00"}, []string{"2026-08-20T08:00", "2026-06-01T00:00", "2026-08-20T08:02"}},
		{"year given", Options{Year: 2019, ModTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"Dec 31 23:59:00", "Jan  1 00:00:00"}, []string{"2019-12-31T23:59", "2020-01-01T00:00"}},
		{"a sender a few hours ahead of the file", until(2026, 3, 2), []string{"Mar  3 08:00:00"}, []string{"2026-03-03T08:00"}},
		{"nothing to tell by", Options{}, []string{"Mar  1 08:00:00"}, []string{""}},
		{"second 60", until(2026, 1, 2), []string{"Dec 31 23:59:60"}, []string{"2026-01-01T00:00"}},
		{"no such day", until(2026, 5, 2), []string{"Apr 31 08:00:00"}, []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := dated(t, test.opt, test.stamps...); !slices.Equal(got, test.want) {
				t.Errorf("\n got %v\nwant %v", got, test.want)
			}
		})
	}
}

// TestYearsOfLongSource: the head of a source that covers more than a year does
// not tell its first year, the survey does.
func TestYearsOfLongSource(t *testing.T) {
	var log bytes.Buffer
	day := time.Date(2023, 5, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		log.WriteString(day.AddDate(0, 0, i).Format("Jan _2 15:04:05") + " gw1 kernel: [UFW BLOCK] " + lanPacket + "\n")
	}
	opt := Options{ModTime: day.AddDate(0, 0, 1000)}
	opt.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(log.Bytes())), nil }
	events, _, _, _, err := readAll(bytes.NewReader(log.Bytes()), opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if want := day.AddDate(0, 0, i).UnixNano(); events[i].Time != want || events[i].Guess != firetrail.GuessYear|firetrail.GuessZone {
			t.Fatalf("line %d: %s, guess %v", i+1, firetrail.Stamp(events[i].Time), events[i].Guess)
		}
	}
}

func TestZones(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	c := NewClock(Options{Zone: berlin})
	for _, test := range []struct {
		d, h, m int
		month   time.Month
		want    string
	}{
		{1, 12, 0, time.January, "2026-01-01T11:00:00Z"},
		{1, 12, 0, time.July, "2026-07-01T10:00:00Z"},
		{29, 1, 59, time.March, "2026-03-29T00:59:00Z"},
		{29, 2, 30, time.March, "2026-03-29T01:30:00Z"}, // skipped hour: the offset before
		{29, 3, 0, time.March, "2026-03-29T01:00:00Z"},
		{25, 1, 59, time.October, "2026-10-24T23:59:00Z"},
		{25, 2, 30, time.October, "2026-10-25T00:30:00Z"}, // double hour: the first pass
		{25, 3, 0, time.October, "2026-10-25T02:00:00Z"},
	} {
		at, g, ok := c.Wall(2026, test.month, test.d, test.h, test.m, 0, 0)
		if got := firetrail.Stamp(at); !ok || g != 0 || got != test.want {
			t.Errorf("%v %d %02d:%02d: %s, want %s", test.month, test.d, test.h, test.m, got, test.want)
		}
	}
	if zone, _ := c.Describe(); zone != "Europe/Berlin (given)" {
		t.Errorf("described as %q", zone)
	}
}

func TestDescribe(t *testing.T) {
	c := NewClock(Options{ModTime: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
	if zone, year := c.Describe(); zone != "" || year != "" {
		t.Errorf("unused clock: %q %q", zone, year)
	}
	c.Yearless(12, 31, 23, 0, 0, 0)
	c.Yearless(1, 1, 1, 0, 0, 0)
	if zone, year := c.Describe(); zone != "UTC (assumed)" || year != "2025-2026 (from the file's modification time)" {
		t.Errorf("%q %q", zone, year)
	}
}

// TestWallSeconds compares the calendar with that of package time.
func TestWallSeconds(t *testing.T) {
	for d := time.Date(1678, 1, 1, 6, 7, 8, 0, time.UTC); d.Year() < 2262; d = d.AddDate(0, 0, 1) {
		if got, ok := wallSeconds(d.Year(), d.Month(), d.Day(), 6, 7, 8); !ok || got != d.Unix() {
			t.Fatalf("%v: %d", d, got)
		}
	}
	for _, bad := range [][6]int{{2025, 2, 29, 0, 0, 0}, {2025, 4, 31, 0, 0, 0}, {2025, 0, 1, 0, 0, 0}, {2025, 1, 1, 24, 0, 0}, {2025, 1, 1, 0, 60, 0}, {2025, 1, 1, 0, 0, 61}} {
		if _, ok := wallSeconds(bad[0], time.Month(bad[1]), bad[2], bad[3], bad[4], bad[5]); ok {
			t.Errorf("%v exists", bad)
		}
	}
}

func BenchmarkYearless(b *testing.B) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		b.Skip(err)
	}
	c := NewClock(Options{ModTime: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), Zone: zone})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Yearless(3, 1, 8, i/60%60, i%60, 0)
	}
}
