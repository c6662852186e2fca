package tui

import (
	"time"

	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// toTime asks for the row of a time.
func (e *events) toTime(m *model, at int64) tea.Cmd {
	if e.sort != "" {
		m.note = "the events are sorted by " + e.sort + "; sorted by time, they can be gone through by time"
		return nil
	}
	m.note = "looking for " + m.second(at) + " …"
	return e.ask(slotRow, rowAt(m.store, e.query, at))
}

// arrive goes to the row that was found.
func (e *events) arrive(m *model, v rowFound) {
	m.note = ""
	e.cursor = int(v.row)
	if e.total >= 0 && v.row >= e.total {
		m.note = "no event of this result is as late as " + m.second(v.at)
		e.cursor = int(e.total) - 1
	}
	e.cursor = max(e.cursor, 0)
	e.table.known = max(e.table.known, e.cursor+1)
	e.top = max(e.cursor-e.height/3, 0)
}

// jump goes to another day or burst than that of the event under the cursor.
func (e *events) jump(m *model, a action) tea.Cmd {
	ev := e.table.at(e.cursor)
	if ev == nil {
		m.note = "the event under the cursor is not read yet"
		return nil
	}
	at := ev.Time
	switch a {
	case actNextBurst, actPreviousBurst:
		to, ok := burst(e.strip, at, a == actNextBurst)
		if !ok {
			m.note = "there is no burst there: no bar of twice the mean"
			return nil
		}
		return e.toTime(m, to)
	case actPreviousDay:
		if e.sort == "" {
			return e.ask(slotRow, dayBefore(m.store, e.query, e.cursor, m.zone))
		}
	}
	if at == firetrail.Absent {
		if len(e.strip) == 0 {
			m.note = "no event of this result is dated"
			return nil
		}
		return e.toTime(m, e.strip[0].Start)
	}
	return e.toTime(m, midnight(m.zone, at, 1))
}

// midnight is the beginning of a time's day, or of one that is so many days later.
func midnight(zone *time.Location, at int64, days int) int64 {
	year, month, day := time.Unix(0, at).In(zone).Date()
	return time.Date(year, month, day+days, 0, 0, 0, 0, zone).UnixNano()
}

// burst finds where the next or former run of high bars begins: bars of at least twice the
// mean. That which holds the time itself is the former one only if it began before.
func burst(strip []Bucket, at int64, forward bool) (start int64, ok bool) {
	sum := int64(0)
	for _, b := range strip {
		sum += b.Count
	}
	high := func(i int) bool { return strip[i].Count*int64(len(strip)) >= 2*sum && sum > 0 }
	for i := range strip {
		if !high(i) || i > 0 && high(i-1) {
			continue
		}
		if forward && strip[i].Start > at {
			return strip[i].Start, true
		}
		if !forward && strip[i].Start < at && strip[i].End <= at {
			start, ok = strip[i].Start, true
		}
	}
	return start, ok
}
