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
// pauses between its events, and not what the sensor does every day: quiet for
// most of the same hours on most of the other days. It is asked of sensors and of
// sources with 500 events or more; a bucket of the count is the precision.
const (
	silenceEvents  = 500
	silenceLeast   = 10 * int64(time.Minute)
	silenceFactor  = 10
	silenceBuckets = 50_000
	finest         = int64(time.Second)
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

// sensorSources are the dated sources of one clock.
type sensorSources struct {
	name    string
	sources []firetrail.Source
}

// bySensor puts the dated sources of one clock together, in order of its name.
func bySensor(sources []firetrail.Source) []sensorSources {
	var out []sensorSources
	for i, name := range clockNames(sources) {
		if s := &sources[i]; s.First == firetrail.Absent || s.Counts.Events == 0 {
			continue
		}
		at, known := slices.BinarySearchFunc(out, name, func(g sensorSources, name string) int { return cmp.Compare(g.name, name) })
		if !known {
			out = slices.Insert(out, at, sensorSources{name: name})
		}
		out[at].sources = append(out[at].sources, sources[i])
	}
	return out
}

// silences counts a sensor's events in equal buckets and lists its silent times,
// and those of single sources of it while the others went on.
func silences(ctx context.Context, c *index.Case, group sensorSources) ([]firetrail.Gap, error) {
	from, to, events := group.sources[0].First, group.sources[0].Last, int64(0)
	for _, s := range group.sources {
		from, to, events = min(from, s.First), max(to, s.Last), events+s.Counts.Events
	}
	if events < silenceEvents || to-from < silenceLeast {
		return nil, nil
	}
	width := max(finest, (to-from)/silenceBuckets+1)
	all := counted{from: from, width: width, n: make([]int64, (to-from)/width+1)}
	var out, single []firetrail.Gap
	for i := range group.sources {
		s := &group.sources[i]
		first := (s.First - from) / width
		part := counted{from: from + first*width, width: width, n: make([]int64, (s.Last-from)/width-first+1)}
		buckets, err := c.Histogram(ctx, firetrail.Exactly("source", s.ID), part.from, part.from+int64(len(part.n))*width, len(part.n))
		if err != nil {
			return nil, err
		}
		for n, b := range buckets {
			part.n[n] = b.Count
			all.n[first+int64(n)] += b.Count
		}
		if len(group.sources) == 1 || s.Counts.Events < silenceEvents {
			continue
		}
		for _, g := range part.silent() {
			single = append(single, firetrail.Gap{Sensor: s.Sensor, Source: s.ID, Start: g.Start, End: g.End,
				Text: fmt.Sprintf("%s has no records for %s while others of %s went on", s.Path, spanText(g.End-g.Start), group.name)})
		}
	}
	whole := all.silent()
	for _, g := range whole {
		gap := firetrail.Gap{Sensor: group.name, Start: g.Start, End: g.End, Text: fmt.Sprintf("%s was silent for %s, far longer than its usual pauses", group.name, spanText(g.End-g.Start))}
		if s := &group.sources[0]; len(group.sources) == 1 {
			gap.Sensor, gap.Source = s.Sensor, s.ID
		}
		out = append(out, gap)
	}
	for _, g := range single {
		if !slices.ContainsFunc(whole, func(w firetrail.Interval) bool { return w.Start-width <= g.Start && g.End <= w.End+width }) {
			out = append(out, g)
		}
	}
	return out, nil
}

// counted are events in buckets of equal width.
type counted struct {
	from, width int64
	n           []int64
}

// silent lists the times that the rule of silence takes for gaps.
func (c *counted) silent() []firetrail.Interval {
	var pauses []int64 // in buckets, those longer than one
	var long []firetrail.Interval
	events, last := int64(0), 0
	for i, n := range c.n {
		if n == 0 {
			continue
		}
		if i-last > 1 && events > 0 {
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
	usual := int64(1) // the pause that 99 of 100 do not exceed
	if over := int(events-1) / 100; over < len(pauses) {
		usual = pauses[len(pauses)-1-over]
	}
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
