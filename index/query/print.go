package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"firetrail"
)

// Print writes a query as people would; Parse reads the same query from it.
// The query that selects everything is "*".
func Print(q firetrail.Query) string {
	var b strings.Builder
	printQuery(&b, Normal(q), false)
	return b.String()
}

// Normal is q without needless nodes: And and Or of one argument are that
// argument, And of none is everything, Or of none is Not of everything; slashes of regular
// expressions have no backslash.
// Parse returns normal queries.
func Normal(q firetrail.Query) firetrail.Query {
	switch q.Op {
	case firetrail.OpAll:
		return firetrail.Query{}
	case firetrail.OpMatch:
		switch {
		case q.Match == firetrail.MatchRegexp:
			q.Value = unslashed(q.Value)
		case q.Match == firetrail.MatchIs && q.Value == "" && worded(q.Field):
			q.Match = firetrail.MatchPhrase // as "" is read
		}
		return q
	case firetrail.OpNot:
		return firetrail.Not(Normal(q.Args[0]))
	}
	switch {
	case len(q.Args) == 1:
		return Normal(q.Args[0])
	case len(q.Args) == 0 && q.Op == firetrail.OpAnd:
		return firetrail.Query{}
	case len(q.Args) == 0:
		return firetrail.Not(firetrail.Query{})
	}
	args := make([]firetrail.Query, len(q.Args))
	for i := range args {
		args[i] = Normal(q.Args[i])
	}
	return firetrail.Query{Op: q.Op, Args: args}
}

// printQuery writes q, in parentheses if it is joined and stands inside another.
func printQuery(b *strings.Builder, q firetrail.Query, inside bool) {
	switch q.Op {
	case firetrail.OpAll:
		b.WriteByte('*')
	case firetrail.OpMatch:
		printMatch(b, q)
	case firetrail.OpNot:
		b.WriteString("NOT ")
		printQuery(b, q.Args[0], true)
	default:
		joint := " AND "
		if q.Op == firetrail.OpOr {
			joint = " OR "
		}
		if inside {
			b.WriteByte('(')
		}
		for i, a := range q.Args {
			if i > 0 {
				b.WriteString(joint)
			}
			printQuery(b, a, true)
		}
		if inside {
			b.WriteByte(')')
		}
	}
}

// printMatch prints one test so that it parses to the same.
func printMatch(b *strings.Builder, q firetrail.Query) {
	if q.Match == firetrail.MatchHas {
		b.WriteString("has:")
		b.WriteString(escape(q.Field, "", false))
		return
	}
	if q.Field != "" {
		b.WriteString(escape(q.Field, ":=<>!", false))
		b.WriteByte(':')
	}
	printValue(b, q)
}

// printValue prints what stands behind the field.
func printValue(b *strings.Builder, q firetrail.Query) {
	bare := q.Field == ""
	for _, o := range operators {
		if o.match == q.Match {
			b.WriteString(o.text)
		}
	}
	switch q.Match {
	case firetrail.MatchRange:
		b.WriteByte("[{"[btoi(q.Excl[0])])
		b.WriteString(bound(q.Value))
		b.WriteString(" TO ")
		b.WriteString(bound(q.High))
		b.WriteByte("]}"[btoi(q.Excl[1])])
	case firetrail.MatchPhrase:
		b.WriteString(quote(q.Value))
	case firetrail.MatchRegexp:
		b.WriteByte('/')
		b.WriteString(slashed(q.Value))
		b.WriteByte('/')
	case firetrail.MatchWildcard:
		b.WriteString(escapePattern(q.Value, bare))
	default:
		if q.Value == "" {
			b.WriteString(`""`)
			return
		}
		b.WriteString(leading(escape(q.Value, wordSpecials(q.Value, bare), true), bare, q.Match == firetrail.MatchIs))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bound prints one end of a range; "*" is open.
func bound(s string) string {
	switch s {
	case "":
		return `""`
	case "*":
		return s
	}
	return leading(escape(s, "*?", true), false, false)
}

// wordSpecials are the characters that would mean something else inside a word.
// A colon is harmless in a value, and in a bare word that is an address.
func wordSpecials(s string, bare bool) string {
	if bare && !textWithColon(s) {
		return "*?:=<>!"
	}
	return "*?"
}

// escape puts a backslash before white space, parentheses, quotes, backslashes and
// the given specials.
func escape(s, specials string, brackets bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case strings.ContainsRune(`()"\`, r), strings.ContainsRune(specials, r), unicode.IsSpace(r),
			brackets && strings.ContainsRune("[]{}", r):
			b.WriteByte('\\')
		}
		b.WriteString(s[i : i+n])
		i += n
	}
	return b.String()
}

// escapePattern prints a wildcard pattern, in which \ already escapes * ? \.
func escapePattern(s string, bare bool) string {
	specials := `[]{}`
	if bare {
		specials += ":=<>!"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == '\\' && i+1 < len(s) {
			b.WriteByte('\\')
			i++
			_, n = utf8.DecodeRuneInString(s[i:])
		} else if strings.ContainsRune(specials, r) || strings.ContainsRune(`()"`, r) || unicode.IsSpace(r) {
			b.WriteByte('\\')
		}
		b.WriteString(s[i : i+n])
		i += n
	}
	return leading(b.String(), bare, true)
}

// leading escapes the first character of a word that would be taken for a
// keyword, or for an operator that begins a term or a value.
func leading(s string, bare, value bool) string {
	specials := ""
	if value {
		specials = "/><="
	}
	if bare {
		specials = "-/!"
	}
	switch {
	case s == "AND", s == "OR", s == "NOT", s == "TO", lowerKeyword(s), s == "&&", s == "||",
		s != "" && strings.IndexByte(specials, s[0]) >= 0:
		return `\` + s
	case !value && s != "" && s[0] == '=':
		return `\` + s // ">" followed by "=5" would be ">="
	}
	return s
}

// quote prints a phrase.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// slashed escapes the slashes of a regular expression.
func slashed(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			b.WriteByte('\\')
			i++
		case s[i] == '/':
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unslashed takes the backslashes from the slashes of a regular expression, which mean the
// same without.
func unslashed(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] != '/' {
				b.WriteByte('\\')
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
