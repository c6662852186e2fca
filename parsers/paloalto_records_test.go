package parsers

import (
	"strings"
	"testing"

	"firetrail"
)

// panValues reads one record and gives the named values; a reject stands under "reject".
func panValues(rec string, names ...string) string {
	ev := firetrail.NewEvent()
	if err := PaloAlto.New(newContext(Options{})).Parse([]byte(rec), &ev); err != nil {
		return err.Error()
	}
	var out []string
	for _, name := range names {
		v, _ := ev.Value(name)
		out = append(out, v)
	}
	return strings.Join(out, " ")
}

// panLine makes a record of a log type with cells by column, from 1.
func panLine(columns int, cells map[int]string) string {
	row := make([]string, columns)
	for i, v := range map[int]string{1: "1", 2: "2026/03/01 08:00:01", 3: "0123", 6: "2817", 7: "2026/03/01 08:00:00", 8: "10.20.3.7", 9: "203.0.113.9"} {
		row[i-1] = v
	}
	for i, v := range cells {
		row[i-1] = v
	}
	return strings.Join(row, ",")
}

// The state of a session record is its subtype, so that starts are not summed.
func TestPaloAltoState(t *testing.T) {
	for subtype, want := range map[string]string{"start": "start", "End": "end", "drop": "drop", "deny": "deny", "N/A": "", "": ""} {
		if got := panValues(panLine(65, map[int]string{4: "TRAFFIC", 5: subtype}), "state"); got != want {
			t.Errorf("%s: %q, want %q", subtype, got, want)
		}
	}
	if got := panValues(panLine(75, map[int]string{4: "THREAT", 5: "end"}), "state"); got != "" {
		t.Errorf("THREAT has the state %q", got)
	}
}

// What the column of URLs and file names holds depends on who wrote it.
func TestPaloAltoFetched(t *testing.T) {
	for _, tt := range []struct{ subtype, app, value, host, url, file string }{
		{"virus", "web-browsing", "dl.example.com/pkg/a.nupkg", "dl.example.com", "dl.example.com/pkg/a.nupkg", ""},
		{"wildfire-virus", "web-browsing", "192.0.2.9/x.exe", "", "192.0.2.9/x.exe", ""},
		{"virus", "smtp", "report.pdf", "", "", "report.pdf"},
		{"file", "ms-ds-smb", "share/dir/x.exe", "", "", "share/dir/x.exe"},
		{"file", "web-browsing", "https://dl.example.com/x.exe", "dl.example.com", "https://dl.example.com/x.exe", ""},
		{"spyware", "dns-base", "q.example.org", "q.example.org", "", "q.example.org"},
		{"spyware", "dns", "q.example.org", "q.example.org", "", "q.example.org"},
	} {
		rec := panLine(75, map[int]string{4: "THREAT", 5: tt.subtype, 15: tt.app, 32: tt.value, 33: "Proxy:example.org(109010004)"})
		host := tt.host
		if host == "" {
			host = "example.org" // of the threat
		}
		if got, want := panValues(rec, "host", "url", "x.url_filename"), host+" "+tt.url+" "+tt.file; got != want {
			t.Errorf("%s %s: %q, want %q", tt.subtype, tt.value, got, want)
		}
	}
}

// The type and its subtype may share a field of the CEF header.
func TestPaloAltoCEFHeader(t *testing.T) {
	for header, want := range map[string]string{
		"TRAFFIC|end": "paloalto.traffic end", "end|TRAFFIC": "paloalto.traffic end", "threat/virus|Test": "paloalto.threat virus",
		"a/b|c": `38: unknown PAN-OS log type "a/b", "c"`,
	} {
		if got := panValues("CEF:0|Palo Alto Networks|PAN-OS|11.0|"+header+"|3|src=10.20.3.7 dst=203.0.113.9", "kind", "x.threat_content_type"); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// LEEF may end in its delimiter, and stand behind a header that lacks fields of RFC 5424.
func TestPaloAltoLEEFFrame(t *testing.T) {
	const body = "LEEF:1.0|Palo Alto Networks|PAN-OS|8.1|allow|cat=TRAFFIC|src=10.20.3.7|dst=203.0.113.9|dstPort=443|srcBytes=479|dstBytes=74|"
	for _, head := range []string{"", "<14>Mar  1 08:00:00 fw1 ", "<14>1 2026-03-01T08:00:00Z fw1 "} {
		if got := panValues(head+body, "kind", "dst_port", "bytes_out", "bytes_in"); got != "paloalto.traffic 443 479 74" {
			t.Errorf("%q: %q", head, got)
		}
	}
}

// A record cut behind its type is refused, not passed over.
func TestPaloAltoCut(t *testing.T) {
	for _, rec := range []string{"Mar  1 08:00:01 fw1 1,2026/03/01 08:00:00,0123,SYSTEM,", "1,2026/03/01 08:00:00,0123,TRAFFIC,end"} {
		if got := panValues(rec); !strings.Contains(got, "the record is cut") {
			t.Errorf("%s: %s", rec, got)
		}
	}
	for _, rec := range []string{"a,b,c,SYSTEM,", "1,2,3,4,5"} {
		if got := panValues(rec); got != ErrOther.Error() {
			t.Errorf("%s: %s", rec, got)
		}
	}
}

// Telemetry of Advanced DNS Security comes as JSON with a log type of its own.
func TestPaloAltoDNS(t *testing.T) {
	for rec, want := range map[string]string{
		`{"DeviceSN":"0123","TimeReceived":"2026-03-01T08:00:03.483814Z","LogType":"DNS","Subtype":"realtime_dns_telemetry_response","TimeGenerated":"2026-03-01T08:00:01.000000Z","RecordType":"a","DNSResolverIP":"192.0.2.53","ThreatID":0,"SourceAddress":"10.20.3.7","FromZone":"lab","Action":"Allow","DNSResponse":["203.0.113.9"],"ToZone":null}`: "paloalto.dns 2026-03-01T08:00:01Z 10.20.3.7 192.0.2.53 allow lab ",
		`{"Action":"drop","DNSRdata":[],"DNSThreatName":"generic:c2.example.org","DestinationIP":"192.0.2.30","DeviceSN":"0123","FromZone":"lab","LogType":"THREAT","SourceIP":"10.20.3.7","SubType":"dns_security","ThreatID":678969073,"TimeGenerated":"2026-03-01T08:00:01.000000Z"}`:                                                                  "paloalto.threat 2026-03-01T08:00:01Z 10.20.3.7 192.0.2.30 drop lab c2.example.org",
	} {
		if got := panValues(rec, "kind", "time", "src_ip", "dst_ip", "action", "src_zone", "host"); got != want {
			t.Errorf("%s: %q, want %q", rec, got, want)
		}
	}
}

// The firewall's own header repeats the time received, with the zone.
func TestPaloAltoZoneOfHeader(t *testing.T) {
	rec := panLine(65, map[int]string{4: "TRAFFIC", 5: "end", 36: "2026/03/01 07:59:50"})
	for head, want := range map[string]string{
		"<14>1 2026-03-01T08:00:02+01:00 fw1 - - - - ": "2026-03-01T06:59:50Z ",
		"<14>1 2026-03-01T08:00:02Z fw1 - - - - ":      "2026-03-01T07:59:50Z ",
		"2026-03-01T08:00:02-07:00 fw1 ":               "2026-03-01T14:59:50Z ",
		"<14>1 2026-03-01T07:00:02Z relay - - - - ":    "2026-03-01T07:59:50Z zone", // an hour apart: a zone, or a delay
		"Mar  1 08:00:02 fw1 ":                         "2026-03-01T07:59:50Z zone",
		"":                                             "2026-03-01T07:59:50Z zone",
	} {
		if got := panValues(head+rec, "time", "time.guess"); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

// A relay that leaves columns out moves the high-resolution stamp: in the last
// column it counts where it names the generated time, else it is a stamp like others.
func TestPaloAltoZoneMoved(t *testing.T) {
	for last, want := range map[string]string{
		"2026-03-01T08:00:05.814-07:00": "2026-03-01T15:00:00Z ",
		"2026-03-01T12:00:05.814-07:00": "2026-03-01T08:00:00Z zone",
		"2026-03-01T08:00:05.814":       "2026-03-01T08:00:00Z zone",
		"N/A":                           "2026-03-01T08:00:00Z zone",
	} {
		if got := panValues(panLine(78, map[int]string{4: "TRAFFIC", 5: "end", 78: last}), "time", "time.guess"); got != want {
			t.Errorf("%s: %q, want %q", last, got, want)
		}
	}
}
