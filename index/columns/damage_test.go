package columns

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"firetrail"
)

func BenchmarkWrite(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	evs := make([]firetrail.Event, GroupRows)
	for i := range evs {
		evs[i] = random(r, i)
	}
	enc := NewEncoder()
	for b.Loop() {
		w := NewWriter(io.Discard, "test")
		w.Append(evs)
		g := w.Cut()
		if err := g.Encode(enc); err != nil {
			b.Fatal(err)
		}
		if err := w.Write(g); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*GroupRows/b.Elapsed().Seconds(), "events/s")
}

// TestDamage changes single bytes of a segment: an error or other values, never a
// panic or a wild allocation.
func TestDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	evs := make([]firetrail.Event, 50)
	for i := range evs {
		evs[i] = random(r, i)
	}
	dir := t.TempDir()
	data, err := os.ReadFile(write(t, dir, evs)[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		bad := bytes.Clone(data)
		bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
		if r.IntN(10) == 0 {
			bad = bad[:r.IntN(len(bad))]
		}
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		readDamaged(path)
	}
}

func readDamaged(path string) {
	s, err := Open(path)
	if err != nil {
		return
	}
	defer s.Close()
	rd := s.NewReader()
	defer rd.Close()
	var ev firetrail.Event
	for b := range min(s.Blocks(), 2) {
		rd.Seek(b)
		for row := range min(rd.Rows(), 50) {
			if rd.Event(row, &ev) != nil {
				return
			}
		}
	}
}
