package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"firetrail/parsers"
)

// candidate is an input that is to be taken in.
type candidate struct {
	input  parsers.Input
	spool  string // copy of a stream that cannot be read again
	broken error  // why the copy is not complete
}

// inputs lists what the paths name, sorted. Streams that cannot be read again are
// copied to staging now, to stay with the case.
func (in *ingest) inputs(paths []string, res *Ingested) ([]candidate, error) {
	var all []candidate
	for it, err := range parsers.Inputs(paths, in.opt.Stdin) {
		if skipped, ok := errors.AsType[*parsers.SkippedError](err); ok {
			res.Skipped = append(res.Skipped, *skipped)
			continue
		}
		t := candidate{input: it}
		if err == nil && transient(it.Path) {
			err = t.spoolInput(filepath.Join(in.c.dir, "staging", "spool-"+strconv.Itoa(len(all))))
		}
		if err != nil {
			res.Sources = append(res.Sources, refused(it.Path, err))
			continue
		}
		in.total.Add(max(t.input.Size, 0))
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return strings.Compare(a.input.Path, b.input.Path) })
	return all, nil
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

// spoolInput copies the stream into a file, from which it is read from then on.
func (t *candidate) spoolInput(path string) error {
	r, err := t.input.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep %s: %w", t.input.Path, err)
	}
	n, err := io.Copy(f, r)
	if serr := closeSynced(f); serr != nil {
		return fmt.Errorf("keep %s: %w", t.input.Path, errors.Join(err, serr))
	}
	t.spool, t.broken = path, err
	t.input.Size = n
	t.input.Open = func() (io.ReadCloser, error) { return os.Open(path) }
	return nil
}
