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
// reverse. Segments are in record order, so their blocks overlap in time: a segment
// is opened, and a block is read, when the sweep comes to the earliest event it may
// have, and only the places of its matching rows are kept. Memory grows with the
// blocks that overlap at one time, not with the case.
//
// Undated rows come first. Two passes, one for them and one for dated rows, keep a
// block that has both from being held from the very beginning.
type sweep struct {
	s       *search
	ctx     context.Context
	dated   bool
	passes  []bool       // still to come: values of dated
	blocks  [][]blockRef // candidates of each segment, nil until it was opened
	pending blockHeap    // segments and blocks of this pass that are not read yet
	active  runHeap
	open    *segmentPool
	err     error
}

// blockRef is a candidate block, or a whole segment that is not opened yet.
type blockRef struct {
	seg, block int   // block -1 is the segment
	low, high  int64 // recorded times, Absent without any
	undated    bool  // may have rows without a time
	first      int64 // offset of the first record
	bound      rowRef
}

// blockHeap has the block with the earliest bound on top.
type blockHeap struct {
	refs []blockRef
	desc bool
}

func (h *blockHeap) Len() int           { return len(h.refs) }
func (h *blockHeap) Less(i, j int) bool { return ahead(&h.refs[i].bound, &h.refs[j].bound, h.desc) }
func (h *blockHeap) Swap(i, j int)      { h.refs[i], h.refs[j] = h.refs[j], h.refs[i] }
func (h *blockHeap) Push(x any)         { h.refs = append(h.refs, x.(blockRef)) }
func (h *blockHeap) Pop() any {
	n := len(h.refs) - 1
	r := h.refs[n]
	h.refs = h.refs[:n]
	return r
}

// run is what is left of a block's matching rows, the next one first.
type run []rowRef

// runHeap has the run with the earliest row on top.
type runHeap struct {
	runs []run
	desc bool
}

func (h *runHeap) Len() int { return len(h.runs) }
func (h *runHeap) Less(i, j int) bool {
	return ahead(&h.runs[i][0], &h.runs[j][0], h.desc)
}
func (h *runHeap) Swap(i, j int) { h.runs[i], h.runs[j] = h.runs[j], h.runs[i] }
func (h *runHeap) Push(x any)    { h.runs = append(h.runs, x.(run)) }
func (h *runHeap) Pop() any {
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

func (s *search) newSweep(ctx context.Context, desc bool) *sweep {
	w := &sweep{s: s, ctx: ctx, passes: []bool{false, true}, open: newSegmentPool(s, maxPooled), blocks: make([][]blockRef, len(s.segs))}
	if desc {
		slices.Reverse(w.passes)
	}
	w.active.desc, w.pending.desc = desc, desc
	return w
}

func (w *sweep) close() { w.open.close() }

// candidates finds the candidate blocks of a segment, once.
func (w *sweep) candidates(i int) ([]blockRef, error) {
	if w.blocks[i] != nil {
		return w.blocks[i], nil
	}
	if err := live(w.ctx); err != nil {
		return nil, err
	}
	info := &w.s.segs[i]
	refs := []blockRef{}
	set, seg, release, err := w.s.candidates(i, &w.s.plan)
	if err != nil {
		return nil, err
	}
	if seg != nil {
		defer release()
		offset, _ := seg.Column("offset")
		for b := range seg.Blocks() {
			if !set.Has(b) {
				continue
			}
			ref := blockRef{seg: i, block: b, undated: info.Dated < info.Rows}
			if ref.low, ref.high, err = timeBounds(seg, b); err != nil {
				return nil, err
			}
			if ref.undated {
				if ref.first, _, _, err = seg.Bounds(offset, b); err != nil {
					return nil, err
				}
			}
			refs = append(refs, ref)
		}
	}
	w.blocks[i] = refs
	return refs, nil
}

// wait lets a block or segment wait until the sweep comes to it in this pass.
func (w *sweep) wait(b blockRef) {
	if w.dated && b.low == firetrail.Absent || !w.dated && !b.undated {
		return
	}
	desc := w.pending.desc
	first, last := w.s.ranks(&w.s.segs[b.seg])
	b.bound = rowRef{time: b.low, offset: math.MinInt64, rank: first}
	if desc {
		b.bound = rowRef{time: b.high, offset: math.MaxInt64, rank: last}
	}
	if !w.dated {
		b.bound.time = firetrail.Absent
		if !desc && first == last {
			b.bound.offset = b.first
		}
	}
	heap.Push(&w.pending, b)
}

// pass begins the next pass; it reports whether there is one.
func (w *sweep) pass() bool {
	if len(w.passes) == 0 {
		return false
	}
	w.dated, w.passes = w.passes[0], w.passes[1:]
	for i := range w.s.segs {
		info := &w.s.segs[i]
		w.wait(blockRef{seg: i, block: -1, low: info.First, high: info.Last, undated: info.Dated < info.Rows, first: math.MinInt64})
	}
	return true
}

// next returns the next row; false is the end or an error.
func (w *sweep) next() (rowRef, bool) {
	for {
		if w.pending.Len() > 0 && (w.active.Len() == 0 || !ahead(&w.active.runs[0][0], &w.pending.refs[0].bound, w.active.desc)) {
			if w.err = w.reach(heap.Pop(&w.pending).(blockRef)); w.err != nil {
				return rowRef{}, false
			}
			continue
		}
		if w.active.Len() > 0 {
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

// reach opens a segment or reads a block.
func (w *sweep) reach(b blockRef) error {
	if b.block >= 0 {
		return w.read(b)
	}
	refs, err := w.candidates(b.seg)
	for _, ref := range refs {
		w.wait(ref)
	}
	return err
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
	if w.active.desc {
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
	rank, err := s.rankOf(t, b.seg)
	if err != nil {
		return nil, err
	}
	m.rows(func(row int) {
		refs = append(refs, rowRef{time: at[row], offset: off[row], rank: rank(row), seg: int32(b.seg), block: int16(b.block), row: int16(row)})
	})
	return refs, nil
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
