package index

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
)

// statsMemory is what the groups of one pass may take where nothing is said, of all goroutines together.
const statsMemory = 96 << 20

// statsRun computes a table. It begins with one pass for all groups. Where they take too
// much memory it divides them, by their values, into parts, and makes a pass for each.
type statsRun struct {
	s      *search
	memory int
	by     []groupBy
	aggs   []aggregate
	table  *Table
	top    topGroups
	begun  atomic.Int64 // rows of the segments of the latest pass that were begun
}

// mostParts bounds the passes. One group takes at most some 30 megabytes.
const mostParts = 1 << 12

func (r *statsRun) all(ctx context.Context) error {
	for parts := 1; parts <= mostParts; {
		r.table.Groups, r.top.rows = 0, nil
		err := r.passes(ctx, parts)
		if !errors.Is(err, errMemory) {
			return err
		}
		// What came of the rows that were read says how many parts will do.
		more := float64(r.rows()) / float64(max(r.begun.Load(), 1))
		parts *= min(max(int(math.Ceil(more)), 2), 16)
	}
	return errors.New("the groups need too much memory: narrow the query, or group by fewer or coarser fields")
}

// rows is the number of rows of the segments that are read.
func (r *statsRun) rows() (n int64) {
	for i := range r.s.segs {
		n += r.s.segs[i].Rows
	}
	return n
}

func (r *statsRun) passes(ctx context.Context, parts int) error {
	for part := range parts {
		total, err := r.pass(ctx, part, parts)
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
	}
	return nil
}

// pass counts the groups of one part.
func (r *statsRun) pass(ctx context.Context, part, parts int) (*grouper, error) {
	limit := r.memory / runtime.GOMAXPROCS(0)
	r.begun.Store(0)
	var total *grouper
	events := int64(0)
	_, err := r.s.scan(ctx, func() scanner {
		g := newGrouper(r.by, r.aggs, part, parts, limit)
		return scanner{state: g, block: g.block, begin: func(_ *tester, seg *segment) { r.begun.Add(seg.Rows) }}
	}, func(w scanner, p *Plan) {
		events += p.Hits
		if g := w.state.(*grouper); total == nil {
			total = g
		} else {
			total.merge(g)
		}
	})
	r.table.Events = events
	return total, err
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
