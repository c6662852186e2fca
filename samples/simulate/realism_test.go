package simulate_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
	"firetrail/parsers"
	"firetrail/samples/simulate"
)

// TestProtocolTrue checks what every real log obeys: nobody speaks TLS with a
// name that was not looked up shortly before, the port of an NFS client is a low
// one, and nothing ends before it begins.
func TestProtocolTrue(t *testing.T) {
	type question struct {
		client netip.Addr
		name   string
	}
	asked := map[question][]int64{}
	var hellos []*simulate.Session
	opt := simulate.Options{Events: 150_000, Days: 2, Scenarios: []string{"benign"}, Sensors: []string{"zeek"}}
	opt.Observe = func(r simulate.Record) {
		s := r.Session
		if s.Duration < 0 || s.Out < 0 || s.In < 0 || s.PktsOut < 0 || s.PktsIn < 0 {
			t.Errorf("%s:%d has negative counts", r.Path, r.Line)
		}
		if !strings.Contains(r.Path, "zeek-core") {
			return
		}
		switch {
		case r.Kind == "zeek.dns":
			k := question{s.Src, s.Name}
			asked[k] = append(asked[k], s.Start)
		case r.Kind == "zeek.ssl" && s.Name != "":
			c := *s
			hellos = append(hellos, &c)
		}
	}
	write(t, opt)
	if len(hellos) < 1000 {
		t.Fatalf("only %d TLS sessions with a name", len(hellos))
	}
	unasked := 0
	for _, s := range hellos {
		times := asked[question{s.Src, s.Name}]
		if !slices.ContainsFunc(times, func(at int64) bool { return at < s.Start && s.Start-at < int64(6*time.Minute) }) {
			unasked++
		}
	}
	// A question may fall into the time before the story begins.
	if unasked > len(hellos)/200 {
		t.Errorf("%d of %d sessions speak a name that was not looked up", unasked, len(hellos))
	}
}

// shape is the distribution of a conn log.
type shape struct {
	rows                int
	states              map[string]int
	duration, up, down  []float64
	services, protocols map[string]int
}

func (s *shape) add(ev *firetrail.Event) {
	if s.states == nil {
		s.states, s.services, s.protocols = map[string]int{}, map[string]int{}, map[string]int{}
	}
	s.rows++
	s.states[ev.State]++
	s.services[ev.Service]++
	s.protocols[ev.Proto]++
	for _, v := range []struct {
		to *[]float64
		n  int64
		by float64
	}{{&s.duration, ev.Duration, 1e9}, {&s.up, ev.BytesOut, 1}, {&s.down, ev.BytesIn, 1}} {
		if v.n > 0 {
			*v.to = append(*v.to, float64(v.n)/v.by)
		}
	}
}

// String is a line of shares and one of quantiles.
func (s *shape) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rows; states", s.rows)
	for _, m := range []map[string]int{s.states, s.protocols, s.services} {
		names := make([]string, 0, len(m))
		for n := range m {
			names = append(names, n)
		}
		slices.SortFunc(names, func(a, c string) int { return m[c] - m[a] })
		for _, n := range names[:min(5, len(names))] {
			fmt.Fprintf(&b, " %s=%.0f%%", n, 100*float64(m[n])/float64(s.rows))
		}
		b.WriteString(";")
	}
	for _, v := range []struct {
		name string
		list []float64
	}{{"seconds", s.duration}, {"bytes up", s.up}, {"bytes down", s.down}} {
		slices.Sort(v.list)
		fmt.Fprintf(&b, "\n    %s", v.name)
		for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9, 0.99} {
			if n := len(v.list); n > 0 {
				fmt.Fprintf(&b, "  p%.0f %.3g", 100*q, v.list[min(n-1, int(q*float64(n)))])
			}
		}
		fmt.Fprintf(&b, "  spread of log10 %.2f", logSpread(v.list))
	}
	return b.String()
}

// logSpread is the standard deviation of the decimal logarithm.
func logSpread(list []float64) float64 {
	var sum, squares float64
	for _, v := range list {
		l := math.Log10(v)
		sum += l
		squares += l * l
	}
	n := float64(max(1, len(list)))
	return math.Sqrt(max(0, squares/n-sum/n*sum/n))
}

// conns reads the conn rows of all files that match.
func conns(t *testing.T, root string, match func(path string) bool, limit int) shape {
	var s shape
	for in, err := range parsers.Inputs([]string{root}, nil) {
		if err != nil || !match(filepath.ToSlash(in.Path)) {
			continue
		}
		r, err := in.Open()
		if err != nil {
			continue
		}
		rd, err := parsers.NewReader(r, in.Options(parsers.Options{}))
		for n := 0; err == nil && n < limit; {
			var b parsers.Batch
			err = rd.Next(&b)
			for i := range b.Events {
				if b.Events[i].Kind == "zeek.conn" {
					s.add(&b.Events[i])
					n++
				}
			}
		}
		r.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			t.Logf("%s: %v", in.Path, err)
		}
	}
	return s
}

// TestDistributions prints simulated and real conn logs side by side, and fails
// where the simulated one has a shape that no real one has.
func TestDistributions(t *testing.T) {
	dir, _ := write(t, simulate.Options{Events: 150_000, Days: 3, Scenarios: []string{"benign"}, Sensors: []string{"zeek"}})
	sim := conns(t, filepath.Join(dir, "logs"), func(p string) bool { return strings.Contains(p, "conn.") }, 1<<30)
	t.Logf("simulated: %s", &sim)
	if sf := float64(sim.states["SF"]) / float64(sim.rows); sf < 0.3 || sf > 0.98 {
		t.Errorf("%.2f of the connections end in order", sf)
	}
	for _, l := range [][]float64{sim.duration, sim.up, sim.down} {
		if s := logSpread(l); s < 0.5 {
			t.Errorf("spread %.2f decades: real traffic spreads over one and more", s)
		}
	}
	root := os.Getenv("FIRETRAIL_CORPORA")
	if root == "" {
		t.Skip("FIRETRAIL_CORPORA is not set: nothing real to compare with")
	}
	real := conns(t, filepath.Join(root, "zeek"), func(p string) bool { return strings.Contains(filepath.Base(p), "conn") }, 50_000)
	t.Logf("real: %s", &real)
	if real.rows == 0 {
		t.Error("no conn rows in the corpora")
	}
}
