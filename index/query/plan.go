package query

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"firetrail"
)

// Need is what a block of events must have for a query to select one of them.
// It may be satisfied by blocks that hold no hit, and is never refused by one
// that does. OpAll asks nothing, OpAnd and OpOr join Args, OpMatch is one need:
//
//   - Keys: the block has one of these terms;
//   - From and To: it has a term between these two, which are among them;
//   - Field and Prefix without either: it has a term of the field that begins with Prefix
//     and passes Test (nil passes all);
//   - Bounded: the smallest and largest value of Field in the block meet [Low, High],
//     beside what Keys ask;
//   - Bloom: the block's filter for Field does not refute Value.
//
// A block that has the term Over(Field) keeps no terms of the field.
type Need struct {
	Op        firetrail.QueryOp
	Args      []Need
	Field     string
	Keys      []string
	From, To  string
	Prefix    string
	Test      func(value string) bool
	Bounded   bool
	Low, High int64
	Bloom     bool
	Value     string
}

// Plan is what blocks must have for p to select anything in them.
func (p *Predicate) Plan() Need {
	switch p.Op {
	case firetrail.OpMatch:
		return p.Leaf.Need
	case firetrail.OpAnd, firetrail.OpOr:
		n := Need{Op: p.Op}
		for _, a := range p.Args {
			n.Args = append(n.Args, a.Plan())
		}
		return n
	}
	return Need{} // a negation can be true of anything
}

// Terms of blocks. A term is its field, a zero byte, and the value in the form
// that TermValue gives it.
const (
	WordsField = "w" // in the place of a field: words of the searched fields together
	maxTerm    = 64  // bytes of a value, longer ones are cut
	maxName    = 255 // the same for names of hosts
	maxWord    = 32
	maxPorts   = 64 // ports that a range is looked up by
)

// TermKey is the whole term of a field with a value in the form of terms.
func TermKey(field, value string) string { return field + "\x00" + value }

// Over is the term of a block that has too many values of a field to keep them.
func Over(field string) string { return "\x01" + field }

// Indexed reports whether blocks keep terms of the field. Those that differ from
// record to record stay out: source ports, ids of connections, counters.
func Indexed(field string) bool {
	switch field {
	case "uid", "community_id", "time.guess", "source", "kind": // the last two are the same in a whole segment
		return false
	case "dst_port", "nat_dst_port":
		return true
	}
	if f, ok := firetrail.FieldNamed(field); ok {
		return f.Int == nil
	}
	return true
}

// TermValue is the form of a text in a term: folded and cut; names back to front.
func TermValue(field, s string) string {
	if field == "host" {
		return cut(reversed(Fold(strings.TrimSuffix(s, "."))), maxName)
	}
	return cut(Fold(s), maxTerm)
}

// TermText is the text of a term's value, for people: names the right way round.
// whole is false where the value was cut.
func TermText(field, value string) (text string, whole bool) {
	if field == "host" {
		whole = len(value) < maxName
		value = strings.TrimSuffix(value, ".")
		if len(value) > maxName || strings.IndexByte(value, '.') < 0 {
			return value, whole
		}
		// Most names that a pattern is tried on do not match it: one allocation each.
		var name [maxName]byte
		to := len(value)
		for label := range strings.SplitSeq(value, ".") {
			to -= copy(name[to-len(label):], label)
			if to > 0 {
				to--
				name[to] = '.'
			}
		}
		return string(name[:len(value)]), whole
	}
	return value, len(value) < maxTerm
}

// WordTerm is the term of a word of a searched text.
func WordTerm(word string) string { return TermKey(WordsField, cut(Fold(word), maxWord)) }

// PortTerm is the term of a port.
func PortTerm(field string, port int64) string { return TermKey(field, bareInt(port)) }

// cut is the first n bytes of s.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// reversed turns "a.example.org" into "org.example.a.".
func reversed(name string) string {
	b := make([]byte, 0, len(name)+1)
	for end := len(name); ; {
		dot := strings.LastIndexByte(name[:end], '.')
		b = append(b, name[dot+1:end]...)
		b = append(b, '.')
		if dot < 0 {
			return string(b)
		}
		end = dot
	}
}

// Prefix lengths of which blocks keep terms.
var levels4, levels6 = []int{16, 24, 32}, []int{48, 64, 128}

// AddrLevels are the prefix lengths of which blocks keep terms, ascending; the last
// is the length of an address.
func AddrLevels(v4 bool) []int {
	if v4 {
		return levels4
	}
	return levels6
}

// AddrTerm is the term of a network of one of the AddrLevels. It keeps the length of the
// prefix, marked by family, and its bytes, so that the terms of one length lie
// together in the order of their addresses.
func AddrTerm(field string, p netip.Prefix) string {
	b := make([]byte, 0, len(field)+2+16)
	b = append(b, field...)
	b = append(b, 0, byte(p.Bits()))
	if a := p.Addr(); a.Is4() {
		b[len(b)-1] |= 0x80
		raw := a.As4()
		b = append(b, raw[:p.Bits()/8]...)
	} else {
		raw := a.As16()
		b = append(b, raw[:p.Bits()/8]...)
	}
	return string(b)
}

// needPrefix asks for a network: for the terms of its parts, as few as there are
// levels for.
func needPrefix(field string, p netip.Prefix) Need {
	n := Need{Op: firetrail.OpMatch, Field: field}
	for _, bits := range AddrLevels(p.Addr().Is4()) {
		if bits < p.Bits() {
			continue
		}
		first, _ := p.Addr().Prefix(bits)
		n.From = AddrTerm(field, first)
		last, _ := lastAddr(p).Prefix(bits)
		n.To = AddrTerm(field, last)
		break
	}
	if n.From == n.To {
		n.Keys, n.From, n.To = []string{n.From}, "", ""
	}
	return n
}

// lastAddr is the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// needKey asks for one term of a field; ids are asked of the bloom filter of the block.
func needKey(field, value string) Need {
	switch {
	case field == "uid" || field == "community_id":
		return Need{Op: firetrail.OpMatch, Field: field, Bloom: true, Value: value}
	case !Indexed(field):
		return Need{}
	}
	return Need{Op: firetrail.OpMatch, Field: field, Keys: []string{TermKey(field, TermValue(field, value))}}
}

// needTest asks for terms of a field that test accepts; cut ones pass unseen.
func needTest(field, prefix string, test func(string) bool) Need {
	if field != WordsField && !Indexed(field) {
		return Need{}
	}
	limit := maxTerm
	if field == "host" {
		limit = maxName
	} else if field == WordsField {
		limit = maxWord
	}
	n := Need{Op: firetrail.OpMatch, Field: field, Prefix: cut(prefix, limit)}
	if test != nil {
		n.Test = func(value string) bool {
			text, whole := TermText(field, value)
			return !whole || len(value) >= limit || test(text)
		}
	}
	return n
}

// needGlob asks for terms that match; what stands before the first wildcard narrows the search.
func needGlob(field string, g glob) Need {
	if field != "host" {
		return needTest(field, g.prefix(), g.match)
	}
	// "*.pool.example" begins, back to front, with "example.pool.".
	_, tail, ok := strings.Cut(g.suffix(), ".")
	if !ok {
		return needTest(field, "", g.match)
	}
	return needTest(field, reversed(strings.TrimSuffix(tail, ".")), hostGlob(g))
}

// hostGlob matches names with and without their final dot, as terms have none.
func hostGlob(g glob) func(string) bool {
	return func(s string) bool { return g.match(s) || g.match(s+".") }
}

// needWords asks for all of the words.
func needWords(words []string) Need {
	n := Need{Op: firetrail.OpAnd}
	for _, w := range words {
		n.Args = append(n.Args, Need{Op: firetrail.OpMatch, Field: WordsField, Keys: []string{WordTerm(w)}})
	}
	return n
}

// needFragment asks for a word that contains the longest run of letters and
// digits of a literal.
func needFragment(literal string) Need {
	longest := ""
	Words(literal, func(w string) bool {
		if len(w) > len(longest) {
			longest = w
		}
		return true
	})
	if longest == "" {
		return Need{}
	}
	return needTest(WordsField, "", func(s string) bool { return strings.Contains(s, longest) })
}

// needBounds asks for numbers from low to high, and for each port where they are few.
func needBounds(field string, low, high int64) Need {
	n := Need{Op: firetrail.OpMatch, Field: field, Bounded: true, Low: low, High: high}
	if Indexed(field) && low >= 0 && low <= high && high-low < maxPorts {
		for p := low; p <= high; p++ {
			n.Keys = append(n.Keys, PortTerm(field, p))
		}
	}
	return n
}

// isWord reports whether a pattern can only match within one word.
func (g glob) isWord() bool {
	for _, r := range g {
		if r >= 0 && !wordRune(r) {
			return false
		}
	}
	return true
}

// words are the whole words that every match of the pattern has.
func (g glob) words() []string {
	var words []string
	for i := 0; i < len(g); {
		j := i
		for j < len(g) && g[j] >= 0 && wordRune(g[j]) {
			j++
		}
		before := i == 0 || g[i-1] >= 0
		after := j == len(g) || g[j] >= 0
		if j > i && before && after {
			words = append(words, string(g[i:j]))
		}
		i = j + 1
	}
	return words
}

// newRegexp compiles an expression and finds a folded literal that every text it
// matches contains when folded, "" if none is known.
func newRegexp(expr string) (*regexp.Regexp, string, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		var why string
		if e, ok := err.(*syntax.Error); ok {
			why = fmt.Sprintf("%s: %q", e.Code, e.Expr)
		} else {
			why = err.Error()
		}
		return nil, "", fmt.Errorf("expected a regular expression: %s", why)
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return re, "", nil
	}
	return re, literalOf(tree), nil
}

// literalOf is a text that each match contains, folded; "" where there is none.
func literalOf(t *syntax.Regexp) string {
	switch t.Op {
	case syntax.OpLiteral:
		return foldLiteral(t.Rune, t.Flags&syntax.FoldCase != 0)
	case syntax.OpCapture, syntax.OpPlus:
		return literalOf(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return literalOf(t.Sub[0])
		}
	case syntax.OpConcat:
		best := ""
		for _, s := range t.Sub {
			if l := literalOf(s); len(l) > len(best) {
				best = l
			}
		}
		return best
	}
	return ""
}

// foldLiteral folds a literal. If it ignores case, characters that equal others
// which fold differently (s and the long s, all beyond ASCII) divide it, and the
// longest part is taken.
func foldLiteral(runes []rune, anyCase bool) string {
	best, part := "", []byte(nil)
	for _, r := range runes {
		if r == utf8.RuneError || anyCase && (r >= utf8.RuneSelf || r == 's' || r == 'S') {
			part = part[:0]
			continue
		}
		part = utf8.AppendRune(part, unicode.ToLower(r))
		if len(part) > len(best) {
			best = string(part)
		}
	}
	return best
}
