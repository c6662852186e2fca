package parsers

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"firetrail"
)

// wrapped reads a line that a collector keeps as a string of a JSON object:
// journald ("MESSAGE", "__REALTIME_TIMESTAMP" in microseconds), and shippers
// that write "message", "msg", "log" or "_raw" with a "host" and a "timestamp".
// A header inside the message counts more than the wrapper, whose stamp is often
// only the time of arrival; it does give a year to an inner one without.
func (c *Context) wrapped(b []byte) (env envelope, msg []byte, ok bool) {
	env = envelope{near: firetrail.Absent, priority: -1}
	var outer stamp
	var host, tag, pid, line []byte
	for key, value := range jsonPairs(b) {
		switch string(key) {
		case "MESSAGE", "message", "msg", "log", "_raw":
			line = c.jsonBytes(value)
		case "__REALTIME_TIMESTAMP":
			if us, ok := number(jsonText(value)); ok {
				outer = stamp{kind: stampUnix, unix: us * 1000}
			}
		case "@timestamp", "timestamp", "time", "ts":
			if s, n := readStamp(jsonText(value)); n > 0 && outer.kind == stampNone {
				outer = s
			}
		case "_HOSTNAME", "hostname":
			host = jsonText(value)
		case "host":
			if v := jsonText(value); len(v) > 0 && v[0] != '{' {
				host = v
			}
		case "SYSLOG_IDENTIFIER", "program", "ident":
			tag = jsonText(value)
		case "_PID", "SYSLOG_PID":
			pid = jsonText(value)
		case "PRIORITY":
			if p, ok := number(jsonText(value)); ok {
				env.priority = int(p)
			}
		}
	}
	if line == nil {
		return env, b, false
	}
	line = bytes.TrimRight(line, "\r\n")
	inner := envelope{near: firetrail.Absent, priority: env.priority}
	msg, ok = inner.read(trimLeft(line))
	if !ok || inner.stamp.kind == stampNone || inner.stamp.kind == stampUptime {
		inner.stamp = outer
	} else if inner.stamp.kind == stampYearless {
		if t, _, ok := c.Clock.at(&outer); ok {
			inner.near = t
		}
	}
	if inner.host == "" {
		inner.host = text(host)
	}
	if inner.tag == "" || len(tag) > 0 && inner.tag != text(tag) && !knownTag(inner.body) {
		// The wrapper names the program: what looked like a tag is text.
		if len(tag) > 0 {
			inner.tag, inner.pid, msg = text(tag), text(pid), inner.body
		}
	}
	return inner, msg, true
}

// jsonPairs yields the members of the flat JSON object b: keys without quotes,
// values as written. It ends early at anything that is not JSON.
func jsonPairs(b []byte) func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		i := 1
		for {
			i = jsonBlank(b, i)
			if i >= len(b) || b[i] != '"' {
				return
			}
			end := jsonValueEnd(b, i)
			if end < 0 {
				return
			}
			key := b[i+1 : end-1]
			i = jsonBlank(b, end)
			if i >= len(b) || b[i] != ':' {
				return
			}
			i = jsonBlank(b, i+1)
			end = jsonValueEnd(b, i)
			if end < 0 || !yield(key, b[i:end]) {
				return
			}
			i = jsonBlank(b, end)
			if i >= len(b) || b[i] != ',' {
				return
			}
			i++
		}
	}
}

func jsonBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// jsonValueEnd returns the end of the value that starts at b[i], -1 if it has none.
func jsonValueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if i >= len(b) {
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// jsonText is a value without its quotes, escapes left as they are.
func jsonText(v []byte) []byte {
	if len(v) >= 2 && v[0] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// jsonBytes is the text of a string value, or of an array of byte numbers as
// journald writes what is not UTF-8; nil for anything else.
func (c *Context) jsonBytes(v []byte) []byte {
	switch {
	case len(v) >= 2 && v[0] == '"':
		v = v[1 : len(v)-1]
		if bytes.IndexByte(v, '\\') < 0 {
			return v
		}
		out := c.Arena.Make(len(v))
		return out[:jsonUnescape(out, v)]
	case len(v) >= 2 && v[0] == '[':
		out, n := c.Arena.Make(len(v)/2+1), 0
		for i := 1; i < len(v)-1; {
			i = jsonBlank(v, i)
			x, j, ok := digits(v, i, 1, 3)
			if !ok || x > 255 {
				return nil
			}
			out[n] = byte(x)
			n++
			if i = jsonBlank(v, j); i < len(v)-1 && v[i] != ',' {
				return nil
			}
			i++
		}
		return out[:n]
	}
	return nil
}

// jsonUnescape writes the text of a JSON string to out, which must be as long as v.
func jsonUnescape(out, v []byte) int {
	n := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c != '\\' || i+1 >= len(v) {
			out[n] = c
			n++
			continue
		}
		i++
		switch v[i] {
		case 'n':
			c = '\n'
		case 't':
			c = '\t'
		case 'r':
			c = '\r'
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'u':
			r, used := jsonRune(v[i-1:])
			n += copy(out[n:], string(r))
			i += used - 2
			continue
		default:
			c = v[i]
		}
		out[n] = c
		n++
	}
	return n
}

// jsonRune reads \uXXXX, or two of them that form a surrogate pair; used is
// their length. Lone surrogates give U+FFFD, what is no escape a question mark:
// never more bytes than were read.
func jsonRune(b []byte) (r rune, used int) {
	hi, ok := hex4(b)
	if !ok {
		return '?', 2
	}
	if utf16.IsSurrogate(hi) {
		if lo, ok := hex4(b[6:]); ok {
			if r := utf16.DecodeRune(hi, lo); r != utf8.RuneError {
				return r, 12
			}
		}
		return utf8.RuneError, 6
	}
	return hi, 6
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
