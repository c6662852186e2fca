package firetrail

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Severity levels, from harmless to grave.
const (
	SeverityInfo     = "info"
	SeverityLow      = "low"
	SeverityMedium   = "medium"
	SeverityHigh     = "high"
	SeverityCritical = "critical"
)

// SeverityRank orders severities: info 0, low 1 … critical 4; -1 for any other word.
func SeverityRank(s string) int {
	for i, name := range [...]string{SeverityInfo, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical} {
		if s == name {
			return i
		}
	}
	return -1
}

// Finding is what one detector says of one subject, with its reasons and its
// proof. Start and End are recorded times of the evidence, never corrected ones.
type Finding struct {
	ID       string // "f-" and 12 hex digits over detector, subject, peer and first evidence
	Detector string // a name of CLI.md: "ssh_tunnel"
	Title    string // one sentence; may quote hostile text
	Severity string
	Score    float64 // 0 to 1
	SrcIP    netip.Addr
	Sources  []netip.Addr // where it is of several sources at once, sorted; SrcIP is then invalid
	Dst      string       // address, or the network a sweep covers: "10.20.3.0/24"
	DstPort  int64        // Absent where there is no single one
	Host     string       // name the peer was known by
	Start    int64
	End      int64
	Offset   int64 // nanoseconds that the clock of the evidence is taken to run ahead: only for comparing
	Open     bool  // still going on at the end of the data
	Count    int64 // events the finding speaks of
	Targets  []Target
	Targeted int64    // distinct targets, also those not listed
	Attack   []string // ATT&CK technique ids
	Why      []Part
	Benign   []string   // known harmless explanations
	Untested []string   // what these logs cannot show
	Bursts   []Interval // when it happened, for the statistics of the cause; sorted
	Evidence []Evidence
	Attribution
}

// Target is one peer of a finding or an incident.
type Target struct {
	IP    netip.Addr `json:"ip"`
	Port  int64      `json:"-"`
	Host  string     `json:"host,omitempty"`
	First int64      `json:"-"` // recorded time of the first contact; 0 or Absent: not known
}

// MarshalJSON leaves out an absent port and an invalid address.
func (t Target) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		IP   string `json:"ip,omitempty"`
		Port *int64 `json:"port,omitempty"`
		Host string `json:"host,omitempty"`
	}{AddrText(t.IP), Optional(t.Port), t.Host})
}

// Interval is a closed span of recorded time.
type Interval struct {
	Start, End int64
}

// Part is one term of a score: what was measured, against what, and the
// sentence that a person reads. The points of a finding's parts explain its score.
type Part struct {
	Part      string  `json:"part"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold,omitempty"`
	Points    float64 `json:"points"`
	Text      string  `json:"text"`
}

// Evidence is one record that proves a statement.
type Evidence struct {
	Origin
	Path   string // of the source, as it was found
	Time   int64
	SHA256 string // of the record's bytes without its line end
	Raw    []byte // those bytes; nil until read from the source
	Note   string // what it shows, where that is not plain
}

// MarshalJSON gives the form of CLI.md: raw is base64 where it is not UTF-8.
func (e Evidence) MarshalJSON() ([]byte, error) {
	out := struct {
		Event    string `json:"event"`
		Path     string `json:"path"`
		Line     int64  `json:"line"`
		Offset   int64  `json:"offset"`
		Length   int64  `json:"length"`
		Time     string `json:"time,omitempty"`
		SHA256   string `json:"sha256"`
		Raw      string `json:"raw"`
		Encoding string `json:"raw_encoding,omitempty"`
		Note     string `json:"note,omitempty"`
	}{e.ID(), e.Path, e.Line, e.Offset, e.Length, Stamp(e.Time), e.SHA256, string(e.Raw), "", e.Note}
	if !utf8.Valid(e.Raw) {
		out.Raw, out.Encoding = base64.StdEncoding.EncodeToString(e.Raw), "base64"
	}
	return json.Marshal(out)
}

// Candidate is one possible answer to "which run".
type Candidate struct {
	ID          string   `json:"id"`
	Probability float64  `json:"probability"`
	Reasons     []string `json:"reasons"`
}

// RunRef is the answer to "which run" and how far it is known: levels A0 none,
// A1 a set of candidates, A2 one run by lease, A3 and within a tool call,
// A4 and the call's content matches, A5 and it recurs.
type RunRef struct {
	ID          string  `json:"id"`
	Probability float64 `json:"probability"`
	Level       string  `json:"level"`
}

// Attribution is who did it. Run is nil where nothing can be attributed, and
// Unattributed then says why.
type Attribution struct {
	Run          *RunRef
	Candidates   []Candidate // all, the background included as "background"; probabilities sum to 1
	Unattributed string
	Leases       []Lease    // the leases it rests on
	Calls        []ToolCall // tool calls that fall together with it
	Against      []string   // what speaks against the answer
}

// AddrText prints an address, "" for an invalid one.
func AddrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Optional is nil for Absent, for JSON with omitempty.
func Optional(n int64) *int64 {
	if n == Absent {
		return nil
	}
	return &n
}

// MarshalJSON gives the form of CLI.md.
func (f *Finding) MarshalJSON() ([]byte, error) {
	type leaseRef struct {
		IP    string `json:"ip"`
		Run   string `json:"run,omitempty"`
		Name  string `json:"name,omitempty"`
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
		Citation
	}
	out := struct {
		ID           string       `json:"id"`
		Detector     string       `json:"detector"`
		Title        string       `json:"title"`
		Severity     string       `json:"severity"`
		Score        float64      `json:"score"`
		SrcIP        string       `json:"src_ip,omitempty"`
		Sources      []netip.Addr `json:"sources,omitempty"`
		DstIP        string       `json:"dst_ip,omitempty"`
		DstPort      *int64       `json:"dst_port,omitempty"`
		Host         string       `json:"host,omitempty"`
		Start        string       `json:"start"`
		End          string       `json:"end"`
		ClockOffset  float64      `json:"clock_offset,omitempty"` // seconds ahead
		StartCorr    string       `json:"start_corrected,omitempty"`
		EndCorr      string       `json:"end_corrected,omitempty"`
		Open         bool         `json:"open,omitempty"`
		Count        int64        `json:"count"`
		Targets      []Target     `json:"targets,omitempty"`
		Targeted     int64        `json:"target_count,omitempty"`
		Run          *RunRef      `json:"run"`
		Unattributed string       `json:"unattributed,omitempty"`
		Candidates   []Candidate  `json:"candidates"`
		Against      []string     `json:"against,omitempty"`
		Leases       []leaseRef   `json:"leases,omitempty"`
		Attack       []string     `json:"attack"`
		Why          []Part       `json:"why"`
		Benign       []string     `json:"benign,omitempty"`
		Untested     []string     `json:"untested,omitempty"`
		Evidence     []Evidence   `json:"evidence"`
	}{
		f.ID, f.Detector, f.Title, f.Severity, f.Score, AddrText(f.SrcIP), f.Sources, f.Dst, Optional(f.DstPort), f.Host,
		Stamp(f.Start), Stamp(f.End), float64(f.Offset) / 1e9, f.corrected(f.Start), f.corrected(f.End), f.Open, f.Count, f.Targets, f.Targeted, f.Run, f.Unattributed,
		list(f.Candidates), f.Against, nil, list(f.Attack), list(f.Why), f.Benign, f.Untested, list(f.Evidence),
	}
	for _, l := range f.Leases {
		out.Leases = append(out.Leases, leaseRef{AddrText(l.IP), l.Run, l.Name, Stamp(l.Start), Stamp(l.End), l.Citation})
	}
	return json.Marshal(out)
}

// corrected prints a time without the clock's offset, "" where there is none.
func (f *Finding) corrected(t int64) string {
	if f.Offset == 0 || t == Absent {
		return ""
	}
	return Stamp(t - f.Offset)
}

// list makes an empty JSON list of nil.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Probability prints a probability with up to four digits and never rounds doubt away:
// what is not certain is not printed as 1 or 0.
func Probability(p float64) string {
	s := strconv.FormatFloat(p, 'f', 4, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	switch {
	case s == "1" && p < 1:
		return ">0.9999"
	case s == "0" && p > 0:
		return "<0.0001"
	}
	return s
}
