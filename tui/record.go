package tui

import (
	"encoding/hex"
	"fmt"
	"strings"

	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// most bytes of a record that are shown; the rest is named.
const shownBytes = 16 << 10

// record is one event: its original bytes, where they stand, and what was read
// from them.
type record struct {
	document
	id      string
	cited   string // hash that a finding gives for it, "" none
	asked   bool
	read    *recordRead
	problem error
	hex     bool
}

func newRecord(id, cited string) screen {
	r := &record{id: id, cited: cited}
	r.document = document{is: kindRecord, title: firetrail.Inert(id)}
	r.document.make = r.items
	return r
}

func (r *record) shown(m *model) tea.Cmd {
	r.document.shown(m)
	if r.asked {
		return nil
	}
	r.asked = true
	return r.ask(slotPage, readRecord(m.store, r.id))
}

func (r *record) receive(m *model, a answer) tea.Cmd {
	switch v := a.value.(type) {
	case recordRead:
		r.read = &v
		r.document.shown(m)
	case queryRead:
		return openQuery(m, v, a)
	}
	if a.err != nil {
		if a.slot == slotQuery {
			m.note = firetrail.Inert(a.err.Error())
		} else {
			r.problem = a.err
			r.document.shown(m)
		}
	}
	return nil
}

func (r *record) do(m *model, a action) tea.Cmd {
	switch a {
	case actHex:
		r.hex = !r.hex
		return r.document.shown(m)
	case actAround:
		if r.read == nil {
			m.note = "the record is not read yet"
			return nil
		}
		m.note = "looking for what lies around it …"
		return r.ask(slotQuery, around(m.store, r.read.event, columnNames()))
	case actOnly:
		if r.cursor >= len(r.document.items) || r.document.items[r.cursor].field == "" {
			m.note = "put the cursor on a field first: tab goes to the next"
			return nil
		}
		it := r.document.items[r.cursor]
		q := firetrail.Exactly(it.field, it.value)
		return m.push(newEvents(q, m.store.Print(q)))
	}
	return r.document.do(m, a)
}

// items makes the screen from what has been read.
func (r *record) items(m *model) []item {
	w := &writer{}
	switch {
	case r.problem != nil:
		w.text(redStrong, "", "The event cannot be read: "+r.problem.Error())
		return w.items
	case r.read == nil:
		w.text(faint, "", "reading "+r.id+" …")
		return w.items
	}
	ev := &r.read.event
	w.text(strong, "", headline(m, ev))
	r.origin(w)
	w.head("Original bytes, without the line end")
	r.bytes(w)
	held(w, m, ev)
	w.head("Fields")
	for i := range firetrail.Fields {
		f := &firetrail.Fields[i]
		if v, ok := f.Print(ev); ok {
			w.field(f.Name, v)
		}
	}
	if ev.Guess != 0 {
		w.field("time.guess", ev.Guess.String())
	}
	for _, x := range ev.X {
		w.field("x."+x.Name, x.Value)
	}
	return w.items
}

// headline says in a line what the event is.
func headline(m *model, ev *firetrail.Event) string {
	parts := []string{m.stamp(ev.Time), ev.Kind}
	if ev.Guess != 0 {
		parts[0] += " (" + ev.Guess.String() + " guessed)"
	}
	for _, s := range []string{ev.Action, ev.Proto} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if ev.SrcIP.IsValid() || ev.DstIP.IsValid() {
		parts = append(parts, target(firetrail.Target{IP: ev.SrcIP, Port: ev.SrcPort})+" to "+target(firetrail.Target{IP: ev.DstIP, Port: ev.DstPort, Host: ev.Host}))
	}
	return strings.Join(parts, "  ")
}

// origin says where the bytes stand, and whether they are those that were cited.
func (r *record) origin(w *writer) {
	o := &r.read.event.Origin
	path := r.read.source.Path
	if path == "" {
		path = "source " + o.Source
	}
	w.text(plain, "file      ", fmt.Sprintf("%s, line %d, offset %d, length %d", path, o.Line, o.Offset, o.Length))
	w.text(plain, "id        ", o.ID())
	if r.read.source.SHA256 != "" {
		w.text(faint, "source is ", r.read.source.SHA256)
	}
	switch {
	case r.read.rawErr != nil:
		w.text(redStrong, "", "The bytes cannot be read again: "+r.read.rawErr.Error())
	case r.cited == "":
		w.text(plain, "sha256    ", r.read.sum)
	case r.cited == r.read.sum:
		w.text(plain, "sha256    ", r.read.sum)
		w.text(green, "          ", "the same bytes that the finding cites")
	default:
		w.text(redStrong, "sha256    ", r.read.sum)
		w.text(redStrong, "          ", "NOT the bytes that the finding cites: "+r.cited)
	}
}

// bytes shows the record as inert text or as hex.
func (r *record) bytes(w *writer) {
	raw := r.read.raw
	shown := raw[:min(len(raw), shownBytes)]
	switch {
	case r.read.rawErr != nil:
		return
	case r.hex:
		for _, l := range strings.Split(strings.TrimRight(hex.Dump(shown), "\n"), "\n") {
			w.add(func(int) []line { return []line{{text: l}} })
		}
	default:
		text := firetrail.Inert(string(shown))
		w.add(func(width int) []line { return broken(text, width) })
	}
	if more := len(raw) - len(shown); more > 0 {
		w.text(yellow, "", fmt.Sprintf("%s more; all of them: firetrail raw %s", plural(int64(more), "byte"), r.id))
	}
}

// held lists the leases on the event's addresses at its time.
func held(w *writer, m *model, ev *firetrail.Event) {
	if m.facts == nil || ev.Time == firetrail.Absent {
		return
	}
	headed := false
	for i := range m.facts.inventory.Runs {
		for _, l := range m.facts.inventory.Runs[i].Leases {
			if l.IP != ev.SrcIP && l.IP != ev.DstIP || !l.IP.IsValid() || !during(&l, ev) {
				continue
			}
			if !headed {
				w.head("Runs that held one of its addresses then")
				headed = true
			}
			run := m.facts.inventory.Runs[i].ID
			w.text(plain, "", fmt.Sprintf("%s: %s %s, %s (%s:%d)", run, l.IP, l.Name, m.lease(l.Start, l.End), l.Source, l.Line)).open = openRun(m, run)
		}
	}
}

// during reports whether a lease may have covered an event, its uncertainty included.
func during(l *firetrail.Lease, ev *firetrail.Event) bool {
	return (l.Start == firetrail.Absent || l.Start-l.StartUnc <= ev.Last()) && (l.End == firetrail.Absent || l.End+l.EndUnc >= ev.Time)
}

// field is a line with a name and a value that events can be selected by.
func (w *writer) field(name, value string) {
	label := fit(firetrail.Inert(name), 20) + " "
	it := w.text(plain, label, value)
	it.field, it.value = name, value
}
