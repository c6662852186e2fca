package detect

import (
	"fmt"
	"net/netip"
	"testing"

	"firetrail"
)

func TestSSHTunnel(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.9"
	runScenarios(t, "ssh_tunnel", []scenario{
		{name: "reverse tunnel on port 443 for hours", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssh", "SF", 3*3600, 200_000, 150_000)
		}, want: []string{"high 10.20.0.10 203.0.113.9 443"}},
		{name: "one connection seen by three sensors is one session", make: func(f *fake) {
			f.tcp(t0+2*hour-3*sec, firetrail.ActionAllow, src, 41000, peer, 22)
			f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 3*3600, 200_000, 150_000)
			f.pan(t0+2*hour+2*sec, firetrail.ActionAllow, "ssh", src, 41000, peer, 22, 3*3600, 200_000, 150_000)
		}, want: []string{"high 10.20.0.10 203.0.113.9 22"}},
		{name: "autossh", make: func(f *fake) {
			for i := range int64(6) {
				f.pan(t0+2*hour+i*700*sec, firetrail.ActionAllow, "ssh", src, 41000+i, peer, 22, 660, 20_000, 15_000)
			}
		}, want: []string{"high 10.20.0.10 203.0.113.9 22"}},
		{name: "still open at the end", make: func(f *fake) {
			for i := range int64(8) {
				ev := f.conn(t0+10*hour+i*hour, src, 41000, peer, 22, "ssh", "OTH", i*3600+60, 1000+480*i, 1000+480*i)
				ev.Kind, ev.UID = "zeek.open_conn", "Copen"
			}
		}, want: []string{"high 10.20.0.10 203.0.113.9 22"}},
		{name: "let through by a packet filter, again and again", make: func(f *fake) {
			for i := range int64(12) {
				f.tcp(t0+3*hour+i*100*sec, firetrail.ActionAllow, src, 41000+i, peer, 22)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 22"}},
		{name: "refused", make: func(f *fake) {
			for i := range int64(4) {
				f.tcp(t0+3*hour+i*100*sec, firetrail.ActionDrop, src, 41000+i, peer, 22)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.9 22"}},
		{name: "refused at many servers is one finding", make: func(f *fake) {
			for i := range int64(12) {
				f.tcp(t0+3*hour+i*sec, firetrail.ActionDrop, src, 41000+i, fmt.Sprintf("203.0.113.%d", 9+i%4), []int64{22, 2222}[i%2])
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.0/24 -"}},
		{name: "let through to many servers is one finding", make: func(f *fake) {
			for i := range int64(40) {
				f.tcp(t0+3*hour+i*sec, firetrail.ActionAllow, src, 41000+i, fmt.Sprintf("203.0.113.%d", 9+i), 22)
			}
		}, want: []string{"medium 10.20.0.10 203.0.113.0/24 22"}},
		{name: "two runs far apart are two findings", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 4000, 200_000, 150_000)
			f.conn(t0+12*hour, src, 41000, peer, 22, "ssh", "SF", 4000, 200_000, 150_000)
		}, want: []string{"high 10.20.0.10 203.0.113.9 22", "high 10.20.0.10 203.0.113.9 22"}},
		{name: "the sensor's inference", make: func(f *fake) {
			ev := f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 120, 9000, 9000)
			uid := ev.UID
			x := f.conn(t0+2*hour, src, 41000, peer, 22, "", "", 0, 0, 0)
			x.Kind, x.UID, x.Duration, x.End = "zeek.ssh", uid, firetrail.Absent, firetrail.Absent
			x.Put("inferences", "RSP,KS")
		}, want: []string{"high 10.20.0.10 203.0.113.9 22"}},

		{name: "decoy: git over ssh", make: func(f *fake) {
			f.dns(t0+2*hour-sec, src, "10.20.0.2", "github.com", "203.0.113.22")
			for i := range int64(10) {
				f.conn(t0+2*hour+i*hour, src, 41000+i, "203.0.113.22", 22, "ssh", "SF", 20, 3000, 900_000)
			}
		}},
		{name: "decoy: scp of a file", make: func(f *fake) {
			ev := f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 700, 900_000_000, 2_000_000)
			ev.PacketsOut, ev.PacketsIn = 640_000, 40_000
		}},
		{name: "decoy: an operator's inbound ssh", make: func(f *fake) {
			f.conn(t0+2*hour, "203.0.113.50", 41000, "10.20.0.5", 22, "ssh", "SF", 8000, 100_000, 200_000)
		}},
		{name: "decoy: https on port 2222", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 2222, "ssl", "SF", 8000, 100_000, 200_000)
		}},
		{name: "decoy: answers of inbound sessions", make: func(f *fake) {
			for i := range int64(5) {
				f.tcp(t0+3*hour+i*100*sec, firetrail.ActionAllow, src, 22, peer, 2222).Flags = "ACK PSH"
			}
		}},
		{name: "allowed", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 443, "ssh", "SF", 3*3600, 200_000, 150_000)
		}, cfg: Config{Allow: []firetrail.Allow{{Entry: peer, Prefix: network("203.0.113.9/32"), Side: "dst", Port: firetrail.Absent, Expires: firetrail.Absent, Reason: "tunnel gateway"}}}},
		{name: "known bastion", make: func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 1200, 100_000, 200_000)
		}, cfg: Config{Bastions: []netip.Addr{netip.MustParseAddr(peer)}}},
	})
}
