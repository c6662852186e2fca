package query

import (
	"errors"
	"fmt"
	"net/netip"
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

	// Whole says of a record's own field which of its values that are whole numbers
	// pass, as strconv prints them: those within the bounds. Nil: their text decides.
	Whole *Bounds

	def *firetrail.FieldDef
}

// Bounds are the numbers from Low to High.
type Bounds struct{ Low, High int64 }

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
	case firetrail.OpOr:
		p.Args, q.Args = fuse(q.Args)
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

// event tests the leaf against a whole event, as the index tests it against columns.
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

// compileMatch compiles one test; names that stand for several fields become an alternative of all.
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
		return nil, errors.New(Unknown(q.Field))
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
		return matcher(q.Value, re), needFragment(literal), nil
	}
	return nil, Need{}, errors.New("a comparison needs a field: field:>value")
}
