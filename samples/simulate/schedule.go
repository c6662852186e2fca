package simulate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// trace is how a run's tool calls were recorded.
type trace uint8

const (
	traceLines  trace = iota // JSONL with arguments
	traceSpans               // OpenTelemetry spans, arguments kept
	traceNoArgs              // OpenTelemetry spans without arguments, as is the default
	traceNone                // nothing was kept
)

// run is a training run of the schedule.
type run struct {
	id, name, family, user string
	job                    int    // Slurm job, 0 for a Kubernetes run
	group                  string // Kubernetes job name
	agentic                bool
	hostNetwork            bool
	shared                 bool // its sandboxes stand behind addresses that others use too
	trace                  trace
	start, end             int64
	nodes                  []int32
	boxes                  []box // where its tool calls run; pods of a Kubernetes run
}

// box is an address at which a run's tool calls run.
type box struct {
	ip   netip.Addr
	name string // of the sandbox or pod; a node's name where calls run on the node itself
	node int32
}

// call is one tool call.
type call struct {
	start, end int64
	run, box   int32
	kind       uint8
	step       int32
	args       string // of a planted call; else the kind says it
	plant      int32
}

// kinds of ordinary tool calls.
const (
	callTest uint8 = iota
	callSolve
	callList
	callPip
	callClone
	callFetch
	callModel
	callPlanted
)

var callArgs = [...]string{
	"pytest -q tests/",
	"python solve.py --steps 200",
	"ls -la && sed -n 1,80p README.md",
	"pip install --index-url https://pypi.mirror.example/simple einops",
	"git clone https://git.example.org/team/task.git",
	"curl -sSL https://www3.docs.example.net/reference.html",
	"python -c \"from hub import pull; pull('hub.models.example/tiny')\"",
}

// schedule is what ran when, in order of start.
type schedule struct {
	runs  []run
	calls []call // in order of start
}

var (
	ordinaryFamilies = []string{"pretrain", "sft", "eval", "distill"}
	agenticFamilies  = []string{"rl-shell", "rl-code", "rl-web", "rl-ops"}
	users            = []string{"ada", "kim", "lee", "noor", "sam", "yun"}
)

// maxCalls bounds the tool calls of a simulation; small ones have fewer, so that
// their traces do not outgrow their logs.
func (o *Options) maxCalls() float64 {
	return float64(min(120_000, max(6000, o.Events/10)))
}

// newSchedule plans the runs of the simulated time: Slurm jobs on whole nodes,
// some over four nodes, one after the other with seconds between; Kubernetes
// runs of three pods, whose addresses the next run of the lane takes over.
func newSchedule(l *lab, opt *Options) *schedule {
	s := &schedule{}
	r := newRandom(opt.Seed, 1)
	begin, end := opt.start()-2*hour, opt.start()+int64(opt.Days)*day
	for g := 0; g < gpuNodes; g += 4 {
		t := begin + r.between(0, 3600)*second
		for t < end {
			length := r.span(9*3600, 0.5)
			if r.chance(0.4) {
				s.slurm(r, l, []int32{int32(g), int32(g + 1), int32(g + 2), int32(g + 3)}, t, t+length)
			} else {
				for n := g; n < g+4; n++ {
					for at := t; at < t+length-20*minute; {
						stop := min(at+r.span(4*3600, 0.5), t+length)
						s.slurm(r, l, []int32{int32(n)}, at, stop)
						at = stop + r.between(2, 40)*second
					}
				}
			}
			t += length + r.between(2, 60)*second
		}
	}
	for lane := range podLanes {
		for t := begin + r.between(0, 3600)*second; t < end; {
			length := r.span(5*3600, 0.4)
			if lane == 0 {
				length = r.span(16*3600, 0.3) // the lane of long runs
			}
			stop := t + length
			s.kubernetes(r, l, lane, t, stop)
			t = stop + r.between(3, 25)*second
		}
	}
	slices.SortStableFunc(s.runs, func(a, b run) int { return cmp.Compare(a.start, b.start) })
	for i := range s.runs {
		x := &s.runs[i]
		x.id = fmt.Sprintf("r-%04d", i+1)
		if x.job != 0 {
			x.job = 412000 + i
		} else {
			x.group = fmt.Sprintf("%s-%04d", x.family, i+1)
			for k := range x.boxes {
				x.boxes[k].name = fmt.Sprintf("%s-worker-%d", x.group, k)
			}
		}
		x.name = fmt.Sprintf("%s %04d", x.family, i+1)
		if x.agentic && x.job != 0 && x.boxes[0].name == "" {
			for k := range x.boxes {
				x.boxes[k].name = fmt.Sprintf("sb-%04d-%02d", i+1, k)
			}
		}
	}
	s.plan(newRandom(opt.Seed, 2), opt)
	return s
}

func (s *schedule) slurm(r *random, l *lab, nodes []int32, start, end int64) {
	x := run{job: 1, nodes: nodes, start: start, end: end, user: users[r.intn(len(users))]}
	x.agentic = len(nodes) == 1 && r.chance(0.6)
	if !x.agentic {
		x.family = ordinaryFamilies[r.intn(len(ordinaryFamilies))]
		s.runs = append(s.runs, x)
		return
	}
	x.family = agenticFamilies[r.intn(len(agenticFamilies))]
	x.trace = pickTrace(r)
	n := nodes[0]
	switch p := r.unit(); {
	case p < 0.5: // on the node itself
		x.boxes = []box{{l.gpus[n].ip, l.gpus[n].name, n}}
	case p < 0.8: // sandboxes with an address each, taken over from the last run of the node
		for k := range boxesPerRun {
			x.boxes = append(x.boxes, box{v4(10, 36, int(n), 16+k), "", n})
		}
	default: // sandboxes behind the address of their host, as other runs' sandboxes
		x.shared = true
		for range boxesPerRun {
			h := l.boxes[r.intn(sandboxHosts/2)+int(n)%2*sandboxHosts/2]
			x.boxes = append(x.boxes, box{h.ip, "", h.node})
		}
	}
	s.runs = append(s.runs, x)
}

func (s *schedule) kubernetes(r *random, l *lab, lane int, start, end int64) {
	x := run{start: start, end: end, user: users[r.intn(len(users))], trace: pickTrace(r)}
	x.agentic = r.chance(0.65)
	x.hostNetwork = lane == podLanes-1
	if x.agentic {
		x.family = agenticFamilies[r.intn(len(agenticFamilies))]
	} else {
		x.family = ordinaryFamilies[r.intn(len(ordinaryFamilies))]
	}
	for k := range podsPerRun {
		n := (lane*2 + k*4) % kubeNodes
		b := box{v4(10, 32, n, 10+lane), "", int32(gpuNodes + n)}
		if x.hostNetwork {
			b.ip = l.knodes[n].ip
		}
		x.boxes = append(x.boxes, b)
		x.nodes = append(x.nodes, b.node)
	}
	s.runs = append(s.runs, x)
}

func pickTrace(r *random) trace {
	switch p := r.unit(); {
	case p < 0.6:
		return traceLines
	case p < 0.75:
		return traceSpans
	case p < 0.9:
		return traceNoArgs
	}
	return traceNone
}

// plan draws the tool calls of agentic runs: a call every minute or so, fewer
// where that would be too many.
func (s *schedule) plan(r *random, opt *Options) {
	var total float64
	for i := range s.runs {
		if s.runs[i].agentic {
			total += float64(s.runs[i].end-s.runs[i].start) / float64(second)
		}
	}
	gap := max(75, total/opt.maxCalls())
	begin, end := opt.start(), opt.start()+int64(opt.Days)*day
	for i := range s.runs {
		x := &s.runs[i]
		if !x.agentic {
			continue
		}
		for t, step := x.start+r.span(120, 0.3), int32(0); t < x.end-minute; step++ {
			c := call{start: t, end: t + r.span(8, 0.9), run: int32(i), box: int32(r.intn(len(x.boxes))), step: step}
			c.kind = [...]uint8{callTest, callTest, callSolve, callSolve, callSolve, callList, callList, callPip, callClone, callFetch, callModel}[r.intn(11)]
			c.end = min(c.end, x.end)
			if t >= begin && t < end {
				s.calls = append(s.calls, c)
			}
			t = c.end + r.exponential(gap*float64(second))
		}
	}
	s.order()
}

func (s *schedule) order() {
	slices.SortStableFunc(s.calls, func(a, b call) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.run, b.run)) })
}

// argsOf is the command of a call.
func (s *schedule) argsOf(c *call) string {
	if c.kind == callPlanted {
		return c.args
	}
	return callArgs[c.kind]
}
