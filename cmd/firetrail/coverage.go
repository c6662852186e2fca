package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/timeline/attribute"
)

// The rule of silence: a time without events is a gap in a sensor's coverage if
// it is at least ten minutes long, more than ten times as long as 99 of 100
// pauses between its busy minutes, and not what the sensor does every day: quiet
// for most of the same hours on most of the other days. Minutes, not events, are
// compared, so that a burst does not make all else look like silence. It is asked of
// sensors and of their logs with 500 events or more, rotated files taken together.
const (
	silenceEvents  = 500
	silenceLeast   = 10 * int64(time.Minute)
	silenceFactor  = 10
	silenceBuckets = 50_000 // longer times are counted in longer buckets than a minute
)

// gaps turns what sources say of their own completeness, and their silences,
// into gaps: sorted by sensor, source and start.
func gaps(ctx context.Context, c *index.Case, sources []firetrail.Source) ([]firetrail.Gap, error) {
	var out []firetrail.Gap
	for _, s := range sources {
		for _, f := range s.Facts {
			out = append(out, firetrail.Gap{Sensor: s.Sensor, Source: s.ID, Start: f.Time, End: f.Time, Text: fmt.Sprintf("%s:%d: %s", s.Path, f.Line, f.Text)})
		}
		if s.Problem != "" {
			out = append(out, firetrail.Gap{Sensor: s.Sensor, Source: s.ID, Start: s.Last, End: firetrail.Absent, Text: s.Path + " ended early: " + s.Problem})
		}
	}
	for _, group := range bySensor(sources) {
		found, err := silences(ctx, c, group)
		if err != nil {
			return nil, fmt.Errorf("look for silence: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// sensorLogs are the dated sources of one clock.
type sensorLogs struct {
	name    string
	sources []firetrail.Source
}

// bySensor puts the dated sources of one clock together, in order of its name.
func bySensor(sources []firetrail.Source) []sensorLogs {
	var out []sensorLogs
	for i, name := range clockNames(sources) {
		if s := &sources[i]; s.First == firetrail.Absent || s.Counts.Events == 0 {
			continue
		}
		at, known := slices.BinarySearchFunc(out, name, func(g sensorLogs, name string) int { return cmp.Compare(g.name, name) })
		if !known {
			out = slices.Insert(out, at, sensorLogs{name: name})
		}
		out[at].sources = append(out[at].sources, sources[i])
	}
	return out
}

// silences counts a sensor's events in equal buckets and lists its silent times,
// and those of single logs of it while the others went on.
func silences(ctx context.Context, c *index.Case, group sensorLogs) ([]firetrail.Gap, error) {
	from, to, events := group.sources[0].First, group.sources[0].Last, int64(0)
	for _, s := range group.sources {
		from, to, events = min(from, s.First), max(to, s.Last), events+s.Counts.Events
	}
	if events < silenceEvents || to-from < silenceLeast {
		return nil, nil
	}
	all := newCounted(from, to)
	logs := map[string]*counted{} // by the name without rotation
	var names []string
	for i := range group.sources {
		s := &group.sources[i]
		name := unrotated(s.Path)
		if logs[name] == nil {
			logs[name] = newCounted(from, to)
			names = append(names, name)
		}
		if err := logs[name].read(ctx, c, s); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	for _, name := range names {
		all.add(logs[name])
	}
	var out []firetrail.Gap
	whole := all.silent()
	for _, g := range whole {
		gap := firetrail.Gap{Sensor: group.name, Start: g.Start, End: g.End, Text: fmt.Sprintf("%s was silent for %s, far longer than its usual pauses", group.name, spanText(g.End-g.Start))}
		if s := &group.sources[0]; len(group.sources) == 1 {
			gap.Sensor, gap.Source = s.Sensor, s.ID
		}
		out = append(out, gap)
	}
	for i := 0; i < len(names) && len(names) > 1; i++ {
		for _, g := range logs[names[i]].silent() {
			if !slices.ContainsFunc(whole, func(w firetrail.Interval) bool { return w.Start <= g.End && g.Start <= w.End }) {
				out = append(out, firetrail.Gap{Sensor: group.name, Source: logs[names[i]].source(g), Start: g.Start, End: g.End,
					Text: fmt.Sprintf("%s has no records for %s while other logs of %s went on", names[i], spanText(g.End-g.Start), group.name)})
			}
		}
	}
	return out, nil
}

// counted are events in buckets of equal width.
type counted struct {
	from, width int64
	n           []int64
	sources     []*firetrail.Source
}

func newCounted(from, to int64) *counted {
	width := max(int64(time.Minute), (to-from)/silenceBuckets+1)
	return &counted{from: from, width: width, n: make([]int64, (to-from)/width+1)}
}

// read counts a source's events.
func (c *counted) read(ctx context.Context, store *index.Case, s *firetrail.Source) error {
	first := (s.First - c.from) / c.width
	n := (s.Last-c.from)/c.width - first + 1
	start := c.from + first*c.width
	buckets, err := store.Histogram(ctx, firetrail.Exactly("source", s.ID), start, start+n*c.width, int(n))
	for i, b := range buckets {
		c.n[first+int64(i)] += b.Count
	}
	c.sources = append(c.sources, s)
	return err
}

func (c *counted) add(o *counted) {
	for i, n := range o.n {
		c.n[i] += n
	}
}

// source is the one in which an interval begins, or after which it does.
func (c *counted) source(iv firetrail.Interval) string {
	best := c.sources[0]
	for _, s := range c.sources {
		if s.First <= iv.Start && (best.First > iv.Start || s.First > best.First) {
			best = s
		}
	}
	return best.ID
}

// silent lists the times that the rule of silence takes for gaps.
func (c *counted) silent() []firetrail.Interval {
	var pauses []int64 // in buckets, from one with events to the next
	var long []firetrail.Interval
	events, last := int64(0), 0
	for i, n := range c.n {
		if n == 0 {
			continue
		}
		if events > 0 {
			pauses = append(pauses, int64(i-last))
			if iv := (firetrail.Interval{Start: c.from + int64(last+1)*c.width, End: c.from + int64(i)*c.width}); iv.End-iv.Start >= silenceLeast {
				long = append(long, iv)
			}
		}
		events, last = events+n, i
	}
	if events < silenceEvents {
		return nil
	}
	slices.Sort(pauses)
	if len(pauses) == 0 {
		return nil
	}
	usual := pauses[len(pauses)-1-len(pauses)/100] // 99 of 100 are no longer
	var out []firetrail.Interval
	for _, iv := range long {
		if iv.End-iv.Start > silenceFactor*usual*c.width && !c.habit(iv, long) {
			out = append(out, iv)
		}
	}
	return out
}

// habit reports that most other days are quiet for most of the same hours.
func (c *counted) habit(iv firetrail.Interval, long []firetrail.Interval) bool {
	const day = 24 * int64(time.Hour)
	end := c.from + int64(len(c.n))*c.width
	days, quiet := 0, 0
	for shift := -(iv.Start - c.from) / day * day; iv.End+shift <= end; shift += day {
		if shift == 0 {
			continue
		}
		days++
		overlap := int64(0)
		for _, o := range long {
			overlap += max(0, min(o.End, iv.End+shift)-max(o.Start, iv.Start+shift))
		}
		if overlap*2 >= iv.End-iv.Start {
			quiet++
		}
	}
	return quiet > 0 && quiet*2 >= days
}

// observed are the intervals in which some sensor was logging, by the
// inventory's clock: only they count as observed time.
func observed(sources []firetrail.Source, gaps []firetrail.Gap, offsets map[string]attribute.Offset) []firetrail.Interval {
	var out []firetrail.Interval
	for i, name := range clockNames(sources) {
		s := &sources[i]
		if s.First == firetrail.Absent || s.Last <= s.First {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(gaps), func(g firetrail.Gap) bool {
			return g.Source != s.ID && (g.Source != "" || g.Sensor != name)
		})
		for _, iv := range attribute.Observed(s.First, s.Last, own) {
			o := offsets[s.ID]
			out = append(out, firetrail.Interval{Start: iv.Start - o.Of(iv.Start), End: iv.End - o.Of(iv.End)})
		}
	}
	slices.SortFunc(out, func(a, b firetrail.Interval) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	merged := out[:0]
	for _, i := range out {
		if n := len(merged); n > 0 && i.Start <= merged[n-1].End {
			merged[n-1].End = max(merged[n-1].End, i.End)
			continue
		}
		merged = append(merged, i)
	}
	return merged
}

// incomplete says why the results may lack something.
func incomplete(sources []firetrail.Source, undated int64) []string {
	var reasons []string
	for _, s := range sources {
		if s.Counts.Rejected > 0 {
			reasons = append(reasons, fmt.Sprintf("%s: %d of %d records were quarantined", s.Path, s.Counts.Rejected, s.Counts.Records))
		}
		if s.Problem != "" {
			reasons = append(reasons, s.Path+": ended early: "+s.Problem)
		}
	}
	if undated > 0 {
		reasons = append(reasons, fmt.Sprintf("%d events without a time were not judged", undated))
	}
	return reasons
}
