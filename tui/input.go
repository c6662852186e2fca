package tui

import (
	"unicode"

	"firetrail"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// input is a line that is being edited.
type input struct {
	text []rune
	at   int // runes before the cursor
}

func (in *input) set(s string) {
	in.text = []rune(s)
	in.at = len(in.text)
}

func (in *input) insert(s string) {
	var add []rune
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			add = append(add, ' ')
		case !unicode.IsControl(r):
			add = append(add, r)
		}
	}
	in.text = append(in.text[:in.at], append(add, in.text[in.at:]...)...)
	in.at += len(add)
}

// cut deletes the runes between two places.
func (in *input) cut(from, to int) {
	from, to = max(from, 0), min(to, len(in.text))
	if from < to {
		in.text = append(in.text[:from], in.text[to:]...)
		in.at = from
	}
}

// word is where the word before the cursor begins.
func (in *input) word() int {
	i := in.at
	for i > 0 && unicode.IsSpace(in.text[i-1]) {
		i--
	}
	for i > 0 && !unicode.IsSpace(in.text[i-1]) {
		i--
	}
	return i
}

// edit handles a key or a paste, with the keys of a shell.
func (in *input) edit(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		in.insert(msg.Content)
	case tea.KeyPressMsg:
		switch msg.String() {
		case "left", "ctrl+b":
			in.at = max(0, in.at-1)
		case "right", "ctrl+f":
			in.at = min(len(in.text), in.at+1)
		case "home", "ctrl+a":
			in.at = 0
		case "end", "ctrl+e":
			in.at = len(in.text)
		case "backspace", "ctrl+h":
			in.cut(in.at-1, in.at)
		case "delete", "ctrl+d":
			in.cut(in.at, in.at+1)
		case "ctrl+w":
			in.cut(in.word(), in.at)
		case "ctrl+u":
			in.cut(0, in.at)
		case "ctrl+k":
			in.cut(in.at, len(in.text))
		default:
			in.insert(msg.Key().Text)
		}
	}
}

// show gives what is seen in width cells, how many cells are left of it, and the
// cell of the cursor.
func (in *input) show(width int) (text string, left, cursor int) {
	before := firetrail.Inert(string(in.text[:in.at]))
	text = before + firetrail.Inert(string(in.text[in.at:]))
	cursor = ansi.StringWidth(before)
	left = max(0, cursor-max(width-1, 0))
	return ansi.Cut(text, left, left+width), left, cursor - left
}
