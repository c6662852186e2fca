package runs

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

const second = int64(1e9)

// joiner builds the inventory. A run is made by the run table, else by a tool
// call's run id, else by a job or a group of pods; what the table claims is not
// listed a second time under its scheduler's name.
type joiner struct {
	runs     map[string]*firetrail.Run
	alias    map[string]map[string]bool // run → its other names
	byAlias  map[string]string          // other name → run, for names that are unambiguous
	nodes    map[string][]string        // host name, long and short → addresses
	homeless map[string]bool            // hosts whose address no file gives
	inv      firetrail.Inventory
}

// Join makes one inventory of what the files said: jobs with nodes' addresses,
// pods of all snapshots once, the runs they belong to, tool calls and
// translations. Runs are sorted by id, leases by start and address, calls by
// start. The result does not depend on the order in which files were read.
func Join(s *Statements) firetrail.Inventory {
	j := &joiner{runs: map[string]*firetrail.Run{}, alias: map[string]map[string]bool{}, byAlias: map[string]string{}, nodes: map[string][]string{}, homeless: map[string]bool{}}
	s.sort()
	j.inv.Notes = append(j.inv.Notes, s.notes...)
	j.addresses(s.nodes)
	for i := range s.rows {
		j.row(&s.rows[i])
	}
	for _, b := range mergeJobs(s.jobs) {
		j.job(&b, s.rows)
	}
	served := servedRuns(s.calls)
	for _, p := range mergePods(s.pods) {
		j.pod(&p, s.rows, served)
	}
	for i := range s.boxes {
		j.box(&s.boxes[i], served)
	}
	j.calls(s.calls)
	j.inv.NAT = append(j.inv.NAT, s.nat...)
	j.inv.Hosts = append(j.inv.Hosts, s.hosts...)
	j.hostLeases(s.nodes)
	return j.finish()
}

// sort puts statements into an order that does not depend on the order of the files.
func (s *Statements) sort() {
	slices.SortStableFunc(s.rows, func(a, b row) int { return compareWhere(a.where, b.where) })
	slices.SortStableFunc(s.jobs, func(a, b job) int { return compareWhere(a.where, b.where) })
	slices.SortStableFunc(s.pods, func(a, b pod) int { return compareWhere(a.where, b.where) })
	slices.SortStableFunc(s.boxes, func(a, b sandbox) int { return compareWhere(a.where, b.where) })
	slices.SortStableFunc(s.nodes, func(a, b node) int { return compareWhere(a.where, b.where) })
	slices.SortStableFunc(s.nat, func(a, b firetrail.NAT) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), compareWhere(a.Citation, b.Citation))
	})
	slices.SortStableFunc(s.hosts, func(a, b firetrail.Lease) int { return compareWhere(a.Citation, b.Citation) })
	slices.Sort(s.notes)
}

// compareWhere orders citations by file and line, so that the same files give the
// same inventory in whatever order they were read.
func compareWhere(a, b firetrail.Citation) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line))
}

// addresses gathers the addresses of each node under its full and its short name.
func (j *joiner) addresses(nodes []node) {
	for i, n := range nodes {
		// /etc/hosts also names what is no node: localhost, multicast groups.
		n.ips = slices.DeleteFunc(slices.Clone(n.ips), func(ip string) bool {
			a, err := netip.ParseAddr(ip)
			return err != nil || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a == netip.MustParseAddr("fe00::")
		})
		nodes[i].ips = n.ips
		short, _, _ := strings.Cut(n.name, ".")
		for _, name := range []string{n.name, short} {
			for _, ip := range n.ips {
				if !slices.Contains(j.nodes[name], ip) {
					j.nodes[name] = append(j.nodes[name], ip)
				}
			}
			if short == n.name {
				break
			}
		}
	}
}

// run finds or makes a run.
func (j *joiner) run(id string, where firetrail.Citation) *firetrail.Run {
	if r := j.runs[id]; r != nil {
		return r
	}
	r := &firetrail.Run{ID: id, Start: firetrail.Absent, End: firetrail.Absent, Where: where}
	j.runs[id] = r
	j.alias[id] = map[string]bool{}
	j.byAlias[id] = id
	return r
}

// also gives a run another name.
func (j *joiner) also(r *firetrail.Run, names ...string) {
	for _, name := range names {
		if name == "" || name == r.ID {
			continue
		}
		j.alias[r.ID][name] = true
		if _, taken := j.byAlias[name]; !taken {
			j.byAlias[name] = r.ID
		}
	}
}

// row makes or completes the run of a tracker's row. What an earlier row says stays.
func (j *joiner) row(t *row) {
	r := j.run(t.id, t.where)
	r.Name, r.Family, r.User, r.State = cmp.Or(r.Name, t.name), cmp.Or(r.Family, t.family), cmp.Or(r.User, t.user), cmp.Or(r.State, t.state)
	r.Start, r.End = widen(r.Start, t.start, true), widen(r.End, t.end, false)
	for _, k := range slices.Sorted(maps.Keys(t.extra)) {
		if !slices.ContainsFunc(r.Extra, func(f firetrail.Field) bool { return f.Name == k }) {
			r.Extra = append(r.Extra, firetrail.Field{Name: k, Value: t.extra[k]})
		}
	}
	slices.SortFunc(r.Extra, func(a, b firetrail.Field) int { return cmp.Compare(a.Name, b.Name) })
	switch strings.ToLower(t.extra["agentic"]) {
	case "true", "yes", "1":
		r.Agentic = true
	}
	if kind := strings.ToLower(t.extra["kind"] + " " + t.extra["type"]); strings.Contains(kind, "agent") {
		r.Agentic = true
	}
	for _, id := range words(t.jobID) {
		j.also(r, id, "slurm:"+id)
		if t.namespace != "" {
			j.also(r, "k8s:"+t.namespace+"/"+id)
		}
	}
	if t.jobName != "" && t.namespace != "" {
		j.also(r, "k8s:"+t.namespace+"/"+t.jobName)
	}
	if t.name != "" {
		j.also(r, t.name)
	}
	for _, ip := range t.ips {
		j.lease(r, ip, "run", "", "", t.start, t.end, second, second, false, 1, t.where)
	}
	for _, host := range t.hosts {
		j.nodeLeases(r, host, "run", t.start, t.end, second, second, 0.9, t.where, len(t.ips) == 0)
	}
}

// widen keeps the earliest start or the latest end; an unknown bound gives way.
func widen(have, more int64, start bool) int64 {
	switch {
	case have == firetrail.Absent:
		return more
	case more == firetrail.Absent:
		return have
	case start:
		return min(have, more)
	}
	return max(have, more)
}

// nodeLeases leases all addresses of a host to a run.
func (j *joiner) nodeLeases(r *firetrail.Run, host, subject string, start, end, startUnc, endUnc int64, quality float64, where firetrail.Citation, complain bool) {
	ips := j.nodes[host]
	if len(ips) == 0 {
		short, _, _ := strings.Cut(host, ".")
		ips = j.nodes[short]
	}
	if isAddress(host) {
		ips = []string{host}
	}
	if len(ips) == 0 && complain {
		j.homeless[host] = true
	}
	for _, ip := range ips {
		j.lease(r, ip, subject, host, host, start, end, startUnc, endUnc, false, quality, where)
	}
}

// lease gives an address to a run from start to end, with the uncertainty of both, in
// nanoseconds. Text that is no address becomes a note.
func (j *joiner) lease(r *firetrail.Run, ip, subject, name, host string, start, end, startUnc, endUnc int64, shared bool, quality float64, where firetrail.Citation) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		j.inv.Notes = append(j.inv.Notes, fmt.Sprintf("%s:%d: %q is no address", where.Source, where.Line, ip))
		return
	}
	r.Leases = append(r.Leases, firetrail.Lease{IP: a.Unmap().WithZone(""), PortLow: firetrail.Absent, PortHigh: firetrail.Absent,
		Start: start, End: end, StartUnc: startUnc, EndUnc: endUnc, Run: r.ID, Subject: subject, Name: name, Host: host, Shared: shared, Quality: quality, Citation: where})
}

// job makes a job's leases for the run that claims it, else for a run of its own.
func (j *joiner) job(b *job, rows []row) {
	id := "slurm:" + b.id
	owner, claimed := j.byAlias[id]
	if !claimed && b.rawID != "" {
		owner, claimed = j.byAlias["slurm:"+b.rawID]
	}
	if !claimed {
		for i := range rows {
			if t := &rows[i]; t.jobName != "" && t.jobName == b.name && t.jobID == "" && t.namespace == "" && overlap(t.start, t.end, b.start, b.end) {
				owner, claimed = t.id, true
				break
			}
		}
	}
	if !claimed {
		owner = id
	}
	r := j.run(owner, b.where)
	j.also(r, b.id, id)
	if b.rawID != "" {
		j.also(r, b.rawID, "slurm:"+b.rawID)
	}
	if b.name != "" && !claimed {
		r.Name = cmp.Or(r.Name, b.name)
	}
	r.User, r.State = cmp.Or(r.User, b.user), cmp.Or(r.State, b.state)
	r.Start, r.End = widen(r.Start, b.start, true), widen(r.End, b.end, false)
	for _, host := range b.nodes {
		j.nodeLeases(r, host, "job", b.start, b.end, second, max(second, b.endUnc), 1, b.where, true)
	}
}

// overlap reports whether two spans of time touch; an Absent bound is open.
func overlap(a0, a1, b0, b1 int64) bool {
	return (a1 == firetrail.Absent || b0 == firetrail.Absent || a1 >= b0) && (b1 == firetrail.Absent || a0 == firetrail.Absent || b1 >= a0)
}

// mergeJobs makes one job of its appearances in several exports: an end that
// one of them knows counts, since the others were made while it ran.
func mergeJobs(all []job) []job {
	return merged(all, func(b job) string { return b.id }, func(o *job, b job) {
		o.start, o.end, o.endUnc = widen(o.start, b.start, true), widen(o.end, b.end, false), max(o.endUnc, b.endUnc)
		o.rawID, o.name, o.user = cmp.Or(o.rawID, b.rawID), cmp.Or(o.name, b.name), cmp.Or(o.user, b.user)
		if len(o.nodes) == 0 {
			o.nodes = b.nodes
		}
		if b.end != firetrail.Absent {
			o.state = b.state
		}
	})
}

// merged makes one thing of all that have the same key, in the order of their
// first appearance; add puts what a later one says into the first.
func merged[T any](all []T, key func(T) string, add func(first *T, later T)) []T {
	index := map[string]int{}
	var out []T
	for _, t := range all {
		if i, known := index[key(t)]; known {
			add(&out[i], t)
			continue
		}
		index[key(t)] = len(out)
		out = append(out, t)
	}
	return out
}

// calls joins tool calls with runs, and learns addresses of sandboxes from them.
func (j *joiner) calls(calls []firetrail.ToolCall) {
	type box struct {
		run, name string
		ip        netip.Addr
	}
	seen := map[box]int{}
	var boxes []firetrail.Lease
	for _, c := range calls {
		if id, ok := j.byAlias[c.Run]; ok && c.Run != "" {
			c.Run = id
		}
		if c.Run == "" {
			for _, name := range []string{c.Sandbox, c.Host} {
				if id, ok := j.byAlias[name]; ok && name != "" {
					c.Run = id
					break
				}
			}
		}
		if c.Run != "" {
			r := j.run(c.Run, c.Citation)
			r.Agentic = true
			if c.Start != firetrail.Absent {
				r.Start = widen(r.Start, c.Start, true)
				if r.End != firetrail.Absent {
					r.End = max(r.End, c.Start)
				}
			}
		}
		if c.Run != "" && c.IP.IsValid() && c.Start != firetrail.Absent {
			b := box{c.Run, cmp.Or(c.Sandbox, c.Host), c.IP}
			last := max(c.Start, c.End)
			if i, ok := seen[b]; ok {
				boxes[i].Start, boxes[i].End = min(boxes[i].Start, c.Start), max(boxes[i].End, last)
			} else {
				seen[b] = len(boxes)
				boxes = append(boxes, firetrail.Lease{IP: c.IP.Unmap(), PortLow: firetrail.Absent, PortHigh: firetrail.Absent, Start: c.Start, End: last,
					StartUnc: 60 * second, EndUnc: 60 * second, Run: c.Run, Subject: "sandbox", Name: b.name, Host: c.Host, Quality: 0.8, Citation: c.Citation})
			}
		}
		j.inv.Calls = append(j.inv.Calls, c)
	}
	for _, l := range boxes {
		// An inventory's lease on the address says more than what the calls show.
		r := j.runs[l.Run]
		if !slices.ContainsFunc(r.Leases, func(o firetrail.Lease) bool { return o.IP == l.IP && o.Quality >= l.Quality }) {
			r.Leases = append(r.Leases, l)
		}
	}
}

// hostLeases lists the addresses of nodes as hosts of no run.
func (j *joiner) hostLeases(nodes []node) {
	seen := map[string]bool{}
	for _, n := range nodes {
		for _, ip := range n.ips {
			a, err := netip.ParseAddr(ip)
			if err == nil && !seen[n.name+" "+ip] {
				seen[n.name+" "+ip] = true
				j.inv.Hosts = append(j.inv.Hosts, hostLease(a, n.name, n.where))
			}
		}
	}
}

// finish sorts everything and drops repeated leases.
func (j *joiner) finish() firetrail.Inventory {
	for id, r := range j.runs {
		r.Aliases = sorted(j.alias[id])
		slices.SortFunc(r.Leases, compareLeases)
		r.Leases = slices.CompactFunc(r.Leases, func(a, b firetrail.Lease) bool { return a == b })
		j.inv.Runs = append(j.inv.Runs, *r)
	}
	slices.SortFunc(j.inv.Runs, func(a, b firetrail.Run) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(j.inv.Hosts, compareLeases)
	if hosts := sorted(j.homeless); len(hosts) > 0 {
		listed := strings.Join(hosts[:min(len(hosts), 5)], ", ")
		j.inv.Notes = append(j.inv.Notes, fmt.Sprintf("no file gives the addresses of %d hosts that runs used (%s …): import a node list, scontrol show node or /etc/hosts", len(hosts), listed))
	}
	slices.SortStableFunc(j.inv.Calls, func(a, b firetrail.ToolCall) int {
		switch {
		case a.Start == firetrail.Absent && b.Start != firetrail.Absent:
			return 1
		case b.Start == firetrail.Absent && a.Start != firetrail.Absent:
			return -1
		}
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Run, b.Run), compareWhere(a.Citation, b.Citation), cmp.Compare(a.ID, b.ID))
	})
	return j.inv
}

// compareLeases orders leases by all that tells them apart, for the same inventory from the same files.
func compareLeases(a, b firetrail.Lease) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), a.IP.Compare(b.IP), cmp.Compare(a.End, b.End), cmp.Compare(a.Run, b.Run),
		cmp.Compare(a.Name, b.Name), compareWhere(a.Citation, b.Citation), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Quality, b.Quality))
}
