package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"firetrail/parsers"
)

// candidate is an input that is to be taken in.
type candidate struct {
	input parsers.Input
	spool *spool // copy of a stream that cannot be read again, else nil
}

// inputs lists what the paths name, sorted. Streams that cannot be read again are
// copied to staging, to stay with the case: standard input while it is read, pipes now.
func (in *ingest) inputs(ctx context.Context, paths []string, res *Ingested) ([]candidate, error) {
	var all []candidate
	total, unknown := int64(0), false
	for it, err := range parsers.Inputs(paths, in.opt.Stdin) {
		if skipped, ok := errors.AsType[*parsers.SkippedError](err); ok {
			res.Skipped = append(res.Skipped, *skipped)
			continue
		}
		t := candidate{input: it}
		if err == nil && transient(it.Path) {
			err = t.copy(ctx, filepath.Join(in.c.dir, "staging", "spool-"+strconv.Itoa(len(all))))
		}
		if err != nil {
			res.Sources = append(res.Sources, refused(it.Path, err))
			continue
		}
		if all = append(all, t); t.input.Size < 0 && t.spool != nil {
			unknown = true
		}
		total += t.input.Stored
	}
	if !unknown {
		in.total.Store(total)
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return strings.Compare(a.input.Path, b.input.Path) })
	return all, ctx.Err()
}

// transient says whether a stream is gone once it is read: standard input, what
// an archive on it holds, and pipes.
func transient(path string) bool {
	if path == "-" || strings.HasPrefix(path, "-!") {
		return true
	}
	st, err := os.Stat(path)
	return err == nil && !st.Mode().IsRegular()
}

// copy copies the stream into a file, from which it is read from then on. The end of
// ctx ends the stream.
func (t *candidate) copy(ctx context.Context, path string) error {
	r, err := t.input.Open()
	if err != nil {
		return err
	}
	if t.spool, err = newSpool(path); err != nil {
		r.Close()
		return fmt.Errorf("keep %s: %w", t.input.Path, err)
	}
	s := t.spool
	context.AfterFunc(ctx, func() { s.step(0, ctx.Err()) })
	t.input.Open, t.input.Size = s.open, -1
	if t.input.Path == "-" {
		go func() {
			defer r.Close()
			s.fill(r)
		}()
		return nil
	}
	defer r.Close()
	s.fill(r)
	t.input.Size, t.input.Stored = s.size, s.size
	return nil
}
