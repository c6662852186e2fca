package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// followed writes logs line by line and takes them in after each: case and folder of
// the logs. Every log ends within a line in the end.
func followed(t *testing.T, logs, looks int) (*Case, string) {
	t.Helper()
	c, dir := create(t), t.TempDir()
	for i := range looks {
		for k := range logs {
			path := filepath.Join(dir, fmt.Sprintf("%d.log", k))
			data := kernelLines(k*10_000, k*10_000+10*(i+1))
			if i%3 == k%3 {
				data = data[:len(data)-70]
			}
			writeFile(t, path, data)
		}
		ingestAll(t, c, dir)
	}
	return c, dir
}

func TestCompaction(t *testing.T) {
	const logs = 5
	looks := max(rounds(40), 2*mergeFrom)
	c, dir := followed(t, logs, looks)
	if n := len(c.view().segments); n > 3*mergeFrom+logs {
		t.Errorf("%d segments of %d logs after %d looks", n, logs, looks)
	}
	whole := create(t)
	ingestAll(t, whole, dir)
	if d := cmp.Diff(everything(t, whole), everything(t, c)); d != "" {
		t.Error(d)
	}
	sound(t, c)
	for _, s := range c.Sources() {
		if s.Counts.Records != int64(10*looks) {
			t.Errorf("%s: %+v", s.Path, s.Counts)
		}
		n, err := c.Count(context.Background(), firetrail.Exactly("source", s.ID))
		if err != nil || n != s.Counts.Events {
			t.Errorf("%s: %d events of %d: %v", s.Path, n, s.Counts.Events, err)
		}
	}
	// Events are known by what they always were known by.
	for r, err := range c.Rejects(context.Background(), "") {
		if _, _, rerr := c.Raw(r.Origin); err != nil || rerr != nil {
			t.Error(err, rerr)
		}
	}
	tidied(t, c)
	was := files(t, c)
	for _, s := range c.view().segments {
		if was["segments/"+s.Name+".parquet"] != s.SHA256 {
			t.Errorf("%s is not as committed", s.Name)
		}
		for _, r := range s.Sources {
			if r.Rows == 0 || r.From >= r.To {
				t.Errorf("%s: %+v", s.Name, r)
			}
		}
	}
	// Whatever is damaged is put together from the sources again.
	i := 0
	for name := range was {
		spoil(t, filepath.Join(c.dir, name), i)
		i++
	}
	if r := repair(t, c); len(r.Isolated)+len(r.Failed) > 0 {
		t.Errorf("%+v", r)
	}
	sound(t, c)
	if d := cmp.Diff(everything(t, whole), everything(t, c)); d != "" {
		t.Error(d)
	}
}

// everything is what a case holds of each path.
func everything(t *testing.T, c *Case) []string {
	t.Helper()
	var names []string
	for _, s := range c.Sources() {
		names = append(names, s.ID, filepath.Base(s.Path))
	}
	ids := strings.NewReplacer(names...)
	var all []string
	for e, err := range c.Search(context.Background(), firetrail.Query{}, SearchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ids.Replace(fmt.Sprintf("%+v", *e)))
	}
	for _, s := range c.Sources() {
		for r, err := range c.Rejects(context.Background(), s.ID) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ids.Replace(fmt.Sprintf("%+v", r)))
		}
	}
	all = append(all, flowLines(t, c)...)
	return all
}

// TestCompactionReader keeps a case open while its segments are merged: it goes on
// answering from its own snapshot, and what it reads is removed when it is closed.
func TestCompactionReader(t *testing.T) {
	c, dir := followed(t, 3, 7)
	reader, err := Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	want := everything(t, reader)
	count := func() int { return len(files(t, c)) }
	merged := false
	for i := 8; i < 30; i++ {
		for k := range 3 {
			writeFile(t, filepath.Join(dir, fmt.Sprintf("%d.log", k)), kernelLines(k*10_000, k*10_000+10*(i+1)))
		}
		before := len(c.view().segments)
		ingestAll(t, c, dir)
		merged = merged || len(c.view().segments) < before
		reader.open.close() // nothing of it stays open
		if d := cmp.Diff(want, everything(t, reader)); d != "" {
			t.Fatalf("look %d: %s", i, d)
		}
	}
	if !merged {
		t.Fatal("nothing was merged")
	}
	with := count()
	tidied(t, c)
	if n := count(); n != with {
		t.Errorf("%d files removed that a reader may want", with-n)
	}
	reader.Close()
	tidied(t, c)
	if n := count(); n >= with {
		t.Errorf("%d files with the reader, %d without", with, n)
	}
	known := map[string]bool{}
	for _, s := range c.view().segments {
		known[s.Name+".parquet"] = true
	}
	entries, err := os.ReadDir(c.path("segments", "", ""))
	if err != nil || len(entries) != len(known) {
		t.Errorf("%d files, %d segments: %v", len(entries), len(known), err)
	}
	sound(t, c)
}

// TestCompactionDamage: a damaged segment is not merged, and ends nothing.
func TestCompactionDamage(t *testing.T) {
	c, dir := followed(t, 1, 7)
	hit := c.view().segments[2]
	c.open.close()
	spoil(t, c.path("segments", hit.Name, ".parquet"), 0)
	want := len(c.view().segments)
	for i := 7; i < 12; i++ {
		writeFile(t, filepath.Join(dir, "0.log"), kernelLines(0, 10*(i+1)))
		ingestAll(t, c, dir)
	}
	if n := len(c.view().segments); n < want+4 {
		t.Errorf("%d segments, %d before", n, want)
	}
	repair(t, c)
	c.unreadable = map[string]bool{}
	writeFile(t, filepath.Join(dir, "0.log"), kernelLines(0, 130))
	ingestAll(t, c, dir)
	if n := len(c.view().segments); n > 2 {
		t.Errorf("%d segments in the end", n)
	}
	whole := create(t)
	ingestAll(t, whole, dir)
	if d := cmp.Diff(everything(t, whole), everything(t, c)); d != "" {
		t.Error(d)
	}
}

// TestSizeClass: merged segments climb, and what is large enough stays.
func TestSizeClass(t *testing.T) {
	for _, tt := range []struct {
		rows, size int64
		want       int
	}{{1, 1, 2}, {1023, 1, 2}, {1024, 1, 1}, {8191, 1, 1}, {8192, 1, 0}, {mergeBelow - 1, 1, 0}, {mergeBelow, 1, -1}, {5, mergeBytes, -1}} {
		if got := (&segment{Rows: tt.rows, Size: tt.size}).sizeClass(); got != tt.want {
			t.Errorf("%d rows, %d bytes: %d, want %d", tt.rows, tt.size, got, tt.want)
		}
	}
}

// TestRejectsCompaction merges files of quarantined records, but for one that is
// damaged.
func TestRejectsCompaction(t *testing.T) {
	c, path := create(t), filepath.Join(t.TempDir(), "a.log")
	look := func(i int) {
		writeFile(t, path, kernelLines(0, 97*(i+1)))
		ingestAll(t, c, path)
	}
	of := func() []rejectFile { return c.view().byID[c.Sources()[0].ID].rejects }
	for i := range 7 {
		look(i)
	}
	hit := of()[3]
	spoil(t, c.path("rejects", hit.Name, ".jsonl"), 0)
	for i := 7; i < 14; i++ {
		look(i)
	}
	if n := len(of()); n != 7 || of()[3] != hit { // eight behind it are one
		t.Errorf("%d files with a damaged one among them", n)
	}
	repair(t, c)
	look(14)
	if n := len(of()); n > 2 {
		t.Errorf("%d files after the repair", n)
	}
	n := int64(0)
	for r, err := range c.Rejects(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Line != n*97+14 {
			t.Errorf("record %d is line %d", n, r.Line)
		}
		n++
	}
	if n != 15 {
		t.Errorf("%d records", n)
	}
	sound(t, c)
}

// TestCloseTidies: what merging has replaced is gone when the case is closed, unless
// somebody may be reading it.
func TestCloseTidies(t *testing.T) {
	for _, read := range []bool{false, true} {
		c, _ := followed(t, 3, 12)
		live := len(c.view().segments)
		if read {
			other, err := Open(c.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(c.dir, "segments", "*"))
		if err != nil || read == (len(left) == live) {
			t.Errorf("read: %v: %d files of %d segments: %v", read, len(left), live, err)
		}
	}
}
