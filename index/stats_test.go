package index

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// bruteStats computes count, sum, min, max, avg and distinct the plain way.
func bruteStats(evs []*firetrail.Event, by []string, agg string, field string) map[string]string {
	groups := map[string][]*firetrail.Event{}
	for _, ev := range evs {
		var key []string
		for _, f := range by {
			if width, ok := call(f, "time"); ok {
				v := ""
				if ev.Time != firetrail.Absent {
					if width != "5m" {
						panic(width)
					}
					v = firetrail.Stamp(ev.Time - ev.Time%300e9)
				}
				key = append(key, v)
				continue
			}
			v, _ := ev.Value(f)
			key = append(key, v)
		}
		k := strings.Join(key, "|")
		groups[k] = append(groups[k], ev)
	}
	out := map[string]string{}
	for k, evs := range groups {
		f, _ := firetrail.FieldNamed(field)
		n, sum, low, high := int64(0), int64(0), int64(math.MaxInt64), int64(math.MinInt64)
		set := map[string]bool{}
		var values []int64
		for _, ev := range evs {
			if field == "" {
				continue
			}
			if v, ok := ev.Value(field); ok {
				set[v] = true
			}
			if f != nil && f.Int != nil {
				if v := *f.Int(ev); v != firetrail.Absent {
					n++
					sum, low, high = sum+v, min(low, v), max(high, v)
					values = append(values, v)
				}
			}
		}
		cell := intCell(f, 0)
		cell.Valid = n > 0
		switch agg {
		case "count":
			cell = Cell{Valid: true, Type: CellInt, Int: int64(len(evs))}
		case "distinct":
			cell = Cell{Valid: true, Type: CellInt, Int: int64(len(set))}
		case "sum":
			cell.Int = sum
		case "min":
			cell.Int = low
		case "max":
			cell.Int = high
		case "avg":
			cell.Type, cell.Float = CellFloat, float64(sum)/float64(n)
		case "median":
			slices.Sort(values)
			cell.Type = CellFloat
			if n > 0 {
				cell.Float = (float64(values[(n-1)/2]) + float64(values[n/2])) / 2
			}
		}
		out[k] = cell.Text()
	}
	return out
}

func TestStatsIsBruteForce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	c, all := randomCase(t, rnd, 5000)
	for _, where := range []string{"*", "action:blocked", "bytes_out:>5M proto:tcp", "host:absent.example"} {
		q, p := compile(t, c, where)
		var hits []*firetrail.Event
		for i := range all {
			if p.Event(&all[i]) {
				hits = append(hits, &all[i])
			}
		}
		for _, by := range [][]string{nil, {"src_ip"}, {"time(5m)"}, {"dst_port", "action"}, {"kind", "sensor", "x.TTL"}, {"time(5m)", "proto", "source", "host"}, {"time.guess"}} {
			for _, a := range []struct{ label, name, field string }{
				{"count", "count", ""}, {"sum(bytes_out)", "sum", "bytes_out"}, {"min(time)", "min", "time"}, {"max(duration)", "max", "duration"},
				{"avg(bytes_in)", "avg", "bytes_in"}, {"distinct(dst_ip)", "distinct", "dst_ip"}, {"distinct(src_port)", "distinct", "src_port"}, {"distinct(x.TTL)", "distinct", "x.TTL"},
				{"distinct(kind)", "distinct", "kind"}, {"p50(bytes_out)", "median", "bytes_out"},
			} {
				memory := statsMemory
				if by != nil && rnd.IntN(2) == 0 {
					memory = 1 << 18 // several passes
				}
				table, err := c.Stats(t.Context(), q, StatsOptions{By: by, Agg: []string{a.label}, Memory: memory})
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]string{}
				for _, row := range table.Rows {
					var key []string
					for i := range by {
						key = append(key, row[i].Text())
					}
					got[strings.Join(key, "|")] = row[len(by)].Text()
				}
				want := bruteStats(hits, by, a.name, a.field)
				if len(by) == 0 && len(hits) == 0 {
					continue
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("%s by %v of %s: %s", a.label, by, where, d)
				}
				if table.Events != int64(len(hits)) || table.Groups != len(want) {
					t.Errorf("%d events in %d groups, want %d in %d", table.Events, table.Groups, len(hits), len(want))
				}
			}
		}
	}
}

func TestStatsOrderAndErrors(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	c, _ := randomCase(t, rnd, 3000)
	q := firetrail.Query{}
	table, err := c.Stats(t.Context(), q, StatsOptions{By: []string{"src_ip"}, Agg: []string{"sum(bytes_out)", "count"}, Limit: 5})
	if err != nil || len(table.Rows) != 5 {
		t.Fatal(table, err)
	}
	for i := 1; i < 5; i++ {
		if table.Rows[i][1].Int > table.Rows[i-1][1].Int {
			t.Errorf("row %d is larger than the one before", i)
		}
	}
	table, err = c.Stats(t.Context(), q, StatsOptions{By: []string{"x.msg"}, Agg: []string{"sum(x.TTL)", "min(src_ip)", "max(x.msg)", "avg(x.TTL)"}, Sort: "x.msg"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows[1:] {
		if row[0].Str != row[3].Str || row[2].Str == "" || row[1].Int <= 0 || row[4].Float <= 0 {
			t.Errorf("%v", row)
		}
	}
	for _, sort := range []string{"-sum(bytes_out)", "sum(bytes_out)", "src_port", "-src_port", "-count", "distinct(dst_ip)"} {
		o := StatsOptions{By: []string{"src_port", "src_ip"}, Agg: []string{"count", "sum(bytes_out)", "distinct(dst_ip)"}, Sort: sort}
		all, err := c.Stats(t.Context(), q, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, o.Limit = range []int{1, 20, 5000} {
			for _, o.Memory = range []int{statsMemory, 1 << 18} {
				some, err := c.Stats(t.Context(), q, o)
				if err != nil || some.Groups != all.Groups || some.Events != all.Events {
					t.Fatalf("%d of %d groups, %v", some.Groups, all.Groups, err)
				}
				if d := cmp.Diff(all.Rows[:min(o.Limit, len(all.Rows))], some.Rows); d != "" {
					t.Fatalf("the first %d by %s: %s", o.Limit, sort, d)
				}
			}
		}
	}
	empty, err := c.Stats(t.Context(), firetrail.Is("host", "absent.example"), StatsOptions{Agg: []string{"count", "min(time)", "distinct(host)"}})
	if err != nil || len(empty.Rows) != 1 || empty.Rows[0][0].Text() != "0" || empty.Rows[0][1].Text() != "" || empty.Rows[0][2].Text() != "0" {
		t.Errorf("nothing counted: %+v, %v", empty, err)
	}
	for _, o := range []StatsOptions{
		{By: []string{"srcip"}}, {By: []string{"ip"}}, {By: []string{"time(x)"}}, {Agg: []string{"sum(host)"}}, {Agg: []string{"sum"}}, {Agg: []string{"p101(bytes_out)"}},
		{Agg: []string{"sum(time)"}}, {Agg: []string{"frobnicate(time)"}}, {Sort: "x"},
	} {
		if _, err := c.Stats(t.Context(), q, o); err == nil {
			t.Errorf("%+v: no error", o)
		} else {
			t.Log(err)
		}
	}
}

func TestHistogramAndFacets(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	c, all := randomCase(t, rnd, 5000)
	q, p := compile(t, c, "proto:tcp")
	from, to := epoch+100e9, epoch+1400e9+7
	buckets, err := c.Histogram(t.Context(), q, from, to, 13)
	if err != nil {
		t.Fatal(err)
	}
	want, denied := make([]int64, len(buckets)), int64(0)
	values := map[string]int64{}
	for i := range all {
		ev := &all[i]
		if !p.Event(ev) {
			continue
		}
		if ev.Host != "" {
			values[ev.Host]++
		}
		if ev.Time < from || ev.Time >= to {
			continue
		}
		for b := range buckets {
			if ev.Time >= buckets[b].Start && ev.Time < buckets[b].End {
				want[b]++
				if ev.Denied() {
					denied++
				}
			}
		}
	}
	for b := range buckets {
		if buckets[b].Count != want[b] {
			t.Errorf("bucket %d: %d, want %d", b, buckets[b].Count, want[b])
		}
		denied -= buckets[b].Denied
	}
	if denied != 0 || buckets[0].Start != from || buckets[len(buckets)-1].End != to {
		t.Errorf("denied off by %d; %v … %v", denied, buckets[0], buckets[len(buckets)-1])
	}
	facets, err := c.Facets(t.Context(), q, "host", 2)
	hits, none := int64(0), int64(0)
	for i := range all {
		if p.Event(&all[i]) {
			hits++
			none += int64(btoi(all[i].Host == ""))
		}
	}
	if err != nil || len(facets.Values) != 2 || facets.Distinct != len(values) || facets.Events != hits || facets.None != none {
		t.Fatal(facets, hits, none, err)
	}
	for _, f := range facets.Values {
		if values[f.Value] != f.Count {
			t.Errorf("%v, want %d", f, values[f.Value])
		}
	}
	own := map[string]bool{}
	for i := range all {
		for _, x := range all[i].X {
			own["x."+x.Name] = true
		}
	}
	if names, err := c.Fields(t.Context()); err != nil || !slices.Equal(names, slices.Sorted(maps.Keys(own))) {
		t.Errorf("own fields %v, %v, want %d", names, err, len(own))
	}
	if names, err := c.Complete(t.Context(), "host", "po", 10); err != nil || fmt.Sprint(names) != "[pool.example]" {
		t.Errorf("completion %v, %v", names, err)
	}
	for _, f := range []struct{ field, prefix string }{{"src_ip", "10.0.1.1"}, {"dst_ip", "203.0.113.2"}, {"dst_ip", "2001:db8:1"}, {"ip", "10"}, {"kind", "z"}, {"action", "D"}, {"dst_port", "4"}} {
		want := map[string]bool{}
		for i := range all {
			for _, name := range map[bool][]string{true: {"src_ip", "dst_ip"}, false: {f.field}}[f.field == "ip"] {
				if v, ok := all[i].Value(name); ok && strings.HasPrefix(v, strings.ToLower(f.prefix)) {
					want[v] = true
				}
			}
		}
		got, err := c.Complete(t.Context(), f.field, f.prefix, 0)
		if err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(want))) || len(want) == 0 {
			t.Errorf("%s:%s completes to %v, %v, want %d", f.field, f.prefix, got, err, len(want))
		}
	}
}

func TestSketches(t *testing.T) {
	var a, b distincts
	var q quantiles
	const n = 3 * maxExact / 2
	for i := range n {
		if i%2 == 0 {
			a.add(1, hashInt(uint64(i)))
		} else {
			b.add(0, hashInt(uint64(i)))
		}
		a.add(1, hashInt(uint64(i/1000)))
		q.add(float64((i * 7919) % n))
	}
	a.add(0, 7)
	a.merge(&b, []uint32{1})
	if got, exact := a.count(0); got != 1 || !exact {
		t.Errorf("%d distinct of 1, exact %v", got, exact)
	}
	if got, exact := a.count(1); exact || math.Abs(float64(got)/n-1) > 0.03 {
		t.Errorf("%d distinct of %d, exact %v", got, n, exact)
	}
	for _, p := range []float64{0.01, 0.5, 0.95, 1} {
		got, _, exact := q.at(p)
		if exact || math.Abs(got/(p*n)-1) > 0.003 {
			t.Errorf("percentile %v is %v, exact %v", p, got, exact)
		}
	}
	var small quantiles
	for _, f := range []float64{4, 1, 3, 2} {
		small.add(f)
	}
	if got, _, exact := small.at(0.5); got != 2.5 || !exact {
		t.Errorf("median %v, exact %v", got, exact)
	}
	for _, f := range []float64{-1e6, -3, -1e-12, 0, 1e-8, 0.5, 1, 1e9, 1e18} {
		if m := middle(bucketOf(f)); math.Abs(m-f) > math.Abs(f)*0.00196+1e-300 {
			t.Errorf("%v stands for %v", m, f)
		}
	}
}
