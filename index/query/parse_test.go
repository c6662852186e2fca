package query

import (
	"errors"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

func is(f, v string) firetrail.Query { return firetrail.Is(f, v) }

func match(m firetrail.Match, f, v string) firetrail.Query {
	return firetrail.Query{Op: firetrail.OpMatch, Match: m, Field: f, Value: v}
}

func TestParse(t *testing.T) {
	and, or, not := firetrail.And, firetrail.Or, firetrail.Not
	for _, c := range []struct {
		text string
		want firetrail.Query
	}{
		{"", firetrail.Query{}},
		{" * ", firetrail.Query{}},
		{"xmrig", is("", "xmrig")},
		{"a b", and(is("", "a"), is("", "b"))},
		{"a AND b OR c d", or(and(is("", "a"), is("", "b")), and(is("", "c"), is("", "d")))},
		{"NOT a b", and(not(is("", "a")), is("", "b"))},
		{"-a -(b OR c)", and(not(is("", "a")), not(or(is("", "b"), is("", "c"))))},
		{"proto:udp", is("proto", "udp")},
		{"dst_port:(80 OR 443)", or(is("dst_port", "80"), is("dst_port", "443"))},
		{"dst_port:(>1024 -8080)", and(match(firetrail.MatchMore, "dst_port", "1024"), not(is("dst_port", "8080")))},
		{"bytes_out:>1G", match(firetrail.MatchMore, "bytes_out", "1G")},
		{"bytes_out>=1G", match(firetrail.MatchAtLeast, "bytes_out", "1G")},
		{"dst_port=443", match(firetrail.MatchExact, "dst_port", "443")},
		{"dst_port!=443", not(is("dst_port", "443"))},
		{"host:=pool.example", match(firetrail.MatchExact, "host", "pool.example")},
		{"host:*.pool.example", match(firetrail.MatchWildcard, "host", "*.pool.example")},
		{`host:a\*b`, is("host", "a*b")},
		{`host:a\*b*`, match(firetrail.MatchWildcard, "host", `a\*b*`)},
		{`url:/a\/b[0-9]+/`, match(firetrail.MatchRegexp, "url", `a/b[0-9]+`)},
		{"url:/index.html", is("url", "/index.html")},
		{"url:/a/b/c", is("url", "/a/b/c")},
		{`rule:"deny all"`, match(firetrail.MatchPhrase, "rule", "deny all")},
		{`sensor:"fw 1"`, is("sensor", "fw 1")},
		{`"a \"b\""`, match(firetrail.MatchPhrase, "", `a "b"`)},
		{"time:[2026-03-01 TO 2026-03-02}", firetrail.Query{Op: firetrail.OpMatch, Field: "time", Match: firetrail.MatchRange,
			Value: "2026-03-01", High: "2026-03-02", Excl: [2]bool{false, true}}},
		{`time:{* TO "2026-03-02 10:00"]`, firetrail.Query{Op: firetrail.OpMatch, Field: "time", Match: firetrail.MatchRange,
			Value: "*", High: "2026-03-02 10:00", Excl: [2]bool{true, false}}},
		{"time:>-24h", match(firetrail.MatchMore, "time", "-24h")},
		{"has:nat_src_ip", firetrail.Query{Op: firetrail.OpMatch, Match: firetrail.MatchHas, Field: "nat_src_ip"}},
		{"x.TTL:<64", match(firetrail.MatchLess, "x.TTL", "64")},
		{"x.user-agent:curl", is("x.user-agent", "curl")},
		{"2001:db8::/32", is("", "2001:db8::/32")},
		{"fe80::1", is("", "fe80::1")},
		{"http://a.example/x", is("", "http://a.example/x")},
		{"src_ip:2001:db8::1", is("src_ip", "2001:db8::1")},
		{`\AND`, is("", "AND")},
		{"run:r-017", is("run", "r-017")},
		{"((a))", is("", "a")},
		{"user", is("", "user")},
		{"ip:(10.0.0.1 10.0.0.2)", and(is("ip", "10.0.0.1"), is("ip", "10.0.0.2"))},
		{"src_ip:(10.0.0.0/8 10.1.0.0/16)", and(is("src_ip", "10.0.0.0/8"), is("src_ip", "10.1.0.0/16"))},
		{"rule:(*a* *b*)", and(match(firetrail.MatchWildcard, "rule", "*a*"), match(firetrail.MatchWildcard, "rule", "*b*"))},
		{"time:[now TO -1h]", firetrail.Query{Op: firetrail.OpMatch, Field: "time", Match: firetrail.MatchRange, Value: "now", High: "-1h"}},
		{"x?a=b&c>d", match(firetrail.MatchWildcard, "", "x?a=b&c>d")},
		{"bytes_out:>1 Gbit", and(match(firetrail.MatchMore, "bytes_out", "1"), is("", "Gbit"))},
		{"é ü", and(is("", "é"), is("", "ü"))},
	} {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q:\n%s", c.text, d)
		}
		checkPrint(t, got)
	}
}

func checkPrint(t *testing.T, q firetrail.Query) {
	t.Helper()
	text := Print(q)
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("%#v prints %q: %v", q, text, err)
	}
	if d := cmp.Diff(Normal(q), again); d != "" {
		t.Fatalf("%q is not read back:\n%s", text, d)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"dst_prt:443", `query:1:1: unknown field "dst_prt"; did you mean dst_port?` + "\n  dst_prt:443\n  ^"},
		{"a saddr:1.2.3.4", `query:1:3: unknown field "saddr"; did you mean src_ip?` + "\n  a saddr:1.2.3.4\n    ^"},
		{"zzzzzz:1", `query:1:1: unknown field "zzzzzz"; a record's own field is x.zzzzzz, a text with a colon needs quotes`},
		{"host:日本 AND dst_port:http", `query:1:22: expected a port number: "http" is no port` + "\n  host:日本 AND dst_port:http\n                         ^"},
		{"proto:tcp dst_port:http", `query:1:20: expected a port number: "http" is no port` + "\n  proto:tcp dst_port:http\n                     ^"},
		{"dst_port:70000", `query:1:10: expected a port number: "70000" is no port`},
		{"src_ip:10.0.0", `query:1:8: expected an address or a network (192.0.2.7, 10.0.0.0/8): "10.0.0" is no address or network`},
		{"bytes_out:>1X", `query:1:11: expected a number or a size (1500, 10k, 1.5G, 64Ki): "1X" is no number`},
		{"time:>noon", `query:1:6: expected a time (2026-03-01, 2026-03-01T10:15:00Z, -24h, today, now): "noon" is no time`},
		{"duration:>2x", `query:1:10: expected a duration (90s, 1h30m, 2d) or seconds: "2x" is no duration`},
		{"(a OR b", "query:1:1: this ( is not closed"},
		{"a)", "query:1:2: expected AND, OR or a term; this ) closes nothing"},
		{"a OR", "query:1:5: expected a term"},
		{"OR a", "query:1:1: expected a term before this keyword"},
		{"a or b", "query:1:3: keywords are upper case: OR; to search the word, quote it"},
		{"a && b", "query:1:3: expected AND or OR"},
		{"!a", `query:1:1: expected a term; "not" is written NOT or -`},
		{"host:", "query:1:6: expected a name right after host:"},
		{"host: a", "query:1:6: expected a name right after host:"},
		{"host:AND", "query:1:6: expected a name, not a keyword"},
		{`"abc`, "query:1:1: this quote is not closed"},
		{"time:[2026-03-01 2026-03-02]", "query:1:18: expected TO: a range is [low TO high]"},
		{"time:[2026-03-01 TO 2026-03-02", "query:1:6: this range is not closed with ] or }"},
		{"url:/(/", "query:1:5: expected a regular expression: missing closing ): \"(\""},
		{"has:hots", `query:1:5: unknown field "hots"; did you mean host?`},
		{"a\nb dst_ip:x", "query:2:10: expected an address or a network (192.0.2.7, 10.0.0.0/8): \"x\" is no address or network\n  b dst_ip:x\n           ^"},
		{"---", "query:1:4: expected a term right after -"},
		{"a - b", "query:1:4: expected a term right after -"},
		{"src_ip == 10.0.0.1", "query:1:8: expected src_ip:VALUE without white space (src_ip:192.0.2.7); to search the word src_ip, quote it"},
		{"dst_port in (80,443)", "query:1:10: expected dst_port:VALUE without white space (dst_port:443)"},
		{"host contains tracker", "query:1:6: expected host:VALUE without white space (host:pool.example)"},
		{"bytes_out > 1G", "expected bytes_out:VALUE without white space (bytes_out:>1G)"},
		{"host~tracker", "query:1:5: a pattern is host:*tracker* or host:/tracker/"},
		{"bytes>1G", `query:1:1: unknown field "bytes"; did you mean bytes_out?`},
		{"SRC=10.0.0.1", `query:1:1: unknown field "SRC"; did you mean src_ip?`},
		{"DST_PORT!=80", `query:1:1: unknown field "DST_PORT"; did you mean dst_port?`},
		{"bytes_out:>1 G", "query:1:14: a unit stands right behind its number: 1G"},
		{"duration:>90 s a", "query:1:14: a unit stands right behind its number: 90s"},
		{"dst_port:80,443", `"80,443" is no port; several values are dst_port:(80 OR 443)`},
		{"dst_port:80-443", `a range is dst_port:[80 TO 443]`},
		{"bytes_out:1K..2K", `a range is bytes_out:[1K TO 2K]`},
		{"dst_port:!443", `not is written -dst_port:443`},
		{"dst_port:=>443", `comparisons are > >= < <= and =`},
		{"time:(2026-03-01 TO 2026-03-02)", "query:1:18: expected a time (2026-03-01, 2026-03-01T10:15:00Z, -24h, today, now): \"TO\" is no time; a range is [low TO high]"},
		{"ip:10.20.3", `a network is 10.20.3.0/24`},
		{"ip:10.", `a network is 10.0.0.0/8`},
		{"ip:10.0.0.1-10.0.0.9", `a range is ip:[10.0.0.1 TO 10.0.0.9]`},
		{"src_port:(22 80)", "query:1:14: expected OR: src_port cannot be both"},
		{"rule:(a AND b)", "query:1:13: expected OR: rule cannot be both"},
		{"time:[2026-03-02 TO 2026-03-01]", "query:1:6: this range ends before it begins"},
		{"dst_port:[443 TO 80]", "query:1:10: this range ends before it begins"},
		{"ip:[10.0.0.9 TO 10.0.0.1]", "query:1:4: this range ends before it begins"},
		{"x.:1", "query:1:1: expected the name of a record's own field behind x."},
		{strings.Repeat("(", 300), "nested more than 100 deep"},
	} {
		_, err := Parse(c.text)
		if err == nil {
			t.Errorf("%q: no error, want %s", c.text, c.want)
			continue
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %T", c.text, err)
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n%s\nwant\n%s", c.text, err, c.want)
		}
	}
}

func TestDoc(t *testing.T) {
	for _, f := range Doc {
		q, err := Parse(f.Example)
		if err != nil {
			t.Errorf("%s: %v", f.Form, err)
		}
		checkPrint(t, q)
	}
}

func TestOperands(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
	}{
		{"0", 0}, {"1500", 1500}, {"10k", 10_000}, {"1.5M", 1_500_000}, {"1G", 1e9}, {"64Ki", 65536}, {"1GiB", 1 << 30}, {"2TB", 2e12}, {"-5", -5},
	} {
		if got, err := Size(c.text); err != nil || got != c.want {
			t.Errorf("Size(%q) = %d, %v", c.text, got, err)
		}
	}
	for _, c := range []struct {
		text string
		want int64
	}{
		{"90", 90e9}, {"90s", 90e9}, {"1h30m", 5400e9}, {"2d", 172800e9}, {"500ms", 5e8}, {"0.5", 5e8}, {"1.000000001", 1000000001},
		{"1w", 7 * 86400e9}, {"-24h", -86400e9}, {"9000000000.000000001", 9e18 + 1 - 9e18 + 9e18},
	} {
		got, err := Span(c.text)
		if c.want > 4e18 { // beyond half the range: refused
			if err == nil {
				t.Errorf("Span(%q) = %d", c.text, got)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("Span(%q) = %d, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "x", "1h30", "--1s", "1.2.3s", "-", "1e3s", "9999999999w"} {
		if got, err := Span(bad); err == nil {
			t.Errorf("Span(%q) = %d", bad, got)
		}
	}
	for _, bad := range []string{"", "k", "1e3", "0x10", "1kk", "99999999999999999999", "9e", "--1", "NaN"} {
		if got, err := Size(bad); err == nil {
			t.Errorf("Size(%q) = %d", bad, got)
		}
	}
	now := int64(1772359200e9) // 2026-03-01T10:00:00Z
	for _, c := range []struct {
		text      string
		low, high string
	}{
		{"2026-03-01", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{"2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"2026-03-01T10:15", "2026-03-01T10:15:00Z", "2026-03-01T10:16:00Z"},
		{"2026-03-01 10:15:02", "2026-03-01T10:15:02Z", "2026-03-01T10:15:03Z"},
		{"2026-03-01T10:15:02+02:00", "2026-03-01T08:15:02Z", "2026-03-01T08:15:03Z"},
		{"2026-03-01T10:15:02.5Z", "2026-03-01T10:15:02.500Z", "2026-03-01T10:15:02.500000001Z"},
		{"-24h", "2026-02-28T10:00:00Z", "2026-02-28T10:00:00.000000001Z"},
		{"today", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{"yesterday", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"now", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000000001Z"},
		{"now-1h", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00.000000001Z"},
		{"+1h", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00.000000001Z"},
	} {
		low, high, err := Time(c.text, now)
		if err != nil || firetrail.Stamp(low) != c.low || firetrail.Stamp(high) != c.high {
			t.Errorf("Time(%q) = %s, %s, %v", c.text, firetrail.Stamp(low), firetrail.Stamp(high), err)
		}
	}
	for _, bad := range []string{"", "now1h", "+-1h", "-", "now-", "2026-13-01", "10:15", "1000-01-01"} {
		if _, _, err := Time(bad, now); err == nil {
			t.Errorf("Time(%q) is accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, d := range Doc {
		f.Add(d.Example)
	}
	for _, s := range []string{`a\ b "c\"d" (x OR -y)`, "time:{* TO \"2026-03-02 10:00\"]", "url:/a\\/b/", "x.a\\:b:1", "-(a b) NOT NOT c", "\\-a \\/b/", "x.a=b:c", "rule:\\>5"} {
		f.Add(s)
	}
	ev := firetrail.NewEvent()
	ev.Host, ev.URL = "a.pool.example", "/x"
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("empty error")
			}
			return
		}
		checkPrint(t, q)
		p, err := Compile(q, Env{})
		if err != nil {
			t.Fatalf("%q parses but does not compile: %v", text, err)
		}
		p.Event(&ev)
		p.Plan()
	})
}
