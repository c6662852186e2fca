package runs

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// mergePods makes one pod of its appearances in several snapshots: bounds are
// widened, and an end that one snapshot knows counts.
func mergePods(all []pod) []pod {
	return merged(all, func(p pod) string { return p.uid }, func(o *pod, p pod) {
		o.start, o.ready, o.created = widen(o.start, p.start, true), widen(o.ready, p.ready, true), widen(o.created, p.created, true)
		o.end = widen(o.end, p.end, false)
		o.node, o.hostIP, o.group = cmp.Or(o.node, p.node), cmp.Or(o.hostIP, p.hostIP), cmp.Or(o.group, p.group)
		o.hostNetwork = o.hostNetwork || p.hostNetwork
		if p.end != firetrail.Absent {
			o.phase = p.phase
		}
		for _, ip := range p.ips {
			if !slices.Contains(o.ips, ip) {
				o.ips = append(o.ips, ip)
			}
		}
	})
}

// quality of a lease that rests on the node's address: a pod's traffic usually
// leaves by it, but so does everything else on the node.
const nodeQuality = 0.3

func (j *joiner) pod(p *pod, rows []row, served map[string]string) {
	start := p.start
	for _, t := range []int64{p.created, p.ready} {
		if start == firetrail.Absent {
			start = t
		}
	}
	// The address is given between the pod's start and its first container's.
	startUnc, endUnc := second, second
	if p.ready != firetrail.Absent && p.ready > start {
		startUnc += p.ready - start
	}
	if p.group == "" { // a daemon of the cluster
		for _, ip := range p.ips {
			if a, err := netip.ParseAddr(ip); err == nil && !p.hostNetwork {
				l := hostLease(a, p.namespace+"/"+p.name, p.where)
				l.Subject, l.Host, l.Start, l.End, l.StartUnc, l.EndUnc = "pod", p.node, start, p.end, startUnc, endUnc
				j.inv.Hosts = append(j.inv.Hosts, l)
			}
		}
		return
	}
	r := j.run(j.podOwner(p, start, rows, served), p.where)
	j.also(r, p.name, "k8s:"+p.namespace+"/"+p.name, "k8s:"+p.namespace+"/"+p.group, p.group)
	r.Start = widen(r.Start, start, true)
	if p.end != firetrail.Absent {
		r.End = widen(r.End, p.end, false)
	}
	r.State = cmp.Or(r.State, p.phase)
	name := p.namespace + "/" + p.name
	for _, ip := range p.ips {
		quality := 1.0
		if p.hostNetwork {
			quality = 0.5
		}
		j.lease(r, ip, "pod", name, p.node, start, p.end, startUnc, endUnc, p.hostNetwork, quality, p.where)
	}
	if p.hostIP != "" && !p.hostNetwork {
		j.lease(r, p.hostIP, "pod", name, p.node, start, p.end, startUnc, endUnc, true, nodeQuality, p.where)
	}
}

// podOwner is the run of a pod: the table's by job id, job name or host within
// its namespace, else a run named after the pod's group.
func (j *joiner) podOwner(p *pod, start int64, rows []row, served map[string]string) string {
	if id, ok := j.byAlias[p.group]; ok && j.runs[id] != nil && !strings.HasPrefix(id, "k8s:") {
		return id
	}
	for _, name := range []string{"k8s:" + p.namespace + "/" + p.group, "k8s:" + p.namespace + "/" + p.name} {
		if id, ok := j.byAlias[name]; ok {
			return id
		}
	}
	for i := range rows {
		t := &rows[i]
		if t.namespace != "" && t.namespace != p.namespace {
			continue
		}
		match := t.jobName != "" && (t.jobName == p.group || t.namespace != "" && strings.HasPrefix(p.name, t.jobName+"-")) ||
			slices.Contains(t.hosts, p.name)
		if match && overlap(t.start, t.end, start, p.end) {
			return t.id
		}
	}
	if run, ok := served[p.name]; ok {
		return run
	}
	return "k8s:" + p.namespace + "/" + p.group
}

// servedRuns says which run each sandbox or host served, by the tool calls that
// name both; one that served several is left out.
func servedRuns(calls []firetrail.ToolCall) map[string]string {
	served := map[string]string{}
	for i := range calls {
		c := &calls[i]
		if c.Run == "" || c.Sandbox == "" {
			continue
		}
		if run, ok := served[c.Sandbox]; ok && run != c.Run {
			served[c.Sandbox] = ""
		} else if !ok {
			served[c.Sandbox] = c.Run
		}
	}
	maps.DeleteFunc(served, func(_, run string) bool { return run == "" })
	return served
}

// box leases a sandbox's address to the run that it served, as far as that is known.
func (j *joiner) box(b *sandbox, served map[string]string) {
	run := cmp.Or(b.run, served[b.id])
	if id, ok := j.byAlias[run]; ok && run != "" {
		run = id
	}
	if run == "" {
		if a, err := netip.ParseAddr(b.ip); err == nil {
			l := hostLease(a, b.id, b.where)
			l.Subject, l.Host, l.Start, l.End, l.Shared = "sandbox", b.host, b.start, b.end, b.shared
			j.inv.Hosts = append(j.inv.Hosts, l)
		}
		return
	}
	r := j.run(run, b.where)
	j.also(r, b.id)
	r.Start = widen(r.Start, b.start, true)
	if b.end != firetrail.Absent {
		r.End = widen(r.End, b.end, false)
	}
	quality := 1.0
	if b.shared {
		quality = 0.5
	}
	j.lease(r, b.ip, "sandbox", b.id, b.host, b.start, b.end, second, second, b.shared, quality, b.where)
}
