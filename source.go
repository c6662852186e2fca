package firetrail

// Source is one decompressed stream of records as it was taken in.
type Source struct {
	ID      string `json:"id"`     // 16 hex digits: the start of the SHA-256 of its content when it was first committed
	Path    string `json:"path"`   // where it was found: "dir/a.log.gz", "logs.tar!var/log/ufw.log", "-"
	Format  string `json:"format"` // name of the format that read it
	Sensor  string `json:"sensor,omitempty"`
	SHA256  string `json:"sha256"` // of the decompressed content taken in so far
	Size    int64  `json:"size"`   // bytes of the decompressed content taken in so far
	Counts  Counts `json:"counts"`
	First   int64  `json:"first"` // earliest and latest event time, Absent without dated events
	Last    int64  `json:"last"`
	Zone    string `json:"zone"` // zone used for stamps without one, and how it was chosen
	Year    string `json:"year,omitempty"`
	Facts   []Fact `json:"facts,omitempty"`   // what the source says of its own completeness
	ModTime int64  `json:"mod_time"`          // of the file, Absent for streams
	Problem string `json:"problem,omitempty"` // a read error that ended the source early
}

// Counts accounts for every record of a source:
// Records = Events + Rejected + Headers + Other.
type Counts struct {
	Records  int64 `json:"records"` // lines, packets or objects read
	Events   int64 `json:"events"`
	Rejected int64 `json:"rejected"` // quarantined with a reason
	Headers  int64 `json:"headers"`  // headers, comments and blank lines
	Other    int64 `json:"other"`    // sound lines that are no firewall records (a syslog's other programs)
}

// Add sums counts.
func (c *Counts) Add(d Counts) {
	c.Records += d.Records
	c.Events += d.Events
	c.Rejected += d.Rejected
	c.Headers += d.Headers
	c.Other += d.Other
}

// Fact is a statement of the log about its own completeness: dropped messages,
// rate limits, a sensor's restart. It becomes a coverage gap.
type Fact struct {
	Line int64  `json:"line"`
	Time int64  `json:"time"` // Absent where undated
	Text string `json:"text"` // a sentence of ours, not the log's
	Lost int64  `json:"lost"` // records said to be missing, 0 unknown
}

// Reject is a record that was refused.
type Reject struct {
	Origin
	Column int    // byte in the record where reading failed, from 1; 0 unknown
	Reason string // lower case, what was expected
}
