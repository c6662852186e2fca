package index

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// scanManifest reads of the manifest what a search needs: how far it goes, its
// checksums, and the segments that it names. Decoding all of it takes ten times as
// long, and longer than most searches. ok is false where a line is not written as
// state.commit writes them: then decodeState decides what it means.
func scanManifest(data []byte) (v *snapshot, ok bool) {
	v = &snapshot{}
	segments := map[string]segment{}
	for line := range bytes.Lines(data) {
		if line[len(line)-1] != '\n' {
			break
		}
		raw, sum, ok := cutLine(line)
		if !ok || chain(v.chain, raw) != sum {
			return nil, false
		}
		c := jsonCursor{b: raw}
		c.object(func(key string) {
			switch key {
			case "segments":
				c.array(func() {
					s := c.segment()
					segments[s.Name] = s
				})
			case "drop":
				c.array(func() { delete(segments, c.string()) })
			case "sources": // the last of a commit, and most of it
				c.at = len(raw) - 1
			default:
				c.skip()
			}
		})
		if c.bad || c.at != len(raw) {
			return nil, false
		}
		v.chain, v.commits = sum, v.commits+1
	}
	v.segments = make([]segment, 0, len(segments))
	for _, s := range segments {
		v.segments = append(v.segments, s)
	}
	slices.SortFunc(v.segments, func(a, b segment) int { return strings.Compare(a.Name, b.Name) })
	v.lines = data
	return v, true
}

// jsonCursor reads compact JSON as encoding/json writes it, without white space. After
// anything else, and after a text with escapes that is asked for, bad stays true.
type jsonCursor struct {
	b   []byte
	at  int
	bad bool
}

func (c *jsonCursor) peek() byte {
	if c.bad || c.at >= len(c.b) {
		c.bad = true
		return 0
	}
	return c.b[c.at]
}

func (c *jsonCursor) take(want byte) bool {
	if c.peek() != want {
		return false
	}
	c.at++
	return true
}

func (c *jsonCursor) expect(want byte) {
	if !c.take(want) {
		c.bad = true
	}
}

// object calls field for each key; field reads the value.
func (c *jsonCursor) object(field func(key string)) {
	c.expect('{')
	for first := true; !c.bad && !c.take('}'); first = false {
		if !first {
			c.expect(',')
		}
		key := c.string()
		c.expect(':')
		if !c.bad {
			field(key)
		}
	}
}

// array calls element in front of each element, which it reads.
func (c *jsonCursor) array(element func()) {
	c.expect('[')
	for first := true; !c.bad && !c.take(']'); first = false {
		if !first {
			c.expect(',')
		}
		if !c.bad {
			element()
		}
	}
}

// text passes over a string and returns what stands between its quotes.
func (c *jsonCursor) text() []byte {
	c.expect('"')
	from := c.at
	for !c.bad {
		n := bytes.IndexByte(c.b[c.at:], '"')
		if n < 0 {
			c.bad = true
			break
		}
		c.at += n + 1
		// A quote behind an odd number of backslashes is part of the text.
		escapes := 0
		for i := c.at - 2; i >= from && c.b[i] == '\\'; i-- {
			escapes++
		}
		if escapes%2 == 0 {
			return c.b[from : c.at-1]
		}
	}
	return nil
}

func (c *jsonCursor) string() string {
	s := c.text()
	if bytes.IndexByte(s, '\\') >= 0 {
		c.bad = true
	}
	return string(s)
}

// int reads a whole number.
func (c *jsonCursor) int() int64 {
	negative := c.take('-')
	n, from := uint64(0), c.at
	for !c.bad && c.at < len(c.b) && c.b[c.at] >= '0' && c.b[c.at] <= '9' && c.at-from < 19 {
		n = 10*n + uint64(c.b[c.at]-'0')
		c.at++
	}
	switch {
	case c.at == from, !negative && n > math.MaxInt64, n > 1<<63:
		c.bad = true
		return 0
	case negative:
		return -int64(n)
	}
	return int64(n)
}

func (c *jsonCursor) bool() bool {
	for _, word := range [...]string{"true", "false"} {
		if bytes.HasPrefix(c.b[min(c.at, len(c.b)):], []byte(word)) {
			c.at += len(word)
			return word == "true"
		}
	}
	c.bad = true
	return false
}

// skip passes over any value.
func (c *jsonCursor) skip() {
	for depth := 0; !c.bad; {
		switch c.peek() {
		case '"':
			c.text()
		case '{', '[':
			depth++
			c.at++
			continue
		case '}', ']':
			depth--
			c.at++
		case ',', ':':
			if depth == 0 {
				c.bad = true
			}
			c.at++
			continue
		default: // a number or a word
			from := c.at
			for c.at < len(c.b) && bytes.IndexByte([]byte(`,:{}[]"`), c.b[c.at]) < 0 {
				c.at++
			}
			c.bad = c.bad || c.at == from
		}
		if depth <= 0 {
			c.bad = c.bad || depth < 0
			return
		}
	}
}

func (c *jsonCursor) segment() (s segment) {
	c.object(func(key string) {
		switch key {
		case "name":
			s.Name = c.string()
		case "kind":
			s.Kind = c.string()
		case "rows":
			s.Rows = c.int()
		case "dated":
			s.Dated = c.int()
		case "first":
			s.First = c.int()
		case "last":
			s.Last = c.int()
		case "nat":
			s.NAT = c.bool()
		case "size":
			s.Size = c.int()
		case "sha256":
			s.SHA256 = c.string()
		case "flows":
			s.Flows = c.string()
		case "sources":
			c.array(func() { s.Sources = append(s.Sources, c.sourceRows()) })
		default:
			c.skip()
		}
	})
	return s
}

func (c *jsonCursor) sourceRows() (r sourceRows) {
	c.object(func(key string) {
		switch key {
		case "source":
			r.Source = c.string()
		case "rows":
			r.Rows = c.int()
		case "from":
			r.From = c.int()
		case "to":
			r.To = c.int()
		default:
			c.skip()
		}
	})
	return r
}
