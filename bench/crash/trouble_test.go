package crash

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// count asks the case for its number of events.
func count(t testing.TB, dir string) int {
	t.Helper()
	r := must(t, []int{0, 1}, "-C", dir, "stats", "*", "--agg", "count", "--format", "tsv")
	lines := strings.Fields(r.out)
	if len(lines) < 2 {
		return 0
	}
	n, err := strconv.Atoi(lines[1])
	if err != nil {
		t.Fatalf("%q: %v", r.out, err)
	}
	return n
}

// TestTwoWriters keeps a writer waiting at its input: another one is turned away.
func TestTwoWriters(t *testing.T) {
	dir := t.TempDir()
	log, first := filepath.Join(dir, "a.log"), filepath.Join(dir, "case")
	write(t, log, kernel(0, 50))
	w := exec.Command(binary, "-C", first, "ingest", "-")
	w.Stdout, w.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	in, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(first, "lock")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the first writer takes no lock")
		}
	}
	time.Sleep(100 * time.Millisecond)
	r := must(t, []int{2}, "-C", first, "ingest", log)
	if !strings.Contains(r.err, "another process writes to this case") {
		t.Errorf("stderr: %s", r.err)
	}
	if n := count(t, first); n != 0 {
		t.Errorf("a reader beside the writer sees %d events", n)
	}
	if _, err := in.Write(kernel(1000, 1097)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if r := wait(t, w); r.code != 3 {
		t.Errorf("the first writer: exit %d: %s", r.code, r.err)
	}
	must(t, []int{3}, "-C", first, "ingest", log, "--quiet")
	must(t, []int{0}, "-C", first, "verify")
}

// TestReader reads while sources are committed: each answer is that of a whole
// number of sources, and never less than the one before.
func TestReader(t *testing.T) {
	const files, each = 8, 500
	dir := t.TempDir()
	logs, c := filepath.Join(dir, "logs"), filepath.Join(dir, "case")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		data := bytes.ReplaceAll(kernel(i*each, (i+1)*each), []byte("nonsense"), []byte("192.0.2.1"))
		write(t, filepath.Join(logs, fmt.Sprintf("%02d.log", i)), data)
	}
	write(t, filepath.Join(dir, "first.log"), kernel(900_000, 900_010))
	must(t, []int{0, 3}, "-C", c, "ingest", "--quiet", filepath.Join(dir, "first.log"))
	base := count(t, c)
	w := start(t, "-C", c, "ingest", "--quiet", logs)
	done := make(chan result, 1)
	go func() { done <- wait(t, w) }()
	last := 0
	for ended := false; !ended; {
		select {
		case r := <-done:
			if r.code != 0 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			ended = true
		default:
		}
		n := count(t, c) - base
		if n%each != 0 || n < last {
			t.Fatalf("a reader sees %d events after %d", n, last)
		}
		last = n
	}
	if last != files*each {
		t.Errorf("%d events in the end", last)
	}
}

// TestReaderOfParts reads while a large source is committed part by part, small ones come
// and segments are merged: answers only grow, no event is there twice, and a case that was
// opened before can be asked until the end.
func TestReaderOfParts(t *testing.T) {
	dir := t.TempDir()
	logs, c := filepath.Join(dir, "logs"), filepath.Join(dir, "case")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(logs, "large.log"), kernel(0, 12_000))
	total := readable(0, 12_000)
	for i := range 30 {
		write(t, filepath.Join(logs, fmt.Sprintf("small%02d.log", i)), kernel(100_000+i*100, 100_000+i*100+50))
		total += readable(100_000+i*100, 100_000+i*100+50)
	}
	must(t, []int{0, 3}, "-C", c, "ingest", "--quiet", filepath.Join(logs, "small00.log"))
	w := start(t, "-C", c, "ingest", "--quiet", "--commit-every", "10k", logs)
	done := make(chan result, 1)
	go func() { done <- wait(t, w) }()
	last, answers := 0, map[int]bool{}
	for ended := false; !ended; {
		select {
		case r := <-done:
			if r.code != 3 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			ended = true
		default:
		}
		ids := strings.Fields(must(t, []int{0}, "-C", c, "search", "*", "--fields", "source,offset", "--format", "csv").out)[1:]
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != len(ids) {
			t.Fatalf("%d events, %d different ones", len(ids), n)
		}
		if len(ids) < last {
			t.Fatalf("a reader sees %d events after %d", len(ids), last)
		}
		last = len(ids)
		answers[last] = true
	}
	if last != total {
		t.Errorf("%d events in the end, not %d", last, total)
	}
	if len(answers) < 3 {
		t.Errorf("the reader saw %d states of the case", len(answers))
	}
	must(t, []int{0}, "-C", c, "verify", "--quiet")
	t.Logf("%d states seen", len(answers))
}

// TestFull runs out of disk while a source is taken in. What was committed before
// stays, and with room again the ingest goes on.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small.log"), filepath.Join(dir, "large.log")
	write(t, small, kernel(0, 90))
	write(t, large, kernel(1000, 60_000))
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	script := `set -u
mount -t tmpfs -o size=1000k firetrail "$DISK" || exit 77
"$FT" -C "$DISK/case" ingest --quiet "$SMALL"; echo first $?
dd if=/dev/zero of="$DISK/ballast" bs=1k count=800 2>/dev/null
"$FT" -C "$DISK/case" ingest --quiet "$LARGE"; echo full $?
"$FT" -C "$DISK/case" verify --quiet; echo verify $?
"$FT" -C "$DISK/case" stats '*' --agg count --format tsv
rm "$DISK/ballast"
mount -o remount,size=1000k "$DISK"
"$FT" -C "$DISK/parts" ingest --quiet --commit-every 500k "$LARGE"; echo full $?
"$FT" -C "$DISK/parts" verify --quiet; echo verify $?
[ "$("$FT" -C "$DISK/parts" stats '*' --agg count --format tsv | tail -n 1)" -gt 1000 ] && echo some parts
mount -o remount,size=64m "$DISK"
"$FT" -C "$DISK/parts" ingest --quiet "$LARGE"; echo rest $?
"$FT" -C "$DISK/parts" verify --quiet; echo verify $?
"$FT" -C "$DISK/parts" stats '*' --agg count --format tsv
mount -o remount,size=64m "$DISK"
"$FT" -C "$DISK/case" ingest --quiet "$LARGE"; echo again $?
"$FT" -C "$DISK/case" verify --quiet; echo verify $?
"$FT" -C "$DISK/case" stats '*' --agg count --format tsv
`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "FT="+binary, "DISK="+disk, "SMALL="+small, "LARGE="+large)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Skipf("no small file system can be mounted here: %v %s", err, errs.String())
	}
	want := fmt.Sprintf("first 3\nfull 2\nverify 0\ncount\n%d\nfull 2\nverify 0\nsome parts\nrest 3\nverify 0\ncount\n%d\nagain 3\nverify 0\ncount\n%d\n",
		readable(0, 90), readable(1000, 60_000), readable(0, 90)+readable(1000, 60_000))
	if got := string(out); got != want {
		t.Errorf("got:\n%s\nwant:\n%s\n%s", got, want, errs.String())
	}
	if !strings.Contains(errs.String(), "no space left on device") {
		t.Errorf("stderr does not say that the disk is full: %s", errs.String())
	}
}

// TestLimit lets writes fail at a size of file, which needs no privilege.
func TestLimit(t *testing.T) {
	dir := t.TempDir()
	log, c := filepath.Join(dir, "a.log"), filepath.Join(dir, "case")
	write(t, log, kernel(0, 16_000))
	cmd := exec.Command("sh", "-c", `trap '' XFSZ; ulimit -f 100; exec "$0" -C "$1" ingest --quiet "$2"`, binary, c, log)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if r := wait(t, cmd); r.code != 2 || !strings.Contains(r.err, "file too large") {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if n := count(t, c); n != 0 {
		t.Errorf("%d events of a source that was not committed", n)
	}
	must(t, []int{3}, "-C", c, "ingest", "--quiet", log)
	must(t, []int{0}, "-C", c, "verify", "--quiet")
	if left := strays(t, c); len(left) > 0 {
		t.Errorf("files of no commit: %v", left)
	}
}

// TestReadError reads a file that opens and cannot be read, beside good ones.
func TestReadError(t *testing.T) {
	const memory = "/proc/self/mem" // its first page is not there
	if _, err := os.ReadFile(memory); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Skipf("%s: %v", memory, err)
	}
	dir := t.TempDir()
	c, logs := filepath.Join(dir, "case"), filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(logs, "good.log"), kernel(0, 90))
	for name, to := range map[string]string{"broken.log": memory, "dangling.log": filepath.Join(dir, "nowhere")} {
		if err := os.Symlink(to, filepath.Join(logs, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := must(t, []int{3}, "-C", c, "ingest", logs)
	for _, want := range []string{"broken.log: not taken in: ", "input/output error", "dangling.log: not taken in: "} {
		if !strings.Contains(r.err, want) {
			t.Errorf("%q is not in:\n%s", want, r.err)
		}
	}
	if n := count(t, c); n != readable(0, 90) {
		t.Errorf("%d events", n)
	}
	must(t, []int{0}, "-C", c, "verify", "--quiet")
}

// TestCorrupted damages one file of a case after the other, in several ways. verify
// names it, searches give an error or what is left, and a repair makes whole what
// is derived. Evidence and the manifest are not derived: they stay as they are found.
func TestCorrupted(t *testing.T) {
	l := newLab(t)
	write(t, filepath.Join(l.dir, "large.log"), kernel(3_000_000, 3_012_000))
	l.grow(t, len(l.growing)*2/3)
	c := filepath.Join(t.TempDir(), "case")
	must(t, []int{3}, "-C", c, "ingest", "--quiet", "--commit-every", "200k", l.dir)
	l.grow(t, len(l.growing))
	must(t, []int{3}, "-C", c, "ingest", "--quiet", l.dir)
	must(t, []int{0}, "-C", c, "ingest", "--quiet", l.dir) // what was merged is gone
	want := answers(t, c)
	r := rand.New(rand.NewPCG(4, 4))
	damage := map[string]func([]byte) []byte{
		"flipped": func(b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b },
		"cut":     func(b []byte) []byte { return b[:r.IntN(len(b))] },
		"emptied": func([]byte) []byte { return nil },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)/2:]); return b },
	}
	for _, folder := range []string{"segments", "flows", "blocks", "rejects", "sums"} {
		files, err := filepath.Glob(filepath.Join(c, folder, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(folder, files, err)
		}
		for how, do := range damage {
			path := files[r.IntN(len(files))]
			rel, _ := filepath.Rel(c, path)
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, do(bytes.Clone(good)))
			v := must(t, []int{4}, "-C", c, "verify")
			if !strings.Contains(v.out, rel) {
				t.Errorf("%s %s: verify says %s", rel, how, v.out)
			}
			must(t, []int{0, 1, 2, 3, 4}, "-C", c, "search", "*", "--format", "jsonl")
			must(t, []int{0}, "-C", c, "verify", "--repair")
			if answers(t, c) != want {
				t.Fatalf("%s %s: other answers after the repair", rel, how)
			}
		}
	}
	manifest := filepath.Join(c, "manifest.jsonl")
	good, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	write(t, manifest, bad)
	for _, args := range [][]string{{"search", "*"}, {"verify", "--repair"}, {"ingest", l.dir}} {
		if r := must(t, []int{4}, append([]string{"-C", c}, args...)...); !strings.Contains(r.err, "manifest is damaged: checksum") {
			t.Errorf("%v: %s", args, r.err)
		}
	}
	if now, _ := os.ReadFile(manifest); !bytes.Equal(now, bad) {
		t.Error("a damaged manifest was changed")
	}
	write(t, manifest, good)
	info := filepath.Join(c, "case.json")
	if good, err = os.ReadFile(info); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", "{}", strings.Replace(string(good), "2", "1", 1)} {
		write(t, info, []byte(bad))
		if r := must(t, []int{2}, "-C", c, "search", "*"); !strings.Contains(r.err, "open case: ") {
			t.Errorf("case.json %q: %s", bad, r.err)
		}
	}
	write(t, info, good)
	if answers(t, c) != want {
		t.Error("other answers in the end")
	}
}

// TestUnreadable has inputs that are missing, cut short, damaged or empty among
// good ones: each is named, the good ones are taken in.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	c := filepath.Join(dir, "case")
	path := func(name string) string { return filepath.Join(dir, name) }
	whole := zipped(t, kernel(2000, 9000))
	write(t, path("good.log"), kernel(0, 90))
	write(t, path("cut.log.gz"), whole[:len(whole)*2/3])
	bad := bytes.Clone(zipped(t, kernel(20_000, 29_000)))
	bad[len(bad)/2] ^= 0x40
	write(t, path("bad.log.gz"), bad)
	write(t, path("empty.log"), nil)
	if err := os.MkdirAll(path("folder.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"-C", c, "ingest", path("good.log"), path("cut.log.gz"), path("bad.log.gz"), path("empty.log"), path("folder.log"), path("missing.log")}
	r := must(t, []int{3}, args...)
	for _, name := range []string{"cut.log.gz: ended early", "bad.log.gz: ended early", "empty.log: empty", "missing.log: not taken in"} {
		if !strings.Contains(r.err, name) {
			t.Errorf("%q is not in:\n%s", name, r.err)
		}
	}
	before := count(t, c)
	if before < 90+3000 {
		t.Errorf("%d events", before)
	}
	must(t, []int{0}, "-C", c, "verify", "--quiet")
	write(t, path("cut.log.gz"), whole) // the copy is complete now
	must(t, []int{3}, "-C", c, "ingest", path("cut.log.gz"))
	if n := count(t, c); n <= before {
		t.Errorf("%d events, %d before the rest came", n, before)
	}
	if os.Getuid() == 0 {
		t.Log("file permissions do not bind root: not tried")
		return
	}
	write(t, path("secret.log"), kernel(50_000, 50_100))
	if err := os.Chmod(path("secret.log"), 0); err != nil {
		t.Fatal(err)
	}
	if r := must(t, []int{3}, "-C", c, "ingest", path("secret.log"), path("good.log")); !strings.Contains(r.err, "permission denied") {
		t.Errorf("stderr: %s", r.err)
	}
}

// TestClock gives files times of long ago and far ahead between two ingests, as a
// clock that was set does.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	c, log := filepath.Join(dir, "case"), filepath.Join(dir, "a.log")
	write(t, log, kernel(0, 500))
	must(t, []int{3}, "-C", c, "ingest", "--quiet", log)
	was := answers(t, c)
	for _, at := range []time.Time{time.Unix(0, 0), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for _, path := range []string{log, filepath.Join(c, "manifest.jsonl"), filepath.Join(c, "case.json"), filepath.Join(c, "lock")} {
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		must(t, []int{0}, "-C", c, "ingest", "--quiet", log)
		if answers(t, c) != was {
			t.Errorf("with files of %v the answers are others", at)
		}
		must(t, []int{0}, "-C", c, "verify", "--quiet")
	}
}

// TestManyFiles takes in a folder of small files.
func TestManyFiles(t *testing.T) {
	files := 100
	if long() {
		files = 10_000
	}
	if n, err := strconv.Atoi(os.Getenv("FIRETRAIL_FILES")); err == nil {
		files = n
	}
	dir := t.TempDir()
	logs, c := filepath.Join(dir, "logs"), filepath.Join(dir, "case")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		write(t, filepath.Join(logs, fmt.Sprintf("%05d.log", i)), bytes.ReplaceAll(kernel(i*10, i*10+10), []byte("nonsense"), []byte("192.0.2.1")))
	}
	began := time.Now()
	most := must(t, []int{0}, "-C", c, "ingest", "--quiet", logs).memory
	took := time.Since(began)
	began = time.Now()
	if n := count(t, c); n != files*10 {
		t.Errorf("%d events", n)
	}
	asked := time.Since(began)
	began = time.Now()
	must(t, []int{0}, "-C", c, "ingest", "--quiet", logs)
	again := time.Since(began)
	must(t, []int{0}, "-C", c, "verify", "--quiet")
	var size int64
	err := filepath.WalkDir(c, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, ierr := d.Info()
			if ierr != nil {
				return ierr
			}
			size += info.Size()
		}
		return err
	})
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if most > 1<<30 {
		t.Errorf("%d bytes of memory", most)
	}
	t.Logf("%d files: taken in %v with %d MB, again %v, a count over all %v, %d bytes of case a file", files, took, most>>20, again, asked, size/int64(files))
}

// TestLargeFile takes one large file in, killed some times on the way: memory stays
// bounded, and what was committed is not read again.
func TestLargeFile(t *testing.T) {
	giga, err := strconv.Atoi(os.Getenv("FIRETRAIL_LARGE"))
	if err != nil {
		t.Skip("FIRETRAIL_LARGE is not set")
	}
	dir := t.TempDir()
	log, c := filepath.Join(dir, "large.log"), filepath.Join(dir, "case")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	lines := 0
	for size := int64(0); size < int64(giga)<<30; lines += 10_000 {
		n, err := out.Write(kernel(lines, lines+10_000))
		if err != nil {
			t.Fatal(err)
		}
		size += int64(n)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	began, most, kills := time.Now(), int64(0), 0
	r := rand.New(rand.NewPCG(9, 9))
	for {
		w := start(t, "-C", c, "ingest", "--quiet", log)
		stop := time.AfterFunc(time.Duration(10+r.IntN(20*giga))*time.Second, func() { w.Process.Kill() })
		end := wait(t, w)
		stop.Stop()
		most = max(most, end.memory)
		if !end.killed {
			if end.code != 3 {
				t.Fatalf("exit %d: %s", end.code, end.err)
			}
			break
		}
		if kills++; kills > 10*giga {
			t.Fatal("no progress")
		}
	}
	took := time.Since(began)
	if n := count(t, c); n != readable(0, lines) {
		t.Errorf("%d events of %d", n, readable(0, lines))
	}
	v := must(t, []int{0}, "-C", c, "verify", "--quiet")
	if most > 1<<30 || v.memory > 1<<30 {
		t.Errorf("%d bytes of memory, verify %d", most, v.memory)
	}
	t.Logf("%d GiB, %d lines: %v with %d kills, %d MB of memory", giga, lines, took, kills, most>>20)
}
