package detect

import (
	"net/netip"
	"slices"
	"strings"
)

// tunnelService looks for services that carry an inside port to the internet.
// Names and ports are from the programs' own sources and documentation
// (cloudflared, ngrok, bore, frp, rathole, localtunnel, serveo, pinggy …).
var tunnelService = Detector{
	Name:   "tunnel_service",
	Title:  "tunnel services: cloudflared, ngrok, bore, frp, chisel and others",
	Doc:    "Outbound contacts with a tunnel service by the name of its servers, by the sensor's word, or by a port that it alone uses.",
	Attack: []string{"T1572", "T1090"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"minutes", 10, "a connection of this many minutes stands"},
	},
	Names: sortedKeys(tunnelNames),
	New: newServices(services{
		what: "Tunnel service", names: tunnelNames, ports: tunnelPorts, apps: tunnelApps,
		shape: webTunnel, shaped: servicePort{"chisel or another tunnel in HTTP", "tcp", 1.5},
		benign: []string{"a tunnel gateway that the training code itself starts (put it on the allow list)", "a page that is hosted behind the service"},
	}),
}

// tunnelNames gives the service of a DNS suffix.
var tunnelNames = map[string]string{
	"argotunnel.com": "cloudflared", "trycloudflare.com": "cloudflared", "cftunnel.com": "cloudflared",
	"ngrok.com": "ngrok", "ngrok.io": "ngrok", "ngrok.app": "ngrok", "ngrok.dev": "ngrok", "ngrok-free.app": "ngrok", "ngrok-free.dev": "ngrok",
	"ngrok-agent.com": "ngrok", "ngrok.pizza": "ngrok",
	"bore.pub": "bore", "loca.lt": "localtunnel", "localtunnel.me": "localtunnel", "serveo.net": "serveo", "localhost.run": "localhost.run",
	"lhr.life": "localhost.run", "lhr.rocks": "localhost.run", "pinggy.io": "pinggy", "pinggy.link": "pinggy", "playit.gg": "playit",
	"zrok.io": "zrok", "pagekite.me": "pagekite", "pagekite.net": "pagekite", "tunnelto.dev": "tunnelto", "packetriot.com": "packetriot", "packetriot.net": "packetriot",
	"localtonet.com": "localtonet", "portmap.io": "portmap", "portmap.host": "portmap", "devtunnels.ms": "Dev Tunnels",
	"tunnels.api.visualstudio.com": "Dev Tunnels", "telebit.io": "telebit", "inlets.dev": "inlets", "openport.io": "openport", "remote.it": "remote.it",
	"interact.sh": "interactsh", "oast.fun": "interactsh", "oast.live": "interactsh", "oast.me": "interactsh", "oast.online": "interactsh",
	"oast.pro": "interactsh", "oast.site": "interactsh", "oastify.com": "Burp Collaborator", "burpcollaborator.net": "Burp Collaborator",
	"dnslog.cn": "dnslog", "requestbin.net": "requestbin", "webhook.site": "webhook.site",
}

// tunnelPorts: seldom anything else uses the first two.
var tunnelPorts = map[int64]servicePort{
	7844: {"cloudflared", "tcp udp", 3},
	7835: {"bore", "tcp", 3},
	7000: {"frp", "tcp", 2},
	2333: {"rathole", "tcp", 2},
}

// webTunnel reports the shape of a tunnel in a websocket: plain HTTP, as the sensor
// says, to an address without a name, in one connection that stands and carries
// about as much out as in. Pages and downloads are short, or run one way.
func webTunnel(l *Lab, c *Channel) bool {
	if c.Proto != "tcp" || c.Port != 8080 && c.Port != 80 || c.Longest < int64(300e9) || c.BytesOut == 0 || c.BytesIn == 0 {
		return false
	}
	plain := slices.ContainsFunc(c.words(), func(w string) bool {
		switch strings.ToLower(w) {
		case "http", "web-browsing", "websocket":
			return true
		}
		return false
	})
	for _, h := range c.Hosts {
		if _, err := netip.ParseAddr(h); err != nil && h != c.Dst.String() {
			return false
		}
	}
	return plain && c.BytesOut*5 >= c.BytesIn && c.BytesIn*5 >= c.BytesOut && len(l.names.byDst[c.Dst]) == 0
}

// tunnelApps are applications as PAN-OS App-ID names them.
var tunnelApps = map[string]string{
	"ngrok": "ngrok", "cloudflare-tunnel": "cloudflared", "cloudflared": "cloudflared", "argo-tunnel": "cloudflared", "frp": "frp", "chisel": "chisel",
	"localtunnel": "localtunnel", "pagekite": "pagekite", "tunnelbear": "tunnelbear", "wstunnel": "wstunnel",
	"ssh-tunnel": "ssh-tunnel", "remote.it": "remote.it", "teleport": "teleport", "bore": "bore",
}
