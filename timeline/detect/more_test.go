package detect

import (
	"fmt"
	"testing"

	"firetrail"
)

func TestLongSession(t *testing.T) {
	runScenarios(t, "long_session", []scenario{
		{name: "thirteen hours", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 8443, "ssl", "SF", 13*3600, 9e5, 9e5)
		}, want: []string{"critical 10.20.0.10 203.0.113.9 8443"}},
		{name: "an hour", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 8443, "ssl", "SF", 3700, 9e5, 9e5)
		}, want: []string{"low 10.20.0.10 203.0.113.9 8443"}},
		{name: "rows of one connection that still runs are not added up", make: func(f *fake) {
			for i := range int64(6) {
				ev := f.conn(t0+10*hour+i*hour, "10.20.0.10", 41000, "203.0.113.9", 22, "ssh", "OTH", i*1800+60, 1000, 1000)
				ev.Kind, ev.UID = "zeek.open_conn", "Copen"
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 22"}},
		{name: "decoy: what the whole lab keeps open for hours, and inside sessions", make: func(f *fake) {
			for h := range int64(6) {
				f.conn(t0+2*hour, fmt.Sprintf("10.20.0.%d", 10+h), 41000, "198.51.100.7", 443, "ssl", "SF", 2*3600, 9e5, 9e5)
				f.conn(t0+2*hour, fmt.Sprintf("10.20.0.%d", 10+h), 41001, "10.20.5.5", 2049, "", "SF", 20*3600, 9e9, 9e9)
			}
		}},
	})
}

func TestRefusedEgress(t *testing.T) {
	runScenarios(t, "refused_egress", []scenario{
		{name: "kept up for hours at port 22", make: func(f *fake) {
			for i := range int64(30) {
				f.tcp(t0+2*hour+i*10*mins, firetrail.ActionDrop, "10.20.0.10", 41000+i, "203.0.113.9", 22)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 22"}},
		{name: "five unanswered", make: func(f *fake) {
			for i := range int64(5) {
				f.conn(t0+2*hour+i*sec, "10.20.0.10", 41000+i, "203.0.113.9", 8080, "", "S0", 0, 0, 0)
			}
		}, want: []string{"low 10.20.0.10 203.0.113.9 8080"}},
		{name: "many peers on one port are one finding", make: func(f *fake) {
			for i := range int64(60) {
				f.conn(t0+2*hour+i*sec, "10.20.0.10", 41000+i, fmt.Sprintf("203.0.113.%d", 9+i%10), 12757, "", "S0", 0, 0, 0)
			}
		}, want: []string{"low 10.20.0.10 203.0.113.0/24 12757"}},
		{name: "decoy: refused everywhere is one low finding", make: func(f *fake) {
			for h := range int64(20) {
				for i := range int64(12) {
					f.tcp(t0+6*hour+i*10*sec, firetrail.ActionDrop, fmt.Sprintf("10.20.0.%d", 10+h), 42000+i, "203.0.113.44", 443)
				}
			}
		}, want: []string{"low  203.0.113.44 443"}},
		{name: "decoy: now and then a failure", make: func(f *fake) {
			for i := range int64(50) {
				state := "SF"
				if i%8 == 0 {
					state = "S0"
				}
				f.conn(t0+2*hour+i*mins, "10.20.0.10", 41000+i, "203.0.113.9", 8080, "", state, 1, 100, 100)
			}
		}},
		{name: "decoy: one attempt and its retransmissions", make: func(f *fake) {
			for _, s := range []int64{0, 1, 3, 7, 15, 31, 63} {
				f.tcp(t0+6*hour+s*sec, firetrail.ActionDrop, "10.20.0.10", 42000, "203.0.113.9", 8080)
			}
		}},
	})
}

func TestDNSTunnel(t *testing.T) {
	runScenarios(t, "dns_tunnel", []scenario{
		{name: "over one socket, TXT, long names", make: func(f *fake) {
			for i := range int64(1500) {
				ev := f.dns(t0+3*hour+i*sec/4, "10.20.0.10", "10.20.0.2", fmt.Sprintf("%060x.%060x.t.evil.example", i, i*7), "")
				ev.SrcPort = 40000
				ev.Put("qtype_name", "TXT")
			}
		}, want: []string{"critical 10.20.0.10 10.20.0.2 53"}},
		{name: "quiet, short names", make: func(f *fake) {
			for i := range int64(700) {
				f.dns(t0+3*hour+i*20*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("x%d.t.evil.example", i), "")
			}
		}, want: []string{"medium 10.20.0.10 10.20.0.2 53"}},
		{name: "a resolver passes it on", make: func(f *fake) {
			for i := range int64(1500) {
				f.dns(t0+3*hour+i*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("x%d.t.evil.example", i), "")
				f.dns(t0+3*hour+i*sec, "10.20.0.2", "198.51.100.53", fmt.Sprintf("x%d.t.evil.example", i), "")
			}
		}, want: []string{"high 10.20.0.10 10.20.0.2 53"}},
		{name: "PAN-OS, volumes only", make: func(f *fake) {
			f.pan(t0+3*hour, firetrail.ActionAllow, "dns", "10.20.0.10", 40000, "203.0.113.53", 53, 1800, 30e6, 20e6)
		}, want: []string{"medium 10.20.0.10 203.0.113.53 53"}},
		{name: "decoy: registered names under com.br, reverse lookups, the cluster's own names", make: func(f *fake) {
			for i := range int64(1200) {
				f.dns(t0+3*hour+i*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("shop%d.com.br", i), "")
				f.dns(t0+3*hour+i*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("www.site%d.com.br", i), "")
				f.dns(t0+3*hour+i*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("%d.3.20.10.in-addr.arpa", i), "")
				f.dns(t0+3*hour+i*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("pod%d.ns.svc.cluster.local", i), "")
			}
		}},
		{name: "decoy: a content network's hundred and fifty names", make: func(f *fake) {
			for i := range int64(150) {
				f.dns(t0+3*hour+i*60*sec, "10.20.0.10", "10.20.0.2", fmt.Sprintf("img%d.cdn.example", i), "")
			}
		}},
	})
}

func TestBeacon(t *testing.T) {
	runScenarios(t, "beacon", []scenario{
		{name: "every ten minutes with jitter", make: func(f *fake) {
			for i := range int64(140) {
				f.conn(t0+i*600*sec+i*37%61*sec, "10.20.0.10", 41000+i, "203.0.113.9", 443, "ssl", "SF", 1, 120, 90)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 443"}},
		{name: "through a packet filter", make: func(f *fake) {
			for i := range int64(140) {
				f.tcp(t0+i*600*sec+i*37%61*sec, firetrail.ActionAllow, "10.20.0.10", 41000+i, "203.0.113.9", 8080)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 8080"}},
		{name: "decoy: NTP, DNS and what the lab shares", make: func(f *fake) {
			for i := range int64(140) {
				f.conn(t0+i*600*sec, "10.20.0.10", 123, "203.0.113.123", 123, "ntp", "SF", 0, 48, 48)
				for h := range int64(6) {
					f.conn(t0+i*600*sec, fmt.Sprintf("10.20.0.%d", 10+h), 41000+i, "203.0.113.9", 443, "ssl", "SF", 1, 120, 90)
				}
			}
		}},
		{name: "decoy: work that comes and goes", make: func(f *fake) {
			at := t0
			for i := range int64(140) {
				at += (i * i * 7919 % 1800) * sec
				f.conn(at, "10.20.0.10", 41000+i, "203.0.113.9", 443, "ssl", "SF", 1, i*i*997%90000, 90)
			}
		}},
	})
}

func TestProtocolMismatch(t *testing.T) {
	runScenarios(t, "protocol_mismatch", []scenario{
		{name: "ssh on 443", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 443, "ssh", "SF", 1200, 9e4, 9e4)
		}, want: []string{"high 10.20.0.10 203.0.113.9 443"}},
		{name: "unidentified on 443", make: func(f *fake) {
			f.pan(t0+2*hour, firetrail.ActionAllow, "unknown-tcp", "10.20.0.10", 41000, "203.0.113.9", 443, 300, 9e4, 9e4)
		}, want: []string{"low 10.20.0.10 203.0.113.9 443"}},
		{name: "decoy: applications over TLS, ssh on 22", make: func(f *fake) {
			f.pan(t0+2*hour, firetrail.ActionAllow, "google-base", "10.20.0.10", 41000, "203.0.113.9", 443, 300, 9e4, 9e4)
			f.conn(t0+2*hour, "10.20.0.10", 41001, "203.0.113.9", 443, "ssl", "SF", 1200, 9e4, 9e4)
			f.conn(t0+2*hour, "10.20.0.10", 41002, "203.0.113.9", 22, "ssh", "SF", 1200, 9e4, 9e4)
		}},
	})
}

func TestICMPTunnel(t *testing.T) {
	echo := func(f *fake, n int64, size func(int64) int64) {
		for i := range n {
			ev := f.conn(t0+2*hour+i*sec, "10.20.0.10", firetrail.Absent, "203.0.113.9", firetrail.Absent, "", "OTH", 1, size(i), size(i))
			ev.Proto, ev.PacketsOut, ev.PacketsIn = "icmp", 1, 1
		}
	}
	runScenarios(t, "icmp_tunnel", []scenario{
		{name: "a kilobyte an echo", make: func(f *fake) { echo(f, 300, func(i int64) int64 { return 900 + i }) },
			want: []string{"high 10.20.0.10 203.0.113.9 -"}},
		{name: "packet filter with lengths", make: func(f *fake) {
			for i := range int64(60) {
				ev := f.tcp(t0+2*hour+i*sec, firetrail.ActionAllow, "10.20.0.10", firetrail.Absent, "203.0.113.9", firetrail.Absent)
				ev.Proto, ev.Flags = "icmp", ""
				ev.Put("LEN", fmt.Sprint(200+i*13%700))
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 -"}},
		{name: "decoy: pings", make: func(f *fake) { echo(f, 500, func(int64) int64 { return 56 }) }},
	})
}

func TestFirstContact(t *testing.T) {
	runScenarios(t, "first_contact", []scenario{
		{name: "ten hosts, ports of all sorts", make: func(f *fake) {
			for i := range int64(10) {
				f.conn(t0+2*hour+i*5*mins, "10.20.0.10", 41000+i, fmt.Sprintf("10.20.3.%d", i+1), 1000+i*11, "", "S0", 0, 0, 0)
			}
		}, want: []string{"low 10.20.0.10 10.20.3.0/24 -"}},
		{name: "decoy: half of them answer", make: func(f *fake) {
			for i := range int64(30) {
				state := "SF"
				if i%2 == 0 {
					state = "S0"
				}
				f.conn(t0+2*hour+i*5*mins, "10.20.0.10", 41000+i, fmt.Sprintf("10.20.3.%d", i+1), 1000+i*11, "", state, 0, 0, 0)
			}
		}},
		{name: "decoy: multicast and discovery", make: func(f *fake) {
			for i := range int64(30) {
				f.conn(t0+2*hour+i*sec, "10.20.0.10", 5353, fmt.Sprintf("224.0.0.%d", i+1), 5353, "", "S0", 0, 0, 0).Proto = "udp"
				f.conn(t0+2*hour+i*sec, "10.20.0.10", 137, fmt.Sprintf("10.20.3.%d", i+1), 137, "", "S0", 0, 0, 0).Proto = "udp"
			}
		}},
	})
}

func TestOverlayAndTor(t *testing.T) {
	runScenarios(t, "overlay_vpn", []scenario{
		{name: "WireGuard by port", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 51820, "", "SF", 1200, 9e5, 9e5).Proto = "udp"
		}, want: []string{"high 10.20.0.10 203.0.113.9 51820"}},
		{name: "Tailscale by name", make: func(f *fake) {
			f.ssl(f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 443, "ssl", "SF", 60, 9e4, 9e4), "controlplane.tailscale.com")
		}, want: []string{"medium 10.20.0.10 203.0.113.9 443"}},
		{name: "decoy: TCP on a UDP service's port, inside peers", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 51820, "", "SF", 1200, 9e5, 9e5)
			f.conn(t0+2*hour, "10.20.0.10", 41000, "10.20.9.9", 51820, "", "SF", 1200, 9e5, 9e5).Proto = "udp"
		}},
	})
	runScenarios(t, "tor", []scenario{
		{name: "relay port, long", make: func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 9001, "ssl", "SF", 1200, 9e5, 9e5)
		}, want: []string{"medium 10.20.0.10 203.0.113.9 9001"}},
		{name: "an onion name", make: func(f *fake) {
			f.dns(t0+2*hour, "10.20.0.10", "10.20.0.2", "abcdefghijklmnop.onion", "")
		}, want: []string{"low 10.20.0.10  -"}},
		{name: "decoy: onions", make: func(f *fake) {
			f.dns(t0+2*hour, "10.20.0.10", "10.20.0.2", "the.onion.example", "")
		}},
	})
}

// TestAsksAddress: names that only carry an address are asked of lists, not of tunnels.
func TestAsksAddress(t *testing.T) {
	for name, want := range map[string]bool{
		"4.3.2.1.zen.list.example": true, "250.0.0.12.bl.example": true,
		"b.a.9.8.7.6.5.4.3.2.1.0.f.e.d.c.b.a.9.8.7.6.5.4.3.2.1.0.f.e.d.c.bl.example": true,
		"1.2.3.zen.example": false, "1.2.3.4.5.t.example": false, "999.2.3.4.t.example": false, "a1.b2.c3.d4.t.example": false,
		"deadbeef.t.example": false, "": false, "1.2.3.4": true,
	} {
		if got := asksAddress(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	ask := func(f *fake, domain string, label func(int64) string) {
		for i := range int64(1200) {
			f.dns(t0+i*60*sec, "10.20.0.10", "10.20.0.2", label(i)+"."+domain, "")
		}
	}
	word := func(i int64) string { return fmt.Sprintf("q%dx7f3a9b2c4d", i*7919) }
	runScenarios(t, "dns_tunnel", []scenario{
		{name: "a list of addresses", make: func(f *fake) {
			ask(f, "zen.list.example", func(i int64) string { return fmt.Sprintf("%d.%d.3.%d", i%250, i%7, 1+i%200) })
		}},
		{name: "lookups of files", make: func(f *fake) { ask(f, "p02.sophosxl.net", word) }, want: []string{"low 10.20.0.10 10.20.0.2 53"}},
		{name: "anything else", make: func(f *fake) { ask(f, "kv.example.org", word) }, want: []string{"high 10.20.0.10 10.20.0.2 53"}},
	})
}

// TestShortRoutine: what asks all the time in two hours of data is a routine as well.
func TestShortRoutine(t *testing.T) {
	probe := func(n, every int64) func(*fake) {
		return func(f *fake) {
			f.events = nil
			f.conn(t0, "10.20.0.11", 41000, "198.51.100.80", 443, "ssl", "SF", 3, 400, 900)
			f.conn(t0+2*hour, "10.20.0.11", 41001, "198.51.100.80", 443, "ssl", "SF", 3, 400, 900)
			for i := range n {
				f.conn(t0+i*every, "10.20.0.10", 42000+i, "169.254.169.254", 80, "http", "SF", 0, 200, 900)
			}
		}
	}
	runScenarios(t, "metadata_access", []scenario{
		{name: "an agent of the cloud", make: probe(24, 5*mins), want: []string{"info 10.20.0.10 169.254.169.254 80"}},
		{name: "a burst", make: probe(24, 5*sec), want: []string{"medium 10.20.0.10 169.254.169.254 80"}},
	})
}

// TestCalls: a call over UDP is no session that stays; one without an answer's weight is.
func TestCalls(t *testing.T) {
	talk := func(out, in int64) func(*fake) {
		return func(f *fake) {
			f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 8801, "", "SF", 3*3600, out, in).Proto = "udp"
		}
	}
	runScenarios(t, "long_session", []scenario{
		{name: "a call", make: talk(900e6, 2e9)},
		{name: "a tunnel that mostly waits", make: talk(2e6, 3e6), want: []string{"medium 10.20.0.10 203.0.113.9 8801"}},
		{name: "an upload", make: talk(2e9, 9e6), want: []string{"medium 10.20.0.10 203.0.113.9 8801"}},
	})
}

// TestPatientScan: a scan that no window holds is told by the ports that lead into a host.
func TestPatientScan(t *testing.T) {
	try := func(ports ...int64) func(*fake) {
		return func(f *fake) {
			for i, port := range ports {
				f.tcp(t0+hour+int64(i)*10*mins, firetrail.ActionDrop, "10.20.3.1", 41000+int64(i), "10.20.8.9", port)
			}
		}
	}
	runScenarios(t, "port_scan", []scenario{
		{name: "what leads in", make: try(21, 22, 23, 80, 111, 135, 139, 389, 443, 445, 2049, 3306, 5432, 6379, 8080), want: []string{"medium 10.20.3.1 10.20.8.9 -"}},
		{name: "anything", make: try(8001, 8002, 8003, 8004, 8005, 8006, 8007, 8008, 8009, 8010, 8011, 8012, 8013, 8014, 8015)},
		{name: "too few", make: try(21, 22, 23, 80, 111, 135, 139)},
	})
}

// TestHabitualFailures: who meets dead hosts again and again monitors them, and what many desks
// fail at is the network's habit.
func TestHabitualFailures(t *testing.T) {
	meet := func(f *fake, src string, hosts, times int64) {
		for i := range hosts * times {
			f.conn(t0+hour+i*20*sec, src, 41000+i%9000, fmt.Sprintf("10.20.9.%d", 1+i%hosts), 5357, "", "S0", 0, 0, 0)
		}
	}
	many := func(f *fake) {
		for h := range int64(9) {
			meet(f, fmt.Sprintf("10.20.7.%d", 1+h), 8, 1)
		}
	}
	runScenarios(t, "first_contact", []scenario{
		{name: "a search", make: func(f *fake) { meet(f, "10.20.3.1", 8, 1) }, want: []string{"low 10.20.3.1 10.20.9.0/24 -"}},
		{name: "monitoring", make: func(f *fake) { meet(f, "10.20.3.1", 8, 60) }},
		{name: "desks", make: many, cfg: Config{Held: addrs(3, 4)}, want: []string{"low  10.20.9.0/24 -"}},
	})
}

// TestStandingServices: what an address of no run's keeps up all the time counts less, and the
// parts of a connection that stands are no beacon.
func TestStandingServices(t *testing.T) {
	keep := func(src string, from, to int64) func(*fake) {
		return func(f *fake) {
			for i := from; i < to; i++ {
				f.conn(t0+i*hour+mins, src, 4500, "203.0.113.9", 4500, "", "SF", 3500, 300e6, 400e6).Proto = "udp"
			}
		}
	}
	held := Config{Held: addrs(3, 4)}
	runScenarios(t, "overlay_vpn", []scenario{
		{name: "a gateway's", make: keep("10.20.0.1", 0, 24), cfg: held, want: []string{"low 10.20.0.1 203.0.113.9 4500"}},
		{name: "that begins", make: keep("10.20.0.1", 9, 24), cfg: held, want: []string{"medium 10.20.0.1 203.0.113.9 4500"}},
		{name: "of a machine of runs", make: keep("10.20.3.1", 0, 24), cfg: held, want: []string{"medium 10.20.3.1 203.0.113.9 4500"}},
		{name: "without an inventory", make: keep("10.20.0.1", 0, 24), want: []string{"medium 10.20.0.1 203.0.113.9 4500"}},
	})
	runScenarios(t, "beacon", []scenario{
		{name: "renewed each hour", make: keep("10.20.3.1", 0, 24), want: []string{"low 10.20.3.1 203.0.113.9 4500"}},
		{name: "visits each hour", make: func(f *fake) {
			for i := range int64(24) {
				f.conn(t0+i*hour+mins, "10.20.3.1", 4500, "203.0.113.9", 4500, "", "SF", 3, 3e3, 4e3)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.9 4500"}},
	})
}
