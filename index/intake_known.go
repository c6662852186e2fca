package index

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// recognise compares the input with the sources of the case. known: all of it is in the
// case. Otherwise t.base is the source that it continues, if any.
func (t *intake) recognise(ctx context.Context) (known bool, err error) {
	t.in.mu.Lock()
	candidates := t.in.state.alike(t.head)
	t.in.mu.Unlock()
	if len(candidates) == 0 {
		return false, nil
	}
	r, err := t.input.Open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	if size, ok := t.readBefore(r, candidates); ok {
		return size == t.base.Size && !t.base.last.More, nil
	}
	sum, from := newSourceSum(), readerContext{ctx, t.pass(r, 0)}
	for _, c := range candidates {
		_, err := io.CopyN(sum, from, c.Size-sum.size)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return false, err
		}
		if sum.whole() == c.SHA256 {
			t.base, t.values = c, slices.Clone(sum.values)
		}
	}
	if t.base != nil {
		t.in.c.read.note(t.input.Path, plainFile(r), t.base.ID)
		n, _ := io.CopyN(io.Discard, r, t.base.Size-sum.size+1)
		return sum.size+n <= t.base.Size && !t.base.last.More, nil
	}
	// A shorter copy of a source that has grown since.
	for _, c := range candidates {
		if c.Size > sum.size && t.in.c.beginsWith(c, sum) {
			t.base = c
			return true, nil
		}
	}
	return false, nil
}

// beginsWith reports whether a source began with the bytes of a sum: by what was
// committed of it, else by its file.
func (c *Case) beginsWith(k *taken, sum *sourceSum) bool {
	whole := sum.whole()
	for _, p := range k.known {
		if p.size == sum.size {
			return p.sha256 == whole
		}
	}
	if values, err := c.valuesOf(k); err == nil && !bytes.HasPrefix(values, sum.values) {
		return false
	}
	r, err := c.reopen(k)
	if err != nil {
		return false
	}
	defer r.Close()
	own := newSourceSum()
	n, err := io.CopyN(own, r, sum.size)
	return err == nil && n == sum.size && own.whole() == whole
}

// readFiles are the files that this process has read to their ends. One that has
// grown since need not be read from its start again: that its known bytes are those
// that were committed was found by reading them, and what is cited of them can be
// verified at any time. So a file that is followed costs what is written to it.
type readFiles struct {
	mu  sync.Mutex
	all map[string]readFile // by path
}

type readFile struct {
	info   os.FileInfo
	source string // id
}

// plainFile tells of an opened file that can be read from anywhere; nil for
// everything else.
func plainFile(r io.Reader) os.FileInfo {
	f, ok := r.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// note keeps that a file is a source. Small ones are read again as quickly.
func (f *readFiles) note(path string, info os.FileInfo, source string) {
	if info == nil || info.Size() < partSize {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]readFile{}
	}
	f.all[path] = readFile{info, source}
}

// readBefore finds the source that the same file was before, if its first bytes, by
// which the candidates were found, and the last parts that are known of it are as
// they were. size is the file's present one.
func (t *intake) readBefore(r io.Reader, candidates []*taken) (size int64, ok bool) {
	info := plainFile(r)
	t.in.c.read.mu.Lock()
	was := t.in.c.read.all[t.input.Path]
	t.in.c.read.mu.Unlock()
	if info == nil || was.info == nil || !os.SameFile(info, was.info) {
		return 0, false
	}
	i := slices.IndexFunc(candidates, func(k *taken) bool { return k.ID == was.source })
	if i < 0 || info.Size() < candidates[i].Size {
		return 0, false
	}
	k := candidates[i]
	values, err := t.in.c.valuesOf(k)
	if err != nil {
		return 0, false
	}
	first := max((k.Size-1)/partSize-1, 0)
	data := make([]byte, k.Size-first*partSize)
	if _, err := r.(io.ReaderAt).ReadAt(data, first*partSize); err != nil {
		return 0, false
	}
	same := true
	if err := sameParts(&k.Source, values, first, data, func(int64) { same = false }); err != nil || !same {
		return 0, false
	}
	t.base, t.values = k, values
	return info.Size(), true
}
