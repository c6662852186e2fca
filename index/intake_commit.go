package index

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"firetrail"

	"golang.org/x/sync/errgroup"
)

// cut ends the part that is being written at a mark and begins the next one. The
// part is committed on the side, after those before it.
func (t *intake) cut(g *errgroup.Group, m mark) {
	if t.id == "" && t.in.holds(m.id()) {
		return // another source begins like this one: its id is that of a longer part
	}
	if t.before != nil {
		<-t.before // one part at a time is on its way beside the one being written
	}
	c := t.part(m)
	c.More = true
	w, done := t.writer, make(chan struct{})
	t.before, t.writer = done, newPartWriter(t.writer.ctx, t)
	g.Go(func() error {
		defer close(done)
		defer w.abandon()
		return w.commit(c, m.values)
	})
}

// finish commits what is left of a source that has been read to its end, and gives
// the source as it stands in the case.
func (t *intake) finish(m mark, problem error) (firetrail.Source, error) {
	c := t.part(m)
	if problem != nil {
		c.Source.Problem = problem.Error()
	}
	if err := t.writer.commit(c, m.values); err != nil {
		return firetrail.Source{}, err
	}
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	return t.in.state.byID[t.id].Source, nil
}

// id is that of a source of which the bytes up to the mark are the first to be
// committed.
func (m *mark) id() string { return m.sum[:16] }

// holds reports whether a source with this id is in the case.
func (in *ingest) holds(id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state.byID[id] != nil
}

// part describes the commit at a mark, but for its files, and moves on to the next.
func (t *intake) part(m mark) commit {
	if t.id == "" {
		t.id = m.id()
	}
	head := sha256.Sum256(t.head)
	c := commit{
		Source: firetrail.Source{ID: t.id, Path: t.input.Path, Format: m.state.Format, Sensor: t.now.sensor(), SHA256: m.sum, Size: m.size,
			Counts: t.now.Counts, First: t.now.First, Last: t.now.Last, Zone: m.zone, Year: m.year,
			Facts: t.writer.facts, ModTime: firetrail.Absent},
		Mixed: t.now.Mixed, From: t.from, Drop: t.drop,
		Head: hex.EncodeToString(head[:]), Start: startOf(t.head[:min(int64(len(t.head)), m.size)]),
		State: m.state, Read: kept(t.in.opt.Options),
	}
	if !t.input.ModTime.IsZero() {
		c.Source.ModTime = t.input.ModTime.UnixNano()
	}
	if w := t.writer; w.before != nil {
		c.Tail = &tail{Before: *w.before}
	}
	t.from, t.drop = m.size, nil
	return c
}

// commit completes the files of a part and commits them.
func (w *partWriter) commit(c commit, values []byte) error {
	in := w.t.in
	in.mu.Lock()
	var number, had int64
	if k := in.state.byID[c.Source.ID]; k != nil {
		number, had = int64(k.files), k.Size/partSize*valueLen
	}
	in.mu.Unlock()
	s := staging{c: in.c}
	name := func() string {
		number++
		return fmt.Sprintf("%s-%06d", c.Source.ID, number-1)
	}
	if err := w.close(&s, name, &c); err != nil {
		return err
	}
	sum, err := in.c.writeValues(c.Source.ID, values, had)
	if err != nil {
		return err
	}
	c.Sums = sum
	if len(values) > 0 && had == 0 {
		s.touch("sums")
	}
	if w.t.spool != "" {
		s.add(w.t.spool, "spool", c.Source.ID, "")
		w.t.spool = ""
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := s.publish(); err != nil {
		return err
	}
	return in.state.commit(in.c.dir, c)
}

// close completes all files and describes them in the commit.
func (w *partWriter) close(s *staging, name func() string, c *commit) error {
	for _, seg := range w.all {
		if err := seg.end(); err != nil {
			return err
		}
	}
	for _, seg := range w.all {
		if err := seg.close(c.Source.ID); err != nil {
			return err
		}
		seg.info.Name = name()
		c.Segments = append(c.Segments, seg.info)
		if seg.tail {
			c.Tail.Files = append(c.Tail.Files, seg.info.Name)
		}
		s.add(seg.path+".parquet", "segments", seg.info.Name, ".parquet")
		s.add(seg.path+".flow", "flows", seg.info.Name, ".flow")
		s.add(seg.path+termsExt, "blocks", seg.info.Name, termsExt)
	}
	for _, f := range []*partFiles{&w.body, &w.tail} {
		if f.rejects == nil {
			continue
		}
		rf, err := f.rejects.close()
		if err != nil {
			return err
		}
		rf.Name = name()
		c.Rejects = append(c.Rejects, rf)
		if f == &w.tail {
			c.Tail.Files = append(c.Tail.Files, rf.Name)
		}
		s.add(f.rejects.file.Name(), "rejects", rf.Name, ".jsonl")
	}
	return nil
}

// staging are files that are complete and get their names.
type staging struct {
	c       *Case
	files   [][2]string // where each lies, and what it becomes
	folders []string    // in which names are new
}

// add names a file of staging.
func (s *staging) add(staged, folder, name, ext string) {
	s.files = append(s.files, [2]string{staged, s.c.path(folder, name, ext)})
	s.touch(folder)
}

// touch notes that a folder has new names.
func (s *staging) touch(folder string) {
	for _, f := range s.folders {
		if f == folder {
			return
		}
	}
	s.folders = append(s.folders, folder)
}

// publish gives the files their names and makes those durable.
func (s *staging) publish() error {
	for _, f := range s.files {
		if err := os.Rename(f[0], f[1]); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	for _, folder := range s.folders {
		if err := syncDir(s.c.path(folder, "", "")); err != nil {
			return err
		}
	}
	return nil
}
