package index

import (
	"fmt"
	"os"
	"slices"

	"firetrail"
)

// id is that of a source of which the bytes up to the mark are the first to be
// committed.
func (m *mark) id() string { return m.sum[:16] }

// holds reports whether a source with this id is in the case.
func (in *ingest) holds(id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state.byID[id] != nil
}

// commitAt has what was read of the source committed with the part that is being
// written, but for what the caller adds; what comes behind the mark is for the next.
func (t *intake) commitAt(m mark) *taking {
	if t.id == "" {
		t.id = m.id()
	}
	c := &taking{
		Source: firetrail.Source{ID: t.id, Path: t.input.Path, Format: m.state.Format, Sensor: t.now.sensor(), SHA256: m.sum, Size: m.size,
			Counts: t.now.Counts, First: t.now.First, Last: t.now.Last, Zone: m.zone, Year: m.year, Facts: t.facts, ModTime: firetrail.Absent},
		Mixed: t.now.Mixed, From: t.from, Start: startOf(t.head[:min(int64(len(t.head)), m.size)]),
		Tail: t.tail, State: m.state, Read: kept(t.in.opt.Options),
		values: m.values, had: t.from / partSize * valueLen, spool: t.spool,
	}
	if m.size >= headSize {
		c.Head = headOf(t.head)
	}
	if !t.input.ModTime.IsZero() {
		c.Source.ModTime = t.input.ModTime.UnixNano()
	}
	w := t.b.writer
	w.takes = append(w.takes, c)
	w.drop = append(w.drop, t.drop...)
	t.from, t.drop, t.facts = m.size, nil, nil
	return c
}

// seen notes that a known source was met under another path.
func (t *intake) seen() SourceReport {
	t.id = t.base.ID
	r := SourceReport{Source: t.base.Source, Status: StatusKnown}
	if t.input.Path != t.base.Path && !slices.Contains(t.base.also, t.input.Path) {
		w := t.b.writer
		w.takes = append(w.takes, &taking{Source: firetrail.Source{ID: t.id}, Also: t.input.Path})
	}
	return r
}

// commit completes all files of a part and commits them with what was taken in.
func (w *partWriter) commit() error {
	if len(w.takes) == 0 {
		return nil
	}
	c := commit{Drop: w.drop}
	s := staging{c: w.b.in.c}
	of := map[string]*taking{} // by id
	for _, t := range w.takes {
		if t.Also == "" {
			of[t.Source.ID] = t
		}
	}
	if err := w.close(&s, &c, of); err != nil {
		return err
	}
	for _, t := range w.takes {
		sum, err := s.c.writeValues(t.Source.ID, t.values, t.had)
		if err != nil {
			return err
		}
		if t.Sums = sum; sum != "" && t.had == 0 {
			s.touch("sums")
		}
		if err := t.keepSpool(&s); err != nil {
			return err
		}
		c.Sources = append(c.Sources, *t)
	}
	if err := s.publish(); err != nil {
		return err
	}
	w.b.in.mu.Lock()
	defer w.b.in.mu.Unlock()
	return w.b.in.state.commit(s.c.dir, c)
}

// keepSpool makes the copy of a stream durable, and gives it its name the first time.
func (t *taking) keepSpool(s *staging) error {
	if t.spool == nil {
		return nil
	}
	if err := t.spool.keep(); err != nil {
		return err
	}
	if kept := s.c.path("spool", t.Source.ID, ""); t.spool.path != kept {
		s.add(t.spool.path, "spool", t.Source.ID, "")
		s.then = append(s.then, func() { t.spool.moved(kept) })
	}
	return nil
}

// close completes all files, names them and describes them in the commit.
func (w *partWriter) close(s *staging, c *commit, of map[string]*taking) error {
	for _, seg := range w.all {
		if err := seg.end(); err != nil {
			return err
		}
	}
	names := namer{in: w.b.in, next: map[string]int{}}
	for _, seg := range w.all {
		if err := seg.close(); err != nil {
			return err
		}
		seg.info.Name = names.name(seg.info.Sources[0].Source)
		c.Segments = append(c.Segments, seg.info)
		s.addSegment(seg.path, seg.info.Name)
	}
	for _, f := range w.files {
		t := of[f.of.id]
		for _, seg := range f.segments {
			t.Tail.Files = append(t.Tail.Files, seg.info.Name)
		}
		if f.rejects == nil {
			continue
		}
		rf, err := f.rejects.close()
		if err != nil {
			return err
		}
		rf.Name = names.name(f.of.id)
		t.Rejects = append(t.Rejects, rf)
		if f.kinds != nil {
			t.Tail.Files = append(t.Tail.Files, rf.Name)
		}
		s.add(f.rejects.path, "rejects", rf.Name, ".jsonl")
	}
	return nil
}

// namer gives names to files that are being committed.
type namer struct {
	in   *ingest
	next map[string]int // number of the next file, by source
}

func (n *namer) name(source string) string {
	k, ok := n.next[source]
	if !ok {
		n.in.mu.Lock()
		k = n.in.state.files[source]
		n.in.mu.Unlock()
	}
	n.next[source] = k + 1
	return fileName(source, k)
}

// staging are files that are complete and get their names.
type staging struct {
	c       *Case
	files   [][2]string // where each lies, and what it becomes
	folders []string    // in which names are new
	then    []func()    // called when all have their names
}

// add names a file of staging.
func (s *staging) add(staged, folder, name, ext string) {
	s.files = append(s.files, [2]string{staged, s.c.path(folder, name, ext)})
	s.touch(folder)
}

// addSegment names the three files of a segment.
func (s *staging) addSegment(path, name string) {
	s.add(path+".parquet", "segments", name, ".parquet")
	s.add(path+".flow", "flows", name, ".flow")
	s.add(path+termsExt, "blocks", name, termsExt)
}

// touch notes that a folder has new names.
func (s *staging) touch(folder string) {
	if !slices.Contains(s.folders, folder) {
		s.folders = append(s.folders, folder)
	}
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
	for _, f := range s.then {
		f()
	}
	return nil
}
