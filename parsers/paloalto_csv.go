package parsers

import (
	"bytes"
	"encoding/json"
	"math/bits"

	"firetrail"
)

// csvColumn is one column of a record: where its text begins and ends, the quotes around
// it left out.
type csvColumn struct {
	from, to int32
	escaped  bool // quotes inside are doubled or have a backslash
}

func newColumn(from, to int) csvColumn { return csvColumn{from: int32(from), to: int32(to)} }

// of gives the text of the column from the text that was split.
func (c *csvColumn) of(b []byte) []byte { return b[c.from:c.to] }

// panMostColumns bounds a record: the longest layout has 130 columns.
const panMostColumns = 512

// splitCSV splits b into columns, without copying. It knows quotes around a column
// with the quotes inside doubled, as PAN-OS writes, and quotes with a backslash,
// inside or around the column, as some relays make of them. An unquoted column
// may hold quotes. open is the position of a quote that is never closed, else -1.
func splitCSV(b []byte, columns []csvColumn, most int) (out []csvColumn, open int) {
	out = columns[:0]
	quote := -1 // the first that the columns so far end before
	for i := 0; ; {
		end := -1
		var escaped bool
		switch {
		case i < len(b) && b[i] == '"':
			if end, escaped = quotedEnd(b, i+1); end < 0 {
				return append(out, newColumn(i+1, len(b))), i
			}
			out = append(out, csvColumn{int32(i + 1), int32(end), escaped})
			end++
		case i+1 < len(b) && b[i] == '\\' && b[i+1] == '"':
			if end = relayedEnd(b, i+2); end < 0 {
				return append(out, newColumn(i+2, len(b))), i
			}
			out = append(out, csvColumn{int32(i + 2), int32(end), bytes.IndexByte(b[i+2:end], '"') >= 0})
			end += 2
		default:
			if quote < i {
				quote = nextQuote(b, i)
			}
			out, end = splitPlain(b, i, quote-1, out, most)
		}
		if end >= len(b) || len(out) >= most {
			return out, -1
		}
		i = end + 1 // behind the comma
	}
}

// nextQuote is where the next quote stands in b, from position i on; behind the end of b
// if there is none.
func nextQuote(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '"'); n >= 0 {
		return i + n
	}
	return len(b) + 2
}

// splitPlain splits b from position i on, up to a column that may be quoted: it begins
// at the position quote or behind it, with a quote or a backslash. end is the comma in
// front of that one, or where it ended otherwise.
func splitPlain(b []byte, i, quote int, out []csvColumn, most int) (columns []csvColumn, end int) {
	start := i
	for ; i+8 <= len(b); i += 8 {
		for t := bytesEqual(b[i:], ','); t != 0; t &= t - 1 {
			end := i + bits.TrailingZeros64(t)/8
			out = append(out, newColumn(start, end))
			start = end + 1
			if len(out) >= most || start >= quote && start < len(b) && (b[start] == '"' || b[start] == '\\') {
				return out, end
			}
		}
	}
	for ; i < len(b); i++ {
		if b[i] == ',' {
			out = append(out, newColumn(start, i))
			start = i + 1
			if len(out) >= most || start >= quote && start < len(b) && (b[start] == '"' || b[start] == '\\') {
				return out, i
			}
		}
	}
	return append(out, newColumn(start, len(b))), len(b)
}

// quotedEnd finds the quote that closes a quoted column: one that is not doubled
// and stands before a comma or the end. A quote behind a backslash belongs to the
// text unless it stands there and has no partner in the column, as in "C:\dir\".
func quotedEnd(b []byte, i int) (end int, escaped bool) {
	slashed := 0
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1, escaped
		}
		i += n
		last := i+1 == len(b) || b[i+1] == ','
		switch {
		case i+1 < len(b) && b[i+1] == '"':
			escaped = true
			i++
		case b[i-1] == '\\':
			if slashed++; last && slashed%2 == 1 {
				return i, escaped
			}
			escaped = true
		case last:
			return i, escaped
		}
		i++
	}
}

// relayedEnd finds the backslash of the \" that closes a column opened by \".
func relayedEnd(b []byte, i int) int {
	for {
		n := bytes.Index(b[i:], []byte(`\"`))
		if n < 0 {
			return -1
		}
		i += n
		if i+2 == len(b) || b[i+2] == ',' {
			return i
		}
		i += 2
		if bytes.HasPrefix(b[i:], []byte(`\"`)) { // doubled
			i += 2
		}
	}
}

// value is the text of a column with its quotes as they were before quoting.
func (p *panParser) value(c csvColumn) []byte {
	raw := c.of(p.csv)
	if !c.escaped {
		return raw
	}
	out := p.ctx.Arena.Make(len(raw))
	n := 0
	for i := 0; i < len(raw); i++ {
		ch := raw[i]
		rest := raw[i+1:]
		switch {
		case ch == '"' && len(rest) > 0 && rest[0] == '"':
			i++
		case ch == '\\' && bytes.HasPrefix(rest, []byte(`"\"`)):
			ch, i = '"', i+3
		case ch == '\\' && len(rest) > 0 && rest[0] == '"':
			ch, i = '"', i+1
		}
		out[n] = ch
		n++
	}
	return out[:n:n]
}

// panLeadCommas is the least number of commas with which panLead knows a record.
const panLeadCommas = 4

// panLead finds the log type of a CSV record and the position of its column, from
// 0: the fourth, or the third where the first is missing or AUDIT leaves it out.
// known is false for another word in the fourth, which at -1 is no record of
// PAN-OS and else stands between columns that look like one.
func panLead(b []byte) (typ []byte, at int, known bool) {
	var column [7][]byte
	n := 0
	for rest := b; n < len(column); n++ {
		i := bytes.IndexByte(rest, ',')
		if i < 0 || i > 80 {
			break
		}
		column[n], rest = unquoted(rest[:i]), rest[i+1:]
	}
	if n > 3 && panTypeNamed(column[2]) != nil && (dateLike(column[0]) || dateLike(column[1])) {
		return column[2], 2, true
	}
	if n > 4 && panTypeNamed(column[3]) != nil || n == 4 && dateLike(column[1]) && panTypeNamed(column[3]) != nil {
		return column[3], 3, true
	}
	if n == len(column) && dateLike(column[1]) && dateLike(column[6]) && len(column[3]) > 0 {
		return column[3], 3, false
	}
	return nil, -1, false
}

func unquoted(b []byte) []byte {
	if n := len(b); n > 0 && (b[0] == '"' || b[n-1] == '"') {
		return bytes.Trim(b, `"`)
	}
	return b
}

// dateLike reports whether b begins as a date with a year first.
func dateLike(b []byte) bool {
	return len(b) >= 19 && b[4] == b[7] && (b[4] == '/' || b[4] == '-') && b[0] >= '0' && b[0] <= '9'
}

// readCSV reads a record in the order of the syslog columns.
func (p *panParser) readCSV(b []byte, ev *firetrail.Event) error {
	b = bytes.TrimRight(b, " \t")
	typ, at, known := panLead(b)
	if at < 0 {
		return ErrOther
	}
	if !known {
		return reject(p.at(typ), "unknown PAN-OS log type %q", typ[:min(len(typ), 64)])
	}
	p.kind = panTypeNamed(typ)
	open := p.split(b)
	if open >= 0 {
		return reject(p.at(b[open:]), "column %d of %s opens a quote that is never closed", len(p.columns), p.kind.name)
	}
	first := p.first(at)
	n := len(p.columns) + first
	if n > panMostColumns {
		return reject(0, "%s with more than %d columns", p.kind.name, panMostColumns)
	}
	if n < p.kind.least {
		return reject(p.at(b)+len(b), "%s with %d columns, at least %d expected: the record is cut", p.kind.name, n, p.kind.least)
	}
	layout := p.layout(first)
	p.source = p.columns[7-first].of(b)
	columns := p.columns
	for i := range columns {
		c := &columns[i]
		if c.from == c.to { // as most are
			continue
		}
		v := c.of(b)
		if c.escaped {
			v = p.value(*c)
		}
		if blank(v) {
			continue
		}
		column := panColumnAt(layout, i+first)
		if column.role == panPlain {
			ev.Put(column.name, text(v))
		} else if err := p.set(ev, column, v); err != nil {
			return err
		}
	}
	p.precisely(first + len(p.columns) - 1)
	return nil
}

// split parts the columns of b. open is that of splitCSV.
func (p *panParser) split(b []byte) (open int) {
	p.csv = b
	p.columns, open = splitCSV(b, p.columns, panMostColumns+1)
	return open
}

// precisely takes the last column, of which i is the position from 0, as the
// high-resolution time where the record has none in its place: relays and custom
// formats leave columns out before it. It must name the moment that the generated time does.
func (p *panParser) precisely(i int) {
	last := p.columns[len(p.columns)-1].of(p.csv)
	if p.precise.kind != stampNone || i < 31 || !dateLike(last) || last[10] != 'T' || p.generated.kind != stampWall {
		return
	}
	s, ok := panStamp(last)
	if !ok || s.kind != stampZoned {
		return
	}
	if apart := panWall(&s) - panWall(&p.generated); apart >= -2 && apart <= 120 {
		p.precise = s
	}
}

// first is the place that the record's first column has in the layout, by the place
// of its type: 1 where the leading column is missing, else 0.
func (p *panParser) first(at int) int {
	if p.kind.name == "AUDIT" {
		return 0
	}
	return 3 - at
}

// layout chooses the columns of the record that has been split, which are at least
// as many as its type has.
func (p *panParser) layout(first int) []panColumn {
	is := func(i int, prefix string) bool {
		return i < len(p.columns) && bytes.HasPrefix(p.columns[i].of(p.csv), []byte(prefix))
	}
	k := p.kind
	n := len(p.columns) + first
	switch k.name {
	case "CONFIG":
		switch {
		case is(15-first, "0x") && n == 18:
			return panConfigOld
		case is(15-first, "0x"):
			return panConfigShort
		}
	case "SYSTEM":
		if n == 16 && is(15-first, "0x") {
			return panSystemNoVsys
		}
	case "DECRYPTION":
		if is(104-first, "yes") || is(104-first, "no") {
			return panDecryptionOld
		}
	case "TRAFFIC", "THREAT":
		received := p.columns[1-first].of(p.csv)
		if len(received) > 10 && received[10] == 'T' && !is(28-first, "0x") {
			return p.strataLayout()
		}
		// One 10.2 leaves out the container of the application.
		if k == panTraffic && n == 114 && (is(113-first, "0") || is(113-first, "1")) {
			return panTrafficNoContainer
		}
	}
	if k == panThreatType && n >= 123 && bytes.Contains(p.columns[121-first].of(p.csv), []byte("Proxy")) {
		return panThreatFlowFirst
	}
	return k.columns
}

// strataLayout is the default of the Strata Logging Service, which leaves out
// the columns that PAN-OS does not use; URL records have other ones left.
func (p *panParser) strataLayout() []panColumn {
	if p.kind.name == "TRAFFIC" {
		return panTrafficStrata
	}
	for _, c := range p.columns[2:5] {
		if string(c.of(p.csv)) == "url" {
			return panURLStrata
		}
	}
	return panThreatStrata
}

// panColumnAt gives columns behind the end of the layout a name of their own.
func panColumnAt(layout []panColumn, i int) panColumn {
	if i < len(layout) {
		return layout[i]
	}
	return panColumn{name: panSurplus()[i]}
}

// panHeaderLine reports whether a line is the header of an exported CSV.
func panHeaderLine(b []byte) bool {
	head := b[:min(len(b), 160)]
	if len(head) == 0 || head[0] != '"' && (head[0]|0x20 < 'a' || head[0]|0x20 > 'z') {
		return false
	}
	return bytes.Contains(head, []byte("Receive Time")) && bytes.Contains(b, []byte("Type")) && bytes.Contains(head, []byte("Serial"))
}

// readHeader keeps the columns of an exported CSV by their header texts.
// "Domain" is the first column of syslog: a header that begins with it has the
// same order, and tells unknown texts by their position.
func (p *panParser) readHeader(b []byte) error {
	open := p.split(b)
	if open >= 0 || len(p.columns) > panMostColumns {
		return reject(0, "the header of an export with a quote that is not closed, or with more than %d columns", panMostColumns)
	}
	p.names = string(b)
	p.aligned = string(p.columns[0].of(b)) == "Domain"
	p.header = make([]panColumn, len(p.columns))
	for i, c := range p.columns {
		name := p.value(c)
		column, ok := panKey(name)
		if !ok {
			column = panColumn{name: string(name), role: panUnknown}
		}
		p.header[i] = column
	}
	return ErrHeader
}

// learnt is the header of an export.
func (p *panParser) learnt() (any, error) {
	if p.header == nil {
		return nil, nil
	}
	return p.names, written(p.names)
}

func (p *panParser) relearn(data []byte) error {
	var names string
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	if err := p.readHeader([]byte(names)); err != ErrHeader {
		return err
	}
	return nil
}

// readExport reads a line below the header of an export.
func (p *panParser) readExport(b []byte, ev *firetrail.Event) error {
	open := p.split(b)
	for i, c := range p.columns {
		if i < len(p.header) && p.header[i].role == panTypeColumn {
			typ := c.of(b)
			if p.kind = panTypeNamed(typ); p.kind == nil {
				return reject(p.at(typ), "unknown PAN-OS log type %q", typ[:min(len(typ), 64)])
			}
		}
	}
	switch {
	case p.kind == nil:
		return reject(0, "line of an export without a column for the log type")
	case open >= 0:
		return reject(p.at(b[open:]), "column %d of %s opens a quote that is never closed", len(p.columns), p.kind.name)
	case len(p.columns) > panMostColumns:
		return reject(0, "%s with more than %d columns", p.kind.name, panMostColumns)
	case len(p.columns) < len(p.header)/2:
		return reject(0, "%s with %d columns below a header of %d: the record is cut", p.kind.name, len(p.columns), len(p.header))
	}
	for i, c := range p.columns {
		v := p.value(c)
		if blank(v) {
			continue
		}
		if err := p.set(ev, p.exportColumn(i), v); err != nil {
			return err
		}
	}
	return nil
}

// exportColumn is the meaning of column i of an export: by its header text, else by its position.
func (p *panParser) exportColumn(i int) panColumn {
	if i >= len(p.header) {
		return panColumn{name: panSurplus()[i]}
	}
	c := p.header[i]
	if c.role == panUnknown && p.aligned && i < len(p.kind.columns) {
		return p.kind.columns[i]
	}
	return p.kind.own(c)
}

func blank(b []byte) bool {
	return len(b) == 0 || b[0] == ' ' && len(bytes.TrimSpace(b)) == 0
}
