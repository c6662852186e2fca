package runs

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// runTable reads the run table of CLI.md as CSV, JSON (a list, {"runs": […]} or
// one object a line) or YAML. All columns but run_id are optional; further ones
// are kept.
//
//	run_id,name,family,user,scheduler,cluster,namespace,job_id,job_name,start,end,state,hosts,ips
var runTable = Kind{
	Name: "runs",
	Doc:  "run table, CSV, JSON or YAML: run_id name family user scheduler cluster namespace job_id job_name start end state hosts ips",
	Sniff: func(head []byte) bool {
		return bytes.Contains(head, []byte("run_id")) || bytes.Contains(head, []byte("run id"))
	},
	read: readRunTable,
}

// readRunTable tells the form by the first character and the first line.
func readRunTable(f *file) error {
	trimmed := bytes.TrimSpace(f.data)
	switch {
	case len(trimmed) == 0:
		return errors.New("empty file")
	case trimmed[0] == '[' || trimmed[0] == '{':
		return f.jsonRows(trimmed)
	}
	firstLine, _, _ := bytes.Cut(trimmed, []byte("\n"))
	if bytes.ContainsAny(firstLine, ",;\t") && !bytes.HasPrefix(firstLine, []byte("-")) {
		return f.csvRows(firstLine)
	}
	return f.yamlRows()
}

func (f *file) csvRows(header []byte) error { return f.csvEach(header, f.row) }

// csvEach gives every row of a table as a map of its header's names, in lower case.
func (f *file) csvEach(header []byte, row func(m map[string]string, line int64)) error {
	r := csv.NewReader(bytes.NewReader(f.data))
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	for _, d := range []rune{'\t', ';', ','} {
		if bytes.ContainsRune(header, d) {
			r.Comma = d
		}
	}
	names, err := r.Read()
	if err != nil {
		return err
	}
	for i := range names {
		names[i] = strings.ToLower(strings.TrimSpace(names[i]))
	}
	for {
		values, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			f.note(int64(line), "%v", err)
			continue
		}
		m := map[string]string{}
		for i, v := range values {
			if i < len(names) {
				m[names[i]] = strings.TrimSpace(v)
			}
		}
		if len(values) > len(names) {
			f.note(int64(line), "%d columns where the header has %d", len(values), len(names))
		}
		row(m, int64(line))
	}
}

// jsonRows reads a list, an object that holds one, or one object a line.
func (f *file) jsonRows(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	start := int64(bytes.Index(f.data, data))
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("%s:%d: %w", f.path, f.lineAt(start+dec.InputOffset()), err)
		}
		list := []json.RawMessage{raw}
		var wrapped struct{ Runs []json.RawMessage }
		if raw[0] == '[' {
			if err := json.Unmarshal(raw, &list); err != nil {
				return err
			}
		} else if json.Unmarshal(raw, &wrapped) == nil && wrapped.Runs != nil {
			list = wrapped.Runs
		}
		from := start + dec.InputOffset() - int64(len(raw))
		for _, item := range list {
			if i := bytes.Index(f.data[from:], item); i >= 0 {
				from += int64(i)
			}
			var m map[string]json.RawMessage
			if err := json.Unmarshal(item, &m); err != nil {
				f.note(f.lineAt(from), "no object: %v", err)
				continue
			}
			f.row(flatten(m), f.lineAt(from))
			from += int64(len(item))
		}
	}
	return nil
}

// flatten makes text of JSON values; lists are joined by commas.
func flatten(m map[string]json.RawMessage) map[string]string {
	out := map[string]string{}
	for k, raw := range m {
		var items []json.RawMessage
		switch {
		case json.Unmarshal(raw, &items) == nil && items != nil:
			var parts []string
			for _, i := range items {
				parts = append(parts, str(i))
			}
			out[strings.ToLower(k)] = strings.Join(parts, ",")
		case str(raw) != "":
			out[strings.ToLower(k)] = str(raw)
		case string(raw) != "null":
			out[strings.ToLower(k)] = strings.Trim(string(raw), `"`)
		}
	}
	return out
}

// yamlRows reads a list of mappings, or a mapping that holds one.
func (f *file) yamlRows() error {
	list, err := f.yamlRoot()
	if err != nil {
		return err
	}
	if list.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(list.Content); i += 2 {
			if list.Content[i].Value == "runs" {
				list = list.Content[i+1]
				break
			}
		}
	}
	if list.Kind == yaml.MappingNode {
		list = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{list}}
	}
	for _, item := range list.Content {
		if item.Kind != yaml.MappingNode {
			f.note(int64(item.Line), "a run is a mapping")
			continue
		}
		m := map[string]string{}
		for i := 0; i+1 < len(item.Content); i += 2 {
			v := item.Content[i+1]
			text := v.Value
			if v.Kind == yaml.SequenceNode {
				var parts []string
				for _, p := range v.Content {
					parts = append(parts, p.Value)
				}
				text = strings.Join(parts, ",")
			}
			m[strings.ToLower(item.Content[i].Value)] = text
		}
		f.row(m, int64(item.Line))
	}
	return nil
}

// row keeps one run of the table.
func (f *file) row(m map[string]string, line int64) {
	take := func(names ...string) string {
		for _, n := range names {
			if v := m[n]; v != "" {
				delete(m, n)
				return v
			}
		}
		return ""
	}
	r := row{id: take("run_id", "run id", "run"), name: take("name", "run_name"), family: take("family", "experiment", "group"), user: take("user"),
		scheduler: take("scheduler"), cluster: take("cluster"), namespace: take("namespace"), jobID: take("job_id", "slurm_job_id"),
		jobName: take("job_name"), state: take("state", "status"), where: f.cite(line)}
	if r.id == "" {
		f.note(line, "no run_id")
		return
	}
	var ok bool
	start, end := take("start", "start_time"), take("end", "end_time")
	if r.start, ok = f.stamp(start); !ok {
		f.note(line, "run %s: start %q is no time", r.id, start)
	}
	if r.end, ok = f.stamp(end); !ok {
		f.note(line, "run %s: end %q is no time", r.id, end)
	}
	var err error
	if r.hosts, err = expandNodes(strings.Join(words(take("hosts", "host", "nodes", "node_list")), ",")); err != nil {
		f.note(line, "run %s: %v", r.id, err)
	}
	r.ips = words(take("ips", "ip", "addresses"))
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	if len(m) > 0 {
		r.extra = m
	}
	f.out.rows = append(f.out.rows, r)
}

// words splits a list by commas, semicolons and blanks, but not inside
// brackets, where Slurm's ranges have commas.
func words(list string) []string {
	depth := 0
	out := strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return depth <= 0 && (r == ',' || r == ';' || r == ' ')
	})
	return out
}

// sorted copies and sorts a set of names without repetition.
func sorted(names map[string]bool) []string {
	out := make([]string, 0, len(names))
	for n := range names {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
