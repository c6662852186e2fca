package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"firetrail"
	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

// headSize is how much of a source its fingerprint covers.
const headSize = 64 << 10

// intake takes in one source.
type intake struct {
	in    *ingest
	input parsers.Input
	head  []byte // its first headSize bytes
	key   string // sources with the same key are taken in one after the other
	stage string // prefix of its files in staging

	spool  string // copy of a stream that cannot be read again
	broken error  // why the copy is not complete

	base   *taken // the source it continues, nil if it is new
	skip   int64  // records that begin before are in the case already
	writer *sourceWriter
	clock  *parsers.Clock
	format string
}

// begin reads the head of the input. It waits while another input that begins
// alike is being read, since one may continue or repeat the other.
func (t *intake) begin(ctx context.Context) (err error) {
	if t.head, err = readHead(t.input); err != nil {
		return err
	}
	in := t.in
	t.key = string(t.head[:min(len(t.head), 512)])
	for {
		in.mu.Lock()
		wait := in.busy[t.key]
		if wait == nil {
			in.busy[t.key] = make(chan struct{})
			t.stage = filepath.Join(in.c.dir, "staging", fmt.Sprint(in.next))
			in.next++
			in.mu.Unlock()
			return nil
		}
		in.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *intake) done() {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	close(t.in.busy[t.key])
	delete(t.in.busy, t.key)
}

// readHead reads the first bytes of an input; a source that breaks off within
// them is no error yet.
func readHead(it parsers.Input) ([]byte, error) {
	r, err := it.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if n == 0 && err != nil && err != io.EOF {
		return nil, fmt.Errorf("read source: %w", err)
	}
	return head[:n], nil
}

// run takes the source in. The error is for what stops the whole ingest; what is
// wrong with the source is in the report.
func (t *intake) run(ctx context.Context) (SourceReport, error) {
	t.in.path.Store(&t.input.Path)
	known, err := t.recognise(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return SourceReport{}, ctx.Err()
		}
		return refused(t.input.Path, err), nil
	}
	if known {
		return t.seen()
	}
	report, err := t.take(ctx)
	if t.writer != nil {
		t.writer.abandon()
	}
	return report, err
}

// recognise compares the input with the sources of the case. known: all of it is in the
// case. Otherwise t.base is the source that it continues, if any.
func (t *intake) recognise(ctx context.Context) (known bool, err error) {
	t.in.mu.Lock()
	candidates := t.in.state.alike(t.head)
	t.in.mu.Unlock()
	if len(candidates) == 0 {
		return false, nil
	}
	r, err := t.input.Open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	h, size := sha256.New(), int64(0)
	for _, c := range candidates {
		n, err := io.CopyN(h, readerContext{ctx, r}, c.Size-size)
		size += n
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return false, err
		}
		if hex.EncodeToString(h.Sum(nil)) == c.SHA256 {
			t.base = c
		}
	}
	if t.base != nil {
		t.skip = t.base.Size
		if tail := t.base.last.Tail; tail != nil {
			t.skip = tail.Offset
		}
		n, _ := io.CopyN(io.Discard, r, t.base.Size-size+1)
		return size+n <= t.base.Size, nil
	}
	// A shorter copy of a source that has grown since.
	for _, c := range candidates {
		if c.Size > size && t.in.c.beginsWith(c, size, h.Sum(nil)) {
			t.base = c
			return true, nil
		}
	}
	return false, nil
}

// seen notes that a known source was met under another path.
func (t *intake) seen() (SourceReport, error) {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	r := SourceReport{Source: t.base.Source, Status: StatusKnown}
	r.Path = t.input.Path
	if t.input.Path == t.base.Path || slices.Contains(t.base.also, t.input.Path) {
		return r, nil
	}
	return r, t.in.state.commit(t.in.c.dir, commit{Source: t.base.Source, Also: t.input.Path})
}

// take reads the source through a pipeline: read and hash, parse, collect by
// column (with row groups encoded on the side), commit.
func (t *intake) take(ctx context.Context) (SourceReport, error) {
	src, err := t.input.Open()
	if err != nil {
		return refused(t.input.Path, err), nil
	}
	defer src.Close()
	g, gctx := errgroup.WithContext(ctx)
	ahead := newReadAhead(gctx, g, src, &t.in.bytes)
	opt := t.input.Options(t.in.opt.Options)
	rd, err := parsers.NewReader(ahead, opt)
	if err != nil {
		ahead.stop()
		if werr := g.Wait(); ctx.Err() != nil {
			return SourceReport{}, errors.Join(ctx.Err(), werr)
		}
		return refused(t.input.Path, err), nil
	}
	t.format, t.clock = rd.Format().Name, rd.Clock()
	t.writer = newSourceWriter(ctx, t)
	full := make(chan *parsers.Batch, 2)
	free := make(chan *parsers.Batch, 3)
	for range cap(free) {
		free <- new(parsers.Batch)
	}
	var problem error
	g.Go(func() error {
		defer close(full)
		problem = parse(gctx, rd, free, full)
		ahead.stop()
		return gctx.Err()
	})
	g.Go(func() error {
		for b := range full {
			if err := t.writer.add(b); err != nil {
				return err
			}
			t.in.events.Add(int64(len(b.Events)))
			t.in.records.Add(b.Counts.Records)
			free <- b
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return SourceReport{}, err
	}
	return t.finish(ahead, cmp.Or(problem, t.broken))
}

// parse sends the batches of a source. Its error is the source's own.
func parse(ctx context.Context, rd *parsers.Reader, free, full chan *parsers.Batch) error {
	for {
		var b *parsers.Batch
		select {
		case b = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := rd.Next(b)
		if err == io.EOF {
			return nil
		}
		select {
		case full <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// finish completes the files and commits them.
func (t *intake) finish(ahead *readAhead, problem error) (SourceReport, error) {
	w := t.writer
	sum, parts := ahead.sums.sums()
	size := ahead.sums.size
	if w.tail != nil && w.tail.Offset < 0 {
		w.tail.Offset = ahead.line
	}
	src := firetrail.Source{ID: sum[:16], First: firetrail.Absent, Last: firetrail.Absent}
	status := StatusNew
	e := commit{Head: sum}
	if t.base != nil {
		status, src, e.From = StatusGrown, t.base.Source, t.base.Size
		e.Head = t.base.last.Head
		if tail := t.base.last.Tail; tail != nil {
			e.Drop = tail.Files
		}
	}
	if headSum := sha256.Sum256(t.head); size > int64(len(t.head)) || t.base == nil {
		e.Head = hex.EncodeToString(headSum[:])
	}
	e.Start = startOf(t.head)
	added := minus(w.counts, src.Counts) // a source that grew is counted anew
	src.Path, src.Format, src.SHA256, src.Size = t.input.Path, t.format, sum, size
	src.Counts, src.Facts = w.counts, w.facts
	src.ModTime = firetrail.Absent
	if !t.input.ModTime.IsZero() {
		src.ModTime = t.input.ModTime.UnixNano()
	}
	src.Zone, src.Year = t.clock.Describe()
	if problem != nil {
		src.Problem = problem.Error()
	}
	first := 0
	if t.base != nil {
		first = t.base.files
	}
	if err := w.close(src.ID, first, parts, &e); err != nil {
		return SourceReport{}, err
	}
	src.First, src.Last = earliest(src.First, w.first), latest(src.Last, w.last)
	src.Sensor = w.sensorName(src.Sensor)
	e.Source, e.Read = src, kept(t.in.opt.Options)
	return SourceReport{Source: src, Status: status, Added: added, Err: problem}, t.commit(e)
}

func (t *intake) commit(e commit) error {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	if err := t.writer.publish(); err != nil {
		return err
	}
	return t.in.state.commit(t.in.c.dir, e)
}

// minus gives what was added to counts.
func minus(c, d firetrail.Counts) firetrail.Counts {
	return firetrail.Counts{Records: c.Records - d.Records, Events: c.Events - d.Events,
		Rejected: c.Rejected - d.Rejected, Headers: c.Headers - d.Headers, Other: c.Other - d.Other}
}

func earliest(a, b int64) int64 {
	if a == firetrail.Absent || b != firetrail.Absent && b < a {
		return b
	}
	return a
}

func latest(a, b int64) int64 { return max(a, b) } // Absent is the smallest number

// beginsWith reports whether the file of a source still begins with size bytes
// of that hash.
func (c *Case) beginsWith(k *taken, size int64, sum []byte) bool {
	r, err := c.reopen(k)
	if err != nil {
		return false
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.CopyN(h, r, size)
	return err == nil && n == size && string(h.Sum(nil)) == string(sum)
}

// readAhead reads and hashes a source on a goroutine of its own.
type readAhead struct {
	chunks chan []byte
	free   chan []byte
	quit   chan struct{}
	rest   []byte
	whole  []byte
	err    error // of the source, set before chunks is closed
	sums   *sumWriter
	line   int64 // where the last line begins
}

const aheadSize = 1 << 20

func newReadAhead(ctx context.Context, g *errgroup.Group, src io.Reader, count interface{ Add(int64) int64 }) *readAhead {
	a := &readAhead{chunks: make(chan []byte, 2), free: make(chan []byte, 4), quit: make(chan struct{}), sums: newSumWriter()}
	for range cap(a.free) {
		a.free <- nil
	}
	g.Go(func() error {
		defer close(a.chunks)
		for {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.quit:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
			if b == nil {
				b = make([]byte, aheadSize)
			}
			n, err := readSome(src, b[:aheadSize])
			if k := bytes.LastIndexByte(b[:n], '\n'); k >= 0 {
				a.line = a.sums.size + int64(k) + 1
			}
			a.sums.Write(b[:n])
			count.Add(int64(n))
			if n > 0 {
				select {
				case a.chunks <- b[:n]:
				case <-a.quit:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err != nil {
				a.err = err
				return nil
			}
		}
	})
	return a
}

// Read gives the bytes in order.
func (a *readAhead) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if a.whole != nil {
			a.free <- a.whole
			a.whole = nil
		}
		b, ok := <-a.chunks
		if !ok {
			return 0, cmp.Or(a.err, io.EOF)
		}
		a.rest, a.whole = b, b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the reading ahead if it has not ended.
func (a *readAhead) stop() { close(a.quit) }

// readerContext ends reading when the context ends.
type readerContext struct {
	ctx context.Context
	r   io.Reader
}

func (r readerContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// readSome fills at least half of b unless the source ends.
func readSome(src io.Reader, b []byte) (n int, err error) {
	for n < len(b)/2 && err == nil {
		var k int
		k, err = src.Read(b[n:])
		n += k
	}
	return n, err
}
