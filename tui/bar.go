package tui

import (
	"errors"
	"strings"

	"firetrail"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// edits opens the bar, for a query or for a time to go to.
func (e *events) edits(going bool, text string) {
	e.editing, e.going, e.wrong, e.choices = true, going, nil, nil
	e.bar.set(text)
}

// edit handles a key in the bar.
func (e *events) edit(m *model, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "esc":
			e.editing, e.wrong, e.choices = false, nil, nil
			e.drop(slotQuery)
			e.drop(slotComplete)
			return e.shown(m)
		case "enter":
			e.wrong, e.choices = nil, nil
			if e.going {
				return e.goTo(m, strings.TrimSpace(string(e.bar.text)))
			}
			return e.run(m, runQuery(m.store, string(e.bar.text), columnNames()))
		case "tab":
			if e.going {
				return nil
			}
			return e.ask(slotComplete, complete(m.store, string(e.bar.text[:e.bar.at])))
		}
	}
	if e.pending[slotQuery] {
		e.drop(slotQuery)
		m.note = ""
	}
	e.drop(slotComplete)
	had := e.choices != nil
	e.choices = nil
	e.bar.edit(msg)
	if had {
		return e.shown(m)
	}
	return nil
}

// complete puts in what all choices begin with, and shows them where there are several.
func (e *events) complete(m *model, c completed) tea.Cmd {
	switch {
	case !e.editing || c.from > e.bar.at:
		return nil
	case len(c.list) == 0:
		m.note = "nothing in the case begins like this"
		return nil
	}
	common := c.list[0]
	for _, s := range c.list[1:] {
		for !strings.HasPrefix(s, common) {
			common = common[:len(common)-1]
		}
	}
	common = strings.ToValidUTF8(common, "")
	if len([]rune(common)) >= e.bar.at-c.from {
		e.bar.cut(c.from, e.bar.at)
		e.bar.at = c.from
		e.bar.insert(common)
	}
	if e.choices, e.wrong = nil, nil; len(c.list) > 1 {
		e.choices = c.list
	}
	return e.shown(m)
}

// goTo goes to a time that was typed.
func (e *events) goTo(m *model, text string) tea.Cmd {
	at, err := m.store.Time(text)
	if err != nil {
		e.wrong = err
		return e.shown(m)
	}
	e.editing = false
	return tea.Batch(e.shown(m), e.toTime(m, at))
}

// prompt says what the bar is for.
func (e *events) prompt() string {
	if e.editing && e.going {
		return "go to time: "
	}
	return "query: "
}

// barLines is the query with the number of its events, or the input with what is wrong
// with it or can stand in it.
func (e *events) barLines(width int) []line {
	prompt := e.prompt()
	if !e.editing {
		text := prompt + firetrail.Inert(e.text)
		tally := e.tally(true)
		if ansi.StringWidth(text)+ansi.StringWidth(tally)+1 > width {
			tally = e.tally(false)
		}
		return []line{{text: ends(text, tally, width), style: strong}}
	}
	text, left, _ := e.bar.show(max(width-len(prompt), 1))
	out := []line{{text: prompt + text}}
	switch {
	case e.wrong != nil:
		return append(out, e.wrongLines(prompt, left, width)...)
	case e.choices != nil:
		list := flow(faint, 0, inert(e.choices), width)
		list = append(list, line{})
		return append(out, list[0], list[1])
	}
	return out
}

// wrongLines are a caret under what is wrong, where that is known, and why.
func (e *events) wrongLines(prompt string, left, width int) []line {
	message, _, _ := strings.Cut(e.wrong.Error(), "\n")
	caret := ""
	if at, ok := errors.AsType[interface {
		error
		Position() (line, column int)
	}](e.wrong); ok {
		_, column := at.Position()
		cell := ansi.StringWidth(firetrail.Inert(string(e.bar.text[:min(column-1, len(e.bar.text))])))
		if cell >= left {
			caret = strings.Repeat(" ", min(len(prompt)+cell-left, width)) + "^"
		}
		_, message, _ = strings.Cut(message, ": ") // the place, which the caret shows
	}
	return []line{{text: caret, style: redStrong}, {text: message, style: red}}
}

func inert(list []string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = firetrail.Inert(list[i])
	}
	return out
}

// caret is the cell of the terminal's cursor while the bar is edited.
func (e *events) caret(width int) int {
	prompt := e.prompt()
	_, _, at := e.bar.show(max(width-len(prompt), 1))
	return min(len(prompt)+at, max(width-1, 0))
}
