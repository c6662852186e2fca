package simulate

// Score compares the results of a correlation with the truth. A finding belongs
// to a planted behaviour when its detector is the behaviour's class or one of its
// also classes, one of its sources is one of the behaviour's (inside or
// translated), one of its peers is, and the times meet within two minutes; of several
// behaviours, to those that have most of its peers.
type Score struct {
	Detectors    []DetectorScore  `json:"detectors"`
	Incidents    IncidentScore    `json:"incidents"`
	Attribution  AttributionScore `json:"attribution"`          // of behaviours, by the finding that speaks of each most directly
	EachFinding  AttributionScore `json:"attribution_findings"` // of every finding that belongs to a behaviour of an agent or a host
	Causes       []CauseRow       `json:"causes"`               // rows: truth; columns: verdict
	Bounds       BoundsScore      `json:"bounds"`
	Behaviours   []BehaviourScore `json:"behaviours"`
	False        []FalseFinding   `json:"false_findings"`
	FalseListed  int              `json:"false_listed"` // how many of them are listed
	Invisible    int              `json:"invisible"`    // planted, but in no log
	Silent       int              `json:"silent"`       // planted and recorded, but by sensors that cannot show it
	Undetectable []string         `json:"untestable"`   // detectors that the logs could not feed
}

// DetectorScore is how one detector did.
type DetectorScore struct {
	Detector  string  `json:"detector"`
	Planted   int     `json:"planted"` // behaviours it must find, and that some log can show
	Found     int     `json:"found"`
	Findings  int     `json:"findings"`
	Right     int     `json:"right"` // findings that belong to a behaviour
	False     int     `json:"false"` // findings that belong to none, or to one that is known and wanted
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
}

// IncidentScore counts incidents.
type IncidentScore struct {
	Incidents int      `json:"incidents"`
	False     int      `json:"false"` // none of their findings belongs to a behaviour
	FalseIDs  []string `json:"false_ids"`
	Mixed     int      `json:"mixed"` // findings of behaviours of several runs
}

// AttributionScore says how runs were named, over behaviours that were found
// and that an agent did.
type AttributionScore struct {
	Behaviours   int     `json:"behaviours"`
	Attributable int     `json:"attributable"`
	Right        int     `json:"right"`     // the run was named
	Wrong        int     `json:"wrong"`     // another run was named
	Abstained    int     `json:"abstained"` // none was named
	Certain      int     `json:"wrong_certain"`
	Honest       int     `json:"honest"` // not attributable, and none named at 0.9 or more
	Top1         float64 `json:"top1"`
	Abstention   float64 `json:"abstention"`
	Brier        float64 `json:"brier"`
}

// CauseRow is a row of the confusion matrix.
type CauseRow struct {
	Truth            string `json:"truth"`
	Agent            int    `json:"agent"`
	Host             int    `json:"host"`
	Misconfiguration int    `json:"misconfiguration"`
	Undetermined     int    `json:"undetermined"`
}

// BoundsScore is how far the bounds of findings are from those of the behaviour's
// own records, seconds.
type BoundsScore struct {
	Count       int     `json:"count"`
	StartMedian float64 `json:"start_median"`
	StartP90    float64 `json:"start_p90"`
	EndMedian   float64 `json:"end_median"`
	EndP90      float64 `json:"end_p90"`
}

// BehaviourScore is what was said of one planted behaviour.
type BehaviourScore struct {
	ID           int      `json:"id"`
	Scenario     string   `json:"scenario"`
	Class        string   `json:"class"`
	Expect       string   `json:"expect"`
	Records      int64    `json:"records"`
	Kinds        []string `json:"kinds"`
	Found        bool     `json:"found"`
	By           []string `json:"by"` // detectors that fired
	Findings     []string `json:"findings"`
	Run          string   `json:"run"`
	Said         string   `json:"said"` // run that was named, "" for none
	Probability  float64  `json:"probability"`
	Level        string   `json:"level"`
	Unattributed string   `json:"unattributed,omitempty"` // why no run was named
	Cause        string   `json:"cause"`
	Verdict      string   `json:"verdict"`
	Source       string   `json:"source"`
	Why          string   `json:"why"`
}

// FalseFinding is a finding that belongs to nothing that was planted.
type FalseFinding struct {
	ID       string `json:"id"`
	Detector string `json:"detector"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Source   string `json:"source"`
	Start    string `json:"start"`
	Count    int64  `json:"count"`
	Wanted   string `json:"wanted,omitempty"` // the scenario, where it is one that is known and wanted
}
