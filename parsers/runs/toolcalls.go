package runs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"firetrail"
)

// toolCalls reads the generic JSONL of CLI.md, one call a line; other names of
// the same things are accepted, and times may be RFC 3339 or epoch.
//
//	{"run_id":"r-017","ip":"10.20.3.7","start":"2026-03-01T02:14:05Z","end":"2026-03-01T02:14:09Z","tool":"bash","args":"ssh -R …"}
var toolCalls = Kind{
	Name: "toolcalls",
	Doc:  "tool calls, JSONL: run_id, host|ip|sandbox_id, start, end, tool, args, step",
	Sniff: func(head []byte) bool {
		line, _, _ := bytes.Cut(bytes.TrimSpace(head), []byte("\n"))
		return bytes.HasPrefix(line, []byte("{")) && (bytes.Contains(line, []byte(`"tool"`)) || bytes.Contains(line, []byte(`"tool_name"`)) || bytes.Contains(line, []byte(`"args"`))) &&
			(bytes.Contains(line, []byte(`"run_id"`)) || bytes.Contains(line, []byte(`"sandbox_id"`)) || bytes.Contains(line, []byte(`"start"`)))
	},
	read: readToolCalls,
}

// readToolCalls takes one call a line; a line that is none becomes a note and ends nothing.
func readToolCalls(f *file) error {
	line := int64(0)
	for text := range bytes.Lines(f.data) {
		line++
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(text, &m); err != nil {
			f.note(line, "tool call not understood: %v", err)
			continue
		}
		c := firetrail.ToolCall{Citation: f.cite(line), Unc: resolution(str(m["start"]))}
		c.Run = first(m, "run_id", "run", "run.id", "experiment_id")
		c.Host = first(m, "host", "hostname", "node", "host_name")
		c.Sandbox = first(m, "sandbox_id", "sandbox", "container_id", "pod")
		c.Tool = first(m, "tool", "tool_name", "name", "function")
		c.Step = first(m, "step", "global_step")
		c.ID = first(m, "id", "call_id", "tool_call_id")
		if c.ID == "" {
			c.ID = fmt.Sprintf("%s:%d", f.path, line)
		}
		c.IP, _ = netip.ParseAddr(first(m, "ip", "sandbox_ip", "host_ip", "src_ip"))
		var ok bool
		if c.Start, ok = f.stamp(first(m, "start", "start_time", "timestamp", "ts", "time")); !ok {
			f.note(line, "start %q is no time", first(m, "start", "start_time", "timestamp", "ts", "time"))
		}
		if c.End, ok = f.stamp(first(m, "end", "end_time", "completed", "finished")); !ok {
			f.note(line, "end is no time: %q", first(m, "end", "end_time", "completed", "finished"))
		}
		var found bool
		c.Args, found = argsOf(m, "args", "arguments", "command", "cmd", "input")
		c.NoArgs = !found
		if c.Run == "" && c.Host == "" && c.Sandbox == "" && !c.IP.IsValid() {
			f.note(line, "tool call names neither run, host, address nor sandbox")
			continue
		}
		f.out.calls = append(f.out.calls, c)
	}
	return nil
}

// resolution is how far a stamp's writing can be off: a second unless it has decimals.
func resolution(stamp string) int64 {
	if strings.Contains(stamp, ".") {
		return 1e6
	}
	return 1e9
}

// str is a JSON string's or number's text, "" for anything else.
func str(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// first is the first named value that is set.
func first(m map[string]json.RawMessage, names ...string) string {
	for _, name := range names {
		if s := str(m[name]); s != "" {
			return s
		}
	}
	return ""
}

// argsOf is the first named value as text: a string as it is, everything else
// as JSON.
func argsOf(m map[string]json.RawMessage, names ...string) (string, bool) {
	for _, name := range names {
		raw, ok := m[name]
		if !ok || string(raw) == "null" {
			continue
		}
		if s := str(raw); s != "" {
			return s, true
		}
		return string(raw), true
	}
	return "", false
}
