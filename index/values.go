package index

import (
	"context"
	"maps"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index/blocks"
	"firetrail/index/query"
)

// Facet is a value of a field with the number of events that have it.
type Facet struct {
	Value string
	Count int64
}

// Facets are the values of a field among the events of a query.
type Facets struct {
	Values   []Facet // the most frequent first, equal ones by value
	Distinct int     // values in all
	Events   int64   // that the query selects
	None     int64   // of them, those without the field
}

// Facets counts the values of a field among the events that q selects, exactly, and gives
// the most frequent of them, at most limit.
func (c *Case) Facets(ctx context.Context, q firetrail.Query, field string, limit int) (Facets, error) {
	of := "count(" + field + ")"
	t, err := c.Stats(ctx, q, StatsOptions{By: []string{field}, Agg: []string{"count", of}, Sort: "-" + of, Limit: limit + 1})
	if err != nil {
		return Facets{}, err
	}
	// Events without the field are a group that has none of it: the last one.
	f := Facets{Distinct: t.Groups, Events: t.Events}
	for _, r := range t.Rows {
		if r[0].Valid && len(f.Values) < limit {
			f.Values = append(f.Values, Facet{r[0].Text(), r[2].Int})
		}
	}
	f.None, err = c.Count(ctx, firetrail.And(firetrail.Not(firetrail.Query{Op: firetrail.OpMatch, Field: field, Match: firetrail.MatchHas}), q))
	if f.None > 0 {
		f.Distinct--
	}
	return f, err
}

// Complete lists values of a field that begin with prefix, sorted, for completion: from
// the dictionaries of the block indexes, without reading events. "ip" and "port" are all
// addresses and ports. It may miss values that are long or, in some block, very many.
func (c *Case) Complete(ctx context.Context, field, prefix string, limit int) ([]string, error) {
	found := map[string]bool{}
	fields := []string{field}
	switch field {
	case "ip":
		fields = query.Addresses
	case "port":
		fields = query.Ports
	}
	low := query.Fold(prefix)
	snap := c.parts()
	for i := range snap.segments {
		seg := &snap.segments[i]
		if err := live(ctx); err != nil {
			return nil, err
		}
		if field == "kind" && strings.HasPrefix(seg.Kind, low) {
			found[seg.Kind] = true
		}
		for _, r := range seg.Sources {
			if field == "source" && strings.HasPrefix(r.Source, low) {
				found[r.Source] = true
			}
		}
		x, release, err := c.termIndex(seg)
		if err != nil {
			continue
		}
		for _, f := range fields {
			begin(x, f, prefix, limit, found)
		}
		release()
	}
	list := slices.Sorted(maps.Keys(found))
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}

// begin finds the first values of a field in one index that begin with prefix.
func begin(x *blocks.Index, field, prefix string, limit int, found map[string]bool) {
	n := 0
	add := func(v string) bool {
		found[v] = true
		n++
		return limit == 0 || n < limit
	}
	// A damaged index completes nothing.
	if slices.Contains(query.Addresses, field) {
		x.Addrs(field, prefix, add)
	} else {
		x.Values(field, prefix, func(v string, _ int) bool { return add(v) })
	}
}

// Fields lists the record's own fields, x.NAME, that occur in the case, sorted: from the
// dictionaries of the block indexes.
func (c *Case) Fields(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	snap := c.parts()
	for i := range snap.segments {
		if err := live(ctx); err != nil {
			return nil, err
		}
		x, release, err := c.termIndex(&snap.segments[i])
		if err != nil {
			continue
		}
		x.Fields(func(name string) bool {
			if _, own := isX(name); own {
				found[name] = true
			}
			return true
		})
		release()
	}
	return slices.Sorted(maps.Keys(found)), nil
}
