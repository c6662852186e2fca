package detect

import (
	"fmt"
	"testing"

	"firetrail"
)

// one runs one detector over a lab day with a case in it.
func one(t *testing.T, detector string, make func(*fake)) []firetrail.Finding {
	t.Helper()
	f := (&fake{}).background()
	make(f)
	return judge(t, f, Config{}, detector).Findings
}

// TestStanding holds what is said of connections of which not every record is there.
func TestStanding(t *testing.T) {
	const src, peer = "10.20.0.10", "203.0.113.9"
	start := func(f *fake, at, sport int64) {
		ev := f.pan(at, firetrail.ActionAllow, "ssh", src, sport, peer, 22, 0, 74, 66)
		ev.State = stateStart
	}
	for _, c := range []struct {
		name  string
		make  func(*fake)
		count int64
		open  bool
		level string
	}{
		{"the start and the end of a session are one", func(f *fake) {
			start(f, t0+2*hour, 41000)
			f.pan(t0+2*hour, firetrail.ActionAllow, "ssh", src, 41000, peer, 22, 9000, 200_000, 150_000).State = "end"
		}, 1, false, "medium"},
		{"two sessions with their starts are two", func(f *fake) {
			for i := range int64(2) {
				start(f, t0+2*hour+i*9100*sec, 41000+i)
				f.pan(t0+2*hour+i*9100*sec, firetrail.ActionAllow, "ssh", src, 41000+i, peer, 22, 9000, 200_000, 150_000).State = "end"
			}
		}, 2, false, "medium"},
		{"a start without an end, where ends are recorded", func(f *fake) {
			f.pan(t0+hour, firetrail.ActionAllow, "ssl", src, 42000, "198.51.100.80", 443, 30, 900, 900).State = "end"
			start(f, t0+2*hour, 41000)
		}, 1, true, "medium"},
		{"rows of a connection that grows, in conn.log", func(f *fake) {
			for i := range int64(5) {
				f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", stateAlive, 3600*(i+1), 4000*(i+1), 4000*(i+1)).UID = "Cone"
			}
		}, 1, true, "high"},
		{"established and not ended when the sensor stopped", func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", stateAlive, 21*3600+1800, 4000, 4000)
			f.conn(t0+23*hour+30*mins, "10.20.0.11", 41000, "198.51.100.80", 443, "ssl", "SF", 1, 4000, 4000)
		}, 1, true, "high"},
		{"fallen silent in the middle of the day", func(f *fake) {
			f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", stateAlive, 7200, 4000, 4000)
		}, 1, false, "high"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := one(t, "ssh_tunnel", c.make)
			if len(fs) != 1 {
				t.Fatalf("%d findings", len(fs))
			}
			if f := fs[0]; f.Count != c.count || f.Open != c.open || firetrail.SeverityRank(f.Severity) < firetrail.SeverityRank(c.level) {
				t.Errorf("%s: count %d, open %v, %s; want %d, %v, %s", f.Title, f.Count, f.Open, f.Severity, c.count, c.open, c.level)
			}
		})
	}
}

// TestWayIn tells guessing from a login that followed it, and where it went on to.
func TestWayIn(t *testing.T) {
	const guest, host, next = "203.0.113.250", "10.20.0.10", "10.20.0.12"
	guess := func(f *fake, n int64) {
		for i := range n {
			f.conn(t0+3*hour+i*4*sec, guest, 30000+i, host, 22, "ssh", "SF", 1, 1800, 2400)
		}
	}
	login := func(f *fake) {
		f.conn(t0+4*hour, guest, 39000, host, 22, "ssh", "SF", 1900, 60_000, 90_000)
		f.conn(t0+4*hour+5*mins, host, 39100, next, 22, "ssh", "SF", 400, 9000, 9000)
	}
	for _, c := range []struct {
		name   string
		make   func(*fake)
		want   []string
		onward int
	}{
		{"guessing alone is the noise of the internet", func(f *fake) { guess(f, 400) }, nil, 0},
		{"a login after the guessing", func(f *fake) { guess(f, 400); login(f) }, []string{"medium " + guest + " " + host + " 22"}, 1},
		{"a login without guessing", login, nil, 0},
		{"where nothing says how it ended", func(f *fake) {
			for i := range int64(40) {
				f.tcp(t0+3*hour+i*4*sec, firetrail.ActionAllow, guest, 30000+i, host, 22)
			}
		}, []string{"info " + guest + " " + host + " 22"}, 0},
		{"refused guessing", func(f *fake) {
			for i := range int64(40) {
				f.tcp(t0+3*hour+i*4*sec, firetrail.ActionDrop, guest, 30000+i, host, 22)
			}
		}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := one(t, "ssh_tunnel", c.make)
			if got := fmt.Sprint(brief(fs)); got != fmt.Sprint(c.want) {
				t.Fatalf("found %s, want %s", got, c.want)
			}
			if len(fs) > 0 && len(fs[0].Targets)-1 != c.onward {
				t.Errorf("targets %v, want %d beyond the host", fs[0].Targets, c.onward)
			}
		})
	}
}

// TestNames: a peer is called by what a DNS answer or another connection called it.
func TestNames(t *testing.T) {
	const src, other, peer = "10.20.0.10", "10.20.0.11", "203.0.113.9"
	for _, c := range []struct {
		name string
		make func(*fake)
		want string
	}{
		{"told this source", func(f *fake) { f.dns(t0+hour, src, "10.20.0.2", "b.example.org", peer+",203.0.113.10") }, "b.example.org"},
		{"told another", func(f *fake) { f.dns(t0+hour, other, "10.20.0.2", "a.example.org", peer) }, "a.example.org"},
		{"told both", func(f *fake) {
			f.dns(t0+hour, other, "10.20.0.2", "a.example.org", peer)
			f.dns(t0+hour, src, "10.20.0.2", "b.example.org", peer)
		}, "b.example.org"},
		{"an address that only looks like it", func(f *fake) { f.dns(t0+hour, src, "10.20.0.2", "c.example.org", "203.0.113.99") }, ""},
		{"nobody was told", func(*fake) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := one(t, "ssh_tunnel", func(f *fake) {
				c.make(f)
				f.conn(t0+2*hour, src, 41000, peer, 22, "ssh", "SF", 3*3600, 200_000, 150_000)
			})
			if len(fs) != 1 || fs[0].Host != c.want {
				t.Errorf("%d findings, called %q, want %q", len(fs), fs[0].Host, c.want)
			}
		})
	}
}

// TestUploads: what the lab sends all the time is worth less than what is sent once.
func TestUploads(t *testing.T) {
	const gb = int64(1e9)
	upload := func(f *fake, at int64, src, dst, name string) {
		ev := f.conn(at, src, 40000+at/sec%20000, dst, 443, "ssl", "SF", 400, 12*gb, 8_000_000)
		f.ssl(ev, name)
	}
	for _, c := range []struct {
		name string
		make func(*fake)
		most string // severity of the gravest
	}{
		{"once, to a name of nobody's", func(f *fake) { upload(f, t0+3*hour, "10.20.0.10", "203.0.113.9", "drop.example.org") }, "high"},
		{"every six hours to a bucket with many addresses", func(f *fake) {
			for i := range int64(4) {
				upload(f, t0+i*6*hour+hour, "10.20.0.10", fmt.Sprintf("203.0.113.%d", 20+i%3), "ckpt.s3.us-east-1.amazonaws.com")
			}
		}, "low"},
		{"by three hosts, again and again", func(f *fake) {
			for i := range int64(9) {
				upload(f, t0+i/3*6*hour+hour+i*sec, fmt.Sprintf("10.20.0.%d", 10+i%3), "203.0.113.30", "store.example.org")
			}
		}, "low"},
	} {
		t.Run(c.name, func(t *testing.T) {
			most := ""
			for _, f := range one(t, "bulk_egress", c.make) {
				if firetrail.SeverityRank(f.Severity) > firetrail.SeverityRank(most) {
					most = f.Severity
				}
			}
			if most != c.most {
				t.Errorf("the gravest is %q, want %q", most, c.most)
			}
		})
	}
}

// TestShortBeacon: a run's beacon lives less than a day.
func TestShortBeacon(t *testing.T) {
	at := func(f *fake, from, n, every, jitter int64) {
		for i := range n {
			f.conn(from+(i*every+i*37%max(jitter, 1))*sec, "10.20.0.10", 41000+i%9000, "203.0.113.9", 443, "ssl", "SF", 1, 500+i*13%7, 900)
		}
	}
	for _, c := range []struct {
		name string
		make func(*fake)
		want int
	}{
		{"nine hours every minute, ended long before the data", func(f *fake) { at(f, t0+2*hour, 540, 60, 5) }, 1},
		{"one hour", func(f *fake) { at(f, t0+2*hour, 60, 60, 5) }, 0},
		{"five hours without any beat", func(f *fake) {
			for i := range int64(200) {
				f.conn(t0+2*hour+i*i*i*7919%18000*sec, "10.20.0.10", 41000+i, "203.0.113.9", 443, "ssl", "SF", 1, i*9973%5000, 900)
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if fs := one(t, "beacon", c.make); len(fs) != c.want {
				t.Errorf("%d findings, want %d", len(fs), c.want)
			}
		})
	}
}

// TestWebTunnel: plain HTTP that stands and runs both ways is no page.
func TestWebTunnel(t *testing.T) {
	for _, c := range []struct {
		name             string
		seconds, out, in int64
		host             string
		want             int
	}{
		{"a websocket that stands", 9000, 2_000_000, 2_500_000, "203.0.113.9", 1},
		{"a download", 9000, 90_000, 2_500_000_000, "203.0.113.9", 0},
		{"a page", 3, 2000, 2500, "203.0.113.9", 0},
		{"a server with a name", 9000, 2_000_000, 2_500_000, "www.example.org", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := one(t, "tunnel_service", func(f *fake) {
				f.conn(t0+2*hour, "10.20.0.10", 41000, "203.0.113.9", 8080, "http", "SF", c.seconds, c.out, c.in).Host = c.host
			})
			if len(fs) != c.want {
				t.Errorf("%d findings, want %d", len(fs), c.want)
			}
		})
	}
}

func TestCorroborate(t *testing.T) {
	for _, c := range []struct {
		run  *firetrail.RunRef
		want string
	}{
		{nil, "medium"},
		{&firetrail.RunRef{ID: "r-1", Probability: .99, Level: "A3"}, "medium"},
		{&firetrail.RunRef{ID: "r-1", Probability: .8, Level: "A4"}, "medium"},
		{&firetrail.RunRef{ID: "r-1", Probability: .99, Level: "A4"}, "high"},
	} {
		f := firetrail.Finding{Severity: "medium", Score: Score(4), Why: []firetrail.Part{{Part: "duration", Points: 4, Text: "long"}}}
		f.Run = c.run
		fs := []firetrail.Finding{f}
		if Corroborate(fs); fs[0].Severity != c.want {
			t.Errorf("%+v: %s, want %s", c.run, fs[0].Severity, c.want)
		}
	}
}
