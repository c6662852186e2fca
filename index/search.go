package index

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"time"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"

	"golang.org/x/sync/errgroup"
)

// SearchOptions say which events are wanted and how. The zero value wants all
// fields of all events in the total order.
type SearchOptions struct {
	Fields []string // fields that will be looked at; nil wants whole events. "x.*" is all of the record's own
	Sort   string   // a field; "" or "time" is the total order: time, source, offset
	Desc   bool
	Limit  int   // 0 is no limit; needed where Sort is not the time and there are more than MaxSorted hits
	Offset int   // hits to leave out at the beginning
	Since  int64 // recorded times from here on, 0 or Absent open
	Until  int64 // and before this
	Now    int64 // what relative times are measured from; 0 or Absent: the case's last event
}

// Events yields the events that q selects in the total order: time, source, offset;
// undated ones first. An event is valid until the next one; its text stays valid. An error
// is the last thing that is yielded. Memory does not grow with the case. With fields,
// only they are read (see SearchOptions.Fields); without, events are whole.
func (c *Case) Events(ctx context.Context, q firetrail.Query, fields ...string) iter.Seq2[*firetrail.Event, error] {
	if len(fields) == 0 {
		return c.Search(ctx, q, SearchOptions{})
	}
	return func(yield func(*firetrail.Event, error) bool) {
		s, err := c.prepare(q, 0)
		if err == nil {
			err = s.stream(ctx, nil, fields, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Search yields the events that q selects, as Events does. A page is ready as soon
// as its events are known, before the rest of the case is read.
func (c *Case) Search(ctx context.Context, q firetrail.Query, opt SearchOptions) iter.Seq2[*firetrail.Event, error] {
	return func(yield func(*firetrail.Event, error) bool) {
		if err := c.search(ctx, q, opt, nil, yield); err != nil {
			yield(nil, err)
		}
	}
}

// search yields events; it puts what was done into plan if that is not nil.
func (c *Case) search(ctx context.Context, q firetrail.Query, opt SearchOptions, plan *Plan, yield func(*firetrail.Event, error) bool) error {
	s, err := c.prepare(opt.bounded(q), opt.Now)
	if err != nil {
		return err
	}
	if opt.Sort != "" && opt.Sort != "time" {
		if _, err := valueField(opt.Sort); err != nil {
			return fmt.Errorf("sort by %s: %w", opt.Sort, err)
		}
	}
	want := 0
	if opt.Limit > 0 && opt.Limit+opt.Offset <= mostWanted {
		want = opt.Limit + opt.Offset
	}
	w := s.newSweep(ctx, opt.Desc, want)
	m := &maker{s: s, ctx: ctx, fields: opt.Fields}
	defer func() {
		w.close()
		m.close()
		if plan != nil {
			*plan = s.plan
		}
	}()
	next := w.next
	if opt.Sort != "" && opt.Sort != "time" {
		if next, err = w.sorted(opt); err != nil {
			return err
		}
	}
	left := opt.Limit
	for skip := opt.Offset; ; {
		ref, ok := next()
		if !ok {
			break
		}
		if skip > 0 {
			skip--
			continue
		}
		if !m.add(ref, left) {
			continue
		}
		done, err := m.flush(yield)
		if err != nil || done {
			return err
		}
		if opt.Limit > 0 {
			if left = opt.Limit - m.made; left == 0 {
				break
			}
		}
	}
	if w.err != nil {
		return w.err
	}
	_, err = m.flush(yield)
	return err
}

// mostWanted bounds the rows of which a sweep keeps the times to know how far to look.
const mostWanted = 1 << 14

// bounded adds the options' times to a query.
func (o *SearchOptions) bounded(q firetrail.Query) firetrail.Query {
	low, high := "*", "*"
	if o.Since != 0 && o.Since != firetrail.Absent {
		low = firetrail.Stamp(o.Since)
	}
	if o.Until != 0 && o.Until != firetrail.Absent {
		high = firetrail.Stamp(o.Until)
	}
	if low == "*" && high == "*" {
		return q
	}
	r := firetrail.Between("time", low, high)
	r.Excl[1] = high != "*"
	return firetrail.And(r, q)
}

// maker turns rows into events, many at a time: rows of one block are made
// together, whatever lies between them in time.
type maker struct {
	s      *search
	ctx    context.Context
	fields []string
	refs   []rowRef
	order  []int
	events []firetrail.Event
	size   int // rows to collect before they are made
	made   int

	workers []*makerWorker
}

// The first batch is small, so that a page is there at once. Batches grow to
// largeBatch, and beyond it where few rows of a batch share a block.
const (
	firstBatch = 64
	largeBatch = 8192
	hugeBatch  = 32768
)

// add takes a row; it reports whether the batch is to be flushed. left is how many
// more are wanted, 0 for all.
func (m *maker) add(ref rowRef, left int) bool {
	if m.size == 0 {
		m.size = firstBatch
	}
	m.refs = append(m.refs, ref)
	return len(m.refs) >= m.size || left > 0 && len(m.refs) >= left
}

// flush makes and yields the collected events; done says that no more are wanted.
func (m *maker) flush(yield func(*firetrail.Event, error) bool) (done bool, err error) {
	if err := m.make(); err != nil {
		return true, err
	}
	for i := range m.refs {
		m.made++
		if !yield(&m.events[i], nil) {
			return true, nil
		}
	}
	m.refs = m.refs[:0]
	return false, nil
}

// make makes the events of the batch. Blocks are dealt out to workers by their
// number, so that one goes to the same worker, which has read it, in the next batch.
func (m *maker) make() error {
	start := time.Now()
	m.order = m.order[:0]
	for i := range m.refs {
		m.order = append(m.order, i)
	}
	slices.SortFunc(m.order, func(a, b int) int { return m.refs[a].place() - m.refs[b].place() })
	for len(m.events) < len(m.refs) {
		m.events = append(m.events, firetrail.Event{})
	}
	for len(m.workers) < runtime.GOMAXPROCS(0) {
		m.workers = append(m.workers, &makerWorker{m: m, pool: newSegmentPool(m.s, maxPooled/2)})
	}
	groups, last := 0, -1
	var w *makerWorker
	for _, i := range m.order {
		if at := m.refs[i].place() / columns.BlockRows; at != last {
			w = m.workers[at%len(m.workers)]
			groups, last = groups+1, at
		}
		w.rows = append(w.rows, i)
	}
	var group errgroup.Group
	for _, w := range m.workers {
		if len(w.rows) > 0 {
			group.Go(w.make)
		}
	}
	limit := largeBatch
	if groups*16 > len(m.refs) {
		limit = hugeBatch
	}
	m.size = min(max(m.size*2, firstBatch), limit)
	err := group.Wait()
	m.s.plan.Reading += time.Since(start)
	return err
}

func (m *maker) close() {
	for _, w := range m.workers {
		w.pool.close()
	}
}

// makerWorker makes its share of a batch's events.
type makerWorker struct {
	m    *maker
	pool *segmentPool
	rows []int // places in m.refs
}

func (w *makerWorker) make() error {
	defer func() { w.rows = w.rows[:0] }()
	last := -1
	for _, i := range w.rows {
		ref := &w.m.refs[i]
		if at := ref.place() / columns.BlockRows; at != last {
			if err := live(w.m.ctx); err != nil {
				return err
			}
			last = at
		}
		if err := w.event(ref, &w.m.events[i]); err != nil {
			return err
		}
	}
	return nil
}

// place orders rows by segment, block and row.
func (a *rowRef) place() int {
	return (int(a.seg)<<8|int(a.block))*columns.BlockRows + int(a.row)
}

func (w *makerWorker) event(ref *rowRef, ev *firetrail.Event) error {
	it, err := w.pool.get(int(ref.seg))
	if err != nil {
		return err
	}
	if it.events == nil {
		it.events = it.open.NewReader()
	}
	if group := int(ref.block) * columns.BlockRows / columns.GroupRows; group != it.group {
		it.group, it.columns = group, wanted(it.open, int(ref.block), w.m.fields)
	}
	it.events.Seek(int(ref.block))
	return it.events.Event(int(ref.row), ev, it.columns...)
}

// wanted lists the columns that hold the fields in the row group of a block, the map
// first; those without any value there are left out. nil fields are all.
func wanted(seg *columns.Segment, block int, fields []string) []int {
	all := seg.Columns()
	list := []int{}
	if last := len(all) - 1; all[last].Type == columns.Map && !seg.Absent(last, block) && wantsX(fields) {
		list = append(list, last)
	}
	for i, info := range all {
		if info.Name == "source" || info.Name == "kind" {
			continue // an event has them anyway
		}
		if info.Type != columns.Map && wants(fields, info.Name) && !seg.Absent(i, block) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		offset, _ := seg.Column("offset")
		list = append(list, offset) // none at all would mean all of them
	}
	return list
}

func wantsX(fields []string) bool {
	return fields == nil || slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "x.") })
}

func wants(fields []string, column string) bool {
	if fields == nil || slices.Contains(fields, column) {
		return true
	}
	switch {
	case strings.HasPrefix(column, "x."):
		return slices.Contains(fields, "x.*")
	case column == "time_guess":
		return slices.Contains(fields, "time.guess")
	}
	return slices.Contains(fields, "ip") && slices.Contains(query.Addresses, column) ||
		slices.Contains(fields, "port") && slices.Contains(query.Ports, column)
}

// Event finds an event by its id, "e-<source>-<offset>".
func (c *Case) Event(ctx context.Context, id string) (firetrail.Event, error) {
	for ev, err := range c.Search(ctx, firetrail.Exactly("id", id), SearchOptions{Limit: 1}) {
		if err != nil {
			return firetrail.Event{}, err
		}
		return *ev, nil
	}
	return firetrail.Event{}, fmt.Errorf("there is no event %q in the case", id)
}

// Count counts the events that q selects.
func (c *Case) Count(ctx context.Context, q firetrail.Query) (int64, error) {
	n := int64(0)
	err := c.scan(ctx, q, SearchOptions{}, func() scanner {
		return scanner{block: func(_ *tester, _ int, m *mask) error { return nil }}
	}, func(_ scanner, p *Plan) { n += p.Hits })
	return n, err
}
