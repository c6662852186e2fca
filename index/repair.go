package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firetrail"
	"firetrail/index/columns"
)

// isolatedName is the file of the case that names damaged segments which queries
// leave out. It is derived: the next repair makes it anew.
const isolatedName = "isolated.json"

// Isolated is a segment that no answer has, because its file is damaged and its
// source is not there to make it again.
type Isolated struct {
	Segment string `json:"segment"`
	Source  string `json:"source"`
	Path    string `json:"path"` // of the source
	Events  int64  `json:"events"`
	Why     string `json:"why"`
}

// String is a sentence for people.
func (i *Isolated) String() string {
	return fmt.Sprintf("segment %s is left out, with %d events of %s: %s", i.Segment, i.Events, i.Path, i.Why)
}

// Isolated lists the segments that answers leave out, by name.
func (c *Case) Isolated() []Isolated { return slices.Clone(c.parts().isolated) }

// loadIsolated reads the names of isolated segments; a file that makes no sense
// isolates nothing, and the segments are found damaged again.
func loadIsolated(dir string) map[string]Isolated {
	var list []Isolated
	b, err := os.ReadFile(filepath.Join(dir, isolatedName))
	if err != nil || json.Unmarshal(b, &list) != nil {
		return nil
	}
	byName := map[string]Isolated{}
	for _, i := range list {
		byName[i.Segment] = i
	}
	return byName
}

// sound reports whether no segment has to be isolated, as far as isolate would say.
func (v *snapshot) sound(dir string) bool {
	if len(loadIsolated(dir)) > 0 {
		return false
	}
	for i := range v.segments {
		s := &v.segments[i]
		info, err := os.Stat(filepath.Join(dir, "segments", s.Name+".parquet"))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != s.Size {
			return false
		}
	}
	return true
}

// isolate takes damaged segments out of a snapshot: those that a repair found, and
// those whose file is plainly not the one that was committed. Their sources say so.
func (v *snapshot) isolate(dir string, known map[string]Isolated) {
	v.segments = slices.DeleteFunc(v.segments, func(s segment) bool {
		out, bad := known[s.Name]
		if !bad {
			info, err := os.Stat(filepath.Join(dir, "segments", s.Name+".parquet"))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				out.Why, bad = "its file is missing", true
			case err == nil && info.Size() != s.Size:
				out.Why, bad = fmt.Sprintf("its file has %d bytes, not %d", info.Size(), s.Size), true
			}
		}
		if !bad {
			return false
		}
		v.isolated = append(v.isolated, s.isolated(out.Why, v.byID)...)
		return true
	})
	for i := range v.sources {
		if len(v.isolated) == 0 {
			break
		}
		var why []string
		for k := range v.isolated {
			if v.isolated[k].Source == v.sources[i].ID {
				why = append(why, v.isolated[k].String())
			}
		}
		if len(why) > 0 {
			if p := v.sources[i].Problem; p != "" {
				why = append([]string{p}, why...)
			}
			v.sources[i].Problem = strings.Join(why, "; ")
		}
	}
}

// isolated says which events of which sources are left out with a segment.
func (s *segment) isolated(why string, byID map[string]*taken) []Isolated {
	var all []Isolated
	at := map[string]int{}
	for _, r := range s.Sources {
		i, ok := at[r.Source]
		if !ok {
			i = len(all)
			at[r.Source] = i
			all = append(all, Isolated{Segment: s.Name, Source: r.Source, Why: why})
			if t := byID[r.Source]; t != nil {
				all[i].Path = t.Path
			}
		}
		all[i].Events += r.Rows
	}
	return all
}

// RepairReport is what a repair did.
type RepairReport struct {
	Made     []string   // files that were made anew, as paths within the case
	Isolated []Isolated // segments that could not be made anew
	Failed   []string   // other files that are damaged still, with the reason
}

// Repair makes derived files anew where they are missing or damaged: segments,
// rollups, rejects and checksums from their sources, rollups also from their
// segments, block indexes from theirs. A segment that cannot be made is isolated.
// Lines of the manifest are never changed; what comes out in other bytes but with
// the same events is committed in a new line.
func (c *Case) Repair(ctx context.Context, progress func(what string)) (RepairReport, error) {
	var r RepairReport
	if progress == nil {
		progress = func(string) {}
	}
	if err := c.acquire(); err != nil {
		return r, err
	}
	err := c.repair(ctx, &r, progress)
	if uerr := c.unlock(); err == nil {
		err = uerr
	}
	if err != nil {
		return r, err
	}
	terms, err := c.RepairTerms(ctx)
	for _, name := range terms {
		r.Made = append(r.Made, filepath.Join("blocks", name+termsExt))
	}
	if err != nil {
		return r, err
	}
	return r, c.Log(CustodyEntry{Action: "verify --repair",
		Text: fmt.Sprintf("%d files made anew, %d segments isolated, %d files damaged still", len(r.Made), len(r.Isolated), len(r.Failed))})
}

// damage is a file that is not as committed.
type damage struct {
	folder, name, ext string
	sha256            string
	seg               *segment // whose segment or rollup it is; nil for other files
}

func (d *damage) rel() string { return filepath.Join(d.folder, d.name+d.ext) }

// sources are those of which the file has records.
func (d *damage) sources() []string {
	if d.seg == nil {
		return []string{owner(d.name)}
	}
	var ids []string
	for _, r := range d.seg.Sources {
		ids = append(ids, r.Source)
	}
	return ids
}

func (c *Case) repair(ctx context.Context, r *RepairReport, progress func(string)) error {
	st, err := loadState(c.dir)
	if err != nil {
		return fmt.Errorf("%w; it is not derived from anything and cannot be repaired", err)
	}
	if err := c.tidy(st); err != nil {
		return err
	}
	c.open.close()
	bad, err := c.damaged(ctx, st, progress)
	if err != nil {
		return err
	}
	left, err := c.restore(ctx, st, bad, r, progress)
	if err != nil {
		return err
	}
	var isolated []Isolated
	for _, l := range left {
		d := l.damage
		switch {
		case d.folder == "segments":
			isolated = append(isolated, d.seg.isolated("its file is damaged, and "+l.why.Error(), st.byID)...)
		case !slices.ContainsFunc(left, func(o unmade) bool { return o.name == d.name && o.folder == "segments" }):
			r.Failed = append(r.Failed, d.rel()+": "+l.why.Error())
		}
	}
	if err := c.saveIsolated(isolated); err != nil {
		return err
	}
	c.show(st)
	r.Isolated = c.Isolated()
	return nil
}

func (c *Case) saveIsolated(list []Isolated) error {
	if len(list) == 0 {
		if err := os.Remove(filepath.Join(c.dir, isolatedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("repair: %w", err)
		}
		return nil
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	return c.writeAtomic(isolatedName, append(b, '\n'))
}

// damaged finds the files that are not as committed.
func (c *Case) damaged(ctx context.Context, st *state, progress func(string)) ([]damage, error) {
	var all, bad []damage
	for _, name := range slices.Sorted(maps.Keys(st.segments)) {
		s := st.segments[name]
		all = append(all, damage{"segments", name, ".parquet", s.SHA256, &s}, damage{"flows", name, ".flow", s.Flows, &s})
	}
	for _, id := range slices.Sorted(maps.Keys(st.byID)) {
		t := st.byID[id]
		for _, f := range t.rejects {
			all = append(all, damage{"rejects", f.Name, ".jsonl", f.SHA256, nil})
		}
		info, err := os.Stat(c.path("sums", id, ""))
		other := err == nil && info.Size() != t.Size/partSize*valueLen
		if _, err := c.valuesOf(t); err != nil || other {
			bad = append(bad, damage{"sums", id, "", t.last.Sums, nil})
		}
	}
	for _, d := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress(d.rel())
		if sum, err := fileSum(filepath.Join(c.dir, d.rel())); err != nil || sum != d.sha256 {
			bad = append(bad, d)
		}
	}
	return bad, nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unmade is a damaged file that could not be made anew.
type unmade struct {
	damage
	why error
}

// restore makes damaged files anew: rollups from sound segments, all else from the
// sources.
func (c *Case) restore(ctx context.Context, st *state, bad []damage, r *RepairReport, progress func(string)) (left []unmade, err error) {
	var from []damage
	for _, d := range bad {
		sound := !slices.ContainsFunc(bad, func(o damage) bool { return o.folder == "segments" && o.name == d.name })
		if d.folder == "flows" && sound && c.remakeFlows(st, d) == nil {
			r.Made = append(r.Made, d.rel())
			continue
		}
		from = append(from, d)
	}
	if len(from) == 0 {
		return nil, nil
	}
	again, err := c.replay(ctx, st, from, progress)
	if err != nil {
		return nil, err
	}
	defer again.Close()
	for _, d := range from {
		if err := again.remake(ctx, st, d); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			left = append(left, unmade{d, err})
			continue
		}
		r.Made = append(r.Made, d.rel())
	}
	return left, nil
}

// remakeFlows makes the rollup of a sound segment.
func (c *Case) remakeFlows(st *state, d damage) error {
	seg, err := columns.Open(c.path("segments", d.name, ".parquet"))
	if err != nil {
		return err
	}
	defer seg.Close()
	enc, err := newEncoder()
	if err != nil {
		return err
	}
	flows := newRollup(seg.Kind())
	w := columns.NewWriter(io.Discard, seg.Kind())
	cut := func() error {
		g := w.Cut()
		if g == nil {
			return nil
		}
		return flows.add(g, enc.flows)
	}
	rd := seg.NewReader()
	defer rd.Close()
	evs := make([]firetrail.Event, 1)
	for b := range seg.Blocks() {
		rd.Seek(b)
		for row := range rd.Rows() {
			if err := rd.Event(row, &evs[0]); err != nil {
				return err
			}
			if w.Append(evs) == 0 {
				return errors.New("the segment does not fit in one")
			}
			if w.Full() {
				if err := cut(); err != nil {
					return err
				}
			}
		}
	}
	if err := cut(); err != nil {
		return err
	}
	staged := c.path("staging", d.name, ".flow")
	sum, err := flows.write(staged, enc.flows)
	if err != nil {
		return err
	}
	s := *d.seg
	s.Flows = sum
	return c.put(st, staged, d, &s)
}

// put gives a remade file its name. If the segment is described by other checksums
// now, a new line of the manifest says so.
func (c *Case) put(st *state, staged string, d damage, now *segment) error {
	if err := os.Rename(staged, filepath.Join(c.dir, d.rel())); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := syncDir(filepath.Join(c.dir, d.folder)); err != nil {
		return err
	}
	if was := st.segments[d.name]; now == nil || now.SHA256 == was.SHA256 && now.Flows == was.Flows {
		return nil
	}
	return st.commit(c.dir, commit{Segments: []segment{*now}})
}
