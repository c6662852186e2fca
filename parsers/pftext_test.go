package parsers

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPFText(t *testing.T) {
	const open = "kind=pf|action=deny|reason=match|direction=in|in_interface=em1|rule=11|x.rulenr=11|x.action=block|x.interface=em1|"
	tests := []struct{ name, rec, want string }{
		{"openbsd syn", "Sep 28 03:50:22.683986 rule 39/(match) pass in on em1: 192.0.2.11.40284 > 198.51.100.13.443: S 3537547021:3537547021(0) win 5840 <mss 1460,sackOK,timestamp 6440374[|tcp]> (DF) [tos 0x10]",
			"time=2025-09-28T03:50:22.683986Z|kind=pf|action=allow|reason=match|direction=in|in_interface=em1|rule=39|x.rulenr=39|x.action=pass|x.interface=em1|proto=tcp|src_ip=192.0.2.11|src_port=40284|dst_ip=198.51.100.13|dst_port=443|" +
				"flags=S|x.seq=3537547021:3537547021|x.datalen=0|x.window=5840|x.options=mss 1460,sackOK,timestamp 6440374[|tcp]|x.ip_flags=DF|x.tos=0x10"},
		{"openbsd data", "rule 11/(match) block in on em1: 192.0.2.11.40284 > 198.51.100.13.443: P 1:29(28) ack 7 win 58 (DF)",
			open + "proto=tcp|src_ip=192.0.2.11|src_port=40284|dst_ip=198.51.100.13|dst_port=443|flags=P|x.seq=1:29|x.datalen=28|x.ack=7|x.window=58|x.ip_flags=DF"},
		{"openbsd ack", "rule 11/(match) block in on em1: 192.0.2.11.40284 > 198.51.100.13.443: . ack 7 win 58",
			open + "proto=tcp|src_ip=192.0.2.11|src_port=40284|dst_ip=198.51.100.13|dst_port=443|flags=.|x.ack=7|x.window=58"},
		{"flags alone", "rule 11/(match) block in on em1: 192.0.2.11.40284 > 198.51.100.13.443: S",
			open + "proto=tcp|src_ip=192.0.2.11|src_port=40284|dst_ip=198.51.100.13|dst_port=443|flags=S"},
		{"openbsd udp -v", "Dec 03 15:31:17.263703 rule 11/(match) [uid 0, pid 24100] block in on em1: 192.0.2.19.1055 > 192.0.2.255.1100:  udp 99 (ttl 128, id 12204, len 127)",
			open + "time=2025-12-03T15:31:17.263703Z|x.rule_uid=0|x.rule_pid=24100|proto=udp|src_ip=192.0.2.19|src_port=1055|dst_ip=192.0.2.255|dst_port=1100|x.payload_length=99|x.ttl=128|x.id=12204|x.length=127"},
		{"openbsd icmp", "rule 11/(match) block in on em1: 192.0.2.1 > 198.51.100.2: icmp: echo request (DF)",
			open + "proto=icmp|src_ip=192.0.2.1|dst_ip=198.51.100.2|x.icmp_text=echo request (DF)|x.icmp_type=8|x.icmp_code=0|x.ip_flags=DF"},
		{"openbsd igmp", "rule 11/(match) block in on em1: 192.0.2.11 > 224.0.0.22: igmp-2 [v2] (DF) [tos 0xc0] [ttl 1]",
			open + "proto=igmp|src_ip=192.0.2.11|dst_ip=224.0.0.22|x.ip_flags=DF|x.tos=0xc0|x.ttl=1"},
		{"openbsd dns", "rule 11/(match) block in on em1: 192.0.2.13.41578 > 192.0.2.2.53: 61952+% [1au] A? host.example.org. (45)",
			open + "proto=udp|src_ip=192.0.2.13|src_port=41578|dst_ip=192.0.2.2|dst_port=53|host=host.example.org"},
		{"cut tcp", "Feb 16 16:43:20 firewall pf: rule 11/(match) block in on em1: 192.0.2.189.2559 > 198.51.100.19.139: [|tcp] (DF)",
			open + "time=2025-02-16T16:43:20Z|sensor=firewall|proto=tcp|src_ip=192.0.2.189|src_port=2559|dst_ip=198.51.100.19|dst_port=139|x.error=[|tcp]|x.ip_flags=DF"},
		{"two stamps", "Mar 30 15:33:26 enigma pf: Mar 30 15:32:33.483712 rule 11/(match) block in on em1: 192.0.2.1.25 > 192.0.2.2.26:  udp 73",
			open + "time=2025-03-30T15:32:33.483712Z|sensor=enigma|proto=udp|src_ip=192.0.2.1|src_port=25|dst_ip=192.0.2.2|dst_port=26|x.payload_length=73"},
		{"default rule, v6", "rule def/(ip-option) block in on em1: :: > ff02::16: HBH icmp6: type-#143 [hlim 1]",
			"kind=pf|action=deny|reason=ip-option|direction=in|in_interface=em1|rule=def|x.rulenr=def|x.action=block|x.interface=em1|proto=icmpv6|src_ip=::|dst_ip=ff02::16|x.icmp_text=type-#143 [hlim 1]|x.hoplimit=1"},
		{"old pfSense", "Jan 11 07:28:30 192.0.2.254 pf: 000145 rule 11/0(match): block in on em1: (tos 0x0, ttl 128, id 58078, offset 0, flags [none], proto UDP (17), length 1052) 192.0.2.99.1137 > 198.51.100.111.24460: UDP, length 1024",
			open + "time=2025-01-11T07:28:30Z|sensor=192.0.2.254|x.stamp=000145|x.reason_code=0|proto=udp|src_ip=192.0.2.99|src_port=1137|dst_ip=198.51.100.111|dst_port=24460|" +
				"x.tos=0x0|x.ttl=128|x.id=58078|x.offset=0|x.ip_flags=none|x.protonum=17|x.length=1052|x.payload_length=1024"},
		{"wrapped lines", "Jan 11 07:28:30 fw pf: 00:00:01.000145 rule 11/0(match): block in on em1: (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto TCP (6), length 60)\nJan 11 07:28:30 fw pf:     192.0.2.99.1137 > 198.51.100.111.22: Flags [S], seq 5, win 9, length 0",
			open + "time=2025-01-11T07:28:30Z|sensor=fw|x.stamp=00:00:01.000145|x.reason_code=0|proto=tcp|src_ip=192.0.2.99|src_port=1137|dst_ip=198.51.100.111|dst_port=22|" +
				"x.tos=0x0|x.ttl=64|x.id=1|x.offset=0|x.ip_flags=DF|x.protonum=6|x.length=60|flags=S|x.seq=5|x.window=9|x.datalen=0"},
		{"tcpdump mld", " 00:00:00.000185 rule 11/0(match): block in on em1: fe80::1 > ff02::16: HBH ICMP6, multicast listener report v2[|icmp6], length 28",
			open + "x.stamp=00:00:00.000185|x.reason_code=0|proto=icmpv6|src_ip=fe80::1|dst_ip=ff02::16|x.icmp_text=multicast listener report v2[|icmp6]|x.icmp_type=143|x.icmp_code=0|x.datalen=28"},
		{"tcpdump epoch", "1700000000.250000 rule 11/0(match): block in on em1: 192.0.2.1.1 > 192.0.2.2.2: Flags [.], seq 5:9, ack 2, win 3, options [nop,nop,TS val 1 ecr 2], length 4: HTTP: GET / HTTP/1.1",
			open + "time=2023-11-14T22:13:20.250Z|x.reason_code=0|proto=tcp|src_ip=192.0.2.1|src_port=1|dst_ip=192.0.2.2|dst_port=2|flags=.|x.seq=5:9|x.ack=2|x.window=3|x.options=nop,nop,TS val 1 ecr 2|x.datalen=4"},
		{"names", "rule 11/0(match): block in on em1: gw.example.org.ssh > 192.0.2.2.https: Flags [S], seq 1, win 3, length 0",
			open + "x.reason_code=0|proto=tcp|dst_ip=192.0.2.2|x.src=gw.example.org.ssh|x.dst_service=https|flags=S|x.seq=1|x.window=3|x.datalen=0"},
		{"missing bytes", "rule 11/0(match): block in on em1: truncated-ip - 12 bytes missing! 192.0.2.1.1 > 192.0.2.2.2: UDP, length 40",
			open + "x.reason_code=0|proto=udp|src_ip=192.0.2.1|src_port=1|dst_ip=192.0.2.2|dst_port=2|x.payload_length=40|x.error=truncated-ip - 12 bytes missing!"},
		{"openbsd fragment", "rule 11/(fragment) block in on em1: 192.0.2.1 > 192.0.2.2: (frag 1234:1480@2960+) [tos 0x4]",
			"kind=pf|action=deny|reason=fragment|direction=in|in_interface=em1|rule=11|x.rulenr=11|x.action=block|x.interface=em1|src_ip=192.0.2.1|dst_ip=192.0.2.2|x.id=1234|x.offset=2960|x.ip_flags=+|x.tos=0x4"},
		{"anchors", "rule 0.a/b.c.5/0(match): rdr out on em1: 192.0.2.1 > 192.0.2.2: ESP(spi=0x00000001,seq=0x2), length 84",
			"kind=pf|reason=match|direction=out|out_interface=em1|rule=0|x.rulenr=0|x.anchor=a/b.c|x.subrulenr=5|x.reason_code=0|x.action=rdr|x.interface=em1|proto=esp|src_ip=192.0.2.1|dst_ip=192.0.2.2|x.datalen=84"},
		{"hexadecimal lines", "rule 11/0(match): block in on em1: 192.0.2.1.1 > 192.0.2.2.2: UDP, length 40\n\t0x0000:  4500 0044 0001 0000\n\t0x0010:  c000 0201",
			open + "x.reason_code=0|proto=udp|src_ip=192.0.2.1|src_port=1|dst_ip=192.0.2.2|dst_port=2|x.payload_length=40"},
		{"rewritten", "rule 11/(match) block in on em1: [rewritten: src 10.0.0.1:80, dst 10.0.0.2:81] 192.0.2.1.5 > 192.0.2.2.81: tcp 60",
			open + "x.rewritten=src 10.0.0.1:80, dst 10.0.0.2:81|proto=tcp|src_ip=192.0.2.1|src_port=5|dst_ip=192.0.2.2|dst_port=81|x.datalen=60"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pfOne(PFText, Options{Year: 2025}, tt.rec)
			if err != nil {
				t.Fatal(err)
			}
			want := pfFields(strings.NewReplacer("[|tcp]|", "[!tcp]|", "[|tcp]", "[!tcp]", "[|icmp6]", "[!icmp6]").Replace(tt.want))
			for name, v := range want {
				want[name] = strings.NewReplacer("[!", "[|").Replace(v)
			}
			delete(got, "x.info")
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s\n-want +got:\n%s", tt.rec, d)
			}
		})
	}
}

func TestPFTextRefuses(t *testing.T) {
	for rec, want := range map[string]string{
		"Jun 15 12:00:00 fw pf: 00:00:00.000 rule 1/0(match): block in on vlan20 inet from any to any": "42: action, direction and interface expected behind the rule",
		"rule 4/0(match): block in on vtnet0: (tos 0x0, ttl 64, id 0, offset 0)":                       "6: addresses expected behind the interface",
		"rule 4/0(match): block in on vtnet0: nothing":                                                 "6: addresses expected behind the interface",
		"Mar  1 08:00:00 fw sshd[3]: rule of thumb":                                                    "not of this format",
		"the rule 4/0(match): block in on em0":                                                         "not of this format",
		"just a line":                                                                                  "not of this format",
	} {
		if _, err := pfOne(PFText, Options{}, rec); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", rec, err, want)
		}
	}
}

func TestPFTextFrames(t *testing.T) {
	const head = "rule 4/0(match): block in on em0: (tos 0x0)\n"
	tests := []struct {
		name, data string
		atEOF      bool
		want       int
	}{
		{"one line", "rule 1/0(match): x\nrule 2", false, 19},
		{"more needed", head, false, 0},
		{"end", head, true, len(head)},
		{"two lines", head + "    192.0.2.1 > 192.0.2.2: x\nrule ", false, len(head) + 29},
		{"next record begins with a blank", head + " 00:00:01.0 rule 2/0(match)\n", false, len(head)},
		{"cut line", head + "    192.0.2.1 > ", false, 0},
		{"other lines", "x\n    y\n", false, 2},
		{"no line end", "rule 1/0(match)", false, 0},
		{"no line end at the end", "rule 1/0(match)", true, 15},
	}
	for _, tt := range tests {
		if got := (&pfTextParser{}).Frame([]byte(tt.data), tt.atEOF); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	many := head + strings.Repeat("    x > y\n", 1000)
	if got := (&pfTextParser{}).Frame([]byte(many), false); got == 0 || got > len(head)+pfTextLines*10 {
		t.Errorf("a packet of 1000 lines: frame of %d bytes", got)
	}
}

// TestCorpusPFAgree compares what is read from a capture with what is read from
// tcpdump's text of it: each field of the text must be the capture's.
func TestCorpusPFAgree(t *testing.T) {
	texts, _ := filepath.Glob(filepath.Join(pfCorpus(t), "*-pflog", "*.tcpdump*.txt"))
	if len(texts) == 0 {
		t.Fatal("no texts")
	}
	for _, file := range texts {
		t.Run(filepath.Base(file), func(t *testing.T) {
			name, _, _ := strings.Cut(file, ".tcpdump")
			packets, _, _ := pfRead(t, pfFile(t, name+".pcap"), Options{})
			lines, rejects, counts := pfRead(t, pfFile(t, file), Options{})
			if len(lines) != len(packets) || len(rejects) > 0 || counts.Other > 0 {
				t.Fatalf("%d events of text, %d packets, rejects %v, counts %+v", len(lines), len(packets), rejects, counts)
			}
			checked := 0
			for i := range lines {
				text, packet := pfEvent(&lines[i]), pfEvent(&packets[i])
				for name, v := range text {
					switch name {
					case "x.info", "x.icmp_text", "x.stamp", "x.inner.info", "x.ip_options":
						continue
					case "time":
						if v != packet["time"][:len(v)-1]+"Z" {
							t.Errorf("packet %d: time %s, in the capture %s", i+1, v, packet["time"])
						}
						continue
					case "flags":
						v = strings.ReplaceAll(v, ".", "A")
					case "x.frag_id", "x.ext", "x.error":
						if packet[name] == "" {
							t.Errorf("packet %d: %s only in the text", i+1, name)
						}
						continue
					}
					if packet[name] != v {
						t.Errorf("packet %d: %s = %q, in the capture %q", i+1, name, v, packet[name])
					}
					checked++
				}
				for _, name := range []string{"src_ip", "dst_ip", "src_port", "dst_port", "proto", "rule", "action", "reason", "direction", "flags"} {
					if packet[name] != "" && text[name] == "" {
						t.Errorf("packet %d: %s = %q only in the capture", i+1, name, packet[name])
					}
				}
			}
			t.Logf("%d packets, %d fields agree", len(lines), checked)
		})
	}
}

func FuzzPFText(f *testing.F) {
	for _, s := range []string{
		"Sep 28 03:50:22.683986 rule 39/(match) pass in on em1: 192.0.2.11.40284 > 198.51.100.13.443: S 1:1(0) win 5840 <mss 1460> (DF) [tos 0x10]",
		"rule 1.a.2/0(match): block in on em0: (tos 0x0, ttl 64, proto ICMP (1))\n    192.0.2.1 > 192.0.2.2: ICMP 192.0.2.3 udp port 53 unreachable, length 36\n\t(tos 0x0, ttl 1, proto UDP (17), length 28)\n    192.0.2.2.1 > 192.0.2.3.53: domain [length 0 < 12] (invalid)",
		"rule 21/2(fragment): block in on em0: 2001:db8::5 > 2001:db8::22: frag (0|24) 1 > 2: UDP, length 16",
	} {
		f.Add([]byte(s))
	}
	fuzzPF(f, PFText)
}

// FuzzPFFrames checks that the records of a source divide it without a rest.
func FuzzPFFrames(f *testing.F) {
	f.Add([]byte("rule 1/0(match): block in on em0: (tos 0x0)\n    192.0.2.1 > 192.0.2.2: x\n\nrule 2"), uint8(0))
	f.Add(pfCapture(), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		format := [...]Format{PFText, PFLog}[which%2]
		r, err := NewReader(bytes.NewReader(data), Options{Format: format.Name, MaxRecord: 4096})
		if err != nil {
			return
		}
		var b Batch
		var n, records int64
		for r.Next(&b) == nil {
			records += b.Counts.Records
			if c := b.Counts; c.Records != c.Events+c.Rejected+c.Headers+c.Other {
				t.Fatalf("counts %+v", c)
			}
			n = b.End
		}
		if n != int64(len(data)) {
			t.Errorf("%d of %d bytes in %d records", n, len(data), records)
		}
	})
}

func BenchmarkPFText(b *testing.B) {
	benchPF(b, PFText, `Sep 28 03:50:22.683986 rule 39/(match) pass in on em1: 192.0.2.11.40284 > 198.51.100.13.443: S 3537547021:3537547021(0) win 5840 <mss 1460,sackOK> (DF) [tos 0x10]
2023-11-14 22:14:21.001111 rule 3/0(match): pass out on em0: 192.0.2.10.443 > 203.0.113.5.51000: Flags [S.], seq 5, ack 1001, win 64240, options [mss 1460], length 0
`)
}
