package runs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOtherExports(t *testing.T) {
	for _, c := range []struct {
		name string
		file [][2]string
		want []string
	}{
		{"slurm json, old and new numbers", [][2]string{
			{"squeue.json", `{"meta":{"Slurm":{"release":"21.08"}},"jobs":[
{"job_id":7,"array_job_id":0,"array_task_id":null,"name":"rl","user_name":"kim","job_state":"RUNNING","start_time":1772323200,"end_time":1772400000,"nodes":"gpu[1-2]"},
{"job_id":{"set":true,"number":9},"array":{"job_id":8,"task_id":{"set":true,"number":3}},"name":"x","user":"lee","state":{"current":["COMPLETED"]},"time":{"start":1772323200,"end":1772326800},"nodes":"gpu1"},
{"job_id":10,"job_state":"PENDING","start_time":0}]}`},
			{"sinfo.json", `{"meta":{"slurm":{}},"nodes":[{"name":"gpu1","address":"10.0.0.1","hostname":"gpu1"},{"name":"gpu2","address":"10.0.0.2","hostname":"gpu2"}]}`}},
			[]string{
				"run slurm:7 name=rl family= agentic=false 0301T000000..? aliases=7",
				"  10.0.0.1 job gpu1 0301T000000..? ±1/1 shared=false q=1 squeue.json:2",
				"  10.0.0.2 job gpu2 0301T000000..? ±1/1 shared=false q=1 squeue.json:2",
				"run slurm:8_3 name=x family= agentic=false 0301T000000..0301T010000 aliases=8_3,9,slurm:9",
				"  10.0.0.1 job gpu1 0301T000000..0301T010000 ±1/1 shared=false q=1 squeue.json:3",
				"host 10.0.0.1 gpu1 ?..?", "host 10.0.0.2 gpu2 ?..?"}},
		{"mlflow run of a slurm job", [][2]string{
			{"mlflow.json", `{"runs":[{"info":{"run_id":"abc","run_name":"one","experiment_id":"12","status":"FINISHED","start_time":1772323200000,"end_time":1772326800000},"data":{"tags":[{"key":"slurm_job_id","value":"412391"}]}}]}`},
			{"sacct.txt", sacctText}, {"hosts", "10.20.3.1 gpu01\n10.20.3.2 gpu02\n"}},
			[]string{"run abc name=one family=12 agentic=false 0301T000000..0301T120000 aliases=412391,one,slurm:412391",
				"  10.20.3.1 job gpu01 0301T080000..0301T120000 ±1/40 shared=false q=1 sacct.txt:2"}},
		{"wandb folder", [][2]string{
			{"wandb/run-20260301_000000-g9dv/files/wandb-metadata.json", `{"host":"gpu1","username":"kim","startedAt":"2026-03-01T00:00:00","program":"t.py","state":"running"}`},
			{"hosts", "10.0.0.1 gpu1\n"}},
			[]string{"run g9dv name=t.py family= agentic=false 0301T000000..? aliases=t.py",
				"  10.0.0.1 run gpu1 0301T000000..? ±1/1 shared=false q=0.9 wandb/run-20260301_000000-g9dv/files/wandb-metadata.json:1"}},
		{"sandboxes by a service's records, named by tool calls", [][2]string{
			{"boxes.jsonl", `{"sandbox_id":"sb-1","host_ip":"10.0.0.9","host_name":"w9","start_time":"2026-03-01T00:00:00Z","stop_time":"2026-03-01T01:00:00Z"}
{"sandbox_id":"sb-2","host_ip":"default"}`},
			{"roll.log", "[2026-03-01 02:00:00] [env.py (10)] [INFO] [ACTOR 0 / 8][PID 7] [SANDBOX_INIT] Final Success! - Sandbox started successfully with IP: 10.0.0.7, sandbox_id: sb-3\n"},
			{"calls.jsonl", `{"run_id":"r-1","sandbox_id":"sb-1","start":"2026-03-01T00:10:00Z","tool":"bash","args":"id"}`}},
			[]string{"run r-1 name= family= agentic=true 0301T000000..0301T010000 aliases=sb-1",
				"  10.0.0.9 sandbox sb-1 0301T000000..0301T010000 ±1/1 shared=true q=0.5 boxes.jsonl:1",
				"host 10.0.0.7 sb-3 0301T020000..?"}},
		{"a pod that a tool call names belongs to the call's run", [][2]string{
			{"pods.json", podText}, {"calls.jsonl", `{"run_id":"r-5","sandbox_id":"rl-9-0","start":"2026-03-01T08:10:00Z","tool":"bash","args":"id"}`}},
			[]string{"run r-5 name= family= agentic=true 0301T080002..0301T090000 aliases=k8s:train/rl-9,k8s:train/rl-9-0,rl-9,rl-9-0",
				"  10.244.1.5 pod train/rl-9-0 0301T080002..0301T090000 ±11/1 shared=false q=1 pods.json:2"}},
		{"openhands history", [][2]string{
			{"out.jsonl", `{"instance_id":"repo-1","history":[{"id":5,"timestamp":"2026-03-01T08:00:00.5","source":"agent","action":"run","args":{"command":"ls"}},{"id":6,"timestamp":"2026-03-01T08:00:01","cause":5,"observation":"run"}]}`}},
			[]string{`call repo-1/5 run=repo-1 ip= 0301T080000..0301T080001 run "ls"`}},
	} {
		var s Statements
		for _, f := range c.file {
			read(t, &s, f[0], f[1], Options{})
		}
		got := show(Join(&s))
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: no line %q\n%s", c.name, w, cmp.Diff(c.want, got))
				break
			}
		}
	}
}

func TestAddressTables(t *testing.T) {
	want := []string{"host 10.0.0.1 gpu1 ?..?", "host 10.0.0.2 gpu2 ?..?"}
	for name, text := range map[string]string{
		"hosts":        "127.0.0.1 localhost # not a node\\nff02::1 ip6-allnodes\n10.0.0.1 gpu1\n10.0.0.2\tgpu2\n",
		"csv header":   "hostname,ip\ngpu1,10.0.0.1\ngpu2,10.0.0.2\n",
		"csv reversed": "ip,rack,node\n10.0.0.1,7,gpu1\n10.0.0.2,7,gpu2\n",
		"plain":        "gpu1 10.0.0.1\ngpu2 10.0.0.2\n",
		"sinfo":        "HOSTNAMES|STATE|NODE_ADDR\ngpu1|idle|10.0.0.1\ngpu2|drain*|10.0.0.2\n",
		"json map":     `{"gpu1":"10.0.0.1","gpu2":["10.0.0.2"]}`,
		"json list":    `[{"host":"gpu1","ip":"10.0.0.1"},{"name":"gpu2","addresses":["10.0.0.2"]}]`,
		"yaml":         "nodes:\n- name: gpu1\n  ip: 10.0.0.1\n- name: gpu2\n  ip: 10.0.0.2\n",
		"scontrol":     "NodeName=gpu1 Arch=x86_64\n   NodeAddr=10.0.0.1 NodeHostName=gpu1\n\nNodeName=gpu2\n   NodeAddr=10.0.0.2\n",
	} {
		var s Statements
		if _, err := s.Read(name, strings.NewReader(text), Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, show(Join(&s))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
