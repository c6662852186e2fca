package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"firetrail"
)

// Fragment is what is being typed at the end of a query.
type Fragment struct {
	Field  string // whose value it is; "" for the beginning of a term, "has" for a field name
	Prefix string // what of it is there, as it is written
	From   int    // byte of the text at which Prefix begins
}

// Tail finds what is being typed at the end of a text, which need not be a whole query.
func Tail(text string) Fragment {
	var groups []string // the fields of the parentheses that are open
	start := 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\\':
			i += n
			_, n = utf8.DecodeRuneInString(text[min(i, len(text)):])
		case r == '"':
			end := quoteEnd(text, i)
			if end < 0 {
				field := fieldOf(text[start:i], groups)
				return Fragment{Field: field, Prefix: text[i:], From: i}
			}
			n = end - i
		case r == '(':
			groups = append(groups, fieldOf(text[start:i], groups))
			start = i + n
		case r == ')':
			groups = groups[:max(len(groups)-1, 0)]
			start = i + n
		case unicode.IsSpace(r):
			start = i + n
		}
		i += n
	}
	word := strings.TrimPrefix(text[start:], "-")
	if name, value, ok := strings.Cut(word, ":"); ok && Known(name) {
		value = strings.TrimLeft(value, "<>=")
		return Fragment{Field: name, Prefix: value, From: len(text) - len(value)}
	}
	field := ""
	if len(groups) > 0 {
		field = groups[len(groups)-1]
	}
	return Fragment{Field: field, Prefix: word, From: len(text) - len(word)}
}

// fieldOf is the field whose values a parenthesis or a quote behind a word holds.
func fieldOf(word string, groups []string) string {
	name, rest, ok := strings.Cut(strings.TrimPrefix(word, "-"), ":")
	switch {
	case ok && Known(name) && strings.Trim(rest, "<>=") == "":
		return name
	case word == "" && len(groups) > 0:
		return groups[len(groups)-1]
	}
	return ""
}

// quoteEnd is the byte behind the quote that closes the one at i, -1 if none does.
func quoteEnd(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// Value prints a value as people would write it behind "field:".
func Value(field, value string) string {
	var b strings.Builder
	printValue(&b, firetrail.Is(field, value))
	return b.String()
}
