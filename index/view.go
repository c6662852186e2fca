package index

import (
	"context"
	"math/bits"
	"slices"
	"sync"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// View is a query whose hits were counted once, over time, so that any page of them can
// be found without those before it. It is about the snapshot of the case it was made of.
// Its methods may be called from several goroutines.
type View struct {
	Events  int64 // that the query selects
	Undated int64 // of them, those without a time, which come first
	First   int64 // bounds of the times of the others, Absent where there are none
	Last    int64

	c     *Case
	q     firetrail.Query
	s     *search
	from  int64 // of the first cell of time
	width int64
	cells []viewCell

	mu     sync.Mutex
	sorted map[string][]rowRef // the first rows in the order of a field
}

// viewCell counts the events of a short time.
type viewCell struct {
	before        int64 // dated events before it
	count, denied int32
}

// viewCells is how many cells a view has at most: in a case of a week they are five
// seconds each.
const viewCells = 1 << 17

// View counts what q selects.
func (c *Case) View(ctx context.Context, q firetrail.Query) (*View, error) {
	v := &View{c: c, q: q, First: firetrail.Absent, Last: firetrail.Absent}
	var err error
	if v.s, err = c.prepare(q, 0); err != nil {
		return nil, err
	}
	low, high := v.s.span()
	if err := v.count(ctx, v.s, low, high); err != nil {
		return nil, err
	}
	// Where all hits lie close together, cells over their own time tell more.
	if v.First != firetrail.Absent && len(v.cells) > 1 && (v.Last-v.First)/v.width < viewCells/16 {
		low, high = v.First, v.Last
		s, err := c.prepare(firetrail.And(firetrail.During(low, high), q), 0)
		if err != nil {
			return nil, err
		}
		events, undated := v.Events, v.Undated
		if err := v.count(ctx, s, low, high); err != nil {
			return nil, err
		}
		v.Events, v.Undated = events, undated
	}
	return v, nil
}

// span is the time within which the dated hits of a search lie, as far as segments and
// the query's own bounds say.
func (s *search) span() (low, high int64) {
	low, high = firetrail.Absent, firetrail.Absent
	for i := range s.segs {
		if seg := &s.segs[i]; seg.Dated > 0 {
			if low == firetrail.Absent || seg.First < low {
				low = seg.First
			}
			high = max(high, seg.Last)
		}
	}
	if a, b, ok := times(s.pred); ok {
		low, high = max(low, a), min(high, b)
	}
	return low, high
}

// times are bounds that a query sets to the times of its hits.
func times(p *query.Predicate) (low, high int64, ok bool) {
	switch {
	case p.Op == firetrail.OpMatch && p.Leaf.Field == "time" && p.Leaf.Need.Bounded:
		return p.Leaf.Need.Low, p.Leaf.Need.High, true
	case p.Op != firetrail.OpAnd:
		return 0, 0, false
	}
	for _, a := range p.Args {
		if l, h, has := times(a); has {
			if !ok {
				low, high = l, h
			}
			low, high, ok = max(low, l), min(high, h), true
		}
	}
	return low, high, ok
}

// count counts the hits of a search, of which none lies outside of [low, high].
func (v *View) count(ctx context.Context, s *search, low, high int64) error {
	v.from, v.width, v.cells = low, 1, nil
	cells := 0
	if low != firetrail.Absent && low <= high {
		v.width = max((high-low)/viewCells+1, 1)
		cells = int((high-low)/v.width) + 1
	}
	type tally struct {
		cells       []viewCell
		undated     int64
		first, last int64
	}
	v.Events, v.Undated = 0, 0
	_, err := s.scan(ctx, func() scanner {
		t := &tally{cells: make([]viewCell, cells), first: firetrail.Absent, last: firetrail.Absent}
		return scanner{state: t, block: func(r *tester, _ int, m *mask) error {
			ints, refused, err := timesOf(r)
			if err != nil {
				return err
			}
			for i, w := range m {
				for ; w != 0; w &= w - 1 {
					row := i*64 + bits.TrailingZeros64(w)
					at := ints[row]
					if at == firetrail.Absent {
						t.undated++
						continue
					}
					cell := &t.cells[(at-v.from)/v.width]
					cell.count++
					cell.denied += int32(refused(row))
					if t.first == firetrail.Absent || at < t.first {
						t.first = at
					}
					t.last = max(t.last, at)
				}
			}
			return nil
		}}
	}, func(w scanner, p *Plan) {
		t := w.state.(*tally)
		v.Events += p.Hits
		v.Undated += t.undated
		if v.cells == nil {
			v.cells, v.First, v.Last = t.cells, t.first, t.last
			return
		}
		for i := range t.cells {
			v.cells[i].count += t.cells[i].count
			v.cells[i].denied += t.cells[i].denied
		}
		if t.first != firetrail.Absent && (v.First == firetrail.Absent || t.first < v.First) {
			v.First = t.first
		}
		v.Last = max(v.Last, t.last)
	})
	before := int64(0)
	for i := range v.cells {
		v.cells[i].before = before
		before += int64(v.cells[i].count)
	}
	return err
}

// timesOf gives the times of the block on which t stands, and whether a row was refused.
func timesOf(t *tester) (times []int64, refused func(row int) int, err error) {
	vector, err := vectorNamed(t.r, t.seg, "time")
	if err != nil {
		return nil, nil, err
	}
	action, err := newValues(t, "action")
	if err != nil || action.vector == nil {
		return vector.Ints(), func(int) int { return 0 }, err
	}
	// The actions of a block are few: judge each code once.
	denied := make([]int, action.vector.Dict.Len())
	for code := range denied {
		ev := firetrail.Event{Action: action.vector.Dict.Value(uint32(code))}
		denied[code] = btoi(ev.Denied())
	}
	codes := action.vector.Codes
	return vector.Ints(), func(row int) int {
		if c := codes[row]; c != columns.Null {
			return denied[c]
		}
		return 0
	}, nil
}

// Histogram gives the counts of the dated hits in at most so many equal buckets, the last
// of which may be shorter.
func (v *View) Histogram(buckets int) []Bucket {
	if v.First == firetrail.Absent || buckets <= 0 {
		return nil
	}
	first, last := (v.First-v.from)/v.width, (v.Last-v.from)/v.width
	each := (last-first)/int64(buckets) + 1
	var list []Bucket
	for at := first; at <= last; at += each {
		b := Bucket{Start: v.from + at*v.width, End: v.from + min(at+each, last+1)*v.width}
		for _, cell := range v.cells[at:min(at+each, last+1)] {
			b.Count += int64(cell.count)
			b.Denied += int64(cell.denied)
		}
		list = append(list, b)
	}
	return list
}

// Row is the place of the first dated hit at or after a time, Events if there is none.
func (v *View) Row(ctx context.Context, at int64) (int64, error) {
	switch {
	case v.First == firetrail.Absent || at > v.Last:
		return v.Events, nil
	case at <= v.First:
		return v.Undated, nil
	}
	cell := &v.cells[(at-v.from)/v.width]
	start := v.from + (at-v.from)/v.width*v.width
	between := firetrail.During(start, at)
	between.Excl[1] = true
	n, err := v.c.Count(ctx, firetrail.And(between, v.q))
	return v.Undated + cell.before + n, err
}

// Page gives hits in the total order, or in that of opt.Sort, of which the first
// MaxViewSorted are known. Of opt, Fields, Sort, Desc, Offset and Limit count.
func (v *View) Page(ctx context.Context, opt SearchOptions) ([]firetrail.Event, error) {
	if opt.Sort != "" && opt.Sort != "time" {
		return v.sortedPage(ctx, opt)
	}
	q, from := v.q, int64(opt.Offset)
	if opt.Desc {
		from = v.Events - from - int64(opt.Limit) // counted from the other end
	}
	limit := opt.Limit + int(min(from, 0))
	from = max(from, 0)
	if limit <= 0 || from >= v.Events {
		return nil, nil
	}
	page := SearchOptions{Fields: opt.Fields, Limit: limit, Offset: int(from)}
	if dated := from - v.Undated; dated >= 0 {
		i, found := slices.BinarySearchFunc(v.cells, dated, func(c viewCell, n int64) int { return int(min(max(c.before-n, -1), 1)) })
		for found && v.cells[i].count == 0 {
			i++ // cells without events begin with the same
		}
		if !found {
			i--
		}
		q = firetrail.And(firetrail.Between("time", firetrail.Stamp(v.from+int64(i)*v.width), "*"), q)
		page.Offset = int(dated - v.cells[i].before)
	}
	list, err := collect(v.c.Search(ctx, q, page))
	if opt.Desc {
		slices.Reverse(list)
	}
	return list, err
}

// collect copies events.
func collect(events func(func(*firetrail.Event, error) bool)) ([]firetrail.Event, error) {
	var list []firetrail.Event
	for ev, err := range events {
		if err != nil {
			return nil, err
		}
		list = append(list, *ev)
		list[len(list)-1].X = slices.Clone(ev.X)
	}
	return list, nil
}

// MaxViewSorted is how many rows a view knows in the order of a field.
const MaxViewSorted = 10_000

// sortedPage finds the first rows in the order of a field once, and makes those of a page.
func (v *View) sortedPage(ctx context.Context, opt SearchOptions) ([]firetrail.Event, error) {
	key := opt.Sort
	if opt.Desc {
		key = "-" + key
	}
	v.mu.Lock()
	refs, ok := v.sorted[key]
	v.mu.Unlock()
	s := *v.s
	if !ok {
		w := s.newSweep(ctx, opt.Desc, 0)
		defer w.close()
		next, err := w.sorted(SearchOptions{Sort: opt.Sort, Desc: opt.Desc, Limit: MaxViewSorted})
		if err != nil {
			return nil, err
		}
		for ref, ok := next(); ok; ref, ok = next() {
			refs = append(refs, ref)
		}
		v.mu.Lock()
		if v.sorted == nil {
			v.sorted = map[string][]rowRef{}
		}
		v.sorted[key] = refs
		v.mu.Unlock()
	}
	m := &maker{s: &s, ctx: ctx, fields: opt.Fields}
	defer m.close()
	from := min(opt.Offset, len(refs))
	m.refs = refs[from:min(from+opt.Limit, len(refs))]
	return collect(func(yield func(*firetrail.Event, error) bool) {
		if _, err := m.flush(yield); err != nil {
			yield(nil, err)
		}
	})
}
