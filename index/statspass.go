package index

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
)

// statsMemory is what the groups of one pass may take where nothing is said, of all goroutines together.
const statsMemory = 96 << 20

// leastMemory is what each goroutine may take in any case: empty tables are some of it.
const leastMemory = 32 << 10

// statsRun computes a table, in one pass over the events if the groups fit into memory.
// Where they do not, a pass keeps those whose hashes come first, as many as fit, and the
// next one goes on behind them.
type statsRun struct {
	s      *search
	memory int
	by     []groupBy
	aggs   []aggregate
	table  *Table
	top    topGroups
}

// span is a range of the hashes of groups.
type span struct{ first, last uint64 }

var allHashes = span{0, math.MaxUint64}

// leastSpan bounds the passes.
const leastSpan = math.MaxUint64 >> 12

func (s span) has(hash uint64) bool { return hash >= s.first && hash <= s.last }

func (s span) half() span { return span{s.first, s.first + (s.last-s.first)/2} }

// after is the span that follows, with that many hashes or what is left.
func (s span) after(width float64) span {
	next := span{s.last + 1, math.MaxUint64}
	if width = max(width, leastSpan); width < float64(next.last-next.first) {
		next.last = next.first + uint64(width)
	}
	return next
}

func (r *statsRun) all(ctx context.Context) error {
	for hashes := allHashes; ; {
		total, density, err := r.pass(ctx, hashes)
		if err != nil {
			return err
		}
		r.table.Groups += total.table.n
		if r.top.limit == 0 && r.table.Groups > MaxGroups {
			return fmt.Errorf("more than %d groups: give a limit, narrow the query, or group by fewer or coarser fields", MaxGroups)
		}
		for group := range total.table.n {
			r.top.offer(total, group)
		}
		if total.hashes.last == allHashes.last {
			return nil
		}
		hashes = total.hashes.after(0.9 * float64(total.limit) / density)
	}
}

// pass counts the groups of a span, or of the beginning of it that fits. density is how many
// bytes a hash took, at most.
func (r *statsRun) pass(ctx context.Context, hashes span) (total *grouper, density float64, err error) {
	limit := max(r.memory/runtime.GOMAXPROCS(0), leastMemory)
	r.table.Events = 0
	var parts []*grouper
	_, err = r.s.scan(ctx, func() scanner {
		g := newGrouper(r.by, r.aggs, hashes, limit)
		return scanner{state: g, block: g.block}
	}, func(w scanner, p *Plan) {
		r.table.Events += p.Hits
		parts = append(parts, w.state.(*grouper))
	})
	if err != nil {
		return nil, 0, err
	}
	for _, g := range parts {
		hashes.last = min(hashes.last, g.hashes.last)
		density = max(density, float64(g.size())/float64(g.hashes.last-g.hashes.first))
	}
	for i, g := range parts {
		switch {
		case i > 0:
			total.merge(g)
		case g.hashes != hashes:
			total = g.only(hashes)
		default:
			total = g
		}
		parts[i] = nil
	}
	return total, density, nil
}

// topGroups keeps the rows of the first groups in an order, or of all: a heap with the
// last of them on top.
type topGroups struct {
	order rowOrder
	limit int
	rows  [][]Cell
	row   []Cell
}

func (t *topGroups) Len() int           { return len(t.rows) }
func (t *topGroups) Less(i, j int) bool { return t.order.rows(t.rows[i], t.rows[j]) > 0 }
func (t *topGroups) Swap(i, j int)      { t.rows[i], t.rows[j] = t.rows[j], t.rows[i] }
func (t *topGroups) Push(x any)         { t.rows = append(t.rows, x.([]Cell)) }
func (t *topGroups) Pop() any           { panic("nothing is taken out") }

// offer keeps a group's row if it is among the first.
func (t *topGroups) offer(g *grouper, group int) {
	full := t.limit > 0 && len(t.rows) == t.limit
	if full {
		cell := g.cell(group, t.order.column)
		if t.order.cells(&cell, &t.rows[0][t.order.column]) > 0 {
			return
		}
	}
	t.row = g.row(group, t.row[:0])
	switch {
	case t.limit == 0:
		t.rows = append(t.rows, append([]Cell(nil), t.row...))
	case !full:
		heap.Push(t, apart(make([]Cell, 0, len(t.row)), t.row))
	case t.order.rows(t.row, t.rows[0]) < 0:
		t.rows[0] = apart(t.rows[0][:0], t.row)
		heap.Fix(t, 0)
	}
}

// apart copies a row without the memory that its texts lie in, which is that of all groups.
func apart(to, row []Cell) []Cell {
	to = append(to, row...)
	for i := range to {
		to[i].Str = strings.Clone(to[i].Str)
	}
	return to
}

// cell is one value of a group's row.
func (g *grouper) cell(group, column int) Cell {
	if column < len(g.cols) {
		return g.cols[column].cell(g.table.key(group)[column])
	}
	return g.aggs[column-len(g.cols)].cell(group)
}
