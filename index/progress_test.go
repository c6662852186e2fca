package index

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestProgress takes logs of all sorts in: what is done with of the inputs grows up to
// all of them, also where they are compressed, known or refused.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	data := kernelLines(0, 20_000)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(data)
	w.Close()
	total := int64(0)
	for name, data := range map[string][]byte{"a.log": data[:len(data)/2], "b.log.gz": z.Bytes(), "c.log": []byte("nothing\n"), "d.log": kernelLines(9_000_000, 9_000_100), "e.log": nil} {
		writeFile(t, filepath.Join(dir, name), data)
		total += int64(len(data))
	}
	c := create(t)
	for range 2 {
		var seen []Progress
		_, err := c.Ingest(context.Background(), []string{dir}, IngestOptions{CommitEvery: 1 << 20, Progress: func(p Progress) { seen = append(seen, p) }})
		if err != nil {
			t.Fatal(err)
		}
		last := seen[len(seen)-1]
		if last.Done != total || last.Total != total {
			t.Errorf("%+v of %d", last, total)
		}
		if !slices.IsSortedFunc(seen, func(a, b Progress) int { return int(a.Done - b.Done) }) {
			t.Errorf("%+v", seen)
		}
	}
}

// TestPassing reads a compressed input: half of it read is half of it done with, within
// what the buffers hold.
func TestPassing(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(kernelLines(0, 60_000))
	w.Close()
	path := filepath.Join(t.TempDir(), "a.log.gz")
	writeFile(t, path, z.Bytes())
	in := &ingest{}
	all, err := in.inputs(context.Background(), []string{path}, &Ingested{})
	if err != nil {
		t.Fatal(err)
	}
	k := &intake{candidate: all[0], in: in}
	src, err := k.input.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	r := k.pass(src, 0)
	size, _ := io.Copy(io.Discard, io.LimitReader(r, 6<<20))
	if done, want := in.done.Load(), in.total.Load()*size/int64(len(kernelLines(0, 60_000))); done < want*9/10 || done > want*11/10 {
		t.Errorf("%d of %d bytes done with, about %d expected", done, in.total.Load(), want)
	}
}

// TestStandardInput is taken in and committed while it comes, and what is known of it
// when it breaks off goes on when it comes again.
func TestStandardInput(t *testing.T) {
	data := kernelLines(0, 20_000)
	c := create(t)
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	opt := IngestOptions{Stdin: r, CommitEvery: 1 << 20}
	go func() {
		_, err := c.Ingest(ctx, []string{"-"}, opt)
		ended <- err
	}()
	if _, err := w.Write(data[:3<<20]); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if st, err := loadState(c.dir); err == nil && st.commits >= 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is committed before the end")
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("cancelled, and no error")
	}
	w.Close()
	sound(t, c)
	if s := c.Sources(); len(s) != 1 || s[0].Problem == "" || s[0].Size < 1<<20 {
		t.Fatalf("%+v", s)
	}
	opt.Stdin = bytes.NewReader(data)
	report, err := c.Ingest(context.Background(), []string{"-"}, opt)
	if err != nil || report.Sources[0].Status != StatusGrown {
		t.Errorf("%+v %v", report.Sources, err)
	}
	whole, path := create(t), filepath.Join(t.TempDir(), "a.log")
	writeFile(t, path, data)
	ingestAll(t, whole, path)
	got, want := holding(t, c), holding(t, whole)
	if !slices.Equal(got[1:], want[1:]) {
		t.Error("not what a file of the same content gives")
	}
	sound(t, c)
	if b, err := os.ReadFile(c.path("spool", c.Sources()[0].ID, "")); err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes are kept: %v", len(b), err)
	}
}
