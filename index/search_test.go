package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
	"firetrail/index/blocks"
	"firetrail/index/columns"
	"firetrail/index/query"

	"github.com/google/go-cmp/cmp"
)

// caseOf makes a case of events: a segment for each kind of the first source, and for
// each kind of all others together, as small sources have it.
func caseOf(tb testing.TB, sources map[string][]firetrail.Event) *Case {
	tb.Helper()
	c, err := Create(filepath.Join(tb.TempDir(), "case"))
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for source := range sources {
		names = append(names, source)
	}
	slices.Sort(names)
	for _, bundle := range [][]string{names[:1], names[1:]} {
		var e commit
		kinds := map[string][]firetrail.Event{}
		var order []string
		for _, source := range bundle {
			e.Sources = append(e.Sources, taking{Source: firetrail.Source{ID: source, Path: source + ".log"}})
			for _, ev := range sources[source] {
				if kinds[ev.Kind] == nil {
					order = append(order, ev.Kind)
				}
				ev.Source = source
				kinds[ev.Kind] = append(kinds[ev.Kind], ev)
			}
		}
		for n, kind := range order {
			e.Segments = append(e.Segments, writeSegment(tb, c, fileName(bundle[0], n), kinds[kind]))
		}
		st, err := loadState(c.dir)
		if err != nil {
			tb.Fatal(err)
		}
		if err := st.commit(c.dir, e); err != nil {
			tb.Fatal(err)
		}
	}
	if err := c.Refresh(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func writeSegment(tb testing.TB, c *Case, name string, evs []firetrail.Event) segment {
	tb.Helper()
	f, err := os.Create(c.path("segments", name, ".parquet"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	info := segment{Name: name, Kind: evs[0].Kind, Rows: int64(len(evs)), First: firetrail.Absent, Last: firetrail.Absent}
	w, terms := columns.NewWriter(f, info.Kind), newTermWriter(blocks.NewWriter())
	enc := columns.NewEncoder()
	cut := func() {
		g := w.Cut()
		if g == nil {
			return
		}
		if err := g.Encode(enc); err != nil {
			tb.Fatal(err)
		}
		terms.group(g)
		if err := w.Write(g); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range evs {
		if t := evs[i].Time; t != firetrail.Absent {
			if info.Dated++; info.First == firetrail.Absent || t < info.First {
				info.First = t
			}
			info.Last = max(info.Last, t)
		}
	}
	for left := evs; len(left) > 0; {
		left = left[w.Append(left):]
		if w.Full() {
			cut()
		}
	}
	cut()
	var runs []columns.Run
	for i := range evs {
		if n := len(runs); n == 0 || runs[n-1].Source != evs[i].Source {
			runs = append(runs, columns.Run{Source: evs[i].Source})
			info.Sources = append(info.Sources, sourceRows{Source: evs[i].Source, From: evs[i].Offset})
		}
		n := len(runs) - 1
		runs[n].Rows++
		info.Sources[n].Rows, info.Sources[n].To = runs[n].Rows, evs[i].Offset+evs[i].Length
	}
	if err := w.Close(runs); err != nil {
		tb.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	info.Size = st.Size()
	if info.SHA256, err = fileSum(f.Name()); err != nil {
		tb.Fatal(err)
	}
	terms.w.Blocks(terms.blocks())
	if err := terms.w.WriteFile(c.path("blocks", name, termsExt)); err != nil {
		tb.Fatal(err)
	}
	return info
}

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// randomEvents makes events with all kinds of fields, few values of most, some undated,
// loosely in time order.
func randomEvents(rnd *rand.Rand, source, kind string, n int, offset int64) []firetrail.Event {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	maybe := func(n int64) int64 {
		if rnd.IntN(4) == 0 {
			return firetrail.Absent
		}
		return n
	}
	evs := make([]firetrail.Event, n)
	for i := range evs {
		ev := firetrail.NewEvent()
		ev.Source, ev.Kind, ev.Line, ev.Offset, ev.Length = source, kind, int64(i+1), offset+int64(i)*100, 99
		ev.Time = epoch + int64(i)*1e9 + rnd.Int64N(60)*1e9 + rnd.Int64N(2)*5e8
		if rnd.IntN(50) == 0 {
			ev.Time = firetrail.Absent
		}
		if rnd.IntN(3) == 0 {
			ev.Guess = firetrail.GuessYear
		}
		ev.End = maybe(ev.Time)
		ev.Duration = maybe(rnd.Int64N(1e12))
		ev.Sensor = pick("fw1", "fw2", "")
		ev.Action = pick("allow", "deny", "drop", "reset", "")
		ev.Proto = pick("tcp", "udp", "icmp")
		ev.SrcIP = netip.AddrFrom4([4]byte{10, byte(rnd.IntN(2)), byte(rnd.IntN(3)), byte(rnd.IntN(20))})
		if rnd.IntN(3) > 0 {
			ev.DstIP = netip.AddrFrom4([4]byte{203, 0, 113, byte(rnd.IntN(256))})
		} else if rnd.IntN(2) == 0 {
			ev.DstIP = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", rnd.IntN(3), rnd.IntN(9)))
		}
		ev.SrcPort, ev.DstPort = maybe(rnd.Int64N(65536)), maybe(int64([]int{22, 53, 80, 443, 8080}[rnd.IntN(5)]))
		ev.BytesOut, ev.BytesIn = maybe(rnd.Int64N(1e7)), maybe(rnd.Int64N(1e4))
		ev.Rule = pick("Deny All", "allow-web", "default deny", "")
		ev.Host = pick("a.pool.example", "pool.example", "www.example.org", "POOL.example", "x.y.example.org.", "", "")
		ev.URL = pick("/index.html", "http://a.example/x?q=xmrig", "", "", "/é/Ü")
		ev.User = pick("", "root", "Alice B")
		ev.UID = fmt.Sprintf("C%x", rnd.Uint64())
		if rnd.IntN(2) == 0 {
			ev.Put("TTL", fmt.Sprint(rnd.IntN(300)))
		}
		if rnd.IntN(3) == 0 {
			ev.Put("msg", pick("port scan found", "Failed login", "12 scans"))
		}
		if rnd.IntN(20) == 0 {
			ev.Put("TTL", pick("many", "64"))
		}
		if rnd.IntN(4) == 0 {
			ev.NATSrcIP, ev.NATDstPort = netip.AddrFrom4([4]byte{198, 51, 100, byte(rnd.IntN(4))}), maybe(rnd.Int64N(70))
			ev.CommunityID = fmt.Sprintf("1:%x=", rnd.IntN(500))
		}
		if rnd.IntN(5) == 0 {
			ev.Put("delta", fmt.Sprint(rnd.IntN(2000)-1000))
			ev.Put("code", pick("007", "7", "-0", "1e3", "NaN", "9007199254740993", "-9223372036854775807"))
			ev.Put("text", pick("", "a\xffb", strings.Repeat("long ", 40)+fmt.Sprint(rnd.IntN(9)), "Straße", "10.9.8.7", "2001:db8::7"))
		}
		if rnd.IntN(40) == 0 {
			ev.Host = strings.Repeat("label.", 50) + pick("a.example", "b.example")
			ev.URL = "/" + strings.Repeat("p", 100) + pick("x", "y")
		}
		if rnd.IntN(30) == 0 {
			ev.Put(fmt.Sprintf("rare%d", rnd.IntN(400)), pick("one", "two"))
		}
		evs[i] = ev
	}
	return evs
}

func randomCase(tb testing.TB, rnd *rand.Rand, n int) (*Case, []firetrail.Event) {
	sources := map[string][]firetrail.Event{
		"aaaa": randomEvents(rnd, "aaaa", "zeek.conn", n, 0),
		"bbbb": append(randomEvents(rnd, "bbbb", "iptables", n/2, 0), randomEvents(rnd, "bbbb", "pf", n/3, 50)...),
		"cccc": randomEvents(rnd, "cccc", "paloalto.traffic", 10, 0),
	}
	var all []firetrail.Event
	for _, evs := range sources {
		all = append(all, evs...)
	}
	slices.SortFunc(all, func(a, b firetrail.Event) int { return firetrail.Compare(&a, &b) })
	return caseOf(tb, sources), all
}

// terms are queries whose combinations are tried.
var terms = []string{
	"xmrig", "scan", `"port scan"`, "pool.example", "sca*", "*.pool.example", "10.0.1.7", "203.0.113.0/28", "/scan/", "é",
	"time:2026-03-01", "time:<2026-03-01T00:10", "time:[2026-03-01T00:05:00 TO 2026-03-01T00:20:00}", "time:>-5m", "time.guess:year",
	"end:>2026-03-01T00:30", "duration:>10m", "kind:zeek", "kind:pf", "sensor:FW1", "-has:sensor", "action:blocked", "action:allow", "action:=deny",
	"proto:(udp OR icmp)", "src_ip:10.0.0.0/8", "src_ip:10.1.2.3", "src_ip:10.0.0.0/23", "dst_ip:203.0.113.64/26", "dst_ip:2001:db8:1::/48", "dst_ip:2001:db8::/31",
	"dst_ip:2001:*", "dst_ip:/[.]7$/", "src_ip:[10.0.0.5 TO 10.0.1.3}", "has:dst_ip", "ip:203.0.113.9", "ip:192.0.2.1", "port:22", "src_port:<1024", "dst_port:[80 TO 443]", "dst_port:44*",
	"bytes_out:>9M", "bytes_out:<=10k", "bytes_in:0", "rule:deny", `rule:"deny"`, `rule:"deny all"`, "rule:Deny*", "rule:/^[^d]/", "rule:/(?i)DENY/", "rule:>b",
	"host:pool.example", "host:=pool.example", "host:*.pool.example", "host:example.org", "host:*org*", "host:/^a/", "host:absent.example", "host:?.pool.example",
	"url:*xmrig", "url:/index.html", "user:alice\\ b", "user:root", "has:user", "x.TTL:64", "x.TTL:>250", "x.TTL:many", "x.TTL:/^6/", "has:x.TTL", "x.msg:\"login\"",
	"x.delta:<-500", "x.delta:[-10 TO 10}", "x.delta:-7", "x.delta:>0", "-x.delta:>0", "x.code:7", "x.code:007", "x.code:>6", "x.code:[1 TO 1000]", "x.code:=-0", "x.code:>9007199254740992", "has:x.code",
	"x.text:long*", `x.text:"long long"`, "x.text:10.0.0.0/8", "x.text:2001:db8::/32", "x.text:STRASSE", "Straße", "long", "nat_src_ip:198.51.100.0/31", "nat_dst_port:<5", "port:7", "ip:198.51.100.1", "-ip:198.51.100.1",
	"community_id:1:7=", "has:community_id", "host:b.example", "host:label.*b.example", "url:/pp*y", "url:/p{90}x/", "line:[5 TO 9]", "time:[* TO 2026-03-01T00:01:00}", "-has:time", "x.msg:>d", "x.rare7:one", "has:x.rare11", "x.rare3:/w/", "x.absent:1", "source:aaaa", "-source:aaaa", "offset:<5000", "line:7", "uid:none", "id:e-aaaa-700", "NOT *", "*",
}

func randomQuery(rnd *rand.Rand, depth int) string {
	if depth == 0 || rnd.IntN(3) == 0 {
		return terms[rnd.IntN(len(terms))]
	}
	a, b := randomQuery(rnd, depth-1), randomQuery(rnd, depth-1)
	switch rnd.IntN(4) {
	case 0:
		return "NOT (" + a + ")"
	case 1:
		return "(" + a + " OR " + b + ")"
	}
	return "(" + a + " AND " + b + ")"
}

func compile(tb testing.TB, c *Case, text string) (firetrail.Query, *query.Predicate) {
	tb.Helper()
	q, err := query.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := query.Compile(q, c.env(c.view(), 0))
	if err != nil {
		tb.Fatal(err)
	}
	return q, p
}

// TestSearchIsBruteForce compares searches with the test of every event: hits, their
// order, their content, and counts.
func TestSearchIsBruteForce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	c, all := randomCase(t, rnd, 5000)
	queries := slices.Clone(terms)
	for range rounds(100) {
		queries = append(queries, randomQuery(rnd, 3))
	}
	for _, text := range queries {
		q, p := compile(t, c, text)
		var want []*firetrail.Event
		for i := range all {
			if p.Event(&all[i]) {
				want = append(want, &all[i])
			}
		}
		i := 0
		for ev, err := range c.Events(t.Context(), q) {
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if i >= len(want) || ev.ID() != want[i].ID() {
				t.Fatalf("%s: hit %d is %s, want one of %d", text, i, ev.ID(), len(want))
			}
			if i < 3 {
				if d := cmp.Diff(normal(want[i]), normal(ev), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
					t.Fatalf("%s: %s", text, d)
				}
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%s: %d hits, want %d", text, i, len(want))
		}
		if n, err := c.Count(t.Context(), q); err != nil || n != int64(len(want)) {
			t.Fatalf("%s: count %d, %v, want %d", text, n, err, len(want))
		}
	}
}

// TestSearchFindsEveryValue asks for values that events have, in every way in which they
// can be asked for, and compares with the test of every event.
func TestSearchFindsEveryValue(t *testing.T) {
	for seed, size := range []struct{ events, queries int }{{3000, 250}, {500, 250}, {66_000, 40}} { // the last has several row groups
		rnd := rand.New(rand.NewPCG(51, uint64(seed)))
		c, all := randomCase(t, rnd, size.events)
		for range rounds(size.queries) {
			ev := &all[rnd.IntN(len(all))]
			q, ok := valueQuery(rnd, ev)
			if !ok {
				continue
			}
			if rnd.IntN(4) == 0 {
				other, ok := valueQuery(rnd, &all[rnd.IntN(len(all))])
				if ok {
					q = []firetrail.Query{firetrail.Or(q, other), firetrail.And(q, firetrail.Not(other)), firetrail.And(q, other), firetrail.Not(firetrail.And(q, other))}[rnd.IntN(4)]
				}
			}
			p, err := query.Compile(q, c.env(c.view(), 0))
			if err != nil {
				continue // a value that the field's type cannot mean in this way
			}
			want := int64(0)
			for i := range all {
				want += int64(btoi(p.Event(&all[i])))
			}
			if n, err := c.Count(t.Context(), q); err != nil || n != want {
				t.Fatalf("seed %d: %s: %d, %v, want %d", seed, query.Print(q), n, err, want)
			}
		}
	}
}

// valueQuery makes a query of a value that an event has.
func valueQuery(rnd *rand.Rand, ev *firetrail.Event) (firetrail.Query, bool) {
	var names []string
	for i := range firetrail.Fields {
		names = append(names, firetrail.Fields[i].Name)
	}
	for _, x := range ev.X {
		names = append(names, "x."+x.Name, "x."+x.Name)
	}
	name := append(names, "", "ip", "port", "time.guess")[rnd.IntN(len(names)+4)]
	value, ok := ev.Value(name)
	switch name {
	case "":
		value, ok = ev.Host+" "+ev.URL, true
		if words := strings.FieldsFunc(value, func(r rune) bool { return r == '.' || r == ' ' || r == '/' }); len(words) > 0 {
			value = words[rnd.IntN(len(words))]
		}
	case "ip":
		value, ok = ev.Value("dst_ip")
	case "port":
		value, ok = ev.Value("dst_port")
	}
	if !ok {
		return firetrail.Query{}, false
	}
	q := firetrail.Query{Op: firetrail.OpMatch, Field: name, Value: value}
	q.Match = []firetrail.Match{firetrail.MatchIs, firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchLess, firetrail.MatchAtMost, firetrail.MatchMore, firetrail.MatchAtLeast,
		firetrail.MatchRange, firetrail.MatchWildcard, firetrail.MatchRegexp, firetrail.MatchHas, firetrail.MatchPhrase}[rnd.IntN(12)]
	cut := rnd.IntN(len(value) + 1)
	switch q.Match {
	case firetrail.MatchRange:
		q.High = []string{value, "*"}[rnd.IntN(2)]
		q.Excl = [2]bool{rnd.IntN(3) == 0, rnd.IntN(3) == 0}
	case firetrail.MatchWildcard:
		q.Value = []string{value[:cut] + "*", "*" + value[cut:], "*" + value[cut:] + "*", value[:cut] + "?" + value[min(cut+1, len(value)):]}[rnd.IntN(4)]
	case firetrail.MatchRegexp:
		q.Value = []string{"", "^", "(?i)"}[rnd.IntN(3)] + regexp.QuoteMeta(value[:cut])
	}
	return q, true
}

// normal is an event with its own fields in one order.
func normal(ev *firetrail.Event) firetrail.Event {
	n := *ev
	n.X = slices.Clone(ev.X)
	slices.SortStableFunc(n.X, func(a, b firetrail.Field) int { return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value) })
	return n
}

// TestSearchWithoutIndex loses the derived files: answers stay the same.
func TestSearchWithoutIndex(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	c, _ := randomCase(t, rnd, 5000)
	q, _ := compile(t, c, "host:pool.example dst_port:443")
	with, err := c.Count(t.Context(), q)
	if err != nil || with == 0 {
		t.Fatal(with, err)
	}
	before, err := os.ReadFile(c.path("blocks", "aaaa-000000", termsExt))
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(c.path("blocks", "aaaa-000000", termsExt))
	os.WriteFile(c.path("blocks", "bbbb-000000", termsExt), []byte("damage"), 0o600)
	dir := c.dir
	c.Close() // files do not change under an open case
	if c, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	without, err := c.Count(t.Context(), q)
	if err != nil || with != without {
		t.Errorf("%d hits without the index, %d with it; %v", without, with, err)
	}
	if plan, err := c.Explain(t.Context(), q, SearchOptions{}); err != nil || plan.Unindexed != 2 || plan.Hits != with {
		t.Errorf("%+v, %v", plan, err)
	}
	if rebuilt, err := c.RepairTerms(t.Context()); err != nil || fmt.Sprint(rebuilt) != "[aaaa-000000 bbbb-000000]" {
		t.Fatal(rebuilt, err)
	}
	if plan, err := c.Explain(t.Context(), q, SearchOptions{}); err != nil || plan.Unindexed != 0 || plan.Hits != with {
		t.Errorf("%+v, %v", plan, err)
	}
	after, err := os.ReadFile(c.path("blocks", "aaaa-000000", termsExt))
	if err != nil || string(before) != string(after) {
		t.Errorf("the rebuilt index differs: %d and %d bytes, %v", len(before), len(after), err)
	}
}

func TestSearchOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	c, all := randomCase(t, rnd, 6000)
	ids := func(q string, opt SearchOptions) []string {
		t.Helper()
		parsed, _ := compile(t, c, q)
		var list []string
		for ev, err := range c.Search(t.Context(), parsed, opt) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, ev.ID())
		}
		return list
	}
	var want []string
	for i := range all {
		want = append(want, all[i].ID())
	}
	if got := ids("*", SearchOptions{Limit: 20, Offset: 500}); !slices.Equal(got, want[500:520]) {
		t.Errorf("page: %v, want %v", got, want[500:520])
	}
	falling := slices.Clone(want)
	slices.Reverse(falling)
	if got := ids("*", SearchOptions{Desc: true}); !slices.Equal(got, falling) {
		t.Errorf("falling time: %d events, %v …, want %v …", len(got), got[:3], falling[:3])
	}
	byField := func(desc bool, less func(a, b *firetrail.Event) int) []string {
		sorted := slices.Clone(all)
		slices.SortStableFunc(sorted, func(a, b firetrail.Event) int {
			x, y := a.BytesOut != firetrail.Absent, b.BytesOut != firetrail.Absent
			if x != y {
				return btoi(y) - btoi(x)
			}
			if c := less(&a, &b); desc {
				return -c
			} else {
				return c
			}
		})
		var list []string
		for i := range sorted {
			list = append(list, sorted[i].ID())
		}
		return list
	}
	bytesOut := func(a, b *firetrail.Event) int { return int(a.BytesOut - b.BytesOut) }
	if got := ids("*", SearchOptions{Sort: "bytes_out", Desc: true, Limit: 50}); !slices.Equal(got, byField(true, bytesOut)[:50]) {
		t.Errorf("top bytes_out: %v", got)
	}
	if got := ids("*", SearchOptions{Sort: "bytes_out"}); !slices.Equal(got, byField(false, bytesOut)) {
		t.Errorf("all by bytes_out: %d", len(got))
	}
	since := SearchOptions{Since: epoch + 600e9, Until: epoch + 900e9}
	n := 0
	for i := range all {
		if all[i].Time >= since.Since && all[i].Time < since.Until {
			n++
		}
	}
	if got := ids("*", since); len(got) != n {
		t.Errorf("since and until: %d events, want %d", len(got), n)
	}
	for range 3 {
		if ev, err := c.Event(t.Context(), want[rnd.IntN(len(want))]); err != nil || !slices.Contains(want, ev.ID()) {
			t.Error(ev.ID(), err)
		}
	}
	if _, err := c.Event(t.Context(), "e-aaaa-1"); err == nil {
		t.Error("an event that is not there was found")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	parsed, _ := compile(t, c, "*")
	for _, err := range c.Search(ctx, parsed, SearchOptions{}) {
		if err == nil {
			t.Fatal("cancelled, but going on")
		}
	}
}
