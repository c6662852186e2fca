package main

import (
	"fmt"
	"strings"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"

	"github.com/spf13/cobra"
)

// defaultFields are what a table of events shows.
var defaultFields = []string{"time", "kind", "sensor", "action", "src_ip", "src_port", "dst_ip", "dst_port", "proto", "host", "bytes_out", "bytes_in", "rule"}

// queryFlags are the flags of commands that select events.
type queryFlags struct {
	since, until, now string
}

func (q *queryFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.since, "since", "", "only events from this `time` on")
	f.StringVar(&q.until, "until", "", "only events before this `time`")
	f.StringVar(&q.now, "now", "", "what relative times are measured from (default: the case's last event)")
}

// window is the bounds of --since, --until and --now, Absent where they are open;
// relative ones are measured from --now, else from the case's last event.
func (q *queryFlags) window(c *index.Case) (since, until, now int64, err error) {
	now = c.Last()
	if q.now != "" {
		if now, err = parseTime("--now", q.now); err != nil {
			return 0, 0, 0, err
		}
	}
	since, until = firetrail.Absent, firetrail.Absent
	if q.since != "" {
		if since, err = bound("--since", q.since, now); err != nil {
			return 0, 0, 0, err
		}
	}
	if q.until != "" {
		if until, err = bound("--until", q.until, now); err != nil {
			return 0, 0, 0, err
		}
	}
	if since != firetrail.Absent && until != firetrail.Absent && since >= until {
		return 0, 0, 0, fmt.Errorf("--until %q: it is not behind --since %q", q.until, q.since)
	}
	return since, until, now, nil
}

// bound reads a time as the query language writes it: a stamp, a date, or a
// duration before now such as -24h.
func bound(flag, value string, now int64) (int64, error) {
	low, _, err := query.Time(value, now)
	if err != nil {
		return 0, fmt.Errorf("%s %q: %w", flag, value, err)
	}
	return low, nil
}

func newSearch(a *app) *cobra.Command {
	var q queryFlags
	var fields, sort string
	var limit uint
	var explain bool
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Search events; exit 1 if there are none",
		Long:  "Search events.\n\n" + languageHelp(),
		Example: `  firetrail search 'src_ip:10.20.3.0/24 AND NOT dst_port:(80 OR 443) AND bytes_out:>1G'
  firetrail search 'host:*.pool.example time:>-24h' --fields time,src_ip,host --format csv`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			frugal(questionMemory)
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			expr, err := query.Parse(joinArgs(args))
			if err != nil {
				return err
			}
			opt := index.SearchOptions{Limit: int(limit)}
			if opt.Since, opt.Until, opt.Now, err = q.window(c); err != nil {
				return err
			}
			opt.Sort, opt.Desc = strings.CutPrefix(sort, "-")
			if explain {
				plan, err := c.Explain(cmd.Context(), expr, opt)
				if err != nil {
					return err
				}
				return plan.Print(a.stdout)
			}
			names := defaultFields
			if fields != "" {
				if names, err = fieldNames(fields); err != nil {
					return err
				}
			}
			return a.printEvents(cmd, c, expr, names, fields != "", opt)
		},
	}
	q.add(cmd)
	cmd.SetFlagErrorFunc(noFlag)
	cmd.Flags().StringVar(&fields, "fields", "", "`fields` to print, comma separated; x.NAME for the record's own")
	cmd.Flags().StringVar(&sort, "sort", "time", "`field` to sort by; -field for descending")
	cmd.Flags().UintVar(&limit, "limit", 0, "at most so many events (0: all)")
	cmd.Flags().BoolVar(&explain, "explain", false, "show the plan: blocks and rows read, times")
	a.completeBy(cmd, "fields", "sort")
	return cmd
}

// noFlag says of a query that begins with a dash why it was taken for a flag.
func noFlag(_ *cobra.Command, err error) error {
	if !strings.HasPrefix(err.Error(), "unknown") {
		return err
	}
	return fmt.Errorf("%w; a query that begins with - follows after --, or begins with NOT", err)
}

// fieldNames checks a list of field names.
func fieldNames(list string) ([]string, error) {
	names := strings.Split(list, ",")
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
		if err := query.Valued(names[i]); err != nil {
			return nil, fmt.Errorf("--fields %s: %w; see 'firetrail fields'", names[i], err)
		}
	}
	return names, nil
}

// printEvents writes events as rows; JSON has the whole event unless fields were named.
func (a *app) printEvents(cmd *cobra.Command, c *index.Case, expr firetrail.Query, names []string, named bool, opt index.SearchOptions) error {
	out := a.rows(names...)
	asJSON := out.format == "json" || out.format == "jsonl"
	if named || !asJSON {
		opt.Fields = names
	}
	var buf []byte
	for ev, err := range c.Search(cmd.Context(), expr, opt) {
		if err != nil {
			return err
		}
		if asJSON && !named {
			buf = firetrail.AppendJSON(buf[:0], ev)
			out.n++
			if err := out.line(buf); err != nil {
				return err
			}
			continue
		}
		values := make([]any, len(names))
		for i, n := range names {
			values[i] = a.value(ev, n, asJSON)
		}
		if err := out.add(values...); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if out.n == 0 {
		a.sayNothing(cmd.Context(), c, expr, opt)
		return exit(exitNothing)
	}
	return nil
}

// value is a field of an event for output: typed for JSON, text otherwise.
func (a *app) value(ev *firetrail.Event, name string, typed bool) any {
	if f, ok := firetrail.FieldNamed(name); ok && f.Int != nil {
		n := *f.Int(ev)
		switch {
		case n == firetrail.Absent:
			return nil
		case f.Type == firetrail.TypeTime && !typed:
			return a.stamp(n)
		case f.Type == firetrail.TypeTime:
			return firetrail.Stamp(n)
		case f.Type == firetrail.TypeDuration:
			return float64(n) / 1e9
		}
		return n
	}
	v, ok := ev.Value(name)
	if !ok {
		return nil
	}
	return v
}

// languageHelp prints the query language from its table.
func languageHelp() string {
	var b strings.Builder
	b.WriteString("The query language:\n\n")
	for _, f := range query.Doc {
		fmt.Fprintf(&b, "  %-18s %s\n  %-18s   %s\n", f.Form, f.Doc, "", f.Example)
	}
	b.WriteString("\nFields: see 'firetrail fields'; also")
	for _, e := range query.Extra {
		fmt.Fprintf(&b, " %s (%s)", e.Name, e.Doc)
	}
	return b.String() + "."
}
