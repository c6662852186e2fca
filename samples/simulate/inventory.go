package simulate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// inventory writes what schedulers, trackers, traces and tables say, all of it
// for "firetrail runs import", and the allow list.
func (sim *simulation) inventory() error {
	start := sim.opt.start()
	files := []struct {
		name  string
		write func(w *bufio.Writer) error
	}{
		{"inventory/hosts", sim.writeHosts},
		{"inventory/sacct.txt", sim.writeSacct},
		{"inventory/runs.csv", sim.writeRuns},
		{"inventory/toolcalls.jsonl", sim.writeCalls},
		{"inventory/spans.otlp.json", sim.writeSpans},
		{"inventory/conntrack.txt", sim.nat.write},
		{"allow.yaml", sim.writeAllow},
	}
	for _, f := range files {
		if err := sim.writeFile(f.name, f.write); err != nil {
			return err
		}
	}
	// A snapshot of the pods every six hours, and one at the end.
	for t := start + 6*hour; t <= sim.opt.end(); t += 6 * hour {
		name := "inventory/pods-" + utc(t).Format("20060102-1504") + ".json"
		if err := sim.writeFile(name, func(w *bufio.Writer) error { return sim.writePods(w, t) }); err != nil {
			return err
		}
	}
	return nil
}

func (sim *simulation) writeFile(name string, write func(w *bufio.Writer) error) error {
	path := filepath.Join(sim.opt.Out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 64<<10)
	if err := write(w); err != nil {
		file.Close()
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := w.Flush(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func (sim *simulation) writeHosts(w *bufio.Writer) error {
	l := sim.lab
	groups := [][]host{l.nodes, l.dns, l.etcd, l.nfs, l.objects, l.office,
		{l.ntp, l.monitor, l.bastion, l.slurm, l.registry, l.tracker, l.scanner, l.gitlab}}
	io.WriteString(w, "# addresses of machines\n")
	for _, g := range groups {
		for _, h := range g {
			fmt.Fprintf(w, "%s %s.lab.example %s\n", h.ip, h.name, h.name)
		}
	}
	return nil
}

const slurmTime = "2006-01-02T15:04:05"

func (sim *simulation) writeSacct(w *bufio.Writer) error {
	io.WriteString(w, "JobID|JobName|User|Partition|Start|End|State|NodeList\n")
	for i := range sim.schedule.runs {
		x := &sim.schedule.runs[i]
		if x.job == 0 || x.start >= sim.opt.end() {
			continue
		}
		end, state := utc(x.end).Format(slurmTime), "COMPLETED"
		if x.end >= sim.opt.end() {
			end, state = "Unknown", "RUNNING"
		} else if i%17 == 5 {
			state = "CANCELLED by 1042"
		}
		nodes := sim.lab.nodes[x.nodes[0]].name
		if n := len(x.nodes); n > 1 {
			nodes = fmt.Sprintf("gpu[%02d-%02d]", x.nodes[0]+1, x.nodes[n-1]+1)
		}
		begin := utc(x.start).Format(slurmTime)
		fmt.Fprintf(w, "%d|%s|%s|gpu|%s|%s|%s|%s\n", x.job, x.family, x.user, begin, end, state, nodes)
		fmt.Fprintf(w, "%d.batch|batch|||%s|%s|%s|%s\n", x.job, begin, end, state, strings.SplitN(nodes, "-", 2)[0][:3]+nodeDigits(nodes))
	}
	return nil
}

// nodeDigits is the number of the first node of a list: where the batch step runs.
func nodeDigits(list string) string {
	i := strings.IndexAny(list, "0123456789")
	return list[i : i+2]
}

func (sim *simulation) writeRuns(w *bufio.Writer) error {
	io.WriteString(w, "run_id,name,family,user,scheduler,namespace,job_id,job_name,start,end,agentic\n")
	for i := range sim.schedule.runs {
		x := &sim.schedule.runs[i]
		if x.start >= sim.opt.end() {
			continue
		}
		end := utc(x.end).Format(time.RFC3339)
		if x.end >= sim.opt.end() {
			end = ""
		}
		agentic := "no"
		if x.agentic {
			agentic = "yes"
		}
		if x.job != 0 {
			fmt.Fprintf(w, "%s,%s,%s,%s,slurm,,%d,,%s,%s,%s\n", x.id, x.name, x.family, x.user, x.job, utc(x.start).Format(time.RFC3339), end, agentic)
			continue
		}
		fmt.Fprintf(w, "%s,%s,%s,%s,kubernetes,rl,,%s,%s,%s,%s\n", x.id, x.name, x.family, x.user, x.group, utc(x.start).Format(time.RFC3339), end, agentic)
	}
	return nil
}

// traced reports whether the calls of a run are written in this form.
func (sim *simulation) traced(c *call, as trace) bool {
	t := sim.schedule.runs[c.run].trace
	return t == as || as == traceSpans && t == traceNoArgs
}

func (sim *simulation) writeCalls(w *bufio.Writer) error {
	// Field order and times as a harness writes them.
	type line struct {
		ID      string `json:"id"`
		Run     string `json:"run_id"`
		Host    string `json:"host"`
		IP      string `json:"ip"`
		Sandbox string `json:"sandbox_id,omitempty"`
		Start   string `json:"start"`
		End     string `json:"end"`
		Tool    string `json:"tool"`
		Args    string `json:"args"`
		Step    int32  `json:"step"`
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range sim.schedule.calls {
		c := &sim.schedule.calls[i]
		if !sim.traced(c, traceLines) {
			continue
		}
		x := &sim.schedule.runs[c.run]
		b := &x.boxes[c.box]
		l := line{callID(i), x.id, sim.lab.nodes[b.node].name, b.ip.String(), b.name, stamp(c.start), stamp(c.end), "bash", sim.schedule.argsOf(c), c.step}
		if b.name == l.Host {
			l.Sandbox = ""
		}
		if err := enc.Encode(&l); err != nil {
			return err
		}
	}
	return nil
}

func stamp(t int64) string { return utc(t).Format("2006-01-02T15:04:05.000Z07:00") }

// writeSpans writes the traces of an OpenTelemetry collector, a document a line.
func (sim *simulation) writeSpans(w *bufio.Writer) error {
	type value struct {
		S string `json:"stringValue"`
	}
	type attr struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	attrs := func(pairs ...string) []attr {
		var out []attr
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i+1] != "" {
				out = append(out, attr{pairs[i], value{pairs[i+1]}})
			}
		}
		return out
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range sim.schedule.calls {
		c := &sim.schedule.calls[i]
		if !sim.traced(c, traceSpans) {
			continue
		}
		x := &sim.schedule.runs[c.run]
		b := &x.boxes[c.box]
		args := sim.schedule.argsOf(c)
		if x.trace == traceNoArgs {
			args = ""
		}
		host, box := sim.lab.nodes[b.node].name, b.name
		if box == host {
			box = ""
		}
		h := mix(uint64(i) + 1)
		doc := map[string]any{"resourceSpans": []any{map[string]any{
			"resource": map[string]any{"attributes": attrs("run.id", x.id, "host.name", host, "host.ip", b.ip.String(), "sandbox.id", box)},
			"scopeSpans": []any{map[string]any{"spans": []any{map[string]any{
				"traceId": fmt.Sprintf("%016x%016x", h, mix(h)), "spanId": fmt.Sprintf("%016x", mix(h+1)), "name": "execute_tool bash",
				"startTimeUnixNano": strconv.FormatInt(c.start, 10), "endTimeUnixNano": strconv.FormatInt(c.end, 10),
				"attributes": attrs("gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "bash", "gen_ai.tool.call.id", callID(i), "gen_ai.tool.call.arguments", args),
			}}}},
		}}}
		// encoding/json writes the keys of a map in order.
		if err := enc.Encode(doc); err != nil {
			return err
		}
	}
	return nil
}

// writePods is what "kubectl get pods -A -o json" says at t: pods that run, and
// those that ended in the last half day, which still show their address.
func (sim *simulation) writePods(w *bufio.Writer, t int64) error {
	var items []any
	for i := range sim.schedule.runs {
		x := &sim.schedule.runs[i]
		if x.job != 0 || x.start > t || x.end < t-12*hour {
			continue
		}
		for k := range x.boxes {
			b := &x.boxes[k]
			items = append(items, podObject(sim, x, b, k, t))
		}
	}
	for n, h := range sim.lab.knodes {
		started := utc(sim.opt.start() - 20*day).Format(time.RFC3339)
		items = append(items, map[string]any{"kind": "Pod",
			"metadata": map[string]any{"name": fmt.Sprintf("node-exporter-%02d", n), "namespace": "monitoring", "uid": fmt.Sprintf("exporter-%d", n), "creationTimestamp": started,
				"ownerReferences": []any{map[string]any{"kind": "DaemonSet", "name": "node-exporter"}}},
			"spec":   map[string]any{"nodeName": h.name, "hostNetwork": true},
			"status": map[string]any{"phase": "Running", "hostIP": h.ip.String(), "podIP": h.ip.String(), "startTime": started}})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
}

func podObject(sim *simulation, x *run, b *box, k int, t int64) any {
	node := &sim.lab.nodes[b.node]
	begun := utc(x.start).Format(time.RFC3339)
	state := map[string]any{"running": map[string]any{"startedAt": utc(x.start + 2*second).Format(time.RFC3339)}}
	phase := "Running"
	if x.end <= t {
		phase = "Succeeded"
		state = map[string]any{"terminated": map[string]any{"startedAt": utc(x.start + 2*second).Format(time.RFC3339), "finishedAt": utc(x.end).Format(time.RFC3339), "exitCode": 0}}
	}
	spec := map[string]any{"nodeName": node.name}
	if x.hostNetwork {
		spec["hostNetwork"] = true
	}
	return map[string]any{"kind": "Pod",
		"metadata": map[string]any{"name": b.name, "namespace": "rl", "uid": fmt.Sprintf("%s-%d", x.id, k), "creationTimestamp": begun,
			"labels": map[string]any{"batch.kubernetes.io/job-name": x.group}},
		"spec": spec,
		"status": map[string]any{"phase": phase, "hostIP": node.ip.String(), "podIP": b.ip.String(), "podIPs": []any{map[string]any{"ip": b.ip.String()}}, "startTime": begun,
			"containerStatuses": []any{map[string]any{"name": "worker", "state": state}}}}
}

// writeAllow is the list of what is known and wanted.
func (sim *simulation) writeAllow(w *bufio.Writer) error {
	l := sim.lab
	io.WriteString(w, "# Traffic that is known and wanted.\nallow:\n")
	entry := func(entry, side, reason string) {
		fmt.Fprintf(w, "- entry: %s\n  side: %s\n  reason: %s\n", entry, side, reason)
	}
	for _, s := range []struct {
		site   site
		reason string
	}{{l.mirror, "package mirror"}, {l.hub, "model hub"}, {l.trackerSite, "experiment tracker"}, {l.store, "checkpoints of training runs"},
		{l.images, "container images"}, {l.git, "source code"}, {l.gateway, "gateway for remote sandboxes"}} {
		entry(s.site.name, "dst", s.reason)
		entry(s.site.ip.String(), "dst", s.reason)
	}
	entry("198.51.100.40/30", "dst", "checkpoints of training runs")
	entry(l.scanner.ip.String(), "src", "scanner of the security team")
	return nil
}
