package parsers

import "bytes"

// zeekLineBytes is how far Frame looks for a line end before it looks for objects.
const zeekLineBytes = 4 << 10

// Frame takes a line, the lines of one pretty-printed object, or one of several
// objects on a line.
func (p *zeekObjects) Frame(data []byte, atEOF bool) int {
	line := bytes.IndexByte(data[:min(len(data), zeekLineBytes)], '\n') + 1
	if line == 0 {
		// Objects on one long line: its end is not looked for at each of them.
		if n := zeekOneOfSeveral(data[:min(len(data), zeekObjectBytes)]); n > 0 && bytes.IndexByte(data[:n], '\n') < 0 {
			return n
		}
		line = bytes.IndexByte(data, '\n') + 1
	}
	if line == 0 {
		if !atEOF {
			return 0
		}
		return len(data)
	}
	if line > 2 && data[0] == '{' && data[line-2] == '}' && bytes.IndexByte(data[1:line], '{') < 0 {
		return line // one flat object, as nearly all are
	}
	if n := zeekOneOfSeveral(data[:line]); n > 0 {
		return n
	}
	first := bytes.TrimSpace(data[:line])
	if len(first) == 0 || first[0] == '[' && len(first) > 1 {
		first = bytes.TrimSpace(bytes.TrimPrefix(first, []byte{'['}))
	}
	if len(first) == 0 || first[0] != '{' || bytes.HasSuffix(bytes.TrimRight(first, "], "), []byte{'}'}) {
		return line
	}
	end, found := zeekObjectEnd(data[:min(len(data), zeekObjectBytes)])
	switch {
	case found:
		if n := bytes.IndexByte(data[end:], '\n'); n >= 0 {
			return end + n + 1
		} else if atEOF {
			return len(data)
		}
		return 0
	case end < 0 || atEOF || len(data) >= zeekObjectBytes:
		return line
	}
	return 0
}

// zeekOneOfSeveral is the length of the first object of a line, with the comma
// behind it, if another follows, as in a compact array or in a stream without line ends;
// else 0.
func zeekOneOfSeveral(line []byte) int {
	start := bytes.IndexByte(line, '{')
	if start < 0 || len(bytes.Trim(line[:start], "[ \t\r")) > 0 || bytes.IndexByte(line[start+1:], '{') < 0 {
		return 0
	}
	end, found := zeekObjectEnd(line[start:min(len(line), start+zeekObjectBytes)])
	if !found {
		return 0
	}
	end += start
	if end < len(line) && line[end] == ',' {
		end++
	}
	if next := bytes.TrimLeft(line[end:], " \t"); len(next) == 0 || next[0] != '{' {
		return 0
	}
	return end
}

// zeekObjectEnd finds the end of the first object of data. end is -1 where data
// shows that it never comes: a line end inside a string, a line that begins
// another object, too many levels.
func zeekObjectEnd(data []byte) (end int, found bool) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			end := jsonString(data, i)
			text := data[i:] // no further than the string: there may be many of them
			if end >= 0 {
				text = data[i:end]
			}
			if bytes.IndexByte(text, '\n') >= 0 {
				return -1, false
			}
			if end < 0 {
				return 0, false
			}
			i = end - 1
		case '{':
			if i > 0 && data[i-1] == '\n' || depth == zeekObjectLevels {
				return -1, false
			}
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return 0, false
}
