package simulate

// views is a set of sensors.
type views uint16

// The sensors. Each looks from its own place:
//
//   - kern: packet filters of GPU nodes and sandbox hosts; log what they refuse, new
//     contacts that are not ordinary, and one ordinary one of sixteen.
//   - kube: the same of the Kubernetes nodes, in another envelope.
//   - router: pfSense between the lab's networks.
//   - capture: pflog of the outer pf router, behind the translation.
//   - edge1, edge2: PAN-OS firewalls to the internet, of two versions.
//   - core: Zeek on the inside; one rack of GPU nodes has no tap.
//   - outer: Zeek outside of the firewalls: sees translated addresses only.
const (
	viewKern views = 1 << iota
	viewKube
	viewRouter
	viewCapture
	viewEdge1
	viewEdge2
	viewCore
	viewOuter
)

// atEnd are the sensors that write when a session has ended.
const atEnd = viewEdge1 | viewEdge2 | viewCore | viewOuter

// familyViews are the sensors of a family.
func familyViews(name string) (views, bool) {
	switch name {
	case "iptables":
		return viewKern | viewKube, true
	case "pf":
		return viewRouter | viewCapture, true
	case "paloalto":
		return viewEdge1 | viewEdge2, true
	case "zeek":
		return viewCore | viewOuter, true
	}
	return 0, false
}

// sensor writes the records of sessions it sees.
type sensor interface {
	view() views
	began(s *Session, t int64) error // a session began at the true time t
	ended(s *Session, t int64) error
}

// newSensors sets up those that are switched on, each with its clock.
func (sim *simulation) newSensors() []sensor {
	start := sim.opt.start()
	on := func(offset int64, ppm float64, zone int64) *clock {
		c := &clock{offset: offset, drift: ppm * 1e-6, zone: zone, start: start}
		return c
	}
	kern, kube := on(-180*millisecond, 3, 0), on(45*millisecond, 1, 0)
	router, capture := on(1800*millisecond, 8, 0), on(-2400*millisecond, -5, 0)
	edge1, edge2 := on(700*millisecond, 2, hour), on(-350*millisecond, -1, 0)
	core, outer := on(0, 0, 0), on(12*millisecond, 0.5, 0)
	sim.harms.clocks(sim, edge2, router)
	var out []sensor
	take := func(v views, make func() sensor) {
		if sim.on&v != 0 {
			out = append(out, make())
		}
	}
	take(viewKern, func() sensor { return newKernel(sim, viewKern, kern) })
	take(viewKube, func() sensor { return newKernel(sim, viewKube, kube) })
	take(viewRouter, func() sensor { return newRouter(sim, router) })
	take(viewCapture, func() sensor { return newCapture(sim, capture) })
	take(viewEdge1, func() sensor { return newPanos(sim, viewEdge1, edge1) })
	take(viewEdge2, func() sensor { return newPanos(sim, viewEdge2, edge2) })
	take(viewCore, func() sensor { return newZeek(sim, viewCore, core, false) })
	take(viewOuter, func() sensor { return newZeek(sim, viewOuter, outer, true) })
	return out
}

// ordinary reports whether a session is of the sort that packet filters let
// pass without a word.
func (s *Session) ordinary() bool {
	switch s.to {
	case internet:
		return s.DstPort == 80 || s.DstPort == 443 || s.DstPort == 53 || s.DstPort == 123
	case storage, service, gpu, knode, pod, sandboxHost:
		return s.DstPort != 22
	}
	return false
}

// sampled picks one session of n, always the same ones.
func (s *Session) sampled(n uint64) bool { return mix(s.Seq^0xa5a5)%n == 0 }

// sightOf says which sensors a session passes and is written down by.
func sightOf(s *Session) views {
	var v views
	switch {
	case s.node < 0 || s.from == internet:
	case s.to == gpu && s.from == gpu: // the training network has no rules
	case s.Stop == atHost || !s.ordinary() || s.to == local || s.to == internet && s.sampled(16):
		if s.node >= gpuNodes && s.node < gpuNodes+kubeNodes {
			v |= viewKube
		} else {
			v |= viewKern
		}
	}
	if s.Stop == atHost || s.to == local || s.to == s.from && s.to == pod && nodeOf(s.Dst) == s.node {
		return v
	}
	switch {
	case s.from == internet:
		v |= s.inwardSight()
	case s.to == internet:
		v |= s.outwardSight()
	default:
		v |= s.insideSight()
	}
	return v
}

// inwardSight: the outer Zeek sees all; public addresses from .64 on stand behind
// the outer pf router, the others behind the second firewall.
func (s *Session) inwardSight() views {
	v := viewOuter
	if b := s.Dst.As4(); s.to == public && b[3] >= 64 && b[3] < 128 {
		v |= viewCapture
	} else {
		v |= viewEdge2
	}
	if s.to != public && s.Stop == nowhere {
		v |= viewCore // a forwarded port leads inside
	}
	return v
}

func (s *Session) outwardSight() views {
	var v views
	if !s.untapped() {
		v |= viewCore
	}
	if s.Stop == atRouter || !s.ordinary() || s.Proto == ICMP || s.sampled(16) {
		v |= viewRouter
	}
	if s.Stop == atRouter {
		return v
	}
	if s.from == pod || s.from == knode || s.from == sandboxHost {
		v |= viewEdge2
	} else {
		v |= viewEdge1
	}
	if s.Stop == atEdge {
		return v
	}
	if s.Proto != TCP && !s.ordinary() {
		v |= viewCapture
	}
	return v | viewOuter
}

func (s *Session) insideSight() views {
	var v views
	// Nodes of a cluster talk over their own switch; only one rack is mirrored.
	if s.from == gpu && s.to == gpu {
		if s.node < 8 {
			return viewCore
		}
		return 0
	}
	if !s.untapped() {
		v |= viewCore
	}
	if s.Stop == atRouter || s.DstPort == 22 || s.to == office {
		v |= viewRouter
	}
	return v
}

// untapped is the rack of the last eight GPU nodes.
func (s *Session) untapped() bool { return s.from == gpu && s.node >= gpuNodes-8 }

// records is how many lines a session gives, of all sensors that see it, when
// it ends before the story does.
func (s *Session) records() int64 {
	var n int64
	for v := s.sees; v != 0; v &= v - 1 {
		n++
	}
	rows := s.analysed()
	if s.sees&viewCore != 0 {
		n += rows
	}
	if s.sees&viewOuter != 0 {
		n += rows
	}
	if s.sees&(viewEdge1|viewEdge2) != 0 && s.threat() {
		n++
	}
	return n
}

// analysed is the number of rows that Zeek writes beside conn.
func (s *Session) analysed() int64 {
	switch s.App {
	case AppDNS:
		if s.Outcome == Done || s.Outcome == NoAnswer {
			return 1
		}
	case AppTLS, AppSSH, AppHTTP:
		if s.spoke() {
			return 1
		}
	}
	return 0
}

// threat reports whether PAN-OS writes a THREAT row for the session: a URL of
// plain HTTP, one in eight of TLS, and miners that it knows by their talk.
func (s *Session) threat() bool {
	if !s.spoke() {
		return false
	}
	return s.App == AppHTTP && s.Name != "" || s.App == AppTLS && s.Name != "" && s.sampled(8) || s.App == AppStratum
}
