package tui

import (
	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// item is one stop of the cursor in a document.
type item struct {
	draw  func(width int) []line // at least one line
	open  func() screen          // what enter opens, nil nothing
	field string                 // of a record: the name and value it shows
	value string
}

// document is a screen of items one below the other. The items are made when it
// is opened; only those in the window are drawn.
type document struct {
	asks
	pane
	is     kind
	title  string
	make   func(m *model) []item // nil where the items do not depend on what is read later
	items  []item
	width  int
	height int
	events func(m *model) (firetrail.Query, bool) // what "e" shows
}

func (d *document) kind() kind   { return d.is }
func (d *document) name() string { return d.title }

func (d *document) shown(m *model) tea.Cmd {
	if d.make != nil {
		d.items = d.make(m)
	}
	d.width, d.height = m.body()
	d.show(len(d.items), d.height, d.high)
	return nil
}

func (d *document) high(i int) int { return len(d.items[i].draw(d.width - 2)) }

// lines draws the items of the window; "> " marks the cursor's, "  " others.
func (d *document) lines(_ *model, width, height int) []line {
	var out []line
	for i := d.top; i < len(d.items) && len(out) < height; i++ {
		all := d.items[i].draw(width - 2)
		skip := 0
		if i == d.top {
			skip = min(d.sub, len(all)-1)
		}
		for k, l := range all[skip:] {
			mark := "  "
			if i == d.cursor {
				if k+skip == 0 {
					mark = "> "
				}
				if len(all) <= 4 || k+skip == 0 {
					l.style = inverse
				}
			}
			l.text = mark + l.text
			out = append(out, l)
		}
	}
	return out
}

func (d *document) do(m *model, a action) tea.Cmd {
	if d.move(a, len(d.items), d.height, d.high) {
		return nil
	}
	switch a {
	case actOpen:
		if d.cursor < len(d.items) && d.items[d.cursor].open != nil {
			return m.push(d.items[d.cursor].open())
		}
		m.note = "nothing to open on this line; tab goes to the next that can be opened"
	case actNextLink, actPreviousLink:
		d.link(m, a == actNextLink)
	case actEvents:
		q, ok := d.events(m)
		if !ok {
			m.note = "there is nothing to select events by"
			return nil
		}
		return m.push(newEvents(q, m.store.Print(q)))
	}
	return nil
}

// link moves to the next or previous item that can be opened, round the end.
func (d *document) link(m *model, forward bool) {
	step := len(d.items) - 1
	if forward {
		step = 1
	}
	for n := 1; n <= len(d.items); n++ {
		i := (d.cursor + n*step) % len(d.items)
		if d.items[i].open != nil || d.items[i].field != "" {
			d.cursor = i
			d.show(len(d.items), d.height, d.high)
			return
		}
	}
	m.note = "there is nothing to open on this screen"
}

func (d *document) receive(*model, answer) tea.Cmd { return nil }

// writer collects the items of a document.
type writer struct {
	items []item
}

func (w *writer) add(draw func(width int) []line) *item {
	w.items = append(w.items, item{draw: draw})
	return &w.items[len(w.items)-1]
}

// gap is an empty line; it belongs to the item before it in no way.
func (w *writer) gap() {
	w.add(func(int) []line { return []line{{}} })
}

// head is a heading with an empty line above.
func (w *writer) head(text string) {
	w.add(func(int) []line { return []line{{}, {text: text, style: strong}} })
}

// text is a wrapped sentence behind a label.
func (w *writer) text(st style, label, text string) *item {
	text = firetrail.Inert(text)
	return w.add(func(width int) []line { return wrap(st, label, text, width) })
}

// texts are sentences behind the same label.
func (w *writer) texts(label string, list []string) {
	for _, s := range list {
		w.text(plain, label, s)
	}
}
