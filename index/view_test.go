package index

import (
	"math/rand/v2"
	"slices"
	"testing"

	"firetrail"
)

// TestViewIsSearch compares what a view knows with searches and counts.
func TestViewIsSearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(31, 32))
	c, _ := randomCase(t, rnd, 5000)
	queries := []string{"*", "NOT has:time", "host:absent.example", "time:2026-03-01T00:10", "src_ip:10.0.1.7", "time:>2026-03-01T00:20 proto:tcp", "uid:none OR line:7"}
	for range rounds(10) {
		queries = append(queries, randomQuery(rnd, 2))
	}
	for _, text := range queries {
		q, _ := compile(t, c, text)
		v, err := c.View(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		ids := func(opt SearchOptions) (list []string) {
			for ev, err := range c.Search(t.Context(), q, opt) {
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, ev.ID())
			}
			return list
		}
		all := ids(SearchOptions{})
		if int(v.Events) != len(all) {
			t.Fatalf("%s: %d events, want %d", text, v.Events, len(all))
		}
		for range 12 {
			opt := SearchOptions{Offset: rnd.IntN(len(all) + 2), Limit: 1 + rnd.IntN(300), Desc: rnd.IntN(2) == 0, Fields: []string{"offset"}}
			if rnd.IntN(3) == 0 {
				opt.Sort = []string{"bytes_out", "host", "x.TTL"}[rnd.IntN(3)]
			}
			page, err := v.Page(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range page {
				got = append(got, page[i].ID())
			}
			if want := ids(opt); !slices.Equal(got, want) {
				t.Fatalf("%s %+v: %d events %v …, want %d %v …", text, opt, len(got), got[:min(3, len(got))], len(want), want[:min(3, len(want))])
			}
		}
		checkViewTimes(t, c, q, v, rnd)
	}
}

func checkViewTimes(t *testing.T, c *Case, q firetrail.Query, v *View, rnd *rand.Rand) {
	t.Helper()
	for _, n := range []int{1, 7, 120} {
		sum := int64(0)
		list := v.Histogram(n)
		if len(list) > n {
			t.Fatalf("%d buckets of at most %d", len(list), n)
		}
		for i, b := range list {
			sum += b.Count
			if i > 0 && b.Start != list[i-1].End || b.Denied > b.Count {
				t.Fatalf("bucket %d: %+v behind %+v", i, b, list[i-1])
			}
			within := firetrail.Between("time", firetrail.Stamp(b.Start), firetrail.Stamp(b.End))
			within.Excl[1] = true
			if k, err := c.Count(t.Context(), firetrail.And(within, q)); err != nil || k != b.Count {
				t.Fatalf("bucket %+v has %d events, %v", b, k, err)
			}
		}
		if sum != v.Events-v.Undated {
			t.Fatalf("%d events in buckets, %d dated", sum, v.Events-v.Undated)
		}
	}
	for range 5 {
		at := epoch + rnd.Int64N(6000e9) - 300e9
		before := firetrail.Between("time", "*", firetrail.Stamp(at))
		before.Excl[1] = true
		n, err := c.Count(t.Context(), firetrail.And(before, q))
		if err != nil {
			t.Fatal(err)
		}
		want := v.Undated + n
		if n == v.Events-v.Undated {
			want = v.Events
		}
		if row, err := v.Row(t.Context(), at); err != nil || row != want {
			t.Fatalf("row at %s is %d, %v, want %d", firetrail.Stamp(at), row, err, want)
		}
	}
}
