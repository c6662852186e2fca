package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/timeline/attribute"

	"github.com/spf13/cobra"
)

func newClocks(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "clocks",
		Short: "Compare the sensors' clocks: offset, spread, drift, zone",
		Long: `Compare the clocks of the sources by the flows that several of them saw (at least
20, each once), and with the inventory by tool calls that name a destination (at
least 5). Offsets are used in comparisons only; recorded times stay as they are.
Sources of one sensor are taken to share a clock unless they differ by more than
5 s. The reference is the clock that needs no zone to be read, and of several the
one that shares most. Offsets of a multiple of 15 minutes, half an hour or more,
are called a zone mistake.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			inv, err := c.Inventory()
			if err != nil {
				return err
			}
			k, err := readClocks(cmd.Context(), c, &inv)
			if err != nil {
				return err
			}
			out := a.rows("clock", "sources", "path", "offset", "spread", "drift_ppm", "pairs", "reference", "calls", "zone", "verdict")
			for _, row := range k.rows() {
				if err := out.add(row...); err != nil {
					return err
				}
			}
			return out.close()
		},
	}
}

// rows has one for each clock, and one for each source that differs from it; path
// is that of the first source.
func (k *clockwork) rows() [][]any {
	var out [][]any
	place := map[string]int{}
	for i, r := range k.readings {
		s := &k.sources[i]
		row := []any{r.Clock, 1, s.Path, nil, nil, nil, r.Shared, r.Reference, r.Anchored, s.Zone, k.verdict(i)}
		if o, ok := k.offset(i); ok || r.Known {
			row[3], row[4], row[5] = secondsText(o.Shift), secondsText(o.Spread), number(strconv.FormatFloat(o.Drift, 'f', 1, 64))
		}
		key := fmt.Sprint(r.Clock, row[3], s.Zone)
		if n, known := place[key]; known {
			out[n][1] = out[n][1].(int) + 1
			continue
		}
		place[key] = len(out)
		out = append(out, row)
	}
	return out
}

// number is a number that is already formatted, in JSON as well.
type number string

func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// secondsText is nanoseconds as seconds with three decimals at the most.
func secondsText(ns int64) number {
	return number(firetrail.Seconds(time.Duration(ns).Round(time.Millisecond).Nanoseconds()))
}

// clockwork is what is known of the clocks of a case.
type clockwork struct {
	sources  []firetrail.Source
	readings []attribute.Reading // of each source
	trust    map[string]attribute.Trust
}

// readClocks compares the clocks of a case. It reads a sample of the events
// (see sharedFlows) and those to the destinations of at most 64 tool calls.
func readClocks(ctx context.Context, c *index.Case, inv *firetrail.Inventory) (*clockwork, error) {
	k := &clockwork{sources: c.Sources(), trust: map[string]attribute.Trust{}}
	var list []attribute.ClockSource
	names := map[string]bool{}
	for i, name := range clockNames(k.sources) {
		one := attribute.ClockSource{ID: k.sources[i].ID, Clock: name, Trust: trustOf(&k.sources[i])}
		list = append(list, one)
		names[one.Clock] = true
		k.trust[one.Clock] = max(k.trust[one.Clock], one.Trust)
	}
	seen := attribute.NewSightings(list)
	if len(names) > 1 {
		sampled, err := sharedFlows(ctx, c, k.sources, seen)
		if err == nil && sampled {
			err = secondLook(ctx, c, seen)
		}
		if err != nil {
			return nil, fmt.Errorf("compare clocks: %w", err)
		}
	}
	k.readings = seen.Readings()
	if err := k.anchor(ctx, c, inv); err != nil {
		return nil, fmt.Errorf("compare clocks with tool calls: %w", err)
	}
	return k, nil
}

// rotated is what rotation and compression put into a log's name or behind it:
// dates, times, numbers, endings.
var rotated = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[./_-]\d{4}-?\d\d-?\d\d([T_-]?\d\d[-:.]?\d\d([-:.]?\d\d)?Z?)?|\.\d\d:\d\d:\d\d-\d\d:\d\d:\d\d|([.-]\d+|\.(gz|zst|bz2|xz|old))+$`)
})

// unrotated is the name that all files of one log share.
func unrotated(name string) string {
	return cmp.Or(rotated().ReplaceAllString(name, ""), name)
}

// clockNames names what keeps each source's time: the sensor, else the folder of
// Zeek's logs, else the file, whatever rotation made of its name. Folders that all
// sources share are left out.
func clockNames(sources []firetrail.Source) []string {
	shared, names := "", make([]string, len(sources))
	for i := range sources {
		names[i] = strings.ReplaceAll(sources[i].Path, "!", "/")
		dir := names[i][:strings.LastIndexByte(names[i], '/')+1]
		if i == 0 {
			shared = dir
		}
		for !strings.HasPrefix(dir, shared) {
			shared = shared[:strings.LastIndexByte(shared[:len(shared)-1], '/')+1]
		}
	}
	for i := range sources {
		s, name := &sources[i], names[i][len(shared):]
		switch {
		case s.Sensor != "":
			names[i] = s.Sensor
		case !strings.HasPrefix(s.Format, "zeek"):
			names[i] = unrotated(name)
		case path.Dir(unrotated(name)) == ".":
			names[i] = "zeek"
		default:
			names[i] = "zeek in " + path.Dir(unrotated(name))
		}
	}
	return names
}

func trustOf(s *firetrail.Source) attribute.Trust {
	switch {
	case s.Zone == "" && strings.HasPrefix(s.Format, "zeek"):
		return attribute.TrustEpoch
	case s.Zone == "":
		return attribute.TrustAbsolute
	case strings.Contains(s.Zone, "assumed"):
		return attribute.TrustAssumed
	}
	return attribute.TrustNamed
}

// Bounds of the sample: events that are read, and stripes of the source ports;
// and of the second look at a clock that the sample had too little of.
const (
	sampleEvents = 1 << 18
	stripes      = 16
	firstPort    = 1024
	lastPort     = 65535
	secondEvents = 1 << 15
	secondPorts  = 64
)

// sharedFlows reads what the clocks may have in common: all events where they
// are few, else those from some of the source ports. Ports pick the same flows
// at every sensor, whatever their clocks say.
func sharedFlows(ctx context.Context, c *index.Case, sources []firetrail.Source, seen *attribute.Sightings) (sampled bool, err error) {
	total := int64(0)
	for i := range sources {
		total += sources[i].Counts.Events
	}
	q := firetrail.Between("src_port", "1", "65535")
	room := (lastPort - firstPort + 1) / stripes
	for width := room; total > sampleEvents; {
		sampled = true
		next := max(1, min(width-1, int(int64(width)*sampleEvents/total)))
		q = stripedPorts(next, room)
		n, err := c.Count(ctx, q)
		if err != nil {
			return sampled, err
		}
		if n <= sampleEvents || next == 1 {
			break
		}
		width, total = next, n
	}
	return sampled, sight(ctx, c, q, seen)
}

// flowFields are what tells a flow, and when it was.
var flowFields = []string{"time", "proto", "src_ip", "dst_ip", "src_port", "dst_port", "nat_src_ip", "nat_src_port", "nat_dst_ip", "nat_dst_port"}

// sight reads what a query selects, within the bounds of the sample.
func sight(ctx context.Context, c *index.Case, q firetrail.Query, seen *attribute.Sightings) error {
	n := 0
	for ev, err := range c.Events(ctx, q, flowFields...) {
		if err != nil {
			return err
		}
		seen.Add(ev)
		if n++; n == 2*sampleEvents || seen.Full() {
			break
		}
	}
	return nil
}

// secondLook compares the sources that the sample had too little of by source
// ports of their own.
func secondLook(ctx context.Context, c *index.Case, seen *attribute.Sightings) error {
	var sources, ports []firetrail.Query
	for _, r := range seen.Readings() {
		if !r.Known && len(sources) < maxDestinations {
			sources = append(sources, firetrail.Exactly("source", r.ID))
		}
	}
	if len(sources) == 0 {
		return nil
	}
	taken := map[int64]bool{}
	q := firetrail.And(firetrail.Or(sources...), firetrail.Between("src_port", strconv.Itoa(firstPort), strconv.Itoa(lastPort)))
	for ev, err := range c.Search(ctx, q, index.SearchOptions{Fields: []string{"src_port"}, Limit: secondEvents}) {
		if err != nil {
			return err
		}
		if !taken[ev.SrcPort] {
			taken[ev.SrcPort] = true
			ports = append(ports, firetrail.Exactly("src_port", strconv.FormatInt(ev.SrcPort, 10)))
		}
		if len(ports) == secondPorts {
			break
		}
	}
	return sight(ctx, c, firetrail.Or(ports...), seen)
}

// stripedPorts selects source ports: so many at the beginning of each stripe.
func stripedPorts(width, stripe int) firetrail.Query {
	var any []firetrail.Query
	for i := range stripes {
		low := firstPort + i*stripe
		any = append(any, firetrail.Between("src_port", strconv.Itoa(low), strconv.Itoa(low+width-1)))
	}
	return firetrail.Or(any...)
}

// Bounds of the comparison with tool calls.
const (
	maxDestinations = 64
	maxSessions     = 4000 // to one destination; one with more is always in use
)

// anchor compares the reference clocks with the inventory's.
func (k *clockwork) anchor(ctx context.Context, c *index.Case, inv *firetrail.Inventory) error {
	anchors := attribute.Anchors(*inv)
	bySource := map[string]int{}
	for i := range k.sources {
		bySource[k.sources[i].ID] = i
	}
	calls := map[string][]attribute.Anchored{} // by reference, an entry for each anchor
	for i := range k.readings {
		if ref := k.readings[i].Reference; calls[ref] == nil {
			calls[ref] = make([]attribute.Anchored, len(anchors))
			for n := range anchors {
				calls[ref][n].At = anchors[n].At
			}
		}
	}
	for _, group := range destinations(anchors) {
		events, err := sessionsTo(ctx, c, anchors, group)
		if err != nil {
			return err
		}
		for _, ev := range events {
			r := &k.readings[bySource[ev.Source]]
			at := ev.Time - r.Offset.Of(ev.Time)
			for _, n := range group {
				if a := &anchors[n]; slices.Contains(a.Sources, ev.SrcIP.Unmap()) && (a.Port == firetrail.Absent || a.Port == ev.DstPort) {
					calls[r.Reference][n].Seen = append(calls[r.Reference][n].Seen, at)
				}
			}
		}
	}
	for i := range k.readings {
		r := &k.readings[i]
		if o, n, ok := attribute.AnchorOffset(calls[r.Reference]); ok {
			r.Inventory, r.Anchored = o, n
		}
	}
	return nil
}

// destinations groups anchors by what they name, in order of the first call.
func destinations(anchors []attribute.Anchor) [][]int {
	place := map[string]int{}
	var out [][]int
	for i, a := range anchors {
		name := a.Host
		if a.Addr.IsValid() {
			name = a.Addr.String()
		}
		n, known := place[name]
		if !known {
			if len(out) == maxDestinations {
				continue
			}
			n = len(out)
			place[name] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

// sessionsTo reads the events from the anchors' addresses to their common
// destination, or none where there are too many to tell anything.
func sessionsTo(ctx context.Context, c *index.Case, anchors []attribute.Anchor, group []int) ([]firetrail.Event, error) {
	from := map[string]bool{}
	var sources []firetrail.Query
	for _, n := range group {
		for _, ip := range anchors[n].Sources {
			if s := ip.String(); !from[s] && len(from) < maxDestinations {
				from[s] = true
				sources = append(sources, firetrail.Exactly("src_ip", s))
			}
		}
	}
	first := &anchors[group[0]]
	to := firetrail.Exactly("host", first.Host)
	if first.Addr.IsValid() {
		to = firetrail.Exactly("dst_ip", first.Addr.String())
	}
	var out []firetrail.Event
	opt := index.SearchOptions{Fields: []string{"time", "src_ip", "dst_port"}, Limit: maxSessions + 1}
	for ev, err := range c.Search(ctx, firetrail.And(to, firetrail.Or(sources...)), opt) {
		if err != nil {
			return nil, err
		}
		if len(out) == maxSessions {
			return nil, nil
		}
		if ev.Time != firetrail.Absent {
			out = append(out, *ev)
		}
	}
	return out, nil
}

// offset is how far a source runs ahead of the inventory, or of the reference
// where nothing compares that with the inventory; ok is false where it is in step,
// not known, or too vague to be used.
func (k *clockwork) offset(i int) (o attribute.Offset, ok bool) {
	r := &k.readings[i]
	if r.Known && !r.Offset.InStep() && !r.Offset.Vague() {
		o, ok = r.Offset, true
	}
	if r.Anchored > 0 && !r.Inventory.InStep() && !k.naiveCalls(r) {
		ok = true
		o.Shift += r.Inventory.Shift
		o.Spread = max(o.Spread, r.Inventory.Spread)
		o.Pairs = max(o.Pairs, r.Anchored)
		o.Zone = o.Zone || r.Inventory.Zone
	}
	if !ok && r.Known {
		return r.Offset, false
	}
	return o, ok
}

// naiveCalls reports that it is the tool calls whose zone is mistaken: the
// sensors' times need none.
func (k *clockwork) naiveCalls(r *attribute.Reading) bool {
	return r.Inventory.Zone && k.trust[r.Reference] >= attribute.TrustAbsolute
}

// offsets are the corrections for comparisons, by source.
func (k *clockwork) offsets() map[string]attribute.Offset {
	out := map[string]attribute.Offset{}
	for i := range k.readings {
		if o, ok := k.offset(i); ok {
			out[k.sources[i].ID] = o
		}
	}
	return out
}

// sure reports a source whose zone was compared with a clock that needs none.
func (k *clockwork) sure(i int) bool {
	r := &k.readings[i]
	return r.Known && !r.Offset.Vague() && k.trust[r.Reference] >= attribute.TrustAbsolute || r.Anchored > 0
}
