package parsers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firetrail"
)

// tsharkPackets reads the packets of a tshark -T ek file.
func tsharkPackets(t *testing.T, path string) (packets []map[string]map[string]any) {
	for line := range bytes.Lines(pfFile(t, path)) {
		var p struct{ Layers map[string]json.RawMessage }
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatal(err)
		}
		if p.Layers == nil {
			continue
		}
		layers := map[string]map[string]any{}
		for name, raw := range p.Layers {
			var one map[string]any
			if json.Unmarshal(raw, &one) != nil {
				var many []map[string]any // a protocol met twice
				if json.Unmarshal(raw, &many) != nil {
					continue
				}
				one = many[0]
			}
			layers[name] = one
		}
		packets = append(packets, layers)
	}
	return packets
}

// tsharkNames maps tshark's fields to ours; the outer packet has the first value.
var tsharkNames = [][3]string{
	{"pflog", "pflog_pflog_ifname", "x.interface"}, {"pflog", "pflog_pflog_rulenr", "rule"}, {"pflog", "pflog_pflog_subrulenr", "x.subrulenr"},
	{"pflog", "pflog_pflog_ruleset", "x.anchor"}, {"pflog", "pflog_pflog_reason", "x.reason_code"}, {"pflog", "pflog_pflog_uid", "x.uid"},
	{"pflog", "pflog_pflog_pid", "x.pid"}, {"pflog", "pflog_pflog_rule_uid", "x.rule_uid"}, {"pflog", "pflog_pflog_rule_pid", "x.rule_pid"},
	{"ip", "ip_ip_src", "src_ip"}, {"ip", "ip_ip_dst", "dst_ip"}, {"ip", "ip_ip_ttl", "x.ttl"}, {"ip", "ip_ip_len", "x.length"},
	{"ip", "ip_ip_proto", "x.protonum"}, {"ip", "ip_ip_id", "x.id"}, {"ip", "ip_ip_frag_offset", "x.offset"},
	{"ipv6", "ipv6_ipv6_src", "src_ip"}, {"ipv6", "ipv6_ipv6_dst", "dst_ip"}, {"ipv6", "ipv6_ipv6_hlim", "x.hoplimit"}, {"ipv6", "ipv6_ipv6_plen", "x.length"},
	{"tcp", "tcp_tcp_srcport", "src_port"}, {"tcp", "tcp_tcp_dstport", "dst_port"}, {"tcp", "tcp_tcp_seq_raw", "x.seq"},
	{"tcp", "tcp_tcp_len", "x.datalen"}, {"tcp", "tcp_tcp_window_size_value", "x.window"},
	{"udp", "udp_udp_srcport", "src_port"}, {"udp", "udp_udp_dstport", "dst_port"}, {"udp", "udp_udp_length", "x.datalen"},
	{"icmp", "icmp_icmp_type", "x.icmp_type"}, {"icmp", "icmp_icmp_code", "x.icmp_code"}, {"icmp", "icmp_icmp_ident", "x.icmp_id"}, {"icmp", "icmp_icmp_seq", "x.icmp_seq"},
	{"icmpv6", "icmpv6_icmpv6_type", "x.icmp_type"}, {"icmpv6", "icmpv6_icmpv6_code", "x.icmp_code"},
	{"sctp", "sctp_sctp_srcport", "src_port"}, {"sctp", "sctp_sctp_dstport", "dst_port"},
}

// tsharkValue is the outer packet's value as we print it.
func tsharkValue(layer map[string]any, name string) (string, bool) {
	v, ok := layer[name]
	if list, is := v.([]any); is && len(list) > 0 {
		v = list[0]
	}
	s, is := v.(string)
	if !ok || !is {
		return "", false
	}
	if name == "ip_ip_id" {
		var n int
		fmt.Sscanf(s, "0x%x", &n)
		s = fmt.Sprint(n)
	}
	if name == "pflog_pflog_rulenr" && s == "-1" {
		s = "4294967295"
	}
	if s == "-1" || name == "pflog_pflog_ruleset" && s == "" { // none: no field
		return "", true
	}
	return s, true
}

func TestCorpusPFLogTshark(t *testing.T) {
	dir := filepath.Join(pfCorpus(t), "generated-pflog")
	files, _ := filepath.Glob(filepath.Join(dir, "*.pcap*"))
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			base := strings.TrimSuffix(strings.TrimSuffix(file, "ng"), ".pcap")
			packets := tsharkPackets(t, base+".tshark-ek.json")
			events, rejects, counts := pfRead(t, pfFile(t, file), Options{})
			if len(events) != len(packets) || len(rejects) != cutRecords(file) {
				t.Fatalf("%d events, %d packets, rejects %v", len(events), len(packets), rejects)
			}
			if counts.Records != counts.Events+counts.Headers+counts.Rejected {
				t.Errorf("counts %+v", counts)
			}
			checked := 0
			for i, p := range packets {
				got := pfEvent(&events[i])
				epoch, _ := tsharkValue(p["frame"], "frame_frame_time_epoch")
				if want := strings.Replace(epoch, ".", "", 1); fmt.Sprint(events[i].Time) != want {
					t.Errorf("packet %d: time %d, want %s", i+1, events[i].Time, want)
				}
				for _, n := range tsharkNames {
					want, ok := tsharkValue(p[n[0]], n[1])
					if !ok || n[1] == "ip_ip_frag_offset" && want != "0" {
						continue
					}
					name := n[2]
					if p["gre"] != nil && n[0] == "udp" { // tshark has the carried packet's
						name = "x.inner." + strings.TrimPrefix(name, "x.")
					}
					have := got[name]
					if n[2] == "x.seq" {
						have, _, _ = strings.Cut(have, ":")
					}
					if have != want {
						t.Errorf("packet %d: %s = %q, want %q", i+1, name, have, want)
					}
					checked++
				}
			}
			t.Logf("%d packets, %d fields checked", len(packets), checked)
		})
	}
}

// cutRecords is how many records of a file of the corpus are cut off at its end.
func cutRecords(file string) int {
	if strings.Contains(file, "truncated_tail") {
		return 1
	}
	return 0
}

func TestCorpusPFLogGopacket(t *testing.T) {
	events, _, _ := pfRead(t, pfFile(t, filepath.Join(pfCorpus(t), "gopacket-pflog", "darwin_udp.pcap")), Options{})
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	ev := &events[0]
	got := fmt.Sprint(firetrail.Stamp(ev.Time), " ", ev.Rule, " ", ev.Action, " ", ev.OutInterface, " ", ev.SrcIP, " ", ev.SrcPort, " ", ev.DstIP, " ", ev.DstPort, " ", ev.Proto)
	if want := "2017-07-14T02:40:00Z 0 allow en0 172.23.232.204 61695 172.23.232.255 8612 udp"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if anchor, _ := ev.Get("anchor"); anchor != "logging" {
		t.Errorf("anchor %q", anchor)
	}
}

// pfPacket is a pflog header of the given length, in little-endian order, and
// an IPv4 TCP SYN from 192.0.2.1:4444 to 198.51.100.2:22.
func pfPacket(size int) []byte {
	b := make([]byte, (size+3)&^3)
	b[0], b[1], b[2], b[3] = byte(size), 2, 1, 0
	copy(b[4:], "em0")
	copy(b[20:], "users")
	b[39], b[43] = 12, 5
	copy(b[44:], "\xff\xff\xff\xff\xa0\x86\x01\x00\x00\x00\x00\x00\x92\x10\x00\x00\x01")
	if size == 69 {
		copy(b[64:], "\x3b\x9a\xca\x67")
	}
	ip := []byte{0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2}
	tcp := []byte{0x11, 0x5c, 0, 22, 0, 0, 3, 232, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4}
	return append(append(b, ip...), tcp...)
}

type appender interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// pfPcap writes a pcap file with packets one second apart.
func pfPcap(order appender, magic, link uint32, packets ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = order.AppendUint32(order.AppendUint64(b, 0), 65535)
	b = order.AppendUint32(b, link)
	for i, p := range packets {
		b = order.AppendUint32(order.AppendUint32(b, 1700000000+uint32(i)), 250)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(p))), uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

func pfCapture() []byte {
	return pfPcap(binary.LittleEndian, pcapMicro, 117, pfPacket(61), pfPacket(69))
}

// pfBlock writes a pcapng block.
func pfBlock(order appender, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, kind), n)
	return order.AppendUint32(append(b, body...), n)
}

// pfSection writes a section with an Ethernet and a pflog interface of the
// given resolution, and one packet of the latter.
func pfSection(order appender, resolution byte, ticks uint64, packet []byte) []byte {
	head := order.AppendUint64(order.AppendUint32(order.AppendUint32(nil, sectionOrder), 1), ^uint64(0))
	ether := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, 1), 0), 0)
	face := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, 117), 0), 0)
	face = append(order.AppendUint16(order.AppendUint16(face, 9), 1), resolution, 0, 0, 0)
	face = order.AppendUint64(order.AppendUint16(order.AppendUint16(face, 14), 8), 100) // if_tsoffset
	body := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 1), uint32(ticks>>32)), uint32(ticks))
	body = order.AppendUint32(order.AppendUint32(body, uint32(len(packet))), uint32(len(packet)))
	stats := order.AppendUint64(order.AppendUint32(nil, 1), 0)
	stats = order.AppendUint64(order.AppendUint16(order.AppendUint16(stats, 5), 8), 7)
	return slices.Concat(pfBlock(order, blockSection, head), pfBlock(order, 1, ether), pfBlock(order, 1, face),
		pfBlock(order, blockPacket, append(body, packet...)), pfBlock(order, blockStats, stats), pfBlock(order, 0x0bad, nil))
}

func TestPFLogContainers(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	tests := []struct {
		name string
		data []byte
		want []string // stamps
	}{
		{"pcap", pfPcap(le, pcapMicro, 117, pfPacket(61), pfPacket(69)), []string{"2023-11-14T22:13:20.000250Z", "2023-11-14T22:13:21.000250Z"}},
		{"pcap, big-endian, nanoseconds", pfPcap(be, pcapNano, 117, pfPacket(100)), []string{"2023-11-14T22:13:20.000000250Z"}},
		{"pcap with a frame check sequence", pfPcap(le, pcapMicro, 117|4<<26, pfPacket(61)), []string{"2023-11-14T22:13:20.000250Z"}},
		{"pcapng, microseconds", pfSection(le, 6, 1700000000250000, pfPacket(61)), []string{"2023-11-14T22:15:00.250Z"}},
		{"pcapng, big-endian, 2^-10", pfSection(be, 0x8a, 1700000000<<10|256, pfPacket(61)), []string{"2023-11-14T22:15:00.250Z"}},
		{"pcapng, picoseconds", pfSection(le, 12, 1700000_250000000000, pfPacket(61)), []string{"1970-01-20T16:15:00.250Z"}},
		{"pcapng, sections of both orders", append(pfSection(le, 9, 1700000000000000001, pfPacket(69)), pfSection(be, 0, 1700000000, pfPacket(69))...),
			[]string{"2023-11-14T22:15:00.000000001Z", "2023-11-14T22:15:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, rejects, counts := pfRead(t, tt.data, Options{})
			if len(events) != len(tt.want) || len(rejects) > 0 {
				t.Fatalf("%d events, rejects %v", len(events), rejects)
			}
			for i := range events {
				ev := &events[i]
				if got := firetrail.Stamp(ev.Time); got != tt.want[i] {
					t.Errorf("time %s, want %s", got, tt.want[i])
				}
				at := tt.data[ev.Offset : ev.Offset+ev.Length]
				if !bytes.Contains(at, []byte("em0\x00")) || ev.SrcPort != 4444 || ev.DstPort != 22 || ev.Rule != "12" {
					t.Errorf("%v", pfEvent(ev))
				}
				if tracker, _ := ev.Get("tracker"); tracker != "" && tracker != "1000000103" {
					t.Errorf("tracker %q", tracker)
				}
			}
			if counts.Events+counts.Headers != counts.Records {
				t.Errorf("counts %+v", counts)
			}
		})
	}
}

func TestPFLogFacts(t *testing.T) {
	r, err := NewReader(bytes.NewReader(pfSection(binary.LittleEndian, 6, 1700000000250000, pfPacket(61))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := r.Next(&b); err != nil || len(b.Facts) != 1 || b.Facts[0].Lost != 7 {
		t.Errorf("facts %+v, %v", b.Facts, err)
	}
}

func TestPFLogRefuses(t *testing.T) {
	whole := pfCapture()
	second := len(pfPcap(binary.LittleEndian, pcapMicro, 117, pfPacket(61)))
	endless := bytes.Clone(whole)
	copy(endless[second+8:], "\xff\xff\xff\x7f")
	tests := []struct {
		name   string
		data   []byte
		events int
		reason string
	}{
		{"cut in a packet", whole[:len(whole)-5], 1, "the capture is cut off: the last record has 127 of 132 bytes"},
		{"cut in a record header", whole[:second+7], 1, "the capture is cut off in the header of its last record, after 7 bytes"},
		{"length without end", endless, 1, "a capture's record expected: its length or magic makes no sense, the rest of the file cannot be read"},
		{"short pflog header", pfPcap(binary.LittleEndian, pcapMicro, 117, pfPacket(61)[:60]), 0, "pflog header of at least 61 bytes expected, 60 of 60 bytes captured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, rejects, _ := pfRead(t, tt.data, Options{})
			if len(events) != tt.events || len(rejects) != 1 || rejects[0].Reason != tt.reason {
				t.Errorf("%d events, rejects %+v, want %d and %s", len(events), rejects, tt.events, tt.reason)
			}
			if tt.events == 1 && len(rejects) == 1 && rejects[0].Offset != int64(second) {
				t.Errorf("reject at %d, want %d", rejects[0].Offset, second)
			}
		})
	}
	for name, data := range map[string][]byte{
		"a capture of link type 1, not of pflog (117)": pfPcap(binary.LittleEndian, pcapMicro, 1),
		"no capture": []byte("rule 1/0(match): block"),
		"a capture without an interface of pflog at its start": pfBlock(binary.LittleEndian, blockSection, binary.LittleEndian.AppendUint32(nil, sectionOrder)),
	} {
		if err := PFLog.Sniff(data); err == nil || err.Error() != name {
			t.Errorf("sniff: %v, want %s", err, name)
		}
	}
}

// TestPFLogCut cuts a packet at every length: the decoder must not read past it.
func TestPFLogCut(t *testing.T) {
	p := pfPacket(100)
	for n := 61; n <= len(p); n++ {
		events, _, _ := pfRead(t, pfPcap(binary.BigEndian, pcapMicro, 117, p[:n]), Options{})
		if len(events) != 1 {
			t.Fatalf("%d bytes: %d events", n, len(events))
		}
		_, damaged := events[0].Get("error")
		if whole := n == len(p); damaged == whole {
			t.Errorf("%d bytes: error %v", n, damaged)
		}
	}
}

func FuzzPFLog(f *testing.F) {
	for _, size := range []int{61, 69, 100} {
		f.Add(pfPacket(size))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 4096 {
			return
		}
		events, rejects, _ := pfRead(t, pfPcap(binary.LittleEndian, pcapMicro, 117, packet), Options{})
		if len(events)+len(rejects) != 1 {
			t.Errorf("%d events, %d rejects", len(events), len(rejects))
		}
	})
}

func BenchmarkPFLog(b *testing.B) {
	p := PFLog.New(&Context{Clock: NewClock(Options{}), Arena: &Arena{}})
	file := pfCapture()
	ev := firetrail.NewEvent()
	if err := p.Parse(file[:24], &ev); err != ErrHeader {
		b.Fatal(err)
	}
	rec := file[24 : 24+16+len(pfPacket(61))]
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for b.Loop() {
		ev.Reset()
		if err := p.Parse(rec, &ev); err != nil {
			b.Fatal(err)
		}
	}
}
