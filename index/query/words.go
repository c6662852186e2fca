package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// SearchFields are the common text fields that a bare word searches.
var SearchFields = []string{"host", "url", "rule", "app", "service", "user", "reason"}

// Searched reports whether bare words search the record's own field x.name: all
// do, but for ids, hardware addresses and stamps, which are different in each record.
// Of a field that is searched, plain whole numbers are left out: see SearchedValue.
func Searched(name string) bool {
	for _, end := range [...]string{"uid", "uids", "mac", "time", "timestamp", "history", "tunnel_parents"} {
		if n := len(name) - len(end); n >= 0 && strings.EqualFold(name[n:], end) {
			return false
		}
	}
	return name != "ts"
}

// SearchedValue reports whether bare words search a value of a record's own field:
// it is no plain whole number and no stamp, which differ from record to record.
func SearchedValue(s string) bool {
	return strings.Trim(strings.TrimPrefix(s, "-"), "0123456789") != "" && !isStamp(s)
}

// isStamp reports whether s is a date and a time of day in digits, year first:
// "2026/03/01 02:00:00", "2026-03-01T02:00:00.5+01:00".
func isStamp(s string) bool {
	const form = "0000-00-00 00:00:00"
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		c := s[i]
		switch form[i] {
		case '0':
			if c < '0' || c > '9' {
				return false
			}
		case '-':
			if c != '-' && c != '/' {
				return false
			}
		case ' ':
			if c != ' ' && c != 'T' {
				return false
			}
		case ':':
			if c != ':' {
				return false
			}
		}
	}
	return strings.Trim(s[len(form):], "0123456789.,+-:Z") == ""
}

// worded fields hold text of several words, in which phrases are looked for;
// the values of all others are taken whole.
func worded(field string) bool {
	switch field {
	case "", "host", "service":
		return field == ""
	}
	if strings.HasPrefix(field, "x.") {
		return true
	}
	for _, f := range SearchFields {
		if f == field {
			return true
		}
	}
	return false
}

// Fold is the form in which texts are compared without regard to case, and in
// which a block index must keep them.
func Fold(s string) string { return strings.ToLower(s) }

// equalFold reports whether Fold(s) == folded, without allocation for ASCII.
func equalFold(s, folded string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return Fold(s) == folded
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if i >= len(folded) || c != folded[i] {
			// A later non-ASCII character cannot repair a difference of ASCII
			// ones, except that folding changes lengths: decide on the whole.
			return !ascii(s[i:]) && Fold(s) == folded
		}
	}
	return len(s) == len(folded)
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// nextWord finds the first word of s at or after from: a run of letters and
// digits. start == len(s) if there is none.
func nextWord(s string, from int) (start, end int) {
	start = -1
	for i := from; i < len(s); {
		c, n := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(s[i:])
		}
		in := wordRune(c)
		switch {
		case in && start < 0:
			start = i
		case !in && start >= 0:
			return start, i
		}
		i += n
	}
	if start < 0 {
		return len(s), len(s)
	}
	return start, len(s)
}

// wordRune reports whether c belongs to a word: letters and digits of any script.
func wordRune(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 'A' && c <= 'Z':
		return true
	case c < utf8.RuneSelf || c == utf8.RuneError:
		return false
	}
	return unicode.IsLetter(c) || unicode.IsDigit(c)
}

// Words calls yield with each word of s, not folded, until it returns false.
func Words(s string, yield func(word string) bool) {
	for i := 0; i < len(s); {
		start, end := nextWord(s, i)
		if start == end || !yield(s[start:end]) {
			return
		}
		i = end
	}
}

// foldedWords are the words of s, folded.
func foldedWords(s string) []string {
	var words []string
	Words(s, func(w string) bool {
		words = append(words, Fold(w))
		return true
	})
	return words
}

// hasPhrase reports whether the words stand in s one after the other.
func hasPhrase(s string, words []string) bool {
	for i := 0; i < len(s); {
		start, end := nextWord(s, i)
		if start == end {
			return false
		}
		if equalFold(s[start:end], words[0]) && followed(s, end, words[1:]) {
			return true
		}
		i = end
	}
	return false
}

// followed reports whether the words come next in s behind byte at, one after the other.
func followed(s string, at int, words []string) bool {
	for _, w := range words {
		start, end := nextWord(s, at)
		if start == end || !equalFold(s[start:end], w) {
			return false
		}
		at = end
	}
	return true
}

// Glob is a wildcard pattern: * is any text, ? one character, \ takes the next as it is.
// Case is ignored.
type glob []rune

// Runes of a glob that stand for wildcards; no text contains them.
const (
	anyText = -1
	anyRune = -2
)

// newGlob folds the pattern once, so that matching compares runes.
func newGlob(pattern string) glob {
	var g glob
	literal := false
	for _, r := range pattern {
		switch {
		case literal:
			literal = false
			g = append(g, unicode.ToLower(r))
		case r == '\\':
			literal = true
		case r == '*':
			if len(g) == 0 || g[len(g)-1] != anyText {
				g = append(g, anyText)
			}
		case r == '?':
			g = append(g, anyRune)
		default:
			g = append(g, unicode.ToLower(r))
		}
	}
	return g
}

// match is the usual backtracking over the last star: at most len(s) * len(g) steps.
func (g glob) match(s string) bool {
	gi, star, mark := 0, -1, 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case gi < len(g) && g[gi] == anyText:
			star, mark = gi, i
			gi++
			continue
		case gi < len(g) && (g[gi] == anyRune || g[gi] == unicode.ToLower(r)):
			gi++
			i += n
			continue
		case star < 0:
			return false
		}
		_, n = utf8.DecodeRuneInString(s[mark:])
		mark += n
		gi, i = star+1, mark
	}
	for gi < len(g) && g[gi] == anyText {
		gi++
	}
	return gi == len(g)
}

// prefix is the text before the first wildcard.
func (g glob) prefix() string {
	n := 0
	for n < len(g) && g[n] >= 0 {
		n++
	}
	return string(g[:n])
}

// suffix is the text after the last wildcard.
func (g glob) suffix() string {
	n := len(g)
	for n > 0 && g[n-1] >= 0 {
		n--
	}
	return string(g[n:])
}
