package blocks

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"firetrail"
	"firetrail/index/query"
)

// BenchmarkMatch looks up terms of all kinds in the index of a large segment.
func BenchmarkMatch(b *testing.B) {
	w := NewWriter()
	for i := range 200_000 {
		name := fmt.Sprintf("h%d.d%d.example", i, i%500)
		w.Add(i%MaxBlocks, w.Intern(query.TermKey("host", query.TermValue("host", name))))
	}
	w.Blocks(MaxBlocks)
	path := filepath.Join(b.TempDir(), "x")
	if err := w.WriteFile(path); err != nil {
		b.Fatal(err)
	}
	x, err := Open(path, MaxBlocks)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	for _, text := range []string{"host:=h7.d7.example", "host:=absent.example", "host:d7.example", "host:*99.d7*"} {
		q, err := query.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		p, err := query.Compile(q, query.Env{})
		if err != nil || p.Op != firetrail.OpMatch {
			b.Fatal(err)
		}
		b.Run(strings.ReplaceAll(text, "/", "|"), func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Match(p.Leaf.Need); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
