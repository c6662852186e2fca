// Package tui is the terminal interface: incidents, their evidence down to the
// original bytes, the events under any query, and the runs. It draws what a Store
// tells it and never waits for one: every question is a command, every answer a
// message that may come too late and is then dropped.
package tui

import (
	"context"

	"firetrail"
)

// Store is the case as the screens need it. Methods that take a context return
// soon after it is cancelled. Parse and Print work on the text alone; they are the
// only ones that are called while a key is being handled.
type Store interface {
	Name() string // of the case, for the top line
	Results() (r firetrail.Results, made bool, err error)
	Inventory() (firetrail.Inventory, error)
	Sources() []firetrail.Source

	// Parse reads a query. An error may have Position() (line, column int), from 1
	// and in characters, which is shown as a caret.
	Parse(text string) (firetrail.Query, error)
	Print(q firetrail.Query) string

	// Time reads a time as queries do: a date, a stamp, "-24h" before the last event.
	Time(text string) (int64, error)

	Page(ctx context.Context, q firetrail.Query, p Page) ([]firetrail.Event, error)
	// Overview counts the events of a query, dated ones in at most so many equal buckets.
	Overview(ctx context.Context, q firetrail.Query, buckets int) (Overview, error)
	// Row is the place, in the total order, of the first dated event of a query at or
	// after a time: their number if there is none.
	Row(ctx context.Context, q firetrail.Query, at int64) (int64, error)
	// Facets counts the values of a field and gives the most frequent, at most limit.
	Facets(ctx context.Context, q firetrail.Query, field string, limit int) (Facets, error)
	// Complete lists what can stand in the place of the end of a query text, from the
	// byte from on.
	Complete(ctx context.Context, text string) (from int, list []string, err error)
	Event(ctx context.Context, id string) (firetrail.Event, error)
	Raw(o firetrail.Origin) ([]byte, firetrail.Source, error)
}

// Page says which events of a query are wanted: Limit of them after Offset, in
// the order of Sort ("" is the total order: time, source, offset). Fields are those
// that will be looked at; origins are always given.
type Page struct {
	Fields []string
	Sort   string
	Desc   bool
	Offset int
	Limit  int
}

// Overview is what a query's events are over time.
type Overview struct {
	Events  int64
	Undated int64 // of them; they come first in the total order
	Buckets []Bucket
}

// Facets are the values of a field among the events of a query.
type Facets struct {
	Values   []Facet // the most frequent first
	Distinct int     // values in all
	Events   int64
	None     int64 // of them, those without the field
}

// Facet is a value with the number of its events.
type Facet struct {
	Value string
	Count int64
}

// Bucket counts the events of [Start, End); Denied of them were refused.
type Bucket struct {
	Start, End    int64
	Count, Denied int64
}
