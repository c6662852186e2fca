package attribute

import (
	"math"
	"slices"

	"firetrail"
)

// forever bounds intervals without a recorded end; firetrail.Absent, the least
// int64, already bounds those without a start.
const forever = math.MaxInt64

// spans is a fixed set of closed intervals sorted by start, with a search tree
// laid over the slice: the node of iv[lo:hi] is its middle, and top holds the
// latest end below each node. Overlaps are found in O(log n + found).
type spans struct {
	iv  []firetrail.Interval
	top []int64
}

// newSpans takes intervals sorted by start and keeps them.
func newSpans(iv []firetrail.Interval) spans {
	s := spans{iv: iv, top: make([]int64, len(iv))}
	s.build(0, len(iv))
	return s
}

func (s *spans) build(lo, hi int) int64 {
	if lo >= hi {
		return math.MinInt64
	}
	mid := lo + (hi-lo)/2
	s.top[mid] = max(s.iv[mid].End, s.build(lo, mid), s.build(mid+1, hi))
	return s.top[mid]
}

// overlap calls found with the index of every interval that shares an instant
// with [from, to], in order of start.
func (s *spans) overlap(from, to int64, found func(i int)) {
	s.visit(0, len(s.iv), from, to, found)
}

func (s *spans) visit(lo, hi int, from, to int64, found func(i int)) {
	if lo >= hi {
		return
	}
	mid := lo + (hi-lo)/2
	if s.top[mid] < from {
		return
	}
	s.visit(lo, mid, from, to, found)
	if s.iv[mid].Start > to {
		return
	}
	if s.iv[mid].End >= from {
		found(mid)
	}
	s.visit(mid+1, hi, from, to, found)
}

// add sums without running over the ends of time.
func add(t, d int64) int64 {
	switch {
	case t == firetrail.Absent || t == forever:
		return t
	case d > 0 && t > math.MaxInt64-d:
		return forever
	case d < 0 && t < math.MinInt64-d:
		return firetrail.Absent
	}
	return t + d
}

// union sorts intervals and joins those that are at most gap apart.
func union(iv []firetrail.Interval, gap int64) []firetrail.Interval {
	iv = slices.Clone(iv)
	slices.SortFunc(iv, compareIntervals)
	out := iv[:0]
	for _, v := range iv {
		if n := len(out); n > 0 && v.Start <= add(out[n-1].End, gap) {
			out[n-1].End = max(out[n-1].End, v.End)
			continue
		}
		out = append(out, v)
	}
	return out
}

// intersect cuts two unions with each other.
func intersect(a, b []firetrail.Interval) []firetrail.Interval {
	var out []firetrail.Interval
	for i, j := 0, 0; i < len(a) && j < len(b); {
		lo, hi := max(a[i].Start, b[j].Start), min(a[i].End, b[j].End)
		if lo <= hi {
			out = append(out, firetrail.Interval{Start: lo, End: hi})
		}
		if a[i].End < b[j].End {
			i++
		} else {
			j++
		}
	}
	return out
}

// subtract takes the union b out of the union a.
func subtract(a, b []firetrail.Interval) []firetrail.Interval {
	var out []firetrail.Interval
	j := 0
	for _, v := range a {
		for j < len(b) && b[j].End < v.Start {
			j++
		}
		at := v.Start
		for k := j; k < len(b) && b[k].Start <= v.End; k++ {
			if b[k].Start > at {
				out = append(out, firetrail.Interval{Start: at, End: b[k].Start})
			}
			at = max(at, b[k].End)
		}
		if at < v.End {
			out = append(out, firetrail.Interval{Start: at, End: v.End})
		}
	}
	return out
}

// length is the sum of the lengths of a union, in nanoseconds as a float, which
// cannot overflow.
func length(iv []firetrail.Interval) float64 {
	sum := 0.0
	for _, v := range iv {
		sum += float64(v.End) - float64(v.Start)
	}
	return sum
}

func compareIntervals(a, b firetrail.Interval) int {
	switch {
	case a.Start != b.Start && a.Start < b.Start:
		return -1
	case a.Start != b.Start:
		return 1
	case a.End < b.End:
		return -1
	case a.End > b.End:
		return 1
	}
	return 0
}
