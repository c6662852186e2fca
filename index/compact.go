package index

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firetrail"

	"golang.org/x/sync/errgroup"
)

// Compaction merges small segments of a kind into larger ones: following logs makes
// a segment a second, and very many small files make some hundreds. What was cited
// stays: an event is known by its source and offset. A merged segment takes the place of
// the others in one line of the manifest; their files stay as long as somebody may be
// reading them.
//
// Segments are merged when there are many of a size, so that an event is copied three
// times at most, however it came. Copying costs as much as taking in, and larger
// segments are worth less: of these more have to come together.
const (
	mergeFrom  = 8         // rejects, and segments of less than mergeBelow/mergeFrom rows
	mergeLarge = 32        // larger ones
	mergeBelow = 64 << 10  // rows of a segment that is large enough
	mergeBytes = 8 << 20   // and its size
	mergeRows  = 512 << 10 // of a merged segment
	mergeMost  = 64        // segments at a time, each of which is open
)

// sizeClass is that of a small segment, -1 of one that is large enough.
func (s *segment) sizeClass() int {
	if s.Rows >= mergeBelow || s.Size >= mergeBytes {
		return -1
	}
	class := 0
	for rows := int64(mergeBelow) / mergeFrom; s.Rows < rows && class < 2; rows /= mergeFrom {
		class++
	}
	return class
}

// compact merges small segments, and small files of quarantined records, until there
// is nothing to merge.
func (in *ingest) compact(ctx context.Context) error {
	if err := in.mergeRejects(ctx); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	for {
		merges := in.merges()
		if len(merges) == 0 {
			return nil
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(in.workers)
		merged := false
		for _, m := range merges {
			g.Go(func() error {
				ok, err := in.merge(gctx, m)
				in.mu.Lock()
				merged = merged || ok
				in.mu.Unlock()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return fmt.Errorf("compact: %w", err)
		}
		if !merged {
			return nil
		}
	}
}

// merges lists segments to be merged with each other, in the order of their first
// records.
func (in *ingest) merges() [][]segment {
	type class struct {
		kind string
		size int
	}
	keep := in.c.unmergeable(in.state)
	small := map[class][]segment{}
	for _, s := range in.state.segments {
		if n := s.sizeClass(); n >= 0 && !keep[s.Name] {
			small[class{s.Kind, n}] = append(small[class{s.Kind, n}], s)
		}
	}
	var all [][]segment
	for c, list := range small {
		slices.SortFunc(list, func(a, b segment) int {
			return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.Name, b.Name))
		})
		from := mergeFrom
		if c.size == 0 {
			from = mergeLarge
		}
		for len(list) >= from {
			n, rows := 0, int64(0)
			for n < min(len(list), mergeMost) && rows+list[n].Rows <= mergeRows {
				rows += list[n].Rows
				n++
			}
			all = append(all, list[:n])
			list = list[n:]
		}
	}
	slices.SortFunc(all, func(a, b []segment) int { return strings.Compare(a[0].Name, b[0].Name) })
	return all
}

// unmergeable names segments that are to be dropped alone, or that cannot be read.
func (c *Case) unmergeable(st *state) map[string]bool {
	names := map[string]bool{}
	for _, t := range st.byID {
		if t.last.Tail != nil {
			for _, name := range t.last.Tail.Files {
				names[name] = true
			}
		}
	}
	for name := range loadIsolated(c.dir) {
		names[name] = true
	}
	for name := range c.unreadable {
		names[name] = true
	}
	return names
}

// merge makes one segment of several and commits it. ok is false where one of them is
// damaged, which a repair sees to.
func (in *ingest) merge(ctx context.Context, from []segment) (ok bool, err error) {
	in.mu.Lock()
	path := filepath.Join(in.c.dir, "staging", fmt.Sprintf("merge-%d", in.next))
	in.next++
	in.mu.Unlock()
	w, err := newSegmentWriter(ctx, in.slots, path, from[0].Kind)
	if err != nil {
		return false, err
	}
	defer w.abandon()
	rows := in.c.newCopier(w)
	defer rows.close()
	for _, p := range piecesOf(from) {
		err := rows.rows(p.segment, p.first, p.first+p.run.Rows, &p.run, &p.run.Source)
		if p.last {
			rows.done(p.segment)
		}
		if err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			in.mu.Lock()
			defer in.mu.Unlock()
			for _, s := range from {
				in.c.unreadable[s.Name] = true
			}
			return false, nil
		}
	}
	if err := w.end(); err != nil {
		return false, err
	}
	if err := w.close(); err != nil {
		return false, err
	}
	return true, in.exchange(w, from)
}

// exchange commits a merged segment in the place of others.
func (in *ingest) exchange(w *segmentWriter, from []segment) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := commit{Segments: []segment{w.info}}
	for _, s := range from {
		c.Drop = append(c.Drop, s.Name)
	}
	info := &c.Segments[0]
	info.Sources = in.state.joined(info, from)
	first := info.Sources[0].Source
	info.Name = fileName(first, in.state.files[first])
	st := staging{c: in.c}
	st.addSegment(w.path, info.Name)
	if err := st.publish(); err != nil {
		return err
	}
	return in.state.commit(in.c.dir, c)
}

// mergeRejects merges the files of quarantined records of a source where there are
// mergeFrom of a size behind each other.
func (in *ingest) mergeRejects(ctx context.Context) error {
	var ids []string
	for id, t := range in.state.byID {
		if len(t.rejects) >= mergeFrom {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	keep := in.c.unmergeable(in.state)
	for _, id := range ids {
		for {
			from := rejectsToMerge(in.state.byID[id].rejects, keep)
			if len(from) == 0 {
				break
			}
			if err := in.joinRejects(id, from, keep); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinRejects makes one file of several and commits it. One that is damaged is put
// into keep instead: a repair sees to it.
func (in *ingest) joinRejects(id string, from []rejectFile, keep map[string]bool) error {
	name := fileName(id, in.state.files[id])
	w := newRejectWriter(filepath.Join(in.c.dir, "staging", name+".jsonl"))
	defer func() {
		w.abandon()
		os.Remove(w.path) // unless it has its name
	}()
	var c commit
	var err error
	for _, f := range from {
		c.Drop = append(c.Drop, f.Name)
		in.c.rejectsOf(id, f, func(r firetrail.Reject, damage error) bool {
			keep[f.Name] = keep[f.Name] || damage != nil
			if err == nil && damage == nil {
				err = w.write([]firetrail.Reject{r})
			}
			return err == nil && damage == nil
		})
		if err != nil || keep[f.Name] {
			return err
		}
	}
	f, err := w.close()
	if err != nil {
		return err
	}
	f.Name = name
	c.Rejects = []rejectFile{f}
	st := staging{c: in.c}
	st.add(w.path, "rejects", name, ".jsonl")
	if err := st.publish(); err != nil {
		return err
	}
	return in.state.commit(in.c.dir, c)
}

// rejectsToMerge finds neighbours of one size, nil if there are not enough.
func rejectsToMerge(files []rejectFile, keep map[string]bool) []rejectFile {
	class := func(f rejectFile) int {
		if keep[f.Name] {
			return -1
		}
		return (&segment{Rows: f.Count}).sizeClass()
	}
	for i := 0; i < len(files); {
		k := i + 1
		for k < len(files) && class(files[k]) == class(files[i]) {
			k++
		}
		if class(files[i]) >= 0 && k-i >= mergeFrom {
			return files[i:k]
		}
		i = k
	}
	return nil
}

// piece is a run of rows of a segment.
type piece struct {
	segment string
	first   int64 // row
	run     sourceRows
	last    bool // no other piece of the segment comes behind it
}

// piecesOf orders the runs of segments as a merged one has them: those of a source
// together and in record order, the sources as they come.
func piecesOf(from []segment) []*piece {
	var all []*piece
	place := map[string]int{}
	for i := range from {
		row := int64(0)
		for _, r := range from[i].Sources {
			if _, ok := place[r.Source]; !ok {
				place[r.Source] = len(place)
			}
			all = append(all, &piece{segment: from[i].Name, first: row, run: r})
			row += r.Rows
		}
	}
	slices.SortStableFunc(all, func(a, b *piece) int {
		return cmp.Or(cmp.Compare(place[a.run.Source], place[b.run.Source]), cmp.Compare(a.run.From, b.run.From))
	})
	seen := map[string]bool{}
	for _, p := range slices.Backward(all) {
		p.last = !seen[p.segment]
		seen[p.segment] = true
	}
	return all
}

// joined gives the runs of a merged segment, neighbours joined where no other segment
// has records of the kind between them.
func (s *state) joined(merged *segment, from []segment) []sourceRows {
	ours, of := map[string]bool{}, map[string]bool{}
	for i := range from {
		ours[from[i].Name] = true
	}
	for _, r := range merged.Sources {
		of[r.Source] = true
	}
	others := map[string][]int64{} // where records of other segments begin, by source
	for _, o := range s.segments {
		if o.Kind != merged.Kind || ours[o.Name] {
			continue
		}
		for _, r := range o.Sources {
			if of[r.Source] {
				others[r.Source] = append(others[r.Source], r.From)
			}
		}
	}
	var runs []sourceRows
	for _, r := range merged.Sources {
		n := len(runs)
		if n > 0 && runs[n-1].Source == r.Source && !slices.ContainsFunc(others[r.Source], func(at int64) bool {
			return at >= runs[n-1].To && at < r.From
		}) {
			runs[n-1].Rows += r.Rows
			runs[n-1].To = r.To
			continue
		}
		runs = append(runs, r)
	}
	return runs
}
