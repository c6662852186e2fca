package query

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"firetrail"
)

// Env is what the meaning of a query depends on beside its text.
type Env struct {
	// Now is what relative times are measured from, nanoseconds.
	Now int64
	// Runs gives the leases of a run by its id or an alias, none for a run that is not
	// known. Where it is nil, run: tests the field that attribution wrote.
	Runs func(id string) ([]firetrail.Lease, error)
}

// Predicate is a compiled query: an exact test of events. It is a tree of leaves
// that test one field each, so that a store can test the distinct values of a
// column instead of its rows. It is read-only and free for all goroutines.
type Predicate struct {
	Op   firetrail.QueryOp
	Args []*Predicate
	Leaf *Leaf // of OpMatch
}

// Leaf tests one field: exactly one of Text, Int and Addr is set, and is asked
// only where the event has a value. An event without one fails.
type Leaf struct {
	Field string // of firetrail.Fields, "time.guess", "x.NAME", or Messages
	Text  func(string) bool
	Int   func(int64) bool
	Addr  func(netip.Addr) bool
	Need  Need // what a block must have for the leaf to be possible in it

	def *firetrail.FieldDef
}

// Messages is the Field of a leaf that tests every field of the record's own for
// which Searched holds, and passes if one of them does. It fails for values for
// which SearchedValue does not hold.
const Messages = "x.*"

// Compile makes the exact test of q. Errors say which operand is wrong.
func Compile(q firetrail.Query, env Env) (*Predicate, error) {
	p := &Predicate{Op: q.Op}
	switch q.Op {
	case firetrail.OpAll:
		return p, nil
	case firetrail.OpMatch:
		return compileMatch(q, env)
	case firetrail.OpNot:
		if len(q.Args) != 1 {
			return nil, errors.New("a negation needs one argument")
		}
	}
	for _, a := range q.Args {
		c, err := Compile(a, env)
		if err != nil {
			return nil, err
		}
		p.Args = append(p.Args, c)
	}
	return p, nil
}

// Event reports whether the query selects ev.
func (p *Predicate) Event(ev *firetrail.Event) bool {
	switch p.Op {
	case firetrail.OpAll:
		return true
	case firetrail.OpMatch:
		return p.Leaf.event(ev)
	case firetrail.OpNot:
		return !p.Args[0].Event(ev)
	}
	any := p.Op == firetrail.OpOr
	for _, a := range p.Args {
		if a.Event(ev) == any {
			return any
		}
	}
	return !any
}

func (l *Leaf) event(ev *firetrail.Event) bool {
	switch {
	case l.Field == Messages:
		for i := range ev.X {
			if Searched(ev.X[i].Name) && l.Text(ev.X[i].Value) {
				return true
			}
		}
		return false
	case l.def == nil:
		s, ok := ev.Value(l.Field)
		return ok && l.Text(s)
	case l.Text != nil:
		s := *l.def.Text(ev)
		return s != "" && l.Text(s)
	case l.Addr != nil:
		a := *l.def.Addr(ev)
		return a.IsValid() && l.Addr(a)
	}
	n := *l.def.Int(ev)
	return n != firetrail.Absent && l.Int(n)
}

// Leaves calls visit with every leaf.
func (p *Predicate) Leaves(visit func(*Leaf)) {
	if p.Leaf != nil {
		visit(p.Leaf)
	}
	for _, a := range p.Args {
		a.Leaves(visit)
	}
}

// Addresses and Ports are what the fields ip and port stand for.
var (
	Addresses = []string{"src_ip", "dst_ip", "nat_src_ip", "nat_dst_ip"}
	Ports     = []string{"src_port", "dst_port", "nat_src_port", "nat_dst_port"}
)

func compileMatch(q firetrail.Query, env Env) (*Predicate, error) {
	switch q.Field {
	case "":
		return compileBare(q, env)
	case "ip":
		return compileAny(q, Addresses, env)
	case "port":
		return compileAny(q, Ports, env)
	case "id":
		return compileID(q, env)
	case "run":
		if env.Runs != nil && q.Match != firetrail.MatchHas {
			return compileRun(q, env)
		}
	}
	l := &Leaf{Field: q.Field}
	l.def, _ = firetrail.FieldNamed(q.Field)
	if l.def == nil && q.Field != "time.guess" && (!strings.HasPrefix(q.Field, "x.") || len(q.Field) < 3) {
		return nil, errors.New(unknown(q.Field))
	}
	var err error
	switch {
	case l.def == nil || l.def.Text != nil:
		err = l.text(q)
	case l.def.Addr != nil:
		err = l.addr(q)
	default:
		err = l.number(q, env)
	}
	return &Predicate{Op: firetrail.OpMatch, Leaf: l}, err
}

// compileAny tests several fields of which one must pass.
func compileAny(q firetrail.Query, fields []string, env Env) (*Predicate, error) {
	p := &Predicate{Op: firetrail.OpOr}
	for _, f := range fields {
		q.Field = f
		a, err := compileMatch(q, env)
		if err != nil {
			return nil, err
		}
		p.Args = append(p.Args, a)
	}
	return p, nil
}

// compileID takes "e-<source>-<offset>" apart.
func compileID(q firetrail.Query, env Env) (*Predicate, error) {
	switch q.Match {
	case firetrail.MatchHas:
		return &Predicate{}, nil
	case firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchPhrase:
		rest, ok := strings.CutPrefix(q.Value, "e-")
		cut := strings.LastIndexByte(rest, '-')
		if !ok || cut < 0 {
			return nil, fmt.Errorf("%q is no event id, which is e-<source>-<offset>", q.Value)
		}
		if _, err := strconv.ParseUint(rest[cut+1:], 10, 63); err != nil {
			return nil, fmt.Errorf("%q is no event id: %w", q.Value, err)
		}
		return Compile(firetrail.And(firetrail.Exactly("source", rest[:cut]), firetrail.Exactly("offset", rest[cut+1:])), env)
	}
	return nil, errors.New("an event id is given whole")
}

// compileRun turns a run into the addresses and times of its leases.
func compileRun(q firetrail.Query, env Env) (*Predicate, error) {
	switch q.Match {
	case firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchPhrase:
	default:
		return nil, errors.New("run: takes the id of one run")
	}
	leases, err := env.Runs(q.Value)
	if err != nil {
		return nil, err
	}
	return Compile(Leases(leases), env)
}

// Leases selects the traffic of addresses while they were held, uncertainties of
// the ends included. A lease limited to ports holds the address on those only.
func Leases(leases []firetrail.Lease) firetrail.Query {
	var alternatives []firetrail.Query
	for _, l := range leases {
		var ends []firetrail.Query
		for _, side := range []string{"src", "dst", "nat_src", "nat_dst"} {
			end := firetrail.Exactly(side+"_ip", l.IP.String())
			if l.PortLow != firetrail.Absent {
				end = firetrail.And(end, firetrail.Between(side+"_port", bareInt(l.PortLow), bareInt(max(l.PortHigh, l.PortLow))))
			}
			ends = append(ends, end)
		}
		held := []firetrail.Query{firetrail.Or(ends...)}
		if l.Start != firetrail.Absent || l.End != firetrail.Absent {
			low, high := "*", "*"
			if l.Start != firetrail.Absent {
				low = firetrail.Stamp(l.Start - l.StartUnc)
			}
			if l.End != firetrail.Absent {
				high = firetrail.Stamp(l.End + l.EndUnc)
			}
			held = append(held, firetrail.Between("time", low, high))
		}
		alternatives = append(alternatives, firetrail.And(held...))
	}
	return firetrail.Or(alternatives...)
}

func bareInt(n int64) string { return strconv.FormatInt(n, 10) }

// compileBare searches a word, a phrase, a pattern in the fields that hold names
// and messages, and an address or a network among the addresses.
func compileBare(q firetrail.Query, env Env) (*Predicate, error) {
	p := &Predicate{Op: firetrail.OpOr}
	test, need, err := bareTest(q)
	prefix, notAddr := network(q.Value)
	isAddr := notAddr == nil && (q.Match == firetrail.MatchIs || q.Match == firetrail.MatchPhrase)
	if err != nil {
		return nil, err
	}
	for _, f := range SearchFields {
		l := &Leaf{Field: f, Text: test, Need: need}
		l.def, _ = firetrail.FieldNamed(f)
		p.Args = append(p.Args, &Predicate{Op: firetrail.OpMatch, Leaf: l})
	}
	own := func(s string) bool { return SearchedValue(s) && test(s) }
	p.Args = append(p.Args, &Predicate{Op: firetrail.OpMatch, Leaf: &Leaf{Field: Messages, Text: own, Need: need}})
	if isAddr {
		a, err := compileAny(firetrail.Is("ip", prefix.String()), Addresses, env)
		if err != nil {
			return nil, err
		}
		p.Args = append(p.Args, a.Args...)
	}
	return p, nil
}

func bareTest(q firetrail.Query) (func(string) bool, Need, error) {
	switch q.Match {
	case firetrail.MatchIs, firetrail.MatchPhrase, firetrail.MatchExact:
		words := foldedWords(q.Value)
		if len(words) == 0 {
			return nil, Need{}, fmt.Errorf("expected a word with letters or digits, not %q", q.Value)
		}
		return func(s string) bool { return hasPhrase(s, words) }, needWords(words), nil
	case firetrail.MatchWildcard:
		g := newGlob(q.Value)
		if !g.isWord() {
			return g.match, needWords(g.words()), nil
		}
		return func(s string) bool {
			found := false
			Words(s, func(w string) bool {
				found = g.match(w)
				return !found
			})
			return found
		}, needTest(WordsField, g.prefix(), g.match), nil
	case firetrail.MatchRegexp:
		re, literal, err := newRegexp(q.Value)
		if err != nil {
			return nil, Need{}, err
		}
		return re.MatchString, needFragment(literal), nil
	}
	return nil, Need{}, errors.New("a comparison needs a field: field:>value")
}

// text compiles the test of a text, a name, or a record's own field.
func (l *Leaf) text(q firetrail.Query) error {
	folded := Fold(q.Value)
	switch q.Match {
	case firetrail.MatchHas:
		l.Text, l.Need = func(string) bool { return true }, needTest(l.Field, "", nil)
	case firetrail.MatchExact:
		l.Text, l.Need = func(s string) bool { return s == q.Value }, needKey(l.Field, q.Value)
	case firetrail.MatchIs:
		l.is(q.Value, folded)
	case firetrail.MatchPhrase:
		words := foldedWords(q.Value)
		if !worded(l.Field) || len(words) == 0 {
			l.is(q.Value, folded)
			return nil
		}
		l.Text = func(s string) bool { return hasPhrase(s, words) }
		if l.def != nil {
			l.Need = needWords(words)
		} else {
			l.Need = needTest(l.Field, "", l.Text)
		}
	case firetrail.MatchWildcard:
		g := newGlob(q.Value)
		l.Text, l.Need = g.match, needGlob(l.Field, g)
	case firetrail.MatchRegexp:
		re, literal, err := newRegexp(q.Value)
		if err != nil {
			return err
		}
		l.Text = re.MatchString
		l.Need = needTest(l.Field, "", func(s string) bool { return strings.Contains(s, literal) })
	default:
		l.order(q)
	}
	return nil
}

// order compiles comparisons of text: numbers by value where both are numbers,
// all else by the order of the folded text.
func (l *Leaf) order(q firetrail.Query) {
	compare := func(bound string) func(string) int {
		folded := Fold(bound)
		n, err := Size(bound)
		return func(s string) int {
			if v, verr := strconv.ParseFloat(s, 64); err == nil && verr == nil {
				return compareFloat(v, float64(n))
			}
			return strings.Compare(Fold(s), folded)
		}
	}
	low, high, exclLow, exclHigh := limits(q)
	cl, ch := compare(low), compare(high)
	l.Text = func(s string) bool {
		return (low == "*" || cl(s) > 0 || !exclLow && cl(s) == 0) && (high == "*" || ch(s) < 0 || !exclHigh && ch(s) == 0)
	}
	l.Need = needTest(l.Field, "", l.Text)
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// limits gives a comparison or a range as bounds, "*" where it is open.
func limits(q firetrail.Query) (low, high string, exclLow, exclHigh bool) {
	switch q.Match {
	case firetrail.MatchLess, firetrail.MatchAtMost:
		return "*", q.Value, false, q.Match == firetrail.MatchLess
	case firetrail.MatchMore, firetrail.MatchAtLeast:
		return q.Value, "*", q.Match == firetrail.MatchMore, false
	}
	return q.Value, q.High, q.Excl[0], q.Excl[1]
}

// synonyms are words for actions: those that people and other products use.
var synonyms = map[string][]string{
	"blocked": denied, "block": denied, "denied": denied,
	"dropped": {firetrail.ActionDrop}, "rejected": {firetrail.ActionReject},
	"accept": allowed, "accepted": allowed, "pass": allowed, "passed": allowed, "allowed": allowed, "permit": allowed, "permitted": allowed,
}

var (
	denied  = []string{firetrail.ActionDeny, firetrail.ActionDrop, firetrail.ActionReject, firetrail.ActionReset}
	allowed = []string{firetrail.ActionAllow}
)

// is compiles "field:value" for a text field.
func (l *Leaf) is(value, folded string) {
	l.Text, l.Need = func(s string) bool { return equalFold(s, folded) }, needKey(l.Field, value)
	switch {
	case l.Field == "uid" || l.Field == "community_id":
		// Ids of connections tell upper from lower case, and so does their bloom filter.
		l.Text = func(s string) bool { return s == value }
	case l.Field == "host":
		name := strings.TrimPrefix(strings.TrimSuffix(folded, "."), "*.")
		l.Text = func(s string) bool { return under(s, name) }
		l.Need = needTest("host", reversed(name), nil)
	case l.Field == "kind":
		l.Text = func(s string) bool { return s == folded || strings.HasPrefix(s, folded) && s[len(folded)] == '.' }
		l.Need = needTest("kind", "", l.Text)
	case l.Field == "action" && synonyms[folded] != nil:
		words := synonyms[folded]
		l.Text = func(s string) bool { return slices.Contains(words, s) }
		l.Need = needTest("action", "", l.Text)
	case l.def == nil && strings.Contains(value, "/"):
		if p, err := network(value); err == nil {
			l.Text = func(s string) bool {
				a, err := netip.ParseAddr(s)
				return err == nil && p.Contains(a.Unmap().WithZone("")) || equalFold(s, folded)
			}
			l.Need = needTest(l.Field, "", l.Text)
		}
	}
}

// under reports whether the name s is name or one of its subdomains.
func under(s, name string) bool {
	s = strings.TrimSuffix(s, ".")
	if equalFold(s, name) {
		return true
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '.' && equalFold(s[i+1:], name) {
			return true
		}
	}
	return false
}

func (l *Leaf) addr(q firetrail.Query) error {
	switch q.Match {
	case firetrail.MatchHas:
		l.Addr, l.Need = func(netip.Addr) bool { return true }, needTest(l.Field, "", nil)
	case firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchPhrase:
		p, err := network(q.Value)
		if err != nil {
			return fmt.Errorf("expected %s: %w", expected(l.Field), err)
		}
		l.Addr, l.Need = p.Contains, needPrefix(l.Field, p)
		if p.IsSingleIP() {
			a := p.Addr()
			l.Addr = func(b netip.Addr) bool { return a == b }
		}
	case firetrail.MatchWildcard:
		g := newGlob(q.Value)
		l.Addr = func(a netip.Addr) bool { return g.match(a.String()) }
	case firetrail.MatchRegexp:
		re, _, err := newRegexp(q.Value)
		if err != nil {
			return err
		}
		l.Addr = func(a netip.Addr) bool { return re.MatchString(a.String()) }
	default:
		return l.addrOrder(q)
	}
	return nil
}

func (l *Leaf) addrOrder(q firetrail.Query) error {
	low, high, exclLow, exclHigh := limits(q)
	var a, b netip.Addr
	var err error
	if low != "*" {
		if a, err = netip.ParseAddr(low); err != nil {
			return fmt.Errorf("expected an address: %q is none", low)
		}
	}
	if high != "*" {
		if b, err = netip.ParseAddr(high); err != nil {
			return fmt.Errorf("expected an address: %q is none", high)
		}
	}
	l.Addr = func(x netip.Addr) bool {
		// IPv4 comes before IPv6 in the order of addresses: a bound of one
		// family selects nothing of the other.
		return (low == "*" || x.BitLen() == a.BitLen() && (x.Compare(a) > 0 || !exclLow && x == a)) &&
			(high == "*" || x.BitLen() == b.BitLen() && (x.Compare(b) < 0 || !exclHigh && x == b))
	}
	return nil
}

// number compiles the test of numbers, times and durations: nearly always an interval.
func (l *Leaf) number(q firetrail.Query, env Env) error {
	low, high := int64(math.MinInt64+1), int64(math.MaxInt64)
	wrap := func(err error) error { return fmt.Errorf("expected %s: %w", expected(l.Field), err) }
	switch q.Match {
	case firetrail.MatchWildcard, firetrail.MatchRegexp:
		return l.printed(q)
	case firetrail.MatchHas:
	case firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchPhrase:
		var err error
		if low, high, err = number(l.def.Type, q.Value, env.Now, q.Match == firetrail.MatchExact); err != nil {
			return wrap(err)
		}
	default:
		lo, hi, exclLow, exclHigh := limits(q)
		if lo != "*" {
			a, b, err := number(l.def.Type, lo, env.Now, true)
			if err != nil {
				return wrap(err)
			}
			if low = a; exclLow {
				if low = b; b < math.MaxInt64 {
					low++
				} else {
					high = low - 1 // nothing is above
				}
			}
		}
		if hi != "*" {
			a, b, err := number(l.def.Type, hi, env.Now, true)
			if err != nil {
				return wrap(err)
			}
			if exclHigh {
				b = a - 1
			}
			high = min(high, b)
		}
	}
	l.Int, l.Need = func(n int64) bool { return low <= n && n <= high }, needBounds(l.Field, low, high)
	return nil
}

// printed tests the text of a number.
func (l *Leaf) printed(q firetrail.Query) error {
	t := &Leaf{Field: l.Field}
	if err := t.text(q); err != nil {
		return err
	}
	l.Int = func(n int64) bool { return t.Text(printNumber(l.def.Type, n)) }
	return nil
}

func printNumber(t firetrail.FieldType, n int64) string {
	switch t {
	case firetrail.TypeTime:
		return firetrail.Stamp(n)
	case firetrail.TypeDuration:
		return firetrail.Seconds(n)
	}
	return bareInt(n)
}
