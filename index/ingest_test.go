package index

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"firetrail"
)

// TestCorpora takes real logs in: every record is accounted for, every event is in a
// segment and in a flow, every record can be read again, and nothing is taken twice.
func TestCorpora(t *testing.T) {
	corpora := os.Getenv("FIRETRAIL_CORPORA")
	if corpora == "" {
		t.Skip("FIRETRAIL_CORPORA is not set")
	}
	c := create(t)
	r := ingestAll(t, c, corpora)
	n := r.Totals
	if n.Records != n.Events+n.Rejected+n.Headers+n.Other || n.Events == 0 {
		t.Errorf("%+v", n)
	}
	rows, flows := int64(0), int64(0)
	for _, s := range c.view().segments {
		rows += s.Rows
	}
	for f, err := range c.Flows(context.Background(), firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		flows += f.Events
	}
	if rows != n.Events || flows != n.Events {
		t.Errorf("%d events, %d rows, %d in flows", n.Events, rows, flows)
	}
	rejects := int64(0)
	for rej, err := range c.Rejects(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		rejects++
		if _, _, err := c.Raw(rej.Origin); err != nil {
			t.Errorf("reject %s: %v", rej.ID(), err)
		}
	}
	if rejects != n.Rejected {
		t.Errorf("%d rejects of %d", rejects, n.Rejected)
	}
	again := ingestAll(t, c, corpora)
	if again.Totals != (firetrail.Counts{}) {
		t.Errorf("the second time: %+v", again.Totals)
	}
	report, err := c.Verify(context.Background(), nil)
	if err != nil || !report.OK() || len(report.Missing) > 0 {
		t.Errorf("%v %+v", err, report)
	}
	t.Logf("%d sources: %+v", len(r.Sources), n)
}

func BenchmarkIngest(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.log")
	data := kernelLines(0, 100_000)
	writeFile(b, path, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c, err := Create(filepath.Join(b.TempDir(), "case"))
		if err != nil {
			b.Fatal(err)
		}
		ingestAll(b, c, path)
		c.Close()
	}
}
