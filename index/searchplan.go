package index

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"firetrail"
	"firetrail/index/blocks"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// search is one question asked of a snapshot of the case.
type search struct {
	c       *Case
	pred    *query.Predicate
	segs    []segment        // of the snapshot, without those whose times cannot match
	rank    map[string]int32 // of each source of theirs, its place among all
	sources []string         // by their places
	terms   bool             // the block index can help
	plan    Plan             // what was done so far; of one goroutine
}

// env gives relative times and runs their meaning: the last event of the case is
// now, and runs are those of its inventory.
func (c *Case) env(snap *snapshot, now int64) query.Env {
	if now == 0 || now == firetrail.Absent {
		now = snap.last()
	}
	return query.Env{Now: now, Runs: c.leases}
}

// last is the time of the latest event, 0 without dated ones.
func (v *snapshot) last() int64 {
	last := int64(0)
	for i := range v.segments {
		last = max(last, v.segments[i].Last)
	}
	return last
}

// Last is the time of the case's latest event, from which relative times are measured;
// 0 without dated events.
func (c *Case) Last() int64 { return c.parts().last() }

// leases finds the leases of a run by its id or one of its aliases.
func (c *Case) leases(id string) ([]firetrail.Lease, error) {
	runs, err := c.runs()
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if r := &runs[i]; r.ID == id || slices.Contains(r.Aliases, id) {
			return r.Leases, nil
		}
	}
	return nil, fmt.Errorf("there is no run %q in the case; see 'firetrail runs list'", id)
}

// prepare compiles a query against the present snapshot and leaves out segments by
// the times in the manifest, without opening them.
func (c *Case) prepare(q firetrail.Query, now int64) (*search, error) {
	start := time.Now()
	snap := c.parts()
	pred, err := query.Compile(q, c.env(snap, now))
	if err != nil {
		return nil, err
	}
	s := &search{c: c, pred: pred, terms: asksTerms(pred.Plan())}
	s.choose(snap)
	s.plan.Query = query.Print(q)
	s.plan.Planning = time.Since(start)
	return s, nil
}

// choose takes the segments that may hold matching rows.
func (s *search) choose(snap *snapshot) {
	s.rank = map[string]int32{}
	for i := range snap.segments {
		seg := &snap.segments[i]
		s.plan.Segments++
		s.plan.Rows += seg.Rows
		if !mayHold(s.pred, seg) {
			s.plan.SegmentsSkipped++
			continue
		}
		s.segs = append(s.segs, *seg)
		for _, r := range seg.Sources {
			s.rank[r.Source] = 0
		}
	}
	s.sources = slices.Sorted(maps.Keys(s.rank))
	for i, id := range s.sources {
		s.rank[id] = int32(i)
	}
}

// mayHold reports whether rows of a segment may match, by its kind, source and times.
func mayHold(p *query.Predicate, seg *segment) bool {
	switch p.Op {
	case firetrail.OpMatch:
		switch l := p.Leaf; l.Field {
		case "kind":
			return l.Text(seg.Kind)
		case "source":
			return seg.has(l.Text)
		case "time":
			return seg.Dated > 0 && (!l.Need.Bounded || l.Need.Low <= seg.Last && l.Need.High >= seg.First)
		}
	case firetrail.OpAnd:
		for _, a := range p.Args {
			if !mayHold(a, seg) {
				return false
			}
		}
	case firetrail.OpOr:
		for _, a := range p.Args {
			if mayHold(a, seg) {
				return true
			}
		}
		return false
	}
	return true
}

// refuted finds the blocks of a segment that terms, its kind and its source leave, without
// opening it. Without a block index every block may hold matching rows, as far as terms go.
func (s *search) refuted(i int, plan *Plan) blocks.Set {
	start := time.Now()
	info := &s.segs[i]
	n := info.blocks()
	plan.Blocks += n
	p := planner{c: s.c, info: info}
	if s.terms {
		x, release, err := s.c.termIndex(info)
		if err != nil {
			plan.Unindexed++
		} else {
			defer release()
			p.terms = x
		}
	}
	set, _ := p.predicate(s.pred, blocks.All(n)) // only bounds can fail
	plan.Planning += time.Since(start)
	return set
}

// candidates finds the blocks of a segment that may hold matching rows among those that
// terms have left. The segment is opened if there are any; it is nil otherwise, else
// release must be called.
func (s *search) candidates(i int, set blocks.Set, plan *Plan) (_ blocks.Set, seg *columns.Segment, release func(), err error) {
	if set == (blocks.Set{}) {
		return set, nil, nil, nil
	}
	start := time.Now()
	p := planner{c: s.c, info: &s.segs[i], release: func() {}, bounded: true}
	if err = p.open(); err == nil {
		set, err = p.predicate(s.pred, set)
	}
	if err != nil || set == (blocks.Set{}) {
		p.release()
		return blocks.Set{}, nil, nil, err
	}
	plan.Candidates += set.Len()
	plan.Planning += time.Since(start)
	return set, p.seg, p.release, nil
}

// blocks is the number of blocks of a segment.
func (s *segment) blocks() int {
	return int((s.Rows + columns.BlockRows - 1) / columns.BlockRows)
}

// asksTerms reports whether a need has use for the block index.
func asksTerms(n query.Need) bool {
	switch n.Op {
	case firetrail.OpMatch:
		return !n.Bloom && !(n.Bounded && n.Keys == nil)
	case firetrail.OpAnd, firetrail.OpOr:
		return slices.ContainsFunc(n.Args, asksTerms)
	}
	return false
}

// planner finds candidate blocks of one segment. Its methods return subsets of the
// blocks they are given. Terms refute in a moment; bounds and filters are read from
// the segment, in a second pass over what terms have left.
type planner struct {
	c       *Case
	info    *segment
	terms   *blocks.Index // nil without one
	bounded bool          // the second pass
	seg     *columns.Segment
	release func()
}

// open opens the segment, once.
func (p *planner) open() (err error) {
	if p.seg == nil {
		var release func()
		if p.seg, release, err = p.c.segment(p.info.Name); err == nil {
			p.release = release
		}
	}
	return err
}

func (p *planner) predicate(q *query.Predicate, within blocks.Set) (blocks.Set, error) {
	switch q.Op {
	case firetrail.OpMatch:
		if known, holds := constant(q.Leaf, p.info); known {
			if !holds {
				return blocks.Set{}, nil
			}
			return within, nil
		}
		if p.bounded && q.Leaf.Whole != nil {
			return p.whole(q.Leaf, within)
		}
		return p.need(q.Leaf.Need, within)
	case firetrail.OpNot:
		if a := q.Args[0]; a.Op == firetrail.OpMatch {
			if known, holds := constant(a.Leaf, p.info); known && holds {
				return blocks.Set{}, nil
			}
		}
	case firetrail.OpAnd:
		for _, a := range q.Args {
			if within == (blocks.Set{}) {
				break
			}
			var err error
			if within, err = p.predicate(a, within); err != nil {
				return within, err
			}
		}
	case firetrail.OpOr:
		var union blocks.Set
		for _, a := range q.Args {
			set, err := p.predicate(a, within)
			if err != nil {
				return within, err
			}
			union.Or(set)
			if union == within {
				break
			}
		}
		return union, nil
	}
	return within, nil
}

// constant decides a leaf that has one answer for the whole segment.
func constant(l *query.Leaf, seg *segment) (known, holds bool) {
	switch l.Field {
	case "kind":
		return true, l.Text(seg.Kind)
	case "source":
		if !seg.has(l.Text) {
			return true, false
		}
		return !seg.has(func(id string) bool { return !l.Text(id) }), true
	}
	return false, false
}

// ranks are the places of the first and the last of a segment's sources among all.
func (s *search) ranks(seg *segment) (first, last int32) {
	first = math.MaxInt32
	for _, r := range seg.Sources {
		first, last = min(first, s.rank[r.Source]), max(last, s.rank[r.Source])
	}
	return first, last
}

// need finds the blocks that have what n asks for.
func (p *planner) need(n query.Need, within blocks.Set) (blocks.Set, error) {
	switch n.Op {
	case firetrail.OpAnd:
		for _, a := range n.Args {
			var err error
			if within, err = p.need(a, within); err != nil {
				return within, err
			}
		}
	case firetrail.OpOr:
		var union blocks.Set
		for _, a := range n.Args {
			set, err := p.need(a, within)
			if err != nil {
				return within, err
			}
			union.Or(set)
		}
		return union, nil
	case firetrail.OpMatch:
		if !p.bounded && p.terms != nil {
			if set, err := p.terms.Match(n); err == nil {
				within.And(set)
			}
		}
		if p.bounded && (n.Bounded || n.Bloom) {
			return p.bounds(n, within)
		}
	}
	return within, nil
}

// bounds keeps the blocks whose smallest and largest value of a field, or whose bloom
// filter, allow a match.
func (p *planner) bounds(n query.Need, within blocks.Set) (blocks.Set, error) {
	if err := p.open(); err != nil {
		return within, err
	}
	column, ok := p.seg.Column(n.Field)
	if !ok {
		return blocks.Set{}, nil
	}
	var kept blocks.Set
	may, filtered := false, -1
	for b := range p.seg.Blocks() {
		if !within.Has(b) {
			continue
		}
		if n.Bloom {
			// The filter is that of a row group: ask once for its blocks.
			if g := b * columns.BlockRows / columns.GroupRows; g != filtered {
				var err error
				if may, err = p.seg.May(column, b, n.Value); err != nil {
					return within, err
				}
				filtered = g
			}
			if may {
				kept.Add(b)
			}
			continue
		}
		low, high, ok, err := p.seg.Bounds(column, b)
		if err != nil {
			return within, err
		}
		if ok && low <= n.High && high >= n.Low {
			kept.Add(b)
		}
	}
	return kept, nil
}

// whole keeps the blocks in which a record's own field may pass, as far as the column of
// its whole numbers says. What the map has of it is not known before it is read.
func (p *planner) whole(l *query.Leaf, within blocks.Set) (blocks.Set, error) {
	column, ok := p.seg.Column(l.Field)
	if ok && p.seg.Columns()[column].Type != columns.Int {
		return within, nil
	}
	last := len(p.seg.Columns()) - 1
	var kept blocks.Set
	for b := range p.seg.Blocks() {
		if !within.Has(b) {
			continue
		}
		if p.seg.Columns()[last].Type == columns.Map && !p.seg.Absent(last, b) {
			kept.Add(b)
			continue
		}
		if !ok || p.seg.Absent(column, b) {
			continue
		}
		low, high, some, err := p.seg.Bounds(column, b)
		if err != nil {
			return within, err
		}
		if some && low <= l.Whole.High && high >= l.Whole.Low {
			kept.Add(b)
		}
	}
	return kept, nil
}

// Plan says what answering a query took.
type Plan struct {
	Query           string
	Segments        int // in the case
	SegmentsSkipped int // by kind, source or time, unopened
	Unindexed       int // that had no block index
	Blocks          int // of the segments that were opened
	Candidates      int // blocks that may hold hits, by terms, bounds and filters
	BlocksRead      int
	Rows            int64 // in the case
	RowsTested      int64
	Hits            int64
	Pages, Bytes    int64 // read from segments
	Planning        time.Duration
	Reading         time.Duration
}

func (p *Plan) add(o *Plan) {
	p.Unindexed += o.Unindexed
	p.Blocks += o.Blocks
	p.Candidates += o.Candidates
	p.BlocksRead += o.BlocksRead
	p.RowsTested += o.RowsTested
	p.Hits += o.Hits
	p.Pages += o.Pages
	p.Bytes += o.Bytes
	p.Planning += o.Planning
	p.Reading += o.Reading
}

// timeBounds gives the smallest and largest recorded time of a block.
func timeBounds(seg *columns.Segment, block int) (low, high int64, err error) {
	column, ok := seg.Column("time")
	if !ok {
		return math.MinInt64, math.MaxInt64, nil
	}
	low, high, ok, err = seg.Bounds(column, block)
	if !ok {
		return firetrail.Absent, firetrail.Absent, err
	}
	return low, high, err
}

// live returns ctx's error, wrapped, once it is cancelled.
func live(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return nil
}
