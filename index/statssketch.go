package index

import (
	"math"
	"math/bits"
	"slices"
)

const (
	maxExact  = 1 << 20 // distinct values that a group keeps before it goes over to a sketch
	maxValues = 1 << 13 // the same for percentiles, which repeat values
)

// distincts counts the different 64-bit hashes of each group: exactly up to maxExact, then
// by a HyperLogLog of 2^14 registers, whose standard error is 0.8 %. Which of the two it is
// depends on a group's values alone, not on their order.
type distincts struct {
	slots    []uint32 // entry+1, 0 is free; the length is a power of two
	hashes   []uint64 // of each entry
	groups   []uint32
	counts   []uint32  // of each group, its entries
	sketch   []uint32  // of each group, the place of its registers, plus 1; 0: exact
	sketches [][]uint8 // registers
	settled  int       // entries that are in the registers of their groups
}

const registerBits = 14

// add adds a value to a group.
func (d *distincts) add(group uint32, hash uint64) {
	for int(group) >= len(d.counts) {
		d.counts, d.sketch = append(d.counts, 0), append(d.sketch, 0)
	}
	if s := d.sketch[group]; s != 0 {
		register(d.sketches[s-1], hash)
		return
	}
	if 2*len(d.hashes) >= len(d.slots) {
		d.grow()
	}
	mask := uint64(len(d.slots) - 1)
	at := place(group, hash) & mask
	for d.slots[at] != 0 {
		if e := d.slots[at] - 1; d.hashes[e] == hash && d.groups[e] == group {
			return
		}
		at = (at + 1) & mask
	}
	d.hashes, d.groups = append(d.hashes, hash), append(d.groups, group)
	d.slots[at] = uint32(len(d.hashes))
	if d.counts[group]++; d.counts[group] > maxExact {
		d.estimate(group)
	}
}

func place(group uint32, hash uint64) uint64 {
	hash ^= uint64(group) * 0x9e3779b97f4a7c15
	return hash ^ hash>>32
}

func (d *distincts) grow() {
	n := max(1024, 2*len(d.slots))
	d.slots = make([]uint32, n)
	for e, hash := range d.hashes {
		at := place(d.groups[e], hash) & uint64(n-1)
		for d.slots[at] != 0 {
			at = (at + 1) & uint64(n-1)
		}
		d.slots[at] = uint32(e) + 1
	}
}

// estimate has a group go over to registers. Its entries get there when it is counted.
func (d *distincts) estimate(group uint32) []uint8 {
	if s := d.sketch[group]; s != 0 {
		return d.sketches[s-1]
	}
	r := make([]uint8, 1<<registerBits)
	d.sketches = append(d.sketches, r)
	d.sketch[group] = uint32(len(d.sketches))
	d.settled = 0
	return r
}

func register(registers []uint8, h uint64) {
	at := h >> (64 - registerBits)
	zeros := uint8(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1))) + 1
	registers[at] = max(registers[at], zeros)
}

// merge adds what others have counted: to says which group each of theirs is here, or noGroup.
func (d *distincts) merge(o *distincts, to []uint32) {
	for e, hash := range o.hashes {
		if g := to[o.groups[e]]; g != noGroup {
			d.add(g, hash)
		}
	}
	for group, s := range o.sketch {
		if s == 0 || to[group] == noGroup {
			continue
		}
		r := d.estimate(to[group])
		for i, n := range o.sketches[s-1] {
			r[i] = max(r[i], n)
		}
	}
}

// count is the number of values of a group. The estimate is that of Flajolet and others
// (2007), without its corrections, which matter for fewer values than maxExact only.
func (d *distincts) count(group uint32) (n int64, exact bool) {
	if int(group) >= len(d.counts) {
		return 0, true
	}
	s := d.sketch[group]
	if s == 0 {
		return int64(d.counts[group]), true
	}
	for ; d.settled < len(d.hashes); d.settled++ {
		if s := d.sketch[d.groups[d.settled]]; s != 0 {
			register(d.sketches[s-1], d.hashes[d.settled])
		}
	}
	sum := 0.0
	for _, r := range d.sketches[s-1] {
		sum += math.Ldexp(1, -int(r))
	}
	m := float64(len(d.sketches[s-1]))
	return int64(math.Round(0.7213 / (1 + 1.079/m) * m * m / sum)), false
}

func (d *distincts) size() int {
	return 4*(cap(d.slots)+cap(d.groups)+cap(d.counts)+cap(d.sketch)) + 8*cap(d.hashes) + len(d.sketches)<<registerBits
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

// add adds a value and says by how many the values that are held have grown.
func (q *quantiles) add(f float64) int {
	q.n++
	if q.counts != nil {
		q.count(bucketOf(f), 1)
		return 0
	}
	if q.values = append(q.values, f); len(q.values) > maxValues {
		q.estimate()
		return len(q.counts) - maxValues
	}
	return 1
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
