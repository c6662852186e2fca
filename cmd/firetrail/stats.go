package main

import (
	"strings"

	"firetrail/index"
	"firetrail/index/query"

	"github.com/spf13/cobra"
)

func newStats(a *app) *cobra.Command {
	var q queryFlags
	var by, agg, sort string
	var limit uint
	cmd := &cobra.Command{
		Use:   "stats [QUERY]",
		Short: "Count and sum events in groups",
		Long: `Count and sum events in groups. --by takes fields and time buckets, time(5m);
--agg takes count, sum(f), min(f), max(f), avg(f), distinct(f), median(f), p95(f) …
A distinct count or percentile with ~ in front is an estimate: counts beyond 1,048,576
values of a group are within 2 %, percentiles beyond 8,192 within 0.2 %. Any number of
groups can be counted with --limit; without it, 1,048,576 are the most.

` + languageHelp(),
		Example: "  firetrail stats 'action:denied' --by src_ip,dst_port --agg 'count,distinct(dst_ip)' --sort -count --limit 20",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			frugal(countingMemory)
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			expr, err := query.Parse(joinArgs(args))
			if err != nil {
				return err
			}
			opt := index.StatsOptions{By: split(by), Agg: split(agg), Sort: sort, Limit: int(limit), Memory: groupsMemory}
			if opt.Since, opt.Until, opt.Now, err = q.window(c); err != nil {
				return err
			}
			t, err := c.Stats(cmd.Context(), expr, opt)
			if err != nil {
				return err
			}
			out := a.rows(t.Columns...)
			for _, r := range t.Rows {
				values := make([]any, len(r))
				for i := range r {
					values[i] = a.statsCell(&r[i])
				}
				if err := out.add(values...); err != nil {
					return err
				}
			}
			return out.close()
		},
	}
	q.add(cmd)
	cmd.SetFlagErrorFunc(noFlag)
	cmd.Flags().StringVar(&by, "by", "", "`fields` to group by, comma separated; time(5m) for buckets")
	cmd.Flags().StringVar(&agg, "agg", "count", "`aggregates`, comma separated")
	cmd.Flags().StringVar(&sort, "sort", "", "`column` to sort by, -column for descending (default: time where --by begins with it, else the first aggregate, the largest first)")
	cmd.Flags().UintVar(&limit, "limit", 0, "at most so many groups (0: all)")
	a.completeBy(cmd, "by")
	return cmd
}

// split splits a list at the commas that stand outside parentheses.
func split(list string) []string {
	depth := 0
	parts := strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	})
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// statsCell is a cell for output: a number stays one unless it is an estimate.
func (a *app) statsCell(c *index.Cell) any {
	switch {
	case !c.Valid:
		return nil
	case c.Approx:
		return c.Text()
	case c.Type == index.CellInt:
		return c.Int
	case c.Type == index.CellFloat:
		return c.Float
	case c.Type == index.CellDuration:
		return float64(c.Int) / 1e9
	case c.Type == index.CellTime && a.output() == "table":
		return a.stamp(c.Int)
	}
	return c.Text()
}
