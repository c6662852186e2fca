package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"
	"firetrail/samples"
)

func TestWhyNothing(t *testing.T) {
	lab, dir := filepath.Join(t.TempDir(), "lab"), filepath.Join(t.TempDir(), "case")
	if err := samples.WriteLab(lab); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run([]string{"--case", dir, "ingest", "--quiet", filepath.Join(lab, "logs")}, nil, &out, &out); code != exitDone && code != exitPartial {
		t.Fatal(code, out.String())
	}
	c, err := index.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, test := range []struct{ query, want string }{
		{"kind:conn", "nothing in the case matches kind:conn: the values of kind are "},
		{"action:frobnicate dst_port:443", "nothing in the case matches action:frobnicate: the values of action are "},
		{"x.Histry:S", "no record has x.Histry; did you mean x.history?"},
		{"x.nosuchfield:1", "no record has x.nosuchfield; 'firetrail fields --own'"},
		{"community_id:1", "no record has community_id"},
		{"4443", "a port is port:4443"},
		{"time:2001-01-01", "nothing in the case matches time:2001-01-01"},
		{"kind:zeek kind:iptables", "each part of the query matches something"},
	} {
		q, err := query.Parse(test.query)
		if err != nil {
			t.Fatal(err)
		}
		why := whyNothing(t.Context(), c, q, index.SearchOptions{Since: firetrail.Absent, Until: firetrail.Absent})
		if len(why) != 1 || !strings.Contains(why[0], test.want) {
			t.Errorf("%s: %q, want %s", test.query, why, test.want)
		}
	}
}
