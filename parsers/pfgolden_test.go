package parsers

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// pfGolden prints what was read of a source: its events with every field, its
// rejects, its counts; a JSON value a line.
func pfGolden(t *testing.T, data []byte, format string) string {
	var b strings.Builder
	member := func(name, value string) {
		n, _ := json.Marshal(name)
		v, _ := json.Marshal(value)
		b.WriteString(string(n) + ":" + string(v) + ",")
	}
	line := func(write func()) {
		b.WriteByte('{')
		write()
		s := strings.TrimSuffix(b.String(), ",")
		b.Reset()
		b.WriteString(s + "}\n")
	}
	opt := Options{Format: format, ModTime: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	events, rejects, counts := pfRead(t, data, opt)
	for i := range events {
		line(func() {
			ev := &events[i]
			for k := range firetrail.Fields {
				if v, ok := firetrail.Fields[k].Print(ev); ok {
					member(firetrail.Fields[k].Name, v)
				}
			}
			for _, x := range ev.X {
				member("x."+x.Name, x.Value)
			}
		})
	}
	for _, list := range []any{rejects, counts} {
		out, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(out, '\n'))
	}
	return b.String()
}

// pfSampleCaptures are the captures under samples/pflog: they are written by
// -update, as they are not for an editor.
func pfSampleCaptures() map[string][]byte {
	le := binary.LittleEndian
	header := func(size int) []byte { return pfPacket(size)[:(size+3)&^3] }
	quoted := append(header(69),
		0x45, 0, 0, 56, 0, 2, 0, 0, 64, 1, 0, 0, 198, 51, 100, 7, 192, 0, 2, 1, // IP
		3, 3, 0, 0, 0, 0, 0, 0, // ICMP: port unreachable
		0x45, 0, 0, 28, 0, 1, 0x40, 0, 1, 17, 0, 0, 192, 0, 2, 9, 203, 0, 113, 7, 0x82, 0x9a, 0, 53, 0, 8, 0, 0)
	six := append(header(69), 0x60, 0, 0x7c, 0x63, 0, 32, 44, 64)
	six = append(six, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x22"...)
	six = append(six, 17, 0, 0, 1, 0, 0, 0xab, 0xcd, 0, 1, 0, 2, 0, 24, 0, 0)
	six = append(six, make([]byte, 16)...)
	rewritten := pfPacket(100)
	rewritten[2], rewritten[60], rewritten[61] = 4, 2, 1
	copy(rewritten[64:], "\x0a\x14\x03\x02")
	copy(rewritten[80:], "\xc6\x33\x64\x02")
	copy(rewritten[96:], "\x13\x88\x00\x16")
	return map[string][]byte{
		"freebsd.pcap":   pfPcap(le, pcapMicro, 117, pfPacket(69), quoted, six),
		"openbsd.pcapng": pfSection(le, 6, 1772331147000250, rewritten),
		"cut.pcap":       pfPcap(le, pcapNano, 117, pfPacket(61), pfPacket(61)[:80], pfPacket(61))[:300],
	}
}

func TestPFGolden(t *testing.T) {
	if *update {
		for name, data := range pfSampleCaptures() {
			if err := os.WriteFile(filepath.Join("..", "samples", "pflog", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, format := range []string{"pf", "pftext", "pflog"} {
		files, _ := filepath.Glob(filepath.Join("..", "samples", format, "*"))
		seen := 0
		for _, file := range files {
			if strings.HasSuffix(file, ".golden.jsonl") {
				continue
			}
			seen++
			got := pfGolden(t, pfFile(t, file), "")
			golden := strings.TrimSuffix(file, filepath.Ext(file)) + ".golden.jsonl"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if d := cmp.Diff(strings.Split(string(pfFile(t, golden)), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s\n-golden +got:\n%s", file, d)
			}
			if r, err := NewReader(strings.NewReader(string(pfFile(t, file))), Options{}); err != nil || r.Format().Name != format {
				t.Errorf("%s: not read as %s: %v", file, format, err)
			}
		}
		if seen == 0 {
			t.Errorf("no samples of %s", format)
		}
	}
}
