package runs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"firetrail"
)

// pods reads "kubectl get pods -A -o json": a List or PodList, a single pod, or
// several such documents one after the other (snapshots). Times are UTC.
// Source: Kubernetes API v1, Pod. A finished pod keeps its podIP although the
// address is given to others: its lease ends with its last container.
var pods = Kind{
	Name: "kubernetes",
	Doc:  "Kubernetes: kubectl get pods -A -o json, one or more snapshots",
	Sniff: func(head []byte) bool {
		return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) &&
			(bytes.Contains(head, []byte(`"podIP`)) || bytes.Contains(head, []byte(`"hostIP"`)) ||
				bytes.Contains(head, []byte(`"PodList"`)) || bytes.Contains(head, []byte(`"kind": "Pod"`)) || bytes.Contains(head, []byte(`"kind":"Pod"`)) ||
				bytes.Contains(head, []byte(`"containers"`)) && bytes.Contains(head, []byte(`"namespace"`)))
	},
	read: readPods,
}

// podJSON is what is used of a Pod.
type podJSON struct {
	Kind     string
	Metadata struct {
		Name, Namespace, UID                 string
		Labels, Annotations                  map[string]string
		CreationTimestamp, DeletionTimestamp string
		OwnerReferences                      []struct{ Kind, Name string }
	}
	Spec struct {
		NodeName    string
		HostNetwork bool
	}
	Status struct {
		Phase, HostIP, PodIP, StartTime                                      string
		PodIPs                                                               []struct{ IP string }
		ContainerStatuses, InitContainerStatuses, EphemeralContainerStatuses []struct {
			State, LastState struct {
				Running    *struct{ StartedAt string }
				Terminated *struct{ StartedAt, FinishedAt string }
			}
		}
	}
}

// readPods reads one or several JSON documents, each a pod or a list of them. Broken
// text behind a whole document is a note: what was read before it counts.
func readPods(f *file) error {
	dec := json.NewDecoder(bytes.NewReader(f.data))
	for documents := 0; dec.More(); documents++ {
		var doc struct {
			Kind  string
			Items []json.RawMessage
		}
		at := dec.InputOffset()
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			if documents > 0 {
				f.note(f.lineAt(dec.InputOffset()), "rest of the file is no JSON: %v", err)
				return nil
			}
			return fmt.Errorf("%s:%d: %w", f.path, f.lineAt(dec.InputOffset()), err)
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return fmt.Errorf("%s:%d: %w", f.path, f.lineAt(at), err)
		}
		if doc.Items == nil {
			doc.Items = []json.RawMessage{raw}
		}
		offset := at + int64(bytes.Index(f.data[at:], raw))
		for _, item := range doc.Items {
			// Items are slices of the document in order: find where each begins, for the citation.
			if i := bytes.Index(f.data[offset:], item); i >= 0 {
				offset += int64(i)
			}
			f.pod(item, f.lineAt(offset))
			offset += int64(len(item))
			offset = min(offset, int64(len(f.data)))
		}
	}
	return nil
}

// lineAt is the line of a byte offset, blanks before the next token skipped. Offsets
// are mostly asked in rising order, so counting goes on from the last one.
func (f *file) lineAt(offset int64) int64 {
	offset = min(offset, int64(len(f.data)))
	for offset < int64(len(f.data)) && (f.data[offset] == '\n' || f.data[offset] == ' ' || f.data[offset] == '\t' || f.data[offset] == '\r') {
		offset++
	}
	if offset < f.counted {
		f.counted, f.lines = 0, 0
	}
	f.lines += int64(bytes.Count(f.data[f.counted:offset], []byte{'\n'}))
	f.counted = offset
	return 1 + f.lines
}

func (f *file) pod(raw json.RawMessage, line int64) {
	var p podJSON
	if err := json.Unmarshal(raw, &p); err != nil {
		f.note(line, "pod not understood: %v", err)
		return
	}
	if p.Kind != "" && p.Kind != "Pod" {
		return
	}
	m, s := &p.Metadata, &p.Status
	out := pod{uid: m.UID, namespace: m.Namespace, name: m.Name, node: p.Spec.NodeName, phase: s.Phase, hostIP: s.HostIP,
		labels: m.Labels, where: f.cite(line), ready: firetrail.Absent, end: firetrail.Absent}
	if out.uid == "" {
		out.uid = m.Namespace + "/" + m.Name
	}
	out.created, _ = f.stamp(m.CreationTimestamp)
	out.start, _ = f.stamp(s.StartTime)
	if s.PodIP != "" {
		out.ips = append(out.ips, s.PodIP)
	}
	for _, ip := range s.PodIPs {
		if ip.IP != s.PodIP {
			out.ips = append(out.ips, ip.IP)
		}
	}
	out.hostNetwork = p.Spec.HostNetwork || s.PodIP != "" && s.PodIP == s.HostIP
	finished := int64(firetrail.Absent)
	for _, c := range append(s.ContainerStatuses, s.InitContainerStatuses...) {
		if c.State.Running != nil {
			if t, ok := f.stamp(c.State.Running.StartedAt); ok && t != firetrail.Absent && (out.ready == firetrail.Absent || t < out.ready) {
				out.ready = t
			}
		}
		if c.State.Terminated != nil {
			if t, ok := f.stamp(c.State.Terminated.StartedAt); ok && t != firetrail.Absent && (out.ready == firetrail.Absent || t < out.ready) {
				out.ready = t
			}
			if t, ok := f.stamp(c.State.Terminated.FinishedAt); ok {
				finished = max(finished, t)
			}
		}
	}
	if s.Phase == "Succeeded" || s.Phase == "Failed" {
		out.end = finished
		if t, ok := f.stamp(m.DeletionTimestamp); ok && out.end == firetrail.Absent {
			out.end = t
		}
		if out.end == firetrail.Absent {
			f.note(line, "pod %s/%s has finished, but no container says when: its address is not attributed after its start", m.Namespace, m.Name)
			out.end = max(out.start, out.ready)
		}
	}
	out.group = podGroup(&p)
	f.out.pods = append(f.out.pods, out)
}

// groupLabels name the job that a pod belongs to, most telling first: Kubeflow
// v1 and v2, JobSet, KubeRay, Volcano, Kueue, SkyPilot, plain Jobs.
var groupLabels = []string{
	"firetrail/run-id", "run-id", "run_id", "mlflow.run_id", "wandb.run_id",
	"training.kubeflow.org/job-name", "jobset.sigs.k8s.io/jobset-name",
	"ray.io/originated-from-cr-name", "ray.io/cluster", "volcano.sh/job-name", "kueue.x-k8s.io/pod-group-name",
	"skypilot-cluster-name", "batch.kubernetes.io/job-name", "job-name",
}

// podGroup is the job of a pod: a label, an annotation, its owner, else itself.
func podGroup(p *podJSON) string {
	for _, label := range groupLabels {
		if v := p.Metadata.Annotations[label]; v != "" {
			return v
		}
		if v := p.Metadata.Labels[label]; v != "" {
			return v
		}
	}
	for _, o := range p.Metadata.OwnerReferences {
		switch o.Kind {
		case "DaemonSet", "Node":
			return "" // belongs to the cluster, not to a run
		case "ReplicaSet":
			// A Deployment's ReplicaSet carries a hash behind the last dash.
			if i := strings.LastIndexByte(o.Name, '-'); i > 0 {
				return o.Name[:i]
			}
			return o.Name
		default:
			return o.Name
		}
	}
	return p.Metadata.Name
}
