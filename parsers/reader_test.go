package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"firetrail"
)

// account reads data to its end and checks that every byte belongs to exactly one
// record or to the line end behind it, and that the counts add up.
func account(t testing.TB, r io.Reader, size int64, opt Options) (counts firetrail.Counts, rejects []firetrail.Reject, err error) {
	t.Helper()
	rd, err := NewReader(r, opt)
	if err != nil {
		return counts, nil, err
	}
	var b Batch
	end, line := int64(0), int64(0)
	for {
		err = rd.Next(&b)
		if b.End < end {
			t.Fatalf("end goes back from %d to %d", end, b.End)
		}
		if int64(len(b.Events)) != b.Counts.Events || int64(len(b.Rejects)) != b.Counts.Rejected {
			t.Fatalf("%d events, %d rejects, counted %+v", len(b.Events), len(b.Rejects), b.Counts)
		}
		from := end
		for i := range b.Events {
			o := b.Events[i].Origin
			if o.Offset < from || o.Offset+o.Length > b.End || o.Line < line && !rd.Format().Binary {
				t.Fatalf("event %d at %+v, batch from %d to %d", i, o, end, b.End)
			}
			from = o.Offset + o.Length
			line = o.Line
		}
		end = b.End
		counts.Add(b.Counts)
		for _, rej := range b.Rejects {
			if rej.Reason == "" || rej.Offset+rej.Length > b.End || rej.Column < 0 {
				t.Fatalf("reject %+v", rej)
			}
		}
		rejects = append(rejects, b.Rejects...)
		if err != nil {
			break
		}
	}
	if c := counts; c.Records != c.Events+c.Rejected+c.Headers+c.Other {
		t.Fatalf("counts do not add up: %+v", c)
	}
	if end != size {
		t.Fatalf("read %d of %d bytes", end, size)
	}
	if err == io.EOF {
		err = nil
	}
	return counts, rejects, err
}

const ufwLine = "Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] " + lanPacket

func TestReaderAccounts(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       firetrail.Counts
	}{
		{"lines", ufwLine + "\n" + ufwLine + "\n", firetrail.Counts{Records: 2, Events: 2}},
		{"no final line end", ufwLine + "\n" + ufwLine, firetrail.Counts{Records: 2, Events: 2}},
		{"CR LF", ufwLine + "\r\n" + ufwLine + "\r\n", firetrail.Counts{Records: 2, Events: 2}},
		{"blank lines", "\n\n" + ufwLine + "\n \n", firetrail.Counts{Records: 4, Events: 1, Headers: 3}},
		{"byte order mark", byteOrderMark + ufwLine + "\n", firetrail.Counts{Records: 1, Events: 1}},
		{"zero bytes", ufwLine + "\n" + strings.Repeat("\x00", 300) + ufwLine + "\n" + "\x00\x00\n", firetrail.Counts{Records: 3, Events: 2, Headers: 1}},
		{"other lines", "Mar  1 08:00:00 gw1 sshd[1]: x\n" + ufwLine + "\n", firetrail.Counts{Records: 2, Events: 1, Other: 1}},
		{"damaged", ufwLine + "\n" + ufwLine[:150] + "\n", firetrail.Counts{Records: 2, Events: 1, Rejected: 1}},
		{"overlong", ufwLine + "\n" + strings.Repeat("x", 3000) + "\n" + ufwLine + "\n" + strings.Repeat("y", 5000), firetrail.Counts{Records: 4, Events: 2, Rejected: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			opt := Options{MaxRecord: 2000, Year: 2026}
			for _, r := range []io.Reader{strings.NewReader(test.data), iotest.OneByteReader(strings.NewReader(test.data))} {
				got, _, err := account(t, r, int64(len(test.data)), opt)
				if err != nil || got != test.want {
					t.Errorf("got %+v, %v, want %+v", got, err, test.want)
				}
			}
		})
	}
}

// TestReaderPositions checks that each event leads back to its own bytes.
func TestReaderPositions(t *testing.T) {
	var data bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&data, "Mar  1 08:00:00 gw1 kernel: n%d IN=a OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=%d \n", i, i%200+100)
		if i%7 == 0 {
			data.WriteString("Mar  1 08:00:00 gw1 cron: other\r\n")
		}
	}
	events, _, _, _, err := readAll(bytes.NewReader(data.Bytes()), Options{Year: 2026})
	if err != nil || len(events) != 20_000 {
		t.Fatal(len(events), err)
	}
	lines := bytes.SplitAfter(data.Bytes(), []byte("\n"))
	for i := range events {
		o := events[i].Origin
		raw := data.Bytes()[o.Offset : o.Offset+o.Length]
		if want := fmt.Sprintf(" n%d ", i); !bytes.Contains(raw, []byte(want)) || events[i].Rule != fmt.Sprintf("n%d", i) {
			t.Fatalf("event %d: %q, rule %q", i, raw, events[i].Rule)
		}
		if !bytes.HasPrefix(lines[o.Line-1], raw) {
			t.Fatalf("event %d: line %d is %q", i, o.Line, lines[o.Line-1])
		}
	}
}

// TestReaderBreaksOff: rows, then the error; the cut record is refused.
// Line ends of other systems and what editors and crashes leave behind do not
// reach the columns of a record.
func TestReaderLineEnds(t *testing.T) {
	table := "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\n" +
		"1772355612.5\tC1\t10.20.3.7\t50112\t203.0.113.9\t53\tudp\n1772355613.5\tC2\t10.20.3.7\t50113\t203.0.113.9\t53\tudp\n"
	table = "#separator \\x09\n#path\tconn\n" + table
	for name, data := range map[string]string{
		"LF": table, "CR LF": strings.ReplaceAll(table, "\n", "\r\n"), "CR CR LF": strings.ReplaceAll(table, "\n", "\r\r\n"),
		"zero bytes": strings.ReplaceAll(table, "\n", "\x00\n"), "Ctrl-Z": table + "\x1a", "byte order mark": byteOrderMark + table,
		"hole at the end": table + strings.Repeat("\x00", 4096),
	} {
		counts, rejects, err := account(t, strings.NewReader(data), int64(len(data)), Options{})
		if err != nil || counts.Events != 2 || counts.Headers < 4 || len(rejects) != 0 {
			t.Errorf("%s: %+v, %v, %v", name, counts, rejects, err)
		}
	}
	var unknown *UnknownFormatError
	if _, err := NewReader(strings.NewReader(strings.ReplaceAll(table, "\n", "\r")), Options{}); !errors.As(err, &unknown) || unknown.Hint == "" {
		t.Errorf("carriage returns alone: %v", err)
	}
}

// Records on one line have its number, and those behind them their own.
func TestReaderOneLine(t *testing.T) {
	object := `{"LogType":"TRAFFIC","DeviceSN":"0123","TimeGenerated":"2026-03-01T08:00:00Z","SourceAddress":"10.20.3.7","DestinationAddress":"203.0.113.9"}`
	data := "[" + object + "," + object + "," + object + "]\n" + object + "\n" + object + object
	events, _, _ := readPan(t, []byte(data), Options{})
	var got []int64
	for i := range events {
		got = append(got, events[i].Line)
	}
	if want := []int64{1, 1, 1, 2, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
}

func TestReaderBreaksOff(t *testing.T) {
	data := ufwLine + "\n" + ufwLine[:160]
	broken := errors.New("broken")
	counts, rejects, err := account(t, io.MultiReader(strings.NewReader(data), iotest.ErrReader(broken)), int64(len(data)), Options{Year: 2026})
	if !errors.Is(err, broken) || counts.Events != 1 || len(rejects) != 1 || rejects[0].Line != 2 {
		t.Errorf("%+v %v %v", counts, rejects, err)
	}
}

func TestReaderUnfinished(t *testing.T) {
	for data, want := range map[string]bool{ufwLine: true, ufwLine + "\n": false} {
		rd, err := NewReader(strings.NewReader(data), Options{Year: 2026})
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		if err := rd.Next(&b); err != nil || b.Unfinished != want {
			t.Errorf("unfinished %v, %v", b.Unfinished, err)
		}
		if err := rd.Next(&b); err != io.EOF || b.Unfinished {
			t.Errorf("second batch: %v %v", b.Unfinished, err)
		}
	}
}

// TestReaderBoundedBatches: lines that are no events do not make a batch endless.
func TestReaderBoundedBatches(t *testing.T) {
	line := "Mar  1 08:00:00 gw1 kernel: net_ratelimit: 45 callbacks suppressed\n"
	rd, err := NewReader(io.MultiReader(strings.NewReader(ufwLine+"\n"), strings.NewReader(strings.Repeat(line, 100_000))), Options{Year: 2026})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	total := 0
	for rd.Next(&b) == nil {
		total += len(b.Facts)
		if len(b.Facts) > maxRejects {
			t.Fatalf("%d facts in one batch", len(b.Facts))
		}
	}
	if total != 100_000 {
		t.Errorf("%d facts", total)
	}
}

func TestDetect(t *testing.T) {
	other := "Mar  1 08:00:00 gw1 sshd[1]: Accepted publickey for root from 192.0.2.1 port 22 ssh2\n"
	filterlog := "Mar  1 08:00:00 fw filterlog[4711]: 7,,,1000000102,em0,match,block,in,4,0x0,,64,19008,0,DF,6,tcp,60,192.0.2.6,192.0.2.100,42970,80,0,S,523876198,,64240,,mss\n"
	for _, test := range []struct{ name, data, want string }{
		{"kernel log", ufwLine + "\n", "iptables"},
		{"behind other lines", strings.Repeat(other, 5000) + ufwLine + "\n", "iptables"},
		{"mostly filterlog", ufwLine + "\n" + strings.Repeat(filterlog, 3), "pf"},
		{"mostly kernel", filterlog + strings.Repeat(ufwLine+"\n", 3), "iptables"},
		{"empty", "", "the source is empty"},
		{"blank", " \n\n", "the source is empty"},
		{"syslog", strings.Repeat(other, 3), "looks like a syslog without firewall records"},
		{"FortiGate", `<189>date=2026-03-01 time=08:00:00 devname="fg" devid="FG1" logid="0000000013" type="traffic" srcip=192.0.2.1` + "\n", "looks like Fortinet FortiGate, which is not supported"},
		{"Cisco", "Mar  1 08:00:00 asa : %ASA-4-106023: Deny tcp src outside:192.0.2.1/1 dst inside:192.0.2.2/23\n", "looks like Cisco ASA, PIX or Firepower, which is not supported"},
		{"Juniper", "<14>1 2026-03-01T08:00:00Z srx RT_FLOW - RT_FLOW_SESSION_CLOSE [junos@2636.1.1.1.2.26 reason=\"idle\"] x\n", "looks like Juniper SRX, which is not supported"},
		{"MikroTik", "2026-03-01T08:00:00+01:00 192.0.2.1 firewall,info drop input: in:ether1 out:(unknown 0), src-mac 00:00:5e:00:53:01, proto TCP (SYN), 192.0.2.1:1->192.0.2.2:23, len 40\n", "looks like MikroTik, which is not supported"},
		{"iptables -L", "Chain INPUT (policy ACCEPT)\ntarget     prot opt source               destination\nACCEPT     all  --  anywhere             anywhere\n", "looks like the output of iptables -L, which is not supported"},
		{"UTF-16", "\xff\xfeM\x00a\x00", "looks like UTF-16 text; convert it to UTF-8 first"},
		{"binary", strings.Repeat("\x00\x01\x02\x03abc", 100), "looks like binary data, which is not supported"},
		{"prose", "It was a dark and stormy night.\n", "format not recognised; see 'firetrail formats --why FILE'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rd, err := NewReader(strings.NewReader(test.data), Options{Year: 2026})
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = rd.Format().Name
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if verdicts, err := Why(strings.NewReader(test.data)); err != nil || len(verdicts) != len(All) {
				t.Errorf("%d verdicts, %v", len(verdicts), err)
			} else {
				for _, v := range verdicts {
					if v.Reason == "" && v.Counts.Events == 0 && v.Counts.Headers == 0 {
						t.Errorf("%s says nothing", v.Format)
					}
				}
			}
		})
	}
	if _, err := NewReader(strings.NewReader("x"), Options{Format: "nonsense"}); err == nil {
		t.Error("unknown format is taken")
	}
}

// TestReaderMixed: one syslog of several devices, each line by its own format.
func TestReaderMixed(t *testing.T) {
	data := ufwLine + "\n" +
		"<134>1 2026-03-01T08:00:01Z fw filterlog 1 - - 7,,,1000000102,em0,match,block,in,4,0x0,,64,19008,0,DF,6,tcp,60,192.0.2.6,192.0.2.100,42970,80,0,S,523876198,,64240,,mss\n" +
		"Mar  1 08:00:02 pa 1,2026/03/01 08:00:02,007200001056,TRAFFIC,end,2561,2026/03/01 08:00:02,192.0.2.7,203.0.113.5,0.0.0.0,0.0.0.0,rule1,,,ssl,vsys1,trust,untrust,ae1,ae2,fwd,2026/03/01 08:00:02,1,1,40000,443,0,0,0x0,tcp,allow,100,60,40,2,2026/03/01 08:00:00,2,any,0,1,0x0,US,US,0,1,1\n" +
		`{"ts":1772352003.5,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":1,"id.resp_h":"192.0.2.2","id.resp_p":2,"proto":"tcp","conn_state":"SF","duration":1.5,"orig_bytes":1,"resp_bytes":2,"history":"Sh"}` + "\n" +
		"Mar  1 08:00:04 gw1 sshd[1]: nothing\n"
	events, rejects, _, counts, err := readAll(strings.NewReader(data), Options{Year: 2026})
	if err != nil || len(rejects) > 0 || counts.Other != 1 {
		t.Fatal(counts, rejects, err)
	}
	var kinds []string
	for i := range events {
		kinds = append(kinds, events[i].Kind)
	}
	if got := strings.Join(kinds, " "); got != "iptables pf paloalto.traffic zeek.conn" {
		t.Errorf("kinds %s", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(ufwLine+"\r\n\x00\n"+ufwLine), uint16(100), uint8(0))
	f.Add([]byte("\xef\xbb\xbf"+ufwLine), uint16(5000), uint8(0))
	f.Add([]byte("#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\n#types\ttime\tstring\taddr\tport\taddr\tport\n1.5\tC\t192.0.2.1\t1\t192.0.2.2\t2\n"), uint16(64), uint8(0))
	f.Add([]byte("{\n\"ts\": 1.5,\n\"id.orig_h\": \"192.0.2.1\"\n}\n{\"ts\":1}"), uint16(10), uint8(5))
	f.Add([]byte("Mar  1 08:00:02 pa 1,2026/03/01 08:00:02,007200001056,TRAFFIC,end,\"a\nb\"\n"), uint16(64), uint8(2))
	f.Add([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00"), uint16(64), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, most uint16, format uint8) {
		opt := Options{MaxRecord: int(most) + 1, ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
		if format > 0 {
			opt.Format = All[int(format)%len(All)].Name
		}
		account(t, bytes.NewReader(data), int64(len(data)), opt)
	})
}

// FuzzParse feeds records to every format: none may panic, hang, or write to the record.
func FuzzParse(f *testing.F) {
	for _, rec := range []string{ufwLine, "1,2026/03/01 08:00:02,007,TRAFFIC,end,1,2026/03/01 08:00:02,192.0.2.7,203.0.113.5", "{\"ts\":1}", "7,,,1,em0,match,block,in,4,0x0"} {
		f.Add([]byte(rec))
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		for i := range All {
			before := bytes.Clone(rec)
			ctx := newContext(Options{})
			p := All[i].New(ctx)
			ev := firetrail.NewEvent()
			for range 2 { // the second meets the state that the first left
				ev.Reset()
				err := p.Parse(rec, &ev)
				if err == nil && ev.Kind == "" {
					t.Errorf("%s: event without a kind", All[i].Name)
				}
				if !bytes.Equal(rec, before) {
					t.Fatalf("%s writes to the record", All[i].Name)
				}
			}
			if framer, ok := p.(Framer); ok && len(rec) > 0 {
				if n := framer.Frame(rec, true); n <= 0 || n > len(rec) {
					t.Errorf("%s: frame of %d in %d bytes at the end", All[i].Name, n, len(rec))
				}
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	data := []byte(strings.Repeat(ufwLine+"\n", 4096))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		rd, err := NewReader(bytes.NewReader(data), Options{Year: 2026})
		if err != nil {
			b.Fatal(err)
		}
		for rd.Next(&batch) == nil {
		}
	}
}
