package query

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"firetrail"
)

// maxDepth bounds nesting, so that no text can exhaust the stack.
const maxDepth = 100

// Parse reads a query; the empty text selects every event. Errors are of type
// *Error. Relative times stay as they are written and are resolved by Compile.
func Parse(text string) (firetrail.Query, error) {
	p := parser{text: text}
	p.space()
	if p.end() {
		return firetrail.Query{}, nil
	}
	q, err := p.or("")
	if err != nil {
		return firetrail.Query{}, err
	}
	if !p.end() {
		return firetrail.Query{}, p.fail(p.pos, "expected AND, OR or a term; this ) closes nothing")
	}
	return q, nil
}

type parser struct {
	text  string
	pos   int
	depth int
}

// fail is an error that points at byte at of the query.
func (p *parser) fail(at int, format string, args ...any) error {
	return &Error{Text: p.text, Offset: min(at, len(p.text)), Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) end() bool { return p.pos >= len(p.text) }

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.pos]
}

// space passes over white space.
func (p *parser) space() {
	for !p.end() {
		r, n := utf8.DecodeRuneInString(p.text[p.pos:])
		if !unicode.IsSpace(r) {
			return
		}
		p.pos += n
	}
}

// closes reports whether a word ends before s.
func closes(s string) bool {
	if s == "" {
		return true
	}
	r, _ := utf8.DecodeRuneInString(s)
	return r == '(' || r == ')' || r == '"' || unicode.IsSpace(r)
}

// keyword takes the upper-case word k if it stands next.
func (p *parser) keyword(k string) bool {
	rest, ok := strings.CutPrefix(p.text[p.pos:], k)
	if !ok || !closes(rest) {
		return false
	}
	p.pos += len(k)
	p.space()
	return true
}

// or parses alternatives. field is "" or the field whose values are being grouped.
func (p *parser) or(field string) (firetrail.Query, error) {
	if p.depth++; p.depth > maxDepth {
		return firetrail.Query{}, p.fail(p.pos, "nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	var alternatives []firetrail.Query
	for {
		q, err := p.and(field)
		if err != nil {
			return q, err
		}
		alternatives = append(alternatives, q)
		if !p.keyword("OR") {
			break
		}
	}
	if len(alternatives) == 1 {
		return alternatives[0], nil
	}
	return firetrail.Or(alternatives...), nil
}

// and reads terms joined by AND or by nothing, which means the same.
func (p *parser) and(field string) (firetrail.Query, error) {
	var terms []firetrail.Query
	for joined := false; ; {
		at := p.pos
		q, err := p.not(field)
		if err != nil {
			return q, err
		}
		if field != "" && len(terms) > 0 && single(field, q) && slices.ContainsFunc(terms, func(t firetrail.Query) bool { return single(field, t) }) {
			return q, p.fail(at, "expected OR: %s cannot be both", field)
		}
		if n := len(terms); n > 0 && !joined && unitApart(terms[n-1], q) {
			return q, p.fail(at, "a unit stands right behind its number: %s%s", terms[n-1].Value, q.Value)
		}
		terms = append(terms, q)
		p.space()
		if joined = p.keyword("AND"); joined {
			continue
		}
		if p.end() || p.peek() == ')' || p.at("OR") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return firetrail.And(terms...), nil
}

// single reports whether q is one plain value of a field that has one value in an event.
func single(field string, q firetrail.Query) bool {
	switch {
	case q.Op != firetrail.OpMatch || q.Match != firetrail.MatchIs && q.Match != firetrail.MatchExact:
		return false
	case field == "port" || field == "ip":
		return false
	}
	switch TypeOf(field) {
	case firetrail.TypeTime, firetrail.TypeAddr, firetrail.TypeName: // one value may lie within another
		return false
	}
	return field != "kind" && field != "action" && field != "time.guess"
}

// unitApart reports whether q is a word that is the unit of the number before it.
func unitApart(before, q firetrail.Query) bool {
	if before.Op != firetrail.OpMatch || q.Op != firetrail.OpMatch || q.Field != "" || q.Match != firetrail.MatchIs || !decimal(before.Value) {
		return false
	}
	switch before.Match {
	case firetrail.MatchHas, firetrail.MatchRange, firetrail.MatchWildcard, firetrail.MatchRegexp:
		return false
	}
	switch TypeOf(before.Field) {
	case firetrail.TypeBytes, firetrail.TypeInt:
		_, err := Size("1" + q.Value)
		return err == nil && !decimal(q.Value)
	case firetrail.TypeDuration:
		_, err := Span("1" + q.Value)
		return err == nil && !decimal(q.Value)
	}
	return false
}

// at reports whether the keyword k stands next, without taking it.
func (p *parser) at(k string) bool {
	rest, ok := strings.CutPrefix(p.text[p.pos:], k)
	return ok && closes(rest)
}

// not reads one term with what negates it. Each level counts, so that a query of brackets
// alone cannot exhaust the stack.
func (p *parser) not(field string) (firetrail.Query, error) {
	if p.depth++; p.depth > maxDepth {
		return firetrail.Query{}, p.fail(p.pos, "nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	at := p.pos
	switch {
	case p.keyword("NOT"):
		q, err := p.not(field)
		return firetrail.Not(q), err
	case p.peek() == '-' && !(field != "" && TypeOf(field) == firetrail.TypeTime):
		p.pos++
		if c := p.text[p.pos:]; closes(c) && !strings.HasPrefix(c, "(") && !strings.HasPrefix(c, `"`) {
			return firetrail.Query{}, p.fail(p.pos, "expected a term right after -")
		}
		q, err := p.not(field)
		return firetrail.Not(q), err
	case p.peek() == '(':
		return p.group(field)
	case p.end() || p.peek() == ')':
		return firetrail.Query{}, p.fail(at, "expected a term")
	case p.at("AND") || p.at("OR"):
		return firetrail.Query{}, p.fail(at, "expected a term before this keyword")
	}
	if field != "" {
		return p.value(field, at)
	}
	return p.term()
}

// group parses "(" or ")".
func (p *parser) group(field string) (firetrail.Query, error) {
	open := p.pos
	p.pos++
	p.space()
	q, err := p.or(field)
	if err != nil {
		return q, err
	}
	if p.peek() != ')' {
		return q, p.fail(open, "this ( is not closed")
	}
	p.pos++
	p.space()
	return q, nil
}

// term parses a bare value or a field with its value.
func (p *parser) term() (firetrail.Query, error) {
	at := p.pos
	switch c := p.peek(); {
	case c == '"':
		return p.value("", at)
	case c == '/' && p.regexpAhead():
		return p.value("", at)
	case c == '!':
		return firetrail.Query{}, p.fail(at, `expected a term; "not" is written NOT or -`)
	}
	name, op, n := p.fieldAhead()
	switch op {
	case ":":
		if !Known(name) {
			hint := ""
			if name != "x." && Nearest(name) == "" {
				hint = ", a text with a colon needs quotes"
			}
			return firetrail.Query{}, p.fail(at, "%s%s", Unknown(name), hint)
		}
		p.pos += n
		return p.operand(name, at)
	case "!=":
		p.pos += n
		valueAt := p.pos
		q, err := p.value(name, valueAt)
		return firetrail.Not(q), err
	case "=", "<", ">":
		p.pos += n - len(op) // the operator is part of the value
		return p.value(name, p.pos)
	}
	return p.bareWord(at)
}

// operand parses what stands after "name:".
func (p *parser) operand(name string, at int) (firetrail.Query, error) {
	if p.peek() == '(' {
		return p.group(name)
	}
	if closes(p.text[p.pos:]) && p.peek() != '"' {
		return firetrail.Query{}, p.fail(p.pos, "expected %s right after %s:", expected(name), name)
	}
	if p.at("AND") || p.at("OR") || p.at("NOT") {
		return firetrail.Query{}, p.fail(p.pos, "expected %s, not a keyword", expected(name))
	}
	return p.value(name, p.pos)
}

// fieldAhead looks for a field name with its operator at the next word: ":" after
// any name that is not plainly part of a text, and "=", "<", ">", "!=" after known
// fields. n is the length of name and operator; op is "" if there is none.
func (p *parser) fieldAhead() (name, op string, n int) {
	s := p.text[p.pos:]
	var b strings.Builder
	for i := 0; i < len(s) && !closes(s[i:]); i++ {
		switch c := s[i]; c {
		case '\\':
			if i+1 < len(s) {
				i++
				b.WriteByte(s[i])
			}
			continue
		case ':':
			name = b.String()
			if colonIsText(name, s) {
				return "", "", 0
			}
			return name, ":", i + 1
		case '=', '<', '>', '!':
			name = b.String()
			op = string(c)
			if c == '!' && strings.HasPrefix(s[i:], "!=") {
				op = "!="
			}
			if Known(name) && name != "has" && op != "!" {
				return name, op, i + len(op)
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", 0
}

// colonIsText reports whether the colon after name belongs to a text: an
// address, a URL, a time of day.
func colonIsText(name, s string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return true
	}
	if Known(name) {
		return false
	}
	word := s
	for i := range s {
		if closes(s[i:]) {
			word = s[:i]
			break
		}
	}
	return textWithColon(word) || strings.HasPrefix(s, name+"://")
}

// textWithColon recognises addresses, networks and hardware addresses.
func textWithColon(word string) bool {
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	if _, err := netip.ParsePrefix(word); err == nil {
		return true
	}
	_, err := net.ParseMAC(word)
	return err == nil
}

// bareWord parses a word without a field.
func (p *parser) bareWord(at int) (firetrail.Query, error) {
	w, err := p.word("")
	if err != nil {
		return firetrail.Query{}, err
	}
	raw := p.text[at:p.pos]
	p.space()
	switch {
	case raw == "*":
		return firetrail.Query{}, nil
	case raw == "&&" || raw == "||":
		return firetrail.Query{}, p.fail(at, "expected AND or OR")
	case lowerKeyword(raw):
		return firetrail.Query{}, p.fail(at, `keywords are upper case: %s; to search the word, quote it`, strings.ToUpper(raw))
	}
	if err := p.foreign(raw, at); err != nil {
		return firetrail.Query{}, err
	}
	q := w.query("")
	return q, p.check(q, at)
}

// foreign refuses what people bring from other languages and what would silently be
// searched as words: a field with an operator that is not ours or stands apart, and an
// operator behind a name that is no field here.
func (p *parser) foreign(word string, at int) error {
	if Known(word) {
		next, _, _ := strings.Cut(strings.TrimLeft(p.text[p.pos:], " "), " ")
		next, _, _ = strings.Cut(next, "(")
		switch next {
		case "=", "==", "!=", "<>", "<", "<=", ">", ">=", ":", "~", "=~", "in", "IN", "contains", "is", "like", "LIKE", "matches", "between", "BETWEEN":
			return p.fail(p.pos, "expected %s:VALUE without white space (%s:%s); to search the word %s, quote it", word, word, exampleOf(word), word)
		}
		return nil
	}
	for _, op := range []string{"=~", "!~", "~"} {
		if name, value, ok := strings.Cut(word, op); ok && Known(name) {
			return p.fail(at+len(name), "a pattern is %s:*%s* or %s:/%s/", name, value, name, value)
		}
	}
	if i := strings.IndexAny(word, "=<>"); i > 0 {
		name := strings.TrimSuffix(word[:i], "!")
		if best := named(name); best != "" {
			return p.fail(at, "unknown field %q; did you mean %s?", name, best)
		}
	}
	return nil
}

// exampleOf is a value of a field for an error message.
func exampleOf(name string) string {
	switch TypeOf(name) {
	case firetrail.TypeAddr:
		return "192.0.2.7"
	case firetrail.TypePort, firetrail.TypeInt:
		return "443"
	case firetrail.TypeBytes:
		return ">1G"
	case firetrail.TypeTime:
		return ">-24h"
	case firetrail.TypeDuration:
		return ">90s"
	case firetrail.TypeName:
		return "pool.example"
	}
	return "value"
}

func lowerKeyword(s string) bool {
	return strings.EqualFold(s, "and") || strings.EqualFold(s, "or") || strings.EqualFold(s, "not")
}

// check refuses an operand that the field's type cannot mean.
func (p *parser) check(q firetrail.Query, at int) error {
	if _, err := compileMatch(q, Env{}); err != nil {
		if h := hint(q); h != "" {
			return p.fail(at, "%s; %s", err, h)
		}
		return p.fail(at, "%s", err)
	}
	if q.Match == firetrail.MatchRange && backwards(q) {
		return p.fail(at, "this range ends before it begins")
	}
	return nil
}

// hint says what the value of a field that was refused may have been meant to be.
func hint(q firetrail.Query) string {
	switch a, b, dots := strings.Cut(q.Value, ".."); {
	case q.Match != firetrail.MatchIs && q.Match != firetrail.MatchExact:
	case q.Value == "TO":
		return "a range is [low TO high]"
	case strings.HasPrefix(q.Value, "!"):
		return fmt.Sprintf("not is written -%s:%s", q.Field, strings.TrimLeft(q.Value, "!="))
	case strings.ContainsAny(q.Value[:min(1, len(q.Value))], "=<>"):
		return "comparisons are > >= < <= and ="
	case strings.Contains(q.Value, ","):
		return fmt.Sprintf("several values are %s:(%s)", q.Field, strings.Join(strings.FieldsFunc(q.Value, func(r rune) bool { return r == ',' }), " OR "))
	case dots && a != "" && b != "":
		return fmt.Sprintf("a range is %s:[%s TO %s]", q.Field, a, b)
	case TypeOf(q.Field) == firetrail.TypeAddr:
		return addrHint(q)
	case TypeOf(q.Field) == firetrail.TypePort:
		if a, b, ok := strings.Cut(q.Value, "-"); ok && decimal(a) && decimal(b) {
			return fmt.Sprintf("a range is %s:[%s TO %s]", q.Field, a, b)
		}
	}
	return ""
}

func addrHint(q firetrail.Query) string {
	a, b, _ := strings.Cut(q.Value, "-")
	_, erra := netip.ParseAddr(a)
	_, errb := netip.ParseAddr(b)
	if erra == nil && errb == nil {
		return fmt.Sprintf("a range is %s:[%s TO %s]", q.Field, a, b)
	}
	whole := strings.TrimSuffix(q.Value, ".")
	if octets := strings.Count(whole, ".") + 1; octets < 4 {
		if _, err := netip.ParseAddr(whole + strings.Repeat(".0", 4-octets)); err == nil {
			return fmt.Sprintf("a network is %s%s/%d", whole, strings.Repeat(".0", 4-octets), 8*octets)
		}
	}
	return ""
}

// backwards reports whether a range of numbers, times or addresses ends before it begins.
// Bounds that are measured from now are not compared.
func backwards(q firetrail.Query) bool {
	t := TypeOf(q.Field)
	relative := func(s string) bool {
		return s == "*" || t == firetrail.TypeTime && !(s != "" && s[0] >= '0' && s[0] <= '9')
	}
	switch {
	case t == firetrail.TypeText || t == firetrail.TypeName || relative(q.Value) || relative(q.High):
		return false
	case t == firetrail.TypeAddr:
		a, erra := netip.ParseAddr(q.Value)
		b, errb := netip.ParseAddr(q.High)
		return erra == nil && errb == nil && b.Less(a)
	}
	low, _, erra := number(t, q.Value, 0, true)
	_, high, errb := number(t, q.High, 0, true)
	return erra == nil && errb == nil && high < low
}
