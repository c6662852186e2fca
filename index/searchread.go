package index

import (
	"context"
	"runtime"
	"slices"

	"firetrail/index/columns"

	"golang.org/x/sync/errgroup"
)

// blockReader tests blocks, for one goroutine.
type blockReader struct {
	s    *search
	ctx  context.Context
	open *segmentPool
	plan Plan // what was done
	work []int
}

// newReaders makes a reader for each core.
func (s *search) newReaders(ctx context.Context) []*blockReader {
	readers := make([]*blockReader, runtime.GOMAXPROCS(0))
	for i := range readers {
		readers[i] = &blockReader{s: s, ctx: ctx, open: newSegmentPool(s, max(maxPooled/len(readers), 4))}
	}
	return readers
}

// close frees what the reader holds and adds what it did to the plan of the search.
func (r *blockReader) close() {
	r.open.close()
	r.s.plan.add(&r.plan)
}

// each calls f for the places of all blocks of a batch, with all readers at once. The
// blocks of a row group, which share dictionaries, go to the same reader.
func (w *sweep) each(batch []blockRef, f func(r *blockReader, i int) error) error {
	for i, b := range batch {
		r := w.readers[(b.seg*64+b.block*columns.BlockRows/columns.GroupRows)%len(w.readers)]
		r.work = append(r.work, i)
	}
	var group errgroup.Group
	for _, r := range w.readers {
		if len(r.work) == 0 {
			continue
		}
		group.Go(func() error {
			defer func() { r.work = r.work[:0] }()
			for _, i := range r.work {
				if err := live(r.ctx); err != nil {
					return err
				}
				if err := f(r, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// test tests a block; the tester stands on it then.
func (r *blockReader) test(b blockRef) (*tester, mask, error) {
	t, err := r.open.tester(b.seg)
	if err != nil {
		return nil, mask{}, err
	}
	m, err := t.block(b.block)
	r.plan.BlocksRead++
	r.plan.RowsTested += int64(t.r.Rows())
	return t, m, err
}

// places appends the places of rows of the block on which t stands, in record order.
func (s *search) places(to []rowRef, t *tester, b blockRef, m *mask) ([]rowRef, error) {
	times, err := vectorNamed(t.r, t.seg, "time")
	if err != nil {
		return nil, err
	}
	offsets, err := vectorNamed(t.r, t.seg, "offset")
	if err != nil {
		return nil, err
	}
	rank, err := s.rankOf(t, b.seg)
	if err != nil {
		return nil, err
	}
	to = slices.Grow(to, m.len())
	at, off := times.Ints(), offsets.Ints()
	m.rows(func(row int) {
		to = append(to, rowRef{time: at[row], offset: off[row], rank: rank(row), seg: int32(b.seg), block: int16(b.block), row: int16(row)})
	})
	return to, nil
}

// rankOf gives the place of the source of each row of the block on which t stands.
func (s *search) rankOf(t *tester, seg int) (func(row int) int32, error) {
	if first, last := s.ranks(&s.segs[seg]); first == last {
		return func(int) int32 { return first }, nil
	}
	v, err := vectorNamed(t.r, t.seg, "source")
	if err != nil {
		return nil, err
	}
	ranks := make([]int32, v.Dict.Len())
	for code := range ranks {
		ranks[code] = s.rank[v.Dict.Value(uint32(code))]
	}
	return func(row int) int32 { return ranks[v.Codes[row]] }, nil
}

func vectorNamed(r *columns.Reader, seg *columns.Segment, name string) (*columns.Vector, error) {
	i, ok := seg.Column(name)
	if !ok {
		return nil, columns.ErrCorrupt
	}
	return r.Vector(i)
}

// segmentPool keeps the readers that one goroutine of a search is using, a bounded
// number of them.
type segmentPool struct {
	s     *search
	limit int       // segments to keep
	items []*pooled // the latest used last

	pages, bytes int64 // read by what was dropped
}

type pooled struct {
	seg     int
	open    *columns.Segment
	release func()
	tester  *tester         // nil until asked for
	events  *columns.Reader // another cursor, which makes events
	columns []int           // that events are made of
	group   int             // row group that columns is for
	traffic *trafficTest    // of a stream, nil until asked for
}

// maxPooled bounds the segments that all goroutines of a search keep together.
const maxPooled = 48

func newSegmentPool(s *search, limit int) *segmentPool { return &segmentPool{s: s, limit: limit} }

func (p *segmentPool) get(seg int) (*pooled, error) {
	if i := slices.IndexFunc(p.items, func(it *pooled) bool { return it.seg == seg }); i >= 0 {
		it := p.items[i]
		p.items = append(slices.Delete(p.items, i, i+1), it)
		return it, nil
	}
	if len(p.items) >= p.limit {
		p.drop(p.items[0])
		p.items = slices.Delete(p.items, 0, 1)
	}
	open, release, err := p.s.c.segment(p.s.segs[seg].Name)
	if err != nil {
		return nil, err
	}
	it := &pooled{seg: seg, open: open, release: release, group: -1}
	p.items = append(p.items, it)
	return it, nil
}

func (p *segmentPool) tester(seg int) (*tester, error) {
	it, err := p.get(seg)
	if err == nil && it.tester == nil {
		it.tester = newTester(it.open, &p.s.segs[seg], p.s.pred)
	}
	if err != nil {
		return nil, err
	}
	return it.tester, nil
}

// pass drops the segments that end before a time.
func (p *segmentPool) pass(at int64) {
	p.items = slices.DeleteFunc(p.items, func(it *pooled) bool {
		over := p.s.segs[it.seg].Last < at
		if over {
			p.drop(it)
		}
		return over
	})
}

// drop frees a segment's readers and counts what they read.
func (p *segmentPool) drop(it *pooled) {
	if it.tester != nil {
		p.pages += it.tester.r.Stats.Pages
		p.bytes += it.tester.r.Stats.Bytes
		it.tester.close()
	}
	if it.events != nil {
		p.pages += it.events.Stats.Pages
		p.bytes += it.events.Stats.Bytes
		it.events.Close()
	}
	it.release()
}

func (p *segmentPool) close() {
	for _, it := range p.items {
		p.drop(it)
	}
	p.items = nil
	p.s.plan.Pages += p.pages
	p.s.plan.Bytes += p.bytes
}
