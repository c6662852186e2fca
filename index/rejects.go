package index

import (
	"bufio"
	"bytes"
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

// rejectWriter writes a file of quarantined records. Few of them are held in memory
// until the end: very many small sources may have some each, and files that are open are
// few.
type rejectWriter struct {
	path  string
	file  *os.File // nil until it is needed
	buf   bytes.Buffer
	sum   hash.Hash
	enc   *json.Encoder
	count int64
}

const rejectsHeld = 256 << 10 // bytes

func newRejectWriter(path string) *rejectWriter {
	w := &rejectWriter{path: path, sum: sha256.New()}
	w.enc = json.NewEncoder(&w.buf)
	return w
}

func (w *rejectWriter) write(rejects []firetrail.Reject) error {
	for _, r := range rejects {
		if err := w.enc.Encode(rejectLine{r.Line, r.Offset, r.Length, r.Column, r.Reason}); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
		if w.buf.Len() > rejectsHeld {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	w.count += int64(len(rejects))
	return nil
}

// flush writes what is held to the file.
func (w *rejectWriter) flush() (err error) {
	if w.file == nil {
		if w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
	}
	w.sum.Write(w.buf.Bytes())
	if _, err := w.buf.WriteTo(w.file); err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	return nil
}

// close makes the file durable.
func (w *rejectWriter) close() (rejectFile, error) {
	if err := w.flush(); err != nil {
		return rejectFile{}, err
	}
	return rejectFile{Count: w.count, SHA256: hex.EncodeToString(w.sum.Sum(nil))}, closeSynced(w.file)
}

// abandon closes the file if it is open.
func (w *rejectWriter) abandon() {
	if w.file != nil {
		w.file.Close()
	}
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
