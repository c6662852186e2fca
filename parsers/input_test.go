package parsers

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func gz(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func zst(data []byte) []byte {
	z, _ := zstd.NewWriter(nil)
	defer z.Close()
	return z.EncodeAll(data, nil)
}

func xzed(data []byte) []byte {
	var b bytes.Buffer
	z, _ := xz.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

type file struct {
	name string
	data []byte
}

func tarOf(files ...file) []byte {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	t.WriteHeader(&tar.Header{Name: "var/", Typeflag: tar.TypeDir, Mode: 0o755})
	for _, f := range files {
		t.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o600, ModTime: time.Unix(1e9, 0)})
		t.Write(f.data)
	}
	t.Close()
	return b.Bytes()
}

func zipOf(files ...file) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, _ := z.Create(f.name)
		w.Write(f.data)
	}
	z.Close()
	return b.Bytes()
}

// listed reads all inputs and gives "path=content" or "path: error".
func listed(t *testing.T, dir string, stdin io.Reader, paths ...string) []string {
	t.Helper()
	var out []string
	for in, err := range Inputs(paths, stdin) {
		name := strings.TrimPrefix(in.Path, dir+"/")
		if err != nil {
			out = append(out, name+": "+strings.ReplaceAll(err.Error(), dir+"/", ""))
			continue
		}
		r, err := in.Open()
		if err != nil {
			out = append(out, name+": open: "+err.Error())
			continue
		}
		data, err := io.ReadAll(r)
		r.Close()
		s := name + "=" + string(data)
		if err != nil {
			s += ": " + err.Error()
		}
		if in.Size >= 0 && in.Size != int64(len(data)) && err == nil {
			t.Errorf("%s: size %d, read %d", in.Path, in.Size, len(data))
		}
		out = append(out, s)
	}
	return out
}

func write(t *testing.T, dir string, files ...file) {
	t.Helper()
	for _, f := range files {
		p := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	write(t, dir,
		file{"b/conn.log", []byte("c0")}, file{"b/conn.log.1", []byte("c1")}, file{"b/conn.log.2.gz", gz([]byte("c2"))}, file{"b/conn.log.10", []byte("c10")},
		file{"b/messages", []byte("m")}, file{"b/messages-20260301.zst", zst([]byte("m1"))}, file{"b/messages-20260308", []byte("m2")},
		file{"b/.shadow.conn.log", []byte("x")}, file{"b/.hidden/x", []byte("x")}, file{"b/kept.case/case.json", []byte("{\"firetrail\":\"case\",\"layout\":2}\n")}, file{"b/other/case.json", []byte("{}")}, file{"b/conn-summary.log", []byte("x")},
		file{"a.xz", xzed([]byte("xz"))}, file{"twice.gz", append(gz([]byte("one ")), gz([]byte("two"))...)},
		file{"nested.tgz", gz(tarOf(file{"var/one.log", []byte("1")}, file{"var/two.log.gz", gz([]byte("2"))}, file{"var/in.zip", zipOf(file{"x.log", []byte("3")})}, file{"var/.hid", nil}))},
		file{"logs.zip", zipOf(file{"a!b.log", []byte("4")}, file{"in.tar", tarOf(file{"deep.log", []byte("5")})})},
		file{"empty.log", nil},
	)
	compare(t, listed(t, dir, nil, dir), []string{
		"a.xz=xz",
		"b/.shadow.conn.log: b/.shadow.conn.log: skipped: a side file of a running Zeek",
		"b/conn-summary.log: b/conn-summary.log: skipped: a summary of Zeek, not a log",
		"b/conn.log.10=c10", "b/conn.log.2.gz=c2", "b/conn.log.1=c1", "b/conn.log=c0",
		"b/kept.case: b/kept.case: skipped: a case",
		"b/messages-20260301.zst=m1", "b/messages-20260308=m2", "b/messages=m",
		"b/other/case.json={}",
		"empty.log=",
		"logs.zip!a!b.log=4", "logs.zip!in.tar!deep.log=5",
		"nested.tgz!var/one.log=1", "nested.tgz!var/two.log.gz=2", "nested.tgz!var/in.zip!x.log=3",
		"nested.tgz!var/.hid: nested.tgz!var/.hid: skipped: a hidden file",
		"twice.gz=one two",
	})
	for _, path := range []string{"logs.zip!a!b.log", "logs.zip!in.tar!deep.log", "nested.tgz!var/in.zip!x.log", "twice.gz", "b/.shadow.conn.log"} {
		in, err := OpenPath(filepath.Join(dir, path))
		if err != nil || in.Path != filepath.Join(dir, path) {
			t.Errorf("%s: %v %q", path, err, in.Path)
			continue
		}
		r, err := in.Open()
		if err != nil {
			t.Error(err)
			continue
		}
		if data, err := io.ReadAll(r); err != nil || len(data) == 0 {
			t.Errorf("%s: %q %v", path, data, err)
		}
		r.Close()
	}
	for _, path := range []string{"logs.zip!none", "nowhere", "nowhere!x", "b"} {
		if _, err := OpenPath(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// TestFiles finds the files behind paths that Inputs would open.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, file{"a.log", []byte("1")}, file{"b/c.gz", gz([]byte("22"))}, file{"b/.hidden", nil}, file{"b/d.log~", nil}, file{".e/f", nil},
		file{"case/case.json", []byte(`{"firetrail":"case"}`)}, file{"case/custody.jsonl", nil})
	var got []string
	for path, info := range Files([]string{filepath.Join(dir, "nowhere"), dir, filepath.Join(dir, "b", ".hidden")}) {
		rel, err := filepath.Rel(dir, path)
		if err != nil || info.Name() != filepath.Base(path) {
			t.Error(path, info.Name(), err)
		}
		got = append(got, rel)
	}
	compare(t, got, []string{"a.log", "b/c.gz", "b/.hidden"})
	for range Files([]string{dir, dir}) {
		break
	}
}

func TestInputsDamaged(t *testing.T) {
	dir := t.TempDir()
	long := bytes.Repeat([]byte("some text of a log\n"), 5000)
	packed := gz(long)
	broken := zipOf(file{"good.log", []byte("g")}, file{"bad.log", bytes.Repeat([]byte("x"), 600)})
	at := bytes.LastIndex(broken[:bytes.Index(broken, []byte("PK\x01\x02"))], []byte("bad.log"))
	broken[at+len("bad.log")] ^= 0x07
	encrypted := zipOf(file{"secret.log", []byte("s")}, file{"open.log", []byte("o")})
	i := bytes.Index(encrypted, []byte("PK\x01\x02"))
	encrypted[i+8] |= 1
	write(t, dir, file{"cut.gz", packed[:len(packed)/2]}, file{"junk.gz", []byte("\x1f\x8b\x08 and no more")},
		file{"cut.tar", tarOf(file{"a.log", []byte("a")}, file{"b.log", long})[:5000]},
		file{"broken.zip", broken}, file{"encrypted.zip", encrypted}, file{"no.zip", []byte("PK\x03\x04 and no more")})
	var got []string
	for _, s := range listed(t, dir, nil, dir) {
		s, _, _ = strings.Cut(s, "some text")
		got = append(got, s)
	}
	compare(t, got, []string{
		"broken.zip!good.log=g",
		"broken.zip!bad.log: broken.zip!bad.log: zip: flate: corrupt input before offset 7",
		"cut.gz=",
		"cut.tar!a.log=a", "cut.tar!b.log=",
		"cut.tar: cut.tar: tar: unexpected EOF",
		"encrypted.zip!secret.log: encrypted.zip!secret.log: zip: the member is encrypted", "encrypted.zip!open.log=o",
		"junk.gz: junk.gz: gzip: invalid header",
		"no.zip: no.zip: zip: not a valid zip file",
	})
	for _, s := range listed(t, dir, nil, filepath.Join(dir, "cut.gz")) {
		if !strings.HasPrefix(s, "cut.gz=some text") || !strings.HasSuffix(s, ": gzip: unexpected EOF") {
			t.Errorf("a cut file gives %.40q … %q", s, s[max(0, len(s)-40):])
		}
	}
}

// TestInputsModTime: a copy of a packed log is younger than the log.
func TestInputsModTime(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.ModTime = time.Unix(1.5e9, 0)
	z.Write([]byte("text"))
	z.Close()
	dir := t.TempDir()
	write(t, dir, file{"a.gz", b.Bytes()}, file{"b.gz", gz([]byte("text"))}, file{"c", []byte("text")})
	var got []bool
	for in, err := range Inputs([]string{dir}, nil) {
		got = append(got, err == nil && in.ModTime.Equal(time.Unix(1.5e9, 0)))
	}
	if !slices.Equal(got, []bool{true, false, false}) {
		t.Error(got)
	}
}

func TestInputsStdin(t *testing.T) {
	for name, want := range map[string][]string{
		"plain": {"-=text"}, "gz": {"-=text"}, "tar": {"-!a.log=text", "-!b.log=more"}, "tgz": {"-!a.log=text", "-!b.log=more"}, "zip": {"-!a.log=text"},
	} {
		data := map[string][]byte{"plain": []byte("text"), "gz": gz([]byte("text")), "zip": zipOf(file{"a.log", []byte("text")}),
			"tar": tarOf(file{"a.log", []byte("text")}, file{"b.log", []byte("more")}), "tgz": gz(tarOf(file{"a.log", []byte("text")}, file{"b.log", []byte("more")}))}[name]
		t.Run(name, func(t *testing.T) { compare(t, listed(t, "", bytes.NewReader(data), "-"), want) })
	}
	compare(t, listed(t, "", nil, "-"), []string{"-: -: there is no standard input"})
}

func TestInputsBombs(t *testing.T) {
	dir := t.TempDir()
	deep := []byte("text")
	for range maxLayers + 1 {
		deep = gz(deep)
	}
	huge := xzed([]byte("text"))
	huge[16] = 40 // a dictionary of 4 GiB, if the checksum did not tell
	write(t, dir, file{"deep.gz", deep}, file{"huge.xz", huge})
	got := listed(t, dir, nil, dir)
	if len(got) != 2 || !strings.Contains(got[0], "more than 6 containers") || !strings.Contains(got[1], "xz: ") {
		t.Errorf("%q", got)
	}
	e := &expanded{r: zeros{}, name: gzipped, fed: func() int64 { return 1000 }, out: ratioFrom}
	if _, err := e.Read(make([]byte, 1e6)); err == nil || !strings.Contains(err.Error(), "expands more than 1100 times") {
		t.Errorf("a bomb gives %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestTarInOrder checks that members read in order open a compressed archive
// once, and that any order and several at once work.
func TestTarInOrder(t *testing.T) {
	var files []file
	for i := range 20 {
		files = append(files, file{fmt.Sprintf("%02d.log", i), bytes.Repeat([]byte{byte('a' + i)}, 1000+i)})
	}
	opened := 0
	data := tarOf(files...)
	var inputs []Input
	w := &walk{yield: func(in Input, err error) bool {
		if err != nil {
			t.Error(err)
		}
		inputs = append(inputs, in)
		return true
	}}
	w.visit(node{path: "x.tar", open: func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(struct{ io.Reader }{bytes.NewReader(data)}), nil
	}}, 0)
	opened = 0
	read := func(i int) {
		r, err := inputs[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, files[i].data) {
			t.Errorf("member %d: %d bytes, %v", i, len(got), err)
		}
		r.Close()
	}
	for i := range inputs {
		read(i)
	}
	if opened != 1 {
		t.Errorf("archive opened %d times", opened)
	}
	for _, i := range []int{19, 3, 2, 2, 18} {
		read(i)
	}
}

// TestOtherTools reads what the tools of the system compress.
func TestOtherTools(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, file{"x.log", []byte("text\n")})
	for _, cmd := range [][]string{{"bzip2", "-k", "x.log"}, {"xz", "-9", "-k", "x.log"}, {"gzip", "-k", "x.log"}, {"tar", "cJf", "x.tar.xz", "x.log"}, {"zstd", "-q", "x.log"}} {
		c := exec.Command(cmd[0], cmd[1:]...)
		c.Dir = dir
		if err := c.Run(); err != nil && !errors.Is(err, exec.ErrNotFound) {
			t.Log(err)
		}
	}
	n := 0
	for _, s := range listed(t, dir, nil, dir) {
		n++
		if !strings.HasSuffix(s, "=text\n") {
			t.Error(s)
		}
	}
	t.Logf("%d files", n)
}

func TestNamesInOrder(t *testing.T) {
	want := []string{"conn.01:00:00-02:00:00.log.gz", "conn.10:00:00-11:00:00.log.gz", "conn.2025-03-07-03-00-05.log", "conn.2026-03-07-03-00-05.log", "conn.log",
		"kern.log.12.gz", "kern.log.2.gz", "kern.log.1", "kern.log", "pf-20260301.log", "pf-20260302.log", "pf.log", "x"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, compareNames)
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func FuzzInput(f *testing.F) {
	f.Add(gz([]byte("text")))
	f.Add(tarOf(file{"a.log", gz([]byte("text"))}))
	f.Add(zipOf(file{"a.log", []byte("text")}))
	f.Add(zst([]byte("text")))
	f.Add(xzed([]byte("text")))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for in, err := range Inputs([]string{"-"}, bytes.NewReader(data)) {
			if n++; n > 100 {
				return
			}
			if err != nil {
				continue
			}
			if r, err := in.Open(); err == nil {
				io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				r.Close()
			}
		}
	})
}
