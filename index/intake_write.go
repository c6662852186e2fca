package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"

	"firetrail"
	"firetrail/parsers"
)

// sourceWriter spreads the records of one source over segments: one writer for
// each kind at a time.
type sourceWriter struct {
	ctx    context.Context
	t      *intake
	kinds  map[string]*segmentWriter
	all    []*segmentWriter // in the order of their first event, the tail's last
	counts firetrail.Counts
	facts  []firetrail.Fact
	first  int64
	last   int64
	sensor string // of all events so far, "" where they differ
	mixed  bool

	rejects *rejectWriter // nil until there is one
	tail    *tail
	// The record of the tail, if it is an event or a reject.
	lastEvent  []firetrail.Event
	lastReject []firetrail.Reject
	staged     []string // files in staging and the names they get
	final      []string
}

func newSourceWriter(ctx context.Context, t *intake) *sourceWriter {
	return &sourceWriter{ctx: ctx, t: t, kinds: map[string]*segmentWriter{}, first: firetrail.Absent, last: firetrail.Absent}
}

// add takes the records of a batch that are not in the case yet.
func (w *sourceWriter) add(b *parsers.Batch) error {
	w.counts.Add(b.Counts)
	w.facts = append(w.facts, b.Facts...)
	events, rejects := b.Events, b.Rejects
	for len(events) > 0 && events[0].Offset < w.t.skip {
		events = events[1:]
	}
	for len(rejects) > 0 && rejects[0].Offset < w.t.skip {
		rejects = rejects[1:]
	}
	if b.Unfinished {
		events, rejects = w.split(b, events, rejects)
	}
	if err := w.refuse(rejects); err != nil {
		return err
	}
	if err := w.events(events); err != nil {
		return err
	}
	return w.relieve()
}

// relieve cuts the largest segment short if too much memory is taken: a source
// with many kinds of records, or with very many different values.
func (w *sourceWriter) relieve() error {
	var sum, largest int64
	var at *segmentWriter
	for _, s := range w.all {
		n := s.cols.Size()
		sum += n
		if n > largest {
			largest, at = n, s
		}
	}
	if sum <= w.t.in.opt.MemoryLimit {
		return nil
	}
	return at.cut()
}

// refuse writes quarantined records.
func (w *sourceWriter) refuse(rejects []firetrail.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	if w.rejects == nil {
		var err error
		if w.rejects, err = newRejectWriter(w.t.stage + ".rejects"); err != nil {
			return err
		}
	}
	return w.rejects.write(rejects)
}

// events hands runs of events of one kind to their segments.
func (w *sourceWriter) events(events []firetrail.Event) error {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Kind == events[0].Kind {
			n++
		}
		for run := events[:n]; len(run) > 0; {
			s, err := w.segment(run[0].Kind)
			if err != nil {
				return err
			}
			took, err := s.append(run)
			if err != nil {
				return err
			}
			run = run[took:]
		}
		w.observe(events[:n])
		events = events[n:]
	}
	return nil
}

// observe keeps what the source says of itself.
func (w *sourceWriter) observe(events []firetrail.Event) {
	for i := range events {
		ev := &events[i]
		if ev.Time != firetrail.Absent {
			w.first, w.last = earliest(w.first, ev.Time), latest(w.last, ev.Time)
		}
		if ev.Sensor != w.sensor && !w.mixed {
			w.mixed = w.sensor != ""
			w.sensor = string([]byte(ev.Sensor))
		}
	}
}

// sensorName is the sensor of a source that has only one.
func (w *sourceWriter) sensorName(before string) string {
	switch {
	case w.mixed, before != "" && w.sensor != "" && before != w.sensor:
		return ""
	case w.sensor == "":
		return before
	}
	return w.sensor
}

// segment gives the segment that the next event of a kind goes to.
func (w *sourceWriter) segment(kind string) (*segmentWriter, error) {
	if s := w.kinds[kind]; s != nil {
		if !s.cols.Ended() {
			return s, nil
		}
		if err := s.end(); err != nil {
			return nil, err
		}
	}
	kind = string([]byte(kind)) // the event's memory need not stay for it
	s, err := newSegmentWriter(w, kind)
	if err != nil {
		return nil, err
	}
	w.kinds[kind] = s
	w.all = append(w.all, s)
	return s, nil
}

// split sets the last record of a source aside that has no line end: when the
// source grows it is read again, so it must be possible to drop it alone.
func (w *sourceWriter) split(b *parsers.Batch, events []firetrail.Event, rejects []firetrail.Reject) ([]firetrail.Event, []firetrail.Reject) {
	w.tail = &tail{Offset: -1} // of a record that left no trace: found by its line
	if n := len(events) - 1; n >= 0 && events[n].Offset+events[n].Length >= b.End {
		w.tail.Offset = events[n].Offset
		w.lastEvent = []firetrail.Event{events[n]}
		w.lastEvent[0].X = slices.Clone(events[n].X)
		return events[:n], rejects
	}
	if n := len(rejects) - 1; n >= 0 && rejects[n].Offset+rejects[n].Length >= b.End {
		w.tail.Offset = rejects[n].Offset
		w.lastReject = rejects[n : n+1 : n+1]
		return events, rejects[:n]
	}
	return events, rejects
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

// close completes all files and describes them in the commit; first is the number
// of the first file.
func (w *sourceWriter) close(source string, first int, parts []byte, e *commit) error {
	if len(w.lastEvent) > 0 {
		clear(w.kinds) // a segment of its own
		if err := w.events(w.lastEvent); err != nil {
			return err
		}
	}
	number := first
	name := func() string {
		n := fmt.Sprintf("%s-%06d", source, number)
		number++
		return n
	}
	for _, s := range w.all {
		if err := s.end(); err != nil {
			return err
		}
	}
	for i, s := range w.all {
		if err := s.close(source); err != nil {
			return err
		}
		s.info.Name = name()
		e.Segments = append(e.Segments, s.info)
		if len(w.lastEvent) > 0 && i == len(w.all)-1 {
			w.tail.Files = []string{s.info.Name}
		}
		for _, f := range [...]struct{ folder, ext string }{{"segments", ".parquet"}, {"flows", ".flow"}, {"blocks", termsExt}} {
			w.staged = append(w.staged, s.path+f.ext)
			w.final = append(w.final, w.t.in.c.path(f.folder, s.info.Name, f.ext))
		}
	}
	if w.t.spool != "" {
		w.staged, w.final = append(w.staged, w.t.spool), append(w.final, w.t.in.c.path("spool", source, ""))
	}
	if len(parts) > sumLen {
		sum := sha256.Sum256(parts)
		e.Sums = sumFile{name(), hex.EncodeToString(sum[:])}
		staged := w.t.stage + ".sums"
		if err := writeSynced(staged, bytes.NewReader(parts)); err != nil {
			return err
		}
		w.staged, w.final = append(w.staged, staged), append(w.final, w.t.in.c.path("sums", e.Sums.Name, ""))
	}
	e.Tail = w.tail
	if err := w.closeRejects(name, e); err != nil || len(w.lastReject) == 0 {
		return err
	}
	w.rejects = nil
	if err := w.refuse(w.lastReject); err != nil {
		return err
	}
	if err := w.closeRejects(name, e); err != nil {
		return err
	}
	w.tail.Files = []string{e.Rejects[len(e.Rejects)-1].Name}
	return nil
}

// closeRejects completes a file of quarantined records, if there are any.
func (w *sourceWriter) closeRejects(name func() string, e *commit) error {
	if w.rejects == nil {
		return nil
	}
	rf, err := w.rejects.close()
	if err != nil {
		return err
	}
	rf.Name = name()
	staged := w.t.stage + "-" + rf.Name + ".jsonl"
	if err := os.Rename(w.rejects.file.Name(), staged); err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	w.staged = append(w.staged, staged)
	w.final = append(w.final, w.t.in.c.path("rejects", rf.Name, ".jsonl"))
	e.Rejects = append(e.Rejects, rf)
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

// publish gives the staged files their names and makes those durable.
func (w *sourceWriter) publish() error {
	for i := range w.staged {
		if err := os.Rename(w.staged[i], w.final[i]); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	for _, folder := range [...]string{"segments", "flows", "blocks", "rejects", "sums", "spool"} {
		if err := syncDir(w.t.in.c.path(folder, "", "")); err != nil {
			return err
		}
	}
	return nil
}

// abandon waits for the groups under way and closes what is still open; the
// files are removed by the next writer.
func (w *sourceWriter) abandon() {
	for _, s := range w.all {
		for _, j := range s.pending {
			<-j.done
		}
		s.pending = nil
		if s.ended != nil {
			s.ended.Wait()
		}
		s.file.Close()
	}
	if w.rejects != nil {
		w.rejects.file.Close()
	}
}
