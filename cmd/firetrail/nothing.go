package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"
)

// sayNothing says to a person why a query selects no event. Scripts, which may ask for
// many indicators that are not there, do not wait for that.
func (a *app) sayNothing(ctx context.Context, c *index.Case, q firetrail.Query, opt index.SearchOptions) {
	if a.quiet || !isTerminal(a.stderr) {
		return
	}
	for _, why := range whyNothing(ctx, c, q, opt) {
		a.say("%s", why)
	}
}

// whyNothing names the parts of a query that match nothing, and what may have been meant.
func whyNothing(ctx context.Context, c *index.Case, q firetrail.Query, opt index.SearchOptions) (why []string) {
	parts := conjuncts(q, nil)
	for _, p := range parts {
		if !occurs(ctx, c, p, opt.Now) {
			why = append(why, fmt.Sprintf("nothing in the case matches %s%s", query.Print(p), meant(ctx, c, p)))
		}
	}
	if len(why) == 0 && (len(parts) > 1 || opt.Since != firetrail.Absent || opt.Until != firetrail.Absent) {
		why = append(why, "each part of the query matches something, but no event matches all of them")
	}
	return why
}

// occurs reports whether a query selects an event, or cannot be answered.
func occurs(ctx context.Context, c *index.Case, q firetrail.Query, now int64) bool {
	for range c.Search(ctx, q, index.SearchOptions{Limit: 1, Fields: []string{"offset"}, Now: now}) {
		return true
	}
	return false
}

// conjuncts are the parts of a query that all have to hold.
func conjuncts(q firetrail.Query, to []firetrail.Query) []firetrail.Query {
	if q.Op != firetrail.OpAnd {
		return append(to, q)
	}
	for _, a := range q.Args {
		to = conjuncts(a, to)
	}
	return to
}

// fewValues are listed where a value does not occur.
const fewValues = 12

// meant says what a test that nothing passes may have been meant to be.
func meant(ctx context.Context, c *index.Case, q firetrail.Query) string {
	if q.Op != firetrail.OpMatch {
		return ""
	}
	if strings.HasPrefix(q.Field, "x.") {
		names, err := c.Fields(ctx)
		if err == nil && !slices.Contains(names, q.Field) {
			for i := range names {
				names[i] = strings.TrimPrefix(names[i], "x.")
			}
			if near := query.NearestOf(q.Field[len("x."):], names); near != "" {
				return fmt.Sprintf(": no record has %s; did you mean x.%s?", q.Field, near)
			}
			return fmt.Sprintf(": no record has %s; 'firetrail fields --own' lists what records have", q.Field)
		}
	}
	has := firetrail.Query{Op: firetrail.OpMatch, Field: q.Field, Match: firetrail.MatchHas}
	switch {
	case q.Field != "" && q.Field != "run" && !occurs(ctx, c, has, 0):
		return ": no record has " + q.Field
	case q.Match != firetrail.MatchIs && q.Match != firetrail.MatchExact && q.Match != firetrail.MatchPhrase:
		return ""
	case q.Field == "" && strings.Trim(q.Value, "0123456789") == "":
		return ": a port is port:" + q.Value
	case q.Field == "":
		return ""
	}
	values, err := c.Complete(ctx, q.Field, "", fewValues+1)
	switch {
	case err != nil:
	case len(values) <= fewValues && len(values) > 0:
		return fmt.Sprintf(": the values of %s are %s", q.Field, strings.Join(values, ", "))
	default:
		return near(ctx, c, q)
	}
	return ""
}

// near finds a value that is like one that does not occur.
func near(ctx context.Context, c *index.Case, q firetrail.Query) string {
	if f, ok := firetrail.FieldNamed(q.Field); ok && f.Text == nil {
		return ""
	}
	values, err := c.Complete(ctx, q.Field, "", 0)
	if err != nil {
		return ""
	}
	if v := query.NearestOf(q.Value, values); v != "" {
		return "; did you mean " + query.Value(q.Field, v) + "?"
	}
	return ""
}
