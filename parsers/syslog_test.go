package parsers

import (
	"testing"
	"time"

	"firetrail"
)

func TestEnvelope(t *testing.T) {
	tests := []struct {
		name, rec            string
		host, tag, pid, time string
		msg                  string
	}{
		{"rfc3164", "Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] IN=eth0", "gw1", "kernel", "", "2026-03-01T08:00:00Z", "[UFW BLOCK] IN=eth0"},
		{"pri", "<4>Nov 10 23:04:06 USG kernel: [LAN_LOCAL-default-A]IN=eth0", "USG", "kernel", "", "2025-11-10T23:04:06Z", "[LAN_LOCAL-default-A]IN=eth0"},
		{"blank behind pri", "<190> Mar 28 05:40:45 fw-01 1,2025/03/28 05:40:45,007", "fw-01", "", "", "2025-03-28T05:40:45Z", "1,2025/03/28 05:40:45,007"},
		{"no host, tag", "<27>Jan 25 01:58:06 filterlog: 82,,,100", "", "filterlog", "", "2026-01-25T01:58:06Z", "82,,,100"},
		{"no host, no tag", "Oct 30 09:46:12 1,2012/10/30 09:46:12,01606001116,TRAFFIC", "", "", "", "2025-10-30T09:46:12Z", "1,2012/10/30 09:46:12,01606001116,TRAFFIC"},
		{"one digit day, one blank", "<13> Nov 1 11:26:30 TX-PAN-FW-1.example.org 1,2019/10/01", "TX-PAN-FW-1.example.org", "", "", "2025-11-01T11:26:30Z", "1,2019/10/01"},
		{"pid", "Mar  1 08:00:00 pf filterlog[4711]: 7,,,", "pf", "filterlog", "4711", "2026-03-01T08:00:00Z", "7,,,"},
		{"doubled host", "Jun 13 23:29:15 UDMP UDMP [WAN_LOCAL-D-1] IN=eth8", "UDMP", "", "", "2025-06-13T23:29:15Z", "[WAN_LOCAL-D-1] IN=eth8"},
		{"relay", "Mar  1 08:00:00 192.0.2.9 gw1 kernel: IN=", "gw1", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"two headers", "Feb 24 22:09:26 192.0.2.40 Feb 24 22:06:07 fw2 1,2026/02/24", "fw2", "", "", "2026-02-24T22:06:07Z", "1,2026/02/24"},
		{"decimals", "Jul 14 12:17:01.234 pc CRON[8]: x", "pc", "CRON", "8", "2025-07-14T12:17:01.234Z", "x"},
		{"year behind day", "Mar 01 2025 08:00:00 gw1 : x", "gw1", "", "", "2025-03-01T08:00:00Z", ": x"},
		{"rfc5424", `<134>1 2025-11-06T11:32:42.868451+01:00 fw.lan filterlog 92653 - - 7,,,10`, "fw.lan", "filterlog", "92653", "2025-11-06T10:32:42.868451Z", "7,,,10"},
		{"rfc5424 data", `<38>1 2022-01-19T14:23:55Z OPN.local filterlog 44255 - [meta sequenceId="1"][x y="]\"]"] 61,,`, "OPN.local", "filterlog", "44255", "", "61,,"},
		{"rfc5424 nil", "<174>1 2003-08-24T05:14:15+00:00 - - - - - IN=enx OUT=", "", "", "", "2003-08-24T05:14:15Z", "IN=enx OUT="},
		{"rfc5424 second 60", "<174>1 2016-12-31T23:59:60-04:00 resolver.se prg - -  info", "resolver.se", "prg", "", "2017-01-01T04:00:00Z", "info"},
		{"rfc5424 nil stamp", "<13>1 - h app - - - text", "h", "app", "", "", "text"},
		{"rfc5424 bracket prefix", "<4>1 2026-03-01T08:00:00Z gw kernel - - - [UFW BLOCK] IN=eth0", "gw", "kernel", "", "2026-03-01T08:00:00Z", "[UFW BLOCK] IN=eth0"},
		{"iso", "2025-11-30T00:00:20.570472-07:00 m1 kernel: [5.1] IN=", "m1", "kernel", "", "2025-11-30T07:00:20.570472Z", "IN="},
		{"iso without zone", "2025-11-30 00:00:20,123 m1 kernel: IN=", "m1", "kernel", "", "2025-11-30T00:00:20.123Z", "IN="},
		{"journalctl short-iso", "2025-11-30T00:00:20+0100 m1 kernel: IN=", "m1", "kernel", "", "2025-11-29T23:00:20Z", "IN="},
		{"journalctl short-full", "Sun 2025-11-30 00:00:20 UTC m1 kernel: IN=", "m1", "kernel", "", "2025-11-30T00:00:20Z", "IN="},
		{"journalctl short-unix", "1764460820.570472 m1 kernel: IN=", "m1", "kernel", "", "2025-11-30T00:00:20.570472Z", "IN="},
		{"journalctl short-monotonic", "[ 1732.118004] m1 kernel: IN=", "m1", "kernel", "", "", "IN="},
		{"logread", "Mon Mar 23 13:16:49 2026 kern.warn kernel: [311423.870453] reject wan in: IN=pppoe", "", "kernel", "", "2026-03-23T13:16:49Z", "reject wan in: IN=pppoe"},
		{"facility first", "kern.info: Oct 12 08:00:00 gw kernel: IN=", "gw", "kernel", "", "2025-10-12T08:00:00Z", "IN="},
		{"freebsd facility", "Mar  1 08:00:00 <kern.crit> gw kernel: IN=", "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"dmesg", "[ 1732.118004] reject wan in: IN=", "", "", "", "", "reject wan in: IN="},
		{"dmesg caller", "[ 1732.118004][  T312] [UFW BLOCK] IN=", "", "", "", "", "[UFW BLOCK] IN="},
		{"dmesg -T", "[Sun Mar  1 08:00:00 2026] [UFW BLOCK] IN=", "", "", "", "2026-03-01T08:00:00Z", "[UFW BLOCK] IN="},
		{"octet count", "57 <13>Mar  1 08:00:00 gw kernel: IN=", "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"cef", "Apr  7 10:10:10 hostname CEF: 0|Palo Alto", "hostname", "", "", "2025-04-07T10:10:10Z", "CEF: 0|Palo Alto"},
		{"journald", `{"MESSAGE":"[UFW BLOCK] IN=eth0","SYSLOG_IDENTIFIER":"kernel","_HOSTNAME":"gw","__REALTIME_TIMESTAMP":"1764460820570472"}`, "gw", "kernel", "", "2025-11-30T00:00:20.570472Z", "[UFW BLOCK] IN=eth0"},
		{"journald bytes", `{ "MESSAGE" : [73, 78,61], "__REALTIME_TIMESTAMP" : "1764460820570472" }`, "", "", "", "2025-11-30T00:00:20.570472Z", "IN="},
		{"journald tag", `{"MESSAGE":"nft-drop: IN=\u0022","SYSLOG_IDENTIFIER":"kernel","__REALTIME_TIMESTAMP":"1764460820570472"}`, "", "kernel", "", "2025-11-30T00:00:20.570472Z", `nft-drop: IN="`},
		{"shipper", `{"@timestamp":"2025-12-31T23:59:59Z","host":{"name":"x"},"message":"Jan  1 00:00:01 gw kernel: IN="}`, "gw", "kernel", "", "2026-01-01T00:00:01Z", "IN="},
		{"shipper's device", `{"@timestamp":"2025-12-31T23:59:59Z","host":{"hostname":"gw","ip":["10.20.3.7"]},"syslog":{"identifier":"kernel"},"message":"drop: IN="}`, "gw", "kernel", "", "2025-12-31T23:59:59Z", "drop: IN="},
		{"elastic", `{"@timestamp":"2025-03-01T08:00:09Z","message":"short","event":{"original":"Mar  1 08:00:00 gw kernel: IN=","dataset":"d"},"source":{"ip":"10.20.3.7"}}`, "gw", "kernel", "", "2025-03-01T08:00:00Z", "IN="},
		{"elasticsearch", `{"_index":"i","_source":{"@timestamp":"2025-12-31T23:59:59Z","message":"<4>Dec 31 23:59:58 gw kernel: IN="}}`, "gw", "kernel", "", "2025-12-31T23:59:58Z", "IN="},
		{"splunk", `{"preview":false,"offset":0,"result":{"_raw":"Mar  1 08:00:00 gw kernel: IN=","_time":"2026-03-01 08:00:00.000 UTC","host":"hf1"}}`, "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"splunk collector", `{"time":"2026-03-01T08:00:00Z","host":"gw","event":"kernel: IN="}`, "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"wazuh", `{"timestamp":"2026-03-01T08:00:01.000+0000","rule":{"level":5},"agent":{"name":"a"},"full_log":"Mar  1 08:00:00 gw kernel: IN=","location":"x"}`, "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"google", `{"jsonPayload":{"message":"kernel: IN=","host":"gw"},"timestamp":"2026-03-01T08:00:00Z"}`, "gw", "kernel", "", "2026-03-01T08:00:00Z", "IN="},
		{"fluentd", `2026-03-01 08:00:02 +0000 fw.local0.info: {"host":"gw","ident":"filterlog","pid":7,"message":"7,,,10"}`, "gw", "filterlog", "", "2026-03-01T08:00:02Z", "7,,,10"},
		{"fluentd file", "2026-03-01T08:00:02+00:00\tfw.local0.info\t" + `{"ident":"filterlog","message":"7,,,10"}`, "", "filterlog", "", "2026-03-01T08:00:02Z", "7,,,10"},
		{"zeek behind a header", `<14>Mar  1 08:00:00 sensor zeek: {"ts":1.5,"level":"Reporter::INFO","message":"IN="}`, "sensor", "zeek", "", "2026-03-01T08:00:00Z", `{"ts":1.5,"level":"Reporter::INFO","message":"IN="}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newContext(Options{ModTime: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)})
			env, msg, ok := c.envelope([]byte(test.rec))
			if !ok {
				t.Fatal("no header seen")
			}
			at, _ := env.time(c.Clock)
			got := [...]string{env.host, env.tag, env.pid, firetrail.Stamp(at), string(msg)}
			want := [...]string{test.host, test.tag, test.pid, test.time, test.msg}
			if test.time == "" && test.name == "rfc5424 data" {
				want[3] = "2022-01-19T14:23:55Z"
			}
			if got != want {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
}

func TestNoEnvelope(t *testing.T) {
	for _, rec := range []string{"", " ", "IN=eth0 OUT=", "7,,,100,em0,match", "1,2021/09/19 11:55:38,013", "2021-10-27T19:20:59.000000Z,no-serial,TRAFFIC",
		"1359565680.761790\tUWk", `{"ts":1.5,"uid":"C1"}`, "totallyinvalidline", "{", `{"MESSAGE`, `{"MESSAGE":null}`, `{"event":{"original":null}}`, `{"host":{"name":"x"},"event":{"kind":"event"}}`, "<", "<>", "<1234>x", "Chain INPUT (policy ACCEPT)"} {
		c := newContext(Options{})
		if _, msg, ok := c.envelope([]byte(rec)); ok || string(msg) != rec {
			t.Errorf("%q: taken for a header, message %q", rec, msg)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add("<134>1 2025-11-06T11:32:42.868451+01:00 fw.lan filterlog 92653 - [a b=\"\\\"]\"] 7,,,10")
	f.Add("<4>Nov 10 23:04:06 USG kernel: [ 12.5][ T1] x")
	f.Add("[Sun Mar  1 08:00:00 2026] x")
	f.Add(`{"MESSAGE":"\ud83d\ude00\u12","__REALTIME_TIMESTAMP":"1"}`)
	f.Add(`{"result":{"_raw":"Mar  1 08:00:00 gw kernel: IN=","event":{"original":1},"host":{}}}`)
	f.Add(`2026-03-01 08:00:02 +0000 fw: {"message":"x"}`)
	f.Add("Sun 2025-11-30 00:00:20 UTC m1 kernel: IN=")
	f.Add("Feb 24 22:09:26 192.0.2.40 Feb 24 22:06:07 fw2 1,2026/02/24")
	c := newContext(Options{Now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)})
	f.Fuzz(func(t *testing.T, rec string) {
		env, msg, ok := c.envelope([]byte(rec))
		if !ok && string(msg) != rec {
			t.Errorf("no header, yet the message %q differs", msg)
		}
		env.time(c.Clock)
	})
}

func BenchmarkEnvelope(b *testing.B) {
	for _, rec := range []string{
		"Mar  1 08:00:00 gw1 kernel: [ 1732.118004] [UFW BLOCK] IN=eth0",
		"<134>1 2025-11-06T11:32:42.868451+01:00 fw.lan filterlog 92653 - [meta sequenceId=\"1\"] 7,,,10",
		`{"MESSAGE":"[UFW BLOCK] IN=eth0","SYSLOG_IDENTIFIER":"kernel","_HOSTNAME":"gw","__REALTIME_TIMESTAMP":"1764460820570472"}`,
	} {
		b.Run(rec[:6], func(b *testing.B) {
			c := newContext(Options{Now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)})
			lines := [2][]byte{[]byte(rec), []byte(rec)} // the latest record's header is remembered
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				env, _, _ := c.envelope(lines[i&1])
				env.time(c.Clock)
			}
		})
	}
}
