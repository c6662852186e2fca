package index

import (
	"errors"

	"firetrail"
	"firetrail/index/columns"
)

var errFull = errors.New("more events than a segment holds")

// copyRows appends rows [first, last) of a segment of the case to another one: those
// whose records lie in a run of their source. source is where its id stands.
func (c *Case) copyRows(w *segmentWriter, name string, first, last int64, run *sourceRows, source *string) error {
	seg, release, err := c.segment(name)
	if err != nil {
		return err
	}
	defer release()
	r := seg.NewReader()
	defer r.Close()
	evs := make([]firetrail.Event, 0, copiedAtOnce)
	flush := func() error {
		for rest := evs; len(rest) > 0; {
			n, err := w.append(source, rest)
			if err != nil {
				return err
			}
			if n == 0 {
				return errFull
			}
			rest = rest[n:]
		}
		evs = evs[:0]
		return nil
	}
	for row := first; row < last; row++ {
		if block := int(row / columns.BlockRows); block != r.Block() {
			r.Seek(block)
		}
		n := len(evs)
		evs = evs[:n+1]
		if err := r.Event(int(row%columns.BlockRows), &evs[n]); err != nil {
			return err
		}
		if at := evs[n].Offset; at < run.From || at >= run.To {
			evs = evs[:n]
			continue
		}
		if n+1 == cap(evs) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

const copiedAtOnce = 256
