package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"firetrail"
	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

// headSize is how much of a source its fingerprint covers.
const headSize = 64 << 10

// intake takes in one source.
type intake struct {
	candidate
	in    *ingest
	b     *bundle
	index int    // among the inputs
	head  []byte // its first headSize bytes

	base   *taken      // the source it continues, nil if it is new
	file   os.FileInfo // of the file that is read, nil for what is no plain file
	values []byte      // chaining values of what is known of it

	id    string           // "" until the first part of a new source is committed
	from  int64            // bytes that are committed
	drop  []string         // files that the next commit drops
	now   standing         // of what was read so far
	facts []firetrail.Fact // that are not committed yet
	tail  *tail            // of the source, nil while no record is unfinished
	next  int64            // bytes of the source at which it is committed next
	done  int64            // bytes of the input, as it lies on disk, that were passed
	until int64            // bytes of which no more than a part that is to be made again has, 0: to the end
}

// readHead reads the first bytes of an input; a source that breaks off within
// them is no error yet.
func readHead(it parsers.Input) ([]byte, error) {
	r, err := it.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := int64(headSize)
	if it.Size >= 0 {
		size = min(size, it.Size+1)
	}
	head := make([]byte, size)
	n, err := io.ReadFull(r, head)
	if n == len(head) && n < headSize { // it has grown since
		more := make([]byte, headSize-n)
		k, _ := io.ReadFull(r, more)
		return append(head, more[:k]...), nil
	}
	if n == 0 && err != nil && err != io.EOF {
		return nil, fmt.Errorf("read source: %w", err)
	}
	return head[:n], nil
}

// run takes the source in, up to the commit of its bundle. The error is for what
// stops the whole ingest; what is wrong with the source is in the report.
func (t *intake) run(ctx context.Context) (SourceReport, error) {
	t.in.path.Store(&t.input.Path)
	defer t.passed(t.input.Stored)
	known, err := t.recognise(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return SourceReport{}, ctx.Err()
		}
		return refused(t.input.Path, err), nil
	}
	if known {
		return t.seen(), nil
	}
	report, err := t.take(ctx)
	if err == nil && report.Err == nil && t.id != "" {
		t.in.c.read.note(t.input.Path, t.file, t.id)
	}
	return report, err
}

// open opens the source where its reading begins, with the sum of what lies before
// and the state in which its records go on.
func (t *intake) open() (src io.ReadCloser, sum *sourceSum, state *parsers.State, err error) {
	if t.base == nil {
		src, err = t.input.Open()
		t.file = plainFile(src)
		return src, newSourceSum(), nil, err
	}
	s := t.base.last.State
	first := s.From() / partSize
	if sum, err = sumBehind(t.values[:first*valueLen]); err != nil {
		return nil, nil, nil, err
	}
	if src, err = t.input.Open(); err != nil {
		return nil, nil, nil, err
	}
	t.file = plainFile(src)
	if err = skipTo(src, first*partSize); err != nil {
		src.Close()
		return nil, nil, nil, err
	}
	return src, sum, &s, nil
}

// skipTo moves a stream that has just been opened forward.
func skipTo(r io.Reader, offset int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(offset, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, offset)
	return err
}

func (t *intake) options() parsers.Options { return t.input.Options(t.in.opt.Options) }

// reader makes the parser of the source: a new one, or one that goes on.
func (t *intake) reader(a *readAhead, state *parsers.State) (*parsers.Reader, error) {
	if state == nil {
		return parsers.NewReader(a, t.options())
	}
	if _, err := io.CopyN(io.Discard, a, state.From()%partSize); err != nil {
		return nil, err
	}
	return parsers.Resume(a, t.options(), *state)
}

// parsed is a batch on its way, with the mark behind it where the source is to be
// committed there.
type parsed struct {
	batch *parsers.Batch
	mark  *mark
}

// take reads the source through a pipeline: read and hash, parse, collect by
// column (with row groups encoded on the side).
func (t *intake) take(ctx context.Context) (SourceReport, error) {
	src, sum, state, err := t.open()
	if err != nil {
		return refused(t.input.Path, err), ctx.Err()
	}
	defer src.Close()
	g, gctx := errgroup.WithContext(ctx)
	ahead := newReadAhead(gctx, g, t.pass(src, sum.size), sum, &t.b.spare, &t.in.bytes)
	rd, err := t.reader(ahead, state)
	if err != nil {
		ahead.stop()
		if werr := g.Wait(); ctx.Err() != nil {
			return SourceReport{}, errors.Join(ctx.Err(), werr)
		}
		return refused(t.input.Path, err), nil
	}
	r := t.start(rd)
	full := make(chan parsed, batches-1)
	var problem error
	g.Go(func() error {
		defer close(full)
		problem = t.parse(gctx, rd, ahead, full)
		ahead.stop()
		return gctx.Err()
	})
	g.Go(func() error { return t.collect(full) })
	if err := g.Wait(); err != nil {
		return SourceReport{}, err
	}
	defer ahead.release()
	if t.until == 0 {
		r.Err = problem
		if c := t.commitAt(ahead.end(rd)); problem != nil {
			c.Source.Problem = problem.Error()
		}
	}
	r.Added = minus(t.now.Counts, r.Added)
	return r, nil
}

// start notes where the reading begins. Added of the report is what was known before.
func (t *intake) start(rd *parsers.Reader) SourceReport {
	r := SourceReport{Status: StatusNew}
	t.now = newStanding()
	if k := t.base; k != nil {
		r.Status, r.Added, t.now = StatusGrown, k.Counts, k.standing()
		t.id, t.from = k.ID, k.Size
		if k.last.Tail != nil {
			t.drop = k.last.Tail.Files
		}
	}
	if t.next = t.until; t.until > 0 {
		rd.Until(t.until)
	} else {
		t.next = rd.State().Offset + t.in.opt.CommitEvery
	}
	return r
}

// parse sends the batches of a source. Its error is the source's own.
func (t *intake) parse(ctx context.Context, rd *parsers.Reader, ahead *readAhead, full chan parsed) error {
	for {
		var p parsed
		select {
		case p.batch = <-t.b.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := rd.Next(p.batch)
		if err == io.EOF {
			t.b.free <- p.batch
			return nil
		}
		if end := p.batch.End; err == nil && end >= t.next && !p.batch.Unfinished {
			if m, ok := ahead.markAt(end, rd); ok {
				p.mark = &m
				t.next = end + t.in.opt.CommitEvery
			}
		}
		select {
		case full <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if t.until > 0 && p.mark != nil {
			return nil
		}
	}
}

// collect hands the batches to the files that are being written, and has the part
// committed that a mark ends.
func (t *intake) collect(full chan parsed) error {
	for p := range full {
		if err := t.add(p.batch); err != nil {
			return err
		}
		t.in.events.Add(int64(len(p.batch.Events)))
		t.in.records.Add(p.batch.Counts.Records)
		t.b.free <- p.batch
		if p.mark == nil || t.id == "" && t.in.holds(p.mark.id()) {
			continue // another source begins like this one: its id is that of a longer part
		}
		t.commitAt(*p.mark).More = true
		if err := t.b.cut(); err != nil {
			return err
		}
	}
	return nil
}

// add takes the records of a batch.
func (t *intake) add(b *parsers.Batch) error {
	if b.Unfinished && t.tail == nil {
		t.tail = &tail{Before: t.now}
	}
	t.now.add(b)
	t.facts = append(t.facts, b.Facts...)
	return t.b.writer.add(t, b)
}

// pass wraps the reading of the input: it tells how much of it is done with.
func (t *intake) pass(r io.Reader, at int64) io.Reader {
	p := &passing{t: t, r: r, at: at}
	p.stored, _ = r.(interface{ Stored() int64 })
	return p
}

// passed notes that so many bytes of the input, as it lies on disk, are done with.
func (t *intake) passed(stored int64) {
	if more := min(stored, t.input.Stored) - t.done; more > 0 {
		t.done += more
		t.in.done.Add(more)
	}
}

// passing is an input that is being read.
type passing struct {
	t      *intake
	r      io.Reader
	at     int64                       // bytes that were read
	stored interface{ Stored() int64 } // nil where they are those that lie on disk
}

func (p *passing) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.at += int64(n)
	if size := p.t.input.Size; p.stored != nil && size < 0 {
		p.t.passed(p.stored.Stored())
	} else if size > 0 {
		p.t.passed(int64(float64(p.at) / float64(size) * float64(p.t.input.Stored)))
	}
	return n, err
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
