package detect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firetrail"
)

// restless makes a lab whose hosts do a little of everything, mostly about as much as
// detectors want to see before they speak. Each connection is recorded by some of the
// lab's sensors.
type restless struct {
	*fake
	r    *rand.Rand
	port int64
}

func newRestless(seed uint64) *fake {
	l := &restless{fake: &fake{}, r: rand.New(rand.NewPCG(seed, 77)), port: 30000}
	acts := []func(src string, at int64){l.sweep, l.scan, l.retry, l.stay, l.poll, l.ask, l.ping, l.secure, l.upload, l.serve, l.enter, l.speak, l.mine, l.walk}
	for host := range 14 {
		src := fmt.Sprintf("10.20.0.%d", 10+host)
		for range 3 + l.r.IntN(4) {
			acts[l.r.IntN(len(acts))](src, t0+l.r.Int64N(30)*hour+l.r.Int64N(3600)*sec)
		}
	}
	return l.fake
}

func (l *restless) peer() string   { return fmt.Sprintf("203.0.113.%d", 1+l.r.IntN(30)) }
func (l *restless) inside() string { return fmt.Sprintf("10.20.1.%d", 1+l.r.IntN(60)) }
func (l *restless) about(n int64) int64 {
	return max(1, n/2+l.r.Int64N(n+1))
}

// meet is one connection: fails says that it is refused or not answered.
func (l *restless) meet(at int64, src, dst string, port int64, service string, fails bool, seconds, out, in int64) {
	l.port++
	seen := 1 + l.r.IntN(7)
	if seen&1 != 0 {
		action := firetrail.ActionAllow
		if fails {
			action = firetrail.ActionDrop
		}
		l.tcp(at, action, src, l.port, dst, port)
	}
	if fails {
		seconds, out, in = 0, 0, 0
	}
	if seen&2 != 0 {
		state := "SF"
		if fails {
			state = "S0"
		}
		l.conn(at+l.r.Int64N(sec), src, l.port, dst, port, service, state, seconds, out, in)
	}
	if seen&4 != 0 {
		action, app := firetrail.ActionAllow, service
		if fails {
			action, app = firetrail.ActionDeny, "incomplete"
		}
		l.pan(at+l.r.Int64N(sec), action, app, src, l.port, dst, port, seconds, out, in)
	}
}

func (l *restless) sweep(src string, at int64) {
	port, share := []int64{22, 445, 9100}[l.r.IntN(3)], l.r.Float64()*0.5
	for i := range l.about(12) {
		l.meet(at+i*20*sec, src, fmt.Sprintf("10.20.1.%d", 1+i), port, "", l.r.Float64() > share, 1, 200, 200)
	}
}

func (l *restless) scan(src string, at int64) {
	dst, first, share := l.inside(), []int64{1, 20, 3300, 9990, 40000}[l.r.IntN(5)], l.r.Float64()*0.6
	for i := range l.about(14) {
		l.meet(at+i*5*sec, src, dst, first+i*[]int64{1, 1, 1, 2}[l.r.IntN(4)], "", l.r.Float64() > share, 1, 200, 200)
	}
	for _, port := range []int64{22, 445, 3306, 5432, 6379, 9200}[:l.r.IntN(7)] {
		l.meet(at+port%97*sec, src, dst, port, "", l.r.Float64() > share, 1, 200, 200)
	}
}

func (l *restless) retry(src string, at int64) {
	dst, port, share := l.peer(), []int64{22, 443, 3333, 8080}[l.r.IntN(4)], l.r.Float64()*0.3
	for i := range l.about(6) {
		l.meet(at+i*l.about(300)*sec, src, dst, port, "", l.r.Float64() > share, 1, 500, 500)
	}
}

func (l *restless) stay(src string, at int64) {
	dst := l.peer()
	for i := range 1 + l.r.Int64N(6) {
		l.meet(at+i*2*hour, src, dst, 443, "ssl", false, l.about(4000), 90_000, 90_000)
	}
}

func (l *restless) poll(src string, at int64) {
	dst, every, jitter := l.peer(), 60+l.r.Int64N(1500), 1+l.r.Int64N(300)
	for i := range l.about(40) {
		l.meet(at+(i*every+l.r.Int64N(jitter))*sec, src, dst, 8443, "ssl", l.r.IntN(9) == 0, 1, 300+l.r.Int64N(9), 300)
	}
}

func (l *restless) ask(src string, at int64) {
	for i := range l.about(110) {
		l.dns(at+i*sec, src, "10.20.0.2", fmt.Sprintf("n%d.t.example", i), "203.0.113.7").Put("qtype_name", "TXT")
	}
}

func (l *restless) ping(src string, at int64) {
	dst := l.peer()
	for i := range l.about(20) {
		ev := l.conn(at+i*sec, src, firetrail.Absent, dst, firetrail.Absent, "", "OTH", 1, l.about(300), 90)
		ev.Proto, ev.PacketsOut, ev.PacketsIn = "icmp", 1, 1
	}
}

func (l *restless) secure(src string, at int64) {
	dst := l.peer()
	for i := range 1 + l.r.Int64N(5) {
		l.meet(at+i*700*sec, src, dst, []int64{22, 443}[l.r.IntN(2)], "ssh", l.r.IntN(4) == 0, l.about(600), 90_000, 80_000)
	}
}

func (l *restless) upload(src string, at int64) {
	dst := l.peer()
	for i := range 1 + l.r.Int64N(4) {
		l.meet(at+i*900*sec, src, dst, 443, "ssl", false, 300, l.about(250e6), 9000)
	}
	for i := range l.r.Int64N(40) {
		l.meet(at+i*sec, src, fmt.Sprintf("198.51.100.%d", 1+i), 443, "ssl", false, 3, l.about(1e6), 9000)
	}
}

func (l *restless) serve(src string, at int64) {
	dst, port := l.peer(), []int64{7844, 9001, 51820, 1194, 7000}[l.r.IntN(5)]
	for i := range l.about(4) {
		l.meet(at+i*100*sec, src, dst, port, "ssl", l.r.IntN(3) == 0, l.about(500), 5000, 5000)
	}
}

func (l *restless) enter(src string, at int64) {
	from := l.peer()
	for i := range l.about(22) {
		l.meet(at+i*2*sec, from, src, 22, "ssh", false, 2, 900, 900)
	}
	l.meet(at+100*sec, from, src, 22, "ssh", false, l.about(80), l.about(6000), 9000)
}

func (l *restless) speak(src string, at int64) {
	dst, word := l.peer(), []string{"ssh", "unknown-tcp", "irc", "ssl"}[l.r.IntN(4)]
	for i := range l.about(3) {
		l.meet(at+i*60*sec, src, dst, 443, word, l.r.IntN(3) == 0, l.about(400), l.about(6000), l.about(6000))
	}
}

func (l *restless) mine(src string, at int64) {
	dst, port := l.peer(), []int64{3333, 4444, 5000}[l.r.IntN(3)]
	for i := range l.about(3) {
		l.meet(at+i*hour, src, dst, port, "", l.r.IntN(4) == 0, l.about(2400), l.about(9000), l.about(60_000))
	}
}

func (l *restless) walk(src string, at int64) {
	share := l.r.Float64() * 0.8
	for i := range l.about(10) {
		l.meet(at+i*60*sec, src, l.inside(), []int64{443, 8000, 9100}[l.r.IntN(3)], "", l.r.Float64() > share, 1, 300, 300)
	}
}

// scored are the titles of findings with their scores.
func scored(findings []firetrail.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%.3f %s", f.Score, f.Title))
	}
	return out
}

// TestCandidatesAreComplete: what a detector finds does not change where every channel is
// a candidate, nor where the other detectors are not at work: candidates are chosen by
// what a finding needs, and sessions do not depend on what others want.
func TestCandidatesAreComplete(t *testing.T) {
	held := []netip.Addr{}
	for i := range 6 {
		held = append(held, netip.AddrFrom4([4]byte{10, 20, 0, byte(10 + i)}))
	}
	told := map[string]int{}
	for seed := range uint64(24) {
		f := newRestless(seed)
		cfg := Config{Held: held[:seed%7]}
		want, err := run(t.Context(), f, cfg, true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Run(t.Context(), f, cfg)
		if err != nil {
			t.Fatal(err)
		}
		same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}
		if diff := cmp.Diff(scored(want.Findings), scored(got.Findings)); diff != "" {
			t.Errorf("seed %d: with every channel a candidate (-) the findings differ:\n%s", seed, diff)
		} else if diff := cmp.Diff(want.Findings, got.Findings, same); diff != "" {
			t.Errorf("seed %d: with every channel a candidate (-) the findings differ:\n%s", seed, diff[:min(len(diff), 3000)])
		}
		by := map[string][]firetrail.Finding{}
		for _, x := range got.Findings {
			told[x.Detector]++
			by[x.Detector] = append(by[x.Detector], x)
		}
		for _, d := range All {
			cfg.Only = []string{d.Name}
			alone, err := Run(t.Context(), f, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(by[d.Name], alone.Findings, same); diff != "" {
				t.Errorf("seed %d: alone (+) %s finds:\n%s", seed, d.Name, diff[:min(len(diff), 3000)])
			}
		}
	}
	for _, d := range All {
		if told[d.Name] < 3 && d.Name != "metadata_access" && d.Name != "tor" && d.Name != "overlay_vpn" {
			t.Errorf("%s spoke %d times: the lab does not reach it", d.Name, told[d.Name])
		}
	}
}
