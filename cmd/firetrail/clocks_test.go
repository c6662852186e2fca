package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firetrail"
	"firetrail/timeline/attribute"

	"github.com/rogpeppe/go-internal/testscript"
)

// sensors writes the logs of one day at a small site: sensors DIR [shift=DURATION]
// [calls=DURATION] [silent=DURATION].
//
// Zeek stands inside and tells the time right. The firewall pa-edge translates
// all addresses to 198.51.100.1, its clock is ahead by shift, and it was off for the
// time silent from 13:00. outer.log is a Zeek outside that knows translated addresses
// only. 10.20.3.7 was run r-1's until 10:00 and r-2's from then on. Tool calls of
// r-1, with a clock that runs behind by calls, open two sessions over SSH: at 09:00
// to 203.0.113.9, which the firewall takes for TLS and only the Zeek outside knows
// for what it is; at 09:30 to 203.0.113.20, which the firewall knows and no Zeek sees.
func sensors(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sensors DIR [shift=90s] [calls=90s] [silent=6h]")
	}
	var shift, calls, silent time.Duration
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		d, err := time.ParseDuration(value)
		ts.Check(err)
		switch name {
		case "shift":
			shift = d
		case "calls":
			calls = d
		case "silent":
			silent = d
		}
	}
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	inside, outside, edge, trace := &strings.Builder{}, &strings.Builder{}, &strings.Builder{}, &strings.Builder{}
	const fields = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n"
	inside.WriteString(fields)
	outside.WriteString(fields)
	flow := func(n int, at time.Time, src, dst string, length time.Duration, seen, service string) {
		off := at.Sub(day) > 13*time.Hour && at.Sub(day) < 13*time.Hour+silent
		line := func(b *strings.Builder, src string, port int) {
			fmt.Fprintf(b, "%.6f\tC%d%c\t%s\t%d\t%s\t443\ttcp\t%s\t%.1f\t900000\t60000\tSF\n", float64(at.UnixMicro())/1e6, n, src[0], src, port, dst, service, length.Seconds())
		}
		if strings.Contains(seen, "i") {
			line(inside, src, 33000+n)
		}
		if strings.Contains(seen, "o") {
			line(outside, "198.51.100.1", 20000+n)
		}
		if strings.Contains(seen, "e") && !off {
			app := "ssl"
			if seen == "e" {
				app = service
			}
			wall := func(t time.Time) string { return t.Add(shift).Format("2006/01/02 15:04:05") }
			fmt.Fprintf(edge, "<14>Mar  1 00:00:00 pa-edge 1,%s,001801000777,TRAFFIC,end,2561,%s,%s,%s,198.51.100.1,%s,allow-web,,,%s,vsys1,trust,untrust,ethernet1/2,ethernet1/1,fwd-all,%s,%d,1,%d,443,%d,443,0x400019,tcp,allow,960000,900000,60000,120,%s,%.0f,any,0,%d,0x0,10.0.0.0-10.255.255.255,Reserved,0,60,60,tcp-fin,0,0,0,0,,pa-edge,from-policy\n",
				wall(at.Add(length)), wall(at.Add(length)), src, dst, dst, app, wall(at.Add(length)), n, 33000+n, 20000+n, wall(at), length.Seconds(), n)
		}
	}
	n := 0
	for at := day; at.Before(day.Add(24 * time.Hour)); at = at.Add(2 * time.Minute) {
		n++
		flow(n, at, fmt.Sprintf("10.20.3.%d", 5+n%4), "198.51.100.10", time.Duration(2+n%30)*time.Second, "ie", "ssl")
		if n%8 == 0 {
			flow(n+2000, at.Add(time.Duration(n%50)*time.Second), "10.20.3.7", "198.51.100.20", time.Second, "ieo", "ssl")
		}
		if n%40 == 0 { // a call that fetches something
			to := fmt.Sprintf("192.0.2.%d", 20+n/40)
			fmt.Fprintf(trace, `{"run_id":%q,"ip":"10.20.3.8","start":%q,"end":%q,"tool":"bash","args":"curl https://%s/data"}`+"\n", "r-3", stampOf(at.Add(-calls)), stampOf(at.Add(5*time.Second-calls)), to)
			flow(n+4000, at.Add(time.Second), "10.20.3.8", to, time.Second, "ie", "ssl")
		}
	}
	begin := day.Add(9 * time.Hour)
	for i, to := range []string{"203.0.113.9", "203.0.113.20"} {
		at := begin.Add(time.Duration(i) * 30 * time.Minute)
		flow(9000+i, at.Add(time.Second), "10.20.3.7", to, 25*time.Minute, [...]string{"eo", "e"}[i], "ssh")
		fmt.Fprintf(trace, `{"run_id":"r-1","ip":"10.20.3.7","start":%q,"end":%q,"tool":"bash","args":"nohup ssh -N -p 443 me@%s &"}`+"\n", stampOf(at.Add(-calls)), stampOf(at.Add(10*time.Second-calls)), to)
	}
	dir := ts.MkAbs(args[0])
	for name, text := range map[string]string{
		"logs/inside/conn.log": inside.String(), "logs/outside/conn.log": outside.String(), "logs/pa-edge.log": edge.String(), "runs/calls.jsonl": trace.String(),
		"runs/runs.csv": "run_id,ip,start,end,kind\nr-1,10.20.3.7,2026-03-01T00:00:00Z,2026-03-01T10:00:00Z,agentic rl\nr-2,10.20.3.7,2026-03-01T10:00:00Z,2026-03-02T06:00:00Z,agentic rl\nr-3,10.20.3.8,2026-02-28T00:00:00Z,2026-03-02T06:00:00Z,agentic rl\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, []byte(text), 0o600))
	}
}

func stampOf(t time.Time) string { return firetrail.Stamp(t.UnixNano()) }

func TestClockNames(t *testing.T) {
	var sources []firetrail.Source
	for _, s := range [][3]string{{"/l/zeek-a/conn.log", "zeek", ""}, {"/l/zeek-a/dns.log.gz", "zeek", ""}, {"/l/zeek-b/conn.log", "zeek", ""},
		{"/l/kern.log.2.gz", "iptables", ""}, {"/l/kern.log", "iptables", ""}, {"/l/fw-2026-03-01.log", "pf", ""}, {"/l/m-2026-03-01-06-00-00.log.gz", "iptables", ""}, {"/l/k.20260301", "iptables", ""}, {"/l/gpu-01.log", "iptables", ""}, {"/l/x.tar!/pa.log", "paloalto", "edge"}} {
		sources = append(sources, firetrail.Source{Path: s[0], Format: s[1], Sensor: s[2]})
	}
	got := strings.Join(clockNames(sources), ", ")
	if want := "zeek in zeek-a, zeek in zeek-a, zeek in zeek-b, kern.log, kern.log, fw.log, m.log, k, gpu-01.log, edge"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestZoneName(t *testing.T) {
	for hours, want := range map[float64][2]string{-8: {"UTC-8", "Etc/GMT+8"}, 2: {"UTC+2", "Etc/GMT-2"}, 5.5: {"UTC+5:30", "Asia/Kolkata"}, -3.5: {"UTC-3:30", "America/St_Johns"}} {
		east := int64(hours * 3.6e12)
		if utcName(east) != want[0] || zoneName(east) != want[1] {
			t.Errorf("%g: %s %s", hours, utcName(east), zoneName(east))
		}
		if _, err := time.LoadLocation(zoneName(east)); err != nil {
			t.Error(err)
		}
	}
}

// minutes makes a count of one event in each minute where busy says so.
func minutes(n int, busy func(minute int) bool) *counted {
	c := &counted{from: 0, width: int64(time.Minute), n: make([]int64, n)}
	for i := range c.n {
		if busy(i) {
			c.n[i] = 1
		}
	}
	return c
}

func TestSilent(t *testing.T) {
	const day = 24 * 60
	night := func(i int) bool { return i%day >= 6*60 && i%day < 22*60 }
	for _, c := range []struct {
		name string
		c    *counted
		want []firetrail.Interval // in minutes
	}{
		{"always there", minutes(day, func(int) bool { return true }), nil},
		{"two hours off", minutes(day, func(i int) bool { return i < 600 || i >= 720 }), []firetrail.Interval{{Start: 600, End: 720}}},
		{"nine minutes are short", minutes(day, func(i int) bool { return i < 600 || i >= 609 }), nil},
		{"too few events", minutes(450, func(i int) bool { return i < 100 || i >= 300 }), nil},
		{"long pauses are usual", minutes(20*day, func(i int) bool { return i%30 == 0 && (i < 600 || i > 750) }), nil},
		{"quiet every night", minutes(6*day, night), nil},
		{"quiet every night, and off one morning", minutes(6*day, func(i int) bool { return night(i) && (i < 2*day+8*60 || i >= 2*day+12*60) }),
			[]firetrail.Interval{{Start: 2*day + 8*60, End: 2*day + 12*60}}},
		{"off twice on different days", minutes(6*day, func(i int) bool { return (i < 600 || i > 900) && (i < 3*day || i >= 3*day+300) }),
			[]firetrail.Interval{{Start: 600, End: 901}, {Start: 3 * day, End: 3*day + 300}}},
	} {
		got := c.c.silent()
		for i := range got {
			got[i].Start /= int64(time.Minute)
			got[i].End /= int64(time.Minute)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestObserved(t *testing.T) {
	hour := int64(time.Hour)
	sources := []firetrail.Source{{ID: "a", Path: "a.log", First: 0, Last: 10 * hour}, {ID: "b", Path: "b.log", First: 18 * hour, Last: 28 * hour}}
	gaps := []firetrail.Gap{{Source: "a", Start: 2 * hour, End: 3 * hour}, {Source: "b", Start: 26 * hour, End: firetrail.Absent}}
	offsets := map[string]attribute.Offset{"b": {Shift: 8 * hour}}
	got := observed(sources, gaps, offsets)
	want := []firetrail.Interval{{Start: 0, End: 2 * hour}, {Start: 3 * hour, End: 20 * hour}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
