package detect

import (
	"fmt"
	"net/netip"
	"testing"

	"firetrail"
)

// hold makes n sources of 10.20.N.* keep a connection to peer for hours.
func (f *fake) hold(net, n int64, peer, name string, hours int64) {
	for i := range n {
		ev := f.conn(t0+hour+i*sec, fmt.Sprintf("10.20.%d.%d", net, 1+i), 41000, peer, 443, "ssl", "SF", hours*3600, 30_000, 90_000)
		if name != "" {
			f.ssl(ev, name)
		}
	}
}

func addrs(net, n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{10, 20, byte(net), byte(1 + i)}))
	}
	return out
}

// TestCommonSessions: what desks hold is no matter, what many machines of runs hold is told once,
// what few hold is told of each.
func TestCommonSessions(t *testing.T) {
	const peer = "203.0.113.50"
	runScenarios(t, "long_session", []scenario{
		{name: "chat of the desks", make: func(f *fake) { f.hold(7, 12, peer, "chat.office.example", 13) }, cfg: Config{Held: addrs(3, 12)}},
		{name: "the same without an inventory", make: func(f *fake) { f.hold(7, 12, peer, "chat.office.example", 13) },
			want: []string{"low  203.0.113.50 443"}},
		{name: "a tracker of all runs", make: func(f *fake) { f.hold(3, 12, peer, "api.tracker.example", 13) }, cfg: Config{Held: addrs(3, 12)},
			want: []string{"low  203.0.113.50 443"}},
		{name: "a few machines", make: func(f *fake) { f.hold(3, 2, peer, "x.example", 13) }, cfg: Config{Held: addrs(3, 12)},
			want: []string{"high 10.20.3.1 203.0.113.50 443", "high 10.20.3.2 203.0.113.50 443"}},
		{name: "many machines and a peer without a name", make: func(f *fake) { f.hold(3, 8, peer, "", 13) }, cfg: Config{Held: addrs(3, 12)},
			want: []string{"low 10.20.3.1 203.0.113.50 443", "low 10.20.3.2 203.0.113.50 443", "low 10.20.3.3 203.0.113.50 443", "low 10.20.3.4 203.0.113.50 443",
				"low 10.20.3.5 203.0.113.50 443", "low 10.20.3.6 203.0.113.50 443", "low 10.20.3.7 203.0.113.50 443", "low 10.20.3.8 203.0.113.50 443"}},
		{name: "short connections all day are no stay", make: func(f *fake) {
			for i := range int64(1400) {
				f.conn(t0+i*60*sec, "10.20.3.1", 41000+i%20000, peer, 443, "ssl", "SF", 8, 3000, 3000)
			}
		}},
		{name: "polls that leave no pause are one", make: func(f *fake) {
			for i := range int64(1000) {
				f.conn(t0+i*60*sec, "10.20.3.1", 41000+i%20000, peer, 443, "ssl", "SF", 59, 3000, 3000)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.50 443"}},
		{name: "connections side by side are not added up", make: func(f *fake) {
			for i := range int64(20) {
				f.conn(t0+i*sec, "10.20.3.1", 41000+i, peer, 443, "ssl", "SF", 3000, 3000, 3000)
			}
		}},
	})
}

// TestStore: volumes that many hosts send to one name are told once, what goes far beyond
// them by itself.
func TestStore(t *testing.T) {
	uploads := func(f *fake, hosts int64) {
		for h := range hosts {
			for i := range int64(4) {
				addr := fmt.Sprintf("203.0.113.%d", 60+(h+i)%2)
				f.ssl(f.conn(t0+i*5*hour+h*60*sec, fmt.Sprintf("10.20.3.%d", 1+h), 41000+i, addr, 443, "ssl", "SF", 300, 900e6+h*1e6, 1e6), "store.example")
			}
		}
	}
	runScenarios(t, "bulk_egress", []scenario{
		{name: "a store of the lab", make: func(f *fake) { uploads(f, 10) }, want: []string{"info  203.0.113.60 443"}},
		{name: "and one that sends too much", make: func(f *fake) {
			uploads(f, 10)
			f.ssl(f.conn(t0+22*hour+30*mins, "10.20.4.1", 41000, "203.0.113.60", 443, "ssl", "SF", 1800, 60e9, 1e6), "store.example")
		}, want: []string{"info  203.0.113.60 443", "low 10.20.4.1 203.0.113.60 443"}},
		{name: "two hosts are no lab", make: func(f *fake) { uploads(f, 2) }, want: []string{
			"low 10.20.3.1 203.0.113.60 443", "low 10.20.3.2 203.0.113.61 443", "low 10.20.3.1 203.0.113.61 443", "low 10.20.3.2 203.0.113.60 443",
			"low 10.20.3.1 203.0.113.60 443", "low 10.20.3.2 203.0.113.61 443", "low 10.20.3.1 203.0.113.61 443", "low 10.20.3.2 203.0.113.60 443"}},
	})
}

// TestPolicyBesideBurst: what many hosts are refused all day is no part of one host's burst.
func TestPolicyBesideBurst(t *testing.T) {
	f := (&fake{}).background()
	for h := range int64(10) {
		for i := range int64(46) {
			f.tcp(t0+i*30*mins+h*sec, firetrail.ActionDrop, fmt.Sprintf("10.20.3.%d", 1+h), 42000+i, "198.51.100.99", 4317)
		}
	}
	for i := range int64(24) {
		f.tcp(t0+5*hour-30*sec+i*3*sec, firetrail.ActionDrop, "10.20.3.1", 50000+i, fmt.Sprintf("203.0.113.%d", 1+i), 22)
	}
	res := judge(t, f, Config{}, "policy_burst")
	if len(res.Findings) != 1 || res.Findings[0].Targeted != 24 {
		t.Errorf("%d findings: %+v", len(res.Findings), brief(res.Findings))
	}
	for _, x := range res.Findings {
		for _, to := range x.Targets {
			if to.Port == 4317 {
				t.Errorf("%s has %s among its targets", x.Title, to.IP)
			}
		}
	}
}

// TestResolverPassesOn: a name that a client is known to have used is not told of the resolver
// that asked for it.
func TestResolverPassesOn(t *testing.T) {
	f := (&fake{}).background()
	f.dns(t0+2*hour, "10.20.0.2", "198.51.100.53", "eu.supportxmr.com", "203.0.113.33")
	f.ssl(f.conn(t0+2*hour+sec, "10.20.0.10", 41000, "203.0.113.33", 443, "ssl", "SF", 600, 3000, 30_000), "eu.supportxmr.com")
	res := judge(t, f, Config{}, "mining")
	if got := brief(res.Findings); len(got) != 1 || got[0] != "critical 10.20.0.10 203.0.113.33 443" {
		t.Errorf("%q", got)
	}
}

// TestQuietMiner: the shape of mining to a named peer is told of a machine of a run which alone
// contacts it, and of no desk.
func TestQuietMiner(t *testing.T) {
	const src = "10.20.3.1"
	quiet := func(f *fake) {
		f.ssl(f.conn(t0+2*hour, src, 41000, "203.0.113.34", 443, "ssl", "SF", 3000, 11_000, 64_000), "eu3.workgrid.example")
	}
	runScenarios(t, "mining", []scenario{
		{name: "a run's machine", make: quiet, cfg: Config{Held: addrs(3, 1)}, want: []string{"low 10.20.3.1 203.0.113.34 443"}},
		{name: "a desk", make: quiet, cfg: Config{Held: addrs(4, 1)}},
		{name: "two machines", make: func(f *fake) {
			quiet(f)
			f.conn(t0+5*hour, "10.20.3.2", 41000, "203.0.113.34", 443, "ssl", "SF", 3, 900, 900)
		}, cfg: Config{Held: addrs(3, 2)}},
	})
}

// TestBeaconOfALife: contacts with a fifth of jitter over some hours are a beacon, on any
// day of long data; what the lab's many hosts contact is none.
func TestBeaconOfALife(t *testing.T) {
	jitter := []int64{0, 37, -41, 12, 58, -25, -60, 44, 5, -13, 29, -50, 60, -7, 21, -33}
	call := func(f *fake, src string, day int64) {
		for i := range int64(80) {
			f.conn(t0+day*24*hour+3*hour+(i*300+jitter[i*7%16])*sec, src, 41000+i, "203.0.113.35", 443, "ssl", "SF", 1, 620, 900)
		}
	}
	late := func(f *fake) {
		f.conn(t0+7*24*hour, "10.20.0.10", 60000, "198.51.100.80", 443, "ssl", "SF", 3, 400, 900)
	}
	runScenarios(t, "beacon", []scenario{
		{name: "on the third day of eight", make: func(f *fake) { call(f, "10.20.3.1", 2); late(f) }, want: []string{"medium 10.20.3.1 203.0.113.35 443"}},
		{name: "of eight hosts", make: func(f *fake) {
			for h := range int64(8) {
				call(f, fmt.Sprintf("10.20.3.%d", 1+h), 2)
			}
		}},
		{name: "once a minute for a week", make: func(f *fake) {
			for i := range int64(7 * 1440) {
				f.conn(t0+i*60*sec, "10.20.3.1", 20000+i, "203.0.113.35", 443, "ssl", "SF", 1, 620, 900)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.35 443"}},
	})
}

// TestFewRefusals: on a port that leads into hosts three refusals among silent contacts are a sweep.
func TestFewRefusals(t *testing.T) {
	try := func(f *fake, port int64) {
		for i := range int64(11) {
			action := firetrail.ActionAllow
			if i%4 == 1 {
				action = firetrail.ActionDrop
			}
			f.tcp(t0+2*hour+i*40*sec, action, "10.20.3.1", 41000+i, fmt.Sprintf("10.20.8.%d", 50+i), port)
		}
	}
	runScenarios(t, "internal_sweep", []scenario{
		{name: "file shares", make: func(f *fake) { try(f, 445) }, want: []string{"medium 10.20.3.1 10.20.8.0/24 445"}},
		{name: "any other port", make: func(f *fake) { try(f, 29500) }},
	})
}
