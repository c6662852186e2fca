package index

import (
	"container/heap"
	"context"
	"iter"
	"runtime"

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
	own     *loader // of the goroutine that yields
	free    []*chunk
	held    int // rows of active chunks
	room    int // rows of active chunks that may have all their columns
	ev      firetrail.Event
	done    bool
}

// Bounds of a stream: blocks that are read ahead by each loader, rows that are held
// with all their columns, and those that are gathered at a time beyond that.
const (
	aheadBlocks = 4
	heldRows    = 1 << 18
	thinRows    = 256
)

func (s *search) stream(ctx context.Context, want *trafficSet, fields []string, yield func(*firetrail.Event, error) bool) error {
	return (&stream{sweep: s.newSweep(ctx, false, 0), want: want, fields: fields, room: heldRows}).run(yield)
}

func (st *stream) run(yield func(*firetrail.Event, error) bool) (err error) {
	defer st.close()
	st.own = st.newLoader(maxPooled / 4)
	for range runtime.GOMAXPROCS(0) {
		st.loaders = append(st.loaders, st.newLoader(maxPooled/2))
	}
	for err == nil && !st.done && st.sweep.pass() {
		err = st.pass(yield)
	}
	return err
}

func (st *stream) close() {
	for _, l := range append(st.loaders, st.own) {
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
			l.out = l.out[:0]
		}
		next, err = st.load()
	}
	if err != nil {
		return err
	}
	return st.emit(nil, yield)
}

// load begins to read the blocks that come next; nil if there are none. Where much is
// held already it is one block.
func (st *stream) load() (*loading, error) {
	n := aheadBlocks * len(st.loaders)
	if st.held > st.room {
		n = 1
	}
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
		l.refs, l.thin = l.refs[:0], st.held > st.room
	}
	for _, b := range next.refs { // the blocks of a row group share its dictionaries
		l := st.loaders[(b.seg+b.block*columns.BlockRows/columns.GroupRows)%len(st.loaders)]
		l.refs = append(l.refs, b)
	}
	for _, l := range st.loaders {
		for range l.refs {
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
			if c.at == c.to {
				if err := st.own.gather(c, c.to+thinRows); err != nil {
					return err
				}
			}
			c.fill(&st.ev, c.at-c.from)
			if !yield(&st.ev, nil) {
				st.done = true
				return nil
			}
			st.held--
			if c.at++; c.at == len(c.rows) || until != nil && c.head().compare(until) >= 0 {
				break
			}
		}
		if c.at < len(c.rows) {
			heap.Fix(&st.active, 0)
			continue
		}
		heap.Pop(&st.active)
		st.free = append(st.free, c)
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
	thin  bool // the rows' columns are gathered only when their turn comes
	spare []*chunk
	out   []*chunk
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

// block reads the matching rows of a block.
func (l *loader) block(b blockRef) error {
	s := l.st.sweep.s
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
	c := l.spare[len(l.spare)-1]
	rank, err := s.rankOf(t, b.seg)
	if err != nil {
		return err
	}
	c.sources = s.sources
	if err := c.take(t, &m, b, rank, l.st.sweep.dated); err != nil || len(c.rows) == 0 {
		return err
	}
	l.spare = l.spare[:len(l.spare)-1]
	l.out = append(l.out, c)
	if l.thin {
		return nil
	}
	return l.gather(c, len(c.rows))
}

// gather takes the columns of the next rows of a chunk, up to row to.
func (l *loader) gather(c *chunk, to int) error {
	it, err := l.pool.get(c.seg)
	if err != nil {
		return err
	}
	t, err := l.pool.tester(c.seg)
	if err != nil {
		return err
	}
	t.r.Seek(c.block)
	if group := c.block * columns.BlockRows / columns.GroupRows; group != it.group {
		it.group, it.columns = group, wanted(it.open, c.block, l.st.fields)
	}
	c.from, c.to = c.to, min(to, len(c.rows))
	return c.gather(t.r, it.open, it.columns, l.st.fields)
}

// preparePredicate is prepare for a predicate that no query of people says.
func (c *Case) preparePredicate(p *query.Predicate) (*search, error) {
	snap := c.parts()
	s := &search{c: c, pred: p, terms: asksTerms(p.Plan())}
	s.choose(snap)
	return s, nil
}
