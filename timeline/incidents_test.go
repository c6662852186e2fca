package timeline

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"firetrail"
)

const day0 = int64(1_772_323_200e9) // 2026-03-01T00:00:00Z

func clock(h, m int64) int64 { return day0 + h*hour + m*minute }

// finding makes one, from start to end in minutes after midnight.
func finding(detector, src, dst string, port, start, end int64, run string, p float64, level string) firetrail.Finding {
	f := firetrail.Finding{ID: fmt.Sprintf("f-%s-%s-%s-%d", detector, src, dst, start), Detector: detector, Severity: firetrail.SeverityHigh, Score: .8,
		Dst: dst, DstPort: port, Start: clock(0, start), End: clock(0, end), Count: 3,
		Evidence: []firetrail.Evidence{{Origin: firetrail.Origin{Source: "s1", Line: start, Offset: start * 100}, Time: clock(0, start)}}}
	if src != "" {
		f.SrcIP = netip.MustParseAddr(src)
	}
	if a, err := netip.ParseAddr(dst); err == nil {
		f.Targets, f.Targeted = []firetrail.Target{{IP: a, Port: port}}, 1
	}
	if run != "" {
		f.Run = &firetrail.RunRef{ID: run, Probability: p, Level: level}
		f.Candidates = []firetrail.Candidate{{ID: run, Probability: p, Reasons: []string{"lease of " + run}}, {ID: "background", Probability: 1 - p}}
	} else {
		f.Unattributed = "no inventory of runs was imported"
	}
	return f
}

// shape writes groups as "detector@minute,…" a line.
func shape(incs []firetrail.Incident, fs []firetrail.Finding) string {
	name := map[string]string{}
	for _, f := range fs {
		name[f.ID] = fmt.Sprintf("%s@%d", f.Detector, (f.Start-day0)/minute)
	}
	var lines []string
	for _, inc := range incs {
		var parts []string
		for _, id := range inc.Findings {
			parts = append(parts, name[id])
		}
		lines = append(lines, strings.Join(parts, ","))
	}
	return strings.Join(lines, "\n")
}

// onPod says which pod, of which run, held the source of a finding that was not attributed.
func onPod(f firetrail.Finding, run string) firetrail.Finding {
	f.Run = nil
	f.Leases = []firetrail.Lease{{IP: f.SrcIP, Subject: "pod", Run: run, Name: run + "-0"}}
	return f
}

const gateway = "192.0.2.1"

func dnsFinding(src, domain string, start int64) firetrail.Finding {
	f := finding("dns_tunnel", src, "198.51.100.53", 53, start, start+10, "", 0, "")
	f.ID, f.Host = fmt.Sprintf("f-%s-%d", domain, start), domain
	return f
}

// entry is somebody's way in over SSH who went on to another host at a minute.
func entry(src, dst string, start, end int64, onward string, at int64) firetrail.Finding {
	f := finding("ssh_tunnel", src, dst, 22, start, end, "", 0, "")
	f.Why = []firetrail.Part{{Part: "inbound"}, {Part: "entered"}, {Part: "onward"}}
	f.Targets = append(f.Targets, firetrail.Target{IP: netip.MustParseAddr(onward), Port: 22, First: clock(0, at)})
	f.Targeted = 2
	return f
}

// burst is one of refusals at many targets.
func burst(src string, start, end int64) firetrail.Finding {
	f := finding("policy_burst", src, "", 0, start, end, "", 0, "")
	f.Targets = nil
	for i := range 20 {
		f.Targets = append(f.Targets, firetrail.Target{IP: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 1+i)), Port: 4444})
	}
	f.Targeted = 20
	return f
}

func refusedAt(detector, src, dst string, port, start int64) firetrail.Finding {
	f := finding(detector, src, dst, port, start, start+1, "", 0, "")
	f.Why = []firetrail.Part{{Part: "refused"}}
	return f
}

// refusals are those of n sources at one peer.
func refusals(n int, dst string, start int64) (fs []firetrail.Finding) {
	for i := range n {
		fs = append(fs, finding("refused_egress", fmt.Sprintf("10.20.3.%d", 1+i), dst, 443, start+int64(i), start+20, "", 0, ""))
	}
	return fs
}

func TestIncidents(t *testing.T) {
	opt := Options{Gateways: []netip.Addr{netip.MustParseAddr(gateway)}}
	storm := func(from, n int, start int64) (fs []firetrail.Finding) {
		for i := range n {
			fs = append(fs, finding("policy_burst", fmt.Sprintf("10.20.3.%d", from+i), "198.51.100.20", 443, start+int64(i), start+5+int64(i), fmt.Sprintf("r-%d", from+i), .6, "A2"))
		}
		return fs
	}
	for _, c := range []struct {
		name string
		fs   []firetrail.Finding
		want string
	}{
		{"one run, hours apart", []firetrail.Finding{
			finding("policy_burst", "10.20.3.7", "10.20.4.1", 22, 60, 65, "r-1", .95, "A4"),
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 200, 500, "r-1", .95, "A4"),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 700, 900, "r-1", .95, "A4"),
		}, "policy_burst@60,ssh_tunnel@200,mining@700"},
		{"refused at one target of a burst", []firetrail.Finding{
			burst("10.20.3.7", 100, 110),
			refusedAt("mining", "10.20.3.7", "203.0.113.12", 4444, 102),
			refusedAt("mining", "10.20.3.7", "203.0.113.99", 4444, 900),
		}, "policy_burst@100,mining@102\nmining@900"},
		{"what failed on first contact was not reached", []firetrail.Finding{
			finding("first_contact", "10.20.3.1", "10.20.3.7", 5357, 100, 110, "", 0, ""),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 150, 300, "", 0, ""),
		}, "first_contact@100\nmining@150"},
		{"long sessions of three with one peer", []firetrail.Finding{
			finding("long_session", "10.20.3.1", "198.51.100.5", 5432, 100, 900, "", 0, ""),
			finding("long_session", "10.20.3.2", "198.51.100.5", 5432, 110, 900, "", 0, ""),
			finding("long_session", "10.20.3.3", "198.51.100.5", 5432, 120, 900, "", 0, ""),
			finding("mining", "10.20.3.3", "203.0.113.10", 3333, 700, 720, "", 0, ""),
		}, "long_session@100,long_session@110,long_session@120\nmining@700"},
		{"long sessions of three, one of which mines there", []firetrail.Finding{
			finding("long_session", "10.20.3.1", "198.51.100.5", 5432, 100, 900, "", 0, ""),
			finding("long_session", "10.20.3.2", "198.51.100.5", 5432, 110, 900, "", 0, ""),
			finding("long_session", "10.20.3.3", "198.51.100.5", 5432, 120, 900, "", 0, ""),
			finding("mining", "10.20.3.3", "198.51.100.5", 5432, 120, 900, "", 0, ""),
		}, "long_session@100\nlong_session@110\nlong_session@120,mining@120"},
		{"two mistakes of the same sources", append(refusals(3, "198.51.100.20", 100), refusals(3, "198.51.100.21", 110)...),
			"refused_egress@100,refused_egress@101,refused_egress@102,refused_egress@110,refused_egress@111,refused_egress@112"},
		{"the same, a day apart", append(refusals(3, "198.51.100.20", 100), refusals(3, "198.51.100.21", 1800)...),
			"refused_egress@100,refused_egress@101,refused_egress@102\nrefused_egress@1800,refused_egress@1801,refused_egress@1802"},
		{"one run, days apart", []firetrail.Finding{
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 200, 500, "r-1", .95, "A4"),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 2000, 2100, "r-1", .95, "A4"),
		}, "ssh_tunnel@200\nmining@2000"},
		{"one run, days apart, to the same peer", []firetrail.Finding{
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 200, 500, "r-1", .95, "A4"),
			finding("long_session", "10.20.3.7", "203.0.113.9", 443, 2000, 2100, "r-1", .95, "A4"),
		}, "ssh_tunnel@200,long_session@2000"},
		{"an address without a run", []firetrail.Finding{
			finding("port_scan", "10.20.3.7", "10.20.4.1", 22, 60, 65, "", 0, ""),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 100, 120, "", 0, ""),
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 300, 310, "", 0, ""),
		}, "port_scan@60,mining@100\nssh_tunnel@300"},
		{"two runs on one address", []firetrail.Finding{
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 100, 120, "r-1", .95, "A4"),
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 110, 130, "r-2", .95, "A4"),
		}, "mining@100\nssh_tunnel@110"},
		{"one session, three detectors, unequally sure", []firetrail.Finding{
			finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 100, 400, "r-1", .99, "A4"),
			finding("long_session", "10.20.3.7", "203.0.113.9", 443, 101, 400, "", 0, ""),
			finding("protocol_mismatch", "10.20.3.7", "203.0.113.9", 443, 102, 110, "r-1", .4, "A1"),
		}, "ssh_tunnel@100,long_session@101,protocol_mismatch@102"},
		{"a bastion that spreads", []firetrail.Finding{
			finding("port_scan", "10.20.9.1", "10.20.3.7", 22, 100, 110, "", 0, ""),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 200, 300, "", 0, ""),
		}, "port_scan@100,mining@200"},
		{"what came before the spread is another matter", []firetrail.Finding{
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 10, 20, "", 0, ""),
			finding("port_scan", "10.20.9.1", "10.20.3.7", 22, 100, 110, "", 0, ""),
		}, "mining@10\nport_scan@100"},
		{"a scanned host whose own run is known", []firetrail.Finding{
			finding("port_scan", "10.20.3.8", "10.20.3.7", 22, 100, 110, "r-1", .99, "A4"),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 200, 300, "r-2", .99, "A4"),
		}, "port_scan@100\nmining@200"},
		{"two holders of a pod's address, to the same peer", []firetrail.Finding{
			onPod(finding("tor", "10.36.3.7", "203.0.113.9", 9001, 100, 120, "", 0, ""), "r-1"),
			onPod(finding("tor", "10.36.3.7", "203.0.113.9", 9001, 150, 160, "", 0, ""), "r-2"),
		}, "tor@100\ntor@150"},
		{"one holder of a pod's address", []firetrail.Finding{
			onPod(finding("tor", "10.36.3.7", "203.0.113.9", 9001, 100, 120, "", 0, ""), "r-1"),
			onPod(finding("mining", "10.36.3.7", "203.0.113.10", 3333, 150, 160, "", 0, ""), "r-1"),
		}, "tor@100,mining@150"},
		{"a gateway is no subject", []firetrail.Finding{
			finding("tor", gateway, "203.0.113.9", 9001, 100, 120, "", 0, ""),
			finding("mining", gateway, "203.0.113.10", 3333, 110, 160, "", 0, ""),
		}, "tor@100\nmining@110"},
		{"a resolver is no common peer", []firetrail.Finding{
			dnsFinding("10.20.3.7", "a.example", 100), dnsFinding("10.20.3.7", "b.example", 900), dnsFinding("10.20.3.7", "a.example", 2000),
		}, "dns_tunnel@100,dns_tunnel@2000\ndns_tunnel@900"},
		{"long after somebody who was let in went on", []firetrail.Finding{
			entry("203.0.113.8", "10.20.9.1", 100, 600, "10.20.3.7", 130),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 400, 500, "", 0, ""),
		}, "ssh_tunnel@100\nmining@400"},
		{"soon after somebody who was let in went on", []firetrail.Finding{
			entry("203.0.113.8", "10.20.9.1", 100, 600, "10.20.3.7", 330),
			finding("mining", "10.20.3.7", "203.0.113.10", 3333, 400, 500, "", 0, ""),
		}, "ssh_tunnel@100,mining@400"},
		{"a storm", storm(1, 5, 100), "policy_burst@100,policy_burst@101,policy_burst@102,policy_burst@103,policy_burst@104"},
		{"two sources are no storm", storm(1, 2, 100), "policy_burst@100\npolicy_burst@101"},
		{"a storm over an agent's act", append(storm(1, 5, 100), finding("ssh_tunnel", "10.20.3.1", "203.0.113.9", 443, 120, 400, "r-1", .99, "A4")),
			"policy_burst@100,policy_burst@101,policy_burst@102,policy_burst@103,policy_burst@104\nssh_tunnel@120"},
		{"two storms of one day", append(storm(1, 3, 100), storm(1, 3, 900)...), "policy_burst@100,policy_burst@101,policy_burst@102\npolicy_burst@900,policy_burst@901,policy_burst@902"},
	} {
		t.Run(c.name, func(t *testing.T) {
			incs := Incidents(c.fs, opt)
			if got := shape(incs, c.fs); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 5 {
				r.Shuffle(len(c.fs), func(i, j int) { c.fs[i], c.fs[j] = c.fs[j], c.fs[i] })
				a, _ := json.Marshal(incs)
				b, _ := json.Marshal(Incidents(c.fs, opt))
				if string(a) != string(b) {
					t.Fatalf("another order, another answer:\n%s\n%s", a, b)
				}
			}
		})
	}
}

func TestIncidentTold(t *testing.T) {
	fs := []firetrail.Finding{
		finding("policy_burst", "10.20.3.7", "10.20.4.1", 22, 60, 65, "r-1", .7, "A2"),
		finding("internal_sweep", "10.20.3.7", "10.20.4.0/24", 22, 70, 75, "r-1", .9, "A4"),
		finding("ssh_tunnel", "10.20.3.7", "203.0.113.9", 443, 100, 400, "r-1", .99, "A4"),
		finding("long_session", "10.20.3.7", "203.0.113.9", 443, 101, 410, "r-1", .8, "A2"),
		finding("bulk_egress", "10.20.3.7", "203.0.113.9", 443, 300, 420, "r-1", .8, "A2"),
		finding("ssh_tunnel", "10.20.5.5", "203.0.113.9", 443, 2000, 2100, "r-9", .9, "A4"),
	}
	fs[2].Severity, fs[2].Untested = firetrail.SeverityCritical, []string{"the banner of the server"}
	fs[4].Open = true
	fs[0].Against = []string{"nothing in the arguments"} // of the less sure finding
	fs[2].Against = []string{"a machine's address"}
	incs := Incidents(fs, Options{})
	if len(incs) != 2 {
		t.Fatalf("%d incidents", len(incs))
	}
	inc := incs[0]
	var steps []string
	for _, p := range inc.Phases {
		steps = append(steps, fmt.Sprintf("%s %d-%d", p.Name, (p.Start-day0)/minute, (p.End-day0)/minute))
	}
	if got, want := strings.Join(steps, ", "), "refused 60-65, probe 70-75, tunnel 100-410, volume 300-420"; got != want {
		t.Errorf("phases %s, want %s", got, want)
	}
	if want := "Run r-1 on 10.20.3.7 was refused, probed the internal network, tunnelled over SSH and sent a large volume (203.0.113.9:443)"; inc.Title != want {
		t.Errorf("title %q", inc.Title)
	}
	if inc.Severity != firetrail.SeverityCritical || !inc.Open || inc.Start != clock(0, 60) || inc.End != clock(0, 420) || inc.FirstSign != "e-s1-6000" || inc.EvidenceCount != 5 {
		t.Errorf("%+v", inc)
	}
	if inc.Run == nil || inc.Run.ID != "r-1" || inc.Run.Probability != .99 || inc.Run.Level != "A4" {
		t.Errorf("run %+v", inc.Run)
	}
	if !slices.Equal(inc.Against, []string{"a machine's address"}) || !slices.Contains(inc.Unseen, "the banner of the server") || len(inc.Unseen) != 2 {
		t.Errorf("against %q, unseen %q", inc.Against, inc.Unseen)
	}
	if len(inc.Elsewhere) != 1 || !strings.Contains(inc.Elsewhere[0], "ssh_tunnel to 203.0.113.9 443 also from 10.20.5.5") || !strings.Contains(inc.Elsewhere[0], incs[1].ID) {
		t.Errorf("elsewhere %q", inc.Elsewhere)
	}
	if inc.ID == incs[1].ID || !strings.HasPrefix(inc.ID, "i-") || len(inc.ID) != 14 {
		t.Errorf("ids %s %s", inc.ID, incs[1].ID)
	}
	if got := Incidents(fs, Options{Level: firetrail.SeverityCritical}); len(got) != 1 {
		t.Errorf("%d critical incidents", len(got))
	}
}

// Findings that contradict each other name no run with more than their mean.
func TestCombineConflict(t *testing.T) {
	group := []*firetrail.Finding{}
	for i, run := range []string{"r-1", "r-2", "r-3"} {
		f := finding("policy_burst", fmt.Sprintf("10.20.3.%d", i), "198.51.100.20", 443, 60, 65, run, .7, "A2")
		group = append(group, &f)
	}
	a := combine(group)
	sum := 0.0
	for _, c := range a.Candidates {
		sum += c.Probability
	}
	if a.Run != nil || math.Abs(sum-1) > 1e-9 || !strings.Contains(a.Unattributed, "point to other runs") {
		t.Errorf("%+v", a)
	}
}

func TestMerge(t *testing.T) {
	fs := []firetrail.Finding{finding("mining", "10.20.3.7", "203.0.113.10", 3333, 100, 120, "r-1", .9, "A2")}
	inv := firetrail.Inventory{
		Runs:  []firetrail.Run{{ID: "r-1", Start: clock(0, 90), End: clock(0, 130), State: "FAILED", Leases: []firetrail.Lease{{Host: "gpu-7", Run: "r-1"}}}},
		Calls: []firetrail.ToolCall{{Run: "r-1", Start: clock(0, 100), Tool: "bash", Args: strings.Repeat("é", 500), Citation: firetrail.Citation{Source: "t.jsonl", Line: 4}}, {Run: "r-1", Start: firetrail.Absent}},
	}
	gaps := []firetrail.Gap{{Sensor: "fw2", Start: clock(0, 95), End: clock(0, 99), Text: "silent"}}
	ev := firetrail.NewEvent()
	ev.Time, ev.Kind, ev.Action, ev.Proto = clock(0, 100), "iptables", "drop", "tcp"
	ev.SrcIP, ev.SrcPort = netip.MustParseAddr("10.20.3.7"), 4242
	ev.DstIP, ev.DstPort = netip.MustParseAddr("2001:db8::1"), 3333
	events := func(yield func(*firetrail.Event, error) bool) { yield(&ev, nil) }
	var got []string
	for e, err := range Merge(Sequence(Entries(fs, inv, gaps)), Events(events)) {
		if err != nil {
			t.Fatal(err)
		}
		text := e.Text
		if i := strings.IndexByte(text, '\xc3'); i >= 0 {
			if n := len([]rune(text[i:])); n != maxText+1 {
				t.Errorf("quotes %d runes", n)
			}
			text = text[:i]
		}
		got = append(got, fmt.Sprintf("%d %s %s %s", (e.Time-day0)/minute, e.Kind, e.Ref, text))
	}
	want := []string{
		"90 run r-1 run r-1 begins on gpu-7",
		"95 gap fw2 fw2: silent",
		"99 gap fw2 fw2: records again",
		"100 call t.jsonl:4 run r-1 calls bash ",
		"100 event e--0 iptables drop tcp 10.20.3.7:4242 -> [2001:db8::1]:3333",
		"100 finding " + fs[0].ID + " high mining:  [run r-1, 0.9]",
		"120 finding " + fs[0].ID + " mining ends",
		"130 run r-1 run r-1 ends (FAILED)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	broken := func(yield func(*firetrail.Event, error) bool) { yield(nil, fmt.Errorf("disk")) }
	for _, err := range Merge(Events(broken), Sequence(nil)) {
		if err == nil {
			t.Error("an error was swallowed")
		}
	}
}
