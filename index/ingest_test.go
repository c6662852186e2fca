package index

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"firetrail"
)

func TestLarge(t *testing.T) {
	path := os.Getenv("FIRETRAIL_LARGE")
	if path == "" {
		t.Skip("FIRETRAIL_LARGE is not set")
	}
	dir := os.Getenv("FIRETRAIL_LARGE_CASE")
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "case")
	}
	c, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Ingest(context.Background(), []string{path}, IngestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v in %v: %.0f/s", r.Totals, r.Elapsed, float64(r.Totals.Records)/r.Elapsed.Seconds())
	for _, s := range r.Sources {
		t.Logf("%s %v %+v", s.Status, s.Err, s.Source)
	}
	n, ev := 0, int64(0)
	for f, err := range c.Flows(context.Background(), firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		ev += f.Events
	}
	t.Log(n, "flows of", ev)
}
