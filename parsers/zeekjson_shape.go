package parsers

import "strings"

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

// follow collects the members of an object of known shape. It reports false where
// the shape is another or a value is an object.
func (p *zeekObjects) follow(rec []byte) bool {
	at, pos := &p.shapes, 0
	for {
		if n := len(at.tail); n > 0 && n == len(rec)-pos && string(rec[pos:]) == at.tail {
			break
		}
		if at = at.way(rec[pos:]); at == nil {
			return false
		}
		pos += len(at.label)
		end := p.simple(rec, pos)
		if end < 0 {
			return false
		}
		p.member(at.column, rec[pos:end])
		pos = end
	}
	p.marks, p.shape = at.marks, at
	if at.wrapped != "" {
		p.path, p.told = at.wrapped, true
	}
	return p.told == at.told
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

// simple returns the position behind the value at i, which is not an object, or -1.
func (p *zeekObjects) simple(d []byte, i int) int {
	if d[i] == '"' && !p.escaped {
		if end := indexFrom(d, i+1, '"'); end < len(d) {
			return end + 1
		}
		return -1
	}
	var end int
	var why string
	switch c := d[i]; {
	case c-'0' <= 9:
		end, why = jsonNumber(d, i)
	case c == '{':
		return -1
	default:
		end, why = jsonToken(d, i)
	}
	if why != "" {
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
