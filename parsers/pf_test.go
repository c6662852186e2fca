package parsers

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// pfEvent prints every field of an event but its place.
func pfEvent(ev *firetrail.Event) map[string]string {
	m := map[string]string{}
	for _, f := range firetrail.Fields {
		switch f.Name {
		case "source", "line", "offset":
			continue
		}
		if v, ok := f.Print(ev); ok {
			m[f.Name] = v
		}
	}
	for _, x := range ev.X {
		m["x."+x.Name] = x.Value
	}
	return m
}

// pfOne parses one record with a fresh parser.
func pfOne(f Format, opt Options, rec string) (map[string]string, error) {
	p := f.New(newContext(opt))
	ev := firetrail.NewEvent()
	if err := p.Parse([]byte(rec), &ev); err != nil {
		return nil, err
	}
	return pfEvent(&ev), nil
}

// pfRead reads a whole source.
func pfRead(t testing.TB, data []byte, opt Options) (events []firetrail.Event, rejects []firetrail.Reject, counts firetrail.Counts) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data), opt)
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for {
		err := r.Next(&b)
		if err == io.EOF {
			return events, rejects, counts
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range b.Events {
			ev.X = append([]firetrail.Field(nil), ev.X...)
			events = append(events, ev)
		}
		rejects = append(rejects, b.Rejects...)
		counts.Add(b.Counts)
	}
}

// pfFields parses "name=value|name=value".
func pfFields(s string) map[string]string {
	m := map[string]string{}
	for pair := range strings.SplitSeq(s, "|") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			m[name] = value
		}
	}
	return m
}

func TestPFTails(t *testing.T) {
	const v4 = "9,,,1000000103,em0,match,block,in,4,0x0,,64,1,0,DF,"
	const v4want = "kind=pf|action=deny|reason=match|direction=in|in_interface=em0|rule=9|src_ip=192.0.2.7|dst_ip=198.51.100.9|" +
		"x.rulenr=9|x.tracker=1000000103|x.interface=em0|x.action=block|x.tos=0x0|x.ttl=64|x.id=1|x.offset=0|x.ip_flags=DF|"
	const v6 = "82,,,1000002666,mvneta2,match,pass,out,6,0x00,0x00000,64,"
	const v6want = "kind=pf|action=allow|reason=match|direction=out|out_interface=mvneta2|rule=82|src_ip=2001:db8::5|dst_ip=2001:db8::22|" +
		"x.rulenr=82|x.tracker=1000002666|x.interface=mvneta2|x.action=pass|x.class=0x00|x.flow=0x00000|x.hoplimit=64|"
	const ends4, ends6 = "192.0.2.7,198.51.100.9,", "2001:db8::5,2001:db8::22,"
	icmp := v4want + "proto=icmp|x.protonum=1|"
	tests := []struct{ name, line, want string }{
		{"tcp", v4 + "6,tcp,52," + ends4 + "40284,443,12,PA,5:17,99,512,,nop;nop;TS",
			v4want + "proto=tcp|x.protonum=6|x.length=52|src_port=40284|dst_port=443|flags=PA|x.datalen=12|x.seq=5:17|x.ack=99|x.window=512|x.options=nop;nop;TS"},
		{"tcp without options", v4 + "6,tcp,40," + ends4 + "40284,443,0,A,,99,512,,",
			v4want + "proto=tcp|x.protonum=6|x.length=40|src_port=40284|dst_port=443|flags=A|x.datalen=0|x.ack=99|x.window=512"},
		{"tcp bad options", v4 + "6,tcp,44," + ends4 + "1,2,0,S,7,,1,,mss;[bad opt],>,",
			v4want + "proto=tcp|x.protonum=6|x.length=44|src_port=1|dst_port=2|flags=S|x.datalen=0|x.seq=7|x.window=1|x.options=mss;[bad opt],>,"},
		{"tcp short header", v4 + "6,tcp,44," + ends4 + "errormsg='tcp 24 [bad hdr length 0 - too short < 20]',",
			v4want + "proto=tcp|x.protonum=6|x.length=44|x.error=errormsg='tcp 24 [bad hdr length 0 - too short < 20]'"},
		{"tcp long header", v4 + "6,tcp,44," + ends4 + "1,2,-16,S,errormsg='[bad hdr length 40 - too long, > 24]',",
			v4want + "proto=tcp|x.protonum=6|x.length=44|src_port=1|dst_port=2|flags=S|x.datalen=-16|x.error=errormsg='[bad hdr length 40 - too long, > 24]'"},
		{"udp", v4 + "17,udp,78," + ends4 + "137,137,58",
			v4want + "proto=udp|x.protonum=17|x.length=78|src_port=137|dst_port=137|x.datalen=58"},
		{"swapped columns", v4 + "udp,17,78," + ends4 + "137,137,58",
			v4want + "proto=udp|x.protonum=17|x.length=78|src_port=137|dst_port=137|x.datalen=58"},
		{"more columns", v4 + "17,udp,78," + ends4 + "137,137,58,new,column",
			v4want + "proto=udp|x.protonum=17|x.length=78|src_port=137|dst_port=137|x.datalen=58|x.rest=new,column"},
		{"sctp", v4 + "132,sctp,52," + ends4 + "7,9,20",
			v4want + "proto=sctp|x.protonum=132|x.length=52|src_port=7|dst_port=9|x.datalen=20"},
		{"sctp on OPNsense", v4 + "132,sctp,52," + ends4 + "datalength=32",
			v4want + "proto=sctp|x.protonum=132|x.length=52|x.datalen=32"},
		{"icmp request, glued", v4 + "1,icmp,60," + ends4 + "request,1,100140",
			icmp + "x.length=60|x.icmp_type=request|x.icmp_id=1|x.icmp_seq=1001|x.datalen=40"},
		{"icmp request, not glued", v4 + "1,icmp,84," + ends4 + "request,540,1",
			icmp + "x.length=84|x.icmp_type=request|x.icmp_id=540|x.icmp_seq=1"},
		{"icmp seq that is the length", v4 + "1,icmp,84," + ends4 + "reply,540,64",
			icmp + "x.length=84|x.icmp_type=reply|x.icmp_id=540|x.icmp_seq=64"},
		{"icmp unreachport", v4 + "1,icmp,56," + ends4 + "unreachport,203.0.113.7,UDP,5336",
			icmp + "x.length=56|x.icmp_type=unreachport|x.inner.dst_ip=203.0.113.7|x.inner.proto=UDP|x.inner.dst_port=53|x.datalen=36"},
		{"icmp unreachproto", v4 + "1,icmp,56," + ends4 + "unreachproto,203.0.113.7,4736",
			icmp + "x.length=56|x.icmp_type=unreachproto|x.inner.dst_ip=203.0.113.7|x.inner.proto=47|x.datalen=36"},
		{"icmp needfrag", v4 + "1,icmp,56," + ends4 + "needfrag,203.0.113.7,140036",
			icmp + "x.length=56|x.icmp_type=needfrag|x.inner.dst_ip=203.0.113.7|x.icmp_mtu=1400|x.datalen=36"},
		{"icmp needfrag without mtu", v4 + "1,icmp,56," + ends4 + "needfrag,203.0.113.7 need to frag36",
			icmp + "x.length=56|x.icmp_type=needfrag|x.inner.dst_ip=203.0.113.7|x.datalen=36"},
		{"icmp unreach", v4 + "1,icmp,56," + ends4 + "unreach,host 203.0.113.7 unreachable - admin prohibited filter36",
			icmp + "x.length=56|x.icmp_type=unreach|x.icmp_text=host 203.0.113.7 unreachable - admin prohibited filter|x.datalen=36"},
		{"icmp redirect of unknown code", v4 + "1,icmp,56," + ends4 + "redirect,redirect-?? 203.0.113.7 to net 203.0.113.1,36",
			icmp + "x.length=56|x.icmp_type=redirect|x.icmp_text=redirect-?? 203.0.113.7 to net 203.0.113.1|x.datalen=36"},
		{"icmp timexceed", v4 + "1,icmp,56," + ends4 + "timexceed,time exceeded in-transit36",
			icmp + "x.length=56|x.icmp_type=timexceed|x.icmp_text=time exceeded in-transit|x.datalen=36"},
		{"icmp tstampreply", v4 + "1,icmp,40," + ends4 + "tstampreply, 7,9,00:00:01.000,00:00:02.000,00:00:03.00020",
			icmp + "x.length=40|x.icmp_type=tstampreply|x.icmp_id=7|x.icmp_seq=9|x.icmp_otime=00:00:01.000|x.icmp_rtime=00:00:02.000|x.icmp_ttime=00:00:03.000|x.datalen=20"},
		{"icmp router advertisement", v4 + "1,icmp,36," + ends4 + "routeradv30:00,1,16",
			icmp + "x.length=36|x.icmp_type=routeradv|x.icmp_text=30:00,1|x.datalen=16"},
		{"icmp by name", v4 + "1,icmp,28," + ends4 + "source quench8",
			icmp + "x.length=28|x.icmp_type=source quench|x.datalen=8"},
		{"icmp new OPNsense", v4 + "1,icmp,84," + ends4 + "datalength=64,echoreq,0,540,1,",
			icmp + "x.length=84|x.datalen=64|x.icmp_type=echoreq|x.icmp_code=0|x.icmp_id=540|x.icmp_seq=1"},
		{"icmp new OPNsense needfrag", v4 + "1,icmp,56," + ends4 + "datalength=36,unreach,needfrag,,,1400",
			icmp + "x.length=56|x.datalen=36|x.icmp_type=unreach|x.icmp_code=needfrag|x.icmp_mtu=1400"},
		{"icmp new OPNsense, cut", v4 + "1,icmp,21," + ends4 + "datalength=1,truncated-icmp=1,,,,",
			icmp + "x.length=21|x.datalen=1|x.error=truncated-icmp=1"},
		{"icmp old OPNsense", v4 + "1,icmp,84," + ends4 + "datalength=64",
			icmp + "x.length=84|x.datalen=64"},
		{"carp", v4 + "112,carp,56," + ends4 + "advertise,255,3,2,100,1",
			v4want + "proto=vrrp|x.protonum=112|x.protoname=carp|x.length=56|x.carp_type=advertise|x.carp_ttl=255|x.vhid=3|x.carp_version=2|x.advskew=100|x.advbase=1"},
		{"igmp", v4 + "2,igmp,32," + ends4 + "datalength=8 ",
			v4want + "proto=igmp|x.protonum=2|x.length=32|x.datalen=8"},
		{"tunnel", v4 + "41,ipv6,80," + ends4 + "IPV6-IN-IPV4,",
			v4want + "proto=ipv6|x.protonum=41|x.length=80|x.rest=IPV6-IN-IPV4,"},
		{"unknown protocol", v4 + "253,unknown(253),80," + ends4 + "datalength=60",
			v4want + "proto=253|x.protonum=253|x.protoname=unknown(253)|x.length=80|x.datalen=60"},
		{"later fragment", "9,,,0,em0,fragment,block,in,4,0x0,CE,64,1,1480,none,17,udp,60," + ends4,
			"kind=pf|action=deny|reason=fragment|direction=in|in_interface=em0|rule=9|src_ip=192.0.2.7|dst_ip=198.51.100.9|proto=udp|" +
				"x.rulenr=9|x.tracker=0|x.interface=em0|x.action=block|x.tos=0x0|x.ecn=CE|x.ttl=64|x.id=1|x.offset=1480|x.ip_flags=none|x.protonum=17|x.length=60"},
		{"missing bytes", "9,,,1000000103,em0,match,block,in,4,error='truncated-ip 12 bytes missing!',0x0,,64,1,0,DF,17,udp,78," + ends4 + "137,137,58",
			v4want + "x.error=error='truncated-ip 12 bytes missing!'|proto=udp|x.protonum=17|x.length=78|src_port=137|dst_port=137|x.datalen=58"},
		{"no IP header", "9,,,1000000103,em0,short,block,in,4,truncated-ip= 12),",
			"kind=pf|action=deny|reason=short|direction=in|in_interface=em0|rule=9|x.rulenr=9|x.tracker=1000000103|x.interface=em0|x.action=block|x.error=truncated-ip= 12)"},
		{"anchor", "0,5,userrules,02f4bab031b57d1e30553ce08e0ec131,em1,match,rdr,in,4,0x0,,64,1,0,none,17,udp,78," + ends4 + "137,137,58",
			"kind=pf|reason=match|direction=in|in_interface=em1|rule=0|src_ip=192.0.2.7|dst_ip=198.51.100.9|proto=udp|src_port=137|dst_port=137|" +
				"x.rulenr=0|x.subrulenr=5|x.anchor=userrules|x.tracker=02f4bab031b57d1e30553ce08e0ec131|x.interface=em1|x.action=rdr|" +
				"x.tos=0x0|x.ttl=64|x.id=1|x.offset=0|x.ip_flags=none|x.protonum=17|x.length=78|x.datalen=58"},
		{"no rule", ",,,0,em1,match,pass,in/out,4,0x0,,64,1,0,none,17,udp,78," + ends4 + "137,137,58",
			"kind=pf|action=allow|reason=match|direction=in/out|src_ip=192.0.2.7|dst_ip=198.51.100.9|proto=udp|src_port=137|dst_port=137|" +
				"x.tracker=0|x.interface=em1|x.action=pass|x.tos=0x0|x.ttl=64|x.id=1|x.offset=0|x.ip_flags=none|x.protonum=17|x.length=78|x.datalen=58"},
		{"v6 icmp", v6 + "ICMPv6,58,8," + ends6, v6want + "proto=icmpv6|x.protonum=58|x.length=8"},
		{"v6 icmp OPNsense", v6 + "ipv6-icmp,58,24," + ends6 + "datalength=24,neighbrsol,0,,,",
			v6want + "proto=icmpv6|x.protonum=58|x.protoname=ipv6-icmp|x.length=24|x.datalen=24|x.icmp_type=neighbrsol|x.icmp_code=0"},
		{"v6 tcp", v6 + "TCP,6,24," + ends6 + "5555,23,0,S,1000,,64240,,mss",
			v6want + "proto=tcp|x.protonum=6|x.length=24|src_port=5555|dst_port=23|flags=S|x.datalen=0|x.seq=1000|x.window=64240|x.options=mss"},
		{"v6 extension", v6 + "Options,0,36," + ends6 + "HBH,RTALERT,0x0000,PADN,",
			v6want + "proto=options|x.protonum=0|x.length=36|x.ext=HBH,RTALERT,0x0000,PADN"},
		{"v6 fragment", v6 + "Fragment,44,32," + ends6 + "FRAG6, 0x0000abcd:0|24,,1,2,24",
			v6want + "proto=udp|x.protonum=44|x.length=32|x.ext=FRAG6, 0x0000abcd:0|24|src_port=1|dst_port=2|x.datalen=24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := pfFields(tt.want)
			if tt.name == "v6 fragment" { // the value holds the separator of pfFields
				want["x.ext"] = "FRAG6, 0x0000abcd:0|24"
			}
			for _, line := range []string{tt.line, "Mar  1 08:00:00 fw filterlog[77]: " + tt.line} {
				got, err := pfOne(PF, Options{}, line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if line != tt.line && got["sensor"] != "fw" {
					t.Errorf("sensor = %q, want fw", got["sensor"])
				}
				delete(got, "sensor")
				delete(got, "time")
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s\n-want +got:\n%s", line, d)
				}
			}
		})
	}
}

func TestPFEnvelopes(t *testing.T) {
	const csv = "9,,,1000000103,em0,match,block,in,4,0x0,,64,1,0,DF,17,udp,78,192.0.2.7,198.51.100.9,137,137,58"
	tests := []struct{ head, sensor, time, guess string }{
		{"Mar  1 08:00:00 fw filterlog: ", "fw", "2026-03-01T08:00:00Z", "year,zone"},
		{"<134>Mar  1 08:00:00 filterlog[2]: ", "", "2026-03-01T08:00:00Z", "year,zone"},
		{"<134>1 2026-03-01T08:00:00.25+01:00 fw.lan filterlog 92653 - - ", "fw.lan", "2026-03-01T07:00:00.250Z", ""},
		{`<134>1 2026-03-01T08:00:00+00:00 fw.lan filterlog 92653 - [meta sequenceId="7"] `, "fw.lan", "2026-03-01T08:00:00Z", ""},
		{"<134>1 - - filterlog - - - ", "", "", ""},
		{"filterlog[3]: ", "", "", ""},
		{"<134>filterlog: ", "", "", ""},
		{"", "", "", ""},
	}
	for _, tt := range tests {
		got, err := pfOne(PF, Options{Year: 2026}, tt.head+csv)
		if err != nil {
			t.Errorf("%q: %v", tt.head, err)
			continue
		}
		if got["sensor"] != tt.sensor || got["time"] != tt.time || got["dst_port"] != "137" {
			t.Errorf("%q: sensor %q, time %q, port %q", tt.head, got["sensor"], got["time"], got["dst_port"])
		}
	}
}

func TestPFRefuses(t *testing.T) {
	const head = "Mar  1 08:00:00 fw filterlog: "
	n := len(head)
	tests := []struct {
		line   string
		column int // 0: any
		reason string
	}{
		{head + "x,,,0,em0,match,block,in,4", n + 1, `rule number expected, found "x"`},
		{head + "9,,,0,em0,match", n + 16, "action expected, the record ends"},
		{head + "9,,,0,em0,match,block,up,4,", n + 23, `direction in, out or in/out expected, found "up"`},
		{head + "9,,,0,em0,match,block,in,99,0x0", n + 26, `IP version 4 or 6 expected, found "99"`},
		{head + "9,,,0,em0,match,block,in,4,", n + 28, "tos expected, the record ends"},
		{head + "9,,,0,em0,match,block,in,4,64,0,", n + 28, `tos as 0x… expected, found "64"`},
		{head + "9,,,0,em0,match,block,in,4,0x0,,x,1,0,DF,17,udp,78,", n + 33, `ttl expected as a number, found "x"`},
		{head + "9,,,0,em0,match,block,in,4,0x0,,64,1,0,DF,17,udp,78,192.0.2.7", 0, "destination address expected, the record ends"},
		{head + "9,,,0,em0,match,block,in,4,0x0,,64,1,0,DF,17,udp,78,192.0.2.7,198.51.100.9", 0, "source port expected, the record ends"},
		{head + "9,,,0,em0,match,block,in,4,0x0,,64,1,0,DF,17,udp,78,192.0.2.7,198.51.100.9,99999,53,60", 0, `source port expected, found "99999"`},
		{head + "9,,,0,em0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,78,192.0.2.7,198.51.100.9,9,53,60,Q,,,,,", 0, `TCP flags expected, found "Q"`},
		{head + "[pflog: invalid header length!]", 0, "filterlog could not read the header of the packet: [pflog: invalid header length!]"},
		{"<134>1 then fw filterlog 1 - - 9,,,0,em0,match,block,in,4,0x0", 0, "a filterlog line behind a syslog header that cannot be read"},
	}
	for _, tt := range tests {
		_, err := pfOne(PF, Options{}, tt.line)
		re, ok := err.(*RejectError)
		if !ok {
			t.Errorf("%s: %v, want a reject", tt.line, err)
			continue
		}
		if re.Reason != tt.reason || tt.column != 0 && re.Column != tt.column {
			t.Errorf("%s\n got %d: %s\nwant %d: %s", tt.line, re.Column, re.Reason, tt.column, tt.reason)
		}
	}
	for line, want := range map[string]error{
		"Mar  1 08:00:00 fw sshd[3]: Invalid user x from 192.0.2.1 port 33166":     ErrOther,
		"Mar  1 08:00:00 fw php-fpm[3]: /index.php: error, a, b, c, d, e, f, g, h": ErrOther,
		"just another line": ErrOther,
		"Mar  1 08:00:00 fw filterlog[3]: An error occured while reading device pflog0: (No error)": ErrSkip,
	} {
		if _, err := pfOne(PF, Options{}, line); err != want {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
	}
}

// pfCorpus is the folder of the sample logs; the test skips without it.
func pfCorpus(t testing.TB) string {
	dir := os.Getenv("FIRETRAIL_CORPORA")
	if dir == "" {
		t.Skip("FIRETRAIL_CORPORA is not set")
	}
	return filepath.Join(dir, "pf")
}

func pfFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCorpusPFOpnsense(t *testing.T) {
	dir := filepath.Join(pfCorpus(t), "opnsense-filterlog")
	_, _, valid := pfRead(t, pfFile(t, filepath.Join(dir, "filter_valid.log")), Options{})
	if valid.Events != 20 || valid.Records != 20 {
		t.Errorf("valid: %+v, want 20 events", valid)
	}
	_, rejects, corrupt := pfRead(t, pfFile(t, filepath.Join(dir, "filter_corrupt.log")), Options{Format: "pf"})
	if corrupt.Events != 0 || corrupt.Records != 9 {
		t.Errorf("corrupt: %+v, want 9 records and no event", corrupt)
	}
	_, more, mixed := pfRead(t, pfFile(t, filepath.Join(dir, "filter_mixed.log")), Options{})
	for _, r := range append(rejects, more...) {
		t.Logf("%d:%d %s", r.Line, r.Column, r.Reason)
	}
	if mixed.Events < 20 || mixed.Rejected < 20 {
		t.Errorf("mixed: %+v", mixed)
	}
	t.Logf("valid %+v, corrupt %+v, mixed %+v", valid, corrupt, mixed)
}

// TestCorpusPFHub compares with what another parser's tests expect.
func TestCorpusPFHub(t *testing.T) {
	names := map[string]string{
		"direction": "direction", "dst_ip": "dst_ip", "dst_port": "dst_port", "src_ip": "src_ip", "src_port": "src_port",
		"reason": "reason", "rule": "rule", "action": "x.action", "iface": "x.interface", "tracker": "x.tracker", "tcp_flags": "flags",
		"data_length": "x.datalen", "length": "x.length", "ip4_flags": "x.ip_flags", "ip4_id": "x.id", "ip4_offset": "x.offset",
		"ip4_tos": "x.tos", "ip4_ttl": "x.ttl", "ip4_proto_id": "x.protonum", "ip4_proto": "proto", "sequence_number": "x.seq",
		"tcp_options": "x.options", "ack_number": "x.ack", "tcp_window": "x.window", "ip4_ecn": "x.ecn",
		"ip6_class": "x.class", "ip6_flow_label": "x.flow", "ip6_hop_limit": "x.hoplimit", "ip6_proto_id": "x.protonum", "ip6_proto": "proto",
		"sub_rule": "x.subrulenr", "anchor": "x.anchor",
	}
	files, _ := filepath.Glob(filepath.Join(pfCorpus(t), "crowdsec-hub", "*", "expected.jsonl"))
	lines, checked, unknown := 0, 0, map[string]bool{}
	for _, file := range files {
		for line := range bytes.Lines(pfFile(t, file)) {
			var want struct {
				Line     string
				Accepted *string `json:"accepted_by"`
				Envelope map[string]string
				Fields   map[string]string
			}
			if err := json.Unmarshal(line, &want); err != nil {
				t.Fatal(err)
			}
			got, err := pfOne(PF, Options{}, want.Line)
			if want.Envelope["program"] != "filterlog" {
				if err != ErrOther {
					t.Errorf("%s: %v, want ErrOther", want.Line, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", want.Line, err)
				continue
			}
			lines++
			for name, value := range want.Fields {
				ours, ok := names[name]
				if !ok {
					unknown[name] = true
					continue
				}
				if name == "ip6_proto" {
					value = strings.ToLower(value)
				}
				if value != "" && got[ours] != value && !(ours == "x.seq" && strings.HasPrefix(got[ours], value+":")) {
					t.Errorf("%s\n%s = %q, want %q", want.Line, ours, got[ours], value)
				}
				checked++
			}
		}
	}
	if lines == 0 || checked == 0 {
		t.Error("nothing was checked")
	}
	t.Logf("%d lines, %d fields checked; not compared: %v", lines, checked, unknown)
}

// TestPFSniff: neighbours are declined, lines of ours are found behind others.
func TestPFSniff(t *testing.T) {
	const csv = "9,,,1000000103,em0,match,block,in,4,0x0,,64,1,0,DF,17,udp,78,192.0.2.7,198.51.100.9,137,137,58"
	tests := []struct {
		head       string
		pf, pfText bool
	}{
		{"Mar  1 08:00:00 fw sshd[3]: x\nMar  1 08:00:01 fw filterlog[7]: " + csv + "\n", true, false},
		{csv + "\n", true, false},
		{`{"message":"<134>Mar  1 08:00:00 fw filterlog[7]: ` + csv + `","host":"relay"}`, true, false},
		{`{"line":"Mar  1 08:00:00 fw filterlog[7]: ` + csv + `"}`, false, false},
		{"Mar  1 08:00:00 fw php-fpm[3]: the filterlog of a, b, c, d, e, f, g, h, i, j", false, false},
		{"Mar  1 08:00:00 gw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=TCP", false, false},
		{"1,2026/03/01 08:00:00,007,TRAFFIC,end,1,2026/03/01,192.0.2.1,192.0.2.2,0.0.0.0,0.0.0.0,rule 5", false, false},
		{"tcpdump: listening on pflog0\nMar 01 08:00:00.000001 rule 2/(match) pass in on em0: 192.0.2.1.5 > 192.0.2.2.6: udp 9", false, true},
		{"Mar  1 08:00:00 fw pf: rule 2/0(match): pass in on em0: (tos 0x0, ttl 64)\n", false, true},
		{"Mar  1 08:00:00.000001 192.0.2.1.5 > 192.0.2.2.6: udp 9\n", false, false},
		{"", false, false},
	}
	for _, tt := range tests {
		if got := PF.Sniff([]byte(tt.head)) == nil; got != tt.pf {
			t.Errorf("pf accepts %v: %s", got, tt.head)
		}
		if got := PFText.Sniff([]byte(tt.head)) == nil; got != tt.pfText {
			t.Errorf("pftext accepts %v: %s", got, tt.head)
		}
	}
}

func FuzzPF(f *testing.F) {
	for line := range strings.Lines(pfBenchLines) {
		f.Add([]byte(strings.TrimSuffix(line, "\n")))
	}
	fuzzPF(f, PF)
}

// fuzzPF checks that no record makes the parser panic, and that a column lies in the record.
func fuzzPF(f *testing.F, format Format) {
	f.Fuzz(func(t *testing.T, rec []byte) {
		ctx := newContext(Options{})
		before := bytes.Clone(rec)
		ev := firetrail.NewEvent()
		err := format.New(ctx).Parse(rec, &ev)
		if re, ok := err.(*RejectError); ok && (re.Column < 0 || re.Column > len(rec)+1 || re.Reason == "") {
			t.Errorf("column %d of %d, reason %q", re.Column, len(rec), re.Reason)
		}
		if err == nil && ev.Kind != "pf" {
			t.Errorf("kind %q", ev.Kind)
		}
		if !bytes.Equal(before, rec) {
			t.Error("the record was written to")
		}
	})
}

const pfBenchLines = `Mar  1 08:00:00 fw filterlog[77]: 53,,,1000000301,em0,match,block,in,4,0x0,,64,420,0,none,6,tcp,460,192.0.2.2,198.51.100.15,53742,22,420,PA,29633380:29633800,3617062173,65535,,
<134>1 2026-03-01T08:00:00.868451+00:00 fw.lan filterlog 92653 - - 7,,,1000000102,vtnet0.5,match,block,in,4,0x0,,64,19008,0,DF,6,tcp,60,192.0.2.6,198.51.100.100,42970,80,0,S,523876198,,64240,,mss;sackOK;TS;nop;wscale
<134>1 2026-03-01T08:00:01+02:00 fw.lan filterlog 86605 - [meta sequenceId="1"] 68,,,1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d,eth1,match,pass,out,4,0x0,,64,0,0,DF,17,udp,80,192.0.2.100,203.0.113.1,12162,53,60
Mar  1 08:00:02 fw filterlog[77]: 621,,,1644355515,vtnet0.10,match,block,in,6,0x00,0x07c63,64,TCP,6,44,2001:db8::6d69,2001:db8:5::6,65382,443,0,S,1927530165,,0,,mss;nop;wscale;nop;nop;TS;sackOK;eol
Mar  1 08:00:03 fw filterlog[77]: 9,,,1000000103,em0,match,block,in,4,0x0,,64,1,0,DF,1,icmp,60,192.0.2.7,198.51.100.9,request,1,100140
`

// TestPFAllocations: in the steady state no record costs an allocation.
func TestPFAllocations(t *testing.T) {
	for line := range strings.Lines(pfBenchLines) {
		rec := []byte(strings.TrimSuffix(line, "\n"))
		p := PF.New(newContext(Options{Year: 2026}))
		ev := firetrail.NewEvent()
		n := testing.AllocsPerRun(100, func() {
			ev.Reset()
			if err := p.Parse(rec, &ev); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations: %s", n, rec)
		}
	}
}

func BenchmarkPF(b *testing.B) { benchPF(b, PF, pfBenchLines) }

// benchPF parses lines over and over, in the steady state of a long source.
func benchPF(b *testing.B, format Format, lines string) {
	var recs [][]byte
	for line := range strings.Lines(lines) {
		recs = append(recs, []byte(strings.TrimSuffix(line, "\n")))
	}
	opt := Options{Year: 2026}
	p := format.New(newContext(opt))
	ev := firetrail.NewEvent()
	size, i := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		rec := recs[i%len(recs)]
		i++
		size += len(rec) + 1
		ev.Reset()
		if err := p.Parse(rec, &ev); err != nil {
			b.Fatal(strconv.Quote(string(rec)), err)
		}
	}
	b.SetBytes(int64(size / max(i, 1)))
}
