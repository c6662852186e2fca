package runs

import (
	"bytes"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"firetrail"
)

// mlflow reads runs as MLflow's REST API returns them (runs/search, runs/get):
// times are epoch milliseconds. A run names no host of itself; tags that give a
// host or a Slurm job are used. Source: MLflow REST API, RunInfo and RunData.
var mlflow = Kind{
	Name: "mlflow",
	Doc:  "MLflow runs: runs/search or runs/get as JSON; tags host, hostname, slurm_job_id join them",
	Sniff: func(head []byte) bool {
		return bytes.Contains(head, []byte(`"info"`)) && bytes.Contains(head, []byte(`"run_id"`)) && bytes.Contains(head, []byte(`"experiment_id"`))
	},
	read: readMLflow,
}

// readMLflow takes the runs with their times in milliseconds; tags join them to hosts and jobs.
func readMLflow(f *file) error {
	type runJSON struct {
		Info struct {
			RunID      string `json:"run_id"`
			RunName    string `json:"run_name"`
			Experiment string `json:"experiment_id"`
			User       string `json:"user_id"`
			Status     string
			StartTime  json.RawMessage `json:"start_time"`
			EndTime    json.RawMessage `json:"end_time"`
		}
		Data struct {
			Tags []struct{ Key, Value string }
		}
	}
	var doc struct {
		Runs []runJSON
		Run  *runJSON
	}
	if err := json.Unmarshal(f.data, &doc); err != nil {
		if err := json.Unmarshal(f.data, &doc.Runs); err != nil {
			return err
		}
	}
	if doc.Run != nil {
		doc.Runs = append(doc.Runs, *doc.Run)
	}
	for _, r := range doc.Runs {
		t := row{id: r.Info.RunID, name: r.Info.RunName, family: r.Info.Experiment, user: r.Info.User, state: r.Info.Status, where: f.cite(1)}
		t.where.Line = f.lineAt(int64(max(bytes.Index(f.data, []byte(`"`+t.id+`"`)), 0)))
		t.start, _ = f.stamp(str(r.Info.StartTime))
		t.end, _ = f.stamp(str(r.Info.EndTime))
		for _, tag := range r.Data.Tags {
			switch strings.ToLower(tag.Key) {
			case "host", "hostname", "node", "host_name":
				t.hosts = words(tag.Value)
			case "slurm_job_id", "slurm.job_id", "job_id":
				t.jobID = tag.Value
			case "ip", "host_ip":
				t.ips = words(tag.Value)
			}
		}
		if t.id == "" {
			f.note(t.where.Line, "run without run_id")
			continue
		}
		f.out.rows = append(f.out.rows, t)
	}
	return nil
}

// wandb reads a wandb-metadata.json: host, user, start and, where the run was a
// Slurm job, the job. The run's id is not in the file but in the name of its
// folder, "run-20260301_080000-g9dvvkua". Older files have times without a zone.
var wandb = Kind{
	Name: "wandb",
	Doc:  "Weights & Biases: wandb-metadata.json in its run folder",
	Sniff: func(head []byte) bool {
		return bytes.Contains(head, []byte(`"startedAt"`)) && bytes.Contains(head, []byte(`"host"`))
	},
	read: func(f *file) error {
		var m struct {
			Host, Username, StartedAt, HeartbeatAt, Program, State string
			Slurm                                                  map[string]json.RawMessage
		}
		if err := json.Unmarshal(f.data, &m); err != nil {
			return err
		}
		id := ""
		for dir := range strings.SplitSeq(path.Dir(f.path), "/") {
			if i := strings.LastIndexByte(dir, '-'); i > 0 && (strings.HasPrefix(dir, "run-") || strings.HasPrefix(dir, "offline-run-")) {
				id = dir[i+1:]
			}
		}
		if id == "" {
			id = "wandb:" + m.Host + ":" + m.StartedAt
			f.note(0, "the file lies in no run folder: the run is called %s", id)
		}
		t := row{id: id, name: m.Program, user: m.Username, state: m.State, hosts: []string{m.Host}, where: f.cite(1), end: firetrail.Absent}
		t.start, _ = f.stamp(m.StartedAt)
		if m.State != "running" {
			t.end, _ = f.stamp(m.HeartbeatAt)
		}
		t.jobID = first(m.Slurm, "job_id", "jobid", "SLURM_JOB_ID")
		f.out.rows = append(f.out.rows, t)
		return nil
	},
}

// openHands reads OpenHands output, one instance a line with its history of
// events: action "run" has the command, the observation that it causes ends it.
// Times are local and have no zone. Source: OpenHands event stream.
var openHands = Kind{
	Name: "openhands",
	Doc:  "OpenHands output.jsonl: actions and observations",
	Sniff: func(head []byte) bool {
		return bytes.Contains(head, []byte(`"instance_id"`)) && (bytes.Contains(head, []byte(`"history"`)) || bytes.Contains(head, []byte(`"agent_class"`)))
	},
	read: readOpenHands,
}

func readOpenHands(f *file) error {
	line, undated := int64(0), 0
	for text := range bytes.Lines(f.data) {
		line++
		var d struct {
			InstanceID string `json:"instance_id"`
			History    []struct {
				ID        int64
				Timestamp string
				Action    string
				Args      map[string]json.RawMessage
				Cause     *int64
			}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := json.Unmarshal(text, &d); err != nil {
			f.note(line, "history not understood: %v", err)
			continue
		}
		ends := map[int64]string{}
		for _, e := range d.History {
			if e.Cause != nil && e.Action == "" {
				ends[*e.Cause] = e.Timestamp
			}
		}
		for _, e := range d.History {
			args, found := argsOf(e.Args, "command", "code", "url", "path")
			if e.Action == "" || !found {
				continue
			}
			c := firetrail.ToolCall{ID: d.InstanceID + "/" + strconv.FormatInt(e.ID, 10), Run: d.InstanceID, Tool: e.Action, Args: args, Unc: 1e6, Citation: f.cite(line)}
			c.Start, _ = f.stamp(e.Timestamp)
			c.End, _ = f.stamp(ends[e.ID])
			if c.Start == firetrail.Absent {
				undated++
			}
			f.out.calls = append(f.out.calls, c)
		}
	}
	if f.opt.Zone == nil && len(f.out.calls) > undated {
		f.note(0, "times have no zone: read as UTC; name the machine's zone with --timezone")
	}
	if undated > 0 {
		f.note(0, "%d tool calls have no time: they can only name a run", undated)
	}
	return nil
}
