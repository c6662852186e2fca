package blocks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"firetrail/index/query"
)

// addAddr adds the terms of an address: its networks and itself.
func addAddr(w *Writer, block int, field string, a netip.Addr) {
	for _, bits := range query.AddrLevels(a.Is4()) {
		p, _ := a.Prefix(bits)
		w.Add(block, w.Intern(query.AddrTerm(field, p)))
	}
}

// fill fills w with the terms that a segment of Zeek conn records has.
func fill(w *Writer, blocks int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for b := range blocks {
		for range 300 {
			a := netip.AddrFrom4([4]byte{10, byte(rnd.IntN(4)), byte(rnd.IntN(16)), byte(rnd.IntN(256))})
			addAddr(w, b, "src_ip", a)
		}
		for range 1000 {
			a := netip.AddrFrom4([4]byte{byte(rnd.IntN(20) + 20), byte(rnd.IntN(64)), byte(rnd.IntN(16)), byte(rnd.IntN(16))})
			addAddr(w, b, "dst_ip", a)
		}
		for range 100 {
			w.Add(b, w.Intern(query.PortTerm("dst_port", int64(rnd.IntN(5000)))))
			w.Add(b, w.Intern(query.TermKey("x.history", fmt.Sprint("h", rnd.IntN(500)))))
		}
	}
	w.Blocks(blocks)
}

func TestIndex(t *testing.T) {
	w := NewWriter()
	host := func(b int, name string) { w.Add(b, w.Intern(query.TermKey("host", query.TermValue("host", name)))) }
	host(0, "a.pool.example")
	host(3, "Pool.Example.")
	host(4, "b.pool.example")
	host(5, "pool.example.org")
	w.Add(7, w.Intern(query.Over("host")))
	addAddr(w, 2, "src_ip", netip.MustParseAddr("10.1.2.3"))
	addAddr(w, 6, "dst_ip", netip.MustParseAddr("2001:db8::7"))
	w.Blocks(9)
	path := filepath.Join(t.TempDir(), "x.blocks")
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	x, err := Open(path, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, c := range []struct {
		query string
		want  string
	}{
		{"host:pool.example", "[0 3 4 7]"},
		{"host:*.pool.example", "[0 4 7]"},
		{"host:/^pool/", "[0 3 4 5 7]"}, // the literal alone is known to the plan
		{"host:b*", "[4 7]"},
		{"host:evil.example", "[7]"},
		{"src_ip:10.1.2.3", "[2]"},
		{"src_ip:10.0.0.0/12", "[2]"},
		{"src_ip:10.0.0.0/7", "[2]"},
		{"src_ip:10.1.2.0/30", "[2]"},
		{"src_ip:10.16.0.0/12", "[]"},
		{"src_ip:0.0.0.0/0", "[2]"},
		{"dst_ip:2001:db8::/33", "[6]"},
		{"dst_ip:2001:db8::/30", "[6]"},
		{"dst_ip:2001:db8:1::/48", "[]"},
		{"has:src_ip", "[2]"},
		{"dst_port:80", "[]"},
		{"bytes_out:>5", "[0 1 2 3 4 5 6 7 8]"},
	} {
		q, err := query.Parse(c.query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := query.Compile(q, query.Env{})
		if err != nil {
			t.Fatal(err)
		}
		n := p.Plan()
		set, err := x.Match(n)
		if err != nil {
			t.Fatal(err)
		}
		got := []int{}
		for b := range 9 {
			if set.Has(b) {
				got = append(got, b)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.query, got, c.want)
		}
	}
	var names []string
	if err := x.Values("host", "po", func(v string, n int) bool {
		names = append(names, fmt.Sprint(v, " ", n))
		return true
	}); err != nil || fmt.Sprint(names) != "[pool.example 1 pool.example.org 1]" {
		t.Errorf("values %v, %v", names, err)
	}
}

// TestOrder sorts many terms that begin alike, end early and hold zeros.
func TestOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	w := NewWriter()
	for range 20_000 {
		text := []byte("dst_ip"[:rnd.IntN(7)])
		for range rnd.IntN(16) {
			text = append(text, []byte{0, 1, 'a', 0xff}[rnd.IntN(4)])
		}
		w.Intern(string(text))
	}
	order := w.order()
	if len(order) != w.Terms() {
		t.Fatalf("%d of %d terms", len(order), w.Terms())
	}
	for i := 1; i < len(order); i++ {
		if a, b := w.terms[order[i-1].term], w.terms[order[i].term]; a >= b {
			t.Fatalf("term %d is %q behind %q", i, b, a)
		}
	}
}

func TestDamage(t *testing.T) {
	w := NewWriter()
	fill(w, 4)
	path := filepath.Join(t.TempDir(), "x.blocks")
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 5); !errors.Is(err, ErrDamaged) {
		t.Errorf("another number of blocks: %v", err)
	}
	if _, err := Open(path+"x", 4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := query.Need{Op: 1, Field: "dst_ip", Prefix: ""}
	for i := 0; i < len(whole); i += 997 {
		if err := os.WriteFile(path, whole[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		if x, err := Open(path, 4); err == nil {
			x.Match(n)
			x.Close()
			t.Errorf("cut to %d of %d bytes: accepted", i, len(whole))
		}
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x5a
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if x, err := Open(path, 4); err == nil {
			if _, err := x.Match(n); err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			x.Close()
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.blocks")
	w := NewWriter()
	for b.Loop() {
		w.Reset()
		fill(w, 256)
		if err := w.WriteFile(path); err != nil {
			b.Fatal(err)
		}
	}
	info, _ := os.Stat(path)
	b.ReportMetric(float64(info.Size())/(256*4096), "bytes/event")
	b.ReportMetric(float64(w.Terms()), "terms")
	b.ReportMetric(256*4096*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkFill(b *testing.B) {
	w := NewWriter()
	for b.Loop() {
		w.Reset()
		fill(w, 256)
	}
	b.ReportMetric(256*4096*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkOpenAbsent(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.blocks")
	w := NewWriter()
	fill(w, 256)
	if err := w.WriteFile(path); err != nil {
		b.Fatal(err)
	}
	q, _ := query.Parse("dst_ip:192.0.2.77")
	p, _ := query.Compile(q, query.Env{})
	n := p.Plan()
	for b.Loop() {
		x, err := Open(path, 256)
		if err != nil {
			b.Fatal(err)
		}
		if set, err := x.Match(n); err != nil || set.Len() != 0 {
			b.Fatal(set, err)
		}
		x.Close()
	}
}
