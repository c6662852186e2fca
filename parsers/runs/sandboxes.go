package runs

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"

	"firetrail"
)

// sandboxes reads what sandbox services record of their sandboxes: records with
// sandbox_id and an address as JSON lines, a JSON list or CSV (ROCK's
// sandbox_record: sandbox_id, experiment_id, host_ip, start_time, stop_time …), and
// log lines that say with which address a sandbox started (ROLL: "Sandbox started
// successfully with IP: 10.1.0.5, sandbox_id: sb-1").
var sandboxes = Kind{
	Name: "sandboxes",
	Doc:  "sandboxes and their addresses: records with sandbox_id and ip or host_ip (JSON, CSV), rollout logs that say so",
	Sniff: func(head []byte) bool {
		if boxStarted().Match(head) {
			return true
		}
		line, _, _ := bytes.Cut(bytes.TrimSpace(head), []byte("\n"))
		if bytes.HasPrefix(line, []byte("[")) && !bytes.HasPrefix(line, []byte("[{")) {
			line = head
		}
		return bytes.Contains(line, []byte("sandbox_id")) && !bytes.Contains(line, []byte(`"tool`)) && !bytes.Contains(line, []byte(`"args"`)) &&
			(bytes.Contains(line, []byte("host_ip")) || bytes.Contains(line, []byte("sandbox_ip")) || bytes.Contains(line, []byte(`"ip"`)) || bytes.Contains(line, []byte(",ip")))
	},
	read: readSandboxes,
}

// boxStarted is ROLL's line; the stamp in front is local time without a zone.
var boxStarted = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\].*Sandbox started successfully with IP: ([0-9a-fA-F.:]+), sandbox_id: ([^\s,]+)`)
})

// readSandboxes reads ROLL's log, or a table as JSON or CSV.
func readSandboxes(f *file) error {
	trimmed := bytes.TrimSpace(f.data)
	switch {
	case len(trimmed) == 0:
		return errors.New("empty file")
	case boxStarted().Match(f.data):
		for _, m := range boxStarted().FindAllSubmatchIndex(f.data, -1) {
			b := sandbox{id: string(f.data[m[6]:m[7]]), ip: string(f.data[m[4]:m[5]]), end: firetrail.Absent, where: f.cite(f.lineAt(int64(m[0])))}
			b.start, _ = f.stamp(string(f.data[m[2]:m[3]]))
			f.out.boxes = append(f.out.boxes, b)
		}
		return nil
	case trimmed[0] == '{' || trimmed[0] == '[':
		dec := json.NewDecoder(bytes.NewReader(trimmed))
		for dec.More() {
			line := f.lineAt(dec.InputOffset())
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return err
			}
			list := []map[string]json.RawMessage{nil}
			if raw[0] == '[' {
				if err := json.Unmarshal(raw, &list); err != nil {
					return err
				}
			} else if err := json.Unmarshal(raw, &list[0]); err != nil {
				return err
			}
			for _, m := range list {
				f.sandbox(flatten(m), line)
			}
		}
		return nil
	}
	header, _, _ := bytes.Cut(trimmed, []byte("\n"))
	return f.csvEach(header, f.sandbox)
}

// sandbox keeps one record. A host's address is shared by its sandboxes.
func (f *file) sandbox(m map[string]string, line int64) {
	get := func(names ...string) string {
		for _, n := range names {
			if m[n] != "" {
				return m[n]
			}
		}
		return ""
	}
	b := sandbox{id: get("sandbox_id"), run: get("run_id", "run", "experiment_id"), ip: get("sandbox_ip", "ip"), host: get("host_name", "host", "node"), where: f.cite(line)}
	if b.ip == "" {
		b.ip, b.shared = get("host_ip"), true
	}
	if b.ip == "default" || b.ip == "" || b.id == "" {
		return // not assigned yet
	}
	b.start, _ = f.stamp(get("start_time", "start", "create_time"))
	b.end, _ = f.stamp(get("stop_time", "end", "delete_time"))
	if strings.EqualFold(get("shared"), "true") {
		b.shared = true
	}
	f.out.boxes = append(f.out.boxes, b)
}
