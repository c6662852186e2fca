package index

import (
	"container/heap"
	"context"
	"iter"
	"runtime"
	"slices"
	"sort"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"

	"golang.org/x/sync/errgroup"
)

// Traffic yields the events of any of the given traffic in the total order, each
// once, with the named fields; an event is valid until the next one, its text stays
// valid. An error is the last thing that is yielded. Memory does not grow with the case.
func (c *Case) Traffic(ctx context.Context, list []firetrail.Traffic, fields ...string) iter.Seq2[*firetrail.Event, error] {
	return func(yield func(*firetrail.Event, error) bool) {
		if len(list) == 0 {
			return
		}
		want := newTrafficSet(list)
		s, err := c.preparePredicate(want.plan())
		if err == nil {
			err = s.stream(ctx, want, fields, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// stream yields many events in the total order with a few fields each. Where a search
// is made for pages, a stream is made for passes over a case: the wanted columns of a
// block are gathered once, column by column, for its matching rows, and the blocks
// that come next are read meanwhile.
type stream struct {
	sweep   *sweep // which blocks come next
	want    *trafficSet
	fields  []string
	active  chunkHeap
	loaders []*loader
	free    []*chunk
	held    int // rows of active chunks
	room    int // rows that should be held at most
	pace    pace
	ev      firetrail.Event
	done    bool
}

// Bounds of a stream: blocks that are read ahead by each loader, rows that should be
// held at most, and those that are taken of a block even then.
const (
	aheadBlocks = 4
	heldRows    = 1 << 18
	fewRows     = 256
)

// pace is how much time the latest rows of a pass covered.
type pace struct {
	rows  int   // since from
	from  int64 // time of the first of them
	cover int64 // time that a quarter of the room covered, 0 before it is known
}

// step notes that a row was yielded.
func (p *pace) step(at int64, room int) {
	if p.rows == 0 {
		p.from = at
	}
	if p.rows++; p.rows > room/4 {
		p.rows, p.cover = 0, at-p.from
	}
}

func (s *search) stream(ctx context.Context, want *trafficSet, fields []string, yield func(*firetrail.Event, error) bool) error {
	return (&stream{sweep: s.newSweep(ctx, false, 0), want: want, fields: fields, room: heldRows}).run(yield)
}

func (st *stream) run(yield func(*firetrail.Event, error) bool) (err error) {
	defer st.close()
	for range runtime.GOMAXPROCS(0) {
		st.loaders = append(st.loaders, st.newLoader(maxPooled/2))
	}
	for err == nil && !st.done && st.sweep.pass() {
		err = st.pass(yield)
	}
	return err
}

func (st *stream) close() {
	for _, l := range st.loaders {
		l.pool.close()
	}
	st.sweep.close()
}

// loading is what is being read while events are yielded.
type loading struct {
	refs  []blockRef
	group errgroup.Group
}

// pass yields the rows of one pass: undated ones, or dated ones.
func (st *stream) pass(yield func(*firetrail.Event, error) bool) error {
	st.pace = pace{}
	next, err := st.load()
	for err == nil && next != nil {
		if err = st.emit(&next.refs[0].bound, yield); err != nil || st.done {
			_ = next.group.Wait()
			return err
		}
		if err = next.group.Wait(); err != nil {
			return err
		}
		for _, l := range st.loaders {
			for _, c := range l.out {
				st.held += len(c.rows)
				heap.Push(&st.active, c)
			}
			for _, b := range l.later {
				heap.Push(&st.sweep.pending, b)
			}
			l.out, l.later = l.out[:0], l.later[:0]
		}
		next, err = st.load()
	}
	if err != nil {
		return err
	}
	return st.emit(nil, yield)
}

// load begins to read the blocks that come next; nil if there are none. Where much is
// held already, only the rows are taken that come soon, and the blocks wait again for
// the others: one session of days in a block of minutes must not keep all of it.
func (st *stream) load() (*loading, error) {
	n := aheadBlocks * len(st.loaders)
	next := &loading{}
	for w := st.sweep; len(next.refs) < n && w.pending.Len() > 0; {
		b := heap.Pop(&w.pending).(blockRef)
		if st.want != nil && !b.undated && b.high < st.want.from {
			continue
		}
		if b.block >= 0 {
			next.refs = append(next.refs, b)
			continue
		}
		refs, err := w.candidates(b.seg)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			w.wait(ref)
		}
	}
	if len(next.refs) == 0 {
		return nil, nil
	}
	for _, l := range st.loaders {
		l.refs, l.cut, l.soon = l.refs[:0], st.held > st.room, st.pace.cover
	}
	for _, b := range next.refs { // the blocks of a row group share its dictionaries
		l := st.loaders[(b.seg+b.block*columns.BlockRows/columns.GroupRows)%len(st.loaders)]
		l.refs = append(l.refs, b)
	}
	for _, l := range st.loaders {
		for len(l.spare) < len(l.refs) {
			l.spare = append(l.spare, st.chunk())
		}
		if len(l.refs) > 0 {
			next.group.Go(l.run)
		}
	}
	return next, nil
}

// chunk is an empty chunk, of used memory if there is some.
func (st *stream) chunk() *chunk {
	if n := len(st.free); n > 0 {
		c := st.free[n-1]
		st.free = st.free[:n-1]
		return c
	}
	return &chunk{}
}

// emit yields the held events that come before a bound, all for nil.
func (st *stream) emit(bound *rowRef, yield func(*firetrail.Event, error) bool) error {
	for len(st.active) > 0 {
		c := st.active[0]
		until := bound
		for i := 1; i < min(3, len(st.active)); i++ {
			if head := st.active[i].head(); until == nil || head.compare(until) < 0 {
				until = head
			}
		}
		if bound != nil && c.head().compare(bound) >= 0 {
			return nil
		}
		for {
			c.fill(&st.ev, c.at)
			if !yield(&st.ev, nil) {
				st.done = true
				return nil
			}
			st.held--
			st.pace.step(st.ev.Time, st.room)
			if c.at++; c.at == len(c.rows) || until != nil && c.head().compare(until) >= 0 {
				break
			}
		}
		if c.at < len(c.rows) {
			heap.Fix(&st.active, 0)
			continue
		}
		heap.Pop(&st.active)
		if !c.cut {
			c.empty()
			st.free = append(st.free, c)
		}
		if err := live(st.sweep.ctx); err != nil {
			return err
		}
	}
	return nil
}

// chunkHeap has the chunk with the earliest row on top.
type chunkHeap []*chunk

func (h chunkHeap) Len() int           { return len(h) }
func (h chunkHeap) Less(i, j int) bool { return h[i].head().compare(h[j].head()) < 0 }
func (h chunkHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *chunkHeap) Push(x any)        { *h = append(*h, x.(*chunk)) }
func (h *chunkHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}

// loader reads blocks for one goroutine.
type loader struct {
	st    *stream
	pool  *segmentPool
	refs  []blockRef
	cut   bool  // only rows that come soon are taken
	soon  int64 // nanoseconds behind the first row
	spare []*chunk
	rows  []rowRef
	out   []*chunk
	later []blockRef // that have rows left
}

func (st *stream) newLoader(segments int) *loader {
	return &loader{st: st, pool: newSegmentPool(st.sweep.s, segments)}
}

func (l *loader) run() error {
	l.pool.pass(l.refs[0].bound.time)
	for _, b := range l.refs {
		if err := live(l.st.sweep.ctx); err != nil {
			return err
		}
		if err := l.block(b); err != nil {
			return err
		}
	}
	return nil
}

// block reads the matching rows of a block that were not taken before.
func (l *loader) block(b blockRef) error {
	it, err := l.pool.get(b.seg)
	if err != nil {
		return err
	}
	t, err := l.pool.tester(b.seg)
	if err != nil {
		return err
	}
	m, err := t.block(b.block)
	if err != nil {
		return err
	}
	if l.st.want != nil && !m.empty() {
		if it.traffic == nil {
			it.traffic = &trafficTest{set: l.st.want}
		}
		if err := it.traffic.narrow(t, &m); err != nil {
			return err
		}
	}
	if m.empty() {
		return nil
	}
	if err := l.order(t, b, &m); err != nil {
		return err
	}
	rows := l.rows[min(b.taken, len(l.rows)):]
	n := len(rows)
	if l.cut {
		n = soonRows(rows, l.soon)
	}
	if n == 0 {
		return nil
	}
	if n < len(rows) {
		b.taken, b.bound = b.taken+n, rows[n]
		l.later = append(l.later, b)
	}
	return l.gather(l.chunk(n < len(rows)), rows[:n], t, it)
}

// order has the rows of a mask that the present pass wants, in order, in l.rows.
func (l *loader) order(t *tester, b blockRef, m *mask) (err error) {
	w := l.st.sweep
	if l.rows, err = w.s.places(l.rows[:0], t, b, m); err != nil {
		return err
	}
	l.rows = slices.DeleteFunc(l.rows, func(r rowRef) bool { return (r.time != firetrail.Absent) != w.dated })
	order := func(a, b rowRef) int { return a.compare(&b) }
	if !slices.IsSortedFunc(l.rows, order) {
		slices.SortFunc(l.rows, order)
	}
	return nil
}

// soonRows counts the rows within a time of the first one, and a few at least.
func soonRows(rows []rowRef, soon int64) int {
	n := sort.Search(len(rows), func(i int) bool { return rows[i].time-rows[0].time > soon })
	return min(max(n, fewRows), len(rows))
}

// chunk is for all rows of a block or, cut, for some.
func (l *loader) chunk(cut bool) *chunk {
	if cut {
		return &chunk{cut: true}
	}
	c := l.spare[len(l.spare)-1]
	l.spare = l.spare[:len(l.spare)-1]
	return c
}

// gather takes the columns of rows of the block on which a tester stands.
func (l *loader) gather(c *chunk, rows []rowRef, t *tester, it *pooled) error {
	block := t.r.Block()
	if group := block * columns.BlockRows / columns.GroupRows; group != it.group {
		it.group, it.columns = group, wanted(it.open, block, l.st.fields)
	}
	c.kind, c.sources, c.at = t.info.Kind, l.st.sweep.s.sources, 0
	c.rows = append(c.rows[:0], rows...)
	if err := c.gather(t.r, it.open, it.columns, l.st.fields); err != nil {
		return err
	}
	l.out = append(l.out, c)
	return nil
}

// preparePredicate is prepare for a predicate that no query of people says.
func (c *Case) preparePredicate(p *query.Predicate) (*search, error) {
	snap := c.parts()
	s := &search{c: c, pred: p, terms: asksTerms(p.Plan())}
	s.choose(snap)
	return s, nil
}
