package attribute

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"firetrail"
)

// Pair is one thing that two clocks saw: nanoseconds by clock A and by clock B,
// both of the same instant of it (a flow's first packet, never a record's
// writing).
type Pair struct {
	A, B int64
}

// Offset says how far clock B runs ahead of clock A. It is used in comparisons
// only: recorded times are never changed.
type Offset struct {
	Shift  int64   // median of B - A, nanoseconds; with a drift, at the time At
	Spread int64   // 1.4826 times the median absolute deviation, after the drift
	Drift  float64 // Theil-Sen slope, parts per million
	At     int64   // by clock B: when Shift holds; 0 where the drift is not to be used
	Pairs  int
	Zone   bool // a mistaken zone or daylight saving, not a clock that runs wrong
}

const (
	second    = int64(1e9)
	minute    = 60 * second
	hour      = 60 * minute
	quarter   = 15 * minute
	minPairs  = 20
	slopeSize = 400  // pairs used for the drift: its cost is quadratic
	minDrift  = 20.0 // parts per million below which a drift is not used
	steadier  = 0.7  // and it has to take the spread down to this part of it
)

// Estimate computes the offset from at least 20 pairs; ok is false for fewer.
// The median is robust against mistaken pairs up to half of them. A drift of
// more than 20 ppm is used if that takes the spread down by a third: whole
// seconds over a short time seem to drift as well.
func Estimate(pairs []Pair) (o Offset, ok bool) {
	o.Pairs = len(pairs)
	if len(pairs) < minPairs {
		return o, false
	}
	mid, spread := center(pairs, 0, 0)
	o.Drift = slope(pairs) * 1e6
	if math.Abs(o.Drift) > minDrift {
		at := slices.Clone(pairs)
		slices.SortFunc(at, func(a, b Pair) int { return cmp.Compare(a.B, b.B) })
		ref := at[len(at)/2].B
		if m, s := center(pairs, o.Drift, ref); s < steadier*spread {
			mid, spread, o.At = m, s, ref
		}
	}
	o.Shift, o.Spread = int64(math.Round(mid)), int64(math.Round(spread))
	o.Zone = zoneMistake(o.Shift)
	return o, true
}

// center is the median of B - A and its spread, of clocks that drift by so many
// parts per million and are compared at ref.
func center(pairs []Pair, drift float64, ref int64) (mid, spread float64) {
	d := make([]float64, len(pairs))
	for i, p := range pairs {
		d[i] = float64(p.B-p.A) - drift*1e-6*float64(p.B-ref)
	}
	mid = median(d)
	for i := range d {
		d[i] = math.Abs(d[i] - mid)
	}
	return mid, 1.4826 * median(d)
}

// zoneMistake reports an offset of half an hour or more that lies within 5 s
// of a multiple of 15 minutes: no clock runs wrong by just that.
func zoneMistake(shift int64) bool {
	rest := abs(shift) % quarter
	return abs(shift) >= 30*minute-5*second && min(rest, quarter-rest) <= 5*second
}

// LikelyZone reports a mistaken zone as well where the clock runs wrong besides,
// by three minutes at the most around a multiple of half an hour: to be asked only
// of clocks whose zone is a guess.
func (o Offset) LikelyZone() bool {
	return o.Zone || abs(o.Shift) >= 27*minute && abs(o.Shift-o.ZoneShift()) <= 3*minute && o.ZoneShift()%(2*quarter) == 0
}

// ZoneShift is the zone that a mistaken offset means: its nearest multiple of 15 minutes.
func (o Offset) ZoneShift() int64 {
	half := quarter / 2
	if o.Shift < 0 {
		half = -half
	}
	return (o.Shift + half) / quarter * quarter
}

// Of is the offset at the recorded time t of clock B.
func (o Offset) Of(t int64) int64 {
	if o.At == 0 || t == firetrail.Absent {
		return o.Shift
	}
	return o.Shift + int64(math.Round(o.Drift*1e-6*float64(t-o.At)))
}

// clockReason says which offset was applied.
func clockReason(shift int64) string {
	word := "ahead"
	if shift < 0 {
		word = "behind"
	}
	return fmt.Sprintf("the clock of the records runs %s %s: times were compared with that taken out", seconds(abs(shift)), word)
}

// inStep is how far clocks may be apart without anybody's having to know:
// whole seconds, and a moment until a record is written.
const inStep = 2 * second

// InStep reports clocks that need no correction.
func (o Offset) InStep() bool { return o.At == 0 && abs(o.Shift) <= inStep }

// Vague reports an offset that its own scatter makes doubtful: it is no more
// than three standard errors of the median.
func (o Offset) Vague() bool {
	return !o.InStep() && o.At == 0 && float64(abs(o.Shift)) < 3*1.2533*float64(o.Spread)/math.Sqrt(float64(max(o.Pairs, 1)))
}

// plus is the offset of a clock against a third one, over a second: o is that
// of the second against the third, p of the first against the second.
func (o Offset) plus(p Offset) Offset {
	sum := Offset{Shift: o.Shift + p.Shift, Spread: int64(math.Hypot(float64(o.Spread), float64(p.Spread))), Drift: o.Drift + p.Drift, At: o.At, Pairs: min(o.Pairs, p.Pairs)}
	if p.At != 0 {
		sum.Shift, sum.At = o.Of(p.At)+p.Shift, p.At
	}
	if o.Pairs == 0 { // o is a clock's offset against itself
		sum.Pairs = p.Pairs
	}
	sum.Zone = zoneMistake(sum.Shift)
	return sum
}

// reversed is the offset of A against B.
func (o Offset) reversed() Offset {
	o.Shift, o.Drift = -o.Shift, -o.Drift
	return o
}

// slope is the Theil-Sen estimate: the median of all pairwise slopes of B - A over A.
func slope(pairs []Pair) float64 {
	p := slices.Clone(pairs)
	slices.SortFunc(p, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	step := max(1, len(p)/slopeSize)
	n := (len(p) + step - 1) / step
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := 0; i < len(p); i += step {
		for j := i + step; j < len(p); j += step {
			if dt := p[j].A - p[i].A; dt > 0 {
				slopes = append(slopes, float64((p[j].B-p[j].A)-(p[i].B-p[i].A))/float64(dt))
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	return median(slopes)
}

// slack is how far times may lie apart and still belong together: three
// spreads, a second of resolution and two of start-up, at least 5 s.
func (o Offset) slack() int64 {
	return max(3*o.Spread+3*second, 5*second)
}

// median takes the middle of v, which it puts into another order: sorting all of it would
// take many times as long.
func median(v []float64) float64 {
	n := len(v)
	high := nth(v, n/2)
	if n%2 == 1 {
		return high
	}
	return (slices.Max(v[:n/2]) + high) / 2
}

// nth moves the value that would stand at place k of the sorted v there, lower ones before it
// and higher ones behind (Hoare's selection, by the median of three).
func nth(v []float64, k int) float64 {
	for lo, hi := 0, len(v)-1; lo < hi; {
		pivot := max(min(v[lo], v[lo+(hi-lo)/2]), min(max(v[lo], v[lo+(hi-lo)/2]), v[hi]))
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
