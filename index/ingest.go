package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firetrail"
	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

// IngestOptions say how sources are taken in. The zero value is good.
type IngestOptions struct {
	parsers.Options
	Stdin       io.Reader      // what "-" means
	Workers     int            // sources and row groups worked on at a time; 0: GOMAXPROCS
	MemoryLimit int64          // bytes that the collected events of a source may take before they are written; 0: 96 MiB
	CommitEvery int64          // bytes of a source, decompressed, after which what was read of it is committed; 0: 1 GiB
	Progress    func(Progress) // called now and then from one goroutine, and at the end
	Unlogged    bool           // the caller says in the custody log what was taken in
}

const (
	// defaultMemory is the bound of the collected events of a source: where a segment
	// is cut short depends on it.
	defaultMemory = 96 << 20
	defaultCommit = 1 << 30
)

// Progress is how far an ingest has come.
type Progress struct {
	Path    string // of a source that is being read, or what is done in the end
	Bytes   int64  // decompressed ones that were read
	Events  int64
	Records int64
	Done    int64 // bytes of the inputs, as they lie on disk, that are done with
	Total   int64 // of all inputs, 0 while that is not known, as of standard input
	Elapsed time.Duration
}

// Status of a source after an ingest.
const (
	StatusNew     = "new"     // taken in
	StatusKnown   = "known"   // its content was in the case already
	StatusGrown   = "grown"   // what was added since the last time was taken in
	StatusEmpty   = "empty"   // nothing in it
	StatusRefused = "refused" // could not be read, or no format reads it: see Err
)

// SourceReport is what became of one input.
type SourceReport struct {
	firetrail.Source        // as it stands in the case now; only Path where it is not in it
	Status           string // one of the Status constants
	Added            firetrail.Counts
	Err              error // why it was refused or only taken in partly
}

// Ingested is what became of all inputs, sorted by path.
type Ingested struct {
	Sources []SourceReport
	Skipped []parsers.SkippedError // files in folders and archives that are no logs
	Totals  firetrail.Counts       // of what was added
	Bytes   int64                  // decompressed bytes read
	Elapsed time.Duration

	Unmerged error // why small segments were not merged, as where the disk is full; the next ingest tries again
}

// Partial reports whether some input was unreadable, broken off or quarantined.
func (i *Ingested) Partial() bool {
	return slices.ContainsFunc(i.Sources, func(s SourceReport) bool { return s.Err != nil || s.Added.Rejected > 0 })
}

// ingest is the state of one call of Ingest.
type ingest struct {
	c       *Case
	opt     IngestOptions
	workers int
	slots   chan *encoder // who has one may use a core
	began   time.Time

	mu     sync.Mutex // guards what follows
	state  *state
	flight map[string][]*intake // sources on their way, by their keys
	short  int                  // of them, those that are shorter than a key may be
	next   int                  // number of the next bundle

	bytes, done, total, events, records atomic.Int64
	path                                atomic.Pointer[string]
}

// Ingest takes in files, folders, archives and "-" (standard input). Content
// that the case has already adds nothing; a file that grew adds what is new.
// Bad records are quarantined and bad sources reported: the error is for what
// stops the whole (the case cannot be written, ctx ended). What was committed
// until then stays.
func (c *Case) Ingest(ctx context.Context, paths []string, opt IngestOptions) (Ingested, error) {
	if err := c.acquire(); err != nil {
		return Ingested{}, err
	}
	defer c.unlock()
	st, err := c.writerState()
	if err != nil {
		return Ingested{}, err
	}
	in, err := newIngest(c, st, opt)
	if err != nil {
		return Ingested{}, err
	}
	stop := in.report()
	res, err := in.all(ctx, paths)
	if err == nil {
		in.path.Store(&merging)
		res.Unmerged = in.compact(ctx)
		err = ctx.Err()
	}
	if err != nil || res.Unmerged != nil { // perhaps the disk is full
		err = errors.Join(err, c.tidyStaging())
	}
	stop()
	c.show(st)
	if len(res.Sources) > 0 && !opt.Unlogged {
		err = errors.Join(err, c.Log(CustodyEntry{Action: "ingest", Args: paths, Text: res.summary()}))
	}
	return res, err
}

var merging = "merging small segments"

// newIngest is an ingest into a case of which st is the state.
func newIngest(c *Case, st *state, opt IngestOptions) (*ingest, error) {
	in := &ingest{c: c, opt: opt, workers: opt.Workers, state: st, flight: map[string][]*intake{}, began: time.Now()}
	if in.workers <= 0 {
		in.workers = runtime.GOMAXPROCS(0)
	}
	in.opt.MemoryLimit = cmp.Or(max(opt.MemoryLimit, 0), defaultMemory)
	in.opt.CommitEvery = cmp.Or(max(opt.CommitEvery, 0), defaultCommit)
	in.slots = make(chan *encoder, in.workers)
	for range in.workers {
		e, err := newEncoder()
		if err != nil {
			return nil, err
		}
		in.slots <- e
	}
	return in, nil
}

// summary is one line for the custody log.
func (i *Ingested) summary() string {
	n := map[string]int{}
	for _, s := range i.Sources {
		n[s.Status]++
	}
	return fmt.Sprintf("%d sources: %d new, %d grown, %d known, %d empty, %d refused; %d records: %d events, %d quarantined",
		len(i.Sources), n[StatusNew], n[StatusGrown], n[StatusKnown], n[StatusEmpty], n[StatusRefused],
		i.Totals.Records, i.Totals.Events, i.Totals.Rejected)
}

// all takes in the inputs in the order of their paths, some bundles at a time.
func (in *ingest) all(ctx context.Context, paths []string) (Ingested, error) {
	var res Ingested
	inputs, err := in.inputs(ctx, paths, &res)
	if err != nil {
		return res, err
	}
	reports := make([]SourceReport, len(inputs))
	tell := func(t *intake, r SourceReport) { reports[t.index] = r }
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(in.workers)
	next := in.newBundle()
	send := func() {
		if b := next; len(b.sources) > 0 {
			next = in.newBundle()
			g.Go(func() error { return b.run(gctx, tell) })
		}
	}
	for i := range inputs {
		t := &intake{candidate: inputs[i], in: in, index: i}
		if t.head, err = readHead(t.input); err != nil {
			reports[i] = refused(t.input.Path, err)
			t.passed(t.input.Stored)
			continue
		}
		for b := in.meets(t); b != nil && gctx.Err() == nil; b = in.meets(t) {
			if b == next {
				send()
			}
			select {
			case <-b.done:
			case <-gctx.Done():
			}
		}
		if gctx.Err() != nil {
			break
		}
		if !next.fits(t) {
			send()
		}
		next.join(t)
	}
	if gctx.Err() == nil {
		send()
	}
	err = g.Wait()
	if err == nil {
		err = ctx.Err()
	}
	for _, r := range reports {
		if r.Status != "" {
			res.Sources = append(res.Sources, r)
		}
	}
	slices.SortStableFunc(res.Sources, func(a, b SourceReport) int { return strings.Compare(a.Path, b.Path) })
	for _, r := range res.Sources {
		res.Totals.Add(r.Added)
	}
	res.Bytes, res.Elapsed = in.bytes.Load(), time.Since(in.began)
	return res, err
}

func refused(path string, err error) SourceReport {
	status := StatusRefused
	if errors.Is(err, parsers.ErrEmpty) {
		status, err = StatusEmpty, nil
	}
	return SourceReport{Source: firetrail.Source{Path: path}, Status: status, Err: err}
}

// tidyFrom is how many dropped files are let lie.
const tidyFrom = 256

// writerState is the state to go on from, in a tidy case. One that this process has
// written itself is neither read again nor tidied each time: who follows logs writes
// every second. The caller holds the lock.
func (c *Case) writerState() (*state, error) {
	if st := c.mine; st != nil && st.untidy < tidyFrom && c.isLatest(st) {
		return st, c.tidyStaging()
	}
	st, err := loadState(c.dir)
	if err != nil {
		return nil, err
	}
	if err := c.tidy(st); err != nil {
		return nil, err
	}
	c.mine = st
	return st, nil
}

// isLatest reports whether nobody has committed anything since.
func (c *Case) isLatest(st *state) bool {
	info, err := os.Stat(filepath.Join(c.dir, manifestName))
	return err == nil && info.Size() == st.end
}

// tidyReplaced tidies what this process's own writing has left, unless another writes.
func (c *Case) tidyReplaced() error {
	st := c.mine
	if st == nil || st.untidy == 0 || c.lock != nil || c.acquire() != nil {
		return nil
	}
	defer c.unlock()
	if !c.isLatest(st) {
		return nil
	}
	return c.tidy(st)
}

// tidyStaging removes what a writer that was killed, or could not write, left in
// staging.
func (c *Case) tidyStaging() error {
	staging := filepath.Join(c.dir, "staging")
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("tidy case: %w", err)
	}
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return fmt.Errorf("tidy case: %w", err)
	}
	return nil
}

// tidy removes what a writer that was killed left behind: staged files, and
// files that were named but never committed. Files that no longer count are removed
// if nobody may be reading them.
func (c *Case) tidy(st *state) error {
	if err := c.checkCommits(st); err != nil {
		return err
	}
	if err := c.tidyStaging(); err != nil {
		return err
	}
	known := map[string]bool{}
	for name := range st.segments {
		known[name] = true
	}
	for id, t := range st.byID {
		known[id] = true
		for _, r := range t.rejects {
			known[r.Name] = true
		}
	}
	var dropped []string
	for _, folder := range []string{"segments", "flows", "blocks", "rejects", "sums", "spool"} {
		entries, err := os.ReadDir(filepath.Join(c.dir, folder))
		if errors.Is(err, fs.ErrNotExist) { // a copy of a case may have lost empty folders
			err = os.MkdirAll(filepath.Join(c.dir, folder), 0o700)
		}
		if err != nil {
			return fmt.Errorf("tidy case: %w", err)
		}
		for _, e := range entries {
			name, _, _ := strings.Cut(e.Name(), ".")
			path := filepath.Join(c.dir, folder, e.Name())
			switch {
			case known[name]:
			case st.was(name):
				dropped = append(dropped, path)
			default:
				if err := os.Remove(path); err != nil {
					return fmt.Errorf("tidy case: %w", err)
				}
			}
		}
	}
	st.untidy = 0
	if len(dropped) == 0 {
		return nil
	}
	c.show(st) // what this process sees is not among them
	return c.alone(func() error {
		for _, path := range dropped {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("tidy case: %w", err)
			}
		}
		return nil
	})
}

// report calls Progress until the returned function is called.
func (in *ingest) report() (stop func()) {
	if in.opt.Progress == nil {
		return func() {}
	}
	tell := func() {
		p := Progress{Bytes: in.bytes.Load(), Events: in.events.Load(), Records: in.records.Load(),
			Done: in.done.Load(), Total: in.total.Load(), Elapsed: time.Since(in.began)}
		if s := in.path.Load(); s != nil {
			p.Path = *s
		}
		in.opt.Progress(p)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(200 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				tell()
			case <-quit:
				tell()
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}
