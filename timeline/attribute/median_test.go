package attribute

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMedian compares the selection with sorting.
func TestMedian(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 400; n++ {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(1 + r.IntN(n)))
		}
		sorted := slices.Sorted(slices.Values(v))
		want := sorted[n/2]
		if n%2 == 0 {
			want = (sorted[n/2-1] + sorted[n/2]) / 2
		}
		if got := median(v); got != want {
			t.Fatalf("%v: median %g, want %g", sorted, got, want)
		}
		if slices.Sort(v); !slices.Equal(v, sorted) {
			t.Fatalf("values were lost: %v, had %v", v, sorted)
		}
	}
}

func BenchmarkMedian(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	from, v := make([]float64, 80_000), make([]float64, 80_000)
	for i := range from {
		from[i] = r.NormFloat64()
	}
	for b.Loop() {
		copy(v, from)
		median(v)
	}
}
