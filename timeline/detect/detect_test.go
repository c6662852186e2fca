package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firetrail"
)

func TestListOfDetectors(t *testing.T) {
	want := strings.Fields("policy_burst ssh_tunnel mining internal_sweep port_scan metadata_access bulk_egress tunnel_service " +
		"long_session refused_egress dns_tunnel beacon protocol_mismatch icmp_tunnel overlay_vpn tor first_contact")
	var got []string
	for _, d := range All {
		got = append(got, d.Name)
		if d.Title == "" || d.Doc == "" || len(d.Needs) == 0 || d.New == nil {
			t.Errorf("%s is incomplete", d.Name)
		}
		for _, s := range d.Defaults {
			if s.Doc == "" || s.Value <= 0 {
				t.Errorf("%s.%s has no sense", d.Name, s.Name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLabDay runs every detector over a day of what a lab does anyway.
func TestLabDay(t *testing.T) {
	f := (&fake{}).background()
	for h := range int64(24) {
		at := t0 + h*hour
		for a := range int64(6) {
			src := fmt.Sprintf("10.20.0.%d", 10+a)
			for b := range int64(6) { // all-to-all
				if a != b {
					f.conn(at+a*sec, src, 43000+h*10+b, fmt.Sprintf("10.20.0.%d", 10+b), 30000+(h*37+a*7+b)%9000, "", "SF", 3000, 5e9, 5e9)
					f.tcp(at+a*sec, firetrail.ActionAllow, src, 43000+h*10+b, fmt.Sprintf("10.20.0.%d", 10+b), 30000+(h*37+a*7+b)%9000)
				}
			}
			f.conn(at, src, 700+h, "10.20.5.5", 2049, "", "SF", 3600, 9e9, 9e9)
			f.conn(at+a*sec, src, 123, "198.51.100.123", 123, "ntp", "SF", 0, 48, 48).Proto = "udp"
			f.ssl(f.conn(at+a*137%500*sec, src, 44000+h, "198.51.100.81", 443, "ssl", "SF", 3000, 300_000, 90_000), "api.tracker.example")
			f.pan(at+a*137%500*sec, firetrail.ActionAllow, "ssl", src, 44000+h, "198.51.100.81", 443, 3000, 300_000, 90_000)
			f.tcp(at+a*sec, firetrail.ActionDrop, src, 5353, "224.0.0.251", 5353)
		}
		for i := range int64(60) { // scrapes
			for b := range int64(6) {
				f.conn(at+i*60*sec, "10.20.0.3", 20000+(h*360+i*6+b)%40000, fmt.Sprintf("10.20.0.%d", 10+b), 9100, "http", "SF", 0, 200, 40_000)
			}
			f.tcp(at+i*47*sec, firetrail.ActionDrop, fmt.Sprintf("203.0.113.%d", i+1), 50000+i, "10.20.0.1", []int64{22, 23, 445, 3389}[i%4])
		}
	}
	f.conn(t0+9*hour, "203.0.113.200", 50000, "10.20.0.1", 22, "ssh", "SF", 5000, 90_000, 400_000) // an operator
	res := judge(t, f, Config{}, "")
	for _, x := range res.Findings {
		if firetrail.SeverityRank(x.Severity) >= firetrail.SeverityRank(firetrail.SeverityLow) {
			t.Errorf("%s %s: %s", x.Severity, x.Detector, x.Title)
			for _, p := range x.Why {
				t.Logf("   %+.1f %s: %s", p.Points, p.Part, p.Text)
			}
		}
	}
	if len(res.Untestable) > 0 {
		t.Errorf("untestable: %v", res.Untestable)
	}
}

func TestAllow(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.9"
	f := (&fake{}).background()
	f.conn(t0+2*hour, src, 41000, peer, 443, "ssh", "SF", 3*3600, 200_000, 150_000)
	entry := func(change func(*firetrail.Allow)) firetrail.Allow {
		a := firetrail.Allow{Entry: "e", Prefix: network(peer + "/32"), Side: "either", Port: firetrail.Absent, Expires: firetrail.Absent}
		if change != nil {
			change(&a)
		}
		return a
	}
	for _, c := range []struct {
		name  string
		allow firetrail.Allow
		kept  int
		count int64
	}{
		{"destination", entry(nil), 0, 1},
		{"source side does not match a destination", entry(func(a *firetrail.Allow) { a.Side = "src" }), 1, 0},
		{"source", entry(func(a *firetrail.Allow) { a.Side, a.Prefix = "src", network("10.20.0.0/24") }), 0, 1},
		{"port", entry(func(a *firetrail.Allow) { a.Port = 443 }), 0, 1},
		{"other port", entry(func(a *firetrail.Allow) { a.Port = 22 }), 1, 0},
		{"expired in the middle of the data", entry(func(a *firetrail.Allow) { a.Expires = t0 + hour }), 1, 1},
		{"valid past the data", entry(func(a *firetrail.Allow) { a.Expires = t0 + 48*hour }), 0, 1},
	} {
		res := judge(t, f, Config{Allow: []firetrail.Allow{c.allow}}, "ssh_tunnel")
		if len(res.Findings) != c.kept || len(res.Suppressed) != 1 || res.Suppressed[0].Findings != c.count || len(res.Suppressed[0].Listed) != int(c.count) {
			t.Errorf("%s: %d findings kept, suppressed %+v", c.name, len(res.Findings), res.Suppressed)
		}
	}
	limited := entry(func(a *firetrail.Allow) { a.Run = "r-1" })
	res := judge(t, f, Config{Allow: []firetrail.Allow{limited}}, "ssh_tunnel")
	if len(res.Findings) != 1 || len(res.Suppressed) != 0 {
		t.Fatalf("an entry of a run applied before attribution: %+v", res.Suppressed)
	}
	for run, kept := range map[string]int{"r-1": 0, "r-2": 1} {
		res.Findings[0].Run = &firetrail.RunRef{ID: run}
		left, rows := SuppressRuns(res.Findings, []firetrail.Allow{limited}, t0+24*hour)
		if len(left) != kept || rows[0].Findings != int64(1-kept) {
			t.Errorf("run %s: %d kept, %+v", run, len(left), rows)
		}
	}
}

// TestAllowedNameByDNS: the allow list names a host, the firewall logs its address.
func TestAllowedNameByDNS(t *testing.T) {
	f := (&fake{}).background()
	f.dns(t0+hour, "10.20.0.10", "10.20.0.2", "ckpt.store.example", "203.0.113.70")
	f.pan(t0+2*hour, firetrail.ActionAllow, "ssl", "10.20.0.10", 41000, "203.0.113.70", 443, 600, 50e9, 1e6)
	allow := firetrail.Allow{Entry: "*.store.example", Name: "store.example", Side: "dst", Port: firetrail.Absent, Expires: firetrail.Absent}
	if res := judge(t, f, Config{Allow: []firetrail.Allow{allow}}, "bulk_egress"); len(res.Findings) != 0 {
		t.Errorf("not suppressed: %v", brief(res.Findings))
	}
	if res := judge(t, f, Config{}, "bulk_egress"); len(res.Findings) != 1 {
		t.Errorf("without the list: %v", brief(res.Findings))
	}
}

// TestBehindNAT: the same connection before and behind a translation is one finding.
func TestBehindNAT(t *testing.T) {
	f := (&fake{}).background()
	ev := f.pan(t0+2*hour, firetrail.ActionAllow, "ssh", "10.20.0.10", 41000, "203.0.113.9", 22, 3*3600, 200_000, 150_000)
	ev.NATSrcIP, ev.NATSrcPort = netip.MustParseAddr("100.64.0.1"), 55000
	f.conn(t0+2*hour+sec, "100.64.0.1", 55000, "203.0.113.9", 22, "ssh", "SF", 3*3600, 200_000, 150_000)
	res := judge(t, f, Config{}, "ssh_tunnel")
	if diff := cmp.Diff([]string{"high 10.20.0.10 203.0.113.9 22"}, brief(res.Findings)); diff != "" {
		t.Fatal(diff)
	}
	if len(res.Findings[0].Evidence) != 2 || res.Findings[0].Count != 1 {
		t.Errorf("evidence %d, count %d: want both records as evidence of one session", len(res.Findings[0].Evidence), res.Findings[0].Count)
	}
}

func TestUntestable(t *testing.T) {
	f := &fake{}
	f.tcp(t0, firetrail.ActionDrop, "10.0.0.1", 1, "203.0.113.1", 80)
	var got []string
	for _, u := range judge(t, f, Config{}, "").Untestable {
		got = append(got, u.Detector)
		if !strings.HasPrefix(u.Reason, "not testable with the logs given: ") {
			t.Errorf("%s: %s", u.Detector, u.Reason)
		}
	}
	if diff := cmp.Diff([]string{"bulk_egress", "long_session", "dns_tunnel", "protocol_mismatch"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{Only: []string{"nonsense"}}, {Thresholds: map[string]float64{"ssh_tunnel.nonsense": 1}}} {
		if _, err := Run(t.Context(), &fake{}, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestThresholds(t *testing.T) {
	f := (&fake{}).background()
	f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.70", 443, "ssl", "SF", 600, 10e6, 1e6)
	cfg := Config{Thresholds: map[string]float64{"bulk_egress.bytes": 1e6, "bulk_egress.floor": 1e6}}
	res := judge(t, f, cfg, "bulk_egress")
	if len(res.Findings) == 0 || !slices.Contains(res.Parameters, "bulk_egress.bytes 1e+06") || !slices.Contains(res.Parameters, "internal 10.0.0.0/8 (assumed)") {
		t.Errorf("findings %v, parameters %v", brief(res.Findings), res.Parameters)
	}
}

func TestSuffix(t *testing.T) {
	table := map[string]bool{"pool.example": true, "onion": true}
	for host, want := range map[string]string{
		"pool.example": "pool.example", "A.Pool.Example.": "pool.example", "carpool.example": "", "pool.example.org": "", "": "", "x.onion": "onion", "onions": "", ".": "",
	} {
		if got, _ := suffixOf(host, table); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestCover(t *testing.T) {
	for _, c := range []struct {
		want string
		ips  []string
	}{
		{"10.20.3.7", []string{"10.20.3.7"}},
		{"10.20.3.0/24", []string{"10.20.3.7", "10.20.3.8"}},
		{"10.20.2.0/23", []string{"10.20.3.7", "10.20.2.8"}},
		{"10.0.0.0/8", []string{"10.20.3.7", "10.200.2.8"}},
		{"", []string{"10.20.3.7", "203.0.113.1"}},
		{"2001:db8:0:1::/64", []string{"2001:db8:0:1::1", "2001:db8:0:1::2"}},
		{"2001:db8::/47", []string{"2001:db8:0:1::1", "2001:db8:1::2"}},
	} {
		tr := newTrail()
		for _, ip := range c.ips {
			tr.aim(netip.MustParseAddr(ip), 22, "", t0)
		}
		if got := tr.cover(); got != c.want {
			t.Errorf("%v: %s, want %s", c.ips, got, c.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	syn := func(proto, flags string) bool {
		ev := firetrail.NewEvent()
		ev.Proto, ev.Flags = proto, flags
		return answers(&ev)
	}
	for flags, want := range map[string]bool{"SYN": false, "S": false, "SEC": false, "CWR ECE SYN": false, "": false,
		"ACK": true, "ACK SYN": true, "SA": true, "S.": true, "R": true, "RST": true, "ACK PSH FIN": true, "FPA": true} {
		if got := syn("tcp", flags); got != want {
			t.Errorf("%q: %v, want %v", flags, got, want)
		}
	}
	if syn("udp", "ACK") {
		t.Error("UDP has no answers")
	}
}
