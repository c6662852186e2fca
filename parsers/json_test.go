package parsers

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestJSONWalk(t *testing.T) {
	var got []string
	w := jsonEnter([]byte(` { "a":1 , "b" : "x\"y" ,"c":{"d":[1,{"e":"}"}]},"f":[],"g":null,"h":-1.5e+3 } `))
	for w.next() {
		got = append(got, string(w.key)+"="+string(w.value))
	}
	want := `a=1|b="x\"y"|c={"d":[1,{"e":"}"}]}|f=[]|g=null|h=-1.5e+3`
	if s := strings.Join(got, "|"); s != want || !w.rest() {
		t.Errorf("got %s (%q, rest %v), want %s", s, w.err, w.rest(), want)
	}
}

func TestJSONWalkRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:            "expected an object or an array",
		`7`:           "expected an object or an array",
		`{"a":1`:      "expected a comma or a closing bracket",
		`{"a" 1}`:     "expected a colon",
		`{"a":}`:      "expected a value",
		`{"a":"x}`:    "text without its closing quote",
		`{"a":[1}}`:   "brackets that do not match",
		`{"a":01}`:    "not a number",
		`{"a":1.}`:    "number without digits behind its point",
		`{"a":1e}`:    "number without digits in its exponent",
		`{"a":1,}`:    "expected a name in quotes",
		`{"a":1 "b"}`: "expected a comma or a closing bracket",
		`{"a":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`: "nested too deeply",
	} {
		w := jsonEnter([]byte(in))
		for w.next() {
		}
		if w.err != want {
			t.Errorf("%s: got %q, want %q", in, w.err, want)
		}
	}
}

func TestJSONText(t *testing.T) {
	for in, want := range map[string]string{
		`"plain"`:                    "plain",
		`""`:                         "",
		`"a\"\\\/\b\f\n\r\tz"`:       "a\"\\/\b\f\n\r\tz",
		`"\u00e9\ud83d\ude00\ud83d"`: "é😀\ufffd",
		`12.50`:                      "12.50",
		`true`:                       "true",
	} {
		if got, ok := plainText([]byte(in)); got != want || !ok {
			t.Errorf("%s: got %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{`"\x"`, `"\u12"`, `"\u12g4"`} {
		if got, ok := plainText([]byte(in)); ok {
			t.Errorf("%s: got %q, want a refusal", in, got)
		}
	}
}

// plainText is a value as text: a string without quotes and escapes, any other token as it is
// written. ok is false for a string with a broken escape.
func plainText(value []byte) (s string, ok bool) {
	if value[0] != '"' {
		return string(value), true
	}
	b, ok := jsonResolve(value[1:len(value)-1], &Arena{})
	return string(b), ok
}

// jsonAll walks everything below data and reports whether it is sound.
func jsonAll(data []byte, depth int) bool {
	w := jsonEnter(data)
	for w.next() {
		if _, ok := jsonResolve(w.key, &Arena{}); !ok {
			return false
		}
		if _, ok := plainText(w.value); !ok {
			return false
		}
		if c := w.value[0]; (c == '{' || c == '[') && !jsonAll(w.value, depth+1) {
			return false
		}
	}
	return w.rest()
}

// FuzzJSON compares the walk with encoding/json: what one takes the other
// takes, with the same text; only raw control characters in strings and depth
// are judged differently.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\u00e9"}],"c":null}`, `[]`, `{"x":-0.5e7,"y":true}`, `{"a":"\\\""}`, `{"a":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		trimmed := bytes.TrimSpace(data)
		if len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
			return
		}
		if bytes.ContainsFunc(data, func(r rune) bool { return r < 0x20 }) || bytes.Count(data, []byte{'['})+bytes.Count(data, []byte{'{'}) > jsonDepth {
			jsonAll(data, 0)
			return
		}
		if got, want := jsonAll(data, 0), json.Valid(data); got != want {
			t.Fatalf("%q: walk says %v, encoding/json %v", data, got, want)
		}
		var flat map[string]any
		if !utf8.Valid(data) || json.Unmarshal(data, &flat) != nil {
			return
		}
		last := map[string]string{}
		for w := jsonEnter(data); w.next(); {
			key, _ := jsonResolve(w.key, &Arena{})
			delete(last, string(key))
			if w.value[0] == '"' {
				last[string(key)], _ = plainText(w.value)
			}
		}
		for key, value := range flat {
			if s, ok := value.(string); ok && last[key] != s {
				t.Fatalf("%q: %q is %q, want %q", data, key, last[key], s)
			}
		}
	})
}

func BenchmarkJSONWalk(b *testing.B) {
	rec := []byte(`{"ts":1575413096.052279,"uid":"CH53301MTU21BMj2Bj","id.orig_h":"192.0.2.97","id.orig_p":49187,"id.resp_h":"192.0.2.8","id.resp_p":88,"proto":"tcp","service":"krb_tcp","duration":0.0012309551239013672,"orig_bytes":242,"resp_bytes":283,"conn_state":"RSTR"}`)
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for b.Loop() {
		for w := jsonEnter(rec); w.next(); {
		}
	}
}
