// Package crash runs the built binary and does to it what happens to programs:
// it is killed at random points, finds the disk full, meets files that end
// early, and is run twice at once. What is in the case afterwards must be what a
// run without any of this leaves.
//
// FIRETRAIL_KILLS sets the number of kills (default 10; 200 also means larger
// sources and 10,000 small files), FIRETRAIL_FILES the number of small files,
// FIRETRAIL_LARGE the gigabytes of one large file (default none), for which there must be
// room twice in the folder for temporary files.
package crash

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "firetrail-crash-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "firetrail")
	if out, err := exec.Command("go", "build", "-o", binary, "firetrail/cmd/firetrail").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// kills is how often the writer is to be killed.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("FIRETRAIL_KILLS")); err == nil {
		return n
	}
	return 10
}

func long() bool { return kills() >= 100 }

// result of a run of the binary.
type result struct {
	out, err string
	code     int
	killed   bool
	memory   int64 // bytes it took at most
}

// wait ends a run and takes its result.
func wait(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	err := cmd.Wait()
	r := result{out: cmd.Stdout.(*bytes.Buffer).String(), err: cmd.Stderr.(*bytes.Buffer).String()}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		r.code = exit.ExitCode()
		r.killed = exit.Sys().(syscall.WaitStatus).Signaled()
	} else if err != nil {
		t.Fatal(err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = u.Maxrss << 10
	}
	if strings.Contains(r.err, "panic") {
		t.Fatalf("%v:\n%s", cmd.Args, r.err)
	}
	return r
}

func start(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func run(t testing.TB, args ...string) result {
	t.Helper()
	return wait(t, start(t, args...))
}

// must runs the binary and demands one of the exit codes.
func must(t testing.TB, codes []int, args ...string) result {
	t.Helper()
	r := run(t, args...)
	if !slices.Contains(codes, r.code) {
		t.Fatalf("firetrail %v: exit %d, want %v\n%s%s", args, r.code, codes, r.out, r.err)
	}
	return r
}

// kernel makes lines of a packet filter; each 97th cannot be read.
func kernel(from, to int) []byte {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 17 * time.Millisecond).Format("2006-01-02T15:04:05.000000Z07:00")
		dst := fmt.Sprintf("198.51.100.%d", r.IntN(20))
		if i%97 == 13 {
			dst = "nonsense"
		}
		fmt.Fprintf(&b, "%s fw kernel: DROP IN=eth0 OUT= SRC=192.0.2.%d DST=%s LEN=%d TOS=0x00 PREC=0x00 TTL=%d ID=%d DF PROTO=TCP SPT=%d DPT=%d WINDOW=64240 RES=0x00 SYN URGP=0\n",
			at, r.IntN(250), dst, 40+r.IntN(1400), 30+r.IntN(200), r.IntN(65536), 1024+r.IntN(60000), []int{22, 80, 443, 3333}[r.IntN(4)])
	}
	return b.Bytes()
}

// readable is how many of the lines can be read.
func readable(from, to int) int {
	n := 0
	for i := from; i < to; i++ {
		if i%97 != 13 {
			n++
		}
	}
	return n
}

// conn makes a Zeek conn log.
func conn(n int) []byte {
	b := bytes.NewBufferString("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n" +
		"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\torig_bytes\tresp_bytes\tconn_state\n" +
		"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tinterval\tcount\tcount\tstring\n")
	for i := range n {
		r := rand.New(rand.NewPCG(8, uint64(i)))
		fmt.Fprintf(b, "%d.%06d\tC%016x\t192.0.2.%d\t%d\t203.0.113.%d\t443\ttcp\t0.%03d\t%d\t%d\tSF\n",
			1772323200+i/50, i%50*20000, r.Uint64(), r.IntN(250), 1024+r.IntN(60000), r.IntN(250), r.IntN(1000), r.IntN(5000), r.IntN(90000))
	}
	return b.Bytes()
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lab is what is taken in: two larger sources and many small ones that stay as they
// are, and one that grows.
type lab struct {
	dir     string
	growing []byte
	taken   int // bytes of growing that are in its file
}

const smallLogs = 40

func newLab(t testing.TB) *lab {
	lines := 2500
	if long() {
		lines = 4000
	}
	l := &lab{dir: filepath.Join(t.TempDir(), "logs"), growing: kernel(1_000_000, 1_000_000+lines)}
	if err := os.MkdirAll(filepath.Join(l.dir, "small"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.dir, "kern.log.1.gz"), zipped(t, kernel(0, lines)))
	write(t, filepath.Join(l.dir, "conn.log"), conn(lines))
	for i := range smallLogs {
		data := kernel(2_000_000+i*100, 2_000_000+i*100+20)
		if i%2 == 0 {
			data = bytes.ReplaceAll(conn(20), []byte("192.0.2."), fmt.Appendf(nil, "198.18.%d.", i))
		}
		if i%5 == 0 {
			data = data[:len(data)-30] // ends within a line
		}
		write(t, filepath.Join(l.dir, "small", fmt.Sprintf("%02d.log", i)), data)
	}
	return l
}

// grow writes the growing log up to a number of bytes.
func (l *lab) grow(t testing.TB, to int) {
	f, err := os.OpenFile(filepath.Join(l.dir, "kern.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(l.growing[l.taken:to]); err != nil {
		t.Fatal(err)
	}
	l.taken = to
}

// source is what the sources command says.
type source struct {
	ID, Path, Format, SHA256, Zone, Year, Problem, Sensor string
	Size                                                  int64
	Counts                                                map[string]int64
	First, Last                                           string
}

func sources(t testing.TB, dir string) (list []source) {
	t.Helper()
	for line := range strings.Lines(must(t, []int{0}, "-C", dir, "sources", "--format", "jsonl").out) {
		var s source
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// answers is a checksum of what the case answers. The id of a source that grew
// depends on how much of it was met first, so ids become names of files.
func answers(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	var names []string
	for _, s := range sources(t, dir) {
		name := filepath.Base(s.Path)
		names = append(names, s.Path, name, s.ID, name)
		s.ID, s.Path = "", name
		fmt.Fprintf(h, "%+v\n", s)
	}
	ids := strings.NewReplacer(names...)
	for _, args := range [][]string{{"search", "*"}, {"sources", "--rejects"}} {
		args = append([]string{"-C", dir, "--format", "jsonl"}, args...)
		for _, line := range slices.Sorted(strings.Lines(ids.Replace(must(t, []int{0}, args...).out))) {
			fmt.Fprint(h, line)
		}
	}
	fmt.Fprint(h, must(t, []int{0}, "-C", dir, "stats", "*", "--by", "kind,dst_ip,dst_port", "--agg", "count,sum(bytes_out),max(time)", "--format", "tsv").out)
	return hex.EncodeToString(h.Sum(nil))
}

// committed gives the whole lines of the manifest.
func committed(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "manifest.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return b[:bytes.LastIndexByte(b, '\n')+1]
}

// strays are files that no line of the manifest names.
func strays(t testing.TB, dir string) (list []string) {
	t.Helper()
	manifest := string(committed(t, dir))
	for _, folder := range []string{"segments", "flows", "blocks", "rejects", "sums", "spool", "staging"} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name, _, _ := strings.Cut(e.Name(), "."); !strings.Contains(manifest, name) {
				list = append(list, folder+"/"+e.Name())
			}
		}
	}
	return list
}

// TestKill kills the writer again and again, while the log grows, and compares
// the case in the end with that of a run that nothing disturbed and that committed each
// source once. Parts are committed while sources are read, small sources together,
// and small segments are merged, so kills come in the middle of all that.
func TestKill(t *testing.T) {
	l := newLab(t)
	l.grow(t, len(l.growing))
	clean := filepath.Join(t.TempDir(), "case")
	must(t, []int{3}, "-C", clean, "ingest", "--quiet", l.dir)
	want := answers(t, clean)
	began := time.Now()
	must(t, []int{3}, "-C", filepath.Join(t.TempDir(), "case"), "ingest", "--quiet", "--commit-every", "30k", l.dir)
	length := time.Since(began)

	r := rand.New(rand.NewPCG(uint64(kills()), 1))
	killed, runs, mid, merging := 0, 0, 0, 0
	for round := 0; killed < kills(); round++ {
		if round > 20*kills() {
			t.Fatalf("only %d of %d kills met a running writer", killed, kills())
		}
		l := newLab(t)
		dir := filepath.Join(t.TempDir(), "case")
		var before []byte
		for step := 1; step <= 5 && killed < kills(); step++ {
			l.grow(t, min(len(l.growing), l.taken+r.IntN(len(l.growing)/4)))
			every := []string{"1k", "30k", "100k"}[r.IntN(3)]
			w := start(t, "-C", dir, "ingest", "--quiet", "--commit-every", every, l.dir)
			within := int64(length)
			if step > 1 {
				within /= 3 // there is less to do
			}
			stop := time.AfterFunc(time.Duration(r.Int64N(within+1)), func() { w.Process.Kill() })
			end := wait(t, w)
			stop.Stop()
			runs++
			if !end.killed && end.code != 3 && end.code != 0 {
				t.Fatalf("exit %d: %s", end.code, end.err)
			}
			now := committed(t, dir)
			if !bytes.HasPrefix(now, before) {
				t.Fatalf("after kill %d the manifest lost lines", killed)
			}
			if end.killed {
				killed++
				if len(now) > len(before) {
					mid++ // between two commits
				}
				if left, _ := filepath.Glob(filepath.Join(dir, "staging", "merge-*")); len(left) > 0 {
					merging++
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "case.json")); err == nil && step%2 == 1 {
				must(t, []int{0}, "-C", dir, "verify", "--quiet")
			}
			before = now
		}
		l.grow(t, len(l.growing))
		must(t, []int{0, 3}, "-C", dir, "ingest", "--quiet", "--commit-every", "30k", l.dir)
		must(t, []int{0}, "-C", dir, "verify", "--quiet")
		if got := answers(t, dir); got != want {
			t.Fatalf("round %d: after %d kills the case has other answers than a clean one", round, killed)
		}
		must(t, []int{0}, "-C", dir, "ingest", "--quiet", l.dir)
		if got := answers(t, dir); got != want {
			t.Fatalf("round %d: taken in once more, the case has other answers", round)
		}
		if left := strays(t, dir); len(left) > 0 {
			t.Errorf("round %d: files of no commit: %v", round, left)
		}
	}
	t.Logf("%d kills in %d runs, %d of them after a commit of the same run, %d while segments were merged; 0 lost commits, 0 duplicates, the answers of a clean run", killed, runs, mid, merging)
}
