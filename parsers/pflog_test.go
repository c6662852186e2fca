package parsers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
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
