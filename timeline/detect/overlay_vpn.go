package detect

// overlayVPN looks for private networks laid over the internet. Ports and names are
// from the programs' documentation; 500 and 4500 are IANA's for IPsec.
var overlayVPN = Detector{
	Name:   "overlay_vpn",
	Title:  "overlay networks: WireGuard, Tailscale, ZeroTier, OpenVPN, IPsec, Nebula",
	Doc:    "Outbound contacts with an overlay network by the name of its servers, by the sensor's word, or by its customary port.",
	Attack: []string{"T1572"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"minutes", 10, "a connection of this many minutes stands"},
	},
	Names: sortedKeys(overlayNames),
	New: newServices(services{
		what: "Overlay network", names: overlayNames, ports: overlayPorts, apps: overlayApps,
		benign: []string{"the lab's own VPN (put its gateways on the allow list)", "an employee's device in the same network"},
	}),
}

var overlayNames = map[string]string{
	"tailscale.com": "Tailscale", "tailscale.io": "Tailscale", "ts.net": "Tailscale", "zerotier.com": "ZeroTier", "netbird.io": "NetBird",
	"netmaker.io": "Netmaker", "twingate.com": "Twingate", "openvpn.net": "OpenVPN", "mullvad.net": "Mullvad", "nordvpn.com": "NordVPN",
	"protonvpn.com": "Proton VPN", "protonvpn.net": "Proton VPN", "cloudflareclient.com": "Cloudflare WARP", "hamachi.cc": "Hamachi", "nkn.org": "NKN",
}

var overlayPorts = map[int64]servicePort{
	51820: {"WireGuard", "udp", 3},
	41641: {"Tailscale", "udp", 3},
	9993:  {"ZeroTier", "udp tcp", 3},
	4242:  {"Nebula", "udp", 2},
	1194:  {"OpenVPN", "udp tcp", 3},
	4500:  {"IPsec", "udp", 2},
	500:   {"IPsec", "udp", 2},
}

var overlayApps = map[string]string{
	"wireguard": "WireGuard", "tailscale": "Tailscale", "zerotier": "ZeroTier", "open-vpn": "OpenVPN", "openvpn": "OpenVPN", "ipsec": "IPsec",
	"ipsec-esp": "IPsec", "ipsec-esp-udp": "IPsec", "ike": "IPsec", "hamachi": "Hamachi", "nebula": "Nebula", "cloudflare-warp": "Cloudflare WARP",
}
