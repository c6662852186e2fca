package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"firetrail"
)

const (
	chunkSize  = 1 << 20
	maxRecord  = 1 << 20
	batchSize  = 4096
	maxRejects = 4096 // a batch ends when it holds as many
)

// Batch is a run of records of one source, in record order. Next reuses its
// slices, never the text its events point to.
type Batch struct {
	Events  []firetrail.Event
	Rejects []firetrail.Reject
	Facts   []firetrail.Fact
	Counts  firetrail.Counts // of this batch alone
	End     int64            // offset behind the last record of the batch
}

// Reader turns the decompressed bytes of one source into batches of events.
type Reader struct {
	src       io.Reader
	ctx       *Context
	format    Format
	parser    Parser
	framer    Framer // nil: lines
	others    []Parser
	maxRecord int

	buf    []byte // unread data of the current chunk
	chunk  []byte // free tail of the current chunk
	eof    bool
	err    error
	line   int64
	offset int64
	last   int64 // time of the latest event
}

// NewReader reads the head of r and decides the format. The error says why no
// format fits, each format's reason included.
func NewReader(r io.Reader, opt Options) (*Reader, error) {
	if opt.MaxRecord <= 0 {
		opt.MaxRecord = maxRecord
	}
	ctx := newContext(opt)
	rd := &Reader{src: r, ctx: ctx, maxRecord: opt.MaxRecord, line: 1, last: firetrail.Absent}
	for len(rd.buf) < SniffSize && !rd.eof {
		rd.fill()
	}
	if rd.err != nil && len(rd.buf) == 0 {
		return nil, rd.err
	}
	format, err := detect(rd.buf[:min(len(rd.buf), SniffSize)], opt.Format)
	if err != nil {
		return nil, err
	}
	rd.format = format
	rd.parser = format.New(ctx)
	rd.framer, _ = rd.parser.(Framer)
	return rd, nil
}

// Format is the format that was found.
func (r *Reader) Format() Format { return r.format }

// Clock tells how stamps without zone or year were resolved so far.
func (r *Reader) Clock() *Clock { return r.ctx.Clock }

// detect picks the format for head.
func detect(head []byte, name string) (Format, error) {
	if name != "" {
		f, ok := Named(name)
		if !ok {
			return Format{}, fmt.Errorf("unknown log format %q; see 'firetrail formats'", name)
		}
		return f, nil
	}
	var why []error
	for _, f := range All {
		err := f.Sniff(head)
		if err == nil {
			return f, nil
		}
		why = append(why, fmt.Errorf("%s: %w", f.Name, err))
	}
	return Format{}, &UnknownFormatError{why}
}

// UnknownFormatError says that no format reads a source, and each one's reason.
type UnknownFormatError struct {
	Why []error
}

func (e *UnknownFormatError) Error() string {
	return "format not recognised; see 'firetrail formats --why FILE'"
}

func (e *UnknownFormatError) Unwrap() []error { return e.Why }

// fill reads once from the source into the chunk. When the chunk is full, the
// unread rest moves to the start of a new one: memory that events point to is
// never written again.
func (r *Reader) fill() {
	if len(r.chunk) == 0 {
		fresh := make([]byte, max(chunkSize, 2*len(r.buf)))
		n := copy(fresh, r.buf)
		r.buf, r.chunk = fresh[:n], fresh[n:]
	}
	n, err := r.src.Read(r.chunk)
	r.buf = r.buf[:len(r.buf)+n]
	r.chunk = r.chunk[n:]
	if err != nil {
		r.eof = true
		if !errors.Is(err, io.EOF) {
			r.err = err
		}
	}
}

// Next fills b with the next records. It returns io.EOF, with b empty, after
// the last one; any other error ends the source early, after b's records.
func (r *Reader) Next(b *Batch) error {
	*b = Batch{Events: b.Events[:0], Rejects: b.Rejects[:0], End: r.offset}
	for len(b.Events) < batchSize && len(b.Rejects) < maxRejects {
		n := r.frame()
		if n == 0 {
			if len(r.buf) > r.maxRecord {
				r.overlong(b)
				continue
			}
			if !r.eof {
				r.fill()
				continue
			}
			if len(r.buf) > 0 {
				n = len(r.buf)
			} else if b.Counts.Records > 0 && r.err == nil {
				break
			} else if r.err != nil {
				return fmt.Errorf("read source: %w", r.err)
			} else {
				return io.EOF
			}
		}
		r.record(b, n)
	}
	for i := range r.ctx.facts {
		b.Facts = append(b.Facts, r.ctx.facts[i])
	}
	r.ctx.facts = r.ctx.facts[:0]
	return nil
}

// frame returns the length of the next record with its line end, 0 if it is
// not complete.
func (r *Reader) frame() int {
	if len(r.buf) == 0 {
		return 0
	}
	if r.framer != nil {
		return min(r.framer.Frame(r.buf, r.eof), len(r.buf))
	}
	return bytes.IndexByte(r.buf, '\n') + 1
}

// overlong rejects a record that exceeds the limit and drops its bytes up to
// the next line end, holding no more than a chunk of it in memory.
func (r *Reader) overlong(b *Batch) {
	rej := firetrail.Reject{Origin: firetrail.Origin{Line: r.line, Offset: r.offset},
		Reason: fmt.Sprintf("record longer than %d bytes", r.maxRecord)}
	for {
		if i := bytes.IndexByte(r.buf, '\n'); i >= 0 {
			rej.Length += int64(i)
			r.buf = r.buf[i+1:]
			r.offset += rej.Length + 1
			break
		}
		rej.Length += int64(len(r.buf))
		r.buf = r.buf[len(r.buf):]
		if r.eof {
			r.offset += rej.Length
			break
		}
		r.fill()
	}
	r.line++
	b.Rejects = append(b.Rejects, rej)
	b.Counts.Records++
	b.Counts.Rejected++
	b.End = r.offset
}

// record parses the first n bytes of the buffer as one record.
func (r *Reader) record(b *Batch, n int) {
	whole := r.buf[:n:n]
	rec := whole
	if !r.format.Binary {
		rec = bytes.TrimSuffix(bytes.TrimSuffix(rec, []byte{'\n'}), []byte{'\r'})
	}
	origin := firetrail.Origin{Line: r.line, Offset: r.offset, Length: int64(len(rec))}
	r.buf = r.buf[n:]
	r.offset += int64(n)
	r.line += lines(whole, r.format.Binary)

	b.Counts.Records++
	b.End = r.offset
	if len(b.Events) == cap(b.Events) {
		b.Events = append(b.Events, firetrail.Event{})
	} else {
		b.Events = b.Events[:len(b.Events)+1]
	}
	ev := &b.Events[len(b.Events)-1]
	facts := len(r.ctx.facts)
	err := r.parse(rec, ev)
	for i := facts; i < len(r.ctx.facts); i++ {
		r.ctx.facts[i].Line = origin.Line
		if r.ctx.facts[i].Time == firetrail.Absent {
			r.ctx.facts[i].Time = r.last
		}
	}
	if err == nil {
		ev.Origin = origin
		if r.ctx.Sensor != "" {
			ev.Sensor = r.ctx.Sensor
		}
		if ev.Time != firetrail.Absent {
			r.last = ev.Time
		}
		b.Counts.Events++
		return
	}
	b.Events = b.Events[:len(b.Events)-1]
	switch err {
	case ErrHeader:
		b.Counts.Headers++
	case ErrSkip, ErrOther:
		b.Counts.Other++
	default:
		rej := firetrail.Reject{Origin: origin, Reason: err.Error()}
		if re, ok := errors.AsType[*RejectError](err); ok {
			rej.Column, rej.Reason = re.Column, re.Reason
		}
		b.Rejects = append(b.Rejects, rej)
		b.Counts.Rejected++
	}
}

// parse offers the record to the source's format, then to the others.
func (r *Reader) parse(rec []byte, ev *firetrail.Event) error {
	if !r.format.Binary && len(bytes.TrimSpace(rec)) == 0 {
		return ErrHeader
	}
	ev.Reset()
	err := r.parser.Parse(rec, ev)
	if err != ErrOther || r.format.Binary {
		return err
	}
	for i, f := range All {
		if f.Binary || f.Name == r.format.Name {
			continue
		}
		if r.others == nil {
			r.others = make([]Parser, len(All))
		}
		if r.others[i] == nil {
			r.others[i] = f.New(r.ctx)
		}
		ev.Reset()
		if err := r.others[i].Parse(rec, ev); err != ErrOther {
			return err
		}
	}
	return ErrOther
}

// lines counts the lines of a record; a binary record counts as one.
func lines(whole []byte, binary bool) int64 {
	if binary {
		return 1
	}
	n := int64(bytes.Count(whole, []byte{'\n'}))
	if len(whole) > 0 && whole[len(whole)-1] != '\n' {
		n++
	}
	return n
}
