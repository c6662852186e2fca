package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
)

func TestZeekNanoseconds(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0.0": 0, "1300475173.475401": 1300475173475401000, "-0.5": -5e8, "0.09628199999999865": 96282000,
		"9.059906005859375e-06": 9060, "1.5e2": 150e9, "1E+1": 10e9, "0.0000000004": 0, "0.0000000005": 1, "-0.0000000005": -1,
		"1e-300": 0, "2136422885.0": 2136422885e9, "1575413104.9882599": 1575413104988259900, "5.": 5e9, ".5": 5e8,
	} {
		if got, ok := zeekNanoseconds([]byte(in)); got != want || !ok {
			t.Errorf("%s: got %d %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", "1.2.3", "1e", "1e+", "1e9999", "1x", "9223372037", "1e10", "nan", "inf", "1 ", strings.Repeat("9", 309)} {
		if got, ok := zeekNanoseconds([]byte(in)); ok {
			t.Errorf("%q: got %d, want a refusal", in, got)
		}
	}
}

// FuzzZeekNanoseconds compares with exact rational arithmetic.
func FuzzZeekNanoseconds(f *testing.F) {
	for _, s := range []string{"1300475173.475401", "-0.5", "9.06e-06", "0.09628199999999865", "123456789012345678901234567890.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := zeekNanoseconds([]byte(s))
		if !ok || len(s) > 17 || strings.ContainsAny(s, "eE") && len(s) > 10 {
			return
		}
		want, good := new(big.Rat).SetString(strings.TrimSuffix(s, "."))
		if !good {
			t.Fatalf("%q read as %d, is no number", s, got)
		}
		want.Mul(want, big.NewRat(1e9, 1)).Sub(want, new(big.Rat).SetInt64(got))
		if want.Abs(want).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%q read as %d ns", s, got)
		}
	})
}

func TestZeekTime(t *testing.T) {
	at := func(s string) int64 {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixNano()
	}
	for in, want := range map[string]int64{
		"1215620010.005432":              at("2008-07-09T16:13:30.005432Z"),
		"1215620010":                     at("2008-07-09T16:13:30Z"),
		"1215620010005":                  at("2008-07-09T16:13:30.005Z"),
		"1215620010005432":               at("2008-07-09T16:13:30.005432Z"),
		"1215620010005432109":            at("2008-07-09T16:13:30.005432109Z"),
		"2008-07-09T16:13:30.005432Z":    at("2008-07-09T16:13:30.005432Z"),
		"2008-07-09T18:13:30.5+02:00":    at("2008-07-09T16:13:30.5Z"),
		"2008-07-09T11:43:30-0430":       at("2008-07-09T16:13:30Z"),
		"1969-12-31T23:59:59.600000Z":    -4e8,
		"2024-02-29T00:00:00.000000001Z": at("2024-02-29T00:00:00.000000001Z"),
		"22.335172":                      22335172000,
		"-99.0":                          -99e9,
	} {
		ev := firetrail.NewEvent()
		got, ok := zeekTime(newContext(Options{}), []byte(in), &ev)
		if got != want || !ok || ev.Guess != 0 {
			t.Errorf("%s: got %s %v %v, want %s", in, firetrail.Stamp(got), ok, ev.Guess, firetrail.Stamp(want))
		}
	}
	ev := firetrail.NewEvent()
	if got, ok := zeekTime(newContext(Options{}), []byte("2008-07-09T16:13:30"), &ev); !ok || got != at("2008-07-09T16:13:30Z") || ev.Guess != firetrail.GuessZone {
		t.Errorf("without a zone: got %s %v, guessed %v", firetrail.Stamp(got), ok, ev.Guess)
	}
	for _, in := range []string{"2023-02-29T00:00:00Z", "2008-13-01T00:00:00Z", "2008-07-09T24:00:00Z", "2008-07-09T16:13:30X", "2008-07-09T16:13", "yesterday", "2008-07-09"} {
		if got, ok := zeekTime(newContext(Options{}), []byte(in), &ev); ok {
			t.Errorf("%s: got %s, want a refusal", in, firetrail.Stamp(got))
		}
	}
}

// TestZeekRejects: one bad value costs one row, with its column.
func TestZeekRejects(t *testing.T) {
	good := "1772355612.010877\tC1\t10.20.3.7\t50112\t203.0.113.9\t443\ttcp\tssl\t1.5\t10\t20\tSF\tT\tF\t0\tS\t1\t40\t1\t40\t-"
	for _, c := range []struct {
		column  int // of the row, from 0
		value   string
		reason  string
		atBytes int
	}{
		{0, "yesterday", "column ts: expected seconds", 1},
		{2, "10.20.3", "column id.orig_h: expected an address", 22},
		{3, "65536", "column id.orig_p: expected a port", 32},
		{9, "-10", "column orig_bytes: expected a count", 0},
		{8, "1,5", "column duration: expected seconds", 0},
		{12, "true", "column local_orig: expected T or F", 0},
		{14, "x", "column missed_bytes: expected a count", 0},
		{20, "-\textra", "expected 21 columns, found 22", 0},
		{20, "", "", 0},
	} {
		cells := strings.Split(good, "\t")
		cells[c.column] = c.value
		s := readZeekSource(t, "row", []byte(zeekConnHeader+good+"\n"+strings.Join(cells, "\t")+"\n"+good+"\n"))
		if c.reason == "" {
			if len(s.rejects) != 0 {
				t.Errorf("column %d = %q: %v", c.column, c.value, s.rejects)
			}
			continue
		}
		if len(s.events) != 2 || len(s.rejects) != 1 || !strings.HasPrefix(s.rejects[0].Reason, c.reason) || c.atBytes > 0 && s.rejects[0].Column != c.atBytes {
			t.Errorf("column %d = %q: %d events, rejects %+v", c.column, c.value, len(s.events), s.rejects)
		}
	}
	// A row that was cut off while Zeek was writing it.
	s := readZeekSource(t, "cut", []byte(zeekConnHeader+good+"\n"+good[:40]))
	if len(s.events) != 1 || len(s.rejects) != 1 || s.rejects[0].Reason != "expected 21 columns, found 5" {
		t.Errorf("cut row: %d events, rejects %+v", len(s.events), s.rejects)
	}
}

func TestZeekJSONRejects(t *testing.T) {
	for in, want := range map[string]string{
		`{"ts":1.5,"uid":"C1","id.orig_h":"10.20.3"}`:              `34: member id.orig_h: not of its type: "\"10.20.3\""`,
		`{"ts":"soon","uid":"C1","id.orig_h":"10.20.3.7"}`:         `7: member ts: not of its type: "\"soon\""`,
		`{"ts":1.5,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p"`: `57: not a JSON object: expected a colon`,
		`{"ts":1.5,"uid":"C1","id.orig_h":"10.20.3.7"`:             `45: not a JSON object: expected a comma or a closing bracket`,
	} {
		ev := firetrail.NewEvent()
		if err := ZeekJSON.New(newContext(Options{})).Parse([]byte(in), &ev); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{`{"a":1}`, `{}`, `[]x`, `{"timestamp":"2026-03-01T00:00:00Z","event_type":"flow","src_ip":"10.20.3.7"}`,
		`{"level":"info","ts":1772355612.1,"msg":"started"}`, `{"__REALTIME_TIMESTAMP":"1","MESSAGE":"IN=eth0"}`, `plain text`} {
		ev := firetrail.NewEvent()
		if err := ZeekJSON.New(newContext(Options{})).Parse([]byte(in), &ev); err == nil || errors.As(err, new(*RejectError)) {
			t.Errorf("%s: %v, want it left to other formats", in, err)
		}
	}
}

// TestZeekJSONEnvelopes reads objects behind syslog headers and inside the
// objects of collectors.
func TestZeekJSONEnvelopes(t *testing.T) {
	const object = `{"_path":"conn","ts":1772355612.010877,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":50112,"id.resp_h":"203.0.113.9","id.resp_p":443,"proto":"tcp"}`
	quoted := strings.ReplaceAll(object, `"`, `\"`)
	for in, sensor := range map[string]string{
		object: "",
		"<14>1 2026-03-01T09:00:13Z sensor-a corelight - - - " + object:                          "sensor-a",
		"Mar  1 09:00:13 sensor-b corelight_conn: " + object:                                     "sensor-b",
		`{"log":"` + quoted + `\n","stream":"stdout","time":"2026-03-01T09:00:14Z"}`:             "",
		`{"@timestamp":"2026-03-01T09:00:14Z","hostname":"sensor-c","message":"` + quoted + `"}`: "sensor-c",
		"[" + object + ",": "",
		object + "]":       "",
	} {
		s := readZeekSource(t, in, []byte(in+"\n"))
		if len(s.events) != 1 || s.events[0].Kind != "zeek.conn" || s.events[0].DstPort != 443 || s.events[0].Sensor != sensor || s.events[0].Time != 1772355612010877000 {
			t.Errorf("%s: %v %+v", in, s.err, s.events)
		}
	}
}

// TestZeekNameless: objects that do not name their log are known by their
// columns; those that anybody could write only where they have no others.
func TestZeekNameless(t *testing.T) {
	for in, want := range map[string]string{
		`{"ts":1772355612.5,"uid":"C1","src_addr":"10.20.3.7","src_port":51617,"dst_addr":"203.0.113.9","dst_port":445,"note":"Signatures::Sensitive_Signature","sig_id":"s1","event_msg":"10.20.3.7: TCP traffic"}`: "zeek.signatures 10.20.3.7 51617 203.0.113.9 445",
		`{"ts":1772355612.5,"src":"10.20.3.7","dst":"203.0.113.9","proto":"udp"}`: "zeek.traceroute 10.20.3.7  203.0.113.9 ",
		`{"ts":"2026-03-01T09:00:12.5Z","host":"10.20.3.7"}`:                      "zeek.known_hosts 10.20.3.7   ",
		`{"ts":1772355612.5,"src":"10.20.3.7","dst":"203.0.113.9","bytes":9}`:     "",
		`{"ts":1772355612.5,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":1645,"id.resp_h":"203.0.113.9","id.resp_p":1812,"username":"kim","mac":"00:53:00:00:00:01","result":"failed"}`:                        "zeek.radius 10.20.3.7 1645 203.0.113.9 1812",
		`{"ts":1772355612.5,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":51617,"id.resp_h":"203.0.113.9","id.resp_p":502,"func":"READ_COILS"}`:                                                                 "zeek.modbus 10.20.3.7 51617 203.0.113.9 502",
		`{"ts":1772355612.5,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":51617,"id.resp_h":"203.0.113.9","id.resp_p":445,"command":"NT_CREATE_ANDX","argument":"\\x","tree":"\\h\\IPC$","tree_service":"IPC"}`: "zeek.smb_cmd 10.20.3.7 51617 203.0.113.9 445",
		`{"ts":1772355612.5,"host":"web1"}`:                      "",
		`{"ts":1772355612.5,"host":"10.20.3.7","msg":"started"}`: "",
	} {
		ev := firetrail.NewEvent()
		got := ""
		if err := ZeekJSON.New(newContext(Options{})).Parse([]byte(in), &ev); err == nil {
			for i, name := range []string{"kind", "src_ip", "src_port", "dst_ip", "dst_port"} {
				v, _ := ev.Value(name)
				got += strings.Repeat(" ", min(i, 1)) + v
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// TestZeekOneLine: several objects on a line are as many records.
func TestZeekOneLine(t *testing.T) {
	object := func(uid string) string {
		return `{"ts":1772355612.5,"uid":"` + uid + `","id":{"orig_h":"10.20.3.7","orig_p":5},"id.resp_h":"203.0.113.9","proto":"tcp","conn_state":"S0","note":"}{ \"},{\" "}`
	}
	a, b, c := object("C1"), object("C2"), object("C3")
	for in, lines := range map[string][]int64{
		"[" + a + "," + b + ", " + c + "]\n": {1, 1, 1},
		a + b + c:                            {1, 1, 1},
		a + "\n" + b + c + "\n":              {1, 2, 2},
		a + "\n" + b + "\n" + c + "\n":       {1, 2, 3},
	} {
		s := readZeekSource(t, in, []byte(in))
		var got []int64
		for i := range s.events {
			got = append(got, s.events[i].Line)
		}
		if !slices.Equal(got, lines) || len(s.rejects) != 0 || s.events[len(s.events)-1].UID != "C3" {
			t.Errorf("%s: lines %v, want %v, rejects %v", in, got, lines, s.rejects)
		}
	}
}

// TestZeekDecimal: what is no number is refused without harm, whatever it begins with.
func TestZeekDecimal(t *testing.T) {
	for _, in := range []string{"", "+", "+:|", "-", "-.", ".5", "1e", "1e+", "1e-", "1.e", "1e1234", "1x", "--1", "0x1", "1.5.2"} {
		if zeekDecimal([]byte(in)) {
			t.Errorf("%q is taken as a number", in)
		}
	}
	for _, in := range []string{"0", "-1", "1.", "1.5", "-1.5e-06", "1e+20", "inf", "-inf", "nan", "-0.0"} {
		if !zeekDecimal([]byte(in)) {
			t.Errorf("%q is not taken as a number", in)
		}
	}
}

// TestZeekSideFiles: what lies beside the logs is refused by name.
func TestZeekSideFiles(t *testing.T) {
	for in, want := range map[string]string{
		"### BTest baseline data generated by btest-diff.\n#separator \\x09\n": "baseline",
		"#path\tconn\n#fields\tts\nXXXXXXXXXX.XXXXXX\n":                        "baseline",
		".log\nLog::default_ascii_rotation\n":                                  ".shadow",
		"\n>== Total === 2026-03-01-00-00-00 - 2026-03-01-01-00-00\n":          "connection summary",
		"+1\t2\t3\t4\t5\t6\t7\n":                                               "no Zeek header",
		"1772355612.1\t10.20.3.7\n":                                            "no Zeek header",
		"1772355612.010877\tC1\t10.20.3.7\t50112\t203.0.113.9\t53\tudp\t1\n":   "without its header",
	} {
		if err := sniffZeek([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// TestZeekHeadless reads conn rows without a header, and a plain row of names.
func TestZeekHeadless(t *testing.T) {
	tsv, _ := zeekConnLog(3)
	rows := bytes.SplitAfter(tsv, []byte{'\n'})[7:]
	whole := readZeekSource(t, "whole", tsv)
	for name, data := range map[string][]byte{
		"rows": bytes.Join(rows, nil),
		"bars": bytes.ReplaceAll(bytes.Join(rows, nil), []byte{'\t'}, []byte{'|'}),
		"tsv":  append([]byte(strings.ReplaceAll("ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents\n", " ", "\t")), bytes.Join(rows, nil)...),
	} {
		s := readZeekSource(t, name, data)
		if len(s.events) != 3 || s.events[2].Kind != "zeek.conn" || s.events[2].BytesIn != whole.events[2].BytesIn || len(s.events[2].X) != len(whole.events[2].X) {
			t.Errorf("%s: %d events, %v", name, len(s.events), s.err)
		}
	}
}

// TestZeekPasted reads a log whose tabs have become blanks.
func TestZeekPasted(t *testing.T) {
	s := readZeekSource(t, "pasted", []byte(`#separator \x09
#set_separator  ,
#unset_field    -
#path   weird
#fields ts     uid     id.orig_h       name   addl
#types  time   string  addr            string string
1772355612.010877   C1   10.20.3.7   bad_checksum   -
1772355612.010878   C1   10.20.3.7   bad checksum   -
`))
	if len(s.events) != 1 || len(s.rejects) != 1 || s.events[0].Kind != "zeek.weird" || s.events[0].SrcIP.String() != "10.20.3.7" {
		t.Fatalf("%v, rejects %+v, events:\n%s", s.err, s.rejects, goldenEvents(s))
	}
	if _, ok := s.events[0].Get("addl"); ok {
		t.Error("an unset column has a value")
	}
}

// TestZeekLoss: what Zeek says about missed traffic becomes a fact.
func TestZeekLoss(t *testing.T) {
	s := readZeekSource(t, "loss", []byte(`{"ts":1772355600.0,"ts_delta":900.0,"peer":"w1","gaps":0,"acks":5988,"percent_lost":0.0}
{"ts":1772356500.0,"ts_delta":900.0,"peer":"w1","gaps":600,"acks":5988,"percent_lost":10.02}
{"ts":1772356500.0,"peer":"w1","mem":66,"pkts_proc":10,"pkts_dropped":7}
`))
	if len(s.events) != 3 || len(s.facts) != 2 || s.facts[0].Line != 2 || !strings.Contains(s.facts[0].Text, "10.02 percent") || !strings.Contains(s.facts[1].Text, "7 packets") {
		t.Errorf("%d events, facts %+v", len(s.events), s.facts)
	}
}

// TestZeekSteady: after the first records neither form allocates per event.
func TestZeekSteady(t *testing.T) {
	tsv, json := zeekConnLog(300)
	for _, c := range []struct {
		format Format
		log    []byte
	}{{Zeek, tsv}, {ZeekJSON, json}} {
		p := c.format.New(newContext(Options{}))
		records := bytes.Split(bytes.TrimSpace(c.log), []byte{'\n'})
		ev := firetrail.NewEvent()
		for _, rec := range records {
			ev.Reset()
			p.Parse(rec, &ev)
		}
		if n := testing.AllocsPerRun(5, func() {
			for _, rec := range records[10:] {
				ev.Reset()
				if err := p.Parse(rec, &ev); err != nil {
					t.Fatal(err)
				}
			}
		}); n > 1 {
			t.Errorf("%s: %v allocations for %d records", c.format.Name, n, len(records)-10)
		}
	}
}

// FuzzZeek: no panic, every byte in one record, and what is read is sound.
func FuzzZeek(f *testing.F) {
	for _, format := range []string{"zeek", "zeekjson"} {
		files, _ := filepath.Glob(filepath.Join("..", "samples", format, "*.log"))
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("+:|"))
	f.Add([]byte("#separator \\x09\n#path\tconn\n#fields\tts\tduration\n#types\ttime\tinterval\n+:|\t+:|\n"))
	f.Add([]byte(`{"ts":1.5,"uid":"C1","id.orig_h":"10.20.3.7","duration":"+:|"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []string{"zeek", "zeekjson"} {
			rd, err := NewReader(bytes.NewReader(data), Options{Format: format, MaxRecord: 4096})
			if err != nil {
				if errors.Is(err, ErrEmpty) {
					continue
				}
				t.Fatal(err)
			}
			var b Batch
			var n firetrail.Counts
			end := int64(0)
			for rd.Next(&b) == nil {
				n.Add(b.Counts)
				if b.End < end {
					t.Fatal("offsets go back")
				}
				end = b.End
				for i := range b.Events {
					ev := &b.Events[i]
					if ev.Offset+ev.Length > int64(len(data)) || !strings.HasPrefix(ev.Kind, "zeek") && ev.Kind == "" {
						t.Fatalf("event %+v", ev)
					}
					if ev.SrcPort != firetrail.Absent && (ev.SrcPort < 0 || ev.SrcPort > 65535) {
						t.Fatalf("port %d", ev.SrcPort)
					}
					fmt.Fprint(discard{}, ev.X)
				}
			}
			if end != int64(len(data)) || n.Records != n.Events+n.Rejected+n.Headers+n.Other {
				t.Fatalf("%s: %d of %d bytes, %+v", format, end, len(data), n)
			}
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// hostileZeek is what a reader could lose its way in, size bytes of each.
func hostileZeek(size int) map[string][]byte {
	fill := func(piece string) []byte { return bytes.Repeat([]byte(piece), size/len(piece)) }
	return map[string][]byte{
		"open objects":     fill(" {\n"),
		"one line":         fill(`{"ts":1}`),
		"objects, blanks":  fill(" {\n" + strings.Repeat(" \n", 1000)),
		"empty objects":    append([]byte(`{"a":{}`), fill(`,"a":{}`)...),
		"one long string":  append([]byte(`{"ts":"`), fill("a")...),
		"quotes":           fill(`{"` + "\n"),
		"backslashes":      append([]byte(`{"ts":"`), fill(`\`)...),
		"members":          append([]byte(`{"ts":1,"id.orig_h":"10.20.3.7"`), fill(`,"a":1`)...),
		"nested":           append([]byte(`{"ts":`), fill(`[`)...),
		"distinct columns": distinctObjects(size / 50),
		"headers":          fill("#separator \\x09\n#fields\tts\ta\n1.5\tb\n"),
		"wide header":      append([]byte("#separator \\x09\n#fields"), fill("\ta")...),
		"tabs":             append([]byte(zeekConnHeader), fill("\t")...),
	}
}

// TestZeekHostile: whatever the bytes are, the reader comes to their end, counts every
// record, and allocates in proportion to them. BenchmarkZeekHostile shows the same of time.
func TestZeekHostile(t *testing.T) {
	const size = 1 << 20
	for name, data := range hostileZeek(size) {
		for _, format := range []string{"zeek", "zeekjson"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n, end := readZeek(t, data, format)
			runtime.ReadMemStats(&after)
			if end != int64(len(data)) || n.Records != n.Events+n.Rejected+n.Headers+n.Other {
				t.Errorf("%s: %s read %d of %d bytes, %+v", name, format, end, len(data), n)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 32*uint64(len(data)) {
				t.Errorf("%s: %s allocated %d bytes for %d", name, format, got, len(data))
			}
		}
	}
}

// readZeek reads all of data: what was counted, and where the last record ends.
func readZeek(t testing.TB, data []byte, format string) (n firetrail.Counts, end int64) {
	t.Helper()
	rd, err := NewReader(bytes.NewReader(data), Options{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for rd.Next(&b) == nil {
		n.Add(b.Counts)
		end = b.End
	}
	return n, end
}

func distinctObjects(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"_path":"p%d","ts":%d.5,"uid":"C%d","id.orig_h":"10.20.3.7","c%d":1}`+"\n", i, i, i, i)
	}
	return b.Bytes()
}
