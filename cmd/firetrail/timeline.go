package main

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"
	"firetrail/timeline"

	"github.com/spf13/cobra"
)

// timelineFlags choose what the timeline tells.
type timelineFlags struct {
	queryFlags
	incident, run, around string
	margin                time.Duration
	limit                 uint
}

func newTimeline(a *app) *cobra.Command {
	var f timelineFlags
	cmd := &cobra.Command{
		Use:   "timeline [QUERY]",
		Short: "Everything in time order: events, findings, runs, tool calls, coverage gaps",
		Long: `Tell in time order what happened: findings, runs, tool calls and gaps in coverage,
and the events that QUERY selects (with --incident, the evidence of its findings).`,
		Example: "  firetrail timeline --incident i-1a2b3c4d5e6f\n  firetrail timeline --around 2026-03-01T02:31:00Z --window 5m 'src_ip:10.20.3.2'",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			return a.timeline(cmd, c, &f, joinArgs(args))
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.incident, "incident", "", "only this incident: its bounds, findings, evidence and run")
	fl.StringVar(&f.run, "run", "", "only this run, its findings and tool calls")
	fl.StringVar(&f.around, "around", "", "only about this `time`")
	fl.DurationVar(&f.margin, "window", 5*time.Minute, "how far about --around")
	fl.UintVar(&f.limit, "limit", 0, "at most so many entries (0: all)")
	return cmd
}

// timeline merges the entries that are asked for.
func (a *app) timeline(cmd *cobra.Command, c *index.Case, f *timelineFlags, text string) error {
	r, _, err := c.Results()
	if err != nil {
		return err
	}
	inv, err := c.Inventory()
	if err != nil {
		return err
	}
	low, high, _, err := f.bounds(c)
	if err != nil {
		return err
	}
	findings := r.Findings
	var evidence []timeline.Entry
	if f.incident != "" {
		i := incidentByID(&r, f.incident)
		if i == nil {
			return fmt.Errorf("no incident %q; see 'firetrail incidents'", f.incident)
		}
		findings = findingsOf(&r, i)
		evidence = proofs(findings)
		margin := int64(f.margin)
		low, high = i.Start-margin, i.End+margin
		if i.Run != nil && f.run == "" {
			f.run = i.Run.ID
		}
	}
	if f.run != "" {
		run, err := findRun(&inv, f.run)
		if err != nil {
			return err
		}
		inv = onlyRun(inv, run.ID)
		if f.incident == "" {
			findings = findingsOfRun(findings, run.ID)
		}
	}
	entries := append(timeline.Entries(findings, inv, r.Coverage), evidence...)
	events := timeline.Sequence(nil)
	if text != "" {
		expr, err := query.Parse(text)
		if err != nil {
			return err
		}
		events = timeline.Events(c.Search(cmd.Context(), expr, index.SearchOptions{Since: low, Until: high}))
	}
	return a.printTimeline(timeline.Merge(timeline.Sequence(sortEntries(entries)), events), low, high, int64(f.limit))
}

// bounds is the bounds of --since and --until, or those about --around.
func (f *timelineFlags) bounds(c *index.Case) (low, high, now int64, err error) {
	if f.around == "" {
		return f.queryFlags.window(c)
	}
	if f.since != "" || f.until != "" {
		return 0, 0, 0, errors.New("--around goes without --since and --until")
	}
	at, err := parseTime("--around", f.around)
	return at - int64(f.margin), at + int64(f.margin), at, err
}

// findingsOf are an incident's findings.
func findingsOf(r *firetrail.Results, i *firetrail.Incident) []firetrail.Finding {
	var out []firetrail.Finding
	for _, id := range i.Findings {
		if f := findingByID(r, id); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

func findingsOfRun(all []firetrail.Finding, run string) []firetrail.Finding {
	var out []firetrail.Finding
	for i := range all {
		if all[i].Run != nil && all[i].Run.ID == run {
			out = append(out, all[i])
		}
	}
	return out
}

// onlyRun keeps one run and its tool calls.
func onlyRun(inv firetrail.Inventory, id string) firetrail.Inventory {
	var out firetrail.Inventory
	for i := range inv.Runs {
		if inv.Runs[i].ID == id {
			out.Runs = append(out.Runs, inv.Runs[i])
		}
	}
	for i := range inv.Calls {
		if inv.Calls[i].Run == id {
			out.Calls = append(out.Calls, inv.Calls[i])
		}
	}
	return out
}

// proofs are the records that findings cite, as entries.
func proofs(findings []firetrail.Finding) []timeline.Entry {
	var out []timeline.Entry
	seen := map[string]bool{}
	for i := range findings {
		for k := range findings[i].Evidence {
			e := &findings[i].Evidence[k]
			if id := e.ID(); !seen[id] {
				seen[id] = true
				out = append(out, timeline.Entry{Time: e.Time, Kind: timeline.KindEvent, Ref: id, Text: fmt.Sprintf("%s:%d %s", e.Path, e.Line, strings.ReplaceAll(string(e.Raw), "\t", " "))})
			}
		}
	}
	return out
}

// printTimeline writes the entries between two times; an absent bound is open.
func (a *app) printTimeline(entries iter.Seq2[timeline.Entry, error], low, high, limit int64) error {
	out := a.rows("time", "kind", "ref", "text")
	for e, err := range entries {
		if err != nil {
			return err
		}
		if e.Time != firetrail.Absent && (low != firetrail.Absent && e.Time < low || high != firetrail.Absent && e.Time >= high) {
			continue
		}
		if limit > 0 && out.n == limit {
			break
		}
		if err := out.add(a.stamp(e.Time), e.Kind, e.Ref, e.Text); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if out.n == 0 {
		return exit(exitNothing)
	}
	return nil
}

func sortEntries(entries []timeline.Entry) []timeline.Entry {
	slices.SortFunc(entries, timeline.Compare)
	return entries
}
