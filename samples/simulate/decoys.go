package simulate

import "net/netip"

// planTelemetry: an agent of a vendor on every node calls a collector that no
// rule allows: a misconfiguration, on all nodes, at all hours.
func planTelemetry(p *plot) {
	p.begin("refused_egress", causeConfig, "policy_burst", "beacon", "port_scan")
	p.truth().Expect = ExpectAny
	gap := 30 * minute
	for int(int64(p.sim.opt.Days)*day/gap)*gpuNodes > p.n(8000, 800) {
		gap += 30 * minute
	}
	for n := range gpuNodes {
		for t := p.sim.opt.start() + p.r.below(gap); t < p.sim.opt.end(); t += gap {
			s := tcp(t+p.r.below(3*second), p.sim.lab.gpus[n].ip, p.sim.lab.telemetry.ip, 4317, AppNone, 0, 0, 0)
			s.Outcome, s.Stop = Denied, atHost
			p.add(s)
		}
	}
	p.nobody("every node does it, whatever runs on it")
}

// planRuleChange: a new rule at the edge refuses a package channel to everybody.
func planRuleChange(p *plot) {
	p.begin("policy_burst", causeConfig, "refused_egress", "beacon")
	p.truth().Expect = ExpectAny
	from := p.sim.opt.start() + int64(p.sim.opt.Days)*day*5/8 + p.r.below(2*hour)
	for range p.n(900, 120) {
		n := p.sim.lab.nodes[p.r.intn(gpuNodes)]
		t := from + p.r.below(2*hour)
		for k := range int64(1 + p.r.intn(4)) { // pip tries again
			s := tcp(t+k*(k+1)*second/2, n.ip, p.sim.lab.channel.ip, 443, AppTLS, 0, 0, 0)
			s.Outcome, s.Stop = Denied, atEdge
			p.add(s)
		}
	}
	p.nobody("the rule refuses everybody")
}

// planBastion: passwords are guessed from outside until one fits; the intruder
// goes on to nodes and mines there.
func planBastion(p *plot) {
	l, r := p.sim.lab, p.r
	from := p.sim.opt.start() + int64(p.sim.opt.Days)*day/4 + r.below(4*hour)
	intruder := v4(203, 0, 113, 250)
	p.begin("policy_burst", causeHost, "first_contact", "internal_sweep", "port_scan", "beacon", "ssh_tunnel", "long_session")
	p.truth().Expect = ExpectAny
	tries := p.n(800, 120)
	t := from
	for range tries {
		s := tcp(t, intruder, l.bastion.ip, 22, AppSSH, r.span(1.6, 0.3), 1900, 2300)
		s.Outcome = Torn
		p.add(s)
		t += r.exponential(float64(4 * second))
	}
	p.add(tcp(t, intruder, l.bastion.ip, 22, AppSSH, 5*hour, 90_000, 260_000))
	p.nobody("it came from the internet")
	for i := range 2 {
		n := p.idle(t + int64(i+1)*20*minute)
		p.begin("mining", causeHost, "long_session", "beacon", "ssh_tunnel")
		at := t + int64(i+1)*20*minute
		p.add(tcp(at, l.bastion.ip, l.gpus[n].ip, 22, AppSSH, 9*minute, 30_000, 70_000))
		p.mine(at+4*minute, l.gpus[n].ip, p.evil(), 3333, AppStratum, 6*hour, "")
		p.truth().Sources = []netip.Addr{l.gpus[n].ip}
		p.nobody("an intruder on the node did it; a run that holds the node is not the cause")
	}
}

// idle is a GPU node that runs nothing of agents for the next hours, if there is one.
func (p *plot) idle(t int64) int {
	for range 200 {
		n := int32(p.r.intn(gpuNodes - 8))
		busy := false
		for i := range p.sim.schedule.runs {
			x := &p.sim.schedule.runs[i]
			if x.agentic && x.job != 0 && x.start < t+7*hour && x.end > t && x.nodes[0] == n {
				busy = true
				break
			}
		}
		if !busy {
			return int(n)
		}
	}
	return 0
}

// planGateway: the tunnel through which remote sandboxes reach the trainer.
func planGateway(p *plot) {
	p.begin("tunnel_service", causeConfig, "long_session", "beacon", "first_contact")
	p.truth().Expect = ExpectSilence
	l := p.sim.lab
	for t := p.sim.opt.start() + p.r.below(hour); t < p.sim.opt.end(); t += 8 * hour {
		p.ask(t, l.registry.ip, l.gateway.name, 1, l.gateway.ip, 0)
		p.tunnel(t+50*millisecond, l.registry.ip, l.gateway.ip, TCP, 7844, AppTLS, 8*hour-minute, l.gateway.name, 4000)
	}
	p.nobody("it is a service of the lab, on the allow list")
}

// planScanner: the security team scans the internal networks at night.
func planScanner(p *plot) {
	p.begin("internal_sweep", causeConfig, "port_scan", "first_contact", "policy_burst", "beacon", "refused_egress")
	p.truth().Expect = ExpectSilence
	for d := range int64(p.sim.opt.Days) {
		t := p.sim.opt.start() + d*day + 3*hour
		count := p.n(1500, 150)
		for i := range count {
			port := [...]uint16{22, 80, 443, 445, 3389, 8080}[i%6]
			p.probe(t+int64(i)*hour/int64(count), p.sim.lab.scanner.ip, v4(10, 20, 7+i/6%3, 1+i/18%250), port, i%5 == 0)
		}
	}
	p.nobody("it is the security team's scanner, on the allow list")
}

// planOperator: people who work for hours on nodes through the bastion.
func planOperator(p *plot) {
	p.begin("ssh_tunnel", causeHost, "long_session", "beacon")
	p.truth().Expect = ExpectSilence
	l := p.sim.lab
	for d := range int64(p.sim.opt.Days) {
		for k := range int64(3) {
			t := p.sim.opt.start() + d*day + (9+3*k)*hour + p.r.below(hour)
			length := p.r.span(50*60, 0.4)
			p.add(tcp(t, l.office[k].ip, l.bastion.ip, 22, AppSSH, length, 60_000, 340_000))
			p.add(tcp(t+8*second, l.bastion.ip, l.gpus[p.r.intn(gpuNodes)].ip, 22, AppSSH, length-20*second, 55_000, 320_000))
		}
	}
	p.nobody("operators are no run")
}
