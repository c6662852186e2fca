package parsers

import (
	"bytes"

	"firetrail"
)

// panMostDepth bounds nested objects.
const panMostDepth = 8

// panJSONType is the log type of a JSON record of the Strata Logging Service or
// Cortex, nil if b is none: the value of LogType (log_type), also as an object
// {"id":…,"value":…} or within a wrapper, with another key of theirs beside it.
func panJSONType(b []byte) *panType {
	return panJSONTypeAt(b, 0)
}

func panJSONTypeAt(b []byte, depth int) *panType {
	var kind *panType
	ours := false
	for w := jsonEnter(b); w.next(); {
		switch string(w.key) {
		case "LogType", "log_type", "Type", "type":
			v := w.value
			if v[0] == '{' {
				v = jsonMember(v, "value")
			}
			if k := panTypeNamed(bytes.Trim(v, `"`)); k != nil {
				kind = k
			} else if string(w.key) == "LogType" && string(v) == `"DNS"` {
				kind = panDNS
			}
		case "DeviceSN", "TimeReceived", "ConfigVersion", "LogSourceID", "log_source_id", "log_source", "DeviceName", "device_name",
			"Serial", "serial", "SerialNumber", "serial_number", "receive_time", "ReceiveTime", "time_received", "TimeGenerated", "time_generated":
			ours = true
		case "event", "log", "result", "_source", "data":
			if len(w.value) > 1 && w.value[0] == '{' && depth < 2 {
				if k := panJSONTypeAt(w.value, depth+1); k != nil {
					return k
				}
			}
		}
	}
	if !ours {
		return nil
	}
	return kind
}

// jsonMember is the value of a member of the object b, nil if it has none.
func jsonMember(b []byte, name string) []byte {
	for w := jsonEnter(b); w.next(); {
		if string(w.key) == name {
			return w.value
		}
	}
	return nil
}

// readJSON reads one object.
func (p *panParser) readJSON(b []byte, ev *firetrail.Event) error {
	p.dialect = panJSON
	p.kind = panJSONType(b)
	if p.kind == nil {
		return ErrOther
	}
	if end, why := jsonNested(b, 0); why == "" && len(bytes.Trim(b[end:], "], \t")) > 0 {
		return reject(p.at(b[end:]), "%s as JSON: text behind the object", p.kind.name)
	}
	return p.readObject(b, nil, 0, ev)
}

// readObject puts the members of an object into the event, nested ones by
// dotted names. Wrappers and {"value":…} give no name of their own.
func (p *panParser) readObject(b, prefix []byte, depth int, ev *firetrail.Event) error {
	if depth > panMostDepth {
		return reject(p.at(b), "JSON nested deeper than %d", panMostDepth)
	}
	w := jsonEnter(b)
	for w.next() {
		name := w.key
		if len(prefix) > 0 && string(name) == "value" {
			name = prefix
		} else if len(prefix) > 0 {
			name = p.join(prefix, name)
		}
		var err error
		if w.value[0] != '{' {
			err = p.setMember(ev, name, w.value)
		} else if panWrapper(name) {
			err = p.readObject(w.value, nil, depth+1, ev)
		} else {
			err = p.readObject(w.value, name, depth+1, ev)
		}
		if err != nil {
			return err
		}
	}
	if w.err != "" {
		at := p.at(b)
		if at > 0 {
			at += w.pos
		}
		return reject(at, "%s as JSON: %s", p.kind.name, w.err)
	}
	return nil
}

// panWrapper reports whether a member holds the record itself.
func panWrapper(name []byte) bool {
	switch string(name) {
	case "event", "log", "result", "_source", "data":
		return true
	}
	return false
}

// setMember puts one scalar or list of a JSON record into the event.
func (p *panParser) setMember(ev *firetrail.Event, name, value []byte) error {
	v := value
	if v[0] == '"' {
		var ok bool
		if v, ok = jsonResolve(v[1:len(v)-1], p.ctx.Arena); !ok {
			return reject(p.at(value), "%s as JSON: broken escape in the text of %q", p.kind.name, name[:min(len(name), 64)])
		}
	}
	if blank(v) || string(value) == "null" || v[0] == '-' && panCounted(name) {
		return nil
	}
	return p.setKey(ev, name, v)
}

// panCounted reports whether a key is a common number of an event, for which
// a negative value means that it is not known.
func panCounted(name []byte) bool {
	c, _ := panKey(name)
	switch c.role {
	case panElapsed, panBytesOut, panBytesIn, panPacketsOut, panPacketsIn, panSrcPort, panDstPort, panNATSrcPort, panNATDstPort:
		return true
	}
	return false
}

// join makes the dotted name of a nested member.
func (p *panParser) join(prefix, key []byte) []byte {
	out := p.ctx.Arena.Make(len(prefix) + 1 + len(key))
	n := copy(out, prefix)
	out[n] = '.'
	copy(out[n+1:], key)
	return out
}
