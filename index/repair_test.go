package index

import (
	"bytes"
	"context"
	"fmt"
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

// damageable makes a case of a source that grew, one with options and one that
// came as a stream, and gives the folder of their logs.
func damageable(t *testing.T) (c *Case, logs string) {
	t.Helper()
	c, logs = create(t), t.TempDir()
	data := kernelLines(0, 6000)
	grown, named := filepath.Join(logs, "grown.log"), filepath.Join(logs, "named.log")
	for _, part := range []int{len(data) / 3, len(data) - 40, len(data)} {
		writeFile(t, grown, data[:part])
		ingestAll(t, c, grown)
	}
	writeFile(t, named, kernelLines(9000, 9400))
	opt := IngestOptions{Options: parsers.Options{Sensor: "gate", Zone: time.FixedZone("", 0)}}
	opt.Zone = time.UTC
	if _, err := c.Ingest(context.Background(), []string{named}, opt); err != nil {
		t.Fatal(err)
	}
	opt = IngestOptions{Stdin: bytes.NewReader(kernelLines(20_000, 20_300))}
	if _, err := c.Ingest(context.Background(), []string{"-"}, opt); err != nil {
		t.Fatal(err)
	}
	tidied(t, c)
	return c, logs
}

// tidied has the files removed that no longer count, as another process would that
// writes next.
func tidied(t testing.TB, c *Case) {
	t.Helper()
	c.mine = nil
	ingestAll(t, c)
}

func repair(t *testing.T, c *Case) RepairReport {
	t.Helper()
	r, err := c.Repair(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func problems(t *testing.T, c *Case) []Problem {
	t.Helper()
	r, err := c.Verify(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Problems
}

// spoil damages a file in one of several ways.
func spoil(t *testing.T, path string, how int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch how % 4 {
	case 0:
		b[len(b)/2] ^= 1
	case 1:
		b = b[:len(b)*2/3]
	case 2:
		b = append(b, 0)
	case 3:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	writeFile(t, path, b)
}

func TestRepair(t *testing.T) {
	c, _ := damageable(t)
	want, was := digest(t, c), files(t, c)
	manifest, err := os.ReadFile(filepath.Join(c.dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	if p := problems(t, c); len(p) > 0 {
		t.Fatal(p)
	}
	for how := range 4 {
		for _, folder := range [][]string{{"segments", "flows", "blocks", "rejects", "sums"}, {""}}[min(how, 1)] {
			t.Run(fmt.Sprint(folder, how), func(t *testing.T) {
				spoiled := 0
				for name := range was {
					if folder == "" || strings.HasPrefix(name, folder+"/") {
						spoil(t, filepath.Join(c.dir, name), how+spoiled%2)
						spoiled++
					}
				}
				before := listing(t, c.dir)
				p := problems(t, c)
				if len(p) == 0 && how != 3 {
					t.Errorf("%d files spoiled, nothing found", spoiled)
				}
				if d := cmp.Diff(before, listing(t, c.dir)); d != "" {
					t.Errorf("verify wrote: %s", d)
				}
				r := repair(t, c)
				if len(r.Made) != spoiled || len(r.Isolated)+len(r.Failed) > 0 {
					t.Errorf("%d files spoiled: %+v", spoiled, r)
				}
				if d := cmp.Diff(was, files(t, c)); d != "" {
					t.Error(d)
				}
				if p := problems(t, c); len(p) > 0 {
					t.Error(p)
				}
			})
		}
	}
	if digest(t, c) != want {
		t.Error("the case has other answers")
	}
	if now, _ := os.ReadFile(filepath.Join(c.dir, manifestName)); !bytes.Equal(now, manifest) {
		t.Error("the manifest has changed")
	}
}

// listing is every file of a folder with its content.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[path], err = fileSum(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestIsolation damages a segment whose source is gone: answers do without it and
// the source says so, until the source is back.
func TestIsolation(t *testing.T) {
	c, logs := damageable(t)
	want := digest(t, c)
	all, err := c.Count(context.Background(), firetrail.Query{})
	if err != nil {
		t.Fatal(err)
	}
	grown := filepath.Join(logs, "grown.log")
	if err := os.Rename(grown, grown+".away"); err != nil {
		t.Fatal(err)
	}
	var hit segment
	for _, s := range c.view().segments {
		if s.Rows > 1000 && s.Rows > hit.Rows {
			hit = s
		}
	}
	spoil(t, c.path("segments", hit.Name, ".parquet"), 0)
	r := repair(t, c)
	if len(r.Isolated) != 1 || r.Isolated[0].Segment != hit.Name || r.Isolated[0].Events != hit.Rows || len(r.Made)+len(r.Failed) > 0 {
		t.Fatalf("%+v", r)
	}
	if p := problems(t, c); len(p) != 1 || !strings.Contains(p[0].Path, hit.Name) {
		t.Errorf("%+v", p)
	}
	reader, err := Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if n, err := reader.Count(context.Background(), firetrail.Query{}); err != nil || n != all-hit.Rows {
		t.Errorf("%d events of %d: %v", n, all, err)
	}
	for _, err := range reader.Flows(context.Background(), firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	told := false
	for _, s := range reader.Sources() {
		told = told || s.ID == hit.Sources[0].Source && strings.Contains(s.Problem, hit.Name)
	}
	if !told {
		t.Errorf("no source says that it is incomplete: %+v", reader.Sources())
	}
	// The next ingest neither removes the file nor forgets the damage.
	writeFile(t, filepath.Join(logs, "more.log"), kernelLines(50_000, 50_100))
	ingestAll(t, c, filepath.Join(logs, "more.log"))
	if len(c.Isolated()) != 1 {
		t.Errorf("%+v", c.Isolated())
	}
	if err := os.Rename(grown+".away", grown); err != nil {
		t.Fatal(err)
	}
	if r := repair(t, c); len(r.Isolated) > 0 || len(r.Made) != 1 {
		t.Fatalf("%+v", r)
	}
	if err := os.Remove(filepath.Join(logs, "more.log")); err != nil {
		t.Fatal(err)
	}
	if p := problems(t, c); len(p) > 0 || len(c.Isolated()) > 0 {
		t.Errorf("%+v %+v", p, c.Isolated())
	}
	if n, err := c.Count(context.Background(), firetrail.Query{}); err != nil || n < all {
		t.Errorf("%d events of %d: %v", n, all, err)
	}
	if digest(t, c) == want {
		t.Error("the last source is missing")
	}
}

// TestMissingSegment opens a case whose file is cut short before anybody has
// verified it: it is left out at once.
func TestMissingSegment(t *testing.T) {
	c, _ := damageable(t)
	name := c.view().segments[0].Name
	for _, how := range []int{1, 3} {
		spoil(t, c.path("segments", name, ".parquet"), how)
		o, err := Open(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		if list := o.Isolated(); len(list) != 1 || list[0].Segment != name {
			t.Errorf("%+v", list)
		}
		if _, err := o.Count(context.Background(), firetrail.Query{}); err != nil {
			t.Error(err)
		}
		o.Close()
		repair(t, c)
	}
}

// TestTornTail leaves half a line at the end of the manifest and the custody log,
// as a crash does: repair and the next ingest go on from the line before.
func TestTornTail(t *testing.T) {
	c, logs := damageable(t)
	want := digest(t, c)
	for _, name := range []string{manifestName, custodyName} {
		path := filepath.Join(c.dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, append(b, `{"commit":{"source":`...))
	}
	if p := problems(t, c); len(p) > 0 {
		t.Error(p)
	}
	if r := repair(t, c); len(r.Made)+len(r.Isolated)+len(r.Failed) > 0 {
		t.Errorf("%+v", r)
	}
	if digest(t, c) != want {
		t.Error("the case has other answers")
	}
	writeFile(t, filepath.Join(logs, "more.log"), kernelLines(50_000, 50_100))
	ingestAll(t, c, logs)
	if p := problems(t, c); len(p) > 0 {
		t.Error(p)
	}
}

// TestFlippedBytes flips a bit in files of the case at random: nothing panics, and
// verify names the file. Pages are checked as they are read, and
// small segments as they are opened; a bit of a large segment's footer, which Parquet
// gives no checksum, may go unseen until then.
func TestFlippedBytes(t *testing.T) {
	c, _ := damageable(t)
	want := digest(t, c)
	r := rand.New(rand.NewPCG(3, 3))
	var names []string
	for name := range files(t, c) {
		names = append(names, name)
	}
	slices.Sort(names)
	failed, wrong := 0, 0
	for range 12 {
		name := names[r.IntN(len(names))]
		path := filepath.Join(c.dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(whole)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		writeFile(t, path, bad)
		o, err := Open(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := readable(o); err != nil {
			failed++
		} else if digest(t, o) != want {
			wrong++
			t.Logf("%s: wrong until verify", name)
		}
		if p := problems(t, o); len(p) != 1 || p[0].Path != name {
			t.Errorf("%s is damaged, verify says %+v", name, p)
		}
		o.Close()
		writeFile(t, path, whole)
	}
	t.Logf("12 bits flipped: %d were an error of the search, %d went unseen until verify", failed, wrong)
}

// readable reads whatever there is.
func readable(c *Case) error {
	for _, err := range c.Events(context.Background(), firetrail.Query{}) {
		if err != nil {
			return err
		}
	}
	for _, err := range c.Flows(context.Background(), firetrail.Query{}) {
		if err != nil {
			return err
		}
	}
	for _, err := range c.Rejects(context.Background(), "") {
		if err != nil {
			return err
		}
	}
	return nil
}
