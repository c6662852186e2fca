package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"firetrail"
)

const (
	chunkSize  = 1 << 20
	maxRecord  = 1 << 20
	batchSize  = 128
	maxRejects = 4096    // a batch ends when it holds as many rejects or facts
	maxSpan    = 8 << 20 // or covers as many bytes, though they hold no event
)

// Batch is a run of records of one source, in record order. Next reuses its
// slices, never the text its events point to.
type Batch struct {
	Events  []firetrail.Event
	Rejects []firetrail.Reject
	Facts   []firetrail.Fact
	Counts  firetrail.Counts // of this batch alone
	End     int64            // offset behind the last record of the batch and its line end

	// Unfinished: the source ends within these records, or what comes behind its
	// present end may belong to them; a program that is still writing may finish
	// them. They are the last ones, and in batches of their own.
	Unfinished bool
}

// Reader turns the decompressed bytes of one source into batches of events.
// Every byte belongs to exactly one record or to the line end behind it.
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
	until  int64 // a batch ends at this offset

	finished *State // in front of the first unfinished record, nil before
}

// NewReader reads the head of r and decides the format. The error is an
// *UnknownFormatError if no format fits, and ErrEmpty for a source without
// anything but blank lines.
func NewReader(r io.Reader, opt Options) (*Reader, error) {
	rd, err := newReader(r, opt)
	if err != nil {
		return nil, err
	}
	rd.need(SniffSize)
	if rd.err != nil && len(rd.buf) == 0 {
		return nil, fmt.Errorf("read source: %w", rd.err)
	}
	format, err := rd.detect()
	if err != nil {
		return nil, err
	}
	rd.start(format)
	return rd, rd.surveyYears()
}

// newReader makes a reader that has no format yet.
func newReader(r io.Reader, opt Options) (*Reader, error) {
	if opt.MaxRecord <= 0 {
		opt.MaxRecord = maxRecord
	}
	rules, err := compileRules(opt.PrefixRules)
	if err != nil {
		return nil, err
	}
	rd := &Reader{src: r, ctx: newContext(opt), maxRecord: opt.MaxRecord, line: 1, last: firetrail.Absent, until: math.MaxInt64}
	rd.ctx.rules = rules
	return rd, nil
}

// start makes the parser of the format that was found.
func (r *Reader) start(f Format) {
	r.format = f
	r.parser = f.New(r.ctx)
	r.framer, _ = r.parser.(Framer)
}

// Format is the format that was found.
func (r *Reader) Format() Format { return r.format }

// Until makes a batch end at an offset ahead, if a record ends there, whatever else
// ends it.
func (r *Reader) Until(offset int64) { r.until = offset }

// Clock tells how stamps without zone or year were resolved so far.
func (r *Reader) Clock() *Clock { return r.ctx.Clock }

// need fills the buffer to n bytes, or to the end of the source.
func (r *Reader) need(n int) {
	for len(r.buf) < n && !r.eof {
		r.fill()
	}
}

// fill reads once from the source into the chunk. When the chunk is full, the
// unread rest moves to the start of a new one: memory that events point to is
// never written again.
func (r *Reader) fill() {
	if len(r.chunk) == 0 {
		size := chunkSize
		if r.chunk == nil {
			size = SniffSize // all of most small sources
		}
		fresh := make([]byte, max(size, 2*len(r.buf)))
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

// surveyYears tells the clock the year of the first stamp where the head has
// stamps without one. The survey of a source that cannot be opened again covers
// what is buffered, which decides only if that is all.
func (r *Reader) surveyYears() error {
	c := r.ctx.Clock
	if c.fixed || c.bound == firetrail.Absent || r.format.Binary {
		return nil
	}
	var s survey
	if err := s.lines(bytes.NewReader(r.buf[:min(len(r.buf), SniffSize)])); err != nil || !s.seen {
		return err
	}
	switch {
	case r.eof && len(r.buf) <= SniffSize:
	case r.ctx.Reopen != nil:
		again, err := r.ctx.Reopen()
		if err != nil {
			return nil // a stream after all
		}
		s = survey{}
		s.lines(again) // a source that ends early is told of when it is read
		if err := again.Close(); err != nil {
			return fmt.Errorf("survey source for years: %w", err)
		}
	default:
		return nil
	}
	if year, ok := s.year(c.bound); ok {
		c.start(year, c.How)
	}
	return nil
}

// Next fills b with the next records. It returns io.EOF, with b empty, after
// the last one; any other error ends the source early, after b's records.
func (r *Reader) Next(b *Batch) error {
	*b = Batch{Events: b.Events[:0], Rejects: b.Rejects[:0], Facts: b.Facts[:0], End: r.offset, Unfinished: r.finished != nil}
	for start := r.offset; len(b.Events) < batchSize && len(b.Rejects) < maxRejects &&
		len(r.ctx.facts) < maxRejects && r.offset-start < maxSpan && r.offset < r.until; {
		n := r.frame(false)
		switch {
		case n > 0 && n-2 <= r.maxRecord:
			r.record(b, n)
			continue
		case n == 0 && len(r.buf) <= r.maxRecord && !r.eof:
			r.fill()
			continue
		case len(r.buf) == 0:
		case b.Counts.Records > 0 && !b.Unfinished:
			// What follows may be unfinished: it begins a batch.
			r.take(b)
			return nil
		case n > 0 || len(r.buf) > r.maxRecord:
			r.overlong(b, n)
			continue
		default:
			r.tail(b)
			continue
		}
		if r.err != nil {
			r.take(b)
			return fmt.Errorf("read source: %w", r.err)
		}
		if b.Counts.Records == 0 {
			b.Unfinished = false
			return io.EOF
		}
		break
	}
	r.take(b)
	return nil
}

// take moves the facts that the parsers stated to the batch.
func (r *Reader) take(b *Batch) {
	b.Facts = append(b.Facts, r.ctx.facts...)
	r.ctx.facts = r.ctx.facts[:0]
}

// frame returns the length of the next record with its line end, 0 if it is
// not complete. At the end, what there is counts as complete.
func (r *Reader) frame(end bool) int {
	if len(r.buf) == 0 {
		return 0
	}
	if r.framer != nil {
		return min(max(r.framer.Frame(r.buf, end), 0), len(r.buf))
	}
	if n := bytes.IndexByte(r.buf, '\n') + 1; n > 0 || !end {
		return n
	}
	return len(r.buf)
}

// unfinished keeps what was learnt so far: the records from here on are read again
// when the source grows.
func (r *Reader) unfinished(b *Batch) {
	if r.finished == nil {
		s := r.state()
		r.finished = &s
	}
	b.Unfinished = true
}

// tail reads a record that the end of the source ends. Where the source broke off
// with an error, it is damaged even if it can be read.
func (r *Reader) tail(b *Batch) {
	r.unfinished(b)
	n := r.frame(true)
	if r.err == nil && n > 0 {
		r.record(b, n)
		return
	}
	r.refuse(b, r.origin(len(r.buf)), "the source breaks off within this record")
	r.buf = r.buf[len(r.buf):]
}

// origin is where the next record of n bytes stands.
func (r *Reader) origin(n int) firetrail.Origin {
	return firetrail.Origin{Line: r.line, Offset: r.offset, Length: int64(n)}
}

// refuse counts a reject that takes all the bytes from the present offset.
func (r *Reader) refuse(b *Batch, at firetrail.Origin, reason string) {
	b.Rejects = append(b.Rejects, firetrail.Reject{Origin: at, Reason: reason})
	b.Counts.Records++
	b.Counts.Rejected++
	r.offset = at.Offset + at.Length
	r.line++
	b.End = r.offset
}

// overlong rejects a record that exceeds the limit: the n bytes of the framer,
// or, where n is 0, all bytes up to the next line end, holding no more than a
// chunk of them in memory. A binary source has no line ends to find the next
// record by: it is dropped to its end. Where the source ends before the record
// does, the record is unfinished.
func (r *Reader) overlong(b *Batch, n int) {
	reason := fmt.Sprintf("record longer than %d bytes", r.maxRecord)
	if n > 0 {
		whole := r.buf[:n]
		at := r.origin(len(r.text(whole)))
		r.buf = r.buf[n:]
		r.refuse(b, at, reason)
		r.offset += int64(n) - at.Length
		r.line += lines(whole, r.format.Binary) - 1
		b.End = r.offset
		return
	}
	at, before := r.origin(0), r.state()
	var scratch []byte
	for {
		if i := bytes.IndexByte(r.buf, '\n'); i >= 0 && !r.format.Binary {
			at.Length += int64(i)
			r.buf = r.buf[i:]
			break
		}
		at.Length += int64(len(r.buf))
		r.buf = r.buf[len(r.buf):]
		if r.eof {
			if r.finished == nil {
				r.finished = &before
			}
			b.Unfinished = true
			break
		}
		if scratch == nil {
			scratch = make([]byte, chunkSize)
		}
		r.buf, r.chunk = scratch[:0], scratch
		r.fill()
	}
	r.refuse(b, at, reason)
	if len(r.buf) > 0 {
		r.buf = r.buf[1:]
		r.offset++
		b.End = r.offset
	}
}

// text is a record without its line end.
func (r *Reader) text(whole []byte) []byte {
	n := len(whole)
	if r.format.Binary {
		return whole
	}
	if n > 0 && whole[n-1] == '\n' {
		n--
	}
	if n > 0 && whole[n-1] == '\r' {
		n--
	}
	return whole[:n]
}

// record parses the first n bytes of the buffer as one record.
func (r *Reader) record(b *Batch, n int) {
	whole := r.buf[:n:n]
	rec := r.text(whole)
	origin := r.origin(len(rec))
	r.buf = r.buf[n:]
	r.offset += int64(n)
	if r.framer == nil && whole[n-1] == '\n' {
		r.line++ // the first line end is the only one
	} else {
		r.line += lines(whole, r.format.Binary)
	}

	b.Counts.Records++
	b.End = r.offset
	if len(b.Events) == cap(b.Events) {
		b.Events = append(b.Events, firetrail.Event{})
	} else {
		b.Events = b.Events[:len(b.Events)+1]
	}
	ev := &b.Events[len(b.Events)-1]
	facts := len(r.ctx.facts)
	err := r.parse(rec, ev, origin.Offset)
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

// parse offers the record to the source's format, then to the others. A mark of
// the byte order in front of the source and zero bytes in front of a record
// (holes that a crash leaves in a file) are no part of its text, nor are zero
// bytes and further carriage returns behind it, and the Ctrl-Z at the end of old text files.
func (r *Reader) parse(rec []byte, ev *firetrail.Event, offset int64) error {
	ev.Reset()
	if r.format.Binary {
		return r.parser.Parse(rec, ev)
	}
	plain := rec
	if offset == 0 {
		plain = bytes.TrimPrefix(plain, []byte(byteOrderMark))
	}
	for len(plain) > 0 && plain[0] == 0 {
		plain = plain[1:]
	}
	lead := len(rec) - len(plain)
	for n := len(plain); n > 0 && (plain[n-1] == 0 || plain[n-1] == '\r'); n = len(plain) {
		plain = plain[:n-1]
	}
	if len(plain) < 2 || plain[0] <= ' ' || plain[0] >= utf8.RuneSelf { // else it is not blank
		if len(bytes.TrimSpace(plain)) == 0 || len(plain) == 1 && plain[0] == 0x1a {
			return ErrHeader
		}
	}
	err := r.offer(plain, ev)
	if re, ok := err.(*RejectError); ok && re.Column > 0 {
		re.Column += lead
	}
	return err
}

// offer tries the formats until one knows the record.
func (r *Reader) offer(rec []byte, ev *firetrail.Event) error {
	err := r.parser.Parse(rec, ev)
	if err != ErrOther {
		return err
	}
	for i := range All {
		if f := &All[i]; f.Binary || f.Name == r.format.Name {
			continue
		}
		ev.Reset()
		if err := r.other(i).Parse(rec, ev); err != ErrOther {
			return err
		}
	}
	// The line is no event, but its date tells where the source is in the year.
	if env, _, ok := r.ctx.envelope(rec); ok && env.stamp.kind == stampYearless {
		r.ctx.Clock.at(&env.stamp)
	}
	return ErrOther
}

// other is the parser of another format than the source's, by its place in All.
func (r *Reader) other(i int) Parser {
	if r.others == nil {
		r.others = make([]Parser, len(All))
	}
	if r.others[i] == nil {
		r.others[i] = All[i].New(r.ctx)
	}
	return r.others[i]
}

// lines counts the line ends of a record, so that records on one line have its
// number; a binary record counts as one.
func lines(whole []byte, binary bool) int64 {
	if binary {
		return 1
	}
	return int64(bytes.Count(whole, []byte{'\n'}))
}
