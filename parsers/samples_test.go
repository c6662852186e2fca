package parsers

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// sampleOptions date the stamps of the samples that have no year.
var sampleOptions = Options{ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}

// sampleFiles are the logs of one format's folder under samples.
func sampleFiles(t *testing.T, f Format) []string {
	var out []string
	files, err := filepath.Glob(filepath.Join("../samples", f.Name, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if !strings.Contains(filepath.Base(path), ".golden") {
			out = append(out, path)
		}
	}
	return out
}

// TestSamples: every format has samples, they are recognised by their content,
// every byte of them is accounted for, and they hold nobody's addresses.
func TestSamples(t *testing.T) {
	for _, f := range All {
		files := sampleFiles(t, f)
		if len(files) == 0 {
			t.Errorf("%s has no samples", f.Name)
		}
		for _, path := range files {
			t.Run(f.Name+"/"+filepath.Base(path), func(t *testing.T) {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				rd, err := NewReader(bytes.NewReader(data), sampleOptions)
				if err != nil {
					t.Fatal(err)
				}
				if rd.Format().Name != f.Name {
					t.Errorf("taken for %s", rd.Format().Name)
				}
				opt := sampleOptions
				opt.Format = f.Name
				if _, _, err := account(t, bytes.NewReader(data), int64(len(data)), opt); err != nil && !f.Binary {
					t.Error(err)
				}
				checkAddresses(t, data, f.Binary)
			})
		}
	}
}

var dotted = regexp.MustCompile(`\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b`)

// checkAddresses allows addresses for documentation, private, local and group ones.
func checkAddresses(t *testing.T, data []byte, binary bool) {
	if binary {
		return
	}
	var allowed []netip.Prefix
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "224.0.0.0/3", "0.0.0.0/8"} {
		allowed = append(allowed, netip.MustParsePrefix(p))
	}
	for _, word := range dotted.FindAll(data, -1) {
		a, err := netip.ParseAddr(string(word))
		if err != nil {
			continue
		}
		known := false
		for _, p := range allowed {
			known = known || p.Contains(a)
		}
		if !known {
			t.Errorf("%s is somebody's address", a)
		}
	}
}

// golden prints what a source gives: events as JSON, rejects, facts, counts.
func golden(t *testing.T, data []byte, opt Options) string {
	events, rejects, facts, counts, err := readAll(bytes.NewReader(data), opt)
	var b []byte
	for i := range events {
		b = append(firetrail.AppendJSON(b, &events[i]), '\n')
	}
	for _, r := range rejects {
		b = fmt.Appendf(b, `{"reject":{"line":%d,"offset":%d,"length":%d,"column":%d,"reason":%q}}`+"\n", r.Line, r.Offset, r.Length, r.Column, r.Reason)
	}
	for _, f := range facts {
		b = fmt.Appendf(b, `{"fact":{"line":%d,"time":%q,"lost":%d,"text":%q}}`+"\n", f.Line, firetrail.Stamp(f.Time), f.Lost, f.Text)
	}
	b = fmt.Appendf(b, `{"counts":{"records":%d,"events":%d,"rejected":%d,"headers":%d,"other":%d}}`+"\n",
		counts.Records, counts.Events, counts.Rejected, counts.Headers, counts.Other)
	if err != nil {
		b = fmt.Appendf(b, `{"error":%q}`+"\n", err)
	}
	return string(b)
}

// TestSamplesIptables compares the parses of the kernel's samples with the golden files.
func TestSamplesIptables(t *testing.T) {
	for _, path := range sampleFiles(t, iptables) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, file := golden(t, data, sampleOptions), strings.TrimSuffix(path, ".log")+".golden.jsonl"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("-golden +got:\n%s", d)
			}
		})
	}
}
