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

	Page(ctx context.Context, q firetrail.Query, p Page) ([]firetrail.Event, error)
	Count(ctx context.Context, q firetrail.Query) (int64, error)
	// Histogram counts the dated events of [from, to) in equal buckets.
	Histogram(ctx context.Context, q firetrail.Query, from, to int64, buckets int) ([]Bucket, error)
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

// Bucket counts the events of [Start, End); Denied of them were refused.
type Bucket struct {
	Start, End    int64
	Count, Denied int64
}
