package index

import (
	"context"
	"errors"

	"firetrail"
)

// Bucket counts the events of an interval of time.
type Bucket struct {
	Start, End int64 // [Start, End)
	Count      int64
	Denied     int64 // of them, those that the sensor refused
}

// MaxBuckets bounds the buckets of a histogram.
const MaxBuckets = 100_000

// Histogram counts the dated events that q selects in equal buckets of [from, to).
// The last bucket may be shorter. The sum of the counts is the number of dated hits
// in the interval, exactly.
func (c *Case) Histogram(ctx context.Context, q firetrail.Query, from, to int64, buckets int) ([]Bucket, error) {
	if to <= from || buckets <= 0 || buckets > MaxBuckets {
		return nil, errors.New("a histogram needs an interval and 1 to 100000 buckets")
	}
	width := (to - from + int64(buckets) - 1) / int64(buckets)
	out := make([]Bucket, (to-from+width-1)/width)
	for i := range out {
		out[i].Start = from + int64(i)*width
		out[i].End = min(out[i].Start+width, to)
	}
	within := firetrail.Between("time", firetrail.Stamp(from), firetrail.Stamp(to))
	within.Excl[1] = true
	type counts [][2]int64
	err := c.scan(ctx, firetrail.And(within, q), SearchOptions{}, func() scanner {
		n := make(counts, len(out))
		return scanner{state: n, block: func(t *tester, block int, m *mask) error {
			return countTimes(t, m, n, from, width)
		}}
	}, func(w scanner, _ *Plan) {
		for i, n := range w.state.(counts) {
			out[i].Count += n[0]
			out[i].Denied += n[1]
		}
	})
	return out, err
}

// countTimes adds the rows of a block to their buckets.
func countTimes(t *tester, m *mask, n [][2]int64, from, width int64) error {
	times, refused, err := timesOf(t)
	if err != nil {
		return err
	}
	m.rows(func(row int) {
		at := &n[(times[row]-from)/width]
		at[0]++
		at[1] += int64(refused(row))
	})
	return nil
}
