package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firetrail"
)

// Zeek reads Zeek and Bro logs as the ASCII writer prints them. The text of an
// x field is the column's text with its escapes resolved. An unset column is not
// there; an empty string is there with the value ""; an empty set has the value
// "(empty)", whatever mark the file uses. Sets keep the escapes that tell their
// members apart (\x2c for a comma, \x2d for a member "-").
var Zeek = Format{
	Name:  "zeek",
	Doc:   "Zeek and Bro logs, tab-separated (or any separator), every log",
	Spec:  "zeek/zeek src/logging/writers/ascii and src/threading/formatters/Ascii.cc; docs.zeek.org, Zeek Log Formats",
	Sniff: sniffZeek,
	New:   func(ctx *Context) Parser { return newZeekTSV(ctx) },
}

const (
	zeekMaxColumns = 4096
	zeekMaxPrefix  = 16
	zeekBlanks     = "   " // between the columns that labelled data sets append
)

// zeekTSV reads one file. Headers may come again with other columns.
type zeekTSV struct {
	row   zeekRow
	plain bool // a header row of names, no meta lines

	prefix       []byte // of meta lines
	sep, setSep  []byte
	empty, unset []byte
	path         string
	fields       []string
	types        []string
	columns      []zeekColumn
	pasted       bool      // columns are divided by any number of blanks
	tails        bool      // some columns are divided by blanks
	ends         []zeekEnd // of the columns of the row
	log          *zeekLog
	headless     bool
	begun, rows  bool // a line was read; a row was read under this header
}

func newZeekTSV(ctx *Context) *zeekTSV {
	p := &zeekTSV{row: zeekRow{ctx: ctx}}
	p.restart([]byte{'#'}, []byte{'\t'})
	return p
}

// restart forgets the header: a new one begins.
func (p *zeekTSV) restart(prefix, sep []byte) {
	row := p.row
	*p = zeekTSV{row: row, prefix: prefix, sep: sep, setSep: []byte{','}, empty: []byte("(empty)"), unset: []byte{'-'}}
}

// Parse reads a meta line or a row.
func (p *zeekTSV) Parse(rec []byte, ev *firetrail.Event) error {
	meta := bytes.HasPrefix(rec, p.prefix)
	if meta || !p.begun || len(rec) > 0 && rec[0] == '#' {
		if prefix, sep, ok := zeekSeparator(rec); ok && (!p.begun || rec[0] == '#' || bytes.Equal(prefix, p.prefix)) {
			if prefix = bytes.Clone(prefix); p.rows {
				p.restart(prefix, sep)
			}
			p.prefix, p.sep, p.pasted = prefix, sep, false // first of the header, but not where a tool has sorted the lines
			return ErrHeader
		}
	}
	if meta {
		return p.meta(rec[len(p.prefix):])
	}
	if p.columns == nil {
		if err := p.compile(rec); err != nil {
			return err
		}
		if p.plain && !p.begun {
			p.begun = true
			return ErrHeader
		}
	}
	p.begun, p.rows = true, true
	if len(rec) > 0 && rec[0] == '{' && rec[len(rec)-1] == '}' {
		return ErrOther
	}
	return p.parseRow(rec, ev)
}

// zeekSeparator recognises "#separator \x09", with any meta prefix and also with
// a tab behind the word.
func zeekSeparator(rec []byte) (prefix, sep []byte, ok bool) {
	const word = "separator"
	i := bytes.Index(rec[:min(len(rec), zeekMaxPrefix+len(word))], []byte(word))
	if i <= 0 || len(rec) < i+len(word)+2 {
		return nil, nil, false
	}
	if c := rec[i+len(word)]; c != ' ' && c != '\t' {
		return nil, nil, false
	}
	if bytes.ContainsAny(rec[:i], " \t") || bytes.HasSuffix(rec[:i], []byte("set_")) {
		return nil, nil, false
	}
	sep = zeekHeaderValue(rec[i+len(word)+1:])
	return rec[:i], sep, len(sep) > 0 && len(sep) <= 8
}

// zeekHeaderValue copies the value of a meta line, escapes resolved. It brings its
// own memory: a chunk of an arena for each of a million headers would be far more.
func zeekHeaderValue(v []byte) []byte {
	return bytes.Clone(zeekUnescape(v, &Arena{free: make([]byte, len(v))}, ""))
}

// meta reads a header line without its prefix. Lines of unknown words are comments.
func (p *zeekTSV) meta(line []byte) error {
	word, value, ok := bytes.Cut(line, p.sep)
	if words := bytes.Fields(line); (!ok || p.pasted) && len(words) > 1 && line[0] != ' ' {
		// Pasted text, where the tabs have become blanks.
		word, value = words[0], bytes.Join(words[1:], []byte{' '})
		if string(word) == "fields" {
			p.pasted, p.sep = true, []byte{' '}
		}
	} else if !ok {
		return ErrHeader
	}
	switch string(word) {
	case "set_separator":
		p.setSep = zeekHeaderValue(value)
	case "empty_field":
		p.empty = zeekHeaderValue(value)
	case "unset_field":
		p.unset = zeekHeaderValue(value)
	case "path":
		p.path, p.columns = string(zeekHeaderValue(value)), nil
	case "fields":
		if bytes.Count(value, p.sep) >= zeekMaxColumns {
			return reject(0, "header with more than %d columns", zeekMaxColumns)
		}
		p.fields, p.types, p.columns = strings.Split(string(value), string(p.sep)), nil, nil
	case "types":
		if n := bytes.Count(value, p.sep) + 1; n != len(p.fields) {
			return reject(0, "header with %d types for %d fields", n, len(p.fields))
		}
		p.types, p.columns = strings.Split(string(value), string(p.sep)), nil
	}
	p.begun = true
	return ErrHeader
}

// compile makes the column plan from the header, or, where there is none, from
// the first row.
func (p *zeekTSV) compile(rec []byte) error {
	fields, types := p.fields, p.types
	if fields == nil {
		names, sep := zeekHeaderRow(rec)
		switch {
		case names != nil:
			p.sep, p.plain, fields = sep, true, names
		default:
			sep, names, kinds, why := zeekHeadless(rec)
			if why != nil {
				return why
			}
			p.sep, p.headless, p.path = sep, true, "conn"
			fields, types = names, kinds
		}
		p.fields, p.types = fields, types
	}
	p.columns = zeekPlan(fields, types)
	var marks zeekMarks
	p.tails = false
	for i := range p.columns {
		marks.add(p.columns[i].marks)
		p.tails = p.tails || p.columns[i].tail
	}
	p.log = newZeekLog(p.path, zeekGuess(marks))
	return nil
}

// zeekPlan gives each column its role and type.
func zeekPlan(fields, types []string) []zeekColumn {
	var columns []zeekColumn
	for i, name := range fields {
		typ := ""
		if i < len(types) {
			typ = types[i]
		}
		parts, kinds := strings.Split(name, zeekBlanks), strings.Split(typ, zeekBlanks)
		for k, part := range parts {
			c := newZeekColumn(part)
			if k < len(kinds) {
				c.typ = zeekTypeNamed(kinds[k])
			}
			c.tail = k < len(parts)-1
			columns = append(columns, c)
		}
	}
	ids := slices.Contains(fields, "id.orig_h") || slices.Contains(fields, "id_orig_h")
	times := slices.Contains(fields, "ts")
	for i := range columns {
		c := &columns[i]
		switch {
		case !times && c.name == "t" && i < len(types) && types[i] == "time":
			c.role = zeekTS
		case !ids && c.role >= zeekSrc && c.role <= zeekDstPort && !slices.Contains(fields, "note"):
			c.role = map[zeekRole]zeekRole{zeekSrc: zeekOrigH, zeekSrcPort: zeekOrigP, zeekDst: zeekRespH, zeekDstPort: zeekRespP}[c.role]
		}
		c.demote()
		c.bind()
	}
	return columns
}

// demote takes the role from a column whose type says that it is another thing
// of the same name.
func (c *zeekColumn) demote() {
	want := zeekAny
	switch c.role {
	case zeekTS, zeekDuration:
		want = zeekSeconds
	case zeekOrigH, zeekRespH, zeekSrc, zeekDst, zeekClient, zeekServer, zeekAssigned:
		want = zeekAddr
	case zeekOrigP, zeekRespP, zeekSrcPort, zeekDstPort, zeekHostPort:
		want = zeekPort
	case zeekOrigBytes, zeekRespBytes, zeekOrigPkts, zeekRespPkts:
		want = zeekCount
	case zeekOwn, zeekHost, zeekService, zeekNotePort, zeekLossDegree, zeekLossCount, zeekIPProto:
		return
	default:
		want = zeekText
	}
	if c.typ == zeekAny {
		c.typ = want
	} else if c.typ != want {
		c.role = zeekOwn
	}
}

// parseRow reads one row by the plan.
func (p *zeekTSV) parseRow(rec []byte, ev *firetrail.Event) error {
	escaped := bytes.IndexByte(rec, '\\') >= 0
	if !escaped && p.isQuick() {
		p.row.begin(p.log, ev)
		if p.quickRow(rec) {
			p.row.finish()
			return nil
		}
		ev.Reset()
	}
	return p.carefulRow(rec, ev, escaped)
}

// carefulRow reads a row of any text: it counts its columns before it stores one.
func (p *zeekTSV) carefulRow(rec []byte, ev *firetrail.Event, escaped bool) error {
	if !p.split(rec) {
		return p.wrongCount(rec)
	}
	p.row.begin(p.log, ev)
	pos := 0
	for i := range p.columns {
		c, end := &p.columns[i], p.ends[i]
		if v := rec[pos:end.at]; !p.setMarked(c, v, escaped) {
			return reject(pos+1, "column %s: expected %s, found %s", firetrail.Inert(c.name), c.typ.what(), quoted(v))
		}
		pos = end.next
	}
	p.row.finish()
	return nil
}

// setMarked stores a value that may be a mark of the file or have escapes.
func (p *zeekTSV) setMarked(c *zeekColumn, v []byte, escaped bool) bool {
	z := &p.row
	switch {
	case len(v) == len(p.unset) && (len(v) == 0 || v[0] == p.unset[0] && string(v) == string(p.unset)):
		return true
	case c.typ == zeekSet:
		v = p.set(v, escaped)
	case c.typ <= zeekText && len(v) == len(p.empty) && string(v) == string(p.empty):
		v = nil
	case c.typ <= zeekText && escaped:
		v = zeekUnescape(v, z.ctx.Arena, "")
	}
	return c.set(z, c, v)
}

// zeekEnd is where a column ends and the next begins.
type zeekEnd struct{ at, next int }

// split fills p.ends; false where the row has another number of columns.
func (p *zeekTSV) split(rec []byte) bool {
	if cap(p.ends) < len(p.columns) {
		p.ends = make([]zeekEnd, 0, len(p.columns))
	}
	p.ends = p.ends[:0]
	if p.pasted {
		return p.splitBlanks(rec)
	}
	pos := 0
	for i := range p.columns {
		sep := p.sep
		if p.columns[i].tail {
			sep = []byte(zeekBlanks)
		}
		n := bytes.Index(rec[pos:], sep)
		if n < 0 {
			p.ends = append(p.ends, zeekEnd{len(rec), len(rec)})
			return i == len(p.columns)-1
		}
		p.ends = append(p.ends, zeekEnd{pos + n, pos + n + len(sep)})
		pos += n + len(sep)
	}
	return false
}

// splitBlanks is split for text whose tabs have become blanks. A value that holds
// a blank itself makes too many columns of the row, which is then refused.
func (p *zeekTSV) splitBlanks(rec []byte) bool {
	for pos := 0; pos < len(rec) && len(p.ends) <= len(p.columns); {
		end := pos
		for end < len(rec) && rec[end] != ' ' {
			end++
		}
		next := end
		for next < len(rec) && rec[next] == ' ' {
			next++
		}
		p.ends = append(p.ends, zeekEnd{end, next})
		pos = next
	}
	return len(p.ends) == len(p.columns)
}

// wrongCount says how many columns a row has.
func (p *zeekTSV) wrongCount(rec []byte) error {
	found := bytes.Count(rec, p.sep) + 1
	if p.pasted {
		found = len(bytes.Fields(rec))
	}
	if found == 1 && !bytes.Contains(rec, p.sep) && p.headless {
		return ErrOther
	}
	return reject(0, "expected %d columns, found %d", len(p.fields), found)
}

var emptySet = []byte("(empty)")

// set gives a set or vector in the notation of the fields: members joined by
// commas, "(empty)" for none.
func (p *zeekTSV) set(v []byte, escaped bool) []byte {
	if len(v) == len(p.empty) && bytes.Equal(v, p.empty) {
		return emptySet
	}
	if !bytes.Equal(p.setSep, []byte{','}) {
		v = bytes.ReplaceAll(v, p.setSep, []byte{','})
	}
	if escaped {
		v = zeekUnescape(v, p.row.ctx.Arena, ",-(\\")
	}
	return v
}

// zeekUnescape resolves "\xNN" and "\\", but no escape of a byte in keep. Other
// backslashes stand for themselves (Bro did not escape them).
func zeekUnescape(v []byte, a *Arena, keep string) []byte {
	i := bytes.IndexByte(v, '\\')
	if i < 0 {
		return v
	}
	out := append(a.Make(len(v))[:0], v[:i]...)
	for i < len(v) {
		if v[i] == '\\' && i+3 < len(v) && v[i+1] == 'x' {
			high, ok1 := hexDigit(v[i+2])
			low, ok2 := hexDigit(v[i+3])
			if c := high<<4 | low; ok1 && ok2 && strings.IndexByte(keep, c) < 0 {
				out = append(out, c)
				i += 4
				continue
			}
		} else if v[i] == '\\' && i+1 < len(v) && v[i+1] == '\\' && keep == "" {
			i++
		}
		out = append(out, v[i])
		i++
	}
	return out
}

// quoted shows a piece of a record in a reason, cut where it is long.
func quoted(v []byte) string {
	const most = 40
	if len(v) > most {
		return fmt.Sprintf("%q…", v[:most])
	}
	return fmt.Sprintf("%q", v)
}

var errNotZeek = errors.New("no Zeek header, and no rows that look like a conn log")
