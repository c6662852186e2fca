package firetrail

import (
	"encoding/json"
	"net/netip"
)

// Verdict values of a cause.
const (
	VerdictAgent            = "agent"
	VerdictHost             = "host"
	VerdictMisconfiguration = "misconfiguration"
	VerdictUndetermined     = "undetermined"
)

// Posterior is the probability of each cause; the three sum to 1.
type Posterior struct {
	Agent            float64 `json:"agent"`
	Host             float64 `json:"host"`
	Misconfiguration float64 `json:"misconfiguration"`
}

// Cause says whether it was the agent, the host or the configuration.
type Cause struct {
	Verdict   string    `json:"verdict"`
	Posterior Posterior `json:"posterior"`
	Facts     []string  `json:"facts"`           // sentences for and against, strongest contrary fact included
	Terms     []Part    `json:"terms,omitempty"` // log10 likelihood ratios that made the posterior
}

// Phase is a step of an incident: findings of one sort that lie together.
type Phase struct {
	Name     string // "probe", "refused", "tunnel", "mining", "volume", "metadata" …
	Start    int64
	End      int64
	Findings []string // ids, in time order
}

// Incident is a set of findings of one subject that belong together.
type Incident struct {
	ID        string // "i-" and 12 hex digits over its findings
	Title     string
	Severity  string
	Start     int64
	End       int64
	Open      bool // something of it still went on at the end of the data
	Detectors []string
	Sources   []netip.Addr
	Targets   []Target
	Attribution
	Cause         Cause
	Findings      []string // ids, in time order
	Phases        []Phase
	EvidenceCount int64
	FirstSign     string   // id of the event that first showed it
	Unseen        []string // what could not be tested or was not seen
	Elsewhere     []string // the same behaviour in other runs: sentences
}

// MarshalJSON gives the form of CLI.md.
func (i *Incident) MarshalJSON() ([]byte, error) {
	type phase struct {
		Name     string   `json:"name"`
		Start    string   `json:"start"`
		End      string   `json:"end"`
		Findings []string `json:"findings"`
	}
	phases := make([]phase, 0, len(i.Phases))
	for _, p := range i.Phases {
		phases = append(phases, phase{p.Name, Stamp(p.Start), Stamp(p.End), list(p.Findings)})
	}
	return json.Marshal(struct {
		ID            string       `json:"id"`
		Title         string       `json:"title"`
		Severity      string       `json:"severity"`
		Start         string       `json:"start"`
		End           string       `json:"end"`
		Open          bool         `json:"open,omitempty"`
		Detectors     []string     `json:"detectors"`
		Sources       []netip.Addr `json:"sources"`
		Targets       []Target     `json:"targets"`
		Run           *RunRef      `json:"run"`
		Unattributed  string       `json:"unattributed,omitempty"`
		Candidates    []Candidate  `json:"candidates"`
		Against       []string     `json:"against,omitempty"`
		Cause         Cause        `json:"cause"`
		Findings      []string     `json:"findings"`
		Phases        []phase      `json:"phases"`
		EvidenceCount int64        `json:"evidence_count"`
		FirstSign     string       `json:"first_sign,omitempty"`
		Unseen        []string     `json:"unseen,omitempty"`
		Elsewhere     []string     `json:"elsewhere,omitempty"`
	}{
		i.ID, i.Title, i.Severity, Stamp(i.Start), Stamp(i.End), i.Open, list(i.Detectors), list(i.Sources), list(i.Targets),
		i.Run, i.Unattributed, list(i.Candidates), i.Against, i.Cause, list(i.Findings), phases, i.EvidenceCount,
		i.FirstSign, i.Unseen, i.Elsewhere,
	})
}
