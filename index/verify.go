package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"firetrail"
	"firetrail/index/blocks"
)

// Problem is something that is not as it was committed.
type Problem struct {
	Path   string // of the file, within the case or of a source
	Source string // id, where it is a source or belongs to one
	Line   int    // of the manifest or the custody log, from 1; 0 none
	Offset int64  // bytes of the source that differ lie in [Offset, Offset+Length); Length 0: unknown
	Length int64
	Text   string
}

// VerifyReport is the outcome of Verify.
type VerifyReport struct {
	Sources, Segments, Commits, Entries int   // how many were checked
	Bytes                               int64 // of sources read
	Unindexed                           int   // segments without a block index, which searches read in full
	Missing                             []firetrail.Source
	Problems                            []Problem
}

// OK reports whether nothing was found. Sources that are missing are no
// contradiction, but cannot be checked either.
func (r *VerifyReport) OK() bool { return len(r.Problems) == 0 }

// Touches says whether a change that was found may concern the record.
func (r *VerifyReport) Touches(o firetrail.Origin) bool {
	for _, p := range r.Problems {
		if p.Source == o.Source && (p.Length == 0 || p.Offset < o.Offset+o.Length && o.Offset < p.Offset+p.Length) {
			return true
		}
	}
	return false
}

// Verify checks what the case rests on: the chains of the manifest and of the custody
// log, the files of the case, and the sources where they can still be read. It
// changes nothing.
// progress, if not nil, is told what is being checked.
func (c *Case) Verify(ctx context.Context, progress func(what string)) (VerifyReport, error) {
	var r VerifyReport
	if progress == nil {
		progress = func(string) {}
	}
	progress(manifestName)
	st, err := loadState(c.dir)
	damage, damaged := errors.AsType[*manifestError](err)
	switch {
	case damaged:
		// What comes behind the bad line cannot be trusted; what this case has
		// opened is checked all the same.
		r.Problems = append(r.Problems, Problem{Path: manifestName, Line: damage.line, Text: damage.why})
	case err != nil:
		return r, err
	default:
		r.Commits = st.commits
		progress(custodyName)
		entries, problems, err := c.checkCustody(st.chains)
		if err != nil {
			return r, err
		}
		r.Entries, r.Problems = entries, append(r.Problems, problems...)
	}
	view := c.view()
	if st != nil {
		view = st.snapshot() // isolated segments included
	}
	for i := range view.segments {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		s := &view.segments[i]
		progress(s.Name)
		c.checkFile(&r, filepath.Join("segments", s.Name+".parquet"), s.SHA256)
		c.checkFile(&r, filepath.Join("flows", s.Name+".flow"), s.Flows)
		c.checkTerms(&r, s)
		r.Segments++
	}
	for _, src := range view.sources {
		t := view.byID[src.ID]
		for _, f := range t.rejects {
			c.checkFile(&r, filepath.Join("rejects", f.Name+".jsonl"), f.SHA256)
		}
		if _, err := c.valuesOf(t); err != nil {
			r.Problems = append(r.Problems, Problem{Path: filepath.Join("sums", t.ID), Text: err.Error()})
		}
		progress(src.Path)
		if err := c.checkSource(ctx, &r, t); err != nil {
			return r, err
		}
	}
	return r, nil
}

// checkTerms checks the block index of a segment. One that is missing only costs
// time; one that is damaged may say that something is not there.
func (c *Case) checkTerms(r *VerifyReport, s *segment) {
	path := c.path("blocks", s.Name, termsExt)
	x, err := blocks.Open(path, s.blocks())
	if err == nil {
		x.Close()
		err = blocks.Check(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Unindexed++
	case err != nil:
		r.Problems = append(r.Problems, Problem{Path: filepath.Join("blocks", s.Name+termsExt), Text: err.Error()})
	}
}

// checkFile compares a file of the case with the checksum of its commit.
func (c *Case) checkFile(r *VerifyReport, name, want string) {
	f, err := os.Open(filepath.Join(c.dir, name))
	h := sha256.New()
	if err == nil {
		_, err = io.Copy(h, f)
		f.Close()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Problems = append(r.Problems, Problem{Path: name, Text: "is missing"})
	case err != nil:
		r.Problems = append(r.Problems, Problem{Path: name, Text: err.Error()})
	case hex.EncodeToString(h.Sum(nil)) != want:
		r.Problems = append(r.Problems, Problem{Path: name, Text: "is not what was committed"})
	}
}

// checkSource reads a source again, part by part. Bytes that were added since do not
// matter.
func (c *Case) checkSource(ctx context.Context, r *VerifyReport, t *taken) error {
	src, err := c.reopen(t)
	if err != nil {
		r.Missing = append(r.Missing, t.Source)
		return nil
	}
	defer src.Close()
	values, verr := c.valuesOf(t)
	whole, n := newSourceSum(), int64(0)
	changed := func(part int64) {
		r.Problems = append(r.Problems, Problem{Path: t.Path, Source: t.ID, Offset: part * partSize,
			Length: min(partSize, t.Size-part*partSize), Text: "has changed"})
	}
	for buf := make([]byte, min(partSize, t.Size)); n < t.Size && err == nil; {
		var k int
		k, err = readFull(readerContext{ctx, src}, buf[:min(partSize, t.Size-n)])
		switch {
		case verr != nil:
			whole.Write(buf[:k])
		case k == partSize || n+int64(k) == t.Size:
			if err := sameParts(&t.Source, values, n/partSize, buf[:k], changed); err != nil {
				return err
			}
		}
		n += int64(k)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.Sources++
	r.Bytes += n
	switch {
	case n < t.Size:
		text := fmt.Sprintf("has %d bytes, not %d", n, t.Size)
		if err != nil && err != io.EOF && t.Problem == "" {
			text += ": " + err.Error()
		}
		r.Problems = append(r.Problems, Problem{Path: t.Path, Source: t.ID, Offset: n, Length: t.Size - n, Text: text})
	case verr != nil && whole.whole() != t.SHA256:
		r.Problems = append(r.Problems, Problem{Path: t.Path, Source: t.ID, Text: "has changed"})
	}
	return nil
}
