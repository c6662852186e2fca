package attribute

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"firetrail"
)

// act is one burst of known origin.
type act struct {
	run     string
	src     netip.Addr
	time    int64
	dst     string
	insider bool // seen behind a translation, of which the table knows candidates
}

// week draws seven days of pods on eight nodes: 400 runs, addresses given away
// again within five seconds, one pod in ten on the node's own network, traffic
// of one in four seen at a translating gateway, clocks off by two seconds.
func week(r *rand.Rand) (inv firetrail.Inventory, acts []act) {
	const gateway = "198.51.100.1"
	free := make([]int64, 40)
	for i := range free {
		free[i] = day0 + r.Int64N(hour)
	}
	for n := range 8 {
		inv.Hosts = append(inv.Hosts, host(fmt.Sprintf("10.10.0.%d", n+1), fmt.Sprintf("node-%d", n+1)))
	}
	for i := range 400 {
		slot := r.IntN(len(free))
		from := free[slot] + r.Int64N(5*second)
		to := from + hour + r.Int64N(20*hour)
		free[slot] = to
		node := slot%8 + 1
		id := fmt.Sprintf("r-%03d", i)
		l := lease(id, fmt.Sprintf("10.244.0.%d", slot+1), "pod", "lab/"+id, from, to, int64(i+1))
		l.Host = fmt.Sprintf("node-%d", node)
		if i%10 == 0 {
			l.IP, l.Shared, l.Quality = ip(fmt.Sprintf("10.10.0.%d", node)), true, .5
		}
		inv.Runs = append(inv.Runs, run(id, l))
		for k := range 3 {
			a := act{run: id, src: l.IP, time: from + r.Int64N(to-from), dst: fmt.Sprintf("203.0.113.%d", r.IntN(250)+1)}
			if k == 0 { // right at a bound
				a.time = from + r.Int64N(3*second)
			}
			if r.IntN(2) == 0 {
				inv.Calls = append(inv.Calls, call(id, []string{"", "curl http://" + a.dst + "/", "python step.py"}[r.IntN(3)], a.time-second, a.time+10*second, int64(len(inv.Calls)+1)))
			}
			if r.IntN(4) == 0 {
				start := a.time + r.Int64N(2*second) - second
				inv.NAT = append(inv.NAT, firetrail.NAT{Proto: "tcp", InsideIP: l.IP, OutsideIP: ip(gateway), DstIP: ip(a.dst), DstPort: 443, InsidePort: firetrail.Absent, OutsidePort: firetrail.Absent, Start: start, End: start + minute})
				a.src, a.insider = ip(gateway), true
			}
			a.time = a.time + r.Int64N(4*second) - 2*second
			acts = append(acts, a)
		}
	}
	slices.SortFunc(inv.NAT, func(a, b firetrail.NAT) int { return int(a.Start - b.Start) })
	return inv, acts
}

func TestWeek(t *testing.T) {
	inv, acts := week(rand.New(rand.NewPCG(5, 1)))
	var fs []firetrail.Finding
	for i, a := range acts {
		f := found(longSession, a.src.String(), a.dst, 443, a.time)
		f.ID = fmt.Sprintf("f-%04d", i)
		fs = append(fs, f)
	}
	NewIndex(inv, Options{}).Findings(fs)
	right, sure, listed := 0, 0, 0
	for i, a := range acts {
		f := &fs[i]
		sums(t, f)
		if slices.ContainsFunc(f.Candidates, func(c firetrail.Candidate) bool { return c.ID == a.run }) {
			listed++
		} else if a.insider {
			t.Errorf("act %d: the translated run %s is no candidate: %+v %s", i, a.run, f.Candidates, f.Unattributed)
		}
		if f.Run == nil {
			continue
		}
		if f.Run.Probability >= .9 {
			sure++
		}
		if f.Run.ID == a.run {
			right++
		} else if f.Run.Probability >= .9 {
			t.Errorf("act %d of %s is given to %+v: %v", i, a.run, *f.Run, f.Candidates)
		}
	}
	t.Logf("%d acts: the run listed in %d, named rightly in %d, at 0.9 or more in %d", len(acts), listed, right, sure)
	if right*2 < len(acts) || listed*100 < 99*len(acts) {
		t.Errorf("%d of %d named, %d listed", right, len(acts), listed)
	}
}

func BenchmarkFindings(b *testing.B) {
	inv, acts := week(rand.New(rand.NewPCG(5, 1)))
	for i := range 100_000 {
		id := fmt.Sprintf("r-%03d", i%400)
		inv.Calls = append(inv.Calls, call(id, "pip install torch==2.1 --index-url https://mirror.example/simple # step", day0+int64(i)*minute/10, day0+int64(i)*minute/10+second, int64(i)))
	}
	var fs []firetrail.Finding
	for i, a := range acts {
		f := found(longSession, a.src.String(), a.dst, 443, a.time)
		f.ID = fmt.Sprintf("f-%04d", i)
		fs = append(fs, f)
	}
	for b.Loop() {
		NewIndex(inv, Options{}).Findings(slices.Clone(fs))
	}
}
