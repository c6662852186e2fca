package parsers

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"firetrail"
)

// zeekCorpus is the folder of real Zeek logs; without it the test is skipped.
func zeekCorpus(t *testing.T) string {
	t.Helper()
	root := os.Getenv("FIRETRAIL_CORPORA")
	if root == "" {
		t.Skip("FIRETRAIL_CORPORA is not set: no real logs to read")
	}
	return filepath.Join(root, "zeek")
}

// zeekSource is a file of the corpus, read to its end.
type zeekSource struct {
	name    string
	data    []byte
	format  string
	events  []firetrail.Event
	rejects []firetrail.Reject
	facts   []firetrail.Fact
	counts  firetrail.Counts
	err     error // none of the formats fits, or the source breaks off
}

func readZeekSource(t *testing.T, name string, data []byte) *zeekSource {
	t.Helper()
	s := &zeekSource{name: name, data: data}
	rd, err := NewReader(bytes.NewReader(data), Options{})
	if err != nil {
		s.err = err
		return s
	}
	s.format = rd.Format().Name
	var b Batch
	for {
		err := rd.Next(&b)
		for _, ev := range b.Events {
			ev.X = append([]firetrail.Field(nil), ev.X...)
			s.events = append(s.events, ev)
		}
		s.rejects = append(s.rejects, b.Rejects...)
		s.facts = append(s.facts, b.Facts...)
		s.counts.Add(b.Counts)
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			s.err = err
			return s
		}
	}
}

// zeekFile reads a file, decompressed; a broken gzip gives what can be read.
func zeekFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		data, _ = io.ReadAll(zr)
	}
	return data
}

// zeekDeclined are the files that hold no log that could be told, with a word of
// the reason that must be given.
var zeekDeclined = map[string]string{
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-options/ssh.log":             "without its header",
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-json/ssh.log":                "without the columns",
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-json-utf8/ssh.log":           "without the columns",
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-json-optional/testing.log":   "without the columns",
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-json-iso-timestamps/ssh.log": "without the columns",
	"zeek-btest-3.2.4/scripts.base.frameworks.logging.ascii-double/json.log":             "without the columns",

	"zeek-btest-3.2.4/scripts.base.protocols.dns.dns-edns-ecs/weird.log":          "masked baseline",
	"zeek-btest-3.2.4/scripts.base.protocols.smb.smb3-multichannel/smb_files.log": "masked baseline",
	"zeek-btest-3.2.4/scripts.base.protocols.smtp.attachment-msg/smtp.log":        "masked baseline",
}

// TestZeekCorpus reads every log of the corpus: each is read whole or declined
// with the expected reason, every record is accounted for, and every row can be
// written back from its event.
func TestZeekCorpus(t *testing.T) {
	root := zeekCorpus(t)
	kinds := map[string]*firetrail.Counts{}
	files, declined := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if base := d.Name(); strings.Contains(base, "expected") || base == "BroExampleParsed.jsonl" ||
			base == "bro_parser_test_inputs.jsonl" || base == "bro_fixup.jsonl" {
			return nil
		}
		files++
		s := readZeekSource(t, name, zeekFile(t, path))
		want, ok := zeekDeclined[name]
		if strings.Contains(name, "/supervisor.config-cluster-") {
			want, ok = "without the columns", true
		}
		if ok {
			declined++
			if s.err == nil || !strings.Contains(errorTree(s.err), want) {
				t.Errorf("%s: read as %q (%v), want it declined: %s", name, s.format, s.err, want)
			}
			return nil
		}
		if s.err != nil && !errors.Is(s.err, ErrEmpty) {
			t.Errorf("%s: %v: %s", name, s.err, errorTree(s.err))
			return nil
		}
		checkZeekSource(t, s)
		for i := range s.events {
			k := kinds[s.events[i].Kind]
			if k == nil {
				k = &firetrail.Counts{}
				kinds[s.events[i].Kind] = k
			}
			k.Events++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatalf("no file under %s", root)
	}
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	sort.Strings(names)
	total := int64(0)
	for _, k := range names {
		total += kinds[k].Events
		t.Logf("%7d %s", kinds[k].Events, k)
	}
	t.Logf("%7d events of %d kinds in %d files, %d declined", total, len(kinds), files, declined)
}

func errorTree(err error) string {
	var unknown *UnknownFormatError
	if errors.As(err, &unknown) {
		return errors.Join(unknown.Why...).Error()
	}
	return err.Error()
}

func checkZeekSource(t *testing.T, s *zeekSource) {
	t.Helper()
	c := s.counts
	if c.Records != c.Events+c.Rejected+c.Headers+c.Other {
		t.Errorf("%s: %+v does not add up", s.name, c)
	}
	if c.Other > 0 {
		t.Errorf("%s: %d of %d records are of no format", s.name, c.Other, c.Records)
	}
	if c.Rejected > 0 {
		t.Errorf("%s: %d rejects; the first: %+v", s.name, c.Rejected, s.rejects[0])
	}
	if s.format == "zeek" {
		writeBack(t, s)
	}
}

// zeekHeader is what a header says, read in the plainest way.
type zeekHeader struct {
	sep, setSep, empty, unset string
	fields, types             []string
	utf8                      bool
}

// writeBack prints every event as its row and compares it with the record.
func writeBack(t *testing.T, s *zeekSource) {
	t.Helper()
	h := zeekHeader{sep: "\t", setSep: ",", empty: "(empty)", unset: "-"}
	h.utf8 = bytes.ContainsFunc(s.data, func(r rune) bool { return r >= 0x80 })
	at := map[int64]*firetrail.Event{}
	for i := range s.events {
		at[s.events[i].Offset] = &s.events[i]
	}
	offset, bad := int64(0), 0
	for line := range bytes.Lines(s.data) {
		start := offset
		offset += int64(len(line))
		row := strings.TrimRight(string(line), "\r\n")
		ev := at[start]
		if ev == nil {
			h.read(row)
			continue
		}
		cells := strings.Split(row, h.sep)
		for i, cell := range cells {
			typ := ""
			if i < len(h.types) {
				typ = h.types[i]
			}
			got := h.print(ev, h.fields[i], typ, cell)
			if i == 0 && strings.HasPrefix(got, "#") {
				got = `\x23` + got[1:]
			}
			if got == cell || typ == "string" && plainZeek(got) == plainZeek(cell) {
				continue
			}
			if bad++; bad < 5 {
				t.Errorf("%s line %d: column %s written back as %q, was %q", s.name, ev.Line, h.fields[i], got, cell)
			}
		}
	}
}

func plainZeek(s string) string { return string(zeekUnescape([]byte(s), &Arena{}, "")) }

func (h *zeekHeader) read(row string) {
	_, rest, _ := strings.Cut(row, "separator ")
	switch {
	case strings.Contains(row, "#separator\t"):
		h.sep = "\t"
	case rest != "" && !strings.Contains(row, "set_"):
		h.sep = plainZeek(rest)
		return
	}
	cells := strings.Split(row, h.sep)
	if len(cells) < 2 {
		return
	}
	switch word := cells[0]; {
	case strings.HasSuffix(word, "set_separator"):
		h.setSep = plainZeek(cells[1])
	case strings.HasSuffix(word, "empty_field"):
		h.empty = cells[1]
	case strings.HasSuffix(word, "unset_field"):
		h.unset = cells[1]
	case strings.HasSuffix(word, "fields"):
		h.fields, h.types = cells[1:], nil
	case strings.HasSuffix(word, "types"):
		h.types = cells[1:]
	case h.fields == nil && !strings.HasPrefix(word, "#"):
		h.fields = cells
	}
}

// zeekCommon maps columns to common fields once more, independent of the parser.
var zeekCommon = map[string]string{
	"ts": "time", "t": "time", "uid": "uid", "proto": "proto", "service": "service", "duration": "duration",
	"id.orig_h": "src_ip", "id.orig_p": "src_port", "id.resp_h": "dst_ip", "id.resp_p": "dst_port",
	"orig_h": "src_ip", "orig_p": "src_port", "resp_h": "dst_ip", "resp_p": "dst_port",
	"id.src_ip": "src_ip", "id.src_p": "src_port", "id.dst_ip": "dst_ip", "id.dst_p": "dst_port",
	"id_orig_h": "src_ip", "id_orig_p": "src_port", "id_resp_h": "dst_ip", "id_resp_p": "dst_port",
	"src": "src_ip", "src_port": "src_port", "dst": "dst_ip", "dst_port": "dst_port", "src_ip": "src_ip", "dst_ip": "dst_ip",
	"orig_bytes": "bytes_out", "resp_bytes": "bytes_in", "orig_pkts": "packets_out", "resp_pkts": "packets_in",
	"conn_state": "state", "community_id": "community_id", "query": "host", "server_name": "host", "uri": "url",
	"user": "user", "username": "user", "note": "reason",
}

// print gives the text of one column; cell, the original, tells only how many
// decimals seconds have.
func (h *zeekHeader) print(ev *firetrail.Event, name, typ, cell string) string {
	value, ok := ev.Get(name)
	if !ok {
		value, ok = h.common(ev, name, typ, cell)
	}
	switch {
	case !ok:
		return h.unset
	case strings.HasPrefix(typ, "set[") || strings.HasPrefix(typ, "vector[") || strings.HasPrefix(typ, "table["):
		switch value {
		case "(empty)":
			return h.empty
		case h.empty:
			return fmt.Sprintf(`\x%02x`, value[0]) + value[1:]
		}
		return h.escape(strings.ReplaceAll(value, ",", h.setSep), true)
	case value == "":
		return h.empty
	case value == h.unset || value == h.empty:
		return fmt.Sprintf(`\x%02x`, value[0]) + value[1:]
	}
	return h.escape(value, false)
}

func (h *zeekHeader) common(ev *firetrail.Event, name, typ, cell string) (string, bool) {
	if name == "host" {
		switch {
		case typ == "addr" && (ev.Kind == "zeek.known_services" || ev.Kind == "zeek.known_certs"):
			return ev.Value("dst_ip")
		case typ == "addr":
			return ev.Value("src_ip")
		}
		return ev.Value("host")
	}
	if _, dated := ev.Get("src"); dated && ev.UID == "" && strings.HasPrefix(name, "id.") {
		return "", false
	}
	if name == "_path" || name == "_stream" {
		return strings.TrimPrefix(ev.Kind, "zeek."), cell != h.unset
	}
	field, ok := zeekCommon[name]
	if !ok {
		return "", false
	}
	switch field {
	case "time":
		return decimals(ev.Time, cell), ev.Time != firetrail.Absent
	case "duration":
		return decimals(ev.Duration, cell), ev.Duration != firetrail.Absent
	case "service":
		if typ != "string" || name != "service" || !strings.Contains(ev.Kind, "conn") && ev.State == "" {
			return "", false
		}
	}
	return ev.Value(field)
}

// decimals prints nanoseconds as seconds with as many decimals as like has.
func decimals(ns int64, like string) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	_, frac, _ := strings.Cut(like, ".")
	s := fmt.Sprintf("%s%d.%09d", sign, ns/1e9, ns%1e9)
	s = s[:len(s)-9+min(len(frac), 9)]
	return strings.TrimSuffix(s, ".")
}

// escape writes text as Zeek does: controls, the separators, and, unless the
// file holds UTF-8, all bytes beyond ASCII.
func (h *zeekHeader) escape(s string, set bool) string {
	if a, err := netip.ParseAddr(s); err == nil && a.String() == s {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c < 0x20 || c == 0x7f || c >= 0x80 && !h.utf8 || strings.HasPrefix(s[i:], h.sep):
			for k := range max(1, len(h.sep)*btoi(strings.HasPrefix(s[i:], h.sep))) {
				fmt.Fprintf(&b, `\x%02x`, s[i+k])
			}
			if strings.HasPrefix(s[i:], h.sep) {
				i += len(h.sep) - 1
			}
		case c == '\\' && !set:
			b.WriteString(`\\`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
