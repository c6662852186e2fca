package tui

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firetrail"
)

// stamp prints a time for a table: to the millisecond, in the zone of the screen.
func (m *model) stamp(t int64) string {
	if t == firetrail.Absent {
		return "undated"
	}
	return time.Unix(0, t).In(m.zone).Format("2006-01-02 15:04:05.000")
}

// second prints a time without decimals.
func (m *model) second(t int64) string {
	if t == firetrail.Absent {
		return "unknown"
	}
	return time.Unix(0, t).In(m.zone).Format("2006-01-02 15:04:05")
}

// exact prints a time with all its decimals and its zone.
func (m *model) exact(t int64) string {
	if m.zone == time.UTC {
		return firetrail.Stamp(t)
	}
	return time.Unix(0, t).In(m.zone).Format("2006-01-02T15:04:05.999999999Z07:00")
}

// bounds prints an interval: the day of the end only where it is another.
func (m *model) bounds(start, end int64, open bool) string {
	if start == firetrail.Absent && end == firetrail.Absent {
		return "undated"
	}
	to := m.second(end)
	if from := m.second(start); end != firetrail.Absent && start != firetrail.Absent && from[:10] == to[:10] {
		to = to[11:]
	}
	if start == end {
		to = "the same second"
	}
	text := m.second(start) + " to " + to
	if start != firetrail.Absent && end != firetrail.Absent && end > start {
		text += " (" + span(end-start) + ")"
	}
	if open {
		text += ", still open at the end of the data"
	}
	return text
}

// lease prints the bounds of something that may have begun or ended unseen.
func (m *model) lease(start, end int64) string {
	from, to := "since ever", "until ever"
	if start != firetrail.Absent {
		from = "from " + m.second(start)
	}
	if end != firetrail.Absent {
		to = "to " + m.second(end)
	}
	return from + " " + to
}

// span prints nanoseconds as people say them: "2h21m", "31s", "120ms".
func span(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d >= 10*time.Second:
		return fmt.Sprintf("%ds", d/time.Second)
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d >= time.Millisecond:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
	return fmt.Sprintf("%dµs", d/time.Microsecond)
}

// number prints a measured value without needless digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// thousands prints a count with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural prints a count with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// addresses prints the first of a list and how many more there are.
func addresses(list []netip.Addr, most int) string {
	var parts []string
	for i, a := range list {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, a.String())
	}
	return strings.Join(parts, ", ")
}

// target prints one peer: "203.0.113.9:443 (name)".
func target(t firetrail.Target) string {
	text := firetrail.AddrText(t.IP)
	switch {
	case t.Port != firetrail.Absent && t.IP.IsValid():
		text = netip.AddrPortFrom(t.IP, uint16(t.Port)).String()
	case t.Port != firetrail.Absent:
		text = fmt.Sprintf("port %d", t.Port)
	}
	switch {
	case t.Host == "":
	case text == "":
		text = t.Host
	default:
		text += " (" + t.Host + ")"
	}
	return firetrail.Inert(text)
}

// levels say what the letters of an attribution mean.
func level(l string) string {
	switch l {
	case "A0":
		return "A0, not attributed"
	case "A1":
		return "A1, one of several candidates"
	case "A2":
		return "A2, one run by lease"
	case "A3":
		return "A3, within a tool call"
	case "A4":
		return "A4, the tool call's content matches"
	case "A5":
		return "A5, the content matches and it recurs"
	}
	return firetrail.Inert(l)
}

// runOf says in a word which run it was.
func runOf(a *firetrail.Attribution) string {
	switch {
	case a.Run != nil:
		return fmt.Sprintf("run %s %s", firetrail.Inert(a.Run.ID), firetrail.Probability(a.Run.Probability))
	case len(a.Candidates) > 0:
		return "no run certain"
	}
	return "no run"
}
