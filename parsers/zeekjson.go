package parsers

import (
	"bytes"
	"errors"
	"strings"

	"firetrail"
)

// ZeekJSON reads Zeek logs written as JSON, by Zeek itself, by the packages that
// stream to other systems and by Corelight sensors. Values of x fields are
// written as in the tab-separated logs, so that both forms of a log answer the
// same query: true and false are T and F, an array is its members joined by
// commas, "(empty)" where it has none; null is not there. Names of nested
// objects are joined by a dot.
var ZeekJSON = Format{
	Name:  "zeekjson",
	Doc:   "Zeek logs as JSON: one object a line or pretty-printed, any time format, wrapped or not; x fields as in TSV: true is T, false is F",
	Spec:  "zeek/zeek src/threading/formatters/JSON.cc; docs.zeek.org, Zeek Log Formats; corelight/json-streaming-logs",
	Sniff: sniffZeekJSON,
	New:   func(ctx *Context) Parser { return newZeekObjects(ctx) },
}

const (
	zeekMaxLogs      = 1024     // distinct paths and columns that are remembered
	zeekObjectBytes  = 64 << 10 // how far Frame looks for the end of a pretty-printed object
	zeekObjectLevels = 4        // nested objects are taken apart so far, deeper ones kept as text
)

// zeekMember is one member of the record, nested names joined.
type zeekMember struct {
	column *zeekColumn
	value  []byte
}

// zeekObjects reads the objects of one source.
type zeekObjects struct {
	row     zeekRow
	columns map[string]*zeekColumn
	shapes  zeekShape // in front of the first member
	grown   int       // members in shapes

	// Of the record.
	members []zeekMember
	marks   zeekMarks
	path    string     // as a wrapper or a member of the record names it
	told    bool       // path is told by the record
	wrapped string     // the path where a wrapper tells it
	shape   *zeekShape // nil where it is not known
	escaped bool
	ts      zeekMember // the time where it is written so that its setter has to read it

	mixed bool   // objects of Zeek logs came before: dated ones without known columns are of the same writer
	name  []byte // scratch for joined names
	logs  map[zeekLogKey]*zeekLog
	log   *zeekLog // of the record before
	key   zeekLogKey
}

type zeekLogKey struct{ path, guess string }

func newZeekObjects(ctx *Context) *zeekObjects {
	return &zeekObjects{row: zeekRow{ctx: ctx}, columns: map[string]*zeekColumn{}, logs: map[zeekLogKey]*zeekLog{}}
}

// Parse reads one object; brackets and commas of an array around the objects
// are passed over. An object behind a syslog header, or kept as a string by a
// collector, is read too; the header's host is the sensor then.
func (p *zeekObjects) Parse(rec []byte, ev *firetrail.Event) error {
	body := bytes.TrimSpace(rec)
	if !zeekObjectPossible(body) {
		return ErrOther
	}
	if len(body) > 0 && (body[0] != '{' || body[len(body)-1] != '}') {
		body = zeekTrimArray(body)
		if len(body) == 0 {
			return ErrHeader
		}
	}
	err := p.object(body, ev, cap(rec)-cap(body))
	if err != ErrOther || len(body) == 0 || body[len(body)-1] != '}' {
		return err
	}
	if body[0] == '{' && !bytes.Contains(body, []byte(`"{\"`)) || !bytes.Contains(body, []byte(`":`)) && body[0] != '{' {
		return ErrOther
	}
	env, inner, ok := p.row.ctx.envelope(rec)
	inner = bytes.TrimSpace(inner)
	if !ok || len(inner) == 0 || inner[0] != '{' {
		return ErrOther
	}
	if err = p.object(inner, ev, -1); err == nil && ev.Sensor == "" {
		ev.Sensor = env.host
	}
	return err
}

// zeekObjectPossible reports whether a line begins as an object or an array does,
// or ends as an object within other text does.
func zeekObjectPossible(body []byte) bool {
	if len(body) == 0 {
		return true
	}
	first, last := body[0], body[len(body)-1]
	return first == '{' || first == '[' || first == ']' || first == ',' || last == '}' || last == ']' || last == ','
}

// object reads rec, which stands offset bytes behind the start of the record
// (-1: not in the record as it is).
func (p *zeekObjects) object(rec []byte, ev *firetrail.Event, offset int) error {
	if len(rec) < 2 || rec[0] != '{' {
		return ErrOther
	}
	p.escaped = bytes.IndexByte(rec, '\\') >= 0
	if p.quick(rec, ev) {
		return nil
	}
	ev.Reset()
	p.begin()
	if at, why := p.gather(rec, "", 0); why != "" {
		if !p.isZeek() && !bytes.Contains(rec[:min(len(rec), 400)], []byte("orig_h\"")) {
			return ErrOther
		}
		return reject(zeekColumnAt(offset, at), "not a JSON object: %s", why)
	}
	if !p.isZeek() {
		return ErrOther
	}
	p.learn(rec)
	p.mixed = true
	p.row.begin(p.logOf(), ev)
	for i := range p.members {
		m := &p.members[i]
		if !p.set(m.column, m.value) {
			return reject(zeekColumnAt(offset, cap(rec)-cap(m.value)), "member %s: not of its type: %s", firetrail.Inert(m.column.name), quoted(m.value))
		}
	}
	p.row.finish()
	return nil
}

// begin forgets the record before.
func (p *zeekObjects) begin() {
	p.members, p.marks, p.path, p.told, p.wrapped, p.shape, p.ts = p.members[:0], zeekMarks{}, "", false, "", nil, zeekMember{}
}

// zeekColumnAt counts bytes from 1; 0 is unknown.
func zeekColumnAt(offset, at int) int {
	if offset < 0 {
		return 0
	}
	return offset + at + 1
}

// zeekTrimArray removes what an array around the objects adds to their lines.
func zeekTrimArray(rec []byte) []byte {
	rec = bytes.TrimSpace(bytes.TrimPrefix(rec, []byte{'['}))
	rec = bytes.TrimSpace(bytes.TrimSuffix(rec, []byte{']'}))
	return bytes.TrimSpace(bytes.TrimSuffix(rec, []byte{','}))
}

// gather collects the members of an object and of the objects in it.
func (p *zeekObjects) gather(rec []byte, prefix string, level int) (at int, why string) {
	w := jsonEnter(rec)
	for w.next() {
		if len(p.members) >= zeekMaxColumns {
			return w.pos, "too many members"
		}
		if w.value[0] == '{' && level < zeekObjectLevels {
			if level == 0 && p.wraps(&w) {
				p.path, p.told = zeekWrapped(w.key), true
				p.wrapped = p.path
				return p.gather(w.value, "", 1)
			}
			c := p.column(w.key, prefix)
			if c == nil {
				return w.pos, "a name with a broken escape"
			}
			if at, why := p.gather(w.value, c.name, level+1); why != "" {
				return w.pos - len(w.value) + at, why
			}
			continue
		}
		c := p.column(w.key, prefix)
		if c == nil {
			return w.pos, "a name with a broken escape"
		}
		p.marks.add(c.marks)
		p.tell(c, w.value)
		p.members = append(p.members, zeekMember{c, w.value})
	}
	if !w.rest() && w.err == "" {
		return w.pos, "text behind the object"
	}
	return w.pos, w.err
}

// tell takes the path from the first member that names it, and tells whether it did.
func (p *zeekObjects) tell(c *zeekColumn, value []byte) bool {
	if c.role != zeekPath || p.told || value[0] != '"' {
		return false
	}
	p.path, p.told = text(value[1:len(value)-1]), true
	return true
}

// wraps reports whether the member is the whole record, as in {"conn": {...}}.
func (p *zeekObjects) wraps(w *jsonWalk) bool {
	if len(p.members) > 0 || string(w.key) == "id" || !zeekPathName(text(w.key)) {
		return false
	}
	rest := jsonWalk{data: w.data, pos: w.pos, close: '}', begun: true}
	return !rest.next() && rest.err == ""
}

func zeekWrapped(key []byte) string { return strings.ToLower(text(key)) }

// column finds the column of a name; prefix is that of the object around it.
func (p *zeekObjects) column(key []byte, prefix string) *zeekColumn {
	p.name = p.name[:0]
	if prefix != "" {
		p.name = append(append(p.name, prefix...), '.')
	}
	if bytes.IndexByte(key, '\\') >= 0 {
		plain, ok := jsonResolve(key, p.row.ctx.Arena)
		if !ok {
			return nil
		}
		key = plain
	}
	p.name = append(p.name, key...)
	if c, ok := p.columns[string(p.name)]; ok {
		return c
	}
	c := newZeekColumn(string(p.name))
	if c.name == "t" {
		c.role = zeekTS
		c.bind()
	}
	if len(p.columns) < zeekMaxLogs {
		p.columns[c.name] = &c
	}
	return &c
}

// isZeek decides whether the members are those of a Zeek log: they name their
// log, or the connection, or are the columns of a known log; and they are dated.
func (p *zeekObjects) isZeek() bool {
	var ts, uid, orig, script, file bool
	for i := range p.members {
		switch c := p.members[i].column; c.role {
		case zeekTS:
			ts = true
		case zeekUID:
			uid = true
		case zeekOrigH:
			orig = true
		case zeekOwn:
			script = c.name == "name" && bytes.HasSuffix(p.members[i].value, []byte(`.zeek"`))
			file = file || c.name == "fuid" || c.name == "_write_ts"
		}
	}
	switch {
	case p.told && (ts || orig || file):
		return true
	case orig && (ts || uid):
		return true
	case ts && (p.mixed || p.guess() != ""):
		return true
	}
	return script && len(p.members) == 1
}

// guess names the log by the columns of the record, "" if none fits. Two logs
// have only columns that anybody's objects may have: these are known by having no others.
func (p *zeekObjects) guess() string {
	if p.shape != nil {
		return p.shape.guess
	}
	if g := zeekGuess(p.marks); g != "" || len(p.members) > 4 {
		return g
	}
	var ts, src, dst, proto, host bool
	for i := range p.members {
		switch m := &p.members[i]; m.column.name {
		case "ts":
			ts = true
		case "src":
			src = true
		case "dst":
			dst = true
		case "proto":
			proto = true
		case "host":
			_, host = address(jsonText(m.value))
		}
	}
	switch {
	case len(p.members) == 4 && ts && src && dst && proto:
		return "traceroute"
	case len(p.members) == 2 && ts && host:
		return "known_hosts"
	}
	return ""
}

// logOf gives the log of the record.
func (p *zeekObjects) logOf() *zeekLog {
	guess := ""
	if !p.told || p.log == nil || p.path != p.key.path || p.log.name == "" {
		guess = p.guess()
	} else {
		guess = p.key.guess
	}
	key := zeekLogKey{p.path, guess}
	if p.log != nil && key == p.key {
		return p.log
	}
	l, ok := p.logs[key]
	if !ok {
		key.path = strings.Clone(key.path)
		if l = newZeekLog(key.path, guess); len(p.logs) < zeekMaxLogs {
			p.logs[key] = l
		}
	}
	p.log, p.key = l, key
	return l
}

// set stores one member.
func (p *zeekObjects) set(c *zeekColumn, v []byte) bool {
	z := &p.row
	switch v[0] {
	case 'n':
		return true
	case 't':
		v = zeekTrue
	case 'f':
		v = zeekFalse
	case '"':
		v = v[1 : len(v)-1]
		if p.escaped {
			plain, ok := jsonResolve(v, z.ctx.Arena)
			if !ok {
				return false
			}
			v = plain
		}
	case '[':
		joined, ok := zeekJoin(v, z.ctx.Arena)
		if !ok {
			return false
		}
		v = joined
	case '{':
	default:
		if c.role == zeekOrigBytes || c.role == zeekRespBytes || c.role == zeekOrigPkts || c.role == zeekRespPkts {
			v = bytes.TrimSuffix(v, []byte(".0"))
		}
	}
	if c.role != zeekOwn && len(v) == 1 && v[0] == '-' {
		return true // unset, by a tool that made JSON of a tab-separated log
	}
	if len(v) == 0 && c.role < zeekLate && c.role != zeekOwn {
		z.ev.Put(c.name, "")
		return true
	}
	if c.role == zeekDuration && !zeekDecimal(v) {
		z.ev.Put(c.name, text(v))
		return true
	}
	return c.set(z, c, v)
}

var zeekTrue, zeekFalse = []byte{'T'}, []byte{'F'}

// zeekJoin writes an array as a set of the tab-separated logs. An array that
// holds more than plain values is kept as it is written.
func zeekJoin(v []byte, a *Arena) (out []byte, ok bool) {
	w := jsonEnter(v)
	if !w.next() {
		return []byte("(empty)"), w.err == ""
	}
	out = a.Make(len(v) + 8*(bytes.Count(v, []byte{','})+1))[:0]
	for more := true; more; more = w.next() {
		if len(out) > 0 {
			out = append(out, ',')
		}
		switch w.value[0] {
		case '{', '[':
			return v, true
		case 'n':
			out = append(out, '-')
		case 't':
			out = append(out, 'T')
		case 'f':
			out = append(out, 'F')
		case '"':
			m, ok := jsonResolve(w.value[1:len(w.value)-1], a)
			if !ok {
				return nil, false
			}
			out = appendZeekMember(out, m)
		default:
			out = append(out, w.value...)
		}
	}
	return out, w.err == ""
}

// appendZeekMember appends a member of a set, marked where it would read as
// several members or as one that is unset.
func appendZeekMember(out, m []byte) []byte {
	switch string(m) {
	case "":
		return append(out, "(empty)"...)
	case "-":
		return append(out, `\x2d`...)
	case "(empty)":
		return append(out, `\x28empty)`...)
	}
	for _, c := range m {
		if c == ',' {
			out = append(out, `\x2c`...)
		} else {
			out = append(out, c)
		}
	}
	return out
}

// sniffZeekJSON looks for an object of a Zeek log among the first records.
func sniffZeekJSON(head []byte) error {
	p := newZeekObjects(newContext(Options{}))
	objects := 0
	ev := firetrail.NewEvent()
	for len(head) > 0 && objects < 20 {
		n := p.Frame(head, true)
		rec := bytes.TrimSpace(head[:n])
		head = head[n:]
		if len(rec) == 0 || rec[len(rec)-1] != '}' && rec[0] != '[' && rec[0] != '{' {
			continue
		}
		objects++
		ev.Reset()
		if err := p.Parse(rec, &ev); err == nil {
			return nil
		}
	}
	if objects > 0 {
		return errors.New("JSON objects without the columns of a Zeek log (ts, uid, id.orig_h …)")
	}
	return errors.New("no JSON objects")
}
