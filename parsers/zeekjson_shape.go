package parsers

import (
	"net/netip"
	"strings"

	"firetrail"
)

const (
	zeekMaxShapes   = 4096 // members that are remembered, of all shapes together
	zeekShapeWays   = 16   // members that may follow one
	zeekShapeLabel  = 256  // bytes of names and brackets between two values
	zeekShapeFewest = 5    // members: with fewer, guess looks at values
)

// zeekShape is a member of objects that were read, behind all those in front of it:
// a tree of the texts between values. These texts decide what the members of an
// object are, so that an object with known ones need not be taken apart by name.
type zeekShape struct {
	label  string // from the end of the value in front to this one
	column *zeekColumn
	next   []*zeekShape

	// Of objects of a Zeek log that end with this member.
	tail    string // behind the value, "" where none has ended here
	marks   zeekMarks
	guess   string
	told    bool   // they tell their path
	wrapped string // the path, where it is told by the object around the members
}

// quick reads an object of known shape in one pass, as one of the log that the record
// before was of; where it is of another and a value's place depends on that, once more.
// It reports false where the object has to be taken apart by name; what it has stored
// by then is void.
func (p *zeekObjects) quick(rec []byte, ev *firetrail.Event) bool {
	if p.log == nil {
		return false
	}
	for {
		p.row.begin(p.log, ev)
		if p.begin(); !p.follow(rec) {
			return false
		}
		if log := p.logOf(); log == p.row.log || !p.row.asked {
			p.row.log = log
			break
		}
		ev.Reset()
	}
	// A time without a zone is evidence for the clock, but only once.
	if p.ts.column != nil && !p.set(p.ts.column, p.ts.value) {
		return false
	}
	p.row.finish()
	return true
}

// follow stores the members of an object of known shape. It reports false where
// the shape is another, a value is an object, or one is not of its column's kind.
func (p *zeekObjects) follow(rec []byte) bool {
	at, pos := &p.shapes, 0
	for {
		if n := len(at.tail); n > 0 && n == len(rec)-pos && string(rec[pos:]) == at.tail {
			break
		}
		if at = at.way(rec[pos:]); at == nil {
			return false
		}
		if pos = p.read(at.column, rec, pos+len(at.label)); pos < 0 {
			return false
		}
	}
	p.marks, p.shape = at.marks, at
	if at.wrapped != "" && !p.told {
		p.path, p.told = at.wrapped, true
		return true
	}
	return p.told == at.told && at.wrapped == ""
}

// way finds the member that rec goes on with. The one found comes first the next time.
func (s *zeekShape) way(rec []byte) *zeekShape {
	for i, n := range s.next {
		if len(rec) > len(n.label) && string(rec[:len(n.label)]) == n.label {
			if i > 0 {
				copy(s.next[1:i+1], s.next[:i])
				s.next[0] = n
			}
			return n
		}
	}
	return nil
}

// read stores the value at i in one pass that finds its end with its meaning, where it
// is written as nearly always. end is behind it, or -1 where follow has to give up.
func (p *zeekObjects) read(c *zeekColumn, d []byte, i int) (end int) {
	ev := p.row.ev
	switch end = -1; c.read {
	case zeekReadValue:
		return p.readValue(c, d, i)
	case zeekReadTime:
		if p.ts.column == nil {
			ev.Time, end = zeekSecondsAt(d, i)
		}
	case zeekReadSrcIP:
		ev.SrcIP, end = jsonAddress4(d, i)
	case zeekReadDstIP:
		ev.DstIP, end = jsonAddress4(d, i)
	default:
		end = p.row.number(c, d, i)
	}
	if jsonEnds(d, i, end) {
		return end
	}
	return p.readOther(c, d, i)
}

// jsonEnds reports whether the number or text at i ends at end: another member or the
// bracket follows, and there are no zeros in front of a number.
func jsonEnds(d []byte, i, end int) bool {
	return uint(end) < uint(len(d)) && (d[end] == ',' || d[end] == '}') && (d[i] != '0' || end == i+1 || d[i+1] == '.')
}

// jsonAddress4 is address4 for an address in quotes.
func jsonAddress4(d []byte, i int) (ip netip.Addr, end int) {
	if d[i] == '"' {
		if ip, end = address4(d, i+1); end >= 0 && end < len(d) && d[end] == '"' {
			return ip, end + 1
		}
	}
	return netip.Addr{}, -1
}

// readValue is read for a column of text or of anything.
func (p *zeekObjects) readValue(c *zeekColumn, d []byte, i int) (end int) {
	var v []byte
	switch {
	case d[i] == '"' && !p.escaped && c.role != zeekPath:
		if end = indexFrom(d, i+1, '"'); end == len(d) {
			return -1
		}
		v = d[i+1 : end]
		end++
	case d[i]-'0' <= 9:
		if end = jsonDigits(d, i); jsonEnds(d, i, end) {
			v = d[i:end]
		}
	}
	if len(v) == 0 || len(v) == 1 && v[0] == '-' {
		return p.readOther(c, d, i)
	}
	if !c.set(&p.row, c, v) {
		return -1
	}
	return end
}

// readOther leaves the value at i to set.
func (p *zeekObjects) readOther(c *zeekColumn, d []byte, i int) (end int) {
	if d[i] == '{' {
		return -1
	}
	end, why := jsonToken(d, i)
	if why != "" {
		return -1
	}
	v := d[i:end]
	if p.tell(c, v) && len(v) > 2 && !p.escaped {
		return end // it is the log's
	}
	if c.role == zeekTS && len(v) > 2 {
		if p.ts.column != nil {
			return -1
		}
		p.ts = zeekMember{c, v}
	} else if !p.set(c, v) {
		return -1
	}
	return end
}

// learn remembers the shape of an object of a Zeek log whose members were gathered
// by name.
func (p *zeekObjects) learn(rec []byte) {
	if len(p.members) < zeekShapeFewest {
		return
	}
	at, pos := &p.shapes, 0
	for i := range p.members {
		m := &p.members[i]
		begin := cap(rec) - cap(m.value)
		if at = p.grow(at, rec[pos:begin], m.column); at == nil || m.value[0] == '{' {
			return
		}
		pos = begin + len(m.value)
	}
	if tail := rec[pos:]; at.tail == "" && len(tail) <= zeekShapeLabel {
		at.tail, at.marks, at.guess = string(tail), p.marks, p.guess()
		at.told, at.wrapped = p.told, strings.Clone(p.wrapped)
	}
}

// grow gives the member behind s that has this label, a fresh one where there is
// none, or nil where nothing more is remembered.
func (p *zeekObjects) grow(s *zeekShape, label []byte, c *zeekColumn) *zeekShape {
	for _, n := range s.next {
		if n.label == string(label) {
			return n
		}
	}
	if p.grown == zeekMaxShapes || len(s.next) == zeekShapeWays || len(label) > zeekShapeLabel {
		return nil
	}
	n := &zeekShape{label: string(label), column: c}
	s.next = append(s.next, n)
	p.grown++
	return n
}
