package parsers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
)

// panRecordOf is a record of the corpora with what its upstream test asserts.
type panRecordOf struct {
	where    string
	line     string
	expected map[string]any
}

// panCorpus reads a file of the corpora: lines, or objects with "line" and expectations.
func panCorpus(t *testing.T, path string) (records []panRecordOf) {
	t.Helper()
	root := os.Getenv("FIRETRAIL_CORPORA")
	if root == "" {
		t.Skip("FIRETRAIL_CORPORA is not set")
	}
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		where := fmt.Sprintf("%s:%d", path, n)
		line = bytes.TrimRight(line, "\r\n")
		if !strings.HasSuffix(path, ".jsonl") {
			records = append(records, panRecordOf{where: where, line: string(line)})
			continue
		}
		var o struct {
			Line                   string
			Expected, Fields, Meta map[string]any
		}
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		r := panRecordOf{where, o.Line, map[string]any{}}
		for _, m := range []map[string]any{o.Expected, o.Fields, o.Meta} {
			for k, v := range m {
				r.expected[k] = v
			}
		}
		records = append(records, r)
	}
	return records
}

// panNames maps upstream names to ours; "a b" tries both. "" is not a statement
// about the record (a version of the upstream parser, what it left unparsed).
var panNames = map[string]string{
	// pan-os-syslog
	"deviceName": "x.device_name", "packetsReceived": "packets_in", "bytesReceived": "bytes_in", "sourceUser": "user", "actionSource": "x.action_source",
	"contentVersion": "x.content_version", "miscellaneous": "url x.url_filename", "virtualSystemName": "x.virtual_system_name", "sender": "x.sender",
	"httpHeaders": "x.http_headers", "user": "user", "objectId": "x.object_id", "urlCategoryList": "x.url_category_list", "status": "x.status",
	"threatId": "x.threat_id", "threatName": "x.threat_id", "subtype": "x.threat_content_type x.content_threat_type x.subtype",
	// metron
	"palo_alto_domain": "x.future_use", "receive_time": "x.receive_time", "serial": "x.serial_number", "type": "kind", "config_version": "x.future_use_2",
	"time_generated": "x.generated_time", "vsys": "x.virtual_system", "event_id": "x.event_id", "object": "x.object", "module": "x.module", "severity": "x.severity",
	"description": "x.description", "seqno": "x.sequence_number", "actionflags": "x.action_flags", "dg_hier_level_1": "x.device_group_hierarchy_level_1",
	"dg_hier_level_2": "x.device_group_hierarchy_level_2", "dg_hier_level_3": "x.device_group_hierarchy_level_3", "dg_hier_level_4": "x.device_group_hierarchy_level_4",
	"vsys_name": "x.virtual_system_name", "device_name": "sensor", "host": "src_ip", "command": "x.command", "admin": "user", "client": "x.client",
	"result": "x.result", "configuration_path": "x.configuration_path", "before_change_detail": "x.before_change_detail", "after_change_detail": "x.after_change_detail",
	"action": "x.action", "app": "app", "category": "x.category", "direction": "x.direction", "dstloc": "dst_country x.destination_country x.destination_location",
	"srcloc": "src_country x.source_country x.source_location", "flags": "x.flags", "from": "src_zone", "to": "dst_zone", "inbound_if": "in_interface",
	"outbound_if": "out_interface", "ip_dst_addr": "dst_ip", "ip_src_addr": "src_ip", "ip_dst_port": "dst_port", "ip_src_port": "src_port", "log_action": "x.log_action",
	"natdport": "nat_dst_port", "natsport": "nat_src_port", "natdst": "nat_dst_ip", "natsrc": "nat_src_ip", "pcap_id": "x.pcap_id", "protocol": "proto",
	"repeatcnt": "x.repeat_count", "rule": "rule", "sessionid": "x.session_id", "srcuser": "user", "dstuser": "x.destination_user", "start": "x.start_time x.future_use_3",
	"threatid": "x.threat_id", "url": "url x.url_filename", "bytes": "x.bytes", "bytes_received": "bytes_in", "bytes_sent": "bytes_out", "elapsed": "duration",
	"packets": "x.packets", "pkts_sent": "packets_out", "pkts_received": "packets_in", "url_idx": "x.url_index", "reportid": "x.report_id",
	"action_source": "x.action_source", "session_end_reason": "reason", "content_version": "x.content_version", "parent_session_id": "x.parent_session_id",
	"threat_category": "x.threat_category", "tunnel_id": "x.tunnel_id_imsi", "tunnel_type": "x.tunnel_type", "parser_version": "",
	// rsyslog, LEEF
	"vendor": "", "productVersion": "x.version", "src": "src_ip", "dst": "dst_ip", "cat": "kind", "proto": "proto", "SessionID": "x.session_id",
	// sc4s
	"sourcetype": "kind",
	// crowdsec
	"fwd_to_panorama": "x.action_flags", "nat_src_port": "nat_src_port", "nat_dst_port": "nat_dst_port", "nat_src_ip": "nat_src_ip", "nat_dst_ip": "nat_dst_ip",
	"pan_log_flags": "x.flags", "repeat_count": "x.repeat_count", "src_zone": "src_zone", "dst_zone": "dst_zone", "threat_id": "x.threat_id", "threat_type": "x.threat_id",
	"dst_port": "dst_port", "src_port": "src_port", "ip_proto": "proto", "session_id": "x.session_id", "src_ip": "src_ip", "dst_ip": "dst_ip", "source_ip": "src_ip",
	"log_seq_num": "x.sequence_number", "log_type": "kind", "pan_unknown": "x.future_use_2", "url_category_or_wildfire_verdict": "x.category",
	"ingress_int": "in_interface", "egress_int": "out_interface", "log_fwd_profile": "x.log_action", "pan_reserved": "x.future_use", "file_hash": "x.pcap_id",
	"log_subtype": "x.threat_content_type", "serial_number": "x.serial_number", "src_country": "src_country", "dst_country": "dst_country",
	"source_location": "src_country", "destination_location": "dst_country", "generation_timestamp": "x.generated_time", "rule_name": "rule", "application": "app",
	"url_or_filename": "url x.url_filename", "syslog_hostname": "", "syslog_timestamp": "", "unparsed_data": "",
}

// panAgrees compares one expectation with the event. said is false where the
// expectation says nothing about the record.
func panAgrees(ev *firetrail.Event, name string, value any) (got, want string, ok, said bool) {
	want = fmt.Sprint(value)
	if f, is := value.(float64); is {
		want = fmt.Sprintf("%.0f", f)
	}
	ours, known := panNames[name]
	if !known {
		return "", want, false, true
	}
	if ours == "" {
		return "", want, true, false
	}
	for _, field := range strings.Fields(ours) {
		if v, has := ev.Value(field); has && v != "" {
			got = v
			break
		}
	}
	switch name {
	case "sourcetype":
		want = strings.Replace(want, "pan:", "paloalto.", 1)
	case "type", "cat", "log_type":
		if want == "palo_alto" {
			want = got
		}
		want = "paloalto." + strings.TrimPrefix(strings.ToLower(want), "paloalto.")
	case "threatId": // the number at the end
		return got, want, strings.HasSuffix(got, "("+want+")"), true
	case "threatName": // upstream ends it at its first bracket
		return got, want, strings.HasPrefix(got, want), true
	case "natsrc", "natdst", "natsport", "natdport": // nothing was translated
		if want == "0.0.0.0" || want == "0" {
			want = ""
		}
	case "configuration_path":
		got = strings.TrimSpace(got)
	case "dstuser": // escaped once more upstream
		want = strings.ReplaceAll(want, `\\`, `\`)
		got = strings.ReplaceAll(got, `\\`, `\`)
	}
	return got, want, got == want, true
}

// TestPaloAltoCorpora checks every expectation of the corpora. Files without any
// show that their records are read, or refused for the reason given here.
func TestPaloAltoCorpora(t *testing.T) {
	for _, tt := range []struct {
		path    string
		refused map[string]string // record: part of the reason
	}{
		{path: "panos/pan-os-syslog/samples.jsonl"},
		{path: "panos/metron/PaloaltoOutput.log", refused: map[string]string{"88": `destination_address "23.200" is not an IP address`}},
		{path: "panos/metron/palo.cef"},
		{path: "panos/metron/paloalto_parser_tests.jsonl", refused: map[string]string{"14": "unknown PAN-OS log type", "15": "14 columns"}},
		{path: "panos/rsyslog-leef/leef.jsonl"},
		{path: "panos/rsyslog-leef/threat_url_quoted_json.log", refused: map[string]string{"1": `"##IP##" is not an IP address`}},
		{path: "panos/pan-splunk-apps/pan_globalprotect.samplelog"},
		{path: "panos/pan-splunk-apps/pan_incident_data_config.samplelog"},
		{path: "panos/pan-splunk-apps/pan_correlation.samplelog"},
		{path: "panos/pan-splunk-apps/pan_firewall_cloud_globalprotect.json"},
		{path: "panos/cribl/samples.log"},
		{path: "panos/crowdsec-hub/palo-alto-threat/palo-alto-threat.log"},
		{path: "panos/crowdsec-hub/palo-alto-threat/expected.jsonl"},
		// Upstream masked addresses and ports of its DECRYPTION samples.
		{path: "mixed/sc4s/palo_alto.jsonl", refused: map[string]string{"25": `"XXX.XXX.XXX.XXX" is not an IP address`,
			"26": `"XXX.XXX.XXX.XXX" is not an IP address`, "27": `source_port "1111111"`, "28": `source_port "1111111"`}},
	} {
		t.Run(strings.ReplaceAll(tt.path, "/", "_"), func(t *testing.T) {
			records := panCorpus(t, tt.path)
			if strings.Contains(tt.path, "paloalto_parser_tests") {
				records = panMatched(t, records)
			}
			p := PaloAlto.New(newContext(Options{ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}))
			events, refused, values := 0, 0, 0
			for _, r := range records {
				ev := firetrail.NewEvent()
				err := p.Parse([]byte(r.line), &ev)
				_, n, _ := strings.Cut(r.where, ":")
				if reason, ok := tt.refused[n]; ok {
					refused++
					if err == nil || !strings.Contains(err.Error(), reason) {
						t.Errorf("%s: got %v, want a refusal: %s", r.where, err, reason)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", r.where, err)
					continue
				}
				events++
				if ev.Time == firetrail.Absent || ev.Sensor == "" {
					t.Errorf("%s: no time or no sensor", r.where)
				}
				for _, name := range panSorted(r.expected) {
					got, want, ok, said := panAgrees(&ev, name, r.expected[name])
					if !ok {
						t.Errorf("%s: %s (%s): got %q, want %q", r.where, name, panNames[name], got, want)
					}
					if said {
						values++
					}
				}
			}
			t.Logf("%-60s records %4d  events %4d  refused %2d  values checked %4d", tt.path, len(records), events, refused, values)
			if refused != len(tt.refused) {
				t.Errorf("%d records refused as foreseen, want %d", refused, len(tt.refused))
			}
		})
	}
}

func panSorted(m map[string]any) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// panMatched puts expectations to the record that they are about. In that file
// those of the session types stand one record further on.
func panMatched(t *testing.T, records []panRecordOf) []panRecordOf {
	t.Helper()
	out := slices.Clone(records)
	for i := range out {
		out[i].expected = nil
	}
	matched := 0
	for _, r := range records {
		for i := range out {
			f := strings.Split(out[i].line, ",")
			if r.expected["type"] != f[3] || r.expected["time_generated"] != f[6] || out[i].expected != nil {
				continue
			}
			if a, ok := r.expected["ip_src_addr"]; (ok && a != f[7]) || r.where != out[i].where && !ok {
				continue
			}
			out[i].expected = r.expected
			matched++
			break
		}
	}
	t.Logf("%d of %d expectations belong to a record of the file", matched, len(records))
	return out
}

// TestPaloAltoCorporaDetect: every file is recognised from its content.
func TestPaloAltoCorporaDetect(t *testing.T) {
	for _, path := range []string{"panos/metron/PaloaltoOutput.log", "panos/metron/palo.cef", "panos/pan-splunk-apps/pan_globalprotect.samplelog",
		"panos/pan-splunk-apps/pan_incident_data_config.samplelog", "panos/pan-splunk-apps/pan_correlation.samplelog",
		"panos/pan-splunk-apps/pan_firewall_cloud_globalprotect.json", "panos/cribl/samples.log", "panos/crowdsec-hub/palo-alto-threat/palo-alto-threat.log"} {
		var lines []string
		for _, r := range panCorpus(t, path) {
			lines = append(lines, r.line)
		}
		rd, err := NewReader(strings.NewReader(strings.Join(lines, "\n")), Options{})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if rd.Format().Name != "paloalto" {
			t.Errorf("%s: read as %s", path, rd.Format().Name)
		}
	}
}
