package parsers

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
)

// corpus opens a file of the shared samples; without them the test is skipped.
func corpus(t testing.TB, path string) string {
	root := os.Getenv("FIRETRAIL_CORPORA")
	if root == "" {
		t.Skip("FIRETRAIL_CORPORA is not set")
	}
	return filepath.Join(root, path)
}

// jsonLines decodes each line of a file.
func jsonLines[T any](t testing.TB, path string) []T {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	for in := bufio.NewScanner(f); in.Scan(); {
		var v T
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// readOne parses one record with a fresh parser of a format.
func readOne(f Format, rec string) (firetrail.Event, error) {
	ev := firetrail.NewEvent()
	opt := Options{ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	err := f.New(newContext(opt)).Parse([]byte(rec), &ev)
	return ev, err
}

// values are the fields of an event under their query names.
func values(ev *firetrail.Event) map[string]string {
	out := map[string]string{}
	for i := range firetrail.Fields {
		f := &firetrail.Fields[i]
		if f.Name == "line" || f.Name == "offset" {
			continue
		}
		if v, ok := f.Print(ev); ok {
			out[f.Name] = v
		}
	}
	for _, x := range ev.X {
		out["x."+x.Name] = x.Value
	}
	return out
}

// readAll reads a source to its end.
func readAll(r io.Reader, opt Options) (events []firetrail.Event, rejects []firetrail.Reject, facts []firetrail.Fact, counts firetrail.Counts, err error) {
	rd, err := NewReader(r, opt)
	if err != nil {
		return nil, nil, nil, counts, err
	}
	var b Batch
	for {
		err := rd.Next(&b)
		for _, ev := range b.Events {
			ev.X = slices.Clone(ev.X)
			events = append(events, ev)
		}
		rejects = append(rejects, b.Rejects...)
		facts = append(facts, b.Facts...)
		counts.Add(b.Counts)
		if err == io.EOF {
			return events, rejects, facts, counts, nil
		}
		if err != nil {
			return events, rejects, facts, counts, err
		}
	}
}

const lanPacket = "IN=eth0 OUT= MAC=00:00:5e:00:53:01:00:00:5e:00:53:02:08:00 SRC=203.0.113.7 DST=192.0.2.10 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=6480 DF PROTO=TCP SPT=59088 DPT=8080 WINDOW=29200 RES=0x00 SYN URGP=0 "

func TestIptablesFields(t *testing.T) {
	tests := []struct {
		name, rec string
		want      map[string]string // "-" means absent
	}{
		{"ufw", "Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] " + lanPacket, map[string]string{
			"time": "2026-03-01T08:00:00Z", "kind": "iptables", "sensor": "gw1", "action": "drop", "rule": "UFW BLOCK", "direction": "in", "proto": "tcp",
			"src_ip": "203.0.113.7", "src_port": "59088", "dst_ip": "192.0.2.10", "dst_port": "8080", "in_interface": "eth0", "out_interface": "-", "flags": "SYN",
			"x.prefix": "[UFW BLOCK] ", "x.uptime": "1732.118004", "x.MAC": "00:00:5e:00:53:01:00:00:5e:00:53:02:08:00", "x.LEN": "60", "x.TOS": "0x00", "x.DF": "true", "x.WINDOW": "29200", "x.URGP": "0"}},
		{"several flags, options, owner, mark", "Mar  1 08:00:00 gw1 kernel: OUTPUT: IN= OUT=eth0 SRC=192.0.2.10 DST=203.0.113.9 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 OPT (94040000) PROTO=TCP SPT=40000 DPT=22 SEQ=1 ACK=2 WINDOW=1 RES=0x00 CWR ECE ACK PSH FIN URGP=0 OPT (0101080A) UID=1000 GID=100 MARK=0x2 ", map[string]string{
			"direction": "out", "flags": "CWR ECE ACK PSH FIN", "rule": "OUTPUT", "action": "-", "x.OPT": "94040000", "x.TCP_OPT": "0101080A", "x.UID": "1000", "x.GID": "100", "x.MARK": "0x2", "x.SEQ": "1", "x.ACK": "2"}},
		{"quoted packet", "Mar  1 08:00:00 gw1 kernel: X: IN=eth1 OUT=eth2 MAC= SRC=203.0.113.1 DST=192.0.2.50 LEN=56 TOS=0x00 PREC=0x00 TTL=40 ID=9 PROTO=ICMP TYPE=3 CODE=4 [SRC=192.0.2.50 DST=198.51.100.51 LEN=44 TOS=0x00 PREC=0xC0 TTL=40 ID=60430 DF PROTO=UDP SPT=12446 DPT=12406 LEN=24 ] MTU=1400 MARK=0x1 ", map[string]string{
			"src_ip": "203.0.113.1", "dst_ip": "192.0.2.50", "src_port": "-", "dst_port": "-", "proto": "icmp", "direction": "forward", "x.MAC": "", "x.ID": "9", "x.LEN": "56", "x.TYPE": "3", "x.CODE": "4", "x.MTU": "1400", "x.MARK": "0x1",
			"x.inner.SRC": "192.0.2.50", "x.inner.DST": "198.51.100.51", "x.inner.LEN": "44", "x.inner.UDP_LEN": "24", "x.inner.ID": "60430", "x.inner.DF": "true", "x.inner.PROTO": "UDP", "x.inner.SPT": "12446", "x.inner.DPT": "12406", "x.DF": "-"}},
		{"quoted tcp cut", "Mar  1 08:00:00 gw1 kernel: IN=eth1 OUT= SRC=203.0.113.1 DST=192.0.2.50 LEN=56 TOS=0x00 PREC=0x00 TTL=40 ID=9 PROTO=ICMP TYPE=3 CODE=1 [SRC=192.0.2.50 DST=198.51.100.51 LEN=44 TOS=0x00 PREC=0xC0 TTL=40 ID=60430 FRAG:64 PROTO=TCP INCOMPLETE [8 bytes] ] ", map[string]string{
			"proto": "icmp", "x.inner.FRAG": "64", "x.inner.INCOMPLETE": "8", "x.FRAG": "-"}},
		{"echo", "Mar  1 08:00:00 gw1 kernel: IN= OUT=eth0 SRC=192.0.2.10 DST=203.0.113.9 LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=7 DF PROTO=ICMP TYPE=8 CODE=0 ID=4242 SEQ=1 ", map[string]string{
			"x.ID": "7", "x.ICMP_ID": "4242", "x.SEQ": "1", "x.prefix": "-", "rule": "-"}},
		{"fragment", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=192.0.2.10 DST=203.0.113.9 LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=7 MF FRAG:185 PROTO=UDP ", map[string]string{
			"proto": "udp", "dst_port": "-", "x.FRAG": "185", "x.MF": "true"}},
		{"ipv6 fragment", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=1496 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( FRAG:1448 INCOMPLETE ID:0000beef ) PROTO=ICMPv6 ", map[string]string{
			"src_ip": "2001:db8::1", "proto": "icmpv6", "x.FRAG": "1448", "x.FRAG_ID": "0000beef", "x.INCOMPLETE": "true"}},
		{"ipv6 fragment without brackets", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=2001:0db8::1 DST=2001:0db8::2 LEN=1496 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:1448 INCOMPLETE ID:0000beef PROTO=UDP ", map[string]string{
			"x.FRAG": "1448", "x.FRAG_ID": "0000beef", "x.INCOMPLETE": "true", "proto": "udp"}},
		{"unspecified ipv6", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=0000:0000:0000:0000:0000:0000:0000:0000 DST=ff02:0000:0000:0000:0000:0000:0000:0016 LEN=76 TC=0 HOPLIMIT=1 FLOWLBL=0 PROTO=ICMPv6 TYPE=143 CODE=0 ", map[string]string{
			"src_ip": "::", "dst_ip": "ff02::16", "proto": "icmpv6"}},
		{"level of a second call", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= <1>SRC=192.0.2.10 DST=203.0.113.9 PROTO=UDP <4> SPT=5 DPT=7 ", map[string]string{
			"src_ip": "192.0.2.10", "dst_port": "7"}},
		{"protocol number", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=192.0.2.10 DST=224.0.0.1 LEN=32 TOS=0x00 PREC=0xC0 TTL=1 ID=0 OPT (94040000) PROTO=2 ", map[string]string{"proto": "igmp"}},
		{"unnamed protocol", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=192.0.2.10 DST=192.0.2.11 LEN=32 TOS=0x00 PREC=0xC0 TTL=1 ID=0 PROTO=253 ", map[string]string{"proto": "253"}},
		{"esp", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= SRC=192.0.2.10 DST=192.0.2.11 LEN=32 TOS=0x00 PREC=0xC0 TTL=1 ID=0 PROTO=ESP SPI=0xc0ffee ", map[string]string{"proto": "esp", "x.SPI": "0xc0ffee"}},
		{"macdecode and bridge", "Mar  1 08:00:00 gw1 kernel: IN=br0 OUT=br0 PHYSIN=vnet1 PHYSOUT=vnet2 MACSRC=00:00:5e:00:53:01 MACDST=00:00:5e:00:53:02 VPROTO=8100 VID=5 MACPROTO=0800 SRC=192.0.2.10 DST=192.0.2.11 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=0 PROTO=TCP SPT=1 DPT=2 WINDOW=0 RES=0x00 RST URGP=0 ", map[string]string{
			"in_interface": "br0", "direction": "forward", "x.PHYSIN": "vnet1", "x.PHYSOUT": "vnet2", "x.MACSRC": "00:00:5e:00:53:01", "x.MACDST": "00:00:5e:00:53:02", "x.VPROTO": "8100", "x.VID": "5", "x.MACPROTO": "0800", "flags": "RST"}},
		{"tunnel", "Mar  1 08:00:00 gw1 kernel: IN=sit0 OUT= MAC=45:00:00:00 TUNNEL=192.0.2.1->192.0.2.2 SRC=2001:db8::1 DST=2001:db8::2 LEN=40 TC=0 HOPLIMIT=1 FLOWLBL=0 PROTO=59 ", map[string]string{"x.TUNNEL": "192.0.2.1->192.0.2.2", "proto": "59"}},
		{"arp", "Mar  1 08:00:00 gw1 kernel: arp: IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 MACSRC=00:00:5e:00:53:01 IPSRC=192.0.2.10 MACDST=00:00:00:00:00:00 IPDST=192.0.2.11", map[string]string{
			"proto": "arp", "src_ip": "192.0.2.10", "dst_ip": "192.0.2.11", "x.HTYPE": "1", "x.OPCODE": "1"}},
		{"truncated", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= MAC= TRUNCATED", map[string]string{"kind": "iptables", "x.TRUNCATED": "true"}},
		{"unifi", `Jun 13 23:29:15 UDMP UDMP [WAN_LOCAL-D-2147483647] DESCR="[WAN_LOCAL]Block All Traffic" IN=eth8 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.25 LEN=122 TOS=00 PREC=0x00 TTL=49 ID=45366 DF PROTO=UDP SPT=38451 DPT=54329 LEN=102 MARK=1a0000`, map[string]string{
			"sensor": "UDMP", "action": "drop", "x.prefix": "[WAN_LOCAL-D-2147483647] ", "x.DESCR": "[WAN_LOCAL]Block All Traffic", "x.LEN": "122", "x.UDP_LEN": "102", "x.MARK": "1a0000", "x.TOS": "00"}},
		{"proxmox", "101 1 tap101i0-IN 20/Jun/2022:13:13:32 +0200 PVEFW-reject: IN=fwbr101i0 OUT=fwbr101i0 PHYSIN=fwln101i0 PHYSOUT=tap101i0 MAC= SRC=2001:db8::a DST=2001:db8::17 LEN=40 TC=0 FLOWLBL=634336 HOPLIMIT=64 PROTO=TCP SPT=59368 DPT=22 SEQ=3146558957 ACK=0 WINDOW=64800 SYN ", map[string]string{
			"time": "2022-06-20T11:13:32Z", "rule": "tap101i0-IN", "action": "reject", "x.vmid": "101", "x.loglevel": "1", "x.prefix": "PVEFW-reject: ", "flags": "SYN"}},
		{"proxmox, out only", "0 1 PVEFW-HOST-OUT 20/Jun/2022:13:16:23 +0200 REJECT: OUT=vmbr0.94 SRC=192.0.2.12 DST=192.0.2.10 LEN=60 TOS=0x10 PREC=0x00 TTL=64 ID=59156 DF PROTO=TCP SPT=49566 DPT=22 SEQ=708451139 ACK=0 WINDOW=64240 SYN ", map[string]string{
			"direction": "out", "out_interface": "vmbr0.94", "action": "reject"}},
		{"no host", "Jan  8 03:37:09 DENY: " + lanPacket, map[string]string{"sensor": "-", "action": "deny", "x.prefix": "DENY: "}},
		{"no host, words", "Jan  8 03:37:09 reject wan in: " + lanPacket, map[string]string{"sensor": "-", "action": "reject", "x.prefix": "reject wan in: ", "rule": "reject wan in"}},
		{"tag belongs to the prefix", "Mar  1 08:00:00 gw1 nft-drop: " + lanPacket, map[string]string{"sensor": "gw1", "x.prefix": "nft-drop: ", "action": "drop"}},
		{"ulogd", "Mar  1 08:00:00 gw1 ulogd[41]: DROP " + lanPacket, map[string]string{"x.prefix": "DROP ", "action": "drop"}},
		{"printk level within", "Mar  1 08:00:00 gw1 kernel: DROP IN=vlan2 OUT= MAC=00:00 <1>SRC=192.0.2.1 DST=192.0.2.25 LEN=40 TOS=0x00 PREC=0x00 TTL=1 ID=1 PROTO=TCP <1>SPT=1 DPT=2 SEQ=3 ", map[string]string{"src_ip": "192.0.2.1", "src_port": "1"}},
		{"cut behind SEQ=", "Mar  1 08:00:00 gw1 kernel: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.25 LEN=40 TOS=0x00 PREC=0x00 TTL=1 ID=1 PROTO=TCP SPT=1 DPT=2 SEQ=", map[string]string{"x.SEQ": "", "dst_port": "2"}},
		{"repeated", "Mar  1 08:00:00 gw1 kernel: message repeated 3 times: [ [UFW BLOCK] " + lanPacket + "]", map[string]string{"x.repeated": "3", "x.prefix": "[UFW BLOCK] ", "x.URGP": "0"}},
		{"dmesg", "[ 1732.118004] reject wan in: " + lanPacket, map[string]string{"time": "-", "action": "reject", "x.uptime": "1732.118004", "x.prefix": "reject wan in: "}},
		{"journald", `{"MESSAGE":"[UFW BLOCK] ` + lanPacket + `","SYSLOG_IDENTIFIER":"kernel","_HOSTNAME":"gw9","__REALTIME_TIMESTAMP":"1764460820570472"}`, map[string]string{"time": "2025-11-30T00:00:20.570472Z", "sensor": "gw9", "action": "drop"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ev, err := readOne(iptables, test.rec)
			if err != nil {
				t.Fatal(err)
			}
			got := values(&ev)
			for name, want := range test.want {
				v, ok := got[name]
				if want == "-" && ok || want != "-" && (!ok || v != want) {
					t.Errorf("%s: got %q, want %q", name, v, want)
				}
			}
		})
	}
}

func TestIptablesDeclines(t *testing.T) {
	for _, rec := range []string{
		"Mar  1 08:00:00 gw1 kernel: [ 1.2] eth0: link up",
		"iptables: in=value",
		"iptables: IN=value SECOND=test",
		"iptables: IN OUT=outvalue",
		"Jun  8 14:34:33 h kernel: [5.1] XX=enp1s0 OUT= MAC=00:08 SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=TCP SPT=8080 DPT=8123",
		"2023-03-18T20:36:59.594792+01:00 192.0.2.1 firewall,info drop-tcp input: in:ether1-WAN out:(unknown 0), connection-state:new src-mac 00:00:5e:00:53:02, proto TCP (SYN), 192.0.2.7:59388->192.0.2.8:23, len 40",
		"Chain INPUT (policy ACCEPT)",
		`<189>date=2026-03-01 time=08:00:00 devname="fg" devid="FG1" logid="0000000013" type="traffic" srcip=192.0.2.1 dstip=192.0.2.2`,
		"%ASA-4-106023: Deny tcp src outside:192.0.2.1/1 dst inside:192.0.2.2/23 by access-group",
		"",
	} {
		if _, err := readOne(iptables, rec); err != ErrOther {
			t.Errorf("%q: %v, want it declined", rec, err)
		}
	}
}

func TestIptablesRejects(t *testing.T) {
	head := "Mar  1 08:00:00 gw1 kernel: "
	for _, test := range []struct {
		rec    string
		column int
		reason string
	}{
		{"IN=eth0 OUT= MAC=", 18, "SRC= expected"},
		{"IN=eth0 OUT= SRC=192.0.2 DST=192.0.2.1", 18, `SRC= expects an address, found "192.0.2"`},
		{"IN=eth0 OUT= SRC=192.0.2.7", 27, "DST= expected"},
		{"IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 LEN=60", 48, "PROTO= expected"},
		{"IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP SPT=1", 57, "SPT= and DPT= expected"},
		{"IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP SPT=1 DPT=65536", 62, `DPT= expects a port from 0 to 65535, found "65536"`},
		{"IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO= ", 48, "PROTO= expects"},
		{"TL=126 ID=4622 DF PROTO=TCP SPT=389 DPT=49209 WINDOW=8192 RES=0x00 ACK URGP=0", 0, "the start of the packet is missing"},
		{"IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=47" + strings.Repeat(" A=1", 600), 0, "more than 512 fields"},
	} {
		_, err := readOne(iptables, head+test.rec)
		re, ok := errors.AsType[*RejectError](err)
		if !ok || !strings.HasPrefix(re.Reason, test.reason) || test.column != 0 && re.Column != len(head)+test.column {
			t.Errorf("%.60q: got %v, want column %d and %q", test.rec, err, len(head)+test.column, test.reason)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, test := range []struct{ prefix, action, rule string }{
		{"[UFW LIMIT BLOCK] ", "reject", "UFW LIMIT BLOCK"},
		{"[UFW AUDIT INVALID] ", "", "UFW AUDIT INVALID"},
		{"Shorewall:net2fw:DROP:", "drop", "net2fw"},
		{"SFW2-INext-ACC-TCP ", "allow", "SFW2-INext-ACC-TCP"},
		{"RULE 12 -- ACCEPT ", "allow", "RULE 12"},
		{"[WAN_IN-2000-A]", "allow", "WAN_IN-2000"},
		{"[ipv4-NAM-X-10-R]", "", "ipv4-NAM-X-10"},
		{"PVEFW-DropBroadcast: ", "drop", "PVEFW-DropBroadcast"},
		{"policy DROP: ", "drop", "policy DROP"},
		{"banIP/inp-wan/drp/feedv4: ", "drop", "banIP/inp-wan/drp/feedv4"},
		{"banIP/fwd-lan/reject/feedv6: ", "reject", "banIP/fwd-lan/reject/feedv6"},
		{"drop not allowed: ", "drop", "drop not allowed"},
		{"iptables output denied: ", "deny", "iptables output denied"},
		{"[STATE=invalid] ", "", "STATE=invalid"},
		{"DROP(src wan)", "drop", "DROP(src wan)"},
		{"LOGDROP ", "drop", "LOGDROP"},
		{"Raindrops: ", "", "Raindrops"},
		{"EGRESS-agents-block ", "deny", "EGRESS-agents-block"},
	} {
		c := newContext(Options{})
		if m := c.lookUp(test.prefix); m.action != test.action || m.rule != test.rule {
			t.Errorf("%q: got %q, %q, want %q, %q", test.prefix, m.action, m.rule, test.action, test.rule)
		}
	}
}

func TestPrefixRules(t *testing.T) {
	opt := Options{PrefixRules: []PrefixRule{{Pattern: `^Z(?P<rule>[0-9]+)`, Action: "deny"}, {Pattern: `UFW`, Action: ""}}}
	events, _, _, _, err := readAll(strings.NewReader("Mar  1 08:00:00 gw1 kernel: Z17 "+lanPacket+"\nMar  1 08:00:00 gw1 kernel: [UFW BLOCK] "+lanPacket+"\n"), opt)
	if err != nil || len(events) != 2 {
		t.Fatal(events, err)
	}
	if events[0].Action != "deny" || events[0].Rule != "17" || events[1].Action != "" {
		t.Errorf("got %q %q, %q", events[0].Action, events[0].Rule, events[1].Action)
	}
	for _, bad := range []PrefixRule{{Pattern: "("}, {Pattern: "x", Action: "explode"}} {
		if _, err := NewReader(strings.NewReader("x"), Options{PrefixRules: []PrefixRule{bad}}); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

func TestLossFacts(t *testing.T) {
	log := "Mar  1 08:00:00 gw1 kernel: [UFW BLOCK] " + lanPacket + "\n" +
		"Mar  1 08:00:01 gw1 last message repeated 5 times\n" +
		"Mar  1 08:00:02 gw1 kernel: [ 9.1] net_ratelimit: 45 callbacks suppressed\n" +
		"Mar  1 08:00:03 gw1 rsyslogd: imuxsock lost 123 messages from pid 44 due to rate-limiting\n" +
		"Mar  1 08:00:04 gw1 systemd-journald[9]: Suppressed 77 messages from user.slice\n" +
		"Mar  1 08:00:05 gw1 systemd-journald[9]: Missed 12 kernel messages\n" +
		"Mar  1 08:00:06 gw1 cron[1]: last message repeated 5 times\n"
	_, _, facts, counts, err := readAll(strings.NewReader(log), Options{Year: 2026})
	if err != nil {
		t.Fatal(err)
	}
	var lost []int64
	for i, f := range facts {
		lost = append(lost, f.Lost)
		if f.Line != int64(i+2) || f.Time == firetrail.Absent {
			t.Errorf("fact %d stands at line %d, time %d", i, f.Line, f.Time)
		}
	}
	if !slices.Equal(lost, []int64{5, 45, 123, 77, 12}) || counts.Other != 6 || counts.Events != 1 {
		t.Errorf("lost %v, counts %+v", lost, counts)
	}
}

func TestCorpusPrefixForms(t *testing.T) {
	type form struct {
		Line     string
		Expected map[string]any
	}
	checked := 0
	for _, f := range jsonLines[form](t, corpus(t, "iptables/prefix-forms/forms.jsonl")) {
		ev, err := readOne(iptables, f.Line)
		if err != nil {
			t.Errorf("%s: %v", f.Line, err)
			continue
		}
		checked += checkForm(t, f.Line, values(&ev), f.Expected, "x.")
	}
	t.Logf("prefix-forms: %d values checked", checked)
}

// checkForm compares the names of forms.jsonl with ours.
func checkForm(t *testing.T, line string, got map[string]string, want map[string]any, x string) (checked int) {
	names := map[string]string{"src": "src_ip", "dst": "dst_ip", "spt": "src_port", "dpt": "dst_port", "prefix": "x.prefix", "proto": "proto", "verdict": "action",
		"ip_len": "x.LEN", "udp_len": "x.UDP_LEN", "ip_id": "x.ID", "icmp_id": "x.ICMP_ID", "icmp_type": "x.TYPE", "icmp_code": "x.CODE", "gateway": "x.GATEWAY"}
	if x == "x.inner." {
		for k, v := range map[string]string{"src": "SRC", "dst": "DST", "spt": "SPT", "dpt": "DPT", "proto": "PROTO", "ip_len": "LEN", "udp_len": "UDP_LEN"} {
			names[k] = x + v
		}
	}
	for key, v := range want {
		if key == "quoted" {
			checked += checkForm(t, line, got, v.(map[string]any), "x.inner.")
			continue
		}
		name, ok := names[key]
		if !ok {
			t.Fatalf("no name for %s", key)
		}
		w := strings.TrimSuffix(strings.TrimSpace(scalar(v)), "\n")
		if key == "prefix" {
			w = v.(string)
		}
		switch {
		case key == "proto" && x == "x.":
			w = strings.ToLower(w)
		case key == "verdict":
			w = map[string]string{"drop": "drop", "reject": "reject", "accept": "allow", "none": ""}[w]
		}
		checked++
		if got[name] != w {
			t.Errorf("%s\n%s: got %q, want %q", line, name, got[name], w)
		}
	}
	return checked
}

// scalar prints a decoded JSON scalar.
func scalar(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func TestCorpusIptablesHub(t *testing.T) {
	type line struct {
		Line     string
		Accepted *string           `json:"accepted_by"`
		Fields   map[string]string `json:"fields"`
		Meta     map[string]string `json:"meta"`
	}
	names := map[string]string{"src_ip": "src_ip", "dst_ip": "dst_ip", "src_port": "src_port", "dst_port": "dst_port", "int_eth": "in_interface",
		"id": "x.ID", "ttl": "x.TTL", "physin": "x.PHYSIN", "physout": "x.PHYSOUT", "vmid": "x.vmid", "loglevel": "x.loglevel", "ack": "x.ACK", "tcp_flags": "flags", "iface": "in_interface", "oface": "out_interface"}
	checked, events := 0, 0
	for _, dir := range []string{"iptables-logs", "proxmox-iptables-logs", "unifi-logs"} {
		for _, l := range jsonLines[line](t, corpus(t, "iptables/crowdsec-hub/"+dir+"/expected.jsonl")) {
			ev, err := readOne(iptables, l.Line)
			if err != nil {
				if l.Accepted != nil && strings.Contains(*l.Accepted, "iptables") {
					t.Errorf("%s: %v", l.Line, err)
				}
				continue
			}
			events++
			got := values(&ev)
			for key, want := range l.Fields {
				name := names[key]
				if dir == "proxmox-iptables-logs" && key == "int_eth" || name == "" {
					continue
				}
				if dir == "proxmox-iptables-logs" && key == "proto" {
					name = "proto"
				}
				checked++
				if got[name] != want {
					t.Errorf("%s\n%s: got %q, want %q", l.Line, name, got[name], want)
				}
			}
			if want := l.Fields["proto"]; strings.ToLower(want) != got["proto"] && want != "" {
				t.Errorf("%s: proto %q", l.Line, got["proto"])
			}
			if l.Meta["action"] == "drop" && got["action"] != "drop" {
				t.Errorf("%s: action %q", l.Line, got["action"])
			}
		}
	}
	t.Logf("crowdsec-hub: %d events, %d values checked", events, checked)
}

func TestCorpusScanFile(t *testing.T) {
	f, err := os.Open(corpus(t, "iptables/crowdsec-hub/iptables-scan-multi-port/iptables-scan-multi-port.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, rejects, _, counts, err := readAll(f, Options{Year: 2021})
	if err != nil || counts.Events != counts.Records || len(rejects) > 0 {
		t.Errorf("%+v %v %v", counts, rejects, err)
	}
	t.Logf("%+v", counts)
}

func FuzzIptables(f *testing.F) {
	f.Add("Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] " + lanPacket)
	f.Add("101 1 tap101i0-IN 20/Jun/2022:13:13:32 +0200 PVEFW-reject: IN=fwbr101i0 OUT=x SRC=2001:db8::a DST=2001:db8::17 PROTO=TCP SPT=59368 DPT=22 SYN [SRC=")
	f.Add("k kernel: IN=eth1 OUT= SRC=203.0.113.1 DST=192.0.2.50 PROTO=ICMP [SRC=192.0.2.50 FRAG:64 PROTO=TCP INCOMPLETE [8 bytes] OPT (] SYN")
	f.Add("IN=a OUT= OPT ( Unknown Ext Hdr TRUNCATED ID: FRAG: DESCR=\"\"")
	ctx := newContext(Options{Now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)})
	p := iptables.New(ctx)
	ev := firetrail.NewEvent()
	f.Fuzz(func(t *testing.T, rec string) {
		ev.Reset()
		err := p.Parse([]byte(rec), &ev)
		if err == nil && ev.Kind != "iptables" {
			t.Error("event without a kind")
		}
		if re, ok := errors.AsType[*RejectError](err); ok && (re.Column > len(rec)+1 || re.Reason == "") {
			t.Errorf("column %d of %d, %q", re.Column, len(rec), re.Reason)
		}
		ctx.facts = ctx.facts[:0]
	})
}

func BenchmarkIptables(b *testing.B) {
	rec := []byte("Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] " + lanPacket)
	p := iptables.New(newContext(Options{Now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}))
	ev := firetrail.NewEvent()
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	copies := [2][]byte{rec, slices.Clone(rec)}
	for i := 0; b.Loop(); i++ {
		ev.Reset()
		if err := p.Parse(copies[i&1], &ev); err != nil {
			b.Fatal(err)
		}
	}
}
