package parsers

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firetrail"
)

// kindOfLine reads one line as a source of its own and gives the kind of its event, "" if
// it is none.
func kindOfLine(t *testing.T, line string) (string, error) {
	opt := sampleOptions
	opt.Format = "iptables" // the others are offered what it declines
	events, rejects, _, _, err := readAll(strings.NewReader(line), opt)
	switch {
	case err != nil:
		return "", err
	case len(rejects) > 0:
		return "", errors.New(rejects[0].Reason)
	case len(events) > 0:
		return events[0].Kind, nil
	}
	return "", nil
}

func TestCorpusMixed(t *testing.T) {
	type sample struct {
		Line, Kind string
		Expected   struct{ Sourcetype string }
	}
	families := map[string]string{"ubnt:fw": "iptables", "pfsense:filterlog": "pf", "SHOREWALL": "iptables"}
	total, ours := 0, 0
	for _, path := range []string{"sc4s/linux_syslog", "sc4s/pfsense", "sc4s/palo_alto", "sc4s/ubiquiti_unifi",
		"logstash-patterns-core/shorewall", "logstash-patterns-core/suse_and_near_neighbours", "logstash-patterns-core/syslog"} {
		for _, s := range jsonLines[sample](t, corpus(t, "mixed/"+path+".jsonl")) {
			want := families[s.Expected.Sourcetype+s.Kind]
			switch {
			case strings.HasPrefix(s.Expected.Sourcetype, "pan:"):
				want = "paloalto"
			case strings.Contains(s.Line, "SFW2-") || strings.Contains(s.Line, "SuSE-FW") || strings.Contains(s.Line, " IN=enx"):
				want = "iptables"
			}
			kind, err := kindOfLine(t, s.Line)
			family, _, _ := strings.Cut(kind, ".")
			if err != nil && strings.Contains(s.Line, "DECRYPTION") {
				family, err = "paloalto", nil // masked by upstream: addresses of X, ports of seven digits
			}
			if family != want || err != nil {
				t.Errorf("%s: %.120s\n taken for %q (%v), expected %q", path, s.Line, kind, err, want)
			}
			total++
			if want != "" {
				ours++
			}
		}
	}
	t.Logf("mixed: %d lines, %d of the four families, %d of others", total, ours, total-ours)
}

// TestCorpusNeighbours: logs that are none of ours are refused, by name where
// they can be recognised.
func TestCorpusNeighbours(t *testing.T) {
	for path, want := range map[string]string{
		"iptables/geoBan_Notifier/iptables-L-output.log":                                "the output of iptables -L",
		"iptables/crowdsec-hub/mikrotik-scan-multi_ports/mikrotik-scan-multi_ports.log": "MikroTik",
		"iptables/crowdsec-hub/unifi-cef/cef-logs.log":                                  "CEF events of UniFi",
		"pf/crowdsec-hub/opnsense-sshd/opnsense-sshd.log":                               "a syslog without firewall records",
		"syslog/plaso/syslog": "a syslog without firewall records",
	} {
		data, err := os.ReadFile(corpus(t, path))
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewReader(bytes.NewReader(data), Options{})
		unknown, ok := errors.AsType[*UnknownFormatError](err)
		if !ok || unknown.Looks != want || len(unknown.Why) < len(All) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestCorpusEnvelopes reads every line of the syslog samples: those with a
// header give a date, and nothing of them is taken for a firewall's record.
func TestCorpusEnvelopes(t *testing.T) {
	files, err := filepath.Glob(corpus(t, "syslog/*/*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := newContext(sampleOptions)
		lines, headers, dates := 0, 0, 0
		for line := range bytes.Lines(data) {
			line = bytes.TrimRight(line, "\r\n")
			lines++
			env, _, ok := c.envelope(line)
			if !ok {
				continue
			}
			headers++
			if at, _ := env.time(c.Clock); at != firetrail.Absent {
				dates++
			}
		}
		opt := sampleOptions
		opt.Format = "iptables"
		counts, _, err := account(t, bytes.NewReader(data), int64(len(data)), opt)
		if err != nil || counts.Events+counts.Rejected > 0 {
			t.Errorf("%s: %+v %v", path, counts, err)
		}
		t.Logf("%-50s %3d lines, %3d with a header, %3d dated", filepath.Base(path), lines, headers, dates)
	}
}
