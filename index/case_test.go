package index

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// kernelLines makes log lines of a packet filter, the i-th always the same.
func kernelLines(from, to int) []byte {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 17 * time.Millisecond)
		if i%97 == 13 {
			fmt.Fprintf(&b, "%s fw kernel: DROP IN=eth0 OUT= SRC=192.0.2.%d DST=nonsense LEN=60 PROTO=TCP\n", at.Format("2006-01-02T15:04:05.000000Z07:00"), r.IntN(250))
			continue
		}
		fmt.Fprintf(&b, "%s fw kernel: DROP IN=eth0 OUT= MAC=00:00:5e:00:53:01:00:00:5e:00:53:02:08:00 SRC=192.0.2.%d DST=198.51.100.%d LEN=%d TOS=0x00 PREC=0x00 TTL=%d ID=%d DF PROTO=TCP SPT=%d DPT=%d WINDOW=64240 RES=0x00 SYN URGP=0\n",
			at.Format("2006-01-02T15:04:05.000000Z07:00"), r.IntN(250), r.IntN(20), 40+r.IntN(1400), 30+r.IntN(200), r.IntN(65536), 1024+r.IntN(60000), []int{22, 80, 443, 3333}[r.IntN(4)])
	}
	return b.Bytes()
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flowLines are the flows of a case, but for the count of source ports: an upper bound that
// depends on where segments end.
func flowLines(t testing.TB, c *Case) (lines []string) {
	t.Helper()
	for f, err := range c.Flows(context.Background(), firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		flow := *f
		flow.SrcPorts = 0
		lines = append(lines, fmt.Sprintf("%+v", flow))
	}
	return lines
}

// rounds is how often a property is tried: a quarter as often where tests are to be short,
// as under the race detector.
func rounds(n int) int {
	if testing.Short() {
		return (n + 3) / 4
	}
	return n
}

func create(t testing.TB) *Case {
	t.Helper()
	c, err := Create(filepath.Join(t.TempDir(), "case"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ingestAll(t testing.TB, c *Case, paths ...string) Ingested {
	t.Helper()
	r, err := c.Ingest(context.Background(), paths, IngestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// digest is what a case holds, whatever the order in which it came: each row of
// each source, each reject, each flow.
func digest(t testing.TB, c *Case) string {
	t.Helper()
	h := sha256.New()
	var lines []string
	view := c.view()
	for _, s := range view.segments {
		seg, release, err := c.segment(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		r := seg.NewReader()
		var ev firetrail.Event
		for b := range seg.Blocks() {
			r.Seek(b)
			for row := range r.Rows() {
				if err := r.Event(row, &ev); err != nil {
					t.Fatal(err)
				}
				slices.SortStableFunc(ev.X, func(a, b firetrail.Field) int { return strings.Compare(a.Name, b.Name) })
				lines = append(lines, fmt.Sprintf("%+v", ev))
			}
		}
		r.Close()
		release()
	}
	slices.Sort(lines)
	for r, err := range c.Rejects(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%+v", r))
	}
	lines = append(lines, flowLines(t, c)...)
	for _, l := range lines {
		fmt.Fprintln(h, l)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// files is a checksum of each file of the case that a commit names.
func files(t testing.TB, c *Case) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, folder := range []string{"segments", "flows", "blocks", "rejects", "sums"} {
		err := filepath.WalkDir(filepath.Join(c.Dir(), folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			sum := sha256.Sum256(b)
			sums[folder+"/"+d.Name()] = hex.EncodeToString(sum[:])
			if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sums
}

func statuses(r Ingested) []string {
	var s []string
	for _, src := range r.Sources {
		s = append(s, src.Status)
	}
	return s
}

func TestSameContentOnce(t *testing.T) {
	dir := t.TempDir()
	data := kernelLines(0, 6000)
	plain, again, packed := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log"), filepath.Join(dir, "c.log.gz")
	writeFile(t, plain, data)
	writeFile(t, again, data)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(data)
	w.Close()
	writeFile(t, packed, z.Bytes())
	c := create(t)
	r := ingestAll(t, c, packed, again, plain)
	if d := cmp.Diff([]string{"new", "known", "known"}, statuses(r)); d != "" {
		t.Error(d)
	}
	counts := r.Totals
	if counts.Records != 6000 || counts.Rejected != 62 || counts.Events != 6000-62 || !r.Partial() {
		t.Errorf("%+v", counts)
	}
	before := digest(t, c)
	r = ingestAll(t, c, dir)
	if d := cmp.Diff([]string{"known", "known", "known"}, statuses(r)); d != "" || r.Totals != (firetrail.Counts{}) {
		t.Error(d, r.Totals)
	}
	if digest(t, c) != before || len(c.Sources()) != 1 {
		t.Error("the second ingest changed the case")
	}
	if c.Sources()[0].Path != plain {
		t.Errorf("path %s", c.Sources()[0].Path)
	}
	// A shorter copy of what is known adds nothing either.
	for _, n := range []int{100_000, 40_000, 600} {
		path := filepath.Join(dir, fmt.Sprintf("z%d.log", n))
		writeFile(t, path, data[:n])
		if d := cmp.Diff([]string{"known"}, statuses(ingestAll(t, c, path))); d != "" {
			t.Error(n, d)
		}
	}
}

// TestShortBeginning meets a short beginning again that was committed before its source
// grew: it is known, and the source stays what it is.
func TestShortBeginning(t *testing.T) {
	dir := t.TempDir()
	data := kernelLines(0, 700)
	at := bytes.IndexByte(data, '\n') + 1
	if at >= startSize {
		t.Fatalf("a line of %d bytes", at)
	}
	short, whole := filepath.Join(dir, "short.log"), filepath.Join(dir, "whole.log")
	writeFile(t, short, data[:at])
	writeFile(t, whole, data)
	c := create(t)
	for i, path := range []string{short, whole, short, whole, dir} {
		want := [][]string{{"new"}, {"grown"}, {"known"}, {"known"}, {"known", "known"}}[i]
		if d := cmp.Diff(want, statuses(ingestAll(t, c, path))); d != "" {
			t.Error(i, d)
		}
	}
	if s := c.Sources(); len(s) != 1 || s[0].Counts.Records != 700 {
		t.Errorf("%+v", s)
	}
	if n, err := c.Count(context.Background(), firetrail.Query{}); err != nil || n != c.Sources()[0].Counts.Events {
		t.Errorf("%d events, %v", n, err)
	}
	sound(t, c)
}

// TestGrowth cuts a log at many places: wherever the first part ends, the case is
// in the end that of the whole log.
func TestGrowth(t *testing.T) {
	data := kernelLines(0, 700)
	dir := t.TempDir()
	whole := create(t)
	writeFile(t, filepath.Join(dir, "whole.log"), data)
	ingestAll(t, whole, filepath.Join(dir, "whole.log"))
	var want []string
	events := func(c *Case) []string {
		var list []string
		for _, s := range c.view().segments {
			seg, release, err := c.segment(s.Name)
			if err != nil {
				t.Fatal(err)
			}
			r := seg.NewReader()
			var ev firetrail.Event
			for b := range seg.Blocks() {
				r.Seek(b)
				for row := range r.Rows() {
					if err := r.Event(row, &ev); err != nil {
						t.Fatal(err)
					}
					ev.Source = ""
					list = append(list, fmt.Sprintf("%+v", ev))
				}
			}
			r.Close()
			release()
		}
		for r := range c.Rejects(context.Background(), "") {
			r.Source = ""
			list = append(list, fmt.Sprintf("%+v", r))
		}
		slices.Sort(list)
		return list
	}
	want = events(whole)
	line := bytes.IndexByte(data, '\n') + 1
	cuts := []int{line, line - 1, line + 1, line + 40, line + 100, 3*line + 7, 70_000, 70_001, len(data) - 1, len(data) - 20}
	rejected := bytes.Index(data, []byte("nonsense"))
	cuts = append(cuts, rejected, rejected+30)
	for i, cut := range cuts {
		c := create(t)
		path := filepath.Join(dir, fmt.Sprintf("grow-%d.log", i))
		writeFile(t, path, data[:cut])
		ingestAll(t, c, path)
		first := c.Sources()
		writeFile(t, path, data)
		r := ingestAll(t, c, path)
		if d := cmp.Diff([]string{"grown"}, statuses(r)); d != "" {
			t.Fatalf("cut at %d: %s", cut, d)
		}
		if c.Sources()[0].ID != first[0].ID {
			t.Errorf("cut at %d: another source", cut)
		}
		if d := cmp.Diff(want, events(c)); d != "" {
			t.Fatalf("cut at %d: %s", cut, d)
		}
		if got, want := c.Sources()[0].Counts, whole.Sources()[0].Counts; got != want {
			t.Errorf("cut at %d: %+v, want %+v", cut, got, want)
		}
		report, err := c.Verify(context.Background(), nil)
		if err != nil || !report.OK() {
			t.Errorf("cut at %d: %v %+v", cut, err, report.Problems)
		}
	}
}

// TestDeterminism takes the same files in with several numbers of workers and
// orders: every file of the case has the same bytes.
func TestDeterminism(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i := range 5 {
		p := filepath.Join(dir, fmt.Sprintf("%d.log", i))
		writeFile(t, p, kernelLines(i*20_000, i*20_000+20_000*(i%2)+300))
		paths = append(paths, p)
	}
	var want map[string]string
	for i, workers := range []int{1, 2, 8} {
		c := create(t)
		if _, err := c.Ingest(context.Background(), paths, IngestOptions{Workers: workers}); err != nil {
			t.Fatal(err)
		}
		got := files(t, c)
		if i == 0 {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d workers: %s", workers, d)
		}
		slices.Reverse(paths)
	}
}

// TestKilled kills a process that ingests at random points and goes on: in the end
// the case is that of one clean run.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("FIRETRAIL_TEST_INGEST"); dir != "" {
		c, err := Create(filepath.Join(dir, "case"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ingest(context.Background(), []string{filepath.Join(dir, "logs")}, IngestOptions{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		writeFile(t, filepath.Join(dir, "logs", fmt.Sprintf("%d.log", i)), kernelLines(i*10_000, i*10_000+1500))
	}
	clean := create(t)
	start := time.Now()
	ingestAll(t, clean, filepath.Join(dir, "logs"))
	took := time.Since(start)
	want := digest(t, clean)
	r := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "FIRETRAIL_TEST_INGEST="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(r.Int64N(int64(took)/3)), func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		kills++
		if c, err := Open(filepath.Join(dir, "case")); err == nil {
			digest(t, c) // what is committed can be read
			c.Close()
		} else if !errors.Is(err, ErrNoCase) {
			t.Fatal(err)
		}
	}
	c, err := Create(filepath.Join(dir, "case"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ingestAll(t, c, filepath.Join(dir, "logs"))
	if got := digest(t, c); got != want {
		t.Errorf("after %d kills the case differs from a clean run", kills)
	}
	if d := cmp.Diff(files(t, clean), files(t, c)); d != "" {
		t.Errorf("after %d kills: %s", kills, d)
	}
	t.Logf("%d kills", kills)
}

func TestLock(t *testing.T) {
	c := create(t)
	if err := c.acquire(); err != nil {
		t.Fatal(err)
	}
	other, err := Open(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Ingest(context.Background(), nil, IngestOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	if err := c.unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Ingest(context.Background(), nil, IngestOptions{}); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestRaw(t *testing.T) {
	dir := t.TempDir()
	data := kernelLines(0, 12_000)
	path := filepath.Join(dir, "a.log.gz")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(data)
	w.Close()
	writeFile(t, path, z.Bytes())
	c := create(t)
	ingestAll(t, c, path)
	lines := bytes.Split(data, []byte("\n"))
	check := func(c *Case) {
		t.Helper()
		src := c.Sources()[0].ID
		offset := int64(0)
		for i, l := range lines[:12_000] {
			if i%500 == 0 || i > 11_990 {
				raw, _, err := c.Raw(firetrail.Origin{Source: src, Offset: offset, Length: int64(len(l))})
				if err != nil || !bytes.Equal(raw, l) {
					t.Fatalf("line %d: %q, %v", i+1, raw, err)
				}
			}
			offset += int64(len(l)) + 1
		}
	}
	check(c)
	var origins []firetrail.Origin
	for i, at := 0, int64(0); i < 12_000; i++ {
		if i%700 == 0 {
			origins = append(origins, firetrail.Origin{Source: c.Sources()[0].ID, Offset: at, Length: int64(len(lines[i]))}, firetrail.Origin{Source: "0000000000000000", Offset: at})
		}
		at += int64(len(lines[i])) + 1
	}
	slices.Reverse(origins)
	records, err := c.Records(t.Context(), origins)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		raw, _, err := c.Raw(origins[i])
		if !bytes.Equal(r.Raw, raw) || (err == nil) != (r.Err == nil) || err == nil && len(raw) == 0 {
			t.Errorf("record %d: %q, %v; one by one %q, %v", i, r.Raw, r.Err, raw, err)
		}
	}
	if _, _, err := c.Raw(firetrail.Origin{Source: "0000000000000000"}); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
	os.Rename(path, filepath.Join(dir, "b.log.gz"))
	c.raw.close()
	if _, _, err := c.Raw(firetrail.Origin{Source: c.Sources()[0].ID, Length: 5}); !errors.Is(err, ErrMoved) {
		t.Error(err)
	}
	// Met again under its new name, it can be read again.
	ingestAll(t, c, filepath.Join(dir, "b.log.gz"))
	check(c)

	// Standard input is kept by the case.
	s := create(t)
	if _, err := s.Ingest(context.Background(), []string{"-"}, IngestOptions{Stdin: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
	check(s)
}

func TestVerify(t *testing.T) {
	data := kernelLines(0, 12_000)
	verify := func(c *Case) []string {
		t.Helper()
		c, err := Open(c.Dir())
		var list []string
		if err != nil {
			return []string{"open: " + err.Error()}
		}
		defer c.Close()
		r, err := c.Verify(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Problems {
			list = append(list, fmt.Sprintf("%s:%d:%d+%d", filepath.Base(p.Path), p.Line, p.Offset, p.Length))
		}
		for range r.Missing {
			list = append(list, "missing")
		}
		return list
	}
	flip := func(path string, at int) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		writeFile(t, path, b)
	}
	line := func(path string, edit func([][]byte) [][]byte) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, bytes.Join(edit(bytes.SplitAfter(b, []byte("\n"))), nil))
	}
	glob := func(c *Case, pattern string) string {
		t.Helper()
		m, err := filepath.Glob(filepath.Join(c.Dir(), pattern))
		if err != nil || len(m) == 0 {
			t.Fatal(pattern, err)
		}
		return m[0]
	}
	for _, tt := range []struct {
		name string
		do   func(c *Case, path string)
		want []string
	}{
		{"nothing", func(*Case, string) {}, nil},
		{"source grew", func(c *Case, path string) { writeFile(t, path, append(slices.Clone(data), "more\n"...)) }, nil},
		{"source byte", func(c *Case, path string) { flip(path, 1_500_000) }, []string{"a.log:0:1048576+1048576"}},
		{"source cut", func(c *Case, path string) { writeFile(t, path, data[:1_200_000]) }, []string{fmt.Sprintf("a.log:0:1200000+%d", len(data)-1_200_000)}},
		{"source gone", func(c *Case, path string) { os.Remove(path) }, []string{"missing"}},
		{"segment", func(c *Case, _ string) { flip(glob(c, "segments/*"), 5000) }, []string{"#.parquet:0:0+0"}},
		{"flows", func(c *Case, _ string) { flip(glob(c, "flows/*"), 50) }, []string{"#.flow:0:0+0"}},
		{"rejects", func(c *Case, _ string) { os.Remove(glob(c, "rejects/*")) }, []string{"#.jsonl:0:0+0"}},
		{"custody edited", func(c *Case, _ string) {
			line(glob(c, custodyName), func(l [][]byte) [][]byte { l[1] = bytes.Replace(l[1], []byte("known"), []byte("knovn"), 1); return l })
		}, []string{"custody.jsonl:2:0+0"}},
		{"custody reordered", func(c *Case, _ string) {
			line(glob(c, custodyName), func(l [][]byte) [][]byte { l[0], l[1] = l[1], l[0]; return l })
		}, []string{"custody.jsonl:1:0+0"}},
		{"custody cut", func(c *Case, _ string) {
			line(glob(c, custodyName), func(l [][]byte) [][]byte { return l[:len(l)-2] })
		}, []string{"custody.jsonl:3:0+0"}},
		{"custody removed", func(c *Case, _ string) { os.Remove(glob(c, custodyName)) }, []string{"custody.jsonl:1:0+0"}},
		{"custody's end removed", func(c *Case, _ string) { os.Remove(glob(c, custodyHead)) }, []string{"custody.jsonl:3:0+0"}},
		{"custody cut and gone on with", func(c *Case, _ string) {
			line(glob(c, custodyName), func(l [][]byte) [][]byte { return l[:len(l)-2] })
			for range 3 {
				if err := c.Log(CustodyEntry{Action: "more"}); err != nil {
					t.Error(err)
				}
			}
		}, []string{"custody.jsonl:3:0+0"}},
		{"manifest cut", func(c *Case, _ string) { os.Truncate(glob(c, manifestName), 0) }, []string{"custody.jsonl:1:0+0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.log")
			writeFile(t, path, data)
			c := create(t)
			for range 3 {
				ingestAll(t, c, path)
			}
			seg := c.view().segments[0].Name
			rej := c.view().byID[c.Sources()[0].ID].rejects[0].Name
			tt.do(c, path)
			got := verify(c)
			for i := range got {
				got[i] = strings.Replace(strings.Replace(got[i], seg, "#", 1), rej, "#", 1)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLostManifest has a case without its manifest, or without lines of it: nobody writes
// to it, or removes what the lines named.
func TestLostManifest(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.log"), kernelLines(0, 100))
	writeFile(t, filepath.Join(dir, "b.log"), kernelLines(500, 600))
	for name, do := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		c := create(t)
		ingestAll(t, c, filepath.Join(dir, "a.log"))
		seg := c.path("segments", c.view().segments[0].Name, ".parquet")
		c.Close()
		if err := do(filepath.Join(c.dir, manifestName)); err != nil {
			t.Fatal(err)
		}
		again, err := Create(c.dir)
		if err == nil {
			_, err = again.Ingest(t.Context(), []string{filepath.Join(dir, "b.log")}, IngestOptions{})
			if _, rerr := again.Repair(t.Context(), nil); !errors.Is(rerr, ErrManifest) {
				t.Errorf("%s: repair: %v", name, rerr)
			}
			again.Close()
		}
		if !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(seg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTornManifest cuts the manifest within its last line, as a crash may, and
// changes it elsewhere, as nothing may.
func TestTornManifest(t *testing.T) {
	dir := t.TempDir()
	c := create(t)
	for i := range 3 {
		p := filepath.Join(dir, fmt.Sprint(i))
		writeFile(t, p, kernelLines(i*100, i*100+50))
		ingestAll(t, c, p)
	}
	path := filepath.Join(c.Dir(), manifestName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b[:len(b)-9])
	if err := c.Refresh(); err != nil || len(c.Sources()) != 2 {
		t.Errorf("torn line: %d sources, %v", len(c.Sources()), err)
	}
	ingestAll(t, c, dir)
	if len(c.Sources()) != 3 {
		t.Errorf("after the next ingest: %d sources", len(c.Sources()))
	}
	b[bytes.Index(b, []byte("iptables"))] ^= 1
	writeFile(t, path, b)
	if err := c.Refresh(); !errors.Is(err, ErrManifest) {
		t.Errorf("changed line: %v", err)
	}
}
