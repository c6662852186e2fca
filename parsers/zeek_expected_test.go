package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"firetrail"
)

// leaf writes a decoded JSON value as an x field is written.
func leaf(v any) string {
	switch v := v.(type) {
	case bool:
		return map[bool]string{true: "T", false: "F"}[v]
	case json.Number:
		return v.String()
	case string:
		return v
	case []any:
		if len(v) == 0 {
			return "(empty)"
		}
		var parts []string
		for _, m := range v {
			s := leaf(m)
			switch {
			case m == nil:
				s = "-"
			case s == "":
				s = "(empty)"
			}
			parts = append(parts, strings.ReplaceAll(s, ",", `\x2c`))
		}
		return strings.Join(parts, ",")
	}
	return "?"
}

// checkMembers compares an event with what encoding/json reads from its record,
// member by member, and returns how many it compared.
func checkMembers(t *testing.T, where string, ev *firetrail.Event, members map[string]any, prefix string) int {
	t.Helper()
	n := 0
	for name, v := range members {
		name = prefix + name
		if inner, ok := v.(map[string]any); ok {
			n += checkMembers(t, where, ev, inner, name+".")
			continue
		}
		if v == nil || zeekRoles[name] == zeekPath {
			continue
		}
		n++
		want := leaf(v)
		got, ok := ev.Get(name)
		switch {
		case ok:
		case name == "host":
			for _, f := range []string{"host", "src_ip", "dst_ip"} {
				if got, _ = ev.Value(f); got == want {
					break
				}
			}
		default:
			got, _ = ev.Value(zeekCommon[name])
		}
		if f := zeekCommon[name]; !ok && (f == "time" || f == "duration") {
			ns := ev.Time
			if f == "duration" {
				ns = ev.Duration
			}
			f, _ := strconv.ParseFloat(want, 64)
			if d := float64(ns)/1e9 - f; d < -1e-6 || d > 1e-6 {
				t.Errorf("%s: %s is %d ns, want %s s", where, name, ns, want)
			}
			continue
		}
		if got != want && !(ev.Host != "" && got == strings.TrimSuffix(want, ".")) {
			t.Errorf("%s: %s is %q, want %q", where, name, got, want)
		}
	}
	return n
}

// TestZeekJSONCorpus compares every object of the corpus with encoding/json.
func TestZeekJSONCorpus(t *testing.T) {
	root := zeekCorpus(t)
	objects, members := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".jsonl") || strings.Contains(path, "expected") {
			return err
		}
		s := readZeekSource(t, path, zeekFile(t, path))
		if s.format != "zeekjson" {
			return nil
		}
		for i := range s.events {
			ev := &s.events[i]
			m := decodeObject(t, s.data[ev.Offset:ev.Offset+ev.Length])
			if len(m) == 1 {
				for name, v := range m {
					if inner, ok := v.(map[string]any); ok {
						if m = inner; ev.Kind != "zeek."+name {
							t.Errorf("%s line %d: kind %q in a wrapper %q", path, ev.Line, ev.Kind, name)
						}
					}
				}
			}
			objects++
			members += checkMembers(t, filepath.Base(path)+" line "+strconv.FormatInt(ev.Line, 10), ev, m, "")
		}
		return nil
	})
	if err != nil || objects < 1000 {
		t.Errorf("%d objects compared: %v", objects, err)
	}
	t.Logf("%d members of %d JSON objects compared with encoding/json", members, objects)
}

func decodeObject(t *testing.T, rec []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(rec))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%s: %v", rec, err)
	}
	return m
}

// TestZeekMetron compares with what the Metron project asserts, in its names.
func TestZeekMetron(t *testing.T) {
	dir := filepath.Join(zeekCorpus(t), "metron")
	s := readZeekSource(t, "raw", zeekFile(t, filepath.Join(dir, "BroExampleOutput.raw")))
	lines := bytes.Split(bytes.TrimSpace(zeekFile(t, filepath.Join(dir, "BroExampleParsed.jsonl"))), []byte{'\n'})
	if len(lines) != len(s.events) {
		t.Fatalf("%d events, want %d", len(s.events), len(lines))
	}
	names := map[string]string{"ip_src_addr": "id.orig_h", "ip_src_port": "id.orig_p", "ip_dst_addr": "id.resp_h", "ip_dst_port": "id.resp_p", "bro_timestamp": "ts"}
	checked := 0
	for i, line := range lines {
		ev, m := &s.events[i], decodeObject(t, line)
		if ev.Kind != "zeek."+m["protocol"].(string) {
			t.Errorf("event %d: kind %s, want %s", i, ev.Kind, m["protocol"])
		}
		if ms, _ := m["timestamp"].(json.Number).Int64(); ev.Time/1e6 != ms {
			t.Errorf("event %d: time %d, want %d ms", i, ev.Time, ms)
		}
		want := map[string]any{}
		for name, v := range m {
			switch name {
			case "protocol", "timestamp", "original_string", "source.type", "guid":
				continue
			}
			if zeek, ok := names[name]; ok {
				name = zeek
			}
			if n, ok := v.(json.Number); ok && strings.Contains(n.String(), "E9") {
				// Upstream has changed the notation of the number.
				for _, x := range ev.X {
					if a, _ := strconv.ParseFloat(x.Value, 64); x.Name == name {
						if b, _ := n.Float64(); a == b {
							v = x.Value
						}
					}
				}
			}
			if m["protocol"] == "files" && strings.HasPrefix(name, "id.") {
				continue // upstream takes the sender of a file for the source of a connection
			}
			want[name] = v
		}
		checked += 2 + checkMembers(t, "event "+strconv.Itoa(i), ev, want, "")
	}
	t.Logf("%d expected values of %d events compared", checked, len(lines))
}

// TestZeekMozDef reads a message of each log type: the log is told by its columns
// where they suffice.
func TestZeekMozDef(t *testing.T) {
	data := zeekFile(t, filepath.Join(zeekCorpus(t), "mozdef", "bro_fixup.jsonl"))
	// Messages with too few members to tell a Zeek log, or of renamed columns.
	vague := map[string]bool{"test_bro_wrongtype_log": true,
		"test_knowndevices_log": true, "test_knowndevices_log2": true, "test_knownhosts_log2": true,
		"test_knownservices_log2": true, "test_software_log2": true}
	// Messages that tell their connection, but lack the columns of their log.
	poor := map[string]bool{"test_tunnel_log2": true, "test_intel_log": true, "test_intel_log2": true, "test_ntlm_log2": true, "test_smbmapping_log2": true}
	told, members := 0, 0
	for line := range bytes.Lines(data) {
		var c struct {
			Test, Log string
			Message   json.RawMessage
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		ev := firetrail.NewEvent()
		err := ZeekJSON.New(newContext(Options{})).Parse(c.Message, &ev)
		switch {
		case vague[c.Test]:
			if !errors.Is(err, ErrOther) {
				t.Errorf("%s: %v, want it declined", c.Test, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v: %s", c.Test, err, c.Message)
			continue
		case ev.Kind != "zeek."+c.Log && !(poor[c.Test] && ev.Kind == "zeek"):
			t.Errorf("%s: kind %q, want zeek.%s", c.Test, ev.Kind, c.Log)
		}
		told++
		members += checkMembers(t, c.Test, &ev, decodeObject(t, c.Message), "")
	}
	t.Logf("%d messages told, %d members compared", told, members)
}

// TestZeekTypes compares one column of each type with its upstream meaning.
func TestZeekTypes(t *testing.T) {
	s := readZeekSource(t, "types", zeekFile(t, filepath.Join(zeekCorpus(t), "zed-docs", "zeek_types.log")))
	if len(s.events) != 1 {
		t.Fatalf("%d events: %v", len(s.events), s.err)
	}
	for name, want := range map[string]string{
		"my_bool": "T", "my_count": "123", "my_int": "456", "my_double": "123.4560", "my_time": "1592502151.123456", "my_interval": "123.456",
		"my_printable_string": "smile😁smile", "my_bytes_string": "\t\a\x04", "my_port": "80", "my_addr": "127.0.0.1", "my_subnet": "10.0.0.0/8",
		"my_enum": "tcp", "my_set": "things,in,a,set", "my_vector": "order,is,important", "my_record.name": "Jeanne", "my_record.age": "122",
	} {
		if got, _ := s.events[0].Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestZeekCompressedTwins reads a log and its gzip: the same events.
func TestZeekCompressedTwins(t *testing.T) {
	dir := filepath.Join(zeekCorpus(t), "zat")
	for _, name := range []string{"dhcp.log", "dhcp_002.log", "http.log"} {
		a := readZeekSource(t, name, zeekFile(t, filepath.Join(dir, name)))
		b := readZeekSource(t, name, zeekFile(t, filepath.Join(dir, name+".gz")))
		if x, y := goldenEvents(a), goldenEvents(b); x != y || x == "" {
			t.Errorf("%s and its gzip differ", name)
		}
	}
}

// TestZeekBodyLines offers rows without a header: those of a conn log are read,
// those of other logs are refused with the reason.
func TestZeekBodyLines(t *testing.T) {
	path := filepath.Join(zeekCorpus(t), "..", "mixed", "logstash-patterns-core", "zeek_tsv_body_lines.jsonl")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	conns, refused := 0, 0
	for line := range bytes.Lines(data) {
		var c struct{ Line, Kind string }
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		ev := firetrail.NewEvent()
		err := Zeek.New(newContext(Options{})).Parse([]byte(c.Line), &ev)
		if strings.HasSuffix(c.Kind, "_CONN") {
			if conns++; err != nil || ev.Kind != "zeek.conn" {
				t.Errorf("%s: %v: %s", c.Kind, err, c.Line)
			}
			continue
		}
		var re *RejectError
		if refused++; !errors.As(err, &re) || !strings.Contains(re.Reason, "without its header") {
			t.Errorf("%s: %v, want a refusal: %s", c.Kind, err, c.Line)
		}
	}
	t.Logf("%d conn rows read, %d other rows refused", conns, refused)
}
