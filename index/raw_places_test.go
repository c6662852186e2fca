package index

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"firetrail"
)

// TestPlaces takes sources in by relative paths and reads them again from
// another folder, and after case and logs have been moved together.
func TestPlaces(t *testing.T) {
	root := t.TempDir()
	old := filepath.Join(root, "old")
	logs := filepath.Join(old, "lab", "logs")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(old, "lab"))
	writeFile(t, "logs/good.log", kernelLines(0, 50))
	writeFile(t, "top.log", kernelLines(100, 150))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	inner := kernelLines(200, 250)
	w.WriteHeader(&tar.Header{Name: "./var/a!b.log", Size: int64(len(inner)), Mode: 0o600})
	w.Write(inner)
	w.Close()
	writeFile(t, "logs/packed.tar", b.Bytes())
	c, err := Create("cases/x")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r := ingestAll(t, c, "logs", "top.log"); len(r.Sources) != 3 {
		t.Fatalf("%+v", r.Sources)
	}
	check := func(dir string) {
		t.Helper()
		c, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for ev, err := range c.Events(context.Background(), firetrail.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if _, src, err := c.Raw(ev.Origin); err != nil {
				t.Fatalf("%s: %v", src.Path, err)
			}
		}
		if r, err := c.Verify(context.Background(), nil); err != nil || len(r.Problems)+len(r.Missing) > 0 {
			t.Errorf("%v %+v", err, r)
		}
	}
	check("cases/x")
	t.Chdir(filepath.Join(old, "lab", "cases"))
	check("x")
	t.Chdir(filepath.Join(old, "lab", "cases", "x"))
	check(".")
	t.Chdir("/")
	check(filepath.Join(old, "lab", "cases", "x"))

	// Another file lies where the path leads to from here.
	decoy := t.TempDir()
	t.Chdir(decoy)
	writeFile(t, "top.log", kernelLines(900, 950))
	check(filepath.Join(old, "lab", "cases", "x"))

	if err := os.Rename(old, filepath.Join(root, "new")); err != nil {
		t.Fatal(err)
	}
	check(filepath.Join(root, "new", "lab", "cases", "x"))
	link := filepath.Join(decoy, "link")
	if err := os.Symlink(filepath.Join(root, "new", "lab", "cases", "x"), link); err != nil {
		t.Fatal(err)
	}
	check(link)
}
