package tui

import (
	"strings"

	"firetrail"

	"github.com/charmbracelet/x/ansi"
)

// style is the look of a whole line. Colours are the terminal's own sixteen;
// what they say is always said in words too.
type style uint8

const (
	plain style = iota
	strong
	faint
	red
	redStrong
	yellow
	green
	cyan
	inverse
)

// start gives the escape sequence that begins a style.
func (s style) start() string {
	return [...]string{"", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[36m", "\x1b[7m"}[s]
}

// severityStyle is the look of a severity.
func severityStyle(severity string) style {
	switch severity {
	case firetrail.SeverityCritical:
		return redStrong
	case firetrail.SeverityHigh:
		return red
	case firetrail.SeverityMedium:
		return yellow
	}
	return plain
}

// line is one line of a screen: plain text, which must be inert, and its look.
// Cells [from, to) are shown as the place of the cursor.
type line struct {
	text     string
	style    style
	from, to int
}

// fit cuts or fills text to exactly width cells.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	w := ansi.StringWidth(text)
	if w > width {
		text = ansi.Truncate(text, width, "…")
		w = ansi.StringWidth(text)
	}
	return text + strings.Repeat(" ", max(width-w, 0))
}

// fitRight does the same with the text at the right.
func fitRight(text string, width int) string {
	w := ansi.StringWidth(text)
	if w >= width {
		return fit(text, width)
	}
	return strings.Repeat(" ", width-w) + text
}

// draw makes the terminal's bytes of a line of width cells. Text is made inert
// once more: nothing that was forgotten elsewhere reaches the terminal.
func (l line) draw(width int) string {
	text := fit(firetrail.Inert(l.text), width)
	if l.to > l.from && l.from < width {
		to := min(l.to, width)
		before, at, after := ansi.Cut(text, 0, l.from), ansi.Cut(text, l.from, to), ansi.Cut(text, to, width)
		start := l.style.start()
		return start + before + "\x1b[m\x1b[1;4m" + at + "\x1b[m" + start + after + "\x1b[m"
	}
	if l.style == plain {
		return text
	}
	return l.style.start() + text + "\x1b[m"
}

// ends puts one text at the left and one at the right of width cells; the left
// one is cut where there is not room for both.
func ends(left, right string, width int) string {
	r := ansi.StringWidth(right)
	if r == 0 || r+2 > width {
		return fit(left, width)
	}
	return fit(left, width-r-1) + " " + right
}

// wrap breaks inert text at spaces into lines of at most width cells: the first
// begins with label, the others are indented by its width. Only words longer than
// a line are broken: ids and commands stay whole.
func wrap(st style, label, text string, width int) []line {
	indent := ansi.StringWidth(label)
	room := max(width-indent, 8)
	var out []line
	put := func(part string) {
		out = append(out, line{text: label + part, style: st})
		label = strings.Repeat(" ", indent)
	}
	at, used := "", 0
	for i, word := range strings.Split(text, " ") {
		w := ansi.StringWidth(word)
		if i > 0 && used+1+w <= room {
			at, used = at+" "+word, used+1+w
			continue
		}
		if i > 0 {
			put(at)
		}
		for w > room {
			piece := ansi.Truncate(word, room, "")
			if piece == "" {
				break
			}
			put(piece)
			word = word[len(piece):]
			w = ansi.StringWidth(word)
		}
		at, used = word, w
	}
	put(at)
	return out
}

// flow puts parts one behind the other, " · " between them, as many on a line
// as have room.
func flow(st style, indent int, parts []string, width int) []line {
	var out []line
	at := ""
	for _, p := range parts {
		switch {
		case p == "":
		case at == "":
			at = strings.Repeat(" ", indent) + p
		case ansi.StringWidth(at)+3+ansi.StringWidth(p) <= width:
			at += " · " + p
		default:
			out = append(out, line{text: at, style: st})
			at = strings.Repeat(" ", indent) + p
		}
	}
	return append(out, line{text: at, style: st})
}

// broken breaks text that must not be changed into lines of width cells.
func broken(text string, width int) []line {
	var out []line
	for _, part := range strings.Split(ansi.Hardwrap(text, max(width, 8), true), "\n") {
		out = append(out, line{text: part})
	}
	return out
}
