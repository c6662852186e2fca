package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"
	"firetrail/tui"

	"github.com/spf13/cobra"
)

func newTUI(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tui",
		Short: "The terminal interface: incidents, their evidence, events and runs",
		Long: `Show the case in the terminal: incidents, the gravest first, down to the original
bytes of their evidence; events under any query, with counts over time; runs with
their addresses and tool calls. ? shows the keys of a screen. Nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isTerminal(a.stdin) || !isTerminal(a.stdout) {
				return errors.New("tui needs a terminal for input and output; in scripts use 'firetrail incidents' or 'firetrail search QUERY'")
			}
			if t := os.Getenv("TERM"); t == "dumb" || t == "" {
				return errors.New("tui needs a terminal that can place its cursor (TERM is dumb or empty); use 'firetrail incidents' or 'firetrail search QUERY'")
			}
			zone, err := time.LoadLocation(a.display)
			if err != nil {
				return err
			}
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			return tui.Run(cmd.Context(), caseStore{c}, tui.Options{Zone: zone, Env: a.environment()})
		},
	}
}

// environment is that of the process, with what --color asks for.
func (a *app) environment() []string {
	env := os.Environ()
	switch a.color {
	case "always":
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") })
		return append(env, "CLICOLOR_FORCE=1")
	case "never":
		return append(env, "NO_COLOR=1")
	}
	return env
}

// caseStore is a case as the screens see it.
type caseStore struct {
	*index.Case
}

func (s caseStore) Name() string {
	dir, err := filepath.Abs(s.Dir())
	if err != nil {
		dir = s.Dir()
	}
	return filepath.Base(dir)
}

func (caseStore) Parse(text string) (firetrail.Query, error) { return query.Parse(text) }

func (caseStore) Print(q firetrail.Query) string { return query.Print(q) }

func (s caseStore) Page(ctx context.Context, q firetrail.Query, p tui.Page) ([]firetrail.Event, error) {
	opt := index.SearchOptions{Fields: p.Fields, Sort: p.Sort, Desc: p.Desc, Offset: p.Offset, Limit: p.Limit}
	var list []firetrail.Event
	for ev, err := range s.Search(ctx, q, opt) {
		if err != nil {
			return nil, err
		}
		list = append(list, *ev)
		list[len(list)-1].X = slices.Clone(ev.X)
	}
	return list, nil
}

func (s caseStore) Histogram(ctx context.Context, q firetrail.Query, from, to int64, buckets int) ([]tui.Bucket, error) {
	list, err := s.Case.Histogram(ctx, q, from, to, buckets)
	out := make([]tui.Bucket, len(list))
	for i, b := range list {
		out[i] = tui.Bucket(b)
	}
	return out, err
}
