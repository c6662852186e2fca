package attribute

import (
	"slices"
	"strings"
)

// Detector names, as CLI.md lists them, that tools are known to set off.
const (
	policyBurst   = "policy_burst"
	sshTunnel     = "ssh_tunnel"
	longSession   = "long_session"
	beacon        = "beacon"
	mining        = "mining"
	internalSweep = "internal_sweep"
	portScan      = "port_scan"
	firstContact  = "first_contact"
	metadata      = "metadata_access"
	tunnelService = "tunnel_service"
	dnsTunnel     = "dns_tunnel"
	icmpTunnel    = "icmp_tunnel"
	overlayVPN    = "overlay_vpn"
	tor           = "tor"
	bulkEgress    = "bulk_egress"
	mismatch      = "protocol_mismatch"
	refused       = "refused_egress"
)

// family is a sort of tool: its programs, its traffic as detectors see it, and
// whether it goes on after the call that started it has returned.
type family struct {
	name     string
	programs []string
	own      []string // detectors of what it is for
	other    []string // detectors that it may set off besides
	lasting  bool
}

// families is the table of programs. A program counts where it stands as a word
// of a command; an option or a scheme that decides alone is in marks.
var families = [...]family{
	{"tunnel over SSH", []string{"autossh", "sshuttle"}, []string{sshTunnel, longSession, mismatch}, []string{beacon, refused, policyBurst}, true},
	{"miner", []string{"xmrig", "xmr-stak", "lolminer", "nbminer", "phoenixminer", "ethminer", "gminer", "t-rex", "trex", "minerd", "cpuminer",
		"bfgminer", "cgminer", "teamredminer", "srbminer", "srbminer-multi", "nanominer", "ccminer", "bzminer", "rigel", "wildrig", "p2pool", "xmrig-proxy"},
		[]string{mining}, []string{longSession, beacon, refused, policyBurst, mismatch}, true},
	{"scanner", []string{"nmap", "masscan", "zmap", "rustscan", "fping", "arp-scan", "naabu", "hping3", "zgrab", "zgrab2", "unicornscan", "netdiscover", "nbtscan", "crackmapexec", "netexec"},
		[]string{internalSweep, portScan, firstContact}, []string{policyBurst, refused, metadata}, false},
	{"tunnel service", []string{"ngrok", "cloudflared", "chisel", "frpc", "frps", "bore", "localtunnel", "pagekite", "gost", "ligolo", "ligolo-ng", "rathole", "zrok", "devtunnel", "playit", "inlets", "localxpose", "serveo", "pinggy", "revsocks", "gs-netcat"},
		[]string{tunnelService}, []string{sshTunnel, longSession, beacon, mismatch, refused, policyBurst}, true},
	{"overlay network", []string{"wg", "wg-quick", "wireguard", "wireguard-go", "boringtun", "tailscale", "tailscaled", "zerotier-cli", "zerotier-one", "openvpn", "nebula", "netbird"},
		[]string{overlayVPN}, []string{longSession, beacon, refused, policyBurst}, true},
	{"tunnel over DNS", []string{"iodine", "iodined", "dnscat", "dnscat2", "dns2tcp", "dns2tcpc", "dnstt", "dnstt-client", "dnsexfiltrator", "dnsteal", "slipstream"},
		[]string{dnsTunnel}, []string{beacon, refused, policyBurst}, true},
	{"tunnel over ICMP", []string{"ptunnel", "ptunnel-ng", "icmptunnel", "icmpsh", "icmpdoor", "pingtunnel"}, []string{icmpTunnel}, []string{policyBurst}, true},
	{"Tor", []string{"tor", "torsocks", "torify", "tor-browser", "obfs4proxy", "snowflake-client", "arti"}, []string{tor}, []string{longSession, beacon, refused, policyBurst}, true},
	{"file transfer", []string{"scp", "rsync", "sftp", "rclone", "gsutil", "azcopy", "s3cmd", "s5cmd", "restic", "megacmd", "lftp", "croc", "magic-wormhole", "wormhole", "curlftpfs"},
		nil, []string{bulkEgress, longSession, refused, policyBurst}, false},
	{"hand-made connection", []string{"nc", "ncat", "netcat", "socat", "telnet", "pwncat"},
		nil, []string{portScan, firstContact, internalSweep, policyBurst, refused, longSession, mismatch}, false},
	{"metadata service", []string{"cloud-init", "ec2-metadata", "imds"}, []string{metadata}, nil, false},
}

// marks are parts of a command that stand for a family by themselves, some of them with the
// peer that such a command means.
var marks = [...]struct{ text, family, peer string }{
	{"stratum+tcp://", "miner", ""}, {"stratum+ssl://", "miner", ""}, {"stratum+tls://", "miner", ""}, {"stratum2+tcp://", "miner", ""}, {"--donate-level", "miner", ""}, {"randomx", "miner", ""},
	{"/dev/tcp/", "hand-made connection", ""}, {"aws s3", "file transfer", "amazonaws.com"}, {"az storage", "file transfer", "core.windows.net"}, {"gcloud storage", "file transfer", "googleapis.com"},
	{"--upload-file", "file transfer", ""}, {"--post-file", "file transfer", ""}, {"huggingface-cli upload", "file transfer", "huggingface.co"}, {"hf upload", "file transfer", "huggingface.co"}, {"gsutil cp", "file transfer", "googleapis.com"}, {"gsutil rsync", "file transfer", "googleapis.com"}, {"twine upload", "file transfer", "pypi.org"},
	{"tailscale funnel", "tunnel service", ""}, {"paramiko", "tunnel over SSH", ""}, {"request_port_forward", "tunnel over SSH", ""},
	{"connect_ex", "hand-made connection", ""}, {"socket.connect", "hand-made connection", ""}, {"create_connection", "hand-made connection", ""},
	{"latest/meta-data", "metadata service", ""}, {"computemetadata", "metadata service", ""}, {"metadata.google.internal", "metadata service", ""},
}

// metadataHosts are the addresses at which clouds serve instances their credentials.
var metadataHosts = map[string]bool{
	"169.254.169.254": true, "169.254.170.2": true, "169.254.170.23": true, "fd00:ec2::254": true, "fd20:ce::254": true, "100.100.100.200": true, "192.0.0.192": true,
}

// familySet has a bit for each of families.
type familySet uint32

// explains names a family that sets off a detector; own says that this is what
// its tools are for. "" if none does.
func (s familySet) explains(detector string) (name string, own bool) {
	for i := range families {
		f := &families[i]
		switch {
		case s&(1<<i) == 0:
		case slices.Contains(f.own, detector):
			return f.name, true
		case name == "" && slices.Contains(f.other, detector):
			name = f.name
		}
	}
	return name, false
}

func (s familySet) lasting() bool {
	for i := range families {
		if s&(1<<i) != 0 && families[i].lasting {
			return true
		}
	}
	return false
}

func familyNamed(name string) familySet {
	for i := range families {
		if families[i].name == name {
			return 1 << i
		}
	}
	return 0
}

// familyOf finds the family of a program by the last part of its path, in any case.
func familyOf(word string) familySet {
	word = word[strings.LastIndexByte(word, '/')+1:]
	if len(word) < 2 || len(word) > 32 {
		return 0
	}
	return programs[strings.ToLower(word)]
}

// programs leads from a program's name to its family. Read-only.
var programs = func() map[string]familySet {
	m := map[string]familySet{}
	for i := range families {
		for _, p := range families[i].programs {
			m[p] = 1 << i
		}
	}
	return m
}()
