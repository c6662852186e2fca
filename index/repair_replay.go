package index

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// steps are the commits that took in content of a source, oldest first.
func (c *Case) steps(id string) ([]commit, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var list []commit
	for line := range bytes.Lines(data) {
		var l manifestLine
		var e commit
		if json.Unmarshal(line, &l) != nil || json.Unmarshal(l.Commit, &e) != nil {
			break // loadState has checked all lines but a torn last one
		}
		if e.Source.ID == id && e.Also == "" {
			list = append(list, e)
		}
	}
	return list, nil
}

// replay takes a source in again, into a case within staging, in the steps in which
// it was taken in: the same files come of it, with the same names and, from the same
// version of the program, the same bytes.
func (c *Case) replay(ctx context.Context, t *taken) (*Case, error) {
	steps, err := c.steps(t.ID)
	if err != nil {
		return nil, err
	}
	again, err := Create(c.path("staging", "replay-"+t.ID, ""))
	if err != nil {
		return nil, err
	}
	for _, e := range steps {
		if err := again.takeAgain(ctx, c, t, e); err != nil {
			again.Close()
			return nil, fmt.Errorf("its source cannot be read again: %w", err)
		}
	}
	if err := again.Refresh(); err != nil {
		again.Close()
		return nil, err
	}
	if now := again.view().byID[t.ID]; now == nil || now.SHA256 != t.SHA256 {
		again.Close()
		return nil, fmt.Errorf("%s: %w", t.Path, ErrChanged)
	}
	return again, nil
}

// takeAgain takes in what a commit of another case took in: the source as far as it
// went then, or, where it was committed while it was read, a part of it.
func (c *Case) takeAgain(ctx context.Context, from *Case, t *taken, e commit) error {
	opt, err := e.Read.options()
	if err != nil {
		return err
	}
	st, err := loadState(c.dir)
	if err != nil {
		return err
	}
	in, err := newIngest(c, st, IngestOptions{Options: opt, Workers: 1})
	if err != nil {
		return err
	}
	input := parsers.Input{Path: e.Source.Path, Size: e.Source.Size}
	if e.Source.ModTime != firetrail.Absent {
		input.ModTime = time.Unix(0, e.Source.ModTime)
	}
	k := &intake{in: in}
	input.Open = func() (io.ReadCloser, error) { return from.reopen(t) }
	if e.More {
		k.until = e.Source.Size
	} else {
		input.Open = func() (io.ReadCloser, error) {
			r, err := from.reopen(t)
			if err != nil {
				return nil, err
			}
			return limited{io.LimitReader(r, e.Source.Size), r}, nil
		}
	}
	k.input = input
	if err := k.begin(ctx); err != nil {
		return err
	}
	defer k.done()
	report, err := k.run(ctx)
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

// adopt takes over a file of a source that was taken in again, if it is what was
// committed, or a segment with its rollup that has the same events.
func (c *Case) adopt(st *state, t *taken, d damage, again *Case) error {
	other := errors.New("its source gives something else now, as another version of the program may read it")
	made := filepath.Join(again.dir, d.rel())
	sum, err := fileSum(made)
	if err != nil {
		return other
	}
	if d.seg == nil {
		if sum != d.sha256 {
			return other
		}
		return c.put(st, t, made, d, segment{})
	}
	now, old := *d.seg, again.segmentNamed(d.name)
	if old == nil || old.Kind != now.Kind || old.Rows != now.Rows || old.Dated != now.Dated || old.First != now.First || old.Last != now.Last {
		return other
	}
	now = st.segments[d.name] // as a put before has left it
	if d.folder == "segments" {
		now.Size, now.SHA256 = old.Size, old.SHA256
	} else {
		now.Flows = old.Flows
	}
	return c.put(st, t, made, d, now)
}

func (c *Case) segmentNamed(name string) *segment {
	for i := range c.view().segments {
		if s := &c.view().segments[i]; s.Name == name {
			return s
		}
	}
	return nil
}
