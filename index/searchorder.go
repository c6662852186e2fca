package index

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"slices"
	"time"

	"firetrail"
	"firetrail/index/columns"
)

// A row of the case, by its place in the total order of events.
type rowRef struct {
	time   int64
	offset int64
	rank   int32 // place of the source among all
	seg    int32 // place in search.segs
	block  int16
	row    int16
}

func (a *rowRef) compare(b *rowRef) int {
	if a.time != b.time {
		return cmp.Compare(a.time, b.time)
	}
	if a.rank != b.rank {
		return cmp.Compare(a.rank, b.rank)
	}
	return cmp.Compare(a.offset, b.offset)
}

// sweep yields the matching rows of all segments in the total order, or in its
// reverse. Segments are in record order, so their blocks overlap in time: a block
// is read when the sweep comes to the earliest event it may have, and only the
// places of its matching rows are kept. Memory grows with the blocks that overlap
// at one time, not with the case.
//
// Undated rows come first. Two passes, one for them and one for dated rows, keep a
// block that has both from being held from the very beginning.
type sweep struct {
	s       *search
	ctx     context.Context
	desc    bool
	dated   bool
	passes  []bool // still to come: values of dated
	blocks  []blockRef
	pending []blockRef // blocks of this pass not read yet, the next one last
	active  sweepHeap
	open    *segmentPool
	err     error
}

// blockRef is a candidate block with the bounds of its rows.
type blockRef struct {
	seg, block int
	low, high  int64 // recorded times, Absent without any
	undated    bool  // may have rows without a time
	first      int64 // offset of the first record
	bound      rowRef
}

// run is what is left of a block's matching rows, the next one first.
type run []rowRef

type sweepHeap struct {
	runs []run
	desc bool
}

func (h *sweepHeap) Len() int { return len(h.runs) }
func (h *sweepHeap) Less(i, j int) bool {
	return ahead(&h.runs[i][0], &h.runs[j][0], h.desc)
}
func (h *sweepHeap) Swap(i, j int) { h.runs[i], h.runs[j] = h.runs[j], h.runs[i] }
func (h *sweepHeap) Push(x any)    { h.runs = append(h.runs, x.(run)) }
func (h *sweepHeap) Pop() any {
	n := len(h.runs) - 1
	r := h.runs[n]
	h.runs = h.runs[:n]
	return r
}

func ahead(a, b *rowRef, desc bool) bool {
	if desc {
		a, b = b, a
	}
	return a.compare(b) < 0
}

// newSweep finds the candidate blocks of all segments.
func (s *search) newSweep(ctx context.Context, desc bool) (*sweep, error) {
	w := &sweep{s: s, ctx: ctx, desc: desc, passes: []bool{false, true}, open: newSegmentPool(s, maxPooled)}
	if desc {
		slices.Reverse(w.passes)
	}
	w.active.desc = desc
	for i := range s.segs {
		if err := live(ctx); err != nil {
			w.close()
			return nil, err
		}
		if err := w.add(i); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *sweep) close() { w.open.close() }

// add finds the candidate blocks of a segment.
func (w *sweep) add(i int) error {
	info := &w.s.segs[i]
	set, seg, release, err := w.s.candidates(i, &w.s.plan)
	if err != nil || seg == nil {
		return err
	}
	defer release()
	offset, _ := seg.Column("offset")
	for b := range seg.Blocks() {
		if !set.Has(b) {
			continue
		}
		ref := blockRef{seg: i, block: b, undated: info.Dated < info.Rows}
		if ref.low, ref.high, err = timeBounds(seg, b); err != nil {
			return err
		}
		if ref.undated {
			if ref.first, _, _, err = seg.Bounds(offset, b); err != nil {
				return err
			}
		}
		w.blocks = append(w.blocks, ref)
	}
	return nil
}

// pass begins the next pass; it reports whether there is one.
func (w *sweep) pass() bool {
	if len(w.passes) == 0 {
		return false
	}
	w.dated, w.passes = w.passes[0], w.passes[1:]
	w.pending = w.pending[:0]
	for _, b := range w.blocks {
		b.bound = rowRef{rank: int32(w.s.rank[b.seg])}
		switch {
		case w.dated && b.low == firetrail.Absent, !w.dated && !b.undated:
			continue
		case !w.dated:
			b.bound.time, b.bound.offset = firetrail.Absent, b.first
			if w.desc {
				b.bound.offset = math.MaxInt64
			}
		case w.desc:
			b.bound.time, b.bound.offset = b.high, math.MaxInt64
		default:
			b.bound.time, b.bound.offset = b.low, math.MinInt64
		}
		w.pending = append(w.pending, b)
	}
	slices.SortStableFunc(w.pending, func(a, b blockRef) int {
		c := b.bound.compare(&a.bound)
		if w.desc {
			c = -c
		}
		return c
	})
	return true
}

// next returns the next row; false is the end or an error.
func (w *sweep) next() (rowRef, bool) {
	for {
		n := len(w.pending)
		if n > 0 && (len(w.active.runs) == 0 || !ahead(&w.active.runs[0][0], &w.pending[n-1].bound, w.desc)) {
			b := w.pending[n-1]
			w.pending = w.pending[:n-1]
			if w.err = w.read(b); w.err != nil {
				return rowRef{}, false
			}
			continue
		}
		if len(w.active.runs) > 0 {
			break
		}
		if !w.pass() {
			return rowRef{}, false
		}
	}
	top := &w.active.runs[0]
	ref := (*top)[0]
	if *top = (*top)[1:]; len(*top) == 0 {
		heap.Pop(&w.active)
	} else {
		heap.Fix(&w.active, 0)
	}
	return ref, true
}

// read tests a block and keeps the places of its matching rows of this pass.
func (w *sweep) read(b blockRef) error {
	if err := live(w.ctx); err != nil {
		return err
	}
	start := time.Now()
	t, err := w.open.tester(b.seg)
	if err != nil {
		return err
	}
	refs, err := w.s.refs(t, b)
	if err != nil {
		return err
	}
	refs = slices.DeleteFunc(refs, func(r rowRef) bool { return (r.time != firetrail.Absent) != w.dated })
	w.s.plan.Hits += int64(len(refs))
	slices.SortFunc(refs, func(x, y rowRef) int { return x.compare(&y) })
	if w.desc {
		slices.Reverse(refs)
	}
	if len(refs) > 0 {
		heap.Push(&w.active, run(refs))
	}
	w.s.plan.Reading += time.Since(start)
	return nil
}

// refs tests a block and returns the places of its matching rows, in record order.
func (s *search) refs(t *tester, b blockRef) ([]rowRef, error) {
	m, err := t.block(b.block)
	if err != nil {
		return nil, err
	}
	s.plan.BlocksRead++
	s.plan.RowsTested += int64(t.r.Rows())
	if m.empty() {
		return nil, nil
	}
	var times, offsets *columns.Vector
	if times, err = vectorNamed(t.r, t.seg, "time"); err != nil {
		return nil, err
	}
	if offsets, err = vectorNamed(t.r, t.seg, "offset"); err != nil {
		return nil, err
	}
	refs := make([]rowRef, 0, m.len())
	at, off := times.Ints(), offsets.Ints()
	m.rows(func(row int) {
		refs = append(refs, rowRef{time: at[row], offset: off[row], rank: int32(s.rank[b.seg]), seg: int32(b.seg), block: int16(b.block), row: int16(row)})
	})
	return refs, nil
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
}

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
