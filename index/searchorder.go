package index

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"time"

	"firetrail"
	"firetrail/index/blocks"
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
	order   []int        // segments as the sweep comes to them
	turn    []int        // of each segment, its place in order
	left    []blocks.Set // what terms leave of each of order, of those asked so far
	pending blockHeap    // segments and blocks of this pass that are not read yet
	active  runHeap
	batch   int // blocks to read next
	readers []*blockReader
	horizon horizon
	err     error
}

// blockRef is a candidate block, or a whole segment that is not opened yet.
type blockRef struct {
	seg, block int   // block -1 is the segment
	low, high  int64 // recorded times, Absent without any
	undated    bool  // may have rows without a time
	first      int64 // offset of the first record
	bound      rowRef
	taken      int // rows that a stream has had of it
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

// newSweep begins a sweep of which the first rows are wanted, all of them where want is 0.
func (s *search) newSweep(ctx context.Context, desc bool, want int) *sweep {
	w := &sweep{s: s, ctx: ctx, passes: []bool{false, true}, batch: 1, readers: s.newReaders(ctx), blocks: make([][]blockRef, len(s.segs))}
	if desc {
		slices.Reverse(w.passes)
	}
	w.active.desc, w.pending.desc, w.horizon = desc, desc, horizon{want: want, desc: desc}
	for i := range s.segs {
		w.order = append(w.order, i)
	}
	slices.SortStableFunc(w.order, func(a, b int) int {
		if desc {
			return cmp.Compare(s.segs[b].Last, s.segs[a].Last)
		}
		return cmp.Compare(s.segs[a].First, s.segs[b].First)
	})
	w.turn = make([]int, len(w.order))
	for at, i := range w.order {
		w.turn[i] = at
	}
	w.left = make([]blocks.Set, 0, len(w.order))
	return w
}

// refuteAhead is how many segments are looked up at a time: on all cores, and mostly
// for nothing where a page is full before the sweep comes to them.
const refuteAhead = 256

// refuted is what terms leave of a segment.
func (w *sweep) refuted(seg int) blocks.Set {
	for w.turn[seg] >= len(w.left) {
		from, to := len(w.left), min(len(w.left)+refuteAhead, len(w.order))
		w.left = w.left[:to]
		plans := make([]Plan, runtime.GOMAXPROCS(0))
		var group sync.WaitGroup
		for k := range plans {
			group.Go(func() {
				for i := from + k; i < to; i += len(plans) {
					w.left[i] = w.s.refuted(w.order[i], &plans[k])
				}
			})
		}
		group.Wait()
		for k := range plans {
			w.s.plan.add(&plans[k])
		}
	}
	return w.left[w.turn[seg]]
}

func (w *sweep) close() {
	for _, r := range w.readers {
		r.close()
	}
}

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
	set, seg, release, err := w.s.candidates(i, w.refuted(i), &w.s.plan)
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

// horizon is how far a sweep has to look: the time of the last of the rows that are
// wanted, among those that were found so far. No row beyond it is one of them.
type horizon struct {
	want  int     // rows, 0 for all
	times []int64 // of the first rows that were found, at most want: a heap with the last of them on top
	desc  bool
}

// known reports whether there is a horizon, and where.
func (h *horizon) known() (time int64, ok bool) {
	if h.want == 0 || len(h.times) < h.want {
		return 0, false
	}
	return h.times[0], true
}

func (h *horizon) Len() int { return len(h.times) }
func (h *horizon) Less(i, j int) bool {
	return h.times[i] != h.times[j] && h.times[i] > h.times[j] != h.desc
}
func (h *horizon) Swap(i, j int) { h.times[i], h.times[j] = h.times[j], h.times[i] }
func (h *horizon) Push(x any)    { h.times = append(h.times, x.(int64)) }
func (h *horizon) Pop() any      { panic("the horizon only comes nearer") }

// found takes the rows of a block into account, in the order of the sweep.
func (h *horizon) found(r run) {
	for i := range r {
		switch t := r[i].time; {
		case h.want == 0:
			return
		case len(h.times) < h.want:
			heap.Push(h, t)
		case t < h.times[0] != h.desc && t != h.times[0]:
			h.times[0] = t
			heap.Fix(h, 0)
		default:
			return // nor do those behind it
		}
	}
}

// within keeps the rows of a block that are not beyond the horizon.
func (h *horizon) within(t *tester, m *mask) error {
	end, ok := h.known()
	if !ok {
		return nil
	}
	times, err := vectorNamed(t.r, t.seg, "time")
	if err != nil {
		return err
	}
	ints := times.Ints()
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			row := i*64 + bits.TrailingZeros64(w)
			if at := ints[row]; at != firetrail.Absent && (at > end) != h.desc && at != end {
				m[i] &^= 1 << (row % 64)
			}
		}
	}
	return nil
}

// keepDated keeps the rows that have a time, or those that have none.
func keepDated(t *tester, m *mask, dated bool) error {
	times, err := vectorNamed(t.r, t.seg, "time")
	if err != nil {
		return err
	}
	ints := times.Ints()
	m.rows(func(row int) {
		if (ints[row] != firetrail.Absent) != dated {
			m[row/64] &^= 1 << (row % 64)
		}
	})
	return nil
}

// reach opens a segment, or reads a block and some of those that come next.
func (w *sweep) reach(b blockRef) error {
	if b.block < 0 {
		return w.enter(b)
	}
	batch := []blockRef{b}
	for len(batch) < w.batch && w.pending.Len() > 0 {
		b := heap.Pop(&w.pending).(blockRef)
		if b.block >= 0 {
			batch = append(batch, b)
		} else if err := w.enter(b); err != nil {
			return err
		}
	}
	w.batch = min(w.batch*2, mostBlocks)
	return w.read(batch)
}

// mostBlocks are read at a time, by all cores. The first page waits for few: batches
// begin with one block and double while hits are rare enough for a next one.
const mostBlocks = 64

// enter has the candidate blocks of a segment wait.
func (w *sweep) enter(b blockRef) error {
	refs, err := w.candidates(b.seg)
	for _, ref := range refs {
		w.wait(ref)
	}
	return err
}

// read tests blocks and keeps the places of their matching rows of this pass.
func (w *sweep) read(batch []blockRef) error {
	start := time.Now()
	runs := make([]run, len(batch))
	err := w.each(batch, func(r *blockReader, i int) error {
		t, m, err := r.test(batch[i])
		if err != nil || m.empty() {
			return err
		}
		if batch[i].undated {
			if err := keepDated(t, &m, w.dated); err != nil {
				return err
			}
		}
		r.plan.Hits += int64(m.len())
		if w.dated {
			if err := w.horizon.within(t, &m); err != nil {
				return err
			}
		}
		if m.empty() {
			return nil
		}
		refs, err := r.s.places(nil, t, batch[i], &m)
		if err != nil {
			return err
		}
		if !slices.IsSortedFunc(refs, func(x, y rowRef) int { return x.compare(&y) }) {
			slices.SortFunc(refs, func(x, y rowRef) int { return x.compare(&y) })
		}
		if w.active.desc {
			slices.Reverse(refs)
		}
		runs[i] = refs
		return nil
	})
	if err != nil {
		return err
	}
	for _, run := range runs {
		if len(run) > 0 {
			heap.Push(&w.active, run)
			if w.dated {
				w.horizon.found(run)
			}
		}
	}
	w.s.plan.Reading += time.Since(start)
	return nil
}
