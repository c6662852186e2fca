package query

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"firetrail"
)

// TestFuse: many alternatives of one field select what each of them selects.
func TestFuse(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	names := []string{"pool.example", "POOL.example.", "*.a.example", "example", "", ".", "eu.pool.example", "ool.example", "ü.example", "Ü.example"}
	for n := range 400 {
		var args []firetrail.Query
		for range 1 + rnd.IntN(14) {
			a := firetrail.Query{Op: firetrail.OpMatch, Match: firetrail.Match(rnd.IntN(2))}
			switch rnd.IntN(6) {
			case 0, 1:
				a.Field, a.Value = "host", pick(names...)
			case 2:
				a.Field, a.Value = pick("dst_ip", "nat_src_ip"), pick("2001:db8:0:1::9", "10.20.3.7", "::ffff:198.51.100.4", "198.51.100.0/24", "10.0.0.1")
			case 3:
				a.Field, a.Value = "action", pick("drop", "blocked", "Drop", "allow")
			default:
				a.Field, a.Value = "src_port", fmt.Sprint(50000+rnd.IntN(3))
				if rnd.IntN(2) == 0 {
					a.Match, a.High, a.Excl[0] = firetrail.MatchRange, pick("50001", "*", "49999", "65535"), rnd.IntN(2) == 0
				}
			}
			args = append(args, a)
		}
		p, err := Compile(firetrail.Or(args...), Env{})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ev := sample()
			ev.Host = pick(append(names, "x.eu.pool.example", "A.EXAMPLE", "b.a.example", "xpool.example", "a.ü.example", "a.Ü.example.", "example..")...)
			ev.SrcPort = []int64{firetrail.Absent, 0, 49999, 50000, 50001, 50002, 65535}[rnd.IntN(7)]
			ev.Action = pick("", "drop", "allow", "Drop", "reset")
			want := false
			for _, a := range args {
				one, err := Compile(a, Env{})
				if err != nil {
					t.Fatal(err)
				}
				want = want || one.Event(&ev)
			}
			if got := p.Event(&ev); got != want {
				t.Fatalf("%d: %+v selects %q %q: %v, want %v", n, args, ev.Host, ev.Action, got, want)
			}
		}
	}
	if _, err := Compile(firetrail.Or(firetrail.Is("dst_ip", "x"), firetrail.Is("dst_ip", "10.0.0.1"), firetrail.Is("dst_ip", "10.0.0.2"), firetrail.Is("dst_ip", "10.0.0.3"), firetrail.Is("dst_ip", "10.0.0.4")), Env{}); err == nil {
		t.Error("a wrong operand among many was taken")
	}
}
