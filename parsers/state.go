package parsers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"firetrail"
)

// State is what a Reader has learnt of its source up to a record, for another
// Reader to go on from there: see Resume. It can be kept as JSON.
type State struct {
	Format string `json:"format"`
	Offset int64  `json:"offset"`         // of the record that comes next
	Line   int64  `json:"line"`           // and its line
	Last   int64  `json:"last"`           // time of the latest event, Absent before the first
	Clock  *years `json:"clock,omitzero"` // nil where no stamp has asked for more than its own text

	// Learnt is what records have said of those that follow, by format: the header
	// of a table, the interfaces of a capture.
	Learnt map[string]json.RawMessage `json:"learnt,omitempty"`
	// Replay: what was learnt could not be written down, or was left out. Resume reads
	// the records before Offset again.
	Replay bool `json:"replay,omitempty"`
}

// From is where the bytes begin that Resume wants.
func (s *State) From() int64 {
	if s.Replay {
		return 0
	}
	return s.Offset
}

// learner is implemented by parsers for which records change the meaning of later
// ones. What is only remembered to be quick is no part of it.
type learner interface {
	// learnt gives what JSON can hold, nil for what New has given.
	learnt() (any, error)
	// relearn takes it back into a parser that New has made.
	relearn(data []byte) error
}

// errUnwritable says that what was learnt is no text that JSON can hold.
var errUnwritable = errors.New("what was learnt of the source is no UTF-8 text")

// written checks text that is to be kept as JSON.
func written(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return errUnwritable
		}
	}
	return nil
}

// State is what the reader has learnt up to the end of the last batch that was not
// Unfinished.
func (r *Reader) State() State {
	if r.finished != nil {
		return *r.finished
	}
	return r.state()
}

func (r *Reader) state() State {
	s := State{Format: r.format.Name, Offset: r.offset, Line: r.line, Last: r.last, Clock: r.ctx.Clock.years.kept()}
	s.add(r.format.Name, r.parser)
	for i, p := range r.others {
		if p != nil {
			s.add(All[i].Name, p)
		}
	}
	return s
}

// add keeps what a parser has learnt.
func (s *State) add(format string, p Parser) {
	l, ok := p.(learner)
	if !ok || s.Replay {
		return
	}
	v, err := l.learnt()
	var data []byte
	if err == nil && v != nil {
		data, err = json.Marshal(v)
	}
	switch {
	case err != nil:
		s.Replay, s.Learnt = true, nil
	case data != nil:
		if s.Learnt == nil {
			s.Learnt = map[string]json.RawMessage{}
		}
		s.Learnt[format] = data
	}
}

// Resume makes a Reader that goes on where another had come to; r gives the source
// from s.From() on. opt may differ from the options of the other reader in all but the
// format, which stays. The error is for a state that makes no sense.
func Resume(r io.Reader, opt Options, s State) (*Reader, error) {
	rd, err := resume(r, opt, &s)
	if err != nil {
		return nil, fmt.Errorf("resume format %q at byte %d: %w", s.Format, s.Offset, err)
	}
	rd.last = s.Last
	if s.Clock != nil {
		rd.ctx.Clock.resume(*s.Clock)
	}
	if rd.ctx.Clock.Year != 0 {
		return rd, nil
	}
	rd.need(SniffSize)
	return rd, rd.surveyYears()
}

// resume makes a Reader at s.Offset that knows what was learnt.
func resume(r io.Reader, opt Options, s *State) (*Reader, error) {
	format, ok := Named(s.Format)
	if !ok {
		return nil, errors.New("there is no such format")
	}
	rd, err := newReader(r, opt)
	if err != nil {
		return nil, err
	}
	rd.start(format)
	if s.Replay {
		return rd, rd.replay(s.Offset)
	}
	rd.offset, rd.line = s.Offset, s.Line
	for name, data := range s.Learnt {
		p := rd.parserNamed(name)
		l, ok := p.(learner)
		if !ok {
			return nil, fmt.Errorf("format %q keeps no state", name)
		}
		if err := l.relearn(data); err != nil {
			return nil, fmt.Errorf("state of format %q: %w", name, err)
		}
	}
	return rd, nil
}

// replay reads records up to an offset at which one ends, and keeps nothing but what
// they say of those that follow.
func (r *Reader) replay(offset int64) error {
	var b Batch
	for r.Until(offset); r.offset < offset; {
		if err := r.Next(&b); err != nil {
			return fmt.Errorf("read its beginning again: %w", err)
		}
	}
	r.Until(math.MaxInt64)
	if r.offset != offset || r.finished != nil {
		return fmt.Errorf("read its beginning again: no record ends there, but one at %d", r.offset)
	}
	*r.ctx.Clock = *NewClock(r.ctx.Options) // what it knew then comes with the state
	return nil
}

// parserNamed is the parser of a format, made where there is none yet.
func (r *Reader) parserNamed(name string) Parser {
	if name == r.format.Name {
		return r.parser
	}
	for i := range All {
		if All[i].Name == name {
			return r.other(i)
		}
	}
	return nil
}

// years is what a Clock has found out about the year of a source.
type years struct {
	Year     int    `json:"year,omitempty"` // of the latest year-less stamp, 0 before the first
	How      string `json:"how,omitempty"`
	Latest   int64  `json:"latest,omitempty"` // seconds of wall time of the latest year-less stamp
	Before   int64  `json:"before"`           // and of the ones before and behind the latest New Year, Absent before the first
	After    int64  `json:"after,omitempty"`
	From     int    `json:"from,omitempty"` // first and last year given to a year-less stamp
	To       int    `json:"to,omitempty"`
	Met      bool   `json:"met,omitempty"`      // a year-less stamp was
	Zoneless bool   `json:"zoneless,omitempty"` // a stamp without a zone was met
	Evidence int64  `json:"evidence"`           // seconds of the latest stamp with a year, Absent before
}

var noYears = years{Before: firetrail.Absent, Evidence: firetrail.Absent}

// kept is what has to be kept of y, nil if nothing.
func (y years) kept() *years {
	if how := y; y.Year == 0 {
		how.How = ""
		if how == noYears {
			return nil
		}
	}
	return &y
}

// resume goes on with the years of another clock of the same source.
func (c *Clock) resume(y years) {
	how := c.How
	c.years = y
	if y.Year == 0 {
		c.How = how
	}
	c.fixed = y.Year != 0
}
