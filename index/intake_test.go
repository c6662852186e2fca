package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"
	"firetrail/parsers"

	"github.com/google/go-cmp/cmp"
)

// holding is what a case holds of its one source: how it stands and each of its
// records. The id of a source depends on how much of it was committed first.
func holding(t testing.TB, c *Case) []string {
	t.Helper()
	if len(c.Sources()) != 1 {
		t.Fatalf("%d sources", len(c.Sources()))
	}
	s := c.Sources()[0]
	id := s.ID
	s.ID, s.Path, s.ModTime = "", "", 0
	lines := []string{fmt.Sprintf("%+v", s)}
	for _, seg := range c.view().segments {
		open, release, err := c.segment(seg.Name)
		if err != nil {
			t.Fatal(err)
		}
		r := open.NewReader()
		ev := firetrail.NewEvent()
		for b := range open.Blocks() {
			r.Seek(b)
			for row := range r.Rows() {
				if err := r.Event(row, &ev); err != nil {
					t.Fatal(err)
				}
				if ev.Source != id {
					t.Fatalf("an event of %q", ev.Source)
				}
				ev.Source = ""
				slices.SortStableFunc(ev.X, func(a, b firetrail.Field) int { return strings.Compare(a.Name, b.Name) })
				lines = append(lines, fmt.Sprintf("%+v", ev))
			}
		}
		r.Close()
		release()
	}
	for r, err := range c.Rejects(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		r.Source = ""
		lines = append(lines, fmt.Sprintf("%+v", r))
	}
	slices.Sort(lines[1:])
	lines = append(lines, flowLines(t, c)...)
	return lines
}

// sound verifies a case.
func sound(t testing.TB, c *Case) {
	t.Helper()
	r, err := c.Verify(context.Background(), nil)
	if err != nil || !r.OK() {
		t.Errorf("%v %+v", err, r.Problems)
	}
}

// realLogs are the samples of every format and, where they are, the corpora.
func realLogs(t testing.TB) map[string][]byte {
	t.Helper()
	all, n := map[string][]byte{}, 0
	roots := []string{"../samples"}
	if corpora := os.Getenv("FIRETRAIL_CORPORA"); corpora != "" {
		roots = append(roots, corpora)
	}
	for in, err := range parsers.Inputs(roots, nil) {
		if err != nil || in.Size > 1<<20 || strings.HasSuffix(in.Path, ".go") {
			continue
		}
		if n++; n > 60 && n%8 > 0 { // parsers tests have all of the corpora
			continue
		}
		r, err := in.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			continue
		}
		if _, err := parsers.NewReader(bytes.NewReader(data), parsers.Options{Year: 2025}); err == nil {
			all[in.Path] = data
		}
	}
	return all
}

// TestGrowthOfAll takes in the beginning of each log and then all of it, cut behind
// records and within them: the case is that of the whole log.
func TestGrowthOfAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	opt := IngestOptions{Options: parsers.Options{Year: 2025}}
	take := func(c *Case, data []byte) string {
		t.Helper()
		writeFile(t, path, data)
		r, err := c.Ingest(context.Background(), []string{path}, opt)
		if err != nil {
			t.Fatal(err)
		}
		return r.Sources[0].Status
	}
	n, other := 0, 0
	all := realLogs(t)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range all {
			if !yield(name) {
				return
			}
		}
	}) {
		data := all[name]
		whole := create(t)
		take(whole, data)
		want := holding(t, whole)
		whole.Close()
		r := rand.New(rand.NewPCG(5, uint64(len(data))))
		var ends []int
		for i, b := range data {
			if b == '\n' {
				ends = append(ends, i+1)
			}
		}
		cuts := []int{1 + r.IntN(max(len(data)-1, 1))}
		if len(ends) > 0 {
			cuts = append(cuts, ends[r.IntN(len(ends))])
		}
		for _, cut := range cuts {
			c := create(t)
			first := take(c, data[:cut])
			if cut == len(data) {
				continue
			}
			if first != StatusNew || c.Sources()[0].Format != whole.Sources()[0].Format {
				other++
				continue
			}
			if s := take(c, data); s != StatusGrown {
				t.Errorf("%s cut at %d: %s", name, cut, s)
			}
			if d := cmp.Diff(want, holding(t, c)); d != "" {
				t.Errorf("%s cut at %d: %s", name, cut, d)
			}
			sound(t, c)
			c.Close()
			n++
		}
	}
	t.Logf("%d logs, %d cuts, %d where the beginning alone is no source or another one", len(all), n, other)
	if n < 20 || other > n/4 {
		t.Errorf("%d cuts, %d others", n, other)
	}
}

// TestCommitEvery takes in a log that is committed many times while it is read, is
// interrupted between, and goes on: nothing of it differs from a log taken in at
// once, and its files are those of a run without interruption.
func TestCommitEvery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	data := append(kernelLines(0, 20_000), kernelLines(20_000, 20_001)[:90]...)
	writeFile(t, path, data)
	once := create(t)
	ingestAll(t, once, path)
	opt := IngestOptions{CommitEvery: 300_000}
	clean := create(t)
	if _, err := clean.Ingest(context.Background(), []string{path}, opt); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(holding(t, once), holding(t, clean)); d != "" {
		t.Error(d)
	}
	sound(t, clean)
	if n := clean.view().commits; n < 10 || n > 20 {
		t.Errorf("%d commits of %d bytes", n, len(data))
	}

	c := create(t)
	r := rand.New(rand.NewPCG(1, 9))
	commits, stops := 0, 0
	for {
		ctx, cancel := context.WithCancel(context.Background())
		stop := commits + 1 + r.IntN(3)
		go func() {
			for ctx.Err() == nil {
				if st, err := loadState(c.dir); err == nil && st.commits >= stop {
					cancel()
				}
			}
		}()
		report, err := c.Ingest(ctx, []string{path}, opt)
		cancel()
		if err == nil {
			if s := report.Sources[0]; stops > 0 && s.Status == StatusNew {
				t.Errorf("%+v", s)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		sound(t, c)
		for _, k := range c.view().byID {
			if strings.Contains(k.Problem, "the next ingest goes on") != k.last.More || k.last.More != (k.Size < int64(len(data))) {
				t.Errorf("%+v", k)
			}
		}
		commits = c.view().commits
		stops++
	}
	if stops < 1 {
		t.Error("never interrupted")
	}
	if d := cmp.Diff(holding(t, once), holding(t, c)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(files(t, clean), files(t, c)); d != "" {
		t.Error(d)
	}
	// What comes behind is parsed alone.
	data = append(data, kernelLines(20_000, 20_001)[90:]...)
	data = append(data, kernelLines(20_001, 20_500)...)
	writeFile(t, path, data)
	report := ingestAll(t, c, path)
	if s := report.Sources[0]; s.Status != StatusGrown || s.Added.Records != 500-1 || report.Bytes > int64(len(data))%partSize+500_000 {
		t.Errorf("%s, %+v, %d bytes read", s.Status, s.Added, report.Bytes)
	}
	whole := create(t)
	ingestAll(t, whole, path)
	if d := cmp.Diff(holding(t, whole), holding(t, c)); d != "" {
		t.Error(d)
	}
}

// TestCommitEveryOfAll commits the logs of every format behind each batch.
func TestCommitEveryOfAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	all := realLogs(t)
	for name, data := range all {
		if len(data) > 100_000 {
			data = data[:100_000]
		}
		writeFile(t, path, bytes.Repeat(data, 1+200_000/len(data)))
		once, often := create(t), create(t)
		opt := IngestOptions{Options: parsers.Options{Year: 2025}}
		for _, c := range []*Case{once, often} {
			if _, err := c.Ingest(context.Background(), []string{path}, opt); err != nil {
				t.Fatal(err)
			}
			opt.CommitEvery = 1
		}
		if d := cmp.Diff(holding(t, once), holding(t, often)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		sound(t, often)
		once.Close()
		often.Close()
	}
}

// TestSameBeginning takes in logs that begin alike for longer than a part that is
// committed, also when the first of them has gone.
func TestSameBeginning(t *testing.T) {
	dir := t.TempDir()
	common := kernelLines(0, 3000)
	a, b, short := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "short")
	writeFile(t, a, slices.Concat(common, kernelLines(10_000, 13_000)))
	writeFile(t, b, slices.Concat(common, kernelLines(20_000, 23_000)))
	writeFile(t, short, common)
	c := create(t)
	opt := IngestOptions{CommitEvery: 100_000}
	for i, path := range []string{a, b, a, b, short} {
		r, err := c.Ingest(context.Background(), []string{path}, opt)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"new", "new", "known", "known", "known"}[i]; r.Sources[0].Status != want {
			t.Errorf("%d: %s, want %s", i, r.Sources[0].Status, want)
		}
	}
	sound(t, c)
	if s := c.Sources(); len(s) != 2 || s[0].Counts.Records != 6000 || s[1].Counts.Records != 6000 {
		t.Errorf("%+v", s)
	}
	// A beginning that was committed is known without its file.
	size := c.view().byID[c.Sources()[0].ID].known[1].size
	writeFile(t, short, slices.Concat(common, kernelLines(10_000, 13_000))[:size])
	os.Remove(a)
	os.Remove(b)
	r, err := c.Ingest(context.Background(), []string{short}, opt)
	if err != nil || r.Sources[0].Status != StatusKnown {
		t.Errorf("%+v %v", r.Sources, err)
	}
}

// TestRepairParts damages every file of a source that was committed in parts and has
// grown since.
func TestRepairParts(t *testing.T) {
	c, path := create(t), filepath.Join(t.TempDir(), "a.log")
	data := kernelLines(0, 12_000)
	for _, size := range []int{len(data)/2 + 100, len(data) - 70, len(data)} {
		writeFile(t, path, data[:size])
		if _, err := c.Ingest(context.Background(), []string{path}, IngestOptions{CommitEvery: 400_000}); err != nil {
			t.Fatal(err)
		}
	}
	tidied(t, c)
	was, want := files(t, c), holding(t, c)
	i := 0
	for name := range was {
		spoil(t, filepath.Join(c.dir, name), i)
		i++
	}
	r := repair(t, c)
	if len(r.Isolated)+len(r.Failed) > 0 {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff(was, files(t, c)); d != "" {
		t.Error(d)
	}
	sound(t, c)
	if d := cmp.Diff(want, holding(t, c)); d != "" {
		t.Error(d)
	}
}

// TestSourceSum takes the checksums apart: chaining values are those of FIPS 180-4,
// a stream can be hashed on behind any part, and a change is placed.
func TestSourceSum(t *testing.T) {
	// The padding of FIPS 180-4 makes the message of 55 bytes one block: the chaining
	// value behind it is its digest.
	s := newSourceSum()
	message := bytes.Repeat([]byte("a"), 55)
	s.hash.Write(message)
	padded := newSourceSum()
	padded.hash.Write(append(append(slices.Clone(message), 0x80), 0, 0, 0, 0, 0, 0, 55*8/256, 55*8%256))
	if got := fmt.Sprintf("%x", padded.value()); got != s.whole() {
		t.Errorf("chaining value %s, digest %s", got, s.whole())
	}
	data := make([]byte, 3*partSize+12_345)
	rand.NewChaCha8([32]byte{}).Read(data)
	whole := newSourceSum()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 77_777)
		whole.Write(rest[:n])
		rest = rest[n:]
	}
	src := &firetrail.Source{Size: int64(len(data)), SHA256: whole.whole()}
	for part := range 4 {
		on, err := sumBehind(whole.values[:part*valueLen])
		if err != nil {
			t.Fatal(err)
		}
		on.Write(data[part*partSize:])
		if on.whole() != whole.whole() || !bytes.Equal(on.values, whole.values) {
			t.Errorf("behind part %d: another checksum", part)
		}
		for _, at := range []int{part * partSize, min((part+1)*partSize, len(data)) - 1} {
			data[at] ^= 1
			var found []int64
			if err := sameParts(src, whole.values, 0, data, func(p int64) { found = append(found, p) }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(found, []int64{int64(part)}) {
				t.Errorf("a change at %d is found in parts %v", at, found)
			}
			data[at] ^= 1
		}
	}
}

// TestGrowthYears: a log without years that is taken in while it is written keeps the
// years that it was given.
func TestGrowthYears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kern.log")
	var log bytes.Buffer
	at := time.Date(2023, 10, 1, 0, 0, 0, 0, time.UTC)
	c := create(t)
	for i := range 40 {
		fmt.Fprintf(&log, "%s fw kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=60 PROTO=TCP SPT=1 DPT=%d\n", at.Format("Jan _2 15:04:05"), i)
		writeFile(t, path, log.Bytes())
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		ingestAll(t, c, path)
		if s := c.Sources()[0]; s.Last != at.UnixNano() {
			t.Fatalf("record %d of %v is dated %s", i, at, firetrail.Stamp(s.Last))
		}
		at = at.Add(20 * 24 * time.Hour)
	}
	if s := c.Sources()[0]; !strings.HasPrefix(s.Year, "2023-2025 ") {
		t.Errorf("year %q", s.Year)
	}
}

// TestFollowedFile: a file that this process has read costs what is written to it;
// only its end is compared, and what was changed before that is found by Verify.
func TestFollowedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	data := kernelLines(0, 24_000)
	c := create(t)
	writeFile(t, path, data[:4*partSize])
	ingestAll(t, c, path)
	grow := func(to int) Ingested {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = f.Write(data[size:to])
		}
		if cerr := f.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		return ingestAll(t, c, path)
	}
	change := func(at int64) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("X"), at); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for _, size := range []int{4*partSize + 1, 4*partSize + 100_000, 5 * partSize, 5*partSize + 7} {
		if r := grow(size); r.Sources[0].Status != StatusGrown || r.Bytes > 2*partSize {
			t.Errorf("%d: %s, %d bytes read", size, r.Sources[0].Status, r.Bytes)
		}
	}
	if s := ingestAll(t, c, path).Sources[0]; s.Status != StatusKnown {
		t.Errorf("nothing new: %s", s.Status)
	}
	whole := create(t)
	ingestAll(t, whole, path)
	if d := cmp.Diff(holding(t, whole), holding(t, c)); d != "" {
		t.Error(d)
	}
	sound(t, c)
	change(2*partSize + 5)
	if r := grow(5*partSize + 200_000); r.Sources[0].Status != StatusGrown {
		t.Errorf("changed far behind: %s", r.Sources[0].Status)
	}
	r, err := c.Verify(context.Background(), nil)
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Offset != 2*partSize || r.Problems[0].Length != partSize {
		t.Errorf("%v %+v", err, r.Problems)
	}
	// Another process reads all of it, and finds another source.
	other, err := Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if s := ingestAll(t, other, path).Sources[0]; s.Status != StatusNew {
		t.Errorf("read again from the start: %s", s.Status)
	}
	change(5*partSize + 5)
	if s := grow(len(data)).Sources[0]; s.Status != StatusNew {
		t.Errorf("changed at its end: %s", s.Status)
	}
}
