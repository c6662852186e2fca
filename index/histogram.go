package index

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// Bucket counts the events of an interval of time.
type Bucket struct {
	Start, End int64 // [Start, End)
	Count      int64
	Denied     int64 // of them, those that the sensor refused
}

// MaxBuckets bounds the buckets of a histogram.
const MaxBuckets = 100_000

// Histogram counts the dated events that q selects in equal buckets of [from, to).
// The last bucket may be shorter. The sum of the counts is the number of dated hits
// in the interval, exactly.
func (c *Case) Histogram(ctx context.Context, q firetrail.Query, from, to int64, buckets int) ([]Bucket, error) {
	if to <= from || buckets <= 0 || buckets > MaxBuckets {
		return nil, errors.New("a histogram needs an interval and 1 to 100000 buckets")
	}
	width := (to - from + int64(buckets) - 1) / int64(buckets)
	out := make([]Bucket, (to-from+width-1)/width)
	for i := range out {
		out[i].Start = from + int64(i)*width
		out[i].End = min(out[i].Start+width, to)
	}
	within := firetrail.Between("time", firetrail.Stamp(from), firetrail.Stamp(to))
	within.Excl[1] = true
	type counts [][2]int64
	err := c.scan(ctx, firetrail.And(within, q), SearchOptions{}, func() scanner {
		n := make(counts, len(out))
		return scanner{state: n, block: func(t *tester, block int, m *mask) error {
			return countTimes(t, m, n, from, width)
		}}
	}, func(w scanner, _ *Plan) {
		for i, n := range w.state.(counts) {
			out[i].Count += n[0]
			out[i].Denied += n[1]
		}
	})
	return out, err
}

// countTimes adds the rows of a block to their buckets.
func countTimes(t *tester, m *mask, n [][2]int64, from, width int64) error {
	times, err := vectorNamed(t.r, t.seg, "time")
	if err != nil {
		return err
	}
	action, err := newValues(t, "action")
	if err != nil {
		return err
	}
	// The actions of a block are few: judge each code once.
	var refused []bool
	if v := action.vector; v != nil {
		for code := range v.Dict.Len() {
			ev := firetrail.Event{Action: v.Dict.Value(uint32(code))}
			refused = append(refused, ev.Denied())
		}
	}
	ints := times.Ints()
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			row := i*64 + bits.TrailingZeros64(w)
			at := &n[(ints[row]-from)/width]
			at[0]++
			if refused != nil {
				if c := action.vector.Codes[row]; c != columns.Null && refused[c] {
					at[1]++
				}
			}
		}
	}
	return nil
}

// Facet is a value of a field with the number of events that have it.
type Facet struct {
	Value string
	Count int64
}

// Facets gives the most frequent values of a field among the events that q
// selects, the most frequent first, equal ones by value.
func (c *Case) Facets(ctx context.Context, q firetrail.Query, field string, limit int) ([]Facet, error) {
	t, err := c.Stats(ctx, q, StatsOptions{By: []string{field}, Agg: []string{"count"}})
	if err != nil {
		return nil, err
	}
	var all []Facet
	for _, r := range t.Rows {
		if r[0].Valid {
			all = append(all, Facet{r[0].Text(), r[1].Int})
		}
	}
	slices.SortFunc(all, func(a, b Facet) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// Complete lists values of a text field that begin with prefix, sorted, for
// completion: from the dictionaries of the block indexes, without reading events. It
// may miss values that are long or, in some block, very many.
func (c *Case) Complete(ctx context.Context, field, prefix string, limit int) ([]string, error) {
	found := map[string]bool{}
	snap := c.view()
	for i := range snap.segments {
		seg := &snap.segments[i]
		if err := live(ctx); err != nil {
			return nil, err
		}
		switch field {
		case "kind":
			found[seg.Kind] = strings.HasPrefix(seg.Kind, query.Fold(prefix))
			continue
		case "source":
			for _, r := range seg.Sources {
				found[r.Source] = strings.HasPrefix(r.Source, query.Fold(prefix))
			}
			continue
		}
		n := 0
		c.terms(seg, func(x termIndex) error {
			return x.Values(field, prefix, func(v string, _ int) bool {
				found[v] = true
				n++
				return limit == 0 || n < limit
			})
		})
	}
	var list []string
	for v, ok := range found {
		if ok {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}
