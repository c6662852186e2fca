package columns

import (
	"math"
	"slices"
)

// Columns that follow from others are not stored where they do: the end of a
// record that gives its start and duration, and the length of a record that is followed
// by one line end and the record of the next row. In a conn log of Zeek they would take
// an eighth of the segment.

// endFollows reports whether the end of every row is its time plus its duration.
func (g *Group) endFollows() bool {
	end, start, span := g.named("end"), g.named("time"), g.named("duration")
	if !end.used || !start.used || !span.used {
		return false
	}
	for i, t := range end.ints {
		if t != sum(start.ints[i], span.ints[i]) {
			return false
		}
	}
	return true
}

// sum adds numbers, absent if one of them is.
func sum(a, b int64) int64 {
	if a == absent || b == absent {
		return absent
	}
	return a + b
}

// lengths gives the lengths of rows that do not follow from the next row's offset,
// absent for the others. Those of the last row of each block are among them, so
// that a block can be read alone.
func (e *Encoder) lengths(lengths, offsets []int64) []int64 {
	e.scaled = append(e.scaled[:0], lengths...)
	for i := range lengths[:len(lengths)-1] {
		if (i+1)%BlockRows != 0 && offsets[i]+lengths[i]+1 == offsets[i+1] {
			e.scaled[i] = absent
		}
	}
	return e.scaled
}

// inUnits gives the numbers of a column as they are stored.
func (e *Encoder) inUnits(c *column) []int64 {
	if c.Unit == 1 {
		return c.ints
	}
	e.scaled = slices.Grow(e.scaled[:0], len(c.ints))[:len(c.ints)]
	for i, t := range c.ints {
		switch { // divisions by constants are multiplications
		case t == absent:
		case c.Unit == 1e3:
			t /= 1e3
		default:
			t /= 1e6
		}
		e.scaled[i] = t
	}
	return e.scaled
}

// follows reports whether values of a column follow from others in a row group.
func (s *Segment) follows(column, group int) bool {
	switch s.columns[column].Name {
	case "length":
		return s.meta.groups[group].chunks[column].nulls > 0
	case "end":
		return s.ends[group]
	}
	return false
}

// derive completes a column of the block whose values follow from others.
func (r *Reader) derive(column int) (*Vector, error) {
	c := &r.cols[column]
	if c.derived == r.block+1 {
		return &c.vec, nil
	}
	make := r.endsOf
	if r.seg.columns[column].Name == "length" {
		make = r.lengthsOf
	}
	ints, err := make(column, c.ints[:0])
	if err != nil {
		return nil, err
	}
	c.ints, c.derived = ints, r.block+1
	c.vec = Vector{Type: Int, Rows: len(ints), ints: ints}
	return &c.vec, nil
}

// endsOf gives the ends of the block's rows.
func (r *Reader) endsOf(_ int, ints []int64) ([]int64, error) {
	start, err := r.Vector(r.seg.byName["time"])
	if err != nil {
		return nil, err
	}
	span, err := r.Vector(r.seg.byName["duration"])
	if err != nil {
		return nil, err
	}
	spans := span.Ints()
	for i, t := range start.Ints() {
		ints = append(ints, sum(t, spans[i]))
	}
	return ints, nil
}

// lengthsOf gives the lengths of the block's rows.
func (r *Reader) lengthsOf(column int, ints []int64) ([]int64, error) {
	stored, err := r.stored(column)
	if err != nil {
		return nil, err
	}
	offset, err := r.Vector(r.seg.byName["offset"])
	if err != nil {
		return nil, err
	}
	offsets := offset.Ints()
	ints = append(ints, stored.Ints()...)
	for i, n := range ints {
		if n != absent {
			continue
		}
		if i+1 == len(ints) {
			return nil, corrupt(r.seg.file.Name(), "the last length of block %d is missing", r.block)
		}
		ints[i] = offsets[i+1] - offsets[i] - 1
	}
	return ints, nil
}

// endBounds gives bounds of the ends of a block that follow from times and durations.
func (s *Segment) endBounds(block int) (low, high int64, ok bool, err error) {
	low, high, ok, err = s.Bounds(s.byName["time"], block)
	if err != nil || !ok {
		return 0, 0, false, err
	}
	short, long, ok, err := s.Bounds(s.byName["duration"], block)
	if err != nil || !ok {
		return 0, 0, false, err
	}
	low, high = low+short, high+long
	if high < low || long > 0 && high < long-math.MaxInt64 {
		return math.MinInt64, math.MaxInt64, true, nil // beyond 64 bits
	}
	return low, high, true, nil
}
