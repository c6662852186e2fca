package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
			return tui.Run(cmd.Context(), &caseStore{Case: c}, tui.Options{Zone: zone, Env: a.environment()})
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

// caseStore is a case as the screens see it. It remembers what it has counted of the
// latest queries, so that any page of them is found at once.
type caseStore struct {
	*index.Case
	mu    sync.Mutex
	views []countedQuery // the latest used last
}

type countedQuery struct {
	text string
	view *index.View
}

// mostViews are remembered: the screens of a stack, mostly.
const mostViews = 12

func (s *caseStore) Name() string {
	dir, err := filepath.Abs(s.Dir())
	if err != nil {
		dir = s.Dir()
	}
	return filepath.Base(dir)
}

func (*caseStore) Parse(text string) (firetrail.Query, error) { return query.Parse(text) }

func (*caseStore) Print(q firetrail.Query) string { return query.Print(q) }

func (s *caseStore) Time(text string) (int64, error) {
	low, _, err := query.Time(text, s.Last())
	return low, err
}

// view is what was counted of a query, nil where nothing was yet.
func (s *caseStore) view(q firetrail.Query) *index.View {
	text := query.Print(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.views, func(c countedQuery) bool { return c.text == text })
	if i < 0 {
		return nil
	}
	c := s.views[i]
	s.views = append(slices.Delete(s.views, i, i+1), c)
	return c.view
}

// counted is the view of a query, which is made where there is none.
func (s *caseStore) counted(ctx context.Context, q firetrail.Query) (*index.View, error) {
	if v := s.view(q); v != nil {
		return v, nil
	}
	v, err := s.View(ctx, q)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = append(s.views, countedQuery{query.Print(q), v})
	if len(s.views) > mostViews {
		s.views = slices.Delete(s.views, 0, 1)
	}
	return v, nil
}

func (s *caseStore) Page(ctx context.Context, q firetrail.Query, p tui.Page) ([]firetrail.Event, error) {
	opt := index.SearchOptions{Fields: p.Fields, Sort: p.Sort, Desc: p.Desc, Offset: p.Offset, Limit: p.Limit}
	v := s.view(q)
	if v == nil && (p.Sort != "" || p.Offset > 0) {
		var err error
		if v, err = s.counted(ctx, q); err != nil {
			return nil, err
		}
	}
	if v != nil {
		return v.Page(ctx, opt)
	}
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

func (s *caseStore) Overview(ctx context.Context, q firetrail.Query, buckets int) (tui.Overview, error) {
	v, err := s.counted(ctx, q)
	if err != nil {
		return tui.Overview{}, err
	}
	o := tui.Overview{Events: v.Events, Undated: v.Undated}
	for _, b := range v.Histogram(buckets) {
		o.Buckets = append(o.Buckets, tui.Bucket(b))
	}
	return o, nil
}

func (s *caseStore) Row(ctx context.Context, q firetrail.Query, at int64) (int64, error) {
	v, err := s.counted(ctx, q)
	if err != nil {
		return 0, err
	}
	return v.Row(ctx, at)
}

func (s *caseStore) Facets(ctx context.Context, q firetrail.Query, field string, limit int) (tui.Facets, error) {
	f, err := s.Case.Facets(ctx, q, field, limit)
	out := tui.Facets{Distinct: f.Distinct, Events: f.Events, None: f.None}
	for _, v := range f.Values {
		out.Values = append(out.Values, tui.Facet(v))
	}
	return out, err
}

func (s *caseStore) Complete(ctx context.Context, text string) (from int, list []string, err error) {
	return completions(ctx, s.Case, text)
}
