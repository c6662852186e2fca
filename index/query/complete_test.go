package query

import (
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		text string
		want Fragment
	}{
		{"", Fragment{"", "", 0}},
		{"dst", Fragment{"", "dst", 0}},
		{"a dst", Fragment{"", "dst", 2}},
		{"-dst", Fragment{"", "dst", 1}},
		{"host:a.ex", Fragment{"host", "a.ex", 5}},
		{"host:=a", Fragment{"host", "a", 6}},
		{"-action:d", Fragment{"action", "d", 8}},
		{"x AND NOT (action:d", Fragment{"action", "d", 18}},
		{"action:(drop OR re", Fragment{"action", "re", 16}},
		{"action:(drop OR reset) ho", Fragment{"", "ho", 23}},
		{"action:(drop OR (a", Fragment{"action", "a", 17}},
		{`rule:"deny a`, Fragment{"rule", `"deny a`, 5}},
		{`rule:"deny all" s`, Fragment{"", "s", 16}},
		{`rule:deny\ al`, Fragment{"rule", `deny\ al`, 5}},
		{"has:nat", Fragment{"has", "nat", 4}},
		{"zzz:1", Fragment{"", "zzz:1", 0}},
		{"x.TTL:6", Fragment{"x.TTL", "6", 6}},
		{"))a", Fragment{"", "a", 2}},
		{"ä\\", Fragment{"", "ä\\", 0}},
	} {
		if d := cmp.Diff(c.want, Tail(c.text)); d != "" {
			t.Errorf("%q: %s", c.text, d)
		}
	}
}

func TestValue(t *testing.T) {
	for _, v := range []string{"plain", "Deny All", `a"b\c`, "AND", "/x/", "*", ">5", "[a", "é ü", "-1"} {
		q, err := Parse("rule:" + Value("rule", v))
		if err != nil || cmp.Diff(firetrail.Is("rule", v), q) != "" {
			t.Errorf("%q prints %q, read as %+v, %v", v, Value("rule", v), q, err)
		}
	}
}

func FuzzTail(f *testing.F) {
	for _, s := range []string{`a:(b "c\`, "host:x ((", `"`, "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if g := Tail(text); text[g.From:] != g.Prefix {
			t.Errorf("%q: %+v", text, g)
		}
	})
}
