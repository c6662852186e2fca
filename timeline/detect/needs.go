package detect

import (
	"strings"

	"firetrail"
)

// Need is something that records must carry for a detector to work.
type Need int

const (
	NeedAction   Need = iota // what the firewall did
	NeedOutcome              // whether a contact succeeded
	NeedDuration             // how long a connection lasted
	NeedBytes                // how much was sent
	NeedNames                // names of peers: DNS, SNI, HTTP host
	NeedService              // the protocol, as a sensor identified it
	NeedDNS                  // DNS questions, or at least the volume of DNS
	NeedAddress              // addresses: any packet or connection record
	needCount
)

// lacking says what is missing, as the middle of a sentence.
var lacking = [needCount]string{
	NeedAction:   "no record says whether traffic was refused (firewall logs do; iptables needs a log prefix that names the verdict)",
	NeedOutcome:  "no record says whether a contact was refused or answered (firewall verdicts, Zeek conn_state or PAN-OS sessions do)",
	NeedDuration: "no record says how long a connection lasted (PAN-OS TRAFFIC and Zeek conn do)",
	NeedBytes:    "no record counts bytes (PAN-OS TRAFFIC and Zeek conn do)",
	NeedNames:    "no record names a peer (Zeek dns, ssl and http, PAN-OS url logs do)",
	NeedService:  "no record names the protocol or application (Zeek service, PAN-OS application do)",
	NeedDNS:      "no record names what was asked for or counts the bytes of DNS (Zeek dns, or PAN-OS TRAFFIC and Zeek conn for the volume)",
	NeedAddress:  "no record of a connection or packet with addresses was read",
}

// notice learns from a flow what the case's records can tell.
func (l *Lab) notice(f *firetrail.Flow) {
	if !f.SrcIP.IsValid() {
		return
	}
	l.have[NeedAddress] = true
	timed := timedKind(f.Kind)
	l.have[NeedAction] = l.have[NeedAction] || f.Action != ""
	l.have[NeedOutcome] = l.have[NeedOutcome] || timed || denied(f.Action)
	l.have[NeedDuration] = l.have[NeedDuration] || timed || f.Duration > 0
	l.have[NeedBytes] = l.have[NeedBytes] || timed || f.BytesOut+f.BytesIn > 0
	l.have[NeedService] = l.have[NeedService] || len(f.Services)+len(f.Apps) > 0
	l.have[NeedNames] = l.have[NeedNames] || len(f.Hosts) > 0 || strings.HasPrefix(f.Kind, "zeek.dns")
	l.have[NeedDNS] = l.have[NeedDNS] || l.have[NeedNames] || l.have[NeedBytes]
}

// untestable says why the detector cannot work with these logs, "" if it can.
func (l *Lab) untestable(d *Detector) string {
	for _, n := range d.Needs {
		if !l.have[n] {
			return "not testable with the logs given: " + lacking[n]
		}
	}
	return ""
}
