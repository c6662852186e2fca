package simulate

// rhythm adds what comes steadily: the monitor reads three exporters of every
// host, every host asks for the time.
func (d *drawer) rhythm() {
	if d.period == 0 {
		return
	}
	l, r := d.sim.lab, d.r
	for n := range l.nodes {
		for k, port := range [...]uint16{9100, 9400} {
			if k == 1 && l.nodes[n].in != gpu {
				continue
			}
			d.every(d.period, int64(n*7+k), func(t int64) {
				s := tcp(t, l.monitor.ip, l.nodes[n].ip, port, AppHTTP, r.span(0.08, 0.3), 310, r.size(48_000, 0.1))
				s.Name, s.URI = l.nodes[n].name+".lab.example", "/metrics"
				d.sim.add(s)
			})
		}
		d.every(max(d.period, 64*second), int64(1000+n), func(t int64) {
			s := udp(t, l.nodes[n].ip, l.ntp.ip, 123, AppNTP, r.span(0.0008, 0.3), 48, 48)
			s.SrcPort = 123
			d.sim.add(s)
		})
	}
	// Desks read mail and keep a chat open; nodes look for updates.
	for k := range l.office {
		d.every(max(d.period, 5*minute), int64(3000+k), func(t int64) {
			d.visit(t, l.office[k].ip, l.mail, 443, AppTLS, r.span(0.7, 0.3), 1900+r.below(40), r.size(5200, 0.1))
		})
		d.every(max(4*d.period, 6*hour), int64(3100+k), func(t int64) {
			d.visit(t, l.office[k].ip, l.chat, 443, AppTLS, r.span(4*3600, 0.4), r.size(90_000, 0.5), r.size(800_000, 0.5))
		})
	}
	for n := range l.nodes {
		d.every(max(4*d.period, hour), int64(3200+n), func(t int64) {
			d.visit(t, l.nodes[n].ip, l.updates, 443, AppTLS, r.span(0.5, 0.4), 1400+r.below(20), r.size(9000, 0.1))
		})
	}
	d.every(max(d.period, 256*second), 2000, func(t int64) {
		s := udp(t, l.ntp.ip, v4(198, 51, 100, 123), 123, AppNTP, r.span(0.014, 0.2), 48, 48)
		s.SrcPort = 123
		d.sim.add(s)
	})
}

// every calls f at each tick of the period in the slice, with a phase of its own
// and a little jitter.
func (d *drawer) every(period, phase int64, f func(t int64)) {
	first := int64(mix(uint64(phase)^d.sim.opt.Seed)%uint64(period)) + d.sim.opt.start()
	k := max(0, (d.sim.from-first+period-1)/period)
	for t := first + k*period; t < d.sim.to; t += period {
		f(t + d.r.below(20*millisecond))
	}
}

// calls tells what the ordinary tool calls of the slice do on the network, at
// most limit records of it.
func (d *drawer) calls(limit int64) {
	all := d.sim.schedule.calls
	l, r := d.sim.lab, d.r
	before := d.sim.due
	for ; d.next < len(all) && all[d.next].start < d.sim.to; d.next++ {
		c := &all[d.next]
		if d.sim.due-before >= limit || c.start < d.sim.from {
			continue
		}
		ip := d.sim.schedule.runs[c.run].boxes[c.box].ip
		t := c.start + r.span(0.6, 0.5)
		switch c.kind {
		case callPip:
			d.visit(t, ip, l.mirror, 443, AppTLS, r.span(1.2, 0.6), r.size(1900, 0.3), r.size(90_000, 1.2))
		case callClone:
			d.visit(t, ip, l.git, 443, AppTLS, r.span(2, 0.6), r.size(3000, 0.4), r.size(400_000, 1.4))
		case callFetch:
			d.visit(t, ip, l.web[2], 443, AppTLS, r.span(0.5, 0.6), r.size(900, 0.3), r.size(30_000, 1))
		case callModel:
			d.visit(t, ip, l.hub, 443, AppTLS, r.span(9, 0.7), r.size(4000, 0.4), r.size(60e6, 1))
		}
	}
}
