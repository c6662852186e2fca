package index

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"firetrail"
	"firetrail/index/query"

	"github.com/klauspost/compress/zstd"
)

// flowStream is a sequence of flows in key order with its first one at hand.
type flowStream struct {
	head *firetrail.Flow
	next func() (*firetrail.Flow, error) // io.EOF at the end
}

// flowHeap orders streams by their heads.
type flowHeap []*flowStream

func (h flowHeap) Len() int           { return len(h) }
func (h flowHeap) Less(i, j int) bool { return h[i].head.FlowKey.Compare(&h[j].head.FlowKey) < 0 }
func (h flowHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *flowHeap) Push(x any)        { *h = append(*h, x.(*flowStream)) }
func (h *flowHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// advance moves a stream; ok is false at its end.
func (s *flowStream) advance() (ok bool, err error) {
	s.head, err = s.next()
	if err == io.EOF {
		return false, nil
	}
	return err == nil, err
}

// mergeFlows yields the flows of the streams in key order, those of one key
// merged. The flow is valid until the next.
func mergeFlows(streams []*flowStream, yield func(*firetrail.Flow) error) error {
	h := flowHeap{}
	for _, s := range streams {
		ok, err := s.advance()
		if err != nil {
			return err
		}
		if ok {
			h = append(h, s)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		s := h[0]
		if len(h) == 1 || !tied(h) {
			if err := yield(s.head); err != nil {
				return err
			}
			if err := step(&h); err != nil {
				return err
			}
			continue
		}
		sum := cloneFlow(s.head)
		if err := step(&h); err != nil {
			return err
		}
		for len(h) > 0 && h[0].head.FlowKey == sum.FlowKey {
			sum.Merge(h[0].head)
			if err := step(&h); err != nil {
				return err
			}
		}
		if err := yield(&sum); err != nil {
			return err
		}
	}
	return nil
}

// tied reports whether the first key of the heap occurs in a second stream.
func tied(h flowHeap) bool {
	for i := 1; i < min(3, len(h)); i++ {
		if h[i].head.FlowKey == h[0].head.FlowKey {
			return true
		}
	}
	return false
}

// step moves the first stream of the heap on.
func step(h *flowHeap) error {
	ok, err := (*h)[0].advance()
	switch {
	case err != nil:
		return err
	case ok:
		heap.Fix(h, 0)
	default:
		heap.Pop(h)
	}
	return nil
}

// writeFlows merges packed rollups of row groups and the flows that are still in memory
// into the file of a segment and returns its checksum.
func writeFlows(path string, groups [][]byte, last *rollupFlows, z *zstd.Encoder) (sum string, err error) {
	if len(groups) == 1 && len(last.rest) == 0 {
		one := sha256.Sum256(groups[0])
		return hex.EncodeToString(one[:]), writeSynced(path, bytes.NewReader(groups[0]))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("write flows: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	buf := bufio.NewWriterSize(f, 1<<20)
	w, err := newFlowWriter(io.MultiWriter(buf, h), z)
	if err != nil {
		return "", err
	}
	defer w.settle()
	streams := []*flowStream{{next: last.next}}
	for _, g := range groups {
		r, err := newFlowReader(bytes.NewReader(g), path)
		if err != nil {
			return "", err
		}
		defer r.zstd.Close()
		streams = append(streams, &flowStream{next: r.next})
	}
	if err = mergeFlows(streams, w.add); err == nil {
		err = w.close()
	}
	if err != nil {
		return "", err
	}
	if err := buf.Flush(); err != nil {
		return "", fmt.Errorf("write flows: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), closeSynced(f)
}

var errStop = errors.New("stop")

// fanIn bounds how many flow files are read at a time.
const fanIn = 256

// Flows yields the rollup of the case in key order, merged over its segments; the
// flow is valid until the next. Memory does not grow with the case.
//
// The query is applied as far as a flow can tell: addresses, destination port,
// protocol, action, kind, sensor, the time between a flow's first and last event,
// and bounds of sums of bytes that rule out every event. A flow that may have a
// selected event is yielded with all its events: Flows never leaves a flow out
// that has one, and may yield some that have none.
func (c *Case) Flows(ctx context.Context, q firetrail.Query) iter.Seq2[*firetrail.Flow, error] {
	return func(yield func(*firetrail.Flow, error) bool) {
		view := c.parts()
		p, err := query.Compile(q, c.env(view, firetrail.Absent))
		if err != nil {
			yield(nil, err)
			return
		}
		may := flowFilter{p: p}
		var names []string
		for i := range view.segments {
			s := &view.segments[i]
			if may.segment(s) {
				names = append(names, s.Name)
				may.nat = may.nat || s.NAT
			}
		}
		n := 0
		err = c.mergeFiles(names, func(f *firetrail.Flow) error {
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if may.flow(f) && !yield(f, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(nil, err)
		}
	}
}

// mergeFiles merges the flows of segments. More than fanIn files are merged in
// rounds, through temporary files.
func (c *Case) mergeFiles(names []string, yield func(*firetrail.Flow) error) error {
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = c.path("flows", n, ".flow")
	}
	for len(paths) > fanIn {
		f, err := os.CreateTemp("", "firetrail-flows-*")
		if err != nil {
			return fmt.Errorf("merge flows: %w", err)
		}
		defer os.Remove(f.Name())
		if err := mergeInto(f, paths[:fanIn]); err != nil {
			return err
		}
		paths = append(paths[fanIn:], f.Name())
	}
	return mergePaths(paths, yield)
}

// mergeInto writes merged flows of several kinds to a temporary file.
func mergeInto(f *os.File, paths []string) error {
	defer f.Close()
	e, err := newEncoder()
	if err != nil {
		return err
	}
	w, err := newFlowWriter(f, e.flows)
	if err != nil {
		return err
	}
	defer w.settle()
	if err := mergePaths(paths, w.add); err != nil {
		return err
	}
	return w.close()
}

func mergePaths(paths []string, yield func(*firetrail.Flow) error) error {
	var streams []*flowStream
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return fmt.Errorf("read flows: %w", err)
		}
		defer f.Close()
		r, err := newFlowReader(f, p)
		if err != nil {
			return err
		}
		defer r.zstd.Close()
		streams = append(streams, &flowStream{next: r.next})
	}
	return mergeFlows(streams, yield)
}
