package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"firetrail"
)

const hostile = "<script>alert(1)</script>\x1b[31m\u202e|[x](http://evil.example)`*=cmd()\r\n# h"

// sample is a report in which every text from outside is hostile.
func sample() *Report {
	origin := firetrail.Origin{Source: "0123456789abcdef", Line: 7, Offset: 90, Length: 12}
	f := firetrail.Finding{
		ID: "f-1", Detector: "ssh_tunnel", Title: hostile, Severity: "high", Score: .9, SrcIP: netip.MustParseAddr("10.0.0.1"),
		DstPort: firetrail.Absent, Start: 1e18, End: 1e18 + 5e9, Count: 3,
		Targets: []firetrail.Target{{IP: netip.MustParseAddr("203.0.113.9"), Port: 22, Host: hostile}},
		Why:     []firetrail.Part{{Part: "duration", Points: 1, Text: hostile}},
		Evidence: []firetrail.Evidence{{Origin: origin, Path: hostile, SHA256: strings.Repeat("ab", 32), Raw: []byte(hostile + "```")},
			{Origin: origin, SHA256: strings.Repeat("cd", 32), Raw: []byte{0xff, 0xfe}}},
		Bursts: []firetrail.Interval{{Start: 1e18, End: 1e18 + 1e9}},
	}
	i := firetrail.Incident{ID: "i-1", Title: hostile, Severity: "high", Start: 1e18, End: 1e18 + 5e9, Detectors: []string{"ssh_tunnel"},
		Sources: []netip.Addr{f.SrcIP}, Targets: f.Targets, Findings: []string{"f-1"}, Cause: firetrail.Cause{Verdict: "undetermined", Facts: []string{hostile}},
		Phases: []firetrail.Phase{{Name: "tunnel", Start: 1e18, End: 1e18 + 5e9, Findings: []string{"f-1"}}}}
	i.Run = &firetrail.RunRef{ID: hostile, Probability: .9, Level: "A4"}
	i.Against, i.Unseen, i.Elsewhere = []string{hostile}, []string{hostile}, []string{hostile}
	return &Report{Title: hostile, Case: "case", Notes: []string{hostile}, Repeat: []string{"firetrail verify report.html"},
		Sources: []firetrail.Source{{ID: "0123456789abcdef", Path: hostile, Sensor: hostile, First: firetrail.Absent, Last: firetrail.Absent, Counts: firetrail.Counts{Records: 3, Events: 2, Rejected: 1}}},
		Results: firetrail.Results{Reasons: []string{hostile}, Findings: []firetrail.Finding{f}, Incidents: []firetrail.Incident{i},
			Untestable: []firetrail.Untestable{{Detector: "beacon", Reason: hostile}}, Suppressed: []firetrail.Suppressed{{Entry: hostile, Reason: hostile, Listed: []string{hostile}}}}}
}

// markup is a character that begins markup and is not escaped.
var markup = regexp.MustCompile(`(^|[^\\])[<\[]`)

func TestHostileTextIsInert(t *testing.T) {
	for _, form := range All {
		var b bytes.Buffer
		if err := form.Write(&b, sample()); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, bad := range []string{"\x1b", "\u202e", "\r"} {
			if strings.Contains(text, bad) && form.Name != "json" || form.Name == "json" && strings.ContainsAny(text, "\x1b\r") {
				t.Errorf("%s holds %q", form.Name, bad)
			}
		}
		if form.Name == "html" && strings.Contains(text, "<script") {
			t.Error("html holds a script")
		}
		if form.Name == "markdown" {
			fence := ""
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				switch {
				case fence == "" && strings.HasPrefix(line, "```"):
					fence = line[:len(line)-len(strings.TrimLeft(line, "`"))]
				case fence != "" && line == fence:
					fence = ""
				case fence == "" && (markup.MatchString(line) || strings.HasPrefix(line, "# h")):
					t.Errorf("markdown outside a fence: %q", line)
				}
			}
			if fence != "" {
				t.Error("markdown: a fence is open")
			}
		}
	}
}

func TestEveryFormCitesItsEvidence(t *testing.T) {
	r := sample()
	want := Reference(&r.Results.Findings[0].Evidence[0])
	if want != "e-0123456789abcdef-90+12 sha256:"+strings.Repeat("ab", 32) {
		t.Error(want)
	}
	for _, form := range All {
		var a, b bytes.Buffer
		if err := form.Write(&a, r); err != nil {
			t.Fatal(err)
		}
		if err := form.Write(&b, r); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two writings differ", form.Name)
		}
		if form.Name != "json" {
			// The page escapes "+" in text; a browser shows it as it is.
			if !strings.Contains(strings.ReplaceAll(a.String(), "&#43;", "+"), want) {
				t.Errorf("%s does not cite %s", form.Name, want)
			}
			continue
		}
		var doc struct {
			Complete bool
			Findings []struct{ Evidence []map[string]any }
		}
		if err := json.Unmarshal(a.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		e := doc.Findings[0].Evidence[1]
		if e["raw_encoding"] != "base64" || e["raw"] != "//4=" || e["event"] != "e-0123456789abcdef-90" {
			t.Errorf("evidence %v", e)
		}
	}
}

func TestSelect(t *testing.T) {
	r := sample().Results
	r.Findings = append(r.Findings, firetrail.Finding{ID: "f-2"})
	if got := Select(r, []string{"i-1"}, nil); len(got.Findings) != 1 || len(got.Incidents) != 1 {
		t.Errorf("%d findings, %d incidents", len(got.Findings), len(got.Incidents))
	}
	if got := Select(r, []string{"i-9"}, nil); len(got.Findings) != 0 || len(got.Incidents) != 0 {
		t.Errorf("unknown incident: %d findings", len(got.Findings))
	}
	if got := Select(r, nil, nil); len(got.Findings) != 2 {
		t.Errorf("no selection: %d findings", len(got.Findings))
	}
}
