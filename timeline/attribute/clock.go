package attribute

import (
	"math"
	"slices"
)

// Pair is one thing that two clocks saw: nanoseconds by clock A and by clock B,
// both of the same instant of it (a flow's first packet, never a record's
// writing). A shared flow gives a pair only if it is the only one of its
// five-tuple within 15 minutes.
type Pair struct {
	A, B int64
}

// Offset says how far clock B runs ahead of clock A. It is used in comparisons
// only: recorded times are never changed.
type Offset struct {
	Shift  int64   // median of B - A, nanoseconds
	Spread int64   // 1.4826 times the median absolute deviation
	Drift  float64 // Theil-Sen slope, parts per million
	Pairs  int
	Zone   bool // a mistaken zone or daylight saving, not a clock that runs wrong
}

const (
	second    = int64(1e9)
	minute    = 60 * second
	hour      = 60 * minute
	quarter   = 15 * minute
	minPairs  = 20
	slopeSize = 400 // pairs used for the drift: its cost is quadratic
)

// Estimate computes the offset from at least 20 pairs; ok is false for fewer.
// The median is robust against mistaken pairs up to half of them. An offset
// of half an hour or more that lies within 5 s of a multiple of 15 minutes is
// called a mistake of the zone.
func Estimate(pairs []Pair) (o Offset, ok bool) {
	o.Pairs = len(pairs)
	if len(pairs) < minPairs {
		return o, false
	}
	d := make([]float64, len(pairs))
	for i, p := range pairs {
		d[i] = float64(p.B - p.A)
	}
	mid := median(slices.Clone(d))
	for i := range d {
		d[i] = math.Abs(d[i] - mid)
	}
	o.Shift, o.Spread = int64(math.Round(mid)), int64(math.Round(1.4826*median(d)))
	o.Drift = slope(pairs) * 1e6
	rest := o.Shift % quarter
	rest = min(abs(rest), quarter-abs(rest))
	o.Zone = abs(o.Shift) >= 30*minute-5*second && rest <= 5*second
	return o, true
}

// slope is the Theil-Sen estimate: the median of all pairwise slopes of B - A over A.
func slope(pairs []Pair) float64 {
	p := slices.Clone(pairs)
	slices.SortFunc(p, func(a, b Pair) int {
		switch {
		case a.A != b.A && a.A < b.A, a.A == b.A && a.B < b.B:
			return -1
		case a == b:
			return 0
		}
		return 1
	})
	step := max(1, len(p)/slopeSize)
	var slopes []float64
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

// median orders v and takes its middle.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
