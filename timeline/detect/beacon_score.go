package detect

import (
	"math"
	"slices"
)

// beaconParts are RITA's sub-scores, each 0 to 1 with three decimals.
type beaconParts struct {
	contacts                        int
	mode                            int64 // most frequent interval, seconds
	time, data, duration, histogram float64
	score                           float64
	chance                          float64 // probability of intervals as even as these between contacts at random
}

// beaconScore computes RITA v5's beacon score of contacts at the given seconds
// with the given sizes inside the window [lo, hi] (seconds); without sizes it is the
// mean of the other three parts, which is ours, not RITA's. ok is false where there
// are too few contacts: at least 4 distinct seconds and 3 intervals are needed.
func beaconScore(times, sizes []int64, lo, hi int64) (b beaconParts, ok bool) {
	var inside []int64
	for _, t := range times {
		if t >= lo && t <= hi {
			inside = append(inside, t)
		}
	}
	slices.Sort(inside)
	var deltas []int64
	for i := 1; i < len(inside); i++ {
		if d := inside[i] - inside[i-1]; d != 0 {
			deltas = append(deltas, d)
		}
	}
	b.contacts = len(deltas) + 1
	if b.contacts < 4 || len(inside) >= 86400 || hi <= lo {
		return b, false
	}
	slices.Sort(deltas)
	b.mode = mode(deltas)
	b.chance = evenByChance(deltas)
	b.time = round3((skewScore(deltas) + madScore(deltas, 1)) / 2)
	if len(sizes) > 0 {
		sorted := slices.Sorted(slices.Values(sizes))
		b.data = round3((skewScore(sorted) + madScore(sorted, 0)) / 2)
	}
	bins := histogram(inside, lo, hi)
	b.histogram = histogramScore(bins)
	b.duration = durationScore(bins, inside[0], inside[len(inside)-1], lo, hi)
	b.score = round3(0.25 * (b.time + b.data + b.duration + b.histogram))
	if len(sizes) == 0 { // packet filters count no bytes: the mean of what there is
		b.score = round3((b.time + b.duration + b.histogram) / 3)
	}
	return b, true
}

// skewScore is 1 - |Bowley skew| of sorted values.
func skewScore(v []int64) float64 {
	q1, q2, q3 := quartiles(v)
	if q3-q1 < 10 || q2 == q1 || q2 == q3 {
		return 1
	}
	return 1 - math.Abs((q1+q3-2*q2)/(q3-q1))
}

// madScore is (median - median absolute deviation)/median, or the default where
// the median is below 1; not below 0.
func madScore(v []int64, byDefault float64) float64 {
	m := median(v)
	if m < 1 {
		return byDefault
	}
	dev := make([]float64, len(v))
	for i, x := range v {
		dev[i] = math.Abs(float64(x) - m)
	}
	slices.Sort(dev)
	return max(0, (m-median(dev))/m)
}

func median[T int64 | float64](v []T) float64 {
	n := len(v)
	if n == 0 {
		return 0
	}
	return (float64(v[(n-1)/2]) + float64(v[n/2])) / 2
}

// quartiles are the medians of the halves, the middle element left out of both
// where the number is odd.
func quartiles(v []int64) (q1, q2, q3 float64) {
	n := len(v)
	return median(v[:n/2]), median(v), median(v[(n+1)/2:])
}

func mode(sorted []int64) int64 {
	best, most := int64(0), 0
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		if j-i > most {
			best, most = sorted[i], j-i
		}
		i = j
	}
	return best
}

const beaconBins = 24

// histogram counts contacts in 24 equal bins over [lo, hi].
func histogram(times []int64, lo, hi int64) (bins [beaconBins]int) {
	for _, t := range times {
		bins[min(int((t-lo)*beaconBins/(hi-lo)), beaconBins-1)]++
	}
	return bins
}

// histogramScore is the better of evenness (1 - coefficient of variation) and, with
// at least 11 bins in use, of how well two heights explain them.
func histogramScore(bins [beaconBins]int) float64 {
	sum, highest, used := 0.0, 0, 0
	for _, n := range bins {
		sum += float64(n)
		highest = max(highest, n)
		if n > 0 {
			used++
		}
	}
	mean, squares := sum/beaconBins, 0.0
	for _, n := range bins {
		squares += (float64(n) - mean) * (float64(n) - mean)
	}
	even := 0.0
	if cv := math.Sqrt(squares/beaconBins) / mean; cv <= 1 {
		even = round3(1 - cv)
	}
	if used < 11 {
		return even
	}
	grain := max(1, int(math.Ceil(float64(highest)*0.05)))
	heights := map[int]int{}
	for _, n := range bins {
		if n > 0 {
			heights[n/grain]++
		}
	}
	first, second := 0, 0
	for _, n := range heights {
		if n > first {
			first, second = n, first
		} else if n > second {
			second = n
		}
	}
	return max(even, min(1, float64(first+second)/float64(max(used-1, 1))))
}

// durationScore is the better of coverage of the window and of the longest run of
// bins in use (the day is a circle) against twelve; 0 below six bins in use.
func durationScore(bins [beaconBins]int, first, last, lo, hi int64) float64 {
	used, run, longest := 0, 0, 0
	for i := range 2 * beaconBins {
		if bins[i%beaconBins] == 0 {
			run = 0
			continue
		}
		if i < beaconBins {
			used++
		}
		run++
		longest = min(max(longest, run), beaconBins)
	}
	if used < 6 {
		return 0
	}
	ceil3 := func(v float64) float64 { return min(1, math.Ceil(v*1000)/1000) }
	return max(ceil3(float64(last-first)/float64(hi-lo)), ceil3(float64(longest)/12))
}

// evenByChance is the probability with which contacts at random times (a Poisson process)
// have as many of their sorted intervals within half, or a tenth, of the median as these
// have: what RITA's scores do not ask, for they come to 0.9 for traffic that is merely
// spread evenly. Of the exponential distribution 2^(b-1) - 2^(-b-1) lies within the part b
// of its median.
func evenByChance(sorted []int64) float64 {
	least := 1.0
	for _, b := range [...]float64{0.5, 0.1} {
		near := 0
		m := median(sorted)
		for _, d := range sorted {
			if math.Abs(float64(d)-m) <= b*m {
				near++
			}
		}
		share := math.Exp2(b-1) - math.Exp2(-b-1)
		p := 0.0
		for n, i := len(sorted), near; i <= n; i++ {
			p += math.Exp(logChoose(n, i) + float64(i)*math.Log(share) + float64(n-i)*math.Log1p(-share))
		}
		least = min(least, 2*p) // two bands are looked at
	}
	return least
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
