package detect

import "testing"

func series(n int64, f func(int64) int64) []int64 {
	out := make([]int64, n)
	for i := range n {
		out[i] = f(i)
	}
	return out
}

// TestBeaconScore holds the formulas to vectors computed for the same window, 0 to 86400.
func TestBeaconScore(t *testing.T) {
	for _, c := range []struct {
		name         string
		times, sizes []int64
		want         beaconParts
	}{
		{"every ten minutes", series(144, func(i int64) int64 { return 600 * i }), series(144, func(int64) int64 { return 120 }),
			beaconParts{time: 1, data: 1, duration: 1, histogram: 1, score: 1}},
		{"with jitter", series(144, func(i int64) int64 { return 600*i + 37*i%61 }), series(144, func(i int64) int64 { return 100 + 13*i%7 }),
			beaconParts{time: 1, data: .990, duration: 1, histogram: 1, score: .998}},
		{"nine hours of the day", series(109, func(i int64) int64 { return 28800 + 300*i }), series(109, func(int64) int64 { return 400 }),
			beaconParts{time: 1, data: 1, duration: .834, histogram: 0, score: .709}},
		{"evenly spread, no beacon", series(100, func(i int64) int64 { return 7919 * i % 86400 }), series(100, func(i int64) int64 { return 9973 * i % 5000 }),
			beaconParts{time: 1, data: .907, duration: 1, histogram: .783, score: .922}},
		{"five contacts", []int64{0, 10, 20, 1000, 86399}, []int64{60, 60, 60, 60, 1500},
			beaconParts{time: .021, data: 1, duration: 0, histogram: 0, score: .255}},
	} {
		got, ok := beaconScore(c.times, c.sizes, 0, 86400)
		if !ok {
			t.Errorf("%s: no score", c.name)
		}
		got.contacts, got.mode = 0, 0
		got.histogram = round3(got.histogram)
		if got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
	if _, ok := beaconScore([]int64{1, 2, 3}, nil, 0, 86400); ok {
		t.Error("three contacts have a score")
	}
}

func TestBucket(t *testing.T) {
	for _, c := range []struct{ v, base, low, medium, high, want float64 }{
		{60, 50, 70, 90, 100, .3}, {95, 50, 70, 90, 100, .7}, {9000, 3600, 14400, 28800, 43200, .3}, {43200, 3600, 14400, 28800, 43200, .8},
		{49, 50, 70, 90, 100, 0}, {50, 50, 70, 90, 100, .2}, {1e9, 3600, 14400, 28800, 43200, .8},
	} {
		if got := round3(bucket(c.v, c.base, c.low, c.medium, c.high)); got != c.want {
			t.Errorf("B(%g; %g, %g, %g, %g) = %g, want %g", c.v, c.base, c.low, c.medium, c.high, got, c.want)
		}
	}
}
