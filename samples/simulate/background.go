package simulate

import (
	"net/netip"
)

// drawer makes the ordinary traffic of the lab.
type drawer struct {
	sim    *simulation
	r      *random
	total  float64 // background records of the whole story
	period int64   // between scrapes, nanoseconds; 0 for none
	acts   []act
	weight float64

	// What runs in the slice at hand.
	runs  []int32 // active runs
	jobs  []int32 // of those, Slurm jobs of several nodes
	next  int     // first call that has not been told
	first int     // first run that may still be active
}

// act is one sort of background traffic: draw adds what begins at t.
type act struct {
	name   string
	weight float64
	draw   func(d *drawer, t int64)
}

// acts of the lab, by how often they are begun. The sizes are medians of
// log-normal distributions: most transfers are small, most bytes are in few.
var backgroundActs = []act{
	{"lookup", 20, (*drawer).lookup},
	{"package", 7, (*drawer).packages},
	{"model", 0.6, (*drawer).model},
	{"tracker", 9, (*drawer).tracker},
	{"object", 9, (*drawer).object},
	{"nfs", 5, (*drawer).nfs},
	{"collective", 7, (*drawer).collective},
	{"git", 1.2, (*drawer).git},
	{"checkpoint", 0.25, (*drawer).checkpoint},
	{"control", 7, (*drawer).control},
	{"operator", 0.25, (*drawer).operator},
	{"web", 4, (*drawer).webPage},
	{"serving", 4, (*drawer).serving},
	{"visitor", 3, (*drawer).visitor},
	{"radiation", 16, (*drawer).radiation},
	{"chatter", 2.5, (*drawer).chatter},
	{"resolver", 6, (*drawer).forward},
	{"stale", 0.5, (*drawer).stale},
}

func newDrawer(sim *simulation, total float64) *drawer {
	d := &drawer{sim: sim, total: total, acts: backgroundActs}
	for _, a := range d.acts {
		d.weight += a.weight
	}
	// Scrapes and clocks keep a steady rhythm; the rhythm is such that they take
	// at most a quarter of the records.
	hosts := float64(gpuNodes + kubeNodes + sandboxHosts + 20)
	span := float64(int64(sim.opt.Days) * day)
	if sim.on&(viewCore|viewEdge1) != 0 {
		for _, p := range []int64{15 * second, 30 * second, minute, 5 * minute, 15 * minute, hour, 4 * hour} {
			if hosts*3*span/float64(p) < total/4 {
				d.period = p
				break
			}
		}
	}
	return d
}

// fill draws sessions of the slice until want records are due.
func (d *drawer) fill(r *random, want int64) {
	d.r = r
	sim := d.sim
	d.active()
	if want <= 0 {
		return
	}
	before := sim.due
	d.rhythm()
	d.calls(want / 3)
	// What is not seen by any sensor costs time but no records: give up in the end.
	for tries := int64(0); sim.due-before < want && tries < 40*want+1000; tries++ {
		t := sim.from + r.below(sim.to-sim.from)
		pick := r.unit() * d.weight
		for i := range d.acts {
			if pick -= d.acts[i].weight; pick < 0 || i == len(d.acts)-1 {
				d.acts[i].draw(d, t)
				break
			}
		}
	}
}

// active lists the runs of the slice.
func (d *drawer) active() {
	runs := d.sim.schedule.runs
	d.runs, d.jobs = d.runs[:0], d.jobs[:0]
	for d.first < len(runs) && runs[d.first].end <= d.sim.from {
		d.first++
	}
	for i := d.first; i < len(runs) && runs[i].start < d.sim.to; i++ {
		if runs[i].end > d.sim.from {
			d.runs = append(d.runs, int32(i))
			if len(runs[i].nodes) > 1 && runs[i].job != 0 {
				d.jobs = append(d.jobs, int32(i))
			}
		}
	}
}

// worker picks a run that is active at t and an address of it.
func (d *drawer) worker(t int64) (*run, netip.Addr, bool) {
	if len(d.runs) == 0 {
		return nil, netip.Addr{}, false
	}
	x := &d.sim.schedule.runs[d.runs[d.r.intn(len(d.runs))]]
	if t < x.start || t >= x.end {
		return nil, netip.Addr{}, false
	}
	if x.job == 0 {
		return x, x.boxes[d.r.intn(len(x.boxes))].ip, true
	}
	return x, d.sim.lab.nodes[x.nodes[d.r.intn(len(x.nodes))]].ip, true
}

// tcp is a finished TCP session.
func tcp(t int64, src, dst netip.Addr, port uint16, app App, length, out, in int64) Session {
	return Session{Start: t, Duration: length, Src: src, Dst: dst, DstPort: port, Proto: TCP, App: app, Out: out, In: in}
}

func udp(t int64, src, dst netip.Addr, port uint16, app App, length, out, in int64) Session {
	return Session{Start: t, Duration: length, Src: src, Dst: dst, DstPort: port, Proto: UDP, App: app, Out: out, In: in}
}

// question asks the lab's name server for a name, unless the client still knows it.
func (d *drawer) question(t int64, client netip.Addr, name string, answer netip.Addr) {
	if d.sim.names.fresh(client, name, t) {
		return
	}
	d.sim.add(dnsSession(d.r, t-d.r.between(8, 60)*millisecond, client, d.sim.lab.dns[d.r.intn(2)].ip, name, 1, answer))
}

// dnsSession is a question and its answer; an invalid answer means that the
// name does not exist.
func dnsSession(r *random, t int64, client, server netip.Addr, name string, kind uint16, answer netip.Addr) Session {
	s := udp(t, client, server, 53, AppDNS, r.span(0.002, 0.6), int64(len(name))+18, int64(len(name))+34)
	s.Name, s.Query, s.Answer, s.NX = name, kind, answer, !answer.IsValid()
	s.PktsOut, s.PktsIn = 1, 1
	return s
}

// visit is a session with a named site, with the question before it and the
// failures of every day.
func (d *drawer) visit(t int64, src netip.Addr, to site, port uint16, app App, length, out, in int64) {
	d.question(t, src, to.name, to.ip)
	s := tcp(t, src, to.ip, port, app, length, out, in)
	if app == AppTLS || app == AppHTTP {
		s.Name = to.name
	}
	if app == AppHTTP {
		s.URI = "/simple/"
	}
	switch p := d.r.unit(); {
	case p < 0.004:
		s.Outcome, s.Duration = NoAnswer, 3*second
	case p < 0.006:
		s.Outcome, s.Duration = Refused, d.r.span(0.03, 0.3)
	case p < 0.02:
		s.Outcome = Torn
	case p < 0.023:
		s.Outcome = Hanging
	}
	d.sim.add(s)
}

func (d *drawer) lookup(t int64) {
	_, ip, ok := d.worker(t)
	if !ok {
		ip = d.sim.lab.nodes[d.r.intn(len(d.sim.lab.nodes))].ip
	}
	l := d.sim.lab
	name, answer, kind := l.registry.name+".lab.example", l.registry.ip, uint16(1)
	switch d.r.intn(6) {
	case 0:
		name, answer = l.objects[d.r.intn(len(l.objects))].name+".storage.lab.example", l.objects[0].ip
	case 1: // search lists of resolvers make names that do not exist
		name, answer = l.mirror.name+".lab.example", netip.Addr{}
	case 2:
		w := l.web[d.r.intn(len(l.web))]
		name, answer, kind = w.name, netip.Addr{}, 28
	case 3:
		name, answer = l.hub.name, l.hub.ip
	case 4:
		name, answer = "gpu"+string(byte('0'+d.r.intn(3)))+"1.lab.example", l.gpus[0].ip
	}
	s := dnsSession(d.r, t, ip, l.dns[d.r.intn(2)].ip, name, kind, answer)
	if kind == 28 {
		s.NX = false // the name exists, an IPv6 address of it does not
	}
	if d.r.chance(0.002) {
		s.Outcome, s.In, s.PktsIn = NoAnswer, 0, 0
	}
	d.sim.add(s)
}

func (d *drawer) packages(t int64) {
	if _, ip, ok := d.worker(t); ok {
		to := d.sim.lab.mirror
		if d.r.chance(0.2) {
			to = d.sim.lab.images
		}
		d.visit(t, ip, to, 443, AppTLS, d.r.span(1.5, 1), d.r.size(1800, 0.4), d.r.size(180_000, 1.8))
	}
}

func (d *drawer) model(t int64) {
	if _, ip, ok := d.worker(t); ok {
		d.visit(t, ip, d.sim.lab.hub, 443, AppTLS, d.r.span(40, 0.8), d.r.size(20_000, 0.6), d.r.size(400e6, 1.3))
	}
}

func (d *drawer) tracker(t int64) {
	_, ip, ok := d.worker(t)
	if !ok {
		return
	}
	if d.r.chance(0.5) {
		s := tcp(t, ip, d.sim.lab.tracker.ip, 5000, AppHTTP, d.r.span(0.2, 0.7), d.r.size(2500, 0.8), d.r.size(600, 0.4))
		s.Name, s.URI = "tracker.lab.example", "/api/2.0/runs/log-batch"
		d.question(t, ip, s.Name, s.Dst)
		d.sim.add(s)
		return
	}
	length := d.r.span(8, 0.8)
	if d.r.chance(0.02) {
		length = d.r.span(5400, 0.8) // a client that keeps its session
	}
	d.visit(t, ip, d.sim.lab.trackerSite, 443, AppTLS, length, d.r.size(16_000, 1.1), d.r.size(5000, 0.6))
}

func (d *drawer) object(t int64) {
	if _, ip, ok := d.worker(t); ok {
		l := d.sim.lab
		o := l.objects[d.r.intn(len(l.objects))]
		s := tcp(t, ip, o.ip, 9000, AppHTTP, d.r.span(0.8, 1), d.r.size(900, 0.4), d.r.size(6e6, 1.6))
		if d.r.chance(0.2) {
			s.Out, s.In = d.r.size(20e6, 1.5), d.r.size(700, 0.3)
		}
		s.Name, s.URI = "s3.storage.lab.example", "/datasets/shard-"+string(byte('0'+d.r.intn(10)))+".tar"
		d.question(t, ip, s.Name, o.ip)
		d.sim.add(s)
	}
}

func (d *drawer) nfs(t int64) {
	if _, ip, ok := d.worker(t); ok {
		l := d.sim.lab
		s := tcp(t, ip, l.nfs[d.r.intn(len(l.nfs))].ip, 2049, AppNFS, d.r.span(600, 1.2), d.r.size(8e6, 1.5), d.r.size(60e6, 1.7))
		s.SrcPort = uint16(700 + d.r.intn(300))
		d.sim.add(s)
	}
}

// collective is the all-to-all traffic of a job of several nodes: long, fat, on any port.
func (d *drawer) collective(t int64) {
	if len(d.jobs) == 0 {
		return
	}
	x := &d.sim.schedule.runs[d.jobs[d.r.intn(len(d.jobs))]]
	if t < x.start || t >= x.end {
		return
	}
	a := d.r.intn(len(x.nodes))
	b := (a + 1 + d.r.intn(len(x.nodes)-1)) % len(x.nodes)
	port := uint16(29500)
	if d.r.chance(0.9) {
		port = uint16(32768 + d.r.intn(28000))
	}
	n := d.r.size(4e9, 1.2)
	s := tcp(t, d.sim.lab.nodes[x.nodes[a]].ip, d.sim.lab.nodes[x.nodes[b]].ip, port, AppOther, min(d.r.span(1800, 1), x.end-t), n, n/2+d.r.size(1e6, 1))
	d.sim.add(s)
}

func (d *drawer) git(t int64) {
	if _, ip, ok := d.worker(t); ok {
		l := d.sim.lab
		if d.r.chance(0.5) {
			s := tcp(t, ip, l.gitlab.ip, 22, AppSSH, d.r.span(2.5, 0.7), d.r.size(4200, 0.5), d.r.size(90_000, 1.6))
			d.question(t, ip, "gitlab.lab.example", l.gitlab.ip)
			d.sim.add(s)
			return
		}
		d.visit(t, ip, l.git, 22, AppSSH, d.r.span(2.5, 0.7), d.r.size(4500, 0.5), d.r.size(120_000, 1.6))
	}
}

// checkpoint is an upload of a training run to the outside store, which is wanted.
func (d *drawer) checkpoint(t int64) {
	x, ip, ok := d.worker(t)
	if !ok || x.agentic {
		return
	}
	to := d.sim.lab.store
	to.ip = v4(198, 51, 100, 40+d.r.intn(4))
	n := d.r.size(5e9, 0.9)
	d.visit(t, ip, to, 443, AppTLS, d.r.span(240, 0.6), n, d.r.size(60_000, 0.5))
}

// control is the talk of schedulers and clusters.
func (d *drawer) control(t int64) {
	l, r := d.sim.lab, d.r
	switch r.intn(4) {
	case 0:
		d.sim.add(tcp(t, l.gpus[r.intn(gpuNodes)].ip, l.slurm.ip, 6817, AppOther, r.span(0.05, 0.5), r.size(600, 0.5), r.size(300, 0.5)))
	case 1:
		d.sim.add(tcp(t, l.slurm.ip, l.gpus[r.intn(gpuNodes)].ip, 6818, AppOther, r.span(0.05, 0.5), r.size(500, 0.5), r.size(400, 0.5)))
	case 2:
		d.sim.add(tcp(t, l.knodes[r.intn(kubeNodes)].ip, l.etcd[r.intn(3)].ip, 6443, AppTLS, r.span(30, 1.2), r.size(5000, 1), r.size(30_000, 1.2)))
	default:
		d.sim.add(tcp(t, l.etcd[r.intn(3)].ip, l.knodes[r.intn(kubeNodes)].ip, 10250, AppTLS, r.span(0.4, 0.8), r.size(1500, 0.6), r.size(9000, 1)))
	}
}

// operator is a person who goes through the bastion to a node.
func (d *drawer) operator(t int64) {
	l, r := d.sim.lab, d.r
	desk := l.office[r.intn(len(l.office))]
	length := r.span(700, 1)
	d.sim.add(tcp(t, desk.ip, l.bastion.ip, 22, AppSSH, length, r.size(30_000, 0.9), r.size(160_000, 1)))
	n := l.nodes[r.intn(len(l.nodes))]
	d.sim.add(tcp(t+r.span(6, 0.5), l.bastion.ip, n.ip, 22, AppSSH, length*9/10, r.size(26_000, 0.9), r.size(150_000, 1)))
}

func (d *drawer) webPage(t int64) {
	l, r := d.sim.lab, d.r
	_, ip, ok := d.worker(t)
	if !ok || r.chance(0.4) {
		ip = l.office[r.intn(len(l.office))].ip
	}
	port, app := uint16(443), AppTLS
	if r.chance(0.1) {
		port, app = 80, AppHTTP
	}
	d.visit(t, ip, l.web[r.intn(len(l.web))], port, app, r.span(4, 1.2), r.size(2500, 0.8), r.size(45_000, 1.5))
}

func (d *drawer) serving(t int64) {
	l, r := d.sim.lab, d.r
	x, ip, ok := d.worker(t)
	if !ok || x.job != 0 {
		return
	}
	s := tcp(t, l.knodes[r.intn(kubeNodes)].ip, ip, 8000, AppHTTP, r.span(1.2, 0.9), r.size(3000, 0.9), r.size(9000, 1))
	s.Name, s.URI = "rollout.serving.lab.example", "/v1/completions"
	d.sim.add(s)
}

// visitor is somebody on the internet who reads our public page.
func (d *drawer) visitor(t int64) {
	r := d.r
	s := tcp(t, v4(198, 18+r.intn(2), r.intn(256), 1+r.intn(254)), v4(192, 0, 2, 40), 443, AppTLS, r.span(6, 1), r.size(1500, 0.7), r.size(30_000, 1.3))
	s.Name = "www.lab.example"
	d.sim.add(s)
}

// scannedPorts are what the internet knocks at, the most wanted first.
var scannedPorts = []uint16{23, 22, 445, 80, 443, 8080, 3389, 2323, 5555, 1433, 3306, 8443, 6379, 81, 21, 25, 5900, 8088, 9200, 37215}

// radiation is what arrives from the internet unasked: scans, worms, backscatter, pings.
func (d *drawer) radiation(t int64) {
	r := d.r
	src := v4(198, 18+r.intn(2), r.intn(256), 1+r.intn(254))
	dst := v4(192, 0, 2, 1+r.intn(126))
	s := Session{Start: t, Src: src, Dst: dst, Proto: TCP, Outcome: Denied, Stop: atEdge, Duration: 0}
	switch p := r.unit(); {
	case p < 0.8:
		// A skewed choice: the product of two uniform numbers prefers the head of the list.
		s.DstPort = scannedPorts[int(float64(len(scannedPorts))*r.unit()*r.unit())]
		if r.chance(0.25) {
			s.DstPort = uint16(1 + r.intn(65535))
		}
	case p < 0.92:
		s.Proto, s.DstPort = UDP, [...]uint16{5060, 161, 1900, 11211, 389, 53413, 500}[r.intn(7)]
	default:
		s.Proto, s.App, s.SrcPort, s.DstPort = ICMP, AppPing, 8, 0
	}
	d.sim.add(s)
}

// chatter is what nodes refuse on their own network: broadcasts of neighbours.
func (d *drawer) chatter(t int64) {
	r := d.r
	n := d.sim.lab.nodes[r.intn(len(d.sim.lab.nodes))]
	s := udp(t, n.ip, v4(224, 0, 0, 251), 5353, AppNone, 0, 120, 0)
	if r.chance(0.3) {
		s.Dst, s.DstPort = v4(239, 255, 255, 250), 1900
	}
	s.SrcPort = s.DstPort
	s.Outcome, s.Stop = Denied, atHost
	d.sim.add(s)
}

// forward is the name server asking the resolver outside.
func (d *drawer) forward(t int64) {
	l, r := d.sim.lab, d.r
	w := l.web[r.intn(len(l.web))]
	s := dnsSession(r, t, l.dns[r.intn(2)].ip, l.resolver.ip, w.name, 1, w.ip)
	s.Duration = r.span(0.018, 0.5)
	d.sim.add(s)
}

// stale is a client that talks to something that has moved away.
func (d *drawer) stale(t int64) {
	_, ip, ok := d.worker(t)
	if !ok {
		return
	}
	l := d.sim.lab
	s := tcp(t, ip, l.objects[d.r.intn(2)].ip, 9001, AppNone, 3*second, 0, 0)
	s.Outcome = NoAnswer
	if d.r.chance(0.5) {
		s.Outcome, s.Duration = Refused, d.r.span(0.001, 0.3)
	}
	d.sim.add(s)
}
