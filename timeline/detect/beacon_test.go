package detect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

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
		got.contacts, got.mode, got.chance = 0, 0, 0
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

// TestEvenByChance: intervals of a period, also with much jitter or with contacts missing,
// are told from those between contacts at random.
func TestEvenByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		n    int
		gap  func() float64
		even bool
	}{
		{"ten contacts on the second", 9, func() float64 { return 300 }, true},
		{"jitter of a fifth", 20, func() float64 { return 300 * (0.8 + 0.4*r.Float64()) }, true},
		{"jitter of two fifths", 40, func() float64 { return 300 * (0.6 + 0.8*r.Float64()) }, true},
		{"one in six missing", 60, func() float64 { return 300 * (0.8 + 0.4*r.Float64() + float64(r.IntN(6)/5)) }, true},
		{"at random", 12, func() float64 { return 300 * r.ExpFloat64() }, false},
		{"at random, many", 500, func() float64 { return 300 * r.ExpFloat64() }, false},
		{"three are too few", 3, func() float64 { return 300 }, false},
	} {
		wrong := 0
		for range 50 {
			v := make([]int64, c.n)
			for i := range v {
				v[i] = 1 + int64(c.gap())
			}
			slices.Sort(v)
			if even := evenByChance(v) <= 1e-5; even != c.even && c.n > 3 || c.n == 3 && evenByChance(v) < 1e-4 {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("%s: wrong in %d of 50", c.name, wrong)
		}
	}
}

// TestBeaconPeers: a peer may be a name with changing addresses, contacts may lie hours
// apart, a life may last an hour; what comes at random is no beacon.
func TestBeaconPeers(t *testing.T) {
	const src = "10.20.3.1"
	late := func(f *fake, days int64) {
		f.conn(t0+days*24*hour, "10.20.0.10", 60000, "198.51.100.80", 443, "ssl", "SF", 3, 400, 900)
	}
	call := func(f *fake, at, i int64, name string, addrs int64) {
		ev := f.conn(at, src, 20000+i, fmt.Sprintf("203.0.113.%d", 10+i*7%addrs), 443, "ssl", "SF", 1, 620, 900)
		if name != "" {
			f.ssl(ev, name)
		}
	}
	runScenarios(t, "beacon", []scenario{
		{name: "a name of six addresses", make: func(f *fake) {
			for i := range int64(130) {
				call(f, t0+hour+(i*600+i*37%120)*sec, i, "s.edge.example", 6)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.10 443"}},
		{name: "the same among others of a content network", make: func(f *fake) {
			r := rand.New(rand.NewPCG(5, 5))
			for i := range int64(130) {
				call(f, t0+hour+(i*600+i*37%120)*sec, i, "s.edge.example", 6)
			}
			for i := range int64(600) {
				call(f, t0+r.Int64N(24*3600)*sec, 1000+i, fmt.Sprintf("www%d.example", i%9), 6)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.10 443"}},
		{name: "every six hours", make: func(f *fake) {
			for i := range int64(36) {
				call(f, t0+hour+i*6*hour+i*37%120*sec, i, "", 1)
			}
			late(f, 10)
		}, want: []string{"medium 10.20.3.1 203.0.113.10 443"}},
		{name: "every six hours for three days is too little", make: func(f *fake) {
			for i := range int64(12) {
				call(f, t0+hour+i*6*hour+i*37%120*sec, i, "", 1)
			}
			late(f, 10)
		}},
		{name: "an hour", make: func(f *fake) {
			for i := range int64(190) {
				call(f, t0+hour+(i*20+i*7%9)*sec, i, "", 1)
			}
		}, want: []string{"medium 10.20.3.1 203.0.113.10 443"}},
		{name: "at random", make: func(f *fake) {
			r := rand.New(rand.NewPCG(3, 3))
			for p := range int64(100) {
				for i := range int64(40) {
					f.conn(t0+r.Int64N(24*3600)*sec, src, 20000+i, fmt.Sprintf("203.0.113.%d", 10+p), 443, "ssl", "SF", 1, 620, 900)
				}
			}
		}},
	})
}

// TestBeaconInDNS: one source's regular questions of types that carry data are a beacon.
func TestBeaconInDNS(t *testing.T) {
	ask := func(f *fake, src, kind string, jitter int64) {
		r := rand.New(rand.NewPCG(8, 8))
		for i := range int64(300) {
			f.dns(t0+2*hour+(i*60+r.Int64N(jitter))*sec, src, "10.20.0.2", "c2.tick.example.org", "").Put("qtype_name", kind)
		}
	}
	runScenarios(t, "beacon", []scenario{
		{name: "TXT every minute", make: func(f *fake) { ask(f, "10.20.3.1", "TXT", 15) }, want: []string{"medium 10.20.3.1 10.20.0.2 53"}},
		{name: "addresses every minute", make: func(f *fake) { ask(f, "10.20.3.1", "A", 15) }},
		{name: "TXT at any time", make: func(f *fake) { ask(f, "10.20.3.1", "TXT", 17000) }},
		{name: "what three ask", make: func(f *fake) {
			ask(f, "10.20.3.1", "TXT", 15)
			ask(f, "10.20.3.2", "TXT", 15)
			ask(f, "10.20.3.3", "TXT", 15)
		}},
	})
}
