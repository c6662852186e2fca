package query

import (
	"math/rand/v2"
	"strings"
	"testing"

	"firetrail"
)

// hostileValues are texts that could be taken for something else.
var hostileValues = []string{"a", "AND", "or", "Not", "TO", "*", "?", "a*b", `\`, `\\`, `a\*`, `"`, `a "b" c`, "(", ")", "[a TO b]", "{x}", "a b", " a", "a ", "\t", "\n", "-a", "--", "!a", "!", "/a/", "/", "a/b", "/a b/",
	">5", ">=", "<", "=x", "==", "a:b", ":", "src_ip:1", "x.a:b", "has:x", "&&", "||", "in", "user", "G", "é", "Ü ü", "日本", "\u202e", "\x1b[31m", "\xff\xfe", "a\x00b", "2001:db8::1", "10.0.0.0/8", "00:11:22:33:44:55", "http://a/?b=c", "1G", "443", ""}

// randomTree makes any query that a program may build, values of all kinds of fields included.
func randomTree(r *rand.Rand, depth int) firetrail.Query {
	if depth > 0 && r.IntN(3) > 0 {
		args := make([]firetrail.Query, r.IntN(4))
		for i := range args {
			args[i] = randomTree(r, depth-1)
		}
		switch r.IntN(3) {
		case 0:
			return firetrail.And(args...)
		case 1:
			return firetrail.Or(args...)
		}
		return firetrail.Not(randomTree(r, depth-1))
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	q := firetrail.Query{Op: firetrail.OpMatch}
	switch r.IntN(6) {
	case 0: // numbers, times, addresses
		kinds := [][]string{{"dst_port", "80", "443"}, {"bytes_out", "1k", "1.5G"}, {"duration", "90s", "1h30m"}, {"time", "2026-03-01", "2026-03-01T10:15:00Z"}, {"src_ip", "10.0.0.0", "10.0.0.9"}, {"line", "1", "22"}}
		k := kinds[r.IntN(len(kinds))]
		q.Field, q.Value = k[0], k[1]
		q.Match = []firetrail.Match{firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchLess, firetrail.MatchAtMost, firetrail.MatchMore, firetrail.MatchAtLeast, firetrail.MatchRange, firetrail.MatchHas}[r.IntN(8)]
		switch q.Match {
		case firetrail.MatchRange:
			q.High, q.Excl = k[2], [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
			if r.IntN(4) == 0 {
				q.Value = "*"
			}
			if r.IntN(4) == 0 {
				q.High = "*"
			}
		case firetrail.MatchHas:
			q.Value = ""
		}
		return q
	case 1:
		q.Match, q.Value = firetrail.MatchWildcard, pick("*", "a*", "*?b", `\**`, "*(a", "* b", `*"`, "*[", "*]", "-*", "/*", "*=x", "*:", "AND*")
		q.Field = pick("", "host", "x.a b", "rule")
		if q.Field == "" && q.Value == "*" {
			q.Value = "*a"
		}
		return q
	case 2:
		q.Match, q.Value, q.Field = firetrail.MatchRegexp, pick("a", "a b", "a/b", `\/`, `\\`, "[(]", "^$", `a\.b"`), pick("", "url", "x.n")
		return q
	}
	q.Field = pick("", "rule", "host", "x.user-agent", `x.a:b`, "x.=", "x.(", "user", "uid")
	q.Value = hostileValues[r.IntN(len(hostileValues))]
	switch {
	case q.Field == "":
		q.Match = []firetrail.Match{firetrail.MatchIs, firetrail.MatchPhrase}[r.IntN(2)]
		if len(foldedWords(q.Value)) == 0 {
			q.Value += "w"
		}
	case worded(q.Field):
		q.Match = []firetrail.Match{firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchPhrase, firetrail.MatchMore}[r.IntN(4)]
	default:
		q.Match = []firetrail.Match{firetrail.MatchIs, firetrail.MatchExact, firetrail.MatchAtMost}[r.IntN(3)]
	}
	return q
}

// TestPrintIsReadBack: what is printed is read back as the same query, whatever it is.
func TestPrintIsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for range 20_000 {
		checkPrint(t, randomTree(r, 4))
	}
}

// TestLongAndDeep: long queries take time in proportion, deep ones are refused.
func TestLongAndDeep(t *testing.T) {
	long := strings.Repeat("dst_port:443 OR host:a.example OR ", 20_000) + "x"
	q, err := Parse(long)
	if err != nil || len(q.Args) != 40_001 {
		t.Fatalf("%d alternatives, %v", len(q.Args), err)
	}
	checkPrint(t, q)
	for _, deep := range []string{strings.Repeat("NOT ", 1_000_000) + "a", strings.Repeat("-", 1_000_000) + "a", strings.Repeat("(", 1_000_000), "host:" + strings.Repeat("(", 1_000_000)} {
		_, err := Parse(deep)
		if err == nil {
			t.Fatal("a query nested a million deep is accepted")
		}
		if n := len(err.Error()); n > 1000 {
			t.Errorf("an error of %d bytes", n)
		}
	}
}
