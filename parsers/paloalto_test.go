package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firetrail"
)

// readPan reads data as one source.
func readPan(tb testing.TB, data []byte, opt Options) (events []firetrail.Event, rejects []firetrail.Reject, counts firetrail.Counts) {
	tb.Helper()
	rd, err := NewReader(bytes.NewReader(data), opt)
	if err != nil {
		tb.Fatal(err)
	}
	var end int64
	for {
		var b Batch
		if err := rd.Next(&b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			tb.Fatal(err)
		}
		events = append(events, b.Events...)
		rejects = append(rejects, b.Rejects...)
		counts.Add(b.Counts)
		end = b.End
	}
	if counts.Records != counts.Events+counts.Rejected+counts.Headers+counts.Other || end != int64(len(data)) {
		tb.Errorf("records not accounted for: %+v, %d of %d bytes", counts, end, len(data))
	}
	return events, rejects, counts
}

// printPan prints everything that was read from a source, one value a line.
func printPan(events []firetrail.Event, rejects []firetrail.Reject, counts firetrail.Counts) []byte {
	var b bytes.Buffer
	for i := range events {
		ev := &events[i]
		fmt.Fprintf(&b, "event at line %d, offset %d, length %d\n", ev.Line, ev.Offset, ev.Length)
		for _, f := range firetrail.Fields {
			if v, ok := ev.Value(f.Name); ok && v != "" && f.Name != "line" && f.Name != "offset" {
				fmt.Fprintf(&b, "  %s %s\n", f.Name, v)
			}
		}
		if ev.Guess != 0 {
			fmt.Fprintf(&b, "  time.guess %s\n", ev.Guess)
		}
		for _, x := range ev.X {
			fmt.Fprintf(&b, "  x.%s %s\n", x.Name, firetrail.Inert(x.Value))
		}
	}
	for _, r := range rejects {
		fmt.Fprintf(&b, "reject at line %d, offset %d, length %d, column %d: %s\n", r.Line, r.Offset, r.Length, r.Column, r.Reason)
	}
	fmt.Fprintf(&b, "%+v\n", counts)
	return b.Bytes()
}

// panSamples are the sample files of this format.
func panSamples(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("../samples/paloalto/*.*")
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if filepath.Ext(f) != ".golden" {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		tb.Fatal("no samples of this format")
	}
	return out
}

func TestPaloAltoGolden(t *testing.T) {
	for _, file := range panSamples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := PaloAlto.Sniff(data); err != nil {
				t.Errorf("not recognised: %v", err)
			}
			got := printPan(readPan(t, data, Options{Format: "paloalto", ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}))
			golden := file + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-golden +got)\n%s", diff)
			}
		})
	}
}

// TestPaloAltoSniff: the samples of other formats and text are declined.
func TestPaloAltoSniff(t *testing.T) {
	for _, line := range []string{
		"",
		"Mar  1 08:00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=TCP",
		"Mar  1 08:00:00 gw filterlog[1]: 5,,,1000000103,em0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,192.0.2.1,192.0.2.2,1,2,0,S,1,,1,,",
		`{"ts":1772352000.0,"uid":"C1","id.orig_h":"192.0.2.1","id.resp_h":"192.0.2.2","type":"threat"}`,
		"CEF:0|Ubiquiti|UniFi Network|9.0|1|THREAT|5|src=192.0.2.1",
		"date=2026-03-01 time=08:00:00 devname=\"f\" logid=\"0000000013\" type=\"traffic\"",
		"1,2026/03/01 08:00:00,just,some,csv,with,dates",
	} {
		if err := PaloAlto.Sniff([]byte(line + "\n")); err == nil {
			t.Errorf("accepted: %s", line)
		}
	}
}

func TestSplitCSV(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
		open int
	}{
		{``, []string{""}, -1},
		{`a,b,`, []string{"a", "b", ""}, -1},
		{`"a,b",c`, []string{"a,b", "c"}, -1},
		{`"","a ""b"" c",""""`, []string{"", `a "b" c`, `"`}, -1},
		{`a"b,c`, []string{`a"b`, "c"}, -1},
		{`"{""x"":-33,""y"":1}",z`, []string{`{"x":-33,"y":1}`, "z"}, -1},
		{`"{\"a\":1,\"b\":\"c,d\"}",z`, []string{`{"a":1,"b":"c,d"}`, "z"}, -1},
		{`\"a,b\",c`, []string{"a,b", "c"}, -1},
		{`\"a \"\"b\"\" c\",d`, []string{`a "b" c`, "d"}, -1},
		{`\"\",d`, []string{"", "d"}, -1},
		{`"C:\dir\",d`, []string{`C:\dir\`, "d"}, -1},
		{`C:\dir\,d`, []string{`C:\dir\`, "d"}, -1},
		{"\"two\nlines\",d", []string{"two\nlines", "d"}, -1},
		{`a,"b`, []string{"a", "b"}, 2},
		{`a,\"b,c`, []string{"a", "b,c"}, 2},
		{`"a"b,c`, []string{`a"b,c`}, 0},
	} {
		p := &panParser{ctx: newContext(Options{})}
		open := p.split([]byte(tt.in))
		var got []string
		for _, c := range p.columns {
			got = append(got, string(p.value(c)))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || open != tt.open {
			t.Errorf("splitCSV(%q): open %d, want %d; (-want +got)\n%s", tt.in, open, tt.open, diff)
		}
	}
}

// TestPaloAltoPositions writes a value of its own into every column of every log
// type and finds each again under the name of the column.
func TestPaloAltoPositions(t *testing.T) {
	for _, k := range []*panType{panTraffic, panThreatType, panSystem, panConfig, panGlobalProtect, panHIPMatch, panUserID, panDecryption,
		panAuthentication, panCorrelation, panIPTag, panTunnel, panSCTP, panGTP} {
		p := PaloAlto.New(newContext(Options{}))
		for n := k.least; n <= len(k.columns)+3; n++ {
			var cells []string
			for i := range n {
				cells = append(cells, panCell(k, panColumnAt(k.columns, i), i))
			}
			if k == panConfig {
				if n < 18 {
					continue
				}
				cells[17] = "0x17"
			}
			ev := firetrail.NewEvent()
			if err := p.Parse([]byte("Mar  1 08:00:00 fw "+strings.Join(cells, ",")), &ev); err != nil {
				t.Fatalf("%s with %d columns: %v", k.name, n, err)
			}
			for i := range n {
				c := panColumnAt(k.columns, i)
				want := cells[i]
				if k == panThreatType && c.role == panURL {
					want = strings.ToLower(want)
				}
				if got := panFound(&ev, c); got != want && c.role != panTypeColumn {
					t.Fatalf("%s with %d columns: %d %s: got %q, want %q", k.name, n, i+1, c.name, got, want)
				}
			}
		}
	}
}

// panCell is a value that is valid for the column and unique in the record.
func panCell(k *panType, c panColumn, i int) string {
	switch c.role {
	case panTypeColumn:
		return k.name
	case panReceive, panGenerated, panStart:
		return fmt.Sprintf("2026/03/01 08:00:%02d", i%60)
	case panPrecise:
		return "2026-03-01T08:00:06.5Z"
	case panSrc, panDst, panNATSrc, panNATDst, panClient:
		return fmt.Sprintf("192.0.2.%d", i+1)
	case panSrcPort, panDstPort, panNATSrcPort, panNATDstPort, panBytesIn, panBytesOut, panPacketsIn, panPacketsOut, panElapsed:
		return fmt.Sprint(1000 + i)
	case panProto:
		return "tcp"
	case panAction:
		return "allow"
	case panSrcCountry, panDstCountry:
		return "DE"
	}
	return fmt.Sprintf("value-%d", i)
}

// panFound is the value of a column where the event has it.
func panFound(ev *firetrail.Event, c panColumn) string {
	field := map[panRole]string{panSrc: "src_ip", panDst: "dst_ip", panNATSrc: "nat_src_ip", panNATDst: "nat_dst_ip", panSrcPort: "src_port",
		panDstPort: "dst_port", panNATSrcPort: "nat_src_port", panNATDstPort: "nat_dst_port", panBytesOut: "bytes_out", panBytesIn: "bytes_in",
		panPacketsOut: "packets_out", panPacketsIn: "packets_in", panElapsed: "duration", panProto: "proto", panAction: "action",
		panInterfaceIn: "in_interface", panInterfaceOut: "out_interface", panSrcZone: "src_zone", panDstZone: "dst_zone", panRule: "rule",
		panApp: "app", panUser: "user", panSrcCountry: "src_country", panDstCountry: "dst_country"}[c.role]
	if c.role == panClient {
		if v, ok := ev.Get(c.name); ok {
			return v
		}
		field = "src_ip"
	}
	if field == "" {
		v, _ := ev.Get(c.name)
		return v
	}
	v, _ := ev.Value(field)
	return v
}

func TestPaloAltoAction(t *testing.T) {
	for word, want := range map[string]string{
		"allow": firetrail.ActionAllow, "alert": firetrail.ActionAlert, "deny": firetrail.ActionDeny, "drop": firetrail.ActionDrop,
		"drop ICMP": firetrail.ActionDrop, "drop-all-packets": firetrail.ActionDrop, "reset client": firetrail.ActionReset, "reset-both": firetrail.ActionReset,
		"block-url": firetrail.ActionDeny, "Block-IP": firetrail.ActionDeny, "sinkhole": firetrail.ActionDeny, "continue": firetrail.ActionAllow,
		"block-continue": firetrail.ActionDeny, "drop-reset": firetrail.ActionReset, "something else": "", strings.Repeat("x", 99): "",
	} {
		if got := panActionOf([]byte(word)); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestPaloAltoHost(t *testing.T) {
	for u, want := range map[string]string{
		"www.example.com/": "www.example.com", "https://ada@www.example.com.:8443/x?y": "www.example.com", "192.0.2.1/x": "", "[2001:db8::1]:443/": "",
		"www.example.com:x/": "", "": "", "*.example.com": "*.example.com", "exa mple/": "", "www.example.com?x=http://other.example/": "www.example.com",
	} {
		if got := hostOf([]byte(u)); got != want {
			t.Errorf("%s: %q, want %q", u, got, want)
		}
	}
	for threat, want := range map[string]string{
		"Suspicious DNS Query (generic:pool.example.net)(320511141)": "pool.example.net", "DGA:c2.example.net(109000001)": "c2.example.net",
		"(9999)": "", "SSH User Authentication Brute Force Attempt(40015)": "", "HTTP: IIS Denial Of Service Attempt(40019)": "", "SCAN: TCP Port Scan(8001)": "",
	} {
		if got := threatHost([]byte(threat)); got != want {
			t.Errorf("%s: %q, want %q", threat, got, want)
		}
	}
}

// TestPaloAltoZone: the high-resolution stamp gives the zone, also where it is
// written in another one than the firewall's.
func TestPaloAltoZone(t *testing.T) {
	for _, tt := range []struct{ generated, precise, want, guess string }{
		{"2026/03/01 08:00:00", "", "2026-03-01T08:00:00Z", "zone"},
		{"2026/03/01 08:00:00", "2026-03-01T08:00:01.5-08:00", "2026-03-01T16:00:00Z", ""},
		{"2026/03/01 08:00:00", "2026-03-01T16:00:01.5Z", "2026-03-01T16:00:00Z", ""},
		{"2026/03/01 08:00:00", "2026-03-01T02:15:01.5Z", "2026-03-01T02:15:00Z", ""},
		{"2026/03/01 08:00:00", "2026-02-20T02:17:01.5+01:00", "2026-03-01T07:00:00Z", ""},
		{"2026/03/01 08:00:00", "1969-12-31T16:00:00.000-08:00", "2026-03-01T08:00:00Z", "zone"},
		{"1970/01/01 00:00:00", "2026-03-01T08:00:01.5+01:00", "2026-03-01T07:00:01.500Z", ""},
	} {
		cells := make([]string, 26) // all columns of SYSTEM
		cells[0], cells[2], cells[3] = "1", "0123", "SYSTEM"
		cells[1], cells[6], cells[25] = "2026/03/01 08:00:05", tt.generated, tt.precise
		ev := firetrail.NewEvent()
		if err := PaloAlto.New(newContext(Options{})).Parse([]byte(strings.Join(cells, ",")), &ev); err != nil {
			t.Errorf("%s: %v", tt.precise, err)
			continue
		}
		if got := firetrail.Stamp(ev.Time); got != tt.want || ev.Guess.String() != tt.guess {
			t.Errorf("%s, %s: %s %q, want %s %q", tt.generated, tt.precise, got, ev.Guess, tt.want, tt.guess)
		}
	}
}

// TestPaloAltoChunks: what is read does not depend on how the bytes arrive.
func TestPaloAltoChunks(t *testing.T) {
	for _, file := range panSamples(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got [2]string
		for i, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data))} {
			rd, err := NewReader(r, Options{Format: "paloalto"})
			if err != nil {
				t.Fatal(err)
			}
			for {
				var b Batch
				if rd.Next(&b) != nil {
					break
				}
				got[i] += string(printPan(b.Events, b.Rejects, b.Counts))
			}
		}
		if diff := cmp.Diff(got[0], got[1]); diff != "" {
			t.Errorf("%s (-whole +bytes)\n%s", file, diff)
		}
	}
}

// TestPaloAltoFrame: a quote joins lines only until it is closed, until the next
// record, and never beyond the look-ahead.
func TestPaloAltoFrame(t *testing.T) {
	const open = "1,2026/03/01 10:00:00,007,SYSTEM,vpn,0,2026/03/01 10:00:00,,e,o,0,0,general,high,\"first\n"
	long := strings.Repeat("x\n", panLookAhead)
	for _, tt := range []struct {
		name, data string
		eof        bool
		want       int
	}{
		{"closed", open + "second\",1,0x0\nmore\n", false, len(open) + len("second\",1,0x0\n")},
		{"closed at the end", open + "second\",1,0x0", true, len(open) + len("second\",1,0x0")},
		{"needs more", open + "second", false, 0},
		{"needs more to see the next", open, false, 0},
		{"never closed", open + "second\n", true, len(open)},
		{"next record", open + open, false, len(open)},
		{"far away", open + long, false, len(open)},
		{"not ours", "a \"quote\nand \"another\n", false, len("a \"quote\n")},
		{"sound", "1,a,\"b\"\nx", false, len("1,a,\"b\"\n")},
	} {
		p := PaloAlto.New(newContext(Options{})).(*panParser)
		if got := p.Frame([]byte(tt.data), tt.eof); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestPaloAltoHeaderAndSyslog: a line with a syslog header below the header of an
// export is read by position.
func TestPaloAltoHeaderAndSyslog(t *testing.T) {
	data := "Receive Time,Serial #,Type,Action,Source address\n" +
		"2026/03/01 10:00:00,007,TRAFFIC,allow,192.0.2.1\n" + "Mar  1 10:00:00 fw 1,2026/03/01 10:00:00,008,SYSTEM,vpn,0,2026/03/01 10:00:00,,e,o,0,0,general,high,text,1,0x0\n"
	events, rejects, _ := readPan(t, []byte(data), Options{Format: "paloalto"})
	if len(events) != 2 || len(rejects) != 0 {
		t.Fatalf("%d events, %v", len(events), rejects)
	}
	if v, _ := events[1].Get("description"); v != "text" || events[1].Sensor != "fw" || events[0].Action != firetrail.ActionAllow {
		t.Errorf("got %+v", events)
	}
}

// TestPaloAltoAllocs: in steady state no dialect allocates, but for the arena's blocks.
func TestPaloAltoAllocs(t *testing.T) {
	for _, file := range panSamples(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := PaloAlto.New(newContext(Options{})).(*panParser)
		ev := firetrail.NewEvent()
		var sound [][]byte
		for line := range bytes.Lines(data) {
			line = bytes.TrimRight(line, "\r\n")
			ev.Reset()
			if err := p.Parse(line, &ev); err == nil {
				sound = append(sound, line)
			}
		}
		n := testing.AllocsPerRun(20, func() {
			for _, line := range sound {
				ev.Reset()
				p.Parse(line, &ev)
			}
		})
		if n >= 1 {
			t.Errorf("%s: %.1f allocations for %d records", filepath.Base(file), n, len(sound))
		}
	}
}

// FuzzPaloAlto: no input is lost, hangs or panics, and the columns of rejects lie in the record.
func FuzzPaloAlto(f *testing.F) {
	for _, file := range panSamples(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4096)])
		for line := range bytes.Lines(data) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		PaloAlto.Sniff(data)
		p := PaloAlto.New(newContext(Options{})).(*panParser)
		ev := firetrail.NewEvent()
		for len(data) > 0 {
			n := p.Frame(data, true)
			if n <= 0 || n > len(data) {
				t.Fatalf("frame of %d bytes in %d", n, len(data))
			}
			rec := bytes.TrimRight(data[:n:n], "\r\n")
			data = data[n:]
			ev.Reset()
			var refused *RejectError
			if err := p.Parse(rec, &ev); errors.As(err, &refused) {
				if refused.Column < 0 || refused.Column > len(rec)+1 || refused.Reason == "" {
					t.Errorf("column %d of a record of %d bytes: %s", refused.Column, len(rec), refused.Reason)
				}
			} else if err == nil && !strings.HasPrefix(ev.Kind, "paloalto.") {
				t.Errorf("kind %q", ev.Kind)
			}
		}
	})
}

// TestPaloAltoOpenQuote: where a quote is not closed, the reject points at it, though the
// record was looked at before to find its end.
func TestPaloAltoOpenQuote(t *testing.T) {
	const line = "Mar  1 08:00:00 fw1 1,2026/03/01 08:00:00,007,TRAFFIC,\"drop,1,2026/03/01 08:00:00,192.0.2.1,203.0.113.9,0.0.0.0,0.0.0.0,rule\n"
	rd, err := NewReader(strings.NewReader(line), Options{Format: PaloAlto.Name})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := rd.Next(&b); err != nil {
		t.Fatal(err)
	}
	if want := strings.IndexByte(line, '"') + 1; len(b.Rejects) != 1 || b.Rejects[0].Column != want {
		t.Errorf("%+v, want one at column %d", b.Rejects, want)
	}
}
