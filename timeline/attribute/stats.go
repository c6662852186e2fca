package attribute

import (
	"math"
	"math/rand/v2"
	"slices"

	"firetrail"
)

// lgamma is ln Γ(x) for x > 0.
func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// logBeta is ln B(a, b).
func logBeta(a, b float64) float64 {
	return lgamma(a) + lgamma(b) - lgamma(a+b)
}

// logChoose is ln C(n, k).
func logChoose(n, k int) float64 {
	return lgamma(float64(n+1)) - lgamma(float64(k+1)) - lgamma(float64(n-k+1))
}

// binomialTail is P(X ≥ k) for X ~ Bin(n, f): the chance that at least k of n
// bursts fall into windows that cover the fraction f of the time.
func binomialTail(n, k int, f float64) float64 {
	switch {
	case k <= 0:
		return 1
	case f <= 0:
		return 0
	case f >= 1:
		return 1
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += math.Exp(logChoose(n, i) + float64(i)*math.Log(f) + float64(n-i)*math.Log1p(-f))
	}
	return min(sum, 1)
}

// insideA and insideB are the Beta prior of the fraction of an agent's bursts
// that fall into its tool windows: mean 0.9.
const insideA, insideB = 9, 1

// windowBayes is the log10 Bayes factor of "k of n bursts inside, with a
// probability q ~ Beta(9, 1)" against "inside by chance, with probability f":
//
//	BF = [B(9+k, 1+n-k) / B(9, 1)] / [f^k (1-f)^(n-k)]
//
// The binomial coefficient cancels. It is 0 where f is 0 or 1: no window or no
// time outside one, so the time tells nothing.
func windowBayes(n, k int, f float64) float64 {
	if n == 0 || f <= 0 || f >= 1 {
		return 0
	}
	in, out := float64(k), float64(n-k)
	ln := logBeta(insideA+in, insideB+out) - logBeta(insideA, insideB) - in*math.Log(f) - out*math.Log1p(-f)
	return ln / math.Ln10
}

// shifts is the number of random shifts of the permutation test.
const shifts = 999

// shiftTest is the permutation test for burst trains that are themselves
// clustered, which a binomial would call significant far too often: all times
// move together by a random amount modulo the observed time, and
// p = (1 + #{shifts with at least as many inside}) / (1 + 999).
// Times and windows are given on the axis of observed time, 0 to total.
func shiftTest(times []float64, windows [][2]float64, total float64, seed [2]uint64) (inside int, p float64) {
	inside = countInside(times, windows, 0, total)
	if total <= 0 || len(times) == 0 {
		return inside, 1
	}
	r := rand.New(rand.NewPCG(seed[0], seed[1]))
	atLeast := 1
	for range shifts {
		if countInside(times, windows, r.Float64()*total, total) >= inside {
			atLeast++
		}
	}
	return inside, float64(atLeast) / (1 + shifts)
}

func countInside(times []float64, windows [][2]float64, by, total float64) int {
	n := 0
	for _, t := range times {
		t += by
		if total > 0 && t >= total {
			t -= total
		}
		i, found := slices.BinarySearchFunc(windows, t, func(w [2]float64, t float64) int {
			switch {
			case w[0] < t:
				return -1
			case w[0] > t:
				return 1
			}
			return 0
		})
		if found || i > 0 && windows[i-1][1] >= t {
			n++
		}
	}
	return n
}

// fisherCombined is the p of Fisher's method: -2 Σ ln u is chi-square with 2n
// degrees of freedom, whose upper tail has the closed form
// e^(-x/2) Σ_{i<n} (x/2)^i / i!. Each u is in (0, 1].
func fisherCombined(u []float64) float64 {
	if len(u) == 0 {
		return 1
	}
	half := 0.0
	for _, v := range u {
		half -= math.Log(max(v, 1e-12))
	}
	if half == 0 {
		return 1
	}
	sum := 0.0
	for i := range u {
		sum += math.Exp(float64(i)*math.Log(half) - half - lgamma(float64(i+1)))
	}
	return min(sum, 1)
}

// gammaA and gammaB are the Gamma prior of a rate of bursts: shape 0.5 and one
// hour, so that a single burst in hours is no surprise.
const gammaA, gammaB = 0.5, 1.0

// logMarginal is the log of the Gamma-Poisson marginal of n bursts in t hours:
//
//	ln M = a ln b - lnΓ(a) + lnΓ(a+n) - (a+n) ln(b+t)
//
// without the terms of the cells, which are the same for every grouping of them.
func logMarginal(n int, hours float64) float64 {
	a := gammaA + float64(n)
	return gammaA*math.Log(gammaB) - lgamma(gammaA) + lgamma(a) - a*math.Log(gammaB+max(hours, 0))
}

// logMean is ln of the mean of exp(v), without overflow; -Inf for none.
func logMean(v []float64) float64 {
	if len(v) == 0 {
		return math.Inf(-1)
	}
	top := slices.Max(v)
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(v)))
}

// hypergeometricTail is P(X ≥ a): of all things, marked carry a mark; drawn are
// taken at random; a of those or more are marked.
func hypergeometricTail(all, marked, drawn, a int) float64 {
	if a <= 0 {
		return 1
	}
	sum := 0.0
	for i := a; i <= min(marked, drawn); i++ {
		if drawn-i > all-marked {
			continue
		}
		sum += math.Exp(logChoose(marked, i) + logChoose(all-marked, drawn-i) - logChoose(all, drawn))
	}
	return min(sum, 1)
}

// bayesBound turns a p into the largest log10 Bayes factor that it can stand
// for, 1 / (-e p ln p) (Sellke, Bayarri, Berger 2001); 0 for p ≥ 1/e.
func bayesBound(p float64) float64 {
	if p >= 1/math.E {
		return 0
	}
	p = max(p, 1e-12)
	return -math.Log10(-math.E * p * math.Log(p))
}

// axis lays a union of intervals end to end, from 0, in seconds.
type axis struct {
	iv    []firetrail.Interval
	begin []float64
	total float64
}

func newAxis(iv []firetrail.Interval) axis {
	a := axis{iv: iv}
	for _, v := range iv {
		a.begin = append(a.begin, a.total)
		a.total += (float64(v.End) - float64(v.Start)) / 1e9
	}
	return a
}

// at is the place of t on the axis; ok is false where t was not observed.
func (a *axis) at(t int64) (place float64, ok bool) {
	for i, v := range a.iv {
		if v.Start <= t && t <= v.End {
			return a.begin[i] + float64(t-v.Start)/1e9, true
		}
	}
	return 0, false
}

// windows lays the parts of a union that were observed on the axis.
func (a *axis) windows(w []firetrail.Interval) [][2]float64 {
	var out [][2]float64
	for _, v := range intersect(a.iv, w) {
		from, _ := a.at(v.Start)
		out = append(out, [2]float64{from, from + float64(v.End-v.Start)/1e9})
	}
	return out
}
