package index

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firetrail"
)

// pageTerms match many events and few, in one place of a log and all over it.
var pageTerms = []string{
	"*", "dst_port:22", "dst_port:(80 OR 443)", "src_ip:192.0.2.0/26", "dst_ip:198.51.100.7", "x.TTL:>200", "x.LEN:[100 TO 300}", "src_port:<2000",
	"time:<2026-03-01T00:00:09", "time:[2026-03-01T00:00:05 TO 2026-03-01T00:00:20}", "time:>-3s", "line:[3 TO 40]", "offset:0", "-has:time", "x.ID:>65000",
}

// pageOf is what a search with options has to give, from all events in the total order.
func pageOf(all []firetrail.Event, pass func(*firetrail.Event) bool, opt SearchOptions) []string {
	var hits []*firetrail.Event
	for i := range all {
		ev := &all[i]
		if pass(ev) && (opt.Since == 0 || ev.Time >= opt.Since) && (opt.Until == 0 || ev.Time != firetrail.Absent && ev.Time < opt.Until) {
			hits = append(hits, ev)
		}
	}
	switch {
	case opt.Sort == "" && opt.Desc:
		slices.Reverse(hits)
	case opt.Sort != "":
		f, _ := firetrail.FieldNamed(opt.Sort)
		key := func(ev *firetrail.Event) (has int, n int64, s string) {
			if f.Int != nil {
				n = *f.Int(ev)
				return btoi(n == firetrail.Absent), n, ""
			}
			s, ok := ev.Value(opt.Sort)
			return btoi(!ok), 0, s
		}
		slices.SortStableFunc(hits, func(a, b *firetrail.Event) int {
			ha, na, sa := key(a)
			hb, nb, sb := key(b)
			c := cmp.Or(cmp.Compare(na, nb), strings.Compare(sa, sb))
			if opt.Desc {
				c = -c
			}
			return cmp.Or(cmp.Compare(ha, hb), c)
		})
	}
	hits = hits[min(opt.Offset, len(hits)):]
	if opt.Limit > 0 {
		hits = hits[:min(opt.Limit, len(hits))]
	}
	var ids []string
	for _, ev := range hits {
		ids = append(ids, ev.ID())
	}
	return ids
}

// samePages asks a case for random pages and compares them with those of all its events.
func samePages(t *testing.T, rnd *rand.Rand, c *Case, all []firetrail.Event, when string) {
	t.Helper()
	for range 60 {
		text := pageTerms[rnd.IntN(len(pageTerms))]
		if rnd.IntN(2) == 0 {
			text += []string{" AND ", " OR ", " AND NOT "}[rnd.IntN(3)] + pageTerms[rnd.IntN(len(pageTerms))]
		}
		opt := SearchOptions{Sort: []string{"", "", "dst_port", "src_port", "line", "rule"}[rnd.IntN(6)], Desc: rnd.IntN(2) == 0,
			Limit: []int{0, 1, 7, 500}[rnd.IntN(4)], Offset: []int{0, 0, 3, 400}[rnd.IntN(4)]}
		if rnd.IntN(2) == 0 {
			opt.Since = all[rnd.IntN(len(all))].Time
		}
		if rnd.IntN(2) == 0 {
			opt.Until = all[rnd.IntN(len(all))].Time
		}
		q, p := compile(t, c, text)
		want := pageOf(all, p.Event, opt)
		var got []string
		for ev, err := range c.Search(t.Context(), q, opt) {
			if err != nil {
				t.Fatalf("%s: %s %+v: %v", when, text, opt, err)
			}
			got = append(got, ev.ID())
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %s %+v: %d events, want %d", when, text, opt, len(got), len(want))
		}
	}
}

// TestPages asks for pages in every order, within bounds of time, of a case whose
// segments hold several sources that overlap in time: as they were committed, merged,
// repaired, and while another process commits.
func TestPages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	dir := t.TempDir()
	c := create(t)
	log := func(name string, from int) {
		writeFile(t, filepath.Join(dir, name+".log"), kernelLines(from, from+40+rnd.IntN(200)))
	}
	events := func() (all []firetrail.Event) {
		for ev, err := range c.Events(t.Context(), firetrail.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, *ev)
			all[len(all)-1].X = slices.Clone(ev.X)
		}
		if !slices.IsSortedFunc(all, func(a, b firetrail.Event) int { return firetrail.Compare(&a, &b) }) {
			t.Fatal("not in the total order")
		}
		return all
	}
	total := int64(0)
	for i := range 3 {
		for k := range 8 {
			log(fmt.Sprintf("%d-%d", k, i), rnd.IntN(1200))
		}
		total += ingestAll(t, c, dir).Totals.Events
	}
	all := events()
	if int64(len(all)) != total {
		t.Fatalf("%d events, want %d", len(all), total)
	}
	samePages(t, rnd, c, all, "committed")

	for i := range 2 * mergeFrom {
		log(fmt.Sprintf("late-%d", i), rnd.IntN(1200))
		ingestAll(t, c, dir)
	}
	if n := len(c.view().segments); n >= 2*mergeFrom {
		t.Fatalf("%d segments: nothing was merged", n)
	}
	all = events()
	samePages(t, rnd, c, all, "merged")

	for _, s := range c.view().segments {
		if err := os.Truncate(c.path("segments", s.Name, ".parquet"), s.Size/2); err != nil {
			t.Fatal(err)
		}
		os.Remove(c.path("blocks", s.Name, termsExt))
	}
	again, err := Open(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if r, err := again.Repair(t.Context(), nil); err != nil || len(r.Failed) > 0 {
		t.Fatal(r, err)
	}
	samePages(t, rnd, again, all, "repaired")

	writer, err := Open(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < mergeFrom && err == nil; i++ {
			path := filepath.Join(dir, fmt.Sprintf("more-%d.log", i))
			if err = os.WriteFile(path, kernelLines(2000+i*50, 2100+i*50), 0o600); err == nil {
				_, err = writer.Ingest(context.Background(), []string{path}, IngestOptions{})
			}
		}
		done <- err
	}()
	samePages(t, rnd, again, all, "while another commits")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	samePages(t, rnd, again, all, "after another has committed")
	if err := again.Refresh(); err != nil {
		t.Fatal(err)
	}
	if n, err := again.Count(t.Context(), firetrail.Query{}); err != nil || n <= int64(len(all)) {
		t.Errorf("%d events after the refresh, %v", n, err)
	}
}
