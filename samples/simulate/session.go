package simulate

import "net/netip"

const (
	microsecond = int64(1e3)
	millisecond = int64(1e6)
	second      = int64(1e9)
	minute      = 60 * second
	hour        = 60 * minute
	day         = 24 * hour
)

// IP protocol numbers.
const (
	ICMP = 1
	TCP  = 6
	UDP  = 17
)

// Outcome is how a contact went.
type Outcome uint8

const (
	Done     Outcome = iota // established and ended in order
	NoAnswer                // nobody answered
	Refused                 // the peer answered with a reset
	Denied                  // a policy stopped it: see Session.Stop
	Torn                    // established, then reset by the peer
	Hanging                 // established, and nobody ever ended it
)

// App is what a session speaks. An analyser sees it, whatever the port.
type App uint8

const (
	AppNone App = iota
	AppDNS
	AppTLS
	AppSSH
	AppHTTP
	AppNTP
	AppNFS
	AppStratum // mining without TLS
	AppWireGuard
	AppTor
	AppPing
	AppOther // a protocol that analysers do not know
)

// device is one of the places that can stop a contact.
type device uint8

const (
	nowhere  device = iota
	atHost          // the node's own packet filter
	atRouter        // the pf router between the lab's networks
	atEdge          // the firewall to the internet
)

// place is where an address lives; it decides which sensors see a session.
type place uint8

const (
	internet    place = iota
	public            // our addresses on the outside: edge services, translations
	gpu               // nodes of the Slurm cluster
	knode             // nodes of the Kubernetes cluster
	pod               // pods and sandboxes with an address of their own
	sandboxHost       // hosts of sandboxes that share their address
	service           // DNS, NTP, monitoring, bastion, controllers
	storage           // NFS and object storage
	office            // people's networks and management boards
	local             // link-local: never leaves the node
)

// Session is one contact between two endpoints: what happened, in true time,
// before any sensor looked at it.
type Session struct {
	Seq              uint64 // number of the session, unique in a simulation
	Start, Duration  int64  // nanoseconds, UTC
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // ICMP: type and code
	Proto            uint8
	App              App
	Outcome          Outcome
	Stop             device // who denied it
	from, to         place
	Out, In          int64 // payload bytes from Src to Dst, and back
	PktsOut, PktsIn  int64
	Name             string // DNS question, SNI, HTTP host
	URI              string // of an HTTP request
	Query            uint16 // DNS type of the question
	NX               bool   // DNS: the name does not exist
	Upgrade          bool   // HTTP: the connection became a websocket
	Answer           netip.Addr
	node             int32 // node whose packet filter sees it, -1 for none
	plant            int32 // number of the planted behaviour from 1, 0 for background
	sees             views // sensors that record it
}

// End is when the session ended, in true time.
func (s *Session) End() int64 { return s.Start + s.Duration }

// NATPort is the translated source port of a session that leaves the lab.
func (s *Session) NATPort() uint16 { return uint16(20000 + mix(s.Seq)%45000) }

// spoke reports whether a connection came about.
func (s *Session) spoke() bool {
	return s.Outcome == Done || s.Outcome == Torn || s.Outcome == Hanging
}

// outward reports whether the session leaves the lab for the internet.
func (s *Session) outward() bool { return s.to == internet && s.from != internet && s.from != public }

// fill computes packet counts of a session from its bytes where the generator
// gave none: full segments of 1,400 bytes, an acknowledgement every second one,
// three packets of handshake and two of farewell for TCP.
func (s *Session) fill() {
	if s.Outcome == NoAnswer || s.Outcome == Denied || s.Outcome == Refused {
		s.Out, s.In, s.PktsIn = 0, 0, 0
		if s.Proto != TCP {
			s.Out = 40
		}
		if s.PktsOut == 0 {
			s.PktsOut = 1
			if s.Proto == TCP && s.Outcome == NoAnswer {
				s.PktsOut += s.Duration / second // the SYN is sent again
			}
		}
		if s.Outcome == Refused {
			s.PktsIn = s.PktsOut
		}
		return
	}
	if s.PktsOut != 0 {
		return
	}
	full := func(n int64) int64 { return (n + 1399) / 1400 }
	s.PktsOut, s.PktsIn = full(s.Out), full(s.In)
	if s.Proto == TCP {
		s.PktsOut, s.PktsIn = s.PktsOut+s.PktsIn/2+4, s.PktsIn+s.PktsOut/2+3
	}
	s.PktsOut = max(s.PktsOut, 1)
	if s.Proto != TCP && s.In > 0 {
		s.PktsIn = max(s.PktsIn, 1)
	}
}

// ipBytes are the bytes of a direction with IP and transport headers.
func (s *Session) ipBytes(payload, packets int64) int64 {
	switch s.Proto {
	case TCP:
		return payload + packets*52
	}
	return payload + packets*28
}

// Translated is the address that the session has outside, if the edge translates it.
func (s *Session) Translated() (netip.Addr, bool) {
	if !s.natted() {
		return netip.Addr{}, false
	}
	return natOf(s.Src), true
}

// Stopped reports who denied the session: "host", "router" or "edge".
func (s *Session) Stopped(by string) bool {
	return by == [...]string{"", "host", "router", "edge"}[s.Stop]
}

// ConnState is the state that Zeek gives the session.
func (s *Session) ConnState() string {
	state, _ := connState(s)
	return state
}

// WireBytes are the bytes that PAN-OS counts, Ethernet headers included.
func (s *Session) WireBytes() (out, in int64) { return s.wireBytes() }

// Forwarded is the public address to which a session from outside was sent, if
// it was passed on to a machine of the lab.
func (s *Session) Forwarded() (netip.Addr, bool) {
	return s.outsideDst(), s.forwarded()
}
