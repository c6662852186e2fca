package query

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"firetrail"
)

// text compiles the test of a text, a name, or a record's own field.
func (l *Leaf) text(q firetrail.Query) error {
	if strings.HasPrefix(l.Field, "x.") {
		l.Whole = wholeNumbers(q)
	}
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
		l.Text = matcher(q.Value, re)
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

// wholeNumbers finds the whole numbers whose text passes a test of a record's own field,
// if they are an interval.
func wholeNumbers(q firetrail.Query) *Bounds {
	all := Bounds{math.MinInt64 + 1, math.MaxInt64}
	switch q.Match {
	case firetrail.MatchHas:
		return &all
	case firetrail.MatchIs, firetrail.MatchExact:
		n, err := strconv.ParseInt(q.Value, 10, 64)
		if err != nil || bareInt(n) != q.Value {
			return &Bounds{1, 0} // no number is printed like this
		}
		return &Bounds{n, n}
	case firetrail.MatchPhrase, firetrail.MatchWildcard, firetrail.MatchRegexp:
		return nil
	}
	low, high, exclLow, exclHigh := limits(q)
	for _, end := range []struct {
		text string
		excl bool
		to   *int64
		step int64
	}{{low, exclLow, &all.Low, 1}, {high, exclHigh, &all.High, -1}} {
		if end.text == "*" {
			continue
		}
		// Texts are compared as floats: beyond 2^53 several whole numbers are one.
		n, err := Size(end.text)
		if err != nil || n > 1<<53 || n < -1<<53 {
			return nil
		}
		if *end.to = n; end.excl {
			*end.to += end.step
		}
	}
	return &all
}

// compareFloat orders numbers; one that is not a number equals all.
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

// protocols are the common ones by name and by number, either of which stands for both.
var protocols = map[string]string{"icmp": "1", "1": "icmp", "tcp": "6", "6": "tcp", "udp": "17", "17": "udp", "icmpv6": "58", "58": "icmpv6", "sctp": "132", "132": "sctp"}

// is compiles "field:value" for a text field.
func (l *Leaf) is(value, folded string) {
	l.Text, l.Need = func(s string) bool { return equalFold(s, folded) }, needKey(l.Field, value)
	switch {
	case l.Field == "uid" || l.Field == "community_id":
		// Ids of connections tell upper from lower case, and so does their bloom filter.
		l.Text = func(s string) bool { return s == value }
	case l.Field == "host":
		name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(folded, "."), "*"), ".")
		l.Text = func(s string) bool { return under(s, name) }
		l.Need = needTest("host", reversed(name), nil)
	case l.Field == "kind":
		l.Text = func(s string) bool { return s == folded || strings.HasPrefix(s, folded) && s[len(folded)] == '.' }
		l.Need = needTest("kind", "", l.Text)
	case l.Field == "time.guess":
		// Where both were missing the text is "year,zone": either word finds it.
		l.Text = func(s string) bool {
			first, second, _ := strings.Cut(s, ",")
			return equalFold(s, folded) || folded != "" && (first == folded || second == folded)
		}
		l.Need = needTest(l.Field, "", l.Text)
	case l.Field == "proto" && protocols[folded] != "":
		number := protocols[folded]
		l.Text = func(s string) bool { return equalFold(s, folded) || s == number }
		l.Need = needTest("proto", "", l.Text)
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

// addr compiles the test of an address: networks, patterns over the printed address, order.
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

// addrOrder compiles comparisons of addresses; those of another family never pass.
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
