// Package query is the query language: it parses the text that people write into
// a firetrail.Query, prints it back, compiles it into an exact test of events,
// and plans what a block index must be asked. It does no input or output and
// knows no storage.
//
// The grammar, in which white space means AND:
//
//	query  = [ or ]
//	or     = and { "OR" and }
//	and    = not { [ "AND" ] not }
//	not    = "NOT" not | "-" not | "(" or ")" | term
//	term   = [ field ":" ] value | field ":" "(" or of values ")" | "has:" field | "*"
//	value  = word | phrase | regexp | ( ">" | ">=" | "<" | "<=" | "=" ) word | range
//	range  = ( "[" | "{" ) word "TO" word ( "]" | "}" )
//
// A backslash takes the next character as it is. What a value means depends on
// the type of its field; Doc lists the forms with examples.
package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"firetrail"
)

// Form is one form of the language, for its documentation.
type Form struct {
	Form    string // as people write it
	Doc     string // what it selects
	Example string // a whole query that uses it
}

// Doc is the language, form by form; help texts are printed from it. Read-only.
var Doc = []Form{
	{"word", "a word in names, URLs, rules, applications, users, reasons and the texts of the original record; an address or a network anywhere", "xmrig"},
	{`"some words"`, "the words, one after the other, in the same places", `"port scan"`},
	{"field:value", "the field equals the value, whatever its case", "proto:udp"},
	{"field:=value", "the field equals the value exactly, subdomains and synonyms not included", "host:=pool.example"},
	{"host:name", "the name or any of its subdomains", "host:pool.example"},
	{"kind:family", "every record type of the family", "kind:zeek"},
	{"action:blocked", "blocked or denied is any of deny, drop, reject, reset; accepted, passed, permitted are allow", "action:blocked"},
	{"field:a*b?", "wildcards: * is any text, ? one character", "host:*.pool.example"},
	{"field:/expression/", "a regular expression (RE2) found in the value; (?i) ignores case", "url:/(?i)stratum[+]tcp/"},
	{"field:>n >= < <=", "comparisons of numbers, sizes, times, durations, addresses, texts", "bytes_out:>=1G"},
	{"field:[a TO b]", "a range with both ends; { or } leaves an end out, * leaves it open", "time:[2026-03-01 TO 2026-03-02}"},
	{"proto:tcp", "a protocol by its name or number", "proto:6"},
	{"field:(a OR b)", "several values of one field", "dst_port:(80 OR 443)"},
	{"src_ip:network", "addresses in a network (CIDR), IPv4 or IPv6", "dst_ip:203.0.113.0/24"},
	{"ip:value", "any address: source, destination or translated", "ip:192.0.2.7"},
	{"port:value", "any port: source, destination or translated", "port:22"},
	{"10k 1.5M 2G 1T", "sizes: K M G T P are powers of 1000, Ki Mi Gi Ti Pi powers of 1024; a B may follow", "bytes_in:>64Ki"},
	{"90s 1h30m 2d", "durations: ns us ms s m h d w; a plain number is seconds", "duration:>2h"},
	{"2026-03-01T10:15", "times in UTC unless an offset is given; a date or a minute means all of it; a full stamp as a bound is an instant", "time:2026-03-01"},
	{"-24h today now", "times before the last event of the case, or before --now; today and yesterday are its days", "time:>-24h"},
	{"time.guess:year", "events whose year, or zone, was not in the record", "time.guess:year"},
	{"run:id", "traffic of a training run, by its leases on addresses; any alias of the run", "run:r-017"},
	{"x.NAME:value", "a field of the original record by its own name; numbers and networks as above", "x.TTL:<64"},
	{"has:field", "the record gives the field", "has:nat_src_ip"},
	{"a b, a AND b", "both", "action:drop proto:tcp"},
	{"a OR b", "either; AND binds closer", "action:drop OR action:reject"},
	{"NOT a, -a", "not", "proto:tcp -dst_port:443"},
	{"( )", "grouping", "(host:a.example OR host:b.example) action:allow"},
	{`\c`, "the character c without its meaning", `rule:deny\ all`},
}

// Extra are the fields of the language beside firetrail.Fields: what each means.
var Extra = []struct{ Name, Doc string }{
	{"ip", "any address of the event"},
	{"port", "any port of the event"},
	{"id", "the event's id, e-<source>-<offset>"},
	{"time.guess", "what of the time was not in the record: year, zone"},
}

// Names are the field names of the language in the order of their tables;
// "x.NAME" is not among them. For completion and help.
func Names() []string {
	var names []string
	for i := range firetrail.Fields {
		names = append(names, firetrail.Fields[i].Name)
	}
	for _, e := range Extra {
		names = append(names, e.Name)
	}
	return names
}

// Known reports whether name can stand before a colon.
func Known(name string) bool {
	if x, ok := strings.CutPrefix(name, "x."); ok {
		return x != ""
	}
	return name == "has" || knownNames()[name]
}

var knownNames = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for _, n := range Names() {
		known[n] = true
	}
	return known
})

// Error says where a query is wrong and what was expected there.
type Error struct {
	Text   string // the whole query
	Offset int    // byte of Text at which it goes wrong
	Msg    string // lower case
}

// Position gives line and column, both from 1; columns count characters.
func (e *Error) Position() (line, column int) {
	before := e.Text[:e.Offset]
	line = strings.Count(before, "\n") + 1
	before = before[strings.LastIndexByte(before, '\n')+1:]
	return line, utf8.RuneCountInString(before) + 1
}

// Error prints "query:1:14: …", the line, or what of a long one is near, and a caret under
// the column.
func (e *Error) Error() string {
	line, column := e.Position()
	start := strings.LastIndexByte(e.Text[:e.Offset], '\n') + 1
	text, _, _ := strings.Cut(e.Text[start:], "\n")
	before, after := []rune(text[:e.Offset-start]), []rune(text[e.Offset-start:])
	front, back := "", ""
	if len(before) > nearby {
		before, front = before[len(before)-nearby:], "…"
	}
	if len(after) > nearby {
		after, back = after[:nearby], "…"
	}
	left := front + firetrail.Inert(string(before))
	return fmt.Sprintf("query:%d:%d: %s\n  %s%s%s\n  %s^", line, column, cut(e.Msg, 500), left, firetrail.Inert(string(after)), back, strings.Repeat(" ", cells(left)))
}

// wide are the ranges of characters that take two cells of a terminal (East Asian Wide
// and Fullwidth of Unicode's annex 11, pictographs), as far as queries hold them.
var wide = [][2]rune{{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}}

// cells is how many cells of a terminal a text takes.
func cells(text string) (n int) {
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf): // drawn over the one before, or not at all
		case slices.ContainsFunc(wide, func(w [2]rune) bool { return w[0] <= r && r <= w[1] }):
			n += 2
		default:
			n++
		}
	}
	return n
}

// nearby is how much of a long line an error shows on either side of its column.
const nearby = 60

// aliases are names that people bring from other tools.
var aliases = map[string]string{
	"src": "src_ip", "saddr": "src_ip", "orig_h": "src_ip", "id.orig_h": "src_ip", "source_ip": "src_ip", "srcip": "src_ip",
	"dst": "dst_ip", "daddr": "dst_ip", "resp_h": "dst_ip", "id.resp_h": "dst_ip", "dest_ip": "dst_ip", "destination_ip": "dst_ip", "dstip": "dst_ip",
	"sport": "src_port", "spt": "src_port", "id.orig_p": "src_port", "srcport": "src_port",
	"dport": "dst_port", "dpt": "dst_port", "id.resp_p": "dst_port", "dest_port": "dst_port", "dstport": "dst_port",
	"addr": "ip", "address": "ip", "cidr": "ip", "net": "ip",
	"bytes": "bytes_out", "orig_bytes": "bytes_out", "resp_bytes": "bytes_in", "packets": "packets_out",
	"domain": "host", "sni": "host", "qname": "host", "query": "host", "hostname": "host", "server_name": "host", "dns": "host",
	"protocol": "proto", "application": "app", "verdict": "action", "status": "state", "conn_state": "state",
	"timestamp": "time", "ts": "time", "date": "time", "since": "time", "start": "time", "from_zone": "src_zone", "to_zone": "dst_zone",
	"iface": "in_interface", "interface": "in_interface", "device": "sensor", "log": "kind", "type": "kind", "username": "user",
	"country": "dst_country", "asn": "dst_asn", "file": "source", "path": "source",
}

// Unknown says of a field name that does not exist what may have been meant.
func Unknown(name string) string {
	switch best := Nearest(name); {
	case name == "x.":
		return "expected the name of a record's own field behind x."
	case best != "":
		return fmt.Sprintf("unknown field %q; did you mean %s?", name, best)
	}
	return fmt.Sprintf("unknown field %q; a record's own field is x.%s", name, name)
}

// Valued checks that events have one value of a field, or none.
func Valued(name string) error {
	switch {
	case name == "ip" || name == "port":
		return fmt.Errorf("an event has several; name one, as in src_%s or dst_%s", name, name)
	case !Known(name) || name == "has":
		return errors.New(Unknown(name))
	}
	return nil
}

// named is the field that a name of another tool, or in other letters, stands for.
func named(name string) string {
	low := strings.ToLower(name)
	if a, ok := aliases[low]; ok {
		return a
	}
	if knownNames()[low] {
		return low
	}
	return ""
}

// Nearest is the field name most like a misspelt one, "" if none is.
func Nearest(name string) string { return NearestOf(name, append(Names(), "has")) }

// NearestOf is the same with other names than those of the language.
func NearestOf(name string, names []string) string {
	low := strings.ToLower(name)
	if a, ok := aliases[low]; ok && slices.Contains(names, a) {
		return a
	}
	limit := min(2, len(low)/2)
	best := ""
	for _, n := range names {
		if n == name {
			continue
		}
		if d := distance(low, strings.ToLower(n)); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// distance is the Damerau-Levenshtein distance (adjacent swaps count one).
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	var rows [3][]int
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(one[j]+1, now[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], two[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = one, now, two
	}
	return rows[1][len(b)]
}
