package simulate_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firetrail/parsers"
	"firetrail/parsers/runs"
	"firetrail/samples/simulate"
)

// write simulates into a fresh folder.
func write(t *testing.T, opt simulate.Options) (string, simulate.Summary) {
	t.Helper()
	opt.Out = filepath.Join(t.TempDir(), "lab")
	sum, err := simulate.Run(opt)
	if err != nil {
		t.Fatal(err)
	}
	return opt.Out, sum
}

// digest is one hash over names and contents of all files below dir.
func digest(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(rel), len(data))
		h.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameSeedSameBytes(t *testing.T) {
	opt := simulate.Options{Events: 20_000, Days: 1, Seed: 7}
	a, _ := write(t, opt)
	b, _ := write(t, opt)
	if digest(t, a) != digest(t, b) {
		t.Error("the same options gave different bytes")
	}
	opt.Seed = 8
	c, _ := write(t, opt)
	if digest(t, a) == digest(t, c) {
		t.Error("another seed gave the same bytes")
	}
}

func TestEventsAsAsked(t *testing.T) {
	for _, opt := range []simulate.Options{
		{Events: 60_000, Days: 2, Scenarios: []string{"benign"}},
		{Events: 60_000, Days: 1, Scenarios: []string{"benign"}, Sensors: []string{"iptables"}},
		{Events: 30_000, Days: 1, Scenarios: []string{"benign"}, Sensors: []string{"pf"}},
		{Events: 200_000, Days: 3},
	} {
		_, sum := write(t, opt)
		if off := float64(sum.Events-opt.Events) / float64(opt.Events); off < -0.02 || off > 0.02 {
			t.Errorf("%v %v: %d events, asked for %d", opt.Sensors, opt.Scenarios, sum.Events, opt.Events)
		}
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []simulate.Options{
		{Out: t.TempDir() + "/a", Scenarios: []string{"teapot"}},
		{Out: t.TempDir() + "/b", Scenarios: []string{"tor:middling"}},
		{Out: t.TempDir() + "/c", Sensors: []string{"asa"}},
		{Out: t.TempDir() + "/d", Days: -1},
		{Out: full},
	} {
		if _, err := simulate.Run(opt); err == nil {
			t.Errorf("%+v: no error", opt)
		}
	}
}

// TestScenarios plants each scenario alone and expects that what must be found
// shows in some log.
func TestScenarios(t *testing.T) {
	for _, s := range simulate.Scenarios {
		for _, variant := range []string{":loud", ":quiet"} {
			if s.Class == "" && variant == ":quiet" {
				continue
			}
			t.Run(s.Name+variant, func(t *testing.T) {
				dir, _ := write(t, simulate.Options{Events: 3000, Days: 3, Scenarios: []string{s.Name + variant}})
				truth, err := simulate.ReadTruth(filepath.Join(dir, "truth.json"))
				if err != nil {
					t.Fatal(err)
				}
				if s.Class != "" && len(truth.Planted) == 0 {
					t.Fatal("nothing planted")
				}
				for _, p := range truth.Planted {
					if p.Records == 0 {
						t.Errorf("%d %s shows in no log", p.ID, p.Scenario)
					}
					if p.Cause == "agent" && (p.Run == nil || len(p.Calls) == 0 || p.Why == "") {
						t.Errorf("%d %s: run %v, calls %v, why %q", p.ID, p.Scenario, p.Run, p.Calls, p.Why)
					}
					if p.End.Before(p.Start) {
						t.Errorf("%d %s ends before it begins", p.ID, p.Scenario)
					}
				}
			})
		}
	}
}

// TestInventory reads all exports with the project's own readers.
func TestInventory(t *testing.T) {
	dir, sum := write(t, simulate.Options{Events: 20_000, Days: 2})
	var st runs.Statements
	entries, err := os.ReadDir(filepath.Join(dir, "inventory"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, "inventory", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind, err := st.Read(e.Name(), f, runs.Options{})
		f.Close()
		if err != nil {
			t.Errorf("%s: %s %v", e.Name(), kind, err)
		}
	}
	inv := runs.Join(&st)
	for _, n := range inv.Notes {
		if !strings.Contains(n, "Slurm times have no zone") {
			t.Error(n)
		}
	}
	if len(inv.Runs) == 0 || len(inv.Runs) > sum.Runs || len(inv.Calls) == 0 || len(inv.NAT) == 0 {
		t.Errorf("%d runs of %d, %d calls, %d translations", len(inv.Runs), sum.Runs, len(inv.Calls), len(inv.NAT))
	}
	list, err := os.ReadFile(filepath.Join(dir, "allow.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if allow, err := runs.ReadAllow("allow.yaml", list); err != nil || len(allow) == 0 {
		t.Errorf("allow list: %d entries, %v", len(allow), err)
	}
}

// TestDamage counts what a reader refuses: damage must show, and cost no more than its lines.
func TestDamage(t *testing.T) {
	dir, sum := write(t, simulate.Options{Events: 120_000, Days: 1, Scenarios: []string{"damaged_lines", "lost_interval", "clock_step", "wrong_zone"}})
	var rejected, events int64
	for in, err := range parsers.Inputs([]string{filepath.Join(dir, "logs")}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		rd := open(t, in)
		for {
			var b parsers.Batch
			err := rd.Next(&b)
			rejected += b.Counts.Rejected
			events += b.Counts.Events
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if rejected < 5 || rejected > 200 {
		t.Errorf("%d records refused of %d", rejected, sum.Events)
	}
	if events+rejected < sum.Events-100 {
		t.Errorf("%d events and %d rejects of %d records", events, rejected, sum.Events)
	}
}

// TestCaptures asks tcpdump and tshark whether they read the captures.
func TestCaptures(t *testing.T) {
	dir, _ := write(t, simulate.Options{Events: 20_000, Days: 1})
	captures, err := filepath.Glob(filepath.Join(dir, "logs", "pflog", "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatal("no captures", err)
	}
	found := false
	for _, tool := range [][]string{{"tcpdump", "-n", "-vv", "-r"}, {"tshark", "-n", "-r"}} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			continue
		}
		found = true
		for _, c := range captures {
			out, err := exec.Command(tool[0], append(tool[1:], c)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", tool[0], err, out)
			}
			if strings.Contains(string(out), "bad cksum") || strings.Contains(string(out), "incorrect") || strings.Contains(string(out), "Malformed") || !strings.Contains(string(out), "192.0.2.") {
				t.Errorf("%s does not understand %s", tool[0], c)
			}
		}
	}
	if !found {
		t.Skip("neither tcpdump nor tshark is installed")
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		sum, err := simulate.Run(simulate.Options{Events: 300_000, Out: filepath.Join(b.TempDir(), "lab")})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sum.Events)/b.Elapsed().Seconds()*float64(b.N), "events/s")
	}
}
