package detect

import (
	"slices"
	"strings"

	"firetrail"
)

// protocolMismatch looks for protocols on ports that belong to others: SSH on 443,
// anything but TLS on 443. It needs a sensor that names the protocol.
var protocolMismatch = Detector{
	Name:   "protocol_mismatch",
	Title:  "a protocol on another's port",
	Doc:    "Outbound connections whose protocol, as the sensor identified it, does not belong to the port.",
	Attack: []string{"T1571"},
	Needs:  []Need{NeedService},
	Defaults: []Setting{
		{"bytes", 10_000, "bytes each way from which an unidentified protocol on 443 is told"},
	},
	New: func(l *Lab, d *Detector) State {
		return &mismatchState{lab: l, d: d, peers: map[peerKey][]*mismatchPeer{}}
	},
}

// portProtocols are the protocols that belong on a port, by the words of Zeek and
// PAN-OS; applications that travel in TLS or HTTP are told apart by isWeb.
var portProtocols = map[int64][]string{
	443:  {"ssl", "tls", "quic", "http", "http2", "web-browsing", "websocket", "dtls", "stun"},
	80:   {"http", "web-browsing", "http2", "websocket", "ssl", "ocsp"},
	8443: {"ssl", "tls", "quic", "http", "web-browsing"},
	53:   {"dns", "dns-base", "dns-over-tcp"},
	123:  {"ntp", "ntp-base"},
	25:   {"smtp", "smtp-base", "ssl"},
}

// strangers are protocols that are out of place on all of those ports.
var strangers = map[string]float64{
	"ssh": 3, "ssh-tunnel": 3, "socks": 3, "irc": 2.5, "irc-base": 2.5, "rdp": 2.5, "ms-rdp": 2.5, "ftp": 1.5, "telnet": 2, "bitcoin": 3, "stratum": 3, "openvpn": 3,
	"open-vpn": 3, "wireguard": 3, "tor": 3, "smb": 2, "mysql": 2, "postgresql": 2, "redis": 2, "vnc": 2.5, "rfb": 2.5, "mqtt": 1.5, "dns": 2, "x11": 2, "xmpp": 1.5,
}

type mismatchPeer struct {
	peerKey
	protocol string
	points   float64
	unknown  bool
	trail    trail
	out, in  int64
	longest  float64
	open     bool
}

type mismatchState struct {
	quota quota
	lab   *Lab
	d     *Detector
	peers map[peerKey][]*mismatchPeer // episodes of a peer, in time order
}

// Channel keeps outbound peers on well-known ports whose protocol does not belong.
func (s *mismatchState) Channel(c *Channel) {
	proper, ok := portProtocols[c.Port]
	if !c.Out || !ok || c.Most.Passed == 0 && !s.lab.all {
		return
	}
	p := mismatchPeer{peerKey: peerKey{c.Src, c.Dst, c.Port}}
	fits := false
	for _, words := range c.words() {
		for w := range strings.SplitSeq(strings.ToLower(words), ",") {
			fits = fits || slices.Contains(proper, w)
			if points := strangers[w]; points > p.points && !slices.Contains(proper, w) {
				p.protocol, p.points = strings.Clone(w), points
			}
			p.unknown = p.unknown || w == "unknown-tcp" || w == "unknown-udp"
		}
	}
	if p.protocol == "" && (fits || !p.unknown || !s.enough(c.Most.BytesOut, c.Most.BytesIn) && !s.lab.all) {
		return
	}
	if !s.quota.take(s.lab, s.d, c.Src) {
		return
	}
	kept := p // only candidates are worth an allocation
	kept.trail = newTrail()
	s.peers[p.peerKey] = []*mismatchPeer{&kept}
}

// enough reports whether so much each way is worth telling though nobody knows what it is.
func (s *mismatchState) enough(out, in int64) bool {
	floor := int64(s.lab.threshold(s.d, "bytes"))
	return out >= floor && in >= floor
}

func (s *mismatchState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k := range s.peers {
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// Session takes the connections that spoke the stranger's protocol.
func (s *mismatchState) Session(x *Session) {
	k := peerKey{x.Src, x.Dst, x.DstPort}
	episodes := s.peers[k]
	if len(episodes) == 0 || x.Failed {
		return
	}
	p := episodes[len(episodes)-1]
	word := strings.ToLower(x.Service + "," + x.App)
	if p.protocol != "" && !slices.Contains(strings.Split(word, ","), p.protocol) {
		return // another connection to the same port, with the port's own protocol
	}
	if p.trail.paused(x, episodeGap) {
		p = &mismatchPeer{peerKey: k, protocol: p.protocol, points: p.points, unknown: p.unknown, trail: newTrail()}
		s.peers[k] = append(episodes, p)
	}
	p.trail.add(x, x.Seconds(), "")
	p.out, p.in = p.out+max(x.BytesOut, 0), p.in+max(x.BytesIn, 0)
	p.longest = max(p.longest, x.Seconds())
	p.open = x.Open()
}

func (s *mismatchState) Findings() []*Draft {
	var out []*Draft
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		for _, p := range s.peers[k] {
			if d := s.judge(p); d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// judge scores an episode.
func (s *mismatchState) judge(p *mismatchPeer) *Draft {
	if p.trail.start == firetrail.Absent || p.protocol == "" && !s.enough(p.out, p.in) {
		return nil
	}
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, trail: p.trail, open: p.open}
	word := strings.ToUpper(p.protocol)
	if p.protocol == "" {
		word = "an unidentified protocol"
		d.part("unidentified", float64(p.port), float64(p.port), 1, "the sensor could not identify the protocol on port %d (%s sent, %s received)", p.port, size(p.out), size(p.in))
	} else {
		d.part("protocol", float64(p.port), float64(p.port), p.points, "%s on port %d, which belongs to %s", word, p.port, portProtocols[p.port][0])
	}
	if p.longest >= 600 {
		d.part("duration", p.longest, 600, 1, "a connection stood %s", span(p.longest))
	}
	s.lab.prevalenceParts(d, p.dst)
	if d.points() < 1 {
		return nil
	}
	d.title = "Protocol mismatch: " + p.src.String() + " spoke " + word + " to " + endpoint(p.dst, p.port)
	d.benign = []string{"servers that offer SSH on 443 for networks that allow nothing else (git hosts do)", "a new protocol that the sensor does not know"}
	return d
}
