package runs

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"firetrail"
)

// inspect reads logs of the Inspect evaluation framework: .json documents and
// .eval archives (a zip of header.json and samples/*.json). Tool events give
// start and end with a zone; sandbox events give the commands that were run.
// Source: Inspect's log format documentation, EvalLog version 2.
var inspect = Kind{
	Name: "inspect",
	Doc:  "Inspect evaluation logs: .json or .eval, tool and sandbox events",
	Sniff: func(head []byte) bool {
		return bytes.HasPrefix(head, []byte("PK\x03\x04")) ||
			bytes.Contains(head, []byte(`"eval"`)) && bytes.Contains(head, []byte(`"task_id"`))
	},
	read: readInspect,
}

type inspectLog struct {
	Eval    struct{ Run_ID, Task_ID string }
	Samples []inspectSample
}

type inspectSample struct {
	ID     json.RawMessage
	Epoch  int
	Events []struct {
		Event, Timestamp, Completed, ID, Function, Action, Cmd string
		Arguments                                              json.RawMessage
	}
}

// readInspect reads a log as JSON, or as the .eval archive with a file for each sample.
func readInspect(f *file) error {
	if !bytes.HasPrefix(f.data, []byte("PK")) {
		var log inspectLog
		if err := json.Unmarshal(f.data, &log); err != nil {
			return err
		}
		for i := range log.Samples {
			f.inspectSample(log.Eval.Run_ID, log.Eval.Task_ID, f.path, &log.Samples[i])
		}
		return nil
	}
	archive, err := zip.NewReader(bytes.NewReader(f.data), int64(len(f.data)))
	if err != nil {
		return err
	}
	var header inspectLog
	for _, name := range []string{"header.json", "_journal/start.json"} {
		if data, err := member(archive, name); err == nil && json.Unmarshal(data, &header) == nil && header.Eval.Run_ID != "" {
			break
		}
	}
	if header.Eval.Run_ID == "" {
		return fmt.Errorf("archive names no run: it is no Inspect log")
	}
	for _, m := range archive.File {
		if !strings.HasPrefix(m.Name, "samples/") || !strings.HasSuffix(m.Name, ".json") {
			continue
		}
		var s inspectSample
		data, err := member(archive, m.Name)
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		if err != nil {
			f.note(0, "member %s: %v", m.Name, err)
			continue
		}
		f.inspectSample(header.Eval.Run_ID, header.Eval.Task_ID, f.path+"!"+m.Name, &s)
	}
	return nil
}

// member reads one file of an archive, up to the limit of an inventory file.
func member(archive *zip.Reader, name string) ([]byte, error) {
	m, err := archive.Open(name)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return io.ReadAll(io.LimitReader(m, maxFile))
}

// inspectSample takes the tool calls and sandbox commands of one sample; lines of the
// citation count its events, since the JSON has them all on one line.
func (f *file) inspectSample(run, task, path string, s *inspectSample) {
	for i, e := range s.Events {
		c := firetrail.ToolCall{ID: e.ID, Run: run, Unc: 1e6, Sandbox: task, Step: str(s.ID), Citation: firetrail.Citation{Source: path, Line: int64(i + 1)}}
		switch e.Event {
		case "tool":
			c.Tool, c.Args = e.Function, string(e.Arguments)
		case "sandbox":
			if e.Action != "exec" {
				continue
			}
			c.Tool, c.Args = "sandbox.exec", e.Cmd
		default:
			continue
		}
		if c.ID == "" {
			c.ID = fmt.Sprintf("%s:%d", path, i+1)
		}
		c.NoArgs = c.Args == ""
		c.Start, _ = f.stamp(e.Timestamp)
		c.End, _ = f.stamp(e.Completed)
		f.out.calls = append(f.out.calls, c)
	}
}
