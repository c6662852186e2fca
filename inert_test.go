package firetrail

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestInert(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain text: ünïcode, 日本", "plain text: ünïcode, 日本"},
		{"a\x1b[31mb\x00", `a\x1b[31mb\x00`},
		{"\u202eevil\u2066", `\u202eevil\u2066`},
		{"tab\tline\nend\r", `tab\x09line\x0aend\x0d`},
		{"\xff\xfe", `\xff\xfe`},
		{"c1 \u0085 del \x7f zwsp \u200b tag \U000e0041", `c1 \u0085 del \x7f zwsp \u200b tag \U000e0041`},
		{"\ufffd", "\ufffd"},
	} {
		if got := Inert(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	if got := InertRecord("a\tb\x1b"); got != "a\tb\\x1b" {
		t.Errorf("record: %q", got)
	}
}

func FuzzInert(f *testing.F) {
	f.Add("a\x1b]0;x\x07\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Inert(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Fatalf("%q became %q", s, got)
		}
		if again := Inert(got); again != got {
			t.Fatalf("not stable: %q, %q", got, again)
		}
	})
}
