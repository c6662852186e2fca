package index

import (
	"os"
	"testing"

	"firetrail/index/query"
)

// BenchmarkQuery answers the query that FIRETRAIL_QUERY names, its first page, in a process
// that has answered it before.
func BenchmarkQuery(b *testing.B) {
	dir, text := largeCase(b), os.Getenv("FIRETRAIL_QUERY")
	if text == "" {
		b.Skip("FIRETRAIL_QUERY names no query")
	}
	q, err := query.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	answer := func() {
		for _, err := range c.Search(b.Context(), q, SearchOptions{Limit: 50}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	answer()
	for b.Loop() {
		answer()
	}
}
