package runs

import (
	"fmt"
	"testing"

	"firetrail"
)

// TestHollow: files that hold nothing, or nothing of what was expected, are
// errors or notes for every kind, never a crash.
func TestHollow(t *testing.T) {
	for _, k := range All {
		for _, text := range []string{
			"", "\n", " ", "# comment\n", "---\n", "null", "{}", "[]", "[null]", "[[]]", "{\"items\":[null]}", "\"x\"", "1", "true", "x", "=", "|", ",", "\t",
			"[{}]", "{\"a\":{}}", "- a\n- b\n", "a: b\n", "lease\n", "lease {\n", "src=\n", "JobId=", "NodeName=\n", "PK", "PK\x03\x04", "\xff\xfe", "\x00",
			"run_id\n", "run_id,ip\n,\n", "JobID|State\n|\n", "entry\n",
		} {
			t.Run(fmt.Sprintf("%s/%q", k.Name, text), func(t *testing.T) {
				k.Sniff([]byte(text))
				s := Statements{}
				f := &file{path: "a", data: []byte(text), out: &s}
				if err := k.read(f); err == nil && len(s.calls) == 0 {
					for _, l := range s.hosts {
						if !l.IP.IsValid() || l.Start != firetrail.Absent && l.End != firetrail.Absent && l.End < l.Start {
							t.Errorf("a lease of nothing: %+v", l)
						}
					}
				}
			})
		}
	}
}
