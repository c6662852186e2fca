package runs

import (
	"bytes"
	"strings"

	"firetrail"
)

// sacct reads "sacct -P": a header row and rows of the same number of columns,
// joined by "|" or the --delimiter. Source: Slurm's sacct manual. Job steps
// (".batch", ".extern", ".0") repeat their job and are folded into it; times
// are local to the cluster and have no zone.
//
//	JobID|JobName|User|Start|End|State|NodeList
//	412391|rl-shell|kim|2026-03-01T08:00:00|2026-03-01T12:00:00|COMPLETED|gpu[01-04]
var sacct = Kind{
	Name: "sacct",
	Doc:  "Slurm accounting: sacct -P, any columns with JobID, Start, End, NodeList",
	Sniff: func(head []byte) bool {
		line, _, _ := bytes.Cut(head, []byte("\n"))
		return sacctDelimiter(string(line)) != ""
	},
	read: readSacct,
}

// sacctDelimiter finds what separates the columns of a header row that has a
// JobID column and another known one; "" if it is no such row.
func sacctDelimiter(header string) string {
	header = strings.TrimRight(header, "\r")
	for _, d := range []string{"|#", "|", ";", "\t"} {
		known := 0
		for name := range strings.SplitSeq(header, d) {
			switch name {
			case "JobID", "JobIDRaw", "State", "Start", "End", "NodeList", "JobName":
				known++
			}
		}
		if known >= 2 {
			return d
		}
	}
	return ""
}

// readSacct reads the columns by their names, in any order.
func readSacct(f *file) error {
	lines := strings.Split(string(f.data), "\n")
	delim := sacctDelimiter(lines[0])
	if delim == "" {
		delim = "|"
	}
	column := map[string]int{}
	header := strings.Split(strings.TrimRight(lines[0], "\r"), delim)
	for i, name := range header {
		column[name] = i
	}
	if f.opt.Zone == nil {
		f.note(0, "Slurm times have no zone: read as UTC; name the cluster's zone with --timezone")
	}
	jobs := map[string]*job{}
	var order []string
	for i := 1; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		first := int64(i + 1)
		text := strings.TrimRight(lines[i], "\r")
		// A field may hold line ends: take lines until the columns are complete.
		for strings.Count(text, delim) < len(header)-1 && i+1 < len(lines) && strings.Count(text, delim)+strings.Count(lines[i+1], delim) <= len(header)-1 && lines[i+1] != "" {
			i++
			text += "\n" + strings.TrimRight(lines[i], "\r")
		}
		values := strings.Split(text, delim)
		if len(values) != len(header) {
			f.note(first, "%d columns where the header has %d", len(values), len(header))
			continue
		}
		get := func(name string) string {
			if at, ok := column[name]; ok {
				return strings.TrimSpace(values[at])
			}
			return ""
		}
		f.sacctRow(get, first, jobs, &order)
	}
	for _, id := range order {
		f.out.jobs = append(f.out.jobs, *jobs[id])
	}
	return nil
}

// sacctRow adds one row to its job.
func (f *file) sacctRow(get func(string) string, line int64, jobs map[string]*job, order *[]string) {
	full := get("JobID")
	if full == "" {
		full = get("JobIDRaw")
	}
	id, step, isStep := strings.Cut(full, ".")
	if id == "" {
		f.note(line, "no JobID")
		return
	}
	start, ok1 := f.stamp(get("Start"))
	end, ok2 := f.stamp(get("End"))
	if !ok1 || !ok2 {
		f.note(line, "job %s: time not understood: %q to %q", full, get("Start"), get("End"))
		return
	}
	nodes, err := expandNodes(noNodes(get("NodeList")))
	if err != nil {
		f.note(line, "job %s: %v", full, err)
	}
	j := jobs[id]
	if j == nil {
		j = &job{id: id, start: firetrail.Absent, end: firetrail.Absent, where: f.cite(line)}
		jobs[id] = j
		*order = append(*order, id)
	}
	if !isStep {
		raw := get("JobIDRaw")
		if raw != id {
			j.rawID = raw
		}
		// The job's own row says more than its steps'.
		j.where = f.cite(line)
		j.name, j.user, j.cluster = get("JobName"), get("User"), get("Cluster")
		j.state, _, _ = strings.Cut(get("State"), " ")
		j.start, j.nodes = start, nodes
		if end != firetrail.Absent && j.end != firetrail.Absent && j.end > end {
			j.endUnc = j.end - end
		}
		j.end = end
		return
	}
	_ = step
	if j.start == firetrail.Absent || start != firetrail.Absent && start < j.start {
		j.start = start
	}
	if len(j.nodes) == 0 {
		j.nodes = nodes
	}
	switch {
	case end == firetrail.Absent:
	case j.end == firetrail.Absent && j.state == "":
		j.end = end
	case j.end != firetrail.Absent && end > j.end:
		j.endUnc = max(j.endUnc, end-j.end)
	}
}

// noNodes blanks the words that Slurm writes for an empty node list.
func noNodes(list string) string {
	switch list {
	case "None assigned", "None", "(null)", "N/A":
		return ""
	}
	return list
}

// scontrolJob reads "scontrol show job": blocks of Key=value separated by blank
// lines. Source: Slurm's scontrol manual.
var scontrolJob = Kind{
	Name:  "scontrol-job",
	Doc:   "Slurm: scontrol show job",
	Sniff: func(head []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(head), []byte("JobId=")) },
	read: func(f *file) error {
		for _, b := range blocks(f.data, "JobId=") {
			start, ok1 := f.stamp(b.get("StartTime"))
			end, ok2 := f.stamp(b.get("EndTime"))
			if !ok1 || !ok2 {
				f.note(b.line, "job %s: time not understood", b.get("JobId"))
				continue
			}
			if b.get("JobState") == "RUNNING" {
				end = firetrail.Absent // EndTime is a limit while the job runs
			}
			nodes, err := expandNodes(noNodes(b.get("NodeList")))
			if err != nil {
				f.note(b.line, "%v", err)
			}
			user, _, _ := strings.Cut(b.get("UserId"), "(")
			j := job{id: b.get("JobId"), name: b.get("JobName"), user: user, state: b.get("JobState"),
				start: start, end: end, nodes: nodes, where: f.cite(b.line)}
			if array := b.get("ArrayJobId"); array != "" && b.get("ArrayTaskId") != "" {
				j.rawID, j.id = j.id, array+"_"+b.get("ArrayTaskId")
			}
			f.out.jobs = append(f.out.jobs, j)
		}
		return nil
	},
}

// scontrolNode reads "scontrol show node" for the addresses of nodes.
var scontrolNode = Kind{
	Name:  "scontrol-node",
	Doc:   "Slurm: scontrol show node (NodeName, NodeAddr)",
	Sniff: func(head []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(head), []byte("NodeName=")) },
	read: func(f *file) error {
		for _, b := range blocks(f.data, "NodeName=") {
			n := node{name: b.get("NodeName"), where: f.cite(b.line)}
			if ip := b.get("NodeAddr"); isAddress(ip) {
				n.ips = append(n.ips, ip)
			}
			if host := b.get("NodeHostName"); host != "" && host != n.name && len(n.ips) > 0 {
				f.out.nodes = append(f.out.nodes, node{name: host, ips: n.ips, where: n.where})
			}
			if len(n.ips) == 0 {
				f.note(b.line, "node %s: NodeAddr %q is no address", n.name, b.get("NodeAddr"))
				continue
			}
			f.out.nodes = append(f.out.nodes, n)
		}
		return nil
	},
}

// block is one Key=value block of scontrol.
type block struct {
	line  int64
	pairs [][2]string
}

// get is the value of the first pair of that key, "" where there is none.
func (b *block) get(key string) string {
	for _, p := range b.pairs {
		if p[0] == key {
			return strings.TrimSpace(p[1])
		}
	}
	return ""
}

// blocks splits scontrol's output at the lines that begin with start. A value
// reaches to the next word with "=", so names with blanks stay whole.
func blocks(data []byte, start string) []block {
	var out []block
	line := int64(0)
	for text := range strings.Lines(string(data)) {
		line++
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, start) {
			out = append(out, block{line: line})
		}
		if len(out) == 0 {
			continue
		}
		b := &out[len(out)-1]
		for word := range strings.FieldsSeq(text) {
			key, value, found := strings.Cut(word, "=")
			switch {
			case found && key != "":
				b.pairs = append(b.pairs, [2]string{key, value})
			case len(b.pairs) > 0:
				b.pairs[len(b.pairs)-1][1] += " " + word
			}
		}
	}
	return out
}
