package index

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strconv"

	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

// A bundle is sources that one worker takes in, one after the other, and commits
// together: a large source alone, or small ones in the order of their paths. Small
// sources share segments, so that a hundred thousand of them do not become as many
// times three files, each made durable alone. Which sources share a bundle depends on
// the inputs only.
const (
	bundleSources = 512     // most sources
	bundleBytes   = 8 << 20 // of all sources, decompressed as far as that can be told
	smallSource   = 1 << 20 // a larger source has a bundle of its own
	expansion     = 10      // what a compressed log is taken to give
	batches       = 8       // on their way between the parser and the columns: together they fit a second-level cache
)

// bundle is one being taken in.
type bundle struct {
	in      *ingest
	ctx     context.Context // ends when a part cannot be committed
	side    *errgroup.Group // commits parts
	sources []*intake
	bytes   int64
	done    chan struct{} // closed when all is committed, or nothing will be

	stage  string // prefix of the files in staging
	staged int    // files in staging so far
	free   chan *parsers.Batch
	spare  [][]byte // memory of parts that were read
	writer *partWriter
	before chan error // tells how the commit of the part before ended, nil for the first
}

// size is how much a source is thought to hold.
func (t *intake) size() int64 {
	switch {
	case t.input.Size >= 0:
		return t.input.Size
	case t.spool != nil:
		return smallSource + 1 // a stream may be endless
	}
	return expansion * t.input.Stored
}

// fits reports whether a source may join.
func (b *bundle) fits(t *intake) bool {
	n := t.size()
	return len(b.sources) == 0 || n <= smallSource && len(b.sources) < bundleSources && b.bytes+n <= bundleBytes
}

func (b *bundle) add(t *intake) {
	t.b = b
	b.sources = append(b.sources, t)
	b.bytes += t.size()
	if t.size() > smallSource {
		b.bytes = bundleBytes // full
	}
}

// newBundle makes the next bundle of an ingest.
func (in *ingest) newBundle() *bundle {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := &bundle{in: in, done: make(chan struct{}), stage: filepath.Join(in.c.dir, "staging", strconv.Itoa(in.next))}
	in.next++
	return b
}

// run takes the sources in and commits them. tell is told what became of each. The
// error is for what stops the whole ingest.
func (b *bundle) run(ctx context.Context, tell func(*intake, SourceReport)) error {
	defer b.leave()
	b.side, b.ctx = errgroup.WithContext(ctx)
	b.free = make(chan *parsers.Batch, batches)
	for range cap(b.free) {
		b.free <- new(parsers.Batch)
	}
	b.writer = newPartWriter(b)
	defer func() { b.writer.abandon() }()
	reports := make([]SourceReport, len(b.sources))
	for i, t := range b.sources {
		var err error
		if reports[i], err = t.run(b.ctx); err != nil {
			return b.failed(err)
		}
	}
	if err := b.cut(); err != nil {
		return b.failed(err)
	}
	if err := b.side.Wait(); err != nil {
		return err
	}
	for i, t := range b.sources {
		if t.id != "" {
			b.in.mu.Lock()
			reports[i].Source = b.in.state.byID[t.id].Source
			b.in.mu.Unlock()
			if reports[i].Status == StatusKnown {
				reports[i].Path = t.input.Path
			}
		}
		tell(t, reports[i])
	}
	return nil
}

// failed waits for the parts on their way and gives the error that came first.
func (b *bundle) failed(err error) error {
	if serr := b.side.Wait(); serr != nil {
		return serr
	}
	return err
}

// cut commits what was taken in so far on the side, up to a place within a source,
// and begins the next part. A part is only committed when those before it are, and one
// at a time is on its way beside the one being written.
func (b *bundle) cut() error {
	if b.before != nil {
		if err := <-b.before; err != nil {
			return err
		}
	}
	w, done := b.writer, make(chan error, 1)
	b.before, b.writer = done, newPartWriter(b)
	b.side.Go(func() error {
		defer w.abandon()
		err := w.commit()
		done <- err
		return err
	})
	return nil
}

// Of two inputs with the same content always the same one is taken in, and one that
// continues another comes after it: so no source is begun while another is on its way
// that begins with all that is known of this one, or the other way round.

// meets finds a bundle on its way that has such a source, nil if there is none.
func (in *ingest) meets(t *intake) *bundle {
	in.mu.Lock()
	defer in.mu.Unlock()
	alike := func(list []*intake) *bundle {
		for _, o := range list {
			if n := min(len(o.head), len(t.head)); bytes.Equal(o.head[:n], t.head[:n]) {
				return o.b
			}
		}
		return nil
	}
	key := t.key()
	if b := alike(in.flight[key]); b != nil {
		return b
	}
	if len(key) == startSize && in.short == 0 {
		return nil // all keys have the same length
	}
	for k, list := range in.flight {
		if len(k) == len(key) {
			continue
		}
		if b := alike(list); b != nil {
			return b
		}
	}
	return nil
}

// key is the beginning by which sources on their way are found.
func (t *intake) key() string { return string(t.head[:min(len(t.head), startSize)]) }

// join adds a source to a bundle: it is on its way.
func (b *bundle) join(t *intake) {
	b.add(t)
	b.in.mu.Lock()
	defer b.in.mu.Unlock()
	key := t.key()
	b.in.flight[key] = append(b.in.flight[key], t)
	if len(key) < startSize {
		b.in.short++
	}
}

// leave ends the way of the bundle's sources.
func (b *bundle) leave() {
	b.in.mu.Lock()
	defer b.in.mu.Unlock()
	for _, t := range b.sources {
		key := t.key()
		list := slices.DeleteFunc(b.in.flight[key], func(o *intake) bool { return o == t })
		if b.in.flight[key] = list; len(list) == 0 {
			delete(b.in.flight, key)
		}
		if len(key) < startSize {
			b.in.short--
		}
		t.head = nil
	}
	close(b.done)
}
