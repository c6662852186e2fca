package query

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestLiterals compares the search for words with the expression that it stands for.
func TestLiterals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	text := func(letters string, n int) string {
		rs, out := []rune(letters), []rune{}
		for range r.IntN(n) {
			out = append(out, rs[r.IntN(len(rs))])
		}
		return string(out)
	}
	plain := 0
	for range 3000 {
		expr := "(?i)("
		for i := range 1 + r.IntN(4) {
			if i > 0 {
				expr += "|"
			}
			if w := text("abAk. -_", 5); r.IntN(3) > 0 {
				expr += regexp.QuoteMeta(w)
			} else {
				expr += w
			}
		}
		expr += ")"
		re, err := regexp.Compile(expr)
		if err != nil {
			continue
		}
		if _, ok := literals(expr); ok {
			plain++
		}
		test := matcher(expr, re)
		for range 10 {
			if s := text("abABkKé. -_\u212a", 9); test(s) != re.MatchString(s) {
				t.Fatalf("%s on %q: %v", expr, s, test(s))
			}
		}
	}
	if plain < 500 {
		t.Errorf("%d of the expressions are plain words", plain)
	}
	for _, expr := range []string{"(?i)()", "(?i)(a|)", "(?i)(a)b", "(a|b)", "(?i)(a|b", "(?i)(a.b)", `(?i)(\d)`, "(?i)(é)"} {
		if w, ok := literals(expr); ok {
			t.Errorf("%s was taken for the words %q", expr, w)
		}
	}
}
