package parsers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// survey counts the New Years in a source whose stamps have no year, by the
// rules of Clock, without knowing any year.
type survey struct {
	seen   bool
	wraps  int
	last   int64 // seconds into a leap year
	before int64 // the same before the latest New Year, -1 before the first
	after  int64 // and behind it
	final  stamp // the latest stamp

	// leapDays are the counts of New Years at which a 29 February was met: the
	// years there must be leap years. Of more than eight the first count.
	leapDays []int
}

// add takes the stamp of the next record.
func (s *survey) add(st *stamp) {
	at, ok := wallSeconds(2000, time.Month(st.month), int(st.day), int(st.hour), int(st.minute), int(st.second))
	if !ok {
		return
	}
	at -= days(2000, time.January, 1) * daySeconds
	if !s.seen {
		s.seen, s.before = true, -1
	} else if jump := at - s.last; jump < -halfYear {
		s.before, s.after = s.last, at
		s.wraps++
	} else if jump > setBack && (s.undone(at) || 366*daySeconds-jump < straggler) {
		s.wraps--
	}
	s.last, s.final = at, *st
	if st.month == 2 && st.day == 29 && len(s.leapDays) < 8 &&
		(len(s.leapDays) == 0 || s.leapDays[len(s.leapDays)-1] != s.wraps) {
		s.leapDays = append(s.leapDays, s.wraps)
	}
}

// undone reports whether a jump ahead to at leads back to where the source was
// before a New Year that it passed only a few lines ago.
func (s *survey) undone(at int64) bool {
	return s.before >= 0 && s.last-s.after < setBack && at > s.before-straggler && at < s.before+2*setBack
}

// year is that of the first stamp: the latest one that puts the last stamp at
// or before bound (seconds of wall time) and every 29 February into a leap year.
func (s *survey) year(bound int64) (year int, ok bool) {
	if !s.seen {
		return 0, false
	}
	f := &s.final
	for last := time.Unix(bound, 0).UTC().Year(); last > 1970; last-- {
		w, ok := wallSeconds(last, time.Month(f.month), int(f.day), int(f.hour), int(f.minute), int(f.second))
		if ok && w <= bound && s.leaps(last-s.wraps) {
			return last - s.wraps, true
		}
	}
	return 0, false
}

func (s *survey) leaps(first int) bool {
	for _, wraps := range s.leapDays {
		if !leap(first + wraps) {
			return false
		}
	}
	return true
}

// lines surveys one line after the other; of longer ones than the buffer the beginning.
// Of consecutive lines that begin alike up to the day only the first and the last one
// are read: no rule of a survey tells apart what stands between them. Of a file it leaps
// over what skimmer finds to lie within a day.
func (s *survey) lines(r io.Reader) error {
	in := newSkimmer(r)
	var day, latest []byte // what lines of the same day begin with, and the beginning of the latest one
	for {
		line, err := in.ReadSlice('\n')
		if withinDay(line, day) {
			latest = append(latest[:0], line[:min(len(line), len(day)+behindDay)]...)
			in.same(len(line))
		} else {
			s.line(latest)
			latest = latest[:0]
			day = append(day[:0], s.line(line)...)
			in.other(len(line))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = in.ReadSlice('\n')
			in.other(len(line))
		}
		if err == nil {
			in.leap(day, latest)
			continue
		}
		s.line(latest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("survey source for years: %w", err)
	}
}

// withinDay reports whether a line begins with a day, as another did, and a time.
func withinDay(line, day []byte) bool {
	n := len(day)
	return n > 0 && len(line) > n+clockLen && line[n+2] == ':' && line[n+5] == ':' && bytes.HasPrefix(line, day)
}

// clockLen is the length of "15:04:05".
const clockLen = 8

// behindDay is enough for what a stamp has behind its day: a time, decimals, a year.
const behindDay = 32

// line surveys a line. It returns what the line begins with up to the day of its stamp, nil
// where the day is not plain to see.
func (s *survey) line(b []byte) (day []byte) {
	if len(b) <= 14 || b[0] == '{' {
		return nil
	}
	var env envelope
	env.read(b)
	st := &env.stamp
	if st.kind != stampYearless {
		return nil
	}
	s.add(st)
	colon := bytes.IndexByte(b, ':')
	if colon < 2 {
		return nil
	}
	month := time.Month(st.month).String()[:3]
	for _, layout := range []string{"%s %2d ", "%s %02d ", "%s %d "} {
		if day = b[:colon-2]; bytes.HasSuffix(day, fmt.Appendf(nil, layout, month, st.day)) {
			return day
		}
	}
	return nil
}
