package parsers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Input is one decompressed stream of records, found behind a path.
type Input struct {
	// Path names it: "dir/a.log.gz", for members of archives
	// "logs.tar.gz!var/log/ufw.log", for standard input "-". OpenPath finds it again.
	Path    string
	ModTime time.Time // of the file or member; zero for standard input
	Size    int64     // bytes decompressed, -1 unknown; what an archive says of itself
	Stored  int64     // bytes of the file that it is, also if that is compressed; of a member as Size

	// Open opens the stream at its start, as often as wanted and from several
	// goroutines at once; standard input opens once, unless it is an archive. A stream
	// that cannot be decompressed to its end gives what could be read, then an error. One
	// that is decompressed has a method Stored, which counts the bytes read before that.
	Open func() (io.ReadCloser, error)
}

// Options of the stream's reader: those given, with the time of modification
// and the way to survey its years.
func (in Input) Options(opt Options) Options {
	opt.ModTime = in.ModTime
	if in.Path != stdinPath {
		opt.Reopen = in.Open
	}
	return opt
}

const stdinPath = "-"

// SkippedError notes a file that was left out because it is no log: nothing is
// wrong with it, and the rest goes on.
type SkippedError struct {
	Path, Reason string
}

// Error names the file and why it was left out.
func (e *SkippedError) Error() string { return e.Path + ": skipped: " + e.Reason }

// Inputs finds the streams behind paths: files, folders with all that lies below, gzip, zstd,
// bzip2 and xz, zip and tar, and these within each other, recognised by their
// content; "-" is standard input. The order is that of paths; in a folder
// names are in natural order and rotated files oldest first, so conn.log.10
// comes before conn.log.2, conn.log.1 and conn.log.
//
// What cannot be read yields an error with its path, what is known to be no log a
// *SkippedError, and the rest goes on. The folder of a case is left out: no log is
// looked for in it.
func Inputs(paths []string, stdin io.Reader) iter.Seq2[Input, error] {
	return func(yield func(Input, error) bool) {
		w := newWalk(yield)
		for _, p := range paths {
			ok := false
			if p == stdinPath {
				ok = w.stdin(stdin)
			} else {
				ok = w.path(p)
			}
			if !ok {
				return
			}
		}
	}
}

// Files finds the regular files in which Inputs looks for streams, with what the file
// system says of them. It reads none of them, and passes over what cannot be looked at.
func Files(paths []string) iter.Seq2[string, fs.FileInfo] {
	return func(yield func(string, fs.FileInfo) bool) {
		w := &walk{yield: func(Input, error) bool { return true }, file: yield}
		for _, p := range paths {
			st, err := os.Stat(p)
			switch {
			case err != nil:
			case st.IsDir() && !w.folder(p), st.Mode().IsRegular() && !yield(p, st):
				return
			}
		}
	}
}

// OpenPath finds the stream of an Input.Path again.
func OpenPath(path string) (Input, error) {
	root := path
	if _, err := os.Stat(root); err != nil {
		for i := 0; ; i++ {
			j := strings.IndexByte(path[i:], '!')
			if j < 0 {
				return Input{}, err
			}
			i += j
			if st, e := os.Stat(path[:i]); e == nil && st.Mode().IsRegular() {
				root = path[:i]
				break
			}
		}
	}
	found, failure := Input{}, fmt.Errorf("%s: no such member", path)
	w := newWalk(func(in Input, err error) bool {
		switch {
		case in.Path != path && err != nil:
			failure = err
			return true
		case in.Path != path:
			return true
		}
		found, failure = in, err
		return false
	})
	w.want = path
	if st, err := os.Stat(root); err != nil || st.IsDir() {
		return Input{}, fmt.Errorf("%s: not a file", root)
	}
	w.path(root)
	return found, failure
}

// walk goes through files, folders and archives. Its methods return false when
// the consumer wants no more.
type walk struct {
	yield func(Input, error) bool
	file  func(path string, st fs.FileInfo) bool // visits a regular file
	want  string                                 // only this path, "" all
}

// newWalk looks for streams in the files that it meets.
func newWalk(yield func(Input, error) bool) *walk {
	w := &walk{yield: yield}
	w.file = func(p string, st fs.FileInfo) bool { return w.visit(fileNode(p, st), 0) }
	return w
}

func (w *walk) fail(path string, err error) bool {
	if !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return w.yield(Input{Path: path}, err)
}

func (w *walk) skip(path, reason string) bool {
	return w.yield(Input{Path: path}, &SkippedError{path, reason})
}

// path visits what the user named, whatever its name is.
func (w *walk) path(p string) bool {
	st, err := os.Stat(p)
	switch {
	case err != nil:
		return w.fail(p, err)
	case st.IsDir():
		return w.folder(p)
	case !st.Mode().IsRegular() && st.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) == 0:
		return w.skip(p, "no regular file")
	case !st.Mode().IsRegular(): // a pipe, as of a shell's <(…)
		return w.pipe(p)
	}
	return w.file(p, st)
}

// folder visits the entries of a folder and of those below it. Links to files
// are followed, links to folders are not: they may lead in a circle.
func (w *walk) folder(dir string) bool {
	if isCase(dir) {
		return w.skip(dir, "a case")
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !w.fail(dir, err) {
		return false
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return compareNames(a.Name(), b.Name()) })
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if !w.folder(p) {
				return false
			}
			continue
		}
		if reason := noLog(e.Name()); reason != "" {
			if !w.skip(p, reason) {
				return false
			}
			continue
		}
		st, err := os.Stat(p)
		switch {
		case err != nil:
			if !w.fail(p, err) {
				return false
			}
		case st.IsDir():
			if !w.skip(p, "a link to a folder") {
				return false
			}
		case !st.Mode().IsRegular():
			if !w.skip(p, "no regular file") {
				return false
			}
		default:
			if !w.file(p, st) {
				return false
			}
		}
	}
	return true
}

// isCase reports whether a folder is a case of Firetrail.
func isCase(dir string) bool {
	const mark = `{"firetrail":"case"`
	f, err := os.Open(filepath.Join(dir, "case.json"))
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(mark))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == mark
}

// noLog says why a file of such a name in a folder or an archive is no log, "" if it may be one.
func noLog(name string) string {
	base := name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case strings.HasPrefix(base, ".shadow."):
		return "a side file of a running Zeek"
	case strings.HasPrefix(base, "."):
		return "a hidden file"
	case strings.HasPrefix(base, "conn-summary."):
		return "a summary of Zeek, not a log"
	case strings.HasSuffix(base, ".swp"), strings.HasSuffix(base, "~"):
		return "a side file of an editor"
	}
	return ""
}

func fileNode(p string, st fs.FileInfo) node {
	return node{path: p, file: p, mod: st.ModTime(), size: st.Size(), stored: st.Size(), open: func() (io.ReadCloser, error) {
		return os.Open(p)
	}}
}

// stdin visits standard input. An archive has to be read more than once: it is
// kept in a temporary file that has no name any more.
func (w *walk) stdin(in io.Reader) bool {
	if in == nil {
		return w.fail(stdinPath, errors.New("there is no standard input"))
	}
	return w.stream(stdinPath, in)
}

func (w *walk) pipe(p string) bool {
	f, err := os.Open(p)
	if err != nil {
		return w.fail(p, err)
	}
	defer f.Close()
	return w.stream(p, f)
}

func (w *walk) stream(path string, in io.Reader) bool {
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(magicSize)
	kind := kindOf(head)
	inner := kind
	if kind.compressed() {
		inner = kindWithin(kind, b)
	}
	if inner.archive() || kind.compressed() && inner != plain {
		return w.spool(path, b)
	}
	var opened atomic.Bool
	return w.yield(Input{Path: path, Size: -1, Open: func() (io.ReadCloser, error) {
		if opened.Swap(true) {
			return nil, fmt.Errorf("%s: a stream can be read only once", path)
		}
		return decompress(kind, io.NopCloser(b))
	}}, nil)
}

// kindWithin tells what the compressed stream that b buffers holds, without consuming it.
func kindWithin(k kind, b *bufio.Reader) kind {
	head, _ := b.Peek(b.Size())
	z, err := decompress(k, io.NopCloser(bytes.NewReader(head)))
	if err != nil {
		return plain
	}
	defer z.Close()
	inner := make([]byte, magicSize)
	n, _ := io.ReadFull(z, inner)
	return kindOf(inner[:n])
}

func (w *walk) spool(path string, in io.Reader) bool {
	f, err := os.CreateTemp("", "firetrail-stdin-*")
	if err != nil {
		return w.fail(path, err)
	}
	os.Remove(f.Name())
	n, err := io.Copy(f, in)
	if err != nil {
		return w.fail(path, fmt.Errorf("keep standard input: %w", err))
	}
	return w.visit(node{path: path, size: n, stored: n, at: f, open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, 0, n)), nil
	}}, 0)
}
