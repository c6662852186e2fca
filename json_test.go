package firetrail

import (
	"encoding/json"
	"net/netip"
	"testing"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	ev := NewEvent()
	ev.Origin = Origin{Source: "0123456789abcdef", Line: 3, Offset: 40, Length: 9}
	ev.Time, ev.Guess, ev.Duration = 1772352000_118004000, GuessYear|GuessZone, 1_500_000_000
	ev.Kind, ev.SrcIP, ev.DstPort = "iptables", netip.MustParseAddr("2001:db8::1"), 0
	ev.Rule = "a\"b\\c\x1b[31m\u202e<&>\xff\U000e0041ü"
	ev.Put("LEN", "60")
	ev.Put("DF", "")
	ev.Put("LEN", "61")
	want := `{"id":"e-0123456789abcdef-40","time":"2026-03-01T08:00:00.118004Z","time.guess":"year,zone","duration":1.5,"kind":"iptables","src_ip":"2001:db8::1","dst_port":0,` +
		`"rule":"a\"b\\c\u001b[31m\u202e<&>\ufffd\udb40\udc41ü","source":"0123456789abcdef","line":3,"offset":40,"x.DF":"","x.LEN":"61"}`
	got := AppendJSON(nil, &ev)
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if empty := NewEvent(); string(AppendJSON(nil, &empty)) != `{"line":0,"offset":0}` {
		t.Errorf("empty event: %s", AppendJSON(nil, &empty))
	}
	buf := got[:0]
	if n := testing.AllocsPerRun(100, func() { buf = AppendJSON(buf[:0], &ev) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("name", "value\x00\xff\u2028")
	f.Fuzz(func(t *testing.T, name, value string) {
		ev := NewEvent()
		ev.Rule = value
		ev.Put(name, value)
		got := AppendJSON(nil, &ev)
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil || !utf8.Valid(got) {
			t.Fatalf("%s: %v", got, err)
		}
		if utf8.ValidString(value) && value != "" && back["rule"] != value {
			t.Errorf("%q came back as %q", value, back["rule"])
		}
		if Inert(string(got)) != string(got) {
			t.Errorf("%q is not inert", got)
		}
	})
}
