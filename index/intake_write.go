package index

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"firetrail"
	"firetrail/parsers"
)

// partWriter writes what is committed together: records of the sources of a bundle,
// of a large source up to a mark. Events of a kind go to one segment at a time,
// whatever source they are of, and the quarantined records of each source to a file
// of its own. Records that the end of a source ends go to files of their own, so that
// these can be dropped when the source grows.
type partWriter struct {
	b     *bundle
	all   []*segmentWriter // in the order of their first event
	kinds map[string]*segmentWriter
	takes []*taking // what is to be committed
	drop  []string  // files that it drops

	of         *intake // whose records come
	body, tail *sourceFiles
	files      []*sourceFiles
}

// sourceFiles are files with records of one source only.
type sourceFiles struct {
	of       *intake
	kinds    map[string]*segmentWriter // of unfinished records, nil for others
	segments []*segmentWriter          // all of them
	rejects  *rejectWriter             // nil until there is one
}

func newPartWriter(b *bundle) *partWriter {
	return &partWriter{b: b, kinds: map[string]*segmentWriter{}}
}

// source begins the records of a source.
func (w *partWriter) source(t *intake) {
	w.of, w.body, w.tail = t, &sourceFiles{of: t}, nil
	w.files = append(w.files, w.body)
}

// add takes the records of a batch.
func (w *partWriter) add(t *intake, b *parsers.Batch) error {
	if w.of != t {
		w.source(t)
	}
	into := w.body
	if b.Unfinished {
		if w.tail == nil {
			w.tail = &sourceFiles{of: t, kinds: map[string]*segmentWriter{}}
			w.files = append(w.files, w.tail)
		}
		into = w.tail
	}
	if err := w.refuse(into, b.Rejects); err != nil {
		return err
	}
	if err := w.events(into, b.Events); err != nil {
		return err
	}
	return w.relieve()
}

// relieve cuts the largest segment short if too much memory is taken: a source
// with many kinds of records, or with very many different values.
func (w *partWriter) relieve() error {
	var sum, largest int64
	var at *segmentWriter
	for _, s := range w.all {
		n := s.cols.Size()
		sum += n
		if n > largest {
			largest, at = n, s
		}
	}
	if sum <= w.b.in.opt.MemoryLimit {
		return nil
	}
	return at.cut()
}

// stage gives the path of the next file in staging.
func (w *partWriter) stage() string {
	w.b.staged++
	return w.b.stage + "-" + strconv.Itoa(w.b.staged)
}

// refuse writes quarantined records.
func (w *partWriter) refuse(into *sourceFiles, rejects []firetrail.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	if into.rejects == nil {
		into.rejects = newRejectWriter(w.stage() + ".jsonl")
	}
	return into.rejects.write(rejects)
}

// events hands runs of events of one kind to their segments.
func (w *partWriter) events(into *sourceFiles, events []firetrail.Event) error {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Kind == events[0].Kind {
			n++
		}
		for run := events[:n]; len(run) > 0; {
			s, err := w.segment(into, run[0].Kind)
			if err != nil {
				return err
			}
			took, err := s.append(&w.of.id, run)
			if err != nil {
				return err
			}
			run = run[took:]
		}
		events = events[n:]
	}
	return nil
}

// segment gives the segment that the next event of a kind goes to.
func (w *partWriter) segment(into *sourceFiles, kind string) (*segmentWriter, error) {
	kinds := w.kinds
	if into.kinds != nil {
		kinds = into.kinds
	}
	if s := kinds[kind]; s != nil {
		if !s.cols.Ended() {
			return s, nil
		}
		if err := s.end(); err != nil {
			return nil, err
		}
	}
	kind = string([]byte(kind)) // the event's memory need not stay for it
	s, err := newSegmentWriter(w.b.ctx, w.b.in.slots, w.stage(), kind)
	if err != nil {
		return nil, err
	}
	kinds[kind] = s
	w.all = append(w.all, s)
	if into.kinds != nil {
		into.segments = append(into.segments, s)
	}
	return s, nil
}

// abandon waits for the groups under way and closes what is still open; the
// files are removed by the next writer.
func (w *partWriter) abandon() {
	for _, s := range w.all {
		s.abandon()
	}
	for _, f := range w.files {
		if f.rejects != nil {
			f.rejects.abandon()
		}
	}
}

// standing is what is known of a source up to one of its records.
type standing struct {
	Counts firetrail.Counts `json:"counts"`
	Facts  int              `json:"facts,omitempty"` // how many
	First  int64            `json:"first"`
	Last   int64            `json:"last"`
	Sensor string           `json:"sensor,omitempty"` // of the events, until there is a second one
	Mixed  bool             `json:"mixed,omitempty"`  // there is
}

func newStanding() standing { return standing{First: firetrail.Absent, Last: firetrail.Absent} }

// add takes what a batch says.
func (n *standing) add(b *parsers.Batch) {
	n.Counts.Add(b.Counts)
	n.Facts += len(b.Facts)
	for i := range b.Events {
		ev := &b.Events[i]
		if ev.Time != firetrail.Absent {
			n.First, n.Last = earliest(n.First, ev.Time), latest(n.Last, ev.Time)
		}
		if ev.Sensor != n.Sensor && !n.Mixed {
			n.Mixed = n.Sensor != ""
			n.Sensor = string([]byte(ev.Sensor))
		}
	}
}

// sensor is the sensor of a source that has only one.
func (n *standing) sensor() string {
	if n.Mixed {
		return ""
	}
	return n.Sensor
}

func closeSynced(f *os.File) error {
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return nil
}

func writeSynced(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return closeSynced(f)
}
