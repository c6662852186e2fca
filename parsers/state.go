package parsers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// Replay: what was learnt could not be written down, or was left out. Records
	// before Offset have to be read again to know it: see Relearn.
	Replay bool `json:"replay,omitempty"`
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

// Resume makes a Reader that goes on where another had come to: r begins with the
// record at s.Offset. opt may differ from the options of the other reader in all but
// the format, which stays. The error is for a state that makes no sense, or one
// to Relearn first.
func Resume(r io.Reader, opt Options, s State) (*Reader, error) {
	rd, err := newReader(r, opt)
	if err != nil {
		return nil, err
	}
	format, ok := Named(s.Format)
	if !ok || s.Replay {
		return nil, fmt.Errorf("resume at byte %d: unknown state of format %q", s.Offset, s.Format)
	}
	rd.start(format)
	rd.offset, rd.line, rd.last = s.Offset, s.Line, s.Last
	if s.Clock != nil {
		rd.ctx.Clock.resume(*s.Clock)
	}
	for name, data := range s.Learnt {
		p := rd.parserNamed(name)
		l, ok := p.(learner)
		if !ok {
			return nil, fmt.Errorf("resume at byte %d: format %q keeps no state", s.Offset, name)
		}
		if err := l.relearn(data); err != nil {
			return nil, fmt.Errorf("resume at byte %d: state of format %q: %w", s.Offset, name, err)
		}
	}
	if rd.ctx.Clock.Year != 0 {
		return rd, nil
	}
	rd.need(SniffSize)
	return rd, rd.surveyYears()
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

// Relearn reads the records of a source up to s.Offset again, r giving the source
// from its start, and fills in what they say of those that follow. Replay stays set
// where that cannot be written down.
func Relearn(r io.Reader, opt Options, s State) (State, error) {
	opt.Format, opt.Reopen = s.Format, nil
	rd, err := NewReader(r, opt)
	if err != nil {
		return s, err
	}
	rd.Until(s.Offset)
	var b Batch
	for rd.offset < s.Offset {
		if err := rd.Next(&b); err != nil {
			return s, fmt.Errorf("read %d of %d bytes again: %w", rd.offset, s.Offset, err)
		}
	}
	now := rd.state()
	if now.Offset != s.Offset {
		return s, fmt.Errorf("read %d bytes again: a record ends at %d", s.Offset, now.Offset)
	}
	s.Learnt, s.Replay = now.Learnt, now.Replay
	return s, nil
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
