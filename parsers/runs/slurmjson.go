package runs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"

	"firetrail"
)

// slurmJSON reads "squeue --json", "sacct --json", "scontrol show job --json" and,
// for the addresses of nodes, "sinfo --json" and "scontrol show nodes --json".
// Times are epoch seconds. Source: Slurm's OpenAPI schemas 0.0.37 to 0.0.41; newer
// ones wrap numbers as {"set":true,"number":n}.
var slurmJSON = Kind{
	Name: "slurm-json",
	Doc:  "Slurm as JSON: squeue, sacct, scontrol, sinfo --json",
	Sniff: func(head []byte) bool {
		return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && bytes.Contains(head, []byte(`"meta"`)) &&
			(bytes.Contains(head, []byte(`"Slurm"`)) || bytes.Contains(head, []byte(`"slurm"`)))
	},
	read: readSlurmJSON,
}

// slurmNumber is a number, null, or the wrapped form.
type slurmNumber int64

// UnmarshalJSON takes each form and never fails: another one leaves 0, "not set".
func (n *slurmNumber) UnmarshalJSON(raw []byte) error {
	var wrapped struct {
		Set    bool
		Number int64
	}
	var plain int64
	switch {
	case json.Unmarshal(raw, &plain) == nil:
		*n = slurmNumber(plain)
	case json.Unmarshal(raw, &wrapped) == nil && wrapped.Set:
		*n = slurmNumber(wrapped.Number)
	}
	return nil
}

// time is Absent for 0: Slurm's "not yet".
func (n slurmNumber) time() int64 {
	if n <= 0 {
		return firetrail.Absent
	}
	return int64(n) * second
}

// slurmState is a word, a list of words, or {"current": […]}.
type slurmState string

// UnmarshalJSON takes each form; of several words the first is the state, the rest are flags.
func (s *slurmState) UnmarshalJSON(raw []byte) error {
	var word string
	var words []string
	var current struct{ Current json.RawMessage }
	switch {
	case json.Unmarshal(raw, &word) == nil:
		*s = slurmState(word)
	case json.Unmarshal(raw, &words) == nil && len(words) > 0:
		*s = slurmState(words[0])
	case json.Unmarshal(raw, &current) == nil && current.Current != nil:
		return s.UnmarshalJSON(current.Current)
	}
	return nil
}

type slurmJob struct {
	JobID       slurmNumber  `json:"job_id"`
	ArrayJobID  slurmNumber  `json:"array_job_id"`
	ArrayTaskID *slurmNumber `json:"array_task_id"`
	Array       struct {
		JobID  slurmNumber  `json:"job_id"`
		TaskID *slurmNumber `json:"task_id"`
	}
	Name, Cluster, User, Nodes string
	UserName                   string      `json:"user_name"`
	JobState                   slurmState  `json:"job_state"`
	State                      slurmState  `json:"state"`
	StartTime                  slurmNumber `json:"start_time"`
	EndTime                    slurmNumber `json:"end_time"`
	Time                       struct{ Start, End slurmNumber }
}

// readSlurmJSON takes the jobs, and the nodes whose address is one.
func readSlurmJSON(f *file) error {
	var doc struct {
		Jobs  []json.RawMessage
		Nodes []struct{ Name, Address, Hostname string }
	}
	if err := json.Unmarshal(f.data, &doc); err != nil {
		return err
	}
	offset := int64(0)
	for _, raw := range doc.Jobs {
		if i := bytes.Index(f.data[offset:], raw); i >= 0 {
			offset += int64(i)
		}
		f.slurmJob(raw, f.lineAt(offset))
		offset += int64(len(raw))
	}
	named := 0
	for _, n := range doc.Nodes {
		if isAddress(n.Address) {
			f.out.nodes = append(f.out.nodes, node{name: n.Name, ips: []string{n.Address}, where: f.cite(1)})
			if n.Hostname != "" && n.Hostname != n.Name {
				f.out.nodes = append(f.out.nodes, node{name: n.Hostname, ips: []string{n.Address}, where: f.cite(1)})
			}
		} else {
			named++
		}
	}
	if named > 0 {
		f.note(0, "%d nodes have a name where their address should be: import /etc/hosts as well", named)
	}
	return nil
}

// slurmJob takes one job; a task of an array goes by the array's number, as sacct prints it.
func (f *file) slurmJob(raw json.RawMessage, line int64) {
	var s slurmJob
	if err := json.Unmarshal(raw, &s); err != nil {
		f.note(line, "job not understood: %v", err)
		return
	}
	b := job{id: strconv.FormatInt(int64(s.JobID), 10), name: s.Name, user: cmp.Or(s.UserName, s.User), cluster: s.Cluster,
		state: string(cmp.Or(s.JobState, s.State)), where: f.cite(line)}
	if master, task := cmp.Or(s.ArrayJobID, s.Array.JobID), s.ArrayTaskID; master > 0 {
		if task == nil {
			task = s.Array.TaskID
		}
		if task != nil {
			b.rawID, b.id = b.id, strconv.FormatInt(int64(master), 10)+"_"+strconv.FormatInt(int64(*task), 10)
		}
	}
	b.start, b.end = cmp.Or(s.StartTime, s.Time.Start).time(), cmp.Or(s.EndTime, s.Time.End).time()
	switch b.state {
	case "RUNNING", "PENDING", "SUSPENDED", "COMPLETING", "CONFIGURING":
		b.end = firetrail.Absent // a limit, not an end
	}
	if b.state == "PENDING" {
		return
	}
	var err error
	if b.nodes, err = expandNodes(noNodes(s.Nodes)); err != nil {
		f.note(line, "job %s: %v", b.id, err)
	}
	f.out.jobs = append(f.out.jobs, b)
}
