package detect

// tor looks for the Tor network: relay and control ports, the project's names, web
// proxies to onion services. There is no node list: nothing is fetched.
var tor = Detector{
	Name:   "tor",
	Title:  "the Tor network",
	Doc:    "Outbound contacts with Tor by name, by the sensor's word, or by a customary relay port.",
	Attack: []string{"T1090.003"},
	Needs:  []Need{NeedAddress},
	Defaults: []Setting{
		{"minutes", 10, "a connection of this many minutes stands"},
	},
	Names: sortedKeys(torNames),
	New: newServices(services{
		what: "Anonymity network", names: torNames, ports: torPorts, apps: torApps,
		benign: []string{"research on Tor, or an employee's browser in the same network", "other software on the same port"},
	}),
}

var torNames = map[string]string{
	"torproject.org": "Tor", "onion": "Tor", "onion.to": "Tor", "onion.ws": "Tor", "onion.ly": "Tor", "onion.pet": "Tor", "onion.cab": "Tor",
	"onion.link": "Tor", "onion.city": "Tor", "tor2web.org": "Tor", "tor2web.io": "Tor",
}

var torPorts = map[int64]servicePort{
	9001: {"Tor", "tcp", 2},
	9030: {"Tor", "tcp", 2},
	9050: {"Tor", "tcp", 1.5},
	9051: {"Tor", "tcp", 1.5},
	9150: {"Tor", "tcp", 1.5},
}

var torApps = map[string]string{"tor": "Tor", "tor2web": "Tor", "orbot": "Tor"}
