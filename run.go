package firetrail

import "net/netip"

// Run is a training run, or what stands for one: a scheduler's job, a pod.
type Run struct {
	ID      string   `json:"id"` // the run table's run_id, else the tracker's id, else "slurm:412391", "k8s:namespace/job"
	Name    string   `json:"name,omitempty"`
	Family  string   `json:"family,omitempty"` // runs of one experiment share it
	User    string   `json:"user,omitempty"`
	Agentic bool     `json:"agentic"` // tool calls are known of it, or the table says so
	Aliases []string `json:"aliases"` // job ids, pod names, tracker ids: sorted, accepted wherever a run is asked for
	Start   int64    `json:"-"`       // Absent where unknown; the JSON form is written by the commands
	End     int64    `json:"-"`       // Absent while it runs or where unknown
	State   string   `json:"state,omitempty"`
	Extra   []Field  `json:"-"` // further columns of the inventory, sorted by name
	Leases  []Lease  `json:"-"`
	Where   Citation `json:"-"`
}

// Citation says where an inventory's statement stands.
type Citation struct {
	Source string `json:"source"` // path of the file
	Line   int64  `json:"line"`   // from 1; for JSON the line on which the object begins
}

// Lease says that a subject held an address (or some ports of it) for a time.
type Lease struct {
	IP       netip.Addr
	PortLow  int64 // Absent, or the source ports the lease is limited to
	PortHigh int64
	Start    int64 // Absent: since ever
	End      int64 // Absent: until ever
	StartUnc int64 // uncertainty of Start and End, nanoseconds, at least 0
	EndUnc   int64
	Run      string  // id of the run, "" for a host of no run
	Subject  string  // what held it: "host", "pod", "sandbox", "job"
	Name     string  // host, pod or sandbox by name
	Host     string  // node it ran on, where known
	Shared   bool    // others may use the address at the same time (host network, NAT, several sandboxes)
	Quality  float64 // 0 to 1: how far the inventory can be believed
	Citation
}

// ToolCall is one act of an agent, as its trace recorded it.
type ToolCall struct {
	ID      string // the trace's id, else "file:line"
	Run     string
	Host    string     // host or sandbox, as the trace names it
	IP      netip.Addr // address, where the trace gives one
	Sandbox string
	Start   int64 // Absent where the trace has no clock
	End     int64 // Absent where it is not known
	Unc     int64 // uncertainty of the times, nanoseconds
	Tool    string
	Args    string // the arguments as text; hostile like all log text
	NoArgs  bool   // the trace does not record arguments
	Step    string
	Citation
}

// NAT is one translation: what an inside endpoint looked like outside.
type NAT struct {
	Proto               string
	InsideIP, OutsideIP netip.Addr
	InsidePort          int64 // Absent: every port
	OutsidePort         int64
	DstIP               netip.Addr // invalid: any
	DstPort             int64
	Start, End          int64 // Absent: unbounded
	Citation
}
