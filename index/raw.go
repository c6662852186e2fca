package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"firetrail"

	"golang.org/x/sync/errgroup"
)

var (
	// ErrNoSource is wrapped where a source is not in the case.
	ErrNoSource = errors.New("no such source")
	// ErrMoved is wrapped where a source cannot be read where it was.
	ErrMoved = errors.New("the source is not where it was")
	// ErrChanged is wrapped where a source no longer has the bytes that were taken in.
	ErrChanged = errors.New("the source has changed")
)

// rawStream is a source being read for records: those asked for one after the
// other mostly lie one behind the other. part holds the bytes of the part that was
// read and checked last.
type rawStream struct {
	mu     sync.Mutex
	source string
	sha    string // of the content it was opened for
	r      io.ReadCloser
	at     int64  // bytes of r that were read
	values []byte // chaining values of the source
	part   []byte
	index  int64 // of part, -1 none
}

// Raw reads the bytes of a record again from its source, without its line end,
// and checks that they lie in a part of the source that is as it was taken in.
func (c *Case) Raw(o firetrail.Origin) ([]byte, firetrail.Source, error) {
	c.raw.mu.Lock()
	defer c.raw.mu.Unlock()
	return c.readRecord(&c.raw, o)
}

// Record is the bytes of a record, or why they could not be read again.
type Record struct {
	Raw    []byte
	Source firetrail.Source
	Err    error
}

// Records reads many records as Raw does, those of one source in order of their offsets, so
// that compressed sources are read once, and several sources at a time. The result has one
// for each origin; the error is that of a context that ended.
func (c *Case) Records(ctx context.Context, origins []firetrail.Origin) ([]Record, error) {
	order := make([]int, len(origins))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(origins[a].Source, origins[b].Source), cmp.Compare(origins[a].Offset, origins[b].Offset), cmp.Compare(a, b))
	})
	out := make([]Record, len(origins))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for len(order) > 0 {
		n := 1
		for n < len(order) && origins[order[n]].Source == origins[order[0]].Source {
			n++
		}
		one := order[:n]
		order = order[n:]
		group.Go(func() error {
			s := rawStream{index: -1}
			defer s.close()
			for _, i := range one {
				if err := ctx.Err(); err != nil {
					return fmt.Errorf("read records: %w", err)
				}
				out[i].Raw, out[i].Source, out[i].Err = c.readRecord(&s, origins[i])
			}
			return nil
		})
	}
	return out, group.Wait()
}

// readRecord reads one record from a stream that may stand anywhere.
func (c *Case) readRecord(s *rawStream, o firetrail.Origin) ([]byte, firetrail.Source, error) {
	t := c.view().byID[o.Source]
	if t == nil {
		return nil, firetrail.Source{}, fmt.Errorf("%w: %q", ErrNoSource, o.Source)
	}
	if o.Offset < 0 || o.Length < 0 || o.Length > t.Size || o.Offset > t.Size-o.Length {
		return nil, t.Source, fmt.Errorf("source %s has %d bytes, no record at %d+%d", t.ID, t.Size, o.Offset, o.Length)
	}
	raw := make([]byte, 0, o.Length)
	for at := o.Offset; at < o.Offset+o.Length; {
		part, err := c.part(s, t, at/partSize)
		if err != nil {
			return nil, t.Source, err
		}
		from := at % partSize
		n := min(o.Offset+o.Length-at, int64(len(part))-from)
		if n <= 0 {
			return nil, t.Source, fmt.Errorf("%s: %w: it ends at %d", t.Path, ErrChanged, at)
		}
		raw = append(raw, part[from:from+n]...)
		at += n
	}
	return raw, t.Source, nil
}

// part reads one part of a source and checks it.
func (c *Case) part(s *rawStream, t *taken, index int64) ([]byte, error) {
	if s.source == t.ID && s.sha == t.SHA256 && s.index == index {
		return s.part, nil
	}
	if s.r == nil || s.source != t.ID || s.sha != t.SHA256 || s.at > index*partSize {
		if err := c.openRaw(s, t); err != nil {
			return nil, err
		}
	}
	s.index = -1
	if err := s.skip(index * partSize); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", t.Path, ErrChanged, err)
	}
	s.part = make([]byte, min(partSize, t.Size-index*partSize))
	n, err := io.ReadFull(s.r, s.part)
	s.at += int64(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", t.Path, ErrChanged, err)
	}
	changed := false
	if err := sameParts(&t.Source, s.values, index, s.part, func(int64) { changed = true }); err != nil {
		return nil, err
	}
	if changed {
		return nil, fmt.Errorf("%s: %w between bytes %d and %d; see 'firetrail verify'", t.Path, ErrChanged, index*partSize, index*partSize+int64(len(s.part)))
	}
	s.index = index
	return s.part, nil
}

func (c *Case) openRaw(s *rawStream, t *taken) error {
	s.close()
	values, err := c.valuesOf(t)
	if err != nil {
		return err
	}
	r, err := c.reopen(t)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	s.source, s.sha, s.r, s.values, s.at, s.index = t.ID, t.SHA256, r, values, 0, -1
	return nil
}

// skip moves forward to an offset.
func (s *rawStream) skip(to int64) error {
	if seeker, ok := s.r.(io.Seeker); ok {
		if _, err := seeker.Seek(to, io.SeekStart); err != nil {
			return err
		}
		s.at = to
		return nil
	}
	n, err := io.CopyN(io.Discard, s.r, to-s.at)
	s.at += n
	return err
}

func (s *rawStream) close() {
	if s.r != nil {
		s.r.Close()
	}
	s.r, s.source, s.index = nil, "", -1
}
