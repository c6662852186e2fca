package parsers

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Limits against archives that are made to exhaust the reader. Real logs keep
// far from them.
const (
	maxLayers    = 6         // of compression and archives within each other
	maxMembers   = 1_000_000 // of one archive
	maxStream    = 4 << 40   // bytes that one compressed stream may give
	maxRatio     = 1100      // of what comes out to what went in, beyond ratioFrom; deflate cannot exceed 1032
	ratioFrom    = 1 << 30   // bytes
	maxNestedZip = 512 << 20 // bytes of a zip within something else: it has to be held in memory
	maxWindow    = 256 << 20 // bytes of zstd's and xz's memory of what came before
	magicSize    = 512       // what a kind is recognised by
)

// kind is what the first bytes of a stream say it is.
type kind uint8

const (
	plain kind = iota
	gzipped
	zstdCompressed
	bzip2Compressed
	xzCompressed
	zipped
	tarred
)

func (k kind) compressed() bool { return k >= gzipped && k <= xzCompressed }
func (k kind) archive() bool    { return k == zipped || k == tarred }

func (k kind) String() string {
	return [...]string{"plain", "gzip", "zstd", "bzip2", "xz", "zip", "tar"}[k]
}

// kindOf recognises the containers by their magic bytes, and tar by the
// checksum of its header, which older ones have instead.
func kindOf(head []byte) kind {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return gzipped
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return zstdCompressed
	case len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90"):
		return bzip2Compressed
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return xzCompressed
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipped
	case isTar(head):
		return tarred
	}
	return plain
}

// isTar checks the sum that a tar header holds of itself (POSIX.1-1988, ustar).
func isTar(head []byte) bool {
	if len(head) < 512 || head[0] == 0 {
		return false
	}
	want, digits := 0, 0
	for _, c := range head[148:156] {
		if c >= '0' && c <= '7' {
			want, digits = want*8+int(c-'0'), digits+1
		} else if c != ' ' && c != 0 {
			return false
		}
	}
	sum := 8 * int(' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	return digits > 0 && sum == want
}

// node is a stream that may be a container.
type node struct {
	path   string
	file   string      // where it lies as a file of its own, else ""
	at     io.ReaderAt // the same for a file without a name, else nil
	mod    time.Time
	size   int64
	stored int64 // bytes before any decompression
	open   func() (io.ReadCloser, error)
}

// visit looks at the first bytes of n and yields it or what is in it.
func (w *walk) visit(n node, layer int) bool {
	r, err := n.open()
	if err != nil {
		return w.fail(n.path, err)
	}
	head := make([]byte, magicSize)
	got, err := io.ReadFull(r, head)
	r.Close()
	if got == 0 && err != nil && err != io.EOF {
		return w.fail(n.path, err)
	}
	return w.unpack(n, head[:got], layer)
}

// unpack yields n, or what is in it.
func (w *walk) unpack(n node, head []byte, layer int) bool {
	k := kindOf(head)
	if k == plain {
		return w.yield(Input{Path: n.path, ModTime: n.mod, Size: n.size, Stored: n.stored, Open: n.open}, nil)
	}
	if layer >= maxLayers {
		return w.fail(n.path, fmt.Errorf("more than %d containers within each other", maxLayers))
	}
	switch k {
	case zipped:
		return w.zip(n, layer)
	case tarred:
		return w.tar(n, layer)
	}
	return w.visit(node{path: n.path, mod: modTime(k, head, n.mod), size: -1, stored: n.stored, open: func() (io.ReadCloser, error) {
		r, err := n.open()
		if err != nil {
			return nil, err
		}
		return decompress(k, r)
	}}, layer+1)
}

// modTime is when the content of a compressed stream was last changed: gzip keeps
// the time of the file that it packed (RFC 1952, MTIME), which a copy of the packed file
// does not change.
func modTime(k kind, head []byte, mod time.Time) time.Time {
	if k != gzipped || len(head) < 8 {
		return mod
	}
	at := time.Unix(int64(binary.LittleEndian.Uint32(head[4:])), 0)
	if at.Year() < 1990 || !mod.IsZero() && at.After(mod) {
		return mod
	}
	return at
}

// within reports whether the member is wanted, or may hold what is.
func (w *walk) within(path string) bool {
	return w.want == "" || w.want == path || len(w.want) > len(path) && w.want[:len(path)] == path && w.want[len(path)] == '!'
}

// member visits one member of an archive, whose first bytes are known.
func (w *walk) member(n node, name string, head []byte, layer int) bool {
	if reason := noLog(name); reason != "" && w.want == "" {
		return w.skip(n.path, reason)
	}
	return w.unpack(n, head, layer+1)
}

func (w *walk) tar(n node, layer int) bool {
	ball := &tarball{open: n.open, path: n.path}
	r, err := n.open()
	if err != nil {
		return w.fail(n.path, err)
	}
	defer r.Close()
	t := tar.NewReader(r)
	head := make([]byte, magicSize)
	for i := 0; ; i++ {
		h, err := t.Next()
		if err == io.EOF {
			return true
		}
		if err == nil && i >= maxMembers {
			err = fmt.Errorf("more than %d members", maxMembers)
		}
		if err != nil {
			return w.fail(n.path, about(tarred, err))
		}
		path := n.path + "!" + h.Name
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse || !w.within(path) {
			continue
		}
		got, err := io.ReadFull(t, head)
		if got == 0 && err != nil && err != io.EOF {
			return w.fail(path, about(tarred, err))
		}
		ball.noteLast(i)
		m := node{path: path, mod: h.ModTime, size: h.Size, stored: h.Size, open: func() (io.ReadCloser, error) { return ball.member(i) }}
		if !w.member(m, h.Name, head[:got], layer) {
			return false
		}
	}
}

// tarball opens members of a tar archive. It keeps one reader that stands behind
// the member read last, so that reading the members in order reads a compressed
// archive once, not once a member.
type tarball struct {
	open func() (io.ReadCloser, error)
	path string

	mu   sync.Mutex
	idle *tarReader
	last int // index of the last member that can be asked for
}

type tarReader struct {
	tar    *tar.Reader
	closer io.Closer
	next   int // index of the header that Next reads next
}

func (b *tarball) noteLast(i int) {
	b.mu.Lock()
	b.last = max(b.last, i)
	b.mu.Unlock()
}

func (b *tarball) member(i int) (io.ReadCloser, error) {
	b.mu.Lock()
	t := b.idle
	if t != nil && t.next <= i {
		b.idle = nil
	} else {
		t = nil
	}
	b.mu.Unlock()
	if t == nil {
		r, err := b.open()
		if err != nil {
			return nil, err
		}
		t = &tarReader{tar: tar.NewReader(r), closer: r}
	}
	for ; t.next <= i; t.next++ {
		if _, err := t.tar.Next(); err != nil {
			t.closer.Close()
			return nil, fmt.Errorf("%s: %w", b.path, about(tarred, err))
		}
	}
	return &tarMember{ball: b, from: t}, nil
}

type tarMember struct {
	ball *tarball
	from *tarReader
}

func (m *tarMember) Read(p []byte) (int, error) {
	if m.from == nil {
		return 0, io.ErrClosedPipe
	}
	return m.from.tar.Read(p)
}

// Close keeps the reader for the next member, if there is one.
func (m *tarMember) Close() error {
	t := m.from
	if t == nil {
		return nil
	}
	m.from = nil
	b := m.ball
	b.mu.Lock()
	if t.next <= b.last {
		t, b.idle = b.idle, t
	}
	b.mu.Unlock()
	if t == nil {
		return nil
	}
	return t.closer.Close()
}

func (w *walk) zip(n node, layer int) bool {
	open, err := zipOpener(n)
	if err != nil {
		return w.fail(n.path, err)
	}
	z, closer, err := open()
	if err != nil {
		return w.fail(n.path, about(zipped, err))
	}
	defer closer.Close()
	if len(z.File) > maxMembers {
		return w.fail(n.path, fmt.Errorf("zip: more than %d members", maxMembers))
	}
	for i, f := range z.File {
		path := n.path + "!" + f.Name
		if !f.Mode().IsRegular() || !w.within(path) {
			continue
		}
		m := node{path: path, mod: f.Modified, size: int64(min(f.UncompressedSize64, 1<<62)), stored: int64(min(f.CompressedSize64, 1<<62)), open: func() (io.ReadCloser, error) {
			z, closer, err := open()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n.path, about(zipped, err))
			}
			return openZipped(z.File[i], closer)
		}}
		r, err := openZipped(f, io.NopCloser(nil))
		head := make([]byte, magicSize)
		got := 0
		if err == nil {
			got, err = io.ReadFull(r, head)
			r.Close()
		}
		if got == 0 && err != nil && err != io.EOF {
			if !w.fail(path, err) {
				return false
			}
			continue
		}
		if !w.member(m, f.Name, head[:got], layer) {
			return false
		}
	}
	return true
}

// zipOpener returns how to open the archive. A zip's directory is at its end, so one
// within another container is held in memory.
func zipOpener(n node) (func() (*zip.Reader, io.Closer, error), error) {
	switch {
	case n.file != "":
		return func() (*zip.Reader, io.Closer, error) {
			z, err := zip.OpenReader(n.file)
			if err != nil {
				return nil, nil, err
			}
			return &z.Reader, z, nil
		}, nil
	case n.at != nil:
		return func() (*zip.Reader, io.Closer, error) {
			z, err := zip.NewReader(n.at, n.size)
			return z, io.NopCloser(nil), err
		}, nil
	}
	return func() (*zip.Reader, io.Closer, error) {
		r, err := n.open()
		if err != nil {
			return nil, nil, err
		}
		defer r.Close()
		data, err := io.ReadAll(io.LimitReader(r, maxNestedZip+1))
		if err != nil {
			return nil, nil, err
		}
		if len(data) > maxNestedZip {
			return nil, nil, fmt.Errorf("larger than %d bytes within another container", maxNestedZip)
		}
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		return z, io.NopCloser(nil), err
	}, nil
}

// openZipped opens a member and closes the archive with it.
func openZipped(f *zip.File, archive io.Closer) (io.ReadCloser, error) {
	if f.Flags&1 != 0 {
		archive.Close()
		return nil, errors.New("zip: the member is encrypted")
	}
	r, err := f.Open()
	if err != nil {
		archive.Close()
		return nil, about(zipped, err)
	}
	in := int64(min(f.CompressedSize64, 1<<62))
	return &expanded{r: r, name: zipped, fed: func() int64 { return in }, close: []io.Closer{r, archive}}, nil
}
