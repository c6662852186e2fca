package parsers

import (
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// decompress opens a layer of compression over r and closes r with it.
func decompress(k kind, r io.ReadCloser) (io.ReadCloser, error) {
	in := &counter{r: r}
	out := &expanded{name: k, fed: func() int64 { return in.n }, close: []io.Closer{r}}
	var err error
	switch k {
	case plain:
		return r, nil
	case gzipped:
		out.r, err = gzip.NewReader(in)
	case bzip2Compressed:
		out.r = bzip2.NewReader(in)
	case zstdCompressed:
		var z *zstd.Decoder
		// One goroutine, ours: the caller decides about more.
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			out.r = z
			out.close = []io.Closer{z.IOReadCloser(), r}
		}
	case xzCompressed:
		if err = in.checkXZ(); err == nil {
			out.r, err = xz.NewReader(in)
		}
	}
	if err != nil {
		r.Close()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, about(k, err)
	}
	return out, nil
}

// about puts the kind of container in front of an error that does not begin with it.
func about(k kind, err error) error {
	if strings.HasPrefix(err.Error(), k.String()+":") {
		return err
	}
	return fmt.Errorf("%s: %w", k, err)
}

// counter counts what is read through it.
type counter struct {
	r       io.Reader
	n       int64
	pending []byte // read ahead by checkXZ
}

// Read counts what passes.
func (c *counter) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		c.n += int64(n)
		return n, nil
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// checkXZ refuses a first block whose dictionary is larger than maxWindow: the
// decoder would allocate it. The .xz format, sections 2.1 and 3.1.
func (c *counter) checkXZ() error {
	head := make([]byte, 64)
	n, err := io.ReadFull(c.r, head)
	c.pending = head[:n]
	if n < 24 {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil // the decoder says what is missing
		}
		return err
	}
	i := 14
	for _, flag := range []byte{0x40, 0x80} { // the sizes of the block, each a number of 7-bit groups
		if head[13]&flag == 0 {
			continue
		}
		for i < n && head[i] >= 0x80 {
			i++
		}
		i++
	}
	if i+2 < n && head[i] == 0x21 && head[i+1] == 1 {
		bits := head[i+2]
		if bits > 40 || uint64(2|bits&1)<<(bits/2+11) > maxWindow {
			return fmt.Errorf("its dictionary is larger than %d bytes", maxWindow)
		}
	}
	return nil
}

// expanded is decompressed data, watched for a bomb.
type expanded struct {
	r     io.Reader
	name  kind
	fed   func() int64 // compressed bytes so far
	out   int64
	close []io.Closer
}

func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.out += int64(n)
	switch {
	case e.out > maxStream:
		return n, fmt.Errorf("%s: more than %d bytes in one stream", e.name, int64(maxStream))
	case e.out > ratioFrom && e.out/max(e.fed(), 1) > maxRatio:
		return n, fmt.Errorf("%s: expands more than %d times; stopped after %d bytes", e.name, maxRatio, e.out)
	case err != nil && err != io.EOF:
		return n, about(e.name, err)
	}
	return n, err
}

// Stored is how many compressed bytes were read so far.
func (e *expanded) Stored() int64 { return e.fed() }

func (e *expanded) Close() error {
	var errs []error
	for _, c := range e.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
