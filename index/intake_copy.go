package index

import (
	"errors"

	"firetrail"
	"firetrail/index/columns"
)

var errFull = errors.New("more events than a segment holds")

// copier appends events of segments of a case to another segment.
type copier struct {
	c    *Case
	to   *segmentWriter
	evs  []firetrail.Event
	open map[string]*copied
}

// copied is a segment that is being read. It stays open until it is done with, since
// runs of its sources may be wanted one at a time.
type copied struct {
	*columns.Reader
	release func()
}

const copiedAtOnce = 256

func (c *Case) newCopier(to *segmentWriter) *copier {
	return &copier{c: c, to: to, evs: make([]firetrail.Event, 0, copiedAtOnce), open: map[string]*copied{}}
}

func (p *copier) close() {
	for name := range p.open {
		p.done(name)
	}
}

// done closes a segment of which nothing more is wanted.
func (p *copier) done(name string) {
	if r := p.open[name]; r != nil {
		r.Close()
		r.release()
		delete(p.open, name)
	}
}

func (p *copier) reader(name string) (*copied, error) {
	if r := p.open[name]; r != nil {
		return r, nil
	}
	seg, release, err := p.c.segment(name)
	if err != nil {
		return nil, err
	}
	p.open[name] = &copied{seg.NewReader(), release}
	return p.open[name], nil
}

// rows copies rows [first, last) of a segment: those whose records lie in a run of their
// source, of which the id stands at source.
func (p *copier) rows(name string, first, last int64, run *sourceRows, source *string) error {
	r, err := p.reader(name)
	if err != nil {
		return err
	}
	for row := first; row < last; row++ {
		if block := int(row / columns.BlockRows); block != r.Block() {
			r.Seek(block)
		}
		n := len(p.evs)
		p.evs = p.evs[:n+1]
		if err := r.Event(int(row%columns.BlockRows), &p.evs[n]); err != nil {
			return err
		}
		if at := p.evs[n].Offset; at < run.From || at >= run.To {
			p.evs = p.evs[:n]
			continue
		}
		if n+1 == cap(p.evs) {
			if err := p.flush(source); err != nil {
				return err
			}
		}
	}
	return p.flush(source)
}

func (p *copier) flush(source *string) error {
	for rest := p.evs; len(rest) > 0; {
		n, err := p.to.append(source, rest)
		if err != nil {
			return err
		}
		if n == 0 {
			return errFull
		}
		rest = rest[n:]
	}
	p.evs = p.evs[:0]
	return nil
}
