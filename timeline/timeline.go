// Package timeline puts things in order: findings into incidents and their
// phases, and all that happened into one sequence. It reads the root nouns,
// keeps recorded times as they are, and gives the same order for the same input.
package timeline

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"firetrail"
)

// Kinds of entries, in the order in which those of one instant are told.
const (
	KindGap     = "gap"
	KindRun     = "run"
	KindCall    = "call"
	KindEvent   = "event"
	KindFinding = "finding"
)

// Entry is one line of a timeline. Text may quote hostile text.
type Entry struct {
	Time int64 // as recorded; Absent entries come first
	Kind string
	Text string
	Ref  string // id of the event, finding or run; file:line of a call; sensor of a gap
}

// Compare is the total order of entries: time, kind, reference, text.
func Compare(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Text, b.Text))
}

func rank(kind string) int {
	return slices.Index([]string{KindGap, KindRun, KindCall, KindEvent, KindFinding}, kind)
}

// Entries tells findings, runs, tool calls and coverage gaps in order. Starts
// and ends are entries of their own; an end that is not known has none.
func Entries(findings []firetrail.Finding, inv firetrail.Inventory, gaps []firetrail.Gap) []Entry {
	var out []Entry
	put := func(t int64, kind, ref, format string, args ...any) {
		out = append(out, Entry{t, kind, fmt.Sprintf(format, args...), ref})
	}
	for i := range findings {
		f := &findings[i]
		who := ""
		if f.Run != nil {
			who = fmt.Sprintf(" [run %s, %s]", f.Run.ID, firetrail.Probability(f.Run.Probability))
		}
		put(f.Start, KindFinding, f.ID, "%s %s: %s%s", f.Severity, f.Detector, f.Title, who)
		if f.End > f.Start && !f.Open {
			put(f.End, KindFinding, f.ID, "%s ends", f.Detector)
		}
	}
	for i := range inv.Runs {
		r := &inv.Runs[i]
		if r.Start != firetrail.Absent {
			put(r.Start, KindRun, r.ID, "run %s begins%s", r.ID, on(r))
		}
		if r.End != firetrail.Absent {
			put(r.End, KindRun, r.ID, "run %s ends%s", r.ID, state(r))
		}
	}
	for i := range inv.Calls {
		c := &inv.Calls[i]
		if c.Start != firetrail.Absent {
			put(c.Start, KindCall, fmt.Sprintf("%s:%d", c.Source, c.Line), "run %s calls %s", c.Run, strings.TrimSpace(c.Tool+" "+clip(c.Args)))
		}
	}
	for _, g := range gaps {
		put(g.Start, KindGap, g.Sensor, "%s: %s", g.Sensor, g.Text)
		if g.Start != firetrail.Absent && g.End > g.Start {
			put(g.End, KindGap, g.Sensor, "%s: records again", g.Sensor)
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// maxText is how much of a call's arguments an entry quotes, in runes.
const maxText = 160

func clip(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i] + "…"
		}
	}
	return s
}

func on(r *firetrail.Run) string {
	var names []string
	for _, l := range r.Leases {
		if n := cmp.Or(l.Host, l.Name, firetrail.AddrText(l.IP)); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return ""
	}
	if len(names) > 4 {
		return fmt.Sprintf(" on %d hosts", len(names))
	}
	return " on " + list(names)
}

func state(r *firetrail.Run) string {
	if r.State == "" {
		return ""
	}
	return " (" + r.State + ")"
}

// EventEntry tells one event.
func EventEntry(ev *firetrail.Event) Entry {
	var b strings.Builder
	word := func(s string) {
		if s != "" {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(s)
		}
	}
	word(ev.Kind)
	word(ev.Action)
	word(ev.Proto)
	word(endpoint(firetrail.AddrText(ev.SrcIP), ev.SrcPort))
	if ev.DstIP.IsValid() {
		word("->")
		word(endpoint(firetrail.AddrText(ev.DstIP), ev.DstPort))
	}
	word(ev.Host)
	word(ev.Rule)
	return Entry{ev.Time, KindEvent, b.String(), ev.ID()}
}

func endpoint(addr string, port int64) string {
	switch {
	case port == firetrail.Absent:
		return addr
	case strings.Contains(addr, ":"):
		return fmt.Sprintf("[%s]:%d", addr, port)
	}
	return fmt.Sprintf("%s:%d", addr, port)
}

// Events turns events in their total order into entries.
func Events(events iter.Seq2[*firetrail.Event, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for ev, err := range events {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(EventEntry(ev), nil) {
				return
			}
		}
	}
}

// Sequence gives sorted entries as a sequence for Merge.
func Sequence(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Merge makes one ordered sequence of several that are ordered by time, with
// one entry of each in memory; those of one instant come in the order of
// Compare as far as each sequence gives them so. It ends with the first error.
func Merge(seqs ...iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		type head struct {
			entry Entry
			next  func() (Entry, error, bool)
		}
		var heads []head
		for _, s := range seqs {
			next, stop := iter.Pull2(s)
			defer stop()
			e, err, ok := next()
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if ok {
				heads = append(heads, head{e, next})
			}
		}
		for len(heads) > 0 {
			best := 0
			for i := range heads {
				if Compare(heads[i].entry, heads[best].entry) < 0 {
					best = i
				}
			}
			if !yield(heads[best].entry, nil) {
				return
			}
			e, err, ok := heads[best].next()
			switch {
			case err != nil:
				yield(Entry{}, err)
				return
			case ok:
				heads[best].entry = e
			default:
				heads = slices.Delete(heads, best, best+1)
			}
		}
	}
}
