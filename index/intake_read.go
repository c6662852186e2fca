package index

import (
	"cmp"
	"context"
	"io"
	"slices"

	"firetrail/parsers"

	"golang.org/x/sync/errgroup"
)

// part is partSize bytes of a source, or its last ones.
type part struct {
	data  []byte
	value []byte // chaining value behind a whole part
}

// readAhead reads and hashes a source on a goroutine of its own. Its other methods
// belong to the goroutine that parses.
type readAhead struct {
	parts chan part
	free  chan []byte
	spare *[][]byte // memory of parts of other sources
	quit  chan struct{}
	err   error // of the source, set before parts is closed
	sum   *sourceSum

	rest   []byte   // of the part being parsed
	recent [][]byte // that part and those before it, latest last
	begun  int64    // how many parts of the source were begun
	values []byte   // behind each whole part of them
}

const (
	aheadParts  = 4 // parts that wait for the parser
	recentParts = 4 // parts that can be hashed to a record within them
)

// newReadAhead reads src, whose first byte is the one behind what sum holds: the
// start of a part. count is told of every byte. Memory comes from spare and goes back
// there at the end.
func newReadAhead(ctx context.Context, g *errgroup.Group, src io.Reader, sum *sourceSum, spare *[][]byte, count interface{ Add(int64) int64 }) *readAhead {
	a := &readAhead{parts: make(chan part, aheadParts), free: make(chan []byte, aheadParts+1+recentParts), quit: make(chan struct{}), sum: sum, spare: spare,
		begun: sum.size / partSize, values: slices.Clone(sum.values)}
	for range cap(a.free) {
		a.free <- nil
	}
	g.Go(func() error {
		defer close(a.parts)
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
				b = a.memory()
			}
			n, err := readFull(src, b[:partSize])
			p := part{data: b[:n]}
			a.sum.Write(p.data)
			count.Add(int64(n))
			if n == partSize {
				p.value = a.sum.values[len(a.sum.values)-valueLen:]
			}
			if n > 0 {
				select {
				case a.parts <- p:
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

func (a *readAhead) memory() []byte {
	if n := len(*a.spare); n > 0 {
		b := (*a.spare)[n-1]
		*a.spare = (*a.spare)[:n-1]
		return b
	}
	return make([]byte, partSize)
}

// readFull fills b, so that parts begin where they should, unless the source ends.
func readFull(src io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = src.Read(b[n:])
		n += k
	}
	return n, err
}

// Read gives the bytes in order.
func (a *readAhead) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if len(a.recent) == recentParts {
			a.free <- a.recent[0]
			a.recent = append(a.recent[:0], a.recent[1:]...)
		}
		next, ok := <-a.parts
		if !ok {
			return 0, cmp.Or(a.err, io.EOF)
		}
		a.rest, a.recent = next.data, append(a.recent, next.data)
		a.values = append(a.values, next.value...)
		a.begun++
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the reading ahead if it has not ended.
func (a *readAhead) stop() { close(a.quit) }

// release gives the memory back, once nothing is read any more.
func (a *readAhead) release() {
	for p := range a.parts {
		*a.spare = append(*a.spare, p.data[:partSize])
	}
	for _, b := range a.recent {
		*a.spare = append(*a.spare, b[:partSize])
	}
	for range len(a.free) {
		if b := <-a.free; b != nil {
			*a.spare = append(*a.spare, b[:partSize])
		}
	}
}

// mark is a place behind a record at which what was read of a source can be
// committed, as if the source ended there.
type mark struct {
	size   int64
	sum    string // SHA-256 of the bytes before, in hex
	values []byte // chaining values of the whole parts of them
	state  parsers.State

	zone, year string // how the clock resolved stamps so far
}

// markAt makes the mark at an offset. ok is false if the parser has read on too far.
func (a *readAhead) markAt(size int64, rd *parsers.Reader) (m mark, ok bool) {
	in := size / partSize // the part that holds the place
	s, err := sumBehind(a.values[:min(in*valueLen, int64(len(a.values)))])
	if err != nil || s.size != in*partSize {
		return m, false
	}
	if rest := size % partSize; rest > 0 {
		i := int64(len(a.recent)) - (a.begun - in)
		if i < 0 || i >= int64(len(a.recent)) {
			return m, false
		}
		s.Write(a.recent[i][:rest])
	}
	return newMark(s, rd), true
}

func newMark(s *sourceSum, rd *parsers.Reader) mark {
	m := mark{size: s.size, sum: s.whole(), values: s.values, state: rd.State()}
	m.zone, m.year = rd.Clock().Describe()
	if m.size < replayBelow && m.state.Learnt != nil {
		m.state.Learnt, m.state.Replay = nil, true
	}
	return m
}

// replayBelow is the size below which a source that grew is read again to learn
// what its headers say: quicker than to keep them for each of very many small sources.
const replayBelow = 1 << 20

// end makes the mark at the end of the source, once that has been read.
func (a *readAhead) end(rd *parsers.Reader) mark { return newMark(a.sum, rd) }
