package detect

import (
	"fmt"
	"net/netip"
	"testing"

	"firetrail"
)

func TestMining(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.33"
	runScenarios(t, "mining", []scenario{
		{name: "by name and shape", make: func(f *fake) {
			f.dns(t0+2*hour-sec, src, "10.20.0.2", "pool.supportxmr.com", peer)
			f.conn(t0+2*hour, src, 41000, peer, 3333, "", "SF", 7200, 30_000, 300_000)
		}, want: []string{"critical 10.20.0.10 203.0.113.33 3333"}},
		{name: "over TLS by SNI", make: func(f *fake) {
			f.ssl(f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 3_000, 30_000), "xmr-eu1.nanopool.org")
		}, want: []string{"critical 10.20.0.10 203.0.113.33 443"}},
		{name: "by raw address and port", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 3333, "", "SF", 7200, 30_000, 300_000)
		}, want: []string{"high 10.20.0.10 203.0.113.33 3333"}},
		{name: "by raw address over TLS, shape only", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 7200, 30_000, 300_000)
		}, want: []string{"medium 10.20.0.10 203.0.113.33 443"}},
		{name: "packet filter, port only", make: func(f *fake) {
			for i := range int64(10) {
				f.tcp(t0+2*hour+i*180*sec, firetrail.ActionAllow, src, 41000+i, peer, 3333)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.33 3333"}},
		{name: "refused once", make: func(f *fake) {
			f.tcp(t0+2*hour, firetrail.ActionDrop, src, 41000, peer, 3333)
		}, want: []string{"low 10.20.0.10 203.0.113.33 3333"}},
		{name: "only asked for", make: func(f *fake) {
			f.dns(t0+2*hour, src, "10.20.0.2", "stratum.f2pool.com", "")
		}, want: []string{"medium 10.20.0.10  -"}},
		{name: "PAN-OS names it", make: func(f *fake) {
			f.pan(t0+2*hour, firetrail.ActionAllow, "bitcoin", src, 41000, peer, 8333, 60, 3_000, 3_000)
		}, want: []string{"critical 10.20.0.10 203.0.113.33 8333"}},
		{name: "an alarm", make: func(f *fake) {
			ev := f.pan(t0+2*hour, firetrail.ActionAlert, "unknown-tcp", src, 41000, peer, 80, 0, 0, 0)
			ev.Kind, ev.Duration, ev.End = "paloalto.threat", firetrail.Absent, firetrail.Absent
			ev.Put("threat_id", "CoinMiner Command and Control Traffic Detection(85825)")
		}, want: []string{"high 10.20.0.10 203.0.113.33 80"}},

		{name: "decoy: names that contain a pool's", make: func(f *fake) {
			for i, n := range []string{"www.adminer.com", "api.coinbase.com", "lab.mooo.com", "carpool.example.com", "0.pool.ntp.org", "notnanopool.org"} {
				f.dns(t0+2*hour, src, "10.20.0.2", n, fmt.Sprintf("203.0.113.%d", 100+i))
				f.ssl(f.conn(t0+2*hour, src, 41000+int64(i), fmt.Sprintf("203.0.113.%d", 100+i), 443, "ssl", "SF", 20, 3_000, 30_000), n)
			}
		}},
		{name: "decoy: a collective on an inside port 3333", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, "10.20.4.4", 3333, "", "SF", 7200, 30_000, 300_000)
		}},
		{name: "decoy: a push connection that the whole lab keeps", make: func(f *fake) {
			for h := range int64(6) {
				f.conn(t0+2*hour, fmt.Sprintf("10.20.0.%d", 10+h), 41000, peer, 443, "ssl", "SF", 7200, 30_000, 300_000)
			}
		}},
	})
}

func TestTunnelService(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.40"
	runScenarios(t, "tunnel_service", []scenario{
		{name: "cloudflared by name and port", make: func(f *fake) {
			f.dns(t0+2*hour-sec, src, "10.20.0.2", "region1.v2.argotunnel.com", peer)
			f.conn(t0+2*hour, src, 41000, peer, 7844, "ssl", "SF", 7200, 300_000, 300_000)
		}, want: []string{"critical 10.20.0.10 203.0.113.40 7844"}},
		{name: "ngrok by SNI", make: func(f *fake) {
			f.ssl(f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 900, 30_000, 30_000), "connect.ngrok-agent.com")
		}, want: []string{"high 10.20.0.10 203.0.113.40 443"}},
		{name: "bore by port, packet filter", make: func(f *fake) {
			f.tcp(t0+2*hour, firetrail.ActionAllow, src, 41000, peer, 7835)
		}, want: []string{"medium 10.20.0.10 203.0.113.40 7835"}},
		{name: "frp by port, long", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 7000, "", "SF", 7200, 300_000, 300_000)
		}, want: []string{"medium 10.20.0.10 203.0.113.40 7000"}},
		{name: "only asked for", make: func(f *fake) {
			f.dns(t0+2*hour, src, "10.20.0.2", "abc.trycloudflare.com", "")
		}, want: []string{"low 10.20.0.10  -"}},
		{name: "refused", make: func(f *fake) {
			f.tcp(t0+2*hour, firetrail.ActionReject, src, 41000, peer, 7844)
		}, want: []string{"low 10.20.0.10 203.0.113.40 7844"}},
		{name: "decoy: names that contain a service's", make: func(f *fake) {
			for i, n := range []string{"notngrok.io", "ngrok.io.example.com", "www.loca.lt.example"} {
				f.ssl(f.conn(t0+2*hour, src, 41000+int64(i), peer, 443, "ssl", "SF", 900, 30_000, 30_000), n)
			}
		}},
		{name: "decoy: a web service on port 7000", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 7000, "http", "SF", 7200, 300_000, 300_000)
		}},
		{name: "allowed by name", make: func(f *fake) {
			f.ssl(f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 900, 30_000, 30_000), "gw.ngrok.app")
		}, cfg: Config{Allow: []firetrail.Allow{{Entry: "*.ngrok.app", Name: "ngrok.app", Side: "either", Port: firetrail.Absent, Expires: firetrail.Absent}}}},
	})
}

func TestMetadataAccess(t *testing.T) {
	const meta = "169.254.169.254"
	runScenarios(t, "metadata_access", []scenario{
		{name: "from a sandbox", make: func(f *fake) {
			f.tcp(t0+2*hour, firetrail.ActionAllow, "10.20.9.4", 41000, meta, 80)
		}, cfg: Config{Sandboxes: []netip.Prefix{network("10.20.9.0/24")}}, want: []string{"high 10.20.9.4 169.254.169.254 80"}},
		{name: "from a host, once", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, meta, 80, "http", "SF", 0, 300, 1500)
		}, want: []string{"medium 10.20.0.10 169.254.169.254 80"}},
		{name: "other clouds", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "100.100.100.200", 80, "http", "SF", 0, 300, 1500)
			f.tcp(t0+3*hour, firetrail.ActionDrop, "10.20.0.11", 41000, "168.63.129.16", 80)
		}, want: []string{"medium 10.20.0.10 100.100.100.200 80", "medium 10.20.0.11 168.63.129.16 80"}},
		{name: "decoy: the cloud's agent, every ten minutes", make: func(f *fake) {
			for i := range int64(144) {
				f.conn(t0+i*600*sec, "10.20.0.10", 41000+i, meta, 80, "http", "SF", 0, 300, 1500)
			}
		}, want: []string{"info 10.20.0.10 169.254.169.254 80"}},
		{name: "decoy: other link-local traffic, DNS by the cloud's resolver", make: func(f *fake) {
			f.tcp(t0+2*hour, firetrail.ActionAllow, "10.20.0.10", 41000, "169.254.20.10", 53)
			f.tcp(t0+2*hour, firetrail.ActionAllow, "10.20.0.10", 41000, meta, 53)
		}},
	})
}

func TestBulkEgress(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.70"
	runScenarios(t, "bulk_egress", []scenario{
		{name: "two gigabytes in an hour", make: func(f *fake) {
			for i := range int64(20) {
				f.conn(t0+2*hour+i*120*sec, src, 41000+i, peer, 443, "ssl", "SF", 60, 100e6, 1e6)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.70 443"}},
		{name: "ten gigabytes", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 10e9, 1e6)
		}, want: []string{"high 10.20.0.10 203.0.113.70 443"}},
		{name: "again on another day", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 1e9, 1e6)
			f.conn(t0+20*hour, src, 41001, peer, 443, "ssl", "SF", 600, 1e9, 1e6)
		}, want: []string{"medium 10.20.0.10 203.0.113.70 443", "medium 10.20.0.10 203.0.113.70 443"}},
		{name: "still running, a row every ten minutes", make: func(f *fake) {
			for i := range int64(7) {
				ev := f.conn(t0+2*hour+i*600*sec, src, 41000, peer, 443, "ssl", "OTH", i*600, i*100e6, 1e6)
				ev.Kind, ev.UID, ev.End = "zeek.open_conn", "Copen", ev.Time
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.70 443"}},
		{name: "two sensors do not make twice the volume", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 400e6, 1e6)
			f.pan(t0+2*hour, firetrail.ActionAllow, "ssl", src, 41000, peer, 443, 600, 400e6, 1e6)
		}},
		{name: "an outlier among the source's own peers", make: func(f *fake) {
			for i := range int64(30) {
				f.conn(t0+3*hour+i*sec, src, 42000+i, fmt.Sprintf("198.51.100.%d", i+1), 443, "ssl", "SF", 5, 100_000, 1e6)
			}
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 120e6, 1e6)
		}, want: []string{"medium 10.20.0.10 203.0.113.70 443"}},
		{name: "decoy: the same volume over a day", make: func(f *fake) {
			f.conn(t0+sec, src, 41000, peer, 443, "ssl", "SF", 86000, 2e9, 1e6)
		}},
		{name: "decoy: downloads and inside traffic", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 10e6, 100e9)
			f.conn(t0+2*hour, src, 41001, "10.20.5.5", 2049, "", "SF", 600, 100e9, 100e9)
		}},
		{name: "decoy: checkpoints to an allowed store", make: func(f *fake) {
			f.ssl(f.conn(t0+2*hour, src, 41000, peer, 443, "ssl", "SF", 600, 50e9, 1e6), "ckpt.store.example")
		}, cfg: Config{Allow: []firetrail.Allow{{Entry: "*.store.example", Name: "store.example", Side: "dst", Port: firetrail.Absent, Expires: firetrail.Absent}}}},
	})
}

// TestSlowEgress: what is sent in parts, over days and to several peers at once, is told by its
// sum against the source's other peers; calls are not told, and contacts between loads are no
// part of a load.
func TestSlowEgress(t *testing.T) {
	const src = "10.20.3.1"
	peers := func(f *fake) { // what the source sends to others
		for p := range int64(14) {
			for i := range int64(9) {
				f.conn(t0+i*2*hour+p*60*sec, src, 20000+i, fmt.Sprintf("198.51.100.%d", 100+p), 443, "ssl", "SF", 3, 9000, 90_000)
			}
		}
	}
	parts := func(f *fake, n, peers, mb int64) {
		for i := range n {
			f.conn(t0+hour+i*7*hour, src, 30000+i, fmt.Sprintf("203.0.113.%d", 40+i%peers), 443, "ssl", "SF", 60, mb*1e6, 9000)
		}
	}
	call := func(f *fake, in int64) {
		f.conn(t0+9*hour, src, 31000, "203.0.113.60", 8801, "", "SF", 5400, 800e6, in).Proto = "udp"
	}
	runScenarios(t, "bulk_egress", []scenario{
		{name: "parts over days to one peer", make: func(f *fake) { peers(f); parts(f, 6, 1, 40) }, want: []string{"medium 10.20.3.1 203.0.113.40 443"}},
		{name: "and to three in turn", make: func(f *fake) { peers(f); parts(f, 12, 3, 40) }, want: []string{
			"medium 10.20.3.1 203.0.113.40 443", "medium 10.20.3.1 203.0.113.41 443", "medium 10.20.3.1 203.0.113.42 443"}},
		{name: "too little", make: func(f *fake) { peers(f); parts(f, 6, 1, 5) }},
		{name: "of a source with few other peers nothing is known", make: func(f *fake) { parts(f, 6, 1, 40) }},
		{name: "a call", make: func(f *fake) { peers(f); call(f, 600e6) }},
		{name: "no call", make: func(f *fake) { peers(f); call(f, 6e6) }, want: []string{"high 10.20.3.1 203.0.113.60 8801"}},
	})
	f := (&fake{}).background()
	for i := range int64(40) {
		f.conn(t0+i*30*mins, src, 20000+i, "203.0.113.40", 443, "ssl", "SF", 3, 900, 90_000)
	}
	f.conn(t0+7*hour+10*mins, src, 30000, "203.0.113.40", 443, "ssl", "SF", 300, 900e6, 9000)
	if got := judge(t, f, Config{}, "bulk_egress").Findings; len(got) != 1 || len(got[0].Bursts) != 1 || got[0].Start != t0+7*hour+10*mins {
		t.Errorf("one load among contacts: %+v", got)
	}
}
