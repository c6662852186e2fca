package query

import (
	"strings"
	"unicode/utf8"

	"firetrail"
)

// value parses one operand of field; at is where to point if it is refused.
func (p *parser) value(field string, at int) (firetrail.Query, error) {
	if field == "has" {
		return p.has()
	}
	q, err := p.operandOf(field)
	if err != nil {
		return q, err
	}
	p.space()
	return q, p.check(q, at)
}

// operandOf reads what stands behind "field:" or an operator, or a bare operand.
func (p *parser) operandOf(field string) (firetrail.Query, error) {
	q := firetrail.Query{Op: firetrail.OpMatch, Field: field}
	if field != "" {
		for _, o := range operators {
			if strings.HasPrefix(p.text[p.pos:], o.text) {
				p.pos += len(o.text)
				q.Match = o.match
				var err error
				q.Value, err = p.plain(field, "")
				return q, err
			}
		}
		if c := p.peek(); c == '[' || c == '{' {
			return p.interval(q)
		}
	}
	switch c := p.peek(); {
	case c == '"':
		s, err := p.quoted()
		q.Value = s
		if worded(field) {
			q.Match = firetrail.MatchPhrase
		}
		return q, err
	case c == '/' && p.regexpAhead():
		q.Match, q.Value = firetrail.MatchRegexp, p.regexp()
		return q, nil
	}
	w, err := p.word("")
	return w.query(field), err
}

var operators = []struct {
	text  string
	match firetrail.Match
}{
	{">=", firetrail.MatchAtLeast}, {"<=", firetrail.MatchAtMost},
	{">", firetrail.MatchMore}, {"<", firetrail.MatchLess}, {"=", firetrail.MatchExact},
}

// has parses the field name after "has:".
func (p *parser) has() (firetrail.Query, error) {
	at := p.pos
	name, err := p.plain("has", "")
	if err != nil {
		return firetrail.Query{}, err
	}
	if !Known(name) || name == "has" {
		return firetrail.Query{}, p.fail(at, "%s", Unknown(name))
	}
	p.space()
	return firetrail.Query{Op: firetrail.OpMatch, Field: name, Match: firetrail.MatchHas}, nil
}

// interval parses "[low TO high]" with either kind of bracket at either end.
func (p *parser) interval(q firetrail.Query) (firetrail.Query, error) {
	open := p.pos
	q.Match = firetrail.MatchRange
	q.Excl[0] = p.peek() == '{'
	p.pos++
	p.space()
	var err error
	if q.Value, err = p.plain(q.Field, "]}"); err != nil {
		return q, err
	}
	p.space()
	if !p.at("TO") {
		return q, p.fail(p.pos, "expected TO: a range is [low TO high]")
	}
	p.pos += len("TO")
	p.space()
	if q.High, err = p.plain(q.Field, "]}"); err != nil {
		return q, err
	}
	p.space()
	if c := p.peek(); c != ']' && c != '}' {
		return q, p.fail(open, "this range is not closed with ] or }")
	}
	q.Excl[1] = p.peek() == '}'
	p.pos++
	if !closes(p.text[p.pos:]) {
		return q, p.fail(p.pos, "expected white space after the range")
	}
	return q, nil
}

// plain parses a word or a quoted text in which wildcards mean nothing.
func (p *parser) plain(field, stops string) (string, error) {
	if p.peek() == '"' {
		return p.quoted()
	}
	w, err := p.word(stops)
	if err == nil && w.text == "" {
		return "", p.fail(p.pos, "expected %s", expected(field))
	}
	return w.text, err
}

// quoted parses "text" in which a backslash takes the next character as it is.
func (p *parser) quoted() (string, error) {
	open := p.pos
	var b strings.Builder
	for p.pos++; !p.end(); p.pos++ {
		switch c := p.text[p.pos]; c {
		case '"':
			p.pos++
			if !closes(p.text[p.pos:]) && !strings.ContainsRune("]}", rune(p.text[p.pos])) {
				return "", p.fail(p.pos, "expected white space after the closing quote")
			}
			return b.String(), nil
		case '\\':
			p.pos++
			if p.end() {
				return "", p.fail(open, "this quote is not closed")
			}
			b.WriteByte(p.text[p.pos])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(open, "this quote is not closed")
}

// word is an unquoted text with its escapes resolved.
type word struct {
	text    string // backslashes resolved
	pattern string // the same, with a backslash before each literal * ? \
	wild    bool   // an unescaped * or ? stands in it
}

// query is the test of a field for the word.
func (w word) query(field string) firetrail.Query {
	q := firetrail.Is(field, w.text)
	if w.wild {
		q.Match, q.Value = firetrail.MatchWildcard, w.pattern
	}
	return q
}

// word parses up to white space, a parenthesis, a quote, or one of stops.
func (p *parser) word(stops string) (word, error) {
	var text, pattern strings.Builder
	var w word
	for !p.end() {
		s := p.text[p.pos:]
		if closes(s) || strings.IndexByte(stops, s[0]) >= 0 {
			break
		}
		c := s[0]
		literal := false
		if c == '\\' {
			if len(s) == 1 {
				return w, p.fail(p.pos, `expected a character after \`)
			}
			p.pos++
			s, c, literal = s[1:], s[1], true
		}
		_, n := utf8.DecodeRuneInString(s)
		if c == '*' || c == '?' || c == '\\' {
			if literal || c == '\\' {
				pattern.WriteByte('\\')
			} else {
				w.wild = true
			}
		}
		text.WriteString(s[:n])
		pattern.WriteString(s[:n])
		p.pos += n
	}
	w.text, w.pattern = text.String(), pattern.String()
	return w, nil
}

// regexpAhead reports whether the slash that stands next begins a regular
// expression: its closing slash ends the word. Otherwise it begins a path.
func (p *parser) regexpAhead() bool {
	end := p.regexpEnd()
	return end > p.pos+1 && closes(p.text[end+1:])
}

// regexpEnd is the position of the first further slash without a backslash, -1 if none.
func (p *parser) regexpEnd() int {
	for i := p.pos + 1; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '/':
			return i
		}
	}
	return -1
}

// regexp takes "/…/" and gives what is between, "\/" being a slash.
func (p *parser) regexp() string {
	end := p.regexpEnd()
	raw := p.text[p.pos+1 : end]
	p.pos = end + 1
	return unslashed(raw)
}
