package query

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"firetrail"
)

func sample() firetrail.Event {
	ev := firetrail.NewEvent()
	ev.Origin = firetrail.Origin{Source: "0123456789abcdef", Line: 7, Offset: 700, Length: 90}
	ev.Time = time.Date(2026, 3, 1, 10, 15, 2, 500e6, time.UTC).UnixNano()
	ev.Duration = 90e9
	ev.Guess = firetrail.GuessYear
	ev.Kind, ev.Sensor, ev.Action, ev.Proto = "zeek.conn", "Zeek-1", firetrail.ActionDrop, "tcp"
	ev.SrcIP, ev.DstIP = netip.MustParseAddr("10.20.3.7"), netip.MustParseAddr("2001:db8:0:1::9")
	ev.NATSrcIP = netip.MustParseAddr("198.51.100.4")
	ev.SrcPort, ev.DstPort, ev.NATSrcPort = 50000, 443, 61000
	ev.BytesOut, ev.BytesIn = 1_500_000_000, 0
	ev.Rule, ev.Host, ev.URL = "Deny All (egress)", "EU.Pool.example", "http://eu.pool.example/a/b.php?x=1"
	ev.User, ev.UID = "DOMAIN\\alice", "CAbc"
	ev.X = []firetrail.Field{{Name: "TTL", Value: "63"}, {Name: "msg", Value: "Scan of 25 hosts: done"}, {Name: "inner.src", Value: "192.0.2.9"}, {Name: "TTL", Value: "64"}, {Name: "fuid", Value: "xmrig"}, {Name: "software", Value: "cURL/8.1"}}
	return ev
}

// TestGuessOfBoth: "year,zone" is two answers, and each is found alone.
func TestGuessOfBoth(t *testing.T) {
	ev := sample()
	ev.Guess = firetrail.GuessYear | firetrail.GuessZone
	for text, want := range map[string]bool{
		"time.guess:year": true, "time.guess:ZONE": true, `time.guess:"year,zone"`: true, "time.guess:month": false, `time.guess:""`: false,
	} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(q, Env{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Event(&ev); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestEvent(t *testing.T) {
	ev := sample()
	env := Env{Now: ev.Time + 3600e9, Runs: func(id string) ([]firetrail.Lease, error) {
		switch id {
		case "r-1":
			return []firetrail.Lease{{IP: ev.SrcIP, Start: ev.Time + 5e9, End: firetrail.Absent, StartUnc: 5e9, PortLow: firetrail.Absent}}, nil
		case "r-2":
			return []firetrail.Lease{{IP: ev.SrcIP, Start: ev.Time + 5e9, End: firetrail.Absent, StartUnc: 4e9, PortLow: firetrail.Absent}}, nil
		case "r-3":
			return []firetrail.Lease{{IP: ev.NATSrcIP, Start: firetrail.Absent, End: firetrail.Absent, PortLow: 60000, PortHigh: 61000}}, nil
		case "r-4":
			return []firetrail.Lease{{IP: ev.SrcIP, Start: firetrail.Absent, End: firetrail.Absent, PortLow: 60000, PortHigh: 61000}}, nil
		}
		return nil, nil
	}}
	for _, c := range []struct{ yes, no string }{
		{"*", "NOT *"},
		{"alice", "bob"},
		{"pool", "poo"},
		{"pool.example", "example.pool"},
		{"PHP", "ph"},
		{"scan", "fuid"},
		{`"25 hosts done"`, `"hosts 25"`},
		{"deny", "allow"},
		{"25", "64"}, // whole numbers of the record's own are no texts
		{"curl", "TTL"},
		{"po?l", "po?"},
		{"*.pool.example", "*.pool.example/"},
		{"http*php?x=1", "ttp*"},
		{"/of [0-9]+ hosts/", "/^of/"},
		{"10.20.3.7", "10.20.3.8"},
		{"2001:db8::/32", "2001:db9::/32"},
		{"xmrig OR scan", "xmrig"}, // a fuid is an id

		{"time:2026-03-01", "time:2026-03-02"},
		{"time:2026-03-01T10", "time:2026-03-01T11"},
		{"time:2026-03-01T10:15", "time:2026-03-01T10:16"},
		{"time:2026-03-01T10:15:02", "time:=2026-03-01T10:15:02"},
		{"time:2026-03-01T12:15:02.5+02:00", "time:2026-03-01T10:15:02.4Z"},
		{"time:<=2026-03-01", "time:<2026-03-01"},
		{"time:>=2026-03-01", "time:>2026-03-01"},
		{"time:>2026-03-01T10:15:02Z", "time:<=2026-03-01T10:15:02Z"},
		{"time:[2026-03-01 TO 2026-03-02}", "time:[2026-02-01 TO 2026-03-01}"},
		{"time:{2026-02-28 TO *]", "time:{2026-03-01 TO *]"},
		{"time:>-24h", "time:>-30m"},
		{"time:[-2h TO now]", "time:[-2h TO -61m]"},
		{"time.guess:year", "time.guess:zone"},
		{"has:time.guess", "has:end"},
		{"duration:90", "duration:>90s"},
		{"duration:[1m TO 2m]", "duration:>1h30m"},

		{"kind:zeek", "kind:ze"},
		{"kind:zeek.conn", "kind:=zeek"},
		{"sensor:zeek-1", "sensor:=zeek-1"},
		{"action:blocked", "action:passed"},
		{"action:drop", "action:deny"},
		{"action:dropped", "action:=blocked"},
		{"proto:(udp OR TCP)", "proto:(udp OR icmp)"},

		{"src_ip:10.20.0.0/16", "src_ip:10.21.0.0/16"},
		{"src_ip:::ffff:10.20.3.7", "src_ip:::ffff:10.20.3.8"},
		{"src_ip:10.20.*", "src_ip:10.2.*"},
		{"src_ip:>=10.20.3.7", "src_ip:>10.20.3.7"},
		{"src_ip:[10.20.3.0 TO 10.20.3.7]", "src_ip:[10.20.3.0 TO 10.20.3.7}"},
		{"dst_ip:2001:db8::/48", "dst_ip:>10.0.0.1"},
		{"ip:198.51.100.0/24", "dst_ip:198.51.100.0/24"},
		{"port:61000", "port:61001"},
		{"port:<444", "port:<443"},
		{"has:nat_src_ip", "has:nat_dst_ip"},
		{"dst_port:443", "dst_port:44"},
		{"dst_port:4*", "dst_port:5*"},
		{"dst_port!=80", "dst_port!=443"},

		{"bytes_out:>1G", "bytes_out:>1.5G"},
		{"bytes_out:>=1.5G", "bytes_out:>=1.5Gi"},
		{"bytes_out>1.4Gi OR bytes_out<1.4Gi", "bytes_out=1"},
		{"bytes_in:0", "packets_in:0"}, // nothing is not 0
		{"NOT packets_in:0", "NOT bytes_in:0"},

		{"rule:deny\\ all\\ \\(egress\\)", "rule:deny"},
		{`rule:"deny all"`, `rule:"all deny"`},
		{"rule:Deny*", "rule:*deny"},
		{"rule:/^Deny/", "rule:/^deny/"},
		{"rule:/(?i)^deny/", "rule:/all$/"},
		{"rule:>=deny", "rule:<deny"},
		{"host:pool.example", "host:ool.example"},
		{"host:example", "host:eu"},
		{"host:eu.pool.example.", "host:=eu.pool.example"},
		{"host:*.pool.example", "host:*.eu.pool.example"},
		{"host:\"pool.example\"", "host:\"pool example\""},
		{"url:http*", "url:http"},
		{`user:DOMAIN\\alice`, "user:alice"},
		{"uid:CAbc", "uid:cabc"},
		{"x.TTL:64", "x.TTL:63"}, // the last one counts
		{"x.TTL:>9", "x.TTL:>100"},
		{"x.TTL:[60 TO 64]", "x.TTL:[60 TO 64}"},
		{"x.inner.src:192.0.2.0/24", "x.inner.src:192.0.3.0/24"},
		{"x.msg:\"25 hosts\"", "x.msg:25"},
		{"has:x.TTL", "has:x.ttl"},
		{"id:e-0123456789abcdef-700", "id:e-0123456789abcdef-701"},
		{"line:7 offset:700", "line:8"},
		{"run:r-1", "run:r-2"},
		{"run:r-3", "run:r-4"},
		{"NOT run:r-9", "run:r-9"},
		{"has:ip has:port", "has:run"},
		{"a OR deny pool", "(a OR deny) c"},
	} {
		for text, want := range map[string]bool{c.yes: true, c.no: false} {
			q, err := Parse(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			p, err := Compile(q, env)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if got := p.Event(&ev); got != want {
				t.Errorf("%s: %v", text, got)
			}
		}
	}
}

// TestConstructed compiles what detectors build without the language.
func TestConstructed(t *testing.T) {
	ev := sample()
	for _, c := range []struct {
		q    firetrail.Query
		want bool
	}{
		{firetrail.Query{}, true},
		{firetrail.And(), true},
		{firetrail.Or(), false},
		{firetrail.During(ev.Time, ev.Time), true},
		{firetrail.During(ev.Time+1, ev.Time+2), false},
		{firetrail.During(ev.Time-500e6, ev.Time-500e6), false}, // a whole second is an instant
		{firetrail.Is("src_ip", "10.20.3.7"), true},
		{firetrail.Is("rule", "Deny All (egress)"), true},
		{firetrail.Exactly("rule", "deny all (egress)"), false},
		{firetrail.Is("host", "*.pool.example"), true},
		{firetrail.Between("dst_port", "*", "443"), true},
		{firetrail.Is("user", ""), false},
	} {
		p, err := Compile(c.q, Env{})
		if err != nil {
			t.Errorf("%s: %v", Print(c.q), err)
			continue
		}
		if got := p.Event(&ev); got != c.want {
			t.Errorf("%s: %v", Print(c.q), got)
		}
		text := Print(c.q)
		again, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if Print(again) != text {
			t.Errorf("%s prints %s", text, Print(again))
		}
	}
	for _, q := range []firetrail.Query{firetrail.Is("nonsense", "1"), firetrail.Is("src_ip", "x"), {Op: firetrail.OpNot}, firetrail.Is("id", "7")} {
		if _, err := Compile(q, Env{}); err == nil {
			t.Errorf("%#v compiles", q)
		}
	}
}

// TestEveryField tests each field of the language by has: and by its own value.
func TestEveryField(t *testing.T) {
	ev := sample()
	for _, name := range Names() {
		value, ok := ev.Value(name)
		if name == "ip" || name == "port" {
			continue
		}
		text := "has:" + name
		if ok {
			text += " " + Print(firetrail.Exactly(name, value))
		}
		q, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		p, err := Compile(q, Env{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if p.Event(&ev) != ok {
			t.Errorf("%s: %v", text, !ok)
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"dst_prot": "dst_port", "Host": "host", "id.orig_h": "src_ip", "bytes_otu": "bytes_out", "qwertz": "", "x": ""} {
		if got := Nearest(name); got != want {
			t.Errorf("%s is taken for %q", name, got)
		}
	}
}

func TestNames(t *testing.T) {
	if n := strings.Join(Names(), " "); !strings.Contains(n, "src_ip") || !strings.Contains(n, "time.guess") {
		t.Error(n)
	}
}

func BenchmarkEvent(b *testing.B) {
	ev := sample()
	for _, text := range []string{"dst_ip:203.0.113.0/24", "host:pool.example", "xmrig", "dst_port:(80 OR 443) bytes_out:>2G"} {
		q, _ := Parse(text)
		p, err := Compile(q, Env{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%.12s", text), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Event(&ev)
			}
		})
	}
}
