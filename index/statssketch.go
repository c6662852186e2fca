package index

import (
	"math"
	"math/bits"
	"slices"
)

// maxExact is how many distinct values a group keeps before it goes over to a sketch.
const (
	maxExact  = 1 << 16
	maxValues = 1 << 13 // the same for percentiles, which repeat values
	maxHeld   = 1 << 23 // values of all groups of one worker
)

// distinct counts different 64-bit hashes: exactly up to maxExact, then by a
// HyperLogLog of 2^14 registers, whose standard error is 0.8 %. Which of the two
// it is depends on the values alone, not on their order.
type distinct struct {
	set       map[uint64]struct{}
	registers []uint8
}

const registerBits = 14

func (d *distinct) add(h uint64) {
	if d.registers != nil {
		d.register(h)
		return
	}
	if d.set == nil {
		d.set = map[uint64]struct{}{}
	}
	d.set[h] = struct{}{}
	if len(d.set) > maxExact {
		d.estimate()
	}
}

// estimate goes over to registers.
func (d *distinct) estimate() {
	d.registers = make([]uint8, 1<<registerBits)
	for h := range d.set {
		d.register(h)
	}
	d.set = nil
}

func (d *distinct) register(h uint64) {
	at := h >> (64 - registerBits)
	zeros := uint8(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1))) + 1
	d.registers[at] = max(d.registers[at], zeros)
}

func (d *distinct) merge(o *distinct) {
	if o.registers != nil && d.registers == nil {
		d.estimate()
	}
	for h := range o.set {
		d.add(h)
	}
	for i, r := range o.registers {
		d.registers[i] = max(d.registers[i], r)
	}
}

// count is the number of values. The estimate is that of Flajolet and others (2007),
// without its corrections, which matter for fewer values than maxExact only.
func (d *distinct) count() (n int64, exact bool) {
	if d.registers == nil {
		return int64(len(d.set)), true
	}
	sum := 0.0
	for _, r := range d.registers {
		sum += math.Ldexp(1, -int(r))
	}
	m := float64(len(d.registers))
	return int64(math.Round(0.7213 / (1 + 1.079/m) * m * m / sum)), false
}

// hashText is FNV-1a with the finisher of MurmurHash3, the same on every machine.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return hashInt(h)
}

func hashInt(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return max(h^h>>33, 1)
}

// quantiles keeps values for percentiles: all of them up to maxValues, then how many
// lie in each of the buckets that the sign, the exponent and the first 8 bits of the
// fraction of a float make: 0.4 % wide, so that a percentile is at most 0.2 % off.
type quantiles struct {
	values []float64
	counts []int64 // of the buckets from base on
	base   int
	n      int64
}

const bucketShift = 52 - 8

func (q *quantiles) add(f float64) {
	q.n++
	if q.counts != nil {
		q.count(bucketOf(f), 1)
		return
	}
	if q.values = append(q.values, f); len(q.values) > maxValues {
		q.estimate()
	}
}

// estimate goes over to buckets.
func (q *quantiles) estimate() {
	for _, f := range q.values {
		q.count(bucketOf(f), 1)
	}
	q.values = nil
}

func (q *quantiles) count(bucket int, n int64) {
	switch at := bucket - q.base; {
	case q.counts == nil:
		q.base, q.counts = bucket-256, make([]int64, 512)
	case at < 0:
		more := max(-at, len(q.counts)/2)
		q.base, q.counts = q.base-more, append(make([]int64, more, more+len(q.counts)), q.counts...)
	case at >= len(q.counts):
		q.counts = append(q.counts, make([]int64, max(at+1-len(q.counts), len(q.counts)/2))...)
	}
	q.counts[bucket-q.base] += n
}

func (q *quantiles) merge(o *quantiles) {
	if o.counts != nil && q.counts == nil {
		q.estimate()
	}
	for _, f := range o.values {
		q.add(f)
	}
	for i, n := range o.counts {
		if n > 0 {
			q.count(o.base+i, n)
			q.n += n
		}
	}
}

// bucketOf numbers buckets in the order of their values; 0 and its like are in 0.
func bucketOf(f float64) int {
	if f < 0 {
		return -bucketOf(-f)
	}
	return int(math.Float64bits(f) >> bucketShift)
}

// middle is the value that stands for a bucket.
func middle(b int) float64 {
	switch {
	case b == 0:
		return 0
	case b < 0:
		return -middle(-b)
	}
	return math.Float64frombits(uint64(b)<<bucketShift | 1<<(bucketShift-1))
}

// at is the value at a rank from 0 to 1: as DuckDB's quantile_cont, between the two
// nearest values in proportion, or a bucket's middle.
func (q *quantiles) at(rank float64) (f float64, ok, exact bool) {
	if q.n == 0 {
		return 0, false, true
	}
	if q.counts == nil {
		slices.Sort(q.values)
		at := rank * float64(len(q.values)-1)
		low := int(at)
		if low+1 == len(q.values) {
			return q.values[low], true, true
		}
		return q.values[low] + (at-float64(low))*(q.values[low+1]-q.values[low]), true, true
	}
	left := int64(rank * float64(q.n-1))
	for i, n := range q.counts {
		if left -= n; left < 0 {
			f = middle(q.base + i)
			break
		}
	}
	return f, true, false
}
