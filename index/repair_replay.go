package index

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"firetrail"
	"firetrail/parsers"
)

// readOptions are the options that a source was read with, as the manifest keeps
// them. Without them a segment could not be made again.
type readOptions struct {
	Format      string               `json:"format,omitempty"`
	Zone        string               `json:"zone,omitempty"`
	Year        int                  `json:"year,omitempty"`
	Sensor      string               `json:"sensor,omitempty"`
	MaxRecord   int                  `json:"max_record,omitempty"`
	PrefixRules []parsers.PrefixRule `json:"prefix_rules,omitempty"`
}

// kept gives the options that the manifest keeps; nil where none was given.
func kept(opt parsers.Options) *readOptions {
	r := &readOptions{Format: opt.Format, Year: opt.Year, Sensor: opt.Sensor, MaxRecord: opt.MaxRecord, PrefixRules: opt.PrefixRules}
	if opt.Zone != nil {
		r.Zone = opt.Zone.String()
	}
	if r.Format == "" && r.Zone == "" && r.Year == 0 && r.Sensor == "" && r.MaxRecord == 0 && r.PrefixRules == nil {
		return nil
	}
	return r
}

// options makes them options again.
func (r *readOptions) options() (parsers.Options, error) {
	if r == nil {
		return parsers.Options{}, nil
	}
	opt := parsers.Options{Format: r.Format, Year: r.Year, Sensor: r.Sensor, MaxRecord: r.MaxRecord, PrefixRules: r.PrefixRules}
	if r.Zone != "" {
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			return opt, err
		}
		opt.Zone = zone
	}
	return opt, nil
}

// replay is a case within staging into which sources are taken in again, in the steps
// in which they were taken in: the same files come of it, with the same names and, from
// the same version of the program, the same bytes; but that sources which shared
// segments have their own.
type replay struct {
	*Case
	from *Case
	in   *ingest
	why  map[string]error // of sources that could not be taken in again
	made map[string]made  // segments that were put together, by name
}

// made is a segment in staging.
type made struct {
	info segment
	path string // without extension
	err  error
}

// replay takes the sources of damaged files in again.
func (c *Case) replay(ctx context.Context, st *state, bad []damage, progress func(string)) (*replay, error) {
	wanted := map[string]bool{}
	for i := range bad {
		for _, id := range bad[i].sources() {
			wanted[id] = true
		}
	}
	steps, err := c.steps(wanted)
	if err != nil {
		return nil, err
	}
	again, err := Create(c.path("staging", "replay", ""))
	if err != nil {
		return nil, err
	}
	r := &replay{Case: again, from: c, why: map[string]error{}, made: map[string]made{}}
	if r.in, err = newIngest(again, newState(), IngestOptions{Workers: 1}); err != nil {
		again.Close()
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		t := st.byID[id]
		progress(t.Path)
		for i := range steps[id] {
			if err := r.step(ctx, t, &steps[id][i]); err != nil {
				r.why[id] = fmt.Errorf("its source cannot be read again: %w", err)
				break
			}
		}
		if err := ctx.Err(); err != nil {
			again.Close()
			return nil, err
		}
		if now := r.in.state.byID[id]; r.why[id] == nil && (now == nil || now.SHA256 != t.SHA256) {
			r.why[id] = fmt.Errorf("%s: %w", t.Path, ErrChanged)
		}
	}
	again.show(r.in.state)
	return r, nil
}

// steps are what commits took in of sources, oldest first.
func (c *Case) steps(wanted map[string]bool) (map[string][]taking, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	all := map[string][]taking{}
	for line := range bytes.Lines(data) {
		var e commit
		if raw, _, ok := cutLine(line); !ok || json.Unmarshal(raw, &e) != nil {
			break // loadState has checked all lines but a torn last one
		}
		for _, t := range e.Sources {
			if wanted[t.Source.ID] && t.Also == "" {
				all[t.Source.ID] = append(all[t.Source.ID], t)
			}
		}
	}
	return all, nil
}

// step takes in what a commit took in: the source as far as it went then, or, where it
// was committed while it was read, a part of it.
func (r *replay) step(ctx context.Context, t *taken, e *taking) error {
	opt, err := e.Read.options()
	if err != nil {
		return err
	}
	r.in.opt.Options = opt
	k := &intake{candidate: candidate{input: parsers.Input{Path: e.Source.Path, Size: e.Source.Size}}, in: r.in}
	if e.Source.ModTime != firetrail.Absent {
		k.input.ModTime = time.Unix(0, e.Source.ModTime)
	}
	k.input.Open = func() (io.ReadCloser, error) { return r.from.reopen(t) }
	if e.More {
		k.until = e.Source.Size
	} else {
		k.input.Open = func() (io.ReadCloser, error) {
			src, err := r.from.reopen(t)
			if err != nil {
				return nil, err
			}
			return limited{io.LimitReader(src, e.Source.Size), src}, nil
		}
	}
	if k.head, err = readHead(k.input); err != nil {
		return err
	}
	b := r.in.newBundle()
	b.join(k)
	var report SourceReport
	err = b.run(ctx, func(_ *intake, r SourceReport) { report = r })
	if err == nil && report.Status == StatusRefused {
		err = report.Err
	}
	return err
}

// limited is the beginning of a stream.
type limited struct {
	io.Reader
	io.Closer
}

var errOther = errors.New("its source gives something else now, as another version of the program may read it")

// remake gives the case a file that came out of the replay, if it is what was
// committed, or a segment or its rollup that has the same events.
func (r *replay) remake(ctx context.Context, st *state, d damage) error {
	for _, id := range d.sources() {
		if err := r.why[id]; err != nil {
			return err
		}
	}
	if d.seg == nil {
		made := filepath.Join(r.dir, d.rel())
		if d.folder == "rejects" {
			made = filepath.Join(r.dir, "staging", d.name+d.ext)
			if err := r.rejects(st, d.name, made); err != nil {
				return err
			}
		}
		if sum, err := fileSum(made); err != nil || sum != d.sha256 {
			return errOther
		}
		return r.from.put(st, made, d, nil)
	}
	m, ok := r.made[d.name]
	if !ok {
		m.path = filepath.Join(r.dir, "staging", d.name)
		m.info, m.err = r.gather(ctx, d.seg, m.path)
		r.made[d.name] = m
	}
	if m.err != nil {
		return m.err
	}
	now := st.segments[d.name] // as a put before has left it
	if d.folder == "segments" {
		now.Size, now.SHA256 = m.info.Size, m.info.SHA256
	} else {
		now.Flows = m.info.Flows
	}
	return r.from.put(st, m.path+d.ext, d, &now)
}

// rejects writes a file of quarantined records of a source: as many as it had, behind
// those of the files before it.
func (r *replay) rejects(st *state, name, path string) error {
	id, skip, count := owner(name), int64(0), int64(0)
	for _, f := range st.byID[id].rejects {
		if f.Name == name {
			count = f.Count
			break
		}
		skip += f.Count
	}
	w := newRejectWriter(path)
	defer w.abandon()
	for rej, err := range r.Rejects(context.Background(), id) {
		if err != nil {
			return err
		}
		if skip--; skip >= 0 {
			continue
		}
		if w.count == count {
			break
		}
		if err := w.write([]firetrail.Reject{rej}); err != nil {
			return err
		}
	}
	_, err := w.close()
	return err
}

// gather puts a segment together from those of its sources.
func (r *replay) gather(ctx context.Context, want *segment, path string) (segment, error) {
	w, err := newSegmentWriter(ctx, r.in.slots, path, want.Kind)
	if err != nil {
		return segment{}, err
	}
	defer w.abandon()
	rows := r.newCopier(w)
	defer rows.close()
	for i := range want.Sources {
		run := &want.Sources[i]
		for _, s := range r.view().segments { // by name: in the order of the source's records
			if s.Kind != want.Kind || s.Sources[0].Source != run.Source {
				continue
			}
			if err := rows.rows(s.Name, 0, s.Rows, run, &run.Source); err != nil {
				return segment{}, err
			}
		}
	}
	if err := w.end(); err != nil {
		return segment{}, err
	}
	if len(w.runs) == 0 {
		return segment{}, errOther
	}
	if err := w.close(); err != nil {
		return segment{}, err
	}
	if w.info.Rows != want.Rows || w.info.Dated != want.Dated || w.info.First != want.First || w.info.Last != want.Last {
		return segment{}, errOther
	}
	return w.info, nil
}
