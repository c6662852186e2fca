package query

import (
	"net/netip"
	"strings"

	"firetrail"
)

// fuseLeast is how many alternatives of one field are worth one test of all.
const fuseLeast = 4

// fuse makes one leaf of the alternatives that ask the same field for one of many
// values, so that a value is looked up once instead of being compared with each: equal
// addresses, names and their subdomains, exact texts, ranges of ports. What remains is
// for Compile.
func fuse(args []firetrail.Query) (leaves []*Predicate, rest []firetrail.Query) {
	many := map[string]int{}
	for i := range args {
		many[fusible(&args[i])]++
	}
	sets := map[string]*valueSet{}
	var order []*valueSet
	for i := range args {
		key := fusible(&args[i])
		if key == "" || many[key] < fuseLeast {
			rest = append(rest, args[i])
			continue
		}
		s := sets[key]
		if s == nil {
			s = &valueSet{field: args[i].Field, texts: map[string]bool{}, addrs: map[netip.Addr]bool{}}
			sets[key] = s
			order = append(order, s)
		}
		s.add(&args[i])
	}
	for _, s := range order {
		leaves = append(leaves, s.leaf())
	}
	return leaves, rest
}

// fusible names the set that a test may go into, "" for none.
func fusible(q *firetrail.Query) string {
	if q.Op == firetrail.OpMatch && portRange(q) != nil {
		return q.Field
	}
	if q.Op != firetrail.OpMatch || q.Match != firetrail.MatchIs && q.Match != firetrail.MatchExact {
		return ""
	}
	def, ok := firetrail.FieldNamed(q.Field)
	switch {
	case !ok || def.Int != nil || q.Field == "uid" || q.Field == "community_id":
		return ""
	case def.Addr != nil:
		if p, err := network(q.Value); err != nil || !p.IsSingleIP() {
			return ""
		}
		return q.Field
	case q.Match == firetrail.MatchExact:
		return q.Field + " exactly"
	case q.Field == "host":
		return q.Field
	}
	return ""
}

// valueSet is many values of one field.
type valueSet struct {
	field string
	exact bool
	texts map[string]bool
	addrs map[netip.Addr]bool
	ports *[1 << 10]uint64 // a bit for each
	needs Need
}

// portRange compiles a port or a range of ports; nil for anything else.
func portRange(q *firetrail.Query) *Leaf {
	switch q.Match {
	case firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchRange:
	default:
		return nil
	}
	l := &Leaf{Field: q.Field}
	var ok bool
	if l.def, ok = firetrail.FieldNamed(q.Field); !ok || l.def.Type != firetrail.TypePort || l.number(*q, Env{}) != nil {
		return nil
	}
	return l
}

func (s *valueSet) add(q *firetrail.Query) {
	s.exact = q.Match == firetrail.MatchExact
	var one Need
	switch l := portRange(q); {
	case l != nil:
		if s.ports == nil {
			s.ports = new([1 << 10]uint64)
		}
		for n := max(l.Need.Low, 0); n <= min(l.Need.High, 1<<16-1); n++ {
			s.ports[n/64] |= 1 << (n % 64)
		}
		one = l.Need
	case !s.text():
		p, _ := network(q.Value)
		s.addrs[p.Addr()] = true
		one = needPrefix(s.field, p)
	case s.exact:
		s.texts[q.Value] = true
		one = needKey(s.field, q.Value)
	default:
		name := strings.TrimPrefix(strings.TrimSuffix(Fold(q.Value), "."), "*.")
		s.texts[name] = true
		one = needTest("host", reversed(name), nil)
	}
	s.needs.Op = firetrail.OpOr
	s.needs.Args = append(s.needs.Args, one)
}

// text reports whether the field holds text, not addresses.
func (s *valueSet) text() bool {
	def, _ := firetrail.FieldNamed(s.field)
	return def.Text != nil
}

func (s *valueSet) leaf() *Predicate {
	l := &Leaf{Field: s.field, Need: s.needs}
	l.def, _ = firetrail.FieldNamed(s.field)
	switch {
	case s.ports != nil:
		l.Int = func(n int64) bool { return n >= 0 && n < 1<<16 && s.ports[n/64]>>(n%64)&1 != 0 }
	case !s.text():
		l.Addr = func(a netip.Addr) bool { return s.addrs[a] }
	case s.exact:
		l.Text = func(v string) bool { return s.texts[v] }
	default:
		l.Text = s.covers
	}
	return &Predicate{Op: firetrail.OpMatch, Leaf: l}
}

// covers reports whether a name, or one that it is a subdomain of, is in the set.
func (s *valueSet) covers(name string) bool {
	name = strings.TrimSuffix(Fold(name), ".")
	if s.texts[name] {
		return true
	}
	for {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if s.texts[rest] {
			return true
		}
		name = rest
	}
}

// AddrSet tests whether a field is one of many addresses, as an Or of Exactly does.
func AddrSet(field string, addrs []netip.Addr) *Predicate {
	s := &valueSet{field: field, addrs: map[netip.Addr]bool{}}
	s.needs.Op = firetrail.OpOr
	for _, a := range addrs {
		s.addrs[a] = true
		s.needs.Args = append(s.needs.Args, needPrefix(field, netip.PrefixFrom(a, a.BitLen())))
	}
	return s.leaf()
}
