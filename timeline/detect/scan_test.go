package detect

import (
	"fmt"
	"testing"

	"firetrail"
)

func TestInternalSweep(t *testing.T) {
	runScenarios(t, "internal_sweep", []scenario{
		{name: "loud, refused by the firewall", make: func(f *fake) {
			for i := range int64(60) {
				f.tcp(t0+5*hour+i*2*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22)
			}
		}, want: []string{"high 10.20.0.10 10.20.3.0/24 22"}},
		{name: "seen by the firewall and by Zeek", make: func(f *fake) {
			for i := range int64(20) {
				dst := fmt.Sprintf("10.20.3.%d", i+1)
				f.tcp(t0+5*hour+i*2*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, dst, 8080)
				f.conn(t0+5*hour+i*2*sec+sec, "10.20.0.10", 42000+i, dst, 8080, "", "S0", 0, 0, 0)
			}
		}, want: []string{"medium 10.20.0.10 10.20.3.0/24 8080"}},
		{name: "quiet, eight hosts", make: func(f *fake) {
			for i := range int64(8) {
				f.conn(t0+5*hour+i*60*sec, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 8080, "", "REJ", 0, 0, 0)
			}
		}, want: []string{"low 10.20.0.10 10.20.3.0/24 8080"}},
		{name: "slow, one host in twenty minutes", make: func(f *fake) {
			for i := range int64(60) {
				f.conn(t0+i*20*mins, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22, "", "S0", 0, 0, 0)
			}
		}, want: []string{"medium 10.20.0.10 10.20.3.0/24 22"}},
		{name: "wider than a /24", make: func(f *fake) {
			for i := range int64(20) {
				f.tcp(t0+5*hour+i*2*sec, firetrail.ActionReject, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.%d.7", i), 445)
			}
		}, want: []string{"high 10.20.0.10 10.20.0.0/19 445"}},
		{name: "PAN-OS incomplete", make: func(f *fake) {
			for i := range int64(20) {
				f.pan(t0+5*hour+i*2*sec, firetrail.ActionAllow, "incomplete", "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 6379, 5, 70, 0)
			}
		}, want: []string{"high 10.20.0.10 10.20.3.0/24 6379"}},
		{name: "let through by a packet filter: outcome unknown", make: func(f *fake) {
			for i := range int64(30) {
				f.tcp(t0+5*hour+i*2*sec, firetrail.ActionAllow, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22)
			}
		}, want: []string{"low 10.20.0.10 10.20.3.0/24 22"}},

		{name: "decoy: all-to-all of a training job", make: func(f *fake) {
			for a := range int64(20) {
				for b := range int64(20) {
					if a != b {
						f.conn(t0+5*hour+a*sec, fmt.Sprintf("10.20.4.%d", a+1), 43000+b, fmt.Sprintf("10.20.4.%d", b+1), 29500, "", "SF", 3000, 1e9, 1e9)
					}
				}
			}
		}},
		{name: "decoy: scrapes, a fifth of the targets dead", make: func(f *fake) {
			for round := range int64(200) {
				for i := range int64(50) {
					state := "SF"
					if i%5 == 0 {
						state = "S0"
					}
					f.conn(t0+round*60*sec+i*sec/10, "10.20.0.3", 30000+(round*50+i)%30000, fmt.Sprintf("10.20.4.%d", i+1), 9100, "", state, 0, 100, 9000)
				}
			}
		}},
		{name: "decoy: scrapes of dead targets only", make: func(f *fake) {
			for round := range int64(200) {
				for i := range int64(10) {
					f.conn(t0+round*60*sec+i*sec/10, "10.20.0.3", 30000+(round*10+i)%30000, fmt.Sprintf("10.20.4.%d", i+1), 9100, "", "S0", 0, 0, 0)
				}
			}
		}},
		{name: "decoy: multicast, broadcast and radiation from the internet", make: func(f *fake) {
			for i := range int64(40) {
				f.tcp(t0+5*hour+i*sec, firetrail.ActionDrop, "203.0.113.66", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22)
				f.tcp(t0+5*hour+i*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, fmt.Sprintf("239.1.1.%d", i+1), 5353)
				f.tcp(t0+5*hour+i*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.%d.255", i+1), 5353)
			}
		}},
		{name: "decoy: the security scanner is allowed", make: func(f *fake) {
			for i := range int64(60) {
				f.tcp(t0+5*hour+i*2*sec, firetrail.ActionDrop, "10.20.0.66", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22)
			}
		}, cfg: Config{Allow: []firetrail.Allow{{Entry: "10.20.0.66", Prefix: network("10.20.0.66/32"), Side: "src", Port: firetrail.Absent, Expires: firetrail.Absent}}}},
	})
}

func TestPortScan(t *testing.T) {
	runScenarios(t, "port_scan", []scenario{
		{name: "loud", make: func(f *fake) {
			for i := range int64(200) {
				f.conn(t0+5*hour+i*sec/5, "10.20.0.10", 42000+i, "10.20.3.9", 1+i*7, "", "REJ", 0, 0, 0)
			}
			f.conn(t0+5*hour+2*sec, "10.20.0.10", 41999, "10.20.3.9", 22, "ssh", "SF", 1, 100, 100)
		}, want: []string{"high 10.20.0.10 10.20.3.9 -"}},
		{name: "five sensitive ports", make: func(f *fake) {
			for i, p := range []int64{22, 2375, 6379, 9200, 10250} {
				f.tcp(t0+5*hour+int64(i)*sec, firetrail.ActionDrop, "10.20.0.10", 42000+p, "10.20.3.9", p)
			}
		}, want: []string{"medium 10.20.0.10 10.20.3.9 -"}},
		{name: "slow", make: func(f *fake) {
			for i := range int64(60) {
				f.conn(t0+i*20*mins, "10.20.0.10", 42000+i, "10.20.3.9", 1+i, "", "S0", 0, 0, 0)
			}
		}, want: []string{"medium 10.20.0.10 10.20.3.9 -"}},
		{name: "decoy: many ports that answer", make: func(f *fake) {
			for i := range int64(200) {
				f.conn(t0+5*hour+i*sec/5, "10.20.0.10", 42000+i, "10.20.4.9", 30000+i*7, "", "SF", 60, 1e6, 1e6)
			}
		}},
		{name: "decoy: random ports through a packet filter", make: func(f *fake) {
			for i := range int64(200) {
				f.tcp(t0+5*hour+i*sec/5, firetrail.ActionAllow, "10.20.0.10", 42000+i, "10.20.4.9", 30000+i*7)
			}
		}},
		{name: "decoy: late packets of ended connections", make: func(f *fake) {
			for i := range int64(60) {
				f.tcp(t0+5*hour+i*sec, firetrail.ActionDrop, "10.20.0.10", 443, "203.0.113.7", 40000+i).Flags = "ACK FIN"
			}
		}},
	})
}

func TestPolicyBurst(t *testing.T) {
	telemetry := func(f *fake, hosts, each int64) {
		for h := range hosts {
			for i := range each {
				f.tcp(t0+6*hour+h*sec+i*10*sec, firetrail.ActionDrop, fmt.Sprintf("10.20.0.%d", 10+h), 42000+i, "203.0.113.44", 443)
			}
		}
	}
	runScenarios(t, "policy_burst", []scenario{
		{name: "loud and mixed", make: func(f *fake) {
			for i := range int64(30) {
				f.tcp(t0+6*hour+i*3*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, fmt.Sprintf("10.20.3.%d", i+1), 22)
				f.tcp(t0+6*hour+i*3*sec, firetrail.ActionDrop, "10.20.0.10", 43000+i, "203.0.113.9", []int64{3333, 4444, 443}[i%3])
			}
		}, want: []string{"high 10.20.0.10  -"}},
		{name: "quiet, one target", make: func(f *fake) {
			for i := range int64(8) {
				f.tcp(t0+6*hour+i*20*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, "203.0.113.9", 8080)
			}
		}, want: []string{"low 10.20.0.10 203.0.113.9 8080"}},
		{name: "two bursts hours apart", make: func(f *fake) {
			for _, at := range []int64{3 * hour, 9 * hour} {
				for i := range int64(25) {
					f.tcp(t0+at+i*5*sec, firetrail.ActionReject, "10.20.0.10", 42000+i, fmt.Sprintf("203.0.113.%d", i%6+1), 8080)
				}
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.0/24 8080", "medium 10.20.0.10 203.0.113.0/24 8080"}},
		{name: "telemetry refused everywhere is one low finding", make: func(f *fake) { telemetry(f, 50, 12) },
			want: []string{"low  203.0.113.44 443"}},
		{name: "decoy: refused all day at the same pace", make: func(f *fake) {
			for i := range int64(24 * 60) {
				f.tcp(t0+i*60*sec, firetrail.ActionDrop, "10.20.0.10", 42000+i, "203.0.113.9", 8080)
			}
		}},
		{name: "decoy: one blocked connection and its retransmissions", make: func(f *fake) {
			for _, s := range []int64{0, 1, 3, 7, 15, 31, 63} {
				f.tcp(t0+6*hour+s*sec, firetrail.ActionDrop, "10.20.0.10", 42000, "203.0.113.9", 8080)
			}
		}},
		{name: "decoy: backscatter, discovery, late packets", make: func(f *fake) {
			for i := range int64(60) {
				f.tcp(t0+6*hour+i*sec, firetrail.ActionDrop, "203.0.113.9", 42000+i, fmt.Sprintf("10.20.0.%d", i+1), 23)
				f.tcp(t0+6*hour+i*sec, firetrail.ActionDrop, "10.20.0.10", 443, fmt.Sprintf("203.0.113.%d", i+1), 42000+i).Flags = "RST"
				f.tcp(t0+6*hour+i*sec, firetrail.ActionDrop, "10.20.0.10", 137, fmt.Sprintf("10.20.0.%d", i+1), 137).Proto = "udp"
			}
		}},
	})
}

func TestPoissonTail(t *testing.T) {
	for _, c := range []struct {
		k    int64
		mean float64
		want float64
	}{{0, 1, 1}, {1, 1, 1}, {2, 1, 0.264241}, {3, 1, 0.080301}, {6, 0.2, 7.6e-8}, {20, 0.2, 3.5e-33}} {
		got := poissonTail(c.k, c.mean)
		if got < c.want*0.98 || got > c.want*1.02 {
			t.Errorf("P(X >= %d | %g) = %g, want about %g", c.k, c.mean, got, c.want)
		}
	}
}
