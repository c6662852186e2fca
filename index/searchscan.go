package index

import (
	"context"
	"runtime"
	"sync"
	"time"

	"firetrail"

	"golang.org/x/sync/errgroup"
)

// scanner is what one worker makes of the matching rows of some segments. Rows of a
// segment come in record order, segments in any order, so what is kept must not
// depend on it.
type scanner struct {
	begin func(t *tester, seg *segment)             // before the blocks of a segment; may be nil
	block func(t *tester, block int, m *mask) error // t stands on the block; m has at least one row
	state any
}

// scan reads all matching rows of the case with one worker a core. make is called
// once for each worker, before any is started; merge once for each in that order, at the end.
func (c *Case) scan(ctx context.Context, q firetrail.Query, opt SearchOptions, make func() scanner, merge func(scanner, *Plan)) error {
	s, err := c.prepare(opt.bounded(q), opt.Now)
	if err != nil {
		return err
	}
	_, err = s.scan(ctx, make, merge)
	return err
}

func (s *search) scan(ctx context.Context, make func() scanner, merge func(scanner, *Plan)) (*Plan, error) {
	workers := min(runtime.GOMAXPROCS(0), max(len(s.segs), 1))
	var mu sync.Mutex
	next := 0
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1
	}
	group, ctx := errgroup.WithContext(ctx)
	plans := []*Plan{}
	scanners := []scanner{}
	for range workers {
		w, plan := make(), &Plan{}
		plans, scanners = append(plans, plan), append(scanners, w)
		group.Go(func() error {
			for i := take(); i < len(s.segs); i = take() {
				if err := s.scanSegment(ctx, i, w, plan); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range scanners {
		merge(scanners[i], plans[i])
		s.plan.add(plans[i])
	}
	return &s.plan, nil
}

func (s *search) scanSegment(ctx context.Context, i int, w scanner, plan *Plan) error {
	if err := live(ctx); err != nil {
		return err
	}
	set, seg, release, err := s.candidates(i, s.refuted(i, plan), plan)
	if err != nil || seg == nil {
		return err
	}
	defer release()
	start := time.Now()
	t := newTester(seg, &s.segs[i], s.pred)
	defer t.close()
	if w.begin != nil {
		w.begin(t, &s.segs[i])
	}
	for b := range seg.Blocks() {
		if !set.Has(b) {
			continue
		}
		if err := live(ctx); err != nil {
			return err
		}
		m, err := t.block(b)
		if err != nil {
			return err
		}
		n := m.len()
		plan.BlocksRead++
		plan.RowsTested += int64(t.r.Rows())
		plan.Hits += int64(n)
		if n == 0 {
			continue
		}
		if err := w.block(t, b, &m); err != nil {
			return err
		}
	}
	plan.Pages += t.r.Stats.Pages
	plan.Bytes += t.r.Stats.Bytes
	plan.Reading += time.Since(start)
	return nil
}
