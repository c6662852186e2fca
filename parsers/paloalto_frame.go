package parsers

import "bytes"

// Frame joins the lines of a record that has a line end within quotes, and those
// of a JSON object over several lines; it parts JSON objects on one line. It looks
// no further than panLookAhead; a quote that is not closed until then, or before
// the next record begins, is damage of that one line.
func (p *panParser) Frame(data []byte, atEOF bool) int {
	n := bytes.IndexByte(data, '\n') + 1
	if n == 0 {
		if !atEOF {
			return 0
		}
		n = len(data)
	}
	if open := panObject(data[:n]); open >= 0 {
		return panFrameObject(data, open, n, atEOF)
	}
	if data[n-1] != '\n' {
		return n
	}
	if bytes.Count(data[:n], []byte{'"'})%2 == 0 || !p.opens(data[:n-1]) {
		return n
	}
	for end := n; ; {
		if end > panLookAhead {
			return n
		}
		i := bytes.IndexByte(data[end:min(len(data), panLookAhead)], '\n')
		if i < 0 {
			if len(data) < panLookAhead && !atEOF {
				return 0
			}
			if len(data) < panLookAhead && end < len(data) && p.completes(data, end, len(data)) {
				return len(data)
			}
			return n
		}
		if p.recognises(data[end : end+i]) {
			return n
		}
		if p.completes(data, end, end+i) {
			return end + i + 1
		}
		end += i + 1
	}
}

// panLookAhead is how far a record may go on behind its first line.
const panLookAhead = 64 << 10

// opens reports whether line is the beginning of a record of this format whose
// last column has a quote that is not closed.
func (p *panParser) opens(line []byte) bool {
	_, open := splitCSV(line, nil, panMostColumns)
	return open >= 0 && p.recognises(line)
}

// completes reports whether data[from:to] brings the quotes of what stands
// before it to an even number.
func (p *panParser) completes(data []byte, from, to int) bool {
	return bytes.Count(data[from:to], []byte{'"'})%2 == 1
}

// panObject finds the bracket that opens the JSON object of a record, behind
// what an array has around it; -1 if there is no object.
func panObject(b []byte) int {
	for i, c := range b {
		switch c {
		case '{':
			return i
		case '[', ',', ' ', '\t':
		default:
			return -1
		}
	}
	return -1
}

// panFrameObject frames the object that opens in the first line of data, which is
// n bytes long. Only an object whose first line has nothing but brackets may go
// on in the next lines; another one that does not end is damage of its line.
func panFrameObject(data []byte, open, n int, atEOF bool) int {
	line := data[:n]
	if len(bytes.TrimSpace(line[open+1:])) == 0 {
		if end, why := jsonNested(data[:min(len(data), panLookAhead)], open); why == "" {
			i := bytes.IndexByte(data[end:], '\n')
			switch {
			case i >= 0:
				line = data[:end+i+1]
			case !atEOF:
				return 0
			default:
				line = data
			}
		} else if len(data) < panLookAhead && !atEOF {
			return 0
		}
	}
	end, why := jsonNested(line, open)
	if why != "" {
		return len(line)
	}
	next := bytes.IndexByte(line[end:], '{')
	if next < 0 || panObject(line[end:]) != next {
		return len(line)
	}
	return end
}
