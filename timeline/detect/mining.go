package detect

import (
	"cmp"
	"net/netip"
	"strings"

	"firetrail"
)

// mining looks for cryptocurrency mining. Weights: a pool's name 5 to 6, an alarm
// of the sensor 6, the shape of stratum traffic 2 to 4, a customary port 1.6.
// The port alone is weak, and so is any list that matches substrings: names are
// matched at label boundaries only.
var mining = Detector{
	Name:   "mining",
	Title:  "cryptocurrency mining",
	Doc:    "Outbound contacts with mining pools by name, by the sensor's own word, by customary port, or by the shape of stratum: long, slow, mostly pushed by the server.",
	Attack: []string{"T1496"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"minutes", 3, "a connection of this many minutes can show the shape"},
		{"rate", 200, "bytes per second, both ways, below which it is slow"},
		{"ratio_low", 2, "bytes received per byte sent, at least"},
		{"ratio_high", 20, "bytes received per byte sent, at most"},
		{"alone", 30, "minutes after which the shape alone, without port or name, is told"},
	},
	Names:  sortedKeys(poolNames),
	Labels: sortedKeys(mineWords),
	Words:  []string{"coinminer", "coin miner", "cryptominer", "cryptocurrency miner", "crypto miner", "cryptocurrency mining", "cryptomining", "xmrig", "stratum", "coinhive", "monero", "minergate", "bitcoin-mining", "coinhive"},
	New: func(l *Lab, d *Detector) State {
		return &mineState{lab: l, d: d, peers: map[peerKey]*minePeer{}}
	},
}

// poolNames are suffixes of mining pools and miners' own services, from the
// pools' public pages; the list is ours and short on purpose: exchanges, wallets
// and dynamic DNS providers are not in it.
var poolNames = map[string]bool{
	"2miners.com": true, "antpool.com": true, "braiins.com": true, "c3pool.com": true, "c3pool.org": true, "coinhive.com": true,
	"cryptonote.social": true, "crypto-pool.fr": true, "dwarfpool.com": true, "ethermine.org": true, "f2pool.com": true,
	"flexpool.io": true, "flypool.org": true, "hashvault.pro": true, "herominers.com": true,
	"hiveon.net": true, "k1pool.com": true, "kryptex.network": true, "minerpool.org": true, "minergate.com": true, "minexmr.com": true,
	"miningocean.org": true, "miningpoolhub.com": true, "monerohash.com": true, "moneroocean.stream": true,
	"moneropool.com": true, "nanopool.org": true, "nicehash.com": true,
	"pool.xmr.pt": true, "poolin.com": true, "prohashing.com": true, "ravenminer.com": true, "rplant.xyz": true,
	"skypool.org": true, "slushpool.com": true, "solopool.org": true, "sparkpool.com": true, "supportxmr.com": true,
	"suprnova.cc": true, "unmineable.com": true, "viabtc.com": true, "webminepool.com": true, "woolypooly.com": true,
	"xmr.nanopool.org": true, "xmrig.com": true, "xmrpool.eu": true, "xmrpool.net": true, "zergpool.com": true, "zpool.ca": true,
	"luckpool.net": true,
}

// mineWords name mining where they stand as a whole word of a name (words are
// cut at dots, hyphens, underscores and digits' ends).
var mineWords = map[string]bool{
	"stratum": true, "xmr": true, "xmrig": true, "monero": true, "minexmr": true, "supportxmr": true, "cryptonight": true,
	"randomx": true, "ethash": true, "kawpow": true, "etchash": true, "xmrpool": true, "miningpool": true, "minerpool": true,
	"cryptopool": true, "coinminer": true, "nicehash": true, "moneroocean": true,
}

// minePorts are ports on which stratum is customary (xmrig's default 3333; the
// others from pools' documentation). Some are used by other software too.
var minePorts = map[int64]bool{
	3333: true, 3334: true, 3335: true, 3336: true, 4444: true, 5555: true, 7777: true, 8333: false, 9999: true, 10128: true, 10300: true, 10343: true,
	13333: true, 14433: true, 14444: true, 15555: true, 18080: false, 19999: true, 20128: true, 45560: true, 45700: true, 20535: true, 20580: true,
}

// mineApps are applications as PAN-OS App-ID and Zeek analysers name them.
var mineApps = map[string]bool{
	"bitcoin": true, "stratum": true, "monero": true, "minergate": true, "coinhive": true, "xmrig": true, "stratum-mining": true,
	"cryptocurrency": true, "nicehash": true, "ethereum-mining": true, "zcash": true, "bitcoin-base": true,
}

// wellPorts carry so much else that shape alone says little there.
var wellPorts = map[int64]bool{22: true, 53: true, 123: true, 853: true, 5222: true, 5223: true, 1883: true, 8883: true, 993: true, 179: true}

type minePeer struct {
	peerKey
	name     string
	sure     bool
	byWord   bool
	app      string
	alarm    string
	nameless bool // no sensor names the peer
	episodes []*mineEpisode
}

// alone reports a peer that nothing but the shape of its traffic can make suspect.
func (p *minePeer) alone() bool {
	return p.name == "" && p.app == "" && p.alarm == "" && !minePorts[p.port]
}

// fewMiners is the number of inside hosts up to which the shape alone is told: a service
// that the lab uses has it too.
const fewMiners = 3

type mineEpisode struct {
	trail       trail
	host        string
	passed      int64
	denied      int64
	longest     float64
	shape       stratumShape // of the session that shows it best
	settled     bool
	established bool
	open        bool
}

// stratumShape is a connection of the shape of stratum; zero for none.
type stratumShape struct {
	seconds float64
	out, in int64
}

type mineState struct {
	quota quota
	lab   *Lab
	d     *Detector
	peers map[peerKey]*minePeer
}

// mineName reports whether a name is a pool's, or made of a mining word.
func mineName(host string) bool {
	_, ok := suffixOf(host, poolNames)
	return ok || hasLabel(host, mineWords)
}

// Channel keeps outbound peers that a name, an application, an alarm, a port or the
// shape of the whole channel makes suspect.
func (s *mineState) Channel(c *Channel) {
	if !c.Out || c.Port == 53 || c.Proto == "icmp" || c.Proto == "icmpv6" {
		return
	}
	p := minePeer{peerKey: peerKey{c.Src, c.Dst, c.Port}, nameless: len(c.Hosts) == 0}
	if name, sure, ok := namedIn(s.lab, c, inTable(poolNames)); ok {
		p.name, p.sure = strings.Clone(name), sure
	} else if name, sure, ok := namedIn(s.lab, c, func(h string) bool { return hasLabel(h, mineWords) }); ok {
		p.name, p.sure, p.byWord = strings.Clone(name), sure, true
	}
	if alarm := s.lab.names.alarm[[2]netip.Addr{c.Src, c.Dst}]; hasWord(alarm, s.d.Words) {
		p.alarm = alarm
	}
	for _, a := range c.words() {
		if mineApps[strings.ToLower(a)] {
			p.app = strings.Clone(a)
		}
	}
	port := minePorts[c.Port] && !c.hidesNothing()
	shape := c.Proto == "tcp" && !wellPorts[c.Port] && !c.hidesNothing() && (c.Longest >= int64(60e9*s.lab.threshold(s.d, "alone")) || s.lab.all)
	if p.name == "" && p.app == "" && p.alarm == "" && !port && !shape {
		return
	}
	if !s.quota.take(s.lab, s.d, c.Src) {
		return
	}
	kept := p // only candidates are worth an allocation
	s.peers[p.peerKey] = &kept
}

// hidesNothing is otherProtocol, but TLS, HTTP and unidentified payloads may hide mining.
func (c *Channel) hidesNothing() bool {
	for _, x := range c.words() {
		switch strings.ToLower(x) {
		case "ssl", "tls", "", "-", "incomplete", "insufficient-data", "not-applicable", "unknown-tcp", "unknown", "json-rpc", "http", "web-browsing":
		default:
			if !mineApps[strings.ToLower(x)] {
				return true
			}
		}
	}
	return false
}

func (s *mineState) Wants() []firetrail.Traffic {
	var out []firetrail.Traffic
	for k, p := range s.peers {
		if p.alone() && s.lab.leastPrevalence(k.dst) > fewMiners && !s.lab.all {
			delete(s.peers, k)
			continue
		}
		out = append(out, firetrail.Traffic{Src: k.src, Dst: k.dst, Port: k.port})
	}
	return out
}

// Session adds a session to its peer's running episode, or begins one.
func (s *mineState) Session(x *Session) {
	p := s.peers[peerKey{x.Src, x.Dst, x.DstPort}]
	if p == nil || x.Reply && !x.Settled && x.Conn {
		return
	}
	n := len(p.episodes)
	if n == 0 || x.Start-p.episodes[n-1].trail.end > episodeGap {
		p.episodes = append(p.episodes, &mineEpisode{trail: newTrail()})
		n++
	}
	e := p.episodes[n-1]
	weight := x.Seconds()
	if x.Host != "" {
		e.host = strings.Clone(x.Host)
	}
	if x.Denied {
		e.denied++
	} else {
		e.passed++
	}
	e.settled = e.settled || x.Settled
	e.established = e.established || x.Settled && !x.Failed
	e.open = x.Open()
	e.longest = max(e.longest, x.Seconds())
	if s.stratum(x) {
		weight += 1e6
		if x.Seconds() > e.shape.seconds {
			e.shape = stratumShape{x.Seconds(), x.BytesOut, x.BytesIn}
		}
	}
	e.trail.add(x, weight, "")
}

// stratum reports whether one connection has the shape of stratum: long, slow,
// and pushed by the server (a job every few seconds, a share now and then).
func (s *mineState) stratum(x *Session) bool {
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	if x.Duration <= 0 || x.BytesOut <= 0 || x.BytesIn <= 0 || x.Seconds() < 60*t("minutes") || x.Failed {
		return false
	}
	ratio := float64(x.BytesIn) / float64(x.BytesOut)
	rate := float64(x.BytesIn+x.BytesOut) / x.Seconds()
	return rate <= t("rate") && ratio >= t("ratio_low") && ratio <= t("ratio_high") && (x.PktsOut == firetrail.Absent || x.PktsOut >= 8)
}

func (s *mineState) Findings() []*Draft {
	var out []*Draft
	told := map[[2]string]bool{}
	for _, k := range sortedBy(s.peers, peerKey.compare) {
		p := s.peers[k]
		for _, e := range p.episodes {
			if d := s.judge(p, e); d != nil {
				out = append(out, d)
				told[[2]string{k.src.String(), lowerHost(p.name)}] = p.name != ""
				told[[2]string{k.src.String(), k.dst.String()}] = true
			}
		}
	}
	return append(out, s.lookups(told)...)
}

// judge scores an episode; nil where the shape alone is too little.
func (s *mineState) judge(p *minePeer, e *mineEpisode) *Draft {
	d := &Draft{src: p.src, dst: p.dst.String(), port: p.port, host: cmp.Or(e.host, p.name), trail: e.trail, open: e.open}
	alone := p.alone()
	if alone && (e.shape.seconds == 0 || e.longest < 60*s.lab.threshold(s.d, "alone")) {
		return nil
	}
	switch {
	case p.name != "" && p.byWord:
		d.part("name", 1, 1, 3.5, "the peer's name %q speaks of mining", p.name)
	case p.name != "" && p.sure:
		d.part("name", 1, 1, 5.5, "%q is a mining pool's name", p.name)
	case p.name != "":
		d.part("name", 1, 1, 3.5, "another host was told this address for the mining pool's name %q", p.name)
	}
	if p.app != "" {
		d.part("application", 1, 1, 6, "the sensor identified the application as %q", p.app)
	}
	if p.alarm != "" {
		d.part("alarm", 1, 1, 5, "the sensor raised an alarm: %q", p.alarm)
	}
	if minePorts[p.port] {
		d.part("port", float64(p.port), 0, 1.6, "port %d is customary for mining (other software uses it too)", p.port)
	}
	if x := e.shape; x.seconds > 0 {
		d.part("shape", round3(float64(x.in)/float64(x.out)), s.lab.threshold(s.d, "ratio_low"), 2,
			"%s of slow traffic, %s sent and %s received: the shape of stratum", span(x.seconds), size(x.out), size(x.in))
		if x.seconds >= 3600 {
			d.part("duration", round3(x.seconds), 3600, 1, "it lasted over an hour")
		}
	} else if !e.settled && e.passed >= 3 && e.trail.end-e.trail.start >= 600e9 {
		d.part("persistence", float64(e.passed), 3, 1, "%d contacts over %s", e.passed, span(float64(e.trail.end-e.trail.start)/1e9))
	}
	if e.passed == 0 {
		d.part(partRefused, float64(e.denied), 1, -1, "every attempt was refused")
	}
	if alone && s.lab.Prevalence(p.dst) > fewMiners {
		return nil
	}
	s.rare(d, p)
	if alone && !p.nameless {
		d.part("named", 1, 1, -1.5, "the peer has a name that has nothing to do with mining")
	}
	if d.points() < 1 {
		return nil
	}
	d.benign = []string{"research on mining software or pools", "other software on the same port", "a quiet push or telemetry connection of the same shape"}
	if !e.established && !e.settled {
		d.untested = append(d.untested, "the shape of the traffic: these logs record neither duration nor bytes")
	}
	d.untested = append(d.untested, "the protocol itself (stratum messages): no payload is recorded")
	d.title = "Mining: " + p.src.String() + " to " + endpoint(p.dst, p.port)
	if d.host != "" {
		d.title += " (" + d.host + ")"
	}
	if e.passed == 0 {
		d.title += ", refused"
	}
	return d
}

// rare adds what it means that one inside host alone contacts the peer.
func (s *mineState) rare(d *Draft, p *minePeer) {
	switch {
	case s.lab.Prevalence(p.dst) != 1:
	case p.nameless && p.name == "":
		d.part("prevalence", 1, 1, 1, "no other inside host contacts this address, and no record names it")
	case p.alone() && s.lab.held[p.src]:
		d.part("prevalence", 1, 1, 1, "no other inside host contacts this address, and it is a run's that does")
	}
}

// lookups makes findings of names that were asked for without a connection that
// could be told, and of alarms.
func (s *mineState) lookups(told map[[2]string]bool) []*Draft {
	groups := newHitGroups(s.lab, func(h *hit) bool {
		return (mineName(h.name) || hasWord(h.alarm, s.d.Words)) && s.lab.Internal(h.src) && !told[[2]string{h.src.String(), h.name}] &&
			!told[[2]string{h.src.String(), h.dst.String()}]
	})
	var out []*Draft
	for _, g := range groups {
		d := &Draft{src: g.src, port: firetrail.Absent, host: g.name, trail: g.trail}
		g.address(d)
		if g.alarm != "" {
			d.part("alarm", float64(g.count), 1, 6, "the sensor raised an alarm: %q", g.alarm)
			d.title = "Mining: alarm about " + g.src.String()
		} else {
			d.part("lookup", float64(g.count), 1, 3, "%s of the mining pool's name %q", plural(g.count, "lookup", "lookups"), g.name)
			d.title = "Mining: " + g.src.String() + " asked for " + g.name
			d.untested = []string{"whether it connected: no connection to the answers was found"}
		}
		if s.lab.resolvers[g.src] {
			d.part("resolver", 1, 1, -2, "%s is a resolver: it asks for others", g.src)
		}
		d.benign = []string{"a security tool or a researcher looking the name up", "a prefetching resolver"}
		out = append(out, d)
	}
	return out
}
