package runs

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadAllow(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"allow:\n- entry: 203.0.113.0/24\n  reason: mirror\n  port: 443\n- {entry: '*.store.example', side: dst, expires: 2026-03-01}\n",
			"203.0.113.0/24  either 443; invalid Prefix store.example dst -9223372036854775808; "},
		{"- 192.0.2.7\n- ntp.example\n", "192.0.2.7/32  either -9223372036854775808; invalid Prefix ntp.example either -9223372036854775808; "},
		{"entry,reason,side\n2001:db8::1,probe,src\n", "2001:db8::1/128  src -9223372036854775808; "},
		{"# every entry has an owner\n- 192.0.2.7\n", "192.0.2.7/32  either -9223372036854775808; "},
		{"", ""},
		{"# nothing is allowed yet\n", ""},
	} {
		list, err := ReadAllow("a.yaml", []byte(c.text))
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		got := ""
		for _, a := range list {
			got += fmt.Sprintf("%s %s %s %d; ", a.Prefix, a.Name, a.Side, a.Port)
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	for text, want := range map[string]string{
		"allow:\n- entry: 300.1.1.1/8\n":           "a.yaml:2:3: ",
		"allow:\n- reason: x\n":                    "a.yaml:2:3: no entry",
		"deny: []\n":                               "a.yaml:1:1: expected a key",
		"entry,port\n10.0.0.1,99999\n":             "a.yaml:2:1: port",
		"- {entry: 10.0.0.1, expires: tomorrow}\n": "a.yaml:1:3: expires",
		"- {entry: 10.0.0.1, side: left}\n":        "a.yaml:1:3: side",
	} {
		if _, err := ReadAllow("a.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
