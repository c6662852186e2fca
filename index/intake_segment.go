package index

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"

	"firetrail"
	"firetrail/index/blocks"
	"firetrail/index/columns"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// segmentWriter writes one segment with its flows and block terms. Groups are
// encoded side by side and written in their order, while the next one is collected.
type segmentWriter struct {
	ctx     context.Context
	slots   chan *encoder
	path    string       // in staging, without extension
	runs    []sourceRows // of the events so far
	file    *os.File
	sum     hash.Hash
	size    int64
	cols    *columns.Writer
	terms   *termWriter
	flows   *rollup
	pending []*groupJob
	info    segment

	ended *errgroup.Group // writes flows and terms, nil before
}

// encoder is what a worker needs to write row groups and flows.
type encoder struct {
	columns *columns.Encoder
	flows   *zstd.Encoder
}

func newEncoder() (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(256<<10), zstd.WithSingleSegment(true))
	return &encoder{columns: columns.NewEncoder(), flows: z}, err
}

// groupJob is a row group on its way.
type groupJob struct {
	g    *columns.Group
	done chan struct{}
	err  error // its own, or that of a group before it
}

// newSegmentWriter begins a segment at a path in staging. Who has one of slots may
// use a core.
func newSegmentWriter(ctx context.Context, slots chan *encoder, path, kind string) (*segmentWriter, error) {
	s := &segmentWriter{ctx: ctx, slots: slots, path: path, sum: sha256.New(), terms: newTermWriter(blocks.NewWriter()), flows: newRollup(kind)}
	s.info = segment{Kind: kind, First: firetrail.Absent, Last: firetrail.Absent}
	f, err := os.OpenFile(s.path+".parquet", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write segment: %w", err)
	}
	s.file = f
	s.cols = columns.NewWriter(s, kind)
	return s, nil
}

// Write passes the segment's bytes to the file and the checksum.
func (s *segmentWriter) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// append takes as many events of a source as the segment has room for. source is
// where its id will stand when the segment is closed.
func (s *segmentWriter) append(source *string, evs []firetrail.Event) (int, error) {
	n := s.cols.Append(evs)
	if n > 0 {
		if k := len(s.runs); k == 0 || s.runs[k-1].id != source {
			s.runs = append(s.runs, sourceRows{id: source, From: evs[0].Offset})
		}
		r := &s.runs[len(s.runs)-1]
		r.Rows += int64(n)
		r.To = evs[n-1].Offset + evs[n-1].Length
	}
	if s.cols.Full() {
		return n, s.cut()
	}
	return n, nil
}

// cut sends the collected rows on to be encoded and written. At most two groups of a
// segment are under way beside the one being collected.
func (s *segmentWriter) cut() error {
	g := s.cols.Cut()
	if g == nil {
		return nil
	}
	for len(s.pending) >= 2 {
		if err := s.settle(); err != nil {
			return err
		}
	}
	j := &groupJob{g: g, done: make(chan struct{})}
	var before *groupJob
	if n := len(s.pending); n > 0 {
		before = s.pending[n-1]
	}
	s.pending = append(s.pending, j)
	go func() {
		defer close(j.done)
		j.err = s.encode(g)
		if before != nil {
			<-before.done
			j.err = cmp.Or(before.err, j.err)
		}
		if j.err == nil {
			j.err = s.write(g)
		}
	}()
	return nil
}

// encode adds a group's flows and compresses its columns, on two cores if there is one to
// spare.
func (s *segmentWriter) encode(g *columns.Group) error {
	flows, enc, help := s.flows, <-s.slots, make(chan error, 1)
	defer func() { s.slots <- enc }()
	select {
	case other := <-s.slots:
		go func() {
			help <- g.Encode(other.columns)
			s.slots <- other
		}()
	default:
		help <- nil
	}
	err := flows.add(g, enc.flows)
	if err == nil {
		err = g.Encode(enc.columns)
	}
	return cmp.Or(err, <-help)
}

// settle waits until the oldest group is written.
func (s *segmentWriter) settle() error {
	j := s.pending[0]
	s.pending[0] = nil // a group is large
	s.pending = s.pending[1:]
	<-j.done
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return j.err
}

// write writes a group, behind those before it.
func (s *segmentWriter) write(g *columns.Group) error {
	s.bounds(g)
	s.terms.group(g)
	return s.cols.Write(g)
}

// bounds keeps the rows and times of a group.
func (s *segmentWriter) bounds(g *columns.Group) {
	s.info.Rows += int64(g.Rows())
	for _, name := range [...]string{"nat_src_ip", "nat_dst_ip", "nat_src_port", "nat_dst_port"} {
		s.info.NAT = s.info.NAT || g.Vector(name) != nil
	}
	times := g.Vector("time")
	if times == nil {
		return
	}
	for _, t := range times.Ints() {
		if t != firetrail.Absent {
			s.info.Dated++
			s.info.First, s.info.Last = earliest(s.info.First, t), latest(s.info.Last, t)
		}
	}
}

// end writes the last rows and then, on the side, flows and terms: a segment that
// is waiting for its source to end holds little memory.
func (s *segmentWriter) end() error {
	if s.ended != nil {
		return nil
	}
	if err := s.cut(); err != nil {
		return err
	}
	for len(s.pending) > 0 {
		if err := s.settle(); err != nil {
			return err
		}
	}
	flows, terms := s.flows, s.terms
	s.flows, s.terms = nil, nil
	terms.w.Blocks(terms.blocks())
	slots := s.slots
	s.ended = new(errgroup.Group)
	s.ended.Go(func() (err error) {
		enc := <-slots
		defer func() { slots <- enc }()
		s.info.Flows, err = flows.write(s.path+".flow", enc.flows)
		return err
	})
	s.ended.Go(func() error {
		enc := <-slots
		defer func() { slots <- enc }()
		return terms.w.WriteFile(s.path + termsExt)
	})
	return nil
}

// close completes the files of an ended segment, now that the sources are known.
func (s *segmentWriter) close() error {
	if err := s.ended.Wait(); err != nil {
		return err
	}
	var runs []columns.Run
	for i := range s.runs {
		r := &s.runs[i]
		r.Source, r.id = *r.id, nil
		runs = append(runs, columns.Run{Source: r.Source, Rows: r.Rows})
	}
	if err := s.cols.Close(runs); err != nil {
		return err
	}
	s.info.Sources, s.info.Size, s.info.SHA256 = s.runs, s.size, hex.EncodeToString(s.sum.Sum(nil))
	return closeSynced(s.file)
}

// abandon waits for the groups under way and closes the file.
func (s *segmentWriter) abandon() {
	for _, j := range s.pending {
		<-j.done
	}
	s.pending = nil
	if s.ended != nil {
		s.ended.Wait()
	}
	s.file.Close()
}
