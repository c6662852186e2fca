package simulate

import (
	"math"
	"math/bits"
)

// random is a small deterministic generator (splitmix64): the same seed gives
// the same numbers everywhere. It is not for secrets.
type random struct{ state uint64 }

// newRandom makes a generator for one purpose; generators of different
// purposes do not disturb each other.
func newRandom(seed uint64, purpose ...uint64) *random {
	r := &random{mix(seed)}
	for _, p := range purpose {
		r.state = mix(r.state ^ mix(p+0x9e3779b97f4a7c15))
	}
	return r
}

// mix is the finaliser of splitmix64: a good hash of one number.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

// below is uniform in [0, n); n must be positive.
func (r *random) below(n int64) int64 {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

func (r *random) intn(n int) int { return int(r.below(int64(n))) }

// between is uniform in [lo, hi], both included.
func (r *random) between(lo, hi int64) int64 { return lo + r.below(hi-lo+1) }

// unit is uniform in [0, 1).
func (r *random) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

func (r *random) chance(p float64) bool { return r.unit() < p }

// normal is close to the standard normal distribution: the sum of four uniform
// numbers, which reaches to 3.4 standard deviations.
func (r *random) normal() float64 {
	v := r.next()
	sum := float64(v&0xffff) + float64(v>>16&0xffff) + float64(v>>32&0xffff) + float64(v>>48)
	return (sum/65536 - 2) * 1.7320508
}

// logNormal has the given median; sigma is the standard deviation of the logarithm.
func (r *random) logNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*r.normal())
}

// size is a log-normal count of at least 1.
func (r *random) size(median, sigma float64) int64 { return max(1, int64(r.logNormal(median, sigma))) }

// span is a log-normal duration of the given median in seconds, in nanoseconds.
func (r *random) span(median, sigma float64) int64 {
	return max(1000, int64(r.logNormal(median, sigma)*float64(second)))
}

// exponential is the time to the next of events that come once every mean nanoseconds.
func (r *random) exponential(mean float64) int64 {
	return int64(-math.Log(1-r.unit()) * mean)
}

// hexText is n hexadecimal digits.
func (r *random) hexText(n int) string { return r.text(n, "0123456789abcdef") }

// text is n characters of an alphabet.
func (r *random) text(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.intn(len(alphabet))]
	}
	return string(b)
}
