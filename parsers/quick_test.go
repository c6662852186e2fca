package parsers

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"firetrail"
)

// TestHeaderStamp reads stamps one behind the other, as records have them.
func TestHeaderStamp(t *testing.T) {
	var h headers
	for _, first := range []string{"", "Mar  1 08:00:04 gw", "Mar 11 08:00:04 gw", "Mar  1 8:00:00.1 gw", "Mar  1  8:00:00 gw"} {
		for _, in := range []string{
			"Mar  1 08:00:05 gw", "Mar  1 08:00:60 gw", "Mar  1 08:00:61 gw", "Mar  1 08:00:5 gw x", "Mar  1 08:00:05: gw", "Mar  1 08:00:05 2026 gw",
			"Mar  1 08:00:05.25 gw", "Mar  1 08:00:05", "Mar  1 08:00:05 ", "Mar  1 08:01:05 gw", "Mar 11 08:00:05 gw", "Mar  1  8:00:07 gw",
			"Mar  1 8:00:07 gw x", "Apr  1 08:00:05 gw", "Mar  1 08:00:0a gw", "2026-03-01T08:00:05Z gw", strings.Repeat("\x00", 13) + "12 gw",
		} {
			h.stamp([]byte(first))
			got, n := h.stamp([]byte(in))
			if want, m := readStamp([]byte(in)); got != want || n != m {
				t.Errorf("%q behind %q: %+v %d, want %+v %d", in, first, got, n, want, m)
			}
		}
	}
}

// oddColumns are values that columns and keys may have instead of their own.
var oddColumns = []string{"", "0", "00", "7", "-1", "65535", "65536", "999999999999999999", "9999999999999999999", "10.20.3.7", "10.20.3.07", "10.20.3.256",
	"10.20.3", "2001:db8::5", "fe80::1%em0", "0x0", "0x", "in", "tcp", "udp", "TCP", "6", "17", "06", "4", "x", "S", "SAX", "a=b", "a,b", "errormsg='tcp'",
	"eth0", "TUNNEL=10.0.0.1->10.0.0.2", "[SRC=10.0.0.1", "error=x"}

// TestPFQuick compares what quick makes of a packet with what pfCommon makes of it.
func TestPFQuick(t *testing.T) {
	for _, row := range []string{
		"13,,,1700000113,igc2,match,pass,in,4,0x0,,63,60285,0,DF,6,tcp,60,10.20.3.32,198.51.100.30,36837,443,0,S,1132360242,,64240,,mss;sackOK;TS",
		"13,0,a,0,igc2,match,block,out,4,0x2,CE,63,60285,0,none,6,tcp,40,10.20.3.32,198.51.100.30,36837,443,0,FA,1:2,3,64240,5,",
		"12,,,1700000112,igc1,match,pass,in,4,0x0,,63,7074,0,DF,17,udp,60,10.20.3.7,198.51.100.20,52083,53,40",
	} {
		cells := strings.Split(row, ",")
		if ev := firetrail.NewEvent(); !new(pfRow).quick([]byte(row), &ev) {
			t.Errorf("%s: not read by quick", row)
		}
		for i := range row {
			samePF(t, row[:i])
		}
		for i, own := range cells {
			for _, odd := range oddColumns {
				cells[i] = odd
				samePF(t, strings.Join(cells, ","))
			}
			cells[i] = own
		}
	}
}

func samePF(t *testing.T, row string) {
	t.Helper()
	got, want := firetrail.NewEvent(), firetrail.NewEvent()
	var r pfRow
	if !r.quick([]byte(row), &got) {
		return
	}
	c := columns{rec: []byte(row)}
	pfCommon(&c, &want, &Arena{})
	if c.err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %v %+v", row, got, c.err, want)
	}
}

// TestPacketOrder reads packets with a parser that knows in which order keys come and
// with one that has met none.
func TestPacketOrder(t *testing.T) {
	const envelope = "Mar  1 08:00:04 gw kernel: [3463204.156354] DROP: "
	packets := []string{
		"IN=eth0 OUT= MAC=01:00:5e:00:00:fb:00:00:5e:00:53:19:08:00 SRC=10.20.3.26 DST=224.0.0.251 LEN=68 TOS=0x00 PREC=0x00 TTL=64 ID=18056 DF PROTO=UDP SPT=5353 DPT=5353 LEN=48 ",
		"IN= OUT=eth0 SRC=10.20.3.32 DST=198.51.100.30 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=60285 DF PROTO=TCP SPT=36837 DPT=443 WINDOW=64240 RES=0x00 ACK SYN URGP=0 ",
		"IN=eth0 OUT= SRC=10.20.3.32 DST=10.20.3.7 LEN=88 TTL=64 ID=1 PROTO=ICMP TYPE=3 CODE=1 [SRC=10.20.3.7 DST=10.20.3.32 LEN=60 ID=2 DF PROTO=UDP SPT=1 DPT=2 LEN=40 ] MARK=0x1 ",
		"IN=eth0 OUT=eth1 SRC=2001:0db8:0000:0000:0000:0000:0000:0005 DST=2001:0db8:0000:0000:0000:0000:0000:0006 LEN=64 TC=0 HOPLIMIT=64 FLOWLBL=1 PROTO=TCP SPT=1 DPT=2 SEQ=1 ACK=2 WINDOW=3 RES=0x00 RST",
	}
	warm := iptables.New(newContext(Options{Year: 2026})).(*iptablesParser)
	same := func(packet string) {
		t.Helper()
		rec := []byte(envelope + packet)
		got, want := firetrail.NewEvent(), firetrail.NewEvent()
		gotErr := warm.Parse(rec, &got)
		wantErr := iptables.New(newContext(Options{Year: 2026})).Parse(rec, &want)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v %+v\nwant %v %+v", packet, gotErr, got, wantErr, want)
		}
	}
	for _, packet := range packets {
		words := strings.Split(packet, " ")
		for i, own := range words {
			key, _, _ := strings.Cut(own, "=")
			for _, odd := range oddColumns {
				same(packet)
				words[i] = key + "=" + odd
				same(strings.Join(words, " "))
				words[i] = odd
				same(strings.Join(words, " "))
				same(strings.Join(append(words[:i:i], words[min(i+1, len(words)):]...), " "))
			}
			words[i] = own
		}
		for i := range packet {
			same(packet[:i])
		}
	}
}
