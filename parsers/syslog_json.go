package parsers

import (
	"bytes"

	"firetrail"
)

// wrapper is what the objects of collectors say of the line that they carry.
type wrapper struct {
	line           []byte
	rank           int // of the key that line stood under
	stamp          stamp
	host, tag, pid []byte
	priority       int  // -1 where there is none
	dated          bool // has Zeek's "ts"
}

const (
	wrapDepth = 3 // objects within objects that are looked into

	// Of several texts the one counts that the collector took in unchanged.
	rankEvent   = 1 // may be anything
	rankMessage = 2 // what is left of the line when its header was taken off
	rankRaw     = 3 // the line as it came
)

// wrapped reads a line that a collector keeps as a string of a JSON object:
// journald ("MESSAGE", "__REALTIME_TIMESTAMP" in microseconds), shippers that
// write "message", "msg" or "log" with a "host" and a "timestamp", Elastic
// ("event.original"), Splunk ("_raw", also within "result"), Wazuh ("full_log"),
// GELF, Google's and Azure's exports.
// A header inside the message counts more than the wrapper, whose stamp is often
// only the time of arrival; it does give a year to an inner one without.
func (c *Context) wrapped(b []byte) (env envelope, msg []byte, ok bool) {
	w := wrapper{priority: -1}
	w.read(c, b, 0)
	if w.line == nil {
		return envelope{near: firetrail.Absent, priority: w.priority}, b, false
	}
	env, msg = c.unwrap(&w)
	return env, msg, true
}

// read gathers the members of an object and of those of its objects that may
// hold the line or name the device.
func (w *wrapper) read(c *Context, b []byte, depth int) {
	for m := jsonEnter(b); m.next(); {
		value := m.value
		if value[0] == '{' {
			switch string(m.key) {
			case "event", "log", "result", "_source", "input", "syslog", "jsonPayload", "host":
				if depth < wrapDepth {
					w.readIn(c, m.key, value, depth+1)
				}
			}
			continue
		}
		switch string(m.key) {
		case "_raw", "full_log", "full_message", "event.original", "log.original":
			w.take(c, value, rankRaw)
		case "MESSAGE", "message", "Message", "msg", "log", "textPayload", "SyslogMessage":
			w.take(c, value, rankMessage)
		case "event", "short_message":
			w.take(c, value, rankEvent)
		case "__REALTIME_TIMESTAMP":
			if us, ok := number(jsonText(value)); ok {
				w.stamp = stamp{kind: stampUnix, unix: us * 1000}
			}
		case "ts":
			w.dated = true
			w.time(value)
		case "@timestamp", "timestamp", "time", "_time":
			w.time(value)
		case "_HOSTNAME", "hostname", "HostName", "HOST", "host":
			w.host = jsonText(value)
		case "SYSLOG_IDENTIFIER", "program", "ident", "appname", "PROGRAM", "ProcessName":
			w.tag = jsonText(value)
		case "_PID", "SYSLOG_PID":
			w.pid = jsonText(value)
		case "PRIORITY":
			if p, ok := number(jsonText(value)); ok {
				w.priority = int(p)
			}
		}
	}
}

// readIn reads a nested object, in which some names mean something else.
func (w *wrapper) readIn(c *Context, key, b []byte, depth int) {
	switch string(key) {
	case "event", "log":
		if v := jsonMember(b, "original"); v != nil {
			w.take(c, v, rankRaw)
			return
		}
	case "syslog":
		if v := jsonMember(b, "identifier"); v != nil {
			w.tag = jsonText(v)
		}
		return
	case "host":
		for _, name := range [...]string{"hostname", "name"} {
			if v := jsonMember(b, name); w.host == nil && v != nil {
				w.host = jsonText(v)
			}
		}
		return
	}
	w.read(c, b, depth)
}

// take keeps a line unless a better one is known.
func (w *wrapper) take(c *Context, value []byte, rank int) {
	if rank < w.rank {
		return
	}
	if line := c.jsonBytes(value); line != nil {
		w.line, w.rank = line, rank
	}
}

func (w *wrapper) time(value []byte) {
	if s, n := readStamp(jsonText(value)); n > 0 && w.stamp.kind == stampNone {
		w.stamp = s
	}
}

// unwrap reads the header of the line that a wrapper carries.
func (c *Context) unwrap(w *wrapper) (env envelope, msg []byte) {
	env = envelope{near: firetrail.Absent, priority: w.priority}
	msg, ok := env.read(trimLeft(bytes.TrimRight(w.line, "\r\n")))
	if !ok && knownTag(msg) {
		msg = env.program(msg)
	}
	if !ok || env.stamp.kind == stampNone || env.stamp.kind == stampUptime {
		env.stamp = w.stamp
	} else if env.stamp.kind == stampYearless {
		if t, _, ok := c.Clock.at(&w.stamp); ok {
			env.near = t
		}
	}
	if env.host == "" {
		env.host = text(w.host)
	}
	if env.tag == "" || len(w.tag) > 0 && env.tag != text(w.tag) && !knownTag(env.body) {
		// The wrapper names the program: what looked like a tag is text.
		if len(w.tag) > 0 {
			env.tag, env.pid, msg = text(w.tag), text(w.pid), env.body
		}
	}
	return env, msg
}

// carried looks for an object of a collector behind a header, as fluentd writes
// it: stamp, tag, object, divided by tabs or blanks. Objects dated by "ts" are
// records of Zeek themselves. text is msg where there is none.
func (c *Context) carried(env *envelope, msg []byte) (inner envelope, text []byte, ok bool) {
	i := bytes.IndexByte(msg[:min(len(msg), 128)], '{')
	if i < 0 || i > 0 && (msg[i-1] != '\t' || bytes.IndexByte(msg[:i], ' ') >= 0) {
		return *env, msg, false
	}
	w := wrapper{priority: env.priority}
	w.read(c, msg[i:], 0)
	if w.line == nil || w.rank < rankMessage || w.dated {
		return *env, msg, false
	}
	if w.stamp.kind == stampNone {
		w.stamp = env.stamp
	}
	inner, text = c.unwrap(&w)
	if inner.host == "" && w.host == nil {
		inner.host = env.host
	}
	return inner, text, true
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
