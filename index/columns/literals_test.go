package columns

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// samples are bytes of the kinds that pages hold: of one value, of few, of many, even
// and uneven, in sizes about which the format has something to say.
func samples(r *rand.Rand) [][]byte {
	var all [][]byte
	for _, n := range []int{1, 2, 7, 31, 32, 48, 255, 256, 257, 1023, 1024, 1025, 4096, 4099, 16383, 16384, 32768, 65791, 65792, 90112, 1 << 17, 1<<17 + 1, 300000} {
		for _, values := range []int{1, 2, 3, 17, 62, 200, 256} {
			even, uneven := make([]byte, n), make([]byte, n)
			for i := range n {
				even[i] = byte(r.IntN(values))
				uneven[i] = byte(min(int(r.ExpFloat64()*float64(values)/8), 255))
			}
			all = append(all, even, uneven)
		}
	}
	return all
}

// numbers are numbers of eight bytes whose lowest few differ.
func numbers(r *rand.Rand) [][]byte {
	var all [][]byte
	for _, n := range []int{0, 1, 2, 3, 7, 8, 9, 127, 128, 129, 130, 1000, 4095, 4096, 1 << 14, 1<<14 + 1} {
		for width := range 9 {
			for _, base := range []uint64{0, 0x0006123456789abc, 1 << 63, ^uint64(0)} {
				var b []byte
				for range n {
					v := base
					if width > 0 {
						v ^= r.Uint64() >> (64 - 8*width)
					}
					b = binary.LittleEndian.AppendUint64(b, v)
				}
				all = append(all, b)
			}
		}
	}
	return all
}

func checkFrame(t *testing.T, d *zstd.Decoder, frame, want []byte) {
	t.Helper()
	got, err := d.DecodeAll(frame, nil)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes are others when decoded", len(want))
	}
	if len(frame) > len(want)+16+len(want)/maxBlock*4 {
		t.Fatalf("a frame of %d bytes for %d", len(frame), len(want))
	}
}

func TestLiterals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d, _ := zstd.NewReader(nil)
	defer d.Close()
	var l literals
	for _, want := range samples(r) {
		checkFrame(t, d, l.frame(nil, want), want)
	}
}

func TestNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d, _ := zstd.NewReader(nil)
	defer d.Close()
	var l literals
	framed := 0
	for _, want := range numbers(r) {
		frame := l.numbers(nil, want)
		if frame == nil {
			continue
		}
		framed++
		checkFrame(t, d, frame, want)
		if len(want) >= 8000 && len(frame) > len(want)*5/8+300 {
			t.Errorf("%d bytes of numbers take %d", len(want), len(frame))
		}
	}
	if framed < 100 {
		t.Errorf("only %d frames of numbers", framed)
	}
}

// TestFramesLikeZstd has the reference implementation decode the frames.
func TestFramesLikeZstd(t *testing.T) {
	tool, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd here")
	}
	r := rand.New(rand.NewPCG(9, 10))
	var l literals
	var frames, want []byte
	for _, b := range samples(r) {
		frames, want = l.frame(frames, b), append(want, b...)
	}
	for _, b := range numbers(r) {
		if frame := l.numbers(nil, b); frame != nil {
			frames, want = append(frames, frame...), append(want, b...)
		}
	}
	path := filepath.Join(t.TempDir(), "frames.zst")
	if err := os.WriteFile(path, frames, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), tool, "-dc", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("zstd decodes other bytes")
	}
}

func FuzzLiterals(f *testing.F) {
	f.Add([]byte("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbcccccccc"))
	f.Add(bytes.Repeat([]byte{1, 2, 0, 0, 0, 0, 0, 0}, 40))
	f.Add(bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), 40))
	d, _ := zstd.NewReader(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		var l literals
		if len(b) > 0 {
			checkFrame(t, d, l.frame(nil, b), b)
		}
		b = b[:len(b)/8*8]
		if frame := l.numbers(nil, b); frame != nil {
			checkFrame(t, d, frame, b)
		}
	})
}

// TestIntDict compares codes of numbers with those of a map.
func TestIntDict(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var d intDict
	for _, span := range []int64{1, 10, 1 << 10, maxRange, maxRange + 1, 1 << 40, 1<<63 - 1} {
		for _, low := range []int64{0, -5, absent + 1, 1 << 40} {
			for _, limit := range []int{1, 100, 5000} {
				values := make([]int64, 5000)
				for i := range values {
					values[i] = low + r.Int64N(span)
					if values[i] < low || i > 0 && r.IntN(8) == 0 {
						values[i] = low
					}
					if r.IntN(10) == 0 {
						values[i] = absent
					}
				}
				_, least, most := intBounds(values)
				codes, order := map[int64]uint32{absent: Null}, []int64{}
				want := make([]uint32, len(values))
				for i, v := range values {
					if _, known := codes[v]; !known {
						codes[v] = uint32(len(order))
						order = append(order, v)
					}
					want[i] = codes[v]
				}
				ok := d.encode(values, limit, least, most)
				if ok != (len(order) <= limit) {
					t.Fatalf("%d different numbers, limit %d: %v", len(order), limit, ok)
				}
				if ok && (!slices.Equal(d.codes, want) || !slices.Equal(d.values, order)) {
					t.Fatalf("codes of numbers from %d within %d", low, span)
				}
			}
		}
	}
}

func TestIntBounds(t *testing.T) {
	for _, c := range []struct {
		ints      []int64
		nulls     int
		low, high int64
	}{
		{[]int64{3, -4, 9}, 0, -4, 9},
		{[]int64{absent, 3, absent, 7}, 2, 3, 7},
		{[]int64{absent + 1, absent}, 1, absent + 1, absent + 1},
		{[]int64{1<<63 - 1}, 0, 1<<63 - 1, 1<<63 - 1},
		{[]int64{absent, absent}, 2, 1<<63 - 1, absent},
	} {
		if nulls, low, high := intBounds(c.ints); nulls != c.nulls || low != c.low || high != c.high {
			t.Errorf("%v: %d nulls, from %d to %d", c.ints, nulls, low, high)
		}
	}
}

func TestValid(t *testing.T) {
	for _, c := range []struct {
		values []string
		valid  bool
	}{
		{nil, true},
		{[]string{"plain", "texts of ASCII only"}, true},
		{[]string{"na\u00efve", "\u65e5\u672c"}, true},
		{[]string{"\xc3", "\xa9"}, false}, // a character that two values share
		{[]string{"long enough for a word", "\xff"}, false},
		{[]string{"12345678", "\x80"}, false},
	} {
		d := newTextDict()
		for _, v := range c.values {
			d.code(v)
		}
		if d.valid() != c.valid {
			t.Errorf("%q: %v", c.values, d.valid())
		}
	}
}

// TestEmptyPage wants a page without values to be plain, whatever the others are: other
// readers look for the head of a dictionary's codes even where none follow.
func TestEmptyPage(t *testing.T) {
	evs := conns(2 * BlockRows)
	for i := range evs[BlockRows:] {
		ev := &evs[BlockRows+i]
		ev.Service, ev.BytesOut, ev.Duration, ev.End = "", absent, absent, absent
	}
	s, err := Open(write(t, t.TempDir(), evs)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.NewReader()
	defer r.Close()
	for _, name := range []string{"service", "bytes_out", "duration"} {
		column, ok := s.Column(name)
		if !ok {
			t.Fatal(name)
		}
		idx, err := s.index(chunkID{0, column})
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := r.readPage(idx.pages[1].offset, idx.pages[1].size)
		if err != nil {
			t.Fatal(err)
		}
		if h.encoding != format.Plain || h.nulls != BlockRows {
			t.Errorf("%s: encoding %v, %d nulls", name, h.encoding, h.nulls)
		}
	}
}
