package index

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"sync"
)

// spool is a copy of a stream that cannot be read again. It can be read while it is
// being filled; its readers wait for what is still to come.
type spool struct {
	mu   sync.Mutex
	path string
	file *os.File      // closed when it is over
	size int64         // bytes so far
	more chan struct{} // closed when there are more, or when it is over
	over bool
	err  error // of the stream, or of the copy
}

func newSpool(path string) (*spool, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &spool{path: path, file: f, more: make(chan struct{})}, nil
}

// fill copies the stream to its end.
func (s *spool) fill(r io.Reader) {
	defer s.file.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := s.file.Write(buf[:n]); werr != nil {
				n, err = 0, werr
			}
		}
		if err == io.EOF {
			err = cmp.Or(s.file.Sync(), err)
		}
		if !s.step(int64(n), err) {
			return
		}
	}
}

// step tells the readers of n more bytes, and of the end if err says so. It returns
// false when it is over.
func (s *spool) step(n int64, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.size += n
	if err != nil {
		s.over = true
		if err != io.EOF {
			s.err = err
		}
	}
	close(s.more)
	s.more = make(chan struct{})
	return !s.over
}

// open reads the stream from its start.
func (s *spool) open() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	return &spoolReader{spool: s, file: f}, nil
}

// keep makes what was copied so far durable.
func (s *spool) keep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil // fill has seen to it
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("keep a stream: %w", err)
	}
	return nil
}

// moved tells that the file has another name.
func (s *spool) moved(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = path
}

// spoolReader reads a spool.
type spoolReader struct {
	spool *spool
	file  *os.File
	at    int64
}

// Read waits for bytes, or for the end.
func (r *spoolReader) Read(p []byte) (int, error) {
	s := r.spool
	for {
		s.mu.Lock()
		size, over, err, more := s.size, s.over, s.err, s.more
		s.mu.Unlock()
		switch {
		case r.at < size:
			n, err := r.file.Read(p[:min(int64(len(p)), size-r.at)])
			r.at += int64(n)
			return n, err
		case over:
			return 0, cmp.Or(err, io.EOF)
		}
		<-more
	}
}

// Close closes this reader alone.
func (r *spoolReader) Close() error { return r.file.Close() }
