// Package parsers turns the bytes of firewall and sensor logs into events: one
// file a format, one ordered list, All. It reads what it is given and nothing
// else; it starts no goroutine and keeps no state outside a Reader.
package parsers

import (
	"errors"
	"fmt"
	"io"
	"time"

	"firetrail"
)

// Format is one log format. A new one is a file with a Format value, a sample
// under samples/, and a word in All.
type Format struct {
	Name string // what --log-format takes: "iptables", "pf", "pflog", "paloalto", "zeek" …
	Doc  string // one line for the list of formats
	Spec string // the vendor document or source file it follows

	// Sniff judges the first bytes of a source (up to SniffSize, cut anywhere).
	// nil means that the format can read it; an error says why not, as a
	// sentence for people. Sniff must look past leading lines of other programs.
	Sniff func(head []byte) error

	// New returns a parser with fresh state for one source.
	New func(*Context) Parser

	// Binary sources have no lines: Origin.Line counts records.
	Binary bool
}

// Named finds a format.
func Named(name string) (Format, bool) {
	for _, f := range All {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// SniffSize is how much of a source its format is judged by.
const SniffSize = 64 << 10

// Parser reads the records of one source in order. Parse fills ev, which has
// been reset, from one record (line end removed) and returns
//
//   - nil: ev holds the record's event;
//   - ErrHeader: the record is a header, a comment or blank, and no event;
//   - ErrOther: the record is not of this format; other formats may try it;
//   - a *RejectError: the record is of this format, but damaged;
//   - Skip: the record is sound and of this format, but no firewall event.
//
// rec and everything that aliases it stay unchanged for good, so text may be
// kept without copying (see text); Parse must not write to rec.
type Parser interface {
	Parse(rec []byte, ev *firetrail.Event) error
}

// Framer is implemented by parsers whose records are not single lines. Frame
// returns the length of the first record of data with its line end, or 0 if more
// data is needed to tell; at the end of the source (atEOF) it must not return 0
// for non-empty data. Records are limited to Options.MaxRecord whatever it says.
type Framer interface {
	Frame(data []byte, atEOF bool) int
}

var (
	// ErrHeader marks a header, comment or blank record.
	ErrHeader = errors.New("header")
	// ErrOther marks a record that is not of the format.
	ErrOther = errors.New("not of this format")
	// ErrSkip marks a sound record that is no firewall event.
	ErrSkip = errors.New("no firewall record")
)

// RejectError refuses one record; the source goes on.
type RejectError struct {
	Column int    // byte in the record where reading failed, from 1; 0 unknown
	Reason string // lower case: what was expected, what stood there
}

// Error is the reason, behind the column where it is known.
func (e *RejectError) Error() string {
	if e.Column == 0 {
		return e.Reason
	}
	return fmt.Sprintf("%d: %s", e.Column, e.Reason)
}

// reject makes a RejectError; column counts bytes of the record from 1, 0 is unknown.
func reject(column int, format string, args ...any) error {
	return &RejectError{Column: column, Reason: fmt.Sprintf(format, args...)}
}

// Options say how a source is to be read. The zero value detects everything.
type Options struct {
	Format  string         // name of a Format, "" to detect
	Zone    *time.Location // for stamps without a zone; nil means UTC, and is marked as guessed
	Year    int            // for stamps without a year; 0 to resolve it from the evidence
	ModTime time.Time      // of the file; zero unknown
	Now     time.Time      // upper bound for guessed years where ModTime is unknown; zero: none
	// Reopen opens the source once more. Where stamps have no year and Year is 0,
	// NewReader reads it through to count the New Years in it: a source that
	// covers more than a year cannot be dated from its first lines. nil, or an
	// error of it, means a stream: only what is buffered is surveyed, and that
	// decides only if it is all.
	Reopen      func() (io.ReadCloser, error)
	Sensor      string       // name of the sensor, "" for the record's own
	PrefixRules []PrefixRule // how iptables log prefixes become actions and rules, before the built-in table
	MaxRecord   int          // bytes, 0 means 1 MiB; longer records are rejected
}

// PrefixRule gives the meaning of iptables log prefixes that match Pattern.
type PrefixRule struct {
	Pattern string // regular expression (RE2) over the prefix; its group "rule", if any, names the rule
	Action  string // a firetrail.Action constant or "" for "says nothing"
}

// Context is what a parser may know of its source besides the records.
type Context struct {
	Options
	Clock *Clock
	Arena *Arena
	facts []firetrail.Fact
	rules []prefixRule // Options.PrefixRules, compiled

	// The latest record whose header was read: a line that one format declines
	// is offered to the next, which would read the same header again.
	seen struct {
		rec, msg []byte
		env      envelope
		ok       bool
	}
	known headers
}

// newContext is the context of a source that is read with these options.
func newContext(opt Options) *Context {
	return &Context{Options: opt, Clock: NewClock(opt), Arena: &Arena{}}
}

// Fact keeps a statement of the log about its own completeness; the reader adds
// line and, if t is Absent, the time of the last event.
func (c *Context) Fact(t int64, lost int64, text string) {
	c.facts = append(c.facts, firetrail.Fact{Time: t, Lost: lost, Text: text})
}

// Arena is memory for text that does not stand in the record as it is
// (unescaped, joined, lower-cased). It is never reused, so its strings stay valid.
type Arena struct {
	free []byte
}

// Make returns n bytes of fresh memory, to be filled and turned into text.
func (a *Arena) Make(n int) []byte {
	if n > len(a.free) {
		a.free = make([]byte, max(n, 64<<10))
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	return b
}

// String copies b.
func (a *Arena) String(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	m := a.Make(len(b))
	copy(m, b)
	return text(m)
}
