package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"firetrail"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// events is a query with its result: a table of which only the pages in sight
// are held, the counts over time, and the bar in which the query is edited.
type events struct {
	asks
	pane
	query  firetrail.Query
	text   string // the query, printed
	sort   string // "" is the order of time
	desc   bool
	table  table
	height int // rows of the table in the window

	total   int64 // -1 until it is known
	first   time.Duration
	counted time.Duration
	problem error // why there are no rows

	strip     []Bucket
	stripDone bool
	columns   int // cells the strip was asked for
	noStrip   bool

	bar     input
	editing bool     // a query, or a time to go to
	going   bool     // a time
	wrong   error    // what is wrong with what is in the bar
	choices []string // what can stand where the cursor is
}

func newEvents(q firetrail.Query, text string) screen {
	return &events{query: q, text: text, total: -1, table: newTable()}
}

func (e *events) kind() kind { return kindEvents }

func (e *events) name() string { return firetrail.Inert(ansi.Truncate(e.text, 40, "…")) }

// mostSorted is how many rows are shown of a result in another order than that of
// time: the store has to find them among all, for every page again.
const mostSorted = 10_000

// rows is how many rows there are to be seen, as far as is known.
func (e *events) rows() int {
	switch {
	case e.total < 0:
		return e.table.known
	case e.sort != "":
		return int(min(e.total, mostSorted))
	}
	return int(e.total)
}

func one(int) int { return 1 }

// layout gives the lines of the strip and of the table for a window of height lines.
func (e *events) layout(height int) (strip, rows int) {
	rows = height - 3 // query, column names, value under the cursor
	if e.editing && (e.wrong != nil || e.choices != nil) {
		rows -= 2
	}
	switch {
	case e.noStrip || height < 12:
	case height < 30:
		strip = 4
	default:
		strip = 7
	}
	return strip, max(rows-strip, 0)
}

// shown asks for what is not there yet.
func (e *events) shown(m *model) tea.Cmd {
	width, height := m.body()
	_, e.height = e.layout(height)
	e.show(e.rows(), e.height, one)
	var cmds []tea.Cmd
	if e.columns != width && width > 0 && e.problem == nil {
		e.columns = width
		cmds = append(cmds, e.ask(slotOverview, overview(m.store, e.query, width)))
	}
	return tea.Batch(append(cmds, e.fill(m))...)
}

// fill asks for the first page in sight that is missing, then for those about it.
func (e *events) fill(m *model) tea.Cmd {
	if e.problem != nil {
		return nil
	}
	offset, missing := e.table.missing(e.top, e.height, e.rows(), e.total >= 0)
	if !missing {
		e.drop(slotPage)
		return nil
	}
	if e.pending[slotPage] && e.table.asked == offset {
		return nil
	}
	e.table.asked = offset
	p := Page{Fields: columnNames(), Sort: e.sort, Desc: e.desc, Offset: offset, Limit: pageRows}
	return e.ask(slotPage, page(m.store, e.query, p))
}

func (e *events) receive(m *model, a answer) tea.Cmd {
	if a.slot == slotQuery {
		return e.answered(m, a)
	}
	if a.err != nil {
		switch {
		case errors.Is(a.err, context.Canceled):
		case a.slot == slotRow || a.slot == slotComplete:
			m.note = firetrail.Inert(a.err.Error())
		default:
			e.problem = a.err
		}
		return nil
	}
	switch v := a.value.(type) {
	case pageRead:
		if e.first == 0 {
			e.first = a.took
		}
		e.table.put(v)
		if len(v.events) < pageRows && e.total < 0 {
			e.table.known = v.offset + len(v.events)
		}
	case Overview:
		e.total, e.counted = v.Events, a.took
		e.strip, e.stripDone = v.Buckets, true
	case rowFound:
		e.arrive(m, v)
	case completed:
		return e.complete(m, v)
	}
	e.show(e.rows(), e.height, one)
	return e.fill(m)
}

// answered takes the outcome of a query that was asked from this screen: it
// becomes a screen of its own, or the bar says what is wrong and the rows stay.
func (e *events) answered(m *model, a answer) tea.Cmd {
	m.note = ""
	if v, ok := a.value.(queryRead); ok && a.err == nil {
		e.editing, e.wrong = false, nil
		return openQuery(m, v, a)
	}
	switch {
	case errors.Is(a.err, context.Canceled):
	case e.editing:
		e.wrong = a.err
		return e.shown(m)
	default:
		m.note = firetrail.Inert(a.err.Error())
	}
	return nil
}

// openQuery shows a query whose first page is there already.
func openQuery(m *model, v queryRead, a answer) tea.Cmd {
	m.note = ""
	s := newEvents(v.query, v.text)
	e := s.(*events)
	e.table.put(v.first)
	e.first, e.cursor, e.top = a.took, v.cursor, max(0, v.cursor-4)
	return m.push(s)
}

func (e *events) do(m *model, a action) tea.Cmd {
	if e.move(a, e.rows(), e.height, one) {
		return e.fill(m)
	}
	switch a {
	case actLeft:
		e.table.column = max(0, e.table.column-1)
	case actRight:
		e.table.column = min(len(e.table.columns)-1, e.table.column+1)
	case actHistogram:
		e.noStrip = !e.noStrip
		return e.shown(m)
	case actQuery:
		e.edits(false, strings.TrimPrefix(e.text, "*"))
	case actTime:
		e.edits(true, "")
	case actValues:
		return m.push(newValues(e.query, e.text, e.table.columns[e.table.column].field))
	case actNextDay, actPreviousDay, actNextBurst, actPreviousBurst:
		return e.jump(m, a)
	case actClear:
		return e.run(m, tryQuery(m.store, firetrail.Query{}, columnNames()))
	case actSort:
		return e.order(m)
	default:
		return e.pivot(m, a)
	}
	return nil
}

// pivot does what needs an event under the cursor.
func (e *events) pivot(m *model, a action) tea.Cmd {
	ev := e.table.at(e.cursor)
	if ev == nil {
		m.note = "there is no event under the cursor"
		return nil
	}
	switch a {
	case actOpen:
		return m.push(newRecord(ev.ID(), ""))
	case actAround:
		return e.run(m, around(m.store, *ev, columnNames()))
	case actOnly, actWithout:
		name := e.table.columns[e.table.column].field
		q := firetrail.Query{Op: firetrail.OpMatch, Field: name, Match: firetrail.MatchHas}
		value, ok := ev.Value(name)
		if ok {
			q = firetrail.Exactly(name, value)
		}
		if ok == (a == actWithout) {
			q = firetrail.Not(q)
		}
		if e.query.Op != firetrail.OpAll {
			q = firetrail.And(e.query, q)
		}
		return e.run(m, tryQuery(m.store, q, columnNames()))
	}
	return nil
}

// run asks a query; the present result stays until the answer is there.
func (e *events) run(m *model, question func(context.Context) (any, error)) tea.Cmd {
	m.note = "searching …"
	return e.ask(slotQuery, question)
}

// order sorts by the column under the cursor, upwards, then downwards, then by time again.
func (e *events) order(m *model) tea.Cmd {
	name := e.table.columns[e.table.column].field
	if name == "time" {
		name = ""
	}
	switch {
	case e.sort != name:
		e.sort, e.desc = name, false
	case !e.desc:
		e.desc = true
	default:
		e.sort, e.desc = "", false
	}
	e.drop(slotPage)
	e.table.forget()
	e.cursor, e.top = 0, 0
	return e.fill(m)
}

// lines draws the bar, the strip, the table and the value under the cursor.
func (e *events) lines(m *model, width, height int) []line {
	strip, rows := e.layout(height)
	out := e.barLines(width)
	if strip > 0 {
		out = append(out, e.stripLines(m, width, strip)...)
	}
	out = append(out, e.table.head(width, e.sort, e.desc))
	switch {
	case e.problem != nil:
		out = append(out, wrap(redStrong, "", "The events cannot be read: "+firetrail.Inert(e.problem.Error()), width)...)
		return out
	case e.total == 0:
		out = append(out, line{text: "No event matches. esc goes back, / edits the query, ctrl+x shows all events.", style: yellow})
	}
	shown := 0
	for i := e.top; i < e.rows() && shown < rows; i++ {
		out = append(out, e.table.row(m, i, i == e.cursor, width))
		shown++
	}
	for ; shown < rows && len(out) < height-1; shown++ {
		out = append(out, line{})
	}
	return append(out, e.valueLine(m, width))
}

// tally says how many events there are and what it took, at length or in short.
func (e *events) tally(long bool) string {
	n := plural(e.total, "event")
	switch {
	case e.total < 0:
		return "counting …"
	case e.total == 0:
		return n
	case !long:
		return n + ", " + span(int64(e.first))
	}
	return fmt.Sprintf("%s, first page %s, count %s", n, span(int64(e.first)), span(int64(e.counted)))
}

// valueLine shows the value under the cursor in full, and where in the result it is.
func (e *events) valueLine(m *model, width int) line {
	right := ""
	if n := e.rows(); n > 0 {
		right = fmt.Sprintf("row %s of %s", thousands(int64(e.cursor+1)), thousands(int64(n)))
		if e.total > int64(n) {
			right = fmt.Sprintf("row %s of the first %s by %s", thousands(int64(e.cursor+1)), thousands(int64(n)), e.sort)
		}
	}
	name := e.table.columns[e.table.column].field
	left := name + ": none"
	if ev := e.table.at(e.cursor); ev == nil {
		left = ""
	} else if v, ok := ev.Value(name); ok {
		if name == "time" || name == "end" {
			f, _ := firetrail.FieldNamed(name)
			v = m.exact(*f.Int(ev))
		}
		left = name + ": " + firetrail.Inert(v)
	}
	return line{text: ends(left, right, width), style: cyan}
}
