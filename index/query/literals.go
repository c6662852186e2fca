package query

import (
	"regexp"
	"strings"
)

// matcher is the test of an expression: for one of the form "(?i)(a|b|c)" with plain ASCII
// words a search for each of them, which takes a small part of the time; else the expression.
func matcher(expr string, re *regexp.Regexp) func(string) bool {
	words, ok := literals(expr)
	if !ok {
		return re.MatchString
	}
	var by [256][]string // words by their first letter
	for _, w := range words {
		by[w[0]] = append(by[w[0]], w)
		if c := w[0]; c >= 'a' && c <= 'z' {
			by[c-'a'+'A'] = append(by[c-'a'+'A'], w)
		}
	}
	return func(s string) bool {
		for i := 0; i < len(s); i++ {
			if s[i] >= 0x80 { // letters of other alphabets may fold to ASCII
				return re.MatchString(s)
			}
			for _, w := range by[s[i]] {
				if len(s)-i >= len(w) && foldsTo(s[i:i+len(w)], w) {
					return true
				}
			}
		}
		return false
	}
}

// foldsTo reports whether ASCII text is a word in lower case, but for the case of its letters.
// Where texts differ, equalFold looks at the rest for other alphabets, which takes twice the time
// and is done by the caller once.
func foldsTo(s, word string) bool {
	for i := 0; i < len(word); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// literals takes an expression "(?i)(a|b|c)" apart; ok is false where it is anything else.
func literals(expr string) (words []string, ok bool) {
	rest, begins := strings.CutPrefix(expr, "(?i)(")
	rest, ends := strings.CutSuffix(rest, ")")
	if !begins || !ends {
		return nil, false
	}
	word := []byte{}
	for i := 0; i <= len(rest); i++ {
		switch {
		case i == len(rest) || rest[i] == '|':
			if len(word) == 0 {
				return nil, false
			}
			words, word = append(words, strings.ToLower(string(word))), word[:0]
			continue
		case rest[i] >= 0x80:
			return nil, false
		case rest[i] == '\\':
			if i++; i == len(rest) || wordRune(rune(rest[i])) {
				return nil, false
			}
		case strings.IndexByte(`.+*?()[]{}^$`, rest[i]) >= 0:
			return nil, false
		}
		word = append(word, rest[i])
	}
	return words, true
}
