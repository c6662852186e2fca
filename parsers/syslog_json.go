package parsers

import (
	"bytes"

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
	for w := jsonEnter(b); w.next(); {
		value := w.value
		switch string(w.key) {
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
	switch v[0] {
	case '"':
		out, ok := jsonResolve(v[1:len(v)-1], c.Arena)
		if !ok {
			return nil
		}
		return out
	case '[':
		out := c.Arena.Make(len(v)/2 + 1)[:0] // a number and its comma give a byte
		for w := jsonEnter(v); w.next(); {
			n, ok := number(w.value)
			if !ok || n > 255 {
				return nil
			}
			out = append(out, byte(n))
		}
		return out
	}
	return nil
}
