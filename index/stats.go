package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firetrail"
	"firetrail/index/query"
)

// StatsOptions say what is counted and by what.
type StatsOptions struct {
	// By are fields, or time(5m) for buckets of a length, aligned to the epoch in UTC.
	// An event without a field belongs to the group without a value.
	By []string
	// Agg are count, sum(f), min(f), max(f), avg(f), distinct(f), p50(f) … p99.9(f), or
	// percentile(f,95). None is count. sum, avg and percentiles are of numbers.
	Agg   []string
	Sort  string // a column, "-" in front for falling; "" is by time where By begins with it, else the first of Agg, falling
	Limit int    // rows, 0 for all: needed where there are more than MaxGroups
	Since int64  // as in SearchOptions
	Until int64
	Now   int64
	// Memory is what the groups of one pass over the events may take, in bytes, of all
	// goroutines together; 0 is 96 MiB. Less means more passes.
	Memory int
}

// MaxGroups bounds the groups that are given without a limit.
const MaxGroups = 1 << 20

// Table is the result of Stats: a row for each group.
type Table struct {
	Columns []string // By, then Agg, as they were asked for
	Rows    [][]Cell
	Groups  int   // before the limit
	Events  int64 // that the query selects
}

// Cell is one value of a table.
type Cell struct {
	Valid  bool // false: no event of the group has the field
	Type   CellType
	Str    string
	Int    int64
	Float  float64
	Approx bool // from a sketch, not exact
}

// CellType says which field of a Cell holds the value.
type CellType uint8

const (
	CellText     CellType = iota // Str
	CellInt                      // Int
	CellFloat                    // Float
	CellTime                     // Int, nanoseconds since the epoch
	CellDuration                 // Int, nanoseconds; printed as seconds
)

// Text prints the cell, with "~" in front of what is approximate; "" where there
// is no value.
func (c *Cell) Text() string {
	if !c.Valid {
		return ""
	}
	mark := ""
	if c.Approx {
		mark = "~"
	}
	switch c.Type {
	case CellInt:
		return mark + strconv.FormatInt(c.Int, 10)
	case CellFloat:
		return mark + strconv.FormatFloat(c.Float, 'f', -1, 64)
	case CellTime:
		return mark + firetrail.Stamp(c.Int)
	case CellDuration:
		return mark + firetrail.Seconds(c.Int)
	}
	return c.Str
}

func (c *Cell) compare(o *Cell) int {
	switch {
	case c.Valid != o.Valid:
		return cmp.Compare(btoi(c.Valid), btoi(o.Valid))
	case c.Type == CellText && o.Type == CellText:
		return strings.Compare(c.Str, o.Str)
	case c.Type == CellFloat || o.Type == CellFloat:
		return cmp.Compare(c.number(), o.number())
	}
	return cmp.Compare(c.Int, o.Int)
}

func (c *Cell) number() float64 {
	if c.Type == CellFloat {
		return c.Float
	}
	return float64(c.Int)
}

// Stats groups the events that q selects and computes aggregates of each group.
// Memory is bounded: groups that do not fit are counted in further passes over the events.
// The result does not depend on the number of cores or the order of the segments.
func (c *Case) Stats(ctx context.Context, q firetrail.Query, opt StatsOptions) (*Table, error) {
	by, aggs, err := opt.parse()
	if err != nil {
		return nil, err
	}
	order, err := opt.order(by, aggs)
	if err != nil {
		return nil, err
	}
	s, err := c.prepare((&SearchOptions{Since: opt.Since, Until: opt.Until}).bounded(q), opt.Now)
	if err != nil {
		return nil, err
	}
	r := &statsRun{s: s, memory: cmp.Or(opt.Memory, statsMemory), by: by, aggs: aggs, table: &Table{}, top: topGroups{order: order, limit: opt.Limit}}
	for _, b := range by {
		r.table.Columns = append(r.table.Columns, b.label)
	}
	for _, a := range aggs {
		r.table.Columns = append(r.table.Columns, a.label)
	}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	r.table.Rows = r.top.rows
	slices.SortFunc(r.table.Rows, order.rows)
	return r.table, nil
}

// groupBy is one field to group by.
type groupBy struct {
	label string // as it was asked for
	field string
	def   *firetrail.FieldDef
	width int64 // of buckets of time, nanoseconds; 0 without
}

// aggregate is one value to compute of each group.
type aggregate struct {
	label string
	name  string // count, sum, min, max, avg, distinct, percentile
	field string
	def   *firetrail.FieldDef
	rank  float64 // of a percentile, 0 to 1
}

func (o *StatsOptions) parse() (by []groupBy, aggs []aggregate, err error) {
	for _, label := range o.By {
		b := groupBy{label: label, field: label}
		if arg, ok := call(label, "time"); ok {
			b.field = "time"
			if b.width, err = query.Span(arg); err != nil || b.width <= 0 {
				return nil, nil, fmt.Errorf("group by %s: expected a duration, as in time(5m)", label)
			}
		}
		if b.def, err = valueField(b.field); err != nil {
			return nil, nil, fmt.Errorf("group by %s: %w", label, err)
		}
		by = append(by, b)
	}
	labels := o.Agg
	if len(labels) == 0 {
		labels = []string{"count"}
	}
	for _, label := range labels {
		a, err := parseAggregate(label)
		if err != nil {
			return nil, nil, fmt.Errorf("aggregate %s: %w", label, err)
		}
		aggs = append(aggs, a)
	}
	return by, aggs, nil
}

// call takes "name(arg)" apart.
func call(s, name string) (arg string, ok bool) {
	arg, ok = strings.CutPrefix(s, name+"(")
	if !ok || !strings.HasSuffix(arg, ")") {
		return "", false
	}
	return strings.TrimSpace(arg[:len(arg)-1]), true
}

// valueField checks that events can be put in groups or in order by a field; of a
// record's own field there is no definition.
func valueField(name string) (*firetrail.FieldDef, error) {
	switch name {
	case "id":
		return nil, errors.New("each event has its own; it begins with the source, which events can be told by")
	case "run":
		return nil, errors.New("no event has one of its own; ask for run:ID, or see 'firetrail findings'")
	}
	if f, ok := firetrail.FieldNamed(name); ok {
		return f, nil
	}
	if _, own := isX(name); own || name == "time.guess" {
		return nil, nil
	}
	return nil, query.Valued(name)
}

const expectedAggregate = "expected count, sum(f), min(f), max(f), avg(f), distinct(f), median(f) or p95(f)"

func parseAggregate(label string) (a aggregate, err error) {
	a.label = label
	if label == "count" || label == "count()" || label == "count(*)" {
		a.name = "count"
		return a, nil
	}
	name, rest, ok := strings.Cut(strings.ReplaceAll(label, " ", ""), "(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return a, errors.New(expectedAggregate)
	}
	a.name, a.field = name, rest[:len(rest)-1]
	switch {
	case name == "count", name == "sum", name == "min", name == "max", name == "avg", name == "distinct":
	case name == "median":
		a.name, a.rank = "percentile", 0.5
	case name == "percentile":
		field, rank, _ := strings.Cut(a.field, ",")
		a.field = field
		a.rank, err = percent(rank)
	case strings.HasPrefix(name, "p"):
		a.name = "percentile"
		a.rank, err = percent(name[1:])
	default:
		err = errors.New(expectedAggregate)
	}
	if err != nil {
		return a, err
	}
	if a.def, err = valueField(a.field); err != nil {
		return a, err
	}
	if a.name == "sum" || a.name == "avg" || a.name == "percentile" {
		if _, own := isX(a.field); !own && (a.def == nil || a.def.Int == nil) {
			return a, fmt.Errorf("%s is no number", a.field)
		}
		if a.name == "sum" && a.def != nil && a.def.Type == firetrail.TypeTime {
			return a, errors.New("times have no sum")
		}
	}
	return a, nil
}

func percent(s string) (float64, error) {
	p, err := strconv.ParseFloat(strings.TrimPrefix(s, "p"), 64)
	if err != nil || p < 0 || p > 100 {
		return 0, fmt.Errorf("expected a percentage from 0 to 100, not %q", s)
	}
	return p / 100, nil
}

// rowOrder is how rows are sorted: by the chosen column, then by the groups, so that it
// is total.
type rowOrder struct {
	column  int
	falling bool
	by      int // columns of groups, which are the first
}

func (o *StatsOptions) order(by []groupBy, aggs []aggregate) (rowOrder, error) {
	r := rowOrder{column: len(by), falling: true, by: len(by)}
	switch name := o.Sort; {
	case name == "" && len(by) > 0 && by[0].field == "time":
		r.column, r.falling = 0, false
	case name != "":
		name, r.falling = strings.CutPrefix(name, "-")
		r.column = slices.IndexFunc(by, func(b groupBy) bool { return b.label == name })
		if r.column < 0 {
			if r.column = slices.IndexFunc(aggs, func(a aggregate) bool { return a.label == name }); r.column < 0 {
				return r, fmt.Errorf("sort by %s: it is not a column of the table", name)
			}
			r.column += len(by)
		}
	}
	return r, nil
}

// cells compares values of the column that rows are sorted by.
func (r rowOrder) cells(a, b *Cell) int {
	if r.falling {
		return b.compare(a)
	}
	return a.compare(b)
}

func (r rowOrder) rows(a, b []Cell) int {
	c := r.cells(&a[r.column], &b[r.column])
	for i := 0; c == 0 && i < r.by; i++ {
		c = a[i].compare(&b[i])
	}
	return c
}
