package detect

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firetrail"
)

// anything makes a case of records that need not make sense.
func anything(r *rand.Rand, n int) *fake {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	addr := func() netip.Addr {
		switch r.IntN(8) {
		case 0:
			return netip.Addr{}
		case 1:
			return netip.MustParseAddr(pick("169.254.169.254", "224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "fd00:ec2::254", "fe80::1", "::1", "168.63.129.16"))
		case 2:
			return netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(6))})
		case 3:
			return netip.MustParseAddr("2001:db8::1")
		}
		return netip.AddrFrom4([4]byte{10, 20, byte(r.IntN(2)), byte(r.IntN(40))})
	}
	number := func(max int64) int64 {
		if r.IntN(4) == 0 {
			return firetrail.Absent
		}
		return r.Int64N(max)
	}
	f := &fake{}
	for range n {
		ev := firetrail.NewEvent()
		if r.IntN(30) > 0 {
			ev.Time = t0 + r.Int64N([]int64{36 * hour, hour / 4}[r.IntN(2)])
		}
		if ev.Duration = number(20 * hour); ev.Duration != firetrail.Absent && ev.Time != firetrail.Absent {
			ev.End = ev.Time + ev.Duration
		}
		ev.Kind = pick("iptables", "pf", "paloalto.traffic", "paloalto.threat", "zeek.conn", "zeek.open_conn", "zeek.dns", "zeek.ssl", "zeek.ssh", "zeek.notice", "")
		ev.Sensor, ev.Action = pick("", "a", "b"), pick("", "allow", "deny", "drop", "reset", "alert")
		ev.Proto, ev.State, ev.Flags = pick("", "tcp", "udp", "icmp", "47"), pick("", "S0", "SF", "REJ"), pick("", "SYN", "ACK", "S", "R.")
		ev.SrcIP, ev.DstIP, ev.SrcPort = addr(), addr(), number(60000)
		if r.IntN(3) > 0 { // enough of one source to be told
			ev.SrcIP, ev.Proto = netip.AddrFrom4([4]byte{10, 20, 0, byte(r.IntN(3))}), "tcp"
		}
		ev.DstPort = []int64{firetrail.Absent, 0, 22, 53, 80, 443, 3333, 7844, 51820, 9001, r.Int64N(65536)}[r.IntN(11)]
		ev.BytesOut, ev.BytesIn, ev.PacketsOut, ev.PacketsIn = number(1e12), number(1e9), number(1e6), number(1e6)
		ev.App, ev.Service = pick("", "ssh", "incomplete", "bitcoin", "unknown-tcp", "ssl"), pick("", "ssh", "ssl,http", "dns")
		ev.Host = pick("", ".", "xmr.pool.example", "a.ngrok.io", "x.tailscale.com", "metadata.google.internal", "\x1b[31m", "com", "a.b.c.d.co.uk")
		ev.UID = pick("", "C1", "C2")
		if r.IntN(5) == 0 {
			ev.NATSrcIP = addr()
		}
		ev.Put("answers", pick("", "203.0.113.1,x", `["203.0.113.2"]`))
		ev.Put("LEN", pick("", "900", "-1", "x"))
		ev.Put("msg", pick("", "CoinMiner"))
		f.add(ev)
	}
	return f
}

// loud adds one of each sort, of sources that have nothing to do with the rest.
func (f *fake) loud() {
	f.conn(t0+hour, "10.20.7.1", 41000, "203.0.113.90", 443, "ssh", "SF", 13*3600, 90_000, 80_000)
	f.conn(t0+hour, "10.20.7.2", 41000, "203.0.113.91", 443, "ssl", "SF", 600, 9e9, 1e6)
	f.conn(t0+hour, "10.20.7.3", 41000, "203.0.113.92", 9001, "ssl", "SF", 900, 9e5, 9e5)
	for i := range int64(150) {
		f.conn(t0+i*600*sec, "10.20.7.4", 41000+i, "203.0.113.93", 8443, "ssl", "SF", 1, 300, 300)
		f.dns(t0+hour+i*sec, "10.20.7.5", "10.20.7.53", string(rune('a'+i%26))+string(rune('a'+i/26))+".0123456789012345678901234567890123456789012345678901.t.example", "")
		f.conn(t0+hour+i*sec, "10.20.7.6", 41000+i, "10.20.7.60", 1+i, "", "REJ", 0, 0, 0)
		f.conn(t0+hour+i*sec, "10.20.7.7", 41000+i, "203.0.113.94", 8080, "", "S0", 0, 0, 0)
		ev := f.conn(t0+hour+i*sec, "10.20.7.8", firetrail.Absent, "203.0.113.95", firetrail.Absent, "", "OTH", 1, 900, 900)
		ev.Proto, ev.PacketsOut, ev.PacketsIn = "icmp", 1, 1
	}
}

// TestAnything: whatever the records say, every detector ends, keeps its promises
// and says the same for every order of the events.
func TestAnything(t *testing.T) {
	told := map[string]bool{}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := anything(r, 4000)
		f.loud()
		cfg := Config{Allow: []firetrail.Allow{{Entry: "x", Name: "ngrok.io", Port: firetrail.Absent, Expires: firetrail.Absent, Side: "either"}}}
		first, err := Run(t.Context(), f, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, x := range first.Findings {
			if ids[x.ID] {
				t.Errorf("seed %d: two findings are called %s", seed, x.ID)
			}
			ids[x.ID], told[x.Detector] = true, true
			if x.Score < 0 || x.Score > 1 || len(x.Evidence) == 0 || x.Title == "" {
				t.Errorf("seed %d: %+v", seed, x)
			}
		}
		r.Shuffle(len(f.events), func(i, j int) { f.events[i], f.events[j] = f.events[j], f.events[i] })
		again, err := Run(t.Context(), f, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("seed %d: another order gives another result:\n%s", seed, diff[:min(len(diff), 2000)])
		}
		if !slices.IsSortedFunc(first.Findings, compareFindings) {
			t.Errorf("seed %d: findings are out of order", seed)
		}
	}
	if len(told) < 10 {
		t.Errorf("only %v spoke: the records reach too little", sortedKeys(told))
	}
}
