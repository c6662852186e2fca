package index

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"

	"firetrail"
)

// rejectFile names a file of quarantined records.
type rejectFile struct {
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	SHA256 string `json:"sha256"`
}

// rejectLine is a line of such a file.
type rejectLine struct {
	Line   int64  `json:"line"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
}

// rejectWriter writes a file of quarantined records.
type rejectWriter struct {
	file  *os.File
	buf   *bufio.Writer
	sum   hash.Hash
	enc   *json.Encoder
	count int64
}

func newRejectWriter(path string) (*rejectWriter, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write rejects: %w", err)
	}
	w := &rejectWriter{file: f, sum: sha256.New()}
	w.buf = bufio.NewWriter(io.MultiWriter(f, w.sum))
	w.enc = json.NewEncoder(w.buf)
	return w, nil
}

func (w *rejectWriter) write(rejects []firetrail.Reject) error {
	for _, r := range rejects {
		if err := w.enc.Encode(rejectLine{r.Line, r.Offset, r.Length, r.Column, r.Reason}); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
	}
	w.count += int64(len(rejects))
	return nil
}

// close makes the file durable.
func (w *rejectWriter) close() (rejectFile, error) {
	if err := w.buf.Flush(); err != nil {
		return rejectFile{}, fmt.Errorf("write rejects: %w", err)
	}
	return rejectFile{Count: w.count, SHA256: hex.EncodeToString(w.sum.Sum(nil))}, closeSynced(w.file)
}

// Rejects yields the quarantined records of a source in record order; of all
// sources, by path, if source is "".
func (c *Case) Rejects(ctx context.Context, source string) iter.Seq2[firetrail.Reject, error] {
	return func(yield func(firetrail.Reject, error) bool) {
		view := c.view()
		for _, src := range view.sources {
			if source != "" && src.ID != source {
				continue
			}
			for _, f := range view.byID[src.ID].rejects {
				if err := ctx.Err(); err != nil {
					yield(firetrail.Reject{}, err)
					return
				}
				if !c.rejectsOf(src.ID, f, yield) {
					return
				}
			}
		}
	}
}

// rejectsOf yields the records of one file; it returns false to stop.
func (c *Case) rejectsOf(source string, rf rejectFile, yield func(firetrail.Reject, error) bool) bool {
	f, err := os.Open(c.path("rejects", rf.Name, ".jsonl"))
	if err != nil {
		return yield(firetrail.Reject{}, fmt.Errorf("read rejects: %w", err))
	}
	defer f.Close()
	sum := sha256.New()
	dec := json.NewDecoder(bufio.NewReader(io.TeeReader(f, sum)))
	for {
		var l rejectLine
		err := dec.Decode(&l)
		if err == io.EOF {
			if hex.EncodeToString(sum.Sum(nil)) == rf.SHA256 {
				return true
			}
			err = errors.New("not what was committed; see 'firetrail verify --repair'")
		}
		if err != nil {
			yield(firetrail.Reject{}, fmt.Errorf("read rejects %s: %w", rf.Name, err))
			return false
		}
		o := firetrail.Origin{Source: source, Line: l.Line, Offset: l.Offset, Length: l.Length}
		if !yield(firetrail.Reject{Origin: o, Column: l.Column, Reason: l.Reason}, nil) {
			return false
		}
	}
}
