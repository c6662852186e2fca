package index

import (
	"context"
	"os"
	"testing"
)

func BenchmarkIngestFile(b *testing.B) {
	path := os.Getenv("BENCH_LOG")
	if path == "" {
		b.Skip("no BENCH_LOG")
	}
	st, _ := os.Stat(path)
	b.SetBytes(st.Size())
	for b.Loop() {
		dir := b.TempDir()
		c, err := Create(dir + "/case")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Ingest(context.Background(), []string{path}, IngestOptions{}); err != nil {
			b.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}
