package tui

import (
	"slices"
	"strings"

	"firetrail"

	"github.com/charmbracelet/x/ansi"
)

// column is one column of the table of events. It grows with the values that
// were seen, up to most cells, and never shrinks, so that rows stay where they are.
type column struct {
	field string
	width int
	most  int
	right bool // numbers
}

// shownColumns are the columns in their order.
var shownColumns = []column{
	{"time", 23, 23, false},
	{"action", 6, 8, false},
	{"src_ip", 11, 39, false},
	{"dst_ip", 11, 39, false},
	{"dst_port", 8, 8, true},
	{"proto", 5, 8, false},
	{"host", 6, 40, false},
	{"bytes_out", 9, 14, true},
	{"bytes_in", 9, 14, true},
	{"duration", 8, 14, true},
	{"src_port", 8, 8, true},
	{"app", 4, 20, false},
	{"service", 7, 16, false},
	{"rule", 4, 28, false},
	{"reason", 6, 20, false},
	{"state", 5, 12, false},
	{"sensor", 6, 24, false},
	{"kind", 4, 20, false},
	{"user", 4, 20, false},
	{"url", 4, 60, false},
	{"line", 6, 12, true},
	{"source", 16, 16, false},
}

// columnNames are the fields that a page is read with.
func columnNames() []string {
	var names []string
	for _, c := range shownColumns {
		names = append(names, c.field)
	}
	return append(names, "offset")
}

// table holds pages of a result and draws rows of it.
type table struct {
	columns []column
	column  int // under the cursor
	left    int // first one in sight after time
	pages   map[int][]firetrail.Event
	used    []int // offsets of the pages, those used last at the end
	known   int   // rows that are known to exist
	asked   int   // offset of the page that was asked for last
}

// mostPages bounds the pages that are held.
const mostPages = 24

func newTable() table {
	return table{columns: slices.Clone(shownColumns), pages: map[int][]firetrail.Event{}}
}

// forget drops all pages.
func (t *table) forget() {
	t.pages, t.used, t.known = map[int][]firetrail.Event{}, nil, 0
}

// put takes a page in; pages begin at multiples of pageRows.
func (t *table) put(p pageRead) {
	t.known = max(t.known, p.offset+len(p.events))
	t.pages[p.offset] = p.events
	t.touch(p.offset)
	for len(t.used) > mostPages {
		delete(t.pages, t.used[0])
		t.used = t.used[1:]
	}
	for i := range t.columns {
		c := &t.columns[i]
		for k := range p.events {
			if c.width >= c.most {
				break
			}
			if v, ok := p.events[k].Value(c.field); ok {
				c.width = min(max(c.width, ansi.StringWidth(firetrail.Inert(v))), c.most)
			}
		}
	}
}

// trim keeps only the pages of the rows in sight: a screen that is below another
// one holds little, however far it was scrolled.
func (t *table) trim(top, height int) {
	first, last := top/pageRows*pageRows, max(top+height-1, 0)/pageRows*pageRows
	t.used = slices.DeleteFunc(t.used, func(offset int) bool {
		gone := offset < first || offset > last
		if gone {
			delete(t.pages, offset)
		}
		return gone
	})
}

// touch marks a page as used just now.
func (t *table) touch(offset int) {
	if i := slices.Index(t.used, offset); i >= 0 {
		t.used = slices.Delete(t.used, i, i+1)
	}
	t.used = append(t.used, offset)
}

// at is the event of a row, nil where its page is not there.
func (t *table) at(row int) *firetrail.Event {
	if row < 0 {
		return nil
	}
	list := t.pages[row/pageRows*pageRows]
	if row%pageRows >= len(list) {
		return nil
	}
	return &list[row%pageRows]
}

// missing finds the first page of the rows in sight that is not held, then of the
// rows half a page after and before them. The end of a result is only known when
// it has been counted.
func (t *table) missing(top, height, rows int, counted bool) (offset int, missing bool) {
	for _, at := range []int{top, top + height - 1, top + height + pageRows/2, top - pageRows/2} {
		at = max(at, 0)
		if counted && at >= rows {
			at = rows - 1
		}
		if at < 0 {
			return 0, false
		}
		offset = at / pageRows * pageRows
		held, ok := t.pages[offset]
		if !ok && (counted || offset <= t.known) {
			return offset, true
		}
		if ok {
			t.touch(offset)
			if !counted && len(held) < pageRows {
				return 0, false
			}
		}
	}
	return 0, false
}

// head names the columns; the one under the cursor is marked, and so is the order.
func (t *table) head(width int, sort string, desc bool) line {
	if sort == "" {
		sort = "time"
	}
	t.columns[0].width = 23
	if width < 100 {
		t.columns[0].width = 19 // the line below the table has the time in full
	}
	t.scroll(width)
	l := line{style: strong}
	var b strings.Builder
	for i, at := range t.places(width) {
		if at < 0 {
			continue
		}
		c := &t.columns[i]
		arrow := ""
		switch {
		case c.field == sort && desc:
			arrow = "↓"
		case c.field == sort:
			arrow = "↑"
		}
		if c.right {
			b.WriteString(fit(fitRight(c.field, c.width)+arrow, c.width+2))
		} else {
			b.WriteString(fit(c.field+arrow, c.width+2))
		}
		if i == t.column {
			l.from, l.to = at, at+c.width
		}
	}
	l.text = strings.TrimRight(b.String(), " ")
	return l
}

// scroll brings the column under the cursor into sight.
func (t *table) scroll(width int) {
	t.left = max(1, min(t.left, t.column))
	if t.column == 0 {
		t.left = 1
	}
	for t.left < t.column && t.end(t.column) > width {
		t.left++
	}
}

// end is the cell behind a column, as the table is scrolled.
func (t *table) end(column int) int {
	at := t.columns[0].width + 2
	for i := t.left; i <= column; i++ {
		at += t.columns[i].width + 2
	}
	return at - 2
}

// places gives the first cell of each column, -1 for those out of sight. The time
// stays where it is.
func (t *table) places(width int) []int {
	out := make([]int, len(t.columns))
	at := 0
	for i := range t.columns {
		out[i] = -1
		if i > 0 && i < t.left {
			continue
		}
		// A number that is cut would be read as another one.
		end := at + t.columns[i].width
		if i == 0 || end <= width || !t.columns[i].right && at+8 <= width {
			out[i] = at
		} else {
			end = width
		}
		at = end + 2
	}
	return out
}

// row draws one event.
func (t *table) row(m *model, row int, cursor bool, width int) line {
	ev := t.at(row)
	l := line{}
	if cursor {
		l.style = inverse
	}
	if ev == nil {
		l.text = "…"
		return l
	}
	if !cursor && ev.Denied() {
		l.style = yellow
	}
	var b strings.Builder
	for i, at := range t.places(width) {
		if at < 0 {
			continue
		}
		c := &t.columns[i]
		value := ""
		if c.field == "time" {
			value = m.stamp(ev.Time)
			value = value[:min(len(value), c.width)]
		} else if v, ok := ev.Value(c.field); ok {
			value = firetrail.Inert(v)
		}
		if c.right {
			b.WriteString(fitRight(value, c.width))
		} else {
			b.WriteString(fit(value, c.width))
		}
		b.WriteString("  ")
		if cursor && i == t.column {
			l.from, l.to = at, at+c.width
		}
	}
	l.text = strings.TrimRight(b.String(), " ")
	return l
}
