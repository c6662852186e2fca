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

// quantiles keeps values for percentiles: all of them up to maxValues, then their
// numbers in buckets that grow by 1 %, so that a percentile is at most 0.5 % off.
type quantiles struct {
	values  []float64
	buckets map[int32]int64
	n       int64
}

const growth = 1.01

func (q *quantiles) add(f float64) {
	q.n++
	if q.buckets != nil {
		q.buckets[bucketOf(f)]++
		return
	}
	if q.values = append(q.values, f); len(q.values) > maxValues {
		q.estimate()
	}
}

func (q *quantiles) estimate() {
	q.buckets = map[int32]int64{}
	for _, f := range q.values {
		q.buckets[bucketOf(f)]++
	}
	q.values = nil
}

func (q *quantiles) merge(o *quantiles) {
	if o.buckets != nil && q.buckets == nil {
		q.estimate()
	}
	for _, f := range o.values {
		q.add(f)
	}
	for b, n := range o.buckets {
		q.buckets[b] += n
		q.n += n
	}
}

// bucketOf numbers buckets in the order of their values; 0 holds what is nearly 0.
func bucketOf(f float64) int32 {
	switch {
	case math.Abs(f) < 1e-9:
		return 0
	case f < 0:
		return -bucketOf(-f)
	}
	return int32(math.Floor(math.Log(f)/math.Log(growth))) + 5000 // 1e-9 is about -2083
}

// middle is the value that stands for a bucket.
func middle(b int32) float64 {
	switch {
	case b == 0:
		return 0
	case b < 0:
		return -middle(-b)
	}
	return math.Pow(growth, float64(b-5000)+0.5)
}

// at is the value at a rank from 0 to 1: as DuckDB's quantile_cont, between the two
// nearest values in proportion, or a bucket's middle.
func (q *quantiles) at(rank float64) (f float64, ok, exact bool) {
	if q.n == 0 {
		return 0, false, true
	}
	if q.buckets == nil {
		slices.Sort(q.values)
		at := rank * float64(len(q.values)-1)
		low := int(at)
		if low+1 == len(q.values) {
			return q.values[low], true, true
		}
		return q.values[low] + (at-float64(low))*(q.values[low+1]-q.values[low]), true, true
	}
	keys := make([]int32, 0, len(q.buckets))
	for b := range q.buckets {
		keys = append(keys, b)
	}
	slices.Sort(keys)
	left := int64(rank * float64(q.n-1))
	for _, b := range keys {
		if left -= q.buckets[b]; left < 0 {
			return middle(b), true, false
		}
	}
	return middle(keys[len(keys)-1]), true, false
}
