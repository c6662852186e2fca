package index

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestScanManifest compares what is scanned with what is decoded.
func TestScanManifest(t *testing.T) {
	dir := t.TempDir()
	st := newState()
	rnd := rand.New(rand.NewPCG(1, 7))
	hostile := []string{`a.log`, `"\`, `]}{[`, `\\"`, "\x1b[31mé\u2028", `,"sum":"`}
	for i := range 200 {
		id := fmt.Sprintf("%016x", i)
		e := commit{Sources: []taking{{Source: firetrail.Source{ID: id, Path: hostile[rnd.IntN(len(hostile))], First: -rnd.Int64(), Size: int64(i)}}}}
		for k := range rnd.IntN(4) {
			e.Segments = append(e.Segments, segment{Name: fmt.Sprintf("%016x-%06d", i, k), Kind: "zeek.conn", Sources: []sourceRows{{Source: id, Rows: rnd.Int64(), From: 3, To: rnd.Int64()}, {Source: "x"}}[:1+rnd.IntN(2)], Rows: rnd.Int64(), Dated: rnd.Int64N(9),
				First: -rnd.Int64(), Last: rnd.Int64(), NAT: rnd.IntN(2) == 0, Size: 7, SHA256: "ab", Flows: "cd"})
		}
		if i > 3 && rnd.IntN(3) == 0 {
			e.Drop = append(e.Drop, fmt.Sprintf("%016x-%06d", i-rnd.IntN(3)-1, 0))
		}
		if rnd.IntN(9) == 0 {
			e.Sources[0].Also, e.Segments, e.Drop = hostile[rnd.IntN(len(hostile))], nil, nil
		}
		if err := st.commit(dir, e); err != nil {
			t.Fatal(err)
		}
	}
	data, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range [][]byte{nil, data, append(data[:len(data):len(data)], `{"commit":{"sou`...)} {
		got, ok := scanManifest(torn)
		if !ok {
			t.Fatal("a manifest of this program is not understood")
		}
		whole, err := decodeState(torn)
		if err != nil {
			t.Fatal(err)
		}
		want := whole.snapshot()
		if d := cmp.Diff(append([]segment{}, want.segments...), got.segments, cmpopts.IgnoreUnexported(sourceRows{})); d != "" || got.chain != want.chain || got.commits != want.commits {
			t.Errorf("%d commits, want %d: %s", got.commits, want.commits, d)
		}
	}
	// Any changed byte breaks the chain: the scan leaves it to decodeState, which says where.
	for range 500 {
		bad := append([]byte(nil), data...)
		at := rnd.IntN(len(bad) - 1)
		if bad[at] ^= 1 << rnd.IntN(8); bad[at] == '\n' || data[at] == '\n' {
			continue
		}
		if _, ok := scanManifest(bad); ok {
			t.Fatalf("byte %d is changed and accepted", at)
		}
	}
}

// FuzzJSONCursor skips any JSON that encoding/json writes, and takes nothing else for
// a whole value that is none in the eyes of a writer.
func FuzzJSONCursor(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,null,"\"]"],"b":{}}`, `[[],{},""]`, `"\\"`, `7`, `{"a":}`, `]`, `{"a":1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if json.Unmarshal(data, &v) != nil {
			c := jsonCursor{b: data}
			c.skip() // must end
			return
		}
		compact, err := json.Marshal(v)
		if err != nil {
			t.Skip()
		}
		c := jsonCursor{b: compact}
		if c.skip(); c.bad || c.at != len(compact) {
			t.Fatalf("%s: at %d of %d, bad %v", compact, c.at, len(compact), c.bad)
		}
		if _, ok := v.(map[string]any); ok {
			n := 0
			c = jsonCursor{b: compact}
			c.object(func(string) { c.skip(); n++ })
			if !c.bad && n != len(v.(map[string]any)) {
				t.Fatalf("%s: %d fields", compact, n)
			}
		}
	})
}

func BenchmarkScanManifest(b *testing.B) {
	dir := largeCase(b)
	data, err := os.ReadFile(dir + "/" + manifestName)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, ok := scanManifest(data); !ok {
			b.Fatal("not understood")
		}
	}
}
