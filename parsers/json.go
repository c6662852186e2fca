package parsers

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonDepth is how deeply objects and arrays may nest (RFC 8259, section 9
// leaves the limit to the reader).
const jsonDepth = 64

// jsonWalk steps through the members of one JSON object or array. It hands out
// the tokens as they stand in the record and allocates nothing: text is
// unescaped by jsonResolve when it is wanted. What a nested value holds is checked
// when it is walked itself; until then only its brackets and strings are.
//
//	for w := jsonEnter(rec); w.next(); {
//		… w.key, w.value …
//	}
type jsonWalk struct {
	data  []byte
	pos   int    // behind what was read; at the end of the walk, behind the closing bracket
	close byte   // '}' or ']'
	begun bool   // a member was read
	key   []byte // between its quotes, escapes untouched; nil in an array
	value []byte // the whole token, quotes and brackets included, blanks around it not
	err   string // why the walk stopped early, "" where it reached the closing bracket
}

// jsonEnter begins a walk of the object or array at the start of data.
func jsonEnter(data []byte) jsonWalk {
	w := jsonWalk{data: data}
	w.pos = jsonSkip(data, 0)
	switch {
	case w.pos < len(data) && data[w.pos] == '{':
		w.close = '}'
	case w.pos < len(data) && data[w.pos] == '[':
		w.close = ']'
	default:
		w.err = "expected an object or an array"
	}
	w.pos++
	return w
}

// next reads one member. It returns false at the end and at a syntax error,
// which err and pos then tell.
func (w *jsonWalk) next() bool {
	if w.err != "" {
		return false
	}
	d, i := w.data, jsonSkip(w.data, w.pos)
	if i < len(d) && d[i] == w.close {
		w.pos = i + 1
		return false
	}
	if w.begun {
		if i >= len(d) || d[i] != ',' {
			return w.fail(i, "expected a comma or a closing bracket")
		}
		i = jsonSkip(d, i+1)
	}
	w.begun = true
	if w.close == '}' {
		if i >= len(d) || d[i] != '"' {
			return w.fail(i, "expected a name in quotes")
		}
		end := jsonString(d, i)
		if end < 0 {
			return w.fail(i, "text without its closing quote")
		}
		w.key = d[i+1 : end-1]
		if end < len(d) && d[end] == ':' { // mostly without blanks
			i = end + 1
		} else if i = jsonSkip(d, end); i >= len(d) || d[i] != ':' {
			return w.fail(i, "expected a colon")
		} else {
			i++
		}
		i = jsonSkip(d, i)
	}
	end, why := jsonToken(d, i)
	if why != "" {
		return w.fail(i, why)
	}
	w.value, w.pos = d[i:end], end
	return true
}

func (w *jsonWalk) fail(at int, why string) bool {
	w.pos, w.err = at, why
	return false
}

// rest reports whether nothing but blanks follows the closing bracket.
func (w *jsonWalk) rest() bool {
	return w.err == "" && jsonSkip(w.data, w.pos) == len(w.data)
}

// jsonSkip returns the position of the first byte from i on that is no blank.
func jsonSkip(d []byte, i int) int {
	for i < len(d) && (d[i] == ' ' || d[i] == '\t' || d[i] == '\n' || d[i] == '\r') {
		i++
	}
	return i
}

// jsonString returns the position behind the string that begins with the quote
// at i, or -1 where it does not end.
func jsonString(d []byte, i int) int {
	for from := i + 1; ; {
		n := bytes.IndexByte(d[from:], '"')
		if n < 0 {
			return -1
		}
		q := from + n
		k := q
		for k > i+1 && d[k-1] == '\\' {
			k--
		}
		if (q-k)%2 == 0 {
			return q + 1
		}
		from = q + 1
	}
}

// jsonToken returns the position behind the value that begins at i.
func jsonToken(d []byte, i int) (end int, why string) {
	if i >= len(d) {
		return 0, "expected a value"
	}
	switch c := d[i]; {
	case c == '"':
		if end = jsonString(d, i); end < 0 {
			return 0, "text without its closing quote"
		}
		return end, ""
	case c == '-' || c >= '0' && c <= '9':
		return jsonNumber(d, i)
	case c == '{' || c == '[':
		return jsonNested(d, i)
	case bytes.HasPrefix(d[i:], []byte("true")), bytes.HasPrefix(d[i:], []byte("null")):
		return i + 4, ""
	case bytes.HasPrefix(d[i:], []byte("false")):
		return i + 5, ""
	}
	return 0, "expected a value"
}

// jsonNumber checks a number by the grammar of RFC 8259.
func jsonNumber(d []byte, i int) (end int, why string) {
	if d[i] == '-' {
		i++
	}
	whole := i
	i = jsonDigits(d, i)
	if i == whole || i > whole+1 && d[whole] == '0' {
		return 0, "not a number"
	}
	if i < len(d) && d[i] == '.' {
		part := i + 1
		if i = jsonDigits(d, part); i == part {
			return 0, "number without digits behind its point"
		}
	}
	if i < len(d) && d[i]|0x20 == 'e' {
		i++
		if i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		part := i
		if i = jsonDigits(d, part); i == part {
			return 0, "number without digits in its exponent"
		}
	}
	return i, ""
}

func jsonDigits(d []byte, i int) int {
	for {
		n := digitBits(eightAt(d, i)^zeroDigits) >> 3
		if i += n; n < 8 {
			return i
		}
	}
}

// jsonNested finds the bracket that closes the one at i. The stack of open
// brackets is a bit each: 1 for '{'.
func jsonNested(d []byte, i int) (end int, why string) {
	var stack uint64
	depth := 0
	for i < len(d) {
		switch d[i] {
		case '"':
			if i = jsonString(d, i); i < 0 {
				return 0, "text without its closing quote"
			}
			continue
		case '{', '[':
			if depth++; depth > jsonDepth {
				return 0, "nested too deeply"
			}
			stack <<= 1
			if d[i] == '{' {
				stack |= 1
			}
		case '}', ']':
			if (d[i] == '}') != (stack&1 == 1) {
				return 0, "brackets that do not match"
			}
			stack >>= 1
			if depth--; depth == 0 {
				return i + 1, ""
			}
		}
		i++
	}
	return 0, "value without its closing bracket"
}

// jsonResolve resolves the escapes of what stands between quotes. Half a
// surrogate pair becomes U+FFFD.
func jsonResolve(b []byte, a *Arena) (out []byte, ok bool) {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return b, true
	}
	out = append(a.Make(len(b))[:0], b[:i]...)
	for i < len(b) {
		if b[i] != '\\' {
			n := bytes.IndexByte(b[i:], '\\')
			if n < 0 {
				n = len(b) - i
			}
			out = append(out, b[i:i+n]...)
			i += n
			continue
		}
		if i+1 >= len(b) {
			return nil, false
		}
		if b[i+1] != 'u' {
			c := jsonEscape(b[i+1])
			if c == 0 {
				return nil, false
			}
			out = append(out, c)
			i += 2
			continue
		}
		r, n := jsonPoint(b[i:])
		if n == 0 {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return out, true
}

// jsonEscape gives the byte that a one-letter escape stands for, 0 for none.
func jsonEscape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// jsonPoint reads "\uXXXX", or the two of a surrogate pair; n is the bytes it
// took, 0 where it is broken.
func jsonPoint(b []byte) (r rune, n int) {
	r, ok := jsonHex(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := jsonHex(b[6:])
	if !ok {
		return utf8.RuneError, 6
	}
	if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
		return pair, 12
	}
	return utf8.RuneError, 6
}

func jsonHex(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		v, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}

// hexDigit gives the value of a hexadecimal digit.
func hexDigit(c byte) (v byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
