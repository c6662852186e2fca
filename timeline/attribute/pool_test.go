package attribute

import (
	"fmt"
	"strings"
	"testing"

	"firetrail"
)

// scan makes a burst of refusals at many targets.
func scan(src string, times ...int64) firetrail.Finding {
	f := found(policyBurst, src, "203.0.113.0/24", firetrail.Absent, times...)
	f.ID += fmt.Sprint(times)
	f.Targeted = 40
	return f
}

// TestPooled: violations of six runs, two in each, without a pattern in time and
// with arguments that tell nothing, are the runs'; what comes at any time is not.
func TestPooled(t *testing.T) {
	inv := lab(6, quiet)
	at := func(inside bool, make func(src string, at int64) firetrail.Finding) (fs []firetrail.Finding) {
		for h := range int64(6) {
			for _, c := range []int64{7 + h, 31 + 3*h} {
				when := callAt(c)
				if !inside {
					when += 200 * second
				}
				fs = append(fs, make(fmt.Sprintf("10.20.3.%d", h+1), when))
			}
		}
		return fs
	}
	one := func(src string, at int64) firetrail.Finding {
		f := found(refused, src, "198.51.100.99", 4317, at)
		f.ID += fmt.Sprint(at)
		return f
	}
	for _, c := range []struct {
		name string
		fs   []firetrail.Finding
		own  bool
	}{
		{"searches in calls", at(true, func(src string, at int64) firetrail.Finding { return scan(src, at) }), true},
		{"searches beside calls", at(false, func(src string, at int64) firetrail.Finding { return scan(src, at) }), false},
		{"one destination, in calls", at(true, one), true},
		{"one destination, beside calls", at(false, one), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			NewIndex(inv, Options{}).Findings(c.fs)
			for _, f := range c.fs {
				if own := f.Run != nil && f.Run.Probability > .5; own != c.own {
					t.Fatalf("%s: run %+v, %s", f.ID, f.Run, f.Unattributed)
				}
				if text := strings.Join(f.Against, "\n"); c.own && strings.Contains(text, "something common") {
					t.Errorf("against: %s", text)
				}
			}
		})
	}
}

func TestPatternRange(t *testing.T) {
	for _, c := range []struct{ word, first, last string }{
		{"10.42.1.", "10.42.1.0", "10.42.1.255"},
		{"10.42.1.%d", "10.42.1.0", "10.42.1.255"},
		{"10.42.%d.%d", "10.42.0.0", "10.42.255.255"},
		{"10.42.1.7", "", ""},
		{"10.42.1.7.", "", ""},
		{"2.1.", "", ""},
		{"300.1.1.", "", ""},
		{"a.b.c.", "", ""},
		{"", "", ""},
	} {
		r, ok := patternRange(c.word)
		if ok != (c.first != "") || ok && (r[0].String() != c.first || r[1].String() != c.last) {
			t.Errorf("%q: %v %v", c.word, r, ok)
		}
	}
	c := readArgs(`for i in $(seq 254); do nc -z -w1 10.42.1.$i 445; done`)
	if k, why := c.match(&firetrail.Finding{Detector: internalSweep, Dst: "10.42.1.0/24", DstPort: 445}); k < contentPeer {
		t.Errorf("a loop over the network: %g, %s", k, why)
	}
}

// TestUnknownPod: an address of pods that no run is known to have held then is not
// an idle machine.
func TestUnknownPod(t *testing.T) {
	noon := at(12 * 3600)
	for _, c := range []struct{ subject, verdict string }{{"pod", firetrail.VerdictUndetermined}, {"job", firetrail.VerdictHost}} {
		r := run("r-1", lease("r-1", src, c.subject, "w-0", at(60000), at(80000), 3))
		r.Agentic = true
		inv := firetrail.Inventory{Runs: []firetrail.Run{r}}
		cause := judge(inv, []firetrail.Finding{found(dnsTunnel, src, dst, 53, noon, noon+hour)})
		if cause.Verdict != c.verdict {
			t.Errorf("%s: %s, want %s: %v", c.subject, cause.Verdict, c.verdict, cause.Facts)
		}
	}
}

// TestPolicyAlone: without an inventory, many refused alike are a matter of policy.
func TestPolicyAlone(t *testing.T) {
	many := found(policyBurst, src, "198.51.100.99", 4317, at(3600), at(7200))
	many.SrcIP = firetrail.Finding{}.SrcIP
	for i := range 10 {
		many.Sources = append(many.Sources, ip(fmt.Sprintf("10.20.3.%d", i+1)))
	}
	two := many
	two.Sources = many.Sources[:2]
	for _, c := range []struct {
		name string
		fs   []firetrail.Finding
		want string
	}{
		{"ten sources", []firetrail.Finding{many}, firetrail.VerdictMisconfiguration},
		{"two sources", []firetrail.Finding{two}, firetrail.VerdictUndetermined},
		{"and one of them got through elsewhere", []firetrail.Finding{many, found(sshTunnel, src, dst, 22, at(3600))}, firetrail.VerdictUndetermined},
	} {
		if got := judge(firetrail.Inventory{}, c.fs); got.Verdict != c.want {
			t.Errorf("%s: %s, want %s: %v", c.name, got.Verdict, c.want, got.Facts)
		}
	}
}

// TestChanceTuples: five-tuples that two sensors drew by chance are no clock offset.
func TestChanceTuples(t *testing.T) {
	s := NewSightings([]ClockSource{{"z", "zeek", TrustAbsolute}, {"p", "pa", TrustAssumed}})
	for i := range int64(400) {
		s.Add(sight("z", 1000+i, at(i*200)))
		s.Add(sight("p", 1000+i, at(i*200+3600+i*7919%1700-850)))
	}
	for _, r := range s.Readings() {
		if r.Offset.Shift != 0 {
			t.Errorf("%s is said to be %d s off", r.ID, r.Offset.Shift/second)
		}
	}
}
