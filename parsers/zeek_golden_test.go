package parsers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// goldenEvents prints events with every field they have, a line each.
func goldenEvents(s *zeekSource) string {
	var b strings.Builder
	pair := func(name, value string) {
		n, _ := json.Marshal(name)
		v, _ := json.Marshal(value)
		b.WriteString(string(n) + ":" + string(v) + ",")
	}
	for i := range s.events {
		ev := &s.events[i]
		b.WriteByte('{')
		for k := range firetrail.Fields {
			if v, ok := firetrail.Fields[k].Print(ev); ok {
				pair(firetrail.Fields[k].Name, v)
			}
		}
		for _, x := range ev.X {
			pair("x."+x.Name, x.Value)
		}
		text := b.String()
		b.Reset()
		b.WriteString(strings.TrimSuffix(text, ",") + "}\n")
	}
	for _, r := range s.rejects {
		b.WriteString("reject " + firetrail.Inert(r.Reason) + "\n")
	}
	return b.String()
}

// TestZeekSamples compares every sample with the golden file beside it.
func TestZeekSamples(t *testing.T) {
	for _, format := range []string{"zeek", "zeekjson"} {
		files, err := filepath.Glob(filepath.Join("..", "samples", format, "*.log"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no samples of %s: %v", format, err)
		}
		for _, path := range files {
			s := readZeekSource(t, path, zeekFile(t, path))
			if s.format != format || s.err != nil {
				t.Errorf("%s: read as %q: %v", path, s.format, s.err)
				continue
			}
			got, golden := goldenEvents(s), path+".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
}

// TestZeekTwins reads each sample in both forms: the events are the same but for
// where they stand and how decimals of other columns are written.
func TestZeekTwins(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "samples", "zeek", "*.log"))
	compared := 0
	for _, path := range files {
		twin := filepath.Join("..", "samples", "zeekjson", filepath.Base(path))
		if filepath.Base(path) == "dialects.log" {
			continue
		}
		a, b := readZeekSource(t, path, zeekFile(t, path)), readZeekSource(t, twin, zeekFile(t, twin))
		if len(a.events) != len(b.events) {
			t.Errorf("%s: %d events, %s: %d", path, len(a.events), twin, len(b.events))
			continue
		}
		for i := range a.events {
			compared++
			if diff := cmp.Diff(twinFields(&a.events[i]), twinFields(&b.events[i])); diff != "" {
				t.Errorf("%s event %d (-TSV +JSON):\n%s", path, i, diff)
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d pairs of events compared", compared)
	}
}

func twinFields(ev *firetrail.Event) map[string]string {
	fields := map[string]string{}
	for k := range firetrail.Fields {
		f := &firetrail.Fields[k]
		if v, ok := f.Print(ev); ok && f.Name != "line" && f.Name != "offset" && f.Name != "source" {
			fields[f.Name] = v
		}
	}
	for _, x := range ev.X {
		parts := strings.Split(x.Value, ",")
		for i, part := range parts {
			if ns, ok := zeekNanoseconds([]byte(part)); ok && strings.Contains(part, ".") {
				parts[i] = firetrail.Seconds(ns)
			}
		}
		fields["x."+x.Name] = strings.Join(parts, ",")
	}
	return fields
}
