package simulate

import (
	"fmt"
	"net/netip"
)

// host is a machine of the lab or a named server outside.
type host struct {
	name string
	ip   netip.Addr
	in   place
	node int32 // number of the node whose packet filter logs its traffic, -1 for none
}

// site is a service on the internet that the lab uses in good faith.
type site struct {
	name string
	ip   netip.Addr
}

// lab is the inventory: who exists, with which address.
type lab struct {
	nodes    []host // GPU nodes, Kubernetes nodes, sandbox hosts: the index is the node's number
	gpus     []host
	knodes   []host
	boxes    []host // hosts of sandboxes that share their address
	dns      []host
	ntp      host
	monitor  host
	bastion  host
	slurm    host
	etcd     []host
	registry host
	tracker  host
	scanner  host
	gitlab   host
	nfs      []host
	objects  []host
	office   []host

	mirror, hub, git, trackerSite, store, images, resolver, telemetry, gateway, channel, mail, chat, updates site
	web                                                                                                      []site
}

const (
	gpuNodes     = 32
	kubeNodes    = 12
	sandboxHosts = 6
	podLanes     = 6 // runs that the Kubernetes cluster holds at once
	podsPerRun   = 3
	boxesPerRun  = 8
	firstBadHost = 10 // of 203.0.113.0/24
	natAddresses = 4  // 192.0.2.11 to .14
)

func v4(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

// newLab lists the machines. Addresses are private (RFC 1918), for
// documentation (RFC 5737) or for benchmarks (RFC 2544).
func newLab() *lab {
	l := &lab{}
	group := func(prefix string, n, net, first int, in place) []host {
		var out []host
		for i := range n {
			h := host{name: fmt.Sprintf("%s%02d", prefix, i+1), ip: v4(10, 20, net, first+i), in: in, node: -1}
			if in == gpu || in == knode || in == sandboxHost {
				h.node = int32(len(l.nodes))
				l.nodes = append(l.nodes, h)
			}
			out = append(out, h)
		}
		return out
	}
	l.gpus = group("gpu", gpuNodes, 3, 1, gpu)
	l.knodes = group("knode", kubeNodes, 4, 1, knode)
	l.boxes = group("sbx", sandboxHosts, 5, 1, sandboxHost)
	l.dns = group("ns", 2, 0, 53, service)
	l.etcd = group("kube-api", 3, 0, 11, service)
	l.nfs = group("nfs", 6, 9, 1, storage)
	l.objects = group("object", 8, 9, 32, storage)
	l.office = group("desk", 12, 7, 20, office)
	one := func(name string, last int) host {
		return host{name: name, ip: v4(10, 20, 0, last), in: service, node: -1}
	}
	l.ntp, l.monitor, l.bastion, l.slurm = one("ntp", 123), one("prometheus", 90), one("bastion", 22), one("slurmctld", 10)
	l.registry, l.tracker, l.scanner, l.gitlab = one("registry", 80), one("tracker", 60), one("scanner", 66), one("gitlab", 70)

	outside := func(name string, last int) site { return site{name, v4(198, 51, 100, last)} }
	l.mirror, l.hub, l.git = outside("pypi.mirror.example", 10), outside("hub.models.example", 11), outside("git.example.org", 20)
	l.trackerSite, l.store, l.images = outside("api.tracker.example", 30), outside("store.example", 40), outside("images.example", 50)
	l.resolver, l.telemetry, l.gateway = outside("resolver.example", 53), outside("telemetry.vendor.example", 99), outside("rl-gateway.tunnels.example", 200)
	l.channel, l.mail = outside("conda.channel.example", 12), outside("mail.office.example", 25)
	l.chat, l.updates = outside("chat.office.example", 26), outside("updates.os.example", 27)
	for i := range 24 {
		l.web = append(l.web, outside(fmt.Sprintf("www%d.docs.example.net", i+1), 60+i))
	}
	return l
}

// bad is an address of somebody who means no good, or of an agent's own server.
func bad(i int) netip.Addr { return v4(203, 0, 113, firstBadHost+i%200) }

// natOf is the address that an inside address is translated to at the edge.
func natOf(a netip.Addr) netip.Addr {
	b := a.As4()
	return v4(192, 0, 2, 11+int(mix(uint64(b[2])<<8|uint64(b[3]))%natAddresses))
}

// placeOf tells where an address lives.
func placeOf(a netip.Addr) place {
	if !a.Is4() {
		return internet
	}
	b := a.As4()
	switch {
	case b[0] == 10 && b[1] == 20:
		switch b[2] {
		case 0:
			return service
		case 3:
			return gpu
		case 4:
			return knode
		case 5:
			return sandboxHost
		case 9:
			return storage
		}
		return office
	case b[0] == 10:
		return pod
	case b[0] == 192 && b[1] == 0 && b[2] == 2:
		return public
	case b[0] == 169 && b[1] == 254, b[0] >= 224:
		return local
	}
	return internet
}

// nodeOf is the node whose packet filter sees traffic of an address, -1 for none.
// Pods are 10.32.NODE.x, sandboxes with their own address 10.36.NODE.x; both
// count nodes within their own cluster.
func nodeOf(a netip.Addr) int32 {
	b := a.As4()
	switch placeOf(a) {
	case gpu:
		return int32(b[3]) - 1
	case knode:
		return gpuNodes + int32(b[3]) - 1
	case sandboxHost:
		return gpuNodes + kubeNodes + int32(b[3]) - 1
	case pod:
		if b[1] == 32 {
			return gpuNodes + int32(b[2])
		}
		return int32(b[2])
	}
	return -1
}
