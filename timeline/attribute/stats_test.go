package attribute

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"firetrail"
)

// Values worked out by hand from the formulas.
func TestFormulas(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"binomial tail 8 of 10 at .3", binomialTail(10, 8, .3), 0.0015903864},
		{"binomial tail, none asked", binomialTail(5, 0, .3), 1},
		{"binomial tail, no window", binomialTail(5, 1, 0), 0},
		{"binomial tail, all window", binomialTail(5, 5, 1), 1},
		{"Bayes factor 5 of 5 at .5: (9/14)/.5^5", windowBayes(5, 5, .5), math.Log10(9.0 / 14 * 32)},
		{"Bayes factor 4 of 5 at .5: (9/182)/.5^5", windowBayes(5, 4, .5), math.Log10(9.0 / 182 * 32)},
		{"Bayes factor without windows", windowBayes(5, 0, 0), 0},
		{"Fisher, one", fisherCombined([]float64{.03}), .03},
		{"Fisher, two of .1", fisherCombined([]float64{.1, .1}), .01 * (1 + math.Log(100))},
		{"Fisher, nothing", fisherCombined([]float64{1, 1}), 1},
		{"marginal of none in 3 h", logMarginal(0, 3), -.5 * math.Log(4)},
		{"marginal of one in 3 h", logMarginal(1, 3), math.Log(.5) - 1.5*math.Log(4)},
		{"hypergeometric 3 of 3 from 4 in 10", hypergeometricTail(10, 4, 3, 3), 4.0 / 120},
		{"hypergeometric 2 or more", hypergeometricTail(10, 4, 3, 2), 40.0 / 120},
		{"bound of p = .01", bayesBound(.01), -math.Log10(math.E * .01 * math.Log(100))},
		{"bound of no evidence", bayesBound(.5), 0},
		{"log of a mean", logMean([]float64{math.Log(1), math.Log(3)}), math.Log(2)},
		{"rate ratio", rateRatio(4, 3, .5), 3},
		{"ramp below", ramp(89, 100, 10), 0},
		{"ramp at the edge", ramp(100, 100, 10), .5},
		{"ramp above", ramp(110, 100, 10), 1},
		{"within 5 of two starts in 100", within([]float64{10, 12}, 5, 100), .07},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s: %.10f, want %.10f", c.name, c.got, c.want)
		}
	}
}

func TestShiftTest(t *testing.T) {
	windows := [][2]float64{{0, 10}, {500, 510}, {900, 905}}
	inside, p := shiftTest([]float64{1, 505, 902}, windows, 1000, [2]uint64{1, 2})
	if inside != 3 || p > .02 {
		t.Errorf("all inside: %d, p %.4f", inside, p)
	}
	again, q := shiftTest([]float64{1, 505, 902}, windows, 1000, [2]uint64{1, 2})
	if again != inside || q != p {
		t.Error("the same seed gave another p")
	}
	if _, p := shiftTest([]float64{1, 2, 3}, [][2]float64{{0, 1000}}, 1000, [2]uint64{1, 2}); p != 1 {
		t.Errorf("windows everywhere: p %.4f", p)
	}
	// Ten bursts in one cluster are one piece of luck: a binomial would call it 1e-20.
	var cluster []float64
	for i := range 10 {
		cluster = append(cluster, 501+float64(i)/10)
	}
	if _, p := shiftTest(cluster, windows, 1000, [2]uint64{1, 2}); p < .005 {
		t.Errorf("one cluster inside: p %.4f", p)
	}
}

// Under the null the shift test must not reject more often than it says.
func TestShiftTestLevel(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	windows := [][2]float64{{100, 200}, {400, 450}, {700, 850}}
	const trials = 400
	rejected := 0
	for i := range trials {
		var times []float64
		for range 4 {
			at := r.Float64() * 1000
			for range 5 {
				times = append(times, math.Mod(at+r.Float64()*5, 1000))
			}
		}
		if _, p := shiftTest(times, windows, 1000, [2]uint64{uint64(i), 1}); p <= .01 {
			rejected++
		}
	}
	if rejected > 12 { // 4 expected; 12 has a chance of 1e-3
		t.Errorf("%d of %d rejected at .01", rejected, trials)
	}
}

func TestSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var iv []firetrail.Interval
	for range 300 {
		from := r.Int64N(1000)
		end := from + r.Int64N(50)
		if r.IntN(20) == 0 {
			end = forever
		}
		iv = append(iv, firetrail.Interval{Start: from, End: end})
	}
	slices.SortFunc(iv, compareIntervals)
	s := newSpans(iv)
	for range 300 {
		from := r.Int64N(1100) - 50
		to := from + r.Int64N(20)
		var got, want []int
		s.overlap(from, to, func(i int) { got = append(got, i) })
		for i, v := range iv {
			if v.Start <= to && v.End >= from {
				want = append(want, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("overlap(%d, %d) = %v, want %v", from, to, got, want)
		}
	}
}

func TestIntervalSets(t *testing.T) {
	iv := func(v ...int64) (out []firetrail.Interval) {
		for i := 0; i < len(v); i += 2 {
			out = append(out, firetrail.Interval{Start: v[i], End: v[i+1]})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		got, want []firetrail.Interval
	}{
		{"union joins over the gap", union(iv(5, 6, 0, 2, 3, 4), 1), iv(0, 6)},
		{"union keeps apart", union(iv(5, 6, 0, 2), 1), iv(0, 2, 5, 6)},
		{"intersection", intersect(iv(0, 5, 8, 12), iv(4, 9, 11, 20)), iv(4, 5, 8, 9, 11, 12)},
		{"difference", subtract(iv(0, 10, 20, 30), iv(2, 3, 8, 22)), iv(0, 2, 3, 8, 22, 30)},
		{"difference of all", subtract(iv(2, 3), iv(0, 10)), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestEstimate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	pairs := func(n int, shift, jitter int64, ppm float64, wrong int) (out []Pair) {
		for i := range n {
			a := day0 + int64(i)*minute
			b := a + shift + int64(ppm*1e-6*float64(a-day0)) + r.Int64N(2*jitter+1) - jitter
			if i < wrong {
				b += r.Int64N(10*minute) - 5*minute
			}
			out = append(out, Pair{a, b})
		}
		return out
	}
	if _, ok := Estimate(pairs(19, 0, 1, 0, 0)); ok {
		t.Error("19 pairs are too few")
	}
	for _, c := range []struct {
		name  string
		pairs []Pair
		shift int64
		drift float64
		zone  bool
	}{
		{"ahead by 90 s", pairs(60, 90*second, second/2, 0, 0), 90 * second, 0, false},
		{"behind by 90 s, a third of the pairs mistaken", pairs(60, -90*second, second/2, 0, 20), -90 * second, 0, false},
		{"an hour: a zone", pairs(60, hour+second, second/2, 0, 0), hour + second, 0, true},
		{"minus half an hour: a zone", pairs(60, -30*minute, second/2, 0, 0), -30 * minute, 0, true},
		{"a quarter of an hour is skew", pairs(60, 15*minute, second/2, 0, 0), 15 * minute, 0, false},
		{"drift", pairs(600, 0, second/100, 50, 0), 900 * second / 1000, 50, false},
	} {
		o, ok := Estimate(c.pairs)
		if !ok || abs(o.Shift-c.shift) > second || math.Abs(o.Drift-c.drift) > 10 && c.drift != 0 || o.Zone != c.zone || o.Pairs != len(c.pairs) {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}
