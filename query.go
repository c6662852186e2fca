package firetrail

// Query selects events. It is a tree of plain values: the language of people is
// parsed into it and printed from it by index/query, and detectors build it by
// the constructors below. The zero value selects every event.
type Query struct {
	Op    QueryOp
	Args  []Query // of And, Or (any number) and Not (one)
	Field string  // of a match: a name of Fields, "x.NAME", "time.guess", or the
	//               virtual "ip" (any address), "port" (any port), "" (a bare word)
	Match Match
	Value string  // operand as people write it: "10.0.0.0/8", "1G", "-24h", "*.example"
	High  string  // upper bound of a range; "*" on either side is unbounded
	Excl  [2]bool // the range excludes its lower, upper bound
}

// QueryOp is what a node of a query is.
type QueryOp uint8

const (
	OpAll   QueryOp = iota // every event
	OpMatch                // a test of one field
	OpAnd                  // all of Args; every event if there are none
	OpOr                   // any of Args; no event if there are none
	OpNot                  // not Args[0]
)

// Match is how a field is tested.
type Match uint8

const (
	MatchIs       Match = iota // "field:value": equal; a network holds the address; a name covers its subdomains
	MatchExact                 // "field:=value": equal and nothing more
	MatchLess                  // <
	MatchAtMost                // <=
	MatchMore                  // >
	MatchAtLeast               // >=
	MatchRange                 // [low TO high], {low TO high}
	MatchWildcard              // * and ? in the value
	MatchRegexp                // /expression/, RE2, unanchored
	MatchHas                   // has:field
	MatchPhrase                // "quoted words" in order, in a text field
)

// And selects what all of qs select.
func And(qs ...Query) Query { return Query{Op: OpAnd, Args: qs} }

// Or selects what any of qs selects.
func Or(qs ...Query) Query { return Query{Op: OpOr, Args: qs} }

// Not selects what q does not.
func Not(q Query) Query { return Query{Op: OpNot, Args: []Query{q}} }

// Is selects events whose field is value: "src_ip" with an address or a network,
// "host" with a name and its subdomains, any other field with an equal value.
func Is(field, value string) Query {
	return Query{Op: OpMatch, Field: field, Match: MatchIs, Value: value}
}

// Exactly selects events whose field equals value.
func Exactly(field, value string) Query {
	return Query{Op: OpMatch, Field: field, Match: MatchExact, Value: value}
}

// Between selects events with low <= field <= high.
func Between(field, low, high string) Query {
	return Query{Op: OpMatch, Field: field, Match: MatchRange, Value: low, High: high}
}

// During selects events whose time lies in [start, end].
func During(start, end int64) Query {
	return Between("time", Stamp(start), Stamp(end))
}
