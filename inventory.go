package firetrail

import "net/netip"

// Inventory is what schedulers, trackers, traces and address tables say, joined.
type Inventory struct {
	Runs  []Run      // sorted by ID; their leases within, sorted by start, address
	Hosts []Lease    // addresses of hosts that belong to no run: node tables, DHCP; Run is ""
	Calls []ToolCall // sorted by start, run, citation; without a clock last
	NAT   []NAT      // sorted by start
	Notes []string   // what could not be read or joined, as sentences
}

// Results is what one correlation concluded.
type Results struct {
	Complete   bool     // nothing was unreadable, quarantined or cut short
	Reasons    []string // why not complete
	Parameters []string // "internal 10.0.0.0/8", "allow …": the settings it was computed with
	Tool       string   // version that wrote it
	Findings   []Finding
	Incidents  []Incident
	Suppressed []Suppressed
	Untestable []Untestable
	Coverage   []Gap
}

// Suppressed counts what one entry of an allow list kept out of the results.
type Suppressed struct {
	Entry    string   `json:"entry"`
	Reason   string   `json:"reason"`
	Where    Citation `json:"where"`
	Findings int64    `json:"findings"`
	Listed   []string `json:"listed"` // one sentence a finding
	Expired  bool     `json:"expired,omitempty"`
}

// Untestable is a detector that these logs cannot feed: not the same as "not found".
type Untestable struct {
	Detector string `json:"detector"`
	Reason   string `json:"reason"`
}

// Gap is an interval in which a sensor was silent or said that it lost records.
type Gap struct {
	Sensor string `json:"sensor"`
	Source string `json:"source,omitempty"`
	Start  int64  `json:"start"` // Absent where undated
	End    int64  `json:"end"`
	Text   string `json:"text"`
}

// Allow is one entry of an allow list: traffic that is known and wanted.
type Allow struct {
	Entry   string       // as written
	Prefix  netip.Prefix // of an address or network, else invalid
	Name    string       // of a host or domain, without "*."; covers subdomains
	Side    string       // "src", "dst" or "either"
	Port    int64        // Absent: every port
	Run     string       // "": every run
	Reason  string
	Expires int64 // Absent: never
	Where   Citation
}
