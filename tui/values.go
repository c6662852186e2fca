package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// values is a screen of the values of a field among the events of a query, with the
// number of events of each.
type values struct {
	asks
	pane
	query   firetrail.Query
	text    string
	field   string
	read    *Facets
	problem error
	height  int
}

// mostValues bounds the values that are shown; how many there are is always said.
const mostValues = 1000

func newValues(q firetrail.Query, text, field string) screen {
	return &values{query: q, text: text, field: field}
}

func (v *values) kind() kind   { return kindValues }
func (v *values) name() string { return "values of " + v.field }

func (v *values) rows() int {
	if v.read == nil {
		return 0
	}
	return len(v.read.Values)
}

func (v *values) shown(m *model) tea.Cmd {
	_, height := m.body()
	v.height = max(height-2, 0)
	v.show(v.rows(), v.height, one)
	if v.read != nil || v.problem != nil || v.pending[slotPage] {
		return nil
	}
	s, q, field := m.store, v.query, v.field
	return v.ask(slotPage, func(ctx context.Context) (any, error) { return s.Facets(ctx, q, field, mostValues) })
}

func (v *values) receive(m *model, a answer) tea.Cmd {
	if a.slot == slotQuery {
		if read, ok := a.value.(queryRead); ok && a.err == nil {
			return openQuery(m, read, a)
		}
		if !errors.Is(a.err, context.Canceled) {
			m.note = firetrail.Inert(a.err.Error())
		}
		return nil
	}
	if f, ok := a.value.(Facets); ok && a.err == nil {
		v.read = &f
		v.show(v.rows(), v.height, one)
	} else if !errors.Is(a.err, context.Canceled) {
		v.problem = a.err
	}
	return nil
}

func (v *values) do(m *model, a action) tea.Cmd {
	if v.move(a, v.rows(), v.height, one) {
		return nil
	}
	if v.cursor >= v.rows() {
		m.note = "there is no value under the cursor"
		return nil
	}
	q := firetrail.Exactly(v.field, v.read.Values[v.cursor].Value)
	if a == actWithout {
		q = firetrail.Not(q)
	}
	if v.query.Op != firetrail.OpAll {
		q = firetrail.And(v.query, q)
	}
	m.note = "searching …"
	return v.ask(slotQuery, tryQuery(m.store, q, columnNames()))
}

// lines draws a line of what they are, and one for each value: its count, its share of
// the events that have the field, a bar, and the value.
func (v *values) lines(_ *model, width, height int) []line {
	head := fmt.Sprintf("%s in %s", v.field, firetrail.Inert(v.text))
	switch {
	case v.problem != nil:
		return wrap(redStrong, "", "The values cannot be counted: "+firetrail.Inert(v.problem.Error()), width)
	case v.read == nil:
		return []line{{text: head, style: strong}, {text: "counting …", style: faint}}
	}
	f := v.read
	said := plural(int64(f.Distinct), "value") + " in " + plural(f.Events-f.None, "event")
	if f.Distinct > len(f.Values) {
		said = fmt.Sprintf("the first %s of %s", thousands(int64(len(f.Values))), said)
	}
	if f.None > 0 {
		said += fmt.Sprintf(", %s without", thousands(f.None))
	}
	out := []line{{text: ends(head, said, width), style: strong}}
	for i := v.top; i < len(f.Values) && len(out) < height-1; i++ {
		l := line{text: v.line(i)}
		if i == v.cursor {
			l.style = inverse
		}
		out = append(out, l)
	}
	for len(out) < height-1 {
		out = append(out, line{})
	}
	right := ""
	if n := len(f.Values); n > 0 {
		right = fmt.Sprintf("value %s of %s", thousands(int64(v.cursor+1)), thousands(int64(n)))
	}
	return append(out, line{text: ends("", right, width), style: cyan})
}

const valueBar = 20 // cells

func (v *values) line(i int) string {
	f := v.read
	share := float64(f.Values[i].Count) / float64(max(f.Events-f.None, 1))
	most := float64(f.Values[0].Count)
	full := float64(f.Values[i].Count) / most * valueBar * 8
	bar := strings.Repeat("█", int(full)/8)
	if rest := int(full) % 8; rest > 0 || bar == "" {
		bar += eighths[max(rest, 1)]
	}
	return fmt.Sprintf("%15s %6.2f%%  %s  %s", thousands(f.Values[i].Count), 100*share, fit(bar, valueBar), firetrail.Inert(f.Values[i].Value))
}
