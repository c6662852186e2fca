package tui

import (
	"fmt"
	"strings"
	"time"
)

// eighths are bars of one to eight eighths of a cell.
var eighths = [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// stripLines draws the counts over time in height lines: bars of all events, one
// line for those that were refused, and what the bars mean.
func (e *events) stripLines(m *model, width, height int) []line {
	out := make([]line, height)
	if !e.stripDone {
		out[height-1] = line{text: "counting over time …", style: faint}
		return out
	}
	if len(e.strip) == 0 && e.total != 0 {
		out[height-1] = line{text: "no event of this result is dated", style: faint}
		return out
	}
	if len(e.strip) == 0 {
		return out
	}
	most, refused, all := int64(0), int64(0), int64(0)
	for _, b := range e.strip {
		most, refused, all = max(most, b.Count), refused+b.Denied, all+b.Count
	}
	bars := height - 2
	for i := range bars {
		out[i] = line{text: barRow(e.strip, most, bars, bars-1-i, func(b Bucket) int64 { return b.Count })}
	}
	out[bars] = line{text: barRow(e.strip, most, 1, 0, func(b Bucket) int64 { return b.Denied }), style: yellow}
	first, last := e.strip[0], e.strip[len(e.strip)-1]
	left := m.second(first.Start)
	right := m.second(last.End - 1)
	middle := fmt.Sprintf("a bar is %s, highest %s; below: %s refused", bucketWidth(first.End-first.Start), thousands(most), thousands(refused))
	if undated := e.total - all; e.total >= 0 && undated > 0 {
		middle += fmt.Sprintf("; %s undated", thousands(undated))
	}
	out[height-1] = line{text: axis(left, middle, right, min(width, len(e.strip))), style: faint}
	return out
}

// axis puts the bounds of the time under the bars, and as much of the rest
// between them as there is room for.
func axis(left, middle, right string, width int) string {
	room := width - len(left) - len(right)
	if room < 2 {
		return left + " to " + right
	}
	if len(middle) > room-2 {
		middle = ""
	}
	before := (room - len(middle)) / 2
	return left + strings.Repeat(" ", before) + middle + strings.Repeat(" ", room-before-len(middle)) + right
}

// bucketWidth prints the width of a bucket.
func bucketWidth(ns int64) string {
	if ns < int64(time.Microsecond) {
		return fmt.Sprintf("%dns", ns)
	}
	return span(ns)
}

// barRow draws line row (from 0, the lowest) of bars that are high lines high.
// A count that is not zero is never drawn as nothing.
func barRow(strip []Bucket, most int64, high, row int, count func(Bucket) int64) string {
	var b strings.Builder
	for _, bucket := range strip {
		n := count(bucket)
		level := 0
		if n > 0 && most > 0 {
			level = max(1, int(float64(n)/float64(most)*float64(high*8)+0.5))
		}
		b.WriteString(eighths[max(0, min(8, level-row*8))])
	}
	return b.String()
}
